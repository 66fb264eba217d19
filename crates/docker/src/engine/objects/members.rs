//! Which member of the Engine's JSON becomes what.

use std::net::IpAddr;
use std::sync::Arc;

use super::super::decode::{AttachedTo, Decoder, Object};
use super::super::labels::LabelMap;
use super::super::read::{Fault, Reader};
use super::super::time;
use super::{
    Attachment, Container, ContainerPort, Endpoint, ManagerStatus, Mode, Network, Node, Port,
    Service, Task, VirtualIp,
};

impl Object for Node {
    const KIND: &'static str = "node";

    fn read(r: &mut Reader<'_>, d: &mut Decoder) -> Result<Self, Fault> {
        let mut node = Self::default();
        r.object(|r, key| {
            match key {
                b"ID" => node.id = d.text(r)?,
                b"Version" => node.version = version(r)?,
                b"UpdatedAt" => node.updated = time::micros(r.skip()?),
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

    fn id(&self) -> &Arc<str> {
        &self.id
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
                b"UpdatedAt" => service.updated = time::micros(r.skip()?),
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

    fn id(&self) -> &Arc<str> {
        &self.id
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
                b"UpdatedAt" => task.updated = time::micros(r.skip()?),
                b"Spec" => {
                    if let Some(labels) = d.repeated(r, |d| &mut d.specs, container_labels)? {
                        task.labels = labels;
                    }
                }
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

    fn id(&self) -> &Arc<str> {
        &self.id
    }
}

/// The labels that a task's `Spec` gives its container, if it speaks of any.
fn container_labels(r: &mut Reader<'_>, d: &mut Decoder) -> Result<Option<Arc<LabelMap>>, Fault> {
    let mut labels = None;
    r.object(|r, key| match key {
        b"ContainerSpec" => r.object(|r, key| {
            match key {
                b"Labels" => labels = Some(d.labels(r)?),
                _ => drop(r.skip()?),
            }
            Ok(())
        }),
        _ => r.skip().map(drop),
    })?;
    Ok(labels)
}

fn attachment(r: &mut Reader<'_>, d: &mut Decoder) -> Result<Attachment, Fault> {
    let mut attachment = Attachment::default();
    r.object(|r, key| {
        match key {
            b"Network" => {
                let network = d.repeated(r, |d| &mut d.networks, attached_to)?;
                attachment.network = network.id.unwrap_or(std::mem::take(&mut attachment.network));
                attachment.name = network.name.unwrap_or(std::mem::take(&mut attachment.name));
                attachment.driver =
                    network.driver.unwrap_or(std::mem::take(&mut attachment.driver));
                attachment.ingress = network.ingress.unwrap_or(attachment.ingress);
            }
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

fn attached_to(r: &mut Reader<'_>, d: &mut Decoder) -> Result<AttachedTo, Fault> {
    let mut network = AttachedTo::default();
    r.object(|r, key| {
        match key {
            b"ID" => network.id = Some(d.text(r)?),
            b"Spec" => r.object(|r, key| {
                match key {
                    b"Name" => network.name = Some(d.text(r)?),
                    b"Ingress" => network.ingress = Some(r.boolean()?),
                    _ => drop(r.skip()?),
                }
                Ok(())
            })?,
            b"DriverState" => r.object(|r, key| {
                match key {
                    b"Name" => network.driver = Some(d.text(r)?),
                    _ => drop(r.skip()?),
                }
                Ok(())
            })?,
            _ => drop(r.skip()?),
        }
        Ok(())
    })?;
    Ok(network)
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

    fn id(&self) -> &Arc<str> {
        &self.id
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

    fn id(&self) -> &Arc<str> {
        &self.id
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
