//! Which requests are refused because of where they come from.
//!
//! A browser sends requests to this server for any page that it shows, with the network access of
//! its user. Two attacks follow from that. A page of another site posts a form to `/-/quit`: what
//! the browser says in `Origin`, `Referer` and `Sec-Fetch-Site` gives it away. And a page whose own
//! name is made to resolve to this machine (DNS rebinding) is the same site to the browser: there
//! the `Host` is the name of the attacker.
//!
//! A request that changes something must pass both checks. A request that reads must have a known
//! `Host` only where the server listens on loopback alone: elsewhere any client can read anyway,
//! and a Prometheus may use a name that this process cannot know.
//!
//! No browser opens a unix socket, and its clients write any `Host`. So there the `Host` is checked
//! only for a change that a browser asks for, which then came through a proxy.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, post};
use http::header::{GetAll, HOST, ORIGIN, REFERER};
use http::{HeaderName, HeaderValue, StatusCode, Version};
use swarmscout_web_config::Right;

use crate::listener::Peer;
use crate::routes::require;
use crate::{HttpServer, ServerOptions, text};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Most bytes of a header that a refusal repeats.
const SHOWN: usize = 100;

/// The names of this server, and what is asked of requests.
#[derive(Debug)]
pub(crate) struct Guard {
    names: HashSet<Host>,
    /// The origin of `--web.external-url`.
    external: Option<Origin>,
    /// Whether only this machine can connect by TCP.
    loopback_only: bool,
}

impl Guard {
    /// `hostname` is the name of this machine, `addresses` are those of TCP that the server listens on.
    pub(crate) fn new(options: &ServerOptions, hostname: &str, addresses: &[SocketAddr]) -> Self {
        let external = options.external_url.as_ref();
        let external = external.and_then(|url| Origin::new(&url.scheme, &url.authority));
        let names = options.allowed_hosts.iter().map(String::as_str).chain(["localhost", hostname]);
        let names = names.filter_map(Host::parse);
        let loopback_only = !addresses.is_empty()
            && addresses.iter().all(|address| address.ip().to_canonical().is_loopback());
        Self {
            names: names.chain(external.iter().map(|origin| origin.host.clone())).collect(),
            external,
            loopback_only,
        }
    }

    /// Why a request that changes something is refused; `None` where it is not.
    fn refuse_change<B>(&self, request: &http::Request<B>) -> Option<String> {
        let headers = request.headers();
        let by_browser =
            [ORIGIN, REFERER, SEC_FETCH_SITE].iter().any(|it| headers.contains_key(it));
        if is_local(request) && !by_browser {
            return None;
        }
        let (hosts, refusal) = self.hosts(request);
        if refusal.is_some() {
            return refusal;
        }
        if hosts.is_empty() {
            return Some(String::from("the request has no Host header"));
        }
        let ours = |origin: &Origin| {
            self.external.as_ref() == Some(origin) || hosts.iter().all(|host| origin.is_at(host))
        };
        let foreign = |values: GetAll<'_, HeaderValue>, parse: fn(&str) -> Option<Origin>| {
            let ours = |value: &&HeaderValue| {
                value.to_str().ok().and_then(parse).is_some_and(|origin| ours(&origin))
            };
            values.into_iter().find(|value| !ours(value)).map(shown)
        };
        let page = foreign(headers.get_all(ORIGIN), Origin::parse)
            .or_else(|| foreign(headers.get_all(REFERER), Origin::of_page));
        if let Some(page) = page {
            return Some(format!(
                "it was sent by a page of {page}, which is not of this server; behind a proxy, give \
                 the address of the proxy in --web.external-url"
            ));
        }
        let allowed = |site: &&HeaderValue| {
            let site = site.as_bytes().trim_ascii();
            [&b"same-origin"[..], b"none"].iter().any(|allowed| site.eq_ignore_ascii_case(allowed))
        };
        let site = headers.get_all(SEC_FETCH_SITE).into_iter().find(|site| !allowed(site));
        site.map(|site| format!("it was sent by a page of another site ({})", shown(site)))
    }

    /// Why a request that reads is refused; `None` where it is not.
    fn refuse_read<B>(&self, request: &http::Request<B>) -> Option<String> {
        // No browser leaves out the Host. Some health checks do.
        (self.loopback_only && !is_local(request)).then(|| self.hosts(request).1).flatten()
    }

    /// Whom the request is for, and why it is refused if one of them is not this server.
    fn hosts<B>(&self, request: &http::Request<B>) -> (Vec<Authority>, Option<String>) {
        let mut hosts = Vec::new();
        let absolute = request.uri().authority().map(|authority| authority.as_str().as_bytes());
        let named = request.headers().get_all(HOST).into_iter().map(HeaderValue::as_bytes);
        for value in absolute.into_iter().chain(named) {
            let authority = std::str::from_utf8(value).ok().and_then(Authority::parse);
            let known = authority.filter(|authority| self.knows(&authority.host));
            let Some(known) = known else {
                let refusal = format!(
                    "this server does not know the host {} as its own name: use its IP address, or \
                     give the name in --web.allowed-hosts",
                    shown_bytes(value)
                );
                return (hosts, Some(refusal));
            };
            hosts.push(known);
        }
        (hosts, None)
    }

    /// No foreign name resolves to an IP address, so an address is always good.
    fn knows(&self, host: &Host) -> bool {
        matches!(host, Host::Ip(_)) || self.names.contains(host)
    }
}

/// Whether a request is for more than one host, so that this server and a proxy before it could take it for
/// different ones (RFC 9112, 3.2; RFC 9113, 8.3.1).
fn names_two_hosts<B>(request: &http::Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).into_iter().map(HeaderValue::as_bytes);
    let first = hosts.next();
    let authority = request.uri().authority().filter(|_| request.version() == Version::HTTP_2);
    let differs = authority.zip(first).is_some_and(|(authority, host)| {
        !authority.as_str().as_bytes().eq_ignore_ascii_case(host.trim_ascii())
    });
    differs || hosts.next().is_some()
}

/// Whether a request came through a unix socket.
fn is_local<B>(request: &http::Request<B>) -> bool {
    request.extensions().get::<Peer>().is_some_and(|peer| peer.address.is_none())
}

fn shown(value: &HeaderValue) -> String {
    shown_bytes(value.as_bytes())
}

fn shown_bytes(value: &[u8]) -> String {
    let cut = &value[..value.len().min(SHOWN)];
    let more = if cut.len() < value.len() { "…" } else { "" };
    format!("\"{}{more}\"", cut.escape_ascii())
}

/// A route that changes something, by POST or PUT. Each must be made by this, which keeps other sites
/// out. The caller adds its GET.
pub fn change<H, T, S>(server: &Arc<HttpServer>, handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + Clone,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    let right = (Arc::clone(server), Right::Change);
    post(handler.clone())
        .put(handler)
        .layer(middleware::from_fn_with_state(Arc::clone(server), refuse_foreign_change))
        .layer(middleware::from_fn_with_state(right, require))
}

async fn refuse_foreign_change(
    State(server): State<Arc<HttpServer>>,
    request: Request,
    next: Next,
) -> Response {
    match server.guard.refuse_change(&request) {
        Some(why) => forbidden(&why),
        None => next.run(request).await,
    }
}

/// For all routes.
pub(crate) async fn read(
    State(server): State<Arc<HttpServer>>,
    request: Request,
    next: Next,
) -> Response {
    if names_two_hosts(&request) {
        let why = "the request names more than one host: send one Host header\n";
        return text(StatusCode::BAD_REQUEST, why);
    }
    match server.guard.refuse_read(&request) {
        Some(why) => forbidden(&why),
        None => next.run(request).await,
    }
}

fn forbidden(why: &str) -> Response {
    text(StatusCode::FORBIDDEN, format!("request refused: {why}\n"))
}

/// Whether this is the name or the IP address of a host, without scheme, port and path.
pub fn is_host(text: &str) -> bool {
    Authority::parse(text).is_some_and(|authority| authority.port.is_none())
}

/// A host, equal however it is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Host {
    Ip(IpAddr),
    /// In lower case, without the dot at the end.
    Name(Box<str>),
}

impl Host {
    /// IPv6 stands in brackets.
    fn parse(text: &str) -> Option<Self> {
        if let Some(address) = text.strip_prefix('[') {
            let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Ip(address.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return None;
        }
        let name = || Self::Name(name.to_ascii_lowercase().into());
        Some(text.parse().map_or_else(|_| name(), Self::Ip))
    }
}

/// What a `Host` header holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Authority {
    host: Host,
    port: Option<u16>,
}

impl Authority {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        let authority: http::uri::Authority = text.parse().ok()?;
        if text.contains('@') {
            return None;
        }
        let port = match text.strip_prefix(authority.host())? {
            "" => None,
            port => Some(port.strip_prefix(':')?.parse().ok()?),
        };
        Some(Self { host: Host::parse(authority.host())?, port })
    }
}

/// What an `Origin` header holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    scheme: &'static str,
    host: Host,
    port: u16,
}

impl Origin {
    fn new(scheme: &str, authority: &str) -> Option<Self> {
        let (scheme, default_port) = [("http", 80), ("https", 443)]
            .into_iter()
            .find(|(known, _)| scheme.eq_ignore_ascii_case(known))?;
        let Authority { host, port } = Authority::parse(authority)?;
        Some(Self { scheme, host, port: port.unwrap_or(default_port) })
    }

    /// Of a header `Origin`.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.trim_ascii().split_once("://")?;
        Self::new(scheme, authority)
    }

    /// Of the address of a page.
    fn of_page(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim_ascii().split_once("://")?;
        Self::new(scheme, rest.split(['/', '?', '#']).next()?)
    }

    /// Whether a request with this `Host` goes to where it comes from. A proxy may have taken TLS
    /// off, so a `Host` without a port has the port of this scheme.
    fn is_at(&self, host: &Authority) -> bool {
        self.host == host.host && host.port.is_none_or(|port| port == self.port)
    }
}

#[cfg(test)]
mod tests;
