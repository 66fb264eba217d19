//! A session with one server, over one connection.
//!
//! The session ends with its connection: we own no ephemeral node, so nothing is gained by taking
//! an old one along to the next server, and its watches would have to be set anew anyway. There is
//! no task: whoever waits in [`Session::changed`] keeps the session alive, and who asks does so by
//! asking. [`Session::ask`] is not cancel-safe; a session whose question was cancelled is dropped.

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

/// How long a session shall live without a sign of us. Servers make of it what their
/// configuration allows, 4 s to 40 s by default.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);

/// A server that allows less time than this is pinged at this pace nevertheless.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);

/// So many questions are on their way at once.
const WINDOW: usize = 128;

/// What a session can run over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open session.
#[derive(Debug)]
pub(super) struct Session<S: Stream> {
    server: String,
    stream: S,
    /// What has come of the next frames.
    received: BytesMut,
    /// Of the last question.
    xid: i32,
    /// The last transaction that the server told of.
    seen: i64,
    timeout: Duration,
    /// When something was last sent.
    sent: Instant,
    /// When something last came.
    heard: Instant,
    /// A watch told of a change since [`Session::forget_changes`].
    changed: bool,
}

impl<S: Stream> Session<S> {
    /// Begins a session with the server `host:port`, to which `stream` is open. The server must
    /// have seen the transaction `seen`. Without deadline.
    pub(super) async fn begin(
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
            heard: now,
            changed: false,
        };
        session.send(&jute::connect(SESSION_TIMEOUT, seen)).await?;
        let answer = session.receive().await?;
        let timeout = jute::connected(&answer).map_err(|reason| session.broken(reason))?;
        // Who pings more often than a patient server needs does no harm.
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

    /// Forgets the changes that were told of so far: a look begins.
    pub(super) fn forget_changes(&mut self) {
        self.changed = false;
    }

    /// Asks all of `asks`, and hands each answer with its index to `read`; `None` for a node that
    /// is not there. An error of `read` is a fault of the answer. Without deadline.
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

    /// Resolves when a watched node changed, or the session is lost, with the reason. Keeps the
    /// session alive meanwhile. Cancel-safe.
    pub(super) async fn changed(&mut self) -> Result<(), NetError> {
        while !self.changed {
            // The fractions are those of ZooKeeper's own clients.
            let (ping, silence) = (self.timeout / 3, self.timeout * 2 / 3);
            let (ping_at, lost_at) = (self.sent + ping, self.heard + silence);
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

    /// The next frame that answers something.
    async fn answer(&mut self) -> Result<Bytes, NetError> {
        loop {
            let frame = self.receive().await?;
            if self.is_answer(&frame)? {
                return Ok(frame);
            }
        }
    }

    /// Whether a frame answers something. Notes it if not.
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
                    self.heard = Instant::now();
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
    // The task's budget may be used up, which says nothing of the connection.
    unconstrained(stream.write(bytes)).now_or_never()
}

/// Ends the session in order where that is possible at once; else the server ends it in its time.
impl<S: Stream> Drop for Session<S> {
    fn drop(&mut self) {
        let _ = at_once(&mut self.stream, &jute::close());
    }
}
