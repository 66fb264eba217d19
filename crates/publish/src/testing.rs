//! For tests, benchmarks and fuzz targets: jobs and sets made by hand. No part of the interface.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use swarmscout_discovery::set::{Counts, Durations, Syncs};
use swarmscout_discovery::{JobConfig, SetGroup, SourceStatus, TargetSet};
use swarmscout_model::relabel::{RawRule, RelabelRule};
use swarmscout_model::target::relabel_group;
use swarmscout_model::{
    Labels, LabelsBuilder, NameScheme, PromDuration, TargetDefaults, TargetGroup,
};

use crate::list::{self, Encoding, Form};

/// The body of `/sd/<job>` with or without gzip: the active targets, or with `raw` all targets as
/// the sources returned them.
pub fn http_sd(set: &Arc<TargetSet>, raw: bool, gzip: bool) -> Vec<u8> {
    let form = if raw { Form::Raw } else { Form::Full };
    let encoding = if gzip { Encoding::Gzip } else { Encoding::Json };
    list::whole(set, form, encoding)
}

/// A job whose rules keep what they are given.
pub fn job(name: &str) -> JobConfig {
    JobConfig {
        defaults: TargetDefaults {
            job: Arc::from(name),
            scrape_interval: PromDuration::from_secs(60),
            scrape_timeout: PromDuration::from_secs(10),
            metrics_path: String::from("/metrics"),
            scheme: String::from("http"),
            params: Vec::new(),
            convert_classic_histograms_to_nhcb: false,
            always_scrape_classic_histograms: false,
            scrape_native_histograms: false,
        },
        relabel: Arc::from([]),
        sources: Vec::new(),
        target_limit: 0,
        keep_dropped_targets: 0,
    }
}

/// A rule that keeps or drops the targets of which this label has this value.
pub fn rule(action: &str, label: &str, regex: &str) -> RelabelRule {
    let rule = RawRule {
        source_labels: Some(vec![label.to_owned()]),
        regex: Some(regex.to_owned()),
        action: Some(action.to_owned()),
        ..RawRule::default()
    };
    rule.check(NameScheme::Utf8).unwrap()
}

/// A rule that sets a label.
pub fn replace(label: &str, regex: &str, target_label: &str, to: &str) -> RelabelRule {
    let rule = RawRule {
        source_labels: Some(vec![label.to_owned()]),
        regex: Some(regex.to_owned()),
        target_label: Some(target_label.to_owned()),
        replacement: Some(to.to_owned()),
        ..RawRule::default()
    };
    rule.check(NameScheme::Utf8).unwrap()
}

/// A group whose targets have these labels: `a=1 b=2`, the first being the address alone.
pub fn group(source: &str, common: &str, targets: &[&str]) -> Arc<TargetGroup> {
    let labels = |text: &str| -> Labels {
        text.split_whitespace().map(|label| label.split_once('=').unwrap()).collect()
    };
    Arc::new(TargetGroup {
        source: Arc::from(source),
        targets: targets.iter().map(|text| labels(&format!("__address__={text}"))).collect(),
        labels: labels(common),
    })
}

/// A source that answered `age` seconds before `now`, if ever.
pub fn source(name: &str, now: Instant, age: Option<u64>) -> SourceStatus {
    SourceStatus {
        mechanism: "dockerswarm",
        name: Arc::from(name),
        what: Arc::from("unix:///var/run/docker.sock role tasks"),
        as_of: age.map(|age| now.checked_sub(Duration::from_secs(age)).unwrap()),
        restored: false,
        refreshes: true,
        error: None,
        problems: Arc::from([]),
        without_address: None,
        looks: 3,
        failures: 1,
        durations: Arc::new(Durations::default()),
        groups: 1,
        targets: 2,
        feed: None,
    }
}

/// What the target manager would make of these groups.
pub fn set(
    job: &Arc<JobConfig>,
    groups: &[Arc<TargetGroup>],
    sources: Vec<SourceStatus>,
) -> TargetSet {
    let mut builder = LabelsBuilder::new();
    let groups = groups
        .iter()
        .map(|group| relabel_group(Arc::clone(group), &job.defaults, &job.relabel, &mut builder));
    let groups: Arc<[SetGroup]> = groups.map(|group| SetGroup::new(Arc::new(group), &[])).collect();
    let count = |of: fn(&SetGroup) -> usize| groups.iter().map(of).sum();
    TargetSet {
        job: Arc::clone(job),
        counts: Counts {
            active: count(|group| group.active().count()),
            dropped: count(|group| group.relabelled.dropped.len()),
            refused: count(|group| group.relabelled.refused.len()),
            duplicates: count(|group| group.duplicates().len()),
        },
        groups,
        sources,
        limit_error: None,
        timed_out: false,
        stale_config: false,
        next_sources: Vec::new(),
        changed: SystemTime::UNIX_EPOCH,
        syncs: Syncs::default(),
    }
}
