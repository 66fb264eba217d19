//! From `http_config` to what a client is made from, for those that are made.
//!
//! Prometheus finds out at the first request that a proxy's URL or a header cannot be used, or goes
//! around a proxy that it does not understand. Here the file is refused: a source that went around
//! its proxy, or that can never get an answer, would be worse than none.

use swarmscout_model::Secret;
use swarmscout_model::quote::Quoted;
use swarmscout_net::config::{
    Auth, GRANT_TYPE_JWT, Grant, Header, JwtBearer, OAuth2, PemSource, ProxyConfig, SecretSource,
    SignatureAlgorithm, TlsConfig,
};
use swarmscout_net::{Error, HttpConfig, Request, Url};

use super::check::reserved_header;
use super::keys::{HeaderKeys, HttpKeys, OAuth2Keys, ProxyKeys, TlsKeys};
use crate::{Cx, FilePath};

impl HttpKeys {
    /// Checks the keys of a source, and makes the configuration of its client.
    pub fn client(&mut self, cx: &mut Cx<'_>) -> HttpConfig {
        self.check(cx);
        HttpConfig {
            auth: auth(self, cx),
            headers: cx.within("http_headers", |cx| headers(self, cx)),
            proxy: proxy(&self.proxy, cx),
            tls: tls(&self.tls_config),
            follow_redirects: self.follow_redirects,
            enable_http2: self.enable_http2,
        }
    }

    /// Warns of options that have no effect with this scheme. `instead` follows: what to write.
    pub fn warn_of_no_effect(
        &self,
        scheme: &str,
        instead: &str,
        http: &HttpConfig,
        cx: &mut Cx<'_>,
    ) {
        let plain = HttpConfig::default();
        let auth = ["basic_auth", "authorization", "oauth2", "bearer_token", "bearer_token_file"];
        let effectless = [
            (http.auth != plain.auth, &auth[..]),
            (http.tls != plain.tls, &["tls_config"][..]),
            (http.headers != plain.headers, &["http_headers"][..]),
            (http.proxy != plain.proxy, &["proxy_url", "proxy_from_environment"][..]),
        ];
        for (set, keys) in effectless {
            let place = keys.iter().find_map(|key| Some((*key, self.at.find(key)?)));
            if let (true, Some((option, place))) = (set, place) {
                cx.warn(place, format!("{option} has no effect on {scheme}://{instead}"));
            }
        }
    }
}

fn auth(http: &HttpKeys, cx: &mut Cx<'_>) -> Option<Auth> {
    if let Some(basic) = &http.basic_auth {
        let username = Secret::new(basic.username.clone());
        return Some(Auth::Basic {
            username: secret(&username, &basic.username_file),
            password: secret(&basic.password, &basic.password_file),
        });
    }
    if let Some(raw) = &http.oauth2 {
        let oauth2 = cx.within("oauth2", |cx| oauth2(raw, cx));
        return oauth2.map(|oauth2| Auth::OAuth2(Box::new(oauth2)));
    }
    http.authorization.as_ref().map(|authorization| Auth::Header {
        scheme: authorization.r#type.clone(),
        credentials: secret(&authorization.credentials, &authorization.credentials_file),
    })
}

/// `None` if the token URL is not valid, which is noted.
fn oauth2(oauth2: &OAuth2Keys, cx: &mut Cx<'_>) -> Option<OAuth2> {
    let at = &oauth2.at;
    let by_jwt = oauth2.grant_type == GRANT_TYPE_JWT;
    for (parameter, taken) in [("scope", !oauth2.scopes.is_empty()), ("assertion", by_jwt)] {
        if taken && oauth2.endpoint_params.contains_key(parameter) {
            cx.within("endpoint_params", |cx| {
                let text = format!("oauth2: cannot overwrite parameter {}", Quoted(parameter));
                cx.within(parameter, |cx| cx.error_here(text));
            });
        }
    }
    let key = secret(&oauth2.client_certificate_key, &oauth2.client_certificate_key_file);
    let grant = if by_jwt {
        if key == SecretSource::default() && !at.any_failed() {
            let text =
                "oauth2 client_certificate_key or client_certificate_key_file must be configured";
            cx.error(at.key("client_certificate_key"), text);
        }
        Grant::JwtBearer(JwtBearer {
            key,
            key_id: oauth2.client_certificate_key_id.clone(),
            algorithm: match oauth2.signature_algorithm.as_str() {
                "RS384" => SignatureAlgorithm::Rs384,
                "RS512" => SignatureAlgorithm::Rs512,
                _ => SignatureAlgorithm::Rs256,
            },
            issuer: oauth2.iss.clone(),
            audience: oauth2.audience.clone(),
            claims: oauth2.claims.iter().map(|(name, any)| (name.clone(), any.to_json())).collect(),
        })
    } else {
        let secret = secret(&oauth2.client_secret, &oauth2.client_secret_file);
        Grant::ClientCredentials { secret }
    };
    let proxy = proxy(&oauth2.proxy, cx);
    let token_url = &oauth2.token_url.0;
    // An empty one was noted as missing.
    if token_url.is_empty() {
        return None;
    }
    match Request::new(token_url).and_then(|_| Url::parse(token_url)) {
        Ok(token_url) => Some(OAuth2 {
            client_id: oauth2.client_id.clone(),
            grant,
            scopes: oauth2.scopes.clone(),
            token_url,
            endpoint_params: oauth2.endpoint_params.clone(),
            tls: tls(&oauth2.tls_config),
            proxy,
        }),
        Err(error) => {
            cx.within("token_url", |cx| cx.error(at.key("token_url"), error));
            None
        }
    }
}

/// In the order of the names; for each name as Prometheus has it: values, secrets, files.
fn headers(http: &HttpKeys, cx: &mut Cx<'_>) -> Vec<Header> {
    let mut headers = Vec::new();
    for (name, HeaderKeys { values, secrets, files, .. }) in &http.http_headers {
        if reserved_header(name).is_some() {
            continue;
        }
        let values = values.iter().map(|value| Header::value(name, value));
        let secrets = secrets.iter().map(|secret| Header::secret(name, secret));
        let files = files.iter().map(|file| Header::file(name, &file.0));
        match values.chain(secrets).chain(files).collect::<Result<Vec<_>, _>>() {
            Ok(more) => headers.extend(more),
            Err(error) => cx.within(name, |cx| cx.error_here(error)),
        }
    }
    headers
}

fn proxy(proxy: &ProxyKeys, cx: &mut Cx<'_>) -> ProxyConfig {
    usable_proxy(proxy, cx.options.env).unwrap_or_else(|(key, error)| {
        cx.within(key, |cx| cx.error(proxy.at.key(key), error));
        ProxyConfig::default()
    })
}

/// An error is about the key that comes with it.
fn usable_proxy(
    proxy: &ProxyKeys,
    env: fn(&str) -> Option<String>,
) -> Result<ProxyConfig, (&'static str, Error)> {
    let of = |key| move |error| (key, error);
    let mut config = match &proxy.proxy_url {
        _ if proxy.proxy_from_environment => {
            ProxyConfig::from_environment(env).map_err(of("proxy_from_environment"))?
        }
        Some(url) if !url.to_string().is_empty() => {
            ProxyConfig::new(url).map_err(of("proxy_url"))?
        }
        _ => return Ok(ProxyConfig::default()),
    };
    if !proxy.no_proxy.is_empty() {
        config.except(&proxy.no_proxy).map_err(of("no_proxy"))?;
    }
    for (name, values) in &proxy.proxy_connect_header {
        for value in values {
            config.connect_header(name, value).map_err(of("proxy_connect_header"))?;
        }
    }
    Ok(config)
}

fn tls(tls: &TlsKeys) -> TlsConfig {
    TlsConfig {
        ca: pem(&Secret::new(tls.ca.clone()), &tls.ca_file),
        cert: pem(&Secret::new(tls.cert.clone()), &tls.cert_file),
        key: pem(&tls.key, &tls.key_file),
        server_name: (!tls.server_name.is_empty()).then(|| tls.server_name.clone()),
        insecure_skip_verify: tls.insecure_skip_verify,
        min_version: tls.min_version,
        max_version: tls.max_version,
    }
}

fn secret(inline: &Secret, file: &FilePath) -> SecretSource {
    if file.0.is_empty() {
        SecretSource::Inline(inline.clone())
    } else {
        SecretSource::File(file.0.clone().into())
    }
}

fn pem(inline: &Secret, file: &FilePath) -> Option<PemSource> {
    match (file.0.is_empty(), inline.is_empty()) {
        (false, _) => Some(PemSource::File(file.0.clone().into())),
        (true, false) => Some(PemSource::Inline(inline.clone())),
        (true, true) => None,
    }
}
