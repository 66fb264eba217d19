//! The targets of a job after relabeling, as the job publishes them.
//!
//! Every reader of targets (lists, file SD, pages, an agent) needs only this module, and nothing of
//! how targets are discovered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::duration::PromDuration;
use crate::durations::DurationHistogram;
use crate::labels::Labels;
use crate::relabel::RelabelRule;
use crate::target::{RelabelledGroup, Target, TargetDefaults};
use crate::target_list::TargetList;

/// How a job makes targets of the groups of its sources. Equal values make equal targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSpec {
    /// The job's name and the labels that it gives its targets.
    pub defaults: TargetDefaults,
    /// `relabel_configs`.
    pub relabel: Arc<[RelabelRule]>,
    /// The most targets after merging; 0 means no limit. With more, no target is scraped.
    pub target_limit: u64,
    /// The most dropped targets that are listed; 0 means no limit. Their count stays exact.
    pub keep_dropped_targets: u64,
}

impl PoolSpec {
    /// A job with this name, and Prometheus' defaults for the rest.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        let defaults = TargetDefaults {
            job: name.into(),
            scrape_interval: PromDuration::from_secs(60),
            scrape_timeout: PromDuration::from_secs(10),
            metrics_path: "/metrics".to_owned(),
            scheme: "http".to_owned(),
            params: Vec::new(),
            convert_classic_histograms_to_nhcb: false,
            always_scrape_classic_histograms: false,
            scrape_native_histograms: false,
            common_labels: Labels::empty(),
        };
        Self { defaults, relabel: Arc::default(), target_limit: 0, keep_dropped_targets: 0 }
    }

    /// The job's name.
    pub fn name(&self) -> &Arc<str> {
        &self.defaults.job
    }
}

/// The targets of a job at one moment. Immutable; cheap to clone.
#[derive(Clone, Debug)]
pub struct TargetSet {
    /// The job whose rules were applied.
    pub pool: Arc<PoolSpec>,
    /// In the order of the job's sources, then of the groups' source keys. A group that did not
    /// change [is the same](SetGroup::is_same) as in the set before.
    pub groups: Arc<[SetGroup]>,
    /// How many targets there are of each kind.
    pub counts: TargetCounts,
    /// Whether all sources have answered.
    pub completeness: Completeness,
    /// `target_limit exceeded (number of targets: N, limit: M)`: then no target is scraped.
    pub limit_error: Option<String>,
    /// Whether this set is still that of the configuration before a reload. It is published until
    /// the new set [is ready](Self::is_ready).
    pub stale_config: bool,
    /// When the groups last changed.
    pub changed: SystemTime,
    /// The counters of the job since it was started.
    pub syncs: SyncStats,
}

/// Whether the sources of a set have answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// All of them.
    Complete,
    /// Some have. The missing ones had their time to answer, so the set is served without their
    /// targets.
    Partial {
        /// At least one.
        missing: Arc<[MissingSource]>,
    },
    /// Too few for the set to be served.
    Pending {
        /// At least one.
        missing: Arc<[MissingSource]>,
        /// How many sources there are.
        sources: usize,
    },
}

/// A source that has never answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingSource {
    /// Identifies the source within its job: `dockerswarm/0`.
    pub name: Arc<str>,
    /// What it queries, without secrets: `unix:///var/run/docker.sock role tasks`.
    pub display_name: Arc<str>,
    /// Why the last refresh failed. `None` while the first one is running.
    pub error: Option<Arc<str>>,
}

/// A group of a set.
#[derive(Clone, Debug)]
pub struct SetGroup {
    /// The group with the job's rules applied.
    pub relabelled: Arc<RelabelledGroup>,
    /// See [`Self::duplicates`]. Most groups have none.
    duplicates: Option<Arc<[u32]>>,
}

impl SetGroup {
    /// A group, and the ascending indexes of its active targets that are duplicates.
    pub fn new(relabelled: Arc<RelabelledGroup>, duplicates: &[u32]) -> Self {
        let mut group = Self { relabelled, duplicates: None };
        group.set_duplicates(duplicates.iter().copied());
        group
    }

    /// Replaces the duplicates by these, in ascending order.
    pub fn set_duplicates(&mut self, duplicates: impl ExactSizeIterator<Item = u32>) {
        self.duplicates = (duplicates.len() > 0).then(|| duplicates.collect());
    }

    /// Ascending indexes in [`RelabelledGroup::active`] of the targets that equal a later one of
    /// the set. They are neither scraped nor listed as active.
    pub fn duplicates(&self) -> &[u32] {
        self.duplicates.as_deref().unwrap_or_default()
    }

    /// The active targets without duplicates.
    pub fn active(&self) -> impl Iterator<Item = &Target> {
        let mut hidden = self.duplicates().iter().peekable();
        (0_u32..).zip(&self.relabelled.active).filter_map(move |(index, target)| {
            hidden.next_if(|next| **next == index).is_none().then_some(target)
        })
    }

    /// Whether the two are the same, so that a rendering of one is valid for the other. Compares no
    /// target.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.relabelled, &other.relabelled)
            && match (&self.duplicates, &other.duplicates) {
                (None, None) => true,
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                _ => false,
            }
    }
}

/// How many targets of a job there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetCounts {
    /// To scrape, duplicates not counted.
    pub active: usize,
    /// Dropped by relabeling.
    pub dropped: usize,
    /// Without address or otherwise unusable.
    pub refused: usize,
    /// Equal to another active one of the same list.
    pub duplicates: usize,
    /// Active, duplicates included, and marked as [unreachable](crate::target_list::UNREACHABLE).
    pub unreachable: usize,
}

/// The counters of a job since it was started. They never decrease.
#[derive(Clone, Debug, Default)]
pub struct SyncStats {
    /// How often groups were relabelled, and how long each time took.
    pub durations: Arc<DurationHistogram>,
    /// Refused targets. A target counts each time it is refused.
    pub refused: u64,
}

impl TargetSet {
    /// Whether the set may be served: every source has answered, or the time for that is over and
    /// at least one has.
    pub const fn is_ready(&self) -> bool {
        !matches!(self.completeness, Completeness::Pending { .. })
    }

    /// Whether every source has answered.
    pub const fn is_complete(&self) -> bool {
        matches!(self.completeness, Completeness::Complete)
    }

    /// The sources that have never answered. The set has none of their targets.
    pub fn missing(&self) -> &[MissingSource] {
        match &self.completeness {
            Completeness::Complete => &[],
            Completeness::Partial { missing } | Completeness::Pending { missing, .. } => missing,
        }
    }

    /// The number of active targets in each list that has a group. The normal list is always there.
    pub fn lists(&self) -> BTreeMap<TargetList, usize> {
        let mut lists = BTreeMap::from([(TargetList::Normal, 0)]);
        for group in &*self.groups {
            let active = group.relabelled.active.len() - group.duplicates().len();
            *lists.entry(TargetList::of(&group.relabelled.group)).or_default() += active;
        }
        lists
    }

    /// The active targets without duplicates, with their group.
    pub fn active(&self) -> impl Iterator<Item = (&Arc<RelabelledGroup>, &Target)> {
        self.groups
            .iter()
            .flat_map(|group| group.active().map(move |target| (&group.relabelled, target)))
    }
}
