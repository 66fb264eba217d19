//! Connections: the one place that opens sockets.
//!
//! Layers, from the wire up: a TCP or unix socket ([`tcp`], [`unix`]), TLS on it where the URL says
//! `https`, then [`Stream`], which hyper reads and writes. A proxy would stand between the socket
//! and TLS.

mod stream;
mod tcp;
mod unix;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

pub(crate) use stream::{Stream, Wear};
pub(crate) use unix::{UNIX_SCHEME, socket_uri_authority};

use crate::{Error, tls};

/// Opens connections for hyper's pool, TLS included.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector<tcp::Resolver>,
    tls: Option<Secure>,
    timeout: Duration,
}

/// How TLS is spoken.
#[derive(Clone)]
pub(crate) struct Secure {
    pub(crate) config: Arc<ClientConfig>,
    /// Replaces the host of the URL in SNI and in the certificate's check.
    pub(crate) server_name: Option<ServerName<'static>>,
}

impl Connector {
    pub(crate) fn new(tls: Option<Secure>, timeout: Duration) -> Self {
        Self { tcp: tcp::connector(), tls, timeout }
    }

    async fn open(mut self, uri: Uri) -> Result<TokioIo<Stream>, Error> {
        if uri.scheme_str() == Some(UNIX_SCHEME) {
            return Ok(TokioIo::new(Stream::unix(unix::open(&uri).await?)));
        }
        let to = uri.authority().map_or_else(String::new, ToString::to_string);
        let failed = |reason| Error::Connect { to: to.clone(), reason };
        let host = uri.host().unwrap_or_default();
        let secure = uri.scheme_str() == Some("https");
        let socket = tcp::open(&mut self.tcp, uri.clone()).await.map_err(&failed)?;
        if !secure {
            return Ok(TokioIo::new(Stream::tcp(socket)));
        }
        let Secure { config, server_name } =
            self.tls.ok_or_else(|| failed("https was not expected".to_owned()))?;
        let name = match server_name {
            Some(name) => name,
            None => tls::server_name(host.trim_start_matches('[').trim_end_matches(']'))?,
        };
        match TlsConnector::from(config).connect(name, socket).await {
            Ok(socket) => Ok(TokioIo::new(Stream::tls(socket))),
            Err(error) => Err(failed(tls::explain_handshake(&error))),
        }
    }
}

/// Opens a TCP connection for what speaks no HTTP. `to` is `host:port`, an IPv6 address in brackets;
/// names are resolved, and their addresses tried, as for HTTP.
pub async fn connect_tcp(to: &str, within: Duration) -> Result<TcpStream, Error> {
    let failed = |reason| Error::Connect { to: to.to_owned(), reason };
    let uri = Uri::builder().scheme("tcp").authority(to).path_and_query("/").build();
    let uri = uri.map_err(|error| failed(error.to_string()))?;
    let mut connector = tcp::connector();
    match tokio::time::timeout(within, tcp::open(&mut connector, uri)).await {
        Ok(opened) => opened.map_err(failed),
        Err(_) => Err(failed(format!("no connection within {within:?}"))),
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let within = connector.timeout;
            let to = unix::socket_path(&uri).map_or_else(
                || uri.authority().map_or_else(String::new, ToString::to_string),
                |path| path.display().to_string(),
            );
            tokio::time::timeout(within, connector.open(uri)).await.unwrap_or_else(|_| {
                Err(Error::Connect { to, reason: format!("no connection within {within:?}") })
            })
        })
    }
}
