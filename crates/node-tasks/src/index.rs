//! The tasks of each node, kept from one snapshot of a Swarm to the next.
//!
//! Snapshots are compared by the addresses of their buckets, so a change costs what differs, and
//! concerns the nodes of the tasks that differ.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use swarmscout_docker::engine::{Attachment, Network, Node, Task};
use swarmscout_swarm::buckets::hash_of;
use swarmscout_swarm::{ListFilter, Snapshot};

use crate::labels::{self, AllowedLabels};
use crate::reach::ReachIndex;
use crate::wire::{NodeIdentity, TaskEntry, TaskNetwork, cut};

/// The tasks of one Swarm by node.
#[derive(Debug, Default)]
pub(crate) struct TaskIndex {
    seen: Snapshot,
    /// The tasks of each node by ID.
    nodes: HashMap<Arc<str>, BTreeMap<Arc<str>, Arc<Task>>>,
    /// The node of each container, by the hash of the container's ID.
    containers: HashMap<u64, Arc<str>>,
    /// The names of removed services whose tasks are still ending.
    ending: BTreeMap<Arc<str>, Arc<str>>,
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

    /// Follows the Swarm to this snapshot. Returns the IDs of the nodes that a difference concerns.
    pub(crate) fn update(&mut self, now: &Snapshot) -> BTreeSet<Arc<str>> {
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
            }
            if let Some(new) = new {
                changed.insert(Arc::clone(&new.node));
                self.add(new);
            }
        }
        self.ending.retain(|service, _| now.tasks.of_owner(service).next().is_some());
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

    /// The tasks of a node, as it gets them.
    pub(crate) fn tasks(
        &self,
        node: &str,
        reach: &ReachIndex,
        allowed: &AllowedLabels,
    ) -> Vec<TaskEntry> {
        let tasks = self.nodes.get(node).into_iter().flat_map(BTreeMap::values);
        let has_run = |task: &&Arc<Task>| !task.has_ended() || !task.container.is_empty();
        tasks.filter(has_run).map(|task| self.entry(task, reach, allowed)).collect()
    }

    fn entry(&self, task: &Task, reach: &ReachIndex, allowed: &AllowedLabels) -> TaskEntry {
        let service = self.seen.services.get("", &task.service).map(|service| &service.name);
        let service = service.or_else(|| self.ending.get(&task.service)).map_or("", |name| name);
        let name = labels::container_name(task, service);
        let ended = TaskEntry {
            id: task.id.to_string(),
            service_id: task.service.to_string(),
            service_name: cut(service),
            container: task.container.to_string(),
            state: task.state.to_string(),
            state_since: task.state_since,
            exit_code: task.failure.as_ref().map_or(0, |failure| failure.exit_code),
            name: cut(&name),
            ..TaskEntry::default()
        };
        if task.has_ended() {
            return ended;
        }
        TaskEntry {
            image: cut(&task.image),
            labels: labels::of_container(task, service, &name, allowed),
            pid: task.pid,
            networks: task.attachments.iter().map(|one| self.network(one)).collect(),
            host_network: task.attachments.iter().any(|one| &*one.driver == "host"),
            reach: reach.of(&task.node, &task.id),
            ..ended
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
