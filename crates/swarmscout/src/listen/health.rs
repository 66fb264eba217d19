//! The unix socket for the program's own health checks (`check healthy`, `check ready`).
//!
//! Docker runs a health check in the container of the program. This socket answers it whatever the
//! doors of the web server are, and however many clients the web server has. It has an abstract name,
//! so it needs no file system. Any process of the same network namespace can take that name first. So
//! the asking side trusts only a program of its own user or of root, and so does the answering side.

use std::io;
use std::time::Duration;

use anyhow::{Context as _, bail};
use swarmscout_server::{Listener, own_user};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The largest answer that is read, in bytes.
const MAX_ANSWER: u64 = 16 << 10;

/// The name of the socket of a program that listens on a port.
#[cfg(target_os = "linux")]
fn address(port: u16) -> io::Result<std::os::unix::net::SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;

    std::os::unix::net::SocketAddr::from_abstract_name(format!("swarmscout-health-{port}"))
}

/// Only Linux has abstract names.
#[cfg(not(target_os = "linux"))]
fn address(_: u16) -> io::Result<std::os::unix::net::SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Opens the socket of a program that listens on a port.
pub(super) fn listen(port: u16) -> io::Result<Listener> {
    let socket = std::os::unix::net::UnixListener::bind_addr(&address(port)?)?;
    socket.set_nonblocking(true)?;
    Listener::health(tokio::net::UnixListener::from_std(socket)?)
}

/// Sends a GET to the program of this machine that listens on a port. `None` if there is no such
/// program, or one that is not trusted.
pub(crate) async fn ask(port: u16, path: &str) -> Option<anyhow::Result<String>> {
    let socket = std::os::unix::net::UnixStream::connect_addr(&address(port).ok()?).ok()?;
    socket.set_nonblocking(true).ok()?;
    let socket = UnixStream::from_std(socket).ok()?;
    let owner = socket.peer_cred().ok()?.uid();
    if owner != 0 && owner != own_user().ok()? {
        return None;
    }
    let answer = tokio::time::timeout(ANSWER_WITHIN, exchange(socket, path)).await;
    answer.unwrap_or_else(|_| bail!("no answer within {ANSWER_WITHIN:?}")).transpose()
}

/// `None` if the program closes the connection at once: it does not answer this user.
async fn exchange(mut socket: UnixStream, path: &str) -> anyhow::Result<Option<String>> {
    // The answer to HTTP/1.0 is not chunked.
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let mut answer = Vec::new();
    let exchanged = async {
        socket.write_all(request.as_bytes()).await?;
        socket.take(MAX_ANSWER).read_to_end(&mut answer).await
    };
    let exchanged = exchanged.await;
    if answer.is_empty() {
        return Ok(None);
    }
    exchanged?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    match status.context("the answer is not HTTP")? {
        200 => Ok(Some(body.to_owned())),
        503 => bail!("status=503: it starts or stops: ask again"),
        status => bail!("status={status}: {}", body.trim()),
    }
}
