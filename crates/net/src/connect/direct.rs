//! Connections to exactly one address: no name is resolved, and no proxy is on the way.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::late;
use super::stream::Socket;
use crate::error::ConnectFailure;
use crate::{Error, tls};

/// Opens a connection to this address and to no other, for a caller that speaks HTTP/1.1 on it.
///
/// With `over_tls` every certificate is accepted: an address that a container got by chance is in
/// none. Such a connection must carry nothing that is secret.
pub async fn connect_direct(
    address: SocketAddr,
    over_tls: bool,
    within: Duration,
) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static, Error> {
    let open = async {
        let socket = TcpStream::connect(address).await;
        let socket = socket.map_err(|error| ConnectFailure::io(&error))?;
        // Without it an answer may wait for an acknowledgement.
        socket.set_nodelay(true).map_err(|error| ConnectFailure::io(&error))?;
        if !over_tls {
            return Ok(Socket::Tcp(socket));
        }
        let config = tls::unverified().map_err(ConnectFailure::from)?;
        let stream = TlsConnector::from(config)
            .connect(address.ip().into(), Socket::Tcp(socket))
            .await
            .map_err(|error| tls::handshake_failure(&error))?;
        Ok(Socket::Tls(Box::new(stream)))
    };
    let opened = tokio::time::timeout(within, open).await;
    opened.unwrap_or_else(|_| Err(late(within))).map_err(|failure| failure.to(address.to_string()))
}
