//! The clock of the process is set: ages are those of the steady clock, and nothing is lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::process::run;
use swarmscout_e2e::program::{Server, swarmscout_dynamic};
use swarmscout_e2e::witness::Witness;
use swarmscout_e2e::{get, until};

use crate::{NODES, PATIENCE, await_targets, config, nodes};

/// What makes a process see another clock, for all its threads.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

pub(crate) fn stepped(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let clock = folder.join("clock");
    fs::write(&clock, "+0d\n")?;
    let file = folder.join("clock.yml");
    let targets = folder.join("targets.json");
    fs::write(&targets, r#"[{"targets":["a:1"]}]"#)?;
    fs::write(
        &file,
        format!(
            "{}- job_name: file\n  file_sd_configs: [{{files: [targets.json], refresh_interval: 2s}}]\n",
            config(&[("nodes", nodes(&[cluster.url("manager-1")]))])
        ),
    )?;
    let mut command = swarmscout_dynamic();
    command.arg(format!("--config.file={}", file.display()));
    command.env("LD_PRELOAD", library()?);
    command.env("FAKETIME_TIMESTAMP_FILE", &clock).env("FAKETIME_NO_CACHE", "1");
    // Like setting a machine's clock: the monotonic one goes on.
    command.env("DONT_FAKE_MONOTONIC", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let server = Server::start(command, folder, "clock")?;
    await_targets(&server, "nodes", NODES)?;
    await_targets(&server, "file", 1)?;
    let witnesses =
        [("nodes", NODES), ("file", 1)].map(|(job, least)| (Witness::of(&server.url, job), least));
    for (count, step, day) in [(2, "+1d", 1), (3, "-1d", -1), (4, "+0d", 0)] {
        let date = || run(Command::new("date").args(["-u", "+%F", "-d", &format!("{day} day")]));
        let first = date()?;
        fs::write(&clock, format!("{step}\n"))?;
        let refreshes = server.source("nodes")?["refreshes"].as_u64().context("no number")?;
        until("refreshes after the step", PATIENCE, || {
            let source = server.source("nodes")?;
            ensure!(source["refreshes"].as_u64() > Some(refreshes + 2), "{source}");
            Ok(())
        })?;
        let source = server.source("nodes")?;
        let age = source["ageSeconds"].as_f64().context("no age")?;
        ensure!((0.0..60.0).contains(&age) && source["failedRefreshes"] == 0, "{step}: {source}");
        let confirmed = source["lastConfirmed"].as_str().context("no time")?;
        let days = [first, date()?];
        let is_today = days.iter().any(|day| confirmed.starts_with(day));
        ensure!(is_today, "{step}: confirmed {confirmed}, it is {days:?}");
        // A file that changes is noticed whatever the clock says.
        let list: Vec<_> = (1..=count).map(|n| format!(r#""a:{n}""#)).collect();
        let new = folder.join("new");
        fs::write(&new, format!(r#"[{{"targets":[{}]}}]"#, list.join(",")))?;
        fs::rename(&new, &targets)?;
        await_targets(&server, "file", count)?;
        let metrics = get(&format!("{}/metrics", server.url))?;
        let ages: Vec<f64> = metrics
            .lines()
            .filter_map(|line| {
                line.strip_prefix("swarmscout_source_age_seconds{")?.rsplit(' ').next()
            })
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let sane = ages.iter().all(|age| (0.0..60.0).contains(age));
        ensure!(ages.len() == 2 && sane, "{step}: ages of {ages:?} s");
        println!("{step}: confirmed {confirmed}, {age:.1} s ago");
    }
    for (witness, least) in witnesses {
        println!("{:?}", witness.saw_at_least(least)?);
    }
    Ok(())
}

/// Where Debian keeps it depends on the machine's architecture.
fn library() -> Result<PathBuf> {
    let folders = fs::read_dir("/usr/lib")?.flatten().map(|folder| folder.path().join(LIBRARY));
    let mut found = folders.filter(|path| path.exists());
    found.next().context("faketime is not installed")
}
