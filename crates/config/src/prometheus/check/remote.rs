//! Where samples are sent to, and read from.

use std::collections::BTreeMap;

use swarmscout_config_decoder::{At, Cx, reserved_header};
use swarmscout_model::NameScheme;

use super::relabel;
use crate::RemoteWrite;
use crate::prometheus::raw;

/// Checks one of `remote_write`.
pub(super) fn write(
    write: &mut raw::RemoteWrite,
    scheme: NameScheme,
    cx: &mut Cx<'_>,
) -> Option<RemoteWrite> {
    let at = write.at.clone();
    if write.url.is_none() && !at.failed("url") {
        cx.error(at.key("url"), "url for remote_write is empty");
    }
    relabel::check(
        &mut write.write_relabel_configs,
        "write_relabel_configs",
        scheme,
        "empty or null relabeling rule in remote write config",
        cx,
    );
    headers(&write.headers, cx);
    let message = write.protobuf_message.as_str();
    if !matches!(message, "prometheus.WriteRequest" | "io.prometheus.write.v2.Request") {
        cx.error(
            at.key("protobuf_message"),
            format!(
                "invalid protobuf_message value: unknown type for remote write protobuf message \
                 {message}, supported: prometheus.WriteRequest, io.prometheus.write.v2.Request"
            ),
        );
    }
    // What `bearer_token` stands for counts as `authorization`.
    write.http.check(cx);
    cx.within("queue_config", |cx| queue(&write.queue_config, &at, cx));
    one_kind_of_credentials(write, &at, cx);
    if let Some(sigv4) = &write.sigv4 {
        cx.within("sigv4", |cx| check_sigv4(sigv4, cx));
    }
    if let Some(azuread) = &mut write.azuread {
        cx.within("azuread", |cx| check_azuread(azuread, cx));
    }
    Some(RemoteWrite { name: write.name.clone(), url: write.url.clone()? })
}

/// Checks one of `remote_read`.
pub(super) fn read(read: &mut raw::RemoteRead, cx: &mut Cx<'_>) {
    let at = read.at.clone();
    if read.url.is_none() && !at.failed("url") {
        cx.error(at.key("url"), "url for remote_read is empty");
    }
    headers(&read.headers, cx);
    read.http.check(cx);
}

fn headers(headers: &BTreeMap<String, String>, cx: &mut Cx<'_>) {
    cx.within("headers", |cx| {
        for name in headers.keys() {
            let text = if name.eq_ignore_ascii_case("authorization") {
                "authorization header must be changed via the basic_auth, authorization, oauth2, \
                 sigv4, azuread or google_iam parameter"
                    .to_owned()
            } else if is_reserved(name) {
                format!("{name} is a reserved header. It must not be changed")
            } else {
                continue;
            };
            cx.within(name, |cx| cx.error_here(text));
        }
    });
}

/// Whether a header belongs to remote write itself: all that `http_headers` may not set either,
/// but for that of scrapes.
pub(super) fn is_reserved(name: &str) -> bool {
    reserved_header(name).is_some_and(|name| name != "X-Prometheus-Scrape-Timeout-Seconds")
}

fn queue(queue: &raw::QueueConfig, outer: &At, cx: &mut Cx<'_>) {
    let place = |key: &str| queue.at.find(key).unwrap_or_else(|| outer.key("queue_config"));
    for (key, value) in [
        ("max_shards", queue.max_shards),
        ("min_shards", queue.min_shards),
        ("max_samples_per_send", queue.max_samples_per_send),
        ("capacity", queue.capacity),
    ] {
        if value <= 0 {
            cx.error(place(key), format!("remote write queue {key} must be positive"));
        }
    }
    if queue.min_shards > queue.max_shards && queue.max_shards > 0 {
        let text = "remote write queue min_shards must not be greater than max_shards";
        cx.error(place("min_shards"), text);
    }
    if queue.max_backoff < queue.min_backoff {
        let text = "remote write queue max_backoff must not be less than min_backoff";
        cx.error(place("max_backoff"), text);
    }
}

fn one_kind_of_credentials(write: &raw::RemoteWrite, at: &At, cx: &mut Cx<'_>) {
    let set: Vec<&str> = [
        ("basic_auth", write.http.basic_auth.is_some()),
        ("authorization", write.http.authorization.is_some()),
        ("oauth2", write.http.oauth2.is_some()),
        ("sigv4", write.sigv4.is_some()),
        ("azuread", write.azuread.is_some()),
        ("google_iam", write.google_iam.is_some()),
    ]
    .into_iter()
    .filter_map(|(key, set)| set.then_some(key))
    .collect();
    if let [_, .., last] = set[..] {
        let set = set.join(" ");
        cx.error(
            at.key(last),
            format!(
                "at most one of basic_auth, authorization, oauth2, sigv4, azuread or google_iam \
                 must be configured. Currently configured: [{set}]"
            ),
        );
    }
}

/// Checks Amazon's signature.
pub(super) fn check_sigv4(sigv4: &raw::SigV4, cx: &mut Cx<'_>) {
    if sigv4.access_key.is_empty() != sigv4.secret_key.is_empty() && !sigv4.at.any_failed() {
        cx.error(
            sigv4.at.section(),
            "must provide a AWS SigV4 Access key and Secret Key if credentials are specified in \
             the SigV4 config",
        );
    }
}

fn check_azuread(azuread: &mut raw::AzureAd, cx: &mut Cx<'_>) {
    let at = azuread.at.clone();
    if azuread.cloud.is_empty() {
        azuread.cloud = "AzurePublic".into();
    }
    if !matches!(azuread.cloud.as_str(), "AzurePublic" | "AzureChina" | "AzureGovernment") {
        cx.error(at.key("cloud"), "must provide a cloud in the Azure AD config");
    }
    let ways = [
        azuread.managed_identity.is_some(),
        azuread.workload_identity.is_some(),
        azuread.oauth.is_some(),
        azuread.sdk.is_some(),
        azuread.certificate.is_some(),
    ];
    match ways.into_iter().filter(|set| *set).count() {
        0 if !at.any_failed() => cx.error(
            at.section(),
            "must provide an Azure Managed Identity, Azure Workload Identity, Azure OAuth, Azure \
             Certificate or Azure SDK in the Azure AD config",
        ),
        0 | 1 => {}
        _ => cx.error(
            at.section(),
            "cannot provide multiple authentication methods in the Azure AD config",
        ),
    }
    let mut way = |what: &str, at: &At, needed: &[(&str, &str)], uuids: &[(&str, &str)]| {
        for (key, value) in needed {
            if value.is_empty() && !at.failed(key) {
                let text = format!("must provide an Azure {what} {key} in the Azure AD config");
                cx.error(at.key(key), text);
            }
        }
        for (key, value) in uuids {
            if !value.is_empty() && !is_uuid(value) {
                cx.error(at.key(key), format!("the provided Azure {what} {key} is invalid"));
            }
        }
    };
    if let Some(way_) = &azuread.managed_identity {
        way("Managed Identity", &way_.at, &[], &[("client_id", &way_.client_id)]);
    }
    if let Some(way_) = &mut azuread.workload_identity {
        let ids = [("client_id", way_.client_id.as_str()), ("tenant_id", &way_.tenant_id)];
        way("Workload Identity", &way_.at, &ids, &ids);
        if way_.token_file_path.is_empty() {
            way_.token_file_path = "/var/run/secrets/azure/tokens/azure-identity-token".into();
        }
    }
    if let Some(way_) = &azuread.oauth {
        // Whether there is a secret matters, not which.
        let secret = if way_.client_secret.is_empty() { "" } else { "set" };
        let needed = [
            ("client_id", way_.client_id.as_str()),
            ("client_secret", secret),
            ("tenant_id", &way_.tenant_id),
        ];
        way("OAuth", &way_.at, &needed, &[("client_id", &way_.client_id)]);
    }
    if let Some(way_) = &azuread.certificate {
        let needed = [
            ("client_id", way_.client_id.as_str()),
            ("tenant_id", &way_.tenant_id),
            ("certificate_path", &way_.certificate_path),
        ];
        way("Certificate", &way_.at, &needed, &[("client_id", &way_.client_id)]);
    }
    let in_scope =
        |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "_:/.-".contains(c);
    if !azuread.scope.chars().all(in_scope) {
        cx.error(at.key("scope"), "the provided scope contains invalid characters");
    }
}

/// The forms that Go's `uuid.Parse` takes: plain, in braces, as a URN, without dashes.
fn is_uuid(text: &str) -> bool {
    let text = text.strip_prefix("urn:uuid:").unwrap_or(text);
    let text = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let dash = |i: usize| matches!(i, 8 | 13 | 18 | 23);
    match text.len() {
        32 => text.bytes().all(|b| b.is_ascii_hexdigit()),
        36 => text
            .bytes()
            .enumerate()
            .all(|(i, b)| if dash(i) { b == b'-' } else { b.is_ascii_hexdigit() }),
        _ => false,
    }
}
