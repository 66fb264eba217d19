//! What a job hands over: its targets and the state of its sources.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

pub use swarmscout_model::Durations;
use swarmscout_model::{RelabelledGroup, Target};
use swarmscout_swarm::Feed;

use crate::without_address::TasksWithoutAddress;
use crate::{JobConfig, Problem};

/// All that is known of a job's targets at one moment. Immutable; cheap to clone.
#[derive(Clone, Debug)]
pub struct TargetSet {
    /// The job whose rules were applied.
    pub job: Arc<JobConfig>,
    /// In the order of the job's sources, then of the groups' source keys. A group that did not
    /// change [is the same](SetGroup::is_same) as in the set before.
    pub groups: Arc<[SetGroup]>,
    /// How many targets there are of each kind.
    pub counts: Counts,
    /// One for each different source of the job, in the order of the file.
    pub sources: Vec<SourceStatus>,
    /// `target_limit exceeded (number of targets: N, limit: M)`: then no target is scraped.
    pub limit_error: Option<String>,
    /// Whether the sources had [their time](crate::config::BuildContext::startup_timeout) to answer:
    /// what is known is served then, if any of them has.
    pub timed_out: bool,
    /// Whether this set is still that of the job's configuration before a reload, shown until
    /// the new one [is ready](Self::is_ready).
    pub stale_config: bool,
    /// While `stale_config`: the sources of the new configuration.
    pub next_sources: Vec<SourceStatus>,
    /// When the groups last changed.
    pub changed: SystemTime,
    /// What is counted of the job since it was started.
    pub syncs: Syncs,
}

/// A group of a set.
#[derive(Clone, Debug)]
pub struct SetGroup {
    /// The group with the job's rules applied.
    pub relabelled: Arc<RelabelledGroup>,
    /// See [`Self::duplicates`]. Most groups have none.
    pub(crate) duplicates: Option<Arc<[u32]>>,
}

impl SetGroup {
    /// A group of which these active targets, by ascending index, are duplicates.
    pub fn new(relabelled: Arc<RelabelledGroup>, duplicates: &[u32]) -> Self {
        let duplicates = (!duplicates.is_empty()).then(|| Arc::from(duplicates));
        Self { relabelled, duplicates }
    }

    /// Indexes in [`RelabelledGroup::active`], ascending, of the targets that are the same as a
    /// later one of the set. They are not scraped and stand in no list of active targets.
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

    /// Whether nothing changed between the two, so that what was made of one holds for the other.
    /// Compares no target.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.relabelled, &other.relabelled)
            && match (&self.duplicates, &other.duplicates) {
                (None, None) => true,
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                _ => false,
            }
    }
}

/// What is counted of a job since it was started. No number ever falls.
#[derive(Clone, Debug, Default)]
pub struct Syncs {
    /// How often groups were relabelled, and how long each time took.
    pub durations: Arc<Durations>,
    /// Targets that were refused, each time they were.
    pub refused: u64,
    /// What sources counted that the job no longer has, by mechanism.
    pub ended: Arc<BTreeMap<&'static str, Refreshes>>,
}

/// How the refreshes of some sources went, all of them together.
#[derive(Clone, Debug, Default)]
pub struct Refreshes {
    /// Refreshes that failed.
    pub failures: u64,
    /// How long refreshes took, failed ones included.
    pub durations: Durations,
}

impl Refreshes {
    /// Adds those of a source.
    pub fn add(&mut self, source: &SourceStatus) {
        self.failures += source.failures;
        self.durations.add(&source.durations);
    }
}

/// How many targets of a job there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// To scrape, duplicates not counted.
    pub active: usize,
    /// Dropped by relabeling.
    pub dropped: usize,
    /// Without address or otherwise unusable.
    pub refused: usize,
    /// Equal to another active one.
    pub duplicates: usize,
}

impl TargetSet {
    /// Whether the set may be served: every source has answered, or the time for that has passed
    /// and at least one has.
    pub fn is_ready(&self) -> bool {
        self.is_complete() || (self.timed_out && self.missing().count() < self.sources.len())
    }

    /// Whether every source has answered.
    pub fn is_complete(&self) -> bool {
        self.missing().next().is_none()
    }

    /// The sources that have never answered: the set has no target of theirs.
    pub fn missing(&self) -> impl Iterator<Item = &SourceStatus> {
        self.sources.iter().filter(|source| source.as_of.is_none())
    }

    /// The active targets without duplicates, with their group.
    pub fn active(&self) -> impl Iterator<Item = (&Arc<RelabelledGroup>, &Target)> {
        self.groups
            .iter()
            .flat_map(|group| group.active().map(move |target| (&group.relabelled, target)))
    }

    /// The age of the source that was confirmed longest ago. A source that needs no refresh
    /// (`static_configs`) is never old, and one that has never answered has no age.
    pub fn oldest_age(&self, now: Instant) -> Duration {
        let refreshed = self.sources.iter().filter(|source| source.refreshes);
        let ages =
            refreshed.filter_map(|source| Some(now.saturating_duration_since(source.as_of?)));
        ages.max().unwrap_or_default()
    }
}

/// How a source is doing.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    /// Prometheus' name of the mechanism: `dockerswarm`.
    pub mechanism: &'static str,
    /// Tells the source from the job's others and stays the same over a reload: `dockerswarm/0`.
    pub name: Arc<str>,
    /// What is asked, for people, without secrets: `unix:///var/run/docker.sock role tasks`.
    pub what: Arc<str>,
    /// When the origin last confirmed what is shown. `None` until the first good look.
    pub as_of: Option<Instant>,
    /// Whether what is shown is from before the program was restarted: the source has not answered
    /// since. `as_of` tells when it did.
    pub restored: bool,
    /// Whether it is looked at again by itself, so that its age means something.
    pub refreshes: bool,
    /// Why the last look failed; `None` while all is well.
    pub error: Option<Arc<str>>,
    /// What the last good look had to skip.
    pub problems: Arc<[Problem]>,
    /// Running tasks that gave no target; `None` for what does not find tasks of a Swarm.
    pub without_address: Option<Arc<TasksWithoutAddress>>,
    /// Looks that brought a set, and looks that failed, since the source was started.
    pub looks: u64,
    /// Looks that failed since the source was started.
    pub failures: u64,
    /// How long looks took, failed ones included.
    pub durations: Arc<Durations>,
    /// How many groups and targets it has now, before relabeling.
    pub groups: usize,
    /// Targets before relabeling.
    pub targets: usize,
    /// How changes of its Swarm are learned, for a source of swarm mode.
    pub feed: Option<Arc<Feed>>,
}
