//! The series of all Swarms of a program.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use swarmscout_swarm::Snapshot;

use crate::classic::{ClassicMetrics, ObservedClassic};
use crate::counters::Counters;
use crate::options::Options;
use crate::page::{self, Body, Encoding};
use crate::shards::{Input, SwarmMetrics};

/// A Swarm at one moment.
#[derive(Clone, Debug)]
pub struct ObservedSwarm {
    /// Its display name.
    pub name: Arc<str>,
    /// Its objects.
    pub snapshot: Arc<Snapshot>,
    /// Whether the last refresh succeeded.
    pub up: bool,
    /// When the Swarm last confirmed its state, in microseconds since 1970.
    pub as_of: Option<i64>,
}

impl ObservedSwarm {
    /// Whether both are of one Swarm.
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name || is_same_swarm(&self.snapshot, &other.snapshot)
    }
}

/// From when to when the certificate of a manager is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateValidity {
    /// Its beginning: some time before the certificate was issued.
    pub begins: i64,
    /// Its end.
    pub ends: i64,
}

/// Writes the series of all Swarms, and keeps what did not change.
#[derive(Debug)]
pub struct Exporter {
    options: Options,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// By display name.
    swarms: BTreeMap<Arc<str>, SwarmMetrics>,
    /// The same.
    classic: BTreeMap<Arc<str>, ClassicMetrics>,
    /// Whether series have a label for their Swarm.
    is_labelled: bool,
    counters: Counters,
    /// The certificates of managers, by the IDs of their nodes.
    certificates: HashMap<Arc<str>, CertificateValidity>,
}

impl Exporter {
    /// Shows nothing yet.
    pub fn new(options: Options) -> Self {
        Self { options, kept: Mutex::default() }
    }

    /// The whole exposition. A Swarm that several sources read in different ways is shown once. Takes
    /// tens of milliseconds the first time for a large Swarm.
    pub fn render(
        &self,
        swarms: &[ObservedSwarm],
        classic: &[ObservedClassic],
        encoding: Encoding,
    ) -> Body {
        let swarms = distinct(swarms, ObservedSwarm::is_same);
        let classic = distinct(classic, ObservedClassic::is_same);
        let mut kept = self.kept();
        let is_labelled = swarms.len() + classic.len() > 1;
        if kept.is_labelled != is_labelled {
            kept.swarms.clear();
            kept.classic.clear();
            kept.is_labelled = is_labelled;
        }
        let options = |name: &Arc<str>| {
            let mut options = self.options.clone();
            if is_labelled {
                options.constant_labels.push(("swarm".to_owned(), name.to_string()));
            }
            Arc::new(options)
        };
        let Kept { swarms: known, classic: known_classic, counters, certificates, .. } = &mut *kept;
        known.retain(|name, _| swarms.iter().any(|swarm| swarm.name == *name));
        for ObservedSwarm { name, snapshot, up, as_of } in swarms {
            let entry = known.entry(Arc::clone(name));
            let metrics = entry.or_insert_with(|| SwarmMetrics::new(options(name)));
            counters.observe(snapshot);
            let input = Input { snapshot, up: *up, as_of: *as_of, certificates };
            metrics.update(&input, counters);
        }
        known_classic.retain(|name, _| classic.iter().any(|swarm| swarm.name == *name));
        for swarm in classic {
            let entry = known_classic.entry(Arc::clone(&swarm.name));
            entry.or_insert_with(|| ClassicMetrics::new(options(&swarm.name))).update(swarm);
        }
        let pages = known.values().flat_map(SwarmMetrics::pages);
        let pages = pages.chain(known_classic.values().flat_map(ClassicMetrics::pages));
        page::join(&pages.collect::<Vec<_>>(), encoding)
    }
}

impl Exporter {
    /// Takes over what is known of the certificates of managers, by the IDs of their nodes.
    pub fn set_certificates(&self, known: HashMap<Arc<str>, CertificateValidity>) {
        self.kept().certificates = known;
    }
}

/// What is stored.
impl Exporter {
    /// Takes over counters that [`Self::changed_counters`] returned once. To be called before anything
    /// is rendered.
    ///
    /// # Errors
    ///
    /// Why they cannot be used.
    pub fn restore_counters(&self, stored: &[u8]) -> Result<(), String> {
        self.kept().counters.restore(stored)
    }

    /// Has [`Self::changed_counters`] return all counters the next time, changed or not.
    pub fn store_counters(&self) {
        self.kept().counters.set_changed();
    }

    /// Counts what happened in these Swarms: all that the program reads, in the order in which they are
    /// rendered. Returns all counters, to be stored, if one changed since the last call. Services that
    /// are gone are forgotten.
    pub fn changed_counters(&self, swarms: &[Arc<Snapshot>]) -> Option<Vec<u8>> {
        let mut kept = self.kept();
        let counters = &mut kept.counters;
        // Followers of one Swarm count alike, but not at the same moment.
        for snapshot in distinct(swarms, |a, b| is_same_swarm(a, b)) {
            counters.observe(snapshot);
        }
        if !counters.take_changed() {
            return None;
        }
        // A Swarm that is not known yet may have them.
        if !swarms.is_empty() && swarms.iter().all(|snapshot| !snapshot.services.is_empty()) {
            let has = |id: &str| swarms.iter().any(|it| it.services.get("", id).is_some());
            counters.forget(has);
            counters.take_changed();
        }
        Some(counters.store())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether both are of one Swarm: they have a node in common.
fn is_same_swarm(a: &Snapshot, b: &Snapshot) -> bool {
    a.nodes.objects().any(|node| b.nodes.get("", &node.id).is_some())
}

/// The first of each Swarm.
fn distinct<T>(swarms: &[T], is_same: impl Fn(&T, &T) -> bool) -> Vec<&T> {
    let mut distinct = Vec::<&T>::new();
    for swarm in swarms {
        if !distinct.iter().any(|other| is_same(swarm, other)) {
            distinct.push(swarm);
        }
    }
    distinct
}
