//! The series of a node.

use swarmscout_docker::engine::{Node, Resources};
use swarmscout_exposition::pieces::SeriesLabels;
use swarmscout_swarm::NodeNames;
use swarmscout_swarm::scheduler::{NodeLoad, Scheduler};

use crate::families::Family;
use crate::options::Options;
use crate::page::{Page, flag};
use crate::tuning::{self, Tuning};

/// The states of a node, as the Engine writes them.
pub(crate) const STATES: [&str; 4] = ["ready", "down", "unknown", "disconnected"];

/// What an operator can wish of a node.
pub(crate) const AVAILABILITIES: [&str; 3] = ["active", "pause", "drain"];

const TUNING: Tuning = Tuning { threshold: Family::NodeThreshold, ignored: Family::NodeIgnored };

/// A billionth of a CPU.
const NANO: f64 = 1e-9;

pub(crate) fn write(
    page: &mut Page,
    node: &Node,
    names: &NodeNames,
    scheduler: &Scheduler,
    options: &Options,
) {
    let mut labels = options.labels();
    labels.push("node", names.of(&node.id));
    options.push_allowed(&mut labels, |key| node.labels.get(key));
    info(page, node, &labels);
    page.time(Family::NodeCreated, &labels, node.created);
    page.time(Family::NodeUpdated, &labels, node.updated);
    for state in STATES {
        let is = flag(*node.state == *state);
        page.series_with(Family::NodeState, &labels, ("state", state), is);
    }
    for availability in AVAILABILITIES {
        let is = flag(*node.availability == *availability);
        page.series_with(Family::NodeAvailability, &labels, ("availability", availability), is);
    }
    if let Some(manager) = &node.manager {
        page.series(Family::NodeLeader, &labels, flag(manager.leader));
        page.series(Family::NodeReachable, &labels, flag(&*manager.reachability == "reachable"));
    }
    page.series(Family::NodeCpus, &labels, cpus(node.resources));
    page.series(Family::NodeMemory, &labels, memory(node.resources));
    let load = scheduler.load_of(&node.id);
    let reserved = load.map(NodeLoad::reserved).unwrap_or_default();
    page.series(Family::NodeReservedCpus, &labels, cpus(reserved));
    page.series(Family::NodeReservedMemory, &labels, memory(reserved));
    for resource in &node.generic_resources {
        let kind = ("resource", &*resource.kind);
        page.series_with(Family::NodeGeneric, &labels, kind, resource.count as f64);
        let reserved = load.map(|load| load.reserved_generic(&resource.kind)).unwrap_or_default();
        page.series_with(Family::NodeReservedGeneric, &labels, kind, reserved as f64);
    }
    let tasks = load.map(NodeLoad::tasks).unwrap_or_default();
    page.series(Family::NodeTasks, &labels, tasks as f64);
    if let Some(shown) = options.shown(&labels, node.labels.iter()) {
        page.series(Family::NodeLabels, &shown, 1.0);
    }
    tuning::write(page, &node.labels, &labels, TUNING);
}

fn info(page: &mut Page, node: &Node, labels: &SeriesLabels) {
    let mut labels = labels.clone();
    labels.push("node_id", &node.id);
    labels.push("hostname", &node.hostname);
    labels.push("role", &node.role);
    labels.push("address", &node.address);
    labels.push("os", &node.os);
    labels.push("architecture", &node.architecture);
    labels.push("engine_version", &node.engine_version);
    page.series(Family::NodeInfo, &labels, 1.0);
}

/// A number of CPUs.
pub(crate) fn cpus(resources: Resources) -> f64 {
    // Rounded to what was meant: 0.1 and not 0.10000000000000001.
    (resources.nano_cpus as f64 * NANO * 1e6).round() / 1e6
}

/// A number of bytes.
pub(crate) fn memory(resources: Resources) -> f64 {
    resources.memory_bytes as f64
}
