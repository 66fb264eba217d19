//! `/api/v1/status`: how everything is, and what is wrong.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use swarmscout_diagnose::status::StatusReport;

use super::success;
use crate::{App, view};

/// What is known is read, so the answer is there at once.
pub(super) async fn status(State(app): State<Arc<App>>) -> Response {
    let now = app.context.clock.now().instant;
    let report = StatusReport::of(&view::doctor::subject(&app.context), now);
    success(StatusReport { last_doctor: app.doctor.last_run(), ..report })
}
