//! The global section.

use std::collections::BTreeMap;

use swarmscout_config_decoder::{At, Cx};
use swarmscout_model::quote::Quoted;
use swarmscout_model::{NameScheme, PromDuration};

use crate::Position;
use crate::prometheus::raw::Global;

pub(super) const ALLOW_UTF8: &str = "allow-utf-8";
pub(super) const UNDERSCORES: &str = "underscores";
const PROTOCOLS: [&str; 5] = [
    "OpenMetricsText0.0.1",
    "OpenMetricsText1.0.0",
    "PrometheusProto",
    "PrometheusText0.0.4",
    "PrometheusText1.0.0",
];

/// Checks the section and fills in its defaults.
pub(super) fn check(global: &mut Global, cx: &mut Cx<'_>) {
    let scheme = &mut global.metric_name_validation_scheme;
    let scheme = validation(scheme, NameScheme::default(), "global", &global.at, cx);
    let mut written = global.metric_name_escaping_scheme.clone();
    escaping(&mut written, scheme, "global", &global.at, cx);
    if global.at.section() == Position::default() {
        // As Prometheus 3.14 shows it: only where the section is not written.
        global.metric_name_escaping_scheme = written;
    }

    cx.within("external_labels", |cx| {
        for name in global.external_labels.keys().filter(|name| !scheme.is_valid_label_name(name)) {
            let text = format!("{} is not a valid label name", Quoted(name));
            cx.within(name, |cx| cx.error_here(text));
        }
    });
    expand(&mut global.external_labels, cx);

    if global.scrape_interval.is_zero() {
        global.scrape_interval = PromDuration::from_secs(60);
    }
    if global.scrape_timeout > global.scrape_interval {
        let at = global.at.key("scrape_timeout");
        cx.error(at, "global scrape timeout greater than scrape interval");
    }
    if global.scrape_timeout.is_zero() {
        global.scrape_timeout = PromDuration::from_secs(10).min(global.scrape_interval);
    }
    if global.evaluation_interval.is_zero() {
        global.evaluation_interval = PromDuration::from_secs(60);
    }
    global.scrape_native_histograms.get_or_insert(false);
    global.extra_scrape_metrics.get_or_insert(false);
    if let Some(protocols) = &global.scrape_protocols
        && let Err(text) = check_protocols(protocols)
    {
        cx.error(global.at.key("scrape_protocols"), format!("{text} for global config"));
    }
}

/// Which names are valid, of a section that was checked.
pub(super) fn scheme(global: &Global) -> NameScheme {
    scheme_of(&global.metric_name_validation_scheme).unwrap_or_default()
}

fn scheme_of(name: &str) -> Option<NameScheme> {
    match name {
        "utf8" => Some(NameScheme::Utf8),
        "legacy" => Some(NameScheme::Legacy),
        _ => None,
    }
}

/// Reads a validation scheme, which is `default` where none is named, and writes it out.
pub(super) fn validation(
    name: &mut String,
    default: NameScheme,
    whose: &str,
    at: &At,
    cx: &mut Cx<'_>,
) -> NameScheme {
    if let Some(scheme) = scheme_of(name) {
        return scheme;
    }
    if !name.is_empty() {
        let text = format!(
            "unknown {whose} name validation method specified, must be either '', 'legacy' or \
             'utf8', got {name}"
        );
        cx.error(at.key("metric_name_validation_scheme"), text);
    }
    let written = match default {
        NameScheme::Utf8 => "utf8",
        NameScheme::Legacy => "legacy",
    };
    written.clone_into(name);
    default
}

/// Fills in an empty escaping scheme, and checks that the scheme goes with the names.
pub(super) fn escaping(
    escaping: &mut String,
    scheme: NameScheme,
    whose: &str,
    at: &At,
    cx: &mut Cx<'_>,
) {
    let at = at.key("metric_name_escaping_scheme");
    match escaping.as_str() {
        "" if scheme == NameScheme::Legacy => UNDERSCORES.clone_into(escaping),
        "" => ALLOW_UTF8.clone_into(escaping),
        ALLOW_UTF8 if scheme == NameScheme::Legacy => {
            cx.error(at, "utf8 metric names requested but validation scheme is not set to UTF8");
        }
        ALLOW_UTF8 | UNDERSCORES | "dots" | "values" => {}
        other => cx.error(
            at,
            format!(
                "unknown {whose} name escaping method specified, must be one of 'allow-utf-8', \
                 'underscores', 'dots', or 'values', got {}",
                Quoted(other)
            ),
        ),
    }
}

/// Checks a list of scrape protocols; the error is to be followed by whose list it is.
pub(super) fn check_protocols(protocols: &[String]) -> Result<(), String> {
    if protocols.is_empty() {
        return Err("scrape_protocols cannot be empty".into());
    }
    for (i, protocol) in protocols.iter().enumerate() {
        if protocols[..i].iter().any(|other| other.eq_ignore_ascii_case(protocol)) {
            let list = protocols.join(" ");
            return Err(format!("duplicated protocol in scrape_protocols, got [{list}]"));
        }
        check_protocol(protocol).map_err(|text| format!("scrape_protocols: {text}"))?;
    }
    Ok(())
}

/// Checks the name of one scrape protocol.
pub(super) fn check_protocol(protocol: &str) -> Result<(), String> {
    if PROTOCOLS.contains(&protocol) {
        return Ok(());
    }
    let known = PROTOCOLS.join(" ");
    Err(format!("unknown scrape protocol {protocol}, supported: [{known}]"))
}

/// Replaces `$NAME` and `${NAME}` by the environment's values, as Go's `os.Expand` reads them.
fn expand(labels: &mut BTreeMap<String, String>, cx: &mut Cx<'_>) {
    cx.within("external_labels", |cx| {
        for (label, value) in labels {
            let mut unset = Vec::new();
            let expanded = expand_text(value, |name| {
                let value = (cx.options.env)(name).unwrap_or_default();
                if value.is_empty() {
                    unset.push(name.to_owned());
                }
                value
            });
            for name in unset {
                cx.within(label, |cx| {
                    cx.warn_here(format!("environment variable {name} is empty or not set"));
                });
            }
            *value = expanded;
        }
    });
}

fn expand_text(text: &str, mut lookup: impl FnMut(&str) -> String) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        let (name, length) = variable(rest);
        match name {
            // `$` at the end, or before something that is not a name.
            "" if length == 0 => expanded.push('$'),
            // `${}` and `${` without an end are left out.
            "" => {}
            "$" => expanded.push('$'),
            name => expanded.push_str(&lookup(name)),
        }
        rest = &rest[length..];
    }
    expanded + rest
}

/// The name at the beginning of what follows a `$`, and how many bytes it takes.
fn variable(text: &str) -> (&str, usize) {
    let special = |c: char| c.is_ascii_digit() || "*#$@!?-".contains(c);
    if let Some(inner) = text.strip_prefix('{') {
        return match inner.find('}') {
            Some(end) => (&inner[..end], end + 2),
            None => ("", 1),
        };
    }
    match text.chars().next() {
        Some(c) if special(c) => (&text[..1], 1),
        _ => {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = text.find(|c| !word(c)).unwrap_or(text.len());
            (&text[..end], end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_as_go_does() {
        for (text, expanded) in [
            ("$A", "<A>"),
            ("a-${A}-b", "a-<A>-b"),
            ("$A_1.x", "<A_1>.x"),
            ("$$A", "$A"),
            ("${$}", "$"),
            ("5$", "5$"),
            ("$ A", "$ A"),
            ("$1x", "<1>x"),
            ("a${}b", "ab"),
            ("a${b", "ab"),
            ("ü$ü", "ü$ü"),
        ] {
            assert_eq!(expand_text(text, |name| format!("<{name}>")), expanded, "{text}");
        }
    }
}
