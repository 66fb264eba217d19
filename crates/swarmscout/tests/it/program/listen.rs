//! Where the web server listens: unix sockets, and the socket for own health checks.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::process::Command;

use super::harness::{Folder, Program, get, request_to_socket};

const STATIC: &str =
    "scrape_configs:\n- job_name: a\n  static_configs: [{targets: ['h:1', 'h:2']}]\n";

fn start(folder: &Folder, args: &[&str]) -> Program {
    folder.write("prometheus.yml", STATIC);
    Program::spawn(folder.command().args(args))
}

/// What a command writes to both outputs, and whether it succeeded.
fn run(folder: &Folder, args: &[&str]) -> (bool, String) {
    let output = folder.run(args);
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn serves_on_a_unix_socket_beside_a_port() {
    let folder = Folder::new();
    let path = folder.path().join("s.sock");
    // One that a program has left there, as after SIGKILL.
    drop(UnixListener::bind(&path).expect("the folder can be written to"));
    let url = format!("unix://{}", path.display());
    let mut program = start(
        &folder,
        &[
            &format!("--web.listen-address={url}"),
            "--web.listen-address=127.0.0.1:0",
            "--web.enable-lifecycle",
            "--web.route-prefix=/p",
        ],
    );
    let line = program.line("Listening on");
    assert!(line.ends_with(&format!("address={url}")), "{line}");
    let address = program.address();
    let file = std::fs::symlink_metadata(&path).expect("the socket is there");
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o660);

    // Any Host is good here, but not on a port of loopback.
    let answer = request_to_socket(&path, "GET /p/sd HTTP/1.0\r\nHost: any.example\r\n\r\n");
    assert_eq!(answer.status, 200, "{answer:?}");
    let reload = "POST /p/-/reload HTTP/1.0\r\nHost: any.example\r\n\r\n";
    assert_eq!(request_to_socket(&path, reload).status, 200);
    assert_eq!(get(address, "/p/sd").status, 200);

    let (healthy, said) = run(&folder, &["check", "healthy", &format!("--url={url}:/p")]);
    assert!(healthy, "{said}");
    let (_, said) = run(&folder, &["status", &format!("--url={url}:/p")]);
    assert!(said.starts_with("OK  2 targets"), "{said}");

    // Another program with the same socket.
    let (started, log) = run(&folder, &[&format!("--web.listen-address={url}")]);
    assert!(!started && log.contains(&format!("cannot listen on {url}: another program")), "{log}");

    program.signal("TERM");
    let (status, log) = program.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!path.exists());
    let (healthy, said) = run(&folder, &["check", "healthy", &format!("--url={url}:/p")]);
    let expected = "no such socket: a Swarmscout with --web.listen-address=unix:///… creates it";
    assert!(!healthy && said.contains(expected), "{said}");
}

/// The commands trust a program of their own user and of root, the program commands of the same. Only
/// root can run programs of other users. Nothing listens on 127.0.0.1 by TCP.
#[test]
#[cfg(target_os = "linux")]
fn own_health_checks_are_between_programs_that_trust_each_other() {
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::process::CommandExt as _;

    let owner = std::fs::metadata("/proc/self").expect("/proc is mounted").uid();
    if owner != 0 {
        return;
    }
    let [root, one, other] = [0, 65_534, 65_533];
    let folder = Folder::new();
    folder.write("prometheus.yml", STATIC);
    // Where each user can run it.
    let program = folder.path().join("program");
    std::fs::copy(env!("CARGO_BIN_EXE_swarmscout"), &program).expect("there is room");
    let command = |user: u32| {
        let mut command = Command::new(&program);
        command.current_dir(folder.path()).env_clear().uid(user).gid(user);
        command
    };
    for (owner, answered) in [(one, [false, true, false]), (root, [true, false, false])] {
        let mut running = Program::spawn(command(owner).args(["--web.listen-address=127.0.0.2:0"]));
        let url = format!("--url=http://127.0.0.1:{}", running.address().port());
        for (user, answered) in [root, one, other].into_iter().zip(answered) {
            let output = command(user).args(["check", "ready", &url]).output().expect("it runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), answered, "{user} asks {owner}: {said}");
            assert!(answered || said.contains("connection refused"), "{said}");
        }
    }
}

/// Nothing listens on 127.0.0.1 by TCP, so only the socket for own health checks can answer.
#[test]
#[cfg(target_os = "linux")]
fn own_health_checks_need_no_way_through_the_web_server() {
    let folder = Folder::new();
    let mut program = start(&folder, &["--web.listen-address=127.0.0.2:0"]);
    let port = program.address().port();
    let url = format!("--url=http://127.0.0.1:{port}");
    for (check, expected) in [("healthy", "Swarmscout is Healthy."), ("ready", "is Ready.")] {
        let (success, said) = run(&folder, &["check", check, &url]);
        assert!(success && said.contains(expected), "{said}");
    }
    // With a file the caller wants to know whether the web server answers.
    folder.write("http.yml", "basic_auth: {username: a, password: b}\n");
    let (success, said) = run(&folder, &["check", "ready", &url, "--http.config.file=http.yml"]);
    assert!(!success && said.contains("connection refused"), "{said}");
    let (success, _) = run(&folder, &["status", &url]);
    assert!(!success);
}
