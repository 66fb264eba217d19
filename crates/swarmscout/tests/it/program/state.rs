//! State metrics: `/metrics/swarm`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use swarmscout_simulator::Listen;
use swarmscout_simulator::classic::{Cluster, Master};
use swarmscout_simulator::swarm::{ServiceSpec, Swarm};

use super::detect::Running;
use super::harness::{Folder, Program, get, wait_for};

/// Base64 of what must not be served.
const CONTENT: &str = "bm9ib2R5IG1heSBzZWUgdGhpcw==";

/// A manager with a service that has a config and a secret.
fn swarm() -> (Swarm, String, String) {
    let swarm = Swarm::new(1);
    let manager = swarm.add_manager("manager-1");
    let config = swarm.create_config("web.yml", CONTENT);
    let secret = swarm.create_secret("token");
    let spec = ServiceSpec::new("web", "web:1").replicas(2);
    let web = swarm.create_service(spec.config(&config, "web.yml").secret(&secret, "token"));
    swarm.create_secret("unused");
    (swarm, manager, web)
}

fn start(folder: &Folder, socket: &Path, flags: &[&str]) -> Program {
    let yaml = format!(
        "scrape_configs:\n- job_name: swarm\n  swarmscout_sd_configs:\n  \
         - {{host: 'unix://{}', refresh_interval: 1s, events: poll}}\n",
        socket.display()
    );
    folder.write("prometheus.yml", &yaml);
    let mut command = folder.command();
    command.arg("--web.listen-address=127.0.0.1:0").args(flags);
    Program::spawn(&mut command)
}

#[test]
fn what_a_swarm_is_doing_is_served() {
    let folder = Folder::new();
    let (swarm, manager, web) = swarm();
    let socket = folder.path().join("docker.sock");
    let engine = Running::start(&socket, &swarm, &manager);
    let mut program = start(&folder, &socket, &["--cluster=home"]);
    let address = program.address();
    wait_for(address, "/metrics/swarm", "service_at_desired{cluster=\"home\",service=\"web\"} 1\n");
    let text = get(address, "/metrics/swarm").body;
    for series in [
        "up{cluster=\"home\"} 1",
        "list_up{cluster=\"home\",list=\"secrets\"} 1",
        "service_running_tasks{cluster=\"home\",service=\"web\"} 2",
        "config_services{cluster=\"home\",config=\"web.yml\"} 1",
        "secret_services{cluster=\"home\",secret=\"token\"} 1",
        "secret_services{cluster=\"home\",secret=\"unused\"} 0",
        "node_tasks{cluster=\"home\",node=\"manager-1\"} 2",
    ] {
        assert!(text.contains(&format!("\ndockerswarm_{series}\n")), "{series} in {text}");
    }
    assert!(!text.contains(CONTENT), "{text}");

    // Whatever ended before does not count; what ends now does, and its successor.
    let task = swarm.tasks_of(&web).remove(0).meta.id;
    assert!(swarm.kill_task(&task));
    let counted = "service_task_failures_total{cluster=\"home\",service=\"web\"} 1\n";
    wait_for(address, "/metrics/swarm", counted);
    wait_for(
        address,
        "/metrics/swarm",
        "service_task_restarts_total{cluster=\"home\",service=\"web\"} 1\n",
    );
    wait_for(address, "/metrics/swarm", "reason=\"exit code\",exit_code=\"137\"} 1\n");
    swarm.remove_service(&web);
    wait_for(address, "/metrics/swarm", "secret_services{cluster=\"home\",secret=\"token\"} 0\n");
    assert!(!get(address, "/metrics/swarm").body.contains("service=\"web\""));
    assert!(engine.requests().iter().any(|path| path.ends_with("/secrets")));
}

#[test]
fn state_metrics_can_be_switched_off() {
    let folder = Folder::new();
    let (swarm, manager, _) = swarm();
    let socket = folder.path().join("docker.sock");
    let engine = Running::start(&socket, &swarm, &manager);
    let mut program = start(&folder, &socket, &["--no-state.metrics"]);
    let address = program.address();
    // Before its first refresh, a source is not up.
    let up = "swarmscout_source_up{job=\"swarm\",source=\"swarmscout/0\"} 1.0\n";
    wait_for(address, "/metrics", up);
    let answer = get(address, "/metrics/swarm");
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.body,
        "state metrics are off: start without --no-state.metrics or --state.metrics=false\n"
    );
    let requests = engine.requests();
    let asks = |path: &str| requests.iter().any(|asked| asked.contains(path));
    assert!(asks("/tasks") && !asks("/secrets") && !asks("/configs"), "{requests:?}");
}

#[test]
fn what_a_classic_swarm_is_doing_is_served() {
    let folder = Folder::new();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let cluster = Cluster::of(3);
    let [primary, replica] =
        [(); 2].map(|()| Master::start(Listen::Tcp, &cluster, (1, 2, 9)).expect("a port is free"));
    replica.set_primary(Some("10.77.1.1:3375"));
    let yaml = format!(
        "scrape_configs:\n- job_name: classic\n  swarm_sd_configs:\n  - {{masters: ['{}', '{}'], \
         refresh_interval: 1s}}\n",
        primary.server.url(),
        replica.server.url(),
    );
    folder.write("prometheus.yml", &yaml);
    let mut command = folder.command();
    command.arg("--web.listen-address=127.0.0.1:0").arg("--state.label-allowlist=zone");
    let mut program = Program::spawn(&mut command);
    let address = program.address();
    let [one, other] = [&primary, &replica].map(|it| it.server.addr().expect("it listens on TCP"));
    // The refreshes ask the first master; the other one is asked for state metrics alone.
    wait_for(address, "/metrics/swarm", &format!("master_up{{master=\"{other}\"}} 1\n"));
    let text = get(address, "/metrics/swarm").body;
    for series in [
        "up 1",
        "has_primary 1",
        &format!("info{{strategy=\"spread\",primary=\"{one}\"}} 1"),
        &format!("master_primary{{master=\"{one}\"}} 1"),
        &format!("master_primary{{master=\"{other}\"}} 0"),
        "nodes{status=\"Healthy\"} 3",
        "node_updated_timestamp_seconds{node=\"node-00000\"} 1795393097",
        "node_reserved_memory_bytes{node=\"node-00001\"} 67108864",
        "node_labels{node=\"node-00002\",label_zone=\"eu-central-1c\"} 1",
    ] {
        assert!(text.contains(&format!("\nclassicswarm_{series}\n")), "{series} in {text}");
    }
    assert!(!text.contains("dockerswarm_"), "{text}");

    cluster.edit(|nodes| {
        "2026-11-23T00:18:47Z".clone_into(&mut nodes[0].updated_at);
        nodes[1].containers.0 += 1;
        drop(nodes.remove(2));
    });
    let updated = "node_updated_timestamp_seconds{node=\"node-00000\"} 1795393127\n";
    wait_for(address, "/metrics/swarm", updated);
    let text = get(address, "/metrics/swarm").body;
    assert!(text.contains("node_containers{node=\"node-00001\"} 10\n"), "{text}");
    assert!(!text.contains("node-00002"), "{text}");

    // The other master takes over, as the primary.
    replica.set_primary(None);
    primary.server.refuse();
    wait_for(address, "/metrics/swarm", &format!("master_primary{{master=\"{other}\"}} 1\n"));
    let text = get(address, "/metrics/swarm").body;
    assert!(text.contains(&format!("master_up{{master=\"{one}\"}} 0\n")), "{text}");
    replica.server.refuse();
    wait_for(address, "/metrics/swarm", "classicswarm_up 0\n");
    assert!(get(address, "/metrics/swarm").body.contains("node_status{node=\"node-00000\""));
}

#[test]
fn stored_counters_that_cannot_be_used_are_replaced_at_once() {
    let folder = Folder::new();
    let (swarm, manager, _) = swarm();
    let socket = folder.path().join("docker.sock");
    let _engine = Running::start(&socket, &swarm, &manager);
    fs::create_dir(folder.path().join("stored")).unwrap();
    folder.write("stored/counters.json", "{\"version\":1,\"services\":[");
    let mut program = start(&folder, &socket, &["--storage.path=stored"]);
    program.line("counters of state metrics: they begin at 0");
    wait_for_file(&folder.path().join("stored/counters.json"), "\"services\":{");
}

#[test]
fn an_exposition_without_series_says_why() {
    let folder = Folder::new();
    let socket = folder.path().join("docker.sock");
    let mut program = start(&folder, &socket, &[]);
    let of_swarm = format!(
        "# No state metrics yet of unix://{} events poll: cannot connect",
        socket.display()
    );
    wait_for(program.address(), "/metrics/swarm", &of_swarm);

    let folder = Folder::new();
    let mut program = with_static_target(&folder, &[]);
    let answer = get(program.address(), "/metrics/swarm");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body,
        "# No state metrics: no source reads a Swarm. Plain engines have none; write \
         swarmscout_sd_configs with the host of a manager.\n"
    );
}

/// A job `a` of one target, which a rule gives the label `site`.
fn with_static_target(folder: &Folder, flags: &[&str]) -> Program {
    folder.write(
        "prometheus.yml",
        "scrape_configs:\n- job_name: a\n  static_configs: [{targets: ['x:1']}, {targets: ['y:1'], \
         labels: {cluster: own}}]\n  relabel_configs: [{source_labels: [cluster], target_label: \
         site}]\n",
    );
    let mut command = folder.command();
    command.arg("--web.listen-address=127.0.0.1:0").args(flags);
    Program::spawn(&mut command)
}

#[test]
fn all_targets_have_the_cluster_that_a_flag_names() {
    let folder = Folder::new();
    let flags = ["--cluster=home", "--file-sd.directory=."];
    let mut program = with_static_target(&folder, &flags);
    let address = program.address();
    let [x, y] = [("x:1", "home"), ("y:1", "own")].map(|(target, cluster)| {
        let labels = format!("\"cluster\":\"{cluster}\"");
        (format!("{{\"targets\":[\"{target}\"],\"labels\":{{{labels}"), labels)
    });
    wait_for(address, "/sd/a", &x.0);
    let list = get(address, "/sd/a").body;
    for (target, _) in [&x, &y] {
        assert!(list.contains(&format!("{target},\"site\":")), "{list}");
        let raw = get(address, "/sd/a?raw=1").body;
        assert!(raw.contains(&format!("{target}}}}}")), "{raw}");
    }
    wait_for_file(&folder.path().join("a.json"), &x.0);
    let targets = get(address, "/api/v1/targets").body;
    for (_, labels) in [&x, &y] {
        assert_eq!(targets.matches(labels).count(), 2, "{targets}");
    }
}

/// Waits until a file has this text. Another process writes it at a time of its own.
fn wait_for_file(path: &Path, text: &str) {
    let until = Instant::now() + Duration::from_mins(1);
    loop {
        let found = fs::read_to_string(path).unwrap_or_default();
        if found.contains(text) {
            return;
        }
        assert!(Instant::now() < until, "no {text:?} in {found:?}");
    }
}

#[test]
fn counters_outlive_a_program_that_was_killed() {
    let folder = Folder::new();
    let (swarm, manager, web) = swarm();
    let socket = folder.path().join("docker.sock");
    let _engine = Running::start(&socket, &swarm, &manager);
    let restarts = |number: u32| format!("task_restarts_total{{service=\"web\"}} {number}\n");
    let kill = || assert!(swarm.kill_task(&swarm.tasks_of(&web).remove(0).meta.id));

    let mut program = start(&folder, &socket, &["--storage.path=stored"]);
    let address = program.address();
    wait_for(address, "/metrics/swarm", &restarts(0));
    kill();
    wait_for(address, "/metrics/swarm", &restarts(1));
    wait_for_file(&folder.path().join("stored/counters.json"), "\"restarts\":1");
    program.signal("KILL");
    program.wait();

    // What ended in the meantime is not counted, and what was counted is not lost.
    kill();
    let mut program = start(&folder, &socket, &["--storage.path=stored"]);
    let address = program.address();
    wait_for(address, "/metrics/swarm", &restarts(1));
    kill();
    wait_for(address, "/metrics/swarm", &restarts(2));
    // One that ends in order stores the last second as well.
    program.signal("TERM");
    let (status, log) = program.end();
    assert!(status.success(), "{log}");
    let stored = fs::read_to_string(folder.path().join("stored/counters.json"));
    assert!(stored.expect("it was stored").contains("\"restarts\":2"), "{log}");
}

#[test]
fn a_swarm_that_is_read_by_two_managers_is_counted_once() {
    let folder = Folder::new();
    let (swarm, manager, web) = swarm();
    let other = swarm.add_manager("manager-2");
    let sockets = ["a.sock", "b.sock"].map(|name| folder.path().join(name));
    let _engines = [(&sockets[0], &manager), (&sockets[1], &other)]
        .map(|(socket, manager)| Running::start(socket, &swarm, manager));
    let job = |name: &str, socket: &Path, interval| {
        format!(
            "- job_name: {name}\n  swarmscout_sd_configs:\n  - {{host: 'unix://{}', \
             refresh_interval: {interval}, events: poll}}\n",
            socket.display()
        )
    };
    let jobs = job("slow", &sockets[0], "2s") + &job("fast", &sockets[1], "1s");
    folder.write("prometheus.yml", &format!("scrape_configs:\n{jobs}"));
    let mut command = folder.command();
    command.args(["--web.listen-address=127.0.0.1:0", "--storage.path=stored"]);
    let mut program = Program::spawn(&mut command);
    let address = program.address();
    let restarts = |number: u32| format!("task_restarts_total{{service=\"web\"}} {number}\n");
    for job in ["slow", "fast"] {
        let up = format!("swarmscout_source_up{{job=\"{job}\",source=\"swarmscout/0\"}} 1.0\n");
        wait_for(address, "/metrics", &up);
    }
    for number in 0..3 {
        wait_for(address, "/metrics/swarm", &restarts(number));
        assert!(swarm.kill_task(&swarm.tasks_of(&web).remove(0).meta.id));
    }
    wait_for(address, "/metrics/swarm", &restarts(3));
    program.signal("TERM");
    let (status, log) = program.end();
    assert!(status.success(), "{log}");
    let stored = fs::read_to_string(folder.path().join("stored/counters.json"));
    let stored = stored.expect("it was stored");
    assert!(stored.contains("\"restarts\":3,"), "{stored}");
}
