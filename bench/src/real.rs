//! A container that dies on a real Swarm, until the target of its replacement is served: from the
//! moment at which `SwarmKit`'s watch reports that the replacement runs, and from that at which its
//! manager wrote that down. Sees the former by a watch of its own, beside that of the program.
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

/// So long a replacement may take, which has to be started.
const PATIENCE: Duration = Duration::from_mins(1);

pub fn run(report: &mut Report) -> Result<()> {
    let cluster = Cluster::up(1, 1)?;
    let create = "service create -d -q --no-resolve-image --name web --replicas 3 --network front \
                  --restart-delay 10ms demo:1";
    cluster.docker(&["network", "create", "-d", "overlay", "front"])?;
    cluster.docker(&create.split_whitespace().collect::<Vec<_>>())?;

    let (socket, control) = (cluster.socket("manager-1"), cluster.control_socket("manager-1"));
    let config = format!(
        "scrape_configs:\n- job_name: web\n  dockerswarm_sd_configs:\n  \
         - {{host: 'unix://{}', role: tasks, events: watch, swarmkit_socket: '{}'}}\n  relabel_configs:\n  \
         - {{source_labels: [__meta_dockerswarm_task_state], regex: running, action: keep}}\n",
        socket.display(),
        control.display()
    );
    let folder = tempfile::tempdir()?;
    let scout = Program::Swarmscout.start(folder.path(), &config)?;
    let mut eye = Eye::new(&format!("{}/sd/web", scout.url));
    let mut watches = JoinSet::new();
    let reported = watch(control, &mut watches);
    let mut deaths = Deaths::default();
    for number in 0..DEATHS {
        let engine = ["manager-1", "worker-1"][number % 2];
        let container = running(&cluster, engine)?;
        while reported.try_recv().is_ok() {}
        let died = SystemTime::now();
        cluster.docker_at(engine, &["kill", &container])?;
        let (task, at) = replacement(&reported, &container)?;
        let is_served = || Ok(eye.sees(&task.id)?.then_some(()));
        until("the replacement's target", PATIENCE, is_served)?;
        deaths.note(died, at, &task)?;
        // Both nodes have one again.
        pause_until(Instant::now() + Duration::from_secs(1));
    }
    deaths.report(report);
    log_has_no_errors(folder.path())
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

/// Seconds of each death.
#[derive(Default)]
struct Deaths {
    /// From death to the replacement's start, as its manager noted it.
    starts: Vec<f64>,
    /// From that to the target.
    from_start: Vec<f64>,
    /// From the watch to the target.
    from_report: Vec<f64>,
}

impl Deaths {
    fn note(&mut self, died: SystemTime, reported: Instant, task: &Task) -> Result<()> {
        let micros = u64::try_from(task.updated).context("a task without time")?;
        let started = SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
        self.from_report.push(reported.elapsed().as_secs_f64());
        self.from_start.push(started.elapsed().context("the clock stepped")?.as_secs_f64());
        self.starts.push(started.duration_since(died).context("the clock stepped")?.as_secs_f64());
        ensure!(!task.attachments.is_empty(), "a task without network");
        Ok(())
    }

    fn report(self, report: &mut Report) {
        let Self { starts, from_start, from_report } = self;
        report.row("containers killed on a real Swarm", starts.len() as f64, None, "", count);
        let figures = [
            ("its replacement started", starts, ""),
            ("its target served after that", from_start, "< 100 ms"),
            ("its target served after the watch reported it", from_report, "< 100 ms"),
        ];
        for (what, times, wanted) in figures {
            let times = Times::new(times);
            for (name, percent, wanted) in
                [("p50", 50, ""), ("p99", 99, wanted), ("longest", 100, "")]
            {
                let row = format!("killed container: {what}, {name}");
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
