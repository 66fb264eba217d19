//! What the Engine lists, as far as discovery needs it.
//!
//! Only members that become a label or an address, or explain the state of an object, are here:
//! environments, commands, secrets and mounts are never decoded. Members that are missing or `null` are empty, zero or false, as in Go. Texts that the
//! Engine takes from a fixed set (states, modes) stay texts, so that a value which a later version
//! brings is a label like any other.

use std::net::IpAddr;
use std::sync::Arc;

use super::labels::LabelMap;

/// A node of a Swarm, of `/nodes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its ID.
    pub id: Arc<str>,
    /// `Version.Index`.
    pub version: u64,
    /// `UpdatedAt`, in microseconds since 1970; 0 if unknown.
    pub updated: i64,
    /// `worker` or `manager`.
    pub role: Arc<str>,
    /// `active`, `pause` or `drain`.
    pub availability: Arc<str>,
    /// Labels given with `docker node update`.
    pub labels: Arc<LabelMap>,
    /// Host name.
    pub hostname: Arc<str>,
    /// `x86_64`.
    pub architecture: Arc<str>,
    /// `linux`.
    pub os: Arc<str>,
    /// `20.10.24`.
    pub engine_version: Arc<str>,
    /// Labels of the Engine's own configuration.
    pub engine_labels: Arc<LabelMap>,
    /// `ready`, `down`, `unknown` or `disconnected`.
    pub state: Arc<str>,
    /// Why it is in that state, shortened; mostly empty.
    pub message: Arc<str>,
    /// The resources that its Engine reports.
    pub resources: Resources,
    /// Address as the managers see it; may be `0.0.0.0` or a loopback address for a manager.
    pub address: Arc<str>,
    /// What only managers have.
    pub manager: Option<ManagerStatus>,
}

/// Resources that a node has, or a task reserves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPUs, in billionths.
    pub nano_cpus: i64,
    /// Memory, in bytes.
    pub memory_bytes: i64,
}

/// `ManagerStatus` of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManagerStatus {
    /// Whether it leads.
    pub leader: bool,
    /// `reachable`, `unreachable` or `unknown`.
    pub reachability: Arc<str>,
    /// `host:port` at which other managers reach it.
    pub address: Arc<str>,
}

/// A service, of `/services`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its ID.
    pub id: Arc<str>,
    /// `Version.Index`.
    pub version: u64,
    /// `UpdatedAt`, in microseconds since 1970; 0 if unknown.
    pub updated: i64,
    /// Its name.
    pub name: Arc<str>,
    /// Labels of the service itself, not of its containers.
    pub labels: Arc<LabelMap>,
    /// How many tasks it has.
    pub mode: Mode,
    /// The wanted number of tasks, of a job that of completions; 0 for a task on each node.
    pub replicas: u64,
    /// How many tasks of a job may run at a time; 0 for other services.
    pub max_concurrent: u64,
    /// Where its tasks may run.
    pub placement: Placement,
    /// Resources that each task reserves.
    pub reservations: Resources,
    /// Kinds of other resources that each task reserves: `gpu`.
    pub generic_resources: Vec<Arc<str>>,
    /// When a task that ended is replaced: `none`, `on-failure` or `any`; empty if unknown.
    pub restart_condition: Arc<str>,
    /// The networks that its tasks ask for, by ID.
    pub networks: Vec<Arc<str>>,
    /// Host name of its containers, a template maybe.
    pub hostname: Arc<str>,
    /// Image of its containers; empty for other runtimes.
    pub image: Arc<str>,
    /// `updating`, `paused`, `completed`, `rollback_started`, …; empty before the first update.
    pub update_state: Arc<str>,
    /// What happened in the last update, shortened.
    pub update_message: Arc<str>,
    /// Published ports, those that Swarm picked included.
    pub ports: Vec<Port>,
    /// Its address on each of its networks.
    pub virtual_ips: Vec<VirtualIp>,
}

/// `Placement` of a service's tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// `node.labels.zone==a`: all of them must hold.
    pub constraints: Vec<Arc<str>>,
    /// What the image was built for: one of them must fit. Empty for any.
    pub platforms: Vec<Platform>,
    /// The most tasks on one node; 0 for no limit.
    pub max_replicas: u64,
}

/// What an image was built for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Platform {
    /// `amd64`; empty for any.
    pub architecture: Arc<str>,
    /// `linux`; empty for any.
    pub os: Arc<str>,
}

/// `Mode` of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// None that is known.
    #[default]
    Unknown,
    /// A task on each node.
    Global,
    /// A given number of tasks.
    Replicated,
    /// A task on each node that runs to its end.
    GlobalJob,
    /// A given number of tasks that run to their end.
    ReplicatedJob,
}

/// A port of a service or, published on its node, of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// Its name, mostly empty.
    pub name: Arc<str>,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: Arc<str>,
    /// Where the container listens.
    pub target: u32,
    /// Where nodes listen for it; 0 where Swarm did not say.
    pub published: u32,
    /// `ingress` or `host`.
    pub mode: Arc<str>,
}

/// A virtual IP of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualIp {
    /// ID of its network.
    pub network: Arc<str>,
    /// The address. None on the host's network.
    pub address: Option<IpAddr>,
}

/// A task, of `/tasks`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Its ID.
    pub id: Arc<str>,
    /// `Version.Index`.
    pub version: u64,
    /// `UpdatedAt`, in microseconds since 1970; 0 if unknown.
    pub updated: i64,
    /// ID of its service.
    pub service: Arc<str>,
    /// ID of its node; empty while it waits for one.
    pub node: Arc<str>,
    /// Which of the replicas it is; 0 for global services.
    pub slot: i64,
    /// Labels of its container, image labels not included.
    pub labels: Arc<LabelMap>,
    /// What the orchestrator wants: `running`, `shutdown`, …
    pub desired_state: Arc<str>,
    /// What its node last reported: `running`, `failed`, …
    pub state: Arc<str>,
    /// `CreatedAt`, in microseconds since 1970; 0 if unknown.
    pub created: i64,
    /// When it got into its state, in microseconds since 1970; 0 if unknown.
    pub state_since: i64,
    /// What its node or the scheduler last did with it, shortened: `started`.
    pub message: Arc<str>,
    /// What went wrong; `None` for a task that runs, or ended well.
    pub failure: Option<Box<TaskFailure>>,
    /// ID of its container; empty before it has one.
    pub container: Arc<str>,
    /// Ports published on its node alone.
    pub host_ports: Vec<Port>,
    /// The networks that it is attached to.
    pub attachments: Vec<Attachment>,
}

/// What went wrong with a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskFailure {
    /// The error, shortened: `no suitable node (scheduling constraints not satisfied on 3 nodes)`.
    pub error: Arc<str>,
    /// The exit code of its container; 0 if it has none.
    pub exit_code: i64,
}

/// A network of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachment {
    /// ID of the network.
    pub network: Arc<str>,
    /// Name of the network.
    pub name: Arc<str>,
    /// Driver of the network: `overlay`.
    pub driver: Arc<str>,
    /// Whether it is the one of published ports, which no container can be reached by.
    pub ingress: bool,
    /// Addresses of the task there; none on the host's network.
    pub addresses: Vec<IpAddr>,
}

/// A network, of `/networks`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Its ID.
    pub id: Arc<str>,
    /// When it was last changed, in microseconds since 1970; 0 if unknown, as in
    /// `/networks`, which has only `Created`.
    pub updated: i64,
    /// Its name.
    pub name: Arc<str>,
    /// `swarm`, `local` or `global`.
    pub scope: Arc<str>,
    /// `overlay`.
    pub driver: Arc<str>,
    /// Whether containers outside of services may use it.
    pub attachable: bool,
    /// Whether it has no way out.
    pub internal: bool,
    /// Whether it is the one of published ports.
    pub ingress: bool,
    /// Its labels.
    pub labels: Arc<LabelMap>,
}

/// A container, of `/containers/json`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Its ID.
    pub id: Arc<str>,
    /// The first of its names, with the slash that the Engine puts before it.
    pub name: Option<Arc<str>>,
    /// Image as it was given.
    pub image: Arc<str>,
    /// `sha256:…`
    pub image_id: Arc<str>,
    /// Its labels, those of the image included.
    pub labels: Arc<LabelMap>,
    /// `default`, `bridge`, `host`, `none`, a network, or `container:<ID>`.
    pub network_mode: Arc<str>,
    /// Its ports.
    pub ports: Vec<ContainerPort>,
    /// Its networks by name, sorted; `None` for one that is `null` or was left out.
    pub networks: Vec<(Arc<str>, Option<Endpoint>)>,
}

/// A port of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerPort {
    /// Where the container listens.
    pub private: u16,
    /// Where the host does; 0 for nowhere.
    pub public: u16,
    /// Address of the host where it does.
    pub ip: Option<IpAddr>,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: Arc<str>,
}

/// A network of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// ID of the network.
    pub network: Arc<str>,
    /// IPv4 address, or else the IPv6 one.
    pub address: Option<IpAddr>,
}

impl TaskFailure {
    /// `None` for neither.
    pub(crate) fn of(error: Arc<str>, exit_code: i64) -> Option<Box<Self>> {
        let failed = !error.is_empty() || exit_code != 0;
        failed.then(|| Box::new(Self { error, exit_code }))
    }
}
