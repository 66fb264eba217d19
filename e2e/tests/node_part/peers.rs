//! Probes of the network between the nodes.

use std::path::Path;

use anyhow::{Result, ensure};
use swarmscout_e2e::cases::PATIENCE;
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::until;

use crate::{NODES, metrics};

pub(crate) fn cut(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    await_peers(cluster, &[])?;
    let other = cluster.engine("worker-2").address.clone();
    let rules = [["INPUT", "-s"], ["OUTPUT", "-d"]];
    let change = |how: &str| {
        rules.iter().try_for_each(|[chain, side]| {
            let rule = ["iptables", "-w", how, *chain, *side, other.as_str(), "-j", "DROP"];
            cluster.run_beside("worker-1", &rule).map(drop)
        })
    };
    change("-I")?;
    let found = await_peers(cluster, &[("worker-1", "worker-2"), ("worker-2", "worker-1")]);
    change("-D")?;
    found?;
    await_peers(cluster, &[])
}

/// Waits until every node answers every other one, except those to which these cannot speak.
fn await_peers(cluster: &Cluster, cut: &[(&str, &str)]) -> Result<()> {
    until("the peers", PATIENCE, || {
        for node in NODES {
            let metrics = metrics(cluster, node, "/metrics")?;
            for peer in NODES.iter().filter(|peer| **peer != node) {
                let labels = [("peer", *peer), ("path", "host")];
                let up = metrics.all("swarmscout_peer_up", &labels).next();
                let up = up.map(|series| series.value.as_str());
                let expected = if cut.contains(&(node, *peer)) { "0.0" } else { "1.0" };
                ensure!(up == Some(expected), "from {node} to {peer}: {up:?}, not {expected}");
            }
        }
        Ok(())
    })
}
