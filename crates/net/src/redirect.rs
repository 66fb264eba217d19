//! Which redirects are followed, and what crosses to another host.
//!
//! The rules are those of Go's client with prometheus/common of 3.13: ten requests at most, and
//! credentials stay within the first host and its subdomains. Once a chain has left them,
//! they stay behind for the rest of it, even where it leads back.

use http::header::{
    AUTHORIZATION, COOKIE, LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use crate::request::Target;
use crate::{Error, Host, Scheme};

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
    requests: usize,
    left: bool,
}

impl Chain {
    pub(crate) fn new(first: &Host) -> Self {
        Self { origin: first.hostname().to_ascii_lowercase(), requests: 1, left: false }
    }

    /// Whether some hop led to another host: then nothing secret goes along any more.
    pub(crate) fn left_origin(&self) -> bool {
        self.left
    }

    /// Where an answer leads, or `None` where it is the final one. A POST is repeated, with its
    /// body, where the status asks for exactly that (307, 308), the host is the same, and TLS is not
    /// given up: the body may hold a secret. The others ask for a GET, which would bring something else than what was
    /// posted for.
    pub(crate) fn next(
        &mut self,
        method: &Method,
        from: &Target,
        status: StatusCode,
        headers: &HeaderMap,
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
            .and_then(|location| from.join(location).map_err(|error| error.to_string()))
            .map_err(|reason| failed(format!("failed to parse Location header: {reason}")))?;
        self.requests += 1;
        let host = target.host.hostname().to_ascii_lowercase();
        self.left |= !is_domain_or_subdomain(&host, &self.origin);
        let gives_up_tls =
            from.host.scheme() == Scheme::Https && target.host.scheme() != Scheme::Https;
        if *method == Method::POST && (self.left || gives_up_tls) {
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

/// As in Go: an address is nobody's subdomain. Both names are empty on a unix socket, which no
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
    fn a_body_stays_within_its_host_and_its_tls() {
        let target = |url| Target::of_url(crate::Url::parse(url).unwrap()).unwrap();
        for (from, location, followed) in [
            ("https://a/", "/next", true),
            ("https://a/", "https://a:8443/", true),
            ("http://a/", "https://a/", true),
            ("https://a/", "http://a/", false),
            ("https://a/", "https://b/", false),
        ] {
            let from = target(from);
            let headers = HeaderMap::from_iter([(LOCATION, location.parse().unwrap())]);
            let next = |method| {
                let mut chain = Chain::new(&from.host);
                chain.next(&method, &from, StatusCode::TEMPORARY_REDIRECT, &headers).unwrap()
            };
            assert_eq!(next(Method::POST).is_some(), followed, "{from} {location}");
            assert_eq!(next(Method::GET), Some(from.join(location).unwrap()));
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
