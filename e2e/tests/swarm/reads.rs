//! What an Engine is asked for, against the table of SECURITY.md: no other path, no other method,
//! and no row that is not needed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::process::run;
use swarmscout_e2e::program::{Server, swarmscout};
use swarmscout_e2e::proxy::{Proxy, without_version};
use swarmscout_e2e::until;

/// How long a job may take to have its targets.
const READY: Duration = Duration::from_secs(20);

/// `METHOD path` of every row of the table.
fn table() -> Result<BTreeSet<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../SECURITY.md");
    let text = fs::read_to_string(path)?;
    let (_, table) = text.split_once("<!-- engine paths:").context("no table")?;
    let (table, _) =
        table.split_once("<!-- end of engine paths -->").context("no end of the table")?;
    let mut rows = BTreeSet::new();
    for row in table.lines().filter_map(|line| line.strip_prefix("| `")) {
        let mut cells = row.split(" | ");
        let path = cells.next().context("no path")?.trim_end_matches('`');
        for method in cells.next().context("no methods")?.split('`').skip(1).step_by(2) {
            rows.insert(format!("{method} {path}"));
        }
    }
    Ok(rows)
}

fn asked(proxy: &Proxy) -> Result<BTreeSet<String>> {
    let requests = proxy.requests();
    let asked = requests.iter().map(|request| {
        let (method, path) = request.split_once(' ').context("no path")?;
        let path = without_version(path.split('?').next().unwrap_or_default());
        let path = if path.starts_with("/networks/") { "/networks/ID" } else { path };
        Ok(format!("{method} {path}"))
    });
    asked.collect()
}

/// Every source that there is for an Engine, as jobs: name and source. `hosts` is a list.
fn jobs(host: &str, hosts: &str) -> Vec<(String, String)> {
    let swarm =
        |options: &str| format!("dockerswarm_sd_configs: [{{{options}, refresh_interval: 1s}}]");
    let mut jobs = Vec::new();
    for role in ["nodes", "services", "tasks"] {
        jobs.push((role.to_owned(), swarm(&format!("host: '{host}', role: {role}"))));
        let name = format!("{role}-of-several");
        jobs.push((name, swarm(&format!("hosts: {hosts}, role: {role}"))));
    }
    let running = "filters: [{name: desired-state, values: [running]}]";
    jobs.push(("running".into(), swarm(&format!("host: '{host}', role: tasks, {running}"))));
    let docker = format!("docker_sd_configs: [{{host: '{host}', refresh_interval: 1s}}]");
    jobs.push(("docker".into(), docker));
    for (name, options) in [
        ("labels", format!("host: '{host}'")),
        ("labels-of-several", format!("hosts: {hosts}")),
        ("labels-of-containers", format!("engines: [{{host: '{host}'}}]")),
    ] {
        let source = format!("swarmscout_sd_configs: [{{{options}, refresh_interval: 1s}}]");
        jobs.push((name.to_owned(), source));
    }
    jobs
}

/// A container of the manager that no service has started, with a label. It goes with its owner.
struct Labelled<'a>(&'a Cluster);

impl<'a> Labelled<'a> {
    const NAME: &'static str = "labelled";

    fn run(cluster: &'a Cluster) -> Result<Self> {
        let label = "prometheus.io/port=8080";
        cluster.docker(&["run", "-d", "--name", Self::NAME, "-l", label, "demo:1"])?;
        Ok(Self(cluster))
    }
}

impl Drop for Labelled<'_> {
    fn drop(&mut self) {
        let _ = self.0.docker(&["rm", "-f", Self::NAME]);
    }
}

/// Starts Swarmscout with the jobs, and waits until each has targets.
fn start(folder: &Path, name: &str, jobs: &[(String, String)]) -> Result<Server> {
    let lines = jobs.iter().map(|(name, source)| format!("- job_name: {name}\n  {source}\n"));
    let config = format!("scrape_configs:\n{}", lines.collect::<String>());
    let mut command = swarmscout();
    command.arg("--state.network-status");
    let server = Server::swarmscout_with(command, folder, name, &config)?;
    for (job, _) in jobs {
        until(job, READY, || {
            let targets = server.sd(job)?;
            ensure!(!targets.is_empty(), "no targets");
            Ok(())
        })?;
    }
    Ok(server)
}

pub fn only_reads(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let proxy_of = |name: &str| Proxy::before(&format!("{}:2375", cluster.engine(name).address));
    let (manager, worker) = (proxy_of("manager-1")?, proxy_of("worker-1")?);
    let _container = Labelled::run(cluster)?;
    let hosts = format!("['{}', '{}']", worker.url(), manager.url());
    let server = start(folder, "reads", &jobs(&manager.url(), &hosts))?;
    // A later refresh, too.
    let first = manager.requests().len();
    until("another refresh", READY, || {
        ensure!(manager.requests().len() > 2 * first, "{} requests", manager.requests().len());
        Ok(())
    })?;
    drop(server);

    // A worker alone, which is asked for the managers.
    let config = format!(
        "scrape_configs:\n- job_name: worker\n  dockerswarm_sd_configs: [{{host: '{}', role: tasks}}]\n",
        worker.url()
    );
    let file = folder.join("worker.yml");
    fs::write(&file, config)?;
    let mut check = swarmscout();
    check.args(["check", "service-discovery", "--timeout=5s"]).arg(&file).arg("worker");
    ensure!(!check.output()?.status.success(), "a worker lists no tasks");

    // The other ways to ask.
    run(swarmscout()
        .args(["check", "service-discovery", "--timeout=20s"])
        .arg(folder.join("reads.yml"))
        .arg("tasks"))?;
    let mut command = swarmscout();
    command.current_dir(folder).env("DOCKER_HOST", manager.url());
    let server = Server::start(command, folder, "without-a-file")?;
    until("the job swarm", READY, || server.sd("swarm"))?;
    drop(server);

    let table = table()?;
    let asked: BTreeSet<_> = asked(&manager)?.union(&asked(&worker)?).cloned().collect();
    // Asked only where HEAD does not work.
    let fallback = "GET /_ping".to_owned();
    let expected: BTreeSet<_> = table.iter().filter(|row| **row != fallback).cloned().collect();
    ensure!(table.contains(&fallback), "the table has no {fallback}");
    ensure!(asked == expected, "asked for {asked:#?}\nSECURITY.md lists {expected:#?}");
    Ok(())
}

/// What SECURITY.md calls the least: the table without its first two rows.
pub fn through_a_filter(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let needed: Vec<_> = table()?
        .into_iter()
        .filter(|row| !row.ends_with("/_ping") && !row.ends_with("/info"))
        .collect();
    let engine = format!("{}:2375", cluster.engine("manager-1").address);
    let filter = Proxy::filter(&engine, needed)?;
    let _container = Labelled::run(cluster)?;
    let host = filter.url();
    start(folder, "filter", &jobs(&host, &format!("['{host}']")))?;
    Ok(())
}
