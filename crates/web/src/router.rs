//! All routes.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use swarmscout_server::{Routes, change};
use swarmscout_web_config::Right;

use super::{App, api, lifecycle, metrics, pages, sd, state_metrics};

/// All routes. `tests::access` has a table of them.
pub(super) fn routes(app: &Arc<App>) -> Routes<Arc<App>> {
    Routes::new(&app.server)
        .fallback(Right::Read, pages::not_found)
        .route(Right::Read, "/", get(pages::index))
        .route(Right::Read, "/style.css", get(pages::style))
        .route(Right::Read, "/icon.svg", get(pages::icon))
        .route(Right::Health, "/-/healthy", get(lifecycle::healthy))
        .route(Right::Health, "/-/ready", get(lifecycle::ready))
        .route(
            Right::Change,
            "/-/reload",
            change(&app.server, lifecycle::reload).get(lifecycle::wrong_method),
        )
        .route(
            Right::Change,
            "/-/quit",
            change(&app.server, lifecycle::quit).get(lifecycle::wrong_method),
        )
        .route(Right::Read, "/version", get(lifecycle::version))
        .route(Right::Metrics, "/metrics", get(metrics::metrics))
        .through(while_ready(app))
        .route(Right::Lists, "/sd", get(sd::index))
        .route(Right::Lists, "/sd/", get(sd::index))
        .route(Right::Lists, "/sd/{*job}", get(sd::job))
        .route(Right::Metrics, "/metrics/swarm", get(state_metrics::metrics))
        .nest("/api/v1", api::routes(app))
}

/// The layer of routes that are answered only while the program is ready.
pub(super) fn while_ready(
    app: &Arc<App>,
) -> impl Fn(MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> + Send + use<> {
    let app = Arc::clone(app);
    move |methods| {
        methods.layer(middleware::from_fn_with_state(Arc::clone(&app), answer_while_ready))
    }
}

async fn answer_while_ready(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match lifecycle::unavailable(&app) {
        Some(response) => response,
        None => next.run(request).await,
    }
}
