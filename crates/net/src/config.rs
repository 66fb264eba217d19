//! `http_config`: what a client is built from. Checked; nothing here is as the user wrote it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use http::{HeaderName, HeaderValue};
use swarmscout_model::Secret;

pub use crate::proxy::ProxyConfig;
use crate::{Secrets, Url};

/// How to talk to an HTTP server. Equal values make equal clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// At most one kind of credentials.
    pub auth: Option<Auth>,
    /// `http_headers`, in the order in which they are sent.
    pub headers: Vec<Header>,
    /// `proxy_url` and its relatives.
    pub proxy: ProxyConfig,
    /// TLS options; they matter for `https` only.
    pub tls: TlsConfig,
    /// Whether a redirect is followed. Default true.
    pub follow_redirects: bool,
    /// Whether HTTP/2 may be negotiated over TLS. Default true.
    pub enable_http2: bool,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            auth: None,
            headers: Vec::new(),
            proxy: ProxyConfig::default(),
            tls: TlsConfig::default(),
            follow_redirects: true,
            enable_http2: true,
        }
    }
}

impl HttpConfig {
    /// Every file that a request needs, with what it holds: `("CA", "/etc/ca.pem")`.
    pub fn files(&self) -> Vec<(&'static str, &Path)> {
        let secrets = match &self.auth {
            Some(Auth::Basic { username, password }) => {
                vec![("basic_auth username", username), ("basic_auth password", password)]
            }
            Some(Auth::Header { credentials, .. }) => {
                vec![("authorization credentials or bearer token", credentials)]
            }
            Some(Auth::OAuth2(oauth2)) => vec![match &oauth2.grant {
                Grant::ClientCredentials { secret } => ("oauth2 client_secret", secret),
                Grant::JwtBearer(jwt) => ("oauth2 client_certificate_key", &jwt.key),
            }],
            None => Vec::new(),
        };
        let secrets = secrets.into_iter().filter_map(|(what, source)| match source {
            SecretSource::File(path) => Some((what, path.as_path())),
            SecretSource::Inline(_) => None,
        });
        let headers = self.headers.iter().filter_map(|header| match &header.value {
            HeaderSource::File(path) => Some(("http_headers", path.as_path())),
            _ => None,
        });
        let of_oauth2 = match &self.auth {
            Some(Auth::OAuth2(oauth2)) => Some(oauth2.tls.files()),
            _ => None,
        };
        let of_oauth2 = of_oauth2.into_iter().flatten();
        secrets.chain(headers).chain(self.tls.files()).chain(of_oauth2).collect()
    }
}

impl HttpConfig {
    /// Hides what stands in the configuration. What stands in files is learned when it is read.
    pub fn keep_secrets(&self, secrets: &Secrets) {
        let keep = |source: &SecretSource| match source {
            SecretSource::Inline(secret) => secrets.keep(secret.expose()),
            SecretSource::File(_) => {}
        };
        match &self.auth {
            Some(Auth::Basic { password, .. }) => keep(password),
            Some(Auth::Header { credentials, .. }) => keep(credentials),
            Some(Auth::OAuth2(oauth2)) => {
                match &oauth2.grant {
                    Grant::ClientCredentials { secret } => keep(secret),
                    Grant::JwtBearer(jwt) => keep(&jwt.key),
                }
                for name in SECRET_PARAMS {
                    secrets.keep(oauth2.endpoint_params.get(name).map_or("", String::as_str));
                }
            }
            None => {}
        }
        for header in &self.headers {
            if let HeaderSource::Secret(value) = &header.value {
                secrets.learn_header(value);
                secrets.keep(&String::from_utf8_lossy(value.as_bytes()));
            }
        }
        self.proxy.keep_secrets(secrets);
    }
}

/// The `endpoint_params` that are secrets (RFC 6749, RFC 7521).
const SECRET_PARAMS: [&str; 6] =
    ["assertion", "client_assertion", "client_secret", "code", "password", "refresh_token"];

impl TlsConfig {
    fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let sources = [("CA", &self.ca), ("certificate", &self.cert), ("key", &self.key)];
        sources.into_iter().filter_map(|(what, source)| match source {
            Some(PemSource::File(path)) => Some((what, path.as_path())),
            _ => None,
        })
    }
}

/// A header that is sent with each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: HeaderName,
    /// Its value.
    pub value: HeaderSource,
}

/// Where the value of a header comes from. What is secret does not show in `Debug`, and stays
/// behind where a redirect leads to another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderSource {
    /// One of `values`.
    Value(HeaderValue),
    /// One of `secrets`, marked as sensitive.
    Secret(HeaderValue),
    /// One of `files`, read for each request, surrounding white space removed.
    File(PathBuf),
}

/// Credentials sent with each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `basic_auth`.
    Basic {
        /// User name.
        username: SecretSource,
        /// Password.
        password: SecretSource,
    },
    /// `authorization`, `bearer_token`, `bearer_token_file`.
    Header {
        /// `Bearer` unless configured.
        scheme: String,
        /// What follows the scheme.
        credentials: SecretSource,
    },
    /// `oauth2`.
    OAuth2(Box<OAuth2>),
}

/// `oauth2`: where tokens come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth2 {
    /// Who asks.
    pub client_id: String,
    /// What is given for a token.
    pub grant: Grant,
    /// What the token is to allow.
    pub scopes: Vec<String>,
    /// Who is asked, by `http` or `https`.
    pub token_url: Url,
    /// More parameters. `grant_type` replaces the usual one; others of the usual ones stay.
    pub endpoint_params: BTreeMap<String, String>,
    /// TLS options for the token server.
    pub tls: TlsConfig,
    /// The proxy on the way to it.
    pub proxy: ProxyConfig,
}

/// The `grant_type` of [`Grant::JwtBearer`]; as in Prometheus, all others are client credentials.
pub const GRANT_TYPE_JWT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// What is given for a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// The client's secret.
    ClientCredentials {
        /// The secret.
        secret: SecretSource,
    },
    /// An assertion that the client signs.
    JwtBearer(JwtBearer),
}

/// How an assertion is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtBearer {
    /// The RSA key that signs, PEM.
    pub key: SecretSource,
    /// Its name; empty for none.
    pub key_id: String,
    /// How it signs.
    pub algorithm: SignatureAlgorithm,
    /// `iss`; empty for the client's ID.
    pub issuer: String,
    /// `aud`; empty for the token URL.
    pub audience: String,
    /// More claims, which may replace the usual ones.
    pub claims: serde_json::Map<String, serde_json::Value>,
}

/// `RS256` to `RS512`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// RSA with SHA-256.
    #[default]
    Rs256,
    /// RSA with SHA-384.
    Rs384,
    /// RSA with SHA-512.
    Rs512,
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// Written in the configuration (may be empty).
    Inline(Secret),
    /// Read from this file for each request, surrounding white space removed.
    File(PathBuf),
}

impl Default for SecretSource {
    fn default() -> Self {
        Self::Inline(Secret::default())
    }
}

/// `tls_config`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// Certificates to trust instead of the system's, PEM.
    pub ca: Option<PemSource>,
    /// Client certificate chain, PEM. With a key or not at all.
    pub cert: Option<PemSource>,
    /// Key of the client certificate, PEM.
    pub key: Option<PemSource>,
    /// Name the server's certificate must have, and SNI, instead of the URL's host.
    pub server_name: Option<String>,
    /// Accept any certificate.
    pub insecure_skip_verify: bool,
    /// Lowest version to accept.
    pub min_version: Option<TlsVersion>,
    /// Highest version to accept.
    pub max_version: Option<TlsVersion>,
}

/// Where a certificate or key comes from. Files are read again when they changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PemSource {
    /// Written in the configuration.
    Inline(Secret),
    /// A file.
    File(PathBuf),
}

/// `TLS10` to `TLS13`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.0: accepted in a file, refused by rustls when the client is built.
    Tls10,
    /// TLS 1.1: as 1.0.
    Tls11,
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}
