//! Connections: how many, how slow, and how they end.
//!
//! Our own accept loop, because what stands between a slow or hostile client and the program is
//! here: a limit of connections, a deadline for the header of a request, and one for a client that
//! does not read its answer.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The most that a client may take for the header of a request, and a connection be idle. An idle
/// client connects again; a server without this can be filled with idle clients.
const HEADER_DEADLINE: Duration = Duration::from_secs(30);

/// How long to wait when no connection can be accepted, as without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What limits a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at one time; more wait in the listen queue.
    pub(super) connections: usize,
    /// For the header of a request; at most [`HEADER_DEADLINE`] whatever this says.
    pub(super) read_timeout: Duration,
    /// How long a client may take none of its answer.
    pub(super) stalled: Duration,
    /// For requests that are running at the end.
    pub(super) shutdown_timeout: Duration,
}

/// Answers requests on all listeners with `handle` until `shutdown` resolves.
pub(super) async fn run<H, F>(
    listeners: Vec<TcpListener>,
    limits: Limits,
    handle: H,
    shutdown: impl Future<Output = ()> + Send,
) where
    H: Fn(http::Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let (permits, connections) = (Arc::clone(&permits), connections.clone());
        let (handle, stop, abort) = (handle.clone(), stop.clone(), abort.clone());
        accepting.spawn(async move {
            loop {
                let next = async {
                    let (stream, client) = accept(&listener).await;
                    let permit = Arc::clone(&permits).acquire_owned().await;
                    (stream, client, permit.expect("the semaphore is never closed"))
                };
                let Some((stream, client, permit)) = stop.run_until_cancelled(next).await else {
                    return;
                };
                let handle = handle.clone();
                let (stop, abort) = (stop.clone(), abort.clone());
                connections.spawn(async move {
                    let serving = serve(stream, client, limits, handle, &stop);
                    abort.run_until_cancelled(serving).await;
                    drop(permit);
                });
            }
        });
    }
    shutdown.await;
    stop.cancel();
    while accepting.join_next().await.is_some() {}
    connections.close();
    if tokio::time::timeout(limits.shutdown_timeout, connections.wait()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "Requests not finished in time are cut off"
        );
        abort.cancel();
        connections.wait().await;
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "Cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve<H, F>(
    stream: TcpStream,
    client: SocketAddr,
    limits: Limits,
    handle: H,
    stop: &CancellationToken,
) where
    H: Fn(http::Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    // Answers are written whole; waiting for more to send only makes them late.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%client, %error, "Cannot set TCP_NODELAY");
    }
    let service = service_fn(move |request| {
        let response = handle(request);
        async { Ok::<_, Infallible>(response.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.read_timeout.min(HEADER_DEADLINE))
        .serve_connection(TokioIo::new(Patience::new(stream, limits.stalled)), service);
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%client, %error, "Connection ended early");
    }
}

/// A connection that ends when its client takes nothing of what is sent for too long.
struct Patience {
    stream: TcpStream,
    limit: Duration,
    /// Runs while a write waits for the client.
    stalled: Pin<Box<Sleep>>,
    waiting: bool,
}

impl Patience {
    fn new(stream: TcpStream, limit: Duration) -> Self {
        Self { stream, limit, stalled: Box::pin(tokio::time::sleep(limit)), waiting: false }
    }

    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.waiting = false;
            return write;
        }
        if !self.waiting {
            self.waiting = true;
            self.stalled.as_mut().reset(Instant::now() + self.limit);
        }
        ready!(self.stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl AsyncRead for Patience {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Patience {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::response::IntoResponse as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// With one connection at a time, the next client is served only once the first is gone.
    #[tokio::test]
    async fn a_client_that_does_not_read_is_cut_off() {
        let limits = Limits {
            connections: 1,
            read_timeout: Duration::from_secs(10),
            stalled: Duration::from_millis(50),
            shutdown_timeout: Duration::ZERO,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let endless = || {
            Body::from_stream(futures_util::stream::repeat(Ok::<_, Infallible>("x".repeat(65_536))))
        };
        let handle = move |request: http::Request<Incoming>| async move {
            match request.uri().path() {
                "/endless" => endless().into_response(),
                _ => "short".into_response(),
            }
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(run(vec![listener], limits, handle, std::future::pending()));

        let mut first = TcpStream::connect(address).await.unwrap();
        first.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut byte = [0];
        first.read_exact(&mut byte).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        second.read_exact(&mut byte).await.unwrap();
    }
}
