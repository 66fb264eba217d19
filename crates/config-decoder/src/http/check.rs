//! `http_config`: at most one kind of credentials, certificates with their keys, a proxy that is
//! named once.

use swarmscout_model::quote::Quoted;
use swarmscout_net::config::GRANT_TYPE_JWT;

use super::keys::{AuthorizationKeys, BasicAuthKeys, HttpKeys, OAuth2Keys, ProxyKeys, TlsKeys};
use crate::{At, Cx, at_most_one};

/// Headers that a configuration may not set, as Go writes them.
const RESERVED_HEADERS: [&str; 18] = [
    "Authorization",
    "Host",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "User-Agent",
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Www-Authenticate",
    "Accept-Encoding",
    "X-Prometheus-Remote-Write-Version",
    "X-Prometheus-Remote-Read-Version",
    "X-Prometheus-Scrape-Timeout-Seconds",
    "X-Amz-Date",
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
];

/// The reserved header of this name, in any case.
pub fn reserved_header(name: &str) -> Option<&'static str> {
    RESERVED_HEADERS.into_iter().find(|reserved| reserved.eq_ignore_ascii_case(name))
}

impl HttpKeys {
    /// Checks the keys by Prometheus' rules.
    pub fn check(&mut self, cx: &mut Cx<'_>) {
        credentials(self, cx);
        proxy(&self.proxy, cx);
        cx.within("http_headers", |cx| {
            for name in self.http_headers.keys() {
                if let Some(reserved) = reserved_header(name) {
                    let text = format!("setting header {} is not allowed", Quoted(reserved));
                    cx.within(name, |cx| cx.error_here(text));
                }
            }
        });
        cx.within("tls_config", |cx| self.tls_config.check(cx));
    }
}

/// Prometheus' exclusions; then `bearer_token` becomes the `authorization` that it stands for.
fn credentials(http: &mut HttpKeys, cx: &mut Cx<'_>) {
    let at = &http.at;
    let token = !http.bearer_token.is_empty();
    let token_file = !http.bearer_token_file.0.is_empty();
    at_most_one(
        &[("bearer_token", token), ("bearer_token_file", token_file)],
        at,
        "at most one of bearer_token & bearer_token_file must be configured",
        cx,
    );
    let (basic, oauth2) = (http.basic_auth.is_some(), http.oauth2.is_some());
    let authorization = http.authorization.is_some();
    if (basic || oauth2) && (token || token_file) {
        let key = if token { "bearer_token" } else { "bearer_token_file" };
        let text = "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured";
        cx.error(at.key(key), text);
    }
    if authorization && (token || token_file) {
        let text = "authorization is not compatible with bearer_token & bearer_token_file";
        cx.error(at.key("authorization"), text);
    }
    at_most_one(
        &[("basic_auth", basic), ("oauth2", oauth2), ("authorization", authorization)],
        at,
        "at most one of basic_auth, oauth2 & authorization must be configured",
        cx,
    );
    if let Some(basic) = &http.basic_auth {
        cx.within("basic_auth", |cx| basic_auth(basic, cx));
    }
    if let Some(authorization) = &mut http.authorization {
        cx.within("authorization", |cx| check_authorization(authorization, cx));
    } else if token || token_file {
        http.authorization = Some(AuthorizationKeys {
            at: At::default(),
            r#type: "Bearer".into(),
            credentials: std::mem::take(&mut http.bearer_token),
            credentials_file: std::mem::take(&mut http.bearer_token_file),
            credentials_ref: String::new(),
        });
    }
    if let Some(oauth2) = &http.oauth2 {
        cx.within("oauth2", |cx| check_oauth2(oauth2, cx));
    }
}

fn basic_auth(basic: &BasicAuthKeys, cx: &mut Cx<'_>) {
    at_most_one(
        &[
            ("username", !basic.username.is_empty()),
            ("username_file", !basic.username_file.0.is_empty()),
            ("username_ref", !basic.username_ref.is_empty()),
        ],
        &basic.at,
        "at most one of basic_auth username, username_file & username_ref must be configured",
        cx,
    );
    at_most_one(
        &[
            ("password", !basic.password.is_empty()),
            ("password_file", !basic.password_file.0.is_empty()),
            ("password_ref", !basic.password_ref.is_empty()),
        ],
        &basic.at,
        "at most one of basic_auth password, password_file & password_ref must be configured",
        cx,
    );
    no_ref("username_ref", &basic.username_ref, &basic.at, cx);
    no_ref("password_ref", &basic.password_ref, &basic.at, cx);
}

fn check_authorization(authorization: &mut AuthorizationKeys, cx: &mut Cx<'_>) {
    let at = &authorization.at;
    at_most_one(
        &[
            ("credentials", !authorization.credentials.is_empty()),
            ("credentials_file", !authorization.credentials_file.0.is_empty()),
            ("credentials_ref", !authorization.credentials_ref.is_empty()),
        ],
        at,
        "at most one of authorization credentials & credentials_file must be configured",
        cx,
    );
    let scheme = authorization.r#type.trim();
    if scheme.eq_ignore_ascii_case("basic") {
        let text = "authorization type cannot be set to \"basic\", use \"basic_auth\" instead";
        cx.error(at.key("type"), text);
    }
    no_ref("credentials_ref", &authorization.credentials_ref, at, cx);
    authorization.r#type = if scheme.is_empty() { "Bearer".into() } else { scheme.to_owned() };
}

fn check_oauth2(oauth2: &OAuth2Keys, cx: &mut Cx<'_>) {
    let at = &oauth2.at;
    if oauth2.client_id.is_empty() && !at.failed("client_id") {
        cx.error(at.key("client_id"), "oauth2 client_id must be configured");
    }
    if oauth2.token_url.0.is_empty() && !at.failed("token_url") {
        cx.error(at.key("token_url"), "oauth2 token_url must be configured");
    }
    if oauth2.grant_type == GRANT_TYPE_JWT {
        at_most_one(
            &[
                ("client_certificate_key", !oauth2.client_certificate_key.is_empty()),
                ("client_certificate_key_file", !oauth2.client_certificate_key_file.0.is_empty()),
                ("client_certificate_key_ref", !oauth2.client_certificate_key_ref.is_empty()),
            ],
            at,
            "at most one of oauth2 client_certificate_key, client_certificate_key_file & \
             client_certificate_key_ref must be configured using \
             grant-type=urn:ietf:params:oauth:grant-type:jwt-bearer",
            cx,
        );
        if !matches!(oauth2.signature_algorithm.as_str(), "" | "RS256" | "RS384" | "RS512") {
            let text = "valid signature algorithms are RS256, RS384 and RS512";
            cx.error(at.key("signature_algorithm"), text);
        }
    } else {
        at_most_one(
            &[
                ("client_secret", !oauth2.client_secret.is_empty()),
                ("client_secret_file", !oauth2.client_secret_file.0.is_empty()),
                ("client_secret_ref", !oauth2.client_secret_ref.is_empty()),
            ],
            at,
            "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be \
             configured using grant-type=client_credentials",
            cx,
        );
    }
    no_ref("client_secret_ref", &oauth2.client_secret_ref, at, cx);
    no_ref("client_certificate_key_ref", &oauth2.client_certificate_key_ref, at, cx);
    proxy(&oauth2.proxy, cx);
    cx.within("tls_config", |cx| oauth2.tls_config.check(cx));
}

fn proxy(proxy: &ProxyKeys, cx: &mut Cx<'_>) {
    let at = &proxy.at;
    let has_url = proxy.proxy_url.as_ref().is_some_and(|url| !url.to_string().is_empty());
    let from_environment = proxy.proxy_from_environment;
    if !proxy.proxy_connect_header.is_empty() && !from_environment && !has_url {
        cx.error(
            at.key("proxy_connect_header"),
            "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also \
             be configured",
        );
    }
    if from_environment && has_url {
        let text = "if proxy_from_environment is configured, proxy_url must not be configured";
        cx.error(at.key("proxy_url"), text);
    }
    if from_environment && !proxy.no_proxy.is_empty() {
        let text = "if proxy_from_environment is configured, no_proxy must not be configured";
        cx.error(at.key("no_proxy"), text);
    } else if proxy.proxy_url.is_none() && !at.failed("proxy_url") && !proxy.no_proxy.is_empty() {
        let text = "if no_proxy is configured, proxy_url must also be configured";
        cx.error(at.key("no_proxy"), text);
    }
}

impl TlsKeys {
    /// Checks the keys by Prometheus' rules.
    pub fn check(&self, cx: &mut Cx<'_>) {
        let at = &self.at;
        let ca = [("ca", !self.ca.is_empty()), ("ca_file", !self.ca_file.0.is_empty())];
        let cert = [("cert", !self.cert.is_empty()), ("cert_file", !self.cert_file.0.is_empty())];
        let key = [("key", !self.key.is_empty()), ("key_file", !self.key_file.0.is_empty())];
        let ca = [ca[0], ca[1], ("ca_ref", !self.ca_ref.is_empty())];
        let cert = [cert[0], cert[1], ("cert_ref", !self.cert_ref.is_empty())];
        let key = [key[0], key[1], ("key_ref", !self.key_ref.is_empty())];
        at_most_one(&ca, at, "at most one of ca, ca_file & ca_ref must be configured", cx);
        at_most_one(&cert, at, "at most one of cert, cert_file & cert_ref must be configured", cx);
        at_most_one(&key, at, "at most one of key and key_file must be configured", cx);
        let set =
            |keys: &[(&'static str, bool)]| keys.iter().find(|(_, set)| *set).map(|(key, _)| *key);
        match (set(&cert), set(&key)) {
            (Some(cert), None) if !at.any_failed() => cx.error(
                at.key(cert),
                "exactly one of key or key_file must be configured when a client certificate is \
                 configured",
            ),
            (None, Some(key)) if !at.any_failed() => cx.error(
                at.key(key),
                "exactly one of cert or cert_file must be configured when a client key is configured",
            ),
            _ => {}
        }
        if let (Some(min), Some(max)) = (self.min_version, self.max_version)
            && max < min
        {
            cx.error(
                at.key("max_version"),
                "tls_config.max_version must be greater than or equal to tls_config.min_version if \
                 both are specified",
            );
        }
        no_ref("ca_ref", &self.ca_ref, at, cx);
        no_ref("cert_ref", &self.cert_ref, at, cx);
        no_ref("key_ref", &self.key_ref, at, cx);
    }
}

/// Prometheus knows secret managers as an interface only; no program has one.
fn no_ref(key: &str, value: &str, at: &At, cx: &mut Cx<'_>) {
    if !value.is_empty() {
        let instead = key.trim_end_matches("_ref");
        let text = format!("cannot use secret ref without manager: write {instead}_file instead");
        cx.within(key, |cx| cx.error(at.key(key), text));
    }
}
