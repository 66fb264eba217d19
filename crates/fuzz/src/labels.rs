//! Scrape settings in the labels of a service and of its container.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write as _};

use http::Uri;
use swarmscout_discovery::fuzzing;
use swarmscout_model::PromDuration;

/// Labels, one a line, `key=value`: those of the service, then, behind a line `--`, those of the
/// container. What they declare is what `Naive` reads, and their order does not matter.
pub fn labels(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let (service, container) = text.split_once("--\n").unwrap_or((&text, ""));
    let [service, container] = [service, container].map(|labels| {
        let pairs = labels.lines().filter_map(|line| line.split_once('='));
        pairs.collect::<BTreeMap<_, _>>()
    });
    let owned = |(key, value): (&&str, &&str)| ((*key).to_owned(), (*value).to_owned());
    let forward = [&service, &container].map(|labels| labels.iter().map(owned).collect::<Vec<_>>());
    let back =
        [&service, &container].map(|labels| labels.iter().rev().map(owned).collect::<Vec<_>>());
    let found = fuzzing::labels(&forward[0], &forward[1]);
    assert_eq!(found, fuzzing::labels(&back[0], &back[1]));

    // Limits are those of the tests.
    let is_small = text.len() < 4096 && service.len() + container.len() < 60;
    let hosts = |labels: &BTreeMap<_, &str>| labels.values().any(|value| *value == "traefik");
    if is_small && !hosts(&service) && !hosts(&container) {
        assert_eq!(found, declared(&service, &container), "{text}");
    }
}

type Labels<'a> = BTreeMap<&'a str, &'a str>;

/// Settings by name; `param.x` and `label.x` are names. Several labels may say the same.
type Settings<'a> = BTreeMap<String, Vec<&'a str>>;

/// What is read of the labels of one program in one place.
#[derive(Default)]
struct Naive<'a> {
    endpoints: BTreeMap<&'a str, Settings<'a>>,
    /// Labels that are needed, or not to be there.
    enabled: Option<bool>,
    /// `true` if the endpoints of a service count only where it is enabled.
    must_be_enabled: bool,
}

fn declared(service: &Labels<'_>, container: &Labels<'_>) -> String {
    let names = [
        "ours",
        "containersolutions",
        "llacroix",
        "docker-flow-monitor",
        "blog-dots",
        "blog-dashes",
        "blog-underscores",
    ];
    for name in names {
        for (place, labels) in [("service", service), ("container", container)] {
            let read = match name {
                "ours" => ours(labels),
                "containersolutions" => container_solutions(labels),
                "llacroix" => llacroix(labels),
                "docker-flow-monitor" => docker_flow(labels),
                "blog-dots" => blog(labels, "prometheus."),
                "blog-dashes" => blog(labels, "prometheus-"),
                _ => blog(labels, "prometheus_"),
            };
            if let Some(lines) = read.lines(name) {
                let off = if lines.is_empty() && read.is_off() { ": off" } else { "" };
                return format!("by {name}, {place}{off}\n{lines}");
            }
        }
    }
    String::new()
}

const PLAIN: [&str; 12] = [
    "port",
    "path",
    "scheme",
    "job",
    "interval",
    "timeout",
    "network",
    "sample_limit",
    "scrape",
    "class",
    "probe",
    "module",
];

fn ours<'a>(labels: &Labels<'a>) -> Naive<'a> {
    let is_setting = |key: &str| {
        let named = key.strip_prefix("param.").or_else(|| key.strip_prefix("label."));
        PLAIN.contains(&key) || named.is_some_and(|name| !name.is_empty())
    };
    let is_name = |name: &str| {
        let is_first = |c: char| matches!(c, 'a'..='z' | '0'..='9');
        (1..=63).contains(&name.len())
            && name.starts_with(is_first)
            && name.chars().all(|c| is_first(c) || c == '_' || c == '-')
            && !PLAIN.contains(&name)
            && name != "param"
            && name != "label"
    };
    let mut read = Naive::default();
    for (label, value) in labels {
        let Some(rest) = label.strip_prefix("prometheus.io/") else { continue };
        let (name, key) = match rest.split_once('.') {
            _ if is_setting(rest) => ("", rest),
            Some((name, key)) if is_name(name) && is_setting(key) => (name, key),
            _ => continue,
        };
        read.add(name, key, value);
    }
    let unnamed = read.endpoints.get("");
    let scrape = unnamed.and_then(|unnamed| boolean(unnamed.get("scrape")?[0]));
    read.enabled = scrape.filter(|scrape| !scrape);
    read
}

fn container_solutions<'a>(labels: &Labels<'a>) -> Naive<'a> {
    let mut read = Naive::default();
    let of_another = labels.keys().filter_map(|label| label.strip_prefix("prometheus."));
    let of_another = of_another.filter(|key| {
        let words: Vec<_> = key.split('.').collect();
        ["enable", "scrape", "path", "scheme", "job"].contains(key)
            || (words.len() > 2 && is_target(&words))
    });
    let is_other = of_another.count() > 0;
    let ignore = labels.get("prometheus.ignore").and_then(|value| boolean(value));
    read.enabled = ignore.map(|ignore| !ignore);
    if let Some(port) = labels.get("prometheus.port").filter(|_| !is_other) {
        read.add("", "port", port);
        read.add("", "scrape", "true");
    }
    if let Some(ignore) = labels.get("prometheus.ignore").filter(|_| !is_other) {
        // One that is not a boolean is refused with its endpoint.
        if boolean(ignore).is_none() && read.endpoints.contains_key("") {
            read.add("", "bad", ignore);
        }
    }
    read
}

/// `jobs.<name>.…` with a setting of llacroix'.
fn is_target(words: &[&str]) -> bool {
    let [kind, name, key, rest @ ..] = words else { return false };
    let plain = ["port", "path", "scheme", "networks", "hosts"];
    ["jobs", "targets"].contains(kind)
        && !name.is_empty()
        && match *key {
            "params" | "labels" => !rest.join(".").is_empty() || rest.len() > 1,
            key => plain.contains(&key) && rest.is_empty(),
        }
}

fn llacroix<'a>(labels: &Labels<'a>) -> Naive<'a> {
    let enabled = labels.get("prometheus.enable").and_then(|value| boolean(value));
    let mut read = Naive { enabled, must_be_enabled: true, ..Naive::default() };
    for (label, value) in labels {
        let Some(rest) = label.strip_prefix("prometheus.") else { continue };
        let words: Vec<_> = rest.split('.').collect();
        if !is_target(&words) {
            continue;
        }
        let name = words[1];
        let rest = words[3..].join(".");
        let sanitized = || {
            let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            rest.chars().map(word).collect::<String>()
        };
        let first = value.split(',').map(str::trim).find(|name| !name.is_empty());
        read.add(name, "scrape", "true");
        match words[2] {
            "params" => read.add(name, &format!("param.{rest}"), value),
            "labels" if rest == "job" => read.add(name, "job", value),
            "labels" => read.add(name, &format!("label.{}", sanitized()), value),
            "networks" => {
                read.add(name, "network", first.unwrap_or_default());
                read.add(name, "networks", value);
            }
            "hosts" => read.add(name, "bad", "hosts"),
            key => read.add(name, key, value),
        }
    }
    read
}

fn docker_flow<'a>(labels: &Labels<'a>) -> Naive<'a> {
    let enabled = labels.get("com.df.notify").and_then(|value| boolean(value));
    let mut read = Naive { enabled, must_be_enabled: true, ..Naive::default() };
    let keys = [
        ("scrapePort", "port"),
        ("metricsPath", "path"),
        ("scrapeInterval", "interval"),
        ("scrapeTimeout", "timeout"),
    ];
    if labels.contains_key("com.df.scrapePort") {
        read.add("", "scrape", "true");
        for (theirs, ours) in keys {
            if let Some(value) = labels.get(&*format!("com.df.{theirs}")) {
                read.add("", ours, value);
            }
        }
    }
    read
}

fn blog<'a>(labels: &Labels<'a>, prefix: &str) -> Naive<'a> {
    let mut read = Naive::default();
    let get = |key: &str| labels.get(&*format!("{prefix}{key}")).copied();
    let switches = ["enable", "scrape"].map(|key| get(key).map(boolean));
    if switches.contains(&Some(Some(false))) {
        read.enabled = Some(false);
        return read;
    }
    let is_declared = ["port", "job", "enable", "scrape"].iter().any(|key| get(key).is_some());
    if is_declared {
        read.add("", "scrape", "true");
        for key in ["port", "path", "scheme", "job"] {
            if let Some(value) = get(key) {
                read.add("", key, value);
            }
        }
        if switches.contains(&Some(None)) {
            read.add("", "bad", "switch");
        }
    }
    read
}

impl<'a> Naive<'a> {
    fn add(&mut self, endpoint: &'a str, key: &str, value: &'a str) {
        let settings = self.endpoints.entry(endpoint).or_default();
        settings.entry(key.to_owned()).or_default().push(value);
    }

    fn is_off(&self) -> bool {
        self.enabled == Some(false)
    }

    /// Endpoints, then probes. `None` if nothing is declared.
    fn lines(&self, style: &str) -> Option<String> {
        if self.is_off() {
            return Some(String::new());
        }
        if self.must_be_enabled && self.enabled != Some(true) {
            return None;
        }
        let none = Settings::new();
        let unnamed = self.endpoints.get("").unwrap_or(&none);
        let (mut endpoints, mut probes, mut any) = (String::new(), String::new(), false);
        for (name, own) in &self.endpoints {
            if !["port", "scrape", "probe"].iter().any(|key| own.contains_key(*key)) {
                continue;
            }
            any = true;
            let (endpoint, probe) =
                one(style, name, own, if name.is_empty() { &none } else { unnamed });
            endpoints += &endpoint.unwrap_or_default();
            probes += &probe.unwrap_or_default();
        }
        any.then(|| endpoints + &probes)
    }
}

/// A setting is missing, empty, refused, or has a value.
#[derive(Clone, Debug, PartialEq)]
enum Read<T> {
    Missing,
    Empty,
    Refused,
    Value(T),
}

impl<T> Read<T> {
    fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }

    fn or(self, other: Self) -> Self {
        if matches!(self, Self::Missing) { other } else { self }
    }

    fn is_refused(&self) -> bool {
        matches!(self, Self::Refused)
    }
}

fn get<'a, T>(settings: &Settings<'a>, key: &str, read: impl Fn(&'a str) -> Option<T>) -> Read<T> {
    match settings.get(key).map(|values| &values[..]) {
        None => Read::Missing,
        Some([first, rest @ ..]) if rest.iter().any(|other| other != first) => Read::Refused,
        Some(["", ..] | []) => Read::Empty,
        Some([value, ..]) => read(value).map_or(Read::Refused, Read::Value),
    }
}

/// The line of an endpoint and that of its probe, as they are declared.
fn one(
    style: &str,
    name: &str,
    own: &Settings<'_>,
    unnamed: &Settings<'_>,
) -> (Option<String>, Option<String>) {
    let nothing = (None, None);
    if own.contains_key("bad") || get(own, "scrape", boolean) == Read::Value(false) {
        return nothing;
    }
    let port = get(own, "port", |value| {
        let is_number = value.chars().all(|c| c.is_ascii_digit());
        value.parse::<u16>().ok().filter(|port| is_number && *port > 0)
    });
    let path = get(own, "path", |value| {
        let is_bad = |c: char| "?#".contains(c) || c.is_whitespace() || c.is_control();
        let path = if value.starts_with('/') { value.to_owned() } else { format!("/{value}") };
        (!value.contains(is_bad) && !value.contains("://")).then_some(path)
    });
    let scheme = get(own, "scheme", |value| ["http", "https"].contains(&value).then_some(value));
    let class_of = |settings: &Settings<'_>| {
        get(settings, "class", |value| {
            let is_first = |c: char| matches!(c, 'a'..='z' | '0'..='9');
            let is_name = value.starts_with(is_first)
                && value.len() < 64
                && value.chars().all(|c| is_first(c) || "_-".contains(c));
            is_name.then(|| value.to_owned())
        })
    };
    let number = |value: &str| {
        value.parse::<u64>().ok().filter(|_| value.chars().all(|c| c.is_ascii_digit()))
    };
    let (class, limit) = (class_of(own), get(own, "sample_limit", number));
    let times = times(own, &times_of_unnamed(unnamed));
    let refused = port.is_refused()
        || port == Read::Empty
        || path.is_refused()
        || scheme.is_refused()
        || class.is_refused()
        || limit.is_refused()
        || get(own, "scrape", boolean).is_refused()
        || get(own, "scrape", boolean) == Read::Empty
        || get(own, "job", Some).is_refused()
        || get(own, "networks", Some).is_refused()
        || own.iter().any(|(key, values)| {
            key.strip_prefix("param.").is_some_and(|name| {
                let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                !name.chars().all(is_word) || values.iter().any(|value| *value != values[0])
            })
        });
    let Some((interval, timeout)) = times.filter(|_| !refused) else { return nothing };
    let has_endpoint = own.contains_key("port") || own.contains_key("scrape");
    let inherited = class_of(unnamed);
    if has_endpoint && class == Read::Missing && inherited.is_refused() {
        return nothing;
    }
    let job = get(own, "job", Some).or(get(unnamed, "job", Some)).value();
    let labels = names(own, "label.").into_iter().chain(names(unnamed, "label."));
    let mut merged = BTreeMap::new();
    for (name, value) in labels {
        merged.entry(name).or_insert(value);
    }
    let seen: BTreeSet<_> = merged.iter().filter(|(_, value)| !value.is_empty()).collect();
    let shared = |job: Option<&str>| {
        let mut text = String::new();
        push(&mut text, "job=", job);
        push(&mut text, "every ", interval);
        push(&mut text, "within ", timeout);
        for (name, value) in &seen {
            let _ = write!(text, " {name}={value:?}");
        }
        text
    };
    let is_url = |value: &&str| {
        let uri = value.parse::<Uri>().ok();
        uri.is_some_and(|uri| {
            ["http", "https"].contains(&uri.scheme_str().unwrap_or_default())
                && uri.host().is_some_and(|host| !host.is_empty())
                && !uri.authority().is_some_and(|authority| authority.as_str().contains('@'))
        })
    };
    let probe = own.get("probe").map(|values| values[0]).filter(is_url).map(|url| {
        let mut line = format!("probe {name:?} {url}");
        push(&mut line, "module=", get(own, "module", Some).value());
        line + &shared(job) + "\n"
    });
    let endpoint = has_endpoint.then(|| {
        let default = if style == "llacroix" { "80" } else { "published" };
        let port = port.value().map_or(default.to_owned(), |port| port.to_string());
        let (path, scheme) = (path.value(), scheme.value());
        let path = path.as_deref().unwrap_or("/metrics");
        let mut line = format!("{name:?} {} {port} {path}", scheme.unwrap_or("http"));
        for (name, value) in names(own, "param.").iter().filter(|(_, value)| !value.is_empty()) {
            let _ = write!(line, " ?{name}={value}");
        }
        let network = get(own, "network", Some).or(get(unnamed, "network", Some));
        push(&mut line, "network=", network.value());
        push(&mut line, "limit=", limit.or(get(unnamed, "sample_limit", number)).value());
        push(&mut line, "class=", class.or(inherited).value());
        let job = job.or((style == "llacroix").then_some(name));
        line + &shared(job) + "\n"
    });
    (endpoint, probe)
}

fn push(line: &mut String, name: &str, value: Option<impl Display>) {
    if let Some(value) = value {
        let _ = write!(line, " {name}{value}");
    }
}

/// Interval and timeout, each of the endpoint or of the unnamed one.
type Times = (Read<PromDuration>, Read<PromDuration>);

fn read_times(settings: &Settings<'_>) -> Times {
    let time = |key| {
        get(settings, key, |value| {
            value.parse::<PromDuration>().ok().filter(|time| !time.is_zero())
        })
    };
    (time("interval"), time("timeout"))
}

/// A timeout that is greater than the interval is not inherited.
fn times_of_unnamed(unnamed: &Settings<'_>) -> Times {
    match read_times(unnamed) {
        (Read::Value(interval), Read::Value(timeout)) if timeout > interval => {
            (Read::Value(interval), Read::Refused)
        }
        times => times,
    }
}

/// `None` if they are refused.
fn times(
    own: &Settings<'_>,
    unnamed: &Times,
) -> Option<(Option<PromDuration>, Option<PromDuration>)> {
    let (interval, timeout) = read_times(own);
    if interval.is_refused() || timeout.is_refused() {
        return None;
    }
    let interval = interval.or(unnamed.0.clone()).value();
    let timeout = timeout.or(unnamed.1.clone()).value();
    let ten = PromDuration::from_secs(10);
    match (interval, timeout) {
        (Some(interval), Some(timeout)) if timeout > interval => None,
        (Some(interval), None) => Some((Some(interval), Some(interval.min(ten)))),
        times => Some(times),
    }
}

/// Valid names behind a prefix, with their first values.
fn names<'a>(settings: &Settings<'a>, prefix: &str) -> Vec<(String, &'a str)> {
    let is_label = prefix == "label.";
    let named = settings.iter().filter_map(|(key, values)| {
        let name = key.strip_prefix(prefix)?;
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_valid = name.chars().all(is_word)
            && !(is_label && name.starts_with(|c: char| c.is_ascii_digit()))
            && !(is_label && (["job", "instance"].contains(&name) || name.starts_with("__")));
        is_valid.then(|| (name.to_owned(), values[0]))
    });
    named.collect()
}

fn boolean(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
