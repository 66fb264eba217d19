//! Which proxy a request goes through, by the rules of Go (`net/http`,
//! `golang.org/x/net/http/httpproxy`) and prometheus/common.

mod no_proxy;
#[cfg(test)]
mod tests;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, StatusCode};
use swarmscout_model::Secret;
use zeroize::Zeroizing;

use self::no_proxy::NoProxy;
use crate::headers::{header_name, header_value};
use crate::{Error, Secrets, Url, UserInfo};

/// `proxy_url` and its relatives. By default no proxy is used. No secret shows in its `Debug`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyConfig {
    /// For `http://`.
    http: Option<Proxy>,
    /// For `https://`.
    https: Option<Proxy>,
    /// `None`: nothing is excepted, not even this machine.
    except: Option<NoProxy>,
    /// `proxy_connect_header`.
    connect_headers: HeaderMap,
}

/// A proxy. `Display` shows it without its user.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) kind: Kind,
    /// IPv6 without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: Option<UserInfo>,
}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// HTTP: absolute URLs for `http://`, CONNECT for `https://`.
    Http,
    /// The same, over TLS.
    Https,
    /// SOCKS 5. As in Go, the proxy resolves names whether `socks5` or `socks5h` is written.
    Socks(&'static str),
}

impl ProxyConfig {
    /// `proxy_url`: one proxy for everything, this machine itself included.
    pub fn new(url: &Url) -> Result<Self, Error> {
        let proxy = Proxy::of_url(url)?;
        Ok(Self { http: Some(proxy.clone()), https: Some(proxy), ..Self::default() })
    }

    /// `no_proxy`. As in Prometheus, a list that is not empty excepts this machine itself as well:
    /// `localhost`, 127.0.0.0/8 and `::1`.
    pub fn except(&mut self, no_proxy: &str) -> Result<(), Error> {
        self.except = match no_proxy {
            "" => None,
            list => Some(NoProxy::parse(list)?),
        };
        Ok(())
    }

    /// `proxy_from_environment`: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, or in small letters,
    /// which come first. A proxy may be written without a scheme.
    ///
    /// Go goes around a proxy that it cannot make sense of; here it is an error, and so is
    /// `HTTP_PROXY` beside `REQUEST_METHOD`, which under CGI is a header of the request (Go refuses
    /// each request).
    pub fn from_environment(get: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let set = |name: &str| get(name).filter(|value| !value.is_empty());
        let get =
            |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, set(name)?)));
        let proxy = |names| {
            let Some((variable, text)) = get(names) else { return Ok(None) };
            let unusable =
                |error: Error| Error::Environment { variable, reason: error.to_string() };
            Proxy::parse(&text).map(Some).map_err(unusable)
        };
        let http = proxy(["http_proxy", "HTTP_PROXY"])?;
        if http.is_some() && set("REQUEST_METHOD").is_some() {
            let reason = "REQUEST_METHOD is set, as under CGI, where anybody can set it".to_owned();
            return Err(Error::Environment { variable: "HTTP_PROXY", reason });
        }
        let https = proxy(["https_proxy", "HTTPS_PROXY"])?;
        let except = match get(["no_proxy", "NO_PROXY"]) {
            None => NoProxy::default(),
            Some((variable, list)) => NoProxy::parse(&list)
                .map_err(|error| Error::Environment { variable, reason: error.to_string() })?,
        };
        Ok(Self { http, https, except: Some(except), ..Self::default() })
    }

    /// Adds a header to each CONNECT.
    pub fn connect_header(&mut self, name: &str, value: &Secret) -> Result<(), Error> {
        let (name, mut value) = (header_name(name)?, header_value(name, value.expose())?);
        value.set_sensitive(true);
        self.connect_headers.append(name, value);
        Ok(())
    }

    /// Hides users' passwords and headers.
    pub(crate) fn keep_secrets(&self, secrets: &Secrets) {
        for proxy in self.http.iter().chain(&self.https) {
            proxy.user.iter().for_each(|user| secrets.keep_user(user));
            proxy.authorization().iter().for_each(|value| secrets.learn_header(value));
        }
        for value in self.connect_headers.values() {
            secrets.keep(&String::from_utf8_lossy(value.as_bytes()));
        }
    }

    /// The proxy on the way to `host` (an IPv6 address without brackets), if there is one.
    pub(crate) fn of(&self, https: bool, host: &str, port: u16) -> Option<&Proxy> {
        let proxy = if https { &self.https } else { &self.http };
        proxy.as_ref().filter(|_| !self.except.as_ref().is_some_and(|list| list.has(host, port)))
    }

    /// Headers of a CONNECT, but for those that belong to the proxy.
    pub(crate) const fn connect_headers(&self) -> &HeaderMap {
        &self.connect_headers
    }
}

impl Proxy {
    /// Reads a proxy as the environment has it: `http://` may be missing.
    fn parse(text: &str) -> Result<Self, Error> {
        if text.contains("://") {
            return Self::of_url(&Url::parse(text)?);
        }
        Self::of_url(&Url::parse(&format!("http://{text}"))?)
    }

    fn of_url(url: &Url) -> Result<Self, Error> {
        let refuse =
            |reason: &str| Err(Error::Url { url: url.to_string(), reason: reason.to_owned() });
        let (kind, implied) = match url.scheme() {
            "http" => (Kind::Http, 80),
            "https" => (Kind::Https, 443),
            "socks5" => (Kind::Socks("socks5"), 1080),
            "socks5h" => (Kind::Socks("socks5h"), 1080),
            _ => {
                return refuse(
                    "the URL of a proxy starts with http://, https://, socks5:// or socks5h://",
                );
            }
        };
        if url.hostname().is_empty() {
            return refuse("host is missing in URL");
        }
        if !url.hostname().is_ascii() {
            return refuse("host name is not ASCII: write it in its xn-- form");
        }
        let Ok(port) = url.port().map_or(Ok(implied), str::parse) else {
            return refuse("port is not between 0 and 65535");
        };
        Ok(Self { kind, host: url.hostname().to_owned(), port, user: url.user().cloned() })
    }

    /// Whether it is spoken to over TLS.
    pub(crate) fn is_over_tls(&self) -> bool {
        self.kind == Kind::Https
    }

    /// Whether it takes requests for `http://` as they are, with absolute URLs.
    pub(crate) fn is_http(&self) -> bool {
        !matches!(self.kind, Kind::Socks(_))
    }

    /// What `Proxy-Authorization` says, where the URL has a user.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let user = self.user.as_ref()?;
        let password = user.password.as_ref().map_or("", Secret::expose);
        let pair = Zeroizing::new(format!("{}:{password}", user.username));
        let encoded = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        let mut value = HeaderValue::from_str(&encoded).expect("base64 is plain text");
        value.set_sensitive(true);
        Some(value)
    }

    /// The words for a refusal of the proxy itself.
    pub(crate) fn refusal(&self, status: StatusCode) -> String {
        // tinyproxy says 401 to a wrong password.
        let about_user =
            matches!(status, StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED);
        let hint = match &self.user {
            _ if !about_user => "",
            None => ": write user and password into the proxy's URL",
            Some(_) => ": are user and password in the proxy's URL right?",
        };
        format!("{status}{hint}")
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, host, port, .. } = self;
        let scheme = match kind {
            Kind::Http => "http",
            Kind::Https => "https",
            Kind::Socks(scheme) => scheme,
        };
        write!(f, "{scheme}://{}", authority(host, *port))
    }
}

/// `host:port`, with brackets around an IPv6 address.
pub(crate) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
