//! Memory, time, bytes and descriptors at 10, 100 and 1,000 containers.

use std::time::Instant;

use anyhow::Result;

use super::cgroups::Cgroups;
use super::engine::Engine;
use super::{NodePart, files, living};
use crate::report::{Report, count, mebibytes, milliseconds};

const SCRAPES: usize = 200;

pub fn run(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut cgroups = Cgroups::new(folder.path())?;
    let engine = Engine::start(folder.path())?;
    // Those of the program itself and of the machine.
    let descriptors = {
        let node = NodePart::start(folder.path(), &engine.socket, &cgroups.parent.sysfs)?;
        node.scrape("/metrics", "identity")?;
        files(&node)?
    };
    for (containers, memory, longest) in
        [(10, "≤ 16 MiB", ""), (100, "≤ 20 MiB", "≤ 20 ms"), (1000, "≤ 40 MiB", "≤ 250 ms")]
    {
        let known = cgroups.containers.len();
        cgroups.grow(containers)?;
        for container in &cgroups.containers[known..] {
            engine.started(&container.id, container.pid());
        }
        let node = NodePart::start(folder.path(), &engine.socket, &cgroups.parent.sysfs)?;
        node.await_names(containers)?;
        let row = |what: &str| format!("{containers} containers: {what}");
        let asked = engine.requests();
        let (mut delays, cpu) = (Vec::new(), node.process.cpu()?);
        for scrape in 0..SCRAPES {
            let started = Instant::now();
            // Prometheus asks for gzip.
            node.scrape("/metrics", if scrape % 4 == 0 { "identity" } else { "gzip" })?;
            delays.push(started.elapsed().as_secs_f64());
        }
        let cpu = (node.process.cpu()? - cpu) / SCRAPES as f64;
        delays.sort_by(f64::total_cmp);
        report.row(&row("CPU of a scrape, three of four gzip"), cpu, None, "", milliseconds);
        report.row(&row("wall time of a scrape, p50"), delays[SCRAPES / 2], None, "", milliseconds);
        report.row(&row("… p99"), delays[SCRAPES * 99 / 100], None, longest, milliseconds);
        report.row(&row("memory after them"), node.process.memory()?, None, memory, mebibytes);
        let peak = node.process.peak_memory()?;
        report.row(&row("peak memory"), peak, None, "", mebibytes);
        let text = node.scrape("/metrics/containers", "identity")?;
        let found = living(&text).len() as f64;
        report.row(&row("found"), found, None, "all", count);
        report.row(&row("bytes each"), text.len() as f64 / found, None, "≤ 20,000", count);
        let each = (files(&node)? - descriptors) / found;
        report.row(&row("descriptors each"), each, None, "≤ 14", |each| format!("{each:.1}"));
        let asked = (engine.requests() - asked) as f64;
        report.row(&row("requests to the Engine in the scrapes"), asked, None, "0", count);
    }
    Ok(())
}
