//! Faults of a real Swarm: three managers, a worker, a task on each.
//!
//! The cluster is brought up once; the cases run one after the other and leave it as they found it.
//! In every case a witness reads the targets the whole time: they are never gone. What the Engine
//! says and how long it takes is printed; `docs/robustness.md` has it as a table.

#[path = "faults/clock.rs"]
mod clock;
#[path = "faults/engines.rs"]
mod engines;
#[path = "faults/swarm.rs"]
mod swarm;
#[path = "faults/tls.rs"]
mod tls;
#[path = "faults/tunnel.rs"]
mod tunnel;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_e2e::cases::{self, Case, PATIENCE};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::program::Server;
use swarmscout_e2e::{get, get_any, until};

const CASES: &[(&str, Case)] = &[
    ("dockerd is killed and started again, with another socket", engines::killed),
    ("a manager is demoted and promoted", swarm::demoted),
    ("a worker leaves and joins again", swarm::rejoined),
    ("the authority of the Swarm is rotated", swarm::authority_rotated),
    ("the clock of this process is set a day ahead and back", clock::stepped),
    ("an engine that asks for certificates gets others, and so do we", tls::rotated),
    ("the quorum is lost and comes back", swarm::quorum_lost),
];

/// Nodes of the cluster, and tasks of its only service.
const NODES: usize = 4;

fn main() -> ExitCode {
    cases::run(CASES, || {
        let cluster = Cluster::up(3, 1)?;
        deploy(&cluster)?;
        Ok(cluster)
    })
}

/// A task on every node, with a port there.
fn deploy(cluster: &Cluster) -> Result<()> {
    cluster.docker(&[
        "service",
        "create",
        "-d",
        "-q",
        "--no-resolve-image",
        "--name",
        "agent",
        "--mode",
        "global",
        "-p",
        "mode=host,published=9100,target=8080",
        "demo:1",
    ])?;
    until("a task on every node", PATIENCE, || {
        let list = cluster.docker(&["service", "ls", "--format", "{{.Name}} {{.Replicas}}"])?;
        ensure!(list == "agent 4/4", "{list}");
        Ok(())
    })
}

/// Starts Swarmscout with these jobs, and waits until each has as many targets as there are nodes.
fn start(folder: &Path, name: &str, jobs: &[(&str, String)]) -> Result<Server> {
    let server = Server::swarmscout(folder, name, &config(jobs))?;
    await_all(&server, jobs)?;
    Ok(server)
}

fn config(jobs: &[(&str, String)]) -> String {
    let jobs = jobs.iter().map(|(name, job)| format!("- job_name: {name}\n{job}"));
    format!("scrape_configs:\n{}", jobs.collect::<String>())
}

fn await_all(server: &Server, jobs: &[(&str, String)]) -> Result<()> {
    jobs.iter().try_for_each(|(job, _)| await_targets(server, job, NODES))
}

/// The configuration, without its name, of a job that asks these hosts for nodes.
fn nodes(hosts: &[String]) -> String {
    sd(hosts, "nodes", "")
}

/// The same with the tasks that are to run.
fn tasks(hosts: &[String]) -> String {
    sd(hosts, "tasks", ", filters: [{name: desired-state, values: [running]}]")
}

fn sd(hosts: &[String], role: &str, more: &str) -> String {
    let hosts = match hosts {
        [host] => format!("host: '{host}'"),
        hosts => format!("hosts: ['{}']", hosts.join("', '")),
    };
    format!("  dockerswarm_sd_configs: [{{{hosts}, role: {role}, refresh_interval: 2s{more}}}]\n")
}

fn failed_refreshes(source: &Value) -> Result<u64> {
    source["failedRefreshes"].as_u64().with_context(|| format!("no number: {source}"))
}

/// Waits until the refreshes of a job fail with this text; the metric and the log say so, too.
fn await_error(server: &Server, job: &str, text: &str) -> Result<String> {
    let error = until(text, PATIENCE, || {
        let source = server.source(job)?;
        let error = source["lastError"].as_str().context("no error")?;
        ensure!(error.contains(text) && source["health"] == "down", "{source}");
        Ok(error.to_owned())
    })?;
    metric_is(server, "swarmscout_source_up", job, 0)?;
    // Jobs that read one Swarm have one line in the log.
    let log = server.process.printed();
    let reported =
        log.lines().any(|line| line.contains("Unable to refresh") && line.contains(text));
    ensure!(reported, "the log does not say {text:?}:\n{log}");
    println!("{job}: {error}");
    Ok(error)
}

/// Waits until a refresh of a job did without this host; its other hosts answered. The next refresh
/// asks the host that answered first, so that the log alone keeps it.
fn await_skipped(server: &Server, job: &str, host: &str) -> Result<()> {
    let line = until("a host that is skipped", PATIENCE, || {
        let log = server.process.printed();
        let reported = |line: &&str| {
            let of_job = line.contains(&format!("config={job} "));
            of_job && line.contains(&format!("object={host} ")) && line.contains("next host tried")
        };
        log.lines().find(reported).map(str::to_owned).with_context(|| log.clone())
    })?;
    println!("{line}");
    metric_is(server, "swarmscout_source_up", job, 1)
}

fn metric_is(server: &Server, name: &str, job: &str, value: u32) -> Result<()> {
    let metrics = get(&format!("{}/metrics", server.url))?;
    let series = format!("{name}{{job=\"{job}\",source=\"dockerswarm/0\"}}");
    let found = metrics.lines().find(|line| line.starts_with(&series));
    ensure!(found == Some(&format!("{series} {value}.0")), "{series} is not {value}: {found:?}");
    Ok(())
}

fn await_targets(server: &Server, job: &str, count: usize) -> Result<()> {
    server.await_targets(job, count, PATIENCE)
}

/// Waits for that many targets right after what was asked answers again. One refresh may have
/// started too early, and one may fail as the machine is busy; the next is good, and the log says
/// so.
fn await_recovery(server: &Server, job: &str, count: usize) -> Result<()> {
    let (began, failed) = (Instant::now(), failed_refreshes(&server.source(job)?)?);
    await_targets(server, job, count)?;
    let failed = failed_refreshes(&server.source(job)?)? - failed;
    println!("{job}: recovered after {:?} and {failed} failed refreshes", began.elapsed());
    ensure!(failed <= 2, "{job}: {failed} refreshes failed though the Engine answered");
    metric_is(server, "swarmscout_source_up", job, 1)?;
    let log = server.process.printed();
    let reported = log.lines().any(|line| line.contains("refreshed again"));
    ensure!(reported, "the log does not report the recovery:\n{log}");
    Ok(())
}

/// Asks an Engine itself until its answer has this text, and prints each answer that differs from
/// the one before.
fn await_answer(cluster: &Cluster, name: &str, path: &str, text: &str) -> Result<()> {
    let url = format!("{}{path}", cluster.url(name).replace("tcp:", "http:"));
    let (began, mut last) = (Instant::now(), String::new());
    until(text, PATIENCE, || {
        let asked = Instant::now();
        let answer = match get_any(&url) {
            Ok((200, body)) => {
                let nodes: Value = serde_json::from_str(&body)?;
                let states = nodes.as_array().context("no list")?.iter();
                let states = states.map(|node| node["Status"]["State"].as_str().unwrap_or("-"));
                format!("200 with states {}", states.collect::<Vec<_>>().join(" "))
            }
            Ok((status, body)) => format!("{status} {}", body.trim()),
            Err(error) => format!("{error:#}"),
        };
        if answer != last {
            println!("{name} after {:?}, in {:?}: {answer}", began.elapsed(), asked.elapsed());
            last.clone_from(&answer);
        }
        ensure!(answer.contains(text), "{answer}");
        Ok(())
    })
}
