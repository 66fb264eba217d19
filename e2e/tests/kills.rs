//! Ends of containers and kills for want of memory on one engine, with Docker's socket and without: each once, and of the
//! right service. On a machine with version 1 of cgroups, `e2e/cgroup2` runs it on version 2.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use swarmscout_e2e::beside::Rights;
use swarmscout_e2e::cases::{self, Case, PATIENCE};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::exposition::Exposition;
use swarmscout_e2e::process::Process;
use swarmscout_e2e::{get, until};

const CASES: &[(&str, Case)] = &[("each end and each kill counts once", counted)];

/// Takes memory until it is killed.
const EAT: &str = "x=xxxxxxxx; while :; do x=$x$x; done";

/// A service, what it runs, the exit code of its container if it ends, and how many of its processes are killed for
/// want of memory.
const SERVICES: [(&str, &str, Option<&str>, i64); 5] = [
    ("fails", "exit 3", Some("3"), 0),
    // One that goes on.
    ("children", "(EAT); (EAT); sleep 600", None, 2),
    ("starved", "EAT", Some("137"), 1),
    ("both", "(EAT); EAT", Some("137"), 2),
    // Killed by hand.
    ("killed", "sleep 600", Some("137"), 0),
];

fn main() -> ExitCode {
    cases::run(CASES, || Cluster::up(1, 0))
}

fn counted(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let address = cluster.engine("manager-1").address.clone();
    let start = |name: &str, rights: Rights, arguments: &[&str]| {
        let mut command = Command::new(cluster.swarmscout_for_all()?);
        command.args(arguments);
        let mut command = cluster.beside("manager-1", rights, &command)?;
        Process::start(&mut command, &folder.join(format!("{name}.log")))
    };
    let manager = format!("{address}:9465");
    let listen = |address: &str| format!("--web.listen-address={address}");
    let arguments = [&*listen(&manager), "--nodes.insecure"];
    let _manager = start("manager", Rights::Root, &arguments)?;
    let parts = ["with-socket", "without"].map(|name| {
        let port = if name == "without" { 9467 } else { 9466 };
        let url = format!("http://{address}:{port}/metrics");
        let listen = listen(&format!("{address}:{port}"));
        let process = if name == "without" {
            let manager = format!("--manager=http://{manager}");
            start(name, Rights::Unprivileged, &["node", "--docker.host=", &manager, &listen])
        } else {
            start(name, Rights::Root, &["node", &listen])
        };
        process.map(|process| Part { name, url, process })
    });
    let [with_socket, without] = parts;
    let parts = [with_socket?, without?];
    for (service, script, code, kills) in SERVICES {
        let script = script.replace("EAT", EAT);
        let create =
            "service create -d -q --no-resolve-image --restart-condition none --limit-memory 16m";
        let create = create.split(' ').chain(["--name", service, "demo:1", "sh", "-c", &script]);
        cluster.docker(&create.collect::<Vec<_>>())?;
        for part in &parts {
            part.await_service(service)?;
        }
        if service == "killed" {
            let of = format!("label=com.docker.swarm.service.name={service}");
            let id = cluster.docker(&["ps", "-q", "--filter", &of])?;
            cluster.docker(&["kill", &id])?;
        }
        for part in &parts {
            part.await_counts(service, code, kills)?;
        }
    }
    cluster.docker(
        &["service", "rm"].into_iter().chain(SERVICES.map(|service| service.0)).collect::<Vec<_>>(),
    )?;
    Ok(())
}

/// A node part.
struct Part {
    name: &'static str,
    url: String,
    process: Process,
}

impl Part {
    fn metrics(&self) -> Result<Exposition> {
        Exposition::parse(&get(&self.url)?).with_context(|| self.process.printed())
    }

    /// Waits until it has a container of the service, or its end.
    fn await_service(&self, service: &str) -> Result<()> {
        let of = [("container_label_com_docker_swarm_service_name", service)];
        until(&format!("{}: {service} is known", self.name), PATIENCE, || {
            let metrics = self.metrics()?;
            let state = metrics.all("swarmscout_container_state", &of).next().context("none")?;
            let state = state.label("state");
            ensure!(["running", "exited"].contains(&state), "{state}");
            Ok(())
        })
    }

    /// Waits until its counts are these, and nothing else is counted of the service.
    fn await_counts(&self, service: &str, code: Option<&str>, kills: i64) -> Result<()> {
        let name = "container_label_com_docker_swarm_service_name";
        until(&format!("{}: the counts of {service}", self.name), PATIENCE, || {
            let metrics = self.metrics()?;
            for other in ["0", "1", "3", "137", "143"] {
                let of = [(name, service), ("exit_code", other)];
                let died = metrics.value("swarmscout_container_deaths_total", &of).unwrap_or(0);
                ensure!(died == i64::from(code == Some(other)), "{died} ends with {other}");
            }
            // Version 1 forgets what was killed in containers that have ended.
            if !Path::new("/sys/fs/cgroup/memory").exists() {
                let total = "swarmscout_container_oom_kills_total";
                let killed = metrics.value(total, &[(name, service)])?;
                ensure!(killed == kills, "{killed} kills, not {kills}");
                let unknown = [(name, "")];
                let unknown: Vec<_> = metrics.all(total, &unknown).collect();
                ensure!(unknown.is_empty(), "{unknown:?}");
                if code.is_none() {
                    let killed = metrics.value("container_oom_events_total", &[(name, service)])?;
                    ensure!(killed == kills, "{killed} events, not {kills}");
                }
            }
            Ok(())
        })
        .with_context(|| self.process.printed())
    }
}
