//! Start, readiness, and the end.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use super::harness::{Folder, get, request, wait_for};

const STATIC: &str =
    "scrape_configs:\n- job_name: a\n  static_configs: [{targets: ['h:1', 'h:2']}]\n";

#[test]
fn serves_the_targets_of_the_file_in_its_folder() {
    let folder = Folder::new();
    folder.write("prometheus.yml", STATIC);
    let mut program = folder.start(&[]);
    let address = program.address();

    let ready = get(address, "/-/ready");
    assert_eq!((ready.status, ready.body.trim_end()), (200, "Swarmscout is Ready."));
    assert_eq!(get(address, "/-/healthy").status, 200);
    wait_for(address, "/sd/a", r#""targets":["h:1","h:2"]"#);
    let yaml = get(address, "/api/v1/status/config").body;
    assert!(yaml.contains("job_name: a"), "{yaml}");
}

#[test]
fn ends_cleanly_on_each_signal_that_asks_for_it() {
    for signal in ["TERM", "INT"] {
        let folder = Folder::new();
        folder.write("prometheus.yml", STATIC);
        let mut program = folder.start(&[]);
        program.address();
        program.signal(signal);
        let (status, log) = program.end();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains(&format!("signal=SIG{signal}")), "{log}");
        assert!(log.ends_with("msg=Stopped"), "{log}");
    }
}

#[test]
fn a_second_signal_ends_at_once_what_the_first_left_to_finish() {
    let folder = Folder::new();
    // 20 MB: more than lies in the buffers of a connection.
    let targets: Vec<_> = (0..2000).map(|i| format!("h:{i}")).collect();
    folder.write(
        "prometheus.yml",
        &format!(
            "scrape_configs:\n- job_name: a\n  static_configs: [{{targets: {targets:?}}}]\n  \
             relabel_configs: [{{source_labels: [__address__], target_label: x, replacement: \
             '{}$1'}}]\n",
            "x".repeat(10_000)
        ),
    );
    let mut program = folder.start(&[]);
    let address = program.address();
    wait_for(address, "/sd", r#""ready":true"#);
    // An answer that is not read to its end has five seconds.
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(b"GET /sd/a HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it reads");
    stream.read_exact(&mut [0]).expect("it answers");
    program.signal("TERM");
    program.line("Received signal, shutting down");
    program.signal("TERM");
    program.line("Received a second signal, exiting immediately");
    assert_eq!(program.wait().code(), Some(1));
}

#[test]
fn quit_and_reload_over_http_are_off_unless_asked_for() {
    let folder = Folder::new();
    folder.write("prometheus.yml", STATIC);
    let mut program = folder.start(&[]);
    let address = program.address();
    for path in ["/-/quit", "/-/reload"] {
        let answer = request(address, "POST", path);
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.body.contains("--web.enable-lifecycle"), "{path}: {}", answer.body);
    }
}

#[test]
fn quits_over_http() {
    for method in ["POST", "PUT"] {
        let folder = Folder::new();
        folder.write("prometheus.yml", STATIC);
        let mut program = folder.start(&["--web.enable-lifecycle"]);
        let address = program.address();
        assert_eq!(request(address, method, "/-/quit").status, 200);
        let (status, log) = program.end();
        assert_eq!(status.code(), Some(0), "{log}");
    }
}

#[test]
fn a_taken_port_is_said_and_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound");
    let folder = Folder::new();
    folder.write("prometheus.yml", STATIC);
    let output = folder.run(&[&format!("--web.listen-address={address}")]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains(&format!("cannot listen on {address}")), "{log}");
    assert!(log.contains("--web.listen-address"), "{log}");
}

#[test]
fn listens_on_several_addresses() {
    let folder = Folder::new();
    folder.write("prometheus.yml", STATIC);
    let mut program = folder.start(&["--web.listen-address=127.0.0.1:0"]);
    let addresses = [program.address(), program.address()];
    for address in addresses {
        assert_eq!(get(address, "/-/ready").status, 200);
    }
}

#[test]
fn a_bad_file_ends_the_start_with_every_fault_and_its_place() {
    let folder = Folder::new();
    let path = folder
        .write("bad.yml", "scrape_configs:\n- job_name: a\n  scheem: http\n  metrics_pth: /m\n");
    let output = folder.run(&["--config.file", path.to_str().expect("UTF-8")]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{log}");
    assert!(log.contains("bad.yml:3:3"), "{log}");
    assert!(log.contains("scheem"), "{log}");
}

#[test]
fn a_missing_file_ends_the_start() {
    let folder = Folder::new();
    let output = folder.run(&["--config.file=nowhere.yml"]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{log}");
    assert!(log.contains("nowhere.yml: cannot read the configuration file"), "{log}");
}

#[test]
fn the_command_line_of_a_prometheus_starts_it_with_a_warning_for_each_flag() {
    let folder = Folder::new();
    folder.write("prometheus.yml", STATIC);
    let mut program = folder.start(&[
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=/prometheus",
        "--storage.tsdb.retention.time",
        "15d",
        "--no-auto-gomemlimit",
        "--log.format=json",
    ]);
    program.line("Listening on");
    let warned = |flag: &str| {
        program.log.iter().filter(|line| line.contains(&format!(r#""flag":"--{flag}""#))).count()
    };
    for flag in ["storage.tsdb.path", "storage.tsdb.retention.time", "auto-gomemlimit"] {
        assert_eq!(warned(flag), 1, "{flag}: {:#?}", program.log);
    }
}

#[test]
fn a_log_without_a_reader_does_not_end_the_program() {
    let folder = Folder::new();
    folder.write("prometheus.yml", STATIC);
    let mut program = folder.start(&["--web.enable-lifecycle"]);
    let address = program.address();
    program.close_log();
    assert_eq!(request(address, "POST", "/-/reload").status, 200);
    assert_eq!(get(address, "/-/ready").status, 200);
    program.signal("TERM");
    assert_eq!(program.wait().code(), Some(0));
}

/// A FIFO whose writer is silent is never read to its end, like a file on a network that hangs.
#[test]
fn a_file_that_hangs_holds_up_neither_the_end_nor_the_rest() {
    let folder = Folder::new();
    let fifo = folder.path().join("fifo.yml");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo is there").success());
    // Opened for both, it does not wait for a peer.
    let writer = OpenOptions::new().read(true).write(true).open(&fifo).expect("it is there");

    let mut program = folder.start(&["--config.file=fifo.yml"]);
    program.line("Loading configuration");
    program.signal("TERM");
    let (status, log) = program.end();
    assert_eq!(status.code(), Some(0), "{log}");

    let path = folder.write("prometheus.yml", STATIC);
    let mut program = folder.start(&[]);
    let address = program.address();
    std::fs::rename(&fifo, &path).expect("both are in one folder");
    program.signal("HUP");
    program.line("Loading configuration");
    wait_for(address, "/sd/a", "h:1");
    program.signal("TERM");
    let (status, log) = program.end();
    assert_eq!(status.code(), Some(0), "{log}");
    drop(writer);
}

/// An editor may truncate the file before it writes; a pipe without a writer is empty, too.
#[test]
fn an_empty_configuration_takes_nothing_away() {
    let folder = Folder::new();
    let path = folder.write("prometheus.yml", STATIC);
    let mut program = folder.start(&["--web.enable-lifecycle"]);
    let address = program.address();
    let fifo = folder.path().join("fifo.yml");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo is there").success());
    for empty in ["", "# Nothing but a comment.\n", "---\n", "~\n"] {
        folder.write("prometheus.yml", empty);
        let answer = request(address, "POST", "/-/reload");
        let expected =
            "prometheus.yml: the file is empty: write \"scrape_configs: []\" if that is meant";
        assert_eq!(answer.status, 500, "{empty:?}");
        assert!(answer.body.contains(expected), "{}", answer.body);
    }
    std::fs::rename(&fifo, &path).expect("both are in one folder");
    assert_eq!(request(address, "POST", "/-/reload").status, 500);
    wait_for(address, "/sd/a", "h:1");
    std::fs::remove_file(&path).expect("it is there");
    folder.write("prometheus.yml", "scrape_configs: []\n");
    assert_eq!(request(address, "POST", "/-/reload").status, 200);
    assert_eq!(get(address, "/sd/a").status, 404);
}
