//! `deploy/gateway.yml` as docs/gateway.md says: two managers with a gateway each, and a reader on a worker.
//!
//! The reader reaches the first gateway through a proxy that ends TLS, and records what crosses.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_e2e::cases::{self, Case, PATIENCE};
use swarmscout_e2e::cluster::{Cluster, Image};
use swarmscout_e2e::process::{Process, run};
use swarmscout_e2e::program::{free_port, swarmscout, targets};
use swarmscout_e2e::until;

const CASES: &[(&str, Case)] = &[
    ("a reader on a worker serves the list of the gateways, and nothing else", served),
    ("a gateway lets in its certificates only, each with its rights", rights),
    ("a change is served by the reader", changed),
    ("nothing but labels of a service crosses", crossed),
    ("the first gateway stops, and the reader follows the second", failover),
];

/// What must not cross: an environment, arguments, a config and a secret, with what they hold.
const MARKERS: [&str; 8] = [
    "MARKER_ENVIRONMENT",
    "value-of-environment",
    "marker-command",
    "marker-argument",
    "marker-config",
    "content-of-config",
    "marker-secret",
    "content-of-secret",
];

/// What does: it is a label.
const LABEL: &str = "marker-label";

fn main() -> ExitCode {
    let mut recorder = None;
    let code = cases::run(CASES, || {
        let cluster = Cluster::up(2, 1)?;
        recorder = Some(deploy(&cluster)?);
        Ok(cluster)
    });
    drop(recorder);
    code
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The folder of `swarmscout tls init`.
fn certificates(cluster: &Cluster) -> PathBuf {
    cluster.folder().join("tls")
}

fn record(cluster: &Cluster) -> PathBuf {
    cluster.folder().join("record")
}

fn gateway(cluster: &Cluster, manager: &str) -> String {
    format!("{}:9465", cluster.engine(manager).address)
}

/// The commands of the page, and a service with markers. Returns the proxy.
fn deploy(cluster: &Cluster) -> Result<Process> {
    let program = fs::canonicalize(swarmscout().get_program())?;
    let (name, entrypoint) = ("swarmscout:latest", "/swarmscout");
    let image = Image { name, entrypoint, program: &program, ..Image::default() };
    cluster.add_image(&["manager-1", "manager-2", "worker-1"], &image)?;
    cluster.docker(&["network", "create", "-d", "overlay", "monitoring"])?;
    marked(cluster)?;

    let [first, second] = ["manager-1", "manager-2"].map(|name| &cluster.engine(name).address);
    let (net, _) = first.rsplit_once('.').context("an address has dots")?;
    let proxy = format!("{net}.1:{}", free_port()?);
    let mut init = swarmscout();
    init.args(["tls", "init", &format!("--hosts={first},{second},{net}.1")]);
    let printed = run(init.current_dir(cluster.folder()))?;
    let mut ends = BTreeMap::new();
    for line in printed.lines() {
        let Some(arguments) = line.trim().strip_prefix("docker secret create ") else { continue };
        let (secret, file) = arguments.split_once(' ').context("no file")?;
        let file = cluster.folder().join(file).display().to_string();
        cluster.docker(&["secret", "create", secret, &file])?;
        let (kind, end) = secret.rsplit_once('-').context("no digits")?;
        ends.insert(kind.to_owned(), end.to_owned());
    }
    let mut client = swarmscout();
    run(client.args(["tls", "client", "admin"]).current_dir(cluster.folder()))?;

    let mut recorder = Command::new("python3");
    recorder.arg("-c").arg(include_str!("gateway/recorder.py"));
    recorder.args([&proxy, &gateway(cluster, "manager-1")]);
    recorder.arg(certificates(cluster)).arg(record(cluster));
    let recorder = Process::start(&mut recorder, &cluster.folder().join("recorder.log"))?;
    until("the proxy", PATIENCE, || {
        let printed = recorder.printed();
        ensure!(printed.contains("listening"), "{printed}");
        Ok(())
    })?;

    // A reader that is not on a manager, later.
    let place = cluster.folder().join("place.yml");
    let constraint = "placement: {constraints: [node.role == worker]}";
    let text = format!(
        "version: '3.8'\nservices: {{reader: {{deploy: {{replicas: 0, {constraint}}}}}}}\n"
    );
    fs::write(&place, text)?;
    let urls =
        [proxy, gateway(cluster, "manager-2")].map(|host| format!("https://{host}/sd/swarm"));
    let end = |kind: &str| ends.get(kind).map(String::as_str).with_context(|| printed.clone());
    cluster.deploy_files(
        &[&repository().join("deploy/gateway.yml"), &place],
        "swarmscout",
        &[
            ("CA", end("swarmscout-ca")?),
            ("SERVER", end("swarmscout-server")?),
            ("CLIENT", end("swarmscout-client")?),
            ("GATEWAYS", &urls.join(",")),
        ],
    )?;
    cluster.await_replicas("swarmscout_gateway 2/2")?;
    // Readers take the first gateway that answers, and stay with it.
    until("the list of the first gateway", PATIENCE, || {
        let found = curl(cluster, "manager-1", READER, "/sd/swarm");
        ensure!(found == "200", "{found}");
        Ok(())
    })?;
    cluster.docker(&["service", "scale", "-d", "swarmscout_reader=1"])?;
    cluster.await_replicas("swarmscout_reader 1/1")?;
    Ok(recorder)
}

/// A service with what must not cross.
fn marked(cluster: &Cluster) -> Result<()> {
    for kind in ["config", "secret"] {
        let file = cluster.folder().join(kind);
        fs::write(&file, format!("content-of-{kind}"))?;
        let name = format!("marker-{kind}");
        cluster.docker(&[kind, "create", &name, &file.display().to_string()])?;
    }
    let serve = "trap 'exit 0' TERM; httpd -f -p 8080 -h /www & wait";
    let options = "service create -d -q --no-resolve-image --name marked --network monitoring \
                   --constraint node.role==worker -l prometheus.io/port=8080 \
                   -l prometheus.io/label.team=marker-label -e MARKER_ENVIRONMENT=value-of-environment \
                   --config marker-config --secret marker-secret --entrypoint sh demo:1 -c";
    let arguments = options.split_whitespace().chain([serve, "marker-command", "marker-argument"]);
    cluster.docker(&arguments.collect::<Vec<_>>())?;
    cluster.await_replicas("marked 1/1")
}

/// What a container on the worker gets from the reader there.
fn reader(cluster: &Cluster, path: &str) -> Result<String> {
    let filter = "label=com.docker.swarm.service.name=swarmscout_reader";
    let id = cluster.docker_at("worker-1", &["ps", "-q", "--filter", filter])?;
    let url = format!("http://127.0.0.1:9465{path}");
    cluster.docker_at("worker-1", &["exec", &id, "wget", "-q", "-O", "-", &url])
}

fn list(cluster: &Cluster) -> Result<Vec<(String, Value)>> {
    targets(&serde_json::from_str(&reader(cluster, "/sd/swarm")?)?)
}

/// Waits until a job has this number of targets. Returns how long that took.
fn await_targets(cluster: &Cluster, job: &str, count: usize) -> Result<Duration> {
    let started = Instant::now();
    until(job, PATIENCE, || {
        let list = list(cluster)?;
        let found = list.iter().filter(|(_, labels)| labels["job"] == job).count();
        ensure!(found == count, "{found} of {job}: {list:#?}");
        Ok(())
    })?;
    Ok(started.elapsed())
}

fn served(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    await_targets(cluster, "marked", 1)?;
    await_targets(cluster, "swarmscout", 1)?;
    let list = list(cluster)?;
    let marked =
        list.iter().find(|(_, labels)| labels["job"] == "marked").context("it was there")?;
    // In the network of Prometheus, where the gateway is not.
    let (network, problem) = ("__meta_dockerswarm_network_name", "__meta_swarmscout_problem");
    ensure!(marked.1[network] == "monitoring" && marked.1[problem].is_null(), "{marked:?}");
    ensure!(marked.1["team"] == LABEL, "{marked:?}");
    // No gateway, which takes no connection without a certificate, and no state metrics of readers.
    ensure!(list.len() == 2, "{list:#?}");
    ensure!(reader(cluster, "/metrics")?.contains("swarmscout_build_info"));
    for path in ["/", "/api/v1/targets", "/api/v1/status/config"] {
        let refused = reader(cluster, path);
        let is_refused = refused.as_ref().is_err_and(|error| format!("{error:#}").contains("403"));
        ensure!(is_refused, "{path}: {refused:?}");
    }
    // No socket of Docker, and no right of root.
    let inspect = ["service", "inspect", "-f", "{{json .Spec.TaskTemplate.ContainerSpec.Mounts}}"];
    ensure!(cluster.docker(&[&inspect[..], &["swarmscout_reader"]].concat())? == "null");
    Ok(())
}

/// The certificates of readers, and of who may see the pages.
const READER: &str = "--cert client.pem --key client-key.pem";
const ADMIN: &str = "--cert admin.pem --key admin-key.pem";

/// What curl gets from the gateway of a manager: a status, or why there is none.
fn curl(cluster: &Cluster, manager: &str, words: &str, path: &str) -> String {
    let mut command = Command::new("curl");
    command.args(["-sS", "-o", "answer", "-w", "%{http_code}", "--cacert", "ca.pem"]);
    command.args(words.split_whitespace()).current_dir(certificates(cluster));
    command.arg(format!("https://{}{path}", gateway(cluster, manager)));
    run(&mut command).unwrap_or_else(|error| format!("{error:#}"))
}

fn rights(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let mut foreign = swarmscout();
    run(foreign.args(["tls", "init", "--hosts=elsewhere"]).current_dir(folder))?;
    let foreign = folder.join("tls").display().to_string();
    for words in ["", &format!("--cert {foreign}/client.pem --key {foreign}/client-key.pem")] {
        for path in ["/sd/swarm", "/-/healthy"] {
            let refused = curl(cluster, "manager-2", words, path);
            ensure!(refused.contains("curl: ("), "{words} {path}: {refused}");
        }
    }
    until("the metrics say why", PATIENCE, || {
        let found = curl(cluster, "manager-2", ADMIN, "/metrics");
        let metrics = fs::read_to_string(certificates(cluster).join("answer"))?;
        let failures = "swarmscout_http_tls_handshake_failures_total";
        for reason in ["no_certificate", "unknown_authority"] {
            let series = format!("{failures}{{reason=\"{reason}\"}} 2");
            ensure!(metrics.contains(&series), "{found}: {metrics}");
        }
        Ok(())
    })?;
    for (path, of_reader, of_admin) in [
        ("/sd/swarm", "200", "200"),
        ("/metrics/swarm", "200", "200"),
        ("/", "403", "200"),
        ("/api/v1/targets", "403", "200"),
        ("/api/v1/status/config", "403", "200"),
        ("/-/reload", "403", "403"),
    ] {
        for (words, expected) in [(READER, of_reader), (ADMIN, of_admin)] {
            let found = curl(cluster, "manager-2", words, path);
            ensure!(found == expected, "{words} {path}: {found}");
        }
    }
    let mut status = swarmscout();
    status.args(["status", &format!("--url=https://{}", gateway(cluster, "manager-2"))]);
    let printed =
        run(status.arg("--http.config.file=admin.yml").current_dir(certificates(cluster)))?;
    println!("{printed}");
    Ok(())
}

fn changed(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    let options = "--replicas 2 --constraint node.role==worker --network monitoring";
    cluster.create_service(&format!("added {options} -l prometheus.io/port=8080 demo:1"))?;
    cluster.await_replicas("added 2/2")?;
    println!("2 targets {:?} after the service has its tasks", await_targets(cluster, "added", 2)?);
    cluster.docker(&["service", "scale", "-d", "added=1"])?;
    println!("1 target {:?} after the command to scale", await_targets(cluster, "added", 1)?);
    Ok(())
}

fn crossed(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    let record = fs::read(record(cluster))?;
    let record = String::from_utf8_lossy(&record);
    let log = fs::read_to_string(cluster.folder().join("recorder.log"))?;
    // It is the whole conversation, in the clear.
    let is_whole = record.contains("GET /sd/swarm?wait=") && record.contains(LABEL);
    ensure!(
        is_whole,
        "{record}\n{log}\n{}",
        cluster.docker(&["service", "logs", "swarmscout_reader"])?
    );
    ensure!(!record.to_lowercase().contains("content-encoding"), "{record}");
    // The program has them where it asks.
    let id = cluster.docker(&["service", "inspect", "marked"])?;
    for marker in MARKERS {
        ensure!(!record.contains(marker), "{marker} crosses: {record}");
        ensure!(id.contains(marker) || marker.starts_with("content-of"), "{marker}: {id}");
    }
    println!("{} bytes crossed", record.len());
    Ok(())
}

fn failover(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    let before = list(cluster)?;
    cluster.docker(&["node", "update", "--availability", "drain", "manager-1"])?;
    until("the gateway stops", PATIENCE, || {
        let list = cluster.docker(&["ps", "-q"])?;
        ensure!(list.is_empty(), "{list}");
        let now = self::list(cluster)?;
        ensure!(now == before, "{now:#?}\nbefore: {before:#?}");
        Ok(())
    })?;
    cluster.docker(&["service", "scale", "-d", "added=3"])?;
    cluster.await_replicas("added 3/3")?;
    println!("3 targets {:?} after the service has its tasks", await_targets(cluster, "added", 3)?);
    // And with the first again.
    cluster.docker(&["node", "update", "--availability", "active", "manager-1"])?;
    cluster.await_replicas("swarmscout_gateway 2/2")?;
    await_targets(cluster, "added", 3).map(drop)
}
