//! `/events`: what happens, as it happens, one JSON object a line.
//!
//! A manager says what changes in the Swarm (moby `daemon/events.go`): services, nodes, networks,
//! never tasks (moby#37403). Every engine says what its own containers do. Nothing is kept: what
//! was before a request cannot be had, so `since` and `until` are refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::Mutex;

use super::filters::{Filters, task_name};
use super::{Api, Release, containers, json};
use crate::http::{Pending, Reply, Request, Response};
use crate::swarm::objects::Time;
use crate::swarm::{
    Action, Availability, Change, Changes, Map, Mode, Node, NodeRole, Object, Service, Task,
    TaskState,
};

/// An event as it is written.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(rename = "Type")]
    kind: &'a str,
    #[serde(rename = "Action")]
    action: &'a str,
    #[serde(rename = "Actor")]
    actor: Actor<'a>,
    scope: &'a str,
    time: i64,
    #[serde(rename = "timeNano")]
    time_nano: i128,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Actor<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    attributes: &'a Map,
}

/// One who listens.
struct Listener {
    api: Arc<Api>,
    filters: Filters,
    changes: Changes,
    /// Of services, those included that have gone: their tasks end after them.
    names: BTreeMap<String, String>,
    text: Vec<u8>,
}

pub(super) fn answer(api: &Arc<Api>, request: &Request) -> Reply {
    let release = api.release;
    if let Some(name) =
        ["since", "until"].into_iter().find(|name| request.parameter(name).is_some())
    {
        let message = format!("{name}: no past events are kept here");
        return release.error(400, &message).into();
    }
    let filters = match Filters::read(release, request.parameter("filters").as_deref()) {
        Ok(filters) => filters,
        Err(refusal) => return release.error(refusal.status, &refusal.message).into(),
    };
    let changes = api.swarm.changes();
    let state = api.swarm.lock();
    let names = state.services.iter().map(|(id, service)| (id.clone(), service.spec.name.clone()));
    let names = names.collect();
    drop(state);
    let api = Arc::clone(api);
    let listener = Listener { api, filters, changes, names, text: Vec::new() };
    let listener = Arc::new(Mutex::new(listener));
    let pieces = move || -> Pending<Option<Bytes>> {
        let listener = Arc::clone(&listener);
        Box::pin(async move { listener.lock().await.next().await })
    };
    Reply::Pieces(release.complete(Response::json(Bytes::new())), Box::new(pieces))
}

impl Listener {
    /// The next lines, when there are some. `None`: the Swarm is gone.
    async fn next(&mut self) -> Option<Bytes> {
        while self.text.is_empty() {
            let change = self.changes.next().await?;
            self.notify(&change);
        }
        Some(std::mem::take(&mut self.text).into())
    }

    fn notify(&mut self, change: &Change) {
        let time = match change.action {
            Action::Create => change.object.meta().created_at,
            Action::Update => change.object.meta().updated_at,
            // As in moby: a removal has no moment of its own.
            Action::Remove => self.api.swarm.now(),
        };
        let id = &change.object.meta().id;
        let attributes = match (&change.object, &change.old) {
            (Object::Task(task), old) => {
                if task.node_id == self.api.node && self.api.in_swarm() {
                    let old = match old {
                        Some(Object::Task(old)) => Some(old.as_ref()),
                        _ => None,
                    };
                    self.container(change.action, task, old);
                }
                return;
            }
            (Object::Node(node), Some(Object::Node(old))) => node_attributes(node, Some(old)),
            (Object::Node(node), _) => node_attributes(node, None),
            (Object::Service(service), old) => {
                self.names.insert(id.clone(), service.spec.name.clone());
                match old {
                    Some(Object::Service(old)) => service_attributes(service, Some(old)),
                    _ => service_attributes(service, None),
                }
            }
            (Object::Network(network), _) => named(&network.name),
        };
        if self.api.knows_cluster() {
            let action = match change.action {
                Action::Create => "create",
                Action::Update => "update",
                Action::Remove => "remove",
            };
            self.write(change.object.kind(), action, id, &attributes, "swarm", time);
        }
    }

    /// What the container of a task did.
    fn container(&mut self, action: Action, task: &Task, old: Option<&Task>) {
        let Some(container) = &task.status.container_status else { return };
        let id = &container.container_id;
        let image = task.spec.container_spec.as_ref().map_or("", |spec| spec.image.as_str());
        let service = self.names.get(&task.service_id).map_or("", String::as_str);
        let mut attributes = containers::labels(task, service);
        attributes.insert("image".to_owned(), image.to_owned());
        attributes.insert("name".to_owned(), task_name(task, Some(service)));
        let time = task.status.timestamp;
        if action == Action::Remove {
            self.write("container", "destroy", id, &attributes, "local", time);
            return;
        }
        let known = old.is_some_and(|old| old.status.container_status.is_some());
        let (before, now) = (old.map(|old| old.status.state), task.status.state);
        if !known {
            self.write("container", "create", id, &attributes, "local", time);
            self.networks(task, "connect", id, time);
        }
        if before == Some(now) {
            return;
        }
        if matches!(now, TaskState::Running | TaskState::Complete) {
            self.write("container", "start", id, &attributes, "local", time);
        }
        if now > TaskState::Running && before.is_none_or(|before| before <= TaskState::Running) {
            let with = |name: &str, value: String| {
                let mut attributes = attributes.clone();
                attributes.insert(name.to_owned(), value);
                attributes
            };
            let stopped = now == TaskState::Shutdown;
            if stopped {
                let attributes = with("signal", "15".to_owned());
                self.write("container", "kill", id, &attributes, "local", time);
            }
            let died = with("exitCode", container.exit_code.to_string());
            self.write("container", "die", id, &died, "local", time);
            self.networks(task, "disconnect", id, time);
            if stopped {
                self.write("container", "stop", id, &attributes, "local", time);
            }
        }
    }

    fn networks(&mut self, task: &Task, action: &str, container: &str, time: Time) {
        for attachment in &task.networks_attachments {
            let mut attributes = named(&attachment.of.name);
            attributes.insert("container".to_owned(), container.to_owned());
            attributes.insert("type".to_owned(), attachment.of.driver.to_owned());
            self.write("network", action, &attachment.of.meta.id, &attributes, "local", time);
        }
    }

    fn write(&mut self, kind: &str, action: &str, id: &str, with: &Map, scope: &str, time: Time) {
        let name = with.get("name").map_or("", String::as_str);
        if !self.filters.event(kind, action, scope, id, name, with) {
            return;
        }
        // API 1.52 removed what only containers and images ever had.
        let old = kind == "container" && self.api.release.api < Release::WITHOUT_STATUS;
        let event = Event {
            status: old.then_some(action),
            id: old.then_some(id),
            from: with.get("image").filter(|_| old).map(String::as_str),
            kind,
            action,
            actor: Actor { id, attributes: with },
            scope,
            time: time.seconds(),
            time_nano: time.nanoseconds(),
        };
        json::append(&mut self.text, &event);
        self.text.push(b'\n');
    }
}

fn named(name: &str) -> Map {
    Map::from([("name".to_owned(), name.to_owned())])
}

fn changed(attributes: &mut Map, what: &str, old: &str, new: &str) {
    if old != new {
        attributes.insert(format!("{what}.old"), old.to_owned());
        attributes.insert(format!("{what}.new"), new.to_owned());
    }
}

/// A manager's part in the quorum is not among them: it is not a part of the object that changes.
fn node_attributes(node: &Node, old: Option<&Node>) -> Map {
    let mut attributes = named(&node.description.hostname);
    if let Some(old) = old {
        let availability = |node: &Node| match node.spec.availability {
            Availability::Active => "active",
            Availability::Pause => "pause",
            Availability::Drain => "drain",
        };
        changed(&mut attributes, "availability", availability(old), availability(node));
        let role = |node: &Node| match node.spec.role {
            NodeRole::Worker => "worker",
            NodeRole::Manager => "manager",
        };
        changed(&mut attributes, "role", role(old), role(node));
        let state = |node: &Node| format!("{:?}", node.status.state).to_lowercase();
        changed(&mut attributes, "state", &state(old), &state(node));
    }
    attributes
}

fn service_attributes(service: &Service, old: Option<&Service>) -> Map {
    let mut attributes = named(&service.spec.name);
    let Some(old) = old else { return attributes };
    let image = |service: &Service| {
        let container = service.spec.task_template.container_spec.as_ref();
        container.map(|container| container.image.clone()).unwrap_or_default()
    };
    changed(&mut attributes, "image", &image(old), &image(service));
    if let (Mode::Replicated { replicas: before }, Mode::Replicated { replicas }) =
        (old.spec.mode, service.spec.mode)
    {
        changed(&mut attributes, "replicas", &before.to_string(), &replicas.to_string());
    }
    match (&old.update_status, &service.update_status) {
        (None, Some(now)) => {
            attributes.insert("updatestate.new".to_owned(), now.state.to_owned());
        }
        (Some(before), Some(now)) => {
            changed(&mut attributes, "updatestate", before.state, now.state);
        }
        (_, None) => {}
    }
    attributes
}
