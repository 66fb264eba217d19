//! HTTP SD: the targets of each job for any Prometheus, at `/sd/<job>`.
//!
//! Three forms: kept targets as they stand after our rules; the same without `__meta_*`
//! (`?meta=0`); and all targets as the sources reported them (`?raw=1`), for a Prometheus that
//! relabels itself. A job can have more than one list: `?class=<name>` and `?probes=1` select
//! another than the normal one. Prometheus drops every target that an answer does not hold, so there is no
//! answer before all sources of the job have answered, or had their time to: until then 503, which
//! makes Prometheus keep what it has. An answer without the targets of some source names that
//! source.

pub(super) mod wait;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use http_body::{Frame, SizeHint};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use swarmscout_model::quote::Quoted;
use swarmscout_model::{PromDuration, TargetSet};

use super::view::{Job, Moment};
use super::{App, json_response, links};
use swarmscout_publish::list::{Encoding, JobLists, Key, ListQuery, NoList, Rendered, Selection};
use swarmscout_server::{LongPoll, gzip, text};

/// Whole seconds since the source that was confirmed longest ago was confirmed.
pub(super) const AGE: HeaderName =
    HeaderName::from_static("x-swarmscout-oldest-source-age-seconds");

/// The sources that have never answered, whose targets are not in the list.
const MISSING: HeaderName = HeaderName::from_static("x-swarmscout-missing-sources");

/// This many of them are named, the others are a number.
const NAMED: usize = 16;

/// What a name may hold that stands in a header between commas.
const IN_HEADER: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');

/// What Prometheus asks for, to the letter.
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// `/sd`: the jobs, and where their targets are.
pub(super) async fn index(
    State(app): State<Arc<App>>,
    scheme: Option<Extension<Scheme>>,
    headers: HeaderMap,
) -> Response {
    let base = links::base(app.server.options(), &headers, scheme.as_ref());
    let moment = Moment::of(&app.context);
    let lists = moment.jobs.iter().map(|job| JobLists::of(&job.set, &base));
    json_response(StatusCode::OK, &lists.collect::<Vec<_>>())
}

/// `/sd/<job>`.
pub(super) async fn job(
    State(app): State<Arc<App>>,
    uri: Uri,
    long_poll: LongPoll,
    headers: HeaderMap,
) -> Response {
    let mut response = answer(&app, &uri, headers, &long_poll).await;
    if app.server.options().max_waiting > 0 {
        response.headers_mut().insert(wait::SUPPORTED, wait::LONGEST_AS_HEADER);
    }
    response
}

async fn answer(app: &App, uri: &Uri, headers: HeaderMap, long_poll: &LongPoll) -> Response {
    let encoded = uri.path().strip_prefix("/sd/").unwrap_or_default();
    let Ok(name) = percent_decode_str(encoded).decode_utf8() else {
        return text(StatusCode::BAD_REQUEST, "the job's name is not UTF-8\n");
    };
    let ListQuery { list, form, wait } = match ListQuery::parse(uri.query().unwrap_or_default()) {
        Ok(query) => query,
        Err(message) => return text(StatusCode::BAD_REQUEST, message),
    };
    let wait = match wait.map(|wait| wait.map(PromDuration::get)) {
        None => None,
        Some(Some(wait)) if wait::ALLOWED.contains(&wait) => Some(wait),
        Some(_) => {
            let message = "wait is a duration from 1s to 5m: wait=60s\n";
            return text(StatusCode::BAD_REQUEST, message);
        }
    };
    let gzip = gzip::is_accepted(&headers);
    let encoding = if gzip { Encoding::Gzip } else { Encoding::Json };
    let selection = Selection { list, form, encoding };
    let reader = Reader { app, name: &name, selection, headers };
    match wait.filter(|_| app.server.options().max_waiting > 0) {
        Some(wait) => reader.wait(wait, long_poll).await,
        None => match reader.job() {
            Some(job) => reader.respond(&job, reader.list(&job).await),
            None => reader.no_job(),
        },
    }
}

/// A request for a list.
struct Reader<'a> {
    app: &'a App,
    /// That of the job.
    name: &'a str,
    selection: Selection,
    headers: HeaderMap,
}

/// A list, and the set that it was made from.
type List = (Arc<TargetSet>, Arc<Rendered>);

impl Reader<'_> {
    /// The job that runs under the name.
    fn job(&self) -> Option<Job> {
        self.app.context.discovery.job(self.name)
    }

    fn no_job(&self) -> Response {
        let message = format!("there is no job {}; /sd lists the jobs\n", Quoted(self.name));
        text(StatusCode::NOT_FOUND, message)
    }

    async fn list(&self, job: &Job) -> Result<List, NoList> {
        let selection = self.selection.clone();
        let key = Key { job: Arc::clone(job.config.name()), selection };
        self.app.context.outputs.lists.get(key, &job.set).await
    }

    /// The list, or why there is none.
    fn respond(&self, job: &Job, list: Result<List, NoList>) -> Response {
        let (set, rendered) = match list {
            Ok(list) => list,
            Err(NoList::Withheld(why)) => return text(StatusCode::SERVICE_UNAVAILABLE, why),
            // As long as it lasts Prometheus keeps what it has.
            Err(error @ NoList::Memory(_)) => {
                let message = format!("job {}: {error}\n", Quoted(self.name));
                return text(StatusCode::SERVICE_UNAVAILABLE, message);
            }
            Err(error @ NoList::Failed) => {
                return text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"));
            }
        };
        let age = job.status.borrow().oldest_age(self.app.context.clock.now().instant);
        let gzip = self.selection.encoding == Encoding::Gzip;
        let mut response = respond(rendered, &self.headers, gzip);
        let headers = response.headers_mut();
        headers.insert(AGE, HeaderValue::from(age.as_secs()));
        headers.extend(missing(&set).map(|missing| (MISSING, missing)));
        response
    }
}

/// `dockerswarm/0, dockerswarm/1, +3`. `None` where no source is missing.
fn missing(set: &TargetSet) -> Option<HeaderValue> {
    let name = |name: &str| utf8_percent_encode(name, IN_HEADER).to_string();
    let mut missing = set.missing().iter().map(|source| name(&source.name)).peekable();
    missing.peek()?;
    let mut named: Vec<_> = missing.by_ref().take(NAMED).collect();
    let others = missing.count();
    if others > 0 {
        named.push(format!("+{others}"));
    }
    HeaderValue::try_from(named.join(", ")).ok()
}

fn respond(rendered: Arc<Rendered>, request: &HeaderMap, gzip: bool) -> Response {
    let unchanged = is_known(request, &rendered.etag);
    let etag = rendered.etag.clone();
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::new(Pieces { left: rendered.size, rendered, next: 0 }))
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, etag);
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if !unchanged {
        headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
        if gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
    }
    response
}

/// Whether the client has this very content already (RFC 9110, 13.1.2).
pub(super) fn is_known(request: &HeaderMap, etag: &HeaderValue) -> bool {
    let etag = etag.as_bytes();
    request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|known| known == b"*" || known.strip_prefix(b"W/").unwrap_or(known) == etag)
}

/// A body that is sent from the memory that all its readers share.
struct Pieces {
    rendered: Arc<Rendered>,
    next: usize,
    /// Bytes that are not sent yet.
    left: u64,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(piece) = self.rendered.pieces.get(self.next).cloned() else {
            return Poll::Ready(None);
        };
        self.next += 1;
        self.left -= piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.next >= self.rendered.pieces.len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
