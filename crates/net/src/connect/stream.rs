//! An open connection, and the bytes that it has carried.
//!
//! A [`Socket`] is bytes both ways; one in TLS lies in another one, so that TLS may lie in TLS
//! where the way to a server leads through a proxy that is spoken to over TLS itself. A [`Stream`]
//! is a socket that is ready for requests.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::SetOnce;
use tokio_rustls::client::TlsStream;

use crate::tls;

/// A connection of any kind, ready for requests.
pub(crate) struct Stream {
    socket: Socket,
    /// Whether a proxy reads the requests, and wants to know which server they are for.
    to_proxy: bool,
    wear: Arc<Wear>,
    last_alert: LastAlert,
}

/// Bytes both ways.
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<Self>>),
}

tokio::task_local! {
    static LAST_ALERT: LastAlert;
}

/// The alert with which a server ended the connection that was opened for a request. With TLS 1.3 it
/// refuses a client after the handshake. hyper does not always pass that on, and a request for which an
/// HTTP/2 connection ends while it starts may get no answer at all.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastAlert(Arc<SetOnce<AlertDescription>>);

impl LastAlert {
    /// Runs a request, which may open a connection.
    pub(crate) async fn scope<T>(&self, request: impl Future<Output = T>) -> T {
        LAST_ALERT.scope(self.clone(), request).await
    }

    pub(crate) fn get(&self) -> Option<AlertDescription> {
        self.0.get().copied()
    }

    pub(crate) async fn wait(&self) -> AlertDescription {
        *self.0.wait().await
    }

    fn of_request() -> Self {
        LAST_ALERT.try_with(Self::clone).unwrap_or_default()
    }

    fn note(&self, alert: AlertDescription) {
        // The first one counts.
        let _ = self.0.set(alert);
    }
}

/// How far a connection was used. A server may close a kept connection at the very moment when the
/// next request goes out on it; only if that happened may the request be sent again.
#[derive(Debug, Default)]
pub(crate) struct Wear {
    /// Some earlier request was answered.
    used: AtomicBool,
    /// Something was read since the last write.
    answering: AtomicBool,
}

impl Wear {
    /// Whether the connection served before, and brought nothing for the last request.
    pub(crate) fn is_stale(&self) -> bool {
        self.used.load(Ordering::Relaxed) && !self.answering.load(Ordering::Relaxed)
    }

    /// Whether anything was read, now or before.
    pub(crate) fn has_answered(&self) -> bool {
        self.used.load(Ordering::Relaxed) || self.answering.load(Ordering::Relaxed)
    }

    fn wrote(&self) {
        if self.answering.swap(false, Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    fn read(&self) {
        self.answering.store(true, Ordering::Relaxed);
    }
}

impl Stream {
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket, to_proxy: false, wear: Arc::default(), last_alert: LastAlert::of_request() }
    }

    /// Requests go to a proxy, which passes them on.
    pub(super) fn to_proxy(socket: Socket) -> Self {
        Self { to_proxy: true, ..Self::new(socket) }
    }

    /// Notes the alert behind an error.
    fn note<T>(&self, result: io::Result<T>) -> Poll<io::Result<T>> {
        if let Err(error) = &result
            && let Some(alert) = tls::alert_of(error)
        {
            self.last_alert.note(alert);
        }
        Poll::Ready(result)
    }

    /// What came of a write. A server that closed the connection may have sent an alert before.
    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        match (polled, &mut self.socket) {
            (Poll::Ready(Err(error)), Socket::Tls(stream))
                if matches!(error.kind(), BrokenPipe | ConnectionReset) =>
            {
                let alert = ready!(poll_alert(stream, cx));
                self.note(Err(alert.unwrap_or(error)))
            }
            (polled, _) => polled,
        }
    }
}

/// The alert that came before the end of a connection, if there was one. What else came can be read
/// afterwards.
fn poll_alert(stream: &mut TlsStream<Socket>, cx: &mut Context<'_>) -> Poll<Option<io::Error>> {
    let (socket, session) = stream.get_mut();
    let mut arrived = Arrived { socket, cx };
    loop {
        match session.read_tls(&mut arrived) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(_) | Ok(0) => return Poll::Ready(None),
            Ok(_) => {}
        }
        if let Err(error) = session.process_new_packets() {
            return Poll::Ready(Some(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
    }
}

/// Reads what is there.
struct Arrived<'a, 'b> {
    socket: &'a mut Socket,
    cx: &'a mut Context<'b>,
}

impl io::Read for Arrived<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut buf = ReadBuf::new(buf);
        match Pin::new(&mut *self.socket).poll_read(self.cx, &mut buf) {
            Poll::Ready(read) => read.map(|()| buf.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.to_proxy).extra(Arc::clone(&self.wear));
        match &self.socket {
            Socket::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                connected.negotiated_h2()
            }
            _ => connected,
        }
    }
}

/// Calls what all kinds of sockets have.
macro_rules! on_socket {
    ($self:expr, $socket:ident => $call:expr) => {
        match $self {
            Socket::Tcp($socket) => $call,
            Socket::Unix($socket) => $call,
            Socket::Tls($socket) => $call,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on_socket!(self.get_mut(), socket => Pin::new(socket).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_socket!(self.get_mut(), socket => Pin::new(socket).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_socket!(self.get_mut(), socket => Pin::new(socket).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        on_socket!(self, socket => socket.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self.get_mut(), socket => Pin::new(socket).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self.get_mut(), socket => Pin::new(socket).poll_shutdown(cx))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.wear.read();
        }
        match polled {
            Poll::Ready(result) => self.note(result),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.wear.wrote();
        let polled = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.written(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.wear.wrote();
        let polled = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.written(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.socket).poll_flush(cx);
        self.written(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
