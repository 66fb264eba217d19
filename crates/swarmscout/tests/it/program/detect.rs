//! No configuration file: what runs at the local Engine.

use std::path::Path;

use swarmscout_simulator::Listen;
use swarmscout_simulator::classic::{Cluster, Master};
use swarmscout_simulator::engine::{Condition, Engine};
use swarmscout_simulator::swarm::{ServiceSpec, Swarm};

use super::harness::{Folder, Program, get, transcript, wait_for};

/// A Swarm of a manager and a worker, and one service.
fn swarm() -> (Swarm, String, String) {
    let swarm = Swarm::new(1);
    let manager = swarm.add_manager("manager-1");
    let worker = swarm.add_worker("worker-1");
    let network = swarm.create_network("front");
    swarm.create_service(ServiceSpec::new("web", "web:1").replicas(2).network(&network));
    (swarm, manager, worker)
}

/// An engine in a runtime of its own, so that it answers while the test waits for the program.
pub(super) struct Running {
    engine: Option<Engine>,
    runtime: tokio::runtime::Runtime,
}

impl Running {
    pub(super) fn start(socket: &Path, swarm: &Swarm, node: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let guard = runtime.enter();
        let engine = Engine::start(Listen::Unix(socket.to_owned()), swarm, node);
        drop(guard);
        Self { engine: Some(engine.expect("the socket is new")), runtime }
    }

    /// The paths that it was asked for.
    pub(super) fn requests(&self) -> Vec<String> {
        self.engine().server.requests().into_iter().map(|request| request.path).collect()
    }

    pub(super) fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("it runs")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _guard = self.runtime.enter();
        self.engine = None;
    }
}

fn start(folder: &Folder, host: &str) -> Program {
    let mut command = folder.command();
    command.arg("--web.listen-address=127.0.0.1:0").env("DOCKER_HOST", host);
    Program::spawn(&mut command)
}

#[test]
fn a_manager_gives_what_its_services_declare() {
    let folder = Folder::new();
    let (swarm, manager, _) = swarm();
    let socket = folder.path().join("docker.sock");
    let _engine = Running::start(&socket, &swarm, &manager);
    let mut program = start(&folder, &format!("unix://{}", socket.display()));
    program.line("a manager of a Swarm");
    let address = program.address();
    let yaml = get(address, "/api/v1/status/config").body;
    for part in [
        "job_name: swarm\\n",
        "job_name: swarm-nodes",
        "job_name: swarm-tasks",
        "desired-state",
        "port: 9323",
    ] {
        assert!(yaml.contains(part), "{part} in {yaml}");
    }
    program.line("save");
}

#[test]
fn the_jobs_of_before_are_served_with_a_warning() {
    let folder = Folder::new();
    let (swarm, manager, _) = swarm();
    let spec = ServiceSpec::new("api", "api:1").replicas(2).label("prometheus.io/port", "8080");
    swarm.create_service(spec.network(&swarm.create_network("back")));
    let socket = folder.path().join("docker.sock");
    let _engine = Running::start(&socket, &swarm, &manager);
    let mut program = start(&folder, &format!("unix://{}", socket.display()));
    let line = program.line("Built-in jobs are deprecated");
    assert!(line.contains("level=WARN"), "{line}");
    assert!(line.ends_with("jobs=\"swarm-nodes, swarm-tasks\" instead=swarm"), "{line}");
    let address = program.address();
    wait_for(address, "/sd/swarm", "api.2");
    wait_for(address, "/sd/swarm-tasks", ":80");
    wait_for(address, "/sd/swarm-nodes", ":9323");
    assert!(!get(address, "/").body.contains("no labelled service"));
    // Only the job that stays is explained.
    let verdict = "2 targets of service api are listed for scraping (job swarm).";
    wait_for(address, "/api/v1/explain?object=service/api", verdict);
}

#[test]
fn without_a_label_log_and_page_say_once_what_to_write() {
    let folder = Folder::new();
    let (swarm, manager, worker) = swarm();
    let socket = folder.path().join("docker.sock");
    let _engine = Running::start(&socket, &swarm, &manager);
    let mut program = start(&folder, &format!("unix://{}", socket.display()));
    let address = program.address();
    let line = program.line("no labelled service");
    let write = "write prometheus.io/port:";
    assert!(line.contains(write) && line.contains("under deploy.labels"), "{line}");
    wait_for(address, "/", write);
    assert_eq!(get(address, "/").body.matches(write).count(), 1);
    // Another snapshot is not another message.
    swarm.label_node(&worker, "zone", "new-zone");
    wait_for(address, "/sd/swarm-nodes", "new-zone");
    program.signal("TERM");
    let (status, log) = program.end();
    assert_eq!((status.code(), log.matches(write).count()), (Some(0), 1), "{log}");
}

/// The line at the start leads to the configuration itself.
#[test]
fn the_configuration_is_saved_as_the_line_at_the_start_says() {
    let folder = Folder::new();
    let (swarm, manager, _) = swarm();
    let socket = folder.path().join("docker.sock");
    let _engine = Running::start(&socket, &swarm, &manager);
    let mut program = start(&folder, &format!("unix://{}", socket.display()));
    let address = program.address();
    let path = "/api/v1/status/config?format=yaml";
    program.line(&format!("url=\"http://{address}{path}\""));

    let saved = get(address, path).body;
    folder.write("prometheus.yml", &saved);
    let output = folder.run(&["check", "config", "prometheus.yml"]);
    let said = transcript(&folder, &output);
    assert!(output.status.success() && !said.contains("WARNING"), "{said}\n{saved}");
    let mut from_file = folder.start(&[]);
    assert_eq!(saved.matches("- job_name: ").count(), 1, "a deprecated job: {saved}");
    let config = "/api/v1/scrape_pools/config?scrapePool=swarm";
    assert_eq!(get(from_file.address(), config).body, get(address, config).body);
}

/// Behind a proxy it is the address there.
#[test]
fn the_line_at_the_start_has_the_external_url() {
    let folder = Folder::new();
    let (swarm, manager, _) = swarm();
    let socket = folder.path().join("docker.sock");
    let _engine = Running::start(&socket, &swarm, &manager);
    let mut command = folder.command();
    command.args(["--web.listen-address=127.0.0.1:0", "--web.external-url=https://h/scout"]);
    command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    let mut program = Program::spawn(&mut command);
    program.line("url=\"https://h/scout/api/v1/status/config?format=yaml\"");
}

#[test]
fn an_engine_alone_gives_its_containers() {
    let folder = Folder::new();
    let (swarm, manager, _) = swarm();
    let socket = folder.path().join("docker.sock");
    let engine = Running::start(&socket, &swarm, &manager);
    engine.engine().set_condition(Condition::Standalone);
    let mut program = start(&folder, &format!("unix://{}", socket.display()));
    program.line("an engine without Swarm");
    let yaml = get(program.address(), "/api/v1/status/config").body;
    assert!(yaml.contains("job_name: docker"), "{yaml}");
    assert!(yaml.contains("swarmscout_sd_configs"), "{yaml}");
    program.line("no labelled service");
}

#[test]
fn a_worker_names_the_managers() {
    let folder = Folder::new();
    let (swarm, manager, worker) = swarm();
    let socket = folder.path().join("docker.sock");
    let _engine = Running::start(&socket, &swarm, &worker);
    let (status, log) = start(&folder, &format!("unix://{}", socket.display())).end();
    assert_eq!(status.code(), Some(2), "{log}");
    let nodes = swarm.nodes();
    let manager = nodes.iter().find(|node| node.meta.id == manager).expect("it is a node");
    let expected = format!(
        "this engine is a worker of a Swarm, and only managers know what runs: \
                            start this on a manager ({})",
        manager.status.addr
    );
    assert!(log.contains(&expected), "{log}");
}

#[test]
fn a_classic_master_gives_masters_and_nodes() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let guard = runtime.enter();
    let master = Master::start(Listen::Tcp, &Cluster::of(2), (1, 2, 9)).expect("a free port");
    drop(guard);
    let folder = Folder::new();
    let host = master.server.url().replace("http://", "tcp://");
    let mut program = start(&folder, &host);
    program.line("a master of classic Swarm");
    let yaml = get(program.address(), "/api/v1/status/config").body;
    assert!(yaml.contains("swarm_sd_configs"), "{yaml}");
    let _guard = runtime.enter();
    drop(master);
}

#[test]
fn nothing_there_says_what_to_do() {
    let folder = Folder::new();
    let socket = folder.path().join("docker.sock");
    let (status, log) = start(&folder, &format!("unix://{}", socket.display())).end();
    assert_eq!(status.code(), Some(2), "{log}");
    for part in ["no Docker engine answers", "--config.file", "DOCKER_HOST", "swarmscout demo"] {
        assert!(log.contains(part), "{part} in {log}");
    }
}

/// Targets are those of Prometheus; what gives none, and runs, is named below them.
#[test]
fn check_names_running_tasks_without_an_address() {
    let (swarm, manager, _) = swarm();
    let host_network = swarm.host_network();
    swarm.create_service(ServiceSpec::new("exporter", "e:1").replicas(2).network(&host_network));
    swarm.create_service(ServiceSpec::new("alone", "a:1").replicas(1));
    let folder = Folder::new();
    let socket = folder.path().join("docker.sock");
    let _running = Running::start(&socket, &swarm, &manager);
    folder.write(
        "a.yml",
        &format!(
            "scrape_configs:\n- job_name: a\n  dockerswarm_sd_configs: [{{host: 'unix://{}', role: tasks}}]\n",
            socket.display()
        ),
    );
    let output = folder.run(&["check", "service-discovery", "a.yml", "a"]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stdout.contains("2 active, 0 dropped, 0 refused, 0 duplicates"), "{stdout}");
    let notes: Vec<_> =
        stderr.lines().filter_map(|line| Some(line.split_once("role tasks): ")?.1)).collect();
    assert_eq!(
        notes,
        [
            "service \"alone\": 1 running task has no address that the Swarm knows: it is on no network",
            "service \"exporter\": 2 running tasks have no address that the Swarm knows: they use the \
             networks of their hosts",
        ],
        "{stderr}"
    );
}
