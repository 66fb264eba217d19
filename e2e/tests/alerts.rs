//! Every alert, made to fire by what it is about, and to end: three managers and two workers. It takes
//! a quarter of an hour: `just alerts`. The end-to-end tests of `just e2e` have a few of them.
//!
//! The rules are those that Swarmscout prints. Only durations and thresholds are shorter.

#[path = "alerts/nodes.rs"]
mod nodes;
#[path = "alerts/services.rs"]
mod services;
#[path = "alerts/swarm.rs"]
mod swarm;
#[path = "alerts/targets.rs"]
mod targets;

use std::process::ExitCode;

use anyhow::Result;
use swarmscout_e2e::cases::{self, Case, PATIENCE};
use swarmscout_e2e::cluster::Cluster;

const CASES: &[(&str, Case)] = &[
    ("a service without tasks, and one with too few", services::down),
    ("an update does not end, and one is rolled back", services::updated),
    ("all tasks on one node", services::on_one_node),
    ("jobs that fail, and that do not run", services::jobs),
    ("a task near its memory limit", services::memory),
    ("a node is down", nodes::down),
    ("a node is drained, and paused", nodes::drained),
    ("the nodes cannot take what the largest one has", nodes::full),
    ("managers are missing", swarm::managers),
    ("the Swarm cannot be read, and its watch is lost", swarm::not_read),
    ("Swarmscout does not run", swarm::absent),
    ("the root certificate is replaced", swarm::root),
    ("a network has no address left", swarm::network),
    ("targets that are down, and that are elsewhere", targets::down),
    // The slowest.
    ("a service is killed again and again", services::killed),
];

fn main() -> ExitCode {
    cases::run(CASES, || {
        let cluster = Cluster::up(3, 2)?;
        for name in ["front", "back"] {
            cluster.docker(&["network", "create", "-d", "overlay", name])?;
        }
        for name in cluster.names() {
            cluster.docker(&["node", "update", "--label-add", "team=ops", name])?;
            cluster.docker_at(name, &["tag", "demo:1", "demo:2"])?;
        }
        Ok(cluster)
    })
}

/// Creates a service of the team `shop`; `command` may have blanks.
fn create(cluster: &Cluster, options: &str, command: &[&str]) -> Result<()> {
    let create =
        ["service", "create", "-d", "-q", "--no-resolve-image", "-l", "team=shop", "--name"];
    let options = options.split_whitespace();
    let arguments: Vec<_> =
        create.into_iter().chain(options).chain(command.iter().copied()).collect();
    cluster.docker(&arguments).map(drop)
}

/// Updates a service, and waits for none of its tasks.
fn update(cluster: &Cluster, options: &str) -> Result<()> {
    let update = ["service", "update", "-d", "-q", "--no-resolve-image"];
    cluster
        .docker(&update.into_iter().chain(options.split_whitespace()).collect::<Vec<_>>())
        .map(drop)
}

fn remove(cluster: &Cluster, services: &[&str]) -> Result<()> {
    cluster.docker(&[&["service", "rm"], services].concat()).map(drop)
}
