//! Containers that start and end all the time, while the node part is scraped.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::cgroups::Cgroups;
use super::docker::Docker;
use super::engine::Engine;
use super::{NodePart, files, living, setting};
use crate::process::{pause_until, until};
use crate::report::{Report, count, mebibytes};

/// How many live at one time.
const LIVING: usize = 50;
const A_MINUTE: u32 = 1000;
/// One scrape for this number.
const SCRAPE_EVERY: u64 = 10;
/// One of this number has a pair of interfaces, one of them here: it goes with the namespace.
const PAIR_EVERY: u64 = 25;

/// Cgroups and network namespaces, 1,000 a minute.
pub fn run(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut cgroups = Cgroups::new(folder.path())?;
    let engine = Engine::start(folder.path())?;
    cgroups.grow(LIVING)?;
    for container in &cgroups.containers {
        engine.started(&container.id, container.pid());
    }
    let node = NodePart::start(folder.path(), &engine.socket, &cgroups.parent.sysfs)?;
    node.await_names(LIVING)?;
    let scrape = |cgroups: &Cgroups| -> Result<()> {
        let text = node.scrape("/metrics", "identity")?;
        let there: BTreeSet<_> = cgroups.containers.iter().map(|one| &*one.id).collect();
        let found = living(&text);
        let differ: Vec<_> = found.symmetric_difference(&there).collect();
        ensure!(differ.is_empty(), "not there or not found: {differ:?}");
        Ok(())
    };
    for _ in 0..50 {
        scrape(&cgroups)?;
    }
    let (descriptors, memory) = (files(&node)?, node.process.memory()?);
    let minutes = setting("NODE_CHURN_MINUTES", 10)?;
    let all = minutes * u64::from(A_MINUTE);
    let pause = Duration::from_mins(1) / A_MINUTE;
    let (began, mut next, mut scrapes) = (Instant::now(), Instant::now(), 0_u32);
    for number in 0..all {
        let started = cgroups.start()?;
        if number % PAIR_EVERY == 0 {
            add_pair(number, started.pid())?;
        }
        engine.started(&started.id, started.pid());
        engine.removed(&cgroups.stop_oldest()?);
        if number % SCRAPE_EVERY == 0 {
            scrape(&cgroups)?;
            scrapes += 1;
        }
        next += pause;
        pause_until(next);
    }
    let rate = all as f64 / began.elapsed().as_secs_f64() * 60.0;
    report.row("churn: containers started and ended a minute", rate, None, "1,000", count);
    report.row("… in all", all as f64, None, "", count);
    report.row("… scrapes, each equal to what lives", f64::from(scrapes), None, "", count);
    while cgroups.containers.len() > 1 {
        engine.removed(&cgroups.stop_oldest()?);
    }
    // Those before the last scrapes are kept until a scrape sees that they have gone.
    cgroups.grow(LIVING)?;
    for container in &cgroups.containers[1..] {
        engine.started(&container.id, container.pid());
    }
    node.await_names(LIVING)?;
    scrape(&cgroups)?;
    let left = files(&node)? - descriptors;
    report.row("… descriptors left", left, None, "0", count);
    let more = node.process.memory()? - memory;
    report.row("… memory more than before", more, None, "", mebibytes);
    while !cgroups.containers.is_empty() {
        engine.removed(&cgroups.stop_oldest()?);
    }
    let mut pairs = 0;
    // The kernel removes a namespace a moment after its last process.
    let _ = until("the end of all namespaces", Duration::from_mins(1), || {
        pairs = count_pairs()?;
        Ok((pairs == 0).then_some(()))
    });
    report.row("… network namespaces left, of those with a pair", pairs as f64, None, "0", count);
    ensure!(left <= 0.0 && pairs == 0, "something is left");
    Ok(())
}

/// A pair of interfaces between this namespace and that of a process.
fn add_pair(number: u64, pid: u32) -> Result<()> {
    let mut command = Command::new("ip");
    command.args([
        "link",
        "add",
        &format!("ssbench{number}"),
        "type",
        "veth",
        "peer",
        "name",
        "eth0",
    ]);
    ensure!(command.args(["netns", &pid.to_string()]).status()?.success(), "cannot add a pair");
    Ok(())
}

fn count_pairs() -> Result<usize> {
    let interfaces = std::fs::read_to_string("/proc/net/dev")?;
    Ok(interfaces.lines().filter(|line| line.trim_start().starts_with("ssbench")).count())
}

/// Containers of a real Engine, one after the other as fast as it can, for a minute or two.
pub fn with_docker(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let docker = Docker::start(folder.path())?;
    let node = NodePart::start(folder.path(), &docker.socket, &docker.parent.sysfs)?;
    for _ in 0..20 {
        node.scrape("/metrics", "identity")?;
    }
    let descriptors = files(&node)?;
    let began = Instant::now();
    let length = Duration::from_mins(setting("NODE_CHURN_MINUTES", 10)?.min(2));
    let mut number = 0;
    while began.elapsed() < length {
        let id = docker.start_container(number)?;
        let text = node.scrape("/metrics", "identity")?;
        ensure!(living(&text).contains(&*id), "{id} was started and is not in the next scrape");
        docker.run(&["rm", "--force", &id])?;
        let text = node.scrape("/metrics", "identity")?;
        ensure!(!living(&text).contains(&*id), "{id} was removed and is in the next scrape");
        number += 1;
    }
    let rate = number as f64 / began.elapsed().as_secs_f64() * 60.0;
    report.row("churn of dockerd: containers started and removed a minute", rate, None, "", count);
    report.row(
        "… each in the scrape after its start, none after its end",
        number as f64,
        None,
        "",
        count,
    );
    let left = files(&node)? - descriptors;
    report.row("… descriptors left", left, None, "0", count);
    Ok(())
}
