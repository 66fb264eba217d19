//! Which object is meant.

use std::sync::Arc;

use swarmscout_docker::engine::{Node, Service, Task};
use swarmscout_swarm::Snapshot;

use super::{Kind, Object};
use crate::doctor::{Subject, SwarmState};

/// This number of candidates is named.
const NAMED: usize = 10;

/// A shorter cut ID is not tried: too many objects have it.
pub(super) const SHORTEST: usize = 3;

/// No ID of a Swarm is longer.
pub(super) const LONGEST_ID: usize = 64;

/// Why an object cannot be explained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// No object has this name.
    #[error("no {kind} {name:?} in {place}; {advice}")]
    Missing {
        /// `service`, or all kinds.
        kind: &'static str,
        /// As it was asked for, cut.
        name: String,
        /// The Swarms that were searched.
        place: String,
        /// What to ask for instead.
        advice: String,
    },
    /// There are several.
    #[error("{name:?} means several objects: {}", candidates.join(", "))]
    Ambiguous {
        /// As it was asked for.
        name: String,
        /// `service/id`, some of them.
        candidates: Vec<String>,
    },
}

/// An object, with the Swarm that it is in.
#[derive(Clone, Debug)]
pub(super) struct Found<'a> {
    pub(super) object: Object,
    pub(super) place: Option<Place<'a>>,
}

/// Where an object is, and what the Swarm knows of it.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    pub(super) swarm: &'a SwarmState,
    pub(super) snapshot: &'a Snapshot,
    pub(super) known: Known,
}

#[derive(Clone, Debug)]
pub(super) enum Known {
    Service(Arc<Service>),
    Task(Arc<Task>),
    Node(Arc<Node>),
}

pub(super) fn find<'a>(subject: &'a Subject, text: &str) -> Result<Found<'a>, NotFound> {
    let (kind, name) = match text.split_once('/') {
        Some(("service", name)) => (Some(Kind::Service), name),
        Some(("task", name)) => (Some(Kind::Task), name),
        Some(("node", name)) => (Some(Kind::Node), name),
        Some(("address", name)) => (Some(Kind::Address), name),
        _ => match authority(text) {
            Some(authority) => (Some(Kind::Address), authority),
            None => (None, without_endpoint(text)),
        },
    };
    if name.is_empty() {
        return Err(missing(subject, kind, name));
    }
    if kind == Some(Kind::Address) || (kind.is_none() && is_address(name)) {
        let object = Object { kind: Kind::Address, id: name.to_owned(), name: name.to_owned() };
        return Ok(Found { object, place: None });
    }
    let swarms = subject.swarms.iter();
    let snapshots = swarms.filter_map(|swarm| Some((swarm, swarm.snapshot.as_deref()?)));
    let mut candidates = Vec::new();
    for (swarm, snapshot) in snapshots {
        let place = |known| Some(Place { swarm, snapshot, known });
        for (object, known) in in_swarm(snapshot, kind, name) {
            candidates.push(Found { object, place: place(known) });
        }
    }
    // A whole name or ID beats the beginning of one.
    if candidates.iter().any(|found| is_exact(found, name)) {
        candidates.retain(|found| is_exact(found, name));
    }
    match candidates.len() {
        0 => Err(missing(subject, kind, name)),
        1 => Ok(candidates.remove(0)),
        _ => {
            let named = candidates.iter().take(NAMED);
            let mut candidates: Vec<_> = named
                .map(|found| format!("{}/{}", found.object.kind.as_str(), found.object.id))
                .collect();
            candidates.dedup();
            Err(NotFound::Ambiguous { name: shown(name), candidates })
        }
    }
}

/// The address in the URL of a target.
fn authority(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
    rest.split(['/', '?']).next()
}

/// The name of a task in the label `instance` of a target: `web.1` of `web.1/admin`.
fn without_endpoint(text: &str) -> &str {
    text.split_once('/').map_or(text, |(name, _)| if name.contains('.') { name } else { text })
}

/// An IP address with or without a port, or any name with a port.
fn is_address(text: &str) -> bool {
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    text.parse::<std::net::IpAddr>().is_ok()
        || text.rsplit_once(':').is_some_and(|(_, port)| is_port(port))
}

fn in_swarm(snapshot: &Snapshot, kind: Option<Kind>, name: &str) -> Vec<(Object, Known)> {
    let wants = |wanted| kind.is_none_or(|kind| kind == wanted);
    let by_id = |id: &str| id == name || (name.len() >= SHORTEST && id.starts_with(name));
    let mut found = Vec::new();
    if wants(Kind::Service) {
        let services = snapshot.services.objects();
        for service in services.filter(|service| *service.name == *name || by_id(&service.id)) {
            let known = Known::Service(Arc::clone(service));
            found.push((object(snapshot, &known), known));
        }
    }
    if wants(Kind::Node) {
        let nodes = snapshot.nodes.objects();
        for node in nodes.filter(|node| *node.hostname == *name || by_id(&node.id)) {
            let known = Known::Node(Arc::clone(node));
            found.push((object(snapshot, &known), known));
        }
    }
    if wants(Kind::Task) {
        for task in tasks(snapshot, name).filter(|(task, named)| *named || by_id(&task.id)) {
            let known = Known::Task(Arc::clone(task.0));
            found.push((object(snapshot, &known), known));
        }
    }
    found
}

/// A known object, as it is named.
pub(super) fn object(snapshot: &Snapshot, known: &Known) -> Object {
    let object = |kind, id: &str, name: &str| Object { kind, id: id.into(), name: name.into() };
    match known {
        Known::Service(service) => object(Kind::Service, &service.id, &service.name),
        Known::Task(task) => object(Kind::Task, &task.id, &name_of(snapshot, task)),
        Known::Node(node) => object(Kind::Node, &node.id, &node.hostname),
    }
}

/// The tasks that may be meant, and whether each has this name: `web.2` and `agent.pi1` name the newest
/// task of a slot.
fn tasks<'a>(snapshot: &'a Snapshot, name: &str) -> impl Iterator<Item = (&'a Arc<Task>, bool)> {
    let slot = name.split_once('.').and_then(|(service, slot)| {
        let service = snapshot.services.objects().find(|known| *known.name == *service)?;
        let number = slot.parse::<i64>().ok();
        let tasks = snapshot.tasks.of_owner(&service.id);
        let is_in_slot = |task: &&Arc<Task>| match task.slot {
            0 => snapshot.nodes.get("", &task.node).is_some_and(|node| is_named(node, slot)),
            of_task => Some(of_task) == number,
        };
        tasks.filter(is_in_slot).max_by_key(|task| task.version)
    });
    // No ID has a dot.
    let is_id = slot.is_none() && !name.contains('.');
    let all = snapshot.tasks.iter().filter(move |_| is_id).flat_map(|bucket| bucket.objects());
    slot.map(|task| (task, true)).into_iter().chain(all.map(|task| (task, false)))
}

/// Whether a label `instance` can mean a node: by its host name, and if several nodes have that, by a
/// dash and the beginning of its ID.
fn is_named(node: &Node, name: &str) -> bool {
    let rest = name.strip_prefix(&*node.hostname);
    let id = |rest: &str| {
        rest.strip_prefix('-').map(|id| id.len() >= SHORTEST && node.id.starts_with(id))
    };
    rest.is_some_and(|rest| rest.is_empty() || id(rest) == Some(true))
}

/// `<service>.<slot>`, or `<service>.<node>` for a global service.
pub(super) fn name_of(snapshot: &Snapshot, task: &Task) -> String {
    let service = snapshot.services.get("", &task.service);
    let service = service.map_or(&*task.service, |service| &*service.name);
    match task.slot {
        0 => {
            let node = snapshot.nodes.get("", &task.node);
            format!("{service}.{}", node.map_or(&*task.node, |node| &*node.hostname))
        }
        slot => format!("{service}.{slot}"),
    }
}

fn is_exact(found: &Found<'_>, name: &str) -> bool {
    found.object.id == name || found.object.name == name
}

fn missing(subject: &Subject, kind: Option<Kind>, name: &str) -> NotFound {
    let swarms: Vec<_> = subject.swarms.iter().map(|swarm| &*swarm.feed.swarm).collect();
    let place = match swarms.len() {
        0 => "any Swarm, as no job reads one".to_owned(),
        _ => swarms.join(", "),
    };
    let similar = match kind {
        Some(Kind::Task | Kind::Node | Kind::Address) => Vec::new(),
        Some(Kind::Service) | None => similar(subject, name),
    };
    let advice = match &similar[..] {
        [] => "write service/NAME, task/ID, node/NAME or an address".to_owned(),
        names => format!("is it {}?", names.join(", ")),
    };
    let kind = kind.map_or("service, node or task", Kind::as_str);
    NotFound::Missing { kind, name: shown(name), place, advice }
}

/// Some services whose names contain `name`.
fn similar(subject: &Subject, name: &str) -> Vec<String> {
    if name.is_empty() {
        return Vec::new();
    }
    let snapshots = subject.swarms.iter().filter_map(|swarm| swarm.snapshot.as_deref());
    let services = snapshots.flat_map(|snapshot| snapshot.services.objects());
    let similar = services.filter(|service| service.name.contains(name));
    similar.map(|service| format!("service/{}", service.name)).take(NAMED).collect()
}

fn shown(name: &str) -> String {
    name[..name.floor_char_boundary(200)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_as_in_the_label_instance() {
        let node = Node { id: "3z1pogkh".into(), hostname: "pi-1".into(), ..Node::default() };
        let expected = [("pi-1", true), ("pi-1-3z1po", true), ("pi-1-3z", false)];
        let others = [("pi-1-abcde", false), ("pi", false), ("pi-12", false), ("", false)];
        for (name, expected) in expected.into_iter().chain(others) {
            assert_eq!(is_named(&node, name), expected, "{name}");
        }
    }
}
