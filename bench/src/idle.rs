//! What a Swarm costs where nothing happens, at 1,000 nodes and 10,000 tasks with a refresh a
//! minute; and how much is asked for one job and for ten. What a refresh costs is measured by
//! `refresh`.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::process::{pause_until, until};
use crate::programs::{Program, both, get, shows};
use crate::refresh::Swarm;
use crate::report::{Report, count, milliseconds};

const NODES: usize = 1000;
const TASKS: usize = 10_000;
const MINUTES: u32 = 3;

/// Refreshes that are awaited where requests are counted.
const REFRESHES: usize = 10;

pub fn run(report: &mut Report) -> Result<()> {
    let (ours, peer) = both(at_rest)?;
    let what = format!("CPU a minute at rest, {NODES} nodes, {TASKS} tasks, a refresh a minute");
    let peer = peer.map(|(cpu, _)| cpu);
    report.row(&what, ours.0, peer, "< 60 ms (0.1 %)", milliseconds);
    report.row("wall time of its refreshes, the first included", ours.1, None, "", milliseconds);
    for jobs in [1, 10] {
        let (ours, peer) = both(|program| requests(program, jobs))?;
        let what =
            format!("requests of a refresh of a Swarm, jobs with different relabeling: {jobs}");
        report.row(&what, ours, peer, "", count);
    }
    Ok(())
}

/// Seconds of CPU a minute, and wall seconds of a refresh where the program says so.
fn at_rest(program: Program) -> Result<(f64, f64)> {
    let swarm = Swarm::start_watched(NODES, TASKS)?;
    let folder = tempfile::tempdir()?;
    let running = program.start(folder.path(), &swarm.config("60s"))?;
    let page = match program {
        Program::Swarmscout => format!("{}/sd/tasks", running.url),
        Program::Prometheus => format!("{}/api/v1/targets?state=active", running.url),
    };
    until("the targets", Duration::from_mins(2), || Ok(shows(&page, "__meta_").then_some(())))?;
    // Away from the refreshes, so that as many of them are counted as there are minutes.
    pause_until(Instant::now() + Duration::from_secs(20));
    let (before, began) = (running.process.cpu()?, Instant::now());
    pause_until(began + Duration::from_mins(1) * MINUTES);
    let cpu = (running.process.cpu()? - before) / f64::from(MINUTES);
    let metrics = get(&format!("{}/metrics", running.url)).unwrap_or_default();
    let metrics = String::from_utf8_lossy(&metrics).into_owned();
    let value = |suffix: &str| {
        let name =
            format!("prometheus_sd_refresh_duration_seconds_{suffix}{{mechanism=\"dockerswarm\"");
        let line = metrics.lines().find(|line| line.starts_with(&name));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    Ok((cpu, value("sum") / value("count")))
}

/// Requests between two refreshes of the tasks, on average.
fn requests(program: Program, jobs: usize) -> Result<f64> {
    let swarm = Swarm::start(10, 300)?;
    let mut config = "scrape_configs:\n".to_owned();
    for job in 0..jobs {
        let host = swarm.url();
        write!(
            config,
            "- job_name: job-{job}\n  scrape_interval: 1h\n  \
             dockerswarm_sd_configs: [{{host: '{host}', role: tasks, refresh_interval: 1s}}]\n  \
             relabel_configs:\n  \
             - {{source_labels: [__meta_dockerswarm_task_slot], regex: '{job}', action: keep}}\n  \
             - {{target_label: job_number, replacement: '{job}'}}\n"
        )?;
    }
    let folder = tempfile::tempdir()?;
    let running = program.start(folder.path(), &config)?;
    until("the first refreshes", Duration::from_mins(1), || {
        Ok((swarm.refreshes() >= 2).then_some(()))
    })?;
    pause_until(running.started + Duration::from_secs(3));
    let before = swarm.asked().0;
    pause_until(Instant::now() + Duration::from_secs(REFRESHES as u64));
    Ok((swarm.asked().0 - before) as f64 / REFRESHES as f64)
}
