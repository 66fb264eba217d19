//! The flags of state metrics.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use clap::builder::BoolishValueParser;
use swarmscout_discovery::config::{CopiedLabel, Preset};
use swarmscout_exposition::pieces::label_name;
use swarmscout_model::Labels;
use swarmscout_model::relabel::Regex;
use swarmscout_state::{Family, OWN_LABELS, Options, SHOWN_PREFIX};

/// Flags of state metrics.
#[derive(Clone, Debug, Args)]
pub struct StateArgs {
    /// Serve the state of each Swarm at /metrics/swarm. All tasks are read for it, ended ones too,
    /// and the names of configs and secrets. Explain and doctor read ended tasks without it, too
    #[arg(long = "state.metrics", value_parser = BoolishValueParser::new(), num_args = 0..=1,
          require_equals = true, default_value = "true", default_missing_value = "true",
          value_name = "BOOL", hide_possible_values = true)]
    pub metrics: bool,

    /// Read when the certificates of managers expire: by a TLS handshake with each manager at the port
    /// where it listens for the others (2377), at most once an hour
    #[arg(long = "state.certificates", value_parser = BoolishValueParser::new(), num_args = 0..=1,
          require_equals = true, default_value = "true", default_missing_value = "true",
          value_name = "BOOL", hide_possible_values = true)]
    pub certificates: bool,

    /// Ask managers for the addresses in use on each network, those of containers outside of services
    /// included: one request for each network at each refresh
    #[arg(long = "state.network-status", value_parser = BoolishValueParser::new(), num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true",
          value_name = "BOOL", hide_possible_values = true)]
    pub network_status: bool,

    /// Labels of services and nodes that all their state metrics get, and their targets of
    /// swarmscout_sd_configs: a comma-separated list, or repeated
    #[arg(long = "state.series-labels", value_name = "LABEL", value_delimiter = ',')]
    pub series_labels: Vec<String>,

    /// Labels of services and nodes that dockerswarm_service_labels and dockerswarm_node_labels
    /// show: a comma-separated list, or repeated; * for all
    #[arg(long = "state.label-allowlist", value_name = "LABEL", value_delimiter = ',')]
    pub label_allowlist: Vec<String>,

    /// State metrics to serve: regexes of their names, a comma-separated list, or repeated
    /// [default: all]
    #[arg(long = "state.metric-allowlist", value_name = "REGEX", value_delimiter = ',')]
    pub metric_allowlist: Vec<String>,

    /// State metrics to leave out: regexes of their names, a comma-separated list, or repeated
    /// [default: none]
    #[arg(long = "state.metric-denylist", value_name = "REGEX", value_delimiter = ',')]
    pub metric_denylist: Vec<String>,
}

impl StateArgs {
    /// What state metrics show; `None` if they are off. `common` are the labels of all series.
    pub fn options(&self, common: &Labels) -> anyhow::Result<Option<Options>> {
        let series_labels: Vec<_> = given(&self.series_labels).cloned().collect();
        check_series_labels(&series_labels)?;
        let (all, shown_labels): (Vec<_>, _) =
            given(&self.label_allowlist).cloned().partition(|label| label == ALL_LABELS);
        check_labels("state.label-allowlist", &shown_labels)?;
        let allowed = named("state.metric-allowlist", &self.metric_allowlist)?;
        let denied = named("state.metric-denylist", &self.metric_denylist)?;
        let allows_all = given(&self.metric_allowlist).next().is_none();
        let is_hidden =
            |family: &Family| denied.contains(family) || (!allows_all && !allowed.contains(family));
        let hidden: BTreeSet<_> = Family::ALL.iter().copied().filter(is_hidden).collect();
        if self.metrics && hidden.len() == Family::ALL.len() {
            bail!(
                "--state.metric-allowlist and --state.metric-denylist leave no state metric: correct them, \
                or use --no-state.metrics"
            );
        }
        let common = common.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let options = Options {
            constant_labels: common.collect(),
            series_labels,
            shown_labels,
            shows_all_labels: !all.is_empty(),
            hidden,
        };
        Ok(self.metrics.then_some(options))
    }

    /// The labels of services and nodes that series and targets have, too.
    pub fn copied_labels(&self) -> Arc<[CopiedLabel]> {
        copied_labels(&self.series_labels)
    }
}

/// The entries of a list. Empty ones are left out, so an empty list is as one that is not given.
fn given(list: &[String]) -> impl Iterator<Item = &String> {
    list.iter().filter(|entry| !entry.is_empty())
}

fn copied_labels(keys: &[String]) -> Arc<[CopiedLabel]> {
    let copied =
        |key: &String| CopiedLabel { key: key.as_str().into(), name: label_name(key).into() };
    given(keys).map(copied).collect()
}

/// The same, checked, for a command without state metrics.
pub fn checked_copied_labels(keys: &[String]) -> anyhow::Result<Arc<[CopiedLabel]>> {
    check_series_labels(&given(keys).cloned().collect::<Vec<_>>())?;
    Ok(copied_labels(keys))
}

/// The presets that make no target.
pub fn presets_off(state_metrics: bool) -> Arc<[Preset]> {
    if state_metrics { Arc::default() } else { [Preset::SwarmState].into() }
}

/// The labels that all targets and series have.
pub fn common_labels(cluster: Option<&str>) -> Labels {
    let cluster = cluster.filter(|name| !name.is_empty());
    cluster.into_iter().map(|name| ("cluster", name)).collect()
}

/// In the place of labels: all that there are.
const ALL_LABELS: &str = "*";

/// Fails if a label would have the name of one that series have anyway, or get from Prometheus.
fn check_series_labels(labels: &[String]) -> anyhow::Result<()> {
    let flag = "state.series-labels";
    check_labels(flag, labels)?;
    for label in labels {
        let name = label_name(label);
        let reason = if OWN_LABELS.contains(&&*name) || name.starts_with(SHOWN_PREFIX) {
            "of state metrics means something else"
        } else if name == "task_slot" {
            "of targets means something else"
        } else if name == "job" || name == "instance" {
            "is set by Prometheus at each scrape"
        } else if name.starts_with("__") {
            "is removed by Prometheus, as all that begin with __"
        } else {
            continue;
        };
        bail!("cannot use --{flag}={label}: the label {name:?} {reason}");
    }
    Ok(())
}

/// Fails if two labels would have one name, or one is a pattern.
fn check_labels(flag: &str, labels: &[String]) -> anyhow::Result<()> {
    let mut names = BTreeSet::new();
    for label in labels {
        let name = label_name(label);
        if label.contains(['*', '[', ']', '=']) {
            bail!(
                "cannot use --{flag}={label}: write whole names of labels, as in --{flag}=team,env"
            );
        }
        if !names.insert(name.clone()) {
            bail!("cannot use --{flag}={label}: another label is called {name:?} too");
        }
    }
    Ok(())
}

/// The families that one of these regexes names.
fn named(flag: &str, regexes: &[String]) -> anyhow::Result<BTreeSet<Family>> {
    let mut families = BTreeSet::new();
    for text in given(regexes) {
        let regex = Regex::new(text).with_context(|| format!("cannot use --{flag}={text}"))?;
        let before = families.len();
        families.extend(Family::ALL.iter().filter(|family| regex.is_match(family.name())));
        if families.len() == before && !Family::ALL.iter().any(|it| regex.is_match(it.name())) {
            bail!(
                "cannot use --{flag}={text}: no state metric has such a name, see /metrics/swarm"
            );
        }
    }
    Ok(families)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::cli::{RunArgs, parse};

    fn parsed(words: &str) -> RunArgs {
        let args = std::iter::once("swarmscout").chain(words.split_whitespace());
        parse(args.map(Into::into)).expect("clap accepts it").run
    }

    fn read(words: &str) -> anyhow::Result<Option<Options>> {
        let RunArgs { cluster, state, .. } = parsed(words);
        state.options(&common_labels(cluster.as_deref()))
    }

    #[test]
    fn state_metrics_are_on_unless_switched_off() {
        assert_eq!(read("").unwrap(), Some(Options::default()));
        assert_eq!(read("--state.metrics=false").unwrap(), None);
    }

    #[test]
    fn series_and_targets_get_the_same_labels() {
        let options =
            read("--cluster=home --state.series-labels=com.example/team").unwrap().unwrap();
        assert_eq!(options.constant_labels, [("cluster".to_owned(), "home".to_owned())]);
        let copied = parsed("--state.series-labels=com.example/team,env").state.copied_labels();
        let names: Vec<_> = copied.iter().map(|copied| (&*copied.key, &*copied.name)).collect();
        assert_eq!(names, [("com.example/team", "com_example_team"), ("env", "env")]);
        assert!(common_labels(Some("")).is_empty());
    }

    #[test]
    fn families_are_chosen_by_regexes() {
        let shown = |words: &str| {
            let options = read(words).unwrap().unwrap();
            let shown = Family::ALL.iter().filter(|family| !options.hidden.contains(family));
            shown.map(|family| family.name()).collect::<Vec<_>>().join(" ")
        };
        let words = "--state.metric-allowlist=dockerswarm_node_.*,dockerswarm_up \
                     --state.metric-denylist=.*_(cpus|bytes|timestamp_seconds|labels)";
        expect!["dockerswarm_up dockerswarm_node_info dockerswarm_node_state dockerswarm_node_availability dockerswarm_node_manager_leader dockerswarm_node_manager_reachable dockerswarm_node_generic_resources dockerswarm_node_reserved_generic_resources dockerswarm_node_tasks dockerswarm_node_alert_threshold dockerswarm_node_alert_ignored"]
            .assert_eq(&shown(&words.replace('\\', "")));
    }

    #[test]
    fn an_empty_list_is_as_one_that_is_not_given() {
        let words = "--state.metric-allowlist= --state.metric-denylist= --state.series-labels= \
                     --state.label-allowlist=";
        assert_eq!(read(words).unwrap(), Some(Options::default()));
        assert!(parsed(words).state.copied_labels().is_empty());
        let options = read("--state.series-labels=team,,env,").unwrap().unwrap();
        assert_eq!(options.series_labels, ["team", "env"]);
    }

    #[test]
    fn a_star_shows_all_labels() {
        let options = read("--state.label-allowlist=team,*").unwrap().unwrap();
        assert_eq!(
            (options.shows_all_labels, options.shown_labels),
            (true, vec!["team".to_owned()])
        );
    }

    #[test]
    fn bad_values_are_refused() {
        let error = |words: &str| format!("{:#}", read(words).unwrap_err());
        expect![[r#"cannot use --state.series-labels=node: the label "node" of state metrics means something else"#]]
            .assert_eq(&error("--state.series-labels=node"));
        for (label, reason) in [
            ("instance", "is set by Prometheus at each scrape"),
            ("job", "is set by Prometheus at each scrape"),
            ("swarm", "of state metrics means something else"),
            ("cluster", "of state metrics means something else"),
            ("task.slot", "of targets means something else"),
            ("label_team", "of state metrics means something else"),
            ("__team", "is removed by Prometheus, as all that begin with __"),
        ] {
            let name = label_name(label);
            let expected =
                format!("cannot use --state.series-labels={label}: the label {name:?} {reason}");
            assert_eq!(error(&format!("--state.series-labels={label}")), expected);
        }
        expect!["cannot use --state.series-labels=*: write whole names of labels, as in --state.series-labels=team,env"]
            .assert_eq(&error("--state.series-labels=*"));
        expect!["cannot use --state.label-allowlist=nodes=[*]: write whole names of labels, as in --state.label-allowlist=team,env"]
            .assert_eq(&error("--state.label-allowlist=nodes=[*]"));
        expect!["--state.metric-allowlist and --state.metric-denylist leave no state metric: correct them, or use --no-state.metrics"]
            .assert_eq(&error("--state.metric-denylist=.*"));
        expect![[r#"cannot use --state.label-allowlist=a-b: another label is called "a_b" too"#]]
            .assert_eq(&error("--state.label-allowlist=a.b,a-b"));
        expect!["cannot use --state.metric-denylist=service: no state metric has such a name, see /metrics/swarm"]
            .assert_eq(&error("--state.metric-denylist=service"));
        assert!(error("--state.metric-allowlist=(").contains("missing closing"));
    }
}
