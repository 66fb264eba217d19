//! Where SwarmKit's scheduler could start a task of a service, and what keeps it from a node.
//!
//! It applies the filters that a manager's objects show (moby/swarmkit `manager/scheduler/filter.go`):
//! readiness, constraints, platform, plugins, resources, ports in host mode, tasks per node. CSI volumes
//! of nodes are not visible here: they keep no node from a service.

mod constraint;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use foldhash::fast::RandomState;
use swarmscout_docker::engine::{
    GenericResource, Node, Platform, Plugin, Resources, Service, Task,
};
use swarmscout_model::counted;

pub use self::constraint::Constraint;
use crate::{Buckets, Snapshot};

/// The nodes of a Swarm with what tasks take of them. It follows from one snapshot to the next at the
/// cost of the changes.
#[derive(Debug, Default)]
pub struct Scheduler {
    seen_nodes: Buckets<Node>,
    seen_tasks: Buckets<Task>,
    /// By the ID of the node.
    nodes: BTreeMap<Arc<str>, NodeLoad>,
}

/// What tasks take of a node.
#[derive(Debug, Default)]
pub struct NodeLoad {
    /// `None` for a node that is not listed, or not any more.
    node: Option<Arc<Node>>,
    reserved: Resources,
    /// Of other resources, by kind.
    reserved_generic: BTreeMap<Arc<str>, i64>,
    /// Published in host mode: the tasks that have each, by protocol.
    ports: Vec<(u32, Arc<str>)>,
    /// By service.
    tasks: HashMap<Arc<str>, u64, RandomState>,
}

impl NodeLoad {
    /// What the tasks on the node reserve together.
    pub fn reserved(&self) -> Resources {
        self.reserved
    }

    /// How much of another resource the tasks on the node reserve together.
    pub fn reserved_generic(&self, kind: &str) -> i64 {
        self.reserved_generic.get(kind).copied().unwrap_or_default()
    }

    /// The number of tasks that are assigned to it and have not ended.
    pub fn tasks(&self) -> u64 {
        self.tasks.values().sum()
    }

    /// The number of those of a service.
    pub fn tasks_of(&self, service: &str) -> u64 {
        self.tasks.get(service).copied().unwrap_or_default()
    }

    fn add(&mut self, task: &Task) {
        self.reserved.nano_cpus += task.reservations.nano_cpus;
        self.reserved.memory_bytes += task.reservations.memory_bytes;
        for GenericResource { kind, count } in &task.generic_resources {
            *self.reserved_generic.entry(Arc::clone(kind)).or_default() += count;
        }
        self.ports.extend(published(task));
        match self.tasks.get_mut(&task.service) {
            Some(count) => *count += 1,
            None => drop(self.tasks.insert(Arc::clone(&task.service), 1)),
        }
    }

    fn remove(&mut self, task: &Task) {
        self.reserved.nano_cpus -= task.reservations.nano_cpus;
        self.reserved.memory_bytes -= task.reservations.memory_bytes;
        for GenericResource { kind, count } in &task.generic_resources {
            if let Some(reserved) = self.reserved_generic.get_mut(kind) {
                *reserved -= count;
                if *reserved == 0 {
                    self.reserved_generic.remove(kind);
                }
            }
        }
        for port in published(task) {
            if let Some(place) = self.ports.iter().position(|known| *known == port) {
                self.ports.swap_remove(place);
            }
        }
        if let Some(count) = self.tasks.get_mut(&task.service) {
            *count -= 1;
            if *count == 0 {
                self.tasks.remove(&task.service);
            }
        }
    }

    fn has_port(&self, (port, protocol): (u32, &str)) -> bool {
        self.ports.iter().any(|(known, of)| *known == port && **of == *protocol)
    }
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
    /// No such node has this driver.
    Plugin {
        /// `Volume`, `Log`.
        kind: Arc<str>,
        /// `vieux/sshfs`.
        name: Arc<str>,
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
    /// No such node has enough of another resource free.
    Generic {
        /// `gpu`.
        kind: Arc<str>,
        /// How many each task reserves.
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

impl Scheduler {
    /// Adds up what the tasks of each node take.
    pub fn new(snapshot: &Snapshot) -> Self {
        let mut scheduler = Self::default();
        scheduler.update(snapshot);
        scheduler
    }

    /// Follows to another snapshot.
    pub fn update(&mut self, now: &Snapshot) {
        let before = std::mem::replace(&mut self.seen_nodes, now.nodes.clone());
        for (old, new) in before.differences(&now.nodes) {
            match (old, new) {
                (_, Some(node)) => {
                    self.load(&node.id).node = Some(Arc::clone(node));
                }
                (Some(gone), None) => {
                    self.load(&gone.id).node = None;
                    self.forget_empty(&gone.id);
                }
                (None, None) => {}
            }
        }
        let before = std::mem::replace(&mut self.seen_tasks, now.tasks.clone());
        for (old, new) in before.differences(&now.tasks) {
            if let Some(task) = old.filter(|task| takes_resources(task)) {
                self.load(&task.node).remove(task);
                self.forget_empty(&task.node);
            }
            if let Some(task) = new.filter(|task| takes_resources(task)) {
                self.load(&task.node).add(task);
            }
        }
    }

    fn load(&mut self, node: &Arc<str>) -> &mut NodeLoad {
        self.nodes.entry(Arc::clone(node)).or_default()
    }

    fn forget_empty(&mut self, node: &str) {
        let is_empty = |load: &NodeLoad| load.node.is_none() && load.tasks.is_empty();
        if self.nodes.get(node).is_some_and(is_empty) {
            self.nodes.remove(node);
        }
    }

    /// What tasks take of a node.
    pub fn load_of(&self, node: &str) -> Option<&NodeLoad> {
        self.nodes.get(node)
    }

    fn listed(&self) -> impl Iterator<Item = (&Arc<Node>, &NodeLoad)> {
        self.nodes.values().filter_map(|load| Some((load.node.as_ref()?, load)))
    }

    /// The nodes that could take one more task of a service now.
    pub fn nodes_for(&self, service: &Service) -> impl Iterator<Item = &Arc<Node>> {
        let constraints = constraints(service);
        let nodes = self.listed();
        let nodes = nodes.filter(move |(node, load)| room(service, &constraints, node, load) > 0);
        nodes.map(|(node, _)| node)
    }

    /// How many more tasks of a service all nodes together could take now, at most `most`.
    pub fn room_for(&self, service: &Service, most: u64) -> u64 {
        let constraints = constraints(service);
        let mut sum = 0_u64;
        for (node, load) in self.listed() {
            sum = sum.saturating_add(room(service, &constraints, node, load));
            if sum >= most {
                return most;
            }
        }
        sum
    }

    /// The number of nodes that a global service wants a task on: each that is ready and fits, unless
    /// it is drained. A paused node keeps its task and gets none.
    pub fn wanted_nodes(&self, service: &Service) -> u64 {
        let constraints = constraints(service);
        let wanted = self.listed().filter(|(node, load)| {
            let takes = match &*node.availability {
                "active" => true,
                "pause" => load.tasks_of(&service.id) > 0,
                _ => false,
            };
            takes && &*node.state == "ready" && suits(service, &constraints, node)
        });
        wanted.count() as u64
    }

    /// Why no node takes a task of a service. Empty if some node would, or if the reason is not
    /// visible here.
    pub fn obstacles(&self, service: &Service) -> Vec<Obstacle> {
        let ready: Vec<_> = self.listed().filter(|(node, _)| is_ready(node)).collect();
        if ready.is_empty() {
            return vec![Obstacle::NoReadyNode];
        }
        let constraints = constraints(service);
        let unmet = constraints
            .iter()
            .filter(|constraint| !ready.iter().any(|(node, _)| constraint.accepts(node)));
        let unmet: Vec<_> = unmet
            .map(|constraint| {
                let unready = self.listed().find(|(node, _)| constraint.accepts(node));
                let unready = unready.map(|(node, _)| Arc::clone(&node.hostname));
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
        let missing = |plugin: &&Plugin| !left.iter().any(|(node, _)| has_plugin(node, plugin));
        if let Some(Plugin { kind, name }) = service.plugins.iter().find(missing) {
            return vec![Obstacle::Plugin { kind: Arc::clone(kind), name: Arc::clone(name) }];
        }
        let left: Vec<_> =
            left.into_iter().filter(|(node, _)| has_plugins(service, node)).collect();
        let most = |free: fn(&Node, &NodeLoad) -> i64| {
            left.iter().map(|(node, load)| free(node, load)).max().unwrap_or_default()
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
        for GenericResource { kind, count: wanted } in &service.generic_resources {
            let free = left.iter().map(|(node, load)| free_generic(node, load, kind)).max();
            let free = free.unwrap_or_default();
            if *wanted > free {
                obstacles.push(Obstacle::Generic { kind: Arc::clone(kind), wanted: *wanted, free });
            }
        }
        let taken =
            host_ports(service).find(|port| left.iter().all(|(_, load)| load.has_port(*port)));
        obstacles.extend(taken.map(|(port, _)| Obstacle::HostPort { port }));
        let limit = service.placement.max_replicas;
        if limit > 0 && left.iter().all(|(_, load)| load.tasks_of(&service.id) >= limit) {
            obstacles.push(Obstacle::MaxReplicas { limit });
        }
        obstacles
    }
}

/// Whether a task takes a part of its node: it is assigned, and has not ended.
fn takes_resources(task: &Task) -> bool {
    !task.node.is_empty()
        && !task.has_ended()
        && matches!(&*task.desired_state, "running" | "complete")
}

/// How many more tasks of a service a node could take now.
fn room(service: &Service, constraints: &[Constraint<'_>], node: &Node, load: &NodeLoad) -> u64 {
    if !is_ready(node) || !suits(service, constraints, node) {
        return 0;
    }
    let Resources { nano_cpus, memory_bytes } = service.reservations;
    let of_resource = |free: i64, each: i64| match u64::try_from(free) {
        _ if each <= 0 => u64::MAX,
        Ok(free) => free / each.unsigned_abs(),
        Err(_) => 0,
    };
    let of_ports = match host_ports(service).next() {
        None => u64::MAX,
        Some(_) => u64::from(!host_ports(service).any(|port| load.has_port(port))),
    };
    let of_limit = match service.placement.max_replicas {
        0 => u64::MAX,
        limit => limit.saturating_sub(load.tasks_of(&service.id)),
    };
    let generic = service.generic_resources.iter();
    let generic = generic.map(|it| of_resource(free_generic(node, load, &it.kind), it.count));
    generic
        .fold(of_resource(free_cpus(node, load), nano_cpus), u64::min)
        .min(of_resource(free_memory(node, load), memory_bytes))
        .min(of_ports)
        .min(of_limit)
}

/// Whether a service may run on a node, whatever else runs there.
fn suits(service: &Service, constraints: &[Constraint<'_>], node: &Node) -> bool {
    constraints.iter().all(|constraint| constraint.accepts(node))
        && has_platform(service, node)
        && has_plugins(service, node)
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

fn has_plugins(service: &Service, node: &Node) -> bool {
    service.plugins.iter().all(|plugin| has_plugin(node, plugin))
}

/// An Engine that names no log driver at all is too old to do it, and has them. A name without a tag
/// stands for the tag `latest`.
fn has_plugin(node: &Node, wanted: &Plugin) -> bool {
    let mut of_kind = node.plugins.iter().filter(|plugin| plugin.kind == wanted.kind).peekable();
    if of_kind.peek().is_none() {
        return &*wanted.kind == "Log";
    }
    of_kind.any(|plugin| {
        plugin.name.strip_prefix(&*wanted.name).is_some_and(|tag| matches!(tag, "" | ":latest"))
    })
}

/// One name for each architecture.
fn architecture(name: &str) -> &str {
    match name {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        name => name,
    }
}

fn free_cpus(node: &Node, load: &NodeLoad) -> i64 {
    node.resources.nano_cpus - load.reserved.nano_cpus
}

fn free_memory(node: &Node, load: &NodeLoad) -> i64 {
    node.resources.memory_bytes - load.reserved.memory_bytes
}

fn free_generic(node: &Node, load: &NodeLoad, kind: &str) -> i64 {
    let has = node.generic_resources.iter().find(|resource| *resource.kind == *kind);
    has.map_or(0, |resource| resource.count) - load.reserved_generic(kind)
}

fn host_ports(service: &Service) -> impl Iterator<Item = (u32, &str)> {
    let ports = service.ports.iter().filter(|port| &*port.mode == "host" && port.published != 0);
    ports.map(|port| (port.published, &*port.protocol))
}

/// The ports of its node that a task has.
fn published(task: &Task) -> impl Iterator<Item = (u32, Arc<str>)> {
    let ports = task.host_ports.iter().filter(|port| port.published != 0);
    ports.map(|port| (port.published, Arc::clone(&port.protocol)))
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
            Self::Plugin { kind, name } => {
                let kind = kind.to_lowercase();
                write!(f, "no node that would do has the {kind} plugin {name}")
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
            Self::Generic { kind, wanted, free } => write!(
                f,
                "each task reserves {wanted} {kind}, and the node with the most has {free} free: {} \
                 too few",
                wanted - free
            ),
            Self::HostPort { port } => {
                write!(f, "port {port} in host mode is taken on every node that would do")
            }
            Self::MaxReplicas { limit } => {
                let tasks = counted(*limit, "task");
                write!(f, "each node that would do has {tasks} of it, the most allowed")
            }
        }
    }
}

#[cfg(test)]
mod tests;
