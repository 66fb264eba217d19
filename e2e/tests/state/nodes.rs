//! Nodes that are drained, and that die.

use std::path::Path;

use anyhow::{Result, ensure};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::until;

use crate::compared::await_equal;
use crate::{PATIENCE, Scouts, remove};

const AGENT: (&str, &str) = ("service", "agent");

/// `SwarmKit` issues certificates for 90 days, from an hour before.
pub(crate) fn certificate(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let scouts = Scouts::start(cluster, folder)?;
    scouts.await_all("the certificate of the manager", |metrics| {
        let of_manager = [("node", "manager-1")];
        let [begins, ends] = ["not_before", "expiry"].map(|time| {
            let family = format!("dockerswarm_manager_certificate_{time}_timestamp_seconds");
            metrics.value(&family, &of_manager)
        });
        let (begins, ends) = (begins?, ends?);
        ensure!(ends - begins == 90 * 86_400 + 3600, "from {begins} to {ends}");
        Ok(())
    })
}

pub(crate) fn drained(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let scouts = Scouts::start(cluster, folder)?;
    cluster.create_service("agent --mode global demo:1")?;
    cluster.create_service("web --replicas 3 demo:1")?;
    cluster.create_service("pinned --constraint node.hostname==worker-1 demo:1")?;
    for want in ["agent 3/3", "web 3/3", "pinned 1/1"] {
        cluster.await_replicas(want)?;
    }
    await_equal(cluster, &scouts)?;
    scouts.await_values(&[("service_desired_tasks", &[AGENT], 3)])?;

    // A paused node keeps what it has.
    cluster.docker(&["node", "update", "--availability", "pause", "worker-1"])?;
    await_equal(cluster, &scouts)?;
    scouts.await_values(&[
        ("service_desired_tasks", &[AGENT], 3),
        ("node_availability", &[("node", "worker-1"), ("availability", "pause")], 1),
    ])?;

    cluster.docker(&["node", "update", "--availability", "drain", "worker-1"])?;
    for want in ["agent 2/2", "web 3/3", "pinned 0/1"] {
        cluster.await_replicas(want)?;
    }
    await_equal(cluster, &scouts)?;
    let pinned = ("service", "pinned");
    scouts.await_values(&[
        ("service_desired_tasks", &[AGENT], 2),
        ("service_at_desired", &[AGENT], 1),
        ("service_at_desired", &[pinned], 0),
        ("service_schedulable_tasks", &[pinned], 0),
        ("node_tasks", &[("node", "worker-1")], 0),
        // A drain does not count as a failure.
        ("service_task_failures_total", &[("service", "web")], 0),
        ("service_task_restarts_total", &[("service", "web")], 0),
    ])?;

    cluster.docker(&["node", "update", "--availability", "active", "worker-1"])?;
    for want in ["agent 3/3", "pinned 1/1"] {
        cluster.await_replicas(want)?;
    }
    await_equal(cluster, &scouts)?;
    remove(cluster, &["agent", "web", "pinned"])
}

pub(crate) fn dead(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let scouts = Scouts::start(cluster, folder)?;
    cluster.create_service("agent --mode global demo:1")?;
    cluster.create_service("pinned --constraint node.hostname==worker-2 demo:1")?;
    for want in ["agent 3/3", "pinned 1/1"] {
        cluster.await_replicas(want)?;
    }
    await_equal(cluster, &scouts)?;

    cluster.kill("worker-2")?;
    let pinned = ("service", "pinned");
    scouts.await_values(&[
        ("node_state", &[("node", "worker-2"), ("state", "down")], 1),
        ("service_running_tasks", &[pinned], 0),
        ("service_at_desired", &[pinned], 0),
        ("service_schedulable_tasks", &[pinned], 0),
        ("service_desired_tasks", &[AGENT], 2),
        ("service_running_tasks", &[AGENT], 2),
        ("service_at_desired", &[AGENT], 1),
    ])?;
    // Docker does not notice: the manager goes on to believe the last that the node reported.
    let list = cluster.docker(&["service", "ls", "--format", "{{.Name}} {{.Replicas}}"])?;
    ensure!(list.lines().any(|line| line == "pinned 1/1"), "{list}");

    cluster.restart("worker-2")?;
    until("the node", PATIENCE, || {
        let nodes = cluster.docker(&["node", "ls", "--format", "{{.Hostname}} {{.Status}}"])?;
        ensure!(nodes.contains("worker-2 Ready"), "{nodes}");
        Ok(())
    })?;
    for want in ["agent 3/3", "pinned 1/1"] {
        cluster.await_replicas(want)?;
    }
    await_equal(cluster, &scouts)?;
    remove(cluster, &["agent", "pinned"])
}
