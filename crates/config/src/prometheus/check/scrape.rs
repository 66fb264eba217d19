//! A job.

use std::sync::Arc;

use swarmscout_config_decoder::{At, Cx, Section, State};
use swarmscout_discovery::JobConfig;
use swarmscout_model::quote::Quoted;
use swarmscout_model::relabel::{RelabelRule, process};
use swarmscout_model::{Labels, LabelsBuilder, NameScheme, PoolSpec, PromDuration, TargetDefaults};

use super::{global, relabel, sd};
use crate::prometheus::raw::{Global, ScrapeConfig};

/// Keys that concern the scrape, of `http_config` too where it is a job's: nothing scrapes yet.
pub(super) fn kept_keys<S: Section>() -> Vec<&'static str> {
    let mut keys = Vec::new();
    S::keys(&mut keys);
    keys.iter()
        .filter(|key| key.marks.state == State::Kept || key.of == "http_config")
        .map(|key| key.name)
        .collect()
}

/// Warns of each of those keys once in a file.
pub(super) fn warn_of_kept(at: &At, kept: &[&'static str], cx: &mut Cx<'_>) {
    for (key, at) in at.keys().filter(|(key, _)| kept.contains(key)) {
        cx.warn_once(key, |cx| {
            let text = "has no effect: this version finds targets and does not scrape them; set it \
                        where they are scraped";
            cx.within(key, |cx| cx.warn(at, text));
        });
    }
}

/// Checks a job and fills in what it takes from the global section.
pub(super) fn check(job: &mut ScrapeConfig, global: &Global, cx: &mut Cx<'_>) -> JobConfig {
    if job.job_name.is_empty() && !job.at.failed("job_name") {
        cx.error(job.at.key("job_name"), "job_name is empty");
    }
    inherit(job, global);
    times(job, global, cx);
    protocols(job, global, cx);
    let scheme = names(job, global, cx);
    job.http.check(cx);

    let relabel = relabel::check(
        &mut job.relabel_configs,
        "relabel_configs",
        scheme,
        "empty or null target relabeling rule in scrape config",
        cx,
    );
    relabel::check(
        &mut job.metric_relabel_configs,
        "metric_relabel_configs",
        scheme,
        "empty or null metric relabeling rule in scrape config",
        cx,
    );
    let sources = sd::check(&mut job.sd, !job.relabel_configs.is_empty(), cx);
    warn_of_params(job, cx);
    let defaults = TargetDefaults {
        job: Arc::from(job.job_name.as_str()),
        scrape_interval: job.scrape_interval,
        scrape_timeout: job.scrape_timeout,
        metrics_path: job.metrics_path.clone(),
        scheme: job.scheme.clone(),
        params: job.params.clone().into_iter().collect(),
        convert_classic_histograms_to_nhcb: job.convert_classic_histograms_to_nhcb == Some(true),
        always_scrape_classic_histograms: job.always_scrape_classic_histograms == Some(true),
        scrape_native_histograms: job.scrape_native_histograms == Some(true),
        common_labels: Labels::empty(),
    };
    warn_of_removed(job, &defaults, &relabel, cx);
    let pool = PoolSpec {
        defaults,
        relabel,
        target_limit: job.target_limit,
        keep_dropped_targets: job.keep_dropped_targets,
    };
    JobConfig { pool, sources }
}

/// Warns of parameters that a list of targets cannot carry: it has labels, of one value each.
fn warn_of_params(job: &ScrapeConfig, cx: &mut Cx<'_>) {
    cx.within("params", |cx| {
        for (name, values) in job.params.iter().filter(|(_, values)| values.len() > 1) {
            let count = values.len();
            let text = format!(
                "has {count} values: a list of targets carries the first one only; write params \
                 where the targets are scraped"
            );
            cx.within(name, |cx| cx.warn_here(text));
        }
    });
}

/// Warns of rules that leave a label empty which the reader of a list then sets itself: what is not
/// there cannot be distinguished from what was removed.
fn warn_of_removed(
    job: &ScrapeConfig,
    defaults: &TargetDefaults,
    rules: &[RelabelRule],
    cx: &mut Cx<'_>,
) {
    if rules.len() < job.relabel_configs.len() {
        // What is wrong was noted.
        return;
    }
    // Each rule is tried on a target without other known labels.
    let known: Labels = [
        ("__metrics_path__", defaults.metrics_path.as_str()),
        ("__scheme__", &defaults.scheme),
        ("job", &defaults.job),
    ]
    .into_iter()
    .collect();
    let mut builder = LabelsBuilder::new();
    for (name, instead) in
        [("__metrics_path__", "/metrics"), ("__scheme__", "http"), ("job", "its own job")]
    {
        let removing = rules.iter().rposition(|rule| {
            builder.reset(&known);
            process(std::slice::from_ref(rule), &mut builder).is_ok()
                && known.get(name).is_some()
                && builder.get(name).is_none()
        });
        let Some(removing) = removing else { continue };
        if rules[removing + 1..].iter().any(|rule| rule.target_label() == name) {
            continue;
        }
        let sources = rules[removing].source_labels();
        let (when, fix) = if sources.is_empty() {
            ("", "")
        } else {
            // Whether they can be empty is not known, and most jobs have labels for their name.
            let mut earlier = rules[..removing].iter();
            let never = earlier.any(|rule| {
                builder.reset(&known);
                rule.source_labels().iter().any(|label| sources.contains(label))
                    && process(std::slice::from_ref(rule), &mut builder).is_err()
            });
            if never || name == "job" {
                continue;
            }
            (" where its source labels are", "let the regex match (.+) only, or ")
        };
        let text = format!(
            "leaves {name} empty{when}: a list of targets cannot say so, and its reader takes \
             {instead}; {fix}write the rule where the targets are scraped"
        );
        cx.within("relabel_configs", |cx| cx.item(removing, |cx| cx.warn_here(text)));
    }
}

fn inherit(job: &mut ScrapeConfig, global: &Global) {
    let limit = |own: &mut u64, global: u64| {
        if *own == 0 {
            *own = global;
        }
    };
    limit(&mut job.sample_limit, global.sample_limit);
    limit(&mut job.target_limit, global.target_limit);
    limit(&mut job.label_limit, global.label_limit);
    limit(&mut job.label_name_length_limit, global.label_name_length_limit);
    limit(&mut job.label_value_length_limit, global.label_value_length_limit);
    limit(&mut job.keep_dropped_targets, global.keep_dropped_targets);
    limit(&mut job.body_size_limit.0, global.body_size_limit.0);
    if job.scrape_failure_log_file.0.is_empty() {
        job.scrape_failure_log_file.clone_from(&global.scrape_failure_log_file);
    }
    let flag = |own: &mut Option<bool>, global: Option<bool>| {
        own.get_or_insert(global == Some(true));
    };
    flag(&mut job.scrape_native_histograms, global.scrape_native_histograms);
    flag(&mut job.extra_scrape_metrics, global.extra_scrape_metrics);
    flag(
        &mut job.convert_classic_histograms_to_nhcb,
        Some(global.convert_classic_histograms_to_nhcb),
    );
    flag(&mut job.always_scrape_classic_histograms, Some(global.always_scrape_classic_histograms));
}

fn times(job: &mut ScrapeConfig, global: &Global, cx: &mut Cx<'_>) {
    if job.scrape_interval == PromDuration::ZERO {
        job.scrape_interval = global.scrape_interval;
    }
    if job.scrape_timeout > job.scrape_interval && !job.at.failed("scrape_interval") {
        let name = Quoted(&job.job_name);
        let text = format!(
            "scrape timeout greater than scrape interval for scrape config with job name {name}"
        );
        cx.error(job.at.key("scrape_timeout"), text);
    }
    if job.scrape_timeout == PromDuration::ZERO {
        job.scrape_timeout = global.scrape_timeout.min(job.scrape_interval);
    }
}

fn protocols(job: &mut ScrapeConfig, global: &Global, cx: &mut Cx<'_>) {
    let native = job.scrape_native_histograms == Some(true);
    let name = Quoted(&job.job_name);
    if let Some(own) = &job.scrape_protocols {
        if let Err(text) = global::check_protocols(own) {
            let text = format!("{text} for scrape config with job name {name}");
            cx.error(job.at.key("scrape_protocols"), text);
        }
    } else {
        let all = [
            "PrometheusProto",
            "OpenMetricsText1.0.0",
            "OpenMetricsText0.0.1",
            "PrometheusText1.0.0",
            "PrometheusText0.0.4",
        ];
        let default = if native { &all[..] } else { &all[1..] };
        job.scrape_protocols = Some(
            global
                .scrape_protocols
                .clone()
                .unwrap_or_else(|| default.iter().map(|&name| name.to_owned()).collect()),
        );
    }
    if !job.fallback_scrape_protocol.is_empty()
        && let Err(text) = global::check_protocol(&job.fallback_scrape_protocol)
    {
        let whose =
            format!("invalid fallback_scrape_protocol for scrape config with job name {name}");
        cx.error(job.at.key("fallback_scrape_protocol"), format!("{whose}: {text}"));
    }
}

/// Which names are valid, and how others are escaped. A job that has a validation scheme of its own
/// does not take the escaping of the global one: they might not go together.
fn names(job: &mut ScrapeConfig, global: &Global, cx: &mut Cx<'_>) -> NameScheme {
    let inherits = job.metric_name_validation_scheme.is_empty();
    let scheme = &mut job.metric_name_validation_scheme;
    let scheme = global::validation(scheme, global::scheme(global), "scrape config", &job.at, cx);
    let escaping = &mut job.metric_name_escaping_scheme;
    if escaping.is_empty() && inherits && !global.metric_name_escaping_scheme.is_empty() {
        escaping.clone_from(&global.metric_name_escaping_scheme);
    } else {
        global::escaping(escaping, scheme, "scrape config", &job.at, cx);
    }
    scheme
}
