//! One refresh of the `/info` of a classic master with 10,000 nodes. There is no peer: Prometheus
//! never had the source, and the plugin of 2016 took a second of CPU for as many nodes.

use std::time::Duration;

use anyhow::Result;
use swarmscout_simulator::Listen;
use swarmscout_simulator::classic::{Cluster, Master};

use crate::process::until;
use crate::programs::Program;
use crate::report::{Report, seconds};

const NODES: usize = 10_000;
const REFRESHES: u64 = 20;

pub fn run(report: &mut Report) -> Result<()> {
    let master = Master::start(Listen::Tcp, &Cluster::of(NODES), (1, 2, 9))?;
    let folder = tempfile::tempdir()?;
    let config = format!(
        "scrape_configs:\n- job_name: classic\n  swarm_sd_configs:\n  - masters: ['{}']\n    refresh_interval: 1s\n",
        master.server.url()
    );
    let scout = Program::Swarmscout.start(folder.path(), &config)?;
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
    Ok(())
}
