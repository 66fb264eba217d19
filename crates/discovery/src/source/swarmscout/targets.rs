//! The targets of slots, and of what services want to be probed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use swarmscout_docker::engine::{LabelMap, Service, Task};
use swarmscout_model::labels::{ADDRESS, INSTANCE, JOB, PARAM_PREFIX};
use swarmscout_model::target_list::{ADDRESS_SOURCE, HONOR_LABELS, LIST, NODE_PART, UNREACHABLE};
use swarmscout_model::{Labels, LabelsWriter, PromDuration, ReachPath, TargetGroup};
use swarmscout_refresh::problems::shown;
use swarmscout_swarm::{Bucket, NODE_PART_PORT, NodeNames, NodePorts, Snapshot};

use super::SOURCE;
use super::address::{
    self, Address, AddressHost, AddressSource, NoAddress, SharedNetworks, Wanted,
};
use super::config::{CopiedLabel, Reach, UnreachableTargets};
use super::options::{Options, stack_of};
use super::presets::{Preset, PresetInstance};
use super::settings::{self, Endpoint, EndpointPort, Shared};
use super::slots::Slot;
use crate::limits::{Excess, Meter};
use crate::source::dockerswarm::group_cache::BucketResult;
use crate::source::dockerswarm::meta;
use crate::source::dockerswarm::shared_labels::{NodeLabels, SharedLabels};
use crate::source::moby::{AddressWriter, Skipped};

const CLASS: &str = "__meta_swarmscout_class";
pub(super) const DECLARED_BY: &str = "__meta_swarmscout_declared_by";
pub(super) const ENDPOINT: &str = "__meta_swarmscout_endpoint";
/// The value of [`DECLARED_BY`] for a target without labels.
pub(super) const PRESET: &str = "preset";
pub(super) const METRICS_PATH: &str = "__metrics_path__";
const SAMPLE_LIMIT: &str = "__sample_limit__";
pub(super) const SCHEME: &str = "__scheme__";
const SCRAPE_INTERVAL: &str = "__scrape_interval__";
const SCRAPE_TIMEOUT: &str = "__scrape_timeout__";
pub(super) const NODE: &str = "node";
const SERVICE: &str = "service";
const STACK: &str = "stack";
const TASK_SLOT: &str = "task_slot";

/// What targets are made from, in addition to the objects of a bucket.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) options: &'a Options,
    pub(super) snapshot: &'a Snapshot,
    pub(super) shared: &'a SharedLabels,
    pub(super) names: &'a NodeNames,
    pub(super) networks: &'a SharedNetworks,
    /// Claims that others have made before: the IDs of their services.
    pub(super) lost: &'a BTreeMap<Claim, Arc<str>>,
    /// Where node parts listen that do not at the usual port.
    pub(super) node_ports: &'a NodePorts,
}

/// Buffers, for reuse.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) writer: LabelsWriter,
    pub(super) address: AddressWriter,
}

/// Says that a target has this address on a node, where only one container can listen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    /// Address, path and parameters.
    pub(super) url: Box<str>,
    pub(super) service: Arc<str>,
    slot: Arc<str>,
    endpoint: Arc<str>,
}

/// How the tasks with the same labels of their containers are scraped.
struct Plan<'a> {
    endpoints: Vec<Planned<'a>>,
}

/// An endpoint with what all its targets share.
struct Planned<'a> {
    endpoint: Endpoint<'a>,
    list: Arc<str>,
    port: u16,
    instance: PresetInstance,
    /// Whether its targets say where they run, and what labels the service and the node have.
    has_place: bool,
    /// Labels between those of the address' source and those of the node.
    origin: Labels,
    /// Labels for the scrape between path and scheme.
    query: Labels,
    /// Labels for the scrape after the scheme.
    pace: Labels,
}

/// On which way a task is scraped.
enum Way<'a> {
    /// At its address.
    Direct(Address<'a>),
    /// By the part on its node, which listens there.
    NodePart { host: &'a str, port: u16, address: Option<Address<'a>> },
}

impl<'a> Way<'a> {
    /// The address of the task itself.
    fn address(&self) -> Option<&Address<'a>> {
        match self {
            Self::Direct(address) => Some(address),
            Self::NodePart { address, .. } => address.as_ref(),
        }
    }
}

impl<'a> Plan<'a> {
    /// What the labels of a service, of its containers, and the presets say.
    fn new(
        options: &Options,
        service: &'a Service,
        container: &'a LabelMap,
        skipped: &mut Skipped,
        writer: &mut LabelsWriter,
    ) -> Self {
        let mut declared = settings::declared(&options.rules, &service.labels, container);
        for refusal in &declared.refusals {
            skipped.part("service", &service.name, refusal.reason.as_str(), refusal.detail.clone());
        }
        let preset = options.preset(service, &declared);
        let endpoints = match preset {
            Some(preset) => vec![preset.endpoint(options.reach)],
            None => std::mem::take(&mut declared.endpoints),
        };
        let instance = preset.map_or(PresetInstance::Slot, |preset| preset.row().instance);
        let declared_by = match (preset, declared.by) {
            (Some(_), _) => PRESET.to_owned(),
            (None, Some(by)) => format!("{}/{}", by.style(), by.place.as_str()),
            (None, None) => String::new(),
        };
        let planned = endpoints.into_iter().filter_map(|endpoint| {
            let list = options.list(endpoint.class)?;
            let port = port(&endpoint, service).map_err(|(reason, detail)| {
                skipped.part("service", &service.name, reason, detail);
            });
            writer.push(CLASS, endpoint.class);
            writer.push(DECLARED_BY, &declared_by);
            writer.push(ENDPOINT, endpoint.name);
            let origin = writer.build();
            let (query, pace) = scrape_labels(&endpoint, writer);
            let port = port.ok()?;
            let has_place = true;
            Some(Planned { endpoint, list, port, instance, has_place, origin, query, pace })
        });
        Self { endpoints: planned.collect() }
    }
}

/// The port on which a container listens, or the reason and what to do.
fn port(endpoint: &Endpoint<'_>, service: &Service) -> Result<u16, (&'static str, String)> {
    if let EndpointPort::Number(port) = endpoint.port {
        return Ok(port);
    }
    let tcp = service.ports.iter().filter(|port| &*port.protocol == "tcp");
    let published: BTreeSet<_> = tcp.filter_map(|port| u16::try_from(port.target).ok()).collect();
    let mut ports = published.iter().filter(|port| **port != 0);
    let todo = "name the port with the label port";
    match (ports.next(), ports.next()) {
        (Some(port), None) => Ok(*port),
        (None, _) => Err(("no published TCP port", todo.to_owned())),
        (Some(_), Some(_)) => {
            let all: Vec<_> = published.iter().take(8).map(ToString::to_string).collect();
            Err(("several published TCP ports", format!("{}: {todo}", all.join(", "))))
        }
    }
}

/// Whether a service publishes this port of its containers in mode `host`.
fn is_on_host(service: &Service, port: u16) -> bool {
    let mut ports = service.ports.iter().filter(|port| &*port.mode == "host");
    ports.any(|one| &*one.protocol == "tcp" && one.target == u32::from(port))
}

/// The labels for the scrape between path and scheme, and those after them.
fn scrape_labels(endpoint: &Endpoint<'_>, writer: &mut LabelsWriter) -> (Labels, Labels) {
    let Shared { interval, timeout, .. } = &endpoint.shared;
    for (name, value) in &endpoint.params {
        writer.push(&format!("{PARAM_PREFIX}{name}"), value);
    }
    if let Some(limit) = endpoint.sample_limit {
        writer.push(SAMPLE_LIMIT, &limit.to_string());
    }
    let query = writer.build();
    push_pace(*interval, *timeout, writer);
    (query, writer.build())
}

/// When to scrape.
pub(super) fn push_pace(
    interval: Option<PromDuration>,
    timeout: Option<PromDuration>,
    writer: &mut LabelsWriter,
) {
    if let Some(interval) = interval {
        writer.push(SCRAPE_INTERVAL, &interval.to_string());
    }
    if let Some(timeout) = timeout {
        writer.push(SCRAPE_TIMEOUT, &timeout.to_string());
    }
}

/// Makes a group of each list from a bucket of slots.
pub(super) fn find(
    bucket: &Bucket<Slot>,
    context: Context<'_>,
    buffers: &mut Buffers,
    found: &mut BucketResult<Vec<Claim>>,
    meter: &mut Meter,
) -> Result<(), Excess> {
    let Context { options, snapshot, .. } = context;
    let Some(service) = snapshot.services.get("", bucket.owner()) else { return Ok(()) };
    if !options.selects(service) {
        return Ok(());
    }
    let mut lists: Vec<(Arc<str>, Vec<Labels>)> = Vec::new();
    // The tasks of a service mostly share one map.
    let mut last: Option<(&Arc<LabelMap>, Plan<'_>, Labels)> = None;
    for slot in bucket.objects() {
        let task = slot.task();
        if !last.as_ref().is_some_and(|(map, ..)| Arc::ptr_eq(map, &task.labels)) {
            let BucketResult { skipped, .. } = found;
            let writer = &mut buffers.writer;
            let plan = Plan::new(options, service, &task.labels, skipped, writer);
            if !plan.endpoints.is_empty() {
                skipped.collisions("service", &service.id, &service.labels);
                skipped.collisions("service", &service.id, &task.labels);
            }
            last = Some((&task.labels, plan, meta::container(&task.labels, writer)));
        }
        let Some((_, plan, container)) = &last else { continue };
        let node = context.shared.node(&task.node);
        let node_name = context.names.of(&task.node);
        let of_task = OfTask { service, slot, task, container, node, node_name };
        for planned in &plan.endpoints {
            let Some(target) = of_task.target(planned, context, buffers, found) else { continue };
            let counted = meter.target(&target, || format!("task {}", shown(&task.id)));
            if !found.skipped.fits(counted, SERVICE, &service.name)? {
                continue;
            }
            match lists.iter_mut().find(|(list, _)| *list == planned.list) {
                Some((_, targets)) => targets.push(target),
                None => lists.push((Arc::clone(&planned.list), vec![target])),
            }
        }
    }
    lists.sort_by(|(a, _), (b, _)| a.cmp(b));
    if lists.is_empty() {
        return Ok(());
    }
    let source = bucket.name(SOURCE);
    let of_service = service_labels(service, true, options, &mut buffers.writer);
    for (list, targets) in lists {
        let source = match &*list {
            "" => Arc::clone(&source),
            name => format!("{source};{name}").into(),
        };
        let writer = &mut buffers.writer;
        writer.push(LIST, &list);
        writer.extend(&of_service);
        let labels = writer.build();
        let of = || format!("service {}", shown(&service.id));
        let counted = meter.group(source.len(), targets.len(), &labels, of);
        if !found.skipped.fits(counted, SERVICE, &service.name)? {
            continue;
        }
        found.groups.push(TargetGroup { source, targets, labels });
    }
    Ok(())
}

/// The labels that all targets of a service have.
pub(super) fn service_labels(
    service: &Service,
    with_job: bool,
    options: &Options,
    writer: &mut LabelsWriter,
) -> Labels {
    let known = meta::service(service, false, writer);
    writer.extend(&known);
    if with_job {
        writer.push(JOB, &service.name);
    }
    writer.push(SERVICE, &service.name);
    writer.push(STACK, stack_of(service));
    for CopiedLabel { key, name } in &*options.copied {
        writer.push(name, service.labels.get(key).unwrap_or_default());
    }
    writer.build()
}

/// The target that says what the Swarm is doing, and the labels of its group: the task of this slot.
/// `None` if labels switch it off, or it has no address.
pub(super) fn state_group(
    service: &Service,
    slot: &Slot,
    context: Context<'_>,
    buffers: &mut Buffers,
    skipped: &mut Skipped,
) -> Option<(Labels, Labels)> {
    let task = slot.task();
    let declared = settings::declared(&context.options.rules, &service.labels, &task.labels);
    if declared.switched_off {
        return None;
    }
    let network = declared.endpoints.first().and_then(|endpoint| endpoint.network);
    let row = Preset::SwarmState.row();
    let endpoint = Endpoint { network, ..Preset::SwarmState.endpoint(context.options.reach) };
    let writer = &mut buffers.writer;
    writer.push(DECLARED_BY, PRESET);
    writer.push(HONOR_LABELS, "true");
    let origin = writer.build();
    let (query, pace) = scrape_labels(&endpoint, writer);
    let (port, instance, list) = (row.port, row.instance, Arc::default());
    let has_place = false;
    let planned = Planned { endpoint, list, port, instance, has_place, origin, query, pace };
    let container = meta::container(&task.labels, writer);
    let of_service = meta::service(service, false, writer);
    let node = context.shared.node(&task.node);
    let node_name = context.names.of(&task.node);
    let of_task = OfTask { service, slot, task, container: &container, node, node_name };
    let mut found = BucketResult::default();
    let target = of_task.target(&planned, context, buffers, &mut found);
    skipped.extend(&found.skipped.into_problems().collect::<Vec<_>>());
    Some((target?, of_service))
}

/// What the targets of one task are assembled from.
struct OfTask<'a> {
    service: &'a Service,
    slot: &'a Slot,
    task: &'a Task,
    container: &'a Labels,
    node: Option<&'a NodeLabels>,
    /// The name of the node that no other node has.
    node_name: &'a str,
}

impl OfTask<'_> {
    /// The target of an endpoint. `None`, with the reason noted, if it has no address.
    fn target(
        &self,
        planned: &Planned<'_>,
        context: Context<'_>,
        buffers: &mut Buffers,
        found: &mut BucketResult<Vec<Claim>>,
    ) -> Option<Labels> {
        let Self { service, task, node, .. } = self;
        let Planned { endpoint, port, .. } = planned;
        let network = endpoint.network;
        let on_host = is_on_host(service, *port);
        let wanted = Wanted { port: *port, network, stack: stack_of(service), on_host };
        let node_address = node.and_then(|node| node.usable_address.as_deref());
        let mut skip =
            |reason, detail| found.skipped.part("service", &service.name, reason, detail);
        let is_plain = context.options.is_of_engine;
        let chosen = address::choose(wanted, task, node_address, context.networks);
        let way = match (self.node_part(&chosen, *port, node_address, context), chosen) {
            (Some(Ok(way)), _) => way,
            (Some(Err(reason)), _) | (None, Err(reason)) => {
                skip(reason.as_str(), reason.advice(task, shown(&service.name), is_plain));
                return None;
            }
            (None, Ok(address)) => Way::Direct(address),
        };
        if let Some(network) = network
            && let Way::Direct(Address { ignores_network: true, .. }) = way
        {
            let (network, names) = (shown(network), address::names(&task.attachments));
            let detail = format!(
                "{network} is not a network of its tasks, which are on {names}: another address is \
                 taken"
            );
            skip("network of the label not attached", detail);
        }
        if let Way::Direct(address) = &way {
            if address.forgot_port {
                let detail = address::unknown_host_port_advice(shown(&service.name));
                skip(address::UNKNOWN_HOST_PORT, detail);
            }
            if let Some(reason) = address.unreachable
                && context.options.unreachable == UnreachableTargets::Drop
            {
                skip("unreachable", reason.as_str().to_owned());
                return None;
            }
        }
        // A node part reaches ports of the task itself: only one on the host's network shares them.
        let shares_port = |address: &&Address<'_>| match way {
            Way::Direct(_) => address.is_of_node(),
            Way::NodePart { .. } => address.source == AddressSource::Node,
        };
        if let Some(address) = way.address().filter(shares_port) {
            let claim = self.claim(address, endpoint, buffers);
            let winner = context.lost.get(&claim);
            if let Some(id) = winner {
                let winner = context.snapshot.services.get("", id);
                let name = winner.map_or(id, |service| &service.name);
                // The node is last: a diagnosis names all nodes in one line.
                let (port, path) = (address.port, shown(&endpoint.path));
                let detail =
                    format!("service {} has :{port}{path} of node {}", shown(name), self.node_name);
                skip("address of another target", detail);
            }
            found.extra.push(claim);
            if winner.is_some() {
                return None;
            }
        }
        Some(self.labels(planned, &way, context, buffers))
    }

    /// The way by the part on the node; `None` if the task is scraped directly: that part itself is.
    fn node_part<'a>(
        &self,
        chosen: &Result<Address<'a>, NoAddress>,
        port: u16,
        node: Option<&'a str>,
        context: Context<'_>,
    ) -> Option<Result<Way<'a>, NoAddress>> {
        if context.options.reach == Reach::Direct {
            return None;
        }
        let own = context.node_ports.get(&self.task.node).copied().unwrap_or(NODE_PART_PORT);
        let address = chosen.as_ref().ok();
        let is_on_host = |address: &Address<'_>| address.source == AddressSource::Node;
        if port == own && address.is_some_and(is_on_host) {
            return None;
        }
        let Some(host) = node else { return Some(Err(NoAddress::Node)) };
        Some(Ok(Way::NodePart { host, port: own, address: address.cloned() }))
    }

    fn claim(
        &self,
        address: &Address<'_>,
        endpoint: &Endpoint<'_>,
        buffers: &mut Buffers,
    ) -> Claim {
        let mut url = write_address(address, &mut buffers.address).to_owned();
        url += &endpoint.path;
        for (name, value) in &endpoint.params {
            url.extend(["&", name, "=", value]);
        }
        Claim {
            url: url.into(),
            service: Arc::clone(&self.service.id),
            slot: Arc::clone(self.slot.name()),
            endpoint: endpoint.name.into(),
        }
    }

    fn labels(
        &self,
        planned: &Planned<'_>,
        way: &Way<'_>,
        context: Context<'_>,
        buffers: &mut Buffers,
    ) -> Labels {
        let Self { service, task, container, node, node_name, .. } = self;
        let Planned { endpoint, instance, has_place, origin, query, pace, port, .. } = planned;
        let shared = &endpoint.shared;
        let Buffers { writer, address: address_writer } = buffers;
        let address = way.address();
        let target = match way {
            Way::Direct(address) => write_address(address, address_writer),
            Way::NodePart { host, port, .. } => address_writer.host(host, port),
        };
        writer.push(ADDRESS, target);
        writer.extend(container);
        let attachment = address.and_then(|address| address.attachment);
        let network = attachment.and_then(|one| context.shared.network(&one.network));
        if let Some(network) = network {
            writer.extend(network);
        }
        if let Some(node) = node {
            writer.extend(&node.known);
        }
        let slot_number = task.slot.to_string();
        let published = address.and_then(|address| address.published);
        meta::task(task, &slot_number, published.map(|port| &*port.mode), writer);
        let (source, unreachable) = match way {
            Way::Direct(address) => (address.source.as_str(), address.unreachable),
            Way::NodePart { .. } => (NODE_PART, None),
        };
        writer.push(ADDRESS_SOURCE, source);
        writer.extend(origin);
        if let Some(node) = node {
            writer.extend(&node.own);
        }
        writer.push(meta::OWN_TASK_TARGET_PORT, &port.to_string());
        if let Some(reason) = unreachable {
            writer.push(UNREACHABLE, reason.as_str());
        }
        let reached;
        let (path, scheme) = match way {
            Way::Direct(_) => (&*endpoint.path, endpoint.scheme),
            Way::NodePart { .. } => {
                let Endpoint { scheme, path, .. } = endpoint;
                reached = ReachPath { task: &task.id, scheme, port: *port, path }.to_string();
                (&*reached, "https")
            }
        };
        writer.push(METRICS_PATH, path);
        writer.extend(query);
        writer.push(SCHEME, scheme);
        writer.extend(pace);
        let instance = match instance {
            PresetInstance::Node => (*node_name).to_owned(),
            PresetInstance::Slot => self.instance(endpoint.name),
        };
        let mut plain = vec![(INSTANCE, &*instance)];
        if let Some(job) = shared.job {
            plain.push((JOB, job));
        }
        let own = [(NODE, *node_name), (TASK_SLOT, if task.slot == 0 { "" } else { &slot_number })];
        let copied = || {
            let node = context.snapshot.nodes.get("", &task.node)?;
            Some(context.options.copied.iter().filter_map(move |CopiedLabel { key, name }| {
                let of_service = service.labels.get(key).unwrap_or_default();
                of_service.is_empty().then_some((&**name, node.labels.get(key)?))
            }))
        };
        let is_set = |name: &str| shared.labels.iter().any(|(set, _)| **set == *name);
        if *has_place {
            let of_place = own.into_iter().chain(copied().into_iter().flatten());
            plain.extend(of_place.filter(|(name, _)| !is_set(name)));
        }
        plain.extend(shared.labels.iter().map(|(name, value)| (&**name, *value)));
        plain.sort_unstable();
        for (name, value) in plain {
            writer.push(name, value);
        }
        writer.build()
    }

    fn instance(&self, endpoint: &str) -> String {
        let place = if self.task.slot == 0 { self.node_name } else { self.slot.name() };
        let mut instance = format!("{}.{place}", self.service.name);
        if !endpoint.is_empty() {
            instance.push('/');
            instance += endpoint;
        }
        instance
    }
}

fn write_address<'a>(address: &Address<'_>, writer: &'a mut AddressWriter) -> &'a str {
    match address.host {
        AddressHost::Ip(ip) => writer.ip(ip, address.port),
        AddressHost::Node(node) => writer.host(node, address.port),
    }
}
