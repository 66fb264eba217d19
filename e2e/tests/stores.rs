//! Swarmscout on classic Swarm's node lists in real stores: nodes that come, expire and return,
//! servers that are killed one by one or all together.
//!
//! Sources refresh by themselves only once a minute, unless a case is about that: what shows sooner
//! was reported by a watch.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use swarmscout_e2e::program::Server;
use swarmscout_e2e::store::{Api, Etcd, Store, ZooKeeper, is_connected};
use swarmscout_e2e::{get_json, until};

/// Starts a store with this many members.
type Up = fn(&Path, usize) -> Result<Box<dyn Store>>;

const STORES: &[(&str, Up)] = &[
    ("ZooKeeper", |folder, members| Ok(Box::new(ZooKeeper::up(folder, members)?))),
    ("etcd v2", |folder, members| Ok(Box::new(Etcd::up(folder, members, Api::V2)?))),
    ("etcd v3", |folder, members| Ok(Box::new(Etcd::up(folder, members, Api::V3)?))),
];

type Case = fn(Up, &Path) -> Result<()>;

const CASES: &[(&str, Case)] = &[
    ("nodes come, expire and return, and the primary changes", nodes_come_and_go),
    ("the only server is killed and started again", the_server_restarts),
    ("of three servers the one that is asked is killed", one_of_three_dies),
    ("all three servers are killed and started again", all_three_die),
];

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // A Java machine or three each, and latencies that are printed.
    arguments.test_threads = Some(1);
    let trials = STORES.iter().flat_map(|(store, up)| {
        CASES.iter().map(move |(name, case)| {
            Trial::test(format!("{store}: {name}"), move || {
                let scratch = Scratch::new()?;
                case(*up, &scratch.0).map_err(|error| Failed::from(format!("{error:#}")))
            })
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// A folder that goes with the case.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let started = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_nanos();
        let name = format!("swarmscout-stores-{}-{started}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Swarmscout with one job, `swarm`, that has its nodes from the store.
fn swarmscout(store: &dyn Store, folder: &Path, refresh_interval: &str) -> Result<Server> {
    let (url, options) = (store.url(), store.options());
    let config = format!(
        "scrape_configs:\n- job_name: swarm\n  swarm_sd_configs:\n  - {{discovery: '{url}', \
         refresh_interval: {refresh_interval}{options}}}\n"
    );
    Server::swarmscout(folder, "swarmscout", &config)
}

/// The targets as `role host`, sorted: of `/sd`, and of the API, which must be the same.
fn targets(server: &Server) -> Result<Vec<String>> {
    let show = |labels: &Value, address: &str| -> Result<String> {
        let role = labels["__meta_swarm_role"].as_str().context("a target without role")?;
        let host = address.strip_suffix(":8070").context("another port")?;
        Ok(format!("{role} {host}"))
    };
    let sd = server.sd("swarm")?;
    let mut sd: Vec<_> =
        sd.iter().map(|(address, labels)| show(labels, address)).collect::<Result<_>>()?;
    let api = get_json(&format!("{}/api/v1/targets", server.url))?;
    let api = api["data"]["activeTargets"].as_array().context("no targets")?.iter();
    let mut api: Vec<_> = api
        .map(|target| {
            let labels = &target["discoveredLabels"];
            show(labels, labels["__address__"].as_str().context("a target without address")?)
        })
        .collect::<Result<_>>()?;
    sd.sort();
    api.sort();
    ensure!(sd == api, "/sd has {sd:?}, the API {api:?}");
    Ok(sd)
}

/// Waits until the targets are these. Prints how long that took, up to the pause between two probes
/// too long.
fn expect(server: &Server, what: &str, expected: &[&str]) -> Result<()> {
    let started = Instant::now();
    until(what, PATIENCE, || {
        let targets = targets(server)?;
        ensure!(targets == expected, "{targets:?}, expected {expected:?}");
        Ok(())
    })
    .with_context(|| server.process.printed())?;
    println!("{what}: shown after {:?}", started.elapsed());
    Ok(())
}

/// The only source, as the API reports it.
fn source(server: &Server) -> Result<Value> {
    let sources = get_json(&format!("{}/api/v1/sources", server.url))?;
    Ok(sources["data"]["sources"][0].clone())
}

/// Waits until the source fails; the targets stay.
fn expect_failure(server: &Server, expected: &[&str]) -> Result<String> {
    let error = until("a failed refresh", PATIENCE, || {
        let source = source(server)?;
        ensure!(source["health"] == "down", "{source}");
        Ok(source["lastError"].as_str().unwrap_or_default().to_owned())
    })?;
    let targets = targets(server)?;
    ensure!(targets == expected, "{targets:?} are left of {expected:?}");
    println!("while it is down: {error}");
    Ok(error)
}

fn node(number: u8) -> (String, String) {
    let address = format!("10.0.0.{number}:2375");
    (format!("docker/swarm/nodes/{address}"), address)
}

fn join(store: &mut dyn Store, number: u8) -> Result<()> {
    let (key, address) = node(number);
    store.put(&key, &address)
}

fn nodes_come_and_go(up: Up, folder: &Path) -> Result<()> {
    let mut store = up(folder, 1)?;
    join(&mut *store, 1)?;
    let server = swarmscout(&*store, folder, "1m")?;
    expect(&server, "the first node", &["node 10.0.0.1"])?;

    join(&mut *store, 2)?;
    expect(&server, "a node that comes", &["node 10.0.0.1", "node 10.0.0.2"])?;
    store.remove(&node(1).0)?;
    expect(&server, "a node that leaves", &["node 10.0.0.2"])?;

    let (key, address) = node(3);
    store.put_for_a_moment(&key, &address)?;
    expect(&server, "a node that will expire", &["node 10.0.0.2", "node 10.0.0.3"])?;
    expect(&server, "a node that expires", &["node 10.0.0.2"])?;
    join(&mut *store, 3)?;
    expect(&server, "a node that returns", &["node 10.0.0.2", "node 10.0.0.3"])?;

    store.elect("10.0.0.8:3375")?;
    let with = |master| [master, "node 10.0.0.2", "node 10.0.0.3"];
    expect(&server, "a primary", &with("master 10.0.0.8"))?;
    store.elect("10.0.0.9:3375")?;
    expect(&server, "another primary", &with("master 10.0.0.9"))
}

fn the_server_restarts(up: Up, folder: &Path) -> Result<()> {
    let mut store = up(folder, 1)?;
    join(&mut *store, 1)?;
    let server = swarmscout(&*store, folder, "2s")?;
    expect(&server, "the first node", &["node 10.0.0.1"])?;
    store.kill(0)?;
    expect_failure(&server, &["node 10.0.0.1"])?;
    store.start(0)?;
    recovered(&server)?;
    join(&mut *store, 2)?;
    expect(&server, "a node that comes", &["node 10.0.0.1", "node 10.0.0.2"])
}

fn one_of_three_dies(up: Up, folder: &Path) -> Result<()> {
    let mut store = up(folder, 3)?;
    join(&mut *store, 1)?;
    let server = swarmscout(&*store, folder, "1m")?;
    expect(&server, "the first node", &["node 10.0.0.1"])?;
    let asked = (0..3).filter(|&member| {
        is_connected(server.process.pid(), store.port(member)).unwrap_or_default()
    });
    let asked: Vec<_> = asked.collect();
    ensure!(asked.len() == 1, "connected to {asked:?}");
    store.kill(asked[0])?;
    ensure!(targets(&server)? == ["node 10.0.0.1"], "the targets stay");
    join(&mut *store, 2)?;
    expect(&server, "a node that comes then", &["node 10.0.0.1", "node 10.0.0.2"])?;
    // Reported by another server's watch, by now.
    join(&mut *store, 3)?;
    expect(&server, "another node", &["node 10.0.0.1", "node 10.0.0.2", "node 10.0.0.3"])?;
    ensure!(!is_connected(server.process.pid(), store.port(asked[0]))?, "it is dead");
    Ok(())
}

fn all_three_die(up: Up, folder: &Path) -> Result<()> {
    let mut store = up(folder, 3)?;
    join(&mut *store, 1)?;
    let server = swarmscout(&*store, folder, "2s")?;
    expect(&server, "the first node", &["node 10.0.0.1"])?;
    for member in 0..3 {
        store.kill(member)?;
    }
    until("an error that names all servers", PATIENCE, || {
        let error = expect_failure(&server, &["node 10.0.0.1"])?;
        let missing = (0..3).find(|&i| !error.contains(&format!(":{}", store.port(i))));
        ensure!(missing.is_none(), "{error}");
        Ok(())
    })?;
    for member in 0..3 {
        store.start(member)?;
    }
    recovered(&server)?;
    join(&mut *store, 2)?;
    expect(&server, "a node that comes", &["node 10.0.0.1", "node 10.0.0.2"])
}

/// Waits until the source has recovered. Prints how long that took since its servers serve.
fn recovered(server: &Server) -> Result<()> {
    let started = Instant::now();
    until("a good refresh", PATIENCE, || {
        let source = source(server)?;
        ensure!(source["health"] == "up", "{source}");
        Ok(())
    })?;
    println!("well again after {:?}", started.elapsed());
    Ok(())
}
