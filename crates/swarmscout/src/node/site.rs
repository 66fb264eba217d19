//! What the node part answers.

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use swarmscout_exposition::{Format, Writer};
use swarmscout_node_tasks::TaskFeed;
use swarmscout_reach::Reach;
use swarmscout_server::{AsItIs, HttpServer, Peer, Routes, text};
use swarmscout_web_config::Right;

use super::list::{self, OwnList};
use super::metrics::{NodeMetrics, Scope};
use super::own;
use super::probes::Probes;

/// What all handlers share.
#[derive(Debug)]
pub(super) struct App {
    pub(super) server: Arc<HttpServer>,
    pub(super) metrics: NodeMetrics,
    /// `None` without a manager and without Docker's socket.
    pub(super) tasks: Option<Tasks>,
    pub(super) probes: Probes,
    pub(super) started: SystemTime,
}

/// Which tasks of this node scrapers find, and the way to them.
#[derive(Debug)]
pub(super) struct Tasks {
    pub(super) source: TasksSource,
    pub(super) reach: Reach,
    /// `--reach.insecure`
    pub(super) insecure: bool,
}

/// Who knows the tasks of this node.
#[derive(Debug)]
pub(super) enum TasksSource {
    /// Managers of the Swarm, which have the lists.
    Managers(TaskFeed),
    /// The Engine of this node: its containers are listed here.
    Engine(Box<OwnList>),
}

impl App {
    /// Whether a reader may use reach.
    pub(super) fn admits(&self, reader: &Peer) -> bool {
        let certificate = reader.certificate.as_ref();
        let is_verified = certificate.is_some_and(|certificate| certificate.verified);
        is_verified || self.tasks.as_ref().is_some_and(|tasks| tasks.insecure)
    }
}

/// All routes.
pub(super) fn routes(server: &Arc<HttpServer>) -> Routes<Arc<App>> {
    Routes::new(server)
        .fallback(Right::Read, async || text(StatusCode::NOT_FOUND, "404 page not found\n"))
        .route(Right::Read, "/", get(index))
        .route(Right::Health, "/-/healthy", get(healthy))
        .route(Right::Health, "/-/ready", get(ready))
        .route(Right::Metrics, "/metrics", get(all))
        .route(Right::Metrics, "/metrics/containers", get(containers))
        .route(Right::Metrics, "/metrics/node", get(node))
        .route(Right::Metrics, "/metrics/own", get(own))
        .route(Right::Metrics, "/reach/{*target}", any(reach))
        .route(Right::Metrics, "/api/{*path}", any(api))
        .route(Right::Lists, "/sd", get(list::index))
        .route(Right::Lists, "/sd/", get(list::index))
        .route(Right::Lists, "/sd/{*job}", get(list::job))
}

/// The answer on the socket for own health checks, where there is nothing else.
pub(super) async fn own_check<B>(request: http::Request<B>) -> Response
where
    B: Send + 'static,
{
    match request.uri().path() {
        "/-/healthy" => healthy().await,
        "/-/ready" => ready().await,
        _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}

async fn index() -> Response {
    text(
        StatusCode::OK,
        "Swarmscout's node part.\n\n\
         /metrics             containers, node, and this program\n\
         /metrics/containers  containers\n\
         /metrics/node        node\n\
         /metrics/own         this program, and the network to other nodes\n\
         /reach/…             tasks of this node, for scrapers (docs/reach.md)\n\
         /sd/swarm            without a manager: containers of this node, as a list for Prometheus\n",
    )
}

async fn healthy() -> Response {
    text(StatusCode::OK, "Swarmscout is Healthy.\n")
}

async fn ready() -> Response {
    text(StatusCode::OK, "Swarmscout is Ready.\n")
}

async fn all(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let format = format_of(&headers);
    let mut out = Writer::new(format);
    own::write(&app, &mut out);
    answer(&app, Scope::All, format, out.finish()).await
}

async fn containers(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let format = format_of(&headers);
    answer(&app, Scope::Containers, format, Writer::new(format).finish()).await
}

async fn node(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let format = format_of(&headers);
    answer(&app, Scope::Node, format, Writer::new(format).finish()).await
}

/// Reads nothing of the node: for a second node part on it, which is there for its probes alone.
async fn own(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let format = format_of(&headers);
    let mut out = Writer::new(format);
    own::write(&app, &mut out);
    let content_type = HeaderValue::from_static(format.content_type());
    ([(header::CONTENT_TYPE, content_type)], out.finish()).into_response()
}

/// Fetches from a task of this node.
async fn reach(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let Some(Tasks { reach, .. }) = &app.tasks else {
        let why = "reach needs the tasks of this node: give --manager, or Docker's socket\n";
        return text(StatusCode::NOT_FOUND, why);
    };
    let (parts, _) = request.into_parts();
    let mut response = reach.answer(&parts, app.admits(&peer)).await.map(Body::new);
    response.extensions_mut().insert(AsItIs);
    response
}

/// What `status`, `doctor`, `explain` and other node parts ask a Swarmscout on a manager, as it says errors.
async fn api(State(app): State<Arc<App>>) -> Response {
    let manager = match &app.tasks {
        Some(Tasks { source: TasksSource::Managers(feed), .. }) => feed.borrow().manager.clone(),
        _ => None,
    };
    let whom = match manager {
        Some(manager) => format!("ask the Swarmscout that it follows, {manager}"),
        None => "ask a Swarmscout on a manager, or the Engine with --config.file".to_owned(),
    };
    let error = format!(
        "this is the node part (swarmscout node), which has metrics and no API: {whom}; /metrics/own has \
         how it is itself"
    );
    let error = serde_json::json!({"status": "error", "errorType": "node_part", "error": error});
    let json = HeaderValue::from_static("application/json");
    let headers = [(header::CONTENT_TYPE, json)];
    (StatusCode::NOT_IMPLEMENTED, headers, error.to_string()).into_response()
}

async fn answer(app: &App, scope: Scope, format: Format, own: String) -> Response {
    match app.metrics.scrape(scope, format, own).await {
        Ok(scrape) => {
            let content_type = HeaderValue::from_static(format.content_type());
            let parts = stream::iter(scrape);
            ([(header::CONTENT_TYPE, content_type)], Body::from_stream(parts)).into_response()
        }
        Err(stuck) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{stuck}\n")),
    }
}

fn format_of(headers: &HeaderMap) -> Format {
    let accept = headers.get_all(header::ACCEPT).iter();
    Format::negotiate(accept.filter_map(|accept| accept.to_str().ok()))
}
