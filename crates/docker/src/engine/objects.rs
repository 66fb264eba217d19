//! What the Engine lists, as far as discovery needs it.
//!
//! Only members that become a label, an address or a metric, or explain the state of an object, are
//! here: environments, commands and the content of secrets and configs are never decoded. Members
//! that are missing or `null` are empty, zero or false, as in Go. Texts that the
//! Engine takes from a fixed set (states, modes) stay texts, so that a value which a later version
//! brings is a label like any other.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::info::host_of;
use super::labels::LabelMap;

/// A node of a Swarm, of `/nodes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its ID.
    pub id: Arc<str>,
    /// `Version.Index`.
    pub version: u64,
    /// `CreatedAt`, in microseconds since 1970; 0 if unknown.
    pub created: i64,
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
    /// The drivers that its Engine has.
    pub plugins: Vec<Plugin>,
    /// `ready`, `down`, `unknown` or `disconnected`.
    pub state: Arc<str>,
    /// Why it is in that state, shortened; mostly empty.
    pub message: Arc<str>,
    /// The resources that its Engine reports.
    pub resources: Resources,
    /// Other resources that it has, by kind.
    pub generic_resources: Vec<GenericResource>,
    /// Address as the managers see it; may be `0.0.0.0` or a loopback address for a manager.
    pub address: Arc<str>,
    /// What only managers have.
    pub manager: Option<ManagerStatus>,
}

/// A driver that an Engine has, or a service needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plugin {
    /// `Volume`, `Network` or `Log`.
    pub kind: Arc<str>,
    /// `local`, `json-file`, `vieux/sshfs:latest`.
    pub name: Arc<str>,
}

/// Resources that a node has, or a task reserves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPUs, in billionths.
    pub nano_cpus: i64,
    /// Memory, in bytes.
    pub memory_bytes: i64,
}

/// A resource that only its operator knows: `gpu`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenericResource {
    /// `gpu`.
    pub kind: Arc<str>,
    /// How many of them. One that has a name of its own counts as one.
    pub count: i64,
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

/// The label that `docker stack deploy` gives to all objects of a stack.
pub const STACK_LABEL: &str = "com.docker.stack.namespace";

/// A service, of `/services`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its ID.
    pub id: Arc<str>,
    /// `Version.Index`.
    pub version: u64,
    /// `CreatedAt`, in microseconds since 1970; 0 if unknown.
    pub created: i64,
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
    /// The most that each task may use; 0 for no limit.
    pub limits: Resources,
    /// Other resources that each task reserves, by kind.
    pub generic_resources: Vec<GenericResource>,
    /// When a task that ended is replaced: `none`, `on-failure` or `any`; empty if unknown.
    pub restart_condition: Arc<str>,
    /// The networks that its tasks ask for, by ID.
    pub networks: Vec<Arc<str>>,
    /// Host name of its containers, a template maybe.
    pub hostname: Arc<str>,
    /// Image of its containers; empty for other runtimes.
    pub image: Arc<str>,
    /// The volume and log drivers that its tasks need.
    pub plugins: Vec<Plugin>,
    /// The configs that its containers use, by ID.
    pub configs: Vec<Arc<str>>,
    /// The secrets that its containers use, by ID.
    pub secrets: Vec<Arc<str>>,
    /// Which run of a job is the present one; 0 for other services.
    pub job_iteration: u64,
    /// When that run was started, in microseconds since 1970; 0 if unknown.
    pub job_started: i64,
    /// `updating`, `paused`, `completed`, `rollback_started`, …; empty before the first update.
    pub update_state: Arc<str>,
    /// What happened in the last update, shortened.
    pub update_message: Arc<str>,
    /// When the last update began, in microseconds since 1970; 0 if unknown.
    pub update_started: i64,
    /// When it ended, in microseconds since 1970; 0 if it has not, or if unknown.
    pub update_completed: i64,
    /// `vip` or `dnsrr`.
    pub endpoint_mode: Arc<str>,
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
    /// Image of its container.
    pub image: Arc<str>,
    /// Resources that it reserves.
    pub reservations: Resources,
    /// Other resources that it reserves, by kind.
    pub generic_resources: Vec<GenericResource>,
    /// Which run of a job it belongs to; 0 for other services.
    pub job_iteration: u64,
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
    /// The process of its container, as its node numbers it; 0 if none runs.
    pub pid: u32,
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
    /// When it was created, in microseconds since 1970; 0 if unknown.
    pub created: i64,
    /// Its name.
    pub name: Arc<str>,
    /// The addresses that it has for its containers.
    pub pools: Vec<AddressPool>,
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

/// Addresses of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressPool {
    /// `10.0.1.0/24`.
    pub subnet: Arc<str>,
    /// The part of it that containers get; empty for all of it.
    pub range: Arc<str>,
}

/// A config, of `/configs`.
pub type SwarmConfig = StoredFile<false>;

/// A secret, of `/secrets`.
pub type SwarmSecret = StoredFile<true>;

/// A file that a Swarm stores for its containers. Its content is never read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredFile<const SECRET: bool> {
    /// Its ID.
    pub id: Arc<str>,
    /// `Version.Index`.
    pub version: u64,
    /// `CreatedAt`, in microseconds since 1970; 0 if unknown.
    pub created: i64,
    /// `UpdatedAt`, in microseconds since 1970; 0 if unknown.
    pub updated: i64,
    /// Its name.
    pub name: Arc<str>,
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

impl Plugin {
    /// A volume driver, if it is one that not every Engine has.
    pub(crate) fn volume(name: Arc<str>, symbol: impl FnOnce(&str) -> Arc<str>) -> Option<Self> {
        let is_plugin = !matches!(&*name, "" | "local");
        is_plugin.then(|| Self { kind: symbol("Volume"), name })
    }

    /// A log driver, if a service names one.
    pub(crate) fn log(name: Arc<str>, symbol: impl FnOnce(&str) -> Arc<str>) -> Option<Self> {
        let is_plugin = !matches!(&*name, "" | "none");
        is_plugin.then(|| Self { kind: symbol("Log"), name })
    }
}

impl GenericResource {
    /// One of each kind, with the sum of all, in the order of the kinds.
    pub(crate) fn summed(all: Vec<Self>) -> Vec<Self> {
        let mut sums = BTreeMap::<_, i64>::new();
        for Self { kind, count } in all {
            let sum = sums.entry(kind).or_default();
            *sum = sum.saturating_add(count);
        }
        sums.into_iter().map(|(kind, count)| Self { kind, count }).collect()
    }
}

impl Node {
    /// The address at which it can be reached: its own, or the manager's if the Engine reports none
    /// that another machine could use (moby#35437, moby#30119).
    pub fn usable_address(&self) -> Option<Cow<'_, str>> {
        fn is_usable(address: &str) -> bool {
            match address.parse::<IpAddr>() {
                Ok(ip) => !ip.is_unspecified() && !ip.is_loopback(),
                Err(_) => !address.is_empty(),
            }
        }
        if is_usable(&self.address) {
            return Some(Cow::Borrowed(&self.address));
        }
        let manager = host_of(&self.manager.as_ref()?.address)?;
        is_usable(&manager).then_some(Cow::Owned(manager))
    }
}

impl Task {
    /// Whether it is in a state that it never leaves: its container does not run any more.
    pub fn has_ended(&self) -> bool {
        matches!(
            &*self.state,
            "complete" | "shutdown" | "failed" | "rejected" | "remove" | "orphaned"
        )
    }
}

impl TaskFailure {
    /// `None` for neither.
    pub(crate) fn of(error: Arc<str>, exit_code: i64) -> Option<Box<Self>> {
        let failed = !error.is_empty() || exit_code != 0;
        failed.then(|| Box::new(Self { error, exit_code }))
    }
}
