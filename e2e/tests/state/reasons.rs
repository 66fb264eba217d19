//! Why tasks wait and fail, by the texts of real engines.

use std::path::Path;

use anyhow::{Result, ensure};
use swarmscout_e2e::cluster::Cluster;

use crate::compared::{await_equal, rows};
use crate::{Scouts, create, remove};

/// A service and what becomes of its task.
struct Kind {
    /// Name and options.
    options: &'static str,
    command: &'static [&'static str],
    reason: &'static str,
    /// How many tasks could be placed now.
    schedulable: i64,
}

const fn waits(options: &'static str, reason: &'static str) -> Kind {
    Kind { options, command: &[], reason, schedulable: 0 }
}

/// Its task is placed, and fails on its node.
const fn fails(
    options: &'static str,
    command: &'static [&'static str],
    reason: &'static str,
) -> Kind {
    Kind { options, command, reason, schedulable: 1 }
}

const KINDS: &[Kind] = &[
    waits("nowhere --constraint node.labels.none==such demo:1", "no suitable node: constraints"),
    waits("too-big --reserve-memory 900g demo:1", "no suitable node: resources"),
    waits("cpus --reserve-cpu 900 demo:1", "no suitable node: resources"),
    waits("gpus --generic-resource gpu=9 demo:1", "no suitable node: resources"),
    waits(
        "plugin --mount type=volume,source=v,target=/v,volume-driver=none demo:1",
        "no suitable node: plugin",
    ),
    waits(
        "taken -p mode=host,published=7070,target=8080 --constraint node.hostname==worker-1 demo:1",
        "no suitable node: port in use",
    ),
    fails("no-image no-such-image:9", &[], "image not found"),
    fails(
        "bind --mount type=bind,source=/does/not/exist,target=/x demo:1",
        &[],
        "mount source not found",
    ),
    fails(
        "listens -p mode=host,published=2375,target=8080 --constraint node.hostname==worker-1 demo:1",
        &[],
        "port in use",
    ),
    fails("command demo:1", &["no-such-command"], "start failed"),
    fails("capability --cap-add NONE_SUCH demo:1", &[], "start failed"),
    fails("log --log-driver json-file --log-opt none=such demo:1", &[], "start failed"),
    fails(
        "volume --mount type=volume,source=share,target=/w,volume-opt=type=none,\
         volume-opt=device=/does/not/exist,volume-opt=o=bind demo:1",
        &[],
        "mount failed",
    ),
    fails("onto --mount type=bind,source=/etc/hostname,target=/www demo:1", &[], "mount failed"),
    fails("user --user no-such-user demo:1", &[], "start failed"),
    fails("folder --workdir /www/metrics demo:1", &[], "start failed"),
    fails(
        // It ignores TERM: ended in order, with exit code 0, it would be complete.
        "sick --stop-grace-period 200ms --health-cmd false --health-interval 200ms \
         --health-retries 1 demo:1",
        &["sleep", "1000"],
        "unhealthy",
    ),
    fails("exits demo:1", &["sh", "-c", "exit 9"], "exit code"),
];

pub(crate) fn all(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let scouts = Scouts::start(cluster, folder)?;
    let on_worker = "--constraint node.hostname==worker-1 demo:1";
    create(cluster, &format!("first -p mode=host,published=7070,target=8080 {on_worker}"), &[])?;
    create(cluster, "one-each --replicas 4 --replicas-max-per-node 1 demo:1", &[])?;
    cluster.await_replicas("first 1/1")?;
    cluster.await_replicas("one-each 3/4")?;
    for kind in KINDS {
        // A task that fails is not started again, so that all is at rest.
        let options = format!("{} --restart-max-attempts 1", name(kind));
        let rest = &kind.options[name(kind).len()..];
        create(cluster, &format!("{options} --restart-delay 200ms {rest}"), kind.command)?;
    }
    KINDS.iter().try_for_each(|kind| {
        let service = ("service", name(kind));
        let of_service = [service];
        scouts.await_all(name(kind), |metrics| {
            let texts = rows(cluster, &[name(kind)])?;
            let texts: Vec<_> = texts.iter().map(|row| (&row.state, &row.error)).collect();
            let waiting: Vec<_> = metrics
                .all("dockerswarm_service_waiting_tasks", &[service])
                .map(|series| (series.label("reason").to_owned(), series.value.clone()))
                .collect();
            ensure!(
                waiting == [(kind.reason.to_owned(), "1".to_owned())],
                "{waiting:?} for {texts:?}"
            );
            let value = |family| metrics.value(family, &[service]);
            let schedulable = value("dockerswarm_service_schedulable_tasks")?;
            ensure!(schedulable == kind.schedulable, "{schedulable} can be placed: {texts:?}");
            ensure!(value("dockerswarm_service_at_desired")? == 0, "at desired: {texts:?}");
            let failed = value("dockerswarm_service_task_failures_total")?;
            ensure!(failed == 2 * kind.schedulable, "{failed} failures: {texts:?}");
            let by = metrics.all("dockerswarm_service_task_failures_by_reason_total", &of_service);
            let mut by = by.map(|series| series.label("reason"));
            ensure!(by.all(|reason| reason == kind.reason), "another reason: {texts:?}");
            Ok(())
        })
    })?;
    let each = ("service", "one-each");
    scouts.await_values(&[
        ("service_waiting_tasks", &[each, ("reason", "no suitable node: max replicas")], 1),
        ("service_running_tasks", &[each], 3),
        ("service_desired_tasks", &[each], 4),
        ("service_schedulable_tasks", &[each], 3),
        ("service_at_desired", &[each], 0),
        ("unknown_reasons", &[], 0),
    ])?;
    await_equal(cluster, &scouts)?;
    remove(cluster, &["first", "one-each"])?;
    remove(cluster, &KINDS.iter().map(name).collect::<Vec<_>>())
}

fn name(kind: &Kind) -> &'static str {
    kind.options.split(' ').next().unwrap_or_default()
}
