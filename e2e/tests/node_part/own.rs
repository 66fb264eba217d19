//! Node parts without a manager list the containers of their engines, and Prometheus scrapes these
//! through them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::Value;
use swarmscout_e2e::beside::Rights;
use swarmscout_e2e::cases::PATIENCE;
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::process::Process;
use swarmscout_e2e::program::{Server, targets};
use swarmscout_e2e::{get_any, get_json, until};

/// A Docker host without a Swarm.
const HOST: &str = "plain-1";

/// Containers with a target at port 8080, and how each is attached.
const CONTAINERS: [(&str, &str); 3] = [
    ("web", "--network app"),
    ("api", "--network app -p 127.0.0.1:18080:8080"),
    ("host", "--network host"),
];

/// A node part with Docker's socket, without a manager.
fn start(cluster: &Cluster, engine: &str, port: u16) -> Result<(Process, String)> {
    let mut command = Command::new(cluster.swarmscout_for_all()?);
    let place = format!("{}:{port}", cluster.engine(engine).address);
    command.args(["node", "--docker.host=unix:///run/docker.sock", "--reach.insecure"]);
    command.arg(format!("--web.listen-address={place}"));
    let mut command = cluster.beside(engine, Rights::Root, &command)?;
    let log = cluster.folder().join(format!("{engine}-own.log"));
    let process = Process::start(&mut command, &log)?;
    let url = format!("http://{place}");
    until("the list", PATIENCE, || {
        let (status, body) = get_any(&format!("{url}/sd/swarm"))?;
        ensure!(status == 200, "{status} {body}: {}", process.printed());
        Ok(())
    })?;
    Ok((process, url))
}

/// The targets of a list: address and path by service.
fn list(url: &str) -> Result<BTreeMap<String, (String, String)>> {
    let label = |labels: &Value, name: &str| labels[name].as_str().unwrap_or_default().to_owned();
    let all = targets(&get_json(&format!("{url}/sd/swarm"))?)?.into_iter();
    let row = |(address, labels): (String, Value)| {
        (label(&labels, "service"), (address, label(&labels, "__metrics_path__")))
    };
    Ok(all.map(row).collect())
}

fn run(cluster: &Cluster, name: &str, options: &str) -> Result<String> {
    let line = format!("run -d --name {name} {options} -l prometheus.io/port=8080 demo:1");
    cluster.docker_at(HOST, &line.split_whitespace().collect::<Vec<_>>())
}

pub(crate) fn plain(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    cluster.add_alone(HOST, Vec::new())?;
    cluster.load_image(HOST)?;
    for network in [&["app"][..], &["--internal", "inner"]] {
        cluster.docker_at(HOST, &[&["network", "create"], network].concat())?;
    }
    for (name, options) in CONTAINERS {
        run(cluster, name, options)?;
    }
    run(cluster, "inside", "--network inner")?;
    // On one more network, it is reached there.
    let create = "create --name both --network inner -l prometheus.io/port=8080 demo:1";
    for line in [create, "network connect app both", "start both"] {
        cluster.docker_at(HOST, &line.split_whitespace().collect::<Vec<_>>())?;
    }
    let (process, url) = start(cluster, HOST, 9466)?;
    let place = url.trim_start_matches("http://").to_owned();
    let listed = list(&url)?;
    let reached = CONTAINERS.len() + 1;
    ensure!(listed.len() == reached + 1, "{listed:#?}: {}", process.printed());
    for (name, (address, path)) in &listed {
        ensure!(*address == place && path.starts_with("/reach/"), "{name}: {address} {path}");
    }

    // In no network of Docker, it has what every exporter says.
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: swarm\n  \
         http_sd_configs: [{{url: '{url}/sd/swarm', refresh_interval: 1s}}]\n"
    );
    let prometheus = Server::prometheus(folder, &config)?;
    let query = format!("{}/api/v1/query?query=demo_requests_total%20%3D%3D%207", prometheus.url);
    let await_samples = |count: usize| {
        until("samples of all", PATIENCE, || {
            let answer = get_json(&query)?;
            let result = answer["data"]["result"].as_array().map_or(0, Vec::len);
            let up = get_json(&format!("{}/api/v1/targets", prometheus.url))?;
            ensure!(result == count, "{result} of {count}: {up:#}: {}", process.printed());
            Ok(())
        })
    };
    await_samples(reached)?;

    // A start is known by its event.
    let started = Instant::now();
    run(cluster, "late", "--network app")?;
    until("the container that started", PATIENCE, || {
        ensure!(list(&url)?.contains_key("late"));
        Ok(())
    })?;
    println!("listed {:?} after docker run", started.elapsed());
    await_samples(reached + 1)?;

    // Nothing else is fetched.
    let (_, path) = &listed["web"];
    let (other_port, other_path) =
        (path.replace("/8080/", "/8081/"), path.replace("/metrics", "/"));
    for (path, expected) in [(path, 200), (&other_port, 403), (&other_path, 403)] {
        let (status, body) = get_any(&format!("{url}{path}"))?;
        ensure!(status == expected, "{path}: {status} {body}");
    }
    let (status, body) = get_any(&format!("{url}{}", listed["inside"].1))?;
    ensure!(status == 403 && body.contains("internal"), "{status} {body}");
    Ok(())
}

/// On a node of the Swarm, its tasks are among them.
pub(crate) fn worker(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    let create = "--container-label prometheus.io/port=8080 --constraint node.hostname==worker-2";
    for (name, network) in [("shop", "front"), ("secret", "inner")] {
        cluster.create_service(&format!("{name} --network {network} {create} demo:1"))?;
        cluster.await_replicas(&format!("{name} 1/1"))?;
    }
    let (process, url) = start(cluster, "worker-2", 9467)?;
    let listed = until("the tasks", PATIENCE, || {
        let listed = list(&url)?;
        let both = ["shop", "secret"].iter().all(|name| listed.contains_key(*name));
        ensure!(both, "{listed:#?}: {}", process.printed());
        Ok(listed)
    })?;
    let fetch = |name: &str| get_any(&format!("{url}{}", listed[name].1));
    until("the metrics of a task", PATIENCE, || {
        let (status, body) = fetch("shop")?;
        ensure!(status == 200 && body.contains("demo_requests_total 7"), "{status} {body}");
        Ok(())
    })?;
    let (status, body) = fetch("secret")?;
    ensure!(status == 403 && body.contains("internal"), "{status} {body}");
    Ok(())
}
