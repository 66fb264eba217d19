//! Where SwarmKit's scheduler could start a task of a service, and what keeps it from a node.
//!
//! It applies the filters that a manager's objects show (moby/swarmkit `manager/scheduler/filter.go`):
//! readiness, constraints, platform, resources, ports in host mode, tasks per node. Plugins, generic
//! resources and CSI volumes of nodes are not visible here: they keep no node from a service.

mod constraint;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use swarmscout_docker::engine::{Node, Platform, Resources, Service, Task};

pub use self::constraint::Constraint;
use crate::Snapshot;

/// The nodes of a Swarm with what tasks take of them.
#[derive(Debug)]
pub struct Scheduler<'a> {
    nodes: Vec<(&'a Node, Used<'a>)>,
}

/// What tasks take of a node.
#[derive(Debug, Default)]
struct Used<'a> {
    reserved: Resources,
    /// Published in host mode, with the protocol.
    ports: Vec<(u32, &'a str)>,
    /// By service.
    tasks: HashMap<&'a str, u64>,
}

/// Why no node takes a task of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// No node is ready and active.
    NoReadyNode,
    /// No ready node satisfies this constraint.
    Constraint {
        /// As it stands in the service.
        constraint: String,
        /// A node that would, but is not ready.
        unready: Option<Arc<str>>,
    },
    /// Each constraint has nodes, but no ready node satisfies all of them.
    Constraints,
    /// No node that satisfies the constraints has a platform of the image.
    Platform {
        /// `linux/amd64, linux/arm64`.
        wanted: String,
    },
    /// No such node has enough processors free.
    Cpu {
        /// In billionths of a processor.
        wanted: i64,
        /// On the node with the most.
        free: i64,
    },
    /// No such node has enough memory free.
    Memory {
        /// In bytes.
        wanted: i64,
        /// On the node with the most.
        free: i64,
    },
    /// On each such node another task has the port.
    HostPort {
        /// The published port.
        port: u32,
    },
    /// Each such node has the most tasks of the service that it may have.
    MaxReplicas {
        /// The limit.
        limit: u64,
    },
}

impl<'a> Scheduler<'a> {
    /// Adds up what the tasks of each node take.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        let nodes = snapshot.nodes.objects();
        let mut nodes: Vec<_> = nodes.map(|node| (&**node, Used::default())).collect();
        let places: HashMap<_, _> =
            nodes.iter().enumerate().map(|(place, (node, _))| (&*node.id, place)).collect();
        for task in snapshot.tasks.objects().filter(|task| takes_resources(task)) {
            let Some(place) = places.get(&*task.node) else { continue };
            let used = &mut nodes[*place].1;
            let service = snapshot.services.get("", &task.service);
            let reserved = service.map(|service| service.reservations).unwrap_or_default();
            used.reserved.nano_cpus += reserved.nano_cpus;
            used.reserved.memory_bytes += reserved.memory_bytes;
            let ports = task.host_ports.iter().filter(|port| port.published != 0);
            used.ports.extend(ports.map(|port| (port.published, &*port.protocol)));
            *used.tasks.entry(&*task.service).or_default() += 1;
        }
        Self { nodes }
    }

    /// The nodes that could take one more task of a service now.
    pub fn nodes_for(&self, service: &Service) -> impl Iterator<Item = &'a Node> {
        self.nodes.iter().filter(|(node, used)| fits(service, node, used)).map(|(node, _)| *node)
    }

    /// Why no node takes a task of a service. Empty if some node would, or if the reason is not
    /// visible here.
    pub fn obstacles(&self, service: &Service) -> Vec<Obstacle> {
        let ready: Vec<_> = self.nodes.iter().filter(|(node, _)| is_ready(node)).collect();
        if ready.is_empty() {
            return vec![Obstacle::NoReadyNode];
        }
        let constraints = constraints(service);
        let unmet = constraints
            .iter()
            .filter(|constraint| !ready.iter().any(|(node, _)| constraint.accepts(node)));
        let unmet: Vec<_> = unmet
            .map(|constraint| {
                let all = self.nodes.iter();
                let unready = all.map(|(node, _)| *node).find(|node| constraint.accepts(node));
                let unready = unready.map(|node| Arc::clone(&node.hostname));
                Obstacle::Constraint { constraint: constraint.to_string(), unready }
            })
            .collect();
        if !unmet.is_empty() {
            return unmet;
        }
        let accepts = |node: &Node| constraints.iter().all(|constraint| constraint.accepts(node));
        let left: Vec<_> = ready.into_iter().filter(|(node, _)| accepts(node)).collect();
        if left.is_empty() {
            return vec![Obstacle::Constraints];
        }
        let left: Vec<_> =
            left.into_iter().filter(|(node, _)| has_platform(service, node)).collect();
        if left.is_empty() {
            let platforms = service.placement.platforms.iter();
            let wanted = platforms.map(|one| format!("{}/{}", one.os, one.architecture));
            return vec![Obstacle::Platform { wanted: wanted.collect::<Vec<_>>().join(", ") }];
        }
        let most = |free: fn(&Node, &Used<'_>) -> i64| {
            left.iter().map(|(node, used)| free(node, used)).max().unwrap_or_default()
        };
        let Resources { nano_cpus, memory_bytes: memory } = service.reservations;
        let (cpus, bytes) = (most(free_cpus), most(free_memory));
        let mut obstacles = Vec::new();
        if nano_cpus > cpus {
            obstacles.push(Obstacle::Cpu { wanted: nano_cpus, free: cpus });
        }
        if memory > bytes {
            obstacles.push(Obstacle::Memory { wanted: memory, free: bytes });
        }
        let taken =
            host_ports(service).find(|port| left.iter().all(|(_, used)| used.ports.contains(port)));
        obstacles.extend(taken.map(|(port, _)| Obstacle::HostPort { port }));
        let limit = service.placement.max_replicas;
        if limit > 0 && left.iter().all(|(_, used)| tasks_of(service, used) >= limit) {
            obstacles.push(Obstacle::MaxReplicas { limit });
        }
        obstacles
    }
}

/// Whether a task takes a part of its node: it is assigned, and has not ended.
fn takes_resources(task: &Task) -> bool {
    let is_over = matches!(
        &*task.state,
        "complete" | "shutdown" | "failed" | "rejected" | "remove" | "orphaned"
    );
    !task.node.is_empty() && !is_over && matches!(&*task.desired_state, "running" | "complete")
}

fn fits(service: &Service, node: &Node, used: &Used<'_>) -> bool {
    let limit = service.placement.max_replicas;
    is_ready(node)
        && constraints(service).iter().all(|constraint| constraint.accepts(node))
        && has_platform(service, node)
        && service.reservations.nano_cpus <= free_cpus(node, used)
        && service.reservations.memory_bytes <= free_memory(node, used)
        && !host_ports(service).any(|port| used.ports.contains(&port))
        && (limit == 0 || tasks_of(service, used) < limit)
}

fn is_ready(node: &Node) -> bool {
    &*node.state == "ready" && &*node.availability == "active"
}

/// SwarmKit ignores all constraints of a service if one of them cannot be read.
fn constraints(service: &Service) -> Vec<Constraint<'_>> {
    let constraints = service.placement.constraints.iter();
    constraints.map(|text| Constraint::parse(text)).collect::<Option<_>>().unwrap_or_default()
}

fn has_platform(service: &Service, node: &Node) -> bool {
    let platforms = &service.placement.platforms;
    let is_node = |wanted: &Platform| {
        let is = |wanted: &str, has: &str| wanted.is_empty() || wanted == has;
        is(architecture(&wanted.architecture), architecture(&node.architecture))
            && is(&wanted.os, &node.os)
    };
    platforms.is_empty() || platforms.iter().any(is_node)
}

/// One name for each architecture.
fn architecture(name: &str) -> &str {
    match name {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        name => name,
    }
}

fn free_cpus(node: &Node, used: &Used<'_>) -> i64 {
    node.resources.nano_cpus - used.reserved.nano_cpus
}

fn free_memory(node: &Node, used: &Used<'_>) -> i64 {
    node.resources.memory_bytes - used.reserved.memory_bytes
}

fn host_ports(service: &Service) -> impl Iterator<Item = (u32, &str)> {
    let ports = service.ports.iter().filter(|port| &*port.mode == "host" && port.published != 0);
    ports.map(|port| (port.published, &*port.protocol))
}

fn tasks_of(service: &Service, used: &Used<'_>) -> u64 {
    used.tasks.get(&*service.id).copied().unwrap_or_default()
}

/// One sentence without its full stop.
impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: i64 = 1 << 20;
        let cpus = |nano: i64| nano as f64 / 1e9;
        match self {
            Self::NoReadyNode => f.write_str("no node is ready and active"),
            Self::Constraint { constraint, unready: None } => {
                write!(f, "no node satisfies the constraint {constraint}")
            }
            Self::Constraint { constraint, unready: Some(node) } => write!(
                f,
                "no ready node satisfies the constraint {constraint}; node {node} does, but is not \
                 ready and active"
            ),
            Self::Constraints => f.write_str("no ready node satisfies all constraints together"),
            Self::Platform { wanted } => {
                write!(f, "no node has a platform that the image is built for ({wanted})")
            }
            Self::Cpu { wanted, free } => write!(
                f,
                "each task reserves {} CPUs, and the node with the most has {} free: {} too few",
                cpus(*wanted),
                cpus(*free),
                cpus(wanted - free)
            ),
            Self::Memory { wanted, free } => write!(
                f,
                "each task reserves {} MiB, and the node with the most has {} MiB free: {} MiB too \
                 few",
                wanted / MIB,
                free / MIB,
                (wanted - free) / MIB
            ),
            Self::HostPort { port } => {
                write!(f, "port {port} in host mode is taken on every node that would do")
            }
            Self::MaxReplicas { limit } => {
                let tasks = if *limit == 1 { "task" } else { "tasks" };
                write!(f, "each node that would do has {limit} {tasks} of it, the most allowed")
            }
        }
    }
}

#[cfg(test)]
mod tests;
