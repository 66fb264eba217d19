//! Keys that people write because an older Prometheus or vmagent has them: what to write here.
//!
//! One table, which a test compares with docs/migration.md.

use std::fmt;

use swarmscout_config_decoder::{Advice, Instead};

use What::{Moved, Removed, Renamed, Vmagent};

/// Sections that say how requests to a server are made.
const SPOKEN_TO: &[&str] =
    &["config.ScrapeConfig", "http.SDConfig", "moby.DockerSwarmSDConfig", "moby.DockerSDConfig"];

const FILE: &[&str] = &["config.Config"];
const GLOBAL: &[&str] = &["config.GlobalConfig"];
const JOB: &[&str] = &["config.ScrapeConfig"];
const FILE_SD: &[&str] = &["file.SDConfig"];
const QUEUE: &[&str] = &["config.QueueConfig"];
const RULE: &[&str] = &["relabel.Config"];

/// The table, as the engine asks for it.
pub(crate) static ADVICE: Advice = Advice {
    on_key: instead,
    // Its name is not shown: it may be part of a secret.
    on_text: |text| {
        has_placeholder(text).then_some(
            "%{...} stays as it is: only vmagent takes it from the environment; use a *_file key, or \
             write the value",
        )
    },
};

/// A key that is known elsewhere.
struct Row {
    /// The sections that have it there, by the type that errors name.
    sections: &'static [&'static str],
    key: &'static str,
    what: What,
}

/// What became of it, and what to write.
enum What {
    /// Since that Prometheus it has another name.
    Renamed(&'static str, &'static str),
    /// Since that Prometheus it stands elsewhere: the line, and where to write it.
    Moved(&'static str, &'static str, &'static str),
    /// Since that Prometheus it is gone.
    Removed(&'static str),
    /// vmagent has it, and here this is to do.
    Vmagent(&'static str),
}

const fn row(sections: &'static [&'static str], key: &'static str, what: What) -> Row {
    Row { sections, key, what }
}

/// For settings that only the scraping server can have.
const OF_SCRAPES: &str =
    "remove it, or let that vmagent scrape: its file takes the targets by http_sd_configs";
const TO_PROXY: &str = "write \"proxy_connect_header: {Proxy-Authorization: [...]}\" instead";

const ROWS: &[Row] = &[
    row(JOB, "target_groups", Renamed("0.20", "static_configs")),
    row(FILE_SD, "names", Renamed("0.20", "files")),
    row(GLOBAL, "labels", Renamed("0.16", "external_labels")),
    row(FILE, "job", Renamed("0.14", "scrape_configs")),
    row(JOB, "name", Renamed("0.14", "job_name")),
    row(JOB, "target_group", Renamed("0.14", "static_configs")),
    row(JOB, "labels", Moved("0.14", "labels:", "in an item of static_configs")),
    row(JOB, "sd_name", Moved("0.14", "names:", "in an item of dns_sd_configs")),
    row(
        JOB,
        "sd_refresh_interval",
        Moved("0.14", "refresh_interval:", "in that item of dns_sd_configs"),
    ),
    row(JOB, "scrape_classic_histograms", Renamed("3.0", "always_scrape_classic_histograms")),
    row(QUEUE, "max_retries", Removed("2.11")),
    row(JOB, "disable_compression", Vmagent("write \"enable_compression: false\" instead")),
    row(JOB, "max_scrape_size", Vmagent("write \"body_size_limit:\" instead")),
    row(JOB, "disable_keepalive", Vmagent(OF_SCRAPES)),
    row(JOB, "no_stale_markers", Vmagent(OF_SCRAPES)),
    row(JOB, "scrape_align_interval", Vmagent(OF_SCRAPES)),
    row(JOB, "scrape_offset", Vmagent(OF_SCRAPES)),
    row(JOB, "series_limit", Vmagent(OF_SCRAPES)),
    row(JOB, "stream_parse", Vmagent(OF_SCRAPES)),
    row(JOB, "relabel_debug", Vmagent("remove it, and ask /api/v1/targets/relabel_steps")),
    row(JOB, "metric_relabel_debug", Vmagent("remove it")),
    row(GLOBAL, "relabel_configs", Vmagent("write the rules in each job")),
    row(GLOBAL, "metric_relabel_configs", Vmagent("write the rules in each job")),
    row(SPOKEN_TO, "headers", Vmagent("write \"http_headers: {NAME: {values: [...]}}\" instead")),
    row(
        SPOKEN_TO,
        "proxy_headers",
        Vmagent("write \"proxy_connect_header: {NAME: [...]}\" instead"),
    ),
    row(SPOKEN_TO, "proxy_basic_auth", Vmagent("write user name and password in proxy_url")),
    row(SPOKEN_TO, "proxy_authorization", Vmagent(TO_PROXY)),
    row(SPOKEN_TO, "proxy_bearer_token", Vmagent(TO_PROXY)),
    row(SPOKEN_TO, "proxy_bearer_token_file", Vmagent(TO_PROXY)),
    row(SPOKEN_TO, "proxy_oauth2", Vmagent("no token is fetched for a proxy here")),
    row(
        SPOKEN_TO,
        "proxy_tls_config",
        Vmagent("write \"tls_config:\", which holds for an https:// proxy too"),
    ),
    row(RULE, "if", Vmagent("write its condition as source_labels and regex")),
    row(RULE, "match", Vmagent("write source_labels and a regex with groups")),
    row(RULE, "labels", Vmagent("write a rule with target_label and replacement for each label")),
];

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Renamed(version, key) => {
                write!(f, "renamed in Prometheus {version}: write \"{key}:\" instead")
            }
            Moved(version, line, place) => {
                write!(f, "moved in Prometheus {version}: write \"{line}\" {place} instead")
            }
            Removed(version) => {
                write!(
                    f,
                    "removed in Prometheus {version}, where it had no effect any more: remove it"
                )
            }
            Vmagent(what) => write!(f, "only vmagent has this key: {what}"),
        }
    }
}

/// What to write instead of `key`, which the section of type `section` does not have.
fn instead(section: &str, key: &str) -> Option<Instead> {
    let row = ROWS.iter().find(|row| row.key == key && row.sections.contains(&section))?;
    let meant = if let Renamed(_, meant) = row.what { Some(meant) } else { None };
    Some(Instead { message: row.what.to_string(), meant })
}

/// Relabeling actions that only vmagent has, and what to write instead.
const ACTIONS: &[(&str, &str)] = &[
    ("replace_all", "write one rule with action replace for each place of the text"),
    ("labelmap_all", "write one rule with action labelmap for each place of the name"),
    ("keep_if_equal", "write \"action: keepequal\" with source_labels and target_label"),
    ("drop_if_equal", "write \"action: dropequal\" with source_labels and target_label"),
    ("keep_if_contains", "write \"action: keep\" with a regex"),
    ("drop_if_contains", "write \"action: drop\" with a regex"),
    ("keep_metrics", "write \"action: keep\" with source_labels: [__name__]"),
    ("drop_metrics", "write \"action: drop\" with source_labels: [__name__]"),
    ("graphite", "write source_labels and a regex with groups"),
];

/// What to write instead of a relabeling action.
pub(crate) fn instead_of_action(action: &str) -> Option<String> {
    let row = ACTIONS.iter().find(|(name, _)| action.eq_ignore_ascii_case(name));
    row.map(|(_, what)| format!("only vmagent has it: {what}"))
}

/// Whether vmagent would replace a part of a `replacement` by the value of a label.
pub(crate) fn has_template(text: &str) -> bool {
    text.split_once("{{").is_some_and(|(_, rest)| rest.contains("}}"))
}

/// Whether vmagent would replace a part of `text` by an environment variable.
fn has_placeholder(text: &str) -> bool {
    text.split("%{").skip(1).any(|rest| {
        rest.split_once('}').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_placeholder() {
        for (text, expected) in [
            ("%{A_1}", true),
            ("a-%{b}-c", true),
            ("%{%{A}", true),
            ("%{}", false),
            ("%{A", false),
            ("%{A B}", false),
            ("${A}", false),
            ("", false),
        ] {
            assert_eq!(has_placeholder(text), expected, "{text}");
        }
    }

    #[test]
    fn knows_a_template() {
        for (text, expected) in [
            ("{{a}}", true),
            ("x-{{ a }}-$1", true),
            ("{{a", false),
            ("}}{{", false),
            ("${1}", false),
        ] {
            assert_eq!(has_template(text), expected, "{text}");
        }
    }

    #[test]
    fn every_row_is_in_the_documentation() {
        let text = include_str!("../../../../docs/migration.md");
        let keys = ROWS.iter().map(|row| row.key);
        let all = keys.chain(ACTIONS.iter().map(|(action, _)| *action));
        let missing: Vec<_> = all
            .filter(|name| {
                ![format!("`{name}`"), format!("`{name}:")].iter().any(|n| text.contains(n))
            })
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    /// Each is tried in one of `tests/files/*.bad.yml`, or in the file of a source.
    #[test]
    fn every_row_is_met_in_a_file() {
        let mut listing = include_str!("../../tests/files/errors.txt").to_owned();
        listing += include_str!("../../../discovery/src/source/file/keys.errors.txt");
        listing += include_str!("../../../discovery/src/source/http/keys.errors.txt");
        let keys = ROWS.iter().map(|row| format!("{}: {}\n", row.key, row.what));
        let actions = ACTIONS
            .iter()
            .map(|(action, what)| format!("\"{action}\": only vmagent has it: {what}\n"));
        let missing: Vec<_> = keys.chain(actions).filter(|text| !listing.contains(text)).collect();
        assert!(missing.is_empty(), "{missing:#?}");
    }
}
