//! `/api/v1/explain?object=`: all that is known of one object of a Swarm.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use swarmscout_diagnose::explain::explain as explain_object;

use super::{ApiError, parameter, success};
use crate::{App, view};

/// `object=service/NAME|task/ID|node/NAME|ADDRESS`; the kind may be left out.
pub(super) async fn explain(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    let object = parameter(&uri, "object");
    if object.is_empty() {
        let text = "object is missing: object=service/NAME, task/ID, node/NAME or an address";
        return Err(ApiError::BadData(text.to_owned()));
    }
    let subject = view::doctor::subject(&app.context);
    let explanation = explain_object(&subject, &object).await;
    explanation.map(success).map_err(|error| ApiError::NotFound(error.to_string()))
}
