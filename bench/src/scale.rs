//! Sizes that no Swarm has: 100,000 services with labels of one task each, and a job of a million
//! targets. Nothing may hang or grow without bound there.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use swarmscout_simulator::swarm;

use crate::follow::{Eye, Times};
use crate::labels::labelled;
use crate::process::{pause_until, until};
use crate::programs::{Program, get};
use crate::refresh::Swarm;
use crate::report::{Report, count, mebibytes, milliseconds, seconds};
use crate::serve::targets;

const NODES: usize = 10_000;
const SERVICES: usize = 100_000;
const TARGETS: usize = 1_000_000;

/// Changes of a label that are waited for.
const CHANGES: usize = 40;

const PATIENCE: Duration = Duration::from_mins(3);

pub fn run(report: &mut Report) -> Result<()> {
    many_services(report)?;
    many_targets(report)
}

fn many_services(report: &mut Report) -> Result<()> {
    let swarm = swarm::Swarm::grown_with(1, NODES, SERVICES, 1, |number, mut service| {
        // There are not as many ports to publish.
        service.endpoint_spec.ports.clear();
        labelled(number, service)
    });
    let swarm = Swarm::serve(swarm)?.watched()?;
    let folder = tempfile::tempdir()?;
    let host = swarm.url();
    let config = format!(
        "scrape_configs:\n- job_name: swarm\n  swarmscout_sd_configs: [{{host: '{host}', events: watch}}]\n\
         - job_name: probe\n  swarmscout_sd_configs: [{{host: '{host}', events: watch, services: [shop-0_service-0]}}]\n"
    );
    let scout = Program::Swarmscout.start(folder.path(), &config)?;
    let list = format!("{}/sd/swarm?meta=0", scout.url);
    let body = until("the targets", PATIENCE, || Ok(get(&list)))?;
    let what = format!("{SERVICES} services with labels");
    report.row(
        &format!("{what}: wall time to the first targets"),
        scout.started.elapsed().as_secs_f64(),
        None,
        "",
        seconds,
    );
    report.row(&format!("{what}: CPU until then"), scout.process.cpu()?, None, "", seconds);
    let found = body.windows(9).filter(|part| part == b"\"targets\"").count();
    ensure!(found > SERVICES / 2, "{found} groups");
    report.row(&format!("{what}: groups"), found as f64, None, "", count);

    let services = swarm.state.services();
    let probe = services.iter().find(|one| one.spec.name == "shop-0_service-0");
    let probe = &probe.context("services have numbers")?.meta.id;
    let mut eye = Eye::new(&format!("{}/sd/probe?meta=0", scout.url));
    let (before, mut times) = (scout.process.cpu()?, Vec::new());
    for number in 0..CHANGES {
        swarm.state.label_service(probe, "prometheus.io/label.number", &format!("n{number}"));
        let changed = Instant::now();
        until("the label", PATIENCE, || Ok(eye.sees(&format!("\"n{number}\""))?.then_some(())))?;
        times.push(changed.elapsed().as_secs_f64());
        pause_until(changed + Duration::from_millis(300));
    }
    let cpu = (scout.process.cpu()? - before) / CHANGES as f64;
    let times = Times::new(times);
    for (name, percent) in [("p50", 50), ("p99", 99)] {
        let what = format!("{what}: a label until it is served, {name}");
        report.row(&what, times.at(percent), None, "", milliseconds);
    }
    report.row(&format!("{what}: CPU of that"), cpu, None, "", milliseconds);
    report.row(&format!("{what}: peak memory"), scout.process.peak_memory()?, None, "", mebibytes);
    report.row(&format!("{what}: memory"), scout.process.memory()?, None, "", mebibytes);
    Ok(())
}

fn many_targets(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("targets.json"), targets(TARGETS))?;
    let config =
        "scrape_configs:\n- job_name: many\n  file_sd_configs:\n  - files: [targets.json]\n";
    // They do not fit the default of 2 GiB.
    let flags = ["--limits.memory=6GiB"];
    let scout = Program::Swarmscout.start_with(folder.path(), config, &flags)?;
    let list = format!("{}/sd/many", scout.url);
    let body = until("a million targets", PATIENCE, || Ok(get(&list)))?;
    let what = format!("{TARGETS} targets of a file");
    report.row(
        &format!("{what}: wall time to the first list"),
        scout.started.elapsed().as_secs_f64(),
        None,
        "",
        seconds,
    );
    report.row(&format!("{what}: its size"), body.len() as f64, None, "", mebibytes);
    report.row(&format!("{what}: memory after it"), scout.process.memory()?, None, "", mebibytes);
    report.row(&format!("{what}: peak memory"), scout.process.peak_memory()?, None, "", mebibytes);
    for _ in 0..3 {
        get(&list).context("no list")?;
    }
    report.row(
        &format!("{what}: peak memory after four lists"),
        scout.process.peak_memory()?,
        None,
        "",
        mebibytes,
    );
    Ok(())
}
