//! A real classic Swarm whose primary master dies and is replaced by its replica.
//!
//! Debian has no classic Swarm, so this has no case, and CI runs none, until `CLASSIC_SWARM` names
//! its binary: `docs/robustness.md` says how to build it and what was seen. What CI does run of it
//! are the masters of the simulator (`classic/tests/failover.rs` of the crate `discovery`) and the
//! primary's key in real stores (`stores.rs`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::process::Process;
use swarmscout_e2e::program::{Server, free_port};
use swarmscout_e2e::store::{Api, Etcd, Store as _};
use swarmscout_e2e::witness::Witness;
use swarmscout_e2e::{get_json, until};

const PATIENCE: Duration = Duration::from_mins(1);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let binary = std::env::var_os("CLASSIC_SWARM").map(PathBuf::from);
    if binary.is_none() {
        println!("CLASSIC_SWARM names no binary of classic Swarm: nothing to do");
    }
    let trials = binary.map(|binary| {
        Trial::test("the primary master is killed, and its replica takes over", move || {
            primary_killed(&binary).map_err(|error| Failed::from(format!("{error:#}")))
        })
    });
    libtest_mimic::run(&arguments, trials.into_iter().collect()).exit_code()
}

/// The engines are a swarm of the other kind, too; classic Swarm does not mind.
fn primary_killed(binary: &Path) -> Result<()> {
    let cluster = Cluster::up(1, 1)?;
    let folder = cluster.folder().join("case");
    fs::create_dir(&folder)?;
    let etcd = Etcd::up(&folder, 1, Api::V2)?;
    let engines = ["manager-1", "worker-1"].map(|name| &cluster.engine(name).address);
    let _agents = engines.map(|address| {
        let mut command = Command::new(binary);
        command.args(["join", "--heartbeat", "2s", "--ttl", "10s", "--advertise"]);
        command.arg(format!("{address}:2375")).arg(etcd.url());
        Process::start(&mut command, &folder.join(format!("join-{address}.log")))
    });
    let first = Master::at(free_port()?);
    let second = Master::at(free_port()?);
    let of_first = first.start(binary, &etcd, &folder)?;
    until("a primary", PATIENCE, || first.is("primary"))?;
    let _of_second = second.start(binary, &etcd, &folder)?;
    until("a replica", PATIENCE, || second.is("replica"))?;

    let (one, two) = (first.address(), second.address());
    let discovery = etcd.url();
    let config = format!(
        "scrape_configs:\n\
         - job_name: both\n  swarm_sd_configs: [{{masters: ['http://{one}', 'http://{two}'], refresh_interval: 2s}}]\n\
         - job_name: alone\n  swarm_sd_configs: [{{masters: ['http://{one}'], refresh_interval: 2s}}]\n\
         - job_name: etcd\n  swarm_sd_configs: [{{discovery: '{discovery}', refresh_interval: 1m}}]\n"
    );
    let server = Server::swarmscout(&folder, "classic", &config)?;
    // Two nodes each, and the masters.
    let jobs = [("both", 4), ("alone", 3), ("etcd", 3)];
    for (job, count) in jobs {
        server.await_targets(job, count, PATIENCE)?;
    }
    ensure!(masters(&server, "etcd")? == [one.as_str()], "{:?}", masters(&server, "etcd"));
    // In etcd there may be no leader between the end of the one and the election of the other.
    let witnesses = [("both", 4), ("alone", 3), ("etcd", 2)]
        .map(|(job, least)| (Witness::of(&server.url, job), least));

    of_first.kill()?;
    let began = Instant::now();
    let reported = until("an error", PATIENCE, || {
        let source = server.source("alone")?;
        let error = source["lastError"].as_str().unwrap_or_default();
        ensure!(error.contains("connection refused"), "{source}");
        Ok(error.to_owned())
    })?;
    println!("alone: {reported}");
    until("the replica's answer", PATIENCE, || {
        let source = server.source("both")?;
        let skipped = &source["problems"][0];
        ensure!(source["health"] == "up" && skipped["reason"] == "next host tried", "{source}");
        println!("both: {skipped}, answered as {:?}", second.role()?);
        Ok(())
    })?;
    until("the replica as primary", PATIENCE, || second.is("primary"))?;
    println!("the replica took over after {:?}", began.elapsed());
    until("the new primary of etcd", PATIENCE, || {
        let masters = masters(&server, "etcd")?;
        ensure!(masters == [two.as_str()], "{masters:?}");
        Ok(())
    })?;
    println!("etcd: shown after {:?}", began.elapsed());
    until("nodes that the new primary reports", PATIENCE, || named_primary(&server, "both", None))?;

    let _of_first = first.start(binary, &etcd, &folder)?;
    until("the former primary as replica", PATIENCE, || first.is("replica"))?;
    for (job, count) in jobs {
        server.await_targets(job, count, PATIENCE)?;
    }
    until("the primary that a replica names", PATIENCE, || {
        named_primary(&server, "alone", Some(&two))
    })?;
    ensure!(masters(&server, "etcd")? == [two.as_str()], "{:?}", masters(&server, "etcd"));
    for (witness, least) in witnesses {
        println!("{:?}", witness.saw_at_least(least)?);
    }
    Ok(())
}

/// A master at a loopback port.
struct Master {
    port: u16,
}

impl Master {
    fn at(port: u16) -> Self {
        Self { port }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn start(&self, binary: &Path, etcd: &Etcd, folder: &Path) -> Result<Process> {
        let mut command = Command::new(binary);
        command.args(["manage", "--replication", "--replication-ttl", "5s"]);
        command.args(["-H", &format!("tcp://{}", self.address()), "--advertise", &self.address()]);
        let log = folder.join(format!("master-{}.log", self.port));
        Process::start(command.arg(etcd.url()), &log)
    }

    /// What it says it is; that it knows both nodes is an error until it does.
    fn role(&self) -> Result<String> {
        let info = get_json(&format!("http://{}/info", self.address()))?;
        let rows = info["SystemStatus"].as_array().context("no rows")?;
        let value = |name: &str| {
            let row = rows.iter().find(|row| row[0].as_str().is_some_and(|key| key.trim() == name));
            row.and_then(|row| row[1].as_str()).unwrap_or_default().to_owned()
        };
        ensure!(value("Nodes") == "2", "{rows:?}");
        Ok(value("Role"))
    }

    fn is(&self, role: &str) -> Result<()> {
        let found = self.role()?;
        ensure!(found == role, "it is {found}");
        Ok(())
    }
}

/// The addresses of the masters of a job.
fn masters(server: &Server, job: &str) -> Result<Vec<String>> {
    let mut targets = server.sd(job)?;
    targets.retain(|(_, labels)| labels["__meta_swarm_role"] == "master");
    Ok(targets
        .iter()
        .map(|(_, labels)| labels["instance"].as_str().unwrap_or_default().to_owned())
        .collect())
}

/// Every node of a job says that a replica named this primary, or that the primary answered.
fn named_primary(server: &Server, job: &str, primary: Option<&str>) -> Result<()> {
    for (address, labels) in server.sd(job)? {
        let named = labels["__meta_swarm_primary"].as_str();
        ensure!(named == primary, "{address}: {named:?}");
    }
    Ok(())
}
