//! Changes of a real Swarm, followed by a watch, by events and by polling: three managers, a
//! worker.
//!
//! The jobs that follow by a watch make a full refresh once an hour, so that what they know of a
//! change can only have come from the watch.

#[path = "follow/faults.rs"]
mod faults;
#[path = "follow/filters.rs"]
mod filters;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_e2e::cases::{self, Case, PATIENCE};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::program::Server;
use swarmscout_e2e::until;

const CASES: &[(&str, Case)] = &[
    ("watch, events and polling come to the same targets", the_same),
    ("filters let through what the Engine lets through", filters::as_the_engine),
    ("the engine that is watched is killed and started again", faults::restarted),
    ("a manager that is watched is demoted and promoted", faults::demoted),
    ("the leader is killed while a follower is watched", faults::leader_killed),
    ("the quorum is lost and comes back while a manager is watched", faults::quorum_lost),
];

fn main() -> ExitCode {
    cases::run(CASES, || Cluster::up(3, 1))
}

/// How a job follows its Swarm.
#[derive(Clone, Copy)]
enum How {
    /// By the watch of the manager that it asks at its socket.
    Watch,
    /// By events, and a refresh in ten seconds for what no event reports.
    Events,
    /// By a refresh each second.
    Poll,
}

/// A job of this name that asks one manager.
fn job(cluster: &Cluster, name: &str, manager: &str, how: How, more: &str) -> String {
    let socket = cluster.socket(manager);
    let how = match how {
        How::Watch => {
            let control = cluster.control_socket(manager);
            format!("events: watch, swarmkit_socket: '{}', refresh_interval: 1h", control.display())
        }
        How::Events => "events: events, refresh_interval: 10s".to_owned(),
        How::Poll => "events: poll, refresh_interval: 1s".to_owned(),
    };
    format!(
        "- job_name: {name}\n  dockerswarm_sd_configs: [{{host: 'unix://{}', {how}, {more}}}]\n",
        socket.display()
    )
}

fn start(folder: &Path, name: &str, jobs: &[String]) -> Result<Server> {
    Server::swarmscout(folder, name, &format!("scrape_configs:\n{}", jobs.concat()))
}

/// All targets of a job with the source's labels, in one order.
fn targets(server: &Server, job: &str) -> Result<Vec<String>> {
    let found = server.sd(&format!("{job}?raw=1"))?.into_iter();
    let mut found: Vec<_> = found.map(|(address, labels)| format!("{address} {labels}")).collect();
    found.sort();
    Ok(found)
}

fn the_same(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let mut jobs = Vec::new();
    let ways = [
        ("leader", "manager-1", How::Watch),
        ("follower", "manager-2", How::Watch),
        ("events", "manager-1", How::Events),
        ("poll", "manager-1", How::Poll),
    ];
    let roles = ["tasks", "services", "nodes"];
    for (way, manager, how) in ways {
        for role in roles {
            jobs.push(job(
                cluster,
                &format!("{way}-{role}"),
                manager,
                how,
                &format!("role: {role}"),
            ));
        }
    }
    let server = start(folder, "same", &jobs)?;
    let agree = |step: &str| -> Result<()> {
        let began = Instant::now();
        for role in roles {
            for (way, ..) in ways {
                until(&format!("{step}: {way}-{role}"), PATIENCE, || {
                    let [polled, found] =
                        ["poll", way].map(|way| targets(&server, &format!("{way}-{role}")));
                    let (polled, found) = (polled?, found?);
                    ensure!(polled == found, "polled: {polled:#?}\n{way}: {found:#?}");
                    Ok(())
                })?;
            }
        }
        println!("{step}: agreed after {:?}", began.elapsed());
        Ok(())
    };
    step_by_step(cluster, &agree)?;
    for way in ["leader", "follower"] {
        for role in roles {
            let source = server.source(&format!("{way}-{role}"))?;
            ensure!(source["refreshes"] == 1 && source["failedRefreshes"] == 0, "{way}: {source}");
        }
    }
    Ok(())
}

/// What happens to the Swarm; `agree` gets the name of each step, and waits.
fn step_by_step(cluster: &mut Cluster, agree: &dyn Fn(&str) -> Result<()>) -> Result<()> {
    agree("a Swarm without services")?;
    cluster.docker(&["network", "create", "-d", "overlay", "--label", "team=a", "front"])?;
    cluster.create_service("web --replicas 3 --network front -p 8081:8080 -l a=b demo:1")?;
    cluster.create_service("agent --mode global -p mode=host,published=9100,target=8080 demo:1")?;
    agree("while services are deployed")?;
    cluster.await_replicas("web 3/3")?;
    cluster.await_replicas("agent 4/4")?;
    agree("services are deployed")?;
    cluster.update_service("web", || agree("while a service is updated"))?;
    agree("a service is updated")?;
    cluster.docker(&["service", "scale", "-d", "web=6"])?;
    cluster.await_replicas("web 6/6")?;
    agree("a service has more tasks")?;
    let container = cluster.docker_at(
        "worker-1",
        &["ps", "-q", "--filter", "label=com.docker.swarm.service.name=agent"],
    )?;
    cluster.docker_at("worker-1", &["kill", &container])?;
    agree("a container crashed")?;
    cluster.await_replicas("agent 4/4")?;
    agree("it was replaced")?;
    cluster.docker(&["node", "update", "--label-add", "zone=b", "worker-1"])?;
    agree("a node has a label")?;
    cluster.docker(&["node", "update", "--availability", "drain", "worker-1"])?;
    cluster.await_replicas("agent 3/3")?;
    agree("a node is drained")?;
    cluster.docker(&["node", "update", "--availability", "active", "worker-1"])?;
    cluster.await_replicas("agent 4/4")?;
    agree("a node is active again")?;
    cluster.stop("worker-1");
    until("the node is down", PATIENCE, || {
        let state = cluster.docker(&["node", "inspect", "-f", "{{.Status.State}}", "worker-1"])?;
        ensure!(state == "down", "{state}");
        Ok(())
    })?;
    agree("a node died")?;
    cluster.restart("worker-1")?;
    cluster.await_replicas("agent 4/4")?;
    agree("it is back")?;
    cluster.docker(&["service", "rm", "web", "agent"])?;
    cluster.docker(&["network", "rm", "front"])?;
    agree("all services are removed")
}

/// A task on every node, with a port there.
fn agents(cluster: &Cluster) -> Result<()> {
    let list = cluster.docker(&["service", "ls", "--format", "{{.Name}}"])?;
    if !list.lines().any(|name| name == "agent") {
        cluster
            .create_service("agent --mode global -p mode=host,published=9100,target=8080 demo:1")?;
    }
    cluster.await_replicas("agent 4/4")
}

fn failed_refreshes(source: &Value) -> Result<u64> {
    source["failedRefreshes"].as_u64().with_context(|| format!("no number: {source}"))
}
