//! `deploy/node.yml` beside `deploy/gateway.yml` as docs/node.md says: a manager with a gateway, and two workers. Nothing
//! shares a network with the services that are scraped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_e2e::cases::{self, Case, PATIENCE};
use swarmscout_e2e::certificates::Secrets;
use swarmscout_e2e::cluster::{Cluster, Image};
use swarmscout_e2e::process::run;
use swarmscout_e2e::program::{swarmscout, targets};
use swarmscout_e2e::until;

const CASES: &[(&str, Case)] = &[
    ("without a right and a socket, containers have their names on each node", measured),
    ("what cannot be read is named", unavailable),
    ("tasks of a network of their own are within reach, and nothing else", reached),
    ("the overlay network between all nodes is probed", probed),
    ("the certificate of nodes opens no door but that to the tasks of its node", asked),
];

const ENGINES: [&str; 3] = ["manager-1", "worker-1", "worker-2"];

/// What this machine may lack, whatever the rights of the node part.
const MAY_LACK: [&str; 5] = ["pressure", "sensors", "hwmon", "thermal_zone", "conntrack"];

/// What managers do not know. The last one is known by cgroup version 2.
const WITHOUT_SOCKET: [&str; 2] = ["health", "oom_ended"];

fn main() -> ExitCode {
    cases::run(CASES, || {
        let cluster = Cluster::up(1, 2)?;
        deploy(&cluster)?;
        Ok(cluster)
    })
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The commands of the page, and a service in a network of its own on each node.
fn deploy(cluster: &Cluster) -> Result<()> {
    let program = fs::canonicalize(swarmscout().get_program())?;
    let (name, entrypoint) = ("swarmscout:latest", "/swarmscout");
    let image = Image { name, entrypoint, program: &program, ..Image::default() };
    cluster.add_image(&ENGINES, &image)?;
    for network in ["monitoring", "apart"] {
        cluster.docker(&["network", "create", "-d", "overlay", network])?;
    }
    cluster.create_service(
        "web --mode global --network apart --limit-memory 64m -l prometheus.io/port=8080 demo:1",
    )?;
    let manager = cluster.engine("manager-1").address.clone();
    let mut secrets = Secrets::default();
    secrets.make(cluster, &["init", &format!("--hosts={manager}")])?;
    let file = |name: &str| repository().join("deploy").join(name);
    let url = format!("https://{manager}:9465");
    cluster.deploy_files(
        &[&file("gateway.yml")],
        "swarmscout",
        &[
            ("CA", secrets.end("ca")?),
            ("SERVER", secrets.end("server")?),
            ("CLIENT", secrets.end("client")?),
            ("GATEWAYS", &format!("{url}/sd/swarm")),
            ("REACH", "node"),
        ],
    )?;
    cluster.deploy_files(
        &[&file("node.yml")],
        "swarmscout-node",
        &[("CA", secrets.end("ca")?), ("NODE", secrets.end("node")?), ("MANAGERS", &url)],
    )?;
    for want in ["swarmscout_gateway 1/1", "swarmscout_reader 2/2", "web 3/3"] {
        cluster.await_replicas(want)?;
    }
    for want in ["swarmscout-node_node 3/3", "swarmscout-node_overlay-probe 3/3"] {
        cluster.await_replicas(want)?;
    }
    Ok(())
}

/// What a client with the certificate of this name gets.
fn get(cluster: &Cluster, name: &str, url: &str) -> Result<String> {
    run(&mut curl(cluster, name, url)?)
}

fn curl(cluster: &Cluster, name: &str, url: &str) -> Result<Command> {
    let tls = cluster.folder().join("tls");
    let file = |name: &str| tls.join(name).display().to_string();
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--fail-with-body", "--cacert", &file("ca.pem")]);
    curl.args(["--cert", &file(&format!("{name}.pem"))]);
    curl.args(["--key", &file(&format!("{name}-key.pem"))]);
    if let Some((host, _)) = url.strip_prefix("https://").and_then(|rest| rest.split_once(":9466/"))
    {
        // As `server_name: swarmscout-node` of Prometheus.
        let rest = url.split_once(":9466").context("a port")?.1;
        curl.args(["--resolve", &format!("swarmscout-node:9466:{host}")]);
        curl.arg(format!("https://swarmscout-node:9466{rest}"));
    } else {
        curl.arg(url);
    }
    Ok(curl)
}

/// The metrics of the node part on a node.
fn metrics(cluster: &Cluster, engine: &str, path: &str) -> Result<String> {
    let url = format!("https://{}:9466{path}", cluster.engine(engine).address);
    get(cluster, "client", &url)
}

fn measured(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    for engine in ENGINES {
        until(&format!("the containers of {engine}"), PATIENCE, || {
            let metrics = metrics(cluster, engine, "/metrics")?;
            for (name, label) in [
                ("container_cpu_usage_seconds_total", "service_name=\"web\""),
                ("container_memory_working_set_bytes", "service_name=\"web\""),
                ("container_network_receive_bytes_total", "service_name=\"web\""),
                ("container_spec_memory_limit_bytes", "service_name=\"web\""),
                ("container_memory_working_set_bytes", "stack_namespace=\"swarmscout-node\""),
                ("node_memory_MemTotal_bytes", ""),
                ("node_network_receive_bytes_total", "device=\"eth0\""),
                ("node_filesystem_size_bytes", "mountpoint=\"/\""),
                ("node_meta", engine),
                ("machine_cpu_cores", ""),
                ("container_cpu_usage_seconds_total", "id=\"/\""),
            ] {
                let is_there =
                    metrics.lines().any(|line| line.starts_with(name) && line.contains(label));
                ensure!(is_there, "{name} {label}: {metrics}");
            }
            Ok(())
        })?;
    }
    for service in ["swarmscout-node_node", "swarmscout-node_overlay-probe"] {
        let format = "{{json .Spec.TaskTemplate.ContainerSpec}}";
        let spec = cluster.docker(&["service", "inspect", "-f", format, service])?;
        let spec: Value = serde_json::from_str(&spec)?;
        ensure!(spec["User"] == "65532:65532" && spec["ReadOnly"] == true, "{spec}");
        ensure!(spec["CapabilityDrop"] == serde_json::json!(["ALL"]), "{spec}");
        ensure!(!spec["Mounts"].to_string().contains("docker"), "{spec}");
    }
    Ok(())
}

fn unavailable(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    for engine in ENGINES {
        let metrics = metrics(cluster, engine, "/metrics")?;
        let start = "swarmscout_node_unavailable{what=\"";
        let what: BTreeSet<_> = metrics
            .lines()
            .filter_map(|line| line.strip_prefix(start)?.split('"').next())
            .collect();
        println!("{engine}: {what:?}");
        let known = |what: &&&str| MAY_LACK.contains(*what) || WITHOUT_SOCKET.contains(*what);
        let more: Vec<_> = what.iter().filter(|what| !known(what)).collect();
        // File systems of the machine without a file that is mounted.
        let more: Vec<_> =
            more.into_iter().filter(|what| **what != "filesystem_not_mounted").collect();
        let log = cluster.docker(&["service", "logs", "--raw", "swarmscout-node_node"])?;
        ensure!(more.is_empty(), "{more:?}: {log}");
    }
    Ok(())
}

/// The targets that the readers list.
fn list(cluster: &Cluster) -> Result<Vec<(String, Value)>> {
    let url = format!("https://{}:9465/sd/swarm", cluster.engine("manager-1").address);
    targets(&serde_json::from_str(&get(cluster, "client", &url)?)?)
}

fn reached(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    until("all targets", PATIENCE, || {
        let list = list(cluster)?;
        let mut answers = BTreeMap::new();
        for (address, labels) in &list {
            let job = labels["job"].as_str().context("no job")?;
            if !["web", "swarmscout-node", "swarmscout-peers"].contains(&job) {
                continue;
            }
            let label = |name: &str| labels[name].as_str().unwrap_or_default();
            ensure!(label("__scheme__") == "https", "{labels}");
            let path = Some(label("__metrics_path__")).filter(|path| !path.is_empty());
            let url = format!("https://{address}{}", path.unwrap_or("/metrics"));
            let answer = get(cluster, "client", &url)?;
            let is_right = match job {
                "web" => answer.contains("demo_requests_total 7"),
                "swarmscout-node" => answer.contains("container_last_seen"),
                _ => !answer.contains("container_last_seen"),
            };
            ensure!(is_right, "{url}: {answer}");
            *answers.entry(job).or_insert(0) += 1;
        }
        let all = [("swarmscout-node", 3), ("swarmscout-peers", 3), ("web", 3)];
        ensure!(answers == all.into(), "{answers:?} of {list:#?}");
        Ok(())
    })?;
    let list = list(cluster)?;
    let (address, labels) =
        list.iter().find(|(_, labels)| labels["job"] == "web").context("it was there")?;
    let path = labels["__metrics_path__"].as_str().context("a path")?;
    for other in [path.replace("8080", "8081"), path.replace("/metrics", "/other")] {
        let refused = get(cluster, "client", &format!("https://{address}{other}"));
        let refused = format!("{:#}", refused.err().context(other)?);
        ensure!(refused.contains("403"), "{refused}");
    }
    Ok(())
}

fn probed(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    until("peers by host and overlay", PATIENCE, || {
        let by_host = metrics(cluster, "worker-1", "/metrics")?;
        for peer in ["manager-1", "worker-2"] {
            let series = format!("swarmscout_peer_up{{peer=\"{peer}\",path=\"host\"}} 1");
            ensure!(by_host.contains(&series), "{series}: {by_host}");
        }
        let list = list(cluster)?;
        let probe =
            |labels: &Value| labels["job"] == "swarmscout-peers" && labels["node"] == "worker-1";
        let (address, labels) =
            list.iter().find(|(_, labels)| probe(labels)).context("no target")?;
        let path = labels["__metrics_path__"].as_str().context("a path")?;
        let by_overlay = get(cluster, "client", &format!("https://{address}{path}"))?;
        for peer in ["manager-1", "worker-2"] {
            let series = format!("swarmscout_peer_up{{peer=\"{peer}\",path=\"overlay\"}} 1");
            ensure!(by_overlay.contains(&series), "{series}: {by_overlay}");
        }
        Ok(())
    })?;
    // Both parts of each node report to the gateway, but for the probe on its own node: that comes from an
    // address which is not the node's.
    let gateway = format!("https://{}:9465/metrics", cluster.engine("manager-1").address);
    until("reports to the gateway", PATIENCE, || {
        let metrics = get(cluster, "client", &gateway)?;
        let value = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            Ok::<f64, anyhow::Error>(line.context("no such series")?.parse()?)
        };
        let (reporting, waiting) =
            (value("swarmscout_node_parts_reporting")?, value("swarmscout_node_parts_waiting")?);
        ensure!(
            (2.5..3.5).contains(&reporting) && waiting >= 5.0,
            "{reporting} report, {waiting} wait"
        );
        println!("{reporting} nodes report, {waiting} readers wait");
        Ok(())
    })
}

/// As an attacker on worker-1 who has the key of its node part.
fn asked(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    let id = |engine: &str| cluster.docker_at(engine, &["info", "-f", "{{.Swarm.NodeID}}"]);
    let (own, other) = (id("worker-1")?, id("worker-2")?);
    let manager = &cluster.engine("manager-1").address;
    let (gateway, neighbour) = (
        format!("https://{manager}:9465"),
        format!("https://{}:9466", cluster.engine("worker-2").address),
    );
    let tasks = format!("{gateway}/api/v1/nodes/{own}/tasks");
    let taken = |url: &str| -> Result<String> {
        let curl = curl(cluster, "node", url)?;
        let words: Vec<_> = std::iter::once(curl.get_program()).chain(curl.get_args()).collect();
        let words: Vec<_> = words.iter().filter_map(|word| word.to_str()).collect();
        cluster.run_beside("worker-1", &words)
    };
    let answer = taken(&tasks)?;
    ensure!(answer.contains(&format!("\"id\":\"{own}\"")), "{answer}");
    let list = list(cluster)?;
    let path = |(_, labels): &(String, Value)| {
        let path = labels["__metrics_path__"].as_str().filter(|_| labels["node"] == "worker-2");
        path.filter(|path| path.starts_with("/reach/")).map(str::to_owned)
    };
    let reach = list.iter().find_map(path).context("a target on worker-2")?;
    for url in [
        format!("{gateway}/api/v1/nodes/{other}/tasks"),
        format!("{gateway}/api/v1/nodes/nosuchnode/tasks"),
        format!("{gateway}/sd/swarm"),
        format!("{gateway}/metrics"),
        format!("{gateway}/metrics/swarm"),
        format!("{gateway}/"),
        format!("{gateway}/api/v1/targets"),
        format!("{neighbour}/metrics"),
        format!("{neighbour}/metrics/containers"),
        format!("{neighbour}{reach}"),
    ] {
        let refused = taken(&url);
        let refused = format!("{:#}", refused.err().with_context(|| format!("{url}: an answer"))?);
        println!("{url}: {}", refused.lines().last().unwrap_or_default());
        ensure!(refused.contains("403"), "{url}: {refused}");
    }
    // From an address that does not belong to a node.
    let stranger = get(cluster, "node", &tasks);
    let stranger = format!("{:#}", stranger.err().context("a stranger got an answer")?);
    ensure!(stranger.contains("403"), "{stranger}");
    Ok(())
}
