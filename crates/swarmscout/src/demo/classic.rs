//! The classic Swarm of the demo: two masters, primary and replica, and three nodes with cAdvisor.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use swarmscout_simulator::Listen;
use swarmscout_simulator::classic::{Cluster, Master, Node, Status};

use super::exporters::{Exporters, with_free_ports};

/// The last version.
const VERSION: (u8, u8, u8) = (1, 2, 9);

/// A classic Swarm with everything that answers for it.
#[derive(Debug)]
pub(super) struct Classic {
    cluster: Cluster,
    masters: [Master; 2],
    exporters: Exporters,
    metrics_port: u16,
}

impl Classic {
    /// Starts masters and exporters.
    pub(super) fn start() -> anyhow::Result<Self> {
        with_free_ports([8070], |[metrics_port]| Self::start_with(metrics_port))
    }

    fn start_with(metrics_port: u16) -> anyhow::Result<Self> {
        let cluster = Cluster::default();
        cluster.edit(|nodes| {
            nodes.extend((1..=3_u8).map(|i| {
                let mut node = Node::new(&format!("node-{i}"), &format!("{}:2375", node_ip(i)));
                node.labels.insert(String::from("zone"), format!("z{i}"));
                node
            }));
        });
        let master = |i: u8| {
            let addr = SocketAddr::from((master_ip(i), 0));
            let master = Master::start(Listen::Addr(addr), &cluster, VERSION);
            master.with_context(|| format!("cannot listen on {addr} for a master of the demo"))
        };
        let masters = [master(1)?, master(2)?];
        let primary = masters[0].server.addr().map(|addr| addr.to_string());
        masters[1].set_primary(primary.as_deref());
        let mut classic = Self { cluster, masters, exporters: Exporters::default(), metrics_port };
        classic.sync()?;
        Ok(classic)
    }

    /// `http://127.99.1.1:1234` of each master.
    pub(super) fn masters(&self) -> Vec<String> {
        self.masters.iter().map(|master| master.server.url().to_owned()).collect()
    }

    pub(super) fn metrics_port(&self) -> u16 {
        self.metrics_port
    }

    /// The primary goes away and the replica leads.
    pub(super) fn stop_primary(&self) {
        let [primary, replica] = &self.masters;
        primary.server.refuse();
        replica.set_primary(None);
    }

    /// It comes back, as a replica.
    pub(super) fn restore_primary(&self) -> io::Result<()> {
        let [back, primary] = &self.masters;
        let leader = primary.server.addr().map(|addr| addr.to_string());
        back.set_primary(leader.as_deref());
        back.server.accept()
    }

    /// A node joins; until the master has reached it, it is pending and has no name.
    pub(super) fn add_node(&self) {
        self.cluster.edit(|nodes| {
            nodes.push(Node::new("node-4", &format!("{}:2375", node_ip(4))));
        });
    }

    pub(super) fn remove_node(&self) {
        self.cluster.edit(|nodes| nodes.retain(|node| node.name != "node-4"));
    }

    /// Starts and ends exporters, so that there is one where a target is to be found.
    pub(super) fn sync(&mut self) -> anyhow::Result<()> {
        let nodes = self.cluster.edit(|nodes| nodes.clone());
        let healthy = nodes.iter().filter(|node| node.status == Status::Healthy);
        let mut wanted: BTreeMap<SocketAddr, String> = healthy
            .filter_map(|node| {
                let node_addr: SocketAddr = node.addr.parse().ok()?;
                let addr = SocketAddr::new(node_addr.ip(), self.metrics_port);
                Some((addr, node.name.clone()))
            })
            .collect();
        for i in 1..=2 {
            let addr = SocketAddr::from((master_ip(i), self.metrics_port));
            wanted.insert(addr, format!("master-{i}"));
        }
        for master in &self.masters {
            master.server.forget_requests();
        }
        self.exporters.keep(wanted)
    }
}

fn master_ip(i: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 99, 1, i)
}

fn node_ip(i: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 99, 2, i)
}
