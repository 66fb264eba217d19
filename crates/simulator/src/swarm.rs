//! A Swarm in memory: nodes, services, tasks, networks, and what an operator does to them.
//!
//! [`Swarm`] is a handle; clones share the Swarm, so that several [engines](crate::engine::Engine)
//! and a test read the same one. What is done to it is done at once: when `scale` returns, the new
//! tasks run; a [listener](Swarm::changes) receives each step on the way. As in a real Swarm the
//! index and the time of every changed object move, ended tasks stay for a while, a task on a node
//! that is down goes on to say `running`, and lists come in another order at every call.
//!
//! ```
//! use swarmscout_simulator::swarm::{ServiceSpec, Swarm};
//!
//! let swarm = Swarm::new(1);
//! swarm.add_manager("manager-1");
//! swarm.add_worker("worker-1");
//! let front = swarm.create_network("front");
//! let web = swarm.create_service(
//!     ServiceSpec::new("web", "demo:1").replicas(3).network(&front).publish(8080, 80),
//! );
//! swarm.scale(&web, 5);
//! assert_eq!(swarm.tasks_of(&web).len(), 5);
//! ```

mod changes;
mod network;
pub mod objects;
mod random;
mod spec;
mod state;
mod tasks;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::json;

pub use changes::{Action, Change, Changes, Object};
pub use network::Network;
pub use objects::{Availability, Map, Mode, Node, NodeRole, NodeState, Service, ServiceSpec, Task};
pub use objects::{TaskState, Time};
pub(crate) use random::Random;
pub(crate) use state::{State, Stored};

use objects::{
    Description, EngineDescription, Json, ManagerStatus, NodeSpec, NodeStatus, Platform,
    Reachability, UpdateStatus,
};

/// A Swarm. Clones share it.
///
/// The methods that are given the ID of an object panic if there is no such object.
#[derive(Clone, Debug)]
pub struct Swarm(Arc<Mutex<State>>);

/// A container that is not a task, as somebody starts one with `docker run`.
#[derive(Clone, Debug, Default)]
pub struct Container {
    /// Without leading `/`.
    pub name: String,
    /// Name and tag.
    pub image: String,
    /// Labels.
    pub labels: Map,
    /// Names of its networks and its address in each; `host` and `none` have no address.
    pub networks: Vec<(String, String)>,
    /// `default`, `host`, `none`, `container:<id>`, or the name of a network.
    pub network_mode: String,
    /// Port in the container, port outside or 0, `tcp` or `udp`.
    pub ports: Vec<(u16, u16, &'static str)>,
    /// `running`, `exited`, …
    pub state: &'static str,
}

impl Swarm {
    /// A Swarm without nodes. The same seed and the same calls make the same Swarm.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State::new(seed))))
    }

    /// One manager, `workers` workers, and services until there are `tasks` tasks: every kind of
    /// service, each with environment, mounts, labels and two networks as people have them. 1,000
    /// nodes and 10,000 tasks are about 30 MB of JSON.
    pub fn grown(seed: u64, nodes: usize, tasks: usize) -> Self {
        Self::grown_with(seed, nodes, tasks, spec::TASKS, |_, service| service)
    }

    /// The same with at most `replicas` tasks of each service, and services as `edit` returns
    /// them. It receives the number of each.
    pub fn grown_with(
        seed: u64,
        nodes: usize,
        tasks: usize,
        replicas: usize,
        edit: impl Fn(usize, ServiceSpec) -> ServiceSpec,
    ) -> Self {
        let swarm = Self::new(seed);
        spec::grow(&swarm, nodes, tasks, replicas, edit);
        swarm
    }

    /// Every change of a node, service, task or network from now on, in order.
    ///
    /// While somebody listens, a task goes through all states that a real one goes through, each
    /// with an index of its own: so the same calls make the same Swarm only with the same
    /// listeners.
    pub fn changes(&self) -> Changes {
        self.lock().listeners.add()
    }

    /// Makes it this moment there. Without it a Swarm has a time of its own, in which only changes
    /// pass.
    pub fn set_time(&self, time: SystemTime) {
        self.lock().now = time.into();
    }

    /// The Swarm's ID.
    pub fn cluster_id(&self) -> String {
        self.lock().cluster.id.clone()
    }

    /// Adds a manager and returns its ID. The first one leads.
    pub fn add_manager(&self, hostname: &str) -> String {
        self.add_node(hostname, NodeRole::Manager)
    }

    /// Adds a worker and returns its ID.
    pub fn add_worker(&self, hostname: &str) -> String {
        self.add_node(hostname, NodeRole::Worker)
    }

    fn add_node(&self, hostname: &str, role: NodeRole) -> String {
        let mut state = self.lock();
        let meta = state.meta();
        let id = meta.id.clone();
        let [.., second, third, fourth] = (state.nodes.len() as u64 + 11).to_be_bytes();
        let addr = format!("10.{}.{third}.{fourth}", 77 + second);
        let manager_status = (role == NodeRole::Manager).then(|| manager_status(&addr));
        state.insert_node(Node {
            meta,
            spec: NodeSpec { labels: Map::new(), role, availability: Availability::Active },
            description: Description {
                hostname: hostname.to_owned(),
                platform: Platform { architecture: "x86_64".to_owned(), os: "linux".to_owned() },
                resources: Json::new(r#"{"NanoCPUs":2000000000,"MemoryBytes":25276514304}"#),
                engine: EngineDescription {
                    engine_version: "20.10.24+dfsg1".to_owned(),
                    labels: Map::new(),
                    plugins: Json::new(spec::PLUGINS),
                },
                tls_info: Json::new(spec::TLS_INFO),
            },
            status: NodeStatus { state: NodeState::Ready, message: String::new(), addr },
            manager_status,
        });
        if role == NodeRole::Manager {
            state.elect();
        }
        state.reconcile_all();
        id
    }

    /// Removes a node as `docker node rm --force` does. Its tasks stay, no longer wanted, and are
    /// replaced elsewhere.
    pub fn remove_node(&self, node: &str) {
        self.stop_node(node);
        let mut state = self.lock();
        state.remove_node(node);
        state.elect();
    }

    /// Wants no tasks on a node: those that run there end and are replaced elsewhere.
    pub fn drain_node(&self, node: &str) {
        self.set_availability(node, Availability::Drain);
    }

    /// Wants no new tasks on a node.
    pub fn pause_node(&self, node: &str) {
        self.set_availability(node, Availability::Pause);
    }

    /// Lets a node have tasks again.
    pub fn activate_node(&self, node: &str) {
        self.set_availability(node, Availability::Active);
    }

    fn set_availability(&self, node: &str, availability: Availability) {
        let mut state = self.lock();
        state.change_node(node, |node| node.spec.availability = availability);
        if availability == Availability::Drain {
            for task in state.tasks_on(node) {
                state.shut_down(&task);
            }
        }
        state.reconcile_all();
    }

    /// The machine goes away. Its tasks go on to say `running`, but are no longer wanted, and are
    /// replaced elsewhere.
    pub fn stop_node(&self, node: &str) {
        let mut state = self.lock();
        for task in state.tasks_on(node) {
            state.change_task(&task, |task, _| task.desired_state = TaskState::Shutdown);
        }
        state.change_node(node, |node| {
            node.status.state = NodeState::Down;
            "heartbeat failure".clone_into(&mut node.status.message);
        });
        state.elect();
        state.reconcile_all();
    }

    /// The machine is back. Tasks that were replaced end.
    pub fn restore_node(&self, node: &str) {
        let mut state = self.lock();
        state.change_node(node, |node| {
            node.status.state = NodeState::Ready;
            node.status.message.clear();
        });
        let replaced: Vec<_> = state
            .tasks
            .values()
            .filter(|task| task.node_id == node && task.status.state == TaskState::Running)
            .filter(|task| task.desired_state == TaskState::Shutdown)
            .map(|task| task.meta.id.clone())
            .collect();
        for task in replaced {
            state.shut_down(&task);
        }
        state.elect();
        state.reconcile_all();
    }

    /// Makes a worker a manager.
    pub fn promote_node(&self, node: &str) {
        let mut state = self.lock();
        state.change_node(node, |node| {
            node.spec.role = NodeRole::Manager;
            node.manager_status = Some(manager_status(&node.status.addr));
        });
        state.elect();
    }

    /// Makes a manager a worker.
    pub fn demote_node(&self, node: &str) {
        let mut state = self.lock();
        state.change_node(node, |node| {
            node.spec.role = NodeRole::Worker;
            node.manager_status = None;
        });
        state.elect();
    }

    /// Sets a label of a node; tasks whose constraints it satisfies now may start there.
    pub fn label_node(&self, node: &str, name: &str, value: &str) {
        let mut state = self.lock();
        state.change_node(node, |node| {
            node.spec.labels.insert(name.to_owned(), value.to_owned());
        });
        state.reconcile_all();
    }

    /// Changes a node in any way.
    pub fn edit_node(&self, node: &str, edit: impl FnOnce(&mut Node)) {
        self.lock().change_node(node, edit);
    }

    /// Creates an overlay network and returns its ID.
    pub fn create_network(&self, name: &str) -> String {
        self.create_network_with(name, |_| {})
    }

    /// Creates an overlay network that is set up by `set`, and returns its ID.
    pub fn create_network_with(&self, name: &str, set: impl FnOnce(&mut Network)) -> String {
        let mut state = self.lock();
        let subnet = state.next_subnet();
        state.add_network(name, |network| {
            network.subnet = Some(subnet);
            set(network);
        })
    }

    /// Changes a network in any way; attachments that tasks have already stay as they are.
    pub fn edit_network(&self, network: &str, edit: impl FnOnce(&mut Network)) {
        self.lock().change_network(network, edit);
    }

    /// Removes a network.
    pub fn remove_network(&self, network: &str) {
        self.lock().remove_network(network);
    }

    /// The ID of the network `host`, which services use that live on the node's own.
    pub fn host_network(&self) -> String {
        self.predefined("host")
    }

    /// The ID of the network `bridge`, that of the node, as the Swarm knows it. Like `host` it is
    /// among SwarmKit's networks, and not among those that the Engine API lists.
    pub fn bridge_network(&self) -> String {
        self.predefined("bridge")
    }

    fn predefined(&self, name: &'static str) -> String {
        let mut state = self.lock();
        let known = state.networks.values().find(|network| network.driver == name);
        if let Some(network) = known {
            return network.meta.id.clone();
        }
        state.add_network(name, |network| {
            network.driver = name;
            let label = ("com.docker.swarm.predefined".to_owned(), "true".to_owned());
            network.labels.extend([label]);
        })
    }

    /// Creates a config and returns its ID. `data` is base64, as it is listed.
    pub fn create_config(&self, name: &str, data: &str) -> String {
        let mut state = self.lock();
        let (id, file) = state.new_file(&json!({ "Name": name, "Labels": {}, "Data": data }));
        state.files.configs.push(file);
        id
    }

    /// Creates a secret and returns its ID. No Engine lists its content.
    pub fn create_secret(&self, name: &str) -> String {
        let mut state = self.lock();
        let (id, file) = state.new_file(&json!({ "Name": name, "Labels": {} }));
        state.files.secrets.push(file);
        id
    }

    /// Creates a service of plugins and returns its ID. SwarmKit reports it and its task, the
    /// Engine API of neither.
    pub fn create_plugin_service(&self, name: &str) -> String {
        let mut spec = ServiceSpec::new(name, "");
        spec.task_template.container_spec = None;
        spec.task_template.runtime = Some("plugin");
        self.create_service(spec)
    }

    /// Attaches a container that is not a task, on this node, to a network: a task of no service,
    /// which SwarmKit reports and the Engine API does not. Returns its ID.
    pub fn attach_container(&self, node: &str, network: &str) -> String {
        self.lock().attach_container(node, network)
    }

    /// Creates a service, starts its tasks, and returns its ID.
    pub fn create_service(&self, spec: ServiceSpec) -> String {
        let mut state = self.lock();
        let meta = state.meta();
        let id = meta.id.clone();
        let job = spec.mode.is_job();
        let service = Service {
            job_status: job.then(|| objects::JobStatus {
                job_iteration: objects::Version::default(),
                last_execution: meta.created_at,
            }),
            meta,
            spec,
            previous_spec: None,
            endpoint: objects::Endpoint::default(),
            update_status: None,
        };
        state.insert_service(service);
        state.reconcile(&id);
        id
    }

    /// Changes how many tasks a replicated service wants. Tasks that are too many vanish.
    pub fn scale(&self, service: &str, wanted: u64) {
        let mut state = self.lock();
        state.change_service(service, |service, _| {
            service.previous_spec = Some(service.spec.clone());
            service.spec.mode = Mode::Replicated { replicas: wanted };
        });
        state.reconcile(service);
    }

    /// Updates a service to its end: if its tasks' template changes, all of them are replaced.
    pub fn update_service(&self, service: &str, change: impl FnOnce(&mut ServiceSpec)) {
        self.start_update(service, change);
        while self.continue_update(service) {}
    }

    /// Begins to update a service; no task is replaced yet.
    pub fn start_update(&self, service: &str, change: impl FnOnce(&mut ServiceSpec)) {
        let mut state = self.lock();
        let mut changed = state.services[service].clone();
        change(&mut changed.spec);
        let endpoint = state.endpoint(&changed);
        state.change_service(service, |service, now| {
            service.previous_spec = Some(std::mem::replace(&mut service.spec, changed.spec));
            service.endpoint = endpoint;
            service.update_status = Some(UpdateStatus {
                state: "updating",
                started_at: now,
                completed_at: None,
                message: "update in progress",
            });
        });
        state.reconcile(service);
    }

    /// Replaces one task that is not of the newest template, or completes the update and returns
    /// `false`.
    pub fn continue_update(&self, service: &str) -> bool {
        let mut state = self.lock();
        let template = state.template(service);
        let old = state.tasks_of(service).filter(|task| task.is_live() && *task.spec != template);
        let old = old.min_by_key(|task| task.meta.created_at);
        if let Some(task) = old.map(|task| task.meta.id.clone()) {
            state.shut_down(&task);
            state.reconcile(service);
            return true;
        }
        state.change_service(service, |service, now| {
            if let Some(status) = &mut service.update_status {
                status.state = "completed";
                status.completed_at = Some(now);
                status.message = "update completed";
            }
        });
        false
    }

    /// Sets a label of a service.
    pub fn label_service(&self, service: &str, name: &str, value: &str) {
        self.edit_service(service, |service| {
            service.spec.labels.insert(name.to_owned(), value.to_owned());
        });
    }

    /// Changes a service in any way; its tasks stay as they are.
    pub fn edit_service(&self, service: &str, edit: impl FnOnce(&mut Service)) {
        self.lock().change_service(service, |service, _| edit(service));
    }

    /// Removes a service and all its tasks.
    pub fn remove_service(&self, service: &str) {
        let mut state = self.lock();
        state.remove_service(service);
    }

    /// A task's container dies, and the task is replaced. False if no such task runs, or it is not
    /// wanted.
    pub fn kill_task(&self, task: &str) -> bool {
        self.lock().kill(task)
    }

    /// Changes a task in any way.
    pub fn edit_task(&self, task: &str, edit: impl FnOnce(&mut Task)) {
        self.lock().change_task(task, |task, _| edit(task));
    }

    /// Starts a container that is not a task, on the engine of this node.
    pub fn run_container(&self, node: &str, container: Container) {
        self.lock().containers.entry(node.to_owned()).or_default().push(container);
    }

    /// Removes the container of this name from the engine of this node.
    pub fn remove_container(&self, node: &str, name: &str) {
        if let Some(containers) = self.lock().containers.get_mut(node) {
            containers.retain(|container| container.name != name);
        }
    }

    /// The nodes, by ID.
    pub fn nodes(&self) -> Vec<Node> {
        self.lock().nodes.values().map(|node| Node::clone(node)).collect()
    }

    /// The services, by ID.
    pub fn services(&self) -> Vec<Service> {
        self.lock().services.values().map(|service| Service::clone(service)).collect()
    }

    /// The tasks, by ID; those that ended included.
    pub fn tasks(&self) -> Vec<Task> {
        self.lock().tasks.values().map(|task| Task::clone(task)).collect()
    }

    /// The tasks of a service that are wanted and have not ended, oldest first.
    pub fn tasks_of(&self, service: &str) -> Vec<Task> {
        let state = self.lock();
        let live = state.tasks_of(service).filter(|task| task.is_live());
        let mut live: Vec<_> = live.map(|task| Task::clone(task)).collect();
        live.sort_by_key(|task| task.meta.created_at);
        live
    }

    /// The moment of the last change.
    pub(crate) fn now(&self) -> Time {
        self.lock().now
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn manager_status(addr: &str) -> ManagerStatus {
    let addr = format!("{addr}:2377");
    ManagerStatus { leader: false, reachability: Reachability::Reachable, addr }
}
