//! The sockets that the server listens on, the connections that they accept, and who is at the other
//! end of one.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use swarmscout_web_config::{ClientCertificate, DoorsHandle};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A socket that the server listens on.
#[derive(Debug)]
pub struct Listener {
    socket: ListenSocket,
    /// `127.0.0.1:9465` or `unix:///run/swarmscout.sock`.
    name: String,
    /// `None` for a unix socket.
    address: Option<SocketAddr>,
    /// `None`: plain HTTP, and each client may do everything.
    doors: Option<DoorsHandle>,
}

#[derive(Debug)]
enum ListenSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
    Health {
        socket: UnixListener,
        /// The user whose programs are answered, root aside.
        user: u32,
    },
}

/// The user that this program runs as.
pub fn own_user() -> io::Result<u32> {
    Ok(UnixStream::pair()?.0.peer_cred()?.uid())
}

impl Listener {
    /// A TCP socket. It fails if its address cannot be read.
    pub fn tcp(socket: TcpListener) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let name = address.to_string();
        Ok(Self { socket: ListenSocket::Tcp(socket), name, address: Some(address), doors: None })
    }

    /// A unix socket. It fails if its address cannot be read.
    pub fn unix(socket: UnixListener) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let name = match address.as_pathname() {
            Some(path) => format!("unix://{}", path.display()),
            None => String::from("a unix socket without a path"),
        };
        Ok(Self { socket: ListenSocket::Unix(socket), name, address: None, doors: None })
    }

    /// The same with a web configuration, if there is one.
    #[must_use]
    pub fn with_doors(self, doors: Option<DoorsHandle>) -> Self {
        Self { doors, ..self }
    }

    /// A unix socket for the program's own health checks. It answers nothing else, answers only
    /// programs of its own user and of root, and does not count among the connections.
    pub fn health(socket: UnixListener) -> io::Result<Self> {
        let socket = ListenSocket::Health { socket, user: own_user()? };
        Ok(Self { socket, name: String::from("own health checks"), address: None, doors: None })
    }

    /// Its web configuration.
    pub fn doors(&self) -> Option<DoorsHandle> {
        self.doors.clone()
    }

    /// How a URL of it begins, by its present web configuration: `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        scheme_of(self.doors.as_ref())
    }

    /// Whether it is the one for own health checks.
    pub fn is_health(&self) -> bool {
        matches!(self.socket, ListenSocket::Health { .. })
    }

    /// Its TCP address; `None` for a unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Waits for the next connection. Cancel-safe.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match &self.socket {
            ListenSocket::Tcp(socket) => {
                let (stream, address) = socket.accept().await?;
                // Answers are written whole; waiting for more to send only makes them late.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(client = %address, %error, "Cannot set TCP_NODELAY");
                }
                Ok((Stream::Tcp(stream), self.peer(Some(address))))
            }
            ListenSocket::Unix(socket) => {
                let (stream, _) = socket.accept().await?;
                Ok((Stream::Unix(stream), self.peer(None)))
            }
            ListenSocket::Health { socket, user } => loop {
                let (stream, _) = socket.accept().await?;
                let client = stream.peer_cred()?.uid();
                if client == 0 || client == *user {
                    return Ok((Stream::Unix(stream), self.peer(None)));
                }
                tracing::debug!(client, "Closed a connection of another user to own health checks");
            },
        }
    }
}

impl Listener {
    fn peer(&self, address: Option<SocketAddr>) -> Peer {
        Peer { address, doors: self.doors.clone(), certificate: None }
    }
}

/// How a URL of a listener with this web configuration begins.
pub fn scheme_of(doors: Option<&DoorsHandle>) -> &'static str {
    if doors.is_some_and(|doors| doors.current().tls.is_some()) { "https" } else { "http" }
}

/// The address as logs show it: `127.0.0.1:9465` or `unix:///run/swarmscout.sock`.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Who is at the other end of a connection. Each request has it in its extensions.
#[derive(Clone, Debug)]
pub struct Peer {
    /// `None` on a unix socket.
    pub address: Option<SocketAddr>,
    /// The web configuration of the listener.
    pub doors: Option<DoorsHandle>,
    /// The certificate that the client has shown.
    pub certificate: Option<Arc<ClientCertificate>>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => address.fmt(f),
            None => f.write_str("unix socket"),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Waits until it can be written to. From then on the runtime knows whether anything has arrived.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
            Self::Unix(stream) => stream.writable().await,
        }
    }
}

/// Does the same with either stream.
macro_rules! either {
    ($this:expr, $stream:ident => $do:expr) => {
        match $this.get_mut() {
            Self::Tcp($stream) => $do,
            Self::Unix($stream) => $do,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
