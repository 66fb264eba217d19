//! How long a change takes to be served: of a target file, in the three ways in which such files
//! change, beside Prometheus; and of a classic Swarm's own list of nodes, wherever that is kept.
//!
//! One change follows the other at once, so what is measured holds the pause between two refreshes
//! as well as the watch, and the time that it takes to write. Sources refresh by themselves only
//! after an hour: whatever shows was reported by a watch.
//!
//! etcd and `ZooKeeper` are the real ones, where they are installed; Consul is simulated.
//! Prometheus reads none of these lists.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use swarmscout_e2e::store::{Api, Etcd, Store, ZooKeeper};
use swarmscout_sim_stores::consul::{Agent, Consul};
use swarmscout_simulator::Listen;
use ureq::http::StatusCode;

use crate::process::until;
use crate::programs::{Program, Running, agent, both, replace, shows};
use crate::report::{Report, milliseconds};
use crate::zookeeper::Writer;

/// Changes of each kind.
const CHANGES: u32 = 100;
/// The peer hands over what it finds every five seconds.
const CHANGES_OF_PEER: u32 = 10;

const WANTED: &str = "< 100 ms";

/// What is there before the first change.
const FIRST: &str = "10.0.0.1:1";

/// Of a registered node, below the path that is configured.
const NODES: &str = "docker/swarm/nodes";

pub fn run(report: &mut Report) -> Result<()> {
    for (what, write) in WAYS {
        let (ours, peer) = both(|program| target_file(program, *write))?;
        ours.report(report, &format!("target file {what}"), peer.as_ref());
    }
    for (what, write) in WAYS {
        node_file(*write)?.report(report, &format!("node list {what}"), None);
    }
    let folder = tempfile::tempdir()?;
    if is_there("etcd") {
        let etcd = Etcd::up(&folder.path().join("etcd"), 1, Api::V2)?;
        let url = format!("http://127.0.0.1:{}/v2/keys/swarm/{NODES}", etcd.port(0));
        let times = node_list(&etcd.url(), etcd.options(), |address| {
            accepted(agent().put(format!("{url}/{address}?value={address}")).send_empty()?.status())
        })?;
        times.report(report, "key of etcd (version 2)", None);

        let etcd = Etcd::up(&folder.path().join("etcd-3"), 1, Api::V3)?;
        let url = format!("http://127.0.0.1:{}/v3/kv/put", etcd.port(0));
        let times = node_list(&etcd.url(), etcd.options(), |address| {
            let key = BASE64_STANDARD.encode(format!("swarm/{NODES}/{address}"));
            let body = json!({ "key": key, "value": BASE64_STANDARD.encode(address) });
            accepted(agent().post(&url).send(body.to_string())?.status())
        })?;
        times.report(report, "key of etcd (version 3)", None);
    }
    if is_there("java") && Path::new("/usr/share/java/zookeeper.jar").exists() {
        let mut zookeeper = ZooKeeper::up(&folder.path().join("zookeeper"), 1)?;
        // With all that is above it.
        zookeeper.put(&format!("{NODES}/{FIRST}"), FIRST)?;
        let mut writer = Writer::connect(zookeeper.port(0))?;
        let times = node_list(&zookeeper.url(), "", |address| {
            writer.put(&format!("/swarm/{NODES}/{address}"), address)
        })?;
        times.report(report, "node of ZooKeeper", None);
    }
    let consul = Consul::default();
    let server = Agent::start(Listen::Tcp, &consul)?;
    let addr = server.server.addr().context("it listens on TCP")?;
    let times = node_list(&format!("consul://{addr}/swarm"), "", |address| {
        consul.put(&format!("swarm/{NODES}/{address}"), address, None);
        Ok(())
    })?;
    times.report(report, "key of Consul (simulated)", None);
    Ok(())
}

/// Gives the file of this name in this folder this content, for the so manieth time.
type Write = fn(&Path, &str, u32, &str) -> Result<()>;

const WAYS: &[(&str, Write)] = &[
    ("replaced", |folder, name, _, text| replace(&folder.join(name), text)),
    ("written in place", |folder, name, _, text| Ok(fs::write(folder.join(name), text)?)),
    // `name` leads to `..data/name`, and `..data` to another folder each time, as where Kubernetes
    // mounts a config map.
    ("behind a link that is turned over", |folder, name, number, text| {
        let version = format!("..version-{number}");
        fs::create_dir(folder.join(&version))?;
        fs::write(folder.join(&version).join(name), text)?;
        let new = folder.join("..new");
        symlink(&version, &new)?;
        fs::rename(new, folder.join("..data"))?;
        if number == 0 {
            symlink(Path::new("..data").join(name), folder.join(name))?;
        }
        Ok(())
    }),
];

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

fn accepted(status: StatusCode) -> Result<()> {
    ensure!(status.is_success(), "the store says {status}");
    Ok(())
}

/// `file_sd_configs`.
fn target_file(program: Program, write: Write) -> Result<Times> {
    let (folder, files) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let change = |address: &str, number| {
        write(files.path(), "targets.json", number, &json!([{"targets": [address]}]).to_string())
    };
    change(FIRST, 0)?;
    // Found, not scraped, within the time that this takes.
    let config = format!(
        "scrape_configs:\n- job_name: nodes\n  scrape_interval: 1d\n  scrape_timeout: 1s\n  \
         file_sd_configs: [{{files: ['{}/*.json'], refresh_interval: 1h}}]\n",
        files.path().display()
    );
    let running = program.start(folder.path(), &config)?;
    Times::of(&running, change)
}

/// `discovery: file://…`.
fn node_file(write: Write) -> Result<Times> {
    let files = tempfile::tempdir()?;
    write(files.path(), "nodes", 0, &format!("{FIRST}\n"))?;
    let running = classic(&format!("file://{}/nodes", files.path().display()), "")?;
    Times::of(&running.0, |address, number| {
        write(files.path(), "nodes", number, &format!("{address}\n"))
    })
}

/// `discovery: <store>://…`.
fn node_list(
    url: &str,
    options: &str,
    mut register: impl FnMut(&str) -> Result<()> + Send,
) -> Result<Times> {
    register(FIRST)?;
    let running = classic(url, options)?;
    Times::of(&running.0, |address, _| register(address))
}

fn classic(url: &str, options: &str) -> Result<(Running, tempfile::TempDir)> {
    let folder = tempfile::tempdir()?;
    let config = format!(
        "scrape_configs:\n- job_name: nodes\n  swarm_sd_configs:\n  \
         - {{discovery: '{url}', refresh_interval: 1h{options}}}\n"
    );
    Ok((Program::Swarmscout.start(folder.path(), &config)?, folder))
}

/// Seconds from the beginning of each change until it is served, shortest first.
struct Times(Vec<f64>);

impl Times {
    /// Makes changes, each of them by an address that was not there before.
    fn of(
        running: &Running,
        mut change: impl FnMut(&str, u32) -> Result<()> + Send,
    ) -> Result<Self> {
        let (page, count) = match running.program {
            Program::Swarmscout => ("/sd/nodes", CHANGES),
            Program::Prometheus => ("/api/v1/targets?state=active", CHANGES_OF_PEER),
        };
        let url = format!("{}{page}", running.url);
        let is_served = |address: &str| {
            until(address, Duration::from_mins(1), || {
                Ok(shows(&url, &format!("\"{address}\"")).then_some(()))
            })
        };
        is_served(FIRST)?;
        let mut sorted = Vec::new();
        for number in 1..=count {
            let address = format!("10.1.0.{number}:1");
            let began = Instant::now();
            // What the client does after the store has the value is not waited for.
            std::thread::scope(|scope| {
                let changed = scope.spawn(|| change(&address, number));
                is_served(&address)?;
                sorted.push(began.elapsed().as_secs_f64());
                changed.join().expect("a change does not panic")
            })?;
        }
        sorted.sort_by(f64::total_cmp);
        Ok(Self(sorted))
    }

    fn percentile(&self, percent: usize) -> f64 {
        self.0[(self.0.len() * percent).div_ceil(100) - 1]
    }

    fn report(&self, report: &mut Report, what: &str, peer: Option<&Self>) {
        for (name, percent, wanted) in [("p50", 50, ""), ("p99", 99, WANTED), ("longest", 100, "")]
        {
            let row = format!("change of a {what} until it is served, {name}");
            let theirs = peer.map(|peer| peer.percentile(percent));
            report.row(&row, self.percentile(percent), theirs, wanted, milliseconds);
        }
    }
}
