//! From SwarmKit's messages to the objects of the Engine API.
//!
//! Does what moby's `daemon/cluster/convert` does before the Engine writes its JSON, and then what
//! reading that JSON here does: the words of its fixed sets in lower case, bytes that are not UTF-8
//! replaced one by one, the smallest part that is bad left out.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use prost::{DecodeError, Message};
use swarmscout_refresh::Problem;
use swarmscout_refresh::problems::Problems;

use super::messages as sent;
use crate::engine::{
    AddressPool, Attachment, GenericResource, LabelMap, MAX_ELEMENT, ManagerStatus, Mode, Network,
    Node, Placement, Platform, Plugin, Port, Resources, Service, Task, TaskFailure, VirtualIp,
    parse_cidr, push_lossy, shortened,
};

/// Strings and label maps that occur again and again are held once. Those that nothing else holds
/// any more are dropped when they are too many, as a watch goes on for months.
#[derive(Debug, Default)]
pub(super) struct Converter {
    symbols: HashSet<Arc<str>, RandomState>,
    /// By their labels, written one after the other in the order of their keys: SwarmKit writes
    /// equal maps in any order.
    label_maps: HashMap<Box<[u8]>, Arc<LabelMap>, RandomState>,
    /// Their number when they were last scanned.
    kept: usize,
    problems: Problems,
}

/// This many strings and label maps are held before they are first scanned.
const FEW: usize = 4096;

/// What a list of SwarmKit holds.
pub(super) trait Listed: Sized {
    /// How it is sent.
    type Sent: Message + Default;
    /// What [`Problem::kind`] calls it.
    const KIND: &'static str;

    /// `None` for what the Engine API does not list either.
    fn convert(sent: Self::Sent, converter: &mut Converter) -> Option<Self>;
}

impl Converter {
    /// Reads one object of a list.
    pub(super) fn read<T: Listed>(&mut self, sent: Bytes) -> Result<Option<T>, DecodeError> {
        if sent.len() > MAX_ELEMENT {
            let id = lossy(&sent::Identity::decode(sent)?.id).into_owned();
            self.problems.push(T::KIND, &id, "object too large", String::new());
            return Ok(None);
        }
        Ok(T::convert(T::Sent::decode(sent)?, self))
    }

    /// What was left out since this was last asked.
    pub(super) fn take_problems(&mut self) -> Vec<Problem> {
        self.problems.take()
    }

    /// Drops strings and label maps that nothing else holds, if there are many more than at the
    /// last time.
    pub(super) fn sweep(&mut self) {
        if self.symbols.len() + self.label_maps.len() <= 2 * self.kept.max(FEW) {
            return;
        }
        self.symbols.retain(|symbol| Arc::strong_count(symbol) > 1);
        self.label_maps.retain(|_, labels| Arc::strong_count(labels) > 1);
        self.kept = self.symbols.len() + self.label_maps.len();
    }

    fn symbol(&mut self, text: &str) -> Arc<str> {
        Arc::clone(self.symbols.get_or_insert_with(text, |text| Arc::from(text)))
    }

    fn text(&mut self, bytes: &[u8]) -> Arc<str> {
        self.symbol(&lossy(bytes))
    }

    /// The word of a fixed set with this number. A number that is not known is its own word, as Go
    /// writes it.
    fn word(&mut self, words: &[(i32, &str)], number: i32) -> Arc<str> {
        match known(words, number) {
            Some(word) => self.symbol(word),
            None => self.symbol(&number.to_string()),
        }
    }

    /// As [`Self::word`], but a number that is not known is nothing.
    fn known_word(&mut self, words: &[(i32, &str)], number: i32) -> Arc<str> {
        self.symbol(known(words, number).unwrap_or_default())
    }

    /// The beginning of a text that may be long.
    fn shortened(&mut self, bytes: &[u8]) -> Arc<str> {
        self.symbol(&shortened(&lossy(bytes)))
    }

    fn plugin(&mut self, sent: &sent::Plugin) -> Plugin {
        Plugin { kind: self.text(&sent.kind), name: self.text(&sent.name) }
    }

    fn platform(&mut self, sent: &sent::Platform) -> Platform {
        Platform { architecture: self.text(&sent.architecture), os: self.text(&sent.os) }
    }

    /// The volume and log drivers that tasks of this template need.
    fn plugins(&mut self, mounts: &[sent::Mount], log: Option<&sent::Driver>) -> Vec<Plugin> {
        let volumes = mounts.iter().filter(|mount| mount.kind == VOLUME);
        let drivers = volumes.filter_map(|mount| mount.volume.as_ref()?.driver.as_ref());
        let mut plugins = Vec::new();
        for driver in drivers {
            let name = self.text(&driver.name);
            plugins.extend(Plugin::volume(name, |kind| self.symbol(kind)));
        }
        if let Some(driver) = log {
            let name = self.text(&driver.name);
            plugins.extend(Plugin::log(name, |kind| self.symbol(kind)));
        }
        plugins
    }

    fn generics(&mut self, sent: Option<&sent::Resources>) -> Vec<GenericResource> {
        let all = sent.iter().flat_map(|resources| &resources.generic);
        let each = all.filter_map(|resource| {
            Some(match resource.kind.as_ref()? {
                sent::NamedOrDiscrete::Named(it) => {
                    GenericResource { kind: self.text(&it.kind), count: 1 }
                }
                sent::NamedOrDiscrete::Discrete(it) => {
                    GenericResource { kind: self.text(&it.kind), count: it.count }
                }
            })
        });
        GenericResource::summed(each.collect())
    }

    fn labels(&mut self, mut labels: Vec<sent::Label>) -> Arc<LabelMap> {
        labels.sort_by(|a, b| a.key.cmp(&b.key));
        let mut written = Vec::with_capacity(64 * labels.len());
        for text in labels.iter().flat_map(|label| [&label.key, &label.value]) {
            written.extend_from_slice(&text.len().to_le_bytes());
            written.extend_from_slice(text);
        }
        if let Some(known) = self.label_maps.get(&*written) {
            return Arc::clone(known);
        }
        let owned = |text: &Bytes| lossy(text).into_owned();
        let pairs = labels.iter().map(|label| (owned(&label.key), owned(&label.value))).collect();
        let labels = Arc::new(LabelMap::new(pairs));
        self.label_maps.insert(written.into(), Arc::clone(&labels));
        labels
    }

    fn ports(&mut self, ports: Vec<sent::PortConfig>) -> Vec<Port> {
        let port = |port: sent::PortConfig| Port {
            name: self.text(&port.name),
            protocol: self.known_word(PROTOCOLS, port.protocol),
            target: port.target_port,
            published: port.published_port,
            mode: self.known_word(PUBLISH_MODES, port.publish_mode),
        };
        ports.into_iter().map(port).collect()
    }

    /// An address with the length of its network; anything else is reported.
    fn address(
        &mut self,
        kind: &'static str,
        id: &[u8],
        what: &'static str,
        text: &[u8],
    ) -> Option<IpAddr> {
        let text = lossy(text);
        let address = parse_cidr(&text);
        if address.is_none() {
            let shown = &text[..text.floor_char_boundary(60)];
            let detail =
                format!("expected an address with the length of its network, found {shown:?}");
            self.problems.push(kind, &lossy(id), what, detail);
        }
        address
    }
}

impl Listed for Node {
    type Sent = sent::Node;
    const KIND: &'static str = "node";

    fn convert(sent: sent::Node, c: &mut Converter) -> Option<Self> {
        let spec = sent.spec.unwrap_or_default();
        let description = sent.description.unwrap_or_default();
        let platform = description.platform.unwrap_or_default();
        let engine = description.engine.unwrap_or_default();
        let status = sent.status.unwrap_or_default();
        Some(Self {
            id: c.text(&sent.id),
            version: version(sent.meta),
            created: created(sent.meta),
            updated: updated(sent.meta),
            role: c.word(ROLES, spec.desired_role),
            availability: c.word(AVAILABILITIES, spec.availability),
            labels: c.labels(spec.annotations.unwrap_or_default().labels),
            hostname: c.text(&description.hostname),
            architecture: c.text(&platform.architecture),
            os: c.text(&platform.os),
            engine_version: c.text(&engine.engine_version),
            engine_labels: c.labels(engine.labels),
            plugins: engine.plugins.iter().map(|plugin| c.plugin(plugin)).collect(),
            state: c.word(NODE_STATES, status.state),
            message: c.shortened(&status.message),
            resources: resources(description.resources.as_ref()),
            generic_resources: c.generics(description.resources.as_ref()),
            address: c.text(&status.addr),
            manager: sent.manager_status.map(|manager| ManagerStatus {
                leader: manager.leader,
                reachability: c.word(REACHABILITIES, manager.reachability),
                address: c.text(&manager.addr),
            }),
        })
    }
}

impl Listed for Service {
    type Sent = sent::Service;
    const KIND: &'static str = "service";

    fn convert(sent: sent::Service, c: &mut Converter) -> Option<Self> {
        let spec = sent.spec.unwrap_or_default();
        let mut task = spec.task.unwrap_or_default();
        let container = container(task.runtime.take())?;
        let annotations = spec.annotations.unwrap_or_default();
        let placement = task.placement.unwrap_or_default();
        let resources_of_task = task.resources.unwrap_or_default();
        let reservations = resources_of_task.reservations.unwrap_or_default();
        let restart = task.restart.map(|policy| policy.condition);
        let networks = if task.networks.is_empty() { spec.networks } else { task.networks };
        let update = sent.update_status.unwrap_or_default();
        let job = sent.job_status.unwrap_or_default();
        let (replicas, max_concurrent) = match &spec.mode {
            Some(sent::Mode::Replicated(mode)) => (mode.replicas, 0),
            Some(sent::Mode::ReplicatedJob(job)) => (job.completions, job.max_concurrent),
            Some(sent::Mode::Global(_) | sent::Mode::GlobalJob(_)) | None => (0, 0),
        };
        let endpoint = sent.endpoint.unwrap_or_default();
        let virtual_ip = |ip: sent::VirtualIp| {
            let address = if ip.addr.is_empty() {
                None
            } else {
                Some(c.address(Self::KIND, &sent.id, "virtual IP of wrong type", &ip.addr)?)
            };
            Some(VirtualIp { network: c.text(&ip.network_id), address })
        };
        Some(Self {
            virtual_ips: endpoint.virtual_ips.into_iter().filter_map(virtual_ip).collect(),
            id: c.text(&sent.id),
            version: version(sent.meta),
            created: created(sent.meta),
            updated: updated(sent.meta),
            name: c.text(&annotations.name),
            labels: c.labels(annotations.labels),
            mode: match spec.mode {
                None => Mode::Unknown,
                Some(sent::Mode::Replicated(_)) => Mode::Replicated,
                Some(sent::Mode::Global(_)) => Mode::Global,
                Some(sent::Mode::ReplicatedJob(_)) => Mode::ReplicatedJob,
                Some(sent::Mode::GlobalJob(_)) => Mode::GlobalJob,
            },
            replicas,
            max_concurrent,
            placement: Placement {
                constraints: placement.constraints.iter().map(|text| c.text(text)).collect(),
                platforms: placement.platforms.iter().map(|it| c.platform(it)).collect(),
                max_replicas: placement.max_replicas,
            },
            reservations: resources(Some(&reservations)),
            limits: resources(resources_of_task.limits.as_ref()),
            generic_resources: c.generics(Some(&reservations)),
            // The Engine takes an unknown condition for the default.
            restart_condition: c.symbol(
                restart
                    .map_or("", |condition| known(RESTART_CONDITIONS, condition).unwrap_or("any")),
            ),
            networks: networks.iter().map(|network| c.text(&network.target)).collect(),
            hostname: c.text(&container.hostname),
            image: c.text(&container.image),
            plugins: c.plugins(&container.mounts, task.log_driver.as_ref()),
            configs: container.configs.iter().map(|config| c.text(&config.id)).collect(),
            secrets: container.secrets.iter().map(|secret| c.text(&secret.id)).collect(),
            job_iteration: job.iteration.map_or(0, |iteration| iteration.index),
            job_started: job.last_execution.map_or(0, micros),
            update_state: c.known_word(UPDATE_STATES, update.state),
            update_message: c.shortened(&update.message),
            update_started: update.started_at.map_or(0, micros),
            update_completed: update.completed_at.map_or(0, micros),
            endpoint_mode: match endpoint.spec {
                Some(spec) => c.known_word(ENDPOINT_MODES, spec.mode),
                None => Arc::default(),
            },
            ports: c.ports(endpoint.ports),
        })
    }
}

impl Listed for Task {
    type Sent = sent::Task;
    const KIND: &'static str = "task";

    fn convert(sent: sent::Task, c: &mut Converter) -> Option<Self> {
        let spec = sent.spec?;
        let container = container(spec.runtime)?;
        let reservations = spec.resources.unwrap_or_default().reservations;
        let status = sent.status.unwrap_or_default();
        let container_status = status.container.unwrap_or_default();
        let attachment = |attachment: sent::NetworkAttachment| {
            let network = attachment.network.unwrap_or_default();
            let spec = network.spec.unwrap_or_default();
            let ingress = is_ingress(&spec);
            let address =
                |text: Bytes| c.address(Self::KIND, &sent.id, "task address of wrong type", &text);
            Attachment {
                addresses: attachment.addresses.into_iter().filter_map(address).collect(),
                network: c.text(&network.id),
                name: c.text(&spec.annotations.unwrap_or_default().name),
                driver: c.text(&network.driver_state.unwrap_or_default().name),
                ingress,
            }
        };
        Some(Self {
            attachments: sent.networks.into_iter().map(attachment).collect(),
            id: own_text(&sent.id),
            version: version(sent.meta),
            updated: updated(sent.meta),
            service: c.text(&sent.service_id),
            node: c.text(&sent.node_id),
            slot: sent.slot.cast_signed(),
            labels: c.labels(container.labels),
            image: c.text(&container.image),
            reservations: resources(reservations.as_ref()),
            generic_resources: c.generics(reservations.as_ref()),
            job_iteration: sent.job_iteration.map_or(0, |iteration| iteration.index),
            desired_state: c.word(TASK_STATES, sent.desired_state),
            state: c.word(TASK_STATES, status.state),
            created: created(sent.meta),
            state_since: status.timestamp.map_or(0, micros),
            message: c.shortened(&status.message),
            failure: TaskFailure::of(c.shortened(&status.err), container_status.exit_code.into()),
            container: own_text(&container_status.container_id),
            pid: u32::try_from(container_status.pid).unwrap_or_default(),
            host_ports: c.ports(status.port_status.unwrap_or_default().ports),
        })
    }
}

impl Listed for Network {
    type Sent = sent::Network;
    const KIND: &'static str = "network";

    fn convert(sent: sent::Network, c: &mut Converter) -> Option<Self> {
        let spec = sent.spec.unwrap_or_default();
        let ingress = is_ingress(&spec);
        let annotations = spec.annotations.unwrap_or_default();
        if label(&annotations, PREDEFINED).is_some_and(|value| value == "true") {
            return None;
        }
        let pools = sent.ipam.unwrap_or_default().pools.into_iter();
        let pool = |pool: sent::AddressPool| AddressPool {
            subnet: c.text(&pool.subnet),
            range: c.text(&pool.range),
        };
        Some(Self {
            pools: pools.map(pool).collect(),
            id: c.text(&sent.id),
            created: created(sent.meta),
            updated: updated(sent.meta),
            name: c.text(&annotations.name),
            scope: c.symbol("swarm"),
            driver: c.text(&sent.driver_state.unwrap_or_default().name),
            attachable: spec.attachable,
            internal: spec.internal,
            ingress,
            labels: c.labels(annotations.labels),
        })
    }
}

/// Label of the networks `host` and `bridge` of every node, which the Engine knows by other IDs.
const PREDEFINED: &str = "com.docker.swarm.predefined";

/// Label of an `ingress` network that was made by SwarmKit before networks could say so.
const INTERNAL: &str = "com.docker.swarm.internal";

fn is_ingress(spec: &sent::NetworkSpec) -> bool {
    let made_by_swarmkit = |annotations: &sent::Annotations| {
        annotations.name == "ingress" && label(annotations, INTERNAL).is_some()
    };
    spec.ingress || spec.annotations.as_ref().is_some_and(made_by_swarmkit)
}

fn label<'a>(annotations: &'a sent::Annotations, key: &str) -> Option<&'a Bytes> {
    annotations.labels.iter().rfind(|label| label.key == key).map(|label| &label.value)
}

fn container(runtime: Option<sent::Runtime>) -> Option<sent::ContainerSpec> {
    match runtime? {
        sent::Runtime::Container(container) => Some(container),
        sent::Runtime::Attachment(_) | sent::Runtime::Generic(_) => None,
    }
}

fn version(meta: Option<sent::Meta>) -> u64 {
    meta.and_then(|meta| meta.version).map_or(0, |version| version.index)
}

fn created(meta: Option<sent::Meta>) -> i64 {
    meta.and_then(|meta| meta.created_at).map_or(0, micros)
}

fn updated(meta: Option<sent::Meta>) -> i64 {
    meta.and_then(|meta| meta.updated_at).map_or(0, micros)
}

fn resources(sent: Option<&sent::Resources>) -> Resources {
    sent.map_or_else(Resources::default, |sent| Resources {
        nano_cpus: sent.nano_cpus,
        memory_bytes: sent.memory_bytes,
    })
}

/// In microseconds since 1970. An earlier time is Go's zero time: unknown.
fn micros(at: sent::Timestamp) -> i64 {
    at.seconds.saturating_mul(1_000_000).saturating_add(i64::from(at.nanos / 1000)).max(0)
}

/// A string that no other object has.
fn own_text(bytes: &[u8]) -> Arc<str> {
    Arc::from(&*lossy(bytes))
}

/// As the Engine's JSON has it.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    push_lossy(&mut text, bytes);
    Cow::Owned(text)
}

fn known<'a>(words: &[(i32, &'a str)], number: i32) -> Option<&'a str> {
    words.iter().find(|(known, _)| *known == number).map(|(_, word)| *word)
}

type Words = &'static [(i32, &'static str)];

const ROLES: Words = &[(0, "worker"), (1, "manager")];
const AVAILABILITIES: Words = &[(0, "active"), (1, "pause"), (2, "drain")];
const NODE_STATES: Words = &[(0, "unknown"), (1, "down"), (2, "ready"), (3, "disconnected")];
const REACHABILITIES: Words = &[(0, "unknown"), (1, "unreachable"), (2, "reachable")];
const PROTOCOLS: Words = &[(0, "tcp"), (1, "udp"), (2, "sctp")];
const ENDPOINT_MODES: Words = &[(0, "vip"), (1, "dnsrr")];
/// `Mount.type` of a volume.
const VOLUME: i32 = 1;
const PUBLISH_MODES: Words = &[(0, "ingress"), (1, "host")];
const RESTART_CONDITIONS: Words = &[(0, "none"), (1, "on-failure"), (2, "any")];
const UPDATE_STATES: Words = &[
    (1, "updating"),
    (2, "paused"),
    (3, "completed"),
    (4, "rollback_started"),
    (5, "rollback_paused"),
    (6, "rollback_completed"),
];
const TASK_STATES: Words = &[
    (0, "new"),
    (64, "pending"),
    (192, "assigned"),
    (256, "accepted"),
    (320, "preparing"),
    (384, "ready"),
    (448, "starting"),
    (512, "running"),
    (576, "complete"),
    (640, "shutdown"),
    (704, "failed"),
    (768, "rejected"),
    (800, "remove"),
    (832, "orphaned"),
];
