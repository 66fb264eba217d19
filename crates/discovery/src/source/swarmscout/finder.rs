//! Makes groups of targets from one snapshot after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use swarmscout_docker::Filter;
use swarmscout_docker::engine::{Node, Service};
use swarmscout_model::{Budget, CanonicalGroups, TargetGroup};
use swarmscout_swarm::buckets::hash_of;
use swarmscout_swarm::{Bucket, Filters, ListScope, NodeNames, NodePorts, Reader, Role, Snapshot};
use tokio::sync::watch;

use super::address::SharedNetworks;
use super::config::{Scraper, SwarmscoutOptions};
use super::options::Options;
use super::slots::{Slot, Slots};
use super::state::StateTarget;
use super::surroundings::Surroundings;
use super::targets::{self, Buffers, Claim, Context, DECLARED_BY, PRESET};
use super::{nodes, probes};
use crate::config::BuildContext;
use crate::limits::{LONGEST_ENGINE_LABEL, Meter};
use crate::source::dockerswarm::finder::changed;
use crate::source::dockerswarm::group_cache::GroupCache;
use crate::source::dockerswarm::shared_labels::SharedLabels;
use crate::source::moby::Skipped;
use crate::source::replica::SnapshotFinder;
use crate::{Error, Groups, Problem};

/// Makes groups of the slots of services, of what they want to be probed, and of nodes. Caches them
/// by bucket: for the next snapshot it reads only buckets that changed, or whose objects refer to a
/// changed object.
#[derive(Debug)]
pub(crate) struct EndpointFinder {
    options: Options,
    scraper: Scraper,
    /// The service that [`Scraper::Service`] names.
    scraper_service: Option<Arc<Service>>,
    /// Whether no network reaches beyond the machine, which is not that of the scraper.
    is_remote: bool,
    surroundings: watch::Receiver<Arc<Surroundings>>,
    needs: ListScope,
    /// The last snapshot.
    seen: Snapshot,
    /// What was known beside it.
    seen_surroundings: Arc<Surroundings>,
    /// Engines that served metrics in an earlier run of the program.
    restored_dockerd: BTreeSet<Arc<str>>,
    /// Whether labels of a service, not of its containers, say how it is scraped.
    has_labels: bool,
    /// Whether nothing that is cached counts: before the first snapshot, and after one that failed.
    is_stale: bool,
    slots: Slots,
    names: NodeNames,
    networks: SharedNetworks,
    shared: SharedLabels,
    /// Claims to addresses that belong to others.
    lost: BTreeMap<Claim, Arc<str>>,
    targets: GroupCache<Slot, Vec<Claim>>,
    dockerd: GroupCache<Node, ()>,
    probes: GroupCache<Service, ()>,
    state: StateTarget,
    buffers: Buffers,
    budget: Budget,
}

/// What every finder of these targets reads of a Swarm. Other tasks than those that shall run, or
/// shall complete, are history.
pub(super) fn reader() -> Reader {
    let values = ["running", "complete"].map(str::to_owned).into();
    let filter = Filter { name: "desired-state".to_owned(), values };
    Reader::of_role(Filters::new(Role::Tasks, &[filter]))
}

impl EndpointFinder {
    /// A finder without a snapshot yet.
    pub(super) fn new(
        options: &SwarmscoutOptions,
        surroundings: watch::Receiver<Arc<Surroundings>>,
        context: &BuildContext,
    ) -> Self {
        Self {
            scraper: options.scraper.clone(),
            options: Options::new(options).of_program(context),
            scraper_service: None,
            is_remote: false,
            surroundings,
            needs: ListScope::of([&reader()]),
            seen: Snapshot::default(),
            seen_surroundings: Arc::default(),
            restored_dockerd: BTreeSet::new(),
            has_labels: false,
            is_stale: true,
            slots: Slots::new(context.own_container.clone()),
            names: NodeNames::default(),
            networks: SharedNetworks::default(),
            shared: SharedLabels::default(),
            lost: BTreeMap::new(),
            targets: GroupCache::default(),
            dockerd: GroupCache::default(),
            probes: GroupCache::default(),
            state: StateTarget::default(),
            buffers: Buffers::default(),
            budget: context.refresh.budget.clone(),
        }
    }

    /// The same for an engine without a Swarm.
    pub(super) fn of_engine(self) -> Self {
        Self { options: self.options.of_engine(), ..self }
    }

    /// The same for an engine of another machine: its networks end there.
    pub(super) fn of_remote_engine(self) -> Self {
        Self { is_remote: true, ..self }
    }

    /// The networks that the scraper is in.
    fn networks(&mut self, snapshot: &Snapshot, surroundings: &Surroundings) -> SharedNetworks {
        match &self.scraper {
            Scraper::Networks(names) => SharedNetworks::Known(names.iter().cloned().collect()),
            Scraper::Service(name) => {
                if self.is_stale || !self.seen.services.is_same(&snapshot.services) {
                    let mut services = snapshot.services.objects();
                    let is_named =
                        |service: &&Arc<Service>| *service.name == **name || *service.id == **name;
                    self.scraper_service = services.find(is_named).cloned();
                }
                let service = self.scraper_service.as_ref();
                service.map_or(SharedNetworks::Unknown, |service| self.networks_of(service))
            }
            Scraper::Here => {
                if let Some(slot) = self.slots.own() {
                    return SharedNetworks::of(&slot.task().attachments);
                }
                if self.is_remote {
                    return SharedNetworks::Known(BTreeSet::new());
                }
                // A container that is in networks of its Engine alone does not say where the
                // scraper is.
                let ids = surroundings.networks.iter();
                let networks = ids.filter_map(|id| snapshot.networks.get("", id));
                let of_swarm = networks.filter(|network| &*network.scope == "swarm");
                SharedNetworks::from_ids(of_swarm.map(|network| Arc::clone(&network.id)))
            }
        }
    }

    /// The networks of a service: those of its tasks, or of its virtual IPs while it has none.
    fn networks_of(&self, service: &Service) -> SharedNetworks {
        if let Some(slot) = self.slots.buckets().of_owner(&service.id).next() {
            return SharedNetworks::of(&slot.task().attachments);
        }
        let ips = service.virtual_ips.iter().filter(|ip| ip.address.is_some());
        SharedNetworks::from_ids(ips.map(|ip| Arc::clone(&ip.network)))
    }

    /// Whether the networks of the scraper may be others now.
    fn may_move(&self, snapshot: &Snapshot, surroundings: &Arc<Surroundings>) -> bool {
        self.is_stale
            || !self.seen.tasks.is_same(&snapshot.tasks)
            || !self.seen.services.is_same(&snapshot.services)
            || !self.seen.networks.is_same(&snapshot.networks)
            || !Arc::ptr_eq(&self.seen_surroundings, surroundings)
    }

    fn update(
        &mut self,
        snapshot: &Snapshot,
        surroundings: &Arc<Surroundings>,
    ) -> Result<(), Error> {
        let relabelled = self.slots.update(&snapshot.tasks, |labels| self.options.are_in(labels));
        let mut all = self.is_stale;
        if self.may_move(snapshot, surroundings) {
            let networks = self.networks(snapshot, surroundings);
            all |= networks != self.networks;
            self.networks = networks;
        }
        let Self { seen, buffers, shared, names, .. } = self;
        shared.update_networks(seen, snapshot, &mut buffers.writer);
        shared.update_nodes(seen, snapshot, &mut buffers.writer);
        let renamed = names.update(&snapshot.nodes);
        let mut referenced = changed(&seen.networks, &snapshot.networks);
        referenced.extend(changed(&seen.nodes, &snapshot.nodes));
        referenced.extend(&renamed);
        referenced.extend(moved(&self.seen_surroundings.node_ports, &surroundings.node_ports));
        referenced.sort_unstable();
        let services = changed(&seen.services, &snapshot.services);
        let is_stale = |bucket: &Bucket<Slot>| {
            let service = || services.binary_search(&hash_of(bucket.owner())).is_ok();
            all || (!services.is_empty() && service()) || bucket.refers_to_any(&referenced)
        };
        let before: CanonicalGroups = self.targets.groups().into();
        if self.update_targets(snapshot, surroundings, is_stale)? || all {
            let lost = lost(self.targets.extras().flatten());
            if lost != self.lost {
                let differs = |(claim, winner): &(&Claim, &Arc<str>), other: &BTreeMap<_, _>| {
                    other.get(*claim) != Some(*winner)
                };
                let gone = self.lost.iter().filter(|entry| differs(entry, &lost));
                let new = lost.iter().filter(|entry| differs(entry, &self.lost));
                let services: BTreeSet<_> =
                    gone.chain(new).map(|(claim, _)| Arc::clone(&claim.service)).collect();
                self.lost = lost;
                let is_stale = |bucket: &Bucket<Slot>| services.contains(bucket.owner());
                self.update_targets(snapshot, surroundings, is_stale)?;
                // A group may be as it was before the first of these updates.
                self.targets.adopt(&before);
            }
        }
        self.update_nodes(snapshot, surroundings, all, &renamed)?;
        self.update_probes(snapshot, all, &relabelled)?;
        self.update_state(snapshot, surroundings)
    }

    /// Updates the groups of slots. Returns whether claims changed.
    fn update_targets(
        &mut self,
        snapshot: &Snapshot,
        surroundings: &Surroundings,
        is_stale: impl Fn(&Bucket<Slot>) -> bool,
    ) -> Result<bool, Error> {
        let node_ports = &*surroundings.node_ports;
        let Self { options, shared, names, networks, lost, buffers, .. } = self;
        let context = Context { options, snapshot, shared, names, networks, lost, node_ports };
        let meter = Meter::new(&self.budget, LONGEST_ENGINE_LABEL);
        let slots = self.slots.buckets();
        let updated = self.targets.update(slots, meter, is_stale, |bucket, found, meter| {
            targets::find(bucket, context, buffers, found, meter)
        });
        updated.map_err(|excess| Error::Excess { what: "services".to_owned(), excess })
    }

    fn update_nodes(
        &mut self,
        snapshot: &Snapshot,
        surroundings: &Surroundings,
        all: bool,
        renamed: &[u64],
    ) -> Result<(), Error> {
        if !self.options.lists_nodes() {
            return Ok(());
        }
        let (before, now) = (&self.seen_surroundings.dockerd, &surroundings.dockerd);
        let node_ports = &*surroundings.node_ports;
        let differ = before != now;
        let Self { options, shared, names, networks, lost, buffers, restored_dockerd, .. } = self;
        let context = Context { options, snapshot, shared, names, networks, lost, node_ports };
        let answered = |address: &str| now.contains(address) || restored_dockerd.contains(address);
        let is_stale = |bucket: &Bucket<Node>| {
            let is_renamed =
                |node: &Arc<Node>| !renamed.is_empty() && renamed.contains(&hash_of(&node.id));
            all || differ || bucket.objects().any(is_renamed)
        };
        let meter = Meter::new(&self.budget, LONGEST_ENGINE_LABEL);
        let updated =
            self.dockerd.update(&snapshot.nodes, meter, is_stale, |bucket, found, meter| {
                nodes::find(bucket, &answered, context, buffers, found, meter)
            });
        updated.map(drop).map_err(|excess| Error::Excess { what: "nodes".to_owned(), excess })
    }

    /// Updates the groups of probes. `relabelled`: hashes of the IDs of services with other labels on
    /// containers, if these are ours.
    fn update_probes(
        &mut self,
        snapshot: &Snapshot,
        all: bool,
        relabelled: &[u64],
    ) -> Result<(), Error> {
        let Self { options, slots, buffers, .. } = self;
        let is_stale = |bucket: &Bucket<Service>| {
            let is_relabelled =
                |service: &Arc<Service>| relabelled.binary_search(&hash_of(&service.id)).is_ok();
            all || (!relabelled.is_empty() && bucket.objects().any(is_relabelled))
        };
        let meter = Meter::new(&self.budget, LONGEST_ENGINE_LABEL);
        let services = &snapshot.services;
        let updated = self.probes.update(services, meter, is_stale, |bucket, found, meter| {
            probes::find(bucket, slots, options, buffers, found, meter)
        });
        updated.map(drop).map_err(|excess| Error::Excess { what: "probes".to_owned(), excess })
    }

    fn update_state(
        &mut self,
        snapshot: &Snapshot,
        surroundings: &Surroundings,
    ) -> Result<(), Error> {
        let node_ports = &*surroundings.node_ports;
        let Self { options, shared, names, networks, lost, buffers, .. } = self;
        if self.is_stale || !self.seen.services.is_same(&snapshot.services) {
            self.state.note_services(snapshot, options);
        }
        let context = Context { options, snapshot, shared, names, networks, lost, node_ports };
        let meter = Meter::new(&self.budget, LONGEST_ENGINE_LABEL);
        let updated = self.state.update(&self.slots, context, buffers, meter);
        updated.map_err(|excess| Error::Excess { what: "services".to_owned(), excess })
    }

    /// All groups, in the order of their source keys.
    fn groups(&self) -> Groups {
        let mut groups = self.targets.groups();
        groups.extend(self.dockerd.groups());
        groups.extend(self.probes.groups());
        groups.extend(self.state.group().cloned());
        groups
    }

    /// Whether a group has targets that labels declare.
    fn has_declared(&self) -> bool {
        let is_declared = |group: &Arc<TargetGroup>| {
            let first = group.targets.first();
            first.is_some_and(|target| target.get(DECLARED_BY) != Some(PRESET))
        };
        !self.probes.groups().is_empty() || self.targets.groups().iter().any(is_declared)
    }

    fn problems(&self) -> Vec<Problem> {
        let mut skipped = Skipped::default();
        skipped.extend(self.targets.problems());
        skipped.extend(self.dockerd.problems());
        skipped.extend(self.probes.problems());
        skipped.extend(self.state.problems());
        skipped.extend(self.shared.problems());
        if !self.has_labels && self.targets.problems().next().is_none() && !self.has_declared() {
            skipped.extend(&self.options.advice());
        }
        skipped.into_problems().collect()
    }
}

impl SnapshotFinder for EndpointFinder {
    fn needs(&self) -> &ListScope {
        &self.needs
    }

    fn work(&self, snapshot: &Snapshot) -> usize {
        if self.is_stale || !Arc::ptr_eq(&self.seen_surroundings, &self.surroundings.borrow()) {
            return snapshot.tasks.len() + snapshot.services.len() + snapshot.nodes.len();
        }
        let referenced = self.seen.nodes.differences(&snapshot.nodes).len()
            + self.seen.networks.differences(&snapshot.networks).len()
            + self.seen.services.differences(&snapshot.services).len();
        let tasks = self.seen.tasks.differences(&snapshot.tasks).len();
        swarmscout_swarm::buckets::MOST * (referenced + tasks)
    }

    fn find(
        &mut self,
        snapshot: &Snapshot,
        restored: Option<&CanonicalGroups>,
    ) -> Result<(Groups, Vec<Problem>), Error> {
        if let Some(restored) = restored {
            self.restored_dockerd = nodes::restored(restored);
        }
        if self.is_stale || !self.seen.services.is_same(&snapshot.services) {
            let mut services = snapshot.services.objects();
            self.has_labels = services.any(|service| self.options.is_labelled(service));
        }
        let surroundings = Arc::clone(&self.surroundings.borrow());
        if let Err(error) = self.update(snapshot, &surroundings) {
            self.is_stale = true;
            return Err(error);
        }
        self.is_stale = false;
        self.seen = snapshot.clone();
        self.seen_surroundings = surroundings;
        if let Some(restored) = restored {
            self.targets.adopt(restored);
            self.dockerd.adopt(restored);
            self.probes.adopt(restored);
            self.state.adopt(restored);
        }
        Ok((self.groups(), self.problems()))
    }
}

/// Hashes of the IDs of nodes whose part listens at another port now.
fn moved(before: &Arc<NodePorts>, now: &Arc<NodePorts>) -> Vec<u64> {
    if Arc::ptr_eq(before, now) {
        return Vec::new();
    }
    let differs = |node: &&Arc<str>| before.get(*node) != now.get(*node);
    before.keys().chain(now.keys()).filter(differs).map(|node| hash_of(node)).collect()
}

/// The claims to an address that another slot or service has claimed: the first in the order of IDs
/// has it. Each with the service that has it.
fn lost<'a>(claims: impl Iterator<Item = &'a Claim>) -> BTreeMap<Claim, Arc<str>> {
    let mut winners = BTreeMap::<_, &Claim>::new();
    let mut lost = Vec::new();
    for claim in claims {
        let winner = winners.entry(&*claim.url).or_insert(claim);
        let loser = if claim < *winner { std::mem::replace(winner, claim) } else { claim };
        if loser != *winner {
            lost.push(loser);
        }
    }
    let with_winner = |claim: &Claim| (claim.clone(), Arc::clone(&winners[&*claim.url].service));
    lost.into_iter().map(with_winner).collect()
}

#[cfg(test)]
mod tests;
