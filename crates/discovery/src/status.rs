//! How the sources of a job are doing, beside the targets that they found.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use swarmscout_model::DurationHistogram;
use swarmscout_swarm::Feed;

use crate::Problem;
use crate::without_address::TasksWithoutAddress;

/// The state of a job's sources at one moment. Immutable; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct JobStatus {
    /// One for each different source of the published set, in the order of the file.
    pub sources: Vec<SourceStatus>,
    /// While the set is [that of the configuration before a reload][stale]: the sources of the new
    /// configuration.
    ///
    /// [stale]: swarmscout_model::TargetSet::stale_config
    pub next_sources: Vec<SourceStatus>,
    /// What sources counted that the job no longer has, by mechanism.
    pub ended: Arc<BTreeMap<&'static str, RefreshStats>>,
}

impl JobStatus {
    /// The age of the source that was confirmed longest ago. A source that needs no refresh
    /// (`static_configs`) is never old, and one that has never answered has no age.
    pub fn oldest_age(&self, now: Instant) -> Duration {
        let refreshed = self.sources.iter().filter(|source| source.refreshes);
        let ages =
            refreshed.filter_map(|source| Some(now.saturating_duration_since(source.as_of?)));
        ages.max().unwrap_or_default()
    }
}

/// How the refreshes of some sources went, all of them together.
#[derive(Clone, Debug, Default)]
pub struct RefreshStats {
    /// Refreshes that failed.
    pub failures: u64,
    /// How long refreshes took, failed ones included.
    pub durations: DurationHistogram,
}

impl RefreshStats {
    /// Adds those of a source.
    pub fn add(&mut self, source: &SourceStatus) {
        self.failures += source.failures;
        self.durations.add(&source.durations);
    }
}

/// How a source is doing.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    /// Prometheus' name of the mechanism: `dockerswarm`.
    pub mechanism: &'static str,
    /// Distinguishes the source from the job's others and stays the same over a reload:
    /// `dockerswarm/0`.
    pub name: Arc<str>,
    /// What is asked, for display, without secrets: `unix:///var/run/docker.sock role tasks`.
    pub what: Arc<str>,
    /// When the origin last confirmed what is shown. `None` until the first good refresh.
    pub as_of: Option<Instant>,
    /// Whether what is shown is from before the program was restarted: the source has not answered
    /// since. `as_of` says when it did.
    pub restored: bool,
    /// Whether it is read again by itself, so that its age means something.
    pub refreshes: bool,
    /// Why the last refresh failed; `None` while all is well.
    pub error: Option<Arc<str>>,
    /// What the last good refresh had to skip.
    pub problems: Arc<[Problem]>,
    /// Running tasks that gave no target; `None` for what does not find tasks of a Swarm.
    pub without_address: Option<Arc<TasksWithoutAddress>>,
    /// Refreshes that brought a set, and refreshes that failed, since the source was started.
    pub looks: u64,
    /// Refreshes that failed since the source was started.
    pub failures: u64,
    /// How long refreshes took, failed ones included.
    pub durations: Arc<DurationHistogram>,
    /// How many groups and targets it has now, before relabeling.
    pub groups: usize,
    /// Targets before relabeling.
    pub targets: usize,
    /// How changes of its Swarm are learned, for a source of swarm mode.
    pub feed: Option<Arc<Feed>>,
}
