//! The objects of a Swarm in the shape, and with the members in the order, in which an Engine
//! 20.10 to 29 writes them.
//!
//! Members that Go leaves out when empty are left out here too. Everything is public, so that a
//! test can make an object as odd as it likes ([`Swarm::edit_task`](super::Swarm::edit_task) and
//! its siblings).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

pub use super::random::Time;

/// A value that stands in an object as it is. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// Takes JSON text as it is.
    ///
    /// # Panics
    /// If `text` is no JSON.
    pub fn new(text: impl Into<String>) -> Self {
        Self(RawValue::from_string(text.into()).expect("the text is valid JSON").into())
    }

    /// The text.
    pub fn text(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Labels; Go writes maps sorted by key.
pub type Map = BTreeMap<String, String>;

fn empty(text: &str) -> bool {
    text.is_empty()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes members by reference")]
fn zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes members by reference")]
fn no(flag: &bool) -> bool {
    !flag
}

fn inner<S: Serializer>(shared: &Arc<TaskSpec>, serializer: S) -> Result<S::Ok, S::Error> {
    shared.as_ref().serialize(serializer)
}

/// Raft's index at an object's last change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Version {
    /// Grows with every change of the Swarm.
    #[serde(skip_serializing_if = "zero")]
    pub index: u64,
}

/// What every object begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Meta {
    /// 25 characters.
    #[serde(rename = "ID")]
    pub id: String,
    /// Of the last change.
    pub version: Version,
    /// When it was made.
    pub created_at: Time,
    /// When it was changed last.
    pub updated_at: Time,
}

/// A machine.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's Node")]
pub struct Node {
    #[serde(flatten)]
    pub meta: Meta,
    pub spec: NodeSpec,
    pub description: Description,
    pub status: NodeStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager_status: Option<ManagerStatus>,
}

/// What an operator wants of a node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's NodeSpec")]
pub struct NodeSpec {
    pub labels: Map,
    pub role: NodeRole,
    pub availability: Availability,
}

/// What a node may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum NodeRole {
    Worker,
    Manager,
}

/// Whether a node takes tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Availability {
    Active,
    Pause,
    Drain,
}

/// What a node says of itself.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's NodeDescription")]
pub struct Description {
    pub hostname: String,
    pub platform: Platform,
    pub resources: Json,
    pub engine: EngineDescription,
    #[serde(rename = "TLSInfo")]
    pub tls_info: Json,
}

/// Machine and operating system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's Platform")]
pub struct Platform {
    pub architecture: String,
    #[serde(rename = "OS")]
    pub os: String,
}

/// The engine of a node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's EngineDescription")]
pub struct EngineDescription {
    pub engine_version: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub labels: Map,
    pub plugins: Json,
}

/// How a node is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's NodeStatus")]
pub struct NodeStatus {
    pub state: NodeState,
    #[serde(skip_serializing_if = "empty")]
    pub message: String,
    pub addr: String,
}

/// Whether a node can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum NodeState {
    Unknown,
    Down,
    Ready,
    Disconnected,
}

/// A manager's part in the quorum.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's ManagerStatus")]
pub struct ManagerStatus {
    #[serde(skip_serializing_if = "no")]
    pub leader: bool,
    pub reachability: Reachability,
    pub addr: String,
}

/// Whether other managers reach this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Reachability {
    Unreachable,
    Reachable,
}

/// A service.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's Service")]
pub struct Service {
    #[serde(flatten)]
    pub meta: Meta,
    pub spec: ServiceSpec,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_spec: Option<ServiceSpec>,
    pub endpoint: Endpoint,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_status: Option<UpdateStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_status: Option<JobStatus>,
}

/// What an operator wants of a service.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's ServiceSpec")]
pub struct ServiceSpec {
    pub name: String,
    pub labels: Map,
    pub task_template: TaskSpec,
    pub mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_config: Option<Json>,
    pub endpoint_spec: EndpointSpec,
}

/// How many tasks a service wants, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the members are those of the Engine API's ServiceMode")]
pub enum Mode {
    #[serde(rename_all = "PascalCase")]
    Replicated {
        replicas: u64,
    },
    Global {},
    #[serde(rename_all = "PascalCase")]
    ReplicatedJob {
        max_concurrent: u64,
        total_completions: u64,
    },
    GlobalJob {},
}

impl Mode {
    /// As the filter `mode` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replicated { .. } => "replicated",
            Self::Global {} => "global",
            Self::ReplicatedJob { .. } => "replicated-job",
            Self::GlobalJob {} => "global-job",
        }
    }

    pub(super) fn is_job(self) -> bool {
        matches!(self, Self::ReplicatedJob { .. } | Self::GlobalJob {})
    }
}

/// What a task is made from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's TaskSpec")]
pub struct TaskSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_spec: Option<ContainerSpec>,
    pub resources: Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<Json>,
    pub placement: Placement,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkTarget>,
    pub force_update: u64,
    /// Only services have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<&'static str>,
}

impl TaskSpec {
    /// Whether it is of the runtime that the Engine API knows. `plugin` and `attachment` are others.
    pub(crate) fn is_container(&self) -> bool {
        self.runtime.is_none_or(|runtime| runtime == "container")
    }
}

/// What a container is made from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's ContainerSpec")]
pub struct ContainerSpec {
    pub image: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub labels: Map,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    #[serde(skip_serializing_if = "empty")]
    pub hostname: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    pub init: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Json>,
    #[serde(rename = "DNSConfig")]
    pub dns_config: Map,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Json>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<Json>,
    pub isolation: &'static str,
}

/// A volume or folder of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's Mount")]
pub struct Mount {
    pub r#type: &'static str,
    pub source: String,
    pub target: String,
}

/// Where tasks may run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's Placement")]
pub struct Placement {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    /// Listed, and not applied.
    #[serde(skip_serializing_if = "zero")]
    pub max_replicas: u64,
    /// Listed, and not applied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
}

/// A network that tasks are attached to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(
    missing_docs,
    reason = "the members are those of the Engine API's NetworkAttachmentConfig"
)]
pub struct NetworkTarget {
    pub target: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

/// How a service is reached, as wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's EndpointSpec")]
pub struct EndpointSpec {
    /// `vip` or `dnsrr`.
    #[serde(skip_serializing_if = "empty")]
    pub mode: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
}

/// How a service is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's Endpoint")]
pub struct Endpoint {
    pub spec: EndpointSpec,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    #[serde(rename = "VirtualIPs", skip_serializing_if = "Vec::is_empty")]
    pub virtual_ips: Vec<VirtualIp>,
}

/// A port of a service or task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's PortConfig")]
pub struct Port {
    #[serde(skip_serializing_if = "empty")]
    pub name: String,
    pub protocol: &'static str,
    pub target_port: u64,
    #[serde(skip_serializing_if = "zero")]
    pub published_port: u64,
    /// `ingress` or `host`.
    pub publish_mode: &'static str,
}

/// An address of a service on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's EndpointVirtualIP")]
pub struct VirtualIp {
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    #[serde(skip_serializing_if = "empty")]
    pub addr: String,
}

/// How an update goes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's UpdateStatus")]
pub struct UpdateStatus {
    /// `updating`, `completed`, `rollback_completed`, …
    pub state: &'static str,
    pub started_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
    pub message: &'static str,
}

/// When a job ran.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's JobStatus")]
pub struct JobStatus {
    pub job_iteration: Version,
    pub last_execution: Time,
}

/// A container that a service wants to run on a node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's Task")]
pub struct Task {
    #[serde(flatten)]
    pub meta: Meta,
    pub labels: Map,
    #[serde(serialize_with = "inner")]
    pub spec: Arc<TaskSpec>,
    #[serde(rename = "ServiceID")]
    pub service_id: String,
    #[serde(skip_serializing_if = "zero")]
    pub slot: u64,
    #[serde(rename = "NodeID", skip_serializing_if = "empty")]
    pub node_id: String,
    pub status: TaskStatus,
    pub desired_state: TaskState,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks_attachments: Vec<Attachment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_iteration: Option<Version>,
}

impl Task {
    /// Whether it is wanted, and has not ended.
    pub fn is_live(&self) -> bool {
        self.desired_state == TaskState::Running && self.status.state <= TaskState::Running
    }
}

/// How a task is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's TaskStatus")]
pub struct TaskStatus {
    pub timestamp: Time,
    pub state: TaskState,
    pub message: String,
    #[serde(skip_serializing_if = "empty")]
    pub err: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_status: Option<ContainerStatus>,
    pub port_status: PortStatus,
}

/// What a task goes through, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are SwarmKit's")]
pub enum TaskState {
    New,
    Pending,
    Assigned,
    Accepted,
    Preparing,
    Ready,
    Starting,
    Running,
    Complete,
    Shutdown,
    Failed,
    Rejected,
    Remove,
    Orphaned,
}

impl TaskState {
    /// All of them, in order.
    pub const ALL: [Self; 14] = [
        Self::New,
        Self::Pending,
        Self::Assigned,
        Self::Accepted,
        Self::Preparing,
        Self::Ready,
        Self::Starting,
        Self::Running,
        Self::Complete,
        Self::Shutdown,
        Self::Failed,
        Self::Rejected,
        Self::Remove,
        Self::Orphaned,
    ];
}

/// The container of a task.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's ContainerStatus")]
pub struct ContainerStatus {
    #[serde(rename = "ContainerID")]
    pub container_id: String,
    #[serde(rename = "PID")]
    pub pid: u64,
    pub exit_code: i64,
}

/// Host ports of a task; each stands there twice, for IPv4 and for IPv6.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's PortStatus")]
pub struct PortStatus {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
}

/// A task's place in a network.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the members are those of the Engine API's NetworkAttachment")]
pub struct Attachment {
    pub network: Json,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Not sent: the network as it was then.
    #[serde(skip)]
    pub of: Arc<super::Network>,
}

impl From<bool> for Reachability {
    fn from(up: bool) -> Self {
        if up { Self::Reachable } else { Self::Unreachable }
    }
}
