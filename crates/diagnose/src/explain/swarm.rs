//! What the Swarm says of an object.

use std::cell::LazyCell;
use std::collections::BTreeSet;

use swarmscout_docker::engine::{Attachment, LabelMap, Mode, Node, Service, Task};
use swarmscout_model::counted;
use swarmscout_swarm::scheduler::Scheduler;
use swarmscout_swarm::service_tasks::{is_job, is_scheduled};
use swarmscout_swarm::{ServiceTasks, Snapshot};

use super::find::{Found, Known, Place};
use super::history::Failures;
use super::limits::{NAME, SENTENCE, cut, join};
use super::{Fact, Problem};
use crate::nodes::{display_name, removal};
use crate::tasks::{
    Condition, JudgedTasks, KnownTasks, add_last_failure, in_words, node_of, on_node, words,
};

/// What the Swarm says of an object.
#[derive(Debug, Default)]
pub(super) struct Description {
    /// The Swarm; empty for an address.
    pub(super) swarm: String,
    pub(super) facts: Vec<Fact>,
    /// Why it is not as it should be.
    pub(super) problems: Vec<Problem>,
    /// Why it has no target, if nothing else says so.
    pub(super) otherwise: &'static str,
    /// How a scraper gets to its targets, of a service or task.
    pub(super) reach: Option<Reach>,
    /// Tasks that should run, and do not.
    missing: Option<MissingTasks>,
    /// Whether it may have ended by a failure.
    has_ended: bool,
}

/// Tasks that should run, and do not.
#[derive(Debug)]
struct MissingTasks {
    /// `none of its 3 tasks runs`.
    what: String,
    /// Why, as far as the replica shows it.
    reasons: Vec<String>,
    /// The name of the service.
    service: String,
}

impl Description {
    /// Whether tasks of the object that ended would explain something.
    pub(super) const fn needs_ended_tasks(&self) -> bool {
        self.missing.is_some() || self.has_ended
    }

    /// Whether tasks that should run do not.
    pub(super) const fn has_missing_tasks(&self) -> bool {
        self.missing.is_some()
    }

    /// Adds the problem of missing tasks, which the failed ones explain.
    pub(super) fn explain_missing_tasks(&mut self, failures: &Failures) {
        if let Some(error) = &failures.error {
            self.problem(format!("its failed tasks are not known: {error}"));
        }
        let Some(MissingTasks { what, mut reasons, service }) = self.missing.take() else { return };
        if let Some(newest) = failures.tasks.first() {
            let text = words(&newest.error, newest.exit_code);
            add_last_failure(&mut reasons, &newest.node, &text);
        }
        if reasons.is_empty() {
            reasons.push(format!("docker service ps --no-trunc {service} shows why"));
        }
        let text = format!("{what}: {}", reasons.join("; "));
        self.problems.insert(0, Problem::of_object(text));
    }
}

const NOT_DISCOVERED: &str = "no job discovers it";

/// Describes it by what the replica has.
pub(super) fn describe(found: &Found<'_>) -> Description {
    let Some(Place { swarm, snapshot, known }) = &found.place else {
        return Description { otherwise: NOT_DISCOVERED, ..Description::default() };
    };
    let swarm = cut(&swarm.feed.swarm, SENTENCE);
    let mut described = Description { swarm, otherwise: NOT_DISCOVERED, ..Description::default() };
    match known {
        Known::Service(service) => described.service(snapshot, service),
        Known::Task(task) => described.task(snapshot, task),
        Known::Node(node) => described.node(snapshot, node),
    }
    described
}

/// This number of things of one kind is named in a fact.
const NAMED: usize = 20;

impl Description {
    /// Adds a fact, unless it says nothing.
    fn add(&mut self, name: &str, value: impl AsRef<str>) {
        let value = value.as_ref();
        if !value.is_empty() {
            let (name, value) = (cut(name, NAME), cut(value, SHOWN_OF_FACT));
            self.facts.push(Fact { name, value });
        }
    }

    fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(Problem::of_object(text));
    }

    fn service(&mut self, snapshot: &Snapshot, service: &Service) {
        self.add("mode", mode(service.mode));
        self.add("image", &service.image);
        self.add("update", &service.update_state);
        let ports = service.ports.iter().map(|port| {
            let (published, target) = (port.published, port.target);
            format!("{published}->{target}/{} ({})", port.protocol, port.mode)
        });
        self.add("published ports", join(ports, NAMED));
        self.add("labels", labels(&service.labels));
        let constraints = service.placement.constraints.iter();
        self.add("constraints", join(constraints, NAMED));
        let known = KnownTasks::of(snapshot);
        if !known.has_running() {
            self.problem("its tasks are not known: no job reads them");
            return;
        }
        let tasks = || snapshot.tasks.of_owner(&service.id);
        let scheduler = LazyCell::new(|| Scheduler::new(snapshot));
        let judged = JudgedTasks::of(snapshot, service, known, &scheduler);
        let counts = &judged.tasks;
        let &ServiceTasks { running, wanted, desired, completed, failed, .. } = counts;
        let mut shown = format!("{running} running of {wanted} wanted");
        for (number, what) in [(completed, "completed"), (failed, "failed")] {
            if number > 0 {
                shown.extend([", ", &number.to_string(), " ", what]);
            }
        }
        self.add("tasks", shown);
        let networks = networks(tasks().flat_map(|task| &task.attachments));
        self.reach = Some(Reach::new(&service.name, &networks));
        self.add("networks", join(networks.iter().map(|(_, name)| name), NAMED));
        let name = &service.name;
        let ends = is_job(service) || is_scheduled(service);
        let what = match judged.condition {
            Condition::AsWanted if ends && running == 0 => {
                // Failed ones may be known to the Swarm alone.
                self.has_ended = true;
                self.problem(ended(service, counts));
                return;
            }
            Condition::AsWanted if wanted == 0 && service.mode == Mode::Replicated => {
                self.problem(format!(
                    "it is scaled to 0 (docker service scale {name}=1 starts a task)"
                ));
                return;
            }
            Condition::AsWanted if wanted == 0 && service.mode == Mode::Global => {
                let obstacles = scheduler.obstacles(service);
                if !obstacles.is_empty() {
                    self.problem(format!(
                        "no node has a task of it: {}",
                        join(obstacles.iter().map(ToString::to_string), NAMED)
                    ));
                    return;
                }
                "no node has a task of it".to_owned()
            }
            Condition::AsWanted => return,
            Condition::RunFailed => {
                format!("its last run failed ({failed} of {})", counted(desired, "task"))
            }
            Condition::TasksMissing => match (running, wanted) {
                (0, _) if is_job(service) => "no task of this job runs".to_owned(),
                (0, 1) => "its task does not run".to_owned(),
                (0, _) => format!("none of its {wanted} tasks runs"),
                (1, _) => format!("only 1 of its {wanted} tasks runs"),
                _ => format!("only {running} of its {wanted} tasks run"),
            },
        };
        let reasons = judged.reasons(snapshot, service, &scheduler);
        self.missing = Some(MissingTasks { what, reasons, service: name.to_string() });
    }

    fn task(&mut self, snapshot: &Snapshot, task: &Task) {
        self.add("state", format!("{}, wanted {}", task.state, task.desired_state));
        let node = node_of(snapshot, task);
        self.add("node", node);
        self.add("container", &task.container);
        for attachment in task.attachments.iter().take(NAMED) {
            let addresses = join(attachment.addresses.iter().map(ToString::to_string), NAMED);
            let shown = if addresses.is_empty() { "no address" } else { &addresses };
            self.add(&format!("network {}", cut(&attachment.name, NAME)), shown);
        }
        let service = snapshot.services.get("", &task.service);
        let service = service.map_or(&task.service, |service| &service.name);
        self.reach = Some(Reach::new(service, &networks(&task.attachments)));
        if let Some(more) = task.attachments.len().checked_sub(NAMED).filter(|more| *more > 0) {
            self.add("other networks", more.to_string());
        }
        let ports = task.host_ports.iter();
        let ports =
            ports.map(|port| format!("{}->{}/{}", port.published, port.target, port.protocol));
        self.add("ports on its node", join(ports, NAMED));
        self.add("container labels", labels(&task.labels));
        if !task.has_ended() && !task.node.is_empty() && !snapshot.is_on_ready_node(task) {
            let state = snapshot.nodes.get("", &task.node).map_or("gone", |node| &*node.state);
            self.problem(format!(
                "its node {node} is {state} for the managers: whether it runs is unknown"
            ));
        }
        if &*task.state == "running" && &*task.desired_state == "running" {
            return;
        }
        let others = snapshot.tasks.of_owner(&task.service).filter(|other| {
            let is_of_slot = other.slot == task.slot && (task.slot != 0 || other.node == task.node);
            is_of_slot && other.id != task.id
        });
        let newer = others.max_by_key(|other| other.version);
        let newer = newer.filter(|newer| newer.created >= task.created);
        let why = task.failure.as_ref().map(|failure| in_words(failure));
        match (newer, &*task.state) {
            (Some(newer), state) => {
                let why = why.map_or_else(String::new, |why| format!(" ({why})"));
                let id = cut(&newer.id, NAME);
                self.problem(format!("it is {state}{why}; task/{id} took its place"));
            }
            (None, "running") if &*task.desired_state != "complete" => {
                self.problem(format!("it is about to stop (wanted {})", task.desired_state));
            }
            (None, "running") => {}
            (None, "complete") => {
                self.problem("it has finished, and only a task that runs has targets");
            }
            (None, state) => {
                let name = snapshot.services.get("", &task.service).map(|service| &service.name);
                let service = name.unwrap_or(&task.service).to_string();
                let message = (!task.message.is_empty()).then(|| task.message.to_string());
                let what = format!("it is {state}");
                if let Some(why) = why {
                    self.problem(format!("{what}: {why}"));
                } else {
                    let reasons = message.into_iter().collect();
                    self.missing = Some(MissingTasks { what, reasons, service });
                }
            }
        }
    }

    fn node(&mut self, snapshot: &Snapshot, node: &Node) {
        self.add("state", &node.state);
        self.add("message", &node.message);
        self.add("availability", &node.availability);
        self.add("role", &node.role);
        if let Some(manager) = &node.manager {
            let leader = if manager.leader { ", leader" } else { "" };
            self.add("manager", format!("{}{leader}", manager.reachability));
        }
        self.add("address", &node.address);
        self.add("platform", format!("{}/{}", node.os, node.architecture));
        self.add("Docker", &node.engine_version);
        self.add("labels", labels(&node.labels));
        let running = on_node(snapshot, &node.id).filter(|task| &*task.state == "running").count();
        let tasks_are_known = KnownTasks::of(snapshot).has_running();
        if tasks_are_known && &*node.state == "ready" {
            self.add("tasks", format!("{running} running"));
        } else if tasks_are_known {
            self.add("tasks", format!("unknown: {running} ran when it was last seen"));
        }
        let name = display_name(node);
        match (&*node.state, &*node.availability) {
            ("ready", "drain") => self.problem(format!(
                "it is drained: the Swarm runs no task on it, so only what runs outside of the \
                 Swarm has targets there (docker node update --availability active {name} ends that)"
            )),
            ("ready", _) if running == 0 && tasks_are_known => {
                self.otherwise = "no task runs on it, and no job discovers the node itself";
            }
            ("ready", _) => {}
            (state, _) => self.problem(format!(
                "the managers see it as {state}: what runs there is unknown, and the Swarm starts \
                 its tasks on other nodes (start its Docker Engine; if it is gone for good: {})",
                removal(node)
            )),
        }
    }
}

/// What became of a service that runs to an end, and does not run now.
fn ended(service: &Service, tasks: &ServiceTasks<'_>) -> String {
    let completed = match tasks.completed {
        1 => "1 task is complete".to_owned(),
        completed => format!("{completed} tasks are complete"),
    };
    let what = match (is_job(service), tasks.completed) {
        (true, 0) => return "it is a job without a task to run".to_owned(),
        (false, 0) => return "it runs on a schedule, and no task of it runs now".to_owned(),
        (true, _) => "it is a job that has finished",
        (false, _) => "it runs on a schedule, its last run ended well",
    };
    format!("{what} ({completed}), and only a task that runs has targets")
}

/// The networks of some tasks by name, that of published ports last.
fn networks<'a>(
    attachments: impl IntoIterator<Item = &'a Attachment>,
) -> BTreeSet<(bool, &'a str)> {
    attachments.into_iter().map(|one| (one.ingress, &*one.name)).collect()
}

/// How a scraper gets to the tasks of a service.
#[derive(Debug)]
pub(super) struct Reach {
    service: String,
    /// Their network, if they have only one.
    network: Option<String>,
}

impl Reach {
    fn new(service: &str, networks: &BTreeSet<(bool, &str)>) -> Self {
        let mut names = networks.iter().filter(|(ingress, _)| !ingress);
        let network = match (names.next(), names.next()) {
            (Some((_, name)), None) => Some(cut(name, NAME)),
            _ => None,
        };
        Self { service: cut(service, NAME), network }
    }

    /// The simplest first. `scraper`: a network that the scraper is in.
    pub(super) fn advice(&self, scraper: Option<&str>) -> String {
        let Self { service, network } = self;
        let scraper = cut(scraper.unwrap_or("NETWORK"), NAME);
        let other = match network {
            Some(name) => {
                format!("network {name} (docker service update --network-add {name} SCRAPER)")
            }
            None => "one of the service".to_owned(),
        };
        format!(
            "attach the service to a network of the scraper (docker service update --network-add \
             {scraper} {service}), or the scraper to {other}. With a node part on each node \
             (swarmscout node), reach: node needs no network"
        )
    }
}

const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Unknown => "",
        Mode::Global => "global",
        Mode::Replicated => "replicated",
        Mode::GlobalJob => "global job",
        Mode::ReplicatedJob => "replicated job",
    }
}

/// The most bytes of a fact.
const SHOWN_OF_FACT: usize = 2000;

/// The labels of an object in one line, cut.
fn labels(labels: &LabelMap) -> String {
    let mut text = String::new();
    for (key, value) in labels.iter() {
        let separator = if text.is_empty() { "" } else { ", " };
        text.push_str(separator);
        text.push_str(&cut(key, NAME));
        text.push('=');
        text.push_str(&cut(value, SHOWN_OF_FACT));
        if text.len() > SHOWN_OF_FACT {
            break;
        }
    }
    text
}
