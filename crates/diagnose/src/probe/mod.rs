//! Requests a target as Prometheus would, and says what failed.
//!
//! One request is enough: the client reports which step failed (name, route, port, TLS), and the
//! answer shows whether there are metrics.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use swarmscout_exposition::Sniffer;
use swarmscout_net::{Client, ConnectCause, Error, Request, Response};
use tokio::time::Instant;

/// What Prometheus sends as `Accept`, without protobuf.
const ACCEPT: &str =
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1";

/// As Prometheus: a node part answers in time then.
const SCRAPE_TIMEOUT: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");

/// Why a node part answers in the place of a target (docs/reach.md). It passes on no such header of a
/// target.
const REACH_ERROR: HeaderName = HeaderName::from_static("x-swarmscout-reach-error");

/// The longest reason that is taken for one, in bytes.
const LONGEST_REASON: usize = 32;

/// How long a target may take, and how large its answer may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the whole exchange.
    pub timeout: Duration,
    /// For the body, in bytes after decompression.
    pub max_body: u64,
}

/// What came of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The target answers with metrics.
    Up,
    /// The URL cannot be requested.
    BadUrl,
    /// The host name has no address.
    NoSuchName,
    /// No route leads to the address.
    NoRoute,
    /// The host is there, but nothing listens on the port.
    PortClosed,
    /// The host does not answer to a connection.
    ConnectTimeout,
    /// The TLS handshake fails, for another reason than these two.
    Tls,
    /// The target speaks no TLS, and its URL has `https`.
    NoTls,
    /// The target wants a client certificate, or refuses ours.
    ClientCertificate,
    /// A connection stands, but the answer does not arrive in time.
    AnswerTimeout,
    /// The connection breaks off, or what answers speaks no HTTP.
    NotHttp,
    /// The target wants credentials: 401 or 403.
    Unauthorized,
    /// Another status than 200.
    Status,
    /// The answer is not an exposition of metrics.
    NotMetrics,
    /// The answer exceeds the limit.
    TooLarge,
    /// A node part answers that it cannot fetch from the target.
    NodePart,
    /// Anything else, such as a proxy on the way.
    Other,
}

/// What came of a probe, with the details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// What came of it.
    pub outcome: Outcome,
    /// The reason in one line, cut and without secrets; empty if the target is up.
    pub detail: String,
    /// The reason of a node part that answers in the place of the target; empty if the target or nothing
    /// answers.
    pub node_part: String,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// As it stands in JSON and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::BadUrl => "bad_url",
            Self::NoSuchName => "no_such_name",
            Self::NoRoute => "no_route",
            Self::PortClosed => "port_closed",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::NoTls => "no_tls",
            Self::ClientCertificate => "client_certificate",
            Self::AnswerTimeout => "answer_timeout",
            Self::NotHttp => "not_http",
            Self::Unauthorized => "unauthorized",
            Self::Status => "status",
            Self::NotMetrics => "not_metrics",
            Self::TooLarge => "too_large",
            Self::NodePart => "node_part",
            Self::Other => "other",
        }
    }

    /// Whether the host answers to a connection, be it with a refusal.
    pub const fn is_connected(self) -> bool {
        match self {
            Self::BadUrl
            | Self::NoSuchName
            | Self::NoRoute
            | Self::ConnectTimeout
            | Self::Other => false,
            Self::Up
            | Self::PortClosed
            | Self::Tls
            | Self::NoTls
            | Self::ClientCertificate
            | Self::AnswerTimeout
            | Self::NotHttp
            | Self::Unauthorized
            | Self::Status
            | Self::NotMetrics
            | Self::TooLarge
            | Self::NodePart => true,
        }
    }

    /// Of a failed request. A deadline that passes before a connection stands is the connection's
    /// own, which is shorter.
    const fn of_error(error: &Error) -> Self {
        match error {
            Error::Connect { cause, .. } => match cause {
                ConnectCause::Unresolved => Self::NoSuchName,
                ConnectCause::Refused => Self::PortClosed,
                ConnectCause::Timeout => Self::ConnectTimeout,
                ConnectCause::Unreachable => Self::NoRoute,
                ConnectCause::Tls => Self::Tls,
                ConnectCause::NoTls => Self::NoTls,
                ConnectCause::ClientCertificate => Self::ClientCertificate,
                // A target is not a unix socket.
                ConnectCause::Missing | ConnectCause::Denied | ConnectCause::Other => Self::Other,
            },
            Error::Url { .. } => Self::BadUrl,
            Error::Deadline { .. } | Error::Silent { .. } => Self::AnswerTimeout,
            Error::TooLarge { .. } => Self::TooLarge,
            Error::Exchange { .. } => Self::NotHttp,
            _ => Self::Other,
        }
    }

    /// Of a reason of a node part: what it found of the target, or that it did not ask it.
    fn of_node_part(reason: &str) -> Self {
        match reason {
            "connect" => Self::PortClosed,
            "timeout" => Self::AnswerTimeout,
            "broken" => Self::NotHttp,
            "redirect" => Self::Status,
            "too_large" => Self::TooLarge,
            _ => Self::NodePart,
        }
    }
}

/// What an answer says.
struct Found {
    outcome: Outcome,
    detail: String,
    node_part: String,
}

impl Found {
    fn new(outcome: Outcome, detail: impl Into<String>) -> Self {
        Self { outcome, detail: detail.into(), node_part: String::new() }
    }
}

/// Requests `url`, and reads the answer to its end.
pub async fn probe(client: &Client, url: &str, limits: Limits) -> Probed {
    let begin = Instant::now();
    let found = request(client, url, limits).await;
    let Found { outcome, detail, node_part } =
        found.unwrap_or_else(|error| Found::new(Outcome::of_error(&error), error.to_string()));
    Probed { outcome, detail, node_part, took: begin.elapsed() }
}

async fn request(client: &Client, url: &str, limits: Limits) -> Result<Found, Error> {
    let seconds = HeaderValue::try_from(limits.timeout.as_secs_f64().to_string());
    let request = Request::new(url)?
        .header(header::ACCEPT, HeaderValue::from_static(ACCEPT))
        .header(SCRAPE_TIMEOUT, seconds.expect("a number is a header"))
        .timeout(limits.timeout)
        .max_body(limits.max_body);
    let mut response = client.get(request).await?;
    if let Some(reason) = node_part(&response.headers) {
        return refused(client, response, reason).await;
    }
    match response.status {
        StatusCode::OK => {}
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            return Ok(Found::new(Outcome::Unauthorized, format!("HTTP status {status}")));
        }
        status => return Ok(Found::new(Outcome::Status, format!("HTTP status {status}"))),
    }
    let mut sniffer = Sniffer::default();
    while let Some(piece) = response.body.chunk().await? {
        sniffer.push(&piece);
        if let Some(reason) = sniffer.refusal() {
            return Ok(Found::new(Outcome::NotMetrics, reason));
        }
    }
    Ok(match sniffer.finish() {
        Ok(()) => Found::new(Outcome::Up, ""),
        Err(reason) => Found::new(Outcome::NotMetrics, reason),
    })
}

/// Why a node part did not fetch, if it says so.
fn node_part(headers: &HeaderMap) -> Option<String> {
    let reason = headers.get(REACH_ERROR)?.to_str().ok()?;
    let is_reason = !reason.is_empty()
        && reason.len() <= LONGEST_REASON
        && reason.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_reason.then(|| reason.to_owned())
}

/// The answer of a node part in the place of a target: a line that says why.
async fn refused(client: &Client, mut response: Response, reason: String) -> Result<Found, Error> {
    let text = response.body.chunk().await?.unwrap_or_default();
    let text = client.secrets().clean_bytes(&text);
    let text = text.lines().next().unwrap_or_default();
    let detail = format!("its node part answers {} ({reason}): {text}", response.status.as_u16());
    Ok(Found { outcome: Outcome::of_node_part(&reason), detail, node_part: reason })
}

#[cfg(test)]
mod tests;
