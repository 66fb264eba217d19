//! The dashboards: what Grafana would ask, asked of a real Prometheus.
//!
//! It scrapes Swarmscout and the targets that Swarmscout finds, node exporter among them. In the
//! place of cAdvisor is a file that was recorded from it, filled in with the tasks of this Swarm.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::process::Process;
use swarmscout_e2e::program::{HTTPD_CONF, Server, free_port, swarmscout};
use swarmscout_e2e::queries::{BOARDS, Query, Variables, queries};
use swarmscout_e2e::{get_json, until};

use crate::{PATIENCE, create, metrics, remove};

/// What cAdvisor 0.49 reports of one task, without the time that it adds to each value.
const CADVISOR: &str = include_str!("cadvisor.txt");

const NODE_EXPORTER: &str = "/usr/bin/prometheus-node-exporter";

/// Panels and annotations of the service's dashboard that are empty unless something is wrong, and
/// the service with which it is.
const WRONG: [(&str, &str); 3] =
    [("Why tasks wait", "nowhere"), ("Failures by reason", "broken"), ("Updates failed", "paused")];

const SERVICES: [&str; 5] = ["node-exporter", "web", "broken", "nowhere", "paused"];

/// Labels that a Prometheus adds to the state metrics, so that one Swarm stands for several: two
/// Swarms do not share the ID of a node, and neither do these.
#[derive(Clone, Copy, Debug)]
struct Reader {
    cluster: &'static str,
    swarm: &'static str,
    before_node_id: &'static str,
}

const ALONE: [Reader; 1] = [Reader { cluster: "", swarm: "", before_node_id: "" }];

/// Three Swarms in two clusters, each with services and nodes of the same names.
const SEVERAL: [Reader; 3] = [
    Reader { cluster: "one", swarm: "", before_node_id: "" },
    Reader { cluster: "two", swarm: "a", before_node_id: "a" },
    Reader { cluster: "two", swarm: "b", before_node_id: "b" },
];

/// Each query of each dashboard gets an answer, and the figures of several Swarms stay apart.
pub(crate) fn answered(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    deploy(cluster)?;
    let socket = cluster.socket("manager-1").display().to_string();
    let config = format!(
        "scrape_configs:\n- job_name: swarm\n  swarmscout_sd_configs: \
         [{{host: 'unix://{socket}', refresh_interval: 1s}}]\n"
    );
    let scout = Server::swarmscout(folder, "scout", &config)?;
    let cadvisor = until("tasks", PATIENCE, || Cadvisor::start(folder, &scout))?;
    for (name, readers, chosen) in [("alone", &ALONE[..], ".*"), ("several", &SEVERAL, "two")] {
        let folder = folder.join(name);
        fs::create_dir(&folder)?;
        let (prometheus, _vmalert) = prometheus(&folder, &scout, &cadvisor, readers)?;
        for (name, count) in BOARDS {
            ask_all(name, count, chosen, &prometheus)?;
        }
        apart(&prometheus, readers)?;
    }
    remove(cluster, &SERVICES)
}

/// Each query of the dashboard for classic Swarms gets an answer of the demo's.
pub(crate) fn classic(_: &mut Cluster, folder: &Path) -> Result<()> {
    let mut command = swarmscout();
    command.args(["demo", "--pace=1h"]);
    let demo = Server::start(command, folder, "demo")?;
    let config = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs:\n\
         - job_name: swarm-state\n  \
           metrics_path: /metrics/swarm\n  \
           static_configs: [{{targets: ['{}']}}]\n",
        demo.url.trim_start_matches("http://")
    );
    let prometheus = Server::prometheus(folder, &config)?;
    ask_all("classic", 22, ".*", &prometheus)
}

/// Asks each query of a dashboard until it has an answer. There are at least `count`.
fn ask_all(board: &str, count: usize, cluster: &str, prometheus: &Server) -> Result<()> {
    let queries = queries(board, variables(cluster))?;
    ensure!(queries.len() >= count, "{board}: {queries:#?}");
    for query in &queries {
        until(&format!("{board}, {}", query.of), PATIENCE, || query.ask(api(prometheus)))
            .with_context(|| prometheus.process.printed())?;
    }
    Ok(())
}

/// Memory of the service `web`, which the dashboard sums up, is that of its three tasks in each Swarm.
fn apart(prometheus: &Server, readers: &[Reader]) -> Result<()> {
    let queries = queries("cluster", variables(".*"))?;
    let is_memory = |query: &&Query| {
        query.of == "Services" && query.expression.contains("container_memory_working_set_bytes")
    };
    let query = queries.iter().find(is_memory).context("the dashboard shows no memory")?;
    let expected: BTreeSet<_> = readers
        .iter()
        .map(|reader| format!("{:?} {:?} web 1425408", reader.cluster, reader.swarm))
        .collect();
    until("memory of each Swarm", PATIENCE, || {
        let answer = query.answer(api(prometheus))?;
        let rows = answer.as_array().context("no list")?.iter().map(|row| {
            let label = |name: &str| row["metric"][name].as_str().unwrap_or_default();
            let value = row["value"][1].as_str().unwrap_or_default();
            format!("{:?} {:?} {} {value}", label("cluster"), label("swarm"), label("service"))
        });
        let rows: BTreeSet<_> = rows.collect();
        ensure!(rows == expected, "{rows:#?} are not {expected:#?}");
        Ok(())
    })
}

/// A service that has all that the dashboards show, and three with which something is wrong.
fn deploy(cluster: &Cluster) -> Result<()> {
    cluster.add_program("manager-1", Path::new(NODE_EXPORTER), "prom/node-exporter:1")?;
    create(
        cluster,
        "node-exporter --mode global --network host --constraint node.hostname==manager-1 \
         --mount type=bind,source=/,target=/host,readonly prom/node-exporter:1",
        &["--path.rootfs=/host"],
    )?;
    create(
        cluster,
        "web --mode global -p mode=host,published=8090,target=8080 -l prometheus.io/port=8080 \
         --limit-memory 64m --limit-cpu 0.5 --reserve-memory 32m --reserve-cpu 0.1 demo:1",
        &[],
    )?;
    create(cluster, "broken --restart-delay 1s demo:1", &["false"])?;
    create(cluster, "nowhere --constraint node.hostname==none demo:1", &[])?;
    create(cluster, "paused demo:1", &[])?;
    for want in ["node-exporter 1/1", "web 3/3", "paused 1/1"] {
        cluster.await_replicas(want)?;
    }
    let update = ["service", "update", "-d", "-q", "--no-resolve-image", "--args", "false"];
    cluster.docker(&[&update[..], &["paused"]].concat()).map(drop)
}

/// A server with what cAdvisor would report.
struct Cadvisor {
    _process: Process,
    port: u16,
}

impl Cadvisor {
    /// Starts it for the tasks that run on nodes which Swarmscout knows.
    fn start(folder: &Path, scout: &Server) -> Result<Self> {
        let known = metrics(scout)?;
        let mut text = String::new();
        for task in known.all("dockerswarm_task_info", &[("service", "web")]) {
            let mut nodes = known.all("dockerswarm_node_info", &[]);
            let node = nodes.find(|node| node.label("node") == task.label("node"));
            let node = node.context("a node that is not known")?.label("node_id");
            text += &CADVISOR
                .replace("{service}", task.label("service"))
                .replace("{slot}", node)
                .replace("{task}", task.label("task_id"))
                .replace("{container}", task.label("container_id"))
                .replace("{node}", node);
        }
        ensure!(!text.is_empty(), "no task");
        let served = folder.join("cadvisor");
        fs::create_dir_all(served.join("metrics"))?;
        fs::write(served.join("metrics/index.html"), text)?;
        let types = folder.join("httpd.conf");
        fs::write(&types, HTTPD_CONF)?;
        let port = free_port()?;
        let mut command = Command::new("busybox");
        command.args(["httpd", "-f", "-p", &format!("127.0.0.1:{port}"), "-h"]).arg(&served);
        command.arg("-c").arg(types);
        let process = Process::start(&mut command, &folder.join("cadvisor.log"))?;
        Ok(Self { _process: process, port })
    }
}

/// A Prometheus as docs/alerts.md configures it, with an alert that fires at once. Or what
/// `VICTORIA_METRICS` names, with a vmalert.
fn prometheus(
    folder: &Path,
    scout: &Server,
    cadvisor: &Cadvisor,
    readers: &[Reader],
) -> Result<(Server, Option<Process>)> {
    let rules = folder.join("rules.yml");
    fs::write(
        &rules,
        "groups: [{name: e2e, rules: [{alert: NotAtDesired, \
         expr: dockerswarm_service_at_desired == 0, labels: {severity: critical}}]}]\n",
    )?;
    let (url, port) = (&scout.url, cadvisor.port);
    let address = url.trim_start_matches("http://");
    let last = readers.last().context("no reader")?.cluster;
    let mut config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: [rules.yml]\n\
         scrape_configs:\n\
         - job_name: swarm\n  \
           http_sd_configs: [{{url: '{url}/sd/swarm', refresh_interval: 1s}}]\n  \
           relabel_configs: [{{target_label: cluster, replacement: '{last}'}}]\n\
         - job_name: swarmscout\n  \
           static_configs: [{{targets: ['{address}'], labels: {{cluster: '{last}'}}}}]\n"
    );
    for (i, Reader { cluster, swarm, before_node_id }) in readers.iter().enumerate() {
        write!(
            config,
            "- job_name: state-{i}\n  \
               metrics_path: /metrics/swarm\n  \
               static_configs: [{{targets: ['{address}']}}]\n  \
               metric_relabel_configs:\n  \
               - {{target_label: cluster, replacement: '{cluster}'}}\n  \
               - {{target_label: swarm, replacement: '{swarm}'}}\n  \
               - {{source_labels: [node_id], regex: (.+), target_label: node_id, \
                   replacement: '{before_node_id}$1'}}\n\
             - job_name: containers-{i}\n  \
               static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n  \
               metric_relabel_configs:\n  \
               - {{source_labels: [container_label_com_docker_swarm_node_id], regex: (.+), \
                   target_label: container_label_com_docker_swarm_node_id, \
                   replacement: '{before_node_id}$1'}}\n"
        )?;
    }
    if std::env::var_os("VICTORIA_METRICS").is_some() {
        let (server, vmalert) = Server::victoria_metrics(folder, &config, &rules)?;
        return Ok((server, Some(vmalert)));
    }
    Ok((Server::prometheus(folder, &config)?, None))
}

fn variables(cluster: &str) -> Variables<'_> {
    fn service(panel: &str) -> &'static str {
        WRONG.iter().find(|(of, _)| *of == panel).map_or("web", |(_, service)| service)
    }
    Variables { cluster, service, node: "manager-1", rate_interval: "10s" }
}

fn api(prometheus: &Server) -> impl FnOnce(&str) -> Result<Value> {
    |path| get_json(&format!("{}/api/v1/{path}", prometheus.url))
}
