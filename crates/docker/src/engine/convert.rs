//! From the Engine's JSON to objects: texts that occur again and again are shared, and the smallest part
//! that is bad is left out.

use std::net::IpAddr;
use std::sync::Arc;

use super::de;
use super::decode::{Decoder, Object};
use super::messages as sent;
use super::objects::{
    AddressPool, Attachment, Container, ContainerPort, Endpoint, GenericResource, ManagerStatus,
    Mode, Network, Node, Placement, Platform, Plugin, Port, Resources, Service, StoredFile, Task,
    TaskFailure, VirtualIp,
};
use super::read::{Fault, Reader};
use super::time;

const BAD_PORT: &str = "port of wrong type";
const BAD_TARGET: &str = "network of wrong type";

impl Object for Node {
    const KIND: &'static str = "node";

    fn read(reader: &mut Reader<'_>, d: &mut Decoder) -> Result<Self, Fault> {
        let sent: sent::Node<'_> = de::read(reader)?;
        Ok(Self {
            id: d.symbol(&sent.id),
            version: sent.version,
            created: time::micros(sent.created.text()?),
            updated: time::micros(sent.updated.text()?),
            role: d.symbol(&sent.role),
            availability: d.symbol(&sent.availability),
            labels: d.labels(&sent.labels)?,
            hostname: d.symbol(&sent.hostname),
            architecture: d.symbol(&sent.architecture),
            os: d.symbol(&sent.os),
            engine_version: d.symbol(&sent.engine_version),
            engine_labels: d.labels(&sent.engine_labels)?,
            plugins: d.parts(&sent.plugins, "plugin of wrong type", plugin)?,
            state: d.symbol(&sent.state),
            message: d.shortened(&sent.message),
            resources: Resources { nano_cpus: sent.nano_cpus, memory_bytes: sent.memory_bytes },
            generic_resources: generics(&sent.generic, d)?,
            address: d.symbol(&sent.address),
            manager: sent.manager.map(|manager| ManagerStatus {
                leader: manager.leader,
                reachability: d.symbol(&manager.reachability),
                address: d.symbol(&manager.address),
            }),
        })
    }

    fn id(&self) -> &Arc<str> {
        &self.id
    }
}

impl Object for Service {
    const KIND: &'static str = "service";

    fn read(reader: &mut Reader<'_>, d: &mut Decoder) -> Result<Self, Fault> {
        let sent: sent::Service<'_> = de::read(reader)?;
        // No Engine gives two.
        let modes = [
            (sent.global.is_some(), Mode::Global),
            (sent.replicated.is_some(), Mode::Replicated),
            (sent.global_job.is_some(), Mode::GlobalJob),
            (sent.replicated_job.is_some(), Mode::ReplicatedJob),
        ];
        let mode = modes.into_iter().find_map(|(given, mode)| given.then_some(mode));
        let job = sent.replicated_job.unwrap_or_default();
        let target = |sent: &sent::NetworkTarget<'_>, d: &mut Decoder| Ok(d.symbol(&sent.target));
        let mut networks = d.parts(&sent.networks, BAD_TARGET, target)?;
        if networks.is_empty() {
            networks = d.parts(&sent.old_networks, BAD_TARGET, target)?;
        }
        let mut plugins = d.parts(&sent.mounts, "mount of wrong type", volume_driver)?;
        plugins.push(Plugin::log(d.symbol(&sent.log_driver), |kind| d.symbol(kind)));
        Ok(Self {
            plugins: plugins.into_iter().flatten().collect(),
            id: d.symbol(&sent.id),
            version: sent.version,
            created: time::micros(sent.created.text()?),
            updated: time::micros(sent.updated.text()?),
            name: d.symbol(&sent.name),
            labels: d.labels(&sent.labels)?,
            mode: mode.unwrap_or_default(),
            replicas: sent.replicated.map_or(job.completions, |replicated| replicated.replicas),
            max_concurrent: job.max_concurrent,
            placement: Placement {
                constraints: d.parts(&sent.constraints, "constraint of wrong type", text)?,
                platforms: d.parts(&sent.platforms, "platform of wrong type", platform)?,
                max_replicas: sent.max_replicas,
            },
            reservations: Resources { nano_cpus: sent.nano_cpus, memory_bytes: sent.memory_bytes },
            limits: Resources {
                nano_cpus: sent.most_nano_cpus,
                memory_bytes: sent.most_memory_bytes,
            },
            generic_resources: generics(&sent.generic, d)?,
            restart_condition: d.symbol(&sent.restart_condition),
            networks,
            hostname: d.symbol(&sent.hostname),
            image: d.symbol(&sent.image),
            configs: d.parts(&sent.configs, "config of wrong type", config)?,
            secrets: d.parts(&sent.secrets, "secret of wrong type", secret)?,
            job_iteration: sent.job_iteration,
            job_started: time::micros(sent.job_started.text()?),
            update_state: d.symbol(&sent.update_state),
            update_message: d.shortened(&sent.update_message),
            update_started: time::micros(sent.update_started.text()?),
            update_completed: time::micros(sent.update_completed.text()?),
            endpoint_mode: d.symbol(&sent.endpoint_mode),
            ports: d.parts(&sent.ports, BAD_PORT, port)?,
            virtual_ips: d.parts(&sent.virtual_ips, "virtual IP of wrong type", virtual_ip)?,
        })
    }

    fn id(&self) -> &Arc<str> {
        &self.id
    }
}

impl Object for Task {
    const KIND: &'static str = "task";

    fn read(reader: &mut Reader<'_>, d: &mut Decoder) -> Result<Self, Fault> {
        let sent: sent::Task<'_> = de::read(reader)?;
        let bad_attachment = "network attachment of wrong type";
        Ok(Self {
            // No other object has these.
            id: Arc::from(&*sent.id),
            container: Arc::from(&*sent.container),
            pid: u32::try_from(sent.pid).unwrap_or_default(),
            version: sent.version,
            updated: time::micros(sent.updated.text()?),
            service: d.symbol(&sent.service),
            node: d.symbol(&sent.node),
            slot: sent.slot,
            labels: d.labels(&sent.labels)?,
            image: d.symbol(&sent.image),
            reservations: Resources { nano_cpus: sent.nano_cpus, memory_bytes: sent.memory_bytes },
            generic_resources: generics(&sent.generic, d)?,
            job_iteration: sent.job_iteration,
            desired_state: d.symbol(&sent.desired_state),
            state: d.symbol(&sent.state),
            created: time::micros(sent.created.text()?),
            state_since: time::micros(sent.state_since.text()?),
            message: d.shortened(&sent.message),
            failure: TaskFailure::of(d.shortened(&sent.error), sent.exit_code),
            host_ports: d.parts(&sent.host_ports, BAD_PORT, port)?,
            attachments: d.parts(&sent.attachments, bad_attachment, attachment)?,
        })
    }

    fn id(&self) -> &Arc<str> {
        &self.id
    }
}

impl Object for Network {
    const KIND: &'static str = "network";

    fn read(reader: &mut Reader<'_>, d: &mut Decoder) -> Result<Self, Fault> {
        let sent: sent::Network<'_> = de::read(reader)?;
        Ok(Self {
            id: d.symbol(&sent.id),
            updated: 0,
            created: time::micros(sent.created.text()?),
            name: d.symbol(&sent.name),
            pools: d.parts(&sent.pools, "address pool of wrong type", pool)?,
            scope: d.symbol(&sent.scope),
            driver: d.symbol(&sent.driver),
            attachable: sent.attachable,
            internal: sent.internal,
            ingress: sent.ingress,
            labels: d.labels(&sent.labels)?,
        })
    }

    fn id(&self) -> &Arc<str> {
        &self.id
    }
}

impl<const SECRET: bool> Object for StoredFile<SECRET> {
    const KIND: &'static str = if SECRET { "secret" } else { "config" };

    fn read(reader: &mut Reader<'_>, d: &mut Decoder) -> Result<Self, Fault> {
        let sent: sent::StoredFile<'_> = de::read(reader)?;
        Ok(Self {
            id: d.symbol(&sent.id),
            version: sent.version,
            created: time::micros(sent.created.text()?),
            updated: time::micros(sent.updated.text()?),
            name: d.symbol(&sent.name),
            labels: d.labels(&sent.labels)?,
        })
    }

    fn id(&self) -> &Arc<str> {
        &self.id
    }
}

impl Object for Container {
    const KIND: &'static str = "container";

    fn read(reader: &mut Reader<'_>, d: &mut Decoder) -> Result<Self, Fault> {
        let sent: sent::Container<'_> = de::read(reader)?;
        let names = d.parts(&sent.names, "name of wrong type", |name: &de::Text<'_>, _| {
            Ok(Arc::from(&**name))
        })?;
        Ok(Self {
            id: Arc::from(&*sent.id),
            name: names.into_iter().next(),
            image: d.symbol(&sent.image),
            image_id: d.symbol(&sent.image_id),
            labels: d.labels(&sent.labels)?,
            network_mode: d.symbol(&sent.network_mode),
            ports: d.parts(&sent.ports, BAD_PORT, container_port)?,
            networks: endpoints(&sent.networks, d)?,
        })
    }

    fn id(&self) -> &Arc<str> {
        &self.id
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the other parts may fail")]
fn port(sent: &sent::Port<'_>, d: &mut Decoder) -> Result<Port, Fault> {
    Ok(Port {
        name: d.symbol(&sent.name),
        protocol: d.symbol(&sent.protocol),
        target: sent.target,
        published: sent.published,
        mode: d.symbol(&sent.mode),
    })
}

#[expect(clippy::unnecessary_wraps, reason = "the other parts may fail")]
fn text(sent: &de::Text<'_>, d: &mut Decoder) -> Result<Arc<str>, Fault> {
    Ok(d.symbol(sent))
}

#[expect(clippy::unnecessary_wraps, reason = "the other parts may fail")]
fn platform(sent: &sent::Platform<'_>, d: &mut Decoder) -> Result<Platform, Fault> {
    Ok(Platform { architecture: d.symbol(&sent.architecture), os: d.symbol(&sent.os) })
}

fn generics(sent: &de::Raw<'_>, d: &mut Decoder) -> Result<Vec<GenericResource>, Fault> {
    d.parts(sent, "resource of wrong type", generic).map(GenericResource::summed)
}

#[expect(clippy::unnecessary_wraps, reason = "the other parts may fail")]
fn generic(sent: &sent::GenericResource<'_>, d: &mut Decoder) -> Result<GenericResource, Fault> {
    Ok(if sent.named.is_empty() {
        GenericResource { kind: d.symbol(&sent.discrete), count: sent.count }
    } else {
        GenericResource { kind: d.symbol(&sent.named), count: 1 }
    })
}

#[expect(clippy::unnecessary_wraps, reason = "the other parts may fail")]
fn plugin(sent: &sent::Plugin<'_>, d: &mut Decoder) -> Result<Plugin, Fault> {
    Ok(Plugin { kind: d.symbol(&sent.kind), name: d.symbol(&sent.name) })
}

#[expect(clippy::unnecessary_wraps, reason = "the other parts may fail")]
fn volume_driver(sent: &sent::Mount<'_>, d: &mut Decoder) -> Result<Option<Plugin>, Fault> {
    let is_volume = &*sent.kind == "volume";
    let name = if is_volume { d.symbol(&sent.driver) } else { Arc::default() };
    Ok(Plugin::volume(name, |kind| d.symbol(kind)))
}

#[expect(clippy::unnecessary_wraps, reason = "the other parts may fail")]
fn config(sent: &sent::FileReference<'_>, d: &mut Decoder) -> Result<Arc<str>, Fault> {
    Ok(d.symbol(&sent.config))
}

#[expect(clippy::unnecessary_wraps, reason = "the other parts may fail")]
fn secret(sent: &sent::FileReference<'_>, d: &mut Decoder) -> Result<Arc<str>, Fault> {
    Ok(d.symbol(&sent.secret))
}

#[expect(clippy::unnecessary_wraps, reason = "the other parts may fail")]
fn pool(sent: &sent::AddressPool<'_>, d: &mut Decoder) -> Result<AddressPool, Fault> {
    Ok(AddressPool { subnet: d.symbol(&sent.subnet), range: d.symbol(&sent.range) })
}

fn virtual_ip(sent: &sent::VirtualIp<'_>, d: &mut Decoder) -> Result<VirtualIp, Fault> {
    let address = if sent.address.is_empty() { None } else { Some(address(&sent.address)?) };
    Ok(VirtualIp { network: d.symbol(&sent.network), address })
}

fn attachment(sent: &sent::Attachment<'_>, d: &mut Decoder) -> Result<Attachment, Fault> {
    let addresses =
        d.parts(&sent.addresses, "task address of wrong type", |text: &de::Text<'_>, _| {
            address(text)
        })?;
    Ok(Attachment {
        network: d.symbol(&sent.network),
        name: d.symbol(&sent.name),
        driver: d.symbol(&sent.driver),
        ingress: sent.ingress,
        addresses,
    })
}

fn container_port(sent: &sent::ContainerPort<'_>, d: &mut Decoder) -> Result<ContainerPort, Fault> {
    Ok(ContainerPort {
        private: sent.private,
        public: sent.public,
        ip: ip(&sent.ip)?,
        protocol: d.symbol(&sent.protocol),
    })
}

type Endpoints = Vec<(Arc<str>, Option<Endpoint>)>;

fn endpoints(sent: &de::Raw<'_>, d: &mut Decoder) -> Result<Endpoints, Fault> {
    let mut endpoints = Vec::new();
    sent.reader().map(|reader, name| {
        let endpoint = if reader.is_null()? {
            None
        } else {
            d.part(reader, "network of wrong type", |sent: &sent::Endpoint<'_>, d| {
                let (v4, v6) = (ip(&sent.ipv4)?, ip(&sent.ipv6)?);
                Ok(Endpoint { network: d.symbol(&sent.network), address: v4.or(v6) })
            })?
        };
        endpoints.push((d.symbol(&name), endpoint));
        Ok(())
    })?;
    endpoints.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(endpoints)
}

/// An address with the length of its network.
fn address(text: &str) -> Result<IpAddr, Fault> {
    parse_cidr(text).ok_or_else(|| Fault::expected("an address with the length of its network"))
}

/// An address; empty for none.
fn ip(text: &str) -> Result<Option<IpAddr>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Fault::expected("an IP address"))
}

/// The address of `10.0.1.2/24`, as Go's `netip.ParsePrefix` reads it. An IPv4 address in IPv6
/// clothes is an IPv4 address, as Go's `net.IP` writes it.
pub(crate) fn parse_cidr(text: &str) -> Option<IpAddr> {
    let (address, bits) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let digits = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
    if !digits || (bits.len() > 1 && bits.starts_with('0')) {
        return None;
    }
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.parse::<u8>().ok().filter(|bits| *bits <= most)?;
    Some(address.to_canonical())
}
