//! The stream of changes.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use prost::{DecodeError, Message as _};
use swarmscout_refresh::Problem;
use tonic::{Status, Streaming};

use super::Method;
use super::connection::{Elements, Raw, Sender};
use super::convert::{Converter, Listed};
use super::messages::{Event, Kind, WatchEntry, WatchRequest, action};
use super::refusal::Place;
use crate::Error;
use crate::engine::{Network, Node, Service, Task};

/// This many changes are reported at once at most: the message of a manager that was given a
/// snapshot of the Swarm to catch up holds every object.
const AT_ONCE: usize = 256;

/// What happens to nodes, services, tasks and networks, from the moment when it was opened.
///
/// Objects are those of the Engine API, with two exceptions. The Engine adds [`Node::manager`] when
/// it lists a node; SwarmKit does not keep it with the node, so no change reports it and a change
/// of it is not reported: it is always `None` here, see
/// [`Connection::node`](super::Connection::node). And [`Network::updated`] is known here.
///
/// SwarmKit holds what is not read yet in a queue without a limit: read on, whatever else is to be
/// done.
pub struct Watch {
    messages: Streaming<Bytes>,
    /// What is left of the last message.
    rest: Elements,
    converter: Converter,
    place: Place,
    limit: usize,
    /// Keeps the connection.
    _sender: Sender,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was made, or it is now like this.
    Changed(Object),
    /// It is gone. This is how it was, with the version of its last change.
    Removed(Object),
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A node.
    Node(Arc<Node>),
    /// A service.
    Service(Arc<Service>),
    /// A task.
    Task(Arc<Task>),
    /// A network.
    Network(Arc<Network>),
}

impl Watch {
    /// Subscribes, and waits for the message without changes that says that it has started.
    pub(super) async fn open(sender: &Sender, place: &Place, limit: usize) -> Result<Self, Error> {
        let failed = |status: Status| place.failed(Method::Watch, &status, limit);
        let entry = |kind: &str| WatchEntry {
            kind: kind.to_owned(),
            action: action::CREATE | action::UPDATE | action::REMOVE,
        };
        let entries = [Node::KIND, Service::KIND, Task::KIND, Network::KIND].map(entry);
        let request = WatchRequest { entries: entries.into() }.encode_to_vec();
        let mut grpc = sender.ready(limit).await.map_err(failed)?;
        let path = PathAndQuery::from_static(Method::Watch.path());
        let answer = grpc.server_streaming(tonic::Request::new(request), path, Raw).await;
        let mut watch = Self {
            messages: answer.map_err(failed)?.into_inner(),
            rest: Elements::default(),
            converter: Converter::default(),
            place: place.clone(),
            limit,
            _sender: sender.clone(),
        };
        match Elements(watch.message().await?).next() {
            None => Ok(watch),
            Some(_) => {
                Err(place.answer("the watch began with a change instead of an empty message"))
            }
        }
    }

    /// The next changes, at least one. Cancel safe. After an error the watch is over.
    pub async fn next(&mut self) -> Result<Vec<Change>, Error> {
        loop {
            if self.rest.is_empty() {
                self.converter.sweep();
                self.rest = Elements(self.message().await?);
            }
            let changes = changes(&mut self.rest, &mut self.converter).map_err(|error| {
                self.place.answer(format!("cannot read a message of the watch: {error}"))
            })?;
            if !changes.is_empty() {
                return Ok(changes);
            }
            // Nothing that anybody wants to know, maybe very much of it.
            tokio::task::yield_now().await;
        }
    }

    /// What was left out of the changes since this was last asked.
    pub fn take_problems(&mut self) -> Vec<Problem> {
        self.converter.take_problems()
    }

    async fn message(&mut self) -> Result<Bytes, Error> {
        match self.messages.message().await {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(self.place.answer("the watch ended: this Engine stops")),
            Err(status) => Err(self.place.failed(Method::Watch, &status, self.limit)),
        }
    }
}

/// The next changes that a message reports, without those that the Engine API would not show.
pub(super) fn changes(
    message: &mut Elements,
    converter: &mut Converter,
) -> Result<Vec<Change>, DecodeError> {
    let mut changes = Vec::new();
    for event in message.take(AT_ONCE) {
        changes.extend(change(Event::decode(event?)?, converter));
    }
    Ok(changes)
}

fn change(event: Event, converter: &mut Converter) -> Option<Change> {
    let object = match event.object?.kind? {
        Kind::Node(node) => Object::Node(Node::convert(node, converter)?.into()),
        Kind::Service(service) => Object::Service(Service::convert(service, converter)?.into()),
        Kind::Task(task) => Object::Task(Task::convert(task, converter)?.into()),
        Kind::Network(network) => Object::Network(Network::convert(network, converter)?.into()),
    };
    let removed = event.action == action::REMOVE;
    Some(if removed { Change::Removed(object) } else { Change::Changed(object) })
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("place", &self.place).finish_non_exhaustive()
    }
}
