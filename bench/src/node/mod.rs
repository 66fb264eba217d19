//! The node part with the containers of a node, and `cAdvisor` beside it.
//!
//! `node-cadvisor` starts a `dockerd` with containers that sleep. The others make cgroups themselves,
//! each with a process in a network namespace of its own, beside a small server that answers like an
//! Engine: so a thousand of them fit on any machine, and none but these is counted.
//!
//! Needs root; `node-cadvisor` and `node-docker` need Debian's docker.io and a static busybox, too.
//! The peer is the `cadvisor` in the path; `CADVISOR` names another one.

mod cgroups;
mod churn;
mod cost;
mod docker;
mod engine;
mod idle;
mod peer;
mod sizes;

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

pub use self::churn::{run as churn, with_docker};
pub use self::cost::run as cadvisor;
pub use self::idle::run as idle;
pub use self::sizes::run as sizes;
use crate::process::{Process, until};
use crate::programs::{Program, agent, free_address};
use crate::report::Report;

/// All of them.
pub fn run(report: &mut Report) -> Result<()> {
    for part in [cadvisor, sizes, churn, with_docker, idle] {
        part(report)?;
    }
    Ok(())
}

/// A number that the environment may set.
fn setting(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is not a number")),
        Err(_) => Ok(default),
    }
}

/// The node part, running, and one connection to it.
struct NodePart {
    process: Process,
    url: String,
    agent: ureq::Agent,
}

impl NodePart {
    /// Starts it with this Engine; `sysfs` has its cgroups.
    fn start(folder: &Path, engine: &Path, sysfs: &Path) -> Result<Self> {
        let address = free_address()?;
        let mut command = Program::Swarmscout.command();
        // As image and unit set it.
        command.env("MIMALLOC_PURGE_DELAY", "0");
        command.arg("node").arg(format!("--web.listen-address={address}"));
        command.arg(format!("--docker.host=unix://{}", engine.display()));
        command.arg(format!("--path.sysfs={}", sysfs.display()));
        let process = Process::start(&mut command, &folder.join("ours"))?;
        until("the node part", Duration::from_secs(20), || Ok(TcpStream::connect(address).ok()))?;
        Ok(Self { process, url: format!("http://{address}"), agent: agent() })
    }

    /// One scrape: its body, as Prometheus would store it.
    fn scrape(&self, path: &str, encoding: &str) -> Result<String> {
        let url = format!("{}{path}", self.url);
        let mut answer = self.agent.get(url).header("Accept-Encoding", encoding).call()?;
        ensure!(answer.status() == 200, "{path} is answered {}", answer.status());
        let limit = answer.body_mut().with_config().limit(1 << 30);
        Ok(limit.read_to_string()?)
    }

    /// Waits until it knows the names of this number of containers.
    fn await_names(&self, containers: usize) -> Result<()> {
        until("the names of all containers", Duration::from_mins(2), || {
            let text = self.scrape("/metrics/containers", "identity")?;
            let named = text.lines().filter(|line| {
                line.starts_with("container_last_seen{") && line.contains("name=\"")
            });
            Ok((named.count() >= containers).then_some(()))
        })
    }
}

/// The IDs of the containers that have a cgroup.
fn living(text: &str) -> BTreeSet<&str> {
    let seen = text.lines().filter_map(|line| {
        let id = line.strip_prefix("container_last_seen{id=\"")?.split('"').next()?;
        let name = id.rsplit('/').next()?;
        let name = name.strip_prefix("docker-").unwrap_or(name);
        Some(name.strip_suffix(".scope").unwrap_or(name)).filter(|id| id.len() == 64)
    });
    seen.collect()
}

/// Descriptors of files: a connection more or less says nothing of containers.
fn files(node: &NodePart) -> Result<f64> {
    let (all, sockets) = node.process.descriptors()?;
    Ok(all - sockets)
}
