//! A service of systemd, which the test plays.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::harness::{DEADLINE, Folder, Program, get, request, request_to_socket, wait_for};

const STATIC: &str =
    "scrape_configs:\n- job_name: a\n  static_configs: [{targets: ['h:1', 'h:2']}]\n";

/// The next message that holds `text`.
fn receive(socket: &UnixDatagram, text: &str) -> String {
    let mut buffer = [0; 4096];
    let until = Instant::now() + DEADLINE;
    loop {
        assert!(Instant::now() < until, "no {text:?}");
        let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let message = std::str::from_utf8(&buffer[..length]).expect("it is text");
        if message.contains(text) {
            return message.to_owned();
        }
    }
}

#[test]
fn systemd_is_notified_of_each_step_at_paths_and_abstract_names() {
    let name = format!("swarmscout-test-{}", std::process::id());
    for abstract_name in [true, false] {
        let folder = Folder::new();
        folder.write("prometheus.yml", STATIC);
        let (address, socket) = if abstract_name {
            (SocketAddr::from_abstract_name(&name).expect("a name"), format!("@{name}"))
        } else {
            let path = folder.path().join("notify");
            (SocketAddr::from_pathname(&path).expect("a path"), path.display().to_string())
        };
        let systemd = UnixDatagram::bind_addr(&address).expect("the name is free");
        systemd.set_read_timeout(Some(DEADLINE)).expect("a deadline can be set");
        let mut command = folder.command();
        command.args(["--web.listen-address=127.0.0.1:0", "--web.enable-lifecycle"]);
        command.env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", "100000");
        let mut program = Program::spawn(&mut command);

        receive(&systemd, "READY=1\nSTATUS=");
        // It answers now.
        let address = program.address();
        assert_eq!(get(address, "/-/ready").status, 200);
        for _ in 0..3 {
            receive(&systemd, "WATCHDOG=1");
        }
        wait_for(address, "/sd/a", "h:1");

        program.signal("HUP");
        receive(&systemd, "RELOADING=1\nMONOTONIC_USEC=");
        receive(&systemd, "READY=1\nSTATUS=1 job, 2 targets");
        folder.write("prometheus.yml", "scrape_configs: [{}]\n");
        assert_eq!(request(address, "POST", "/-/reload").status, 500);
        receive(&systemd, "RELOADING=1");
        let ready = receive(&systemd, "READY=1");
        assert!(ready.contains("2 targets; the last reload failed: prometheus.yml:1:"), "{ready}");

        program.signal("TERM");
        receive(&systemd, "STOPPING=1");
        let (status, log) = program.end();
        assert_eq!(status.code(), Some(0), "{log}");
    }
}

/// The program with `passed` as its file descriptor 3, as systemd starts it.
fn activated(folder: &Folder, passed: impl Into<OwnedFd>) -> Program {
    let program = folder.command();
    let mut command = Command::new("sh");
    let script = r#"LISTEN_PID=$$ exec "$@" 3<&0 </dev/null"#;
    command.args(["-c", script, "sh"]).arg(program.get_program());
    command.args(["--web.systemd-socket", "--web.listen-address=127.0.0.1:1"]);
    command.current_dir(folder.path()).env_clear().env("LISTEN_FDS", "1");
    command.stdin(Stdio::from(passed.into()));
    Program::spawn(&mut command)
}

#[test]
fn takes_over_a_socket_of_systemd() {
    let folder = Folder::new();
    folder.write("prometheus.yml", STATIC);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let mut program = activated(&folder, listener);
    assert_eq!(program.address(), address);
    wait_for(address, "/sd/a", "h:1");
}

#[test]
fn takes_over_a_unix_socket_of_systemd_and_leaves_its_file() {
    let folder = Folder::new();
    folder.write("prometheus.yml", STATIC);
    let path = folder.path().join("s.sock");
    let listener = UnixListener::bind(&path).expect("the folder can be written to");
    let mut program = activated(&folder, listener);
    let line = program.line("Listening on");
    assert!(line.ends_with(&format!("address=unix://{}", path.display())), "{line}");
    let request = "GET /-/healthy HTTP/1.0\r\n\r\n";
    assert_eq!(request_to_socket(&path, request).status, 200);
    program.signal("TERM");
    assert_eq!(program.end().0.code(), Some(0));
    assert!(path.exists());
}

#[test]
fn says_that_systemd_has_passed_no_socket() {
    let folder = Folder::new();
    folder.write("prometheus.yml", STATIC);
    let output = folder.run(&["--web.systemd-socket"]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("systemd has passed no socket"), "{log}");
}
