//! What a node part knows by a manager alone.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use swarmscout_e2e::cases::PATIENCE;
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::until;

use crate::{ask, create_shell, metrics, reach, running, start_manager, with_parts};

/// Names and labels are those that Docker gives to the containers.
pub(crate) fn known(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    let options = "broken --constraint node.hostname==worker-2 --restart-condition none";
    create_shell(cluster, options, "exit 3")?;
    for node in ["worker-1", "worker-2"] {
        until(node, PATIENCE, || {
            let containers = running(cluster, node)?;
            ensure!(containers.len() >= 2, "{containers:?}");
            containers.iter().try_for_each(|(id, name)| as_docker_has_it(cluster, node, id, name))
        })?;
    }
    // What has ended has no cgroup: the manager alone knows of it, and says its name.
    until("the exit code", PATIENCE, || {
        let metrics = metrics(cluster, "worker-2", "/metrics/containers")?;
        let one = |metric: &str| {
            let mut all = metrics.all(metric, &[]);
            let found = all.find(|series| series.label("name").starts_with("broken.1."));
            found.cloned().with_context(|| format!("no {metric}"))
        };
        let state = one("swarmscout_container_state")?;
        let code = one("swarmscout_container_last_exit_code")?;
        ensure!(code.value == "3" && state.label("state") == "exited", "{code:?}, {state:?}");
        Ok(())
    })?;
    cluster.docker(&["service", "rm", "broken"]).map(drop)
}

/// Labels of series, and what Docker's template is for each.
const LABELS: [(&str, &str); 6] = [
    ("image", "{{.Config.Image}}"),
    (
        "container_label_com_docker_swarm_node_id",
        r#"{{index .Config.Labels "com.docker.swarm.node.id"}}"#,
    ),
    (
        "container_label_com_docker_swarm_service_id",
        r#"{{index .Config.Labels "com.docker.swarm.service.id"}}"#,
    ),
    (
        "container_label_com_docker_swarm_service_name",
        r#"{{index .Config.Labels "com.docker.swarm.service.name"}}"#,
    ),
    (
        "container_label_com_docker_swarm_task_id",
        r#"{{index .Config.Labels "com.docker.swarm.task.id"}}"#,
    ),
    (
        "container_label_com_docker_swarm_task_name",
        r#"{{index .Config.Labels "com.docker.swarm.task.name"}}"#,
    ),
];

fn as_docker_has_it(cluster: &Cluster, node: &str, id: &str, name: &str) -> Result<()> {
    let metrics = metrics(cluster, node, "/metrics/containers")?;
    let of = [("name", name)];
    let mut series = metrics.all("container_memory_usage_bytes", &of);
    let series = series.next().with_context(|| format!("no {name} in {metrics:?}"))?;
    ensure!(series.label("id").ends_with(id), "{series:?}");
    let format = LABELS.map(|(_, template)| template).join("\n");
    let docker = cluster.docker_at(node, &["inspect", "-f", &format, id])?;
    for ((label, _), expected) in LABELS.iter().zip(docker.lines()) {
        ensure!(series.label(label) == expected, "{label} is not {expected}: {series:?}");
    }
    Ok(())
}

/// Names stay while the manager is away.
pub(crate) fn manager_gone(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    let containers = running(cluster, "worker-1")?;
    let all_known = || -> Result<f64> {
        let metrics = metrics(cluster, "worker-1", "/metrics")?;
        for (_, name) in &containers {
            let count = metrics.all("container_memory_usage_bytes", &[("name", name)]).count();
            ensure!(count == 1, "{count} of {name}");
        }
        let age = metrics.all("swarmscout_node_tasks_age_seconds", &[]).next();
        Ok(age.context("no age")?.value.parse()?)
    };
    let is_up = |up: i64| {
        until("manager_up", PATIENCE, || {
            let metrics = metrics(cluster, "worker-1", "/metrics")?;
            let is = metrics.value("swarmscout_node_manager_up", &[])?;
            ensure!(is == up, "{is}");
            Ok(())
        })
    };
    all_known()?;
    drop(with_parts(|parts| Ok(parts.manager.take()))?);
    is_up(0)?;
    let first = all_known()?;
    // Tasks stay within reach, by the list of before.
    let (node, path) = reach::somewhere("web")?;
    let found = ask(cluster, &node, &path);
    ensure!(found == "200", "{path}: {found}");
    until("a greater age", PATIENCE, || {
        let age = all_known()?;
        ensure!(age > first + 1.0, "{age}, first {first}");
        Ok(())
    })?;
    let manager = start_manager(cluster)?;
    with_parts(|parts| {
        parts.manager = Some(manager);
        Ok(())
    })?;
    is_up(1)?;
    all_known().map(drop)
}
