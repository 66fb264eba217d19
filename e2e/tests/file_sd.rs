//! Targets in files, read by a real Prometheus, and on file systems that fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use swarmscout_e2e::process::run;
use swarmscout_e2e::program::{Server, swarmscout};
use swarmscout_e2e::scratch::Scratch;
use swarmscout_e2e::{get, get_json, until};

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts Swarmscout with these flags and waits until it is ready.
fn start(folder: &Path, name: &str, config: &str, flags: &[&str]) -> Result<Server> {
    let file = folder.join(format!("{name}.yml"));
    fs::write(&file, config)?;
    let mut command = swarmscout();
    command.arg(format!("--config.file={}", file.display())).args(flags);
    Server::start(command, folder, name)
}

/// Labels that a parser could stumble over: each is a value, and in part of its name.
const AWKWARD: [&str; 8] = [
    "no",
    "1.10",
    "a: b # c",
    "\"quoted\" \\ and 'single'",
    "line\nline\r\ttab",
    "\u{7f}\u{85}\u{a0}\u{2028}\u{feff}",
    "🐳 ü",
    " - ",
];

#[test]
fn a_prometheus_reads_the_files_scrapes_what_they_hold_and_follows() -> Result<()> {
    let scratch = Scratch::new()?;
    let folder: &Path = &scratch;
    // What is scraped: another Swarmscout's own metrics.
    let exporter = start(folder, "exporter", "scrape_configs: []\n", &[])?;
    let exporter = exporter.url.strip_prefix("http://").context("a URL")?.to_owned();
    let labels: serde_json::Map<String, Value> =
        AWKWARD.iter().enumerate().map(|(i, value)| (format!("label_{i}"), json!(value))).collect();
    let found = |more: &[&str]| -> Result<()> {
        let targets: Vec<_> = [exporter.as_str()].into_iter().chain(more.iter().copied()).collect();
        let groups = json!([{ "targets": targets, "labels": &labels }]);
        let new = folder.join("found.json.new");
        fs::write(&new, groups.to_string())?;
        Ok(fs::rename(new, folder.join("found.json"))?)
    };
    found(&[])?;
    let config = "scrape_configs:\n- job_name: web/1\n  file_sd_configs: [{files: [found.json]}]\n";
    let mut scouts = Vec::new();
    for format in ["json", "yaml"] {
        let out = scratch.folder(format)?;
        let directory = format!("--file-sd.directory={}", out.display());
        let format = format!("--file-sd.format={format}");
        scouts.push(start(folder, &format, config, &[&directory, &format])?);
    }
    let prometheus = Server::prometheus(
        folder,
        "global: {scrape_interval: 1s}\nscrape_configs:\n\
         - job_name: from-json\n  file_sd_configs: [{files: [json/*.json]}]\n\
         - job_name: from-yaml\n  file_sd_configs: [{files: [yaml/web%2F1.yml]}]\n",
    )?;
    let active = |job: &str| -> Result<Vec<Value>> {
        let targets = get_json(&format!("{}/api/v1/targets?state=active", prometheus.url))?;
        let targets = targets["data"]["activeTargets"].as_array().context("no list")?.clone();
        Ok(targets.into_iter().filter(|target| target["scrapePool"] == job).collect())
    };
    for job in ["from-json", "from-yaml"] {
        let target = until("a target that is up", PATIENCE, || {
            let targets = active(job)?;
            let up = targets.iter().find(|target| target["health"] == "up");
            up.cloned().with_context(|| format!("{targets:?}"))
        })?;
        ensure!(target["discoveredLabels"]["__address__"] == exporter.as_str(), "{target}");
        for (name, value) in &labels {
            ensure!(target["labels"][name] == *value, "{job} {name}: {target}");
        }
        let query = format!("{}/api/v1/query?query=up%7Bjob=%22{job}%22%7D", prometheus.url);
        until("a sample", PATIENCE, || {
            let answer = get_json(&query)?;
            ensure!(answer["data"]["result"][0]["value"][1] == "1", "{answer}");
            Ok(())
        })?;
    }
    // Another one comes, and goes.
    for (more, count) in [(&["127.0.0.1:9"][..], 2), (&[], 1)] {
        found(more)?;
        for job in ["from-json", "from-yaml"] {
            until("the change", PATIENCE, || {
                let targets = active(job)?;
                ensure!(targets.len() == count, "{targets:?}");
                Ok(())
            })?;
        }
    }
    // A Swarmscout that is gone costs no target.
    drop(scouts);
    ensure!(active("from-json")?.len() == 1 && active("from-yaml")?.len() == 1);
    Ok(())
}

/// A small file system of its own. Unmounted with the test.
struct Mount(PathBuf);

impl Mount {
    fn tmpfs(path: PathBuf, options: &str) -> Result<Self> {
        let mut mount = Command::new("mount");
        run(mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path))?;
        Ok(Self(path))
    }

    /// A folder over itself, read-only: a file system that is written to cannot be made so.
    fn read_only(path: PathBuf) -> Result<Self> {
        run(Command::new("mount").arg("--bind").arg(&path).arg(&path))?;
        let mount = Self(path);
        mount.remount("bind,ro")?;
        Ok(mount)
    }

    fn remount(&self, options: &str) -> Result<()> {
        let mut mount = Command::new("mount");
        run(mount.args(["-o", &format!("remount,{options}")]).arg(&self.0)).map(drop)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

#[test]
fn a_file_system_that_fails_is_reported_and_written_to_again() -> Result<()> {
    let scratch = Scratch::new()?;
    let folder: &Path = &scratch;
    // A label has 64 KiB at most.
    let find = |port: u16, labels: usize| -> Result<()> {
        let labels: serde_json::Map<String, Value> =
            (0..labels).map(|i| (format!("x{i}"), json!("y".repeat(50_000)))).collect();
        let groups = json!([{ "targets": [format!("h:{port}")], "labels": labels }]);
        let new = folder.join("found.json.new");
        fs::write(&new, groups.to_string())?;
        Ok(fs::rename(new, folder.join("found.json"))?)
    };
    find(1, 0)?;
    let out = scratch.folder("out")?;
    let mount = Mount::tmpfs(out.clone(), "size=64k")?;
    let directory = format!("--file-sd.directory={}", out.display());
    let config = "scrape_configs:\n- job_name: a\n  file_sd_configs: [{files: [found.json]}]\n";
    let scout = start(folder, "scout", config, &[&directory])?;
    let file = out.join("a.json");
    let holds = |what: &str| {
        until(what, PATIENCE, || {
            let text = fs::read_to_string(&file)?;
            ensure!(text.contains(what), "{text:.100}");
            Ok(())
        })
    };
    let error = |what: &str| {
        until(what, PATIENCE, || {
            let sources = get_json(&format!("{}/api/v1/sources", scout.url))?;
            let error = sources["data"]["files"][0]["lastError"].to_string();
            ensure!(error.contains(what), "{error}");
            Ok(())
        })
    };
    let served = |what: &str| {
        until(what, PATIENCE, || {
            let text = get(&format!("{}/sd/a", scout.url))?;
            ensure!(text.contains(what), "{text:.100}");
            Ok(())
        })
    };
    holds("h:1\"")?;

    // Full. A reader of the file has the one before; no half of one is left; discovery continues.
    find(2, 2)?;
    error("No space left on device")?;
    served("h:2\"")?;
    holds("h:1\"")?;
    let left: Vec<_> =
        fs::read_dir(&out)?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    ensure!(left.len() == 2, "{left:?}");
    mount.remount("size=1m")?;
    holds("h:2\"")?;
    error("\"\"")?;

    // Read-only.
    let read_only = Mount::read_only(out.clone())?;
    find(3, 0)?;
    error("Read-only file system")?;
    served("h:3\"")?;
    holds("h:2\"")?;
    drop(read_only);
    holds("h:3\"")?;

    // Mounted over, as a volume that comes late.
    let second = Mount::tmpfs(out.clone(), "size=64k")?;
    holds("h:3\"")?;
    drop(second);
    find(4, 0)?;
    holds("h:4\"")?;
    let log = scout.process.printed();
    ensure!(log.matches("No space left").count() == 1, "{log}");
    ensure!(log.matches("Read-only").count() == 1, "{log}");
    Ok(())
}
