//! The CPU of a node part without a scraper, by thread.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::cgroups::Cgroups;
use super::engine::Engine;
use super::{NodePart, setting};
use crate::process::pause_until;
use crate::report::{Report, count};

const CONTAINERS: usize = 100;

pub fn run(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut cgroups = Cgroups::new(folder.path())?;
    let engine = Engine::start(folder.path())?;
    cgroups.grow(CONTAINERS)?;
    for container in &cgroups.containers {
        engine.started(&container.id, container.pid());
    }
    let node = NodePart::start(folder.path(), &engine.socket, &cgroups.parent.sysfs)?;
    node.await_names(CONTAINERS)?;
    for _ in 0..20 {
        node.scrape("/metrics", "gzip")?;
    }
    let seconds = setting("NODE_IDLE_SECONDS", 600)?;
    // What a scrape leaves to be done is done by then.
    pause_until(Instant::now() + Duration::from_secs(15));
    let before = node.process.threads()?;
    pause_until(Instant::now() + Duration::from_secs(seconds));
    let mut by_name = BTreeMap::<String, (f64, f64)>::new();
    for (thread, after) in node.process.threads()? {
        let (cpu, slices) = before.get(&thread).map_or((0.0, 0.0), |one| (one.cpu, one.slices));
        let sum = by_name.entry(after.name).or_default();
        sum.0 += after.cpu - cpu;
        sum.1 += after.slices - slices;
    }
    let minutes = seconds as f64 / 60.0;
    let microseconds = |cpu: f64| format!("{:.0} µs", cpu * 1e6);
    let (mut cpu, mut slices) = (0.0, 0.0);
    for (name, of_thread) in by_name {
        let row = format!("at rest for {seconds} s: CPU a minute of threads {name:?}");
        report.row(&row, of_thread.0 / minutes, None, "", microseconds);
        report.row("… how often they ran", of_thread.1 / minutes, None, "", count);
        cpu += of_thread.0;
        slices += of_thread.1;
    }
    report.row(
        "at rest: CPU a minute, all threads",
        cpu / minutes,
        None,
        "≤ 1,000 µs",
        microseconds,
    );
    report.row("… how often they ran", slices / minutes, None, "", count);
    Ok(())
}
