//! The web server: targets for Prometheus (HTTP SD), Prometheus' own JSON API, metrics, lifecycle,
//! and an index page.
//!
//! **Invariant: an answer is made from the state at the moment of the request.** Nothing here keeps
//! state of discovery, apart from the lists that `publish` renders, so nothing is stale after a
//! reload and no reader can hold up discovery.
//!
//! May depend on `publish`, `exposition` and `config`, and on `discovery` for the state of jobs,
//! sources and Swarms; never on the program that starts it. What pages and API show of that state is
//! in `view`: a new page starts there.

mod access;
mod api;
pub mod changes;
mod connections;
mod guard;
mod gzip;
mod http2;
mod lifecycle;
mod links;
mod listener;
mod metrics;
mod pages;
mod router;
mod sd;
mod server;
mod socket;
mod state;
mod state_metrics;
mod tally;
#[cfg(test)]
mod tests;
mod threads;
mod tls;
mod view;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use swarmscout_model::relabel::Regex;
use swarmscout_publish::list;
use tokio_util::sync::CancellationToken;

use self::changes::Changes;
pub use self::guard::is_host;
pub use self::listener::{Listener, own_user};
pub use self::state::{Context, LifecycleCommand, Outputs, Program, Readiness, ReloadStatus};
pub use self::threads::Threads;
pub use self::view::Discovery;

/// Flags that the server obeys.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--web.external-url`, without a slash at the end. `None` where it is not set: links are then
    /// made from what the reader asked for.
    pub external_url: Option<ExternalUrl>,
    /// `--web.route-prefix`: empty, or `/` and more without a slash at the end. Unless set, the
    /// path of the external URL.
    pub route_prefix: String,
    /// `--web.enable-lifecycle`.
    pub enable_lifecycle: bool,
    /// `--web.cors.origin`: the origins whose pages may read the API. `None`: only our own.
    pub cors_origin: Option<Arc<Regex>>,
    /// `--web.allowed-hosts`: further names of this server, as [`is_host`] takes them.
    pub allowed_hosts: Vec<String>,
    /// `--web.page-title`.
    pub page_title: String,
    /// `--web.read-timeout`: within this time the header of a request must have arrived.
    pub read_timeout: Duration,
    /// `--web.max-connections`: more wait until one ends.
    pub max_connections: usize,
    /// `--web.max-waiting`: requests that wait for a change of a list. 0: none may.
    pub max_waiting: usize,
    /// How long requests may take that are running when the server is asked to stop.
    pub shutdown_timeout: Duration,
}

/// The defaults of the command line.
impl Default for Options {
    fn default() -> Self {
        Self {
            external_url: None,
            route_prefix: String::new(),
            enable_lifecycle: false,
            cors_origin: None,
            allowed_hosts: Vec::new(),
            page_title: String::from("Swarmscout"),
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

/// What this binary is, as `prometheus --version` would report it.
#[derive(Clone, Copy, Debug)]
pub struct BuildInfo {
    /// `0.1.0`.
    pub version: &'static str,
    /// The commit, or `unknown`.
    pub revision: &'static str,
    /// The branch, or `unknown`.
    pub branch: &'static str,
    /// Who built it, or `unknown`.
    pub build_user: &'static str,
    /// When it was built, or `unknown`.
    pub build_date: &'static str,
    /// `rustc 1.95.0`, or `unknown`.
    pub compiler: &'static str,
}

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For ages.
    pub instant: Instant,
    /// For dates.
    pub system: SystemTime,
}

/// Where the time comes from.
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// The machine.
    #[default]
    System,
    /// A test: it is always this moment.
    Fixed(Now),
}

impl Clock {
    /// The present moment.
    pub fn now(self) -> Now {
        match self {
            Self::System => Now { instant: Instant::now(), system: SystemTime::now() },
            Self::Fixed(now) => now,
        }
    }
}

/// How long a client may take none of its answer: longer than any that is only slow.
const STALLED: Duration = Duration::from_secs(30);

/// When the limit of connections is reached, connections may be closed that are idle or blocked for
/// this long.
const PATIENCE: connections::Patience =
    connections::Patience { idle: Duration::from_millis(500), blocked: Duration::from_millis(750) };

/// The most connections for own health checks at one time.
const HEALTH_CONNECTIONS: usize = 16;

/// The limits of own health checks.
const HEALTH_LIMITS: server::Limits = server::Limits {
    read_timeout: Duration::from_secs(5),
    stalled: Duration::from_secs(5),
    shutdown_timeout: Duration::from_millis(100),
};

/// Serves all of it on these listeners until `shutdown` resolves; requests that are running then
/// have [`Options::shutdown_timeout`] to end. Health checks are answered to the end.
pub async fn serve(
    listeners: Vec<Listener>,
    context: Context,
    shutdown: impl Future<Output = ()> + Send,
) {
    let Options { max_connections, max_waiting, .. } = *context.options;
    let connections = connections::Connections::new(max_connections, max_waiting, PATIENCE);
    let limits = server::Limits {
        read_timeout: context.options.read_timeout,
        stalled: STALLED,
        shutdown_timeout: context.options.shutdown_timeout,
    };
    let changes = Changes::new(&context.discovery, &context.outputs, &context.program);
    let app = Arc::new(App::new(context, &listeners, &connections));
    let site = router::Site::new(&app);
    let handle = move |request| site.clone().answer(request);
    let (health, listeners): (Vec<_>, Vec<_>) =
        listeners.into_iter().partition(Listener::is_health);
    let for_health = Arc::clone(&app);
    let handle_health = move |request| lifecycle::own_check(Arc::clone(&for_health), request);
    let health_connections = connections::Connections::new(HEALTH_CONNECTIONS, 0, PATIENCE);
    let done = CancellationToken::new();
    let serving = async {
        server::run(listeners, connections, limits, handle, shutdown).await;
        done.cancel();
    };
    let checks =
        server::run(health, health_connections, HEALTH_LIMITS, handle_health, done.cancelled());
    let forgetting = async {
        loop {
            tokio::time::sleep(list::IDLE / 10).await;
            app.context.outputs.lists.forget_idle(Instant::now());
        }
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(serving, checks) } => {}
        () = forgetting => {}
        () = changes.run() => {}
    }
}

/// What all handlers share.
#[derive(Debug)]
struct App {
    context: Context,
    access: access::Access,
    requests: metrics::Requests,
    connections: Arc<connections::Connections>,
    global_url: api::GlobalUrl,
    guard: guard::Guard,
    doctor: api::Doctor,
    /// Name of this machine; empty where it is not known.
    hostname: String,
    /// Where the program was started.
    directory: String,
}

impl App {
    fn new(
        context: Context,
        listeners: &[Listener],
        connections: &Arc<connections::Connections>,
    ) -> Self {
        // Where Linux reports it: a missing name is not a failure.
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let hostname = hostname.trim().to_owned();
        let directory = std::env::current_dir().unwrap_or_default().display().to_string();
        let addresses: Vec<_> = listeners.iter().filter_map(Listener::address).collect();
        let guard = guard::Guard::new(&context.options, &hostname, &addresses);
        let global_url = api::GlobalUrl::new(&context.options, &hostname, listeners);
        Self {
            context,
            access: access::Access::default(),
            requests: metrics::Requests::default(),
            connections: Arc::clone(connections),
            global_url,
            guard,
            doctor: api::Doctor::default(),
            hostname,
            directory,
        }
    }
}

/// An answer for display.
fn text(status: StatusCode, body: impl Into<Body>) -> Response {
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    (status, [(header::CONTENT_TYPE, content_type)], body.into()).into_response()
}

/// An answer in JSON.
fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    let json = serde_json::to_vec(body).expect("what is answered has string keys only");
    let content_type = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, content_type)], json).into_response()
}
