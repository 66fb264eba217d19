//! `/metrics/swarm`: what the Swarms are doing.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use swarmscout_exposition::Format;
use swarmscout_net::cpu;
use swarmscout_state::Encoding;

use super::{App, gzip};

/// Why there are no metrics.
const OFF: &str =
    "state metrics are off: start without --no-state.metrics or --state.metrics=false\n";

/// `/metrics/swarm`, in Prometheus' text format. The answer is made of parts that are kept, compressed
/// if the reader accepts gzip.
pub(super) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let Some(exporter) = app.context.outputs.state_metrics.clone() else {
        return (StatusCode::NOT_FOUND, OFF).into_response();
    };
    let (discovery, now) = (&app.context.discovery, app.context.clock.now());
    let (swarms, classic) =
        (discovery.observed_swarms(now), discovery.observed_classic_swarms(now));
    let gzip = gzip::is_accepted(&headers);
    let encoding = if gzip { Encoding::Gzip } else { Encoding::Text };
    let body =
        cpu::LISTS.run(move |_: &cpu::Cancel| exporter.render(&swarms, &classic, encoding)).await;
    let pieces = body.pieces.into_iter().map(Ok::<_, Infallible>);
    let mut response = Response::new(Body::from_stream(stream::iter(pieces)));
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_static(Format::Text.content_type());
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.size));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}
