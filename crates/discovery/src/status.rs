//! The state of a job's sources, apart from their targets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use swarmscout_model::DurationHistogram;

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
    /// The counters of sources that the job no longer has, by mechanism.
    pub ended: Arc<BTreeMap<&'static str, RefreshStats>>,
}

impl JobStatus {
    /// The age of the job's least recently confirmed source. A source that needs no refresh
    /// (`static_configs`) is never old, and one that has never answered has no age.
    pub fn oldest_age(&self, now: Instant) -> Duration {
        let refreshed = self.sources.iter().filter(|source| source.is_refreshed);
        let ages =
            refreshed.filter_map(|source| Some(now.saturating_duration_since(source.as_of?)));
        ages.max().unwrap_or_default()
    }
}

/// The counters of some sources together.
#[derive(Clone, Debug, Default)]
pub struct RefreshStats {
    /// Refreshes that failed.
    pub failures: u64,
    /// The durations of refreshes, failed ones included.
    pub durations: DurationHistogram,
}

impl RefreshStats {
    /// Adds the counters of a source.
    pub fn add(&mut self, source: &SourceStatus) {
        self.failures += source.failures;
        self.durations.add(&source.durations);
    }
}

/// The state of a source.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    /// Prometheus' name of the mechanism: `dockerswarm`.
    pub mechanism: &'static str,
    /// Identifies the source within its job, also after a reload: `dockerswarm/0`.
    pub name: Arc<str>,
    /// The display name of what it queries, without secrets: `unix:///var/run/docker.sock role
    /// tasks`.
    pub display_name: Arc<str>,
    /// When the source last confirmed its targets. `None` until the first successful refresh.
    pub as_of: Option<Instant>,
    /// Whether its targets are from before a restart of the program, since when it has not
    /// answered.
    pub restored: bool,
    /// Whether it is refreshed regularly, so that its age has a meaning.
    pub is_refreshed: bool,
    /// Why the last refresh failed; `None` if it succeeded.
    pub error: Option<Arc<str>>,
    /// What the last successful refresh skipped.
    pub problems: Arc<[Problem]>,
    /// Running tasks without a target; `None` for sources other than tasks of a Swarm.
    pub without_address: Option<Arc<TasksWithoutAddress>>,
    /// The refreshes since the source was started, failed ones included.
    pub refreshes: u64,
    /// The failed refreshes since the source was started.
    pub failures: u64,
    /// The durations of refreshes, failed ones included.
    pub durations: Arc<DurationHistogram>,
    /// The number of its groups now.
    pub groups: usize,
    /// The number of its targets now, before relabeling.
    pub targets: usize,
    /// The name of the Swarm that it reads, for a source of swarm mode that has answered. The
    /// Swarm has a [state of its own](crate::Manager::swarms).
    pub swarm: Option<Arc<str>>,
}
