//! What a Swarm is at one moment, and how its orchestrator brings it to what is wanted.
//!
//! Everything happens at once: a new task runs as soon as it is made, unless no node takes it. Each
//! change of an object gets the next index and the next moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use serde::Serialize;

use super::Container;
use super::network::{self, Network};
use super::objects::{
    Attachment, Availability, ContainerStatus, Endpoint, Json, Meta, Mode, Node, NodeRole,
    NodeState, Placement, Port, PortStatus, Service, Task, TaskSpec, TaskState, TaskStatus, Time,
    Version, VirtualIp,
};
use super::random::Random;
use crate::engine::json;

/// `TaskHistoryRetentionLimit`: so many ended tasks of a slot are kept.
const HISTORY: usize = 5;

/// Between two changes.
const TICK: u64 = 11_718_227;

/// An object and its JSON, which is made when it is asked for first.
#[derive(Debug)]
pub(crate) struct Stored<T> {
    object: T,
    json: OnceLock<Box<[u8]>>,
}

impl<T> std::ops::Deref for Stored<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.object
    }
}

impl<T: Serialize> Stored<T> {
    fn new(object: T) -> Self {
        Self { object, json: OnceLock::new() }
    }

    pub(crate) fn json(&self) -> &[u8] {
        self.json.get_or_init(|| {
            let mut text = Vec::new();
            json::append(&mut text, &self.object);
            text.into()
        })
    }
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) random: Random,
    now: Time,
    index: u64,
    pub(crate) cluster: Meta,
    pub(crate) nodes: BTreeMap<String, Stored<Node>>,
    pub(crate) services: BTreeMap<String, Stored<Service>>,
    pub(crate) tasks: BTreeMap<String, Stored<Task>>,
    pub(crate) networks: BTreeMap<String, Network>,
    /// Containers that are no tasks, by node.
    pub(crate) containers: BTreeMap<String, Vec<Container>>,
    /// What each node's engine has for itself.
    pub(crate) engines: BTreeMap<String, Engine>,
    /// Tasks of each service, oldest first.
    pub(super) tasks_of: BTreeMap<String, Vec<String>>,
    pub(super) ingress: String,
    next_published: u64,
    next_host_port: u64,
    next_node: usize,
}

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) id: String,
    pub(crate) networks: Vec<Json>,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let cluster = Meta {
            id: random.swarm_id(),
            version: Version { index: 5 },
            created_at: Time::START,
            updated_at: Time::START,
        };
        let mut state = Self {
            random,
            now: Time::START,
            index: 5,
            cluster,
            nodes: BTreeMap::new(),
            services: BTreeMap::new(),
            tasks: BTreeMap::new(),
            networks: BTreeMap::new(),
            containers: BTreeMap::new(),
            engines: BTreeMap::new(),
            tasks_of: BTreeMap::new(),
            ingress: String::new(),
            next_published: 30_000,
            next_host_port: 32_768,
            next_node: 0,
        };
        state.ingress = state.add_network("ingress", |network| {
            network.ingress = true;
            network.subnet = Some([10, 0]);
        });
        state
    }

    /// The first part of a new object.
    pub(super) fn meta(&mut self) -> Meta {
        let id = self.random.swarm_id();
        let now = self.tick();
        Meta { id, version: Version { index: self.index }, created_at: now, updated_at: now }
    }

    /// The next index and moment.
    fn tick(&mut self) -> Time {
        self.index += 1;
        self.now = self.now.after(TICK);
        self.now
    }

    /// Changes a node.
    ///
    /// # Panics
    /// If there is no such node, like the other functions that are given an ID.
    pub(super) fn change_node(&mut self, id: &str, change: impl FnOnce(&mut Node)) {
        let now = self.tick();
        let node = self.nodes.get_mut(id).unwrap_or_else(|| panic!("no node {id}"));
        node.object.meta.version.index = self.index;
        node.object.meta.updated_at = now;
        change(&mut node.object);
        node.json = OnceLock::new();
    }

    pub(super) fn change_service(&mut self, id: &str, change: impl FnOnce(&mut Service, Time)) {
        let now = self.tick();
        let service = self.services.get_mut(id).unwrap_or_else(|| panic!("no service {id}"));
        service.object.meta.version.index = self.index;
        service.object.meta.updated_at = now;
        change(&mut service.object, now);
        service.json = OnceLock::new();
    }

    pub(super) fn change_task(&mut self, id: &str, change: impl FnOnce(&mut Task, Time)) {
        let now = self.tick();
        let task = self.tasks.get_mut(id).unwrap_or_else(|| panic!("no task {id}"));
        task.object.meta.version.index = self.index;
        task.object.meta.updated_at = now;
        change(&mut task.object, now);
        task.json = OnceLock::new();
    }

    pub(super) fn insert_node(&mut self, node: Node) {
        let created = node.meta.created_at;
        let id = self.random.daemon_id();
        let networks = network::local(created, true, || self.random.engine_id());
        self.engines.insert(node.meta.id.clone(), Engine { id, networks });
        self.nodes.insert(node.meta.id.clone(), Stored::new(node));
    }

    pub(super) fn insert_service(&mut self, service: Service) {
        self.services.insert(service.meta.id.clone(), Stored::new(service));
    }

    pub(super) fn add_network(&mut self, name: &str, set: impl FnOnce(&mut Network)) -> String {
        let meta = self.meta();
        let id = meta.id.clone();
        let mut network = Network {
            meta,
            name: name.to_owned(),
            labels: BTreeMap::new(),
            driver: "overlay",
            internal: false,
            attachable: false,
            ingress: false,
            subnet: None,
            used: 0,
            attached: Json::new("null"),
        };
        set(&mut network);
        network.attached = network.attach();
        self.networks.insert(id.clone(), network);
        id
    }

    /// The first two bytes of the next network's addresses: `10.N.0.0/16`.
    pub(super) fn next_subnet(&self) -> [u8; 2] {
        let used: BTreeSet<_> = self.networks.values().filter_map(|n| n.subnet).collect();
        let mut free = (1..=u8::MAX).map(|second| [10, second]);
        free.find(|subnet| !used.contains(subnet)).expect("fewer than 255 networks")
    }

    /// What a service that is new or was changed is reached by. Addresses and ports that it has
    /// already stay.
    pub(super) fn endpoint(&mut self, service: &Service) -> Endpoint {
        let (spec, old) = (&service.spec, &service.endpoint);
        let ports = &spec.endpoint_spec.ports;
        let networks = &spec.task_template.networks;
        if spec.endpoint_spec.mode == "dnsrr" || (ports.is_empty() && networks.is_empty()) {
            return Endpoint::default();
        }
        let ingress = ports.iter().any(|port| port.publish_mode == "ingress");
        let ingress = ingress.then(|| self.ingress.clone());
        let networks = ingress.into_iter().chain(networks.iter().map(|n| n.target.clone()));
        let virtual_ips = networks
            .map(|network_id| {
                let known = old.virtual_ips.iter().find(|vip| vip.network_id == network_id);
                let addr = match known {
                    Some(vip) => vip.addr.clone(),
                    None => self.address(&network_id).unwrap_or_default(),
                };
                VirtualIp { network_id, addr }
            })
            .collect();
        let publish = |port: &Port| {
            let mut port = port.clone();
            if port.publish_mode == "ingress" && port.published_port == 0 {
                port.published_port = self.next_published;
                self.next_published += 1;
            }
            port
        };
        let published = if old.spec == spec.endpoint_spec {
            old.ports.clone()
        } else {
            ports.iter().map(publish).collect()
        };
        Endpoint { spec: spec.endpoint_spec.clone(), ports: published, virtual_ips }
    }

    fn address(&mut self, network: &str) -> Option<String> {
        self.networks.get_mut(network)?.next_address()
    }

    /// Brings the tasks of a service to what its specification wants.
    pub(super) fn reconcile(&mut self, service: &str) {
        let Some(stored) = self.services.get(service) else { return };
        let (mode, spec) = (stored.spec.mode, Arc::new(task_spec(&stored.spec.task_template)));
        let suitable = self.suitable(&spec.placement);
        let live: Vec<_> = self
            .tasks_of(service)
            .filter(|task| {
                task.is_live() || (mode.is_job() && task.desired_state == TaskState::Complete)
            })
            .map(|task| (task.slot, task.node_id.clone(), task.meta.id.clone()))
            .collect();
        match mode {
            Mode::Replicated { replicas: wanted }
            | Mode::ReplicatedJob { total_completions: wanted, .. } => {
                let first = u64::from(!mode.is_job());
                let slots = first..first + wanted;
                for (_, _, task) in live.iter().filter(|(slot, ..)| !slots.contains(slot)) {
                    self.remove_task(task);
                }
                let taken: BTreeSet<_> = live.iter().map(|(slot, ..)| *slot).collect();
                for slot in slots.filter(|slot| !taken.contains(slot)) {
                    let node = self.pick(&suitable);
                    self.add_task(service, &spec, slot, node.as_deref());
                }
            }
            Mode::Global {} | Mode::GlobalJob {} => {
                let taken: BTreeSet<_> = live.into_iter().map(|(_, node, _)| node).collect();
                for node in suitable.iter().filter(|node| !taken.contains(*node)) {
                    self.add_task(service, &spec, 0, Some(node));
                }
            }
        }
    }

    /// Brings all services to what is wanted.
    pub(super) fn reconcile_all(&mut self) {
        for service in self.services.keys().cloned().collect::<Vec<_>>() {
            self.reconcile(&service);
        }
    }

    pub(super) fn tasks_of(&self, service: &str) -> impl Iterator<Item = &Stored<Task>> {
        self.tasks_of.get(service).into_iter().flatten().filter_map(|id| self.tasks.get(id))
    }

    /// What new tasks of a service are made from.
    pub(super) fn template(&self, service: &str) -> TaskSpec {
        task_spec(&self.services[service].spec.task_template)
    }

    pub(super) fn tasks_on(&self, node: &str) -> Vec<String> {
        let on_node = self.tasks.values().filter(|task| task.node_id == node && task.is_live());
        on_node.map(|task| task.meta.id.clone()).collect()
    }

    /// Ends a task that is not wanted any more.
    pub(super) fn shut_down(&mut self, task: &str) {
        self.change_task(task, |task, now| {
            task.desired_state = TaskState::Shutdown;
            end(task, now, TaskState::Shutdown, "shutdown", "", 0);
        });
        self.forget_history(task);
    }

    pub(super) fn remove_task(&mut self, task: &str) {
        self.tick();
        if let Some(removed) = self.tasks.remove(task)
            && let Some(tasks) = self.tasks_of.get_mut(&removed.service_id)
        {
            tasks.retain(|id| id != task);
        }
    }

    /// The nodes that may take a task, in the order of their IDs.
    fn suitable(&self, placement: &Placement) -> Vec<String> {
        let suits = |node: &&Stored<Node>| {
            node.status.state == NodeState::Ready
                && node.spec.availability == Availability::Active
                && placement.constraints.iter().all(|constraint| satisfies(node, constraint))
        };
        self.nodes.values().filter(suits).map(|node| node.meta.id.clone()).collect()
    }

    fn pick(&mut self, suitable: &[String]) -> Option<String> {
        self.next_node = self.next_node.wrapping_add(1);
        suitable.get(self.next_node % suitable.len().max(1)).cloned()
    }

    fn add_task(&mut self, service: &str, spec: &Arc<TaskSpec>, slot: u64, node: Option<&str>) {
        let meta = self.meta();
        let stored = &self.services[service];
        let job = stored.job_status.as_ref().map(|status| status.job_iteration);
        let ports: Vec<_> = stored.endpoint.ports.clone();
        let id = meta.id.clone();
        let timestamp = meta.created_at;
        let mut task = Task {
            meta,
            labels: BTreeMap::new(),
            spec: Arc::clone(spec),
            service_id: service.to_owned(),
            slot,
            node_id: node.unwrap_or_default().to_owned(),
            status: TaskStatus {
                timestamp,
                state: TaskState::Pending,
                message: "pending task scheduling".to_owned(),
                err: String::new(),
                container_status: None,
                port_status: PortStatus::default(),
            },
            desired_state: if job.is_some() { TaskState::Complete } else { TaskState::Running },
            networks_attachments: Vec::new(),
            job_iteration: job,
        };
        if node.is_some() {
            self.start(&mut task, &ports);
        } else {
            task.status.err = format!(
                "no suitable node (scheduling constraints not satisfied on {} nodes)",
                self.nodes.len()
            );
        }
        self.tasks.insert(id.clone(), Stored::new(task));
        self.tasks_of.entry(service.to_owned()).or_default().push(id);
    }

    fn start(&mut self, task: &mut Task, ports: &[Port]) {
        let ingress = ports.iter().any(|port| port.publish_mode == "ingress");
        let ingress = ingress.then(|| self.ingress.clone());
        let targets = task.spec.networks.iter().map(|network| network.target.clone());
        for network_id in ingress.into_iter().chain(targets) {
            let addresses = self.address(&network_id).into_iter().collect();
            if let Some(network) = self.networks.get(&network_id) {
                let network = network.attached.clone();
                task.networks_attachments.push(Attachment { network, addresses, network_id });
            }
        }
        let job = task.job_iteration.is_some();
        let pid = if job { 0 } else { 400 + self.random.below(30_000) as u64 };
        let (state, message) =
            if job { (TaskState::Complete, "finished") } else { (TaskState::Running, "started") };
        for port in ports.iter().filter(|port| port.publish_mode == "host") {
            let mut port = port.clone();
            port.name.clear();
            if port.published_port == 0 {
                port.published_port = self.next_host_port;
                self.next_host_port += 1;
            }
            task.status.port_status.ports.extend([port.clone(), port]);
        }
        task.meta.updated_at = self.tick();
        task.meta.version.index = self.index;
        task.status.timestamp = task.meta.updated_at;
        task.status.state = state;
        message.clone_into(&mut task.status.message);
        let container_id = self.random.engine_id();
        task.status.container_status = Some(ContainerStatus { container_id, pid, exit_code: 0 });
    }

    /// Removes the oldest ended tasks of a slot, or of a global service's node.
    pub(super) fn forget_history(&mut self, task: &str) {
        let task = &self.tasks[task];
        let (service, slot, node) = (&task.service_id, task.slot, &task.node_id);
        let ended: Vec<_> = self
            .tasks_of(service)
            .filter(|task| !task.is_live() && task.desired_state != TaskState::Complete)
            .filter(|task| task.slot == slot && (slot > 0 || task.node_id == *node))
            .map(|task| task.meta.id.clone())
            .collect();
        for task in ended.iter().take(ended.len().saturating_sub(HISTORY)) {
            self.remove_task(task);
        }
    }

    /// Gives the Swarm a leader that is up, and says which managers can be reached.
    pub(super) fn elect(&mut self) {
        let managers: Vec<_> = self
            .nodes
            .values()
            .filter(|node| node.manager_status.is_some())
            .map(|node| (node.meta.id.clone(), node.status.state == NodeState::Ready))
            .collect();
        let leads = |node: &Node| node.manager_status.as_ref().is_some_and(|status| status.leader);
        let up = |id: &String| managers.iter().any(|(manager, up)| manager == id && *up);
        let old =
            self.nodes.iter().find(|(id, node)| leads(node) && up(id)).map(|(id, _)| id.clone());
        let leader = old.or_else(|| managers.iter().find(|(_, up)| *up).map(|(id, _)| id.clone()));
        for (id, up) in &managers {
            let lead = leader.as_ref() == Some(id);
            let is = self.nodes[id].manager_status.as_ref().map(|s| (s.leader, s.reachability));
            let should = super::objects::Reachability::from(*up);
            if is != Some((lead, should)) {
                self.change_node(id, |node| {
                    if let Some(status) = &mut node.manager_status {
                        status.leader = lead;
                        status.reachability = should;
                    }
                });
            }
        }
    }

    /// Whether more than half of the managers are up.
    pub(crate) fn has_quorum(&self) -> bool {
        let managers = self.nodes.values().filter(|node| node.spec.role == NodeRole::Manager);
        let (all, up) = managers.fold((0, 0), |(all, up), node| {
            (all + 1, up + usize::from(node.status.state == NodeState::Ready))
        });
        2 * up > all
    }
}

/// A task's copy of its service's template.
fn task_spec(template: &TaskSpec) -> TaskSpec {
    TaskSpec { runtime: None, ..template.clone() }
}

pub(super) fn end(
    task: &mut Task,
    now: Time,
    state: TaskState,
    message: &str,
    error: &str,
    exit_code: i64,
) {
    task.status.timestamp = now;
    task.status.state = state;
    message.clone_into(&mut task.status.message);
    error.clone_into(&mut task.status.err);
    task.status.port_status = PortStatus::default();
    if let Some(container) = &mut task.status.container_status {
        container.pid = 0;
        container.exit_code = exit_code;
    }
}

/// `node.role==manager`, `node.labels.zone!=a`, …
fn satisfies(node: &Node, constraint: &str) -> bool {
    let (key, value, equal) = match (constraint.split_once("!="), constraint.split_once("==")) {
        (Some((key, value)), _) => (key, value, false),
        (_, Some((key, value))) => (key, value, true),
        _ => return false,
    };
    let (key, value) = (key.trim(), value.trim());
    let role = match node.spec.role {
        NodeRole::Worker => "worker",
        NodeRole::Manager => "manager",
    };
    let is = match key {
        "node.id" => Some(node.meta.id.as_str()),
        "node.hostname" => Some(node.description.hostname.as_str()),
        "node.role" => Some(role),
        _ => {
            let label = key.strip_prefix("node.labels.").map(|l| node.spec.labels.get(l));
            let engine = || {
                let label = key.strip_prefix("engine.labels.")?;
                node.description.engine.labels.get(label)
            };
            label.unwrap_or_else(engine).map(String::as_str)
        }
    };
    (is == Some(value)) == equal
}
