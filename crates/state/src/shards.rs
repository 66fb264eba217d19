//! Keeps the series of a Swarm, and writes those again that a change is about.
//!
//! Services are spread over shards by the hash of their ID, and nodes likewise. A shard is written
//! again if anything changed that one of its objects shows. What a whole Swarm shows is written each time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use swarmscout_swarm::buckets::hash_of;
use swarmscout_swarm::scheduler::Scheduler;
use swarmscout_swarm::{NodeNames, Snapshot};

use crate::counters::Counters;
use crate::exporter::CertificateValidity;
use crate::families::Family;
use crate::network::AddressUse;
use crate::options::Options;
use crate::page::{self, Page, Piece};
use crate::service::{Facts, Surroundings};
use crate::{cluster, files, network, node, service, stack};

/// What the series of a Swarm are made of.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Its objects.
    pub snapshot: &'a Snapshot,
    /// Whether the last refresh succeeded.
    pub up: bool,
    /// When the Swarm last confirmed its state, in microseconds since 1970.
    pub as_of: Option<i64>,
    /// The certificates of managers, by the IDs of their nodes.
    pub certificates: &'a HashMap<Arc<str>, CertificateValidity>,
}

/// About this many tasks or nodes share a shard.
const OF_A_SHARD: usize = if cfg!(test) { 1 } else { 512 };

/// The most shards of a kind.
const MOST_SHARDS: usize = 256;

/// The series of one Swarm.
#[derive(Debug)]
pub struct SwarmMetrics {
    options: Arc<Options>,
    seen: Snapshot,
    scheduler: Scheduler,
    names: NodeNames,
    addresses: AddressUse,
    services: Shards<Facts>,
    nodes: Shards<()>,
    /// What changes with any object, and what changes with each refresh.
    whole: Vec<(Family, Piece)>,
    cluster: Vec<(Family, Piece)>,
}

/// Objects of a kind in shards, with what is known of each.
#[derive(Debug)]
pub(crate) struct Shards<T> {
    shards: Vec<Shard>,
    /// By ID.
    pub(crate) known: BTreeMap<Arc<str>, T>,
}

#[derive(Debug, Default)]
struct Shard {
    ids: BTreeSet<Arc<str>>,
    is_stale: bool,
    series: Vec<(Family, Piece)>,
}

impl<T> Default for Shards<T> {
    fn default() -> Self {
        Self { shards: Vec::new(), known: BTreeMap::new() }
    }
}

impl<T> Shards<T> {
    /// Makes it this many shards. Returns whether that is another number than before.
    pub(crate) fn resize(&mut self, objects: usize) -> bool {
        let wanted = objects.div_ceil(OF_A_SHARD).next_power_of_two().min(MOST_SHARDS);
        // Not at each task around a limit.
        let is_fit = (wanted..=2 * wanted).contains(&self.shards.len());
        if is_fit {
            return false;
        }
        self.shards = std::iter::repeat_with(Shard::default).take(wanted).collect();
        true
    }

    fn shard(&mut self, id: &str) -> &mut Shard {
        let shards = self.shards.len() as u64;
        let place = usize::try_from(hash_of(id) % shards).expect("less than the number of shards");
        &mut self.shards[place]
    }

    /// Notes that an object is new, or shows something else.
    pub(crate) fn touch(&mut self, id: &Arc<str>) {
        let shard = self.shard(id);
        shard.ids.insert(Arc::clone(id));
        shard.is_stale = true;
    }

    /// Notes that an object is gone.
    pub(crate) fn remove(&mut self, id: &str) {
        let shard = self.shard(id);
        shard.ids.remove(id);
        shard.is_stale = true;
        self.known.remove(id);
    }

    /// All series, in parts.
    pub(crate) fn pages(&self) -> impl Iterator<Item = &[(Family, Piece)]> {
        self.shards.iter().map(|shard| &*shard.series)
    }

    /// Writes the shards again that are stale. A family with the same text stays as it is, compressed.
    pub(crate) fn write(
        &mut self,
        hidden: &BTreeSet<Family>,
        mut each: impl FnMut(&mut Page, &str) -> Option<T>,
    ) {
        for shard in self.shards.iter_mut().filter(|shard| shard.is_stale) {
            let mut page = Page::default();
            for id in &shard.ids {
                if let Some(known) = each(&mut page, id) {
                    self.known.insert(Arc::clone(id), known);
                }
            }
            shard.series =
                page::keep_equal(std::mem::take(&mut shard.series), finish(page, hidden));
            shard.is_stale = false;
        }
    }
}

/// The series of a page, but for those that are hidden.
pub(crate) fn finish(page: Page, hidden: &BTreeSet<Family>) -> Vec<(Family, Piece)> {
    let mut series = page.finish();
    series.retain(|(family, _)| !hidden.contains(family));
    series
}

impl SwarmMetrics {
    /// Nothing is known yet.
    pub fn new(options: Arc<Options>) -> Self {
        Self {
            options,
            seen: Snapshot::default(),
            scheduler: Scheduler::default(),
            names: NodeNames::default(),
            addresses: AddressUse::default(),
            services: Shards::default(),
            nodes: Shards::default(),
            whole: Vec::new(),
            cluster: Vec::new(),
        }
    }

    /// Follows to another state of the Swarm.
    pub(crate) fn update(&mut self, input: &Input<'_>, counters: &Counters) {
        let now = input.snapshot;
        if self.whole.is_empty() || !self.seen.is_same(now) {
            self.follow(now, counters);
        }
        let mut page = Page::default();
        let unknown = self.services.known.values().map(|service| service.unknown_reasons).sum();
        cluster::write(&mut page, input, unknown, &self.names, &self.options);
        self.cluster = finish(page, &self.options.hidden);
    }

    fn follow(&mut self, now: &Snapshot, counters: &Counters) {
        let before = std::mem::replace(&mut self.seen, now.clone());
        self.scheduler.update(now);
        let renamed = self.names.update(&now.nodes);
        let is_first = self.services.known.is_empty() && self.nodes.known.is_empty();
        let has_new_services = self.services.resize(now.tasks.len().max(now.services.len()));
        if has_new_services {
            now.services.objects().for_each(|service| self.services.touch(&service.id));
        }
        let has_new_nodes = self.nodes.resize(now.nodes.len());
        if has_new_nodes {
            now.nodes.objects().for_each(|node| self.nodes.touch(&node.id));
        }
        // Else all is written anyway, and nothing is gone.
        if !(is_first && has_new_services && has_new_nodes) {
            self.touch_changed(&before, now, renamed);
        }
        self.addresses.update(now);
        let Self { scheduler, names, addresses, options, services, nodes, .. } = self;
        let of = Surroundings { snapshot: now, scheduler, names, addresses, counters, options };
        services.write(&options.hidden, |page, id| {
            let service = now.services.get("", id)?;
            Some(service::write(page, service, of))
        });
        nodes.write(&options.hidden, |page, id| {
            let node = now.nodes.get("", id)?;
            node::write(page, node, names, scheduler, options);
            Some(())
        });
        let mut page = Page::default();
        network::write(&mut page, now, addresses, options);
        files::write(&mut page, now, options);
        stack::write(&mut page, services.known.values(), options);
        self.whole = finish(page, &options.hidden);
    }

    /// Marks what the differences between two states are about.
    fn touch_changed(&mut self, before: &Snapshot, now: &Snapshot, mut of_nodes: Vec<u64>) {
        let Self { services, nodes, .. } = self;
        for (old, new) in before.services.differences(&now.services) {
            match (old, new) {
                (_, Some(service)) => services.touch(&service.id),
                (Some(gone), None) => services.remove(&gone.id),
                (None, None) => {}
            }
        }
        let mut touched = HashSet::new();
        let mut loaded = HashSet::new();
        for task in before.tasks.differences(&now.tasks) {
            for task in [task.0, task.1].into_iter().flatten() {
                touched.insert(Arc::clone(&task.service));
                loaded.insert(&task.node);
            }
        }
        for node in loaded {
            if now.nodes.get("", node).is_some() {
                nodes.touch(node);
            }
        }
        let of_nodes_before = of_nodes.len();
        let mut nodes_changed = of_nodes_before > 0;
        for (old, new) in before.nodes.differences(&now.nodes) {
            nodes_changed = true;
            match (old, new) {
                (_, Some(node)) => nodes.touch(&node.id),
                (Some(gone), None) => nodes.remove(&gone.id),
                (None, None) => {}
            }
            if old.map(|node| &node.state) != new.map(|node| &node.state) {
                of_nodes.extend(old.or(new).map(|node| hash_of(&node.id)));
            }
        }
        of_nodes.sort_unstable();
        let is_of = |id: &str| of_nodes.binary_search(&hash_of(id)).is_ok();
        for node in now.nodes.objects().filter(|node| is_of(&node.id)) {
            nodes.touch(&node.id);
        }
        let with_tasks = now.tasks.iter().filter(|bucket| bucket.refers_to_any(&of_nodes));
        touched.extend(with_tasks.map(|bucket| Arc::clone(bucket.owner())));
        let networks = before.networks.differences(&now.networks);
        let networks: HashSet<_> =
            networks.iter().filter_map(|(old, new)| Some(&old.or(*new)?.id)).collect();
        if !networks.is_empty() {
            let of_network = now.services.objects();
            let of_network =
                of_network.filter(|it| it.networks.iter().any(|id| networks.contains(id)));
            touched.extend(of_network.map(|service| Arc::clone(&service.id)));
        }
        for (id, outcomes) in now.outcomes.iter() {
            if before.outcomes.of(id).is_none_or(|known| !Arc::ptr_eq(known, outcomes)) {
                touched.insert(Arc::clone(id));
            }
        }
        // What is short on one node may be free on another by any task that ends.
        if nodes_changed || !touched.is_empty() {
            let depend = services.known.iter().filter(|(_, facts)| facts.depends_on_nodes);
            touched.extend(depend.map(|(id, _)| Arc::clone(id)));
        }
        for id in touched {
            if now.services.get("", &id).is_some() {
                services.touch(&id);
            }
        }
    }

    /// All series, in parts.
    pub(crate) fn pages(&self) -> impl Iterator<Item = &[(Family, Piece)]> {
        let whole = [&*self.cluster, &*self.whole].into_iter();
        whole.chain(self.nodes.pages()).chain(self.services.pages())
    }
}

#[cfg(test)]
mod tests;
