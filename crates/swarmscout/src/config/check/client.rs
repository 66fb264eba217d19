//! From `http_config` to what a client is made from, for those that are made.
//!
//! Prometheus finds out at the first request that a proxy's URL or a header cannot be used, or goes
//! around a proxy that it does not understand. Here the file is refused: a source that went around
//! its proxy, or that can never get an answer, would be worse than none.

use swarmscout_model::Secret;
use swarmscout_net::config::{Auth, Header, PemSource, ProxyConfig, SecretSource, TlsConfig};
use swarmscout_net::{Error, HttpConfig};

use super::{NOT_YET, http};
use crate::config::decode::{Cx, FilePath};
use crate::config::raw;

/// Checks the keys of a source, and makes of them what its client is made from.
pub(super) fn of_source(http: &mut raw::HttpClient, cx: &mut Cx<'_>) -> HttpConfig {
    http::check(http, cx);
    if http.oauth2.is_some() {
        cx.within("oauth2", |cx| cx.error(http.at.key("oauth2"), NOT_YET));
    }
    HttpConfig {
        auth: auth(http),
        headers: cx.within("http_headers", |cx| headers(http, cx)),
        proxy: proxy(&http.proxy, cx),
        tls: tls(&http.tls_config),
        follow_redirects: http.follow_redirects,
        enable_http2: http.enable_http2,
    }
}

fn auth(http: &raw::HttpClient) -> Option<Auth> {
    if let Some(basic) = &http.basic_auth {
        let username = Secret::new(basic.username.clone());
        return Some(Auth::Basic {
            username: secret(&username, &basic.username_file),
            password: secret(&basic.password, &basic.password_file),
        });
    }
    http.authorization.as_ref().map(|authorization| Auth::Header {
        scheme: authorization.r#type.clone(),
        credentials: secret(&authorization.credentials, &authorization.credentials_file),
    })
}

/// In the order of the names; for each name as Prometheus has it: values, secrets, files.
fn headers(http: &raw::HttpClient, cx: &mut Cx<'_>) -> Vec<Header> {
    let mut headers = Vec::new();
    for (name, raw::Header { values, secrets, files, .. }) in &http.http_headers {
        if http::reserved_header(name).is_some() {
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

fn proxy(proxy: &raw::Proxy, cx: &mut Cx<'_>) -> ProxyConfig {
    usable_proxy(proxy, cx.options.env).unwrap_or_else(|(key, error)| {
        cx.within(key, |cx| cx.error(proxy.at.key(key), error));
        ProxyConfig::default()
    })
}

/// An error is about the key that comes with it.
fn usable_proxy(
    proxy: &raw::Proxy,
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

fn tls(tls: &raw::TlsConfig) -> TlsConfig {
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
