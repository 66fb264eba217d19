//! At which address a task is scraped, why there, and whether the scraper reaches it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use swarmscout_docker::engine::{Attachment, Port, Task};
use swarmscout_refresh::problems::shown;

/// The networks that the scraper is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum SharedNetworks {
    /// They cannot be known: then nothing is called unreachable.
    #[default]
    Unknown,
    /// These, by name or ID.
    Known(BTreeSet<Arc<str>>),
}

impl SharedNetworks {
    /// Those that a task is attached to. A container on the network of its host is in none, and does
    /// not say where the scraper is.
    pub(super) fn of(attachments: &[Attachment]) -> Self {
        let usable = attachments.iter().filter(|one| !one.ingress && &*one.driver != "host");
        Self::from_ids(usable.map(|one| Arc::clone(&one.network)))
    }

    /// Those with these IDs; unknown if there are none.
    pub(super) fn from_ids(ids: impl Iterator<Item = Arc<str>>) -> Self {
        let ids: BTreeSet<_> = ids.collect();
        if ids.is_empty() { Self::Unknown } else { Self::Known(ids) }
    }

    fn has(&self, attachment: &Attachment) -> bool {
        match self {
            Self::Unknown => false,
            Self::Known(names) => {
                names.contains(&attachment.network) || names.contains(&attachment.name)
            }
        }
    }
}

/// Where an address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressSource {
    /// The network that the label `network` names.
    NetworkLabel,
    /// A network that the scraper is in, too.
    SharedNetwork,
    /// The node of a task on the host's network.
    Node,
    /// A port that is published in host mode.
    HostPort,
    /// The first network by name.
    FirstNetwork,
}

impl AddressSource {
    /// The value of `__meta_swarmscout_address_source`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NetworkLabel => "network_label",
            Self::SharedNetwork => "shared_network",
            Self::Node => "node",
            Self::HostPort => "host_port",
            Self::FirstNetwork => "first_network",
        }
    }
}

/// Why the scraper does not reach an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreachable {
    /// It is in another network than the label `network` names.
    NotInNamedNetwork,
    /// It is in no network of the task.
    NoSharedNetwork,
    /// The same, and the managers do not know the port at which the node publishes the task's.
    HostPortUnknown,
}

impl Unreachable {
    /// The value of `__meta_swarmscout_unreachable`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NotInNamedNetwork => "the scraper is not in the network of the label",
            Self::NoSharedNetwork => "the scraper shares no network with the task",
            Self::HostPortUnknown => {
                "the managers do not know the published port of the task, and the scraper shares \
                 no network with it"
            }
        }
    }
}

/// Why a task has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoAddress {
    /// It is on no network but that of published ports.
    NoNetwork,
    /// The Swarm does not know its addresses (macvlan, bridge).
    Unknown,
    /// It is on the host's network, and the node has no address that others can use.
    Node,
    /// It is published in mode `host` alone, and the managers do not know the port.
    HostPort,
}

/// The managers do not know at which port of its node a task is published in mode `host`.
pub(super) const UNKNOWN_HOST_PORT: &str = "published port unknown to the Swarm";

/// What to do about an [`UNKNOWN_HOST_PORT`].
pub(super) fn unknown_host_port_advice(service: &str) -> String {
    format!(
        "managers forget the ports that nodes picked, for example after a loss of the quorum: \
         publish a fixed port, or docker service update --force {service}"
    )
}

impl NoAddress {
    /// The reason, as messages and the metric have it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NoNetwork => "task on no network",
            Self::Unknown => "task address unknown to the Swarm",
            Self::Node => "node without usable address",
            Self::HostPort => UNKNOWN_HOST_PORT,
        }
    }

    /// What to do about it. `service` is the name of the task's service; `is_plain`: it is a container
    /// of an engine without a Swarm.
    pub(super) fn advice(self, task: &Task, service: &str, is_plain: bool) -> String {
        match self {
            // Docker connects it to no other network, and publishes none of its ports.
            Self::NoNetwork if task.attachments.iter().any(is_none) => {
                "it runs without a network (--network none, network_mode: none), so it has no address: \
                 start it in a network"
                    .to_owned()
            }
            Self::NoNetwork if is_plain => format!(
                "publish its port (ports: in its Compose file), or attach it to a network of the \
                 scraper (docker network connect NETWORK {})",
                task.container.chars().take(SHOWN_OF_CONTAINER).collect::<String>()
            ),
            Self::Unknown if is_plain => format!(
                "the Engine reports no address of it on {}: publish its port (ports: in its Compose \
                 file)",
                names(&task.attachments)
            ),
            Self::NoNetwork => format!(
                "attach the service to a network of the scraper (docker service update \
                 --network-add NETWORK {service})"
            ),
            Self::Unknown => format!(
                "only its node knows addresses on {}: publish the port in mode host, or attach the \
                 service to an overlay network",
                names(&task.attachments)
            ),
            Self::Node => format!(
                "restart the Engine of node {} with --advertise-addr, so that the managers know an \
                 address of it",
                shown(&task.node)
            ),
            Self::HostPort => unknown_host_port_advice(service),
        }
    }
}

/// The most networks that are named.
const NAMED: usize = 8;

/// Docker shows this much of the ID of a container.
const SHOWN_OF_CONTAINER: usize = 12;

/// The names of the networks of a task, without that of published ports: `back, front`.
pub(super) fn names(attachments: &[Attachment]) -> String {
    let usable = attachments.iter().filter(|one| !one.ingress);
    let mut names: Vec<_> = usable.map(|one| shown(&one.name)).collect();
    names.sort_unstable();
    names.dedup();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    match (&names[..], more) {
        ([], _) => "no network".to_owned(),
        (names, 0) => names.join(", "),
        (names, more) => format!("{} and {more} more", names.join(", ")),
    }
}

/// What an endpoint wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// The port on which the container listens.
    pub(super) port: u16,
    /// A network, by name, ID or name within the stack.
    pub(super) network: Option<&'a str>,
    /// The stack of the service, or empty.
    pub(super) stack: &'a str,
    /// Whether the service publishes the port in mode `host`.
    pub(super) on_host: bool,
}

/// An address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address<'a> {
    pub(super) host: AddressHost<'a>,
    pub(super) port: u32,
    pub(super) source: AddressSource,
    pub(super) unreachable: Option<Unreachable>,
    /// The attachment that has the address.
    pub(super) attachment: Option<&'a Attachment>,
    /// How the port is published, where the address needs that.
    pub(super) published: Option<&'a Port>,
    /// The task is not in the network that the label `network` names.
    pub(super) ignores_network: bool,
    /// The service publishes the port in mode `host`, and the managers do not know where. They
    /// forget ports that a node picked, for example after a loss of the quorum.
    pub(super) forgot_port: bool,
}

/// The host of an [`Address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressHost<'a> {
    Ip(IpAddr),
    /// A node's address as the Swarm reports it.
    Node(&'a str),
}

impl Address<'_> {
    /// Whether the node has it, not the task alone: then another task may claim it, too.
    pub(super) fn is_of_node(&self) -> bool {
        matches!(self.host, AddressHost::Node(_))
    }
}

/// Chooses the address of a task. `node` is the address of its node, if that has a usable one.
pub(super) fn choose<'a>(
    wanted: Wanted<'_>,
    task: &'a Task,
    node: Option<&'a str>,
    shared: &SharedNetworks,
) -> Result<Address<'a>, NoAddress> {
    let named = wanted.network.map(|name| named(&task.attachments, name, wanted.stack));
    let ignores_network = named == Some(None);
    let port = u32::from(wanted.port);
    let published = task.host_ports.iter().find(|published| {
        let is_tcp = &*published.protocol == "tcp";
        is_tcp && published.target == port && published.published != 0
    });
    let forgot_port = wanted.on_host && published.is_none();
    let on_network = |attachment: &'a Attachment, source, unreachable| {
        let host = AddressHost::Ip(*attachment.addresses.first()?);
        let attachment = Some(attachment);
        let published = None;
        let forgot_port = forgot_port && source == AddressSource::FirstNetwork;
        Some(Address {
            host,
            port,
            source,
            unreachable,
            attachment,
            published,
            ignores_network,
            forgot_port,
        })
    };
    let on_node = |node, port, source, attachment, published| Address {
        host: AddressHost::Node(node),
        port,
        source,
        unreachable: None,
        attachment,
        published,
        ignores_network,
        forgot_port: false,
    };

    if let Some(attachment) = named.flatten() {
        let is_apart = matches!(shared, SharedNetworks::Known(_)) && !shared.has(attachment);
        let unreachable = is_apart.then_some(Unreachable::NotInNamedNetwork);
        if let Some(address) = on_network(attachment, AddressSource::NetworkLabel, unreachable) {
            return Ok(address);
        }
    }
    let first = |is: &dyn Fn(&Attachment) -> bool| {
        let usable = task.attachments.iter().filter(|one| {
            let is_usable = !one.ingress && !one.addresses.is_empty();
            is_usable && is(one)
        });
        usable.min_by_key(|one| (&one.name, &one.network))
    };
    let of_shared = first(&|one| shared.has(one));
    if let Some(address) =
        of_shared.and_then(|one| on_network(one, AddressSource::SharedNetwork, None))
    {
        return Ok(address);
    }
    let host_network = task.attachments.iter().find(|one| &*one.driver == "host");
    if let Some(attachment) = host_network {
        let node = node.ok_or(NoAddress::Node)?;
        return Ok(on_node(node, port, AddressSource::Node, Some(attachment), None));
    }
    if let Some((published, node)) = published.zip(node) {
        let port = published.published;
        return Ok(on_node(node, port, AddressSource::HostPort, None, Some(published)));
    }
    let unreachable = match shared {
        SharedNetworks::Unknown => None,
        SharedNetworks::Known(_) if forgot_port => Some(Unreachable::HostPortUnknown),
        SharedNetworks::Known(_) => Some(Unreachable::NoSharedNetwork),
    };
    let any = first(&|_| true);
    any.and_then(|one| on_network(one, AddressSource::FirstNetwork, unreachable)).ok_or_else(|| {
        let is_attached = task.attachments.iter().any(|one| !one.ingress && !is_none(one));
        if forgot_port {
            return NoAddress::HostPort;
        }
        if is_attached { NoAddress::Unknown } else { NoAddress::NoNetwork }
    })
}

/// Whether it is Docker's network `none`: that of what has no network.
fn is_none(attachment: &Attachment) -> bool {
    &*attachment.driver == "null"
}

/// The attachment to a network: by name or ID, or by name within the stack, as a stack file has it.
fn named<'a>(all: &'a [Attachment], name: &str, stack: &str) -> Option<&'a Attachment> {
    let in_stack = |one: &&Attachment| {
        let rest = one.name.strip_prefix(stack).and_then(|rest| rest.strip_prefix('_'));
        !stack.is_empty() && rest == Some(name)
    };
    let exactly = |one: &&Attachment| *one.name == *name || *one.network == *name;
    all.iter().find(exactly).or_else(|| all.iter().find(in_stack))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task: `name=addresses` of each network, with the ID `id-<name>`, and `published:target` of
    /// each port in host mode; `host` for the host's network.
    fn task(networks: &str, ports: &[(u32, u32)]) -> Task {
        let attachments = networks.split_whitespace().map(|network| {
            let (name, addresses) = network.split_once('=').unwrap_or((network, ""));
            let addresses = addresses.split(',').filter(|address| !address.is_empty());
            Attachment {
                network: format!("id-{name}").into(),
                name: name.into(),
                driver: match name {
                    "host" => "host",
                    "none" => "null",
                    _ => "overlay",
                }
                .into(),
                ingress: name == "ingress",
                addresses: addresses.map(|address| address.parse().unwrap()).collect(),
            }
        });
        let port = |(published, target): &(u32, u32)| Port {
            protocol: "tcp".into(),
            published: *published,
            target: *target,
            ..Port::default()
        };
        Task {
            attachments: attachments.collect(),
            host_ports: ports.iter().map(port).collect(),
            ..Task::default()
        }
    }

    /// `network` is the label, `shared` the scraper's networks (`?` for unknown).
    fn check(task: &Task, network: Option<&str>, node: &str, shared: &str, expected: &str) {
        let shared = match shared {
            "?" => SharedNetworks::Unknown,
            names => SharedNetworks::Known(names.split_whitespace().map(Arc::from).collect()),
        };
        let wanted = Wanted { port: 8080, network, stack: "shop", on_host: false };
        let node = (!node.is_empty()).then_some(node);
        let found = match choose(wanted, task, node, &shared) {
            Ok(address) => {
                let host = match address.host {
                    AddressHost::Ip(ip) => ip.to_string(),
                    AddressHost::Node(node) => format!("node {node}"),
                };
                let mut text = format!("{host} {} {}", address.port, address.source.as_str());
                if address.unreachable.is_some() {
                    text += " unreachable";
                }
                if address.ignores_network {
                    text += " ignores_network";
                }
                text
            }
            Err(reason) => reason.as_str().to_owned(),
        };
        assert_eq!(found, expected, "{:?} {network:?} {shared:?}", task.attachments);
    }

    #[test]
    fn the_network_of_the_label_comes_first() {
        let two = task("shop_db=10.0.1.5 web=10.0.2.5,fd00::5", &[]);
        check(&two, Some("web"), "", "shop_db", "10.0.2.5 8080 network_label unreachable");
        check(&two, Some("web"), "", "id-web", "10.0.2.5 8080 network_label");
        check(&two, Some("id-web"), "", "?", "10.0.2.5 8080 network_label");
        // As the stack file names it.
        check(&two, Some("db"), "", "?", "10.0.1.5 8080 network_label");
        check(&two, Some("other"), "", "web", "10.0.2.5 8080 shared_network ignores_network");
    }

    #[test]
    fn a_network_that_the_scraper_shares_comes_before_others() {
        let two = task("ingress=10.255.0.5 a=10.0.1.5 b=10.0.2.5", &[(30080, 8080)]);
        check(&two, None, "192.0.2.1", "b", "10.0.2.5 8080 shared_network");
        check(&two, None, "192.0.2.1", "b a", "10.0.1.5 8080 shared_network");
        // Where that is unknown, a port of the node is sure to be reachable.
        check(&two, None, "192.0.2.1", "?", "node 192.0.2.1 30080 host_port");
        check(&two, None, "192.0.2.1", "ingress", "node 192.0.2.1 30080 host_port");
    }

    #[test]
    fn a_task_on_the_network_of_its_host_has_the_address_of_the_node() {
        let on_host = task("host", &[]);
        check(&on_host, None, "192.0.2.1", "a", "node 192.0.2.1 8080 node");
        check(&on_host, None, "", "a", "node without usable address");
    }

    #[test]
    fn a_port_in_host_mode_needs_the_right_port_and_a_node() {
        let other = task("a=10.0.1.5", &[(30081, 8081), (0, 8080)]);
        check(&other, None, "192.0.2.1", "?", "10.0.1.5 8080 first_network");
        let published = task("a=10.0.1.5", &[(30080, 8080)]);
        check(&published, None, "192.0.2.1", "x", "node 192.0.2.1 30080 host_port");
        check(&published, None, "", "x", "10.0.1.5 8080 first_network unreachable");
    }

    #[test]
    fn a_port_that_the_managers_forgot_is_named() {
        let wanted = Wanted { port: 8080, network: None, stack: "shop", on_host: true };
        let shared = SharedNetworks::Known([Arc::from("x")].into());
        let known = task("a=10.0.1.5", &[(30080, 8080)]);
        let address = choose(wanted, &known, Some("192.0.2.1"), &shared).unwrap();
        assert_eq!((address.source, address.forgot_port), (AddressSource::HostPort, false));
        let forgotten = task("a=10.0.1.5", &[]);
        let address = choose(wanted, &forgotten, Some("192.0.2.1"), &shared).unwrap();
        assert_eq!(address.unreachable, Some(Unreachable::HostPortUnknown));
        assert!(address.forgot_port);
        let alone = task("", &[]);
        let address = choose(wanted, &alone, Some("192.0.2.1"), &shared);
        assert_eq!(address, Err(NoAddress::HostPort));
        // The scraper reaches the task without that port.
        let on_x = task("x=10.0.1.5", &[]);
        let address = choose(wanted, &on_x, Some("192.0.2.1"), &shared).unwrap();
        assert_eq!((address.source, address.forgot_port), (AddressSource::SharedNetwork, false));
    }

    #[test]
    fn the_first_network_by_name_is_the_last_resort() {
        let two = task("ingress=10.255.0.5 b=10.0.2.5 a=fd00::1", &[]);
        check(&two, None, "", "x", "fd00::1 8080 first_network unreachable");
        check(&two, None, "", "?", "fd00::1 8080 first_network");
        check(&task("ingress=10.255.0.5", &[]), None, "", "?", "task on no network");
        check(&task("", &[]), None, "", "?", "task on no network");
        check(&task("none", &[]), None, "", "?", "task on no network");
        check(&task("macvlan", &[]), None, "", "?", "task address unknown to the Swarm");
    }
}
