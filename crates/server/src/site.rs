//! All answers of a server: what each request passes on its way to its route, and its answer back.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use swarmscout_web_config::{Doors, Right};
use tower::ServiceExt as _;

use crate::access::Entrance;
use crate::{HttpServer, Routes, Waited, guard, gzip, text};

/// Everything that a server answers, below the route prefix.
#[derive(Clone, Debug)]
pub struct Site {
    server: Arc<HttpServer>,
    router: Router,
}

impl Site {
    /// Answers by these routes, whose handlers have this state.
    pub fn new<S>(all: Routes<S>, state: S) -> Self
    where
        S: Clone + Send + Sync + 'static,
    {
        let (server, router) = all.into_parts();
        let router = router
            .layer(middleware::from_fn(survive))
            .layer(middleware::from_fn(compress))
            .layer(middleware::from_fn_with_state(Arc::clone(&server), guard::read))
            .layer(middleware::from_fn_with_state(Arc::clone(&server), count))
            .with_state(state);
        Self { server, router }
    }

    /// Answers a request as it comes from a connection.
    pub(crate) async fn answer<B>(self, mut request: http::Request<B>) -> Response
    where
        B: http_body::Body<Data = bytes::Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let refused = self.server.access.enter(&mut request);
        let doors = Entrance::of(&request).and_then(|entrance| entrance.doors);
        let mut response = match refused {
            None => self.route(request).await,
            Some(refusal) => refusal,
        };
        harden(&mut response, doors.as_deref());
        response
    }

    async fn route<B>(self, mut request: http::Request<B>) -> Response
    where
        B: http_body::Body<Data = bytes::Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let prefix = &self.server.options.route_prefix;
        if !prefix.is_empty() {
            let Some(uri) = without_prefix(request.uri(), prefix) else {
                if let Err(refusal) = self.server.admit(Right::Read, &request).await {
                    return refusal;
                }
                if request.uri().path() != "/" {
                    return text(StatusCode::NOT_FOUND, "404 page not found\n");
                }
                let to = HeaderValue::try_from(format!("{prefix}/"));
                let to = to.unwrap_or(HeaderValue::from_static("/"));
                return (StatusCode::FOUND, [(header::LOCATION, to)]).into_response();
            };
            *request.uri_mut() = uri;
        }
        let Ok(response) = self.router.oneshot(request).await;
        response
    }
}

/// Counts requests by route: a path of its own for each object would be without limit.
async fn count(State(server): State<Arc<HttpServer>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let mut handler =
        route.unwrap_or("/notfound").replace("{*", ":").replace('{', ":").replace('}', "");
    let started = Instant::now();
    let response = next.run(request).await;
    if response.extensions().get::<Waited>().is_some() {
        handler.push_str("?wait");
    }
    server.requests.count(handler, response.status(), started.elapsed());
    response
}

/// The address below the prefix, or `None` where it is not there.
fn without_prefix(uri: &Uri, prefix: &str) -> Option<Uri> {
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str).strip_prefix(prefix)?;
    let below = match path.as_bytes().first() {
        None | Some(b'?') => format!("/{path}").parse().ok(),
        Some(b'/') => path.parse().ok(),
        Some(_) => None,
    }?;
    // The guard checks the authority, if there is one.
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(below);
    Uri::from_parts(parts).ok()
}

/// An answer with this extension is not compressed: it is passed on as it came from elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct AsItIs;

/// Compresses answers that are large and not compressed already.
async fn compress(request: Request, next: Next) -> Response {
    let accepted = gzip::is_accepted(request.headers()) && request.method() != Method::HEAD;
    let response = next.run(request).await;
    let headers = response.headers();
    // Compression gathers more than an event before it sends anything.
    if headers.contains_key(header::CONTENT_ENCODING)
        || !headers.contains_key(header::CONTENT_TYPE)
        || is_event_stream(headers)
        || response.extensions().get::<AsItIs>().is_some()
    {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if !accepted || !gzip::is_worth_it(&body) {
        return Response::from_parts(parts, body);
    }
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, gzip::compress(body))
}

/// Whether an answer is a stream of events (`text/event-stream`), which has no end.
pub(crate) fn is_event_stream(headers: &http::HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|content_type| content_type.starts_with(b"text/event-stream"))
}

/// Denies browsers what none of our answers needs.
/// The headers of the web configuration come in place of ours.
fn harden(response: &mut Response, doors: Option<&Doors>) {
    const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
        base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    /// Our policy would win over this value of `X-Frame-Options`.
    const SAME_ORIGIN: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
        base-uri 'none'; form-action 'self'; frame-ancestors 'self'";
    let own = doors.map_or(&[][..], |doors| &doors.headers);
    let frames = |(name, value): &(HeaderName, HeaderValue)| {
        *name == header::X_FRAME_OPTIONS && value == "sameorigin"
    };
    let policy = if own.iter().any(frames) { SAME_ORIGIN } else { POLICY };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, policy),
    ] {
        // A handler may deny more.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    for (name, value) in own {
        headers.insert(name, value.clone());
    }
}

/// A panic in a handler costs its request, nothing else.
async fn survive(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let cause = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            tracing::error!(path, cause, "A request panicked");
            text(StatusCode::INTERNAL_SERVER_ERROR, "internal error; see the log\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Body;
    use axum::routing::get;
    use futures_util::{StreamExt as _, stream};
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_panic_costs_its_request_only() {
        async fn panics() -> &'static str {
            panic!("as this test wants it")
        }
        let router: Router = Router::new()
            .route("/panics", get(panics))
            .route("/works", get(|| async { "works" }))
            .layer(middleware::from_fn(survive));
        for (path, status) in [("/panics", 500), ("/works", 200)] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let Ok(response) = router.clone().oneshot(request).await;
            assert_eq!(response.status(), status, "{path}");
        }
    }

    #[tokio::test]
    async fn events_are_not_held_back_by_compression() {
        async fn events() -> Response {
            let one = stream::iter([Ok::<_, Infallible>("data: 1\n\n")]);
            let body = Body::from_stream(one.chain(stream::pending()));
            ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], body).into_response()
        }
        let router: Router =
            Router::new().route("/events", get(events)).layer(middleware::from_fn(compress));
        let request = Request::get("/events").header(header::ACCEPT_ENCODING, "gzip");
        let Ok(mut response) = router.oneshot(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.headers().get(header::CONTENT_ENCODING), None);
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "data: 1\n\n");
    }

    #[test]
    fn a_stricter_policy_of_a_handler_stays() {
        let mut response = Response::default();
        let strict = HeaderValue::from_static("default-src 'none'; sandbox");
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, strict.clone());
        harden(&mut response, None);
        assert_eq!(response.headers()[header::CONTENT_SECURITY_POLICY], strict);
        assert_eq!(response.headers()[header::X_FRAME_OPTIONS], "DENY");
    }
}
