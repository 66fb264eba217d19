//! Labels and names that no user should write, and more services than anyone has: what they do to
//! the program, and to the services next to them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use swarmscout_simulator::swarm::{ServiceSpec, Swarm};
use swarmscout_simulator::{Fault, Listen, Response, Server};

use super::detect::Running;
use super::harness::{Folder, Program, get, wait_for};

/// A service with its labels, and why some are refused.
type BadService = (&'static str, &'static [(&'static str, &'static str)], &'static str);

/// Services with bad labels. `{64KiB}` and `{5000}` stand for such a value
/// and for such a number of labels.
const BAD: &[BadService] = &[
    (
        "contradictory",
        &[
            ("prometheus.enable", "true"),
            ("prometheus.jobs.a.port", "1"),
            ("prometheus.targets.a.port", "2"),
        ],
        "contradictory labels",
    ),
    ("zero", &[("prometheus.io/port", "0")], "invalid port"),
    ("above", &[("prometheus.io/port", "65536")], "invalid port"),
    ("negative", &[("prometheus.io/port", "-80")], "invalid port"),
    ("words", &[("prometheus.io/port", "http")], "invalid port"),
    (
        "long-path",
        &[("prometheus.io/port", "80"), ("prometheus.io/path", "/{64KiB}")],
        "value too long",
    ),
    (
        "long-label",
        &[("prometheus.io/port", "80"), ("prometheus.io/label.team", "{64KiB}")],
        "value too long",
    ),
    (
        "many-labels",
        &[("prometheus.io/port", "80"), ("prometheus.io/label.l{5000}", "some text")],
        "too many labels",
    ),
    ("many-endpoints", &[("prometheus.io/e{5000}.port", "80")], "too many endpoints"),
    ("many-mistakes", &[("prometheus.io/portt{5000}", "80")], "unknown key"),
    ("mistyped", &[("prometheus.io/admin.prot", "80")], "unknown key"),
    (
        "bad-name",
        &[("prometheus.io/port", "80"), ("prometheus.io/label.my-team", "x")],
        "invalid label name",
    ),
    (
        "reserved-name",
        &[("prometheus.io/port", "80"), ("prometheus.io/label.__address__", "evil:1")],
        "reserved label name",
    ),
    (
        "bad-job",
        &[("prometheus.io/port", "80"), ("prometheus.io/label.job", "good")],
        "reserved label name",
    ),
];

/// What a name in the simulated Swarm stands for in its answer: bytes that are not UTF-8.
const NOT_UTF8: &str = "not-utf-8";

/// The service of such a name in messages.
const REPLACED: &str = "not-\u{fffd}\u{fffd}-8";

/// Control characters that move the cursor of a terminal, or reverse its text.
const CONTROL: &str = "red\u{1b}[31m\u{202e}\u{9b}2J";

fn spec(name: &str, labels: &[(&str, &str)], network: &str) -> ServiceSpec {
    let mut spec = ServiceSpec::new(name, "web:1").network(network);
    for (key, value) in labels {
        let value = value.replace("{64KiB}", &"x".repeat(64 << 10));
        if key.contains("{5000}") {
            for number in 0..5000 {
                spec = spec.label(&key.replace("{5000}", &number.to_string()), &value);
            }
        } else {
            spec = spec.label(key, &value);
        }
    }
    spec
}

/// The program with a job that reads labels at this socket, and a job that does not.
fn start(folder: &Folder, socket: &Path, memory: &str) -> Program {
    let yaml = format!(
        "scrape_configs:\n- job_name: swarm\n  swarmscout_sd_configs:\n  \
         - {{host: 'unix://{}', presets: [], networks: [front]}}\n\
         - job_name: other\n  static_configs: [{{targets: ['neighbour:80']}}]\n",
        socket.display()
    );
    let file = folder.write("prometheus.yml", &yaml);
    let memory = format!("--limits.memory={memory}");
    folder.start(&[&format!("--config.file={}", file.display()), &memory])
}

/// The reasons that the program counts, and how often.
fn skipped(address: SocketAddr) -> BTreeMap<String, u64> {
    let metrics = get(address, "/metrics").body;
    let lines = metrics.lines().filter_map(|line| {
        let labels = line.strip_prefix("swarmscout_objects_skipped_total{kind=\"service\",")?;
        let (reason, count) = labels.strip_prefix("reason=\"")?.split_once("\"} ")?;
        Some((reason.to_owned(), count.parse().expect("a count")))
    });
    lines.collect()
}

/// `instance` of each target of the job `swarm`.
fn instances(address: SocketAddr) -> Vec<String> {
    let list: Value = serde_json::from_str(&get(address, "/sd/swarm").body).expect("JSON");
    let groups = list.as_array().expect("a list");
    let of_group =
        |group: &Value| group["labels"]["instance"].as_str().expect("it has one").to_owned();
    let mut instances: Vec<_> = groups.iter().map(of_group).collect();
    instances.sort();
    instances
}

#[test]
fn bad_labels_take_no_other_service_with_them() {
    let folder = Folder::new();
    let swarm = Swarm::new(1);
    let manager = swarm.add_manager("manager-1");
    let front = swarm.create_network("front");
    let port = [("prometheus.io/port", "8080")];
    swarm.create_service(spec("good", &port, &front).replicas(2));
    for (name, labels, _) in BAD {
        swarm.create_service(spec(name, labels, &front));
    }
    for name in ["twin-a", "twin-b"] {
        swarm.create_service(spec(name, &port, &swarm.host_network()));
    }
    swarm.create_service(spec(NOT_UTF8, &port, &front));
    swarm.create_service(spec(CONTROL, &[("prometheus.io/port", "80\u{1b}[0m")], &front));
    let socket = folder.path().join("docker.sock");
    let engine = Running::start(&socket, &swarm, &manager);
    let mut listed = serde_json::to_vec(&swarm.services()).expect("JSON");
    replace(&mut listed, NOT_UTF8.as_bytes(), b"not-\xff\xfe-8");
    engine.engine().server.faults().set_for("/services", Fault::Body(listed.into()));

    let mut program = start(&folder, &socket, "256MiB");
    let address = program.address();
    wait_for(address, "/sd/swarm", "good.2");
    let found = instances(address);
    for instance in ["good.1", "good.2", "long-label.1", "many-labels.1", "bad-name.1", "bad-job.1"]
    {
        assert!(found.contains(&instance.to_owned()), "no {instance} in {found:?}");
    }
    let endpoints = found.iter().filter(|instance| instance.starts_with("many-endpoints.1/"));
    assert_eq!(endpoints.count(), 64);
    assert!(found.contains(&format!("{REPLACED}.1")), "{found:?}");
    let twins = found.iter().filter(|instance| instance.starts_with("twin-"));
    assert_eq!(twins.count(), 1, "one address, one target: {found:?}");

    // Each is counted, by reasons of ours and by no word of a label.
    let counted = skipped(address);
    let mut expected: Vec<_> = BAD.iter().map(|(_, _, reason)| *reason).collect();
    expected.push("address of another target");
    expected.sort_unstable();
    expected.dedup();
    assert!(counted.keys().eq(expected), "{counted:?}");
    // The mistakes of one service are cut.
    let sources = get(address, "/api/v1/sources").body;
    assert!(sources.len() < 1 << 20, "{} bytes", sources.len());

    // Each is explained, without what a terminal would obey.
    let url = format!("--url=http://{address}");
    let twin = if found.contains(&"twin-a.1".to_owned()) { "twin-b" } else { "twin-a" };
    let others =
        [(twin, "address of another target"), (CONTROL, "invalid port"), (REPLACED, "1 target")];
    for (name, reason) in BAD.iter().map(|(name, _, reason)| (*name, *reason)).chain(others) {
        let output = folder.run(&["explain", &format!("service/{name}"), &url]);
        let said = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(said.contains(reason), "{name}: {said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.len() < 64 << 10, "{name}: {} bytes", said.len());
        let json =
            folder.run(&["explain", "--format=json", &format!("service/{name}"), &url]).stdout;
        assert!(json.len() < 64 << 10, "{name}: {} bytes of JSON", json.len());
        let is_obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!said.contains(is_obeyed), "{name}: {said:?}");
    }
    let memory = program.peak();
    assert!(memory < 400, "{memory} MiB");
    program.signal("TERM");
    let (status, log) = program.end();
    assert_eq!(status.code(), Some(0));
    for line in log.lines() {
        assert!(line.len() < 4096 && !line.contains('\u{1b}'), "{line:?}");
    }
}

fn replace(text: &mut Vec<u8>, from: &[u8], to: &[u8]) {
    while let Some(at) = text.windows(from.len()).position(|window| window == from) {
        text.splice(at..at + from.len(), to.iter().copied());
    }
}

/// A fifth of what docs/robustness.md has, which the optimized program is measured with.
const SERVICES: usize = 20_000;

/// A manager of that number of services with one task each.
struct Large {
    server: Option<Server>,
    runtime: tokio::runtime::Runtime,
}

impl Large {
    fn start(socket: &Path) -> Self {
        let (mut services, mut tasks) = (String::from("["), String::from("["));
        for i in 0..SERVICES {
            let comma = if i == 0 { "" } else { "," };
            let (a, b, c) = (i >> 16, (i >> 8) & 255, i & 255);
            write!(
                services,
                r#"{comma}{{"ID":"s{i}","Version":{{"Index":{i}}},"Spec":{{"Name":"service-{i}","Labels":{{"prometheus.io/port":"8080"}},"Mode":{{"Replicated":{{"Replicas":1}}}}}}}}"#
            )
            .expect("a string takes all");
            write!(
                tasks,
                r#"{comma}{{"ID":"t{i}","Version":{{"Index":{i}}},"Spec":{{}},"ServiceID":"s{i}","Slot":1,"NodeID":"n","Status":{{"State":"running"}},"DesiredState":"running","NetworksAttachments":[{{"Network":{{"ID":"front","Spec":{{"Name":"front"}},"DriverState":{{"Name":"overlay"}}}},"Addresses":["10.{a}.{b}.{c}/8"]}}]}}"#
            )
            .expect("a string takes all");
        }
        let (services, tasks) = (services + "]", tasks + "]");
        let node = r#"[{"ID":"n","Version":{"Index":1},"Description":{"Hostname":"n"},"Status":{"State":"ready","Addr":"192.0.2.1"}}]"#;
        let network = r#"[{"Id":"front","Name":"front","Driver":"overlay","Scope":"swarm"}]"#;
        let (services, tasks) = (bytes::Bytes::from(services), bytes::Bytes::from(tasks));
        let answer = move |request: &swarmscout_simulator::Request| match request
            .path
            .trim_start_matches("/v1.41")
        {
            "/_ping" => Response::new("text/plain", "OK").with("Api-Version", "1.41"),
            "/services" => Response::json(services.clone()),
            "/tasks" => Response::json(tasks.clone()),
            "/nodes" => Response::json(node),
            "/networks" => Response::json(network),
            _ => Response::not_found(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let guard = runtime.enter();
        let server = Server::start(Listen::Unix(socket.to_owned()), answer);
        drop(guard);
        Self { server: Some(server.expect("the socket is new")), runtime }
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        let _guard = self.runtime.enter();
        self.server = None;
    }
}

#[test]
fn many_services_are_served_or_refused_by_their_memory() {
    let folder = Folder::new();
    let socket = folder.path().join("docker.sock");
    let _large = Large::start(&socket);

    let mut program = start(&folder, &socket, "256MiB");
    let address = program.address();
    wait_for(address, "/sd", &format!("\"targets\":{SERVICES}"));
    let last = format!("/api/v1/explain?object=service/service-{}", SERVICES - 1);
    wait_for(address, &last, "1 target of service");
    let memory = program.peak();
    assert!(memory < 256, "{memory} MiB");
    drop(program);

    // The least limit that has a part for small jobs, so the other one is served.
    let mut program = start(&folder, &socket, "16MiB");
    let address = program.address();
    wait_for(address, "/api/v1/sources?scrapePool=swarm", "--limits.memory=16MiB");
    wait_for(address, "/sd/other", "neighbour:80");
    let memory = program.peak();
    assert!(memory < 160, "{memory} MiB");
}

#[test]
fn a_swarm_may_change_while_doctor_checks_it() {
    let folder = Folder::new();
    let (_demo, address) = folder.demo("20ms");
    let url = format!("--url=http://{address}");
    for _ in 0..3 {
        let output = folder.run(&["doctor", "--format=json", &url]);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let count = |name: &str| report[name].as_u64().expect("a number");
        let (targets, probed, up) = (count("targets"), count("probed"), count("up"));
        assert!(0 < up && up <= probed && probed <= targets, "{report}");
    }
}
