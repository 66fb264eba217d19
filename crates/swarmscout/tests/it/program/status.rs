//! `swarmscout status`.

use std::io::{Read, Write};
use std::net::TcpListener;

use expect_test::expect;

use super::harness::{Folder, Program, transcript};

#[test]
fn the_demo_is_summed_up_in_one_line() {
    let folder = Folder::new();
    let (_demo, address) = folder.demo("1h");
    let url = format!("--url=http://{address}");

    let output = folder.run(&["status", &url]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(
        lines[0],
        "9 of 9 nodes ready, 6 of 7 services as wanted, 25 of 26 targets reachable: 1 error, 1 warning"
    );
    assert!(lines[1].contains("3 of 3 managers reachable, leader manager-1"), "{stdout}");
    let error = "ERROR    service shop_report: 0 of 1 tasks run: no node satisfies the constraint";
    let warning = "WARNING  service shop_mail: 1 target cannot be reached: the scraper shares no";
    for start in [error, warning] {
        assert!(lines.iter().any(|line| line.starts_with(start)), "{stdout}");
    }
    let next = format!("next: swarmscout explain {url} service/shop_report shows more of it;");
    assert!(lines.last().is_some_and(|line| line.starts_with(&next)), "{stdout}");

    let output = folder.run(&["status", &url, "--format=json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["health"], lines[0]);
    assert!(report["lastDoctor"].is_null(), "{report}");

    // Afterwards, it is known which targets answer.
    folder.run(&["doctor", &url]);
    let output = folder.run(&["status", &url]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains(" ago, 20 targets probed, 19 of them up: http://"), "{stdout}");
}

#[test]
fn the_jobs_of_a_file_need_no_server() {
    let folder = Folder::new();
    folder.write(
        "good.yml",
        "scrape_configs: [{job_name: a, static_configs: [{targets: ['h:1']}]}]\n",
    );
    expect![[r"
        exit code 0
        --- stdout
        OK  1 target

        next: swarmscout doctor --config.file=good.yml probes the targets
        --- stderr
    "]]
    .assert_eq(&transcript(&folder, &folder.run(&["status", "--config.file=good.yml"])));
    expect![[r#"
        exit code 2
        --- stdout
        --- stderr
        cannot show the status: cannot load the file: none.yml: cannot read the configuration file: no such file
    "#]]
    .assert_eq(&transcript(&folder, &folder.run(&["status", "--config.file=none.yml"])));
}

/// A report that has only its line of health.
fn report(health: &str) -> String {
    format!(
        r#"{{"health": {health:?}, "swarms": [], "classicNodes": null, "otherSources": [],
            "sources": {{"up": 1, "failing": 0, "waiting": 0}}, "lastDoctor": null, "findings": [],
            "targets": {{"active": 1, "unreachable": 0, "dropped": 0, "refused": 0, "duplicates": 0}}}}"#
    )
}

/// Gives one answer to each request.
fn serve(listener: &TcpListener, answers: &[(&str, String)]) {
    for (status, body) in answers {
        let (mut client, _) = listener.accept().expect("it listens");
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|read| read > 0) {
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"GET /api/v1/"), "{head:?}");
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}");
        write!(client, "{head}\r\n\r\n{body}").expect("it reads");
    }
}

#[test]
fn a_watch_shows_each_change_and_survives_its_server() {
    let good = |health: &str| {
        ("200 OK", format!(r#"{{"status": "success", "data": {}}}"#, report(health)))
    };
    let answers = [
        good("OK  one"),
        good("OK  one"),
        ("503 Service Unavailable", "Service Unavailable\n".to_owned()),
        good("OK  one"),
        ("200 OK", r#"{"status": "success", "data": {"health": 1}}"#.to_owned()),
        good("OK  two"),
    ];
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let folder = Folder::new();
    let mut command = folder.command();
    let mut watch = std::thread::scope(|scope| {
        scope.spawn(|| serve(&listener, &answers));
        Program::spawn(command.args(["status", "--watch=100ms", "--url", &address]))
    });
    drop(listener);
    watch.line("connection refused");
    watch.signal("INT");
    let (status, log) = watch.end();
    assert_eq!(status.code(), Some(2), "the server has gone: {log}");
    let is_stable = |line: &&str| !line.is_empty() && !line.starts_with("next:");
    let shown = log.lines().filter(is_stable).map(|line| {
        let line = if line.starts_with("--- 20") { "--- TIME" } else { line };
        line.replace(&address, "ADDRESS")
    });
    expect![[r#"
        --- TIME
        OK  one
        --- TIME
        cannot show the status: http://ADDRESS answers 503 Service Unavailable: it starts or stops: ask again
        --- TIME
        OK  one
        --- TIME
        cannot show the status: http://ADDRESS does not answer as this version of Swarmscout: invalid type: integer `1`, expected a string at line 1 column 42; if Swarmscout runs elsewhere, give its --url; to ask the Swarm without a running Swarmscout, give --config.file
        --- TIME
        OK  two
        --- TIME
        cannot show the status: cannot connect to ADDRESS: connection refused; if Swarmscout runs elsewhere, give its --url; to ask the Swarm without a running Swarmscout, give --config.file"#]].assert_eq(&shown.collect::<Vec<_>>().join("\n"));
}

#[test]
fn an_older_server_is_said_to_be_one() {
    let folder = Folder::new();
    let missing = ("404 Not Found", r#"{"status": "error", "error": "no path"}"#.to_owned());
    // Only a second request shows whether the object or the path is missing.
    for (args, requests) in [(&["status"][..], 1), (&["explain", "web"], 2)] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("--url=http://{}", listener.local_addr().expect("it is bound"));
        let output = std::thread::scope(|scope| {
            scope.spawn(|| serve(&listener, &vec![missing.clone(); requests]));
            folder.run(&[args, &[&url]].concat())
        });
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("it is not a Swarmscout of this version"), "{stderr}");
    }
}
