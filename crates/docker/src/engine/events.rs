//! The stream of `/events`: what an Engine says when something changes.
//!
//! Every manager reports each change of a service, a node and a network of its Swarm, and an Engine
//! of the containers that run on it. It reports nothing about tasks as such, and nothing that happens
//! without a listener. An event is therefore a hint that a list is out of
//! date, and where, never more: a listener lists again, first of all after the stream has
//! started.
//!
//! The stream has no end and no separators that could be relied on: objects stand one after the
//! other, with a line break between them. What is not known of it (other kinds of events, members
//! that API versions before 1.52 repeat) means nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use swarmscout_net::{Body, Secrets};
use swarmscout_refresh::Problem;
use swarmscout_refresh::problems::{self, Problems};

use super::read::{Fault, Reader};
use super::scan::{Element, ListScanner, ScanError};
use crate::Error;

/// What is asked for, in the Engine's own form.
pub(super) const FILTERS: &str = concat!(
    r#"{"event":{"create":true,"destroy":true,"die":true,"remove":true,"start":true,"update":true},"#,
    r#""type":{"container":true,"network":true,"node":true,"service":true}}"#
);

/// The largest event that is read; the attributes of a container's are all its labels.
const MAX_EVENT: usize = 64 << 10;

/// What [`Problem::kind`] calls it.
const KIND: &str = "event";

/// The label by which a container says which service it belongs to.
const SERVICE: &[u8] = b"com.docker.swarm.service.id";

/// The label by which a container says which node it runs on.
const NODE: &[u8] = b"com.docker.swarm.node.id";

/// Something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What kind of object it is.
    pub kind: EventKind,
    /// What became of it.
    pub action: Action,
    /// Its ID. Of a service, node or network the one that lists report.
    pub id: Arc<str>,
    /// The service that a container belongs to.
    pub service: Option<Arc<str>>,
    /// The node that a container of a service runs on.
    pub node: Option<Arc<str>>,
    /// When, by the Engine's clock: nanoseconds since 1970.
    pub time_nano: i64,
}

/// Of what an event reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// A service of the Swarm.
    Service,
    /// A node of the Swarm.
    Node,
    /// A network, of the Swarm or of the Engine alone.
    Network,
    /// A container of the Engine, of a service or not.
    Container,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It is new.
    Create,
    /// It was changed, by a user or by the Swarm.
    Update,
    /// It is gone.
    Remove,
    /// A container was started, or has ended.
    Other,
}

/// Why there is no stream.
#[derive(Debug)]
pub enum NoEvents {
    /// It is not to be had here (403, 404: a socket proxy withholds it), and this is why. That
    /// costs the speed of changes, never the targets: polling does without.
    Withheld(String),
    /// It could not be opened now.
    Failed(Error),
}

/// Why a stream is over.
#[derive(Debug, thiserror::Error)]
pub enum StreamEnd {
    /// It was closed, by the Engine or on the way, or was silent for too long. That is normal:
    /// proxies close a connection that is idle.
    #[error(transparent)]
    Closed(Error),
    /// What came is not a stream of events.
    #[error(transparent)]
    Broken(Error),
}

/// An open stream.
#[derive(Debug)]
pub struct EventStream {
    body: Body,
    /// What errors call it.
    url: String,
    secrets: Secrets,
    parser: EventParser,
}

impl EventStream {
    pub(super) fn new(body: Body, url: String, secrets: Secrets) -> Self {
        Self { body, url, secrets, parser: EventParser::default() }
    }

    /// The next event. Cancel-safe.
    pub async fn next(&mut self) -> Result<Event, StreamEnd> {
        loop {
            if let Some(event) = self.parser.ready.pop_front() {
                return Ok(event);
            }
            let bad = |url: &str, reason: String| Error::Answer { url: url.to_owned(), reason };
            match self.body.chunk().await {
                Ok(Some(piece)) => {
                    let pushed = self.parser.push(&piece);
                    pushed.map_err(|error| StreamEnd::Broken(bad(&self.url, error.to_string())))?;
                }
                Ok(None) => {
                    let reason = "the stream of events has ended".to_owned();
                    return Err(StreamEnd::Closed(bad(&self.url, reason)));
                }
                Err(error) => return Err(StreamEnd::Closed(error.into())),
            }
        }
    }

    /// Which events were left out since this was last asked, and why.
    pub fn take_problems(&mut self) -> Vec<Problem> {
        let mut problems = self.parser.take_problems();
        problems::clean(&mut problems, &self.secrets);
        problems
    }
}

/// Finds the events in the pieces of a stream.
#[derive(Debug)]
pub struct EventParser {
    scanner: ListScanner,
    ready: VecDeque<Event>,
    problems: Problems,
}

impl Default for EventParser {
    fn default() -> Self {
        Self {
            scanner: ListScanner::endless(MAX_EVENT),
            ready: VecDeque::new(),
            problems: Problems::default(),
        }
    }
}

impl EventParser {
    /// Takes the next piece. Fails where it is not a stream of events; events before that place
    /// stay.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), ScanError> {
        let Self { scanner, ready, problems } = self;
        scanner.push(piece, &mut |element: Element<'_>| {
            ready.extend(event(element, problems)?);
            Ok(())
        })
    }

    /// The events that were found since this was last asked.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.ready).into()
    }

    /// Which were left out since this was last asked, and why.
    pub fn take_problems(&mut self) -> Vec<Problem> {
        self.problems.take()
    }
}

/// Reads one event: none where it reports something that no target depends on, or cannot be used,
/// which the problems report then.
fn event(element: Element<'_>, problems: &mut Problems) -> Result<Option<Event>, ScanError> {
    if element.too_large {
        problems.push(KIND, "", "event too large", String::new());
        return Ok(None);
    }
    let mut read = Read::default();
    match read.members(&mut Reader::new(element.text)) {
        Ok(()) => {}
        Err(Fault::Type { at, expected }) => {
            let detail = format!("expected {expected} at byte {at}");
            problems.push(KIND, read.id.as_deref().unwrap_or_default(), "wrong type", detail);
            return Ok(None);
        }
        Err(Fault::Syntax { at }) => {
            let found = element.text.get(at).copied().unwrap_or(b'}');
            let at = element.offset + at as u64;
            return Err(ScanError::Unexpected { at, expected: "JSON", found });
        }
    }
    let (Some(kind), Some(action)) = (read.kind, read.action) else { return Ok(None) };
    let Some(id) = read.id.filter(|id| !id.is_empty()) else {
        problems.push(KIND, "", "event without ID", String::new());
        return Ok(None);
    };
    let Read { service, node, time_nano, .. } = read;
    Ok(Some(Event { kind, action, id, service, node, time_nano }))
}

/// What of an event has been read.
#[derive(Default)]
struct Read {
    kind: Option<EventKind>,
    action: Option<Action>,
    id: Option<Arc<str>>,
    service: Option<Arc<str>>,
    node: Option<Arc<str>>,
    time_nano: i64,
}

impl Read {
    fn members(&mut self, reader: &mut Reader<'_>) -> Result<(), Fault> {
        reader.object(|r, key| {
            match key {
                b"Type" => {
                    self.kind = match &*r.string()? {
                        "service" => Some(EventKind::Service),
                        "node" => Some(EventKind::Node),
                        "network" => Some(EventKind::Network),
                        "container" => Some(EventKind::Container),
                        _ => None,
                    }
                }
                b"Action" => {
                    self.action = match &*r.string()? {
                        "create" => Some(Action::Create),
                        "update" => Some(Action::Update),
                        "remove" | "destroy" => Some(Action::Remove),
                        "start" | "die" => Some(Action::Other),
                        _ => None,
                    }
                }
                b"Actor" => r.object(|r, key| match key {
                    b"ID" => text(r).map(|id| self.id = id),
                    b"Attributes" => r.object(|r, key| match key {
                        SERVICE => text(r).map(|service| self.service = service),
                        NODE => text(r).map(|node| self.node = node),
                        _ => r.skip().map(drop),
                    }),
                    _ => r.skip().map(drop),
                })?,
                b"timeNano" => self.time_nano = r.signed()?,
                _ => drop(r.skip()?),
            }
            Ok(())
        })?;
        reader.end()
    }
}

/// A text that is not empty.
fn text(reader: &mut Reader<'_>) -> Result<Option<Arc<str>>, Fault> {
    let text = reader.string()?;
    Ok((!text.is_empty()).then(|| Arc::from(&*text)))
}

#[cfg(test)]
mod tests;
