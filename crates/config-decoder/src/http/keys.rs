//! The keys of `http_config`, and of the sections in it.

use std::collections::BTreeMap;

use swarmscout_model::Secret;
use swarmscout_model::yaml::Node;
use swarmscout_net::Url;
use swarmscout_net::config::TlsVersion;

use crate::{Address, Any, Cx, FilePath, Out, Value, section};

section! {
    /// How requests to a server are made. At most one kind of credentials. Files are read again for each
    /// request. In a job itself these keys concern the scrape and are kept until this program
    /// scrapes.
    pub HttpKeys: "config.HTTPClientConfig", "http_config" {
        /// User name and password.
        key basic_auth: Option<BasicAuthKeys> = None;
        /// Any other `Authorization` header.
        key authorization: Option<AuthorizationKeys> = None;
        /// Tokens of OAuth 2.
        key oauth2: Option<OAuth2Keys> = None;
        /// The same as `authorization` with `credentials`.
        key bearer_token: Secret = Secret::default();
        /// The same as `authorization` with `credentials_file`.
        key bearer_token_file: FilePath = FilePath::default();
        /// TLS options, for `https://`.
        key tls_config: TlsKeys = TlsKeys::default();
        /// Follow redirects. Credentials do not go to another host or port, nor from `https` to `http`.
        key follow_redirects: bool = true, always;
        /// Use HTTP/2 where the server offers it over TLS. False for `remote_write`.
        key enable_http2: bool = true, always;
        /// The proxy.
        inline proxy: ProxyKeys = ProxyKeys::default();
        /// More headers, by name. None of those that HTTP or Prometheus need themselves.
        key http_headers: BTreeMap<String, HeaderKeys> = BTreeMap::new();
    }
}

section! {
    /// The proxy on the way to a server.
    pub ProxyKeys: "config.ProxyConfig", "proxy" {
        /// Its URL: `http://`, `https://`, `socks5://` or `socks5h://`, with user and password where
        /// it wants them.
        key proxy_url: Option<Url> = None;
        /// What is reached without it, separated by commas: names with all that lies below them,
        /// addresses, networks, `*`; names and addresses may have a port.
        key no_proxy: String = String::new();
        /// Take it from `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, or the same in small letters.
        key proxy_from_environment: bool = false;
        /// Headers of the CONNECT that asks it for a way to an `https://` server, by name.
        key proxy_connect_header: BTreeMap<String, Vec<Secret>> = BTreeMap::new();
    }
}

section! {
    /// User name and password.
    pub BasicAuthKeys: "config.BasicAuth", "basic_auth" {
        /// User name.
        key username: String = String::new();
        /// A file that holds it.
        key username_file: FilePath = FilePath::default();
        /// Its name in a secret manager, which does not exist here.
        key username_ref: String = String::new(), refused;
        /// Password.
        key password: Secret = Secret::default();
        /// A file that holds it.
        key password_file: FilePath = FilePath::default();
        /// Its name in a secret manager, which does not exist here.
        key password_ref: String = String::new(), refused;
    }
}

section! {
    /// An `Authorization` header.
    pub AuthorizationKeys: "config.Authorization", "authorization" {
        /// Its first word. Not `basic`.
        key r#type: String = String::new(), shown("Bearer");
        /// What follows.
        key credentials: Secret = Secret::default();
        /// A file that holds it.
        key credentials_file: FilePath = FilePath::default();
        /// Its name in a secret manager, which does not exist here.
        key credentials_ref: String = String::new(), refused;
    }
}

section! {
    /// Tokens of OAuth 2. A server that answers 401 gets another one with the next request.
    pub OAuth2Keys: "config.OAuth2", "oauth2" {
        /// Identifier of the client, required.
        key client_id: String = String::new();
        /// Its secret, with `client_credentials`.
        key client_secret: Secret = Secret::default();
        /// A file that holds it.
        key client_secret_file: FilePath = FilePath::default();
        /// Its name in a secret manager, which does not exist here.
        key client_secret_ref: String = String::new(), refused;
        /// Identifier of the key (`kid`).
        key client_certificate_key_id: String = String::new();
        /// RSA key that signs, PEM, with the other grant type.
        key client_certificate_key: Secret = Secret::default();
        /// A file that holds it.
        key client_certificate_key_file: FilePath = FilePath::default();
        /// Its name in a secret manager, which does not exist here.
        key client_certificate_key_ref: String = String::new(), refused;
        /// `client_credentials` or `urn:ietf:params:oauth:grant-type:jwt-bearer`.
        key grant_type: String = String::new(), shown("client_credentials");
        /// `RS256`, `RS384` or `RS512`.
        key signature_algorithm: String = String::new(), shown("RS256");
        /// Issuer of what is signed.
        key iss: String = String::new(), shown("client_id");
        /// Audience of what is signed.
        key audience: String = String::new(), shown("token_url");
        /// More claims; they replace others of the same name.
        key claims: BTreeMap<String, Any> = BTreeMap::new();
        /// What the token is to allow.
        key scopes: Vec<String> = Vec::new();
        /// Where tokens come from, required.
        key token_url: Address = Address::default();
        /// More parameters of the request; `grant_type` may be replaced by one.
        key endpoint_params: BTreeMap<String, String> = BTreeMap::new();
        /// TLS options for the token server.
        key tls_config: TlsKeys = TlsKeys::default();
        /// The proxy on the way to it.
        inline proxy: ProxyKeys = ProxyKeys::default();
    }
}

section! {
    /// A header.
    pub HeaderKeys: "config.Header", "http_header" {
        /// Values.
        key values: Vec<String> = Vec::new();
        /// Values that are not shown, and not sent to another host.
        key secrets: Vec<Secret> = Vec::new();
        /// Files that hold such values.
        key files: Vec<FilePath> = Vec::new();
    }
}

section! {
    /// TLS options. Files are read again when they change.
    pub TlsKeys: "config.TLSConfig", "tls_config" {
        /// Certificates to trust instead of the system's, PEM.
        key ca: String = String::new();
        /// Certificate of the client, PEM.
        key cert: String = String::new();
        /// Its key, PEM.
        key key: Secret = Secret::default();
        /// A file that holds `ca`.
        key ca_file: FilePath = FilePath::default();
        /// A file that holds `cert`.
        key cert_file: FilePath = FilePath::default();
        /// A file that holds `key`.
        key key_file: FilePath = FilePath::default();
        /// Name of `ca` in a secret manager, which does not exist here.
        key ca_ref: String = String::new(), refused;
        /// Name of `cert` in a secret manager, which does not exist here.
        key cert_ref: String = String::new(), refused;
        /// Name of `key` in a secret manager, which does not exist here.
        key key_ref: String = String::new(), refused;
        /// The name that the server's certificate must have, instead of the URL's host.
        key server_name: String = String::new();
        /// Accept any certificate.
        key insecure_skip_verify: bool = false, always;
        /// The lowest version, `TLS10` to `TLS13`. Below `TLS12` no connection is made.
        key min_version: Option<TlsVersion> = None, shown("TLS12");
        /// The highest version.
        key max_version: Option<TlsVersion> = None, shown("TLS13");
    }
}

impl Value for Option<TlsVersion> {
    fn name() -> String {
        "TLS version".into()
    }

    fn zero() -> Self {
        None
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = String::decode(node, cx)?;
        let version = match text.as_str() {
            "TLS10" => TlsVersion::Tls10,
            "TLS11" => TlsVersion::Tls11,
            "TLS12" => TlsVersion::Tls12,
            "TLS13" => TlsVersion::Tls13,
            _ => {
                cx.error(node.at, format!("unknown TLS version: {text}"));
                return None;
            }
        };
        Some(Some(version))
    }

    fn encode(&self) -> Out {
        Out::String(
            match self {
                None => "",
                Some(TlsVersion::Tls10) => "TLS10",
                Some(TlsVersion::Tls11) => "TLS11",
                Some(TlsVersion::Tls12) => "TLS12",
                Some(TlsVersion::Tls13) => "TLS13",
            }
            .into(),
        )
    }

    fn is_empty(&self) -> bool {
        self.is_none()
    }
}
