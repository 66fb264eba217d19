//! What is asked for, and within which limits.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::host::{Host, Scheme};
use crate::{Error, Url, UserInfo};

/// A request for one resource, with its deadline and the limit for its answer.
#[derive(Clone)]
pub struct Request {
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
    pub(crate) limits: Limits,
    pub(crate) compressed: bool,
}

/// How long an answer may take and how large it may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) timeout: Duration,
    pub(crate) idle: Option<Duration>,
    pub(crate) max_body: u64,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: Host,
    /// Path and query, as in the request line.
    pub(crate) path: String,
}

impl Request {
    /// Time for the whole exchange unless [`Request::timeout`] says otherwise.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
    /// The most bytes of a body unless [`Request::max_body`] says otherwise.
    pub const DEFAULT_MAX_BODY: u64 = 64 << 20;

    /// For an absolute `http` or `https` URL. User and password in it become basic auth.
    pub fn new(url: &str) -> Result<Self, Error> {
        Self::of_url(Url::parse(url)?)
    }

    pub(crate) fn of_url(url: Url) -> Result<Self, Error> {
        Ok(Self::with(Target::of_url(url)?))
    }

    /// For `path`, with its query, at `host`: `/v1.41/tasks?filters=…`. Asks for no compression on
    /// a unix socket.
    pub fn to(host: &Host, path: &str) -> Result<Self, Error> {
        if !path.starts_with('/') {
            let reason = "path does not start with a slash".to_owned();
            return Err(Error::Url { url: path.to_owned(), reason });
        }
        let base = host.url().map_or("", |url| url.path().trim_end_matches('/'));
        let path = Url::default().at(&format!("{base}{path}")).request_target();
        Ok(Self::with(Target { host: host.clone(), path }))
    }

    fn with(target: Target) -> Self {
        let compressed = target.host.scheme() != Scheme::Unix;
        let limits =
            Limits { timeout: Self::DEFAULT_TIMEOUT, idle: None, max_body: Self::DEFAULT_MAX_BODY };
        Self { target, headers: HeaderMap::new(), limits, compressed }
    }

    /// Adds a parameter to the query. Name and value are sent as they are.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        let separator = if self.target.path.contains('?') { '&' } else { '?' };
        self.target.path.extend([separator]);
        self.target.path.extend([name, "=", value]);
        self
    }

    /// Adds a header to those that the client sends itself.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Time for the whole exchange, redirects and the reading of the body included.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = timeout;
        self
    }

    /// The most bytes that the answer's body may have, counted after decompression.
    #[must_use]
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.limits.max_body = bytes;
        self
    }

    /// Whether gzip is asked for. Default: yes, except on a unix socket.
    #[must_use]
    pub fn compressed(mut self, compressed: bool) -> Self {
        self.compressed = compressed;
        self
    }

    /// For an answer without an end (`/events`): the timeout holds until its header is there, then
    /// each piece may take `idle`. The limit for the body holds for all pieces together.
    #[must_use]
    pub fn open_ended(mut self, idle: Duration) -> Self {
        self.limits.idle = Some(idle);
        self
    }
}

impl Target {
    /// Credentials written in the URL; none but `http` and `https` have them.
    pub(crate) fn user(&self) -> Option<&UserInfo> {
        let scheme = self.host.scheme();
        self.host.url().filter(|_| scheme.takes_http_config()).and_then(Url::user)
    }

    pub(crate) fn of_url(url: Url) -> Result<Self, Error> {
        let refuse = |url: &Url, reason: &str| {
            Err(Error::Url { url: url.to_string(), reason: reason.to_owned() })
        };
        if !matches!(url.scheme(), "http" | "https") {
            return refuse(&url, "URL scheme must be 'http' or 'https'");
        }
        let path = url.request_target();
        Ok(Self { host: Host::of_url(url)?, path })
    }

    /// Where a `Location` leads. A unix socket is never left, whatever host is named: that name was
    /// made up by the server, or by us. No server leads to `tcp://`, past its client's proxy.
    pub(crate) fn join(&self, location: &str) -> Result<Self, Error> {
        let url = self.url().join(location)?;
        if url.scheme() == "tcp" && self.host.scheme() != Scheme::Tcp {
            let reason = "URL scheme must be 'http' or 'https'".to_owned();
            return Err(Error::Url { url: url.to_string(), reason });
        }
        let path = url.request_target();
        let host = match self.host.socket_path() {
            Some(_) => self.host.clone(),
            None => Host::of_url(url)?,
        };
        Ok(Self { host, path })
    }

    fn url(&self) -> Url {
        self.host.url().cloned().unwrap_or_default().at(&self.path)
    }
}

/// Shows no header's value: one may be a secret.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.keys().collect();
        f.debug_struct("Request")
            .field("target", &format_args!("{}", self.target))
            .field("headers", &headers)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.socket_path() {
            Some(_) => write!(f, "{}{}", self.host, self.path),
            None => self.url().fmt(f),
        }
    }
}
