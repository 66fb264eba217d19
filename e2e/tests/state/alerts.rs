//! Alerts that a Swarm raises, as they come to Alertmanager. `just alerts` tests all of them.

use std::path::Path;

use anyhow::{Result, ensure};
use swarmscout_e2e::alerting::Alerting;
use swarmscout_e2e::cluster::Cluster;

use crate::remove;

/// A service without a node, a network without addresses, and a node that is down; then they end.
pub(crate) fn fire_and_end(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    for (name, subnet) in [("front", "10.92.1.0/24"), ("narrow", "10.92.2.0/28")] {
        cluster.docker(&["network", "create", "-d", "overlay", "--subnet", subnet, name])?;
    }
    cluster.docker(&["node", "update", "--label-add", "team=ops", "worker-2"])?;
    let mut alerting = Alerting::start(cluster, folder, "events: events", "")?;
    alerting.await_up("dockerd")?;

    let on_worker = "--constraint node.hostname==worker-1";
    cluster.create_service("nowhere -l team=shop --constraint node.labels.none==such demo:1")?;
    cluster.create_service(&format!("crowd --replicas 9 --network narrow {on_worker} demo:1"))?;
    cluster.await_replicas("crowd 9/9")?;
    alerting.await_alerts(&[
        "SwarmServiceDown nowhere",
        "SwarmServiceOnOneNode crowd",
        "SwarmNetworkAddresses narrow",
    ])?;
    cluster.kill("worker-2")?;
    let alerts = alerting.await_alerts(&[
        "SwarmServiceDown nowhere",
        "SwarmNetworkAddresses narrow",
        "SwarmNodeDown worker-2",
        // Its node is down, and that is enough.
        "(SwarmTargetDown worker-2)",
        "(SwarmServiceOnOneNode crowd)",
    ])?;
    for (name, expected) in [("SwarmServiceDown", "shop"), ("SwarmNodeDown", "ops")] {
        let named = alerts.iter().find(|alert| alert.label("alertname") == name);
        let team = named.map(|alert| alert.label("team"));
        ensure!(team == Some(expected), "{name} of team {team:?}");
    }

    remove(cluster, &["nowhere", "crowd"])?;
    cluster.restart("worker-2")?;
    alerting.await_alerts(&[])?;
    Ok(())
}
