//! Nodes.

use std::path::Path;

use anyhow::{Result, ensure};
use swarmscout_e2e::alerting::Alerting;
use swarmscout_e2e::cluster::Cluster;

use crate::{create, remove};

fn label(cluster: &Cluster, node: &str, change: &[&str]) -> Result<()> {
    cluster.docker(&[&["node", "update"], change, &[node]].concat()).map(drop)
}

pub(crate) fn down(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let engine = format!(
        "- job_name: engine\n  docker_sd_configs: [{{host: '{}', refresh_interval: 1s}}]\n",
        cluster.url("worker-2")
    );
    let mut alerting = Alerting::start(cluster, folder, "events: events", &engine)?;
    // It has metrics of its Engine.
    alerting.await_up("dockerd")?;
    cluster.stop("worker-2");
    let alerts = alerting.await_alerts(&[
        "SwarmNodeDown worker-2",
        "(SwarmTargetDown worker-2)",
        "SwarmDiscoveryStale docker/0",
    ])?;
    let stale = alerts.iter().find(|alert| alert.label("alertname") == "SwarmDiscoveryStale");
    ensure!(stale.is_some_and(|alert| alert.label("job") == "engine"), "{alerts:?}");
    // A maintenance that is announced.
    label(cluster, "worker-2", &["--label-add", "prometheus.io/alert.ignore=down"])?;
    alerting.await_alerts(&["SwarmNodeMaintenance worker-2", "SwarmDiscoveryStale docker/0"])?;
    label(cluster, "worker-2", &["--label-rm", "prometheus.io/alert.ignore"])?;
    cluster.restart("worker-2")?;
    alerting.await_alerts(&[])?;
    Ok(())
}

pub(crate) fn drained(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let mut alerting = Alerting::start(cluster, folder, "events: events", "")?;
    create(cluster, "pair --replicas 2 --constraint node.hostname==manager-1 demo:1", &[])?;
    for availability in ["drain", "pause"] {
        label(cluster, "worker-1", &["--availability", availability])?;
        alerting.await_alerts(&[
            "SwarmNodeDrained worker-1",
            "SwarmNodeMaintenance worker-1",
            "(SwarmServiceOnOneNode pair)",
        ])?;
    }
    label(cluster, "worker-1", &["--label-add", "prometheus.io/alert.ignore=drained"])?;
    alerting.await_alerts(&["SwarmNodeMaintenance worker-1", "(SwarmServiceOnOneNode pair)"])?;
    label(cluster, "worker-1", &["--label-rm", "prometheus.io/alert.ignore"])?;
    label(cluster, "worker-1", &["--availability", "active"])?;
    alerting.await_alerts(&["SwarmServiceOnOneNode pair"])?;
    remove(cluster, &["pair"])?;
    // Managers are drained so that they only manage.
    label(cluster, "manager-2", &["--availability", "drain"])?;
    alerting.await_alerts(&[])?;
    label(cluster, "manager-2", &["--availability", "active"])
}

pub(crate) fn full(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let mut alerting = Alerting::start(cluster, folder, "events: events", "")?;
    let inspect = |what: &str| {
        let format = format!("{{{{.Description.Resources.{what}}}}}");
        cluster.docker(&["node", "inspect", "-f", &format, "worker-1"])
    };
    let (cpus, memory) = (inspect("NanoCPUs")?, inspect("MemoryBytes")?);
    let memory = memory.parse::<u64>()? * 9 / 10;
    let cpus = cpus.parse::<u64>()? / 100_000_000 * 9;
    create(cluster, &format!("large --replicas 5 --reserve-memory {memory} demo:1"), &[])?;
    alerting.await_alerts(&["SwarmCannotLoseNode memory"])?;
    let busy = format!("busy --replicas 5 --reserve-cpu {}.{} demo:1", cpus / 100, cpus % 100);
    create(cluster, &busy, &[])?;
    alerting.await_alerts(&["SwarmCannotLoseNode memory", "SwarmCannotLoseNode cpu"])?;
    remove(cluster, &["large", "busy"])?;
    alerting.await_alerts(&[])?;
    Ok(())
}
