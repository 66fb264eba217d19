//! What a Swarm is at one moment, and how its orchestrator brings it to what is wanted.
//!
//! Everything happens at once: a new task runs as soon as it is made, unless no node takes it. Each
//! change of an object gets the next index and the next moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use serde::Serialize;

use super::Container;
use super::changes::{Action, Kept, Listeners};
use super::network::{self, Network};
use super::objects::{
    Availability, Endpoint, Json, ManagerStatus, Meta, Node, NodeRole, NodeState, Port, Service,
    Task, Time, Version, VirtualIp,
};
use super::random::Random;
use super::tasks::{Slots, Suitable};
use crate::engine::json;

/// Between two changes.
const TICK: u64 = 11_718_227;

/// An object and its JSON, which is made when it is asked for first.
#[derive(Debug)]
pub(crate) struct Stored<T> {
    object: Arc<T>,
    json: OnceLock<Box<[u8]>>,
}

impl<T> std::ops::Deref for Stored<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.object
    }
}

impl<T> Stored<T> {
    pub(super) fn new(object: impl Into<Arc<T>>) -> Self {
        Self { object: object.into(), json: OnceLock::new() }
    }

    /// The object, to keep.
    pub(crate) fn shared(&self) -> &Arc<T> {
        &self.object
    }
}

impl<T: Kept> Stored<T> {
    /// Changes the object in place, or a copy of it if somebody keeps it.
    fn edit(&mut self, change: impl FnOnce(&mut T)) {
        change(Arc::make_mut(&mut self.object));
        self.json = OnceLock::new();
    }

    /// The object has changed: gives it this index and moment, and reports it.
    fn change(
        &mut self,
        (version, now): (Version, Time),
        listeners: &mut Listeners,
        change: impl FnOnce(&mut T),
    ) {
        let old = listeners.any().then(|| Arc::clone(&self.object));
        self.edit(|object| {
            let meta = object.meta();
            meta.version = version;
            meta.updated_at = now;
            change(object);
        });
        if old.is_some() {
            listeners.notify(Action::Update, &self.object, old);
        }
    }
}

impl<T: Serialize> Stored<T> {
    pub(crate) fn json(&self) -> &[u8] {
        self.json.get_or_init(|| {
            let mut text = Vec::new();
            json::append(&mut text, self.object.as_ref());
            text.into()
        })
    }
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) random: Random,
    pub(super) now: Time,
    pub(super) index: u64,
    pub(super) listeners: Listeners,
    pub(crate) cluster: Meta,
    pub(crate) nodes: BTreeMap<String, Stored<Node>>,
    pub(crate) services: BTreeMap<String, Stored<Service>>,
    pub(crate) tasks: BTreeMap<String, Stored<Task>>,
    pub(crate) networks: BTreeMap<String, Stored<Network>>,
    /// Configs and secrets, as the Engine lists them.
    pub(crate) files: Files,
    /// How many addresses of each network were given away.
    addresses: BTreeMap<String, u32>,
    /// Containers that are not tasks, by node.
    pub(crate) containers: BTreeMap<String, Vec<Container>>,
    /// What each node's engine has for itself.
    pub(crate) engines: BTreeMap<String, Engine>,
    /// Tasks of each service.
    pub(super) tasks_of: BTreeMap<String, Slots>,
    pub(super) suitable: Suitable,
    pub(super) ingress: String,
    next_published: u64,
    pub(super) next_host_port: u64,
    pub(super) next_node: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) configs: Vec<Json>,
    pub(crate) secrets: Vec<Json>,
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
            listeners: Listeners::default(),
            cluster,
            nodes: BTreeMap::new(),
            services: BTreeMap::new(),
            tasks: BTreeMap::new(),
            networks: BTreeMap::new(),
            files: Files::default(),
            addresses: BTreeMap::new(),
            containers: BTreeMap::new(),
            engines: BTreeMap::new(),
            tasks_of: BTreeMap::new(),
            suitable: Suitable::default(),
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

    /// A config or secret, and its ID.
    pub(super) fn new_file(&mut self, spec: &serde_json::Value) -> (String, Json) {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct File<'a> {
            #[serde(flatten)]
            meta: &'a Meta,
            spec: &'a serde_json::Value,
        }
        let meta = self.meta();
        let mut text = Vec::new();
        json::append(&mut text, &File { meta: &meta, spec });
        let text = String::from_utf8(text).expect("JSON is UTF-8");
        (meta.id, Json::new(text))
    }

    /// The next index and moment.
    pub(super) fn tick(&mut self) -> Time {
        self.index += 1;
        self.now = self.now.after(TICK);
        self.now
    }

    /// The same, as a change has them.
    pub(super) fn next(&mut self) -> (Version, Time) {
        let now = self.tick();
        (Version { index: self.index }, now)
    }

    /// Changes a node.
    ///
    /// # Panics
    /// If there is no such node, like the other functions that are given an ID.
    pub(super) fn change_node(&mut self, id: &str, change: impl FnOnce(&mut Node)) {
        let next = self.next();
        let node = self.nodes.get_mut(id).unwrap_or_else(|| panic!("no node {id}"));
        let took = takes_tasks(node);
        node.change(next, &mut self.listeners, change);
        let same = took == takes_tasks(node);
        self.suitable.node_changed(same);
    }

    /// Changes what a list says of a manager. It is not a part of the object: neither its index nor
    /// its time move, and no watch reports it (swarmkit `manager/controlapi/node.go`).
    fn change_manager(&mut self, id: &str, change: impl FnOnce(&mut ManagerStatus)) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.edit(|node| {
                if let Some(status) = &mut node.manager_status {
                    change(status);
                }
            });
        }
    }

    pub(super) fn change_service(&mut self, id: &str, change: impl FnOnce(&mut Service, Time)) {
        let next = self.next();
        let service = self.services.get_mut(id).unwrap_or_else(|| panic!("no service {id}"));
        service.change(next, &mut self.listeners, |service| change(service, next.1));
    }

    pub(super) fn change_task(&mut self, id: &str, change: impl FnOnce(&mut Task, Time)) {
        let next = self.next();
        let task = self.tasks.get_mut(id).unwrap_or_else(|| panic!("no task {id}"));
        task.change(next, &mut self.listeners, |task| change(task, next.1));
    }

    /// Changes a task that has just been changed: a change of its own only for those who listen.
    pub(super) fn change_task_further(&mut self, id: &str, change: impl FnOnce(&mut Task, Time)) {
        if self.listeners.any() {
            self.change_task(id, change);
        } else if let Some(task) = self.tasks.get_mut(id) {
            task.edit(|task| change(task, self.now));
        }
    }

    pub(super) fn change_network(&mut self, id: &str, change: impl FnOnce(&mut Network)) {
        let next = self.next();
        let network = self.networks.get_mut(id).unwrap_or_else(|| panic!("no network {id}"));
        network.change(next, &mut self.listeners, |network| {
            change(network);
            network.attached = network.attach();
        });
    }

    pub(super) fn insert_node(&mut self, node: Node) {
        let created = node.meta.created_at;
        let id = self.random.daemon_id();
        let networks = network::local(created, true, || self.random.engine_id());
        self.engines.insert(node.meta.id.clone(), Engine { id, networks });
        let (id, node) = (node.meta.id.clone(), Stored::new(node));
        self.notify(Action::Create, &node);
        self.suitable.node_changed(false);
        self.nodes.insert(id, node);
    }

    pub(super) fn remove_node(&mut self, id: &str) {
        if let Some(node) = self.nodes.remove(id) {
            self.notify(Action::Remove, &node);
            self.suitable.node_changed(false);
        }
    }

    /// A service comes without an endpoint, which the allocator then gives to it.
    pub(super) fn insert_service(&mut self, service: Service) {
        let id = service.meta.id.clone();
        let endpoint = self.endpoint(&service);
        let listened = self.listeners.any();
        let mut service = Stored::new(service);
        if listened {
            self.notify(Action::Create, &service);
            let next = self.next();
            service.change(next, &mut self.listeners, |service| service.endpoint = endpoint);
        } else {
            service.edit(|service| service.endpoint = endpoint);
        }
        self.services.insert(id, service);
    }

    pub(super) fn remove_service(&mut self, id: &str) {
        self.tick();
        let Some(service) = self.services.remove(id) else { panic!("no service {id}") };
        self.notify(Action::Remove, &service);
        let tasks = self.tasks_of.get(id).into_iter().flat_map(Slots::tasks).cloned();
        for task in tasks.collect::<Vec<_>>() {
            self.retire_task(&task);
        }
        self.tasks_of.remove(id);
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
            allocated: false,
            attached: Json::new("null"),
        };
        set(&mut network);
        network.attached = network.attach();
        let listened = self.listeners.any();
        let mut network = Stored::new(network);
        if listened {
            self.notify(Action::Create, &network);
            let next = self.next();
            network.change(next, &mut self.listeners, |network| network.allocated = true);
        } else {
            network.edit(|network| network.allocated = true);
        }
        self.networks.insert(id.clone(), network);
        id
    }

    pub(super) fn remove_network(&mut self, id: &str) {
        if let Some(network) = self.networks.remove(id) {
            self.tick();
            self.notify(Action::Remove, &network);
        }
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

    pub(super) fn address(&mut self, network: &str) -> Option<String> {
        let given = self.addresses.entry(network.to_owned()).or_default();
        let address = self.networks.get(network)?.address(*given)?;
        *given += 1;
        Some(address)
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
                self.change_manager(id, |status| {
                    status.leader = lead;
                    status.reachability = should;
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

/// Whether a node takes new tasks.
pub(super) fn takes_tasks(node: &Node) -> bool {
    node.status.state == NodeState::Ready && node.spec.availability == Availability::Active
}
