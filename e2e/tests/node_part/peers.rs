//! Probes of the network between the nodes.

use std::path::Path;

use anyhow::{Result, ensure};
use swarmscout_e2e::cases::PATIENCE;
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::program::swarmscout;
use swarmscout_e2e::until;

use crate::{MANAGER_PORTS, NODES, certificates, metrics};

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
    await_doctor(cluster, "3 pairs of nodes probe each other, all intact", None)?;
    change("-I")?;
    let found = await_peers(cluster, &[("worker-1", "worker-2"), ("worker-2", "worker-1")]);
    // Node parts follow one manager, and report to both.
    let found = found.and_then(|()| {
        let line = "3 pairs of nodes probe each other, 2 of them intact";
        let finding = "node worker-1: probes between the hosts are lost to 1 of 2 peers (worker-2)";
        await_doctor(cluster, line, Some(finding))
    });
    change("-D")?;
    found?;
    await_peers(cluster, &[])?;
    await_doctor(cluster, "3 pairs of nodes probe each other, all intact", None)
}

/// Waits until both managers say this of the network between the nodes.
fn await_doctor(cluster: &Cluster, line: &str, finding: Option<&str>) -> Result<()> {
    for port in MANAGER_PORTS {
        until("doctor", PATIENCE, || {
            let url = format!("--url=https://{}:{port}", cluster.engine("manager-1").address);
            let http =
                format!("--http.config.file={}", certificates(cluster).join("http.yml").display());
            let output = swarmscout().args(["doctor", &url, &http]).output()?;
            let printed = String::from_utf8_lossy(&output.stdout);
            let has_finding = finding.is_none_or(|finding| printed.contains(finding));
            ensure!(printed.contains(line) && has_finding, "{printed}");
            // The node parts want a certificate that doctor has not.
            ensure!(!printed.contains("do not speak HTTP"), "{printed}");
            for line in printed.lines().filter(|line| line.contains("probe")) {
                println!("{port}: {line}");
            }
            Ok(())
        })?;
    }
    Ok(())
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
