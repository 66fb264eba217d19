//! The TLS handshake of a connection: its deadline, and what log and metrics say where it fails.

use std::time::{Duration, Instant};

use swarmscout_web_config::{Accepted, Refusal, RefusalKind, TlsDoor};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::listener::Peer;
use crate::socket::Socket;
use crate::tally::Tally;

/// The most that a handshake may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long a client whose handshake has failed may take to close the connection, and what it may send
/// until then, in bytes.
const FAREWELL: Duration = Duration::from_secs(2);
const FAREWELL_BYTES: usize = 256 << 10;

/// What a client gets that sends HTTP instead of TLS (Go `net/http.(*conn).serve`).
const NOT_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// Does the handshake. `None` if it fails, which is counted and logged.
pub(crate) async fn accept(
    door: &TlsDoor,
    socket: Socket,
    peer: &Peer,
    failures: &Failures,
) -> Option<Accepted<Socket>> {
    let (refusal, socket) = match tokio::time::timeout(DEADLINE, handshake(door, socket)).await {
        Ok(Ok(accepted)) => return Some(accepted),
        Ok(Err((refusal, socket))) => (refusal, Some(socket)),
        Err(_) => {
            let reason = format!("the handshake was not done within {DEADLINE:?}");
            (Refusal { kind: RefusalKind::TimedOut, reason, certificate: None }, None)
        }
    };
    failures.note(&refusal, peer);
    if let Some(socket) = socket {
        // The client has closed the connection, or has not by then.
        let _ = tokio::time::timeout(FAREWELL, take_leave(socket)).await;
    }
    None
}

async fn handshake(
    door: &TlsDoor,
    mut socket: Socket,
) -> Result<Accepted<Socket>, (Refusal, Socket)> {
    // A record of TLS begins with its type, which is not a letter.
    if !socket.first_byte().await.is_some_and(|first| first.is_ascii_uppercase()) {
        return door.accept(socket).await;
    }
    let reason = match socket.write_all(NOT_TLS).await {
        Ok(()) => "the client sent an HTTP request to an HTTPS server".to_owned(),
        Err(error) => {
            format!("the client sent an HTTP request to an HTTPS server, and left: {error}")
        }
    };
    Err((Refusal { kind: RefusalKind::NotTls, reason, certificate: None }, socket))
}

/// Lets the client read what it was sent last. In TLS 1.3 it sends its request before the server has
/// checked its certificate: if that is not read, the kernel ends the connection at once, and the
/// client sees a broken pipe instead of the alert.
async fn take_leave(mut socket: Socket) {
    if socket.shutdown().await.is_err() {
        return;
    }
    let (mut rest, mut left) = ([0; 4096], FAREWELL_BYTES);
    while let Ok(count @ 1..) = socket.read(&mut rest).await {
        let Some(less) = left.checked_sub(count) else { return };
        left = less;
    }
}

/// The number of kinds.
const KINDS: usize = RefusalKind::ALL.len();

/// Handshakes that failed.
#[derive(Debug, Default)]
pub(crate) struct Failures(Tally<KINDS>);

impl Failures {
    /// How many there were of each kind.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        RefusalKind::ALL.iter().map(|kind| kind.name()).zip(self.0.counts())
    }

    fn note(&self, refusal: &Refusal, peer: &Peer) {
        let Refusal { kind, reason, certificate } = refusal;
        let at = RefusalKind::ALL.iter().position(|other| other == kind).unwrap_or(KINDS - 1);
        self.0.count(at);
        let is_usual =
            matches!(kind, RefusalKind::Closed | RefusalKind::TimedOut | RefusalKind::NotTls);
        if is_usual {
            tracing::debug!(client = %peer, kind = kind.name(), reason, "TLS handshake failed");
        } else if let Some(not_logged) = self.0.due(at, Instant::now()) {
            tracing::warn!(
                client = %peer,
                kind = kind.name(),
                certificate = certificate.as_deref(),
                reason,
                not_logged,
                "TLS handshake failed"
            );
        }
    }
}

#[cfg(test)]
mod tests;
