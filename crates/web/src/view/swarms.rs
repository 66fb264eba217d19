//! The newest state of each Swarm in swarm mode.
//!
//! The status of a source has the name of its Swarm; the Swarm reports its own state, for all its
//! readers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde::Serialize;
use swarmscout_discovery::SourceStatus;
use swarmscout_discovery::source::classic::ClassicSwarm;
use swarmscout_refresh::supervisor::Health;
use swarmscout_state::{ObservedClassic, ObservedSwarm};
use swarmscout_swarm::{FeedKind, SwarmStatus};

use super::{ReplicaOfSwarm, Seconds, Time};
use crate::Now;

/// By display name.
#[derive(Debug)]
pub(crate) struct Swarms(BTreeMap<Arc<str>, SwarmStatus>);

impl Swarms {
    /// `swarms` is in the order of creation. Two have one name for a moment after a reload: the newer
    /// one counts.
    pub(super) fn of(swarms: &[ReplicaOfSwarm]) -> Self {
        let status = swarms.iter().filter_map(ReplicaOfSwarm::status);
        Self(status.map(|status| (Arc::clone(&status.feed.swarm), status)).collect())
    }

    /// The one that a source reads.
    pub(super) fn read_by(&self, source: &SourceStatus, now: Now) -> Option<Swarm<'_>> {
        let status = self.0.get(source.swarm.as_ref()?)?;
        // Before that nothing is known of it.
        status.as_of.map(|_| Swarm::new(status, now))
    }

    pub(crate) fn iter(&self, now: Now) -> impl Iterator<Item = Swarm<'_>> {
        self.0.values().map(move |status| Swarm::new(status, now))
    }
}

/// What state metrics show.
#[derive(Debug, Default)]
pub(crate) struct WholeSwarms {
    /// The Swarms of swarm mode that are known.
    pub(crate) known: Vec<ObservedSwarm>,
    /// The classic Swarms that are known.
    pub(crate) classic: Vec<ObservedClassic>,
    /// The others by name, and why they are not.
    pub(crate) unknown: Vec<(Arc<str>, Option<Arc<str>>)>,
}

impl WholeSwarms {
    pub(super) fn of(swarms: &[ReplicaOfSwarm], now: Now) -> Self {
        let mut all = Self::default();
        for swarm in swarms.iter().filter(|swarm| swarm.is_whole) {
            // One without readers reports nothing.
            let Some(status) = swarm.status() else { continue };
            let name = Arc::clone(&status.feed.swarm);
            match observe(&name, swarm, now) {
                Some(swarm) => all.known.push(swarm),
                None => all.unknown.push((name, swarm.known.borrow().health.error.clone())),
            }
        }
        all
    }

    pub(super) fn add_classic(&mut self, swarms: &[ClassicSwarm], now: Now) {
        for swarm in swarms {
            match observe_classic(swarm, now) {
                Some(swarm) => self.classic.push(swarm),
                None if swarm.known().is_none() => {}
                None => self.unknown.push((Arc::clone(&swarm.name), None)),
            }
        }
    }
}

/// The objects of a Swarm. `None` before the first good refresh.
fn observe(name: &Arc<str>, swarm: &ReplicaOfSwarm, now: Now) -> Option<ObservedSwarm> {
    let known = swarm.known.borrow();
    let snapshot = Arc::clone(known.value.as_ref()?);
    let as_of = known.health.as_of.and_then(|as_of| micros(as_of, now));
    let (name, up) = (Arc::clone(name), known.health.error.is_none());
    Some(ObservedSwarm { name, snapshot, up, as_of })
}

/// A classic Swarm. `None` before the first attempt to ask a master, and once no source reads it.
fn observe_classic(swarm: &ClassicSwarm, now: Now) -> Option<ObservedClassic> {
    let (snapshot, masters) = swarm.known()?;
    masters.iter().find(|master| master.is_up.is_some())?;
    let refreshes = swarm.refreshes.borrow();
    let Health { as_of, error, .. } = &refreshes.health;
    let up = snapshot.is_some() && error.is_none();
    let as_of = as_of.filter(|_| snapshot.is_some()).and_then(|as_of| micros(as_of, now));
    Some(ObservedClassic { name: Arc::clone(&swarm.name), snapshot, masters, up, as_of })
}

/// Microseconds since 1970.
fn micros(at: Instant, now: Now) -> Option<i64> {
    let age = now.instant.saturating_duration_since(at);
    let at = now.system.checked_sub(age)?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(at.as_micros()).ok()
}

/// A Swarm and its change feed.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Swarm<'a> {
    #[serde(rename = "swarm")]
    pub(crate) name: &'a str,
    /// Which change feed is in use: one of [`Self::feed_kinds`].
    pub(crate) kind: &'static str,
    /// When it was opened.
    pub(crate) since: Time,
    /// How long ago that was.
    #[serde(skip)]
    pub(crate) open_for: Duration,
    /// Why it is not a better one; empty if it is the best that is configured.
    pub(crate) reason: &'a str,
    /// The manager that is asked.
    pub(crate) host: &'a str,
    pub(crate) managers: &'a [String],
    pub(crate) objects: Objects,
    /// The time since the cached Swarm was last confirmed.
    #[serde(rename = "ageSeconds")]
    pub(crate) age: Option<Seconds>,
    pub(crate) changes: u64,
    pub(crate) last_change: Option<Time>,
    #[serde(skip)]
    pub(crate) last_change_age: Option<Duration>,
    /// How long after it was made the last change arrived, by the clock of the Swarm.
    #[serde(rename = "delaySeconds")]
    pub(crate) delay: Option<Seconds>,
    /// How often a change feed was opened.
    pub(crate) starts: u64,
    /// Changes that a listing found and the change feed had not reported.
    pub(crate) drift: u64,
}

/// The number of cached objects of each kind.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Objects {
    nodes: usize,
    services: usize,
    tasks: usize,
    networks: usize,
}

impl Objects {
    /// Each kind in the singular, with its count.
    pub(crate) fn counts(self) -> [(&'static str, usize); 4] {
        let Self { nodes, services, tasks, networks } = self;
        [("node", nodes), ("service", services), ("task", tasks), ("network", networks)]
    }
}

impl<'a> Swarm<'a> {
    fn new(SwarmStatus { feed, as_of }: &'a SwarmStatus, now: Now) -> Self {
        let [nodes, services, tasks, networks] = feed.objects;
        Self {
            name: &feed.swarm,
            kind: feed.kind.as_str(),
            since: Time(feed.since),
            open_for: Time(feed.since).age(now),
            reason: feed.reason.as_deref().unwrap_or_default(),
            host: &feed.host,
            managers: &feed.managers,
            objects: Objects { nodes, services, tasks, networks },
            age: as_of.map(|as_of| Seconds(now.instant.saturating_duration_since(as_of))),
            changes: feed.changes,
            last_change: feed.last_change.map(Time),
            last_change_age: feed.last_change.map(|at| Time(at).age(now)),
            delay: feed.late.map(Seconds),
            starts: feed.starts,
            drift: feed.drift,
        }
    }

    /// All kinds of change feeds, the best first.
    pub(crate) fn feed_kinds() -> impl Iterator<Item = &'static str> {
        FeedKind::ALL.into_iter().map(FeedKind::as_str)
    }
}
