//! What the Swarm says of an object.

use std::cell::LazyCell;
use std::collections::BTreeSet;

use swarmscout_docker::engine::{LabelMap, Mode, Node, Service, Task};
use swarmscout_swarm::Snapshot;
use swarmscout_swarm::scheduler::Scheduler;

use super::Fact;
use super::find::{Found, Known, Place, name_of};
use crate::tasks::{TaskCounts, count, on_node};

/// The Swarm of an object, what it says of it, and why it is not as it should be.
pub(super) fn describe(found: &Found<'_>) -> (String, Vec<Fact>, Vec<String>) {
    let Some(Place { swarm, snapshot, known }) = &found.place else {
        return Default::default();
    };
    let mut facts = Facts::default();
    let problems = match known {
        Known::Service(service) => of_service(snapshot, service, &mut facts),
        Known::Task(task) => of_task(snapshot, task, &mut facts),
        Known::Node(node) => of_node(snapshot, node, &mut facts),
    };
    (swarm.feed.swarm.to_string(), facts.0, problems)
}

#[derive(Debug, Default)]
struct Facts(Vec<Fact>);

impl Facts {
    /// Adds one, unless it says nothing.
    fn add(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.0.push(Fact { name: name.to_owned(), value });
        }
    }
}

fn of_service(snapshot: &Snapshot, service: &Service, facts: &mut Facts) -> Vec<String> {
    facts.add("mode", mode(service.mode));
    facts.add("image", &*service.image);
    facts.add("update", &*service.update_state);
    let ports = service.ports.iter().map(|port| {
        let (published, target) = (port.published, port.target);
        format!("{published}->{target}/{} ({})", port.protocol, port.mode)
    });
    facts.add("published ports", ports.collect::<Vec<_>>().join(", "));
    facts.add("labels", labels(&service.labels));
    let scheduler = LazyCell::new(|| Scheduler::new(snapshot));
    let TaskCounts { running, wanted, reasons } = count(snapshot, &scheduler, service);
    facts.add("tasks", format!("{running} running of {wanted} wanted"));
    let constraints: Vec<_> = service.placement.constraints.iter().map(|one| &**one).collect();
    facts.add("constraints", constraints.join(", "));
    let tasks = snapshot.tasks.of_owner(&service.id);
    let networks: BTreeSet<_> =
        tasks.flat_map(|task| &task.attachments).map(|one| &*one.name).collect();
    facts.add("networks", networks.into_iter().collect::<Vec<_>>().join(", "));
    if running >= wanted && wanted > 0 {
        return Vec::new();
    }
    // Tasks that failed and are not replaced may not be in the snapshot.
    let why = match &reasons[..] {
        [] => format!(": docker service ps --no-trunc {} shows why", service.name),
        reasons => format!(": {}", reasons.join("; ")),
    };
    vec![match (running, wanted) {
        (0, 0) => format!("service {} is scaled to 0", service.name),
        (0, _) => format!("no task of service {} runs{why}", service.name),
        _ => format!("{running} of {wanted} tasks of service {} run{why}", service.name),
    }]
}

fn of_task(snapshot: &Snapshot, task: &Task, facts: &mut Facts) -> Vec<String> {
    facts.add("state", format!("{}, wanted {}", task.state, task.desired_state));
    let node = snapshot.nodes.get("", &task.node);
    facts.add("node", node.map_or(&*task.node, |node| &*node.hostname));
    facts.add("container", &*task.container);
    for attachment in &task.attachments {
        let addresses: Vec<_> = attachment.addresses.iter().map(ToString::to_string).collect();
        let addresses = addresses.join(", ");
        let shown = if addresses.is_empty() { "no address" } else { &addresses };
        facts.add(&format!("network {}", attachment.name), shown);
    }
    let ports = task.host_ports.iter();
    let ports = ports.map(|port| format!("{}->{}/{}", port.published, port.target, port.protocol));
    facts.add("ports on its node", ports.collect::<Vec<_>>().join(", "));
    facts.add("container labels", labels(&task.labels));
    if &*task.state == "running" {
        return Vec::new();
    }
    let why = match &task.failure {
        Some(failure) if !failure.error.is_empty() => format!(": {}", failure.error),
        Some(failure) => format!(": exit code {}", failure.exit_code),
        None => String::new(),
    };
    vec![format!("task {} is {}{why}", name_of(snapshot, task), task.state)]
}

fn of_node(snapshot: &Snapshot, node: &Node, facts: &mut Facts) -> Vec<String> {
    facts.add("state", &*node.state);
    facts.add("availability", &*node.availability);
    facts.add("role", &*node.role);
    if let Some(manager) = &node.manager {
        let leader = if manager.leader { ", leader" } else { "" };
        facts.add("manager", format!("{}{leader}", manager.reachability));
    }
    facts.add("address", &*node.address);
    facts.add("platform", format!("{}/{}", node.os, node.architecture));
    facts.add("Docker", &*node.engine_version);
    facts.add("labels", labels(&node.labels));
    let running = on_node(snapshot, &node.id).filter(|task| &*task.state == "running").count();
    facts.add("tasks", format!("{running} running"));
    match &*node.state {
        "ready" => Vec::new(),
        state => vec![format!("the managers see node {} as {state}", node.hostname)],
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

/// The labels of an object in one line, cut.
fn labels(labels: &LabelMap) -> String {
    const SHOWN: usize = 2000;
    let mut text = String::new();
    for (key, value) in labels.iter() {
        let separator = if text.is_empty() { "" } else { ", " };
        text.push_str(separator);
        text.push_str(key);
        text.push('=');
        text.push_str(value);
        if text.len() > SHOWN {
            text.truncate(text.floor_char_boundary(SHOWN));
            text.push('…');
            break;
        }
    }
    text
}
