//! For tests, benchmarks and fuzz targets: jobs and sets made by hand. No part of the interface.

#![expect(clippy::unwrap_used, reason = "it is for tests")]

use std::sync::Arc;
use std::time::SystemTime;

use swarmscout_model::relabel::{RawRule, RelabelRule};
use swarmscout_model::target::relabel_group;
use swarmscout_model::{
    Completeness, Labels, LabelsBuilder, MissingSource, NameScheme, PoolSpec, SetGroup, SyncStats,
    TargetCounts, TargetGroup, TargetSet,
};

use crate::list::{self, Encoding, Form};

/// The body of `/sd/<job>` with or without gzip: the active targets, or with `raw` all targets as
/// the sources returned them.
pub fn http_sd(set: &Arc<TargetSet>, raw: bool, gzip: bool) -> Vec<u8> {
    let form = if raw { Form::Raw } else { Form::Full };
    let encoding = if gzip { Encoding::Gzip } else { Encoding::Json };
    list::whole(set, form, encoding)
}

/// A rule that keeps or drops the targets whose label `label` matches `regex`.
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

/// A source that has not answered.
pub fn missing(name: &str) -> MissingSource {
    MissingSource {
        name: Arc::from(name),
        display_name: Arc::from("unix:///var/run/docker.sock role tasks"),
        error: None,
    }
}

/// What the target manager would make of these groups: the set of a job whose sources have all
/// answered.
pub fn set(pool: &PoolSpec, groups: &[Arc<TargetGroup>]) -> TargetSet {
    let mut builder = LabelsBuilder::new();
    let groups = groups
        .iter()
        .map(|group| relabel_group(Arc::clone(group), &pool.defaults, &pool.relabel, &mut builder));
    let groups: Arc<[SetGroup]> = groups.map(|group| SetGroup::new(Arc::new(group), &[])).collect();
    let count = |of: fn(&SetGroup) -> usize| groups.iter().map(of).sum();
    TargetSet {
        pool: Arc::new(pool.clone()),
        counts: TargetCounts {
            active: count(|group| group.active().count()),
            dropped: count(|group| group.relabelled.dropped.len()),
            refused: count(|group| group.relabelled.refused.len()),
            duplicates: count(|group| group.duplicates().len()),
            unreachable: count(|group| group.relabelled.unreachable().count()),
        },
        groups,
        completeness: Completeness::Complete,
        limit_error: None,
        stale_config: false,
        changed: SystemTime::UNIX_EPOCH,
        syncs: SyncStats::default(),
    }
}
