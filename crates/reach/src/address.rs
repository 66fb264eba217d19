//! Which of a container's addresses its node reaches: from the kernel's tables, as text.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The addresses of a network namespace, from its `/proc/<pid>/net/fib_trie`.
///
/// A leaf of the trie is a line with an address; the lines below it are the routes to it. One of 32
/// bits and of the type `LOCAL` is an address of this namespace.
pub(crate) fn local_addresses(fib_trie: &str) -> BTreeSet<Ipv4Addr> {
    let mut addresses = BTreeSet::new();
    let mut leaf = None;
    for line in fib_trie.lines() {
        let line = line.trim_start();
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.trim_end().parse::<Ipv4Addr>().ok();
        } else if line.starts_with('+') {
            leaf = None;
        } else if let Some(address) = leaf
            && line.starts_with("/32 ")
            && line.split_ascii_whitespace().any(|word| word == "LOCAL")
        {
            addresses.insert(address);
        }
    }
    addresses
}

/// A route of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeRoute<'a> {
    pub(crate) interface: &'a str,
    destination: u32,
    mask: u32,
    metric: u32,
    /// Whether packets go to their receiver, not to a gateway.
    direct: bool,
}

/// `RTF_UP`, `RTF_GATEWAY`, `RTF_REJECT` (Linux `include/uapi/linux/route.h`).
const UP: u32 = 1;
const GATEWAY: u32 = 2;
const REJECT: u32 = 0x200;

/// The routes in `/proc/<pid>/net/route`. Lines that cannot be read are skipped.
pub(crate) fn routes(text: &str) -> Vec<NodeRoute<'_>> {
    text.lines().skip(1).filter_map(route).collect()
}

fn route(line: &str) -> Option<NodeRoute<'_>> {
    let mut fields = line.split_ascii_whitespace();
    let interface = fields.next()?;
    // Addresses are in the byte order of the network, shown as a number of this machine.
    let mut address = || Some(u32::from_be(u32::from_str_radix(fields.next()?, 16).ok()?));
    let (destination, gateway) = (address()?, address()?);
    let flags = u32::from_str_radix(fields.next()?, 16).ok()?;
    let metric = fields.nth(2)?.parse().ok()?;
    let mask = u32::from_be(u32::from_str_radix(fields.next()?, 16).ok()?);
    let direct = flags & GATEWAY == 0 && flags & REJECT == 0 && gateway == 0;
    (flags & UP != 0).then_some(NodeRoute { interface, destination, mask, metric, direct })
}

/// The route that the node takes to an address: the most specific one, then that of the smallest
/// metric.
pub(crate) fn route_to<'a, 'r>(
    routes: &'r [NodeRoute<'a>],
    address: Ipv4Addr,
) -> Option<&'r NodeRoute<'a>> {
    let address = u32::from(address);
    let leads = routes.iter().filter(|route| address & route.mask == route.destination);
    leads.max_by_key(|route| (route.mask, std::cmp::Reverse(route.metric)))
}

/// The address of a container that its node reaches over a bridge without a gateway; the smallest if
/// there are more.
///
/// A container that may change its network (`CAP_NET_ADMIN`) chooses what its tables say. So none of
/// the node's own addresses counts, and none that lies behind another interface than a bridge: the
/// fetch would go to the node itself, or to a neighbour of it.
pub(crate) fn on_a_bridge(
    container: &BTreeSet<Ipv4Addr>,
    node: &BTreeSet<Ipv4Addr>,
    routes: &[NodeRoute<'_>],
    is_bridge: impl Fn(&str) -> bool,
) -> Option<Ipv4Addr> {
    container.iter().copied().find(|address| {
        let usable = !address.is_loopback()
            && !address.is_unspecified()
            && !address.is_multicast()
            && !address.is_broadcast()
            && !address.is_link_local()
            && !node.contains(address);
        let route = route_to(routes, *address).filter(|route| usable && route.direct);
        route.is_some_and(|route| is_bridge(route.interface))
    })
}

/// Whether `/proc/<pid>/cgroup` is that of a process in this container.
///
/// The ID is a whole component of a path, alone or as systemd's `docker-<id>.scope`. A reader in a
/// cgroup namespace of its own sees `/../<id>`, and a container's systemd adds components.
pub(crate) fn is_in_container(cgroup: &str, container: &str) -> bool {
    let is_id = container.len() == 64 && container.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id
        && cgroup.lines().any(|line| {
            let path = line.splitn(3, ':').nth(2).unwrap_or_default();
            path.split('/').any(|component| {
                let scope = component.strip_suffix(".scope").unwrap_or(component);
                // `docker-`, or the name of another runtime.
                scope.rsplit('-').next() == Some(container)
            })
        })
}

#[cfg(test)]
mod tests;
