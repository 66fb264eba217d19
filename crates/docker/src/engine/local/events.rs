//! The events of an Engine's containers, each with what is needed where the container is gone before
//! anybody could ask for it.

use std::collections::VecDeque;

use swarmscout_net::{Body, Secrets};

use super::super::de;
use super::super::events::StreamEnd;
use super::super::messages as sent;
use super::super::read::{Fault, Reader};
use super::super::scan::{Element, ListScanner, ScanError};
use super::detail::cut;
use crate::Error;

/// What is asked for. `health_status` stands for all that begin with it.
pub(super) const FILTERS: &str = concat!(
    r#"{"event":{"connect":true,"create":true,"destroy":true,"die":true,"disconnect":true,"#,
    r#""health_status":true,"oom":true,"pause":true,"rename":true,"start":true,"unpause":true,"#,
    r#""update":true},"type":{"container":true,"network":true}}"#
);

/// The largest event that is read; its attributes are all labels of the container.
const MAX_EVENT: usize = 1 << 20;

/// Says of the key of a label or of another attribute whether it is kept.
pub(super) type Keeps = fn(&str) -> bool;

/// Something happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerEvent {
    /// 64 hexadecimal digits.
    pub id: String,
    /// What happened.
    pub action: ContainerAction,
    /// Those that were asked for of name, image, labels, and what else the Engine adds: the keys stand
    /// side by side.
    pub attributes: Vec<(String, String)>,
    /// When, by the Engine's clock: nanoseconds since 1970.
    pub time_nano: i64,
}

/// What happened to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerAction {
    /// It ended.
    Died {
        /// With this code; `None` if the Engine does not say.
        exit_code: Option<i32>,
    },
    /// The kernel killed one of its processes for want of memory.
    OutOfMemory,
    /// It was removed.
    Removed,
    /// Anything else that changes what an Engine says of it.
    Changed,
}

impl ContainerEvent {
    /// Of the attributes, the one with this key.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| &**value)
    }

    /// `None` for an event that no container changes by.
    fn read(text: &[u8], keeps: Keeps) -> Result<Option<Self>, Fault> {
        let sent: sent::ContainerEvent<'_> = de::read(&mut Reader::new(text))?;
        let (mut attributes, mut exit_code, mut attached) = (Vec::new(), None, String::new());
        sent.attributes.reader().map(|reader, key| {
            let value = reader.string()?;
            match &*key {
                "exitCode" => exit_code = value.parse().ok(),
                "container" => attached = cut(&value),
                _ => {}
            }
            if keeps(&key) {
                attributes.push((cut(&key), cut(&value)));
            }
            Ok(())
        })?;
        let (id, action) = match (&*sent.kind, &*sent.action) {
            ("network", "connect" | "disconnect") => (attached, ContainerAction::Changed),
            ("container", action) => {
                let action = match action {
                    "die" => ContainerAction::Died { exit_code },
                    "oom" => ContainerAction::OutOfMemory,
                    "destroy" => ContainerAction::Removed,
                    "create" | "start" | "pause" | "unpause" | "rename" | "update" => {
                        ContainerAction::Changed
                    }
                    action if action.starts_with("health_status") => ContainerAction::Changed,
                    _ => return Ok(None),
                };
                (cut(&sent.id), action)
            }
            _ => return Ok(None),
        };
        let event = Self { id, action, attributes, time_nano: sent.time_nano };
        Ok((!event.id.is_empty()).then_some(event))
    }
}

/// An open stream of events.
#[derive(Debug)]
pub struct ContainerEvents {
    body: Body,
    /// What errors call it.
    url: String,
    secrets: Secrets,
    parser: Parser,
}

impl ContainerEvents {
    pub(super) fn new(body: Body, url: String, secrets: Secrets, keeps: Keeps) -> Self {
        Self { body, url, secrets, parser: Parser::new(keeps) }
    }

    /// The next event; `None` for one or more in a row that are too large to be read. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<ContainerEvent>, StreamEnd> {
        loop {
            if let Some(event) = self.parser.ready.pop_front() {
                return Ok(event);
            }
            match self.body.chunk().await {
                Ok(Some(piece)) => {
                    let pushed = self.parser.push(&piece);
                    pushed.map_err(|error| StreamEnd::Broken(self.bad(&error.to_string())))?;
                }
                Ok(None) => {
                    return Err(StreamEnd::Closed(self.bad("the stream of events has ended")));
                }
                Err(error) => return Err(StreamEnd::Closed(error.into())),
            }
        }
    }

    fn bad(&self, reason: &str) -> Error {
        Error::Answer { url: self.url.clone(), reason: self.secrets.clean(reason).into_owned() }
    }
}

#[derive(Debug)]
pub(super) struct Parser {
    scanner: ListScanner,
    keeps: Keeps,
    /// `None`: one or more in a row are too large.
    pub(super) ready: VecDeque<Option<ContainerEvent>>,
}

impl Parser {
    pub(super) fn new(keeps: Keeps) -> Self {
        Self { scanner: ListScanner::endless(MAX_EVENT), keeps, ready: VecDeque::new() }
    }

    /// Takes the next piece. An event that is not as expected is left out: a listing after the stream
    /// has ended makes up for it.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), ScanError> {
        let Self { scanner, keeps, ready } = self;
        scanner.push(piece, &mut |element: Element<'_>| {
            if !element.too_large {
                ready.extend(ContainerEvent::read(element.text, *keeps).ok().flatten().map(Some));
            } else if ready.back() != Some(&None) {
                ready.push_back(None);
            }
            Ok(())
        })
    }
}
