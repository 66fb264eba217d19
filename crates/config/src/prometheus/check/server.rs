//! Sections that only a Prometheus server or agent has a use for: checked, because a file that
//! Prometheus refuses is better refused here too, and warned of, because nothing comes of them.

use std::collections::HashSet;

use swarmscout_config_decoder::{Cx, Value};
use swarmscout_model::NameScheme;
use swarmscout_model::quote::Quoted;

use super::{relabel, remote, sd};
use crate::prometheus::raw;

/// Checks all of them.
pub(super) fn check(file: &mut raw::File, scheme: NameScheme, cx: &mut Cx<'_>) {
    let at = file.at.clone();
    let server_only = [
        ("alerting", !file.alerting.is_empty()),
        ("rule_files", !file.rule_files.is_empty()),
        ("remote_read", !file.remote_read.is_empty()),
    ];
    for (key, used) in server_only {
        if used && cx.options.agent {
            cx.error(at.key(key), format!("field {key} is not allowed in agent mode"));
        } else if used {
            let text = "has no effect: only a Prometheus server uses it";
            cx.within(key, |cx| cx.warn(at.key(key), text));
        }
    }
    let others = [
        ("storage", !file.storage.is_empty()),
        ("tracing", at.has("tracing")),
        ("otlp", at.has("otlp")),
    ];
    for (key, used) in others {
        if used {
            let text = "has no effect: this version stores, receives and traces nothing";
            cx.within(key, |cx| cx.warn(at.key(key), text));
        }
    }
    cx.within("alerting", |cx| alerting(&mut file.alerting, scheme, cx));
    cx.within("remote_read", |cx| {
        let mut names = HashSet::new();
        for (i, read) in file.remote_read.iter_mut().enumerate() {
            cx.item(i, |cx| match read {
                None => cx.missing_here("empty or null remote read config section"),
                Some(read) => {
                    if !read.name.is_empty() && !names.insert(read.name.clone()) {
                        let name = Quoted(&read.name);
                        let text =
                            format!("found multiple remote read configs with job name {name}");
                        cx.error(read.at.key("name"), text);
                    }
                    remote::read(read, cx);
                }
            });
        }
    });
    cx.within("storage", |cx| storage(&file.storage, cx));
    if at.has("tracing") && !at.failed("tracing") && !file.tracing.is_empty() {
        cx.within("tracing", |cx| tracing(&file.tracing, cx));
    }
    cx.within("otlp", |cx| otlp(&mut file.otlp, scheme, cx));
}

fn alerting(alerting: &mut raw::Alerting, scheme: NameScheme, cx: &mut Cx<'_>) {
    let key = "alert_relabel_configs";
    let null = "empty or null alert relabeling rule";
    relabel::check(&mut alerting.alert_relabel_configs, key, scheme, null, cx);
    cx.within("alertmanagers", |cx| {
        for (i, manager) in alerting.alertmanagers.iter_mut().enumerate() {
            cx.item(i, |cx| match manager {
                // Prometheus itself crashes on it.
                None => cx.missing_here("empty or null Alertmanager config section"),
                Some(manager) => alertmanager(manager, scheme, cx),
            });
        }
    });
}

fn alertmanager(manager: &mut raw::Alertmanager, scheme: NameScheme, cx: &mut Cx<'_>) {
    let at = manager.at.clone();
    manager.http.check(cx);
    let http = &manager.http;
    let auth = http.basic_auth.is_some() || http.authorization.is_some() || http.oauth2.is_some();
    if let Some(sigv4) = &manager.sigv4 {
        if auth {
            let text =
                "at most one of basic_auth, authorization, oauth2, & sigv4 must be configured";
            cx.error(at.key("sigv4"), text);
        }
        cx.within("sigv4", |cx| remote::check_sigv4(sigv4, cx));
    }
    if !matches!(manager.api_version.as_str(), "v2" | "") {
        let version = &manager.api_version;
        let text = format!("expected Alertmanager api version to be one of [v2] but got {version}");
        cx.error(at.key("api_version"), text);
    }
    let key = "relabel_configs";
    let null = "empty or null Alertmanager target relabeling rule";
    relabel::check(&mut manager.relabel_configs, key, scheme, null, cx);
    let key = "alert_relabel_configs";
    let null = "empty or null Alertmanager alert relabeling rule";
    relabel::check(&mut manager.alert_relabel_configs, key, scheme, null, cx);
    sd::check_all(&mut manager.sd, !manager.relabel_configs.is_empty(), cx);
}

fn storage(storage: &raw::Storage, cx: &mut Cx<'_>) {
    let Some(tsdb) = &storage.tsdb else { return };
    let floats = tsdb.chunk_encoding.floats.as_str();
    if !matches!(floats, "" | "xor" | "xor2") {
        cx.error(
            tsdb.chunk_encoding.at.key("floats"),
            format!(
                "'storage.tsdb.chunk_encoding.floats' must be 'xor' or 'xor2', or the field must \
                 be omitted entirely, got {}",
                Quoted(floats)
            ),
        );
    }
    if let Some(retention) = &tsdb.retention
        && !(0.0..=100.0).contains(&retention.percentage)
    {
        let text = format!(
            "'storage.tsdb.retention.percentage' must be in the range [0, 100], got {}",
            retention.percentage
        );
        cx.error(retention.at.key("percentage"), text);
    }
}

fn tracing(tracing: &raw::Tracing, cx: &mut Cx<'_>) {
    let at = &tracing.at;
    if !matches!(tracing.client_type.as_str(), "http" | "grpc") && !at.failed("client_type") {
        let text = format!(
            "expected tracing client type to be to be http or grpc, but got {}",
            tracing.client_type
        );
        cx.error(at.key("client_type"), text);
    }
    cx.within("headers", |cx| {
        for name in tracing.headers.keys() {
            let text = if name.eq_ignore_ascii_case("authorization") {
                "custom authorization header configuration is not yet supported".to_owned()
            } else if remote::is_reserved(name) {
                format!("{name} is a reserved header. It must not be changed")
            } else {
                continue;
            };
            cx.within(name, |cx| cx.error_here(text));
        }
    });
    if tracing.endpoint.is_empty() && !at.failed("endpoint") {
        cx.error(at.key("endpoint"), "tracing endpoint must be set");
    }
    if !matches!(tracing.compression.as_str(), "" | "gzip") {
        let compression = &tracing.compression;
        let text = format!("invalid compression type {compression} provided, valid options: gzip");
        cx.error(at.key("compression"), text);
    }
    cx.within("tls_config", |cx| tracing.tls_config.check(cx));
}

fn otlp(otlp: &mut raw::Otlp, scheme: NameScheme, cx: &mut Cx<'_>) {
    let at = otlp.at.clone();
    if otlp.promote_all_resource_attributes {
        if !otlp.promote_resource_attributes.is_empty() {
            cx.error(
                at.key("promote_resource_attributes"),
                "'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be \
                 configured simultaneously",
            );
        }
        let key = "ignore_resource_attributes";
        attributes(&mut otlp.ignore_resource_attributes, "ignored", key, cx);
    } else {
        if !otlp.ignore_resource_attributes.is_empty() {
            cx.error(
                at.key("ignore_resource_attributes"),
                "'ignore_resource_attributes' cannot be configured unless \
                 'promote_all_resource_attributes' is true",
            );
        }
        let key = "promote_resource_attributes";
        attributes(&mut otlp.promote_resource_attributes, "promoted", key, cx);
    }
    let strategy = otlp.translation_strategy.as_str();
    match strategy {
        "" | "UnderscoreEscapingWithSuffixes" | "UnderscoreEscapingWithoutSuffixes" => {}
        "NoTranslation" | "NoUTF8EscapingWithSuffixes" => {
            if scheme == NameScheme::Legacy {
                let strategy = Quoted(strategy);
                let text = format!(
                    "OTLP translation strategy {strategy} is not allowed when UTF8 is disabled"
                );
                cx.error(at.key("translation_strategy"), text);
            }
        }
        other => {
            let text = format!("unsupported OTLP translation strategy {}", Quoted(other));
            cx.error(at.key("translation_strategy"), text);
        }
    }
}

fn attributes(attributes: &mut [String], which: &str, key: &str, cx: &mut Cx<'_>) {
    let mut seen = HashSet::new();
    cx.within(key, |cx| {
        for (i, attribute) in attributes.iter_mut().enumerate() {
            let name = attribute.trim().to_owned();
            let text = if name.is_empty() {
                format!("invalid '{key}': empty {which} OTel resource attribute")
            } else if !seen.insert(name.clone()) {
                let name = Quoted(&name);
                format!("invalid '{key}': duplicated {which} OTel resource attribute {name}")
            } else {
                *attribute = name;
                continue;
            };
            cx.item(i, |cx| cx.error_here(text));
        }
    });
}
