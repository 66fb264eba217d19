//! `/metrics/swarm`: what the Swarms are doing.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use swarmscout_exposition::Format;
use swarmscout_net::cpu;
use swarmscout_server::gzip;
use swarmscout_state::Encoding;

use super::App;
use crate::view::WholeSwarms;

/// Why there are no metrics.
const OFF: &str =
    "state metrics are off: start without --no-state.metrics or --state.metrics=false\n";

/// Why there is no series.
const NO_SWARM: &str = "No state metrics: no source reads a Swarm. Plain engines have none; write \
                        swarmscout_sd_configs with the host of a manager.";

/// `/metrics/swarm`, in Prometheus' text format. The answer is made of parts that are kept, compressed
/// if the reader accepts gzip.
pub(super) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let Some(exporter) = app.context.outputs.state_metrics.clone() else {
        return (StatusCode::NOT_FOUND, OFF).into_response();
    };
    let swarms = app.context.discovery.whole_swarms(app.context.clock.now());
    let notes = notes(&swarms);
    // Notes are rare: then nothing is compressed.
    let gzip = gzip::is_accepted(&headers) && notes.is_empty();
    let encoding = if gzip { Encoding::Gzip } else { Encoding::Text };
    let render = move |_: &cpu::Cancel| exporter.render(&swarms.known, &swarms.classic, encoding);
    let body = cpu::LISTS.run(render).await;
    let size = body.size + notes.len() as u64;
    let pieces = std::iter::once(Bytes::from(notes)).chain(body.pieces).map(Ok::<_, Infallible>);
    let mut response = Response::new(Body::from_stream(stream::iter(pieces)));
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_static(Format::Text.content_type());
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Why there are no series, or fewer than a reader may expect, as comments.
fn notes(swarms: &WholeSwarms) -> String {
    let mut notes = String::new();
    for (name, error) in &swarms.unknown {
        let error = error.as_deref().unwrap_or("the first refresh has not ended");
        let note = format!("No state metrics yet of {name}: {error}");
        notes.extend(["# ", &note.replace(char::is_control, " "), "\n"]);
    }
    if notes.is_empty() && swarms.known.is_empty() && swarms.classic.is_empty() {
        notes.extend(["# ", NO_SWARM, "\n"]);
    }
    notes
}
