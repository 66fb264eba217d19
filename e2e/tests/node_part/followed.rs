//! What a node part knows by a manager alone.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_e2e::cases::PATIENCE;
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::program::targets;
use swarmscout_e2e::until;

use crate::{
    CLIENT, MANAGER_PORTS, NODES, answer, ask, create_shell, curl, metrics, port, reach, running,
    start_manager, with_parts,
};

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

/// The addresses of targets that the list of a manager has, but for tasks of the host's network.
fn addresses(cluster: &Cluster, manager: u16) -> Result<BTreeSet<String>> {
    let url = format!("https://{}:{manager}/sd/swarm", cluster.engine("manager-1").address);
    let found = curl(cluster, CLIENT, &url);
    ensure!(found == "200", "{found}");
    let list: Value = serde_json::from_str(&answer(cluster)?)?;
    Ok(targets(&list)?.into_iter().map(|(address, _)| address).collect())
}

/// What is known stays while the next manager is asked, and that one knows where the node parts listen.
pub(crate) fn another_manager(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    let expected: BTreeSet<_> = NODES
        .iter()
        .map(|node| format!("{}:{}", cluster.engine(node).address, port(node)))
        .collect();
    for manager in MANAGER_PORTS {
        until("the addresses of node parts", PATIENCE, || {
            let found = addresses(cluster, manager)?;
            ensure!(found == expected, "{manager}: {found:?}");
            Ok(())
        })?;
    }
    let count = |name: &str| metrics(cluster, "worker-1", "/metrics")?.value(name, &[]);
    let registrations = "swarmscout_node_manager_registrations_total";
    ensure!(count(registrations)? >= 1, "no registration");
    let (failures, answers) =
        ("swarmscout_node_manager_failures_total", "swarmscout_node_manager_answers_total");
    let before = (count(failures)?, count(answers)?);
    drop(with_parts(|parts| Ok(parts.managers[0].take()))?);
    until("the other manager answers", PATIENCE, || {
        // Nothing is unknown meanwhile.
        for (_, name) in running(cluster, "worker-1")? {
            let metrics = metrics(cluster, "worker-1", "/metrics/containers")?;
            let count = metrics.all("container_memory_usage_bytes", &[("name", &*name)]).count();
            ensure!(count == 1, "{count} of {name}");
        }
        let now = (count(failures)?, count(answers)?);
        ensure!(now.0 > before.0 && now.1 > before.1, "{now:?}, before {before:?}");
        ensure!(count("swarmscout_node_manager_up")? == 1, "not up");
        Ok(())
    })?;
    // A task of now is known by the other one.
    cluster.create_service("late --network front --constraint node.hostname==worker-2 -l prometheus.io/port=8080 demo:1")?;
    cluster.await_replicas("late 1/1")?;
    until("a new task is within reach", PATIENCE, || {
        let url = format!(
            "https://{}:{}/sd/swarm",
            cluster.engine("manager-1").address,
            MANAGER_PORTS[1]
        );
        let found = curl(cluster, CLIENT, &url);
        ensure!(found == "200", "{found}");
        let list = targets(&serde_json::from_str(&answer(cluster)?)?)?;
        let late = list.iter().find(|(_, labels)| labels["service"] == "late");
        let (address, labels) = late.context("no target")?;
        ensure!(address.ends_with(":8070"), "{address}");
        let path = labels["__metrics_path__"].as_str().context("no path")?;
        let found = ask(cluster, "worker-2", path);
        ensure!(found == "200", "{found}: {}", answer(cluster)?);
        Ok(())
    })?;
    ensure!(addresses(cluster, MANAGER_PORTS[1])? == expected, "other addresses");
    cluster.docker(&["service", "rm", "late"])?;
    let manager = start_manager(cluster, MANAGER_PORTS[0])?;
    with_parts(|parts| {
        parts.managers[0] = Some(manager);
        Ok(())
    })?;
    until("the first manager knows them again", PATIENCE, || {
        let found = addresses(cluster, MANAGER_PORTS[0])?;
        ensure!(found == expected, "{found:?}");
        Ok(())
    })
}

/// Names stay while all managers are away.
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
    drop(with_parts(|parts| Ok(parts.managers.drain(..).collect::<Vec<_>>()))?);
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
    let managers = MANAGER_PORTS.map(|port| start_manager(cluster, port).map(Some));
    let managers = managers.into_iter().collect::<Result<_>>()?;
    with_parts(|parts| {
        parts.managers = managers;
        Ok(())
    })?;
    is_up(1)?;
    all_known().map(drop)
}
