//! A container that dies on a real Swarm, until the target of its replacement is served by
//! `swarmscout_sd_configs`: from the moments at which its agent and its manager noted that the
//! replacement runs, and from that at which `SwarmKit`'s watch reports it. Sees the latter by a watch
//! of its own, beside that of the program.
//!
//! By `/events`, which says nothing of a container that dies, the service is scaled instead. Both
//! programs run beside each other.
//!
//! Needs root, and what the end-to-end tests need: the engines are those of e2e/.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use swarmscout_docker::engine::Task;
use swarmscout_docker::swarmkit::{Change, ControlSocket, Object};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_refresh::RefreshContext;
use tokio::task::JoinSet;

use crate::follow::{Eye, Times};
use crate::process::{pause_until, until};
use crate::programs::Program;
use crate::report::{Report, count, milliseconds};

const DEATHS: usize = 40;
const SCALINGS: usize = 20;

/// So long a replacement may take, which has to be started.
const PATIENCE: Duration = Duration::from_mins(1);

pub fn run(report: &mut Report) -> Result<()> {
    let cluster = Cluster::up(1, 1)?;
    let create = "service create -d -q --no-resolve-image --name web --replicas 3 --network front \
                  --label prometheus.io/port=8080 --restart-delay 10ms demo:1";
    cluster.docker(&["network", "create", "-d", "overlay", "front"])?;
    cluster.docker(&create.split_whitespace().collect::<Vec<_>>())?;

    let (socket, control) = (cluster.socket("manager-1"), cluster.control_socket("manager-1"));
    let config = |events: &str| {
        format!(
            "scrape_configs:\n- job_name: web\n  swarmscout_sd_configs:\n  \
             - {{host: 'unix://{}', events: {events}, swarmkit_socket: '{}'}}\n",
            socket.display(),
            control.display()
        )
    };
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let by_watch = Program::Swarmscout.start(folders[0].path(), &config("watch"))?;
    let by_events = Program::Swarmscout.start(folders[1].path(), &config("events"))?;
    let mut eyes = [&by_watch, &by_events].map(|scout| Eye::new(&format!("{}/sd/web", scout.url)));
    let mut watches = JoinSet::new();
    let reported = watch(control, &mut watches);
    let mut deaths = Delays::default();
    for number in 0..DEATHS {
        let engine = ["manager-1", "worker-1"][number % 2];
        let container = running(&cluster, engine)?;
        while reported.try_recv().is_ok() {}
        let died = SystemTime::now();
        cluster.docker_at(engine, &["kill", &container])?;
        let (task, at) = replacement(&reported, &container)?;
        await_target(&mut eyes[0], &task)?;
        deaths.note(died, at, &task)?;
        // Both nodes have one again.
        pause_until(Instant::now() + Duration::from_secs(1));
    }
    deaths.report(report, "container killed, by watch", "< 150 ms");
    let mut scalings = Delays::default();
    for _ in 0..SCALINGS {
        while reported.try_recv().is_ok() {}
        let asked = SystemTime::now();
        cluster.docker(&["service", "scale", "-d", "web=4"])?;
        let (task, at) = replacement(&reported, "")?;
        await_target(&mut eyes[1], &task)?;
        scalings.note(asked, at, &task)?;
        cluster.docker(&["service", "scale", "-d", "web=3"])?;
        pause_until(Instant::now() + Duration::from_secs(3));
    }
    scalings.report(report, "service scaled, by /events", "< 5 s");
    folders.iter().try_for_each(|folder| log_has_no_errors(folder.path()))
}

fn await_target(eye: &mut Eye, task: &Task) -> Result<()> {
    until("the target", PATIENCE, || Ok(eye.sees(&task.id)?.then_some(())))
}

/// Reports every task that runs, with the moment at which the watch reported it.
fn watch(control: PathBuf, watches: &mut JoinSet<()>) -> Receiver<(std::sync::Arc<Task>, Instant)> {
    let (sender, receiver) = sync_channel(10_000);
    watches.spawn(async move {
        if let Err(error) = follow(&control, &sender).await {
            // A waiting caller for it learns that the reporting side is gone.
            drop((sender, error));
        }
    });
    receiver
}

async fn follow(
    control: &Path,
    sender: &SyncSender<(std::sync::Arc<Task>, Instant)>,
) -> Result<()> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let mut connection =
        ControlSocket::new(control, &RefreshContext::new("bench")).connect(deadline).await?;
    let mut watch = connection.watch(deadline).await?;
    loop {
        for change in watch.next().await? {
            if let Change::Changed(Object::Task(task)) = change
                && &*task.state == "running"
                && &*task.desired_state == "running"
            {
                sender.try_send((task, Instant::now()))?;
            }
        }
    }
}

/// A container of the service on this engine.
fn running(cluster: &Cluster, engine: &str) -> Result<String> {
    let filter = ["ps", "-q", "--no-trunc", "--filter", "label=com.docker.swarm.service.name=web"];
    until("a container", PATIENCE, || {
        let printed = cluster.docker_at(engine, &filter)?;
        Ok(printed.lines().next().map(str::to_owned))
    })
}

/// The next task that runs, in another container.
fn replacement(
    reported: &Receiver<(std::sync::Arc<Task>, Instant)>,
    container: &str,
) -> Result<(std::sync::Arc<Task>, Instant)> {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let (task, at) = reported.recv_timeout(left).context("no replacement is reported")?;
        if !task.container.is_empty() && *task.container != *container {
            return Ok((task, at));
        }
    }
}

/// Seconds of each change.
#[derive(Default)]
struct Delays {
    /// From the change to the task's start, as its manager noted it.
    starts: Vec<f64>,
    /// From the start to the target, as the agent noted the start.
    from_agent: Vec<f64>,
    /// … as the manager noted it.
    from_manager: Vec<f64>,
    /// From the watch to the target.
    from_report: Vec<f64>,
}

impl Delays {
    fn note(&mut self, changed: SystemTime, reported: Instant, task: &Task) -> Result<()> {
        let moment = |micros: i64| {
            let micros = u64::try_from(micros).context("a task without time")?;
            Ok::<_, anyhow::Error>(SystemTime::UNIX_EPOCH + Duration::from_micros(micros))
        };
        let started = moment(task.updated)?;
        self.from_report.push(reported.elapsed().as_secs_f64());
        self.from_manager.push(started.elapsed().context("the clock stepped")?.as_secs_f64());
        let by_agent = moment(task.state_since)?.elapsed().context("the clock stepped")?;
        self.from_agent.push(by_agent.as_secs_f64());
        let start = started.duration_since(changed).context("the clock stepped")?;
        self.starts.push(start.as_secs_f64());
        ensure!(!task.attachments.is_empty(), "a task without network");
        Ok(())
    }

    fn report(self, report: &mut Report, change: &str, wanted: &str) {
        let Self { starts, from_agent, from_manager, from_report } = self;
        report.row(change, starts.len() as f64, None, "", count);
        let figures = [
            ("its task runs", starts, ""),
            ("its target served after the agent noted that", from_agent, wanted),
            ("its target served after the manager noted that", from_manager, wanted),
            ("its target served after the watch reported that", from_report, ""),
        ];
        for (what, times, wanted) in figures {
            let times = Times::new(times);
            for (name, percent, wanted) in
                [("p50", 50, ""), ("p99", 99, wanted), ("longest", 100, "")]
            {
                let row = format!("{change}: {what}, {name}");
                report.row(&row, times.at(percent), None, wanted, milliseconds);
            }
        }
    }
}

fn log_has_no_errors(folder: &Path) -> Result<()> {
    let log = std::fs::read_to_string(folder.join("log"))?;
    if let Some(line) = log.lines().find(|line| line.contains("level=error")) {
        bail!("the program says: {line}");
    }
    Ok(())
}
