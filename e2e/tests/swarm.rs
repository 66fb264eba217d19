//! Swarmscout on a real Swarm: one manager, two workers, services of every kind.
//!
//! The cluster is brought up once; the tests run one after the other and leave it as they found it.

#[path = "swarm/dns.rs"]
mod dns;
#[path = "swarm/migration.rs"]
mod migration;
#[path = "swarm/reads.rs"]
mod reads;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_e2e::cases::{self, Case};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::process::run;
use swarmscout_e2e::program::{Server, check_sd, known_to_2_42, swarmscout};
use swarmscout_e2e::proxy::Proxy;
use swarmscout_e2e::{get, get_any, get_json, until};

const CASES: &[(&str, Case)] = &[
    ("discovered labels equal those of promtool: nodes", |c, f| parity(c, f, "nodes")),
    ("discovered labels equal those of promtool: services", |c, f| parity(c, f, "services")),
    ("discovered labels equal those of promtool: tasks", |c, f| parity(c, f, "tasks")),
    ("discovered labels equal those of promtool: docker", |c, f| parity(c, f, "docker")),
    ("/api/v1/targets equals that of Prometheus", api_parity),
    ("an Engine is asked for what SECURITY.md lists, and for nothing else", reads::only_reads),
    ("a filter that lets only that through is enough", reads::through_a_filter),
    ("a job that moves as docs/migration.md says keeps its targets", migration::from_prometheus),
    ("tasks.<service> of Docker's own DNS, as promtool finds them", dns::tasks_of_a_service),
    ("Prometheus scrapes containers from our HTTP SD", prometheus_scrapes),
    ("a worker as host fails over to a manager, alone it names them", worker_as_host),
    ("without a file the local Swarm is discovered", without_a_file),
    ("a socket without permission is explained", socket_without_permission),
    ("the index page shows jobs in a browser", index_page),
    ("a drained and a stopped worker", drained_and_stopped),
];

fn main() -> ExitCode {
    cases::run(CASES, || {
        let cluster = Cluster::up(1, 2)?;
        cluster.deploy()?;
        Ok(cluster)
    })
}

/// The service label that two keys of the service `both` collide in: there the winner is random,
/// here it is the byte-smaller key.
const COLLISION: (&str, &str) = ("__meta_dockerswarm_service_label_a_b", "dash");

/// Both programs read the same file, each with its own host, and the same recorded answers.
fn parity(cluster: &mut Cluster, folder: &Path, role: &str) -> Result<()> {
    let proxy = Proxy::before(&format!("{}:2375", cluster.engine("manager-1").address))?;
    let (kind, options) = match role {
        "docker" => ("docker_sd_configs", String::new()),
        role => ("dockerswarm_sd_configs", format!("role: {role}, ")),
    };
    let check = |mut command: Command, host: &str, more: &str| -> Result<Vec<Value>> {
        let file = folder.join("prometheus.yml");
        fs::write(
            &file,
            format!(
                "scrape_configs:\n- job_name: real\n  {kind}: [{{host: '{host}', {options}{more}port: 8080}}]\n"
            ),
        )?;
        check_sd(command.arg("--timeout=5s").arg(&file).arg("real"))
    };
    let theirs = proxy.without_bare_vips()?;
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "service-discovery"]);
    let expected = check(promtool, &theirs.url(), "")?;
    let mut ours = swarmscout();
    ours.args(["check", "service-discovery", "--format=json"]);
    // 2.42 has no `match_first_network` and gives a target for every network.
    let every_network = if role == "docker" { "match_first_network: false, " } else { "" };
    let got = check(ours, &proxy.url(), every_network)?;
    ensure!(!expected.is_empty(), "promtool found nothing");
    let collided = |set: &&Value| set.get(COLLISION.0).is_some_and(|value| value != COLLISION.1);
    ensure!(!got.iter().any(|set| collided(&set)), "the collision went the other way");
    let (expected, got) = (comparable(expected), comparable(got));
    let missing: Vec<_> = expected.iter().filter(|set| !got.contains(set)).collect();
    let added: Vec<_> = got.iter().filter(|set| !expected.contains(set)).collect();
    ensure!(
        missing.is_empty() && added.is_empty(),
        "only promtool:\n{missing:#?}\nonly swarmscout:\n{added:#?}"
    );
    println!("{role}: {} label sets are equal", expected.len());
    Ok(())
}

/// Label sets as both programs can know them, in one order, without doubles.
fn comparable(mut sets: Vec<Value>) -> Vec<Value> {
    for labels in sets.iter_mut().filter_map(Value::as_object_mut) {
        labels.retain(|name, _| name != COLLISION.0);
    }
    known_to_2_42(sets)
}

/// One file, both programs running, the same recorded answers: what existing tools read of the API
/// is the same.
fn api_parity(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let proxy = Proxy::before(&format!("{}:2375", cluster.engine("manager-1").address))?;
    let config = format!(
        "global: {{scrape_interval: 1h}}\nscrape_configs:\n- job_name: tasks\n  dockerswarm_sd_configs: [{{host: '{}', role: tasks}}]\n  \
         relabel_configs:\n  - source_labels: [__meta_dockerswarm_task_desired_state]\n    regex: running\n    action: keep\n  \
         - source_labels: [__meta_dockerswarm_service_name]\n    target_label: service\n\
         - job_name: fixed\n  metrics_path: /m?x=1\n  params: {{a: ['1', '2'], b: [ü]}}\n  static_configs:\n  \
         - targets: ['localhost:9', '[::1]:9']\n    labels: {{__param_c: x}}\n",
        proxy.url()
    );
    let ours = Server::swarmscout(folder, "swarmscout", &config)?;
    let theirs = Server::prometheus(folder, &config)?;
    let targets = |server: &Server| {
        until("targets", Duration::from_secs(30), || {
            let data = get_json(&format!("{}/api/v1/targets", server.url))?["data"].take();
            let active = data["activeTargets"].as_array().context("no active targets")?.len();
            ensure!(active > 2, "{active} targets");
            Ok(data)
        })
    };
    let (ours, theirs) = (targets(&ours)?, targets(&theirs)?);
    let view = |data: &Value, list: &str, members: &[&str]| -> Result<Vec<String>> {
        let targets = data[list].as_array().with_context(|| list.to_owned())?;
        let mut views: Vec<String> = targets
            .iter()
            .map(|target| {
                let discovered = comparable(vec![target["discoveredLabels"].clone()]);
                let rest: Vec<_> =
                    members.iter().map(|member| target[member].to_string()).collect();
                format!("{discovered:?} {}", rest.join(" "))
            })
            .collect();
        views.sort();
        Ok(views)
    };
    for (list, members) in [
        (
            "activeTargets",
            &["labels", "scrapePool", "scrapeUrl", "scrapeInterval", "scrapeTimeout"][..],
        ),
        ("droppedTargets", &[]),
    ] {
        let (ours, theirs) = (view(&ours, list, members)?, view(&theirs, list, members)?);
        let only = |a: &[String], b: &[String]| {
            a.iter().filter(|x| !b.contains(x)).cloned().collect::<Vec<_>>()
        };
        let (added, missing) = (only(&ours, &theirs), only(&theirs, &ours));
        ensure!(
            ours.len() == theirs.len() && added.is_empty() && missing.is_empty(),
            "{list}: {} here, {} there\nonly swarmscout: {added:#?}\nonly Prometheus: {missing:#?}",
            ours.len(),
            theirs.len()
        );
    }
    Ok(())
}

fn prometheus_scrapes(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let config = format!(
        "scrape_configs:\n- job_name: agents\n  dockerswarm_sd_configs:\n  - host: {}\n    role: tasks\n    \
         refresh_interval: 5s\n    filters: [{{name: desired-state, values: [running]}}]\n  relabel_configs:\n  \
         - source_labels: [__meta_dockerswarm_service_label_prometheus_job]\n    regex: agent\n    action: keep\n  \
         - source_labels: [__meta_dockerswarm_task_port_publish_mode]\n    regex: host\n    action: keep\n  \
         - source_labels: [__meta_dockerswarm_node_hostname]\n    target_label: node\n",
        cluster.url("manager-1")
    );
    let scout = Server::swarmscout(folder, "agents", &config)?;
    let prometheus = Server::prometheus(
        folder,
        &format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: from-swarmscout\n  \
             http_sd_configs:\n  - url: {}/sd/agents\n    refresh_interval: 1s\n",
            scout.url
        ),
    )?;
    let query = format!("{}/api/v1/query?query=demo_requests_total", prometheus.url);
    let nodes = until("samples of three nodes", Duration::from_mins(1), || {
        let answer = get_json(&query)?;
        let result = answer["data"]["result"].as_array().context("no result")?.clone();
        let mut nodes: Vec<_> =
            result.iter().filter_map(|s| s["metric"]["node"].as_str()).map(str::to_owned).collect();
        nodes.sort();
        ensure!(nodes == ["manager-1", "worker-1", "worker-2"], "samples of {nodes:?}");
        Ok(result)
    })?;
    for sample in &nodes {
        ensure!(
            sample["metric"]["job"] == "from-swarmscout",
            "the reader's job name is kept: {sample}"
        );
        ensure!(sample["value"][1] == "7", "the container's own figure: {sample}");
    }
    Ok(())
}

fn worker_as_host(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let (manager, worker) = (cluster.url("manager-1"), cluster.url("worker-1"));
    let config = format!(
        "scrape_configs:\n\
         - job_name: both\n  dockerswarm_sd_configs: [{{hosts: ['{worker}', '{manager}'], role: nodes}}]\n\
         - job_name: alone\n  dockerswarm_sd_configs: [{{host: '{worker}', role: nodes}}]\n"
    );
    let server = Server::swarmscout(folder, "worker", &config)?;
    let nodes = until("nodes through the manager", Duration::from_secs(20), || server.sd("both"))?;
    ensure!(nodes.len() == 3, "{nodes:?}");
    let (status, body) = until("an error that names the manager", Duration::from_secs(20), || {
        let (status, body) = get_any(&format!("{}/sd/alone", server.url))?;
        ensure!(body.contains(&cluster.engine("manager-1").address), "{body}");
        Ok((status, body))
    })?;
    ensure!(status == 503 && body.contains("not a manager but a worker"), "{status}: {body}");
    Ok(())
}

fn without_a_file(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let mut command = swarmscout();
    command.current_dir(folder).env("DOCKER_HOST", cluster.url("manager-1"));
    let server = Server::start(command, folder, "no-file")?;
    // What services declare: the only port that one of them publishes, on each of its tasks.
    let labelled = until("the job swarm", Duration::from_secs(20), || server.sd("swarm"))?;
    let is_web =
        |(address, labels): &(String, Value)| labels["job"] == "web" && address.ends_with(":8080");
    ensure!(labelled.iter().filter(|target| is_web(target)).count() == 3, "{labelled:?}");
    ensure!(get_json(&format!("{}/sd", server.url))?[0]["job"] == "swarm", "it is the first job");
    // The jobs of before, for one release.
    let nodes = until("swarm-nodes", Duration::from_secs(20), || server.sd("swarm-nodes"))?;
    ensure!(nodes.len() == 3 && nodes.iter().all(|(a, _)| a.ends_with(":9323")), "{nodes:?}");
    let tasks = until("swarm-tasks", Duration::from_secs(20), || server.sd("swarm-tasks"))?;
    let is = |state: &'static str| {
        move |(_, labels): &(String, Value)| labels["__meta_dockerswarm_task_state"] == state
    };
    ensure!(!tasks.is_empty() && tasks.iter().all(is("running")), "{tasks:?}");
    // That one rule leaves out tasks that wait for a node, which have an address already.
    let found = server.sd("swarm-tasks?raw=1")?;
    ensure!(found.iter().any(is("pending")), "{found:?}");

    let mut command = swarmscout();
    command.current_dir(folder).env("DOCKER_HOST", cluster.url("worker-1"));
    let output = command.arg("--web.listen-address=127.0.0.1:0").output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        !output.status.success() && said.contains(&cluster.engine("manager-1").address),
        "{said}"
    );
    Ok(())
}

fn socket_without_permission(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let socket = cluster.socket("manager-1");
    let group = run(Command::new("stat").args(["-c", "%g"]).arg(&socket))?;
    let file = folder.join("prometheus.yml");
    let host = format!("unix://{}", socket.display());
    fs::write(
        &file,
        format!(
            "scrape_configs:\n- job_name: nodes\n  dockerswarm_sd_configs: [{{host: '{host}', role: nodes}}]\n"
        ),
    )?;
    // A user that can reach the program and the folder, but not the socket.
    let program = Path::new("/tmp").join(format!("swarmscout-{}", std::process::id()));
    fs::copy(swarmscout().get_program(), &program)?;
    let output = Command::new("setpriv")
        .args(["--reuid=65532", "--regid=65532", "--clear-groups"])
        .arg(&program)
        .args(["check", "service-discovery", "--timeout=5s"])
        .arg(&file)
        .arg("nodes")
        .output();
    fs::remove_file(&program)?;
    let output = output?;
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    ensure!(!output.status.success(), "it must not succeed: {said}");
    ensure!(
        said.contains("permission denied") && said.contains(&format!("65532:{group}")),
        "{said}"
    );

    let server = Server::swarmscout(folder, "as-root", &fs::read_to_string(&file)?)?;
    let nodes = until("nodes over the socket", Duration::from_secs(20), || server.sd("nodes"))?;
    ensure!(nodes.len() == 3, "{nodes:?}");
    Ok(())
}

fn index_page(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let config = format!(
        "scrape_configs:\n- job_name: nodes <of> the Swarm\n  dockerswarm_sd_configs: [{{host: '{}', role: nodes}}]\n",
        cluster.url("manager-1")
    );
    let server = Server::swarmscout(folder, "index", &config)?;
    until("nodes", Duration::from_secs(20), || server.sd("nodes%20%3Cof%3E%20the%20Swarm"))?;
    let profile = folder.join("profile");
    let page = run(Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(["--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!("{}/", server.url)))?;
    ensure!(page.contains("nodes &lt;of&gt; the Swarm"), "{page}");
    ensure!(page.contains("/sd/nodes%20%3Cof%3E%20the%20Swarm"), "{page}");
    Ok(())
}

fn drained_and_stopped(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let host = cluster.url("manager-1");
    let config = format!(
        "scrape_configs:\n\
         - job_name: nodes\n  dockerswarm_sd_configs: [{{host: '{host}', role: nodes, refresh_interval: 1s}}]\n\
         - job_name: agents\n  dockerswarm_sd_configs:\n  - host: '{host}'\n    role: tasks\n    refresh_interval: 1s\n    \
         filters:\n    - {{name: desired-state, values: [running]}}\n    - {{name: service, values: [agent]}}\n"
    );
    let server = Server::swarmscout(folder, "churn", &config)?;
    let nodes_of = |server: &Server| -> Result<Vec<String>> {
        let mut nodes: Vec<String> = server
            .sd("agents")?
            .iter()
            .filter_map(|(_, labels)| {
                labels["__meta_dockerswarm_node_hostname"].as_str().map(str::to_owned)
            })
            .collect();
        nodes.sort();
        nodes.dedup();
        Ok(nodes)
    };
    let await_nodes = |server: &Server, expected: &[&str]| {
        until("agents", Duration::from_mins(1), || {
            let nodes = nodes_of(server)?;
            ensure!(nodes == expected, "agents on {nodes:?}, expected on {expected:?}");
            Ok(())
        })
    };
    await_nodes(&server, &["manager-1", "worker-1", "worker-2"])?;

    cluster.docker(&["node", "update", "--availability", "drain", "worker-2"])?;
    await_nodes(&server, &["manager-1", "worker-1"])?;
    cluster.docker(&["node", "update", "--availability", "active", "worker-2"])?;
    await_nodes(&server, &["manager-1", "worker-1", "worker-2"])?;

    cluster.stop("worker-1");
    until("worker-1 down", Duration::from_mins(1), || {
        let nodes = server.sd("nodes")?;
        let down = nodes.iter().any(|(_, labels)| {
            labels["__meta_dockerswarm_node_hostname"] == "worker-1"
                && labels["__meta_dockerswarm_node_status"] == "down"
        });
        ensure!(down && nodes.len() == 3, "{nodes:?}");
        Ok(())
    })?;
    cluster.restart("worker-1")?;
    await_nodes(&server, &["manager-1", "worker-1", "worker-2"])?;
    let metrics = get(&format!("{}/metrics", server.url))?;
    ensure!(metrics.contains("swarmscout_source_up"), "{metrics}");
    Ok(())
}
