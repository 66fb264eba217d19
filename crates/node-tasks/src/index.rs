//! The tasks of each node, kept from one snapshot of a Swarm to the next.
//!
//! Snapshots are compared by the addresses of their buckets, so a change costs what differs, and
//! concerns the nodes of the tasks that differ.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use swarmscout_docker::engine::{Attachment, Network, Node, Task};
use swarmscout_swarm::buckets::hash_of;
use swarmscout_swarm::{ListFilter, Reason, Snapshot};

use crate::labels::{AllowedLabels, ContainerIds, of_author};
use crate::reach::ReachIndex;
use crate::wire::{
    EndedTask, MOST_TASKS, NodeIdentity, NodeTasks, TaskEntry, TaskNetwork, TaskSpec, cut,
};

/// How long a task that has ended stays in the answers when SwarmKit has removed it. Of a service that is
/// removed, that is a quarter of a second later: a node must learn of its end all the same.
const STAYS: Duration = Duration::from_mins(2);

/// The most tasks of a node that stay so.
const MOST_REMOVED: usize = 1000;

/// The tasks of one Swarm by node.
#[derive(Debug, Default)]
pub(crate) struct TaskIndex {
    seen: Snapshot,
    /// The tasks of each node by ID.
    nodes: HashMap<Arc<str>, BTreeMap<Arc<str>, Arc<Task>>>,
    /// The node of each container, by the hash of the container's ID.
    containers: HashMap<u64, Arc<str>>,
    /// The names of removed services whose tasks are still ending, or stay.
    ending: BTreeMap<Arc<str>, Arc<str>>,
    /// Tasks of each node that had ended, and were removed since: the oldest first.
    removed: HashMap<Arc<str>, VecDeque<(Instant, Arc<Task>)>>,
}

impl TaskIndex {
    /// The last snapshot.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.seen
    }

    /// Whether the tasks of all nodes are read.
    pub(crate) fn is_complete(&self) -> bool {
        use swarmscout_docker::engine::List::{Nodes, Tasks};
        [Nodes, Tasks].iter().all(|list| *self.seen.scope.filter(*list) != ListFilter::Nothing)
    }

    /// Follows the Swarm to this snapshot, which is that of the moment `at`. Returns the IDs of the nodes
    /// that a difference concerns.
    pub(crate) fn update(&mut self, now: &Snapshot, at: Instant) -> BTreeSet<Arc<str>> {
        let seen = std::mem::replace(&mut self.seen, now.clone());
        let mut changed = BTreeSet::new();
        for (old, new) in seen.nodes.differences(&now.nodes) {
            let known =
                |node: &Arc<Node>| (node.hostname.clone(), node.usable_address().map(String::from));
            if old.map(known) != new.map(known) {
                changed.extend(old.or(new).map(|node| Arc::clone(&node.id)));
            }
        }
        for (old, new) in seen.services.differences(&now.services) {
            match (old, new) {
                (Some(old), Some(new)) if old.name == new.name => continue,
                (Some(old), None) => {
                    self.ending.insert(Arc::clone(&old.id), Arc::clone(&old.name));
                    continue;
                }
                (_, Some(new)) => drop(self.ending.remove(&new.id)),
                (None, None) => {}
            }
            let id = old.or(new).map_or("", |service| &service.id);
            changed.extend(now.tasks.of_owner(id).map(|task| Arc::clone(&task.node)));
        }
        for (old, new) in seen.tasks.differences(&now.tasks) {
            // Before the new one is added: both may have one container.
            if let Some(old) = old {
                changed.insert(Arc::clone(&old.node));
                self.remove(old);
                if new.is_none() && old.has_ended() && !old.container.is_empty() {
                    let removed = self.removed.entry(Arc::clone(&old.node)).or_default();
                    removed.push_back((at, Arc::clone(old)));
                }
            }
            if let Some(new) = new {
                changed.insert(Arc::clone(&new.node));
                self.add(new);
            }
        }
        self.removed.retain(|node, removed| {
            let stays = |(since, _): &(Instant, _)| at.saturating_duration_since(*since) < STAYS;
            let before = removed.len();
            removed.drain(..before.saturating_sub(MOST_REMOVED));
            removed.retain(stays);
            if removed.len() < before {
                changed.insert(Arc::clone(node));
            }
            !removed.is_empty()
        });
        let removed = self.removed.values().flatten();
        let of_removed: BTreeSet<_> = removed.map(|(_, task)| &task.service).collect();
        self.ending.retain(|service, _| {
            of_removed.contains(service) || now.tasks.of_owner(service).next().is_some()
        });
        let mut networks = Vec::new();
        for (old, new) in seen.networks.differences(&now.networks) {
            let known = |network: &Arc<Network>| (network.internal, network.pools.clone());
            if old.map(known) != new.map(known) {
                networks.extend(old.or(new).map(|network| hash_of(&network.id)));
            }
        }
        networks.sort_unstable();
        for bucket in now.tasks.iter().filter(|bucket| bucket.refers_to_any(&networks)) {
            changed.extend(bucket.objects().map(|task| Arc::clone(&task.node)));
        }
        if cluster(&seen) != cluster(now) {
            changed.extend(now.nodes.objects().map(|node| Arc::clone(&node.id)));
        }
        // Tasks that wait for a node.
        changed.remove("");
        changed
    }

    fn add(&mut self, task: &Arc<Task>) {
        if task.node.is_empty() {
            return;
        }
        let tasks = self.nodes.entry(Arc::clone(&task.node)).or_default();
        tasks.insert(Arc::clone(&task.id), Arc::clone(task));
        if !task.container.is_empty() {
            self.containers.insert(hash_of(&task.container), Arc::clone(&task.node));
        }
    }

    fn remove(&mut self, task: &Arc<Task>) {
        let Some(tasks) = self.nodes.get_mut(&task.node) else { return };
        tasks.remove(&task.id);
        if tasks.is_empty() {
            self.nodes.remove(&task.node);
        }
        if !task.container.is_empty() {
            self.containers.remove(&hash_of(&task.container));
        }
    }

    /// The node of this ID.
    pub(crate) fn node(&self, id: &str) -> Option<&Arc<Node>> {
        self.seen.nodes.get("", id)
    }

    /// The nodes of this host name.
    pub(crate) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Arc<Node>> {
        self.seen.nodes.objects().filter(move |node| *node.hostname == *name)
    }

    /// Whether a node has this address.
    pub(crate) fn has_node_at(&self, address: &str) -> bool {
        let mut nodes = self.seen.nodes.objects();
        nodes.any(|node| node.usable_address().is_some_and(|own| own == address))
    }

    /// The node that has this container.
    pub(crate) fn of_container(&self, container: &str) -> Option<&Arc<Node>> {
        let id = self.containers.get(&hash_of(container))?;
        let mut tasks = self.nodes.get(id)?.values();
        tasks.any(|task| *task.container == *container).then(|| self.node(id)).flatten()
    }

    /// Whether a task on this node has this address on one of its networks.
    pub(crate) fn has_address(&self, node: &str, address: IpAddr) -> bool {
        let tasks = self.nodes.get(node).into_iter().flat_map(BTreeMap::values);
        let mut attachments = tasks.flat_map(|task| &task.attachments);
        attachments.any(|attachment| attachment.addresses.contains(&address))
    }

    /// ID of the Swarm; empty if it is not known.
    pub(crate) fn cluster(&self) -> &str {
        cluster(&self.seen)
    }

    /// Writes the tasks of a node into its answer.
    pub(crate) fn write_tasks(
        &self,
        node: &str,
        reach: &ReachIndex,
        allowed: &AllowedLabels,
        answer: &mut NodeTasks,
    ) {
        let known = self.nodes.get(node);
        let tasks = known.into_iter().flat_map(BTreeMap::values);
        let (ended, living): (Vec<_>, Vec<_>) = tasks.partition(|task| task.has_ended());
        answer.tasks = living.iter().map(|task| self.entry(task, reach, allowed)).collect();
        answer.lists_ended = self.seen.scope.tasks == ListFilter::All;
        if !answer.lists_ended {
            return;
        }
        // A manager that knows less may list one again.
        let is_gone = |task: &&Arc<Task>| known.is_none_or(|known| !known.contains_key(&task.id));
        let removed = self.removed.get(node).into_iter().flatten().map(|(_, task)| task);
        let removed = removed.filter(is_gone);
        let mut ended: Vec<_> =
            ended.into_iter().chain(removed).filter(|task| !task.container.is_empty()).collect();
        ended.sort_unstable_by_key(|task| (Reverse(task.state_since), &task.id));
        ended.truncate(MOST_TASKS);
        ended.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        // Listed again, and removed again.
        ended.dedup_by(|a, b| a.id == b.id);
        let mut places = BTreeMap::new();
        answer.ended = ended
            .into_iter()
            .map(|task| {
                let next = places.len();
                let spec = *places.entry(self.spec(task, allowed)).or_insert(next);
                EndedTask {
                    id: task.id.to_string(),
                    spec,
                    slot: task.slot,
                    container: task.container.to_string(),
                    state: task.state.to_string(),
                    state_since: task.state_since,
                    exit_code: exit_code(task),
                    removed: known.is_none_or(|known| !known.contains_key(&task.id)),
                }
            })
            .collect();
        let mut specs: Vec<_> = places.into_iter().collect();
        specs.sort_unstable_by_key(|(_, place)| *place);
        answer.specs = specs.into_iter().map(|(spec, _)| spec).collect();
    }

    fn service_name(&self, task: &Task) -> &str {
        let service = self.seen.services.get("", &task.service).map(|service| &service.name);
        service.or_else(|| self.ending.get(&task.service)).map_or("", |name| name)
    }

    fn spec(&self, task: &Task, allowed: &AllowedLabels) -> TaskSpec {
        TaskSpec {
            service_id: task.service.to_string(),
            service_name: cut(self.service_name(task)),
            image: cut(&task.image),
            labels: of_author(task.labels.iter(), allowed),
        }
    }

    fn entry(&self, task: &Task, reach: &ReachIndex, allowed: &AllowedLabels) -> TaskEntry {
        let service = self.service_name(task);
        let ids = ContainerIds::new(task, service);
        TaskEntry {
            id: task.id.to_string(),
            name: ids.name(),
            service_id: task.service.to_string(),
            service_name: cut(service),
            image: cut(&task.image),
            labels: ids.labels(task.labels.iter(), allowed),
            container: task.container.to_string(),
            pid: task.pid,
            state: task.state.to_string(),
            state_since: task.state_since,
            networks: task.attachments.iter().map(|one| self.network(one)).collect(),
            host_network: task.attachments.iter().any(|one| &*one.driver == "host"),
            reach: reach.of(&task.node, &task.id),
        }
    }

    fn network(&self, attachment: &Attachment) -> TaskNetwork {
        let network = self.seen.networks.get("", &attachment.network);
        let address =
            |address: &IpAddr| match network.and_then(|network| prefix_of(network, *address)) {
                Some(length) => format!("{address}/{length}"),
                None => address.to_string(),
            };
        TaskNetwork {
            id: attachment.network.to_string(),
            name: cut(&attachment.name),
            driver: cut(&attachment.driver),
            internal: network.is_some_and(|network| network.internal),
            ingress: attachment.ingress,
            addresses: attachment.addresses.iter().map(address).collect(),
        }
    }
}

/// With which code the container of a task ended that has ended; `None` if it was not started, or SwarmKit
/// does not know its end. A code of a container that could not be started is the Engine's.
fn exit_code(task: &Task) -> Option<i64> {
    let code = task.failure.as_ref().map_or(0, |failure| failure.exit_code);
    let has_run = match &*task.state {
        "complete" | "shutdown" => true,
        "failed" => {
            code != 0 && matches!(Reason::of(task), Some(Reason::ExitCode | Reason::Unhealthy))
        }
        _ => false,
    };
    has_run.then_some(code)
}

/// Who the node is.
pub(crate) fn identity(node: &Node) -> NodeIdentity {
    NodeIdentity {
        id: node.id.to_string(),
        name: cut(&node.hostname),
        address: node.usable_address().map_or_else(String::new, |address| cut(&address)),
    }
}

fn cluster(snapshot: &Snapshot) -> &str {
    snapshot.info.as_ref().map_or("", |info| &info.cluster)
}

/// The length of the subnet of a network that has this address.
fn prefix_of(network: &Network, address: IpAddr) -> Option<u8> {
    network.pools.iter().find_map(|pool| {
        let (subnet, length) = pool.subnet.split_once('/')?;
        let (subnet, length): (IpAddr, u8) = (subnet.parse().ok()?, length.parse().ok()?);
        let (a, b, bits) = match (subnet, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (u128::from(a.to_bits()) << 96, u128::from(b.to_bits()) << 96, 32)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
            _ => return None,
        };
        let differs_at = (a ^ b).leading_zeros();
        (length <= bits && u32::from(length) <= differs_at).then_some(length)
    })
}

#[cfg(test)]
mod tests;
