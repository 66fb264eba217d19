//! `docker.swarmkit.v1.Watch/Watch`: an empty message, then one for each change that was asked for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::encode::{Members, Message, Value};
use super::{Shared, fault::Fault, objects};
use crate::swarm::{Action, Change, Changes, NodeRole, Object, Service};

/// What a client asks to receive.
#[derive(Default)]
struct Wanted {
    /// Kind, and a mask of actions.
    entries: Vec<(String, u64)>,
    old: bool,
}

impl Wanted {
    fn read(request: &[u8]) -> Self {
        let mut wanted = Self::default();
        for member in Members(request) {
            match member {
                (1, Value::Bytes(entry)) => {
                    let mut kind = String::new();
                    let mut actions = 0;
                    for member in Members(entry) {
                        match member {
                            (1, Value::Bytes(text)) => {
                                kind = String::from_utf8_lossy(text).into_owned();
                            }
                            (2, Value::Number(mask)) => actions = mask,
                            _ => {}
                        }
                    }
                    wanted.entries.push((kind, actions));
                }
                (3, Value::Number(old)) => wanted.old = old != 0,
                _ => {}
            }
        }
        wanted
    }

    fn has(&self, kind: &str, action: u64) -> bool {
        self.entries.iter().any(|(wanted, mask)| wanted == kind && mask & action != 0)
    }
}

/// What comes next of a stream.
pub(super) enum Next {
    Message(Bytes),
    /// It ends with this status.
    End(u32, String),
    Reset,
}

pub(super) struct Watch {
    shared: Arc<Shared>,
    wanted: Wanted,
    changes: Changes,
    faults: watch::Receiver<u64>,
    /// Of tasks whose service has gone, too.
    services: BTreeMap<String, Arc<Service>>,
    ready: VecDeque<Bytes>,
    held: Vec<Bytes>,
    swapped: Option<Bytes>,
}

impl Watch {
    pub(super) fn new(shared: Arc<Shared>, request: &[u8]) -> Self {
        let changes = shared.swarm.changes();
        let services = shared
            .swarm
            .lock()
            .services
            .iter()
            .map(|(id, service)| (id.clone(), Arc::clone(service.shared())))
            .collect();
        Self {
            wanted: Wanted::read(request),
            changes,
            faults: shared.faults.changes(),
            services,
            ready: VecDeque::from([Bytes::new()]),
            held: Vec::new(),
            swapped: None,
            shared,
        }
    }

    pub(super) async fn next(&mut self) -> Next {
        loop {
            match self.shared.faults.stream() {
                Some(Fault::Stall) => std::future::pending().await,
                Some(Fault::End(status, message)) => return Next::End(status, message),
                Some(_) => return Next::Reset,
                None => {}
            }
            if self.swapped.is_some() && !self.shared.faults.holds(&Fault::Swap) {
                self.ready.extend(self.swapped.take());
            }
            if !self.held.is_empty() && !self.shared.faults.holds(&Fault::HoldRemovals) {
                self.ready.extend(self.held.drain(..));
            }
            if let Some(message) = self.ready.pop_front() {
                return Next::Message(message);
            }
            tokio::select! {
                change = self.changes.next() => match change {
                    Some(change) => {
                        if self.leaves(&change) {
                            self.shared.leave();
                            return Next::Reset;
                        }
                        self.notify(&change);
                    }
                    None => return Next::Reset,
                },
                _ = self.faults.changed() => {}
            }
        }
    }

    /// Whether this manager is one no longer.
    fn leaves(&self, change: &Change) -> bool {
        let Object::Node(node) = &change.object else { return false };
        node.meta.id == self.shared.node
            && (node.spec.role == NodeRole::Worker || change.action == Action::Remove)
    }

    fn notify(&mut self, change: &Change) {
        if let Object::Service(service) = &change.object {
            self.services.insert(service.meta.id.clone(), Arc::clone(service));
        }
        let action = match change.action {
            Action::Create => 1,
            Action::Update => 2,
            Action::Remove => 4,
        };
        if !self.wanted.has(change.object.kind(), action) {
            return;
        }
        let mut event = Message::new().number(1, action).message(2, &self.object(&change.object));
        if let Some(old) = change.old.as_ref().filter(|_| self.wanted.old) {
            event = event.message(3, &self.object(old));
        }
        let message = Bytes::from(Message::new().message(1, &event).bytes());
        match self.shared.faults.change(change.action == Action::Remove) {
            Some(Fault::Lose) => return,
            Some(Fault::HoldRemovals) => self.held.push(message),
            Some(Fault::Duplicate) => self.ready.extend([message.clone(), message]),
            Some(Fault::Swap) if self.swapped.is_none() => {
                self.swapped = Some(message);
                return;
            }
            _ => self.ready.push_back(message),
        }
        self.ready.extend(self.swapped.take());
    }

    fn object(&self, object: &Object) -> Message {
        let (field, object) = match object {
            Object::Node(node) => (1, objects::node(node, false)),
            Object::Service(service) => (2, objects::service(service)),
            Object::Network(network) => (3, objects::network(network)),
            Object::Task(task) => {
                let service = self.services.get(&task.service_id);
                (4, objects::task(task, service.map(Arc::as_ref)))
            }
        };
        Message::new().message(field, &object)
    }
}
