//! The series of networks, and how many of their addresses are in use.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use swarmscout_docker::engine::{Network, Service};
use swarmscout_swarm::{Buckets, Snapshot};

use crate::families::Family;
use crate::options::Options;
use crate::page::{Page, count, flag};

pub(crate) fn write(page: &mut Page, snapshot: &Snapshot, options: &Options) {
    let used = addresses_in_use(snapshot);
    let networks = snapshot.networks.objects().filter(|network| &*network.scope == "swarm");
    let mut networks: Vec<_> = networks.collect();
    networks.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    // No Swarm makes two of one name.
    networks.dedup_by(|a, b| a.name == b.name);
    for network in networks {
        let mut labels = options.labels();
        labels.push("network", &network.name);
        page.time(Family::NetworkCreated, &labels, network.created);
        if let Some(addresses) = capacity(network) {
            page.series(Family::NetworkAddresses, &labels, addresses as f64);
            let used = used.get(&*network.id).map(HashSet::len).unwrap_or_default();
            page.series(Family::NetworkAddressesUsed, &labels, count(used));
        }
        labels.push("network_id", &network.id);
        labels.push("driver", &network.driver);
        for (name, is) in [
            ("attachable", network.attachable),
            ("ingress", network.ingress),
            ("internal", network.internal),
        ] {
            labels.push(name, if flag(is) > 0.0 { "true" } else { "false" });
        }
        page.series(Family::NetworkInfo, &labels, 1.0);
    }
}

/// The addresses of tasks that have not ended and of services, by the ID of the network. Each node with
/// a task on a network has one more there, for its load balancer.
fn addresses_in_use(snapshot: &Snapshot) -> HashMap<&str, HashSet<Address<'_>>> {
    let mut used = HashMap::<&str, HashSet<Address<'_>>>::new();
    for task in snapshot.tasks.objects() {
        let has_ended = matches!(
            &*task.state,
            "complete" | "shutdown" | "failed" | "rejected" | "remove" | "orphaned"
        );
        if has_ended {
            continue;
        }
        for attachment in &task.attachments {
            let of_network = used.entry(&attachment.network).or_default();
            of_network.extend(attachment.addresses.iter().map(|address| Address::Of(*address)));
            if !task.node.is_empty() && &*attachment.driver == "overlay" {
                of_network.insert(Address::LoadBalancer(&task.node));
            }
        }
    }
    virtual_ips(&snapshot.services, &mut used);
    used
}

fn virtual_ips<'a>(
    services: &'a Buckets<Service>,
    used: &mut HashMap<&'a str, HashSet<Address<'a>>>,
) {
    for ip in services.objects().flat_map(|service| &service.virtual_ips) {
        let of_network = used.entry(&ip.network).or_default();
        of_network.extend(ip.address.map(Address::Of));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Address<'a> {
    Of(IpAddr),
    LoadBalancer(&'a str),
}

/// The number of addresses that a network has for its members; `None` if it names no IPv4 subnet.
/// Network, broadcast and gateway are not for members.
fn capacity(network: &Network) -> Option<u64> {
    let sizes = network.pools.iter().filter_map(|pool| {
        let has_range = !pool.range.is_empty();
        let size = size(if has_range { &pool.range } else { &pool.subnet })?;
        // Those that are reserved lie outside of a range, mostly.
        Some(if has_range { size } else { size.saturating_sub(3) })
    });
    let sizes: Vec<_> = sizes.collect();
    (!sizes.is_empty()).then(|| sizes.iter().sum())
}

/// The number of addresses of `10.0.1.0/24`. `None` for IPv6, which has no end.
fn size(subnet: &Arc<str>) -> Option<u64> {
    let (address, bits) = subnet.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let bits: u32 = bits.parse().ok().filter(|bits| *bits <= 32)?;
    address.is_ipv4().then(|| 1 << (32 - bits))
}

#[cfg(test)]
mod tests {
    use swarmscout_docker::engine::AddressPool;

    use super::*;

    #[test]
    fn a_subnet_has_addresses_for_members() {
        let of = |pools: &[(&str, &str)]| {
            let pool = |(subnet, range): &(&str, &str)| AddressPool {
                subnet: (*subnet).into(),
                range: (*range).into(),
            };
            capacity(&Network { pools: pools.iter().map(pool).collect(), ..Network::default() })
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("10.0.1.0/24", "")]), Some(253));
        assert_eq!(of(&[("10.0.0.0/16", "10.0.5.0/28")]), Some(16));
        assert_eq!(of(&[("10.0.1.0/24", ""), ("fd00::/64", "")]), Some(253));
        assert_eq!(of(&[("10.0.1.0/40", ""), ("x", ""), ("fd00::/64", "")]), None);
    }
}
