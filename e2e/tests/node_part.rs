//! The node part on a real Swarm of a manager and two workers: in place of cAdvisor, and as the way to
//! every task.
//!
//! Two Swarmscouts run beside the manager, and a node part beside each engine, as the user 65532 without
//! a capability and without Docker's socket. One node part listens at another port than the usual one.
//! A Prometheus that is in no network of Docker scrapes them over TLS.

#[path = "node_part/containers.rs"]
mod containers;
#[path = "node_part/followed.rs"]
mod followed;
#[path = "node_part/own.rs"]
mod own;
#[path = "node_part/peers.rs"]
mod peers;
#[path = "node_part/queries.rs"]
mod queries;
#[path = "node_part/reach.rs"]
mod reach;

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_e2e::beside::{Rights, UNPRIVILEGED_ID, status};
use swarmscout_e2e::cases::{self, Case, PATIENCE};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::exposition::Exposition;
use swarmscout_e2e::process::{Process, run};
use swarmscout_e2e::program::{Server, swarmscout};
use swarmscout_e2e::{get_json, until};

const CASES: &[(&str, Case)] = &[
    ("every number is what the kernel has", containers::numbers),
    ("each end of a container counts", containers::ends),
    ("a container is in the next scrape, and gone from it", containers::at_once),
    ("node parts know their containers without a socket", followed::known),
    ("Prometheus scrapes every task through the nodes", reach::scraped),
    ("other paths and other clients are refused", reach::refused),
    ("a task that moves is followed", reach::moved),
    ("the queries of dashboards for cAdvisor have answers", queries::answered),
    ("without a manager, a Docker host lists its containers", own::plain),
    ("without a manager, a worker lists its tasks", own::worker),
    ("a link that is cut is named from both sides", peers::cut),
    ("one of two managers stops, and the other one is followed", followed::another_manager),
    ("all managers stop and come back", followed::manager_gone),
];

const NODES: [&str; 3] = ["manager-1", "worker-1", "worker-2"];

/// Where the Swarmscouts beside the manager listen.
const MANAGER_PORTS: [u16; 2] = [9465, 9475];

/// Where the part of a node listens.
fn port(node: &str) -> u16 {
    if node == "worker-2" { 8070 } else { 9466 }
}

/// What runs for all cases.
static PARTS: Mutex<Option<Parts>> = Mutex::new(None);

struct Parts {
    managers: Vec<Option<Process>>,
    _nodes: Vec<Process>,
    prometheus: Server,
}

fn main() -> ExitCode {
    let code = cases::run(CASES, || {
        let cluster = Cluster::up(1, 2)?;
        let parts = Parts::start(&cluster)?;
        *PARTS.lock().unwrap_or_else(PoisonError::into_inner) = Some(parts);
        Ok(cluster)
    });
    drop(PARTS.lock().unwrap_or_else(PoisonError::into_inner).take());
    code
}

/// Does something with what runs.
fn with_parts<T>(act: impl FnOnce(&mut Parts) -> Result<T>) -> Result<T> {
    let mut parts = PARTS.lock().unwrap_or_else(PoisonError::into_inner);
    act(parts.as_mut().context("it runs")?)
}

/// The folder of `swarmscout tls init`.
fn certificates(cluster: &Cluster) -> PathBuf {
    cluster.folder().join("tls")
}

/// What the manager and the node parts are configured with.
const MANAGER: &str = "scrape_configs:\n- job_name: swarm\n  swarmscout_sd_configs:\n  \
                       - {host: 'unix:///run/docker.sock', presets: [], reach: node}\n";

impl Parts {
    fn start(cluster: &Cluster) -> Result<Self> {
        reach::deploy(cluster)?;
        make_certificates(cluster)?;
        let managers = MANAGER_PORTS.map(|port| start_manager(cluster, port).map(Some));
        let managers = managers.into_iter().collect::<Result<_>>()?;
        let nodes = NODES.iter().map(|name| start_node(cluster, name)).collect::<Result<_>>()?;
        let prometheus = start_prometheus(cluster)?;
        Ok(Self { managers, _nodes: nodes, prometheus })
    }
}

fn make_certificates(cluster: &Cluster) -> Result<()> {
    let hosts = NODES.map(|name| &*cluster.engine(name).address).join(",");
    let init = ["tls", "init", &format!("--hosts={hosts}")];
    run(swarmscout().args(init).current_dir(cluster.folder()))?;
    let folder = certificates(cluster);
    chown(&folder, Some(UNPRIVILEGED_ID), Some(UNPRIVILEGED_ID))?;
    for file in fs::read_dir(&folder)? {
        chown(file?.path(), Some(UNPRIVILEGED_ID), Some(UNPRIVILEGED_ID))?;
    }
    Ok(())
}

fn start_manager(cluster: &Cluster, port: u16) -> Result<Process> {
    let config = cluster.folder().join("manager.yml");
    fs::write(&config, MANAGER)?;
    let mut command = Command::new(cluster.swarmscout_for_all()?);
    command.arg(format!("--config.file={}", config.display()));
    let address = &cluster.engine("manager-1").address;
    command.arg(format!("--web.listen-address={address}:{port}"));
    let web = certificates(cluster).join("web.yml");
    command.arg(format!("--web.config.file={}", web.display()));
    let mut command = cluster.beside("manager-1", Rights::Root, &command)?;
    let process = Process::start(&mut command, &cluster.folder().join(format!("{port}.log")))?;
    until("the manager's list", PATIENCE, || {
        let found = curl(cluster, CLIENT, &format!("https://{address}:{port}/sd/swarm"));
        ensure!(found.starts_with("200"), "{found}: {}", process.printed());
        Ok(())
    })?;
    Ok(process)
}

fn start_node(cluster: &Cluster, name: &str) -> Result<Process> {
    let tls = certificates(cluster);
    let mut command = Command::new(cluster.swarmscout_for_all()?);
    let manager = &cluster.engine("manager-1").address;
    let managers = MANAGER_PORTS.map(|port| format!("https://{manager}:{port}")).join(",");
    command.args(["node", "--docker.host=", &format!("--manager={managers}")]);
    command.arg(format!("--web.listen-address=:{}", port(name)));
    command.arg(format!("--manager.http-config={}", tls.join("node-http.yml").display()));
    command.arg(format!("--web.config.file={}", tls.join("node-web.yml").display()));
    let mut command = cluster.beside(name, Rights::Unprivileged, &command)?;
    let process = Process::start(&mut command, &cluster.folder().join(format!("{name}-node.log")))?;
    until("the tasks of the node", PATIENCE, || {
        let up = metrics(cluster, name, "/metrics")?.value("swarmscout_node_manager_up", &[])?;
        ensure!(up == 1, "{}", process.printed());
        Ok(())
    })
    .with_context(|| process.printed())?;
    let status = status(&process)?;
    let user = format!("Uid:\t{UNPRIVILEGED_ID}");
    for line in [&user, "CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000"] {
        ensure!(status.contains(line), "not {line}: {status}");
    }
    Ok(process)
}

/// Outside of every network of Docker, it reads the manager's list and scrapes what that says. Labels of a
/// target are those of the list.
fn start_prometheus(cluster: &Cluster) -> Result<Server> {
    let tls = certificates(cluster);
    let tls = format!(
        "tls_config: {{ca_file: {0}/ca.pem, cert_file: {0}/client.pem, key_file: {0}/client-key.pem",
        tls.display()
    );
    let nodes =
        NODES.map(|name| format!("'{}:{}'", cluster.engine(name).address, port(name))).join(", ");
    let config = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs:\n\
         - job_name: swarm\n  {tls}, server_name: swarmscout-node}}\n  http_sd_configs:\n  \
           - url: https://{}:9465/sd/swarm\n    refresh_interval: 1s\n    {tls}}}\n\
         - job_name: nodes\n  scheme: https\n  {tls}, server_name: swarmscout-node}}\n  \
           static_configs: [{{targets: [{nodes}]}}]\n",
        cluster.engine("manager-1").address
    );
    let folder = cluster.folder().join("prometheus");
    fs::create_dir(&folder)?;
    Server::prometheus(&folder, &config)
}

/// What Prometheus answers to a path below `/api/v1/`.
fn ask_prometheus(path: &str) -> Result<Value> {
    let url = with_parts(|parts| Ok(parts.prometheus.url.clone()))?;
    get_json(&format!("{url}/api/v1/{path}"))
}

/// The certificate of scrapers, and that of all nodes.
const CLIENT: &str = "--cert client.pem --key client-key.pem";
const NODE: &str = "--cert node.pem --key node-key.pem";

/// What curl gets: a status and the reason in the header of reach, or why it gets nothing. The body is in
/// the file `answer` of the certificates' folder.
fn curl(cluster: &Cluster, words: &str, url: &str) -> String {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "20", "-o", "answer", "--cacert", "ca.pem"]);
    command.args(["-w", "%{http_code} %header{x-swarmscout-reach-error}"]);
    command.args(words.split_whitespace()).arg(url).current_dir(certificates(cluster));
    run(&mut command).unwrap_or_else(|error| format!("{error:#}"))
}

/// What a node part answers to a path.
fn ask(cluster: &Cluster, node: &str, path: &str) -> String {
    ask_as(cluster, CLIENT, node, path)
}

/// The same for a client of another certificate. All node parts have one name, as `server_name` says to
/// Prometheus.
fn ask_as(cluster: &Cluster, client: &str, node: &str, path: &str) -> String {
    let address = &cluster.engine(node).address;
    let words = format!("{client} --connect-to swarmscout-node:443:{address}:{}", port(node));
    curl(cluster, &words, &format!("https://swarmscout-node{path}"))
}

fn metrics(cluster: &Cluster, node: &str, path: &str) -> Result<Exposition> {
    let found = ask(cluster, node, path);
    let body = answer(cluster)?;
    ensure!(found == "200", "{found}: {body}");
    Exposition::parse(&body)
}

/// What curl got last.
fn answer(cluster: &Cluster) -> Result<String> {
    Ok(fs::read_to_string(certificates(cluster).join("answer"))?)
}

/// Creates a service on one node whose command has blanks: a shell's.
fn create_shell(cluster: &Cluster, options: &str, script: &str) -> Result<String> {
    let create = "service create -d -q --no-resolve-image --name";
    let words = create.split_whitespace().chain(options.split_whitespace());
    cluster.docker(&words.chain(["demo:1", "sh", "-c", script]).collect::<Vec<_>>())
}

/// IDs and names of the containers that run on a node.
fn running(cluster: &Cluster, node: &str) -> Result<Vec<(String, String)>> {
    let list = ["ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}"];
    let list = cluster.docker_at(node, &list)?;
    let pair = |line: &str| line.split_once(' ').map(|(id, name)| (id.to_owned(), name.to_owned()));
    Ok(list.lines().filter_map(pair).collect())
}
