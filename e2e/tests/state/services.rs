//! Services while they run, are scaled, fail and are rolled back.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::until;

use crate::compared::{await_equal, rows};
use crate::{PATIENCE, Scouts, create, remove};

pub(crate) fn healthy(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let scouts = Scouts::start(cluster, folder)?;
    for service in [
        "web --replicas 3 demo:1",
        "agent --mode global demo:1",
        "workers --mode global --constraint node.role==worker demo:1",
        "zero --replicas 0 demo:1",
        "job --mode replicated-job --replicas 4 --max-concurrent 2 demo:1 true",
        "job-everywhere --mode global-job demo:1 true",
    ] {
        cluster.create_service(service)?;
    }
    for want in ["web 3/3", "agent 3/3", "workers 2/2", "job 0/2 (4/4 completed)"] {
        cluster.await_replicas(want)?;
    }
    await_equal(cluster, &scouts)?;
    let (web, job) = (("service", "web"), ("service", "job"));
    scouts.await_values(&[
        ("service_running_tasks", &[web], 3),
        ("service_tasks", &[web, ("state", "running")], 3),
        ("service_at_desired", &[web], 1),
        ("service_at_desired", &[("service", "zero")], 1),
        ("service_at_desired", &[job], 1),
        ("service_completed_tasks", &[job], 4),
        ("service_completed_tasks", &[("service", "job-everywhere")], 3),
        ("service_running_images", &[web], 1),
        ("service_most_tasks_on_one_node", &[web], 1),
        ("service_desired_tasks", &[("service", "workers")], 2),
    ])?;
    for replicas in ["5", "1"] {
        cluster.docker(&["service", "scale", "-d", &format!("web={replicas}")])?;
        cluster.await_replicas(&format!("web {replicas}/{replicas}"))?;
        await_equal(cluster, &scouts)?;
        scouts.await_values(&[
            ("service_desired_tasks", &[web], replicas.parse()?),
            ("service_running_tasks", &[web], replicas.parse()?),
            ("service_at_desired", &[web], 1),
            // Tasks that an operator stops are neither.
            ("service_task_failures_total", &[web], 0),
            ("service_task_restarts_total", &[web], 0),
        ])?;
    }
    remove(cluster, &["web", "agent", "workers", "zero", "job", "job-everywhere"])?;
    scouts.await_all("nothing", |metrics| {
        ensure!(metrics.all("dockerswarm_service_info", &[]).next().is_none(), "services");
        Ok(())
    })
}

/// The exit code that an error of a task names.
fn exit_code(error: &str) -> Option<&str> {
    error.split_once("non-zero exit (")?.1.split_once(')').map(|(code, _)| code)
}

/// The tasks of a service that failed, by exit code, as `docker service ps` shows them.
fn failures(cluster: &Cluster, service: &str) -> Result<BTreeMap<String, usize>> {
    let mut failures = BTreeMap::new();
    for row in rows(cluster, &[service])? {
        if row.state == "failed" {
            let code = exit_code(&row.error).with_context(|| row.error.clone())?;
            *failures.entry(code.to_owned()).or_default() += 1;
        }
    }
    Ok(failures)
}

pub(crate) fn crash_loops(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    // What failed before does not count.
    let restart = "--restart-delay 300ms --restart-max-attempts";
    create(cluster, &format!("earlier {restart} 1 demo:1"), &["sh", "-c", "exit 7"])?;
    let await_failures = |service: &str, count: usize| {
        until(service, PATIENCE, || {
            let failures = failures(cluster, service)?;
            ensure!(failures.values().sum::<usize>() == count, "{failures:?}");
            Ok(failures)
        })
    };
    await_failures("earlier", 2)?;
    let scouts = Scouts::start(cluster, folder)?;
    // Name, slots, restarts of each, command and the exit codes of a slot.
    for (name, slots, restarts, script) in
        [("three", 1, 3, "exit 3"), ("several", 2, 1, "exit 200"), ("killed", 1, 1, "exit 137")]
    {
        let options = format!("{name} --replicas {slots} {restart} {restarts} demo:1");
        create(cluster, &options, &["sh", "-c", script])?;
        let failures = await_failures(name, slots * (restarts + 1))?;
        let service = ("service", name);
        let of_service = [service];
        scouts.await_all(name, |metrics| {
            let by = metrics.all("dockerswarm_service_task_failures_by_reason_total", &of_service);
            let by: BTreeMap<_, _> = by
                .map(|series| {
                    ensure!(series.label("reason") == "exit code", "{series:?}");
                    Ok((series.label("exit_code").to_owned(), series.value.clone()))
                })
                .collect::<Result<_>>()?;
            let docker: BTreeMap<_, _> =
                failures.iter().map(|(code, count)| (code.clone(), count.to_string())).collect();
            ensure!(by == docker, "Docker says {docker:?}, the metrics {by:?}");
            Ok(())
        })?;
        let number = |count: usize| Ok::<i64, anyhow::Error>(count.to_string().parse()?);
        scouts.await_values(&[
            ("service_task_failures_total", &[service], number(slots * (restarts + 1))?),
            ("service_task_restarts_total", &[service], number(slots * restarts)?),
            ("service_running_tasks", &[service], 0),
            ("service_at_desired", &[service], 0),
            ("service_tasks", &[service, ("state", "failed")], number(slots)?),
            ("service_waiting_tasks", &[service, ("reason", "exit code")], number(slots)?),
        ])?;
    }
    let earlier = ("service", "earlier");
    scouts.await_values(&[
        ("service_task_failures_total", &[earlier], 0),
        ("service_task_restarts_total", &[earlier], 0),
    ])?;
    await_equal(cluster, &scouts)?;
    remove(cluster, &["earlier", "three", "several", "killed"])
}

pub(crate) fn rolled_back(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let scouts = Scouts::start(cluster, folder)?;
    let options = "back --replicas 2 --restart-delay 200ms --update-monitor 2s \
                   --update-failure-action rollback --rollback-monitor 200ms demo:1";
    cluster.create_service(options)?;
    cluster.await_replicas("back 2/2")?;
    await_equal(cluster, &scouts)?;
    let back = ("service", "back");
    scouts.await_values(&[("service_update_state", &[back, ("state", "none")], 1)])?;
    let update = ["service", "update", "-d", "-q", "--no-resolve-image", "--args", "false", "back"];
    cluster.docker(&update)?;
    until("the rollback", PATIENCE, || {
        let format = "{{.UpdateStatus.State}}";
        let state = cluster.docker(&["service", "inspect", "-f", format, "back"])?;
        ensure!(state == "rollback_completed", "{state}");
        Ok(())
    })?;
    cluster.await_replicas("back 2/2")?;
    await_equal(cluster, &scouts)?;
    scouts.await_values(&[
        ("service_update_state", &[back, ("state", "rollback_completed")], 1),
        ("service_at_desired", &[back], 1),
    ])?;
    remove(cluster, &["back"])
}
