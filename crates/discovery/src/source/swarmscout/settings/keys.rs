//! The grammar of our own labels: the prefix, an endpoint's name and a dot or nothing, a key.

use std::borrow::Cow;

use swarmscout_config_decoder::nearest;

use super::refusal::Reason;

/// What a label sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Setting {
    Scrape,
    Port,
    Path,
    Scheme,
    Job,
    Interval,
    Timeout,
    Network,
    SampleLimit,
    Class,
    Probe,
    Module,
    Param,
    Label,
    /// The opposite of `scrape`, of a dialect.
    Ignore,
    /// Without it the endpoints of a dialect do not count.
    Enable,
    /// The first of the networks, divided by commas, of a dialect.
    Networks,
    /// A setting of a dialect for which its endpoint is refused.
    Unsupported,
    /// A setting of a dialect that is not needed here.
    Unneeded,
}

/// Our keys, in the order of `docs/labels.md`.
pub(crate) const KEYS: [(&str, Setting); 14] = [
    ("port", Setting::Port),
    ("path", Setting::Path),
    ("scheme", Setting::Scheme),
    ("job", Setting::Job),
    ("interval", Setting::Interval),
    ("timeout", Setting::Timeout),
    ("network", Setting::Network),
    ("sample_limit", Setting::SampleLimit),
    ("scrape", Setting::Scrape),
    ("class", Setting::Class),
    ("probe", Setting::Probe),
    ("module", Setting::Module),
    (PARAM, Setting::Param),
    (LABEL, Setting::Label),
];

const PARAM: &str = "param";
const LABEL: &str = "label";

/// What people write, as Prometheus, Kubernetes or other programs name it, and the key for it.
const ALIASES: [(&str, &str); 16] = [
    ("metrics_path", "path"),
    ("metrics_port", "port"),
    ("target_port", "port"),
    ("scrape_port", "port"),
    ("scrape_interval", "interval"),
    ("scrape_timeout", "timeout"),
    ("job_name", "job"),
    ("networks", "network"),
    ("enable", "scrape"),
    ("enabled", "scrape"),
    ("ignore", "scrape"),
    ("params", "param.<name>"),
    ("labels", "label.<name>"),
    ("param", "param.<name>"),
    ("label", "label.<name>"),
    ("probe_module", "module"),
];

/// A label's key without its prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key<'a> {
    /// Empty: the unnamed endpoint.
    pub(super) endpoint: &'a str,
    pub(super) setting: Setting,
    /// Of a parameter or label.
    pub(super) name: Cow<'a, str>,
}

/// Reads what stands behind the prefix.
pub(super) fn read(rest: &str) -> Result<Key<'_>, Reason> {
    if let Some(key) = setting("", rest) {
        return Ok(key);
    }
    let (endpoint, key) = rest.split_once('.').ok_or(Reason::UnknownKey)?;
    if is_key(endpoint) {
        return Err(Reason::ReservedEndpointName);
    }
    if !is_name(endpoint) {
        return Err(Reason::EndpointName);
    }
    setting(endpoint, key).ok_or(Reason::UnknownKey)
}

/// The endpoint of what cannot be [`read`]: that of an unknown key.
pub(super) fn endpoint(reason: Reason, rest: &str) -> &str {
    match rest.split_once('.') {
        Some((endpoint, _)) if reason == Reason::UnknownKey => endpoint,
        _ => "",
    }
}

/// What to write instead of what cannot be [`read`]. Suggestions are expensive.
pub(super) fn instead(reason: Reason, rest: &str) -> String {
    let (endpoint, key) = rest.split_once('.').unwrap_or(("", rest));
    match (reason, endpoint) {
        (Reason::ReservedEndpointName, PARAM | LABEL) => format!("write {endpoint}.<name>"),
        (Reason::ReservedEndpointName, _) => {
            format!("{endpoint} is a key; give the endpoint another name")
        }
        (Reason::EndpointName, _) => "the name of an endpoint has 1 to 63 lower case letters, \
                                      digits, _ and -, and begins with a letter or digit"
            .to_owned(),
        _ => nearest_key(endpoint, key),
    }
}

/// One of our keys.
fn setting<'a>(endpoint: &'a str, key: &'a str) -> Option<Key<'a>> {
    let (key, name) = match key.split_once('.') {
        Some((key @ (PARAM | LABEL), name)) if !name.is_empty() => (key, name),
        Some(_) => return None,
        None if key == PARAM || key == LABEL => return None,
        None => (key, ""),
    };
    let (_, setting) = KEYS.iter().find(|(known, _)| *known == key)?;
    Some(Key { endpoint, setting: *setting, name: name.into() })
}

fn is_key(word: &str) -> bool {
    KEYS.iter().any(|(key, _)| *key == word)
}

/// `[a-z0-9][a-z0-9_-]{0,62}`
pub(crate) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let is_first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 63
        && bytes.next().is_some_and(is_first)
        && bytes.all(|byte| is_first(byte) || byte == b'_' || byte == b'-')
}

/// The known key that an unknown one was probably meant to be.
fn nearest_key(endpoint: &str, key: &str) -> String {
    // `labels.team` is read as an endpoint called labels.
    let word = if matches!(endpoint, "params" | "labels") { endpoint } else { key };
    let plain = KEYS.iter().filter(|(key, _)| !matches!(*key, PARAM | LABEL));
    let known = plain.map(|(key, _)| *key).chain(ALIASES.map(|(alias, _)| alias));
    let Some(meant) = nearest(word.split('.').next().unwrap_or_default(), known) else {
        return format!("the keys are {}", KEYS.map(|(key, _)| key).join(", "));
    };
    let key = ALIASES.iter().find(|(alias, _)| *alias == meant).map_or(meant, |(_, key)| key);
    let of = if word == endpoint { "" } else { endpoint };
    let dot = if of.is_empty() { "" } else { "." };
    format!("the nearest key is {of}{dot}{key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_grammar() {
        let read = |rest: &str| match read(rest) {
            Ok(Key { endpoint, setting, name }) => format!("{endpoint}|{setting:?}|{name}"),
            Err(reason) => format!("{}: {}", reason.as_str(), instead(reason, rest)),
        };
        let name = "the name of an endpoint has 1 to 63 lower case letters, digits, _ and -, and \
                    begins with a letter or digit";
        let invalid = format!("invalid endpoint name: {name}");
        let long = format!("{}.port", "e".repeat(64));
        for (rest, key) in [
            ("port", "|Port|"),
            ("admin.port", "admin|Port|"),
            ("0_-.sample_limit", "0_-|SampleLimit|"),
            ("label.port", "|Label|port"),
            ("label.a.b", "|Label|a.b"),
            ("param.x.y", "|Param|x.y"),
            ("param.label.x", "|Param|label.x"),
            ("admin.label.a.b", "admin|Label|a.b"),
            ("admin.param.port", "admin|Param|port"),
            ("param.", "reserved endpoint name: write param.<name>"),
            ("label", "unknown key: the nearest key is label.<name>"),
            ("admin.label", "unknown key: the nearest key is admin.label.<name>"),
            ("port.path", "reserved endpoint name: port is a key; give the endpoint another name"),
            ("Admin.port", &invalid),
            (".port", &invalid),
            ("-a.port", &invalid),
            (&long, &invalid),
            ("portt", "unknown key: the nearest key is port"),
            ("Port", "unknown key: the nearest key is port"),
            ("admin.metricsPath", "unknown key: the nearest key is admin.path"),
            ("labels.team", "unknown key: the nearest key is label.<name>"),
            ("admin.port.x", "unknown key: the nearest key is admin.port"),
            (
                "",
                "unknown key: the keys are port, path, scheme, job, interval, timeout, network, \
                 sample_limit, scrape, class, probe, module, param, label",
            ),
        ] {
            assert_eq!(read(rest), key, "{rest:?}");
        }
        assert!(read(&long[1..]).ends_with("|Port|"));
    }
}
