use expect_test::{Expect, expect};
use swarmscout_diagnose::report::Finding;
use swarmscout_diagnose::status::{
    LastDoctor, ManagerCounts, RunningTasks, SourceCounts, TargetTotals,
};

use super::*;
use crate::diagnose::page::Size;

fn finding(severity: Severity, subject: &str, problem: &str) -> Finding {
    Finding {
        severity,
        check: "check".to_owned(),
        subject: subject.to_owned(),
        problem: problem.to_owned(),
        fix: "do something".to_owned(),
        targets: 1,
        examples: Vec::new(),
    }
}

/// A Swarm of three managers, and a classic Swarm.
fn report(health: &str, findings: Vec<Finding>) -> StatusReport {
    StatusReport {
        health: health.to_owned(),
        swarms: vec![SwarmHealth {
            swarm: "unix:///d.sock".to_owned(),
            nodes: None,
            managers: Some(ManagerCounts { reachable: 3, all: 3, leader: "pi1".to_owned() }),
            services: None,
            tasks: Some(RunningTasks { running: 11, wanted: 12 }),
            feed: "watch".to_owned(),
            feed_reason: String::new(),
            age_seconds: Some(0.4),
        }],
        classic_nodes: None,
        sources: SourceCounts { up: 2, failing: 0, waiting: 0 },
        other_sources: vec![OtherSource {
            mechanism: "swarm".to_owned(),
            name: "tcp://10.0.0.1:2375".to_owned(),
            state: SourceState::Up,
            targets: 3,
            age_seconds: Some(180.0),
        }],
        targets: TargetTotals { active: 51, dropped: 12, ..TargetTotals::default() },
        findings,
        last_doctor: None,
    }
}

fn check(report: &StatusReport, next: &Next, size: Option<(usize, usize)>, expected: &Expect) {
    let size = size.map(|(columns, rows)| Size { columns, rows });
    let rows = rows(report, next, Window { size, ..Window::default() }, 0);
    expected.assert_eq(&format!("{}\n", rows.join("\n")));
}

#[test]
fn without_a_finding_the_next_command_probes_the_targets() {
    let mut report = report("OK  5 nodes, 38 services, 51 targets", Vec::new());
    check(
        &report,
        &Next::default(),
        None,
        &expect![[r#"
        OK  5 nodes, 38 services, 51 targets
        Swarm unix:///d.sock: 3 of 3 managers reachable, leader pi1, 11 of 12 tasks run, changes by watch, confirmed 0 s ago
        source swarm tcp://10.0.0.1:2375: 3 targets, confirmed 3 min ago
        targets: 51 listed, 12 dropped by rules

        next: swarmscout doctor probes the targets
    "#]],
    );

    report.last_doctor = Some(LastDoctor { age_seconds: 12.0, probed: 51, up: 44, guarded: 0 });
    let next = Next { flags: String::new(), url: Some("http://h:9465".to_owned()) };
    assert_eq!(
        next.of(&report),
        "next: doctor ran 12 s ago, 51 targets probed, 44 of them up: http://h:9465/api/v1/doctor"
    );
}

#[test]
fn a_finding_is_shown_as_by_doctor_and_explained_next() {
    let findings = vec![
        finding(Severity::Error, "service a;reboot", "no task runs \u{1b}[2J"),
        finding(Severity::Warning, "node pi4", "it is down"),
        finding(Severity::Note, "service b", "it is small"),
    ];
    let report = report("4 of 5 nodes ready, 51 targets: 1 error, 1 warning", findings);
    let next = Next { flags: " --url=http://h:1".to_owned(), url: None };
    check(
        &report,
        &next,
        None,
        &expect![[r#"
        4 of 5 nodes ready, 51 targets: 1 error, 1 warning
        Swarm unix:///d.sock: 3 of 3 managers reachable, leader pi1, 11 of 12 tasks run, changes by watch, confirmed 0 s ago
        source swarm tcp://10.0.0.1:2375: 3 targets, confirmed 3 min ago
        targets: 51 listed, 12 dropped by rules

        ERROR    service a;reboot: no task runs \u{1b}[2J
                 fix: do something
        WARNING  node pi4: it is down
                 fix: do something
        NOTE     service b: it is small
                 fix: do something

        next: swarmscout explain --url=http://h:1 node/pi4 shows more of it; swarmscout doctor --url=http://h:1 probes the targets
    "#]],
    );
}

#[test]
fn a_window_shows_as_many_findings_as_fit() {
    let number = |number| finding(Severity::Error, &format!("service s{number}"), "no task runs");
    let report = report("51 targets: 9 errors", (1..=9).map(number).collect());
    check(
        &report,
        &Next::default(),
        Some((80, 16)),
        &expect![[r#"
        51 targets: 9 errors
        Swarm unix:///d.sock: 3 of 3 managers reachable, leader pi1, 11 of 12 tasks run,
        changes by watch, confirmed 0 s ago
        source swarm tcp://10.0.0.1:2375: 3 targets, confirmed 3 min ago
        targets: 51 listed, 12 dropped by rules

        ERROR    service s1: no task runs
                 fix: do something
        ERROR    service s2: no task runs
                 fix: do something
        and 7 more: --format=json has all

        next: swarmscout explain service/s1 shows more of it; swarmscout doctor probes
        the targets
    "#]],
    );
    // So small that the details and all findings but the first give way.
    check(
        &report,
        &Next::default(),
        Some((40, 5)),
        &expect![[r#"
        51 targets: 9 errors

        ERROR    service s1: no task runs
                 fix: do something
        and 8 more: --format=json has all

        next: swarmscout explain service/s1
        shows more of it; swarmscout doctor
        probes the targets
    "#]],
    );
    let large = Window { size: Some(Size { columns: 80, rows: 100 }), ..Window::default() };
    assert_eq!(rows(&report, &Next::default(), large, 0).len(), 1 + 4 + 1 + 2 * 9 + 3);
}

#[test]
fn the_next_command_has_the_flags_of_this_one() {
    let of = |args: &[&str]| {
        let args = [&["swarmscout", "status"], args].concat();
        let cli = crate::cli::parse(args.into_iter().map(Into::into)).unwrap();
        let Some(crate::cli::Command::Status(args)) = cli.command else { panic!("{cli:?}") };
        Next::new(
            &args.server,
            &Origin::Server(Box::new(Server::new(&args.server.endpoint, "").unwrap())),
        )
    };
    let next = of(&["--url=http://u:secret@h:1/p/"]);
    assert_eq!(next.flags, " --url=http://u:xxxxx@h:1/p/");
    assert_eq!(next.url.as_deref(), Some("http://u:xxxxx@h:1/p"));
    assert_eq!(of(&[]).flags, "");
    assert_eq!(of(&["--config.file=my file.yml"]).flags, " --config.file='my file.yml'");
}

#[test]
fn an_age_is_in_its_largest_unit() {
    let ages = [0.04, 119.0, 120.0, 7199.0, 7200.0, 1e6].map(age);
    assert_eq!(ages, ["0 s", "119 s", "2 min", "120 min", "2 h", "278 h"]);
}
