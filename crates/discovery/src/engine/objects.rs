//! What the Engine lists, as far as discovery needs it.
//!
//! Only what becomes a label or an address is here: no environment, no secret, no mount is ever
//! decoded. Members that are missing or `null` are empty, zero or false, as in Go. Texts that the
//! Engine takes from a fixed set (states, modes) stay texts, so that a value which a later version
//! brings is a label like any other.

use std::net::IpAddr;
use std::sync::Arc;

use super::decode::{Decoder, Object};
use super::labels::LabelMap;
use super::read::{Fault, Reader};

/// A node of a Swarm, of `/nodes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its ID.
    pub id: Arc<str>,
    /// `Version.Index`.
    pub version: u64,
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
    /// Address as the managers see it; may be `0.0.0.0` or a loopback address for a manager.
    pub address: Arc<str>,
    /// What only managers have.
    pub manager: Option<ManagerStatus>,
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
    /// Its name.
    pub name: Arc<str>,
    /// Labels of the service itself, not of its containers.
    pub labels: Arc<LabelMap>,
    /// How many tasks it has.
    pub mode: Mode,
    /// Host name of its containers, a template maybe.
    pub hostname: Arc<str>,
    /// Image of its containers; empty for other runtimes.
    pub image: Arc<str>,
    /// `updating`, `paused`, `completed`, `rollback_started`, …; empty before the first update.
    pub update_state: Arc<str>,
    /// Published ports, those that Swarm picked included.
    pub ports: Vec<Port>,
    /// Its address on each of its networks.
    pub virtual_ips: Vec<VirtualIp>,
}

/// `Mode` of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// None that is known.
    #[default]
    Unknown,
    /// A task on each node.
    Global,
    /// So many tasks.
    Replicated,
    /// A task on each node that runs to its end.
    GlobalJob,
    /// So many tasks that run to their end.
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
    /// What its node last told: `running`, `failed`, …
    pub state: Arc<str>,
    /// ID of its container; empty before it has one.
    pub container: Arc<str>,
    /// Ports published on its node alone.
    pub host_ports: Vec<Port>,
    /// The networks that it is attached to.
    pub attachments: Vec<Attachment>,
}

/// A network of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachment {
    /// ID of the network.
    pub network: Arc<str>,
    /// Name of the network.
    pub name: Arc<str>,
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
    /// Its name.
    pub name: Arc<str>,
    /// `swarm`, `local` or `global`.
    pub scope: Arc<str>,
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

impl Object for Node {
    const KIND: &'static str = "node";

    fn read(r: &mut Reader<'_>, d: &mut Decoder) -> Result<Self, Fault> {
        let mut node = Self::default();
        r.object(|r, key| {
            match key {
                b"ID" => node.id = d.text(r)?,
                b"Version" => node.version = version(r)?,
                b"Spec" => r.object(|r, key| {
                    match key {
                        b"Role" => node.role = d.text(r)?,
                        b"Availability" => node.availability = d.text(r)?,
                        b"Labels" => node.labels = d.labels(r)?,
                        _ => drop(r.skip()?),
                    }
                    Ok(())
                })?,
                b"Description" => r.object(|r, key| {
                    match key {
                        b"Hostname" => node.hostname = d.text(r)?,
                        b"Platform" => r.object(|r, key| {
                            match key {
                                b"Architecture" => node.architecture = d.text(r)?,
                                b"OS" => node.os = d.text(r)?,
                                _ => drop(r.skip()?),
                            }
                            Ok(())
                        })?,
                        b"Engine" => r.object(|r, key| {
                            match key {
                                b"EngineVersion" => node.engine_version = d.text(r)?,
                                b"Labels" => node.engine_labels = d.labels(r)?,
                                _ => drop(r.skip()?),
                            }
                            Ok(())
                        })?,
                        _ => drop(r.skip()?),
                    }
                    Ok(())
                })?,
                b"Status" => r.object(|r, key| {
                    match key {
                        b"State" => node.state = d.text(r)?,
                        b"Addr" => node.address = d.text(r)?,
                        _ => drop(r.skip()?),
                    }
                    Ok(())
                })?,
                b"ManagerStatus" => {
                    node.manager = if r.is_null()? { None } else { Some(manager_status(r, d)?) };
                }
                _ => drop(r.skip()?),
            }
            Ok(())
        })?;
        Ok(node)
    }
}

fn manager_status(r: &mut Reader<'_>, d: &mut Decoder) -> Result<ManagerStatus, Fault> {
    let mut status = ManagerStatus::default();
    r.object(|r, key| {
        match key {
            b"Leader" => status.leader = r.boolean()?,
            b"Reachability" => status.reachability = d.text(r)?,
            b"Addr" => status.address = d.text(r)?,
            _ => drop(r.skip()?),
        }
        Ok(())
    })?;
    Ok(status)
}

impl Object for Service {
    const KIND: &'static str = "service";

    fn read(r: &mut Reader<'_>, d: &mut Decoder) -> Result<Self, Fault> {
        let mut service = Self::default();
        r.object(|r, key| {
            match key {
                b"ID" => service.id = d.text(r)?,
                b"Version" => service.version = version(r)?,
                b"Spec" => r.object(|r, key| {
                    match key {
                        b"Name" => service.name = d.text(r)?,
                        b"Labels" => service.labels = d.labels(r)?,
                        b"Mode" => service.mode = mode(r)?,
                        b"TaskTemplate" => r.object(|r, key| match key {
                            b"ContainerSpec" => r.object(|r, key| {
                                match key {
                                    b"Hostname" => service.hostname = d.text(r)?,
                                    b"Image" => service.image = d.text(r)?,
                                    _ => drop(r.skip()?),
                                }
                                Ok(())
                            }),
                            _ => r.skip().map(drop),
                        })?,
                        _ => drop(r.skip()?),
                    }
                    Ok(())
                })?,
                b"Endpoint" => r.object(|r, key| {
                    match key {
                        b"Ports" => service.ports = d.parts(r, BAD_PORT, port)?,
                        b"VirtualIPs" => {
                            service.virtual_ips =
                                d.parts(r, "virtual IP of wrong type", virtual_ip)?;
                        }
                        _ => drop(r.skip()?),
                    }
                    Ok(())
                })?,
                b"UpdateStatus" => r.object(|r, key| {
                    match key {
                        b"State" => service.update_state = d.text(r)?,
                        _ => drop(r.skip()?),
                    }
                    Ok(())
                })?,
                _ => drop(r.skip()?),
            }
            Ok(())
        })?;
        Ok(service)
    }
}

const BAD_PORT: &str = "port of wrong type";

/// Where several are given, which no Engine does, Prometheus' order decides.
fn mode(r: &mut Reader<'_>) -> Result<Mode, Fault> {
    let mut mode = Mode::Unknown;
    r.object(|r, key| {
        let given = match key {
            b"Global" => Mode::Global,
            b"Replicated" => Mode::Replicated,
            b"GlobalJob" => Mode::GlobalJob,
            b"ReplicatedJob" => Mode::ReplicatedJob,
            _ => Mode::Unknown,
        };
        let first = mode == Mode::Unknown || given == Mode::Global;
        if !r.is_null()? {
            r.skip()?;
            if first && given != Mode::Unknown {
                mode = given;
            }
        }
        Ok(())
    })?;
    Ok(mode)
}

fn port(r: &mut Reader<'_>, d: &mut Decoder) -> Result<Port, Fault> {
    let mut port = Port::default();
    r.object(|r, key| {
        match key {
            b"Name" => port.name = d.text(r)?,
            b"Protocol" => port.protocol = d.text(r)?,
            b"TargetPort" => port.target = unsigned(r)?,
            b"PublishedPort" => port.published = unsigned(r)?,
            b"PublishMode" => port.mode = d.text(r)?,
            _ => drop(r.skip()?),
        }
        Ok(())
    })?;
    Ok(port)
}

fn virtual_ip(r: &mut Reader<'_>, d: &mut Decoder) -> Result<VirtualIp, Fault> {
    let (mut network, mut address) = (Arc::default(), None);
    r.object(|r, key| {
        match key {
            b"NetworkID" => network = d.text(r)?,
            b"Addr" => {
                let before = r.clone();
                let text = r.string()?;
                address = parse_cidr(&text);
                if address.is_none() && !text.is_empty() {
                    return Err(before.wrong_type("an address with the length of its network"));
                }
            }
            _ => drop(r.skip()?),
        }
        Ok(())
    })?;
    Ok(VirtualIp { network, address })
}

impl Object for Task {
    const KIND: &'static str = "task";

    fn read(r: &mut Reader<'_>, d: &mut Decoder) -> Result<Self, Fault> {
        let mut task = Self::default();
        r.object(|r, key| {
            match key {
                b"ID" => task.id = own_text(r)?,
                b"Version" => task.version = version(r)?,
                b"Spec" => r.object(|r, key| match key {
                    b"ContainerSpec" => r.object(|r, key| {
                        match key {
                            b"Labels" => task.labels = d.labels(r)?,
                            _ => drop(r.skip()?),
                        }
                        Ok(())
                    }),
                    _ => r.skip().map(drop),
                })?,
                b"ServiceID" => task.service = d.text(r)?,
                b"NodeID" => task.node = d.text(r)?,
                b"Slot" => task.slot = r.signed()?,
                b"DesiredState" => task.desired_state = d.text(r)?,
                b"Status" => r.object(|r, key| {
                    match key {
                        b"State" => task.state = d.text(r)?,
                        b"ContainerStatus" => r.object(|r, key| {
                            match key {
                                b"ContainerID" => task.container = own_text(r)?,
                                _ => drop(r.skip()?),
                            }
                            Ok(())
                        })?,
                        b"PortStatus" => r.object(|r, key| {
                            match key {
                                b"Ports" => task.host_ports = d.parts(r, BAD_PORT, port)?,
                                _ => drop(r.skip()?),
                            }
                            Ok(())
                        })?,
                        _ => drop(r.skip()?),
                    }
                    Ok(())
                })?,
                b"NetworksAttachments" => {
                    task.attachments =
                        d.parts(r, "network attachment of wrong type", attachment)?;
                }
                _ => drop(r.skip()?),
            }
            Ok(())
        })?;
        Ok(task)
    }
}

fn attachment(r: &mut Reader<'_>, d: &mut Decoder) -> Result<Attachment, Fault> {
    let mut attachment = Attachment::default();
    r.object(|r, key| {
        match key {
            b"Network" => r.object(|r, key| {
                match key {
                    b"ID" => attachment.network = d.text(r)?,
                    b"Spec" => r.object(|r, key| {
                        match key {
                            b"Name" => attachment.name = d.text(r)?,
                            b"Ingress" => attachment.ingress = r.boolean()?,
                            _ => drop(r.skip()?),
                        }
                        Ok(())
                    })?,
                    _ => drop(r.skip()?),
                }
                Ok(())
            })?,
            b"Addresses" => {
                attachment.addresses = d.parts(r, "task address of wrong type", |r, _| {
                    let before = r.clone();
                    parse_cidr(&r.string()?).ok_or_else(|| {
                        before.wrong_type("an address with the length of its network")
                    })
                })?;
            }
            _ => drop(r.skip()?),
        }
        Ok(())
    })?;
    Ok(attachment)
}

impl Object for Network {
    const KIND: &'static str = "network";

    fn read(r: &mut Reader<'_>, d: &mut Decoder) -> Result<Self, Fault> {
        let mut network = Self::default();
        r.object(|r, key| {
            match key {
                b"Id" => network.id = d.text(r)?,
                b"Name" => network.name = d.text(r)?,
                b"Scope" => network.scope = d.text(r)?,
                b"Internal" => network.internal = r.boolean()?,
                b"Ingress" => network.ingress = r.boolean()?,
                b"Labels" => network.labels = d.labels(r)?,
                _ => drop(r.skip()?),
            }
            Ok(())
        })?;
        Ok(network)
    }
}

impl Object for Container {
    const KIND: &'static str = "container";

    fn read(r: &mut Reader<'_>, d: &mut Decoder) -> Result<Self, Fault> {
        let mut container = Self::default();
        r.object(|r, key| {
            match key {
                b"Id" => container.id = own_text(r)?,
                b"Names" => {
                    let names = d.parts(r, "name of wrong type", |r, _| own_text(r))?;
                    container.name = names.into_iter().next();
                }
                b"Image" => container.image = d.text(r)?,
                b"ImageID" => container.image_id = d.text(r)?,
                b"Labels" => container.labels = d.labels(r)?,
                b"Ports" => container.ports = d.parts(r, BAD_PORT, container_port)?,
                b"HostConfig" => r.object(|r, key| {
                    match key {
                        b"NetworkMode" => container.network_mode = d.text(r)?,
                        _ => drop(r.skip()?),
                    }
                    Ok(())
                })?,
                b"NetworkSettings" => r.object(|r, key| {
                    match key {
                        b"Networks" => container.networks = endpoints(r, d)?,
                        _ => drop(r.skip()?),
                    }
                    Ok(())
                })?,
                _ => drop(r.skip()?),
            }
            Ok(())
        })?;
        Ok(container)
    }
}

fn container_port(r: &mut Reader<'_>, d: &mut Decoder) -> Result<ContainerPort, Fault> {
    let mut port = ContainerPort::default();
    r.object(|r, key| {
        match key {
            b"PrivatePort" => port.private = unsigned(r)?,
            b"PublicPort" => port.public = unsigned(r)?,
            b"Type" => port.protocol = d.text(r)?,
            b"IP" => port.ip = optional_ip(r)?,
            _ => drop(r.skip()?),
        }
        Ok(())
    })?;
    Ok(port)
}

type Endpoints = Vec<(Arc<str>, Option<Endpoint>)>;

fn endpoints(r: &mut Reader<'_>, d: &mut Decoder) -> Result<Endpoints, Fault> {
    let mut endpoints = Vec::new();
    r.map(|r, name| {
        let endpoint = if r.is_null()? {
            None
        } else {
            d.part(r, "network of wrong type", |r, d| {
                let (mut v4, mut v6) = (None, None);
                let mut endpoint = Endpoint::default();
                r.object(|r, key| {
                    match key {
                        b"NetworkID" => endpoint.network = d.text(r)?,
                        b"IPAddress" => v4 = optional_ip(r)?,
                        b"GlobalIPv6Address" => v6 = optional_ip(r)?,
                        _ => drop(r.skip()?),
                    }
                    Ok(())
                })?;
                endpoint.address = v4.or(v6);
                Ok(endpoint)
            })?
        };
        endpoints.push((d.symbol(&name), endpoint));
        Ok(())
    })?;
    endpoints.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(endpoints)
}

fn optional_ip(r: &mut Reader<'_>) -> Result<Option<IpAddr>, Fault> {
    let before = r.clone();
    let text = r.string()?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| before.wrong_type("an IP address"))
}

/// The address of `10.0.1.2/24`, as Go's `netip.ParsePrefix` reads it. An IPv4 address in IPv6
/// clothes is an IPv4 address, as Go's `net.IP` writes it.
fn parse_cidr(text: &str) -> Option<IpAddr> {
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

fn version(r: &mut Reader<'_>) -> Result<u64, Fault> {
    let mut version = 0;
    r.object(|r, key| {
        match key {
            b"Index" => version = r.unsigned()?,
            _ => drop(r.skip()?),
        }
        Ok(())
    })?;
    Ok(version)
}

fn unsigned<T: TryFrom<u64> + Default>(r: &mut Reader<'_>) -> Result<T, Fault> {
    let before = r.clone();
    let number = r.unsigned()?;
    T::try_from(number).map_err(|_| before.wrong_type("a smaller number"))
}

/// A string that no other object has.
fn own_text(r: &mut Reader<'_>) -> Result<Arc<str>, Fault> {
    Ok(Arc::from(&*r.string()?))
}
