//! Metrics of containers, by a node part that has Docker's socket.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use swarmscout_e2e::beside::Rights;
use swarmscout_e2e::cases::PATIENCE;
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::exposition::{Exposition, Series};
use swarmscout_e2e::process::Process;
use swarmscout_e2e::{get, until};

use crate::{create_shell, metrics, running};

/// Where node parts have the metrics of containers.
const PATH: &str = "/metrics/containers";

/// The label by which series of containers name their service.
const SERVICE: &str = "container_label_com_docker_swarm_service_name";

/// A node part beside the first worker, with the socket of its engine.
struct WithSocket {
    process: Process,
    url: String,
}

impl WithSocket {
    fn start(cluster: &Cluster, folder: &Path) -> Result<Self> {
        let address = format!("{}:9467", cluster.engine("worker-1").address);
        let mut command = Command::new(cluster.swarmscout_for_all()?);
        command.args(["node", "--docker.host=unix:///run/docker.sock"]);
        command.arg(format!("--web.listen-address={address}"));
        let mut command = cluster.beside("worker-1", Rights::Root, &command)?;
        let process = Process::start(&mut command, &folder.join("node.log"))?;
        let part = Self { process, url: format!("http://{address}") };
        until("the names of containers", PATIENCE, || {
            let (metrics, containers) = (part.metrics()?, running(cluster, "worker-1")?);
            ensure!(!containers.is_empty(), "none runs");
            containers.iter().try_for_each(|(_, name)| {
                ensure!(
                    metrics.all("container_last_seen", &[("name", name)]).count() == 1,
                    "{name}"
                );
                Ok(())
            })
        })
        .with_context(|| part.process.printed())?;
        Ok(part)
    }

    fn metrics(&self) -> Result<Exposition> {
        Exposition::parse(&get(&format!("{}/metrics/containers", self.url))?)
    }
}

/// A metric, the file and key that it is of in both versions of cgroups, and what the file's number is divided by.
type Source = (&'static str, [&'static str; 2], [f64; 2]);

/// `tree/file`, or `tree/file key`. Version 2 has one tree. Empty: not there.
const SOURCES: &[Source] = &[
    ("cpu_usage_seconds_total", ["cpuacct/cpuacct.usage", "cpu.stat usage_usec"], [1e9, 1e6]),
    ("cpu_user_seconds_total", ["cpuacct/cpuacct.stat user", "cpu.stat user_usec"], [100.0, 1e6]),
    (
        "cpu_system_seconds_total",
        ["cpuacct/cpuacct.stat system", "cpu.stat system_usec"],
        [100.0, 1e6],
    ),
    ("cpu_cfs_periods_total", ["cpu/cpu.stat nr_periods", "cpu.stat nr_periods"], [1.0, 1.0]),
    (
        "cpu_cfs_throttled_periods_total",
        ["cpu/cpu.stat nr_throttled", "cpu.stat nr_throttled"],
        [1.0, 1.0],
    ),
    (
        "cpu_cfs_throttled_seconds_total",
        ["cpu/cpu.stat throttled_time", "cpu.stat throttled_usec"],
        [1e9, 1e6],
    ),
    ("memory_usage_bytes", ["memory/memory.usage_in_bytes", "memory.current"], [1.0, 1.0]),
    ("memory_rss", ["memory/memory.stat total_rss", "memory.stat anon"], [1.0, 1.0]),
    ("memory_cache", ["memory/memory.stat total_cache", "memory.stat file"], [1.0, 1.0]),
    (
        "memory_mapped_file",
        ["memory/memory.stat total_mapped_file", "memory.stat file_mapped"],
        [1.0, 1.0],
    ),
    ("tasks_state", ["pids/pids.current", "pids.current"], [1.0, 1.0]),
    (
        "oom_events_total",
        ["memory/memory.oom_control oom_kill", "memory.events oom_kill"],
        [1.0, 1.0],
    ),
    ("spec_memory_limit_bytes", ["memory/memory.limit_in_bytes", "memory.max"], [1.0, 1.0]),
    (
        "spec_memory_reservation_limit_bytes",
        ["memory/memory.soft_limit_in_bytes", "memory.low"],
        [1.0, 1.0],
    ),
    ("spec_cpu_quota", ["cpu/cpu.cfs_quota_us", ""], [1.0, 1.0]),
    ("spec_cpu_period", ["cpu/cpu.cfs_period_us", ""], [1.0, 1.0]),
    ("spec_cpu_shares", ["cpu/cpu.shares", ""], [1.0, 1.0]),
];

/// What a file of a container's cgroup has now.
fn of_kernel((_, sources, divided): &Source, id: &str) -> Result<Option<f64>> {
    let cgroups = Path::new("/sys/fs/cgroup");
    let version = usize::from(cgroups.join("cgroup.controllers").exists());
    let (file, key) = sources[version].split_once(' ').unwrap_or((sources[version], ""));
    if file.is_empty() {
        return Ok(None);
    }
    let (tree, file) = file.split_once('/').unwrap_or(("", file));
    let path = cgroups.join(tree).join(id.trim_start_matches('/')).join(file);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let number = if key.is_empty() {
        Some(text.trim())
    } else {
        text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
    };
    let number: f64 = number.with_context(|| format!("{key}: {text}"))?.parse()?;
    // Version 1 has a large number for no limit.
    let number = if file.contains("limit") && number > 4e18 { 0.0 } else { number };
    Ok(Some(number / divided[version]))
}

pub(crate) fn numbers(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let place = "--constraint node.hostname==worker-1";
    let options = format!("busy {place} --limit-cpu 0.2 --limit-memory 24m --reserve-memory 8m");
    create_shell(cluster, &options, "trap 'exit 0' TERM; while :; do :; done")?;
    cluster.await_replicas("busy 1/1")?;
    let part = WithSocket::start(cluster, folder)?;
    let mut compared = 0;
    for (id, name) in running(cluster, "worker-1")? {
        for source in SOURCES {
            let metric = format!("container_{}", source.0);
            let is_compared = until(&format!("{metric} of {name}"), PATIENCE, || {
                let before = part.metrics()?;
                let of = [("name", &*name)];
                let path = before.all("container_last_seen", &of).next().context("no container")?;
                let path = path.label("id").to_owned();
                ensure!(path.ends_with(&id), "{path} is not {id}");
                let Some(low) = of_kernel(source, &path)? else { return Ok(false) };
                let metrics = part.metrics()?;
                let high = of_kernel(source, &path)?.context("it was there")?;
                let series: Vec<&Series> = metrics.all(&metric, &of).collect();
                let [series] = series[..] else {
                    // Without a quota there is nothing to count.
                    ensure!(metric.contains("_cpu_cfs_") || low < 0.0, "{series:?}");
                    return Ok(false);
                };
                let value: f64 = series.value.parse()?;
                let (least, most) = (low.min(high) - 1e-6, low.max(high) + 1e-6);
                ensure!(least <= value && value <= most, "{value} is not in {low}..{high}");
                Ok(true)
            })?;
            compared += usize::from(is_compared);
        }
    }
    println!("{compared} numbers are what the kernel has");
    network(cluster, &part)?;
    ensure!(compared > 30, "{compared}");
    until("the busy container is throttled", PATIENCE, || {
        let metrics = part.metrics()?;
        let busy = [(SERVICE, "busy")];
        let name = "container_cpu_cfs_throttled_periods_total";
        ensure!(metrics.value(name, &busy)? > 0);
        Ok(())
    })?;
    cluster.docker(&["service", "rm", "busy"]).map(drop)
}

/// What each interface of a container has received and sent.
fn network(cluster: &Cluster, part: &WithSocket) -> Result<()> {
    let bytes = |pid: &str| -> Result<Vec<(String, [i64; 2])>> {
        let table = cluster.run_beside("worker-1", &["cat", &format!("/proc/{pid}/net/dev")])?;
        let lines = table.lines().filter_map(|line| line.split_once(':'));
        let lines = lines.filter(|(interface, _)| interface.trim() != "lo");
        let parsed = lines.map(|(interface, numbers)| {
            let numbers: Vec<_> = numbers.split_whitespace().collect();
            let [received, sent] = [0, 8].map(|i| numbers.get(i).context("no column"));
            Ok((interface.trim().to_owned(), [received?.parse()?, sent?.parse()?]))
        });
        parsed.collect()
    };
    for (id, name) in running(cluster, "worker-1")? {
        let pid = cluster.docker_at("worker-1", &["inspect", "-f", "{{.State.Pid}}", &id])?;
        let (before, metrics, after) = (bytes(&pid)?, part.metrics()?, bytes(&pid)?);
        ensure!(!before.is_empty() && before.len() == after.len(), "{name}: {before:?}");
        for ((interface, low), (_, high)) in before.into_iter().zip(after) {
            for (i, way) in ["receive", "transmit"].into_iter().enumerate() {
                let metric = format!("container_network_{way}_bytes_total");
                let value =
                    metrics.value(&metric, &[("name", &name), ("interface", &interface)])?;
                let is_between = low[i] <= value && value <= high[i];
                ensure!(is_between, "{metric} of {name}, {interface}: {value}, {low:?}..{high:?}");
            }
        }
    }
    Ok(())
}

/// Services whose containers end in different ways, each once. The node part that has a manager alone
/// counts the same as the one with the socket.
pub(crate) fn ends(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let part = WithSocket::start(cluster, folder)?;
    let create = |name: &str, script: &str| {
        let place = "--constraint node.hostname==worker-1 --restart-condition none";
        create_shell(cluster, &format!("{name} {place} --limit-memory 16m"), script)
    };
    create("quits", "exit 0")?;
    create("fails", "exit 3")?;
    create("killed", "sleep 600")?;
    create("starved", "x=xxxxxxxx; while :; do x=$x$x; done")?;
    create("leaves", "trap 'exit 7' TERM; while :; do sleep 0.1; done")?;
    let of = "label=com.docker.swarm.service.name=killed";
    let killed = until("a container to kill", PATIENCE, || {
        let id = cluster.docker_at("worker-1", &["ps", "-q", "--no-trunc", "--filter", of])?;
        ensure!(!id.is_empty(), "none");
        Ok(id)
    })?;
    let of = [(SERVICE, "killed")];
    until("the container runs", PATIENCE, || {
        let metrics = part.metrics()?;
        let state = metrics.all("swarmscout_container_state", &of).next().context("none")?;
        ensure!(state.label("state") == "running", "{state:?}");
        Ok(())
    })?;
    cluster.docker_at("worker-1", &["kill", &killed])?;
    let of = [(SERVICE, "leaves"), ("exit_code", "0")];
    until("both know the service before its end", PATIENCE, || {
        let name = "swarmscout_container_deaths_total";
        let (own, followed) = (part.metrics()?, metrics(cluster, "worker-1", PATH)?);
        ensure!(own.value(name, &of)? == 0 && followed.value(name, &of)? == 0);
        Ok(())
    })?;
    cluster.docker(&["service", "rm", "leaves"])?;
    until("all ends", PATIENCE, || {
        let metrics = part.metrics()?;
        let count = |name: &str, labels: &[(&str, &str)]| {
            metrics.value(&format!("swarmscout_container_{name}_total"), labels)
        };
        for (service, code, oom) in
            [("quits", "0", 0), ("fails", "3", 0), ("killed", "137", 0), ("starved", "137", 1)]
        {
            let died = count("deaths", &[(SERVICE, service), ("exit_code", code)])?;
            let kills = count("oom_kills", &[(SERVICE, service)])?;
            ensure!(died == 1 && kills == oom, "{service}: {died} ends, {kills} kills");
            let of = [(SERVICE, service)];
            let state =
                metrics.all("swarmscout_container_state", &of).next().context("no state")?;
            ensure!(state.label("state") == "exited", "{state:?}");
            let last = metrics.value("swarmscout_container_last_exit_code", &of)?;
            ensure!(last.to_string() == code, "{service}: {last}");
            // Of what has ended, nothing else is there.
            ensure!(metrics.all("container_last_seen", &of).next().is_none(), "{service}");
        }
        let left = [(SERVICE, "leaves"), ("exit_code", "7")];
        ensure!(count("deaths", &left)? == 1, "the service that was removed");
        Ok(())
    })?;
    until("the same without the socket", PATIENCE, || {
        let (own, followed) = (part.metrics()?, metrics(cluster, "worker-1", PATH)?);
        for service in ["quits", "fails", "killed", "starved", "leaves"] {
            same(&own, &followed, "swarmscout_container_deaths_total", (SERVICE, service))?;
            if service != "leaves" {
                same(&own, &followed, "swarmscout_container_state", (SERVICE, service))?;
                same(&own, &followed, "swarmscout_container_last_exit_code", (SERVICE, service))?;
            }
            let kills =
                followed.value("swarmscout_container_oom_kills_total", &[(SERVICE, service)]);
            if is_v1() {
                // It forgets the counts of containers that have ended.
                ensure!(kills.is_err(), "{kills:?}");
            } else {
                ensure!(kills? == i64::from(service == "starved"), "{service}");
            }
        }
        let missing = [("what", "oom_ended")];
        let missing = followed.all("swarmscout_node_unavailable", &missing).count();
        ensure!(missing == usize::from(is_v1()));
        Ok(())
    })?;
    cluster.docker(&["service", "rm", "quits", "fails", "killed", "starved"]).map(drop)
}

fn is_v1() -> bool {
    Path::new("/sys/fs/cgroup/memory").exists()
}

/// Whether two node parts have the same series of a metric with this label, and some.
fn same(a: &Exposition, b: &Exposition, metric: &str, label: (&str, &str)) -> Result<()> {
    let series = |from: &Exposition| -> Vec<String> {
        let mut all: Vec<_> = from.all(metric, &[label]).map(|one| format!("{one:?}")).collect();
        all.sort();
        all
    };
    let (a, b) = (series(a), series(b));
    ensure!(!a.is_empty() && a == b, "{a:#?}\n{b:#?}");
    Ok(())
}

pub(crate) fn at_once(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let part = WithSocket::start(cluster, folder)?;
    let count = |id: &str| -> Result<usize> {
        let metrics = part.metrics()?;
        let all = metrics.all("container_memory_usage_bytes", &[]);
        Ok(all.filter(|series| series.label("id").ends_with(id)).count())
    };
    for _ in 0..3 {
        let id = cluster.docker_at("worker-1", &["run", "-d", "demo:1"])?;
        ensure!(count(&id)? == 1, "{id} is not in the next scrape");
        cluster.docker_at("worker-1", &["rm", "-f", &id])?;
        ensure!(count(&id)? == 0, "{id} is still there");
    }
    Ok(())
}
