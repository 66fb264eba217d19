//! The answer of a manager: what both ends know of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The most bytes of a value that a label or a name may have.
const LONGEST_VALUE: usize = 1024;

/// The largest answer that a node reads, in bytes: some 10,000 tasks.
pub(crate) const MAX_ANSWER: u64 = 16 << 20;

/// The most tasks of a node, those that have ended included.
pub(crate) const MOST_TASKS: usize = 20_000;

/// The most that one task may have of anything: networks, labels, ports.
const MOST_PARTS: usize = 512;

/// The most objects and the most commas in an answer. In memory, an empty object takes thirty times its
/// text.
const MOST_OBJECTS: usize = 128 << 10;
const MOST_COMMAS: usize = 1 << 20;

/// The most peers of a node.
const MOST_PEERS: usize = 64;

/// The envelope of an answer, as in all of the API.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Envelope<T> {
    pub(crate) status: String,
    pub(crate) data: T,
}

/// What a node learns of itself and of its tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTasks {
    /// The node.
    pub node: NodeIdentity,
    /// ID of the Swarm; empty if the manager does not know it.
    #[serde(default)]
    pub cluster: String,
    /// The tasks that run on the node, or shall, and those that have ended there and are still known. In
    /// the order of their IDs.
    #[serde(default)]
    pub tasks: Vec<TaskEntry>,
    /// The nodes that this one may probe, and that may probe it.
    #[serde(default)]
    pub peers: Vec<PeerNode>,
}

/// Which node an answer is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeIdentity {
    /// Its ID in the Swarm.
    pub id: String,
    /// Its host name.
    #[serde(default)]
    pub name: String,
    /// The address at which others reach it; empty if the Swarm knows none.
    #[serde(default)]
    pub address: String,
}

/// A task. One that has ended has no labels, networks and targets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskEntry {
    /// Its ID.
    pub id: String,
    /// The name of its container: `shop_web.2.xx27lnd5mm`. Empty if its service is not known.
    #[serde(default)]
    pub name: String,
    /// ID of its service.
    #[serde(default)]
    pub service_id: String,
    /// Name of its service.
    #[serde(default)]
    pub service_name: String,
    /// Image of its container, as the service has it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Labels of its container that are on the allow list, as Docker has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// ID of its container: 64 hexadecimal digits, or empty before there is one.
    #[serde(default)]
    pub container: String,
    /// The process of its container, as the host counts; 0 if none runs.
    #[serde(default)]
    pub pid: u32,
    /// `running`, `failed`, …
    #[serde(default)]
    pub state: String,
    /// When it got into that state, in microseconds since 1970; 0 if unknown.
    #[serde(default)]
    pub state_since: i64,
    /// With which code its container ended; 0 if it has not.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub exit_code: i64,
    /// The networks that it is attached to, that of published ports included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<TaskNetwork>,
    /// Whether it is on the network of its host.
    #[serde(default)]
    pub host_network: bool,
    /// What may be fetched from it for scrapers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reach: Vec<ReachTarget>,
}

/// A network of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskNetwork {
    /// Its ID.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its driver: `overlay`.
    #[serde(default)]
    pub driver: String,
    /// Whether it has no way out, not even to its host.
    #[serde(default)]
    pub internal: bool,
    /// Whether it is the one of published ports.
    #[serde(default)]
    pub ingress: bool,
    /// Addresses of the task there, with the length of the network if that is known: `10.0.1.3/24`.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// What may be fetched from a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReachTarget {
    /// `http` or `https`.
    pub scheme: String,
    /// Where its container listens.
    pub port: u16,
    /// The path, with its slash, not percent-encoded. The query is free.
    pub path: String,
}

/// A node that another one may probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerNode {
    /// Its ID.
    pub id: String,
    /// Its host name.
    #[serde(default)]
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Where its part listens.
    pub port: u16,
    /// The address of its part on the overlay network for probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay: Option<IpAddr>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Whether this is the ID of a container: 64 hexadecimal digits.
pub fn is_container_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The beginning of a value, with at most [`LONGEST_VALUE`] bytes.
pub(crate) fn cut(value: &str) -> String {
    value[..value.floor_char_boundary(LONGEST_VALUE)].to_owned()
}

/// Reads the body of an answer. The error says what is wrong with it.
pub(crate) fn read(body: &[u8]) -> Result<NodeTasks, String> {
    let has_more =
        |than: usize, byte: u8| body.iter().filter(|it| **it == byte).nth(than).is_some();
    if has_more(MOST_OBJECTS, b'{') || has_more(MOST_COMMAS, b',') {
        return Err("it has too many parts".to_owned());
    }
    let envelope: Envelope<NodeTasks> =
        serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let tasks = envelope.data;
    if envelope.status != "success" {
        return Err("its status is not success".to_owned());
    }
    tasks.check().map(|()| tasks)
}

impl NodeTasks {
    /// Whether a node can rely on it. A bad part makes the whole answer bad: a Swarmscout sends none.
    fn check(&self) -> Result<(), String> {
        let is_id = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
        if !is_id(&self.node.id) {
            return Err("it names no node".to_owned());
        }
        if self.tasks.len() > MOST_TASKS || self.peers.len() > MOST_PEERS {
            return Err(format!("it has {} tasks", self.tasks.len()));
        }
        for task in &self.tasks {
            task.check(is_id).map_err(|reason| format!("task {}: {reason}", shown(&task.id)))?;
        }
        if !self.tasks.is_sorted_by(|a, b| a.id < b.id) {
            return Err("its tasks are not in the order of their IDs".to_owned());
        }
        if let Some(peer) = self.peers.iter().find(|peer| !is_id(&peer.id) || peer.port == 0) {
            return Err(format!("peer {}: it has no ID or no port", shown(&peer.id)));
        }
        // Metrics of two that are the same would not be valid.
        if !self.peers.is_sorted_by(|a, b| a.id < b.id) {
            return Err("its peers are not in the order of their IDs".to_owned());
        }
        Ok(())
    }
}

impl TaskEntry {
    fn check(&self, is_id: impl Fn(&str) -> bool) -> Result<(), &'static str> {
        if !is_id(&self.id) {
            return Err("its ID is not one");
        }
        if !self.container.is_empty() && !is_container_id(&self.container) {
            return Err("the ID of its container does not have 64 hexadecimal digits");
        }
        let counts = [self.labels.len(), self.networks.len(), self.reach.len()];
        if counts.into_iter().any(|count| count > MOST_PARTS) {
            return Err("it has too many labels, networks or targets");
        }
        let is_long = |text: &str| text.len() > LONGEST_VALUE;
        let texts = [&self.name, &self.service_id, &self.service_name, &self.image, &self.state];
        let of_labels = self.labels.iter().flat_map(|(name, value)| [name, value]);
        if texts.into_iter().chain(of_labels).any(|text| is_long(text)) {
            return Err("one of its texts is too long");
        }
        let is_target = |target: &ReachTarget| {
            let ReachTarget { scheme, port, path } = target;
            matches!(&**scheme, "http" | "https") && *port > 0 && path.starts_with('/')
        };
        if !self.reach.iter().all(is_target) {
            return Err("one of its targets is not one");
        }
        Ok(())
    }
}

/// The beginning of a name, for an error.
fn shown(name: &str) -> String {
    let cut = &name[..name.floor_char_boundary(64)];
    cut.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
