//! The series of networks, and how many of their addresses are in use.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use swarmscout_docker::engine::{Network, NetworkStatuses, Service, Task};
use swarmscout_swarm::{Buckets, Snapshot};

use crate::families::Family;
use crate::options::Options;
use crate::page::Page;

pub(crate) fn write(page: &mut Page, snapshot: &Snapshot, used: &AddressUse, options: &Options) {
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
            let used = used.of(network, addresses);
            page.series(Family::NetworkAddressesUsed, &labels, used as f64);
        }
        labels.push("network_id", &network.id);
        labels.push("driver", &network.driver);
        for (name, is) in [
            ("attachable", network.attachable),
            ("ingress", network.ingress),
            ("internal", network.internal),
        ] {
            labels.push(name, if is { "true" } else { "false" });
        }
        page.series(Family::NetworkInfo, &labels, 1.0);
    }
}

/// The addresses in use on each network: of tasks that have not ended and of services. Each node with a
/// task on an overlay has one more there, for its load balancer. It follows from one snapshot to the
/// next at the cost of the changes.
#[derive(Debug, Default)]
pub(crate) struct AddressUse {
    tasks: Buckets<Task>,
    services: Buckets<Service>,
    /// By the ID of the network.
    networks: HashMap<Arc<str>, Users, RandomState>,
    /// What managers know, if they are asked.
    status: Arc<NetworkStatuses>,
}

/// The number of users of each address of a network.
#[derive(Debug, Default)]
struct Users {
    addresses: HashMap<IpAddr, u32, RandomState>,
    /// Of load balancers, by the ID of their node.
    load_balancers: HashMap<Arc<str>, u32, RandomState>,
}

impl Users {
    fn len(&self) -> usize {
        self.addresses.len() + self.load_balancers.len()
    }
}

#[derive(Clone, Copy, Debug)]
enum Address<'a> {
    Of(IpAddr),
    /// Of the load balancer of this node.
    LoadBalancer(&'a Arc<str>),
}

impl AddressUse {
    /// The number of addresses in use on a network with this many.
    fn of(&self, network: &Network, most: u64) -> u64 {
        let status = self.status.get(&network.id);
        if let Some(free) = status.and_then(|status| status.free) {
            return most.saturating_sub(free);
        }
        let known = self.networks.get(&network.id);
        let is_new = |address: &&IpAddr| {
            address.is_ipv4() && known.is_none_or(|known| !known.addresses.contains_key(*address))
        };
        let further = status.map(|status| status.used.iter().filter(is_new).count());
        (known.map_or(0, Users::len) + further.unwrap_or_default()) as u64
    }

    /// Whether no address of a network is free.
    pub(crate) fn is_full(&self, network: &Network) -> bool {
        capacity(network).is_some_and(|most| self.of(network, most) >= most)
    }

    /// Follows to another snapshot.
    pub(crate) fn update(&mut self, now: &Snapshot) {
        self.status = Arc::clone(&now.network_status);
        let before = std::mem::replace(&mut self.tasks, now.tasks.clone());
        for (old, new) in before.differences(&now.tasks) {
            let is_same = |(old, new): (&Arc<Task>, &Arc<Task>)| {
                old.attachments == new.attachments
                    && old.node == new.node
                    && old.has_ended() == new.has_ended()
            };
            if old.zip(new).is_some_and(is_same) {
                continue;
            }
            if let Some(task) = old {
                of_task(task, &mut |network, address| self.remove(network, address));
            }
            if let Some(task) = new {
                of_task(task, &mut |network, address| self.add(network, address));
            }
        }
        let before = std::mem::replace(&mut self.services, now.services.clone());
        for (old, new) in before.differences(&now.services) {
            if let Some(service) = old {
                of_service(service, &mut |network, address| self.remove(network, address));
            }
            if let Some(service) = new {
                of_service(service, &mut |network, address| self.add(network, address));
            }
        }
    }

    fn add(&mut self, network: &Arc<str>, address: Address<'_>) {
        if !self.networks.contains_key(network) {
            self.networks.insert(Arc::clone(network), Users::default());
        }
        let Some(used) = self.networks.get_mut(network) else { return };
        match address {
            Address::Of(address) => *used.addresses.entry(address).or_default() += 1,
            Address::LoadBalancer(node) => match used.load_balancers.get_mut(node) {
                Some(users) => *users += 1,
                None => drop(used.load_balancers.insert(Arc::clone(node), 1)),
            },
        }
    }

    fn remove(&mut self, network: &Arc<str>, address: Address<'_>) {
        let Some(used) = self.networks.get_mut(network) else { return };
        match address {
            Address::Of(address) => leave(used.addresses.entry(address)),
            Address::LoadBalancer(node) => leave(used.load_balancers.entry(Arc::clone(node))),
        }
        if used.len() == 0 {
            self.networks.remove(network);
        }
    }
}

/// One user less.
fn leave<K>(address: Entry<'_, K, u32>) {
    if let Entry::Occupied(mut users) = address {
        *users.get_mut() -= 1;
        if *users.get() == 0 {
            users.remove();
        }
    }
}

/// Passes on each network of a task with an address there.
fn of_task(task: &Task, each: &mut dyn FnMut(&Arc<str>, Address<'_>)) {
    if task.has_ended() {
        return;
    }
    for attachment in &task.attachments {
        for address in &attachment.addresses {
            each(&attachment.network, Address::Of(*address));
        }
        if !task.node.is_empty() && &*attachment.driver == "overlay" {
            each(&attachment.network, Address::LoadBalancer(&task.node));
        }
    }
}

fn of_service(service: &Service, each: &mut dyn FnMut(&Arc<str>, Address<'_>)) {
    for ip in &service.virtual_ips {
        if let Some(address) = ip.address {
            each(&ip.network, Address::Of(address));
        }
    }
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
