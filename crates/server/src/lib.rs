//! The HTTP server that every listener of ours is: sockets, TLS, HTTP/1.1 and HTTP/2, the limits of
//! clients, who may do what, and which requests are refused. What is answered comes from its user, as
//! [`Routes`].
//!
//! ```text
//! Listener ─accept→ Place ─TLS→ HTTP ─▸ rate limit ─▸ Host and Origin ─▸ right of the route ─▸ handler
//!   a connection of a client            Site: each request
//! ```
//!
//! **Invariant: no client holds what others need.** A connection, a handshake, a header, an answer that
//! is not read and a request that waits each have a limit and a deadline. And no request reaches a
//! handler without the right that its route was made with.
//!
//! It may use `exposition`, `gzip-parts`, `model` and `web-config`. It knows nothing of targets, lists
//! and pages.

mod access;
mod connections;
mod guard;
pub mod gzip;
mod http2;
mod listener;
mod long_poll;
mod metrics;
mod process;
mod requests;
mod routes;
mod serve;
mod site;
mod socket;
mod tally;
#[doc(hidden)]
pub mod testing;
#[cfg(test)]
mod tests;
mod threads;
mod tls;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use hyper::body::Incoming;
use swarmscout_web_config::{DoorsHandle, Right};
use tokio_util::sync::CancellationToken;

pub use self::access::ClientRights;
use self::access::{Access, Entrance};
use self::connections::{Connections, Patience};
use self::guard::Guard;
pub use self::guard::{change, is_host};
pub use self::listener::{Listener, Peer, own_user, scheme_of};
pub use self::long_poll::{LongPoll, TooManyWait, Waited, WaitingRequest};
pub use self::process::write_process_metrics;
use self::requests::Requests;
pub use self::routes::Routes;
pub use self::site::{AsItIs, Site};
pub use self::threads::Threads;

/// How the server is reached, and its limits.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// `--web.external-url`, without a slash at the end.
    pub external_url: Option<ExternalUrl>,
    /// `--web.route-prefix`: empty, or `/` and more without a slash at the end. Unless set, the
    /// path of the external URL.
    pub route_prefix: String,
    /// `--web.allowed-hosts`: further names of this server, as [`is_host`] takes them.
    pub allowed_hosts: Vec<String>,
    /// `--web.read-timeout`: within this time the header of a request must have arrived.
    pub read_timeout: Duration,
    /// `--web.max-connections`: more wait until one ends.
    pub max_connections: usize,
    /// `--web.max-waiting`: requests that wait for a change. 0: none may.
    pub max_waiting: usize,
    /// How long requests may take that are running when the server is asked to stop.
    pub shutdown_timeout: Duration,
}

/// The defaults of the command line.
impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            external_url: None,
            route_prefix: String::new(),
            allowed_hosts: Vec::new(),
            read_timeout: Duration::from_mins(5),
            max_connections: 512,
            max_waiting: 2000,
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

/// Where others reach this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalUrl {
    /// `http` or `https`.
    pub scheme: String,
    /// `host` or `host:port`, IPv6 in brackets.
    pub authority: String,
    /// Empty, or `/` and more without a slash at the end.
    pub path: String,
}

/// `scheme://host:port/path`.
impl fmt::Display for ExternalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.path)
    }
}

/// How long a client may take none of its answer: longer than any that is only slow.
const STALLED: Duration = Duration::from_secs(30);

/// When the limit of connections is reached, connections may be closed that are idle or blocked for
/// this long.
const PATIENCE: Patience =
    Patience { idle: Duration::from_millis(500), blocked: Duration::from_millis(750) };

/// The most connections for own health checks at one time.
const HEALTH_CONNECTIONS: usize = 16;

/// The limits of own health checks.
const HEALTH_LIMITS: serve::Limits = serve::Limits {
    read_timeout: Duration::from_secs(5),
    stalled: Duration::from_secs(5),
    shutdown_timeout: Duration::from_millis(100),
};

/// What all connections and requests of a server share.
#[derive(Debug)]
pub struct HttpServer {
    options: ServerOptions,
    access: Access,
    connections: Arc<Connections>,
    guard: Guard,
    requests: Requests,
    /// The web configurations of the listeners, each once.
    doors: Vec<DoorsHandle>,
}

impl HttpServer {
    /// A server that is to run on these listeners. `hostname` is the name of this machine; empty where
    /// it is not known.
    pub fn new(options: ServerOptions, hostname: &str, listeners: &[Listener]) -> Arc<Self> {
        let ServerOptions { max_connections, max_waiting, .. } = options;
        let addresses: Vec<SocketAddr> = listeners.iter().filter_map(Listener::address).collect();
        let mut doors = Vec::<DoorsHandle>::new();
        for handle in listeners.iter().filter_map(Listener::doors) {
            if doors.iter().all(|other| other.file() != handle.file()) {
                doors.push(handle);
            }
        }
        Arc::new(Self {
            access: Access::default(),
            connections: Connections::new(max_connections, max_waiting, PATIENCE),
            guard: Guard::new(&options, hostname, &addresses),
            requests: Requests::default(),
            doors,
            options,
        })
    }

    /// See [`ServerOptions`].
    pub fn options(&self) -> &ServerOptions {
        &self.options
    }

    /// Answers requests on these listeners until `shutdown` resolves; requests that are running then
    /// have [`ServerOptions::shutdown_timeout`] to end. `own_check` answers the listeners for own
    /// health checks, to the end.
    pub async fn run<H, F>(
        &self,
        listeners: Vec<Listener>,
        site: Site,
        own_check: H,
        shutdown: impl Future<Output = ()> + Send,
    ) where
        H: Fn(http::Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let limits = serve::Limits {
            read_timeout: self.options.read_timeout,
            stalled: STALLED,
            shutdown_timeout: self.options.shutdown_timeout,
        };
        let handle = move |request| site.clone().answer(request);
        let (health, listeners): (Vec<_>, Vec<_>) =
            listeners.into_iter().partition(Listener::is_health);
        let health_connections = Connections::new(HEALTH_CONNECTIONS, 0, PATIENCE);
        let connections = Arc::clone(&self.connections);
        let done = CancellationToken::new();
        let serving = async {
            serve::run(listeners, connections, limits, handle, shutdown).await;
            done.cancel();
        };
        let checks =
            serve::run(health, health_connections, HEALTH_LIMITS, own_check, done.cancelled());
        tokio::join!(serving, checks);
    }

    /// What the client of this request may do, if it has this right. Otherwise the answer says what is
    /// missing.
    pub fn admit<'a, B>(
        &'a self,
        right: Right,
        request: &http::Request<B>,
    ) -> impl Future<Output = Result<ClientRights, Response>> + Send + use<'a, B> {
        self.access.admit(right, Entrance::of(request))
    }
}

/// The name of this machine, where Linux reports it; empty where it is not known.
pub fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// An answer for display.
pub fn text(status: StatusCode, body: impl Into<Body>) -> Response {
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    (status, [(header::CONTENT_TYPE, content_type)], body.into()).into_response()
}
