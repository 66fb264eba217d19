//! The control socket of a manager beside its Engine API, on a real Swarm of three managers and a
//! worker.
//!
//! `examples/swarmkit_compare.rs` of the crate that reads both runs the whole time at every
//! manager; one of them leads. After each step it must come to the same objects by all ways: the
//! Engine's lists, a new listing at the socket, and what the watch has reported since the
//! beginning.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use swarmscout_e2e::cases::{self, Case};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::process::Process;
use swarmscout_e2e::until;

const CASES: &[(&str, Case)] =
    &[("both report the same objects, whatever happens to the Swarm", step_by_step)];

/// Far more than what is waited for takes.
const PATIENCE: Duration = Duration::from_mins(1);

const MANAGERS: [&str; 3] = ["manager-1", "manager-2", "manager-3"];

fn main() -> ExitCode {
    cases::run(CASES, || Cluster::up(3, 1))
}

fn step_by_step(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let compared = MANAGERS.map(|manager| Compared::start(cluster, manager, folder));
    let mut compared = compared.into_iter().collect::<Result<Vec<_>>>()?;
    let mut agree = |step: &str| -> Result<()> {
        for of_one in &mut compared {
            let said = of_one.ask(&format!("agree {}", PATIENCE.as_secs()), "agreed after ");
            println!("{step}: {}: {}", of_one.manager, said.with_context(|| step.to_owned())?);
        }
        Ok(())
    };
    agree("a Swarm without services")?;

    cluster.docker(&["network", "create", "-d", "overlay", "--label", "team=a", "front"])?;
    cluster.create_service(
        "web --replicas 3 --network front -p 8081:8080 -l a=b --env SECRET=s demo:1",
    )?;
    cluster.create_service("agent --mode global -p mode=host,published=9100,target=8080 demo:1")?;
    cluster.create_service("host --mode global --network host demo:1")?;
    cluster.create_service("job --mode replicated-job --replicas 2 demo:1 true")?;
    cluster.create_service("stuck --constraint node.labels.none==such demo:1")?;
    agree("while services are deployed")?;
    cluster.await_replicas("web 3/3")?;
    cluster.await_replicas("agent 4/4")?;
    agree("services are deployed")?;

    cluster.update_service("web", || agree("while a service is updated"))?;
    agree("a service is updated")?;

    cluster.docker(&["service", "scale", "-d", "web=6"])?;
    cluster.await_replicas("web 6/6")?;
    agree("a service has more tasks")?;

    let container = cluster.docker_at(
        "worker-1",
        &["ps", "-q", "--filter", "label=com.docker.swarm.service.name=agent"],
    )?;
    let mut watcher = Compared::start(cluster, "manager-2", &folder.join("watcher"))?;
    watcher.write("state failed")?;
    cluster.docker_at("worker-1", &["kill", &container])?;
    let killed = Instant::now();
    let failed = watcher.receive("failed: ")?;
    println!("{failed}, {:?} after docker kill", killed.elapsed());
    cluster.await_replicas("agent 4/4")?;
    agree("a container crashed")?;

    cluster.docker(&["node", "update", "--availability", "drain", "worker-1"])?;
    cluster.await_replicas("agent 3/3")?;
    agree("a node is drained")?;
    cluster.docker(&["node", "update", "--availability", "active", "worker-1"])?;
    cluster.await_replicas("agent 4/4")?;
    agree("a node is active again")?;

    cluster.stop("worker-1");
    until("the node is down", PATIENCE, || {
        let state = cluster.docker(&["node", "inspect", "-f", "{{.Status.State}}", "worker-1"])?;
        ensure!(state == "down", "{state}");
        Ok(())
    })?;
    agree("a node died")?;

    cluster.docker(&["service", "rm", "web", "stuck"])?;
    agree("while services are removed")?;
    await_no_tasks(cluster, "web")?;
    agree("services are removed")?;
    cluster.restart("worker-1")
}

fn await_no_tasks(cluster: &Cluster, service: &str) -> Result<()> {
    until("no task is left", PATIENCE, || {
        let name = format!("name=com.docker.swarm.service.name={service}");
        let left = cluster.docker(&["ps", "-q", "--filter", &name])?;
        ensure!(left.is_empty(), "{left}");
        Ok(())
    })
}

/// The example, at one manager.
struct Compared {
    manager: &'static str,
    process: Process,
    /// How many lines of its output were read.
    read: usize,
}

impl Compared {
    fn start(cluster: &Cluster, manager: &'static str, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let log = folder.join(format!("{manager}.log"));
        let mut command = Command::new(compare());
        command.arg(cluster.control_socket(manager)).arg(cluster.url(manager));
        let process = Process::start_with_input(&mut command, &log)?;
        let mut started = Self { manager, process, read: 0 };
        started.receive("ready: ")?;
        Ok(started)
    }

    fn ask(&mut self, question: &str, answer: &str) -> Result<String> {
        self.write(question)?;
        self.receive(answer)
    }

    fn write(&mut self, question: &str) -> Result<()> {
        self.process.write(question).with_context(|| self.process.printed())
    }

    /// The next line that it prints, which must begin like this.
    fn receive(&mut self, answer: &str) -> Result<String> {
        let line = until(answer, 2 * PATIENCE, || {
            let printed = self.process.printed();
            let complete = printed.rsplit_once('\n').map_or("", |(lines, _)| lines);
            complete.lines().nth(self.read).map(str::to_owned).context(printed.clone())
        })?;
        ensure!(line.starts_with(answer), "{}: {}", self.manager, self.process.printed());
        self.read += 1;
        Ok(line)
    }
}

/// The example: `SWARMKIT_COMPARE`, or where `cargo test` in the folder above puts it.
fn compare() -> PathBuf {
    let built =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/examples/swarmkit_compare");
    std::env::var_os("SWARMKIT_COMPARE").map_or(built, PathBuf::from)
}
