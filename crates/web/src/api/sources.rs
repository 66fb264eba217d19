//! `/api/v1/sources`: the state of each source, and of each file of file SD. Prometheus has no such
//! endpoint.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::Uri;

use super::{parameter, success};
use crate::App;
use crate::view::{Moment, Sources};

/// `?scrapePool=` leaves out other jobs.
pub(super) async fn sources(State(app): State<Arc<App>>, uri: Uri) -> Response {
    let moment = Moment::of(&app.context);
    success(Sources::of(&moment, &parameter(&uri, "scrapePool")))
}
