//! `/-/healthy`, `/-/ready`, `/-/reload`, `/-/quit`, `/version` (Prometheus' management API).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use swarmscout_server::text;
use tokio::sync::oneshot;

use super::{App, LifecycleCommand, Readiness, json_response};

const STOPPING: HeaderName = HeaderName::from_static("x-prometheus-stopping");

pub(super) async fn healthy() -> Response {
    text(StatusCode::OK, "Swarmscout is Healthy.\n")
}

pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    unavailable(&app).unwrap_or_else(|| text(StatusCode::OK, "Swarmscout is Ready.\n"))
}

/// The answer on the socket for own health checks, where there is nothing else.
pub(super) async fn own_check<B>(app: Arc<App>, request: http::Request<B>) -> Response {
    match request.uri().path() {
        "/-/healthy" => healthy().await,
        "/-/ready" => ready(State(app)).await,
        _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}

/// The answer to every request for data while the program starts or ends; `None` while it runs.
pub(super) fn unavailable(app: &App) -> Option<Response> {
    let stopping = match *app.context.program.ready.borrow() {
        Readiness::Ready => return None,
        Readiness::Starting => "false",
        Readiness::Stopping => "true",
    };
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\n");
    response.headers_mut().insert(STOPPING, HeaderValue::from_static(stopping));
    Some(response)
}

pub(super) async fn reload(State(app): State<Arc<App>>) -> Response {
    if let Some(refusal) = disabled(&app) {
        return refusal;
    }
    let (sender, answer) = oneshot::channel();
    if app.context.program.lifecycle.send(LifecycleCommand::Reload(sender)).await.is_err() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "Termination already in progress.\n");
    }
    match answer.await {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(error)) => {
            let message = format!("failed to reload config: {error}\n");
            text(StatusCode::INTERNAL_SERVER_ERROR, message)
        }
        Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "Termination already in progress.\n"),
    }
}

pub(super) async fn quit(State(app): State<Arc<App>>) -> Response {
    if let Some(refusal) = disabled(&app) {
        return refusal;
    }
    let stopping = *app.context.program.ready.borrow() == Readiness::Stopping;
    if stopping || app.context.program.lifecycle.send(LifecycleCommand::Quit).await.is_err() {
        return text(StatusCode::OK, "Termination already in progress.");
    }
    text(StatusCode::OK, "Requesting termination... Goodbye!")
}

/// A GET of what changes something.
pub(super) async fn wrong_method() -> Response {
    text(StatusCode::METHOD_NOT_ALLOWED, "Only POST or PUT requests allowed")
}

fn disabled(app: &App) -> Option<Response> {
    let enabled = app.context.options.enable_lifecycle;
    // Prometheus' words, and the flag.
    let message = "Lifecycle API is not enabled. --web.enable-lifecycle enables it.\n";
    (!enabled).then(|| text(StatusCode::FORBIDDEN, message))
}

/// What this binary is. The names of the members are Prometheus'.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "they are the names of the members")]
pub(super) struct Version {
    version: &'static str,
    revision: &'static str,
    branch: &'static str,
    build_user: &'static str,
    build_date: &'static str,
    /// The compiler: Prometheus is written in Go.
    go_version: &'static str,
}

impl Version {
    pub(super) fn new(app: &App) -> Self {
        let build = &app.context.program.build;
        Self {
            version: build.version,
            revision: build.revision,
            branch: build.branch,
            build_user: build.build_user,
            build_date: build.build_date,
            go_version: build.compiler,
        }
    }
}

pub(super) async fn version(State(app): State<Arc<App>>) -> Response {
    json_response(StatusCode::OK, &Version::new(&app))
}
