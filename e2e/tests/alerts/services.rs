//! Services and jobs.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use swarmscout_e2e::alerting::Alerting;
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::until;

use crate::{PATIENCE, create, remove, update};

pub(crate) fn down(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let mut alerting = Alerting::start(cluster, folder, "events: events", "")?;
    create(cluster, "nowhere --constraint node.labels.none==such demo:1", &[])?;
    create(cluster, "one-each --replicas 6 --replicas-max-per-node 1 demo:1", &[])?;
    create(
        cluster,
        "ignored -l prometheus.io/alert.ignore=replicas --constraint node.labels.none==such demo:1",
        &[],
    )?;
    create(cluster, "zero --replicas 0 demo:1", &[])?;
    let alerts =
        alerting.await_alerts(&["SwarmServiceDown nowhere", "SwarmReplicasMissing one-each"])?;
    ensure!(alerts.iter().all(|alert| alert.label("team") == "shop"), "{alerts:?}");
    update(cluster, "--constraint-rm node.labels.none==such nowhere")?;
    cluster.docker(&["service", "scale", "-d", "one-each=5"])?;
    alerting.await_alerts(&[])?;
    remove(cluster, &["nowhere", "one-each", "ignored", "zero"])
}

/// The container of a service on a node.
fn container(cluster: &Cluster, node: &str, service: &str) -> Result<String> {
    let filter = format!("name={service}.");
    let id = cluster.docker_at(node, &["ps", "-q", "--filter", &filter])?;
    ensure!(!id.is_empty() && !id.contains('\n'), "containers of {service}: {id:?}");
    Ok(id)
}

pub(crate) fn killed(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let mut alerting = Alerting::start(cluster, folder, "events: events", "")?;
    let on_worker = "--constraint node.hostname==worker-1 --restart-delay 100ms demo:1";
    create(cluster, &format!("victim {on_worker}"), &[])?;
    create(cluster, &format!("often -l prometheus.io/alert.restarts=20 {on_worker}"), &[])?;
    for service in ["victim", "often"] {
        let mut killed = String::new();
        for _ in 0..5 {
            killed = until("another container", PATIENCE, || {
                let id = container(cluster, "worker-1", service)?;
                ensure!(id != killed, "still {id}");
                // One that runs is known to Prometheus, too.
                let running = format!("dockerswarm_service_running_tasks{{service=\"{service}\"}}");
                ensure!(alerting.query(&running)? == Some(1.0), "it does not run yet");
                Ok(id)
            })?;
            cluster.docker_at("worker-1", &["kill", &killed])?;
        }
    }
    alerting.await_alerts(&["SwarmRestartLoop victim"])?;
    // Five minutes without a restart.
    alerting.await_alerts(&[])?;
    remove(cluster, &["victim", "often"])
}

fn await_update(cluster: &Cluster, service: &str, wanted: &str) -> Result<()> {
    until(service, PATIENCE, || {
        let format = "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}";
        let state = cluster.docker(&["service", "inspect", "-f", format, service])?;
        ensure!(state == wanted, "{state}, not {wanted}");
        Ok(())
    })
}

/// The node and the container of the only task with this image.
fn task_of_image(cluster: &Cluster, service: &str, image: &str) -> Result<(String, String)> {
    until(image, PATIENCE, || {
        let format = "{{.Node}}|{{.Image}}|{{.CurrentState}}";
        let filter = ["--filter", "desired-state=running", "--format", format, service];
        let tasks = cluster.docker(&[&["service", "ps"], &filter[..]].concat())?;
        let is_one = |line: &&str| line.contains(&format!("|{image}|Running"));
        let line = tasks.lines().find(is_one).with_context(|| tasks.clone())?;
        let node = line.split('|').next().unwrap_or_default();
        // No other service has a container on its node.
        Ok((node.to_owned(), container(cluster, node, service)?))
    })
}

pub(crate) fn updated(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let mut alerting = Alerting::start(cluster, folder, "events: events", "")?;
    let slow =
        "--replicas 3 --replicas-max-per-node 1 --update-delay 1h --update-monitor 1h demo:1";
    create(cluster, &format!("slow -l prometheus.io/alert.update_age=5 {slow}"), &[])?;
    create(cluster, &format!("quiet -l prometheus.io/alert.ignore=update {slow}"), &[])?;
    create(
        cluster,
        "back --replicas 2 --restart-delay 5s --update-monitor 2s --update-failure-action rollback \
         --rollback-monitor 200ms demo:1",
        &[],
    )?;
    for want in ["slow 3/3", "quiet 3/3", "back 2/2"] {
        cluster.await_replicas(want)?;
    }
    for service in ["slow", "quiet"] {
        update(cluster, &format!("--image demo:2 {service}"))?;
        task_of_image(cluster, service, "demo:2")?;
    }
    // While an update goes on, images differ.
    alerting.await_alerts(&["SwarmUpdateStuck slow"])?;
    // The first new task fails, so Docker pauses the update and starts that task again.
    for service in ["slow", "quiet"] {
        let (node, container) = task_of_image(cluster, service, "demo:2")?;
        cluster.docker_at(&node, &["kill", &container])?;
        await_update(cluster, service, "paused")?;
        cluster.await_replicas(&format!("{service} 3/3"))?;
    }
    update(cluster, "--args false back")?;
    await_update(cluster, "back", "rollback_completed")?;
    alerting.await_alerts(&[
        "SwarmUpdateStuck slow",
        "(SwarmImagesDiffer slow)",
        "SwarmImagesDiffer quiet",
        "SwarmUpdateRolledBack back",
    ])?;
    for service in ["slow", "quiet"] {
        update(cluster, &format!("--update-delay 0s --update-monitor 100ms --force {service}"))?;
    }
    update(cluster, "--env-add V=2 back")?;
    alerting.await_alerts(&[])?;
    remove(cluster, &["slow", "quiet", "back"])
}

pub(crate) fn on_one_node(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let mut alerting = Alerting::start(cluster, folder, "events: events", "")?;
    let constraint = "node.hostname==manager-1";
    create(cluster, &format!("pair --replicas 2 --constraint {constraint} demo:1"), &[])?;
    alerting.await_alerts(&["SwarmServiceOnOneNode pair"])?;
    update(cluster, &format!("--constraint-rm {constraint} --force pair"))?;
    alerting.await_alerts(&[])?;
    remove(cluster, &["pair"])
}

pub(crate) fn jobs(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let mut alerting = Alerting::start(cluster, folder, "events: events", "")?;
    create(cluster, "nightly --restart-condition none demo:1", &["false"])?;
    create(cluster, "once --mode replicated-job --restart-max-attempts 1 demo:1", &["false"])?;
    create(
        cluster,
        "weekly --replicas 0 --restart-condition none -l swarm.cronjob.enable=true -l \
         prometheus.io/alert.job_age=30 demo:1",
        &["true"],
    )?;
    alerting.await_alerts(&[
        "SwarmJobFailed nightly",
        "SwarmJobFailed once",
        "SwarmJobNotRun weekly",
    ])?;
    update(cluster, "--args true nightly")?;
    update(cluster, "--args true once")?;
    alerting.await_alerts(&["SwarmJobNotRun weekly"])?;
    // What swarm-cronjob does. In half a minute it would fire again.
    cluster.docker(&["service", "scale", "-d", "weekly=1"])?;
    alerting.await_alerts(&[])?;
    remove(cluster, &["nightly", "once", "weekly"])
}

/// A task that fills half of its memory, and a label that says that half is too much. cAdvisor is not
/// in Debian: what it would say is written from the Engine's own figures, and scraped from a task.
pub(crate) fn memory(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let mut alerting = Alerting::start(cluster, folder, "events: events", "")?;
    create(
        cluster,
        "hungry --limit-memory 64m --constraint node.hostname==worker-1 -l \
         prometheus.io/alert.memory=0.3 --mount type=tmpfs,target=/big demo:1",
        &["sh", "-c", "busybox dd if=/dev/zero of=/big/file bs=1M count=32; sleep 1000"],
    )?;
    let id = until("the container", PATIENCE, || container(cluster, "worker-1", "hungry"))?;
    let usage = until("its memory", PATIENCE, || {
        let format = "{{.MemUsage}}";
        let used =
            cluster.docker_at("worker-1", &["stats", "--no-stream", "--format", format, &id])?;
        let mebibytes = used.split("MiB").next().and_then(|number| number.parse::<f64>().ok());
        let mebibytes = mebibytes.with_context(|| used.clone())?;
        ensure!(mebibytes > 30.0, "{used}");
        Ok(mebibytes)
    })?;
    let labels = "{container_label_com_docker_swarm_service_name=\"hungry\"}";
    let text = format!(
        "container_memory_working_set_bytes{labels} {}\ncontainer_spec_memory_limit_bytes{labels} \
         {}\n",
        usage * 1_048_576.0,
        64 << 20
    );
    let file = folder.join("metrics");
    fs::write(&file, text)?;
    let file = file.display().to_string();
    cluster.docker(&["config", "create", "cadvisor", &file])?;
    create(
        cluster,
        "cadvisor --config source=cadvisor,target=/www/metrics -p \
         mode=host,target=8080,published=9160 -l prometheus.io/port=8080 demo:1",
        &[],
    )?;
    let alerts = alerting.await_alerts(&["SwarmMemoryNearLimit hungry"])?;
    ensure!(alerts[0].label("team") == "shop", "{alerts:?}");
    update(cluster, "--label-add prometheus.io/alert.memory=0.95 hungry")?;
    alerting.await_alerts(&[])?;
    remove(cluster, &["hungry", "cadvisor"])?;
    until("the end of the tasks", PATIENCE, || cluster.docker(&["config", "rm", "cadvisor"]))
        .map(drop)
}
