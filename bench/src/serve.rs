//! HTTP SD at 100,000 targets: an unchanged answer comes from memory.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::process::until;
use crate::programs::{Program, get};
use crate::report::{Report, mebibytes, seconds};

const COUNT: usize = 100_000;
const ROUNDS: u32 = 20;

pub fn run(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("targets.json"), targets(COUNT))?;
    let config =
        "scrape_configs:\n- job_name: many\n  file_sd_configs:\n  - files: [targets.json]\n";
    let scout = Program::Swarmscout.start(folder.path(), config)?;
    let url = format!("{}/sd/many", scout.url);
    let body = until("100,000 targets", Duration::from_mins(1), || {
        Ok(get(&url).filter(|body| body.len() > 1000))
    })?;

    let cpu = scout.process.cpu()?;
    let started = Instant::now();
    for _ in 0..ROUNDS {
        get(&url);
    }
    let wall = started.elapsed().as_secs_f64() / f64::from(ROUNDS);
    let cpu = (scout.process.cpu()? - cpu) / f64::from(ROUNDS);
    let size = mebibytes(body.len() as f64);
    report.row(
        &format!("wall time of an unchanged /sd, 100,000 targets, {size}, one reader"),
        wall,
        None,
        "",
        seconds,
    );
    report.row("CPU of it", cpu, None, "> 1 GB/s", seconds);
    report.row(
        "peak memory with 100,000 targets from a file",
        scout.process.peak_memory()?,
        None,
        "",
        mebibytes,
    );
    Ok(())
}

/// A target file of this many groups of one target each, their labels as long as those that are
/// discovered usually are.
pub fn targets(count: usize) -> String {
    let mut groups = String::from("[");
    for i in 0..count {
        let comma = if i == 0 { "" } else { "," };
        let (j, k, service) = (i / 250, i % 250, i % 1000);
        write!(
            groups,
            r#"{comma}{{"targets":["10.0.{j}.{k}:8080"],"labels":{{"service":"service-{service}","node":"worker-{j}","task":"service-{service}.{k}","zone":"z1","__meta_padding":"a value that is as long as those that are discovered usually are"}}}}"#
        )
        .expect("a string takes all");
    }
    groups.push(']');
    groups
}
