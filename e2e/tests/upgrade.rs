//! A Swarm of three managers whose engines are replaced by newer ones, one after the other, each on
//! what the old one left.
//!
//! There is one case, and only where `DOCKERD` names the newer `dockerd` (`e2e/engines/build`): the
//! older one is that of the machine's packages.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use swarmscout_e2e::cases::{self, Case};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::docker::Docker;
use swarmscout_e2e::program::Server;
use swarmscout_e2e::until;
use swarmscout_e2e::witness::Witness;

const CASES: &[(&str, Case)] = &[("the managers are upgraded one by one", one_by_one)];

/// The first one stays the leader for as long as it can.
const ORDER: [&str; 3] = ["manager-3", "manager-2", "manager-1"];

/// Far more than what is waited for takes.
const PATIENCE: Duration = Duration::from_mins(3);

/// The jobs that follow the Swarm, with the feed that each has in the end. A listing each hour alone
/// shows nothing of the upgrade: what they know comes from the feed.
const JOBS: [(&str, &str); 3] = [("nodes", "events"), ("tasks", "events"), ("watched", "watch")];

fn main() -> ExitCode {
    if Docker::named().is_none() {
        println!("DOCKERD names no newer engine: nothing to do");
        return ExitCode::SUCCESS;
    }
    cases::run(CASES, || Cluster::of(Docker::of_machine(), 3, 0))
}

fn one_by_one(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let Some(newer) = Docker::named() else { bail!("DOCKERD names no newer engine") };
    let older = engine_version(cluster, "manager-1")?;
    cluster.create_service("agent --mode global -p mode=host,published=9100,target=8080 demo:1")?;
    cluster.await_replicas("agent 3/3")?;

    let hosts = ORDER.map(|name| cluster.url(name)).join("', '");
    let running = "filters: [{name: desired-state, values: [running]}]";
    let socket = cluster.socket("manager-1");
    let control = cluster.control_socket("manager-1");
    let server = Server::swarmscout(
        folder,
        "upgraded",
        &format!(
            "global: {{scrape_interval: 1m}}\nscrape_configs:\n\
             - job_name: nodes\n  dockerswarm_sd_configs: [{{hosts: ['{hosts}'], role: nodes, refresh_interval: 1h}}]\n\
             - job_name: tasks\n  dockerswarm_sd_configs: [{{hosts: ['{hosts}'], role: tasks, refresh_interval: 1h, {running}}}]\n\
             - job_name: watched\n  dockerswarm_sd_configs: [{{host: 'unix://{}', role: nodes, refresh_interval: 1h, swarmkit_socket: '{}'}}]\n",
            socket.display(),
            control.display()
        ),
    )?;
    for (job, feed) in JOBS {
        server.await_targets(job, ORDER.len(), PATIENCE)?;
        await_feed(&server, job, feed)?;
    }
    // While an engine is replaced, its own task does not run.
    let witnesses = [("nodes", ORDER.len()), ("tasks", ORDER.len() - 1), ("watched", ORDER.len())]
        .map(|(job, least)| (Witness::of(&server.url, job), least));

    for name in ORDER {
        let began = Instant::now();
        cluster.stop(name);
        cluster.upgrade(name, &newer)?;
        until("a leader", PATIENCE, || cluster.docker_at(name, &["node", "ls"]))?;
        let version = engine_version(cluster, name)?;
        ensure!(version != older, "{name} still runs {older}");
        for job in ["nodes", "watched"] {
            until(&format!("{job}: {name} with its new engine"), PATIENCE, || {
                is_upgraded(&server.sd(&format!("{job}?raw=1"))?, name, &version)
            })?;
        }
        cluster.await_replicas("agent 3/3")?;
        server.await_targets("tasks", ORDER.len(), PATIENCE)?;
        println!("{name}: from {older} to {version} in {:?}", began.elapsed());
    }
    for (job, feed) in JOBS {
        await_feed(&server, job, feed)?;
    }
    for (witness, least) in witnesses {
        println!("{:?}", witness.saw_at_least(least)?);
    }
    await_label(cluster, &server)?;
    equals_a_listing(cluster, folder, &server)
}

fn engine_version(cluster: &Cluster, name: &str) -> Result<String> {
    cluster.docker_at(name, &["version", "--format", "{{.Server.Version}}"])
}

/// The node is ready, and its engine has this version.
fn is_upgraded(nodes: &[(String, Value)], name: &str, version: &str) -> Result<()> {
    let node = nodes
        .iter()
        .find(|(_, labels)| labels["__meta_dockerswarm_node_hostname"] == name)
        .with_context(|| format!("{name} is gone: {nodes:?}"))?;
    let [found, status] = ["engine_version", "status"]
        .map(|label| node.1[&format!("__meta_dockerswarm_node_{label}")].as_str());
    ensure!(found == Some(version) && status == Some("ready"), "{node:?}");
    Ok(())
}

/// Waits until changes are learned by this feed.
fn await_feed(server: &Server, job: &str, feed: &str) -> Result<()> {
    until(&format!("{job}: {feed}"), PATIENCE, || {
        let source = server.source(job)?;
        ensure!(source["health"] == "up" && source["feed"]["kind"] == feed, "{source}");
        Ok(())
    })
}

/// A change made now is seen by all who see nodes.
fn await_label(cluster: &Cluster, server: &Server) -> Result<()> {
    cluster.docker(&["node", "update", "--label-add", "upgraded=yes", "manager-2"])?;
    let began = Instant::now();
    for job in ["nodes", "watched"] {
        until(&format!("{job}: a label of a node"), PATIENCE, || {
            let nodes = server.sd(&format!("{job}?raw=1"))?;
            let has_label = |(_, labels): &(String, Value)| {
                labels["__meta_dockerswarm_node_label_upgraded"] == "yes"
            };
            ensure!(nodes.iter().any(has_label), "{nodes:?}");
            Ok(())
        })?;
        println!("{job}: a label is seen after {:?}", began.elapsed());
    }
    Ok(())
}

/// A client that followed all of it has what a new client sees.
fn equals_a_listing(cluster: &Cluster, folder: &Path, followed: &Server) -> Result<()> {
    let host = cluster.url("manager-1");
    let running = "filters: [{name: desired-state, values: [running]}]";
    let listed = Server::swarmscout(
        folder,
        "listed",
        &format!(
            "scrape_configs:\n\
             - job_name: nodes\n  dockerswarm_sd_configs: [{{host: '{host}', role: nodes, events: poll, refresh_interval: 1s}}]\n\
             - job_name: tasks\n  dockerswarm_sd_configs: [{{host: '{host}', role: tasks, events: poll, refresh_interval: 1s, {running}}}]\n"
        ),
    )?;
    for (job, of) in [("nodes", "nodes"), ("tasks", "tasks"), ("watched", "nodes")] {
        until(&format!("{job}: the same as a new listing"), PATIENCE, || {
            let [followed, listed] = [(followed, job), (&listed, of)].map(|(server, job)| {
                let mut targets = server.sd(&format!("{job}?raw=1"))?;
                targets.sort_by_key(|(address, labels)| format!("{address} {labels}"));
                anyhow::Ok(targets)
            });
            let (followed, listed) = (followed?, listed?);
            ensure!(followed == listed, "followed: {followed:#?}\nlisted: {listed:#?}");
            Ok(())
        })?;
    }
    Ok(())
}
