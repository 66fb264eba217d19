//! Connections: the one place that opens sockets.
//!
//! Layers, from the wire up: a TCP or unix socket ([`tcp`], [`unix`]); on the way through a proxy,
//! TLS to it where its URL says `https`, then a way through it ([`tunnel`], [`socks`]); TLS to the
//! server where its URL says `https`; then [`Stream`], which hyper reads and writes.

mod direct;
mod names;
mod socks;
mod stream;
mod tcp;
mod tunnel;
mod unix;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

pub use self::direct::connect_direct;
pub use self::names::{Unresolved, resolve};
use self::stream::Socket;
pub(crate) use stream::{LastAlert, Stream, Wear};
pub use unix::{SocketAdvice, SocketOwner, connect_unix, socket_owner};
pub(crate) use unix::{UNIX_SCHEME, socket_uri_authority};

use crate::error::{ConnectCause, ConnectFailure};
use crate::proxy::{Kind, Proxy, ProxyConfig, authority};
use crate::{Error, tls};

/// Opens connections for hyper's pool, TLS included.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector<names::Resolver>,
    tls: Option<Secure>,
    way: Arc<Way>,
}

/// How servers are reached, whatever the certificates.
pub(crate) struct Way {
    pub(crate) proxy: ProxyConfig,
    /// How we identify ourselves to a proxy.
    pub(crate) user_agent: HeaderValue,
    /// Time for a connection to stand.
    pub(crate) timeout: Duration,
    pub(crate) socket_advice: SocketAdvice,
}

/// How TLS is spoken.
#[derive(Clone)]
pub(crate) struct Secure {
    pub(crate) config: Arc<ClientConfig>,
    /// Replaces the host of the URL in SNI and in the certificate's check.
    pub(crate) server_name: Option<ServerName<'static>>,
}

/// The server that a connection is wanted to.
struct Server<'a> {
    /// IPv6 without brackets.
    host: &'a str,
    port: u16,
    over_tls: bool,
}

impl<'a> Server<'a> {
    fn of(uri: &'a Uri) -> Self {
        let over_tls = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = uri.port_u16().unwrap_or(if over_tls { 443 } else { 80 });
        Self { host, port, over_tls }
    }
}

impl Way {
    /// The proxy on the way to where `uri` leads. `tcp://` takes none.
    fn proxy(&self, uri: &Uri) -> Option<&Proxy> {
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return None;
        }
        let server = Server::of(uri);
        self.proxy.of(server.over_tls, server.host, server.port)
    }
}

impl Connector {
    pub(crate) fn new(tls: Option<Secure>, way: Arc<Way>) -> Self {
        Self { tcp: tcp::connector(way.timeout), tls, way }
    }

    async fn open(mut self, uri: &Uri) -> Result<Stream, ConnectFailure> {
        if uri.scheme_str() == Some(UNIX_SCHEME) {
            return Ok(Stream::new(Socket::Unix(unix::open(uri, self.way.socket_advice).await?)));
        }
        let way = Arc::clone(&self.way);
        let server = Server::of(uri);
        let socket = match way.proxy(uri) {
            None => Socket::Tcp(tcp::open(&mut self.tcp, uri.clone()).await?),
            Some(proxy) => {
                let socket = self.reach(proxy).await?;
                if proxy.is_http() && !server.over_tls {
                    return Ok(Stream::to_proxy(socket));
                }
                pass(socket, proxy, &server, &way).await?
            }
        };
        if !server.over_tls {
            return Ok(Stream::new(socket));
        }
        self.secure(socket, server.host, true).await.map(Stream::new)
    }

    /// A connection to a proxy.
    async fn reach(&mut self, proxy: &Proxy) -> Result<Socket, String> {
        let unreachable = |reason| format!("the proxy cannot be reached: {reason}");
        let uri = Uri::builder()
            .scheme("http")
            .authority(authority(&proxy.host, proxy.port))
            .path_and_query("/")
            .build()
            .map_err(|error| unreachable(error.to_string()))?;
        let opened = tcp::open(&mut self.tcp, uri).await;
        let socket = opened.map(Socket::Tcp).map_err(|failure| unreachable(failure.reason))?;
        if !proxy.is_over_tls() {
            return Ok(socket);
        }
        let secured = self.secure(socket, &proxy.host, false).await;
        secured.map_err(|failure| unreachable(failure.reason))
    }

    /// Speaks TLS to `host`. As in Go, `tls_config` means the proxy as well as the server.
    async fn secure(
        &self,
        socket: Socket,
        host: &str,
        may_be_h2: bool,
    ) -> Result<Socket, ConnectFailure> {
        let failed = |reason| ConnectFailure::new(ConnectCause::Tls, reason);
        let Some(Secure { config, server_name }) = &self.tls else {
            return Err(failed("https was not expected".to_owned()));
        };
        let name = match server_name {
            Some(name) => name.clone(),
            None => tls::server_name(host).map_err(failed)?,
        };
        let mut config = Arc::clone(config);
        if !may_be_h2 {
            Arc::make_mut(&mut config).alpn_protocols.clear();
        }
        match TlsConnector::from(config).connect(name, socket).await {
            Ok(socket) => Ok(Socket::Tls(Box::new(socket))),
            Err(error) => Err(tls::handshake_failure(&error)),
        }
    }
}

/// A way through a proxy to a server.
async fn pass(
    socket: Socket,
    proxy: &Proxy,
    server: &Server<'_>,
    way: &Way,
) -> Result<Socket, String> {
    match proxy.kind {
        Kind::Socks(_) => socks::open(socket, proxy, server.host, server.port).await,
        Kind::Http | Kind::Https => {
            let authority = authority(server.host, server.port);
            tunnel::open(socket, proxy, &authority, way).await
        }
    }
}

/// Opens a TCP connection for what speaks no HTTP. `to` is `host:port`, an IPv6 address in
/// brackets; names are resolved, and their addresses tried, as for HTTP.
pub async fn connect_tcp(to: &str, within: Duration) -> Result<TcpStream, Error> {
    let uri = Uri::builder().scheme("tcp").authority(to).path_and_query("/").build();
    let uri = uri.map_err(|error| ConnectFailure::from(error.to_string()).to(to.to_owned()))?;
    let mut connector = tcp::connector(within);
    let opened = tokio::time::timeout(within, tcp::open(&mut connector, uri)).await;
    opened.unwrap_or_else(|_| Err(late(within))).map_err(|failure| failure.to(to.to_owned()))
}

pub(crate) fn late(within: Duration) -> ConnectFailure {
    ConnectFailure::new(ConnectCause::Timeout, format!("no connection within {within:?}"))
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
            let way = Arc::clone(&connector.way);
            let within = way.timeout;
            let opened = tokio::time::timeout(within, connector.open(&uri)).await;
            let opened = opened.unwrap_or_else(|_| Err(late(within)));
            opened.map(TokioIo::new).map_err(|failure| {
                let server = unix::socket_path(&uri).map_or_else(
                    || uri.authority().map_or_else(String::new, ToString::to_string),
                    |path| path.display().to_string(),
                );
                failure.to(through(server, way.proxy(&uri)))
            })
        })
    }
}

/// A server with the proxy on the way to it, as errors name them.
pub(crate) fn through(server: String, proxy: Option<&Proxy>) -> String {
    match proxy {
        Some(proxy) => format!("{server} through proxy {proxy}"),
        None => server,
    }
}
