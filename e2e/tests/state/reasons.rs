//! Why tasks wait and fail, by the texts of real engines.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use swarmscout_e2e::cluster::Cluster;

use crate::compared::{await_equal, rows};
use crate::{Scouts, create, remove};

/// A service and what becomes of its task.
struct Kind {
    /// Name and options.
    options: &'static str,
    command: &'static [&'static str],
    /// That of one engine, or else that of another: `a|b`.
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
    // No registry is there: an old engine says that there is no image.
    fails("no-image 127.0.0.1:5999/no-such-image:9", &[], "image not found|image pull failed"),
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
            let is_reason = |reason: &str| kind.reason.split('|').any(|one| one == reason);
            let [(reason, tasks)] = &waiting[..] else { bail!("{waiting:?} for {texts:?}") };
            ensure!(is_reason(reason) && tasks == "1", "{waiting:?} for {texts:?}");
            let value = |family| metrics.value(family, &[service]);
            let schedulable = value("dockerswarm_service_schedulable_tasks")?;
            ensure!(schedulable == kind.schedulable, "{schedulable} can be placed: {texts:?}");
            ensure!(value("dockerswarm_service_at_desired")? == 0, "at desired: {texts:?}");
            let failed = value("dockerswarm_service_task_failures_total")?;
            ensure!(failed == 2 * kind.schedulable, "{failed} failures: {texts:?}");
            let by = metrics.all("dockerswarm_service_task_failures_by_reason_total", &of_service);
            let mut by = by.map(|series| series.label("reason"));
            ensure!(by.all(is_reason), "another reason: {texts:?}");
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

/// A network without a free address: tasks stay new, and no text says why. Its /29 has five: of the
/// service, of each node with a task, and of the tasks.
pub(crate) fn full_network(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let scouts = Scouts::start(cluster, folder)?;
    cluster.docker(&["network", "create", "-d", "overlay", "--subnet", "10.93.1.0/29", "full"])?;
    let on_one = "--network full --constraint node.hostname==worker-1";
    create(cluster, &format!("crowd --replicas 5 {on_one} demo:1"), &[])?;
    cluster.await_replicas("crowd 3/5")?;
    let (service, network) = (("service", "crowd"), ("network", "full"));
    scouts.await_values(&[
        ("network_addresses", &[network], 5),
        ("network_addresses_used", &[network], 5),
        ("service_waiting_tasks", &[service, ("reason", "network addresses used up")], 2),
        ("service_schedulable_tasks", &[service], 3),
    ])?;
    cluster.docker(&["service", "scale", "-d", "crowd=2"])?;
    scouts.await_values(&[
        ("network_addresses_used", &[network], 4),
        ("service_at_desired", &[service], 1),
    ])?;
    remove(cluster, &["crowd"])
}

/// The first worker has two.
pub(crate) fn generic_resources(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let scouts = Scouts::start(cluster, folder)?;
    create(cluster, "train --replicas 3 --generic-resource gpu=1 demo:1", &[])?;
    cluster.await_replicas("train 2/3")?;
    let (service, gpu) = (("service", "train"), ("resource", "gpu"));
    let on_worker = [("node", "worker-1"), gpu];
    scouts.await_values(&[
        ("node_generic_resources", &on_worker, 2),
        ("node_reserved_generic_resources", &on_worker, 2),
        ("service_task_reserved_generic_resources", &[service, gpu], 1),
        ("service_waiting_tasks", &[service, ("reason", "no suitable node: resources")], 1),
        ("service_schedulable_tasks", &[service], 2),
    ])?;
    remove(cluster, &["train"])?;
    scouts.await_values(&[("node_reserved_generic_resources", &on_worker, 0)])
}

fn name(kind: &Kind) -> &'static str {
    kind.options.split(' ').next().unwrap_or_default()
}
