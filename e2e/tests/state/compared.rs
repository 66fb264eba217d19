//! What the docker command prints and what the metrics say, each as lines of one form.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::exposition::{Exposition, Series};

use crate::Scouts;

/// Waits until `docker service ls`, `docker service ps`, `docker node ls` and the states of updates
/// equal the metrics.
pub(crate) fn await_equal(cluster: &Cluster, scouts: &Scouts) -> Result<()> {
    scouts.await_all("what Docker says", |metrics| {
        let names = service_names(cluster)?;
        for (what, docker, ours) in [
            ("services", services_of_docker(cluster)?, services(metrics)?),
            ("tasks", tasks_of_docker(cluster, &names)?, tasks(metrics)?),
            ("nodes", nodes_of_docker(cluster)?, nodes(metrics)?),
            ("updates", updates_of_docker(cluster, &names)?, updates(metrics)),
        ] {
            ensure!(docker == ours, "{what}: Docker says {docker:#?}, the metrics {ours:#?}");
        }
        Ok(())
    })
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    lines
}

fn service_names(cluster: &Cluster) -> Result<Vec<String>> {
    let names = cluster.docker(&["service", "ls", "--format", "{{.Name}}"])?;
    Ok(names.lines().map(str::to_owned).collect())
}

/// `web replicated 3/3`, `job replicated-job 2/2 completed`.
fn services_of_docker(cluster: &Cluster) -> Result<Vec<String>> {
    let format = "{{.Name}}|{{.Mode}}|{{.Replicas}}";
    let listed = cluster.docker(&["service", "ls", "--format", format])?;
    let line = |line: &str| {
        let [name, mode, replicas] = cells(line)?;
        let mode = mode.replace(' ', "-");
        let replicas = match replicas.split_once('(') {
            Some((_, completed)) if mode.ends_with("-job") => completed.trim_end_matches(')'),
            Some((replicas, _)) => replicas.trim(),
            None => replicas,
        };
        Ok(format!("{name} {mode} {replicas}"))
    };
    Ok(sorted(listed.lines().map(line).collect::<Result<Vec<_>>>()?.into_iter()))
}

fn services(metrics: &Exposition) -> Result<Vec<String>> {
    let line = |info: &Series| {
        let (name, mode) = (info.label("service"), info.label("mode"));
        let value = |family: &str| {
            metrics.value(&format!("dockerswarm_service_{family}"), &[("service", name)])
        };
        let desired = value("desired_tasks")?;
        Ok(match mode {
            "replicated-job" | "global-job" => {
                format!("{name} {mode} {}/{desired} completed", value("completed_tasks")?)
            }
            _ => format!("{name} {mode} {}/{desired}", value("running_tasks")?),
        })
    };
    let lines = metrics.all("dockerswarm_service_info", &[]).map(line);
    Ok(sorted(lines.collect::<Result<Vec<_>>>()?.into_iter()))
}

/// A row of `docker service ps`.
#[derive(Debug)]
pub(crate) struct Row {
    id: String,
    /// `web.1`, of global services with the ID of the node.
    name: String,
    node: String,
    desired: String,
    pub(crate) state: String,
    pub(crate) error: String,
    /// The newest of a slot is shown first.
    is_current: bool,
}

/// Current and earlier tasks, as `docker service ps` shows them.
pub(crate) fn rows<S: AsRef<str>>(cluster: &Cluster, services: &[S]) -> Result<Vec<Row>> {
    if services.is_empty() {
        return Ok(Vec::new());
    }
    let format = "{{.ID}}|{{.Name}}|{{.Node}}|{{.DesiredState}}|{{.CurrentState}}|{{.Error}}";
    let mut arguments = vec!["service", "ps", "--no-trunc", "--format", format];
    arguments.extend(services.iter().map(AsRef::as_ref));
    let listed = cluster.docker(&arguments)?;
    let mut last = String::new();
    let row = |line: &str| {
        let [id, name, node, desired, state, error] = cells(line)?;
        let state = state.split(' ').next().unwrap_or_default();
        let before = std::mem::replace(&mut last, name.to_owned());
        Ok(Row {
            id: id.to_owned(),
            name: name.to_owned(),
            node: node.to_owned(),
            desired: desired.to_lowercase(),
            state: state.to_lowercase(),
            error: error.to_owned(),
            is_current: before != name,
        })
    };
    listed.lines().map(row).collect()
}

/// Of each slot the first row, unless its task was stopped and has no successor.
fn tasks_of_docker(cluster: &Cluster, services: &[String]) -> Result<Vec<String>> {
    let rows = rows(cluster, services)?.into_iter().filter(|row| {
        let has_ended = matches!(&*row.state, "complete" | "failed" | "rejected");
        row.is_current && (row.desired != "shutdown" || has_ended)
    });
    let line = |Row { id, name, node, state, .. }: Row| {
        let service = name.rsplit_once('.').map_or(&*name, |(service, _)| service);
        format!("{service} {id} {node} {state}")
    };
    Ok(sorted(rows.map(line)))
}

fn tasks(metrics: &Exposition) -> Result<Vec<String>> {
    let mut states = BTreeMap::new();
    for series in metrics.all("dockerswarm_task_state", &[]) {
        let key = ["service", "slot", "node"].map(|name| series.label(name).to_owned());
        let before = states.insert(key, series.label("state"));
        ensure!(before.is_none() && series.value == "1", "{series:?}");
    }
    let line = |info: &Series| {
        let [service, slot, node] = ["service", "slot", "node"].map(|name| info.label(name));
        let node_of_state = if slot.is_empty() { node } else { "" };
        let key = [service, slot, node_of_state].map(str::to_owned);
        let state = states.get(&key).with_context(|| format!("no state: {info:?}"))?;
        Ok(format!("{service} {} {node} {state}", info.label("task_id")))
    };
    let lines = metrics.all("dockerswarm_task_info", &[]).map(line);
    let lines = sorted(lines.collect::<Result<Vec<_>>>()?.into_iter());
    ensure!(lines.len() == states.len(), "{} tasks, {} states", lines.len(), states.len());
    Ok(lines)
}

/// `manager-1 ready active leader`.
fn nodes_of_docker(cluster: &Cluster) -> Result<Vec<String>> {
    let format = "{{.Hostname}} {{.Status}} {{.Availability}} {{.ManagerStatus}}";
    let listed = cluster.docker(&["node", "ls", "--format", format])?;
    Ok(sorted(listed.lines().map(|line| line.trim().to_lowercase())))
}

fn nodes(metrics: &Exposition) -> Result<Vec<String>> {
    let line = |info: &Series| {
        let node = info.label("node");
        let of_node = [("node", node)];
        let the_one = |family: &str, label: &str| {
            let all = metrics.all(family, &of_node).filter(|series| series.value == "1");
            let all: Vec<_> = all.map(|series| series.label(label).to_owned()).collect();
            ensure!(all.len() == 1, "{family} of {node}: {all:?}");
            Ok(all.concat())
        };
        let state = the_one("dockerswarm_node_state", "state")?;
        let availability = the_one("dockerswarm_node_availability", "availability")?;
        let value = |family: &str| metrics.value(family, &of_node).is_ok_and(|value| value == 1);
        let manager = match info.label("role") {
            "manager" if value("dockerswarm_node_manager_leader") => " leader",
            "manager" if value("dockerswarm_node_manager_reachable") => " reachable",
            "manager" => " unreachable",
            _ => "",
        };
        Ok(format!("{node} {state} {availability}{manager}"))
    };
    let lines = metrics.all("dockerswarm_node_info", &[]).map(line);
    Ok(sorted(lines.collect::<Result<Vec<_>>>()?.into_iter()))
}

/// `web completed`.
fn updates_of_docker(cluster: &Cluster, services: &[String]) -> Result<Vec<String>> {
    if services.is_empty() {
        return Ok(Vec::new());
    }
    let format = "{{.Spec.Name}} {{if .UpdateStatus}}{{.UpdateStatus.State}}{{else}}none{{end}}";
    let mut arguments = vec!["service", "inspect", "-f", format];
    arguments.extend(services.iter().map(String::as_str));
    Ok(sorted(cluster.docker(&arguments)?.lines().map(str::to_owned)))
}

fn updates(metrics: &Exposition) -> Vec<String> {
    let line = |series: &Series| format!("{} {}", series.label("service"), series.label("state"));
    sorted(metrics.all("dockerswarm_service_update_state", &[]).map(line))
}

fn cells<const N: usize>(line: &str) -> Result<[&str; N]> {
    let cells: Vec<_> = line.splitn(N, '|').collect();
    cells.try_into().ok().with_context(|| line.to_owned())
}
