//! One refresh of 1,000 nodes and 10,000 tasks, role tasks: where nothing changed since the refresh
//! before, and where version and state of every task did.

use std::time::Duration;

use anyhow::{Context as _, Result};
use swarmscout_simulator::Listen;
use swarmscout_simulator::engine::Engine;
use swarmscout_simulator::swarm::{NodeRole, TaskState};
use swarmscout_simulator::swarmkit::ControlSocket;
use tempfile::TempDir;

use crate::process::until;
use crate::programs::{Program, both};
use crate::report::{Report, mebibytes, seconds};

const NODES: usize = 1000;
const TASKS: usize = 10_000;
/// Refreshes that are counted, after the first.
const REFRESHES: usize = 4;

/// A simulated Swarm behind a unix socket.
#[derive(Debug)]
pub struct Swarm {
    pub engine: Engine,
    pub state: swarmscout_simulator::swarm::Swarm,
    /// Beside the Engine's socket, where it is searched for.
    control: Option<ControlSocket>,
    folder: TempDir,
}

impl Swarm {
    /// A Swarm with this many nodes and tasks.
    pub fn start(nodes: usize, tasks: usize) -> Result<Self> {
        Self::serve(swarmscout_simulator::swarm::Swarm::grown(1, nodes, tasks))
    }

    /// Serves this Swarm.
    pub fn serve(swarm: swarmscout_simulator::swarm::Swarm) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let managers = swarm.nodes().into_iter().filter(|node| node.spec.role == NodeRole::Manager);
        let manager = managers.map(|node| node.meta.id).next().context("a Swarm has a manager")?;
        let engine =
            Engine::start(Listen::Unix(folder.path().join("docker.sock")), &swarm, &manager)?;
        Ok(Self { engine, state: swarm, control: None, folder })
    }

    /// The same, with `SwarmKit`'s control socket.
    pub fn start_watched(nodes: usize, tasks: usize) -> Result<Self> {
        Self::start(nodes, tasks)?.watched()
    }

    /// Adds `SwarmKit`'s control socket.
    pub fn watched(mut self) -> Result<Self> {
        let path = self.folder.path().join("docker/swarm/control.sock");
        std::fs::create_dir_all(path.parent().context("it is in a folder")?)?;
        let managers = self.state.nodes();
        let manager = managers.iter().find(|node| node.spec.role == NodeRole::Manager);
        let manager = &manager.context("a Swarm has a manager")?.meta.id;
        self.control = Some(ControlSocket::start(path, &self.state, manager)?);
        Ok(self)
    }

    /// How often its manager was asked for anything: the Engine, and `SwarmKit`.
    pub fn asked(&self) -> (u64, u64) {
        let calls = self.control.as_ref().map_or(0, ControlSocket::call_count);
        (self.engine.server.request_count(), calls)
    }

    /// Where its manager answers.
    pub fn url(&self) -> &str {
        self.engine.server.url()
    }

    /// A file that both programs read. It keeps the tasks of one service, so that Prometheus, which
    /// would scrape what it keeps, is measured for its discovery.
    pub fn config(&self, refresh_interval: &str) -> String {
        let host = self.url();
        format!(
            "scrape_configs:\n- job_name: tasks\n  scrape_interval: 1h\n  dockerswarm_sd_configs:\n  - host: {host}\n    \
             role: tasks\n    refresh_interval: {refresh_interval}\n  relabel_configs:\n  \
             - source_labels: [__meta_dockerswarm_service_name]\n    target_label: service\n  \
             - source_labels: [__meta_dockerswarm_task_slot]\n    regex: '1'\n    action: keep\n"
        )
    }

    /// Changes version and state of every task.
    fn change_tasks(&self, state: TaskState) {
        for task in self.state.tasks() {
            self.state.edit_task(&task.meta.id, |task| task.status.state = state);
        }
    }

    /// How often the list of tasks was asked for.
    pub fn refreshes(&self) -> usize {
        self.engine
            .server
            .requests()
            .iter()
            .filter(|request| request.path.ends_with("/tasks"))
            .count()
    }

    pub fn await_refresh(&self, number: usize) -> Result<()> {
        until("the next refresh", Duration::from_mins(2), || {
            Ok((self.refreshes() >= number).then_some(()))
        })
    }
}

pub fn run(report: &mut Report) -> Result<()> {
    for (case, changing) in [("nothing changed", false), ("every task changed", true)] {
        let (ours, peer) = both(|program| measure(program, changing))?;
        let what = format!("{NODES} nodes, {TASKS} tasks, {case}");
        let cpu = peer.as_ref().map(|peer| peer.cpu);
        let wanted = if changing { "< 0.05" } else { "< 0.025" };
        report.row(&format!("CPU of one refresh of {what}"), ours.cpu, cpu, wanted, seconds);
        let memory = peer.as_ref().map(|peer| peer.memory);
        report.row(&format!("peak memory, {what}"), ours.memory, memory, "< 0.167", mebibytes);
    }
    Ok(())
}

struct Figures {
    /// Seconds a refresh.
    cpu: f64,
    /// Bytes.
    memory: f64,
}

fn measure(program: Program, changing: bool) -> Result<Figures> {
    let swarm = Swarm::start(NODES, TASKS)?;
    let folder = tempfile::tempdir()?;
    let running = program.start(folder.path(), &swarm.config("10s"))?;
    // From one request for the tasks to the one of some refreshes later: whole refreshes, and what
    // the program does between them.
    swarm.await_refresh(2)?;
    let before = running.process.cpu()?;
    let states = [TaskState::Starting, TaskState::Running].into_iter().cycle();
    for (refresh, state) in (3..).zip(states).take(REFRESHES) {
        if changing {
            swarm.change_tasks(state);
        }
        swarm.await_refresh(refresh)?;
    }
    let cpu = (running.process.cpu()? - before) / REFRESHES as f64;
    Ok(Figures { cpu, memory: running.process.peak_memory()? })
}
