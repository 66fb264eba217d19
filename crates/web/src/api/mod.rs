//! `/api/v1`: Prometheus' own JSON, as `prometheus --agent` answers it, and `/api/v1/sources`, which
//! is ours (prometheus/prometheus `web/api/v1/api.go`).
//!
//! Members that Prometheus does not have are added, none is missing or means something else, so
//! what reads Prometheus reads this.

mod discovered;
mod doctor;
mod explain;
mod global_url;
mod health;
mod nodes;
mod sources;
mod status;
mod targets;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use serde::Serialize;
use swarmscout_server::{Routes, change};
use swarmscout_web_config::Right;

use super::router::while_ready;
use super::{App, json_response};

pub(super) use self::doctor::Doctor;

pub(super) use self::global_url::GlobalUrl;

/// All of it, below `/api/v1`.
pub(super) fn routes(app: &Arc<App>) -> Routes<Arc<App>> {
    let mut routes = Routes::new(&app.server)
        .fallback(Right::Read, not_found)
        .through(while_ready(app))
        .route(Right::Read, "/targets", get(targets::targets))
        .route(Right::Read, "/targets/relabel_steps", get(targets::relabel_steps))
        .route(Right::Read, "/scrape_pools", get(targets::scrape_pools))
        .route(Right::Read, "/scrape_pools/config", get(targets::scrape_pool_config))
        .route(Right::Read, "/explain", get(explain::explain))
        // To run it is a change.
        .route(Right::Read, "/doctor", change(&app.server, doctor::run).get(doctor::last))
        .route(Right::Read, "/status", get(health::status))
        .route(Right::Read, "/sources", get(sources::sources))
        .route(Right::Nodes, "/nodes/{node}/tasks", get(nodes::tasks))
        .route(Right::Read, "/status/config", get(status::config))
        .route(Right::Read, "/status/flags", get(status::flags))
        .route(Right::Read, "/status/runtimeinfo", get(status::runtime_info))
        .route(Right::Read, "/status/buildinfo", get(status::build_info));
    for path in NO_AGENT {
        routes = routes.route(Right::Read, path, any(no_agent));
    }
    let cors = middleware::from_fn_with_state(Arc::clone(app), cors);
    routes.layered(|router| router.layer(cors))
}

/// What needs a storage to ask.
const NO_AGENT: [&str; 16] = [
    "/query",
    "/query_range",
    "/query_exemplars",
    "/format_query",
    "/parse_query",
    "/labels",
    "/label/{name}/values",
    "/series",
    "/alertmanagers",
    "/alerts",
    "/rules",
    "/status/tsdb",
    "/status/tsdb/blocks",
    "/admin/tsdb/delete_series",
    "/admin/tsdb/clean_tombstones",
    "/admin/tsdb/snapshot",
];

/// The envelope of an answer.
#[derive(Serialize)]
struct Success<T> {
    status: &'static str,
    data: T,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

fn success(data: impl Serialize) -> Response {
    success_with_warnings(data, Vec::new())
}

fn success_with_warnings(data: impl Serialize, warnings: Vec<String>) -> Response {
    json_response(StatusCode::OK, &Success { status: "success", data, warnings })
}

/// Why a request is refused. The variants are Prometheus' error types.
#[derive(Debug)]
enum ApiError {
    BadData(String),
    Execution(&'static str),
    NotFound(String),
    Forbidden(String),
    Unavailable(String),
}

impl axum::response::IntoResponse for ApiError {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Failure {
            status: &'static str,
            error_type: &'static str,
            error: String,
        }
        let (code, error_type, error) = match self {
            Self::BadData(error) => (StatusCode::BAD_REQUEST, "bad_data", error),
            Self::Execution(error) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "execution", error.to_owned())
            }
            Self::NotFound(error) => (StatusCode::NOT_FOUND, "not_found", error),
            Self::Forbidden(error) => (StatusCode::FORBIDDEN, "forbidden", error),
            Self::Unavailable(error) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", error),
        };
        json_response(code, &Failure { status: "error", error_type, error })
    }
}

/// Tools that ask a Prometheus what it can do know this answer.
async fn no_agent() -> ApiError {
    ApiError::Execution("unavailable with Prometheus Agent")
}

async fn not_found(uri: Uri) -> ApiError {
    ApiError::NotFound(format!("there is no {}", uri.path()))
}

/// The value of a parameter; the first one counts. Empty where it is missing.
fn parameter(uri: &Uri, name: &str) -> String {
    let query = uri.query().unwrap_or_default().as_bytes();
    let mut pairs = form_urlencoded::parse(query);
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Lets pages of other sites read the answers, where the operator allows that.
async fn cors(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = match *request.method() {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    if let (Some(allowed), Some(origin)) = (&app.context.options.cors_origin, origin) {
        allow(response.headers_mut(), allowed, origin);
    }
    response
}

fn allow(headers: &mut HeaderMap, allowed: &swarmscout_model::relabel::Regex, origin: HeaderValue) {
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Accept, Authorization, Content-Type, Origin"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if allowed.pattern() == ".*" {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    } else if origin.to_str().is_ok_and(|origin| allowed.is_match(origin)) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
}
