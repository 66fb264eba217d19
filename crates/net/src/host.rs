//! Docker hosts: `unix:///var/run/docker.sock`, `tcp://manager:2375`, `http://…`, `https://…`.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{Error, Url};

/// How a [`Host`] is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// HTTP over a unix socket. Credentials and TLS options have no effect.
    Unix,
    /// Plain HTTP; credentials and TLS options have no effect, as in Prometheus.
    Tcp,
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// As it is written in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unix => "unix",
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Whether `http_config` has an effect (Prometheus: for `http` and `https` only).
    pub const fn takes_http_config(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }
}

/// Where a server listens, as Docker and Prometheus write it. `Display` and `Debug` show `xxxxx` in
/// place of a password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Host(Kind);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Kind {
    Socket(PathBuf),
    Server(Scheme, Url),
}

impl Host {
    /// Reads `unix:///path`, `tcp://h:p`, `http://h:p` or `https://h:p`. A path after the port is
    /// a prefix of every request's path.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |reason: &str| {
            Err(Error::Url { url: crate::url::redact(text), reason: reason.to_owned() })
        };
        if let Some((scheme, rest)) = text.split_once(':')
            && scheme.eq_ignore_ascii_case("unix")
        {
            // What stands before an @ may be a password.
            let path = rest.trim_start_matches('/');
            let path = if path.contains('@') { "var/run/docker.sock" } else { path };
            return match text.strip_prefix("unix://") {
                None => refuse(&format!(
                    "write unix:///{path}, in small letters and with three slashes"
                )),
                Some("") => {
                    refuse("path of the socket is missing, as in unix:///var/run/docker.sock")
                }
                Some(path) if path.contains('\0') => refuse("invalid control character in path"),
                Some(relative) if !relative.starts_with('/') => {
                    refuse(&format!("the path must be absolute: write unix:///{path}"))
                }
                Some(path) => Ok(Self::socket(path)),
            };
        }
        if text.starts_with("npipe://") {
            return refuse("named pipes exist on Windows only: use tcp:// or https://");
        }
        Self::of_url(Url::parse(text)?)
    }

    pub(crate) fn of_url(url: Url) -> Result<Self, Error> {
        let refuse =
            |reason: &str| Err(Error::Url { url: url.to_string(), reason: reason.to_owned() });
        let scheme = match url.scheme() {
            "tcp" => Scheme::Tcp,
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return refuse("host must start with unix://, tcp://, http:// or https://"),
        };
        if url.hostname().is_empty() {
            return refuse("host is missing in URL");
        }
        if !url.hostname().is_ascii() {
            return refuse("host name is not ASCII: write it in its xn-- form");
        }
        if url.port().is_some_and(|port| port.parse::<u16>().is_err()) {
            return refuse("port is not between 0 and 65535");
        }
        Ok(Self(Kind::Server(scheme, url)))
    }

    /// The server behind a unix socket.
    pub fn socket(path: impl Into<PathBuf>) -> Self {
        Self(Kind::Socket(path.into()))
    }

    /// How it is spoken to.
    pub fn scheme(&self) -> Scheme {
        match &self.0 {
            Kind::Socket(_) => Scheme::Unix,
            Kind::Server(scheme, _) => *scheme,
        }
    }

    /// Path of the unix socket, where it is one.
    pub fn socket_path(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Socket(path) => Some(path),
            Kind::Server(..) => None,
        }
    }

    /// Host name or address, IPv6 without brackets; empty for a unix socket.
    pub fn hostname(&self) -> &str {
        match &self.0 {
            Kind::Socket(_) => "",
            Kind::Server(_, url) => url.hostname(),
        }
    }

    /// The port, written or implied (80 or, for `https`, 443); `None` for a unix socket.
    pub fn port(&self) -> Option<u16> {
        match &self.0 {
            Kind::Socket(_) => None,
            Kind::Server(scheme, url) => {
                let implied = if *scheme == Scheme::Https { 443 } else { 80 };
                Some(url.port().and_then(|port| port.parse().ok()).unwrap_or(implied))
            }
        }
    }

    /// Host and port as they stand in errors, or the path of the socket.
    pub fn address(&self) -> String {
        match &self.0 {
            Kind::Socket(path) => path.display().to_string(),
            Kind::Server(_, url) => url.host().trim_end_matches(':').to_owned(),
        }
    }

    pub(crate) fn url(&self) -> Option<&Url> {
        match &self.0 {
            Kind::Socket(_) => None,
            Kind::Server(_, url) => Some(url),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Socket(path) => write!(f, "unix://{}", path.display()),
            Kind::Server(_, url) => url.fmt(f),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
