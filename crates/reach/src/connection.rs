//! Connections to tasks, kept for the next fetch.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use swarmscout_net::connect_direct;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::process::Process;

/// A connection without a request is closed after this long: Prometheus' figure.
pub(crate) const IDLE: Duration = Duration::from_mins(5);

/// Kept connections of a task: its targets, for two Prometheus.
const MAX_KEPT: usize = 4;

/// The most bytes of the header of an answer, and of hyper's buffer for its body.
pub(crate) const MAX_HEADER: usize = 64 << 10;

/// The most bytes that come before the body of an answer, interim answers included.
const MAX_INTERIM: usize = 4 * MAX_HEADER;

/// A connection that is ready for a request.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) address: SocketAddr,
    https: bool,
    sender: http1::SendRequest<Empty<Bytes>>,
    /// Whether it has answered before.
    pub(crate) used: bool,
    /// Notified with each request.
    in_use: Arc<Notify>,
    /// Bytes that may be read yet.
    room: Arc<AtomicUsize>,
}

impl Kept {
    /// Opens a connection. A task of `tasks` drives it, and ends with it.
    pub(crate) async fn open(
        address: SocketAddr,
        https: bool,
        within: Duration,
        tasks: &TaskTracker,
    ) -> Result<Self, swarmscout_net::Error> {
        let stream = connect_direct(address, https, within).await?;
        let mut settings = http1::Builder::new();
        // Of one size: each read is a piece that tasks hand over, and a page of metrics is large.
        settings.read_buf_exact_size(Some(MAX_HEADER)).max_header_size(MAX_HEADER);
        let room = Arc::new(AtomicUsize::new(MAX_INTERIM));
        let stream = Metered { stream, room: Arc::clone(&room) };
        let handshake = settings.handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(|error| {
            let reason = swarmscout_net::explain_exchange(&error, MAX_HEADER);
            swarmscout_net::Error::Exchange { to: address.to_string(), reason }
        })?;
        let in_use = Arc::new(Notify::new());
        let used = Arc::clone(&in_use);
        tasks.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            loop {
                // No fetch is longer than this, so none is cut off.
                tokio::select! {
                    _ = &mut connection => return,
                    () = used.notified() => {}
                    () = tokio::time::sleep(IDLE) => return,
                }
            }
        });
        Ok(Self { address, https, sender, used: false, in_use, room })
    }

    /// A kept connection of the process that is still open.
    pub(crate) fn take(process: &Process, port: u16, https: bool) -> Option<Self> {
        let mut kept = process.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| !kept.sender.is_closed());
        let fits = |kept: &Self| kept.address.port() == port && kept.https == https;
        let at = kept.iter().rposition(fits)?;
        Some(kept.remove(at))
    }

    /// Keeps it for the next request; the one that waits longest is closed if there are too many.
    pub(crate) fn keep(mut self, process: &Process) {
        self.used = true;
        if self.sender.is_closed() {
            return;
        }
        let mut kept = process.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.remove(0);
        }
        kept.push(self);
    }

    /// Sends a request and waits for the header of its answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        self.in_use.notify_one();
        self.sender.ready().await?;
        self.room.store(MAX_INTERIM, Ordering::Relaxed);
        let answer = self.sender.send_request(request).await;
        // Its body has a limit of its own.
        self.room.store(usize::MAX, Ordering::Relaxed);
        answer
    }
}

/// A stream that hands out a limited number of bytes until the header of an answer is complete.
///
/// hyper skips interim answers (103 Early Hints) without a limit: a task that sends nothing else would
/// keep a thread busy.
struct Metered<S> {
    stream: S,
    room: Arc<AtomicUsize>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.room.load(Ordering::Relaxed) == 0 {
            return Poll::Ready(Err(io::Error::other("it sends interim answers without an end")));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().len() - before;
        let left = |room: usize| Some(room.saturating_sub(read));
        let _ = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
