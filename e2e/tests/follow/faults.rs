//! Faults while a manager is watched. A witness reads the targets the whole time.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::program::Server;
use swarmscout_e2e::until;
use swarmscout_e2e::witness::Witness;

use crate::{How, PATIENCE, agents, failed_refreshes, job, start};

const NODES: usize = 4;

/// Waits until `/sd/<job>` has this many targets of nodes in this state.
fn await_state(server: &Server, job: &str, state: &str, count: usize) -> Result<()> {
    let began = Instant::now();
    until(&format!("{count} nodes {state}"), PATIENCE, || {
        let nodes = server.sd(&format!("{job}?raw=1"))?;
        let mut states = nodes.iter().map(|(_, labels)| &labels["__meta_dockerswarm_node_status"]);
        let found = states.by_ref().filter(|found| **found == state).count();
        ensure!(found == count, "{nodes:?}");
        Ok(())
    })?;
    println!("{job}: {count} nodes {state} after {:?}", began.elapsed());
    Ok(())
}

/// Waits until a change made now is known, and says how long that took.
fn await_label(cluster: &Cluster, server: &Server, job: &str, at: &str) -> Result<()> {
    let value = format!("{}", Instant::now().elapsed().as_nanos());
    let value = format!("{job}-{value}");
    cluster
        .docker_at(at, &["node", "update", "--label-add", &format!("probe={value}"), "worker-1"])?;
    let began = Instant::now();
    until("a label of a node", PATIENCE, || {
        let nodes = server.sd(&format!("{job}?raw=1"))?;
        let known = |(_, labels): &(String, serde_json::Value)| {
            labels["__meta_dockerswarm_node_label_probe"] == value.as_str()
        };
        ensure!(nodes.iter().any(known), "{nodes:?}");
        Ok(())
    })?;
    println!("{job}: a label is known after {:?}", began.elapsed());
    Ok(())
}

fn watch(cluster: &Cluster, folder: &Path, name: &str, manager: &str) -> Result<Server> {
    agents(cluster)?;
    let jobs = [job(cluster, "nodes", manager, How::Watch, "role: nodes")];
    let server = start(folder, name, &jobs)?;
    server.await_targets("nodes", NODES, PATIENCE)?;
    Ok(server)
}

pub(crate) fn restarted(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let server = watch(cluster, folder, "restarted", "manager-3")?;
    let witness = Witness::of(&server.url, "nodes");
    cluster.kill("manager-3")?;
    until("a refresh that fails", PATIENCE, || {
        let source = server.source("nodes")?;
        ensure!(source["health"] == "down", "{source}");
        Ok(())
    })?;
    cluster.restart("manager-3")?;
    let began = Instant::now();
    await_state(&server, "nodes", "ready", NODES)?;
    await_label(cluster, &server, "nodes", "manager-1")?;
    let source = server.source("nodes")?;
    println!("well again after {:?}: {source}", began.elapsed());
    ensure!(source["health"] == "up", "{source}");
    println!("{:?}", witness.saw_at_least(NODES)?);
    Ok(())
}

pub(crate) fn demoted(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    agents(cluster)?;
    let hosts = format!(
        "hosts: ['unix://{}', '{}']",
        cluster.socket("manager-2").display(),
        cluster.url("manager-3")
    );
    let config = format!(
        "scrape_configs:\n- job_name: nodes\n  dockerswarm_sd_configs: [{{{hosts}, role: nodes, \
         swarmkit_socket: '{}', refresh_interval: 1h}}]\n",
        cluster.control_socket("manager-2").display()
    );
    let server = Server::swarmscout(folder, "demoted", &config)?;
    server.await_targets("nodes", NODES, PATIENCE)?;
    let witness = Witness::of(&server.url, "nodes");
    cluster.docker(&["node", "demote", "manager-2"])?;
    let began = Instant::now();
    until("the role that the other manager reports", PATIENCE, || {
        let nodes = server.sd("nodes?raw=1")?;
        let worker = nodes.iter().any(|(_, labels)| {
            labels["__meta_dockerswarm_node_hostname"] == "manager-2"
                && labels["__meta_dockerswarm_node_role"] == "worker"
        });
        ensure!(worker, "{nodes:?}");
        Ok(())
    })?;
    println!("the other manager reported after {:?}", began.elapsed());
    await_label(cluster, &server, "nodes", "manager-1")?;
    cluster.docker(&["node", "promote", "manager-2"])?;
    until("a manager again", PATIENCE, || {
        let format = "{{.ManagerStatus.Reachability}}";
        let state = cluster.docker(&["node", "inspect", "-f", format, "manager-2"])?;
        ensure!(state == "reachable", "{state}");
        Ok(())
    })?;
    let source = server.source("nodes")?;
    ensure!(source["health"] == "up", "{source}");
    println!("{:?}", witness.saw_at_least(NODES)?);
    Ok(())
}

pub(crate) fn leader_killed(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let leader = leader(cluster)?;
    let follower = if leader == "manager-2" { "manager-3" } else { "manager-2" };
    let server = watch(cluster, folder, "leader", follower)?;
    let witness = Witness::of(&server.url, "nodes");
    cluster.kill(&leader)?;
    await_state(&server, "nodes", "down", 1)?;
    await_label(cluster, &server, "nodes", follower)?;
    cluster.restart(&leader)?;
    await_state(&server, "nodes", "ready", NODES)?;
    let source = server.source("nodes")?;
    ensure!(
        source["refreshes"] == 1 && failed_refreshes(&source)? == 0,
        "the watch was lost: {source}"
    );
    println!("{:?}", witness.saw_at_least(NODES)?);
    Ok(())
}

pub(crate) fn quorum_lost(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let server = watch(cluster, folder, "quorum", "manager-2")?;
    let witness = Witness::of(&server.url, "nodes");
    cluster.stop("manager-1");
    cluster.stop("manager-3");
    cluster.restart("manager-1")?;
    cluster.restart("manager-3")?;
    let began = Instant::now();
    until("a leader", PATIENCE, || cluster.docker(&["node", "ls"]))?;
    println!("a leader again after {:?}", began.elapsed());
    await_state(&server, "nodes", "ready", NODES)?;
    await_label(cluster, &server, "nodes", "manager-1")?;
    println!("{}", server.source("nodes")?);
    println!("{:?}", witness.saw_at_least(NODES)?);
    Ok(())
}

/// The name of the leader, as soon as a manager that was promoted just now knows it.
fn leader(cluster: &Cluster) -> Result<String> {
    let format = "{{.Hostname}} {{.ManagerStatus}}";
    until("a leader", PATIENCE, || {
        let list = cluster.docker_at("manager-2", &["node", "ls", "--format", format])?;
        let leader = list.lines().find_map(|line| line.strip_suffix(" Leader"));
        leader.map(str::to_owned).with_context(|| list.clone())
    })
}
