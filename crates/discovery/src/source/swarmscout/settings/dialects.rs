//! The labels of other programs, and those that are usual in blogs: one table.
//!
//! What each does is in its own source or text: ContainerSolutions/prometheus-swarm-discovery
//! (`swarm.go`), llacroix/prometheus-swarm-discovery (`prometheus_sd/service.py`; `targets` in its
//! first versions, `jobs` later), docker-flow/docker-flow-monitor (`docs/usage.md`). Blogs follow
//! the Swarm guide of Prometheus, whose relabel rules make one name of dots, dashes and underscores.

use std::borrow::Cow;

use swarmscout_model::name::push_sanitized;

use super::keys::{Key, Setting};

/// The labels of another program.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// As in the key `dialects` of the configuration file.
    pub(crate) name: &'static str,
    /// What all its labels begin with.
    pub(crate) prefix: &'static str,
    /// Its labels without the prefix. `*` is the name of an endpoint and of its job, `+` the rest,
    /// and a word may have alternatives with `|`.
    pub(crate) keys: &'static [(&'static str, Setting)],
    /// One of these settings is enough for an endpoint.
    pub(super) declaring: &'static [Setting],
    /// If an endpoint names no port. Otherwise it takes the only port that the service publishes.
    pub(super) default_port: Option<u16>,
    /// Whether endpoints count only if the setting [`Enable`](Setting::Enable) says so.
    pub(super) opt_in: bool,
    /// Whether it does not count beside labels that only another dialect with its prefix can read.
    pub(super) yields: bool,
}

const BLOG: &[(&str, Setting)] = &[
    ("port", Setting::Port),
    ("path", Setting::Path),
    ("scheme", Setting::Scheme),
    ("job", Setting::Job),
    ("enable", Setting::Scrape),
    ("scrape", Setting::Scrape),
];

const fn blog(name: &'static str, prefix: &'static str) -> Dialect {
    Dialect {
        name,
        prefix,
        keys: BLOG,
        declaring: &[Setting::Port, Setting::Job, Setting::Scrape],
        default_port: None,
        opt_in: false,
        yields: false,
    }
}

/// All of them, in the order of the default of `dialects`.
pub(crate) static DIALECTS: [Dialect; 6] = [
    Dialect {
        name: "containersolutions",
        prefix: "prometheus.",
        keys: &[("port", Setting::Port), ("ignore", Setting::Ignore)],
        declaring: &[Setting::Port],
        default_port: None,
        opt_in: false,
        yields: true,
    },
    Dialect {
        name: "llacroix",
        prefix: "prometheus.",
        keys: &[
            ("enable", Setting::Enable),
            ("jobs|targets.*.port", Setting::Port),
            ("jobs|targets.*.path", Setting::Path),
            ("jobs|targets.*.scheme", Setting::Scheme),
            ("jobs|targets.*.networks", Setting::Networks),
            ("jobs|targets.*.params.+", Setting::Param),
            ("jobs|targets.*.labels.job", Setting::Job),
            ("jobs|targets.*.labels.+", Setting::Label),
            ("jobs|targets.*.hosts", Setting::Unsupported),
        ],
        declaring: &[
            Setting::Port,
            Setting::Path,
            Setting::Scheme,
            Setting::Networks,
            Setting::Param,
            Setting::Job,
            Setting::Label,
            Setting::Unsupported,
        ],
        default_port: Some(80),
        opt_in: true,
        yields: false,
    },
    Dialect {
        name: "docker-flow-monitor",
        prefix: "com.df.",
        keys: &[
            ("notify", Setting::Enable),
            ("scrapePort", Setting::Port),
            ("metricsPath", Setting::Path),
            ("scrapeInterval", Setting::Interval),
            ("scrapeTimeout", Setting::Timeout),
            ("scrapeType", Setting::Unneeded),
        ],
        declaring: &[Setting::Port],
        default_port: None,
        opt_in: true,
        yields: false,
    },
    blog("blog-dots", "prometheus."),
    blog("blog-dashes", "prometheus-"),
    blog("blog-underscores", "prometheus_"),
];

impl Dialect {
    /// The one with this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        DIALECTS.iter().find(|dialect| dialect.name == name)
    }

    /// What stands behind the prefix, if it is a label of this dialect.
    pub(super) fn read<'a>(&self, rest: &'a str) -> Option<Key<'a>> {
        self.keys.iter().find_map(|(pattern, setting)| {
            let (endpoint, name) = matched(pattern, rest)?;
            let name = if *setting == Setting::Label { sanitized(name) } else { name.into() };
            Some(Key { endpoint, setting: *setting, name })
        })
    }
}

/// What `*` and `+` stand for in a text that has the form of the pattern. Either may be missing.
fn matched<'a>(pattern: &str, text: &'a str) -> Option<(&'a str, &'a str)> {
    let (mut endpoint, mut rest) = ("", text);
    let mut pattern = pattern;
    loop {
        let (part, more) = pattern.split_once('.').unwrap_or((pattern, ""));
        if part == "+" {
            return (!rest.is_empty()).then_some((endpoint, rest));
        }
        let (word, after) = match rest.split_once('.') {
            Some((word, after)) if !more.is_empty() => (word, after),
            None if more.is_empty() => (rest, ""),
            _ => return None,
        };
        match part {
            "*" if word.is_empty() => return None,
            "*" => endpoint = word,
            _ if part.split('|').any(|part| part == word) => {}
            _ => return None,
        }
        if more.is_empty() {
            return Some((endpoint, ""));
        }
        (pattern, rest) = (more, after);
    }
}

/// As those programs do it.
fn sanitized(name: &str) -> Cow<'_, str> {
    let mut clean = String::new();
    push_sanitized(&mut clean, name);
    if clean == name { name.into() } else { clean.into() }
}
