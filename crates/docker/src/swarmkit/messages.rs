//! SwarmKit's messages, as far as discovery needs them.
//!
//! Names and numbers are those of moby/swarmkit `api/*.proto`. What has no name here is skipped when
//! it is read: environment, command, content of secrets and configs, certificates, the token that
//! pulls an image. Of mounts only the volume driver is read. Texts are bytes, as SwarmKit does not check that they are UTF-8; they share the memory of
//! the answer, and live until they are converted.

use bytes::Bytes;
use prost::Message;

/// What has to be there or not, whatever it holds.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Presence {}

/// The ID of any object.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Identity {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) id: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Version {
    #[prost(uint64, tag = "1")]
    pub(super) index: u64,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Meta {
    #[prost(message, optional, tag = "1")]
    pub(super) version: Option<Version>,
    #[prost(message, optional, tag = "2")]
    pub(super) created_at: Option<Timestamp>,
    #[prost(message, optional, tag = "3")]
    pub(super) updated_at: Option<Timestamp>,
}

/// An entry of a map of labels.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Label {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) value: Bytes,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Annotations {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) name: Bytes,
    #[prost(message, repeated, tag = "2")]
    pub(super) labels: Vec<Label>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Node {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) id: Bytes,
    #[prost(message, optional, tag = "2")]
    pub(super) meta: Option<Meta>,
    #[prost(message, optional, tag = "3")]
    pub(super) spec: Option<NodeSpec>,
    #[prost(message, optional, tag = "4")]
    pub(super) description: Option<NodeDescription>,
    #[prost(message, optional, tag = "5")]
    pub(super) status: Option<NodeStatus>,
    #[prost(message, optional, tag = "6")]
    pub(super) manager_status: Option<ManagerStatus>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct NodeSpec {
    #[prost(message, optional, tag = "1")]
    pub(super) annotations: Option<Annotations>,
    #[prost(int32, tag = "2")]
    pub(super) desired_role: i32,
    #[prost(int32, tag = "4")]
    pub(super) availability: i32,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct NodeDescription {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) hostname: Bytes,
    #[prost(message, optional, tag = "2")]
    pub(super) platform: Option<Platform>,
    #[prost(message, optional, tag = "3")]
    pub(super) resources: Option<Resources>,
    #[prost(message, optional, tag = "4")]
    pub(super) engine: Option<EngineDescription>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Resources {
    #[prost(int64, tag = "1")]
    pub(super) nano_cpus: i64,
    #[prost(int64, tag = "2")]
    pub(super) memory_bytes: i64,
    #[prost(message, repeated, tag = "3")]
    pub(super) generic: Vec<GenericResource>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct GenericResource {
    #[prost(oneof = "NamedOrDiscrete", tags = "1, 2")]
    pub(super) kind: Option<NamedOrDiscrete>,
}

#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(super) enum NamedOrDiscrete {
    #[prost(message, tag = "1")]
    Named(NamedResource),
    #[prost(message, tag = "2")]
    Discrete(DiscreteResource),
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct NamedResource {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) kind: Bytes,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct DiscreteResource {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) kind: Bytes,
    #[prost(int64, tag = "2")]
    pub(super) count: i64,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Platform {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) architecture: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) os: Bytes,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct EngineDescription {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) engine_version: Bytes,
    #[prost(message, repeated, tag = "2")]
    pub(super) labels: Vec<Label>,
    #[prost(message, repeated, tag = "3")]
    pub(super) plugins: Vec<Plugin>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Plugin {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) kind: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) name: Bytes,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct NodeStatus {
    #[prost(int32, tag = "1")]
    pub(super) state: i32,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) message: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) addr: Bytes,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ManagerStatus {
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) addr: Bytes,
    #[prost(bool, tag = "3")]
    pub(super) leader: bool,
    #[prost(int32, tag = "4")]
    pub(super) reachability: i32,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Service {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) id: Bytes,
    #[prost(message, optional, tag = "2")]
    pub(super) meta: Option<Meta>,
    #[prost(message, optional, tag = "3")]
    pub(super) spec: Option<ServiceSpec>,
    #[prost(message, optional, tag = "4")]
    pub(super) endpoint: Option<Endpoint>,
    #[prost(message, optional, tag = "5")]
    pub(super) update_status: Option<UpdateStatus>,
    #[prost(message, optional, tag = "12")]
    pub(super) job_status: Option<JobStatus>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct JobStatus {
    #[prost(message, optional, tag = "1")]
    pub(super) iteration: Option<Version>,
    #[prost(message, optional, tag = "2")]
    pub(super) last_execution: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ServiceSpec {
    #[prost(message, optional, tag = "1")]
    pub(super) annotations: Option<Annotations>,
    #[prost(message, optional, tag = "2")]
    pub(super) task: Option<TaskSpec>,
    #[prost(oneof = "Mode", tags = "3, 4, 10, 11")]
    pub(super) mode: Option<Mode>,
    /// Of services that were made before Docker 1.13.
    #[prost(message, repeated, tag = "7")]
    pub(super) networks: Vec<NetworkTarget>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Replicated {
    #[prost(uint64, tag = "1")]
    pub(super) replicas: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct ReplicatedJob {
    #[prost(uint64, tag = "1")]
    pub(super) max_concurrent: u64,
    #[prost(uint64, tag = "2")]
    pub(super) completions: u64,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct NetworkTarget {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) target: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Oneof)]
pub(super) enum Mode {
    #[prost(message, tag = "3")]
    Replicated(Replicated),
    #[prost(message, tag = "4")]
    Global(Presence),
    #[prost(message, tag = "10")]
    ReplicatedJob(ReplicatedJob),
    #[prost(message, tag = "11")]
    GlobalJob(Presence),
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Endpoint {
    #[prost(message, optional, tag = "1")]
    pub(super) spec: Option<EndpointSpec>,
    #[prost(message, repeated, tag = "2")]
    pub(super) ports: Vec<PortConfig>,
    #[prost(message, repeated, tag = "3")]
    pub(super) virtual_ips: Vec<VirtualIp>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct EndpointSpec {
    #[prost(int32, tag = "1")]
    pub(super) mode: i32,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct VirtualIp {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) network_id: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) addr: Bytes,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct PortConfig {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) name: Bytes,
    #[prost(int32, tag = "2")]
    pub(super) protocol: i32,
    #[prost(uint32, tag = "3")]
    pub(super) target_port: u32,
    #[prost(uint32, tag = "4")]
    pub(super) published_port: u32,
    #[prost(int32, tag = "5")]
    pub(super) publish_mode: i32,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct UpdateStatus {
    #[prost(int32, tag = "1")]
    pub(super) state: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) started_at: Option<Timestamp>,
    #[prost(message, optional, tag = "3")]
    pub(super) completed_at: Option<Timestamp>,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) message: Bytes,
}

/// The template of a service's tasks, and what a task was made of.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct TaskSpec {
    #[prost(oneof = "Runtime", tags = "1, 8, 10")]
    pub(super) runtime: Option<Runtime>,
    #[prost(message, optional, tag = "2")]
    pub(super) resources: Option<ResourceRequirements>,
    #[prost(message, optional, tag = "4")]
    pub(super) restart: Option<RestartPolicy>,
    #[prost(message, optional, tag = "5")]
    pub(super) placement: Option<Placement>,
    #[prost(message, optional, tag = "6")]
    pub(super) log_driver: Option<Driver>,
    #[prost(message, repeated, tag = "7")]
    pub(super) networks: Vec<NetworkTarget>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ResourceRequirements {
    #[prost(message, optional, tag = "1")]
    pub(super) limits: Option<Resources>,
    #[prost(message, optional, tag = "2")]
    pub(super) reservations: Option<Resources>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct RestartPolicy {
    #[prost(int32, tag = "1")]
    pub(super) condition: i32,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Placement {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(super) constraints: Vec<Bytes>,
    #[prost(message, repeated, tag = "3")]
    pub(super) platforms: Vec<Platform>,
    #[prost(uint64, tag = "4")]
    pub(super) max_replicas: u64,
}

#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(super) enum Runtime {
    #[prost(message, tag = "1")]
    Container(ContainerSpec),
    /// A container outside of the Swarm, on a network of it.
    #[prost(message, tag = "8")]
    Attachment(Presence),
    /// A plugin.
    #[prost(message, tag = "10")]
    Generic(Presence),
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ContainerSpec {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) image: Bytes,
    #[prost(message, repeated, tag = "2")]
    pub(super) labels: Vec<Label>,
    #[prost(message, repeated, tag = "8")]
    pub(super) mounts: Vec<Mount>,
    #[prost(message, repeated, tag = "12")]
    pub(super) secrets: Vec<Identity>,
    #[prost(bytes = "bytes", tag = "14")]
    pub(super) hostname: Bytes,
    #[prost(message, repeated, tag = "21")]
    pub(super) configs: Vec<Identity>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Mount {
    #[prost(int32, tag = "1")]
    pub(super) kind: i32,
    #[prost(message, optional, tag = "6")]
    pub(super) volume: Option<VolumeOptions>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct VolumeOptions {
    #[prost(message, optional, tag = "3")]
    pub(super) driver: Option<Driver>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Task {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) id: Bytes,
    #[prost(message, optional, tag = "2")]
    pub(super) meta: Option<Meta>,
    #[prost(message, optional, tag = "3")]
    pub(super) spec: Option<TaskSpec>,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) service_id: Bytes,
    #[prost(uint64, tag = "5")]
    pub(super) slot: u64,
    #[prost(bytes = "bytes", tag = "6")]
    pub(super) node_id: Bytes,
    #[prost(message, optional, tag = "9")]
    pub(super) status: Option<TaskStatus>,
    #[prost(int32, tag = "10")]
    pub(super) desired_state: i32,
    #[prost(message, repeated, tag = "11")]
    pub(super) networks: Vec<NetworkAttachment>,
    #[prost(message, optional, tag = "16")]
    pub(super) job_iteration: Option<Version>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct TaskStatus {
    #[prost(message, optional, tag = "1")]
    pub(super) timestamp: Option<Timestamp>,
    #[prost(int32, tag = "2")]
    pub(super) state: i32,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) message: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) err: Bytes,
    #[prost(message, optional, tag = "5")]
    pub(super) container: Option<ContainerStatus>,
    #[prost(message, optional, tag = "6")]
    pub(super) port_status: Option<PortStatus>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ContainerStatus {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) container_id: Bytes,
    #[prost(int32, tag = "2")]
    pub(super) pid: i32,
    #[prost(int32, tag = "3")]
    pub(super) exit_code: i32,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct PortStatus {
    #[prost(message, repeated, tag = "1")]
    pub(super) ports: Vec<PortConfig>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct NetworkAttachment {
    #[prost(message, optional, tag = "1")]
    pub(super) network: Option<Network>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(super) addresses: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Network {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) id: Bytes,
    #[prost(message, optional, tag = "2")]
    pub(super) meta: Option<Meta>,
    #[prost(message, optional, tag = "3")]
    pub(super) spec: Option<NetworkSpec>,
    #[prost(message, optional, tag = "4")]
    pub(super) driver_state: Option<Driver>,
    #[prost(message, optional, tag = "5")]
    pub(super) ipam: Option<Ipam>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Ipam {
    #[prost(message, repeated, tag = "3")]
    pub(super) pools: Vec<AddressPool>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct AddressPool {
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) subnet: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) range: Bytes,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Driver {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) name: Bytes,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct NetworkSpec {
    #[prost(message, optional, tag = "1")]
    pub(super) annotations: Option<Annotations>,
    #[prost(bool, tag = "4")]
    pub(super) internal: bool,
    #[prost(bool, tag = "6")]
    pub(super) attachable: bool,
    #[prost(bool, tag = "7")]
    pub(super) ingress: bool,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct GetNodeRequest {
    #[prost(string, tag = "1")]
    pub(super) node_id: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct GetNodeResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) node: Option<Node>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct WatchRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) entries: Vec<WatchEntry>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct WatchEntry {
    #[prost(string, tag = "1")]
    pub(super) kind: String,
    /// A mask of what [`Event::action`] can be.
    #[prost(int32, tag = "2")]
    pub(super) action: i32,
}

/// An event of a message of the watch.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Event {
    #[prost(int32, tag = "1")]
    pub(super) action: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) object: Option<AnyObject>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct AnyObject {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4")]
    pub(super) kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(super) enum Kind {
    #[prost(message, tag = "1")]
    Node(Node),
    #[prost(message, tag = "2")]
    Service(Service),
    #[prost(message, tag = "3")]
    Network(Network),
    #[prost(message, tag = "4")]
    Task(Task),
}

/// What an event can say. The numbers add up in a [`WatchEntry::action`].
pub(super) mod action {
    pub(in super::super) const CREATE: i32 = 1;
    pub(in super::super) const UPDATE: i32 = 2;
    pub(in super::super) const REMOVE: i32 = 4;
}
