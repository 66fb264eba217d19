//! A listening socket that can be closed and opened again at the same address.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;

use super::Listen;

/// Connections that wait to be accepted; as many as the kernel allows by default.
const BACKLOG: u32 = 4096;

/// A port or a unix socket that can be closed and opened again.
pub struct Listener {
    address: Address,
    state: Mutex<State>,
    /// Counts how often the port was closed; connections of an earlier time end.
    closed: watch::Sender<u64>,
    /// Keeps the port of a closed listener from being given to somebody else: a socket that is
    /// bound, but does not listen.
    _bound: Option<TcpSocket>,
}

pub(super) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

struct State {
    socket: Option<Socket>,
    /// The one task that waits for a connection, or for the port to open.
    acceptor: Option<Waker>,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// An accepted connection.
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    Unix(UnixStream),
}

/// Anything that bytes go through.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    /// Makes the end of the connection a reset, where that exists.
    fn reset_at_end(&self) {}
}

impl Io for TcpStream {
    fn reset_at_end(&self) {
        // Without it the connection ends in order: nothing that could be done about it here.
        let _ = self.set_zero_linger();
    }
}

impl Io for UnixStream {}

impl Io for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset_at_end(&self) {
        self.get_ref().0.reset_at_end();
    }
}

impl Listener {
    /// Listens at an address.
    pub fn bind(listen: Listen) -> io::Result<Self> {
        let (address, bound) = match listen {
            Listen::Unix(path) => (Address::Unix(path), None),
            Listen::Addr(addr) => tcp(addr)?,
            Listen::Tcp | Listen::Tls(_) => tcp((Ipv4Addr::LOCALHOST, 0).into())?,
        };
        let state = Mutex::new(State { socket: None, acceptor: None });
        let listener = Self { address, state, closed: watch::Sender::new(0), _bound: bound };
        listener.open()?;
        Ok(listener)
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Host and port; `None` for a unix socket.
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        match &self.address {
            Address::Tcp(addr) => Some(*addr),
            Address::Unix(_) => None,
        }
    }

    /// Accepts connections again after [`Self::close`].
    pub fn open(&self) -> io::Result<()> {
        let mut state = self.lock();
        if state.socket.is_none() {
            state.socket = Some(match &self.address {
                Address::Tcp(addr) => Socket::Tcp(socket(*addr)?.listen(BACKLOG)?),
                Address::Unix(path) => {
                    if let Err(error) = std::fs::remove_file(path)
                        && error.kind() != io::ErrorKind::NotFound
                    {
                        return Err(error);
                    }
                    Socket::Unix(UnixListener::bind(path)?)
                }
            });
            if let Some(acceptor) = state.acceptor.take() {
                acceptor.wake();
            }
        }
        Ok(())
    }

    /// Refuses new connections and ends the present ones.
    pub fn close(&self) {
        self.lock().socket = None;
        self.closed.send_modify(|count| *count += 1);
    }

    /// The next connection. Waits while the port is closed. For one task only.
    pub async fn accept(&self) -> io::Result<Stream> {
        std::future::poll_fn(|cx| {
            let mut state = self.lock();
            state.acceptor = Some(cx.waker().clone());
            match &state.socket {
                None => Poll::Pending,
                Some(Socket::Tcp(socket)) => {
                    socket.poll_accept(cx).map_ok(|(stream, _)| Stream::Tcp(stream))
                }
                Some(Socket::Unix(socket)) => {
                    socket.poll_accept(cx).map_ok(|(stream, _)| Stream::Unix(stream))
                }
            }
        })
        .await
    }

    /// Says how often the port was closed so far, and when it is closed again.
    pub fn closed(&self) -> watch::Receiver<u64> {
        self.closed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Address::Unix(path) = &self.address {
            // The file may be gone with its folder already.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn tcp(addr: SocketAddr) -> io::Result<(Address, Option<TcpSocket>)> {
    let bound = socket(addr)?;
    Ok((Address::Tcp(bound.local_addr()?), Some(bound)))
}

fn socket(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}
