//! How the orchestrator of a Swarm keeps the tasks that are wanted.
//!
//! Everything happens at once: a new task runs as soon as it is made, unless no node takes it.
//! Listeners receive each state on the way, in the order, and with the members, that the
//! control socket of a real Swarm reported (`fixtures/swarm-mode/control-socket`).
//!
//! Replacing one task costs the same however many there are: nothing here that a killed task needs
//! walks all nodes or all tasks of a service.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::changes::Action;
use super::objects::{
    Attachment, ContainerStatus, Mode, Node, NodeRole, Placement, Port, PortStatus, ServiceSpec,
    Task, TaskSpec, TaskState, TaskStatus, Time,
};
use super::state::takes_tasks;
use super::{State, Stored};

/// `TaskHistoryRetentionLimit`: this many ended tasks of a slot are kept.
const HISTORY: usize = 5;

/// The tasks of one service by slot and, where slots have no numbers, by node; of each the oldest
/// first.
#[derive(Debug, Default)]
pub(super) struct Slots(BTreeMap<(u64, String), Vec<String>>);

impl Slots {
    fn of(slot: u64, node: &str) -> (u64, String) {
        (slot, if slot == 0 { node.to_owned() } else { String::new() })
    }

    fn add(&mut self, task: &Task) {
        let slot = Self::of(task.slot, &task.node_id);
        self.0.entry(slot).or_default().push(task.meta.id.clone());
    }

    fn remove(&mut self, task: &Task) {
        let slot = Self::of(task.slot, &task.node_id);
        let id = &task.meta.id;
        let found = self.0.get(&slot).is_some_and(|tasks| tasks.contains(id));
        if found && let Some(tasks) = self.0.get_mut(&slot) {
            tasks.retain(|other| other != id);
            if tasks.is_empty() {
                self.0.remove(&slot);
            }
        } else {
            // Somebody edited the task.
            self.0.values_mut().for_each(|tasks| tasks.retain(|other| other != id));
        }
    }

    pub(super) fn tasks(&self) -> impl Iterator<Item = &String> {
        self.0.values().flatten()
    }
}

/// Which nodes may take a task, by its constraints.
#[derive(Debug, Default)]
pub(super) struct Suitable(BTreeMap<Vec<String>, Arc<[String]>>);

impl Suitable {
    /// A node is another than before. `same`: it takes tasks if, and only if, it did.
    pub(super) fn node_changed(&mut self, same: bool) {
        if same {
            self.0.retain(|constraints, _| constraints.is_empty());
        } else {
            self.0.clear();
        }
    }
}

impl State {
    /// Brings the tasks of a service to what its specification wants.
    pub(super) fn reconcile(&mut self, service: &str) {
        let Some(stored) = self.services.get(service) else { return };
        let (mode, spec) = (stored.spec.mode, Arc::new(task_spec(&stored.spec.task_template)));
        let suitable = self.suitable(&spec.placement);
        let mut live: Vec<_> = self
            .tasks_of(service)
            .filter(|task| {
                task.is_live() || (mode.is_job() && task.desired_state == TaskState::Complete)
            })
            .map(|task| (task.slot, task.node_id.clone(), task.meta.id.clone()))
            .collect();
        live.sort_unstable();
        for (_, _, task) in live.iter().filter(|(_, node, _)| node.is_empty()) {
            if let Some(node) = self.pick(&suitable) {
                self.schedule(task, node);
            }
        }
        let desired = if mode.is_job() { TaskState::Complete } else { TaskState::Running };
        match mode {
            Mode::Replicated { replicas: wanted }
            | Mode::ReplicatedJob { total_completions: wanted, .. } => {
                let first = u64::from(!mode.is_job());
                let slots = first..first + wanted;
                for (_, _, task) in live.iter().filter(|(slot, ..)| !slots.contains(slot)) {
                    self.retire_task(task);
                }
                let taken =
                    |slot: &u64| live.binary_search_by_key(slot, |(slot, ..)| *slot).is_ok();
                for slot in slots.filter(|slot| !taken(slot)) {
                    let node = self.pick(&suitable);
                    self.add_task(service, &spec, slot, node, desired);
                }
            }
            Mode::Global {} | Mode::GlobalJob {} => {
                let mut taken: Vec<_> = live.into_iter().map(|(_, node, _)| node).collect();
                taken.sort_unstable();
                for node in suitable.iter().filter(|node| taken.binary_search(node).is_err()) {
                    self.add_task(service, &spec, 0, Some(node.clone()), desired);
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

    /// The tasks of a service, by slot and node.
    pub(super) fn tasks_of(&self, service: &str) -> impl Iterator<Item = &Stored<Task>> {
        let tasks = self.tasks_of.get(service).into_iter().flat_map(Slots::tasks);
        tasks.filter_map(|id| self.tasks.get(id))
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
        self.change_task(task, |task, _| task.desired_state = TaskState::Shutdown);
        self.change_task_further(task, |task, now| {
            end(task, now, TaskState::Shutdown, "shutdown", "", 0);
        });
        self.forget_history(task);
    }

    /// Fails a task that runs and is wanted, and replaces it. False: there is none.
    pub(super) fn kill(&mut self, id: &str) -> bool {
        let runs = |task: &&Stored<Task>| task.is_live() && task.status.state == TaskState::Running;
        let Some(task) = self.tasks.get(id).filter(runs) else { return false };
        let (service, slot, node) = (task.service_id.clone(), task.slot, task.node_id.clone());
        self.change_task(id, |task, now| {
            end(task, now, TaskState::Failed, "started", "task: non-zero exit (137)", 137);
        });
        self.change_task_further(id, |task, _| task.desired_state = TaskState::Shutdown);
        self.forget_history(id);
        if let Some(stored) = self.services.get(&service) {
            let spec = Arc::new(task_spec(&stored.spec.task_template));
            let suitable = self.suitable(&spec.placement);
            let node = if slot > 0 {
                self.pick(&suitable)
            } else {
                Some(node).filter(|node| suitable.binary_search(node).is_ok())
            };
            if slot > 0 || node.is_some() {
                self.add_task(&service, &spec, slot, node, TaskState::Ready);
            }
        }
        true
    }

    /// Removes a task whose slot or service is no longer wanted: ends it before, if it runs.
    pub(super) fn retire_task(&mut self, task: &str) {
        if self.listeners.any() {
            self.change_task(task, |task, _| task.desired_state = TaskState::Remove);
            if self.tasks[task].status.state <= TaskState::Running {
                self.change_task(task, |task, now| {
                    end(task, now, TaskState::Shutdown, "shutdown", "", 0);
                });
            }
        }
        self.remove_task(task);
    }

    pub(super) fn remove_task(&mut self, task: &str) {
        self.tick();
        if let Some(removed) = self.tasks.remove(task) {
            if let Some(tasks) = self.tasks_of.get_mut(&removed.service_id) {
                tasks.remove(&removed);
            }
            self.notify(Action::Remove, &removed);
        }
    }

    /// The nodes that may take a task, in the order of their IDs.
    fn suitable(&mut self, placement: &Placement) -> Arc<[String]> {
        let constraints = &placement.constraints;
        if let Some(known) = self.suitable.0.get(constraints) {
            return Arc::clone(known);
        }
        let suits = |node: &&Stored<Node>| {
            takes_tasks(node) && constraints.iter().all(|constraint| satisfies(node, constraint))
        };
        let suitable = self.nodes.values().filter(suits).map(|node| node.meta.id.clone());
        let suitable: Arc<[String]> = suitable.collect();
        self.suitable.0.insert(constraints.clone(), Arc::clone(&suitable));
        suitable
    }

    fn pick(&mut self, suitable: &[String]) -> Option<String> {
        self.next_node = self.next_node.wrapping_add(1);
        suitable.get(self.next_node % suitable.len().max(1)).cloned()
    }

    pub(super) fn attach_container(&mut self, node: &str, network: &str) -> String {
        let mut spec = ServiceSpec::new("", "").network(network).task_template;
        spec.container_spec = None;
        spec.runtime = Some("attachment");
        self.add_task("", &Arc::new(spec), 0, Some(node.to_owned()), TaskState::Running)
    }

    /// Makes a task and starts it, if there is a node for it. `desired` is what is wanted of it at
    /// first: a replacement has to get ready before it is wanted to run.
    fn add_task(
        &mut self,
        service: &str,
        spec: &Arc<TaskSpec>,
        slot: u64,
        node: Option<String>,
        desired: TaskState,
    ) -> String {
        let meta = self.meta();
        let id = meta.id.clone();
        let stored = self.services.get(service);
        let job = stored.and_then(|service| service.job_status.as_ref());
        let job = job.map(|status| status.job_iteration);
        let ports = stored.map(|service| service.endpoint.ports.clone()).unwrap_or_default();
        let timestamp = meta.created_at;
        let mut task = Arc::new(Task {
            meta,
            labels: BTreeMap::new(),
            spec: Arc::clone(spec),
            service_id: service.to_owned(),
            slot,
            node_id: String::new(),
            status: TaskStatus {
                timestamp,
                state: TaskState::New,
                message: "created".to_owned(),
                err: String::new(),
                container_status: None,
                port_status: PortStatus::default(),
            },
            desired_state: desired,
            networks_attachments: Vec::new(),
            job_iteration: job,
        });
        self.listeners.notify(Action::Create, &task, None);
        let attachments = if node.is_some() { self.attach(spec, &ports) } else { Vec::new() };
        self.step(&mut task, TaskState::Pending, "pending task scheduling", |task| {
            task.networks_attachments = attachments;
        });
        if let Some(node) = node {
            self.start(&mut task, node, &ports);
        } else {
            let error = format!(
                "no suitable node (scheduling constraints not satisfied on {} nodes)",
                self.nodes.len()
            );
            self.step(&mut task, TaskState::Pending, "pending task scheduling", |task| {
                task.status.err = error;
                task.desired_state = task.desired_state.max(TaskState::Running);
            });
        }
        self.tasks_of.entry(service.to_owned()).or_default().add(&task);
        self.tasks.insert(id.clone(), Stored::new(task));
        id
    }

    /// Starts a task that found no node when it was made.
    fn schedule(&mut self, id: &str, node: String) {
        let Some(task) = self.tasks.get(id) else { return };
        let mut task = Arc::clone(task.shared());
        let service = self.services.get(&task.service_id);
        let ports = service.map(|service| service.endpoint.ports.clone()).unwrap_or_default();
        let attachments = self.attach(&Arc::clone(&task.spec), &ports);
        self.step(&mut task, TaskState::Pending, "pending task scheduling", |task| {
            task.networks_attachments = attachments;
            task.status.err.clear();
        });
        self.start(&mut task, node, &ports);
        self.tasks.insert(id.to_owned(), Stored::new(task));
    }

    /// The next state of a task that is being made: a change of its own only for those who listen.
    fn step(
        &mut self,
        task: &mut Arc<Task>,
        state: TaskState,
        message: &str,
        change: impl FnOnce(&mut Task),
    ) {
        let old = self.listeners.any().then(|| Arc::clone(task));
        let next = old.as_ref().map(|_| self.next());
        let changed = Arc::make_mut(task);
        if let Some((version, now)) = next {
            changed.meta.version = version;
            changed.meta.updated_at = now;
        }
        changed.status.timestamp = changed.meta.updated_at;
        changed.status.state = state;
        message.clone_into(&mut changed.status.message);
        change(changed);
        if old.is_some() {
            self.listeners.notify(Action::Update, task, old);
        }
    }

    /// The places of a new task in its networks.
    fn attach(&mut self, spec: &TaskSpec, ports: &[Port]) -> Vec<Attachment> {
        let ingress = ports.iter().any(|port| port.publish_mode == "ingress");
        let ingress = ingress.then(|| self.ingress.clone());
        let targets = spec.networks.iter().map(|network| network.target.clone());
        let mut attachments = Vec::new();
        for id in ingress.into_iter().chain(targets) {
            let addresses = self.address(&id).into_iter().collect();
            if let Some(network) = self.networks.get(&id) {
                let of = Arc::clone(network.shared());
                attachments.push(Attachment { network: of.attached.clone(), addresses, of });
            }
        }
        attachments
    }

    fn start(&mut self, task: &mut Arc<Task>, node: String, ports: &[Port]) {
        let (job, replaces) =
            (task.job_iteration.is_some(), task.desired_state == TaskState::Ready);
        let pid = if job { 0 } else { 400 + self.random.below(30_000) as u64 };
        let mut published = Vec::new();
        for port in ports.iter().filter(|port| port.publish_mode == "host") {
            let mut port = port.clone();
            port.name.clear();
            if port.published_port == 0 {
                port.published_port = self.next_host_port;
                self.next_host_port += 1;
            }
            published.extend([port.clone(), port]);
        }
        let container_id = self.random.engine_id();
        self.step(task, TaskState::Assigned, "scheduler assigned task to node", |task| {
            task.node_id = node;
        });
        self.step(task, TaskState::Preparing, "preparing", |_| {});
        if replaces {
            self.step(task, TaskState::Ready, "prepared", |_| {});
            self.step(task, TaskState::Ready, "prepared", |task| {
                task.desired_state = TaskState::Running;
            });
        }
        self.step(task, TaskState::Starting, "starting", |task| {
            let container = ContainerStatus { container_id, pid: 0, exit_code: 0 };
            task.status.container_status = Some(container);
        });
        if !self.listeners.any() {
            let (version, now) = self.next();
            let task = Arc::make_mut(task);
            task.meta.version = version;
            task.meta.updated_at = now;
        }
        let (state, message) =
            if job { (TaskState::Complete, "finished") } else { (TaskState::Running, "started") };
        self.step(task, state, message, |task| {
            task.status.port_status.ports = published;
            if let Some(container) = &mut task.status.container_status {
                container.pid = pid;
            }
        });
    }

    /// Removes the oldest ended tasks of a slot, or of a global service's node.
    pub(super) fn forget_history(&mut self, task: &str) {
        let Some(task) = self.tasks.get(task) else { return };
        let slot = Slots::of(task.slot, &task.node_id);
        let tasks = self.tasks_of.get(&task.service_id).and_then(|slots| slots.0.get(&slot));
        let ended: Vec<_> = tasks
            .into_iter()
            .flatten()
            .filter_map(|id| self.tasks.get(id))
            .filter(|task| !task.is_live() && task.desired_state != TaskState::Complete)
            .map(|task| task.meta.id.clone())
            .collect();
        for task in ended.iter().take(ended.len().saturating_sub(HISTORY)) {
            self.remove_task(task);
        }
    }
}

/// A task's copy of its service's template.
fn task_spec(template: &TaskSpec) -> TaskSpec {
    let runtime = template.runtime.filter(|runtime| *runtime != "container");
    TaskSpec { runtime, ..template.clone() }
}

fn end(task: &mut Task, now: Time, state: TaskState, message: &str, error: &str, exit_code: i64) {
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
