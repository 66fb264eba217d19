//! The web server: targets for Prometheus (HTTP SD), Prometheus' own JSON API, metrics, lifecycle,
//! and an index page.
//!
//! **Invariant: an answer is made from the state at the moment of the request.** Nothing here keeps
//! state of discovery, apart from the lists that `publish` renders, so nothing is stale after a
//! reload and no reader can hold up discovery.
//!
//! Connections, TLS, rights and limits are those of `server`. It may depend on `publish`, `exposition`
//! and `config`, and on `discovery` for the state of jobs, sources and Swarms; never on the program
//! that starts it. What pages and API show of that state is
//! in `view`: a new page starts there.

mod api;
pub mod changes;
mod lifecycle;
mod links;
mod metrics;
mod pages;
mod router;
mod sd;
mod state;
mod state_metrics;
#[cfg(test)]
mod tests;
mod view;

use std::future::Future;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use swarmscout_model::relabel::Regex;
use swarmscout_publish::list;
use swarmscout_server::{HttpServer, Listener, ServerOptions, Site, hostname};

use self::changes::Changes;
pub use self::state::{Context, LifecycleCommand, Outputs, Program, Readiness, ReloadStatus};
pub use self::view::Discovery;

/// Flags that the server obeys.
#[derive(Clone, Debug)]
pub struct Options {
    /// How it is reached, and its limits.
    pub server: ServerOptions,
    /// `--web.enable-lifecycle`.
    pub enable_lifecycle: bool,
    /// `--web.cors.origin`: the origins whose pages may read the API. `None`: only our own.
    pub cors_origin: Option<Arc<Regex>>,
    /// `--web.page-title`.
    pub page_title: String,
    /// `--nodes.insecure`: every client with the right `nodes` may read the tasks of any node.
    pub open_nodes: bool,
}

/// The defaults of the command line.
impl Default for Options {
    fn default() -> Self {
        Self {
            server: ServerOptions::default(),
            enable_lifecycle: false,
            cors_origin: None,
            page_title: String::from("Swarmscout"),
            open_nodes: false,
        }
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

/// Serves all of it on these listeners until `shutdown` resolves; requests that are running then
/// have [`ServerOptions::shutdown_timeout`] to end. Health checks are answered to the end.
pub async fn serve(
    listeners: Vec<Listener>,
    context: Context,
    shutdown: impl Future<Output = ()> + Send,
) {
    let changes = Changes::new(&context.discovery, &context.outputs, &context.program);
    let app = Arc::new(App::new(context, &listeners));
    let site = Site::new(router::routes(&app), Arc::clone(&app));
    let for_checks = Arc::clone(&app);
    let own_check = move |request| lifecycle::own_check(Arc::clone(&for_checks), request);
    let forgetting = async {
        loop {
            tokio::time::sleep(list::IDLE / 10).await;
            app.context.outputs.lists.forget_idle(Instant::now());
        }
    };
    tokio::select! {
        () = app.server.run(listeners, site, own_check, shutdown) => {}
        () = forgetting => {}
        () = changes.run() => {}
    }
}

/// What all handlers share.
#[derive(Debug)]
struct App {
    context: Context,
    server: Arc<HttpServer>,
    global_url: api::GlobalUrl,
    doctor: api::Doctor,
    /// Name of this machine; empty where it is not known.
    hostname: String,
    /// Where the program was started.
    directory: String,
}

impl App {
    fn new(context: Context, listeners: &[Listener]) -> Self {
        let hostname = hostname();
        let directory = std::env::current_dir().unwrap_or_default().display().to_string();
        let server = HttpServer::new(context.options.server.clone(), &hostname, listeners);
        let global_url = api::GlobalUrl::new(server.options(), &hostname, listeners);
        Self { context, server, global_url, doctor: api::Doctor::default(), hostname, directory }
    }
}

/// An answer in JSON.
fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    let json = serde_json::to_vec(body).expect("what is answered has string keys only");
    let content_type = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, content_type)], json).into_response()
}
