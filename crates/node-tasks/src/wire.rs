//! The answer of a manager: what both ends know of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::labels::{AllowedLabels, ContainerIds};

/// The most bytes of a value that a label or a name may have.
const LONGEST_VALUE: usize = 1024;

/// The largest answer that a node reads, in bytes: some 10,000 tasks.
pub(crate) const MAX_ANSWER: u64 = 16 << 20;

/// The most tasks of a node, and the most that have ended.
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
    /// The tasks that run on the node, or shall. In the order of their IDs.
    #[serde(default)]
    pub tasks: Vec<TaskEntry>,
    /// Whether the manager reads tasks that have ended. If it does not, `ended` says nothing.
    #[serde(default)]
    pub lists_ended: bool,
    /// Those that have ended there and are still known, the newest if there are too many. In the order of
    /// their IDs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<EndedTask>,
    /// What they were made from, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub specs: Vec<TaskSpec>,
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

/// A task that has not ended.
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

/// A task that has ended, and had a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedTask {
    /// Its ID.
    pub id: String,
    /// The place of what it was made from in [`NodeTasks::specs`].
    pub spec: usize,
    /// Which of the replicas it was; 0 for global services.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub slot: i64,
    /// ID of its container: 64 hexadecimal digits.
    pub container: String,
    /// `failed`, `complete`, `shutdown`, …
    #[serde(default)]
    pub state: String,
    /// When it got into that state, in microseconds since 1970 by the clock of its node; 0 if unknown.
    #[serde(default)]
    pub state_since: i64,
    /// With which code its container ended. `None` if it was never started, or its end was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// Whether SwarmKit has removed it, and its node its container.
    #[serde(default, skip_serializing_if = "is_false")]
    pub removed: bool,
}

/// What tasks have in common that have ended: their service, and what it said when they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaskSpec {
    /// ID of the service.
    #[serde(default)]
    pub service_id: String,
    /// Name of the service; empty if it is not known.
    #[serde(default)]
    pub service_name: String,
    /// Image of the containers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Labels of the service's author that are on the allow list. Those of the Swarm follow from the task.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(is: &bool) -> bool {
    !*is
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
        let counts = [self.tasks.len(), self.ended.len(), self.specs.len()];
        if counts.into_iter().any(|count| count > MOST_TASKS) || self.peers.len() > MOST_PEERS {
            return Err(format!("it has {} tasks, and {} that have ended", counts[0], counts[1]));
        }
        let of_task = |id: &str, reason: &str| format!("task {}: {reason}", shown(id));
        for task in &self.tasks {
            task.check(is_id).map_err(|reason| of_task(&task.id, reason))?;
        }
        for task in &self.ended {
            task.check(is_id, &self.specs).map_err(|reason| of_task(&task.id, reason))?;
        }
        let are_sorted = self.tasks.is_sorted_by(|a, b| a.id < b.id)
            && self.ended.is_sorted_by(|a, b| a.id < b.id);
        if !are_sorted {
            return Err("its tasks are not in the order of their IDs".to_owned());
        }
        for spec in &self.specs {
            let texts = [&spec.service_id, &spec.service_name, &spec.image];
            check_texts(texts.into_iter(), &spec.labels)
                .map_err(|reason| format!("service {}: {reason}", shown(&spec.service_id)))?;
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

impl NodeTasks {
    /// The tasks that have ended, each with what it was while it ran.
    pub fn ended(&self) -> impl Iterator<Item = (&EndedTask, TaskEntry)> {
        self.ended.iter().filter_map(|task| {
            let spec = self.specs.get(task.spec)?;
            let ids = ContainerIds {
                node: &self.node.id,
                service: &spec.service_id,
                service_name: &spec.service_name,
                task: &task.id,
                slot: task.slot,
            };
            let own = spec.labels.iter().map(|(key, value)| (&**key, &**value));
            let entry = TaskEntry {
                id: task.id.clone(),
                name: ids.name(),
                service_id: spec.service_id.clone(),
                service_name: spec.service_name.clone(),
                image: spec.image.clone(),
                labels: ids.labels(own, &AllowedLabels::default()),
                container: task.container.clone(),
                state: task.state.clone(),
                state_since: task.state_since,
                ..TaskEntry::default()
            };
            Some((task, entry))
        })
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
        if self.networks.len().max(self.reach.len()) > MOST_PARTS {
            return Err("it has too many networks or targets");
        }
        let texts = [&self.name, &self.service_id, &self.service_name, &self.image, &self.state];
        check_texts(texts.into_iter(), &self.labels)?;
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

impl EndedTask {
    fn check(&self, is_id: impl Fn(&str) -> bool, specs: &[TaskSpec]) -> Result<(), &'static str> {
        if !is_id(&self.id) {
            return Err("its ID is not one");
        }
        if !is_container_id(&self.container) {
            return Err("the ID of its container does not have 64 hexadecimal digits");
        }
        if self.spec >= specs.len() {
            return Err("what it was made from is not there");
        }
        check_texts([&self.state].into_iter(), &BTreeMap::new())
    }
}

fn check_texts<'a>(
    texts: impl Iterator<Item = &'a String>,
    labels: &'a BTreeMap<String, String>,
) -> Result<(), &'static str> {
    if labels.len() > MOST_PARTS {
        return Err("it has too many labels");
    }
    let mut all = texts.chain(labels.iter().flat_map(|(name, value)| [name, value]));
    if all.any(|text| text.len() > LONGEST_VALUE) {
        return Err("one of its texts is too long");
    }
    Ok(())
}

/// The beginning of a name, for an error.
fn shown(name: &str) -> String {
    let cut = &name[..name.floor_char_boundary(64)];
    cut.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
