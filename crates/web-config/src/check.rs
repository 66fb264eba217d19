//! The rules of the file: those of exporter-toolkit, and that nothing in it only seems to protect.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use swarmscout_config_decoder::Cx;
use swarmscout_model::Secret;
use swarmscout_model::quote::Quoted;

use crate::raw::{AuthorizationSection, File, HttpServerKeys, RateLimitKeys};
use crate::tls::{self, ClientAuth};
use crate::{Authorization, PasswordHash, Principal, RateLimit, Right, WebConfig};

/// The headers that may be set, each with its values; none: any value.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// Checks what was written.
pub(crate) fn check(file: &File, cx: &mut Cx<'_>) -> WebConfig {
    let tls = cx.within("tls_server_config", |cx| tls::check(&file.tls_server_config, cx));
    let http = &file.http_server_config;
    let headers = cx.within("http_server_config", |cx| headers(http, cx));
    let rate_limit = cx.within("rate_limit", |cx| rate_limit(&file.rate_limit, cx));
    let users = cx.within("basic_auth_users", |cx| users(&file.basic_auth_users, cx));
    let authorization = file.authorization.as_ref();
    let authorization =
        authorization.map(|section| cx.within("authorization", |cx| authorize(section, file, cx)));
    WebConfig { tls, http2: http.http2, headers, users, rate_limit, authorization }
}

fn users(written: &BTreeMap<String, Secret>, cx: &mut Cx<'_>) -> BTreeMap<String, PasswordHash> {
    let mut users = BTreeMap::new();
    for (name, hash) in written {
        cx.within(name, |cx| {
            if name.is_empty() || name.contains(':') {
                cx.error_here("a user name cannot be empty or contain a colon");
            }
            match PasswordHash::parse(hash.expose()) {
                Ok(hash) => {
                    if let Some(warning) = hash.warning() {
                        cx.warn_here(warning);
                    }
                    users.insert(name.clone(), hash);
                }
                Err(reason) => cx.error_here(reason),
            }
        });
    }
    users
}

fn headers(http: &HttpServerKeys, cx: &mut Cx<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    cx.within("headers", |cx| {
        for (name, value) in &http.headers {
            match header(name, value) {
                Ok(header) => headers.extend(header),
                Err(reason) => cx.within(name, |cx| cx.error_here(reason)),
            }
        }
    });
    headers
}

/// `None` if the header is not to be set.
fn header(name: &str, value: &str) -> Result<Option<(HeaderName, HeaderValue)>, String> {
    let Some((_, allowed)) = HEADERS.iter().find(|(known, _)| *known == name) else {
        let known = HEADERS.map(|(known, _)| known).join(", ");
        return Err(format!("HTTP header {} can not be configured: only {known}", Quoted(name)));
    };
    if value.is_empty() {
        return Ok(None);
    }
    if !allowed.is_empty() && !allowed.contains(&value) {
        let (expected, got) = (allowed.join(" or "), Quoted(value));
        return Err(format!("invalid value for {name}: expected {expected}, but got {got}"));
    }
    let parsed = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
    parsed.map(Some).ok_or_else(|| format!("{} cannot be the value of a header", Quoted(value)))
}

fn rate_limit(keys: &RateLimitKeys, cx: &mut Cx<'_>) -> Option<RateLimit> {
    let interval = keys.interval.0;
    if keys.at.has("burst") && !keys.at.has("interval") {
        let text = "interval is missing, so that nothing would be limited: write the time after \
            which one more request is allowed, as 10ms";
        cx.error(keys.at.key("burst"), text);
        return None;
    }
    if keys.at.any_failed() || interval.is_zero() {
        return None;
    }
    if let Ok(burst @ 1..) = u32::try_from(keys.burst) {
        return Some(RateLimit { interval, burst });
    }
    let text = format!("burst must be 1 to {}: with less, no request is answered", u32::MAX);
    cx.error(keys.at.key("burst"), text);
    None
}

fn authorize(section: &AuthorizationSection, file: &File, cx: &mut Cx<'_>) -> Authorization {
    let mut rights = BTreeMap::new();
    for (key, right, written) in [
        ("lists", Right::Lists, &section.lists),
        ("metrics", Right::Metrics, &section.metrics),
        ("nodes", Right::Nodes, &section.nodes),
        ("read", Right::Read, &section.read),
        ("change", Right::Change, &section.change),
        ("health", Right::Health, &section.health),
    ] {
        let Some(written) = written else { continue };
        let mut principals = Vec::new();
        cx.within(key, |cx| {
            for (i, text) in written.iter().enumerate() {
                let principal = Principal::parse(text).ok_or_else(|| {
                    let text = Quoted(text);
                    format!("{text} is not anyone, any, user:NAME or cert:NAME")
                });
                match principal.and_then(|principal| can_exist(principal, file)) {
                    Ok(principal) => principals.push(principal),
                    Err(reason) => cx.item(i, |cx| cx.error_here(reason)),
                }
            }
        });
        rights.insert(right, principals);
    }
    Authorization(rights)
}

/// A principal that no client can be is a mistake.
fn can_exist(principal: Principal, file: &File) -> Result<Principal, String> {
    let auth = ClientAuth::parse(&file.tls_server_config.client_auth_type);
    let verifies = auth.is_some_and(ClientAuth::verifies);
    let users = &file.basic_auth_users;
    match &principal {
        Principal::User(name) if !users.contains_key(name) => {
            Err(format!("there is no user {} in basic_auth_users", Quoted(name)))
        }
        Principal::Certificate(_) if !verifies => {
            Err("client certificates are not verified: set tls_server_config.client_auth_type to \
             VerifyClientCertIfGiven or RequireAndVerifyClientCert"
                .to_owned())
        }
        Principal::Any if !verifies && users.is_empty() => Err(
            "there are neither basic_auth_users nor verified client certificates: write anyone if \
             no proof is needed"
                .to_owned(),
        ),
        _ => Ok(principal),
    }
}
