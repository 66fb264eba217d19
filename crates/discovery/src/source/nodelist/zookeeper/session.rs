//! A session with one server, over one connection.
//!
//! A session ends with its connection. We own no ephemeral node, so moving a session to another
//! server has no use, and its watches would have to be set again anyway.
//!
//! There is no background task: [`Session::ask`] and [`Session::changed`] keep the session alive.
//! [`Session::ask`] is not cancel-safe; if it is cancelled, the session must be dropped.

use std::io;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::FutureExt as _;
use swarmscout_model::Secret;
use swarmscout_net::{Error as NetError, UserInfo, io_words};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep_until};

use super::jute::{self, Answer, Ask, NO_NODE, Reader};
use crate::Error;

/// How long a session lives without a message from us. A server adapts this to the range that its
/// configuration allows, 4 s to 40 s by default.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);

/// A server that allows less than this is still pinged as if it allowed this.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);

/// The most questions in flight.
const WINDOW: usize = 128;

/// What a session can run over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open session.
#[derive(Debug)]
pub(super) struct Session<S: Stream> {
    server: String,
    stream: S,
    /// The bytes received of the next frames.
    received: BytesMut,
    /// The number of the last question.
    xid: i32,
    /// The last transaction that the server reported.
    seen: i64,
    timeout: Duration,
    /// When something was last sent.
    sent: Instant,
    /// When a frame was last received.
    received_at: Instant,
    /// Whether a watch reported a change since [`Session::forget_changes`].
    changed: bool,
}

impl<S: Stream> Session<S> {
    /// Opens a session with the server `host:port` over `stream`. The server must have seen the
    /// transaction `seen`. Has no deadline.
    pub(super) async fn open(
        stream: S,
        server: &str,
        user: Option<&UserInfo>,
        seen: i64,
    ) -> Result<Self, NetError> {
        let now = Instant::now();
        let mut session = Self {
            server: server.to_owned(),
            stream,
            received: BytesMut::new(),
            xid: 0,
            seen,
            timeout: SESSION_TIMEOUT,
            sent: now,
            received_at: now,
            changed: false,
        };
        session.send(&jute::connect(SESSION_TIMEOUT, seen)).await?;
        let answer = session.receive().await?;
        let timeout = jute::connected(&answer).map_err(|reason| session.broken(reason))?;
        // A ping more often than needed does no harm.
        session.timeout = timeout.clamp(SHORTEST_TIMEOUT, SESSION_TIMEOUT);
        if let Some(UserInfo { username, password }) = user {
            let password = password.as_ref().map_or("", Secret::expose);
            session.send(&jute::authenticate(username, password)).await?;
            let answer = session.answer().await?;
            let answer = Answer::read(&answer).map_err(|reason| session.broken(reason))?;
            if let Err(code) = answer.body {
                return Err(session.broken(jute::failure(code)));
            }
        }
        Ok(session)
    }

    /// The last transaction that was seen.
    pub(super) fn seen(&self) -> i64 {
        self.seen
    }

    /// Forgets the changes reported so far: a new listing covers them.
    pub(super) fn forget_changes(&mut self) {
        self.changed = false;
    }

    /// Asks all of `asks`, and passes each answer with its index to `read`; `None` for a node that
    /// does not exist. An error of `read` means a faulty answer. Has no deadline.
    pub(super) async fn ask(
        &mut self,
        asks: &[Ask<'_>],
        mut read: impl FnMut(usize, Option<Reader<'_>>) -> Result<(), String>,
    ) -> Result<(), Error> {
        let mut out = Vec::new();
        for (window, asks) in asks.chunks(WINDOW).enumerate() {
            out.clear();
            let mut xid = self.xid;
            for ask in asks {
                xid = after(xid);
                ask.write(xid, &mut out);
            }
            self.send(&out).await?;
            for (index, ask) in asks.iter().enumerate() {
                self.xid = after(self.xid);
                let frame = self.answer().await?;
                let answer = Answer::read(&frame).and_then(|Answer { xid, zxid, body }| {
                    if xid != self.xid {
                        return Err(format!("question {} was answered as {xid}", self.xid));
                    }
                    self.seen = self.seen.max(zxid);
                    let body = match body {
                        Err(NO_NODE) => None,
                        body => Some(body.map_err(jute::failure)?),
                    };
                    read(window * WINDOW + index, body)
                });
                answer.map_err(|reason| Error::Answer {
                    url: format!("zk://{}{}", self.server, ask.path),
                    reason,
                })?;
            }
        }
        Ok(())
    }

    /// Resolves when a watched node changed, or with an error when the session is lost. Keeps the
    /// session alive. Cancel-safe.
    pub(super) async fn changed(&mut self) -> Result<(), NetError> {
        while !self.changed {
            // The fractions are those of ZooKeeper's own clients.
            let (ping, silence) = (self.timeout / 3, self.timeout * 2 / 3);
            let (ping_at, lost_at) = (self.sent + ping, self.received_at + silence);
            tokio::select! {
                biased;
                frame = self.receive() => {
                    let frame = frame?;
                    if self.is_answer(&frame)? {
                        return Err(self.broken("an answer to no question".to_owned()));
                    }
                }
                () = sleep_until(lost_at) => {
                    return Err(NetError::Silent { to: self.server.clone(), idle: silence });
                }
                () = sleep_until(ping_at) => self.send_now(&jute::ping())?,
            }
        }
        Ok(())
    }

    /// The next frame that answers a question.
    async fn answer(&mut self) -> Result<Bytes, NetError> {
        loop {
            let frame = self.receive().await?;
            if self.is_answer(&frame)? {
                return Ok(frame);
            }
        }
    }

    /// Whether a frame answers a question. Notes an event.
    fn is_answer(&mut self, frame: &[u8]) -> Result<bool, NetError> {
        match Answer::read(frame).map_err(|reason| self.broken(reason))?.xid {
            jute::EVENT => self.changed = true,
            jute::PONG => {}
            _ => return Ok(true),
        }
        Ok(false)
    }

    /// The next frame. Cancel-safe.
    async fn receive(&mut self) -> Result<Bytes, NetError> {
        loop {
            if let Some(prefix) = self.received.first_chunk() {
                let length = jute::length(*prefix).map_err(|reason| self.broken(reason))?;
                if self.received.len() - jute::PREFIX >= length {
                    self.received_at = Instant::now();
                    self.received.advance(jute::PREFIX);
                    return Ok(self.received.split_to(length).freeze());
                }
            }
            match self.stream.read_buf(&mut self.received).await {
                Ok(0) => {
                    let reason = match (self.xid, self.received.is_empty()) {
                        (0, true) => {
                            "the server closed the connection at once: it may lack a quorum, \
                             have seen less than another server before, or expect TLS"
                        }
                        (_, true) => "the server closed the connection",
                        (_, false) => "the server closed the connection within an answer",
                    };
                    return Err(self.broken(reason.to_owned()));
                }
                Ok(_) => {}
                Err(error) => return Err(self.broken(io_words(&error))),
            }
        }
    }

    async fn send(&mut self, frames: &[u8]) -> Result<(), NetError> {
        let sent = self.stream.write_all(frames).await;
        sent.map_err(|error| self.broken(io_words(&error)))?;
        self.sent = Instant::now();
        Ok(())
    }

    /// Sends a few bytes without waiting. An idle connection that has no room for them is lost.
    fn send_now(&mut self, frame: &[u8]) -> Result<(), NetError> {
        self.sent = Instant::now();
        let reason = match at_once(&mut self.stream, frame) {
            Some(Ok(written)) if written == frame.len() => return Ok(()),
            Some(Err(error)) => io_words(&error),
            _ => "the server reads nothing".to_owned(),
        };
        Err(self.broken(reason))
    }

    fn broken(&self, reason: String) -> NetError {
        NetError::Exchange { to: self.server.clone(), reason }
    }
}

/// The number of the question after this one: 1 comes after the largest.
fn after(xid: i32) -> i32 {
    xid % i32::MAX + 1
}

/// Writes what there is room for, if there is any.
fn at_once(stream: &mut impl Stream, bytes: &[u8]) -> Option<io::Result<usize>> {
    // Without this, a task that has used up its budget could not write.
    unconstrained(stream.write(bytes)).now_or_never()
}

/// Closes the session if that does not block; otherwise the server ends it at its timeout.
impl<S: Stream> Drop for Session<S> {
    fn drop(&mut self) {
        let _ = at_once(&mut self.stream, &jute::close());
    }
}
