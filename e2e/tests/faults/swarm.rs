//! Managers and workers that come, go and change their role, and what a Swarm is without a leader.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::until;
use swarmscout_e2e::witness::Witness;

use crate::{
    NODES, PATIENCE, await_answer, await_error, await_recovery, await_skipped, await_targets,
    failed_refreshes, nodes, start, tasks,
};

pub(crate) fn demoted(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let hosts = ["manager-2", "manager-1"].map(|name| cluster.url(name));
    let jobs = [("alone", nodes(&hosts[..1])), ("both", nodes(&hosts))];
    let server = start(folder, "demoted", &jobs)?;
    let witnesses = ["alone", "both"].map(|job| Witness::of(&server.url, job));
    cluster.docker(&["node", "demote", "manager-2"])?;
    await_answer(cluster, "manager-2", "/nodes", "503 ")?;
    let error = await_error(&server, "alone", "not a manager but a worker")?;
    let manager = &cluster.engine("manager-1").address;
    ensure!(error.contains(manager), "it does not say whom to ask: {error}");
    await_skipped(&server, "both", &hosts[0])?;
    until("the role that the other manager reports", PATIENCE, || {
        let nodes = server.sd("both")?;
        let worker = nodes.iter().any(|(_, labels)| {
            labels["__meta_dockerswarm_node_hostname"] == "manager-2"
                && labels["__meta_dockerswarm_node_role"] == "worker"
        });
        ensure!(worker, "{nodes:?}");
        Ok(())
    })?;
    cluster.docker(&["node", "promote", "manager-2"])?;
    await_answer(cluster, "manager-2", "/nodes", "200 ")?;
    await_recovery(&server, "alone", NODES)?;
    await_targets(&server, "both", NODES)?;
    for witness in witnesses {
        println!("{:?}", witness.saw_at_least(NODES)?);
    }
    Ok(())
}

/// The Swarm then has two nodes of that name and address, until the old one is removed. They are
/// one target, and a rule on their state decides which.
pub(crate) fn rejoined(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    const ONLY_LIVE: &str = "  relabel_configs: [{source_labels: [__meta_dockerswarm_node_status], \
                             regex: down, action: drop}]\n";
    let host = [cluster.url("manager-1")];
    let jobs =
        [("nodes", nodes(&host)), ("live", nodes(&host) + ONLY_LIVE), ("tasks", tasks(&host))];
    let server = start(folder, "rejoined", &jobs)?;
    // Without the node that has left and not joined yet there are fewer.
    let witnesses = [("nodes", NODES), ("live", NODES - 1), ("tasks", NODES - 1)]
        .map(|(job, least)| (Witness::of(&server.url, job), least));
    let of_worker = |list: &str| -> Result<Vec<(String, Value)>> {
        let mut found = server.sd(list)?;
        found.retain(|(_, labels)| labels["__meta_dockerswarm_node_hostname"] == "worker-1");
        found.sort_by_key(|(_, labels)| labels["__meta_dockerswarm_node_status"].to_string());
        Ok(found)
    };
    let before = of_worker("live")?;
    let [(address, labels)] = &before[..] else { anyhow::bail!("{before:?}") };
    let old = &labels["__meta_dockerswarm_node_id"];
    cluster.rejoin("worker-1")?;
    let new = until("a node that went and one that came", PATIENCE, || {
        let [(of_down, down), (of_ready, ready)] = &of_worker("nodes?raw=1")?[..] else {
            anyhow::bail!("{:?}", of_worker("nodes?raw=1"))
        };
        let states = [down, ready].map(|labels| &labels["__meta_dockerswarm_node_status"]);
        ensure!(states == ["down", "ready"], "{states:?}");
        ensure!([of_down, of_ready] == [address; 2] && down["__meta_dockerswarm_node_id"] == *old);
        Ok(ready["__meta_dockerswarm_node_id"].clone())
    })?;
    ensure!(new != *old, "the new node has the old ID");
    await_targets(&server, "live", NODES)?;
    let is_new = |list: &str| -> Result<()> {
        let found = of_worker(list)?;
        let ids = found.iter().map(|(_, labels)| &labels["__meta_dockerswarm_node_id"]);
        ensure!(ids.eq([&new]), "{found:?}");
        Ok(())
    };
    is_new("live")?;
    await_targets(&server, "nodes", NODES)?;
    ensure!(server.source("nodes")?["targets"] == NODES + 1, "{}", server.source("nodes")?);
    until("the task of the node that came", PATIENCE, || {
        is_new("tasks")?;
        let state = &of_worker("tasks")?[0].1["__meta_dockerswarm_task_state"];
        ensure!(state == "running", "{state}");
        Ok(())
    })?;
    cluster.docker(&["node", "rm", old.as_str().context("no ID")?])?;
    for list in ["nodes?raw=1", "nodes", "live", "tasks"] {
        until(list, PATIENCE, || is_new(list))?;
    }
    for job in ["nodes", "live", "tasks"] {
        await_targets(&server, job, NODES)?;
        ensure!(failed_refreshes(&server.source(job)?)? == 0, "{}", server.source(job)?);
    }
    for (witness, least) in witnesses {
        println!("{:?}", witness.saw_at_least(least)?);
    }
    Ok(())
}

/// No refresh fails, and the API sees nothing of it.
pub(crate) fn authority_rotated(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let names = ["manager-1", "manager-2", "manager-3"];
    let jobs = names.map(|name| (name, nodes(&[cluster.url(name)])));
    let server = start(folder, "authority", &jobs)?;
    let witnesses = names.map(|job| Witness::of(&server.url, job));
    let before = cluster.docker(&["swarm", "ca"])?;
    cluster.docker(&["swarm", "ca", "--rotate", "--detach"])?;
    until("the end of the rotation", PATIENCE, || {
        let format = "{{.Swarm.Cluster.RootRotationInProgress}}";
        let rotates = cluster.docker(&["info", "--format", format])?;
        ensure!(rotates == "false" && cluster.docker(&["swarm", "ca"])? != before, "{rotates}");
        Ok(())
    })?;
    for job in names {
        let refreshes = server.source(job)?["refreshes"].as_u64().context("no number")?;
        until("a refresh that started after it", PATIENCE, || {
            let source = server.source(job)?;
            ensure!(source["refreshes"].as_u64() > Some(refreshes + 1), "{source}");
            Ok(())
        })?;
        await_targets(&server, job, NODES)?;
        println!("{job}: {} refreshes failed", failed_refreshes(&server.source(job)?)?);
    }
    for witness in witnesses {
        println!("{:?}", witness.saw_at_least(NODES)?);
    }
    Ok(())
}

pub(crate) fn quorum_lost(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let all = ["manager-1", "manager-2", "manager-3"].map(|name| cluster.url(name));
    let jobs = [("nodes", nodes(&all[..1])), ("tasks", tasks(&all[..1])), ("any", nodes(&all))];
    let server = start(folder, "quorum", &jobs)?;
    // Once there is a leader again, tasks of managers that are down are to stop.
    let witnesses = [("nodes", NODES), ("tasks", NODES - 2), ("any", NODES)]
        .map(|(job, least)| (Witness::of(&server.url, job), least));
    println!(
        "{}",
        cluster.docker(&["node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}"])?
    );
    cluster.kill("manager-2")?;
    cluster.kill("manager-3")?;
    await_answer(cluster, "manager-1", "/nodes", "does not have a leader")?;
    for job in ["nodes", "tasks", "any"] {
        await_error(&server, job, "the Swarm has no leader")?;
        ensure!(server.sd(job)?.len() == NODES, "{job}: {:?}", server.sd(job)?);
    }
    cluster.restart("manager-2")?;
    await_answer(cluster, "manager-1", "/nodes", "200 ")?;
    for job in ["nodes", "any"] {
        await_recovery(&server, job, NODES)?;
    }
    cluster.restart("manager-3")?;
    for job in ["nodes", "tasks", "any"] {
        await_targets(&server, job, NODES)?;
    }
    for (witness, least) in witnesses {
        println!("{:?}", witness.saw_at_least(least)?);
    }
    Ok(())
}
