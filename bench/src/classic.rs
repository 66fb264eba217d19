//! One refresh of the `/info` of a classic master with 10,000 nodes. There is no peer: Prometheus
//! never had the source, and the plugin of 2016 took a second of CPU for as many nodes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use swarmscout_simulator::classic::{Cluster, Master};
use swarmscout_simulator::{Listen, Response, Server};

use crate::process::until;
use crate::programs::Program;
use crate::report::{Report, seconds};

/// Of the classic Swarm.
pub const NODES: usize = 10_000;
const REFRESHES: u64 = 20;

pub fn run(report: &mut Report) -> Result<()> {
    let master = Master::start(Listen::Tcp, &Cluster::of(NODES), (1, 2, 9))?;
    let folder = tempfile::tempdir()?;
    let scout = Program::Swarmscout.start(folder.path(), &config(master.server.url()))?;
    let refreshes = |count| {
        until("refreshes", Duration::from_mins(1), || {
            Ok((master.server.request_count() >= count).then_some(()))
        })
    };
    refreshes(2)?;
    let before = scout.process.cpu()?;
    refreshes(2 + REFRESHES)?;
    let cpu = (scout.process.cpu()? - before) / REFRESHES as f64;
    report.row(
        "CPU of one refresh of a classic Swarm of 10,000 nodes",
        cpu,
        None,
        "< 0.02 s",
        seconds,
    );
    drop(scout);
    all_reported_again(report)
}

/// Each refresh shows a newer report of each node, as masters have every half minute.
fn all_reported_again(report: &mut Report) -> Result<()> {
    let server = reporting()?;
    let folder = tempfile::tempdir()?;
    let scout = Program::Swarmscout.start(folder.path(), &config(server.url()))?;
    let refreshes = |count| {
        until("refreshes", Duration::from_mins(1), || {
            Ok((server.request_count() >= count).then_some(()))
        })
    };
    refreshes(2)?;
    let before = scout.process.cpu()?;
    refreshes(2 + REFRESHES)?;
    let cpu = (scout.process.cpu()? - before) / REFRESHES as f64;
    report.row("the same, with a newer report of each node", cpu, None, "", seconds);
    Ok(())
}

/// A master whose every answer has a newer report of each node than the one before.
pub fn reporting() -> Result<Server> {
    let cluster = Cluster::of(NODES);
    let answer = |second: usize| {
        cluster.edit(|nodes| {
            for (number, node) in nodes.iter_mut().enumerate() {
                node.updated_at = format!("2026-11-23T00:18:{second:02}Z");
                node.containers.0 = ((number + second) % 9) as u64;
            }
        });
        cluster.info((1, 2, 9), None)
    };
    let answers = [answer(17), answer(47)];
    let count = AtomicUsize::new(0);
    let server = Server::start(Listen::Tcp, move |_| {
        Response::json(answers[count.fetch_add(1, Ordering::Relaxed) % answers.len()].clone())
    });
    Ok(server?)
}

/// The configuration for a master.
pub fn config(url: &str) -> String {
    format!(
        "scrape_configs:\n- job_name: classic\n  swarm_sd_configs:\n  - masters: ['{url}']\n    refresh_interval: 1s\n"
    )
}
