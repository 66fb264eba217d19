//! The dashboards: what Grafana would ask, asked of a real Prometheus.
//!
//! It scrapes Swarmscout and the targets that Swarmscout finds, node exporter among them. In the
//! place of cAdvisor is a file that was recorded from it, filled in with the tasks of this Swarm.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::process::Process;
use swarmscout_e2e::program::{Server, free_port};
use swarmscout_e2e::{get_json, until};

use crate::{PATIENCE, create, metrics, remove};

/// What cAdvisor 0.49 reports of one task, without the time that it adds to each value.
const CADVISOR: &str = include_str!("cadvisor.txt");

const NODE_EXPORTER: &str = "/usr/bin/prometheus-node-exporter";

/// Each with the number of its queries, at least.
const BOARDS: [(&str, usize); 4] =
    [("cluster", 35), ("service", 25), ("node", 25), ("swarmscout", 20)];

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
        let prometheus = prometheus(&folder, &scout, &cadvisor, readers)?;
        for (name, count) in BOARDS {
            let queries = queries(name, chosen)?;
            ensure!(queries.len() >= count, "{name}: {queries:#?}");
            for query in &queries {
                until(&format!("{name}, {}", query.of), PATIENCE, || query.ask(&prometheus))
                    .with_context(|| prometheus.process.printed())?;
            }
        }
        apart(&prometheus, readers)?;
    }
    remove(cluster, &SERVICES)
}

/// Memory of the service `web`, which the dashboard sums up, is that of its three tasks in each Swarm.
fn apart(prometheus: &Server, readers: &[Reader]) -> Result<()> {
    let queries = queries("cluster", ".*")?;
    let is_memory = |query: &&Query| {
        query.of == "Services" && query.expression.contains("container_memory_working_set_bytes")
    };
    let query = queries.iter().find(is_memory).context("the dashboard shows no memory")?;
    let expected: BTreeSet<_> = readers
        .iter()
        .map(|reader| format!("{:?} {:?} web 1425408", reader.cluster, reader.swarm))
        .collect();
    until("memory of each Swarm", PATIENCE, || {
        let answer = query.answer(prometheus)?;
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
        fs::create_dir_all(&served)?;
        fs::write(served.join("metrics"), text)?;
        let port = free_port()?;
        let mut command = Command::new("busybox");
        command.args(["httpd", "-f", "-p", &format!("127.0.0.1:{port}"), "-h"]).arg(&served);
        let process = Process::start(&mut command, &folder.join("cadvisor.log"))?;
        Ok(Self { _process: process, port })
    }
}

/// A Prometheus as docs/alerts.md configures it, with an alert that fires at once.
fn prometheus(
    folder: &Path,
    scout: &Server,
    cadvisor: &Cadvisor,
    readers: &[Reader],
) -> Result<Server> {
    fs::write(
        folder.join("rules.yml"),
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
    Server::prometheus(folder, &config)
}

/// An expression of a dashboard with the variables filled in.
#[derive(Debug)]
struct Query {
    /// The panel, annotation or variable that it is of.
    of: String,
    expression: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Instant,
    Range,
    /// Series that must have a label.
    Values(String),
}

/// All of a dashboard.
fn queries(board: &str, cluster: &str) -> Result<Vec<Query>> {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../deploy/dashboards/{board}.json"));
    let board: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    let list = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let mut queries = Vec::new();
    for panel in list(&board["panels"]) {
        for target in list(&panel["targets"]) {
            let kind = if target["range"] == true { Kind::Range } else { Kind::Instant };
            queries.push(Query::new(
                text(&panel["title"])?,
                text(&target["expr"])?,
                cluster,
                kind,
            )?);
        }
    }
    for annotation in list(&board["annotations"]["list"]) {
        let (name, expression) = (text(&annotation["name"])?, text(&annotation["expr"])?);
        queries.push(Query::new(name, expression, cluster, Kind::Range)?);
    }
    for variable in list(&board["templating"]["list"]) {
        if variable["type"] != "query" {
            continue;
        }
        let source = text(&variable["query"])?;
        let source = source.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (series, label) = source.and_then(|rest| rest.rsplit_once(", ")).context("a form")?;
        // A Swarm has neither unless it is named, or there are several.
        if label != "cluster" && label != "swarm" {
            queries.push(Query::new(label, series, cluster, Kind::Values(label.to_owned()))?);
        }
    }
    Ok(queries)
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().context("no text")
}

/// Fills the variables in as Grafana does, with "All" for all but these.
fn filled(expression: &str, service: &str, cluster: &str) -> Result<String> {
    let from = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() - 600_000;
    let filled = expression
        .replace("$__rate_interval", "10s")
        .replace("$__range", "10m")
        .replace("$__from", &from.to_string())
        .replace("$cluster", cluster)
        .replace("$swarm", ".*")
        .replace("$job", ".*")
        .replace("$service", service)
        .replace("$node", "manager-1");
    // Of the function label_replace.
    ensure!(!filled.replace("\"$1\"", "").contains('$'), "a variable is left: {filled}");
    Ok(filled)
}

impl Query {
    fn new(of: &str, expression: &str, cluster: &str, kind: Kind) -> Result<Self> {
        let service = WRONG.iter().find(|(panel, _)| *panel == of).map_or("web", |(_, s)| s);
        Ok(Self { of: of.to_owned(), expression: filled(expression, service, cluster)?, kind })
    }

    /// Fails unless the answer has a value.
    fn ask(&self, prometheus: &Server) -> Result<()> {
        let is_empty = self.answer(prometheus)?.as_array().is_none_or(Vec::is_empty);
        ensure!(!is_empty, "no value: {}", self.expression);
        Ok(())
    }

    fn answer(&self, prometheus: &Server) -> Result<Value> {
        let encoded = utf8_percent_encode(&self.expression, NON_ALPHANUMERIC);
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let path = match &self.kind {
            Kind::Instant => format!("query?query={encoded}"),
            Kind::Range => {
                format!("query_range?query={encoded}&start={}&end={now}&step=1", now - 5)
            }
            Kind::Values(label) => format!("label/{label}/values?match%5B%5D={encoded}"),
        };
        let answer = get_json(&format!("{}/api/v1/{path}", prometheus.url));
        let mut answer = answer.with_context(|| self.expression.clone())?;
        Ok(match self.kind {
            Kind::Values(_) => answer["data"].take(),
            Kind::Instant | Kind::Range => answer["data"]["result"].take(),
        })
    }
}
