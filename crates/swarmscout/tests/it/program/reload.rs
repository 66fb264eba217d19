//! Reload, by signal and over HTTP.

use std::net::SocketAddr;

use super::harness::{Folder, Program, get, request, wait_for};

fn job(name: &str, target: &str) -> String {
    format!("- job_name: {name}\n  static_configs: [{{targets: ['{target}']}}]\n")
}

fn file(jobs: &[String]) -> String {
    format!("scrape_configs:\n{}", jobs.concat())
}

fn start(folder: &Folder) -> (Program, SocketAddr) {
    folder.write("prometheus.yml", &file(&[job("kept", "k:1"), job("old", "o:1")]));
    let mut program = folder.start(&["--web.enable-lifecycle"]);
    let address = program.address();
    (program, address)
}

fn metric(address: SocketAddr, name: &str) -> String {
    let metrics = get(address, "/metrics").body;
    let line = metrics.lines().find(|line| line.starts_with(name));
    line.unwrap_or_else(|| panic!("no {name} in:\n{metrics}")).to_owned()
}

/// The jobs that are served, whatever their order.
fn jobs(address: SocketAddr) -> Vec<String> {
    let sd: serde_json::Value = serde_json::from_str(&get(address, "/sd").body).expect("JSON");
    let jobs = sd.as_array().expect("a list").iter();
    jobs.map(|job| job["job"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn a_good_file_is_taken_over_on_sighup_and_over_http() {
    let folder = Folder::new();
    let (mut program, address) = start(&folder);
    assert_eq!(jobs(address), ["kept", "old"]);

    folder.write("prometheus.yml", &file(&[job("kept", "k:1"), job("new", "n:1")]));
    program.signal("HUP");
    program.line("Loaded configuration");
    // The line is written just before the jobs are replaced; the next reload answers after that.
    let answer = request(address, "POST", "/-/reload");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(jobs(address), ["kept", "new"]);
    wait_for(address, "/sd/new", "n:1");
    assert_eq!(get(address, "/sd/old").status, 404);

    folder.write("prometheus.yml", &file(&[job("kept", "k:1")]));
    assert_eq!(request(address, "PUT", "/-/reload").status, 200);
    assert_eq!(jobs(address), ["kept"]);
}

#[test]
fn a_bad_file_changes_nothing_and_is_reported_everywhere() {
    let folder = Folder::new();
    let (mut program, address) = start(&folder);
    assert_eq!(
        metric(address, "prometheus_config_last_reload_successful "),
        "prometheus_config_last_reload_successful 1.0"
    );

    folder.write("prometheus.yml", "scrape_configs:\n- job_name: kept\n  unknown_key: 1\n");
    let answer = request(address, "POST", "/-/reload");
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("prometheus.yml:3:3"), "{}", answer.body);
    let line = program.line("Reload failed");
    assert!(line.contains("level=ERROR") && line.contains("unknown_key"), "{line}");
    assert_eq!(
        metric(address, "prometheus_config_last_reload_successful "),
        "prometheus_config_last_reload_successful 0.0"
    );
    let runtime = get(address, "/api/v1/status/runtimeinfo").body;
    assert!(runtime.contains(r#""reloadConfigSuccess":false"#), "{runtime}");
    assert_eq!(jobs(address), ["kept", "old"]);
    wait_for(address, "/sd/old", "o:1");

    // The same by signal, and nothing changes.
    program.signal("HUP");
    program.line("Reload failed");
    folder.write("prometheus.yml", &file(&[job("old", "o:2")]));
    assert_eq!(request(address, "POST", "/-/reload").status, 200);
    assert_eq!(
        metric(address, "prometheus_config_last_reload_successful "),
        "prometheus_config_last_reload_successful 1.0"
    );
    assert_eq!(jobs(address), ["old"]);
    wait_for(address, "/sd/old", "o:2");
}

/// A mounted configuration is replaced this way: a link beside the files points elsewhere.
fn link(folder: &Folder, to: &str) {
    let new = folder.path().join("..new");
    std::os::unix::fs::symlink(to, &new).expect("the link is new");
    std::fs::rename(new, folder.path().join("..data")).expect("both are in one folder");
}

#[test]
fn changed_files_are_taken_over_if_asked_for() {
    let folder = Folder::new();
    for (version, text) in [
        ("..1", file(&[job("a", "a:1")])),
        ("..2", file(&[job("a", "a:2")]) + "scrape_config_files: [../more/*.yml]\n"),
    ] {
        std::fs::create_dir(folder.path().join(version)).expect("the folder is new");
        folder.write(&format!("{version}/prometheus.yml"), &text);
    }
    std::fs::create_dir(folder.path().join("more")).expect("the folder is new");
    link(&folder, "..1");
    let mut program = folder.start(&[
        "--config.file=..data/prometheus.yml",
        "--config.auto-reload",
        "--config.auto-reload-interval=1s",
    ]);
    let address = program.address();
    wait_for(address, "/sd/a", "a:1");
    link(&folder, "..2");
    wait_for(address, "/sd/a", "a:2");
    // A file that is named there changes, though the naming file stays as it is.
    folder.write("more/b.yml", &file(&[job("b", "b:1")]));
    wait_for(address, "/sd/b", "b:1");

    // A bad one is reported once, and changes nothing.
    folder.write("more/b.yml", "scrape_configs: [{}]\n");
    program.line("Reload failed");
    wait_for(address, "/metrics", "prometheus_config_last_reload_successful 0.0");
    assert_eq!(jobs(address), ["a", "b"]);
    folder.write("more/b.yml", &file(&[job("b", "b:2")]));
    wait_for(address, "/sd/b", "b:2");
    wait_for(address, "/metrics", "prometheus_config_last_reload_successful 1.0");
    program.signal("TERM");
    let (status, log) = program.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(log.matches("Reload failed").count(), 1, "{log}");
}

#[test]
fn warnings_of_the_file_are_logged_at_the_start_and_at_each_reload() {
    let folder = Folder::new();
    folder.write("prometheus.yml", "remote_write:\n- url: http://localhost:1/write\n");
    let mut program = folder.start(&["--web.enable-lifecycle"]);
    let address = program.address();
    let warnings = |log: &[String]| log.iter().filter(|line| line.contains("remote_write")).count();
    assert_eq!(warnings(&program.log), 1, "{:#?}", program.log);
    assert_eq!(request(address, "POST", "/-/reload").status, 200);
    program.line("Loaded configuration");
    assert_eq!(warnings(&program.log), 2, "{:#?}", program.log);
}

#[test]
fn many_reloads_at_once_are_all_answered() {
    let folder = Folder::new();
    let (program, address) = start(&folder);
    std::thread::scope(|scope| {
        let reload = || request(address, "POST", "/-/reload").status;
        let all: Vec<_> = (0..20).map(|_| scope.spawn(reload)).collect();
        for one in all {
            assert_eq!(one.join().expect("it does not panic"), 200);
        }
    });
    assert_eq!(jobs(address), ["kept", "old"]);
    program.signal("TERM");
    let (status, log) = program.end();
    assert_eq!(status.code(), Some(0), "{log}");
    let loads = log.matches("msg=\"Loaded configuration\"").count();
    assert!((2..=21).contains(&loads), "{loads} loads:\n{log}");
}
