//! What a request may fetch: a pure function of the request and of what is listed.
//!
//! Nothing of the request is decoded, joined or normalised. Each listed target has the two paths by
//! which scrapers ask for it, and a request's path is one of them, byte for byte, or is refused. So a
//! dot segment, an escape or a second slash has no meaning here: it only makes another text.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::{ACCEPT, ACCEPT_ENCODING};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, Method, Version};
use swarmscout_model::escape_path;

/// What all paths of requests begin with.
pub const REACH_PREFIX: &str = "/reach/";

/// How long the reader waits, as scrapers send it.
pub(crate) const TIMEOUT: HeaderName =
    HeaderName::from_static("x-prometheus-scrape-timeout-seconds");

/// The headers that are passed on to the target. No other is: none of these can hold a credential.
const PASSED: [HeaderName; 3] = [ACCEPT, ACCEPT_ENCODING, TIMEOUT];

/// The most bytes that these may have together. Prometheus sends some 500.
const MAX_HEADERS: usize = 8 << 10;

/// The most bytes of a query: as many as the path and query of most servers.
const MAX_QUERY: usize = 8 << 10;

/// All that may be fetched: the tasks of this node, by ID.
#[derive(Clone, Debug, Default)]
pub struct Reachable(HashMap<String, Arc<ReachableTask>>);

/// A task of this node, or a container of a plain Engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReachableTask {
    /// What requests name it by.
    pub id: String,
    /// What errors name it by.
    pub name: String,
    /// The ID of its container, 64 hexadecimal digits. Empty: it has none yet.
    pub container: String,
    /// The main process of the container, as the host numbers it. 0: it has none.
    pub pid: u32,
    /// Whether it uses the host's network: then its address is 127.0.0.1.
    pub host_network: bool,
    /// Whether it is attached to networks, and all of them are internal.
    pub internal_only: bool,
    /// All its addresses that are known. With others, none that was found before is used.
    pub addresses: Vec<IpAddr>,
    /// Those on networks of the Swarm, and on internal ones: these are never used.
    pub excluded_addresses: Vec<IpAddr>,
    /// What may be fetched from it.
    pub targets: Vec<ReachTarget>,
}

/// Port and path of a task that may be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReachTarget {
    https: bool,
    port: u16,
    /// As Prometheus sends it: each character that needs it is escaped, `%` too.
    escaped: String,
    /// As VictoriaMetrics and vmagent send it: as it is written, if it can be sent so.
    written: Option<String>,
}

impl ReachTarget {
    /// A target, with the path of its label `__metrics_path__`. `None` for another scheme than `http`
    /// and `https`, and for port 0.
    pub fn new(scheme: &str, port: u16, path: &str) -> Option<Self> {
        let https = match scheme {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let slash = if path.starts_with('/') { "" } else { "/" };
        let path = format!("{slash}{path}");
        let escaped = escape_path(&path);
        let as_sent = PathAndQuery::try_from(path.as_str()).ok();
        let can_be_sent = path.is_ascii() && as_sent.is_some_and(|sent| sent.as_str() == path);
        let written = (can_be_sent && path != escaped && !path.contains('?')).then_some(path);
        (port != 0).then_some(Self { https, port, escaped, written })
    }

    /// Whether it is fetched over TLS.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The paths by which scrapers ask for it.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.escaped.as_str()).chain(self.written.as_deref())
    }

    /// The scheme, as it is in the path of a request.
    pub fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }
}

impl FromIterator<ReachableTask> for Reachable {
    fn from_iter<I: IntoIterator<Item = ReachableTask>>(tasks: I) -> Self {
        Self(tasks.into_iter().map(|task| (task.id.clone(), Arc::new(task))).collect())
    }
}

impl Reachable {
    /// Whether there is a task of this ID.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// All tasks, in no order.
    pub fn tasks(&self) -> impl Iterator<Item = &Arc<ReachableTask>> {
        self.0.values()
    }
}

/// Why a request fetches nothing, by itself: nothing was opened for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ReachRefusal {
    /// The reader has shown no certificate that this node's clients must have.
    #[error(
        "reach needs TLS and a client certificate: give --web.config.file with \
         client_auth_type: RequireAndVerifyClientCert, or --reach.insecure"
    )]
    Closed,
    /// Another method than GET.
    #[error("only GET is allowed")]
    Method,
    /// The request line names a host: that is for proxies.
    #[error("the request line must be a path: this is not a proxy")]
    AbsoluteForm,
    /// The path is not that of a reach request.
    #[error("the path must be /reach/<task>/<http|https>/<port>/<path>")]
    Path,
    /// The query is too long.
    #[error("the query is longer than 8 KiB")]
    Query,
    /// The headers that would be passed on are too long.
    #[error(
        "Accept, Accept-Encoding and X-Prometheus-Scrape-Timeout-Seconds are longer than 8 KiB"
    )]
    Headers,
    /// No such task is listed for this node.
    #[error("no task of this ID is listed for this node")]
    Task,
    /// The task is listed, but not with this scheme, port and path.
    #[error("the task is not listed with this scheme, port and path")]
    Target,
    /// All networks of the task are internal.
    #[error(
        "all networks of the task are internal, so its node has no way to it: attach it to one more \
         network that is not"
    )]
    Internal,
}

impl ReachRefusal {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Closed,
        Self::Method,
        Self::AbsoluteForm,
        Self::Path,
        Self::Query,
        Self::Headers,
        Self::Task,
        Self::Target,
        Self::Internal,
    ];

    /// The value of the label `reason`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Method => "method",
            Self::AbsoluteForm => "absolute_form",
            Self::Path => "path",
            Self::Query => "query",
            Self::Headers => "headers",
            Self::Task => "task",
            Self::Target => "target",
            Self::Internal => "internal",
        }
    }

    /// The status of the answer.
    pub fn status(self) -> http::StatusCode {
        match self {
            Self::Method => http::StatusCode::METHOD_NOT_ALLOWED,
            Self::AbsoluteForm | Self::Query | Self::Headers => http::StatusCode::BAD_REQUEST,
            Self::Closed | Self::Path | Self::Task | Self::Target | Self::Internal => {
                http::StatusCode::FORBIDDEN
            }
        }
    }
}

/// The one fetch that a request is allowed.
#[derive(Clone, Debug)]
pub struct AllowedFetch {
    /// Whose address is fetched from.
    pub task: Arc<ReachableTask>,
    /// Whether over TLS.
    pub https: bool,
    /// The listed port.
    pub port: u16,
    /// The listed path, with the query of the request.
    pub path: PathAndQuery,
    /// What is passed on of the request's headers.
    pub headers: HeaderMap,
}

/// Decides what a request fetches. `admitted` says whether its reader may use reach at all.
pub fn decide(
    request: &Parts,
    reachable: &Reachable,
    admitted: bool,
) -> Result<AllowedFetch, ReachRefusal> {
    if !admitted {
        return Err(ReachRefusal::Closed);
    }
    if request.method != Method::GET {
        return Err(ReachRefusal::Method);
    }
    // HTTP/2 sends the host in a field of its own, which is ignored.
    if request.version < Version::HTTP_2 && request.uri.authority().is_some() {
        return Err(ReachRefusal::AbsoluteForm);
    }
    let (task, scheme, port, path) = split(request.uri.path()).ok_or(ReachRefusal::Path)?;
    let task = reachable.0.get(task).ok_or(ReachRefusal::Task)?;
    let is_listed = |target: &&ReachTarget| {
        target.scheme() == scheme
            && target.port.to_string() == port
            && target.paths().any(|listed| listed == path)
    };
    let target = task.targets.iter().find(is_listed).ok_or(ReachRefusal::Target)?;
    let query = request.uri.query();
    let sent = match query {
        None => PathAndQuery::try_from(path),
        Some(query) if query.len() <= MAX_QUERY => {
            PathAndQuery::try_from(format!("{path}?{query}"))
        }
        Some(_) => return Err(ReachRefusal::Query),
    };
    let sent = sent.map_err(|_| ReachRefusal::Path)?;
    if (sent.path(), sent.query()) != (path, query) {
        return Err(ReachRefusal::Path);
    }
    let headers = passed_on(&request.headers).ok_or(ReachRefusal::Headers)?;
    let (https, port) = (target.https, target.port);
    Ok(AllowedFetch { task: Arc::clone(task), https, port, path: sent, headers })
}

/// Task, scheme, port and path, as they are written.
fn split(path: &str) -> Option<(&str, &str, &str, &str)> {
    let (task, rest) = path.strip_prefix(REACH_PREFIX)?.split_once('/')?;
    let (scheme, rest) = rest.split_once('/')?;
    // The reason names both.
    if !matches!(scheme, "http" | "https") {
        return None;
    }
    let (port, path) = rest.split_at(rest.find('/')?);
    Some((task, scheme, port, path))
}

/// `None` if they are too long.
fn passed_on(headers: &HeaderMap) -> Option<HeaderMap> {
    let mut passed = HeaderMap::with_capacity(PASSED.len() + 2);
    let mut size = 0;
    for name in PASSED {
        for value in headers.get_all(&name) {
            size += value.len();
            passed.append(&name, value.clone());
        }
    }
    (size <= MAX_HEADERS).then_some(passed)
}
