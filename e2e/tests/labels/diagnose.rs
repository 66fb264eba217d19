//! `explain` and `doctor` on a Swarm where much is wrong.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::program::swarmscout;

use crate::lists::MARKED;
use crate::scrape::claimant;
use crate::{container, scout, sd};

/// Object, exit code, and parts of what is said. The first part is in the last line.
const OBJECTS: &[(&str, i32, &[&str])] = &[
    ("service/ours_web", 0, &["6 targets of service ours_web", "prometheus.io/admin.path"]),
    ("ours_side", 0, &["1 target of service ours_side", "container"]),
    ("llacroix_web", 0, &["4 targets of service llacroix_web", "llacroix"]),
    ("blog-dashes_web", 0, &["2 targets of service blog-dashes_web", "blog-dashes"]),
    ("node/worker-1", 0, &["of node worker-1", "ready"]),
    ("ours_web.2", 0, &["2 targets of task ours_web.2", "running"]),
    ("awkward_host-network", 0, &["5 targets of service awkward_host-network"]),
    ("awkward_apart", 0, &["shares no network"]),
    ("awkward_named-network", 0, &["not in the network of the label"]),
    ("awkward_bad-port", 0, &["1 target of service awkward_bad-port", "my-team", "65536"]),
    ("awkward_nowhere", 1, &["node.labels.none"]),
    ("awkward_too-big", 1, &["too few"]),
    ("awkward_zero", 1, &["scaled to 0"]),
    ("awkward_crash", 1, &["exit code 1", "failed tasks"]),
    ("awkward_no-image", 1, &["No such image"]),
    ("awkward_mistyped", 1, &["the nearest key is port"]),
    ("awkward_two-ports", 1, &["No job has a target", "several published TCP ports"]),
    ("awkward_unlabelled", 1, &["prometheus.io/port"]),
    ("ours_switched-off", 1, &["switches the service off"]),
    ("containersolutions_ignored", 1, &["switches the service off", "prometheus.ignore"]),
    ("no-network", 1, &["task on no network"]),
    ("service/none", 2, &["none"]),
];

/// Check and subject of each error.
const FOUND: [(&str, &str); 9] = [
    ("network_not_shared", "network awkward_apart"),
    ("network_not_shared", "network back"),
    ("not_metrics", "service awkward_web-page"),
    ("port_closed", "service awkward_closed-port"),
    ("status", "service awkward_wrong-path"),
    ("tasks_missing", "service awkward_crash"),
    ("tasks_missing", "service awkward_no-image"),
    ("tasks_missing", "service awkward_nowhere"),
    ("tasks_missing", "service awkward_too-big"),
];

/// Checks what `explain` says of each object. `command` has these arguments.
fn explain(command: impl Fn(&[&str]) -> Result<Command>) -> Result<()> {
    let mut wrong = Vec::new();
    for (object, code, parts) in OBJECTS {
        let output = command(&["explain", object])?.output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let said = said + String::from_utf8_lossy(&output.stderr);
        let last = said.trim_end().lines().last().unwrap_or_default();
        println!("{object}: {last}");
        let is_complete = last.contains(parts[0]) && parts.iter().all(|part| said.contains(part));
        if output.status.code() != Some(*code) || !is_complete {
            wrong.push(format!("{object}: {}, without one of {parts:?}: {said}", output.status));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Checks what `doctor` finds.
fn doctor(command: impl Fn(&[&str]) -> Result<Command>) -> Result<()> {
    let output = command(&["doctor", "--format=json"])?.output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.code() == Some(1), "{}: {printed}", output.status);
    let report: Value = serde_json::from_str(&printed).with_context(|| printed.to_string())?;
    let findings = report["findings"].as_array().context("no findings")?;
    let errors = findings.iter().filter(|finding| finding["severity"] == "error");
    let mut found: Vec<_> = errors
        .filter_map(|error| Some((error["check"].as_str()?, error["subject"].as_str()?)))
        .collect();
    found.sort_unstable();
    ensure!(found == FOUND, "{found:#?} in {findings:#?}");
    // What to write for a closed port is known: the container listens at another one.
    let closed = findings.iter().find(|finding| finding["check"] == "port_closed");
    let fix = closed.and_then(|closed| closed["fix"].as_str()).unwrap_or_default();
    ensure!(fix.contains("prometheus.io/port: \"8080\""), "{fix}");
    for finding in findings {
        println!("{} {}: {}", finding["check"], finding["subject"], finding["problem"]);
    }
    Ok(())
}

/// A command of Swarmscout that asks the service.
fn asking(cluster: &Cluster, arguments: &[&str]) -> Command {
    let mut command = swarmscout();
    command.args(arguments).arg(format!("--url={}", scout(cluster)));
    command
}

pub(crate) fn explained(cluster: &mut Cluster, _: &Path) -> Result<()> {
    explain(|arguments| Ok(asking(cluster, arguments)))?;
    // An address, and a task by the beginning of its ID.
    let targets = sd(cluster, "swarm")?;
    let (address, labels) =
        targets.iter().find(|(_, labels)| labels["service"] == "ours_side").context("no target")?;
    let task = labels["__meta_dockerswarm_task_id"].as_str().context("no task")?;
    for object in [address, &task[..8], &format!("http://{address}/metrics")] {
        let output = asking(cluster, &["explain", object]).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success() && said.contains("ours_side.1"), "{object}: {said}");
    }
    // One of two that claim the same addresses has none.
    let has = claimant(cluster)?;
    let lost = if has == "awkward_claim-one" { "awkward_claim-two" } else { "awkward_claim-one" };
    let said = asking(cluster, &["explain", lost]).output()?.stdout;
    let said = String::from_utf8_lossy(&said);
    ensure!(said.contains("address of another target") && said.contains(has), "{said}");
    Ok(())
}

pub(crate) fn doctored(cluster: &mut Cluster, _: &Path) -> Result<()> {
    doctor(|arguments| Ok(asking(cluster, arguments)))
}

/// In the network of the scraper.
pub(crate) fn directly(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let file = folder.join("prometheus.yml");
    let host = cluster.socket("manager-1").display().to_string();
    std::fs::write(
        &file,
        format!(
            "scrape_configs:\n- job_name: swarm\n  swarmscout_sd_configs: \
             [{{host: 'unix://{host}', scraper: monitoring_swarmscout}}]\n"
        ),
    )?;
    let container = container(cluster)?;
    let command = |arguments: &[&str]| {
        let mut command = swarmscout();
        command.args(arguments).arg(format!("--config.file={}", file.display()));
        cluster.in_container("manager-1", &container, &command)
    };
    explain(command)?;
    doctor(command)
}

/// The whole Swarm, without a request to a target.
pub(crate) fn summed_up(cluster: &mut Cluster, _: &Path) -> Result<()> {
    let output = asking(cluster, &["status"]).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
    let first = said.lines().next().unwrap_or_default();
    ensure!(first.contains("5 of 5 nodes ready"), "{first}");
    for part in ["3 of 3 managers reachable", "changes by watch", "node.labels.none", "too few"] {
        ensure!(said.contains(part), "no {part:?} in {said}");
    }
    for (instance, reason) in MARKED {
        let service = instance.trim_end_matches(".1");
        let line = said.lines().find(|line| line.contains(&format!("service {service}:")));
        ensure!(line.is_some_and(|line| line.contains(reason)), "no {service}: {reason} in {said}");
    }
    Ok(())
}
