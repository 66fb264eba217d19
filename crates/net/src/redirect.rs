//! Which redirects are followed, and what crosses to another host.
//!
//! The rules are those of Go's client with prometheus/common of 3.13: ten requests at most, and
//! credentials stay within the first host and its subdomains. Once a chain has left them,
//! they stay behind for the rest of it, even where it leads back.
//!
//! We are stricter in two things. Go sends credentials on from `https` to `http`, where everybody
//! on the way reads them, and to any other port of the host, where another user's server may
//! listen. Here both count as another host. The one port that may change is 80, to 443 and `https`.

use http::header::{
    AUTHORIZATION, COOKIE, LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use crate::request::Target;
use crate::{Error, Host, Scheme, Secrets};

/// Go's limit: the tenth redirect is not followed.
const MAX_REQUESTS: usize = 10;

/// Headers of a request that belong to one host only.
const SENSITIVE: [HeaderName; 6] = [
    AUTHORIZATION,
    COOKIE,
    HeaderName::from_static("cookie2"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    WWW_AUTHENTICATE,
];

/// The way of one request from host to host.
#[derive(Debug)]
pub(crate) struct Chain {
    origin: String,
    port: Option<u16>,
    requests: usize,
    left: bool,
}

impl Chain {
    pub(crate) fn new(first: &Host) -> Self {
        let origin = first.hostname().to_ascii_lowercase();
        Self { origin, port: first.port(), requests: 1, left: false }
    }

    /// Whether some hop led to another host, to another port, or out of TLS: then nothing secret
    /// goes along any more.
    pub(crate) fn left_origin(&self) -> bool {
        self.left
    }

    /// Where an answer leads, or `None` where it is the final one. A POST is repeated, with its
    /// body, where the status asks for exactly that (307, 308) and credentials may go along: the
    /// body may hold a secret. The others ask for a GET, which would bring something else than what
    /// was posted for.
    pub(crate) fn next(
        &mut self,
        method: &Method,
        from: &Target,
        status: StatusCode,
        headers: &HeaderMap,
        secrets: &Secrets,
    ) -> Result<Option<Target>, Error> {
        match status.as_u16() {
            307 | 308 => {}
            301..=303 if *method != Method::POST => {}
            _ => return Ok(None),
        }
        let Some(location) = headers.get(LOCATION).filter(|location| !location.is_empty()) else {
            return Ok(None);
        };
        let failed = |reason| Error::Exchange { to: from.host.address(), reason };
        if self.requests >= MAX_REQUESTS {
            return Err(failed(format!("stopped after {MAX_REQUESTS} redirects")));
        }
        let target = str::from_utf8(location.as_bytes())
            .map_err(|_| "not UTF-8".to_owned())
            .and_then(|location| {
                from.join(location).map_err(|error| error.cleaned(secrets).to_string())
            })
            .map_err(|reason| failed(format!("failed to parse Location header: {reason}")))?;
        self.requests += 1;
        let host = target.host.hostname().to_ascii_lowercase();
        let over_tls = target.host.scheme() == Scheme::Https;
        let same_port = self.port == target.host.port()
            || self.port == Some(80) && over_tls && target.host.port() == Some(443);
        let leaves_tls = from.host.scheme() == Scheme::Https && !over_tls;
        self.left |= !is_domain_or_subdomain(&host, &self.origin) || !same_port || leaves_tls;
        if *method == Method::POST && self.left {
            return Ok(None);
        }
        Ok(Some(target))
    }
}

/// Takes out of `headers` what belongs to the first host only.
pub(crate) fn strip(headers: &mut HeaderMap) {
    for name in &SENSITIVE {
        headers.remove(name);
    }
}

/// As in Go: an address is never a subdomain. Both names are empty on a unix socket, which no
/// redirect leaves.
fn is_domain_or_subdomain(name: &str, parent: &str) -> bool {
    name == parent
        || !name.contains([':', '%'])
            && name
                .strip_suffix(parent)
                .is_some_and(|rest| !parent.is_empty() && rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_within_their_host_their_port_and_their_tls() {
        let target = |url| Target::of_url(crate::Url::parse(url).unwrap()).unwrap();
        for (from, location, followed) in [
            ("https://a/", "/next", true),
            ("https://a/", "https://A:443/", true),
            ("https://a/", "https://sub.a/", true),
            ("http://a/", "https://a/", true),
            ("http://a:8080/", "http://a:8080/next", true),
            ("http://a:8080/", "https://a:8080/", true),
            ("http://a:8080/", "https://a/", false),
            ("http://a:8080/", "http://a/", false),
            ("http://a/", "https://a:8443/", false),
            ("https://a/", "https://a:8443/", false),
            ("https://a/", "http://a/", false),
            ("https://a:8080/", "http://a:8080/", false),
            ("https://a/", "https://b/", false),
        ] {
            let from = target(from);
            let headers = HeaderMap::from_iter([(LOCATION, location.parse().unwrap())]);
            let next = |method| {
                let mut chain = Chain::new(&from.host);
                let (status, secrets) = (StatusCode::TEMPORARY_REDIRECT, Secrets::default());
                let next = chain.next(&method, &from, status, &headers, &secrets).unwrap();
                (next, !chain.left_origin())
            };
            let target = from.join(location).unwrap();
            assert_eq!(next(Method::GET), (Some(target.clone()), followed), "{from} {location}");
            let posted = followed.then_some(target);
            assert_eq!(next(Method::POST), (posted, followed), "{from} {location}");
        }
    }

    #[test]
    fn credentials_stay_within_the_domain() {
        for (name, parent, same) in [
            ("example.com", "example.com", true),
            ("a.example.com", "example.com", true),
            ("badexample.com", "example.com", false),
            ("example.com", "a.example.com", false),
            ("::1%.example.com", "example.com", false),
            ("example.com", "", false),
            ("", "", true),
        ] {
            assert_eq!(is_domain_or_subdomain(name, parent), same, "{name} {parent}");
        }
    }
}
