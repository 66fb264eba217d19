//! An open connection, and what has passed over it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

/// A connection of any kind.
pub(crate) struct Stream {
    socket: Socket,
    wear: Arc<Wear>,
}

enum Socket {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
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
    pub(super) fn tcp(socket: TcpStream) -> Self {
        Self::new(Socket::Tcp(socket))
    }

    pub(super) fn tls(socket: TlsStream<TcpStream>) -> Self {
        Self::new(Socket::Tls(Box::new(socket)))
    }

    pub(super) fn unix(socket: UnixStream) -> Self {
        Self::new(Socket::Unix(socket))
    }

    fn new(socket: Socket) -> Self {
        Self { socket, wear: Arc::default() }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(Arc::clone(&self.wear));
        match &self.socket {
            Socket::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                connected.negotiated_h2()
            }
            _ => connected,
        }
    }
}

macro_rules! on_socket {
    ($stream:expr, $socket:ident => $call:expr) => {
        match &mut $stream.get_mut().socket {
            Socket::Tcp($socket) => $call,
            Socket::Tls($socket) => $call,
            Socket::Unix($socket) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = on_socket!(self.as_mut(), socket => Pin::new(socket).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.wear.read();
        }
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.wear.wrote();
        on_socket!(self, socket => Pin::new(socket).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.wear.wrote();
        on_socket!(self, socket => Pin::new(socket).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Tcp(socket) => socket.is_write_vectored(),
            Socket::Tls(socket) => socket.is_write_vectored(),
            Socket::Unix(socket) => socket.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self, socket => Pin::new(socket).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self, socket => Pin::new(socket).poll_shutdown(cx))
    }
}
