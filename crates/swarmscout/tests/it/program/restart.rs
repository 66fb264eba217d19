//! Sources that do not answer when the program starts, and what it knows of them from before.

use std::fs;

use swarmscout_discovery::fuzzing::storage;
use swarmscout_simulator::{Listen, Response, Server};

use super::harness::{Folder, get, wait_for};

/// Managers as entries of their own that all are down, beside targets that exist.
const DEAD_SIBLINGS: &str = "scrape_configs:
- job_name: tasks
  static_configs: [{targets: ['h:1']}]
  dockerswarm_sd_configs:
  - {host: 'http://127.0.0.1:1', role: tasks}
  - {host: 'http://127.0.0.1:2', role: tasks}
- job_name: dead
  dockerswarm_sd_configs: [{host: 'http://127.0.0.1:1', role: nodes}]
";

#[test]
fn a_job_is_served_without_the_sources_that_never_answer() {
    let folder = Folder::new();
    folder.write("prometheus.yml", DEAD_SIBLINGS);
    let mut program = folder.start(&["--sd.startup-timeout=0s"]);
    let address = program.address();
    wait_for(address, "/sd/tasks", "h:1");
    let answer = get(address, "/sd/tasks");
    assert_eq!(answer.header("x-swarmscout-missing-sources"), Some("dockerswarm/0, dockerswarm/1"));
    wait_for(address, "/metrics", "swarmscout_sd_incomplete{job=\"tasks\"} 1");
    // A job without any answer has no list.
    wait_for(address, "/sd", r#""job":"dead","url":"#);
    let dead = get(address, "/sd/dead");
    assert_eq!(dead.status, 503);
    assert!(dead.body.starts_with("job \"dead\": 1 of 1 sources have not answered yet\n"));
    program.signal("TERM");
    let (_, log) = program.end();
    let is_one = |line: &&str| line.contains("Targets are served without sources");
    let lines: Vec<_> = log.lines().filter(is_one).collect();
    let [line] = lines[..] else { panic!("{log}") };
    for expected in ["level=WARN", "config=tasks", "dockerswarm/1", "hosts: [manager-1, manager-2]"]
    {
        assert!(line.contains(expected), "{line}");
    }
}

/// A list of targets that is served until this is dropped.
struct List {
    server: Option<Server>,
    runtime: tokio::runtime::Runtime,
}

impl List {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let guard = runtime.enter();
        let list = r#"[{"targets": ["h:1", "h:2"], "labels": {"password": "x"}}]"#;
        let server = Server::start(Listen::Tcp, move |_| Response::json(list));
        drop(guard);
        Self { server: Some(server.expect("a free port")), runtime }
    }

    fn url(&self) -> &str {
        self.server.as_ref().expect("it runs").url()
    }
}

impl Drop for List {
    fn drop(&mut self) {
        let _guard = self.runtime.enter();
        self.server = None;
    }
}

#[test]
fn a_program_that_was_killed_serves_what_it_knew() {
    let folder = Folder::new();
    let list = List::start();
    let host = list.url().replace("http://", "http://user:s3cret@");
    folder.write(
        "prometheus.yml",
        &format!("scrape_configs: [{{job_name: web, http_sd_configs: [{{url: '{host}/list'}}]}}]"),
    );
    let flags = ["--storage.path=storage"];
    let mut program = folder.start(&flags);
    let address = program.address();
    wait_for(address, "/metrics", "swarmscout_storage_writes_total 1");
    let before = get(address, "/sd/web");
    assert!(before.body.contains("h:2"), "{before:?}");
    program.signal("KILL");
    program.wait();
    drop(list);

    let mut program = folder.start(&flags);
    let address = program.address();
    wait_for(address, "/api/v1/sources", r#""health":"down""#);
    let after = get(address, "/sd/web");
    assert_eq!((after.status, &after.body), (200, &before.body));
    assert_eq!(after.header("etag"), before.header("etag"));
    let age = after.header("x-swarmscout-oldest-source-age-seconds");
    assert!(age.is_some_and(|age| age.parse::<u64>().is_ok()), "{after:?}");
    assert_eq!(after.header("x-swarmscout-missing-sources"), None);
    let raw = get(address, "/sd/web?raw=1");
    assert!(raw.status == 200 && raw.body.contains("h:2"), "{raw:?}");
    wait_for(address, "/api/v1/sources", r#""restored":true"#);
    wait_for(address, "/metrics", "swarmscout_source_up{job=\"web\",source=\"http/0\"} 0");
    wait_for(address, "/", "2 targets from before the restart");
    program.signal("TERM");
    let (status, log) = program.end();
    assert_eq!(status.code(), Some(0), "{log}");

    for file in fs::read_dir(folder.path().join("storage")).expect("it was created") {
        let file = file.expect("a file").path();
        if file.extension().is_some_and(|extension| extension == "groups") {
            let stored = storage::read(&fs::read(file).expect("it is readable"));
            let stored = format!("{:?}", stored.expect("it is whole"));
            assert!(stored.contains("h:2") && !stored.contains("s3cret"), "{stored}");
        }
    }
}

#[test]
fn a_folder_that_cannot_be_used_is_logged_once() {
    let folder = Folder::new();
    let list = List::start();
    let jobs = |path| {
        format!("- {{job_name: '{path}', http_sd_configs: [{{url: '{}/{path}'}}]}}", list.url())
    };
    folder.write("prometheus.yml", &format!("scrape_configs:\n{}\n{}\n", jobs("a"), jobs("b")));
    folder.write("storage", "a file in its place");
    let mut program = folder.start(&["--storage.path=storage"]);
    let address = program.address();
    wait_for(address, "/metrics", "swarmscout_storage_failing_sources 2");
    for job in ["a", "b"] {
        wait_for(address, &format!("/sd/{job}"), "h:2");
    }
    program.signal("TERM");
    let (status, log) = program.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(log.matches("Cannot store targets").count(), 1, "{log}");
    assert!(log.contains("folder=storage"), "{log}");
}
