//! The series of a classic Swarm.
//!
//! Nodes are spread over shards, as in swarm mode. A master repeats what it knows of each node at each
//! refresh, and the time of a node's last report changes every half minute. So shards are written
//! again often, but most of their families have the same text as before, and stay compressed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use swarmscout_docker::classic::{
    ClassicMaster, ClassicNode, ClassicSnapshot, UNKNOWN_NODE, bytes, split_labels,
};
use swarmscout_exposition::pieces::SeriesLabels;

use crate::families::Family;
use crate::options::Options;
use crate::page::{Page, Piece, count, flag, seconds};
use crate::shards::{Shards, finish};

/// The statuses of a node, as masters write them. The last one stands for any other, and for none:
/// masters before 1.0.1 report none.
const STATUSES: [&str; 5] = ["Pending", "Unhealthy", "Healthy", "Disconnected", "Unknown"];

/// A classic Swarm at one moment.
#[derive(Clone, Debug)]
pub struct ObservedClassic {
    /// Its display name.
    pub name: Arc<str>,
    /// Its nodes; `None` before the first answer.
    pub snapshot: Option<Arc<ClassicSnapshot>>,
    /// Its masters.
    pub masters: Vec<ClassicMaster>,
    /// Whether the last refresh succeeded.
    pub up: bool,
    /// When a master last confirmed its state, in microseconds since 1970.
    pub as_of: Option<i64>,
}

impl ObservedClassic {
    /// Whether both are one Swarm: they have a master in common, or most nodes. An Engine may be in two.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let has = |master: &ClassicMaster| other.masters.iter().any(|it| it.name == master.name);
        self.name == other.name || self.masters.iter().any(has) || self.has_most_nodes_of(other)
    }

    fn has_most_nodes_of(&self, other: &Self) -> bool {
        let (Some(a), Some(b)) = (&self.snapshot, &other.snapshot) else { return false };
        let of_other: HashSet<_> =
            b.nodes.iter().map(|rows| ClassicNode::name_of(rows).1).collect();
        let shared =
            a.nodes.iter().filter(|rows| of_other.contains(&ClassicNode::name_of(rows).1)).count();
        2 * shared > a.nodes.len().min(b.nodes.len())
    }

    /// Whether a master answers that is the primary, or names one that is not known to be down.
    fn has_primary(&self, primary: &str) -> bool {
        let answers = self.masters.iter().any(|master| master.is_up == Some(true));
        let is_down =
            |master: &ClassicMaster| *master.name == *primary && master.is_up == Some(false);
        answers && !primary.is_empty() && !self.masters.iter().any(is_down)
    }
}

/// The series of one classic Swarm.
#[derive(Debug)]
pub(crate) struct ClassicMetrics {
    options: Arc<Options>,
    seen: Option<Arc<ClassicSnapshot>>,
    /// By the value of the label `node`.
    nodes: Shards<KnownNode>,
    whole: Vec<(Family, Piece)>,
}

#[derive(Debug)]
struct KnownNode {
    rows: Arc<[u8]>,
    /// Its place among [`STATUSES`].
    status: usize,
}

impl ClassicMetrics {
    /// Nothing is known yet.
    pub(crate) fn new(options: Arc<Options>) -> Self {
        Self { options, seen: None, nodes: Shards::default(), whole: Vec::new() }
    }

    /// Follows to another state of the Swarm.
    pub(crate) fn update(&mut self, now: &ObservedClassic) {
        if let Some(snapshot) = &now.snapshot
            && !self.seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, snapshot))
        {
            self.follow(snapshot);
            self.seen = Some(Arc::clone(snapshot));
        }
        let mut page = Page::default();
        self.write_whole(&mut page, now);
        self.whole = finish(page, &self.options.hidden);
    }

    fn follow(&mut self, now: &ClassicSnapshot) {
        let Self { nodes, options, .. } = self;
        let listed = named(&now.nodes);
        if nodes.resize(listed.len()) {
            for name in listed.keys() {
                nodes.touch(name);
            }
        }
        let gone = nodes.known.keys().filter(|name| !listed.contains_key(*name));
        for name in gone.cloned().collect::<Vec<_>>() {
            nodes.remove(&name);
        }
        for (name, rows) in &listed {
            let known = nodes.known.get(name);
            if !known.is_some_and(|known| Arc::ptr_eq(&known.rows, rows)) {
                nodes.touch(name);
            }
        }
        nodes.write(&options.hidden, |page, name| {
            let rows = Arc::clone(listed.get(name)?);
            let status = write_node(page, name, &ClassicNode::of(&rows), options);
            Some(KnownNode { rows, status })
        });
    }

    fn write_whole(&self, page: &mut Page, now: &ObservedClassic) {
        let labels = self.options.labels();
        page.series(Family::ClassicUp, &labels, flag(now.up));
        if let Some(as_of) = now.as_of {
            page.series(Family::ClassicLastRefresh, &labels, seconds(as_of));
        }
        for master in &now.masters {
            if let Some(is_up) = master.is_up {
                let labels = labels.with("master", &master.name);
                page.series(Family::ClassicMasterUp, &labels, flag(is_up));
                page.series(Family::ClassicMasterPrimary, &labels, flag(master.is_primary));
            }
        }
        let Some(snapshot) = &now.snapshot else { return };
        let ClassicSnapshot { strategy, primary, .. } = &**snapshot;
        let info = labels.with("strategy", strategy).with("primary", primary);
        page.series(Family::ClassicInfo, &info, 1.0);
        page.series(Family::ClassicHasPrimary, &labels, flag(now.has_primary(primary)));
        let mut numbers = [0; STATUSES.len()];
        for node in self.nodes.known.values() {
            numbers[node.status] += 1;
        }
        for (status, number) in STATUSES.into_iter().zip(numbers) {
            page.series_with(Family::ClassicNodes, &labels, ("status", status), count(number));
        }
    }

    /// All series, in parts.
    pub(crate) fn pages(&self) -> impl Iterator<Item = &[(Family, Piece)]> {
        std::iter::once(&*self.whole).chain(self.nodes.pages())
    }
}

/// The rows of each node, by a name that no two of them share: the host name, with the address where
/// several nodes have one name, and the address alone while it is not known.
fn named(nodes: &[Arc<[u8]>]) -> HashMap<Arc<str>, &Arc<[u8]>> {
    let names: Vec<_> = nodes.iter().map(|rows| ClassicNode::name_of(rows)).collect();
    let mut numbers = HashMap::<&str, usize>::new();
    for (name, _) in &names {
        *numbers.entry(name).or_default() += 1;
    }
    let mut by_name = HashMap::new();
    for ((name, addr), rows) in names.iter().zip(nodes) {
        let name: Arc<str> = match &**name {
            "" | UNKNOWN_NODE => Arc::from(&**addr),
            name if numbers[name] > 1 => format!("{name}-{addr}").into(),
            name => name.into(),
        };
        by_name.entry(name).or_insert(rows);
    }
    by_name
}

/// Returns the place of its status.
fn write_node(page: &mut Page, name: &str, node: &ClassicNode<'_>, options: &Options) -> usize {
    let engine_labels: BTreeMap<_, _> = split_labels(node.labels()).collect();
    let label = |key: &str| engine_labels.get(key).copied();
    let mut labels = options.labels();
    labels.push("node", name);
    options.push_allowed(&mut labels, label);
    let mut info = labels.clone();
    info.push("node_id", &node.id);
    info.push("address", &node.addr);
    info.push("engine_version", &node.server_version);
    for (name, key) in [
        ("operating_system", "operatingsystem"),
        ("kernel_version", "kernelversion"),
        ("storage_driver", "storagedriver"),
    ] {
        info.push(name, label(key).unwrap_or_default());
    }
    page.series(Family::ClassicNodeInfo, &info, 1.0);
    let status = STATUSES.iter().position(|status| *status == node.status);
    let status = status.unwrap_or(STATUSES.len() - 1);
    for (place, text) in STATUSES.into_iter().enumerate() {
        let is = flag(place == status);
        page.series_with(Family::ClassicNodeStatus, &labels, ("status", text), is);
    }
    page.time(Family::ClassicNodeUpdated, &labels, node.updated());
    write_loads(page, node, &labels);
    if let Some(shown) = options.shown(&labels, engine_labels.into_iter()) {
        page.series(Family::ClassicNodeLabels, &shown, 1.0);
    }
    status
}

fn write_loads(page: &mut Page, node: &ClassicNode<'_>, labels: &SeriesLabels) {
    let containers = node.containers();
    number(page, Family::ClassicNodeContainers, labels, containers.all);
    for (state, text) in [
        ("paused", containers.paused),
        ("running", containers.running),
        ("stopped", containers.stopped),
    ] {
        if !text.is_empty() {
            number(page, Family::ClassicNodeContainersBy, &labels.with("state", state), text);
        }
    }
    let (cpus, memory) = (node.cpus(), node.memory());
    number(page, Family::ClassicNodeCpus, labels, cpus.total);
    number(page, Family::ClassicNodeReservedCpus, labels, cpus.reserved);
    for (family, text) in [
        (Family::ClassicNodeMemory, memory.total),
        (Family::ClassicNodeReservedMemory, memory.reserved),
    ] {
        if let Some(bytes) = bytes(text) {
            page.series(family, labels, bytes);
        }
    }
}

/// Adds a series if the text is a number.
fn number(page: &mut Page, family: Family, labels: &SeriesLabels, text: &str) {
    if let Ok(number) = text.parse::<u32>() {
        page.series(family, labels, f64::from(number));
    }
}

#[cfg(test)]
mod tests;
