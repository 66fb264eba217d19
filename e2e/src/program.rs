//! The programs under test and beside it: Swarmscout, promtool, Prometheus.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::process::{Process, run};
use crate::{get, until};

/// The release binary: `SWARMSCOUT`, or where `cargo build --release` in the folder above puts it.
pub fn swarmscout() -> Command {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/swarmscout");
    Command::new(std::env::var_os("SWARMSCOUT").map_or(built, PathBuf::from))
}

/// A binary that takes a library in its way (`LD_PRELOAD`), which no static one does:
/// `SWARMSCOUT_DYNAMIC`, or the one of [`swarmscout`].
pub fn swarmscout_dynamic() -> Command {
    std::env::var_os("SWARMSCOUT_DYNAMIC").map_or_else(swarmscout, Command::new)
}

/// A program with a web server on a loopback port.
#[derive(Debug)]
pub struct Server {
    pub process: Process,
    pub url: String,
}

impl Server {
    /// Starts Swarmscout with a configuration file and waits until it is ready.
    pub fn swarmscout(folder: &Path, name: &str, config: &str) -> Result<Self> {
        Self::swarmscout_with(swarmscout(), folder, name, config)
    }

    /// The same with arguments of its own.
    pub fn swarmscout_with(
        mut command: Command,
        folder: &Path,
        name: &str,
        config: &str,
    ) -> Result<Self> {
        let file = folder.join(format!("{name}.yml"));
        fs::write(&file, config)?;
        command.arg(format!("--config.file={}", file.display()));
        command.arg("--web.enable-lifecycle");
        Self::start(command, folder, name)
    }

    /// Starts Prometheus with a configuration file and waits until it is ready: `PROMETHEUS`, or Debian's.
    pub fn prometheus(folder: &Path, config: &str) -> Result<Self> {
        let file = folder.join("prometheus.yml");
        fs::write(&file, config)?;
        let program = std::env::var_os("PROMETHEUS").unwrap_or_else(|| "prometheus".into());
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()));
        Self::start(command, folder, "prometheus")
    }

    /// Starts the `VICTORIA_METRICS` that scrapes by a configuration of Prometheus, and a vmalert for a file of rules, which
    /// is to be kept.
    pub fn victoria_metrics(folder: &Path, config: &str, rules: &Path) -> Result<(Self, Process)> {
        let program =
            std::env::var_os("VICTORIA_METRICS").context("VICTORIA_METRICS is not set")?;
        let file = folder.join("prometheus.yml");
        fs::write(&file, config)?;
        let port = free_port()?;
        let url = format!("http://127.0.0.1:{port}");
        let mut command = Command::new(program);
        command.arg(format!("-httpListenAddr=127.0.0.1:{port}"));
        command.arg(format!("-storageDataPath={}", folder.join("data").display()));
        command.arg(format!("-promscrape.config={}", file.display()));
        // By default the last 30 s are left out of an answer.
        command.args(["-promscrape.config.strictParse=false", "-search.latencyOffset=1s"]);
        let process = Process::start(&mut command, &folder.join("victoria-metrics.log"))?;
        until("VictoriaMetrics", Duration::from_secs(30), || get(&format!("{url}/-/ready")))
            .with_context(|| process.printed())?;
        let mut command = Command::new("vmalert");
        command.arg(format!("-httpListenAddr=127.0.0.1:{}", free_port()?));
        command.args(["-evaluationInterval=1s", "-notifier.blackhole"]);
        command.arg(format!("-rule={}", rules.display()));
        command.args([format!("-datasource.url={url}"), format!("-remoteWrite.url={url}")]);
        let vmalert = Process::start(&mut command, &folder.join("vmalert.log"))?;
        Ok((Self { process, url }, vmalert))
    }

    /// Starts a command that takes `--web.listen-address` and serves `/-/ready`.
    pub fn start(mut command: Command, folder: &Path, name: &str) -> Result<Self> {
        let port = free_port()?;
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let process = Process::start(&mut command, &folder.join(format!("{name}.log")))?;
        let url = format!("http://127.0.0.1:{port}");
        until(name, Duration::from_secs(30), || get(&format!("{url}/-/ready")))
            .with_context(|| process.printed())?;
        Ok(Self { process, url })
    }

    /// The only source of a job, as the API reports it.
    pub fn source(&self, job: &str) -> Result<Value> {
        let url = format!("{}/api/v1/sources?scrapePool={job}", self.url);
        Ok(crate::get_json(&url)?["data"]["sources"][0].take())
    }

    /// Waits until the refreshes of a job with one source are good, and give this many targets.
    pub fn await_targets(&self, job: &str, count: usize, within: Duration) -> Result<()> {
        until(job, within, || {
            let (source, targets) = (self.source(job)?, self.sd(job)?);
            ensure!(source["health"] == "up" && targets.len() == count, "{source}: {targets:?}");
            Ok(())
        })
    }

    /// The targets that `/sd/<job>` gives: address and labels.
    pub fn sd(&self, job: &str) -> Result<Vec<(String, Value)>> {
        targets(&crate::get_json(&format!("{}/sd/{job}", self.url))?)
    }
}

/// The targets of a list of HTTP SD: address and labels.
pub fn targets(list: &Value) -> Result<Vec<(String, Value)>> {
    let mut targets = Vec::new();
    for group in list.as_array().context("no list")? {
        for target in group["targets"].as_array().context("no targets")? {
            let address = target.as_str().context("no string")?;
            targets.push((address.to_owned(), group["labels"].clone()));
        }
    }
    Ok(targets)
}

/// What `check service-discovery` of either program prints for a job, as a sorted list of
/// discovered label sets without doubles.
pub fn check_sd(command: &mut Command) -> Result<Vec<Value>> {
    let printed = run(command)?;
    let found: Value = serde_json::from_str(&printed).with_context(|| printed.clone())?;
    let Some(found) = found.as_array() else { bail!("no list: {printed}") };
    let mut sets: Vec<Value> =
        found.iter().map(|target| target["discoveredLabels"].clone()).collect();
    sets.sort_by_key(Value::to_string);
    sets.dedup();
    Ok(sets)
}

/// A file for busybox' httpd: it names no type of a file without an ending, and Prometheus 3 refuses that. So a page
/// `/metrics` is `metrics/index.html`, of this type.
pub const HTTPD_CONF: &str = ".html:text/plain; version=0.0.4\n";

/// A port without a listener now. Another process could take it before it is used; on the
/// machines where these tests run none does.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// What Prometheus 2.42 lacks against 3.14, by the labels' names (without prefix, `*` for any end),
/// and what Swarmscout adds. Everything else must be equal.
const NEWER_THAN_2_42: &[&str] = &[
    "__convert_classic_histograms_to_nhcb__",
    "__always_scrape_classic_histograms__",
    "__scrape_native_histograms__",
    "__meta_docker_container_image",
    "__meta_docker_container_image_id",
    "__meta_swarmscout_*",
];

fn is_newer(label: &str) -> bool {
    NEWER_THAN_2_42.iter().any(|known| match known.strip_suffix('*') {
        Some(start) => label.starts_with(start),
        None => label == *known,
    })
}

/// Label sets as Prometheus 2.42 can know them, in one order, without doubles.
pub fn known_to_2_42(mut sets: Vec<Value>) -> Vec<Value> {
    for labels in sets.iter_mut().filter_map(Value::as_object_mut) {
        labels.retain(|name, _| !is_newer(name));
    }
    sets.sort_by_key(Value::to_string);
    sets.dedup();
    sets
}
