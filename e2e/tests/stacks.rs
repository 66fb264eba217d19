//! `deploy/beside.yml` beside a monitoring stack that is there, step by step as docs/from-swarmprom.md says.
//!
//! One Swarm of a manager and a worker; the stack has the shape of swarmprom, and Debian's Prometheus.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_e2e::cases::{self, Case, PATIENCE};
use swarmscout_e2e::cluster::{Cluster, Image};
use swarmscout_e2e::process::run;
use swarmscout_e2e::program::swarmscout;
use swarmscout_e2e::{get_json, until};

const CASES: &[(&str, Case)] = &[
    ("beside a stack of tasks.* names", beside),
    ("a changed file is deployed under another name", changed),
    ("the tasks.* jobs are exchanged, and come back", exchanged),
];

/// `job instance` of what the DNS has and Swarmscout has, with the label of the case.
const TARGETS: [&str; 6] = [
    "cadvisor manager-1",
    "cadvisor worker-1",
    "dockerd-exporter mon_dockerd-exporter.manager-1",
    "dockerd-exporter mon_dockerd-exporter.worker-1",
    "node-exporter manager-1",
    "node-exporter worker-1",
];

fn main() -> ExitCode {
    cases::run(CASES, || {
        let cluster = Cluster::up(1, 1)?;
        deploy(&cluster)?;
        Ok(cluster)
    })
}

/// Deploys the stack that is there before Swarmscout is.
fn deploy(cluster: &Cluster) -> Result<()> {
    let program = fs::canonicalize(swarmscout().get_program())?;
    let (name, entrypoint) = ("swarmscout:latest", "/swarmscout");
    let image = Image { name, entrypoint, program: &program, ..Image::default() };
    cluster.add_image(&["manager-1"], &image)?;
    let prometheus = PathBuf::from(run(Command::new("sh").args(["-c", "command -v prometheus"]))?);
    cluster.add_program("manager-1", &prometheus, "prometheus:1")?;
    for name in cluster.names() {
        for image in ["google/cadvisor:test", "swarmprom-node-exporter:test"] {
            cluster.docker_at(name, &["tag", "demo:1", image])?;
        }
    }
    let blocks = configurations()?;
    let [before, after] = &blocks[..] else { anyhow::bail!("not two configurations") };
    for (name, text) in [("before", before), ("after", after)] {
        // Faster, and without the files of rules.
        let text = text.replace("15s", "1s").replace("rule_files: [swarm_", "# [");
        fs::write(cluster.folder().join("manager-1").join(format!("{name}.yml")), text)?;
    }
    monitoring(cluster, "before")
}

/// The `prometheus.yml` of the page, before and after.
fn configurations() -> Result<Vec<String>> {
    let text = fs::read_to_string(repository().join("docs/from-swarmprom.md"))?;
    let blocks = text.split("```yaml\n").skip(1);
    Ok(blocks.map(|block| block.split("```").next().unwrap_or_default().to_owned()).collect())
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Deploys the stack with one of the two configurations.
fn monitoring(cluster: &Cluster, prometheus: &str) -> Result<()> {
    let stack = Path::new(env!("CARGO_MANIFEST_DIR")).join("stacks/swarmprom.yml");
    let folder = cluster.folder().join("manager-1");
    let labels = folder.join("labels.yml");
    let files = [&stack, &labels].map(PathBuf::as_path);
    let files = if labels.exists() { &files[..] } else { &files[..1] };
    let folder = folder.display().to_string();
    cluster.deploy_files(files, "mon", &[("FOLDER", &folder), ("PROMETHEUS", prometheus)])
}

/// The results of a query to the Prometheus of the stack.
fn query(cluster: &Cluster, query: &str) -> Result<Vec<Value>> {
    let address = &cluster.engine("manager-1").address;
    let answer = get_json(&format!("http://{address}:9090/api/v1/query?query={query}"))?;
    answer["data"]["result"].as_array().cloned().with_context(|| answer.to_string())
}

/// `job instance` of the targets that answer, as far as a job of the page has them.
fn up(cluster: &Cluster) -> Result<BTreeSet<String>> {
    let address = &cluster.engine("manager-1").address;
    let answer = get_json(&format!("http://{address}:9090/api/v1/targets?state=active"))?;
    let targets = answer["data"]["activeTargets"].as_array().context("no targets")?;
    let is_of_page = |target: &&Value| {
        let job = target["labels"]["job"].as_str().unwrap_or_default();
        target["health"] == "up" && TARGETS.iter().any(|known| known.starts_with(job))
    };
    targets.iter().filter(is_of_page).map(|target| name(&target["labels"])).collect()
}

fn name(labels: &Value) -> Result<String> {
    let label = |name: &str| labels[name].as_str().context("no label");
    Ok(format!("{} {}", label("job")?, label("instance")?))
}

/// Two of each job, under their addresses.
fn is_of_dns(up: &BTreeSet<String>) -> bool {
    up.len() == TARGETS.len() && up.iter().all(|name| name.contains(':'))
}

fn await_up(
    cluster: &Cluster,
    what: &str,
    is_there: impl Fn(&BTreeSet<String>) -> bool,
) -> Result<()> {
    until(what, PATIENCE, || {
        let up = up(cluster)?;
        ensure!(is_there(&up), "{up:#?}");
        Ok(())
    })
}

/// What a container in the network of the stack gets from Swarmscout.
fn sd(cluster: &Cluster, path: &str) -> Result<Vec<(String, Value)>> {
    let id = cluster.docker(&["ps", "-q", "--filter", "name=mon_prometheus"])?;
    let url = format!("http://swarmscout:9465{path}");
    let text = cluster.docker(&["exec", &id, "wget", "-q", "-O", "-", &url])?;
    swarmscout_e2e::program::targets(&serde_json::from_str(&text)?)
}

fn listed(cluster: &Cluster) -> Result<BTreeSet<String>> {
    sd(cluster, "/sd/swarm")?.iter().map(|(_, labels)| name(labels)).collect()
}

fn await_listed(cluster: &Cluster) -> Result<()> {
    until("targets of Swarmscout", PATIENCE, || {
        let listed = listed(cluster)?;
        let missing: Vec<_> = TARGETS.iter().filter(|name| !listed.contains(**name)).collect();
        ensure!(missing.is_empty(), "{missing:?} is not in {listed:#?}");
        Ok(())
    })
}

fn beside(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    await_up(cluster, "targets of the DNS", is_of_dns)?;
    let file = repository().join("deploy/beside.yml");
    cluster.deploy_files(&[&file], "swarmscout", &[("NETWORK", "mon_net")])?;
    let labels = ["prometheus.io/port=9323", "prometheus.io/job=dockerd-exporter"];
    let [port, job] = labels.map(|label| ["--label-add", label]);
    let update = ["service", "update", "-d", "-q"];
    cluster.docker(&[&update[..], &port, &job, &["mon_dockerd-exporter"]].concat())?;
    // And in the stack file, for the next deploy.
    let [port, job] = labels.map(|label| label.replace('=', ": '") + "'");
    let labels = format!(
        "version: '3.8'\nservices: {{dockerd-exporter: {{deploy: {{labels: {{{port}, {job}}}}}}}}}\n"
    );
    fs::write(cluster.folder().join("manager-1/labels.yml"), labels)?;
    await_listed(cluster)
}

/// The second deploy has another file, and the name that a person gives it. The old task serves until
/// the new one does.
fn changed(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    run(Command::new("cp").arg("-r").arg(repository().join("deploy")).arg(folder))?;
    let file = folder.join("deploy/stack/swarmscout.yml");
    let text = fs::read_to_string(&file)?;
    fs::write(
        &file,
        format!("{text}- job_name: added\n  static_configs: [{{targets: ['a:1']}}]\n"),
    )?;
    let stack = folder.join("deploy/beside.yml");
    let network = ("NETWORK", "mon_net");
    let same_name = cluster.deploy_files(&[&stack], "swarmscout", &[network]);
    ensure!(same_name.is_err(), "Docker changed a config");
    cluster.deploy_files(&[&stack], "swarmscout", &[network, ("CONFIG", "mine")])?;
    let id = "the new configuration";
    until(id, PATIENCE, || {
        let added = sd(cluster, "/sd/added")?;
        ensure!(added.len() == 1, "{added:?}");
        Ok(())
    })?;
    await_listed(cluster)
}

fn exchanged(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    monitoring(cluster, "after")?;
    await_up(cluster, "targets of Swarmscout", |up| up.iter().eq(TARGETS.iter()))?;
    // The volume stayed.
    let old = query(cluster, "count(count_over_time(up%7Binstance=~%22[0-9.]%2B:9100%22%7D[1h]))")?;
    ensure!(old[0]["value"][1] == "2", "{old:?}");
    monitoring(cluster, "before")?;
    await_up(cluster, "targets of the DNS", is_of_dns)
}
