//! Answers were recorded from Docker 20.10.24 and 29, shortened.

use expect_test::{Expect, expect};

use super::events::Parser;
use super::*;

const DETAIL: &str = r#"{"Id":"5f0c2e8f9f7d","Created":"2026-11-29T10:00:00.5Z","Path":"sh","Args":["-c","sleep 1d"],
"State":{"Status":"running","Running":true,"Paused":false,"Restarting":false,"OOMKilled":false,"Dead":false,"Pid":4711,
"ExitCode":0,"Error":"","StartedAt":"2026-11-29T10:00:01.25Z","FinishedAt":"0001-01-01T00:00:00Z",
"Health":{"Status":"healthy","FailingStreak":0,"Log":[{"Output":"secret"}]}},
"Image":"sha256:abc","Name":"/web.1.x7","RestartCount":0,"HostConfig":{"Binds":null,"NetworkMode":"default"},
"Config":{"Hostname":"x","Env":["PASSWORD=hunter2"],"Cmd":["sh"],"Image":"web:1@sha256:def","Labels":{
"com.docker.swarm.service.name":"web","left.out":"x","com.docker.swarm.task":""}},
"NetworkSettings":{"Networks":{"front":{"NetworkID":"n1","IPAddress":"172.18.0.2"},"back":{"NetworkID":"n2"}}}}"#;

#[test]
fn a_container_is_read_without_its_command_and_environment() {
    let detail = ContainerDetail::read(DETAIL.as_bytes(), |key| key != "left.out").unwrap();
    let shown = format!("{detail:#?}");
    assert!(!shown.contains("hunter2") && !shown.contains("sleep"), "{shown}");
    expect![[r#"
        ContainerDetail {
            id: "5f0c2e8f9f7d",
            name: "web.1.x7",
            image: "web:1@sha256:def",
            labels: {
                "com.docker.swarm.service.name": "web",
                "com.docker.swarm.task": "",
            },
            created: 1795946400500000,
            state: "running",
            pid: 4711,
            started: 1795946401250000,
            end: None,
            health: "healthy",
            network_mode: "default",
            networks: [
                "back",
                "front",
            ],
        }"#]]
    .assert_eq(&shown);
}

#[test]
fn the_last_end_is_read_where_there_was_one() {
    let text = r#"{"Id":"a","State":{"Status":"exited","Pid":0,"ExitCode":137,"OOMKilled":true,
        "FinishedAt":"2026-11-29T10:00:01Z"}}"#;
    let end = ContainerDetail::read(text.as_bytes(), |_| true).unwrap().end;
    let at = 1_795_946_401_000_000;
    assert_eq!(end, Some(ContainerEnd { at, exit_code: 137, out_of_memory: true }));
}

#[track_caller]
fn check_events(pieces: &[&str], expected: &Expect) {
    let mut parser = Parser::new(|key| !key.starts_with("left.out"));
    for piece in pieces {
        parser.push(piece.as_bytes()).unwrap();
    }
    let lines: Vec<_> = parser
        .ready
        .iter()
        .map(|event| {
            let Some(ContainerEvent { id, action, attributes, time_nano }) = event else {
                return "too large\n".to_owned();
            };
            format!("{id} {action:?} {attributes:?} {time_nano}\n")
        })
        .collect();
    expected.assert_eq(&lines.concat());
}

#[test]
fn events_are_read_across_pieces() {
    check_events(
        &[
            r#"{"Type":"container","Action":"start","Actor":{"ID":"a","Attributes":{"image":"i","na"#,
            "me\":\"n\"}},\"scope\":\"local\",\"timeNano\":1}\n",
            r#"{"Type":"container","Action":"die","Actor":{"ID":"a","Attributes":{"exitCode":"137"}},"timeNano":2}
               {"Type":"container","Action":"die","Actor":{"ID":"a","Attributes":{"exitCode":"x"}},"timeNano":3}
               {"Type":"container","Action":"oom","Actor":{"ID":"a"},"timeNano":4}
               {"Type":"container","Action":"health_status: unhealthy","Actor":{"ID":"a"}}
               {"Type":"network","Action":"connect","Actor":{"ID":"n","Attributes":{"container":"a","name":"front"}}}
               {"Type":"container","Action":"destroy","Actor":{"ID":"a"}}"#,
        ],
        &expect![[r#"
            a Changed [("image", "i"), ("name", "n")] 1
            a Died { exit_code: Some(137) } [("exitCode", "137")] 2
            a Died { exit_code: None } [("exitCode", "x")] 3
            a OutOfMemory [] 4
            a Changed [] 0
            a Changed [("container", "a"), ("name", "front")] 0
            a Removed [] 0
        "#]],
    );
}

#[test]
fn what_is_no_event_of_a_container_is_left_out() {
    check_events(
        &[
            r#"{"Type":"network","Action":"connect","Actor":{"ID":"n"}}"#,
            r#"{"Type":"network","Action":"create","Actor":{"ID":"n","Attributes":{"name":"n"}}}"#,
            r#"{"Type":"container","Action":"exec_start: sh","Actor":{"ID":"a"}}"#,
            r#"{"Type":"container","Action":"die","Actor":{}}"#,
            r#"{"Type":"container","Action":"die","Actor":7}"#,
        ],
        &expect![""],
    );
}

#[test]
fn labels_hide_no_exit_code_and_events_that_are_too_large_are_reported_once() {
    let event = |labels: &str| {
        let attributes = format!(r#"{labels}"exitCode":"9","name":"n""#);
        format!(
            r#"{{"Type":"container","Action":"die","Actor":{{"ID":"a","Attributes":{{{attributes}}}}}}}"#
        )
    };
    let many: Vec<_> = (0..2000).map(|n| format!(r#""left.out.{n}":"x","#)).collect();
    let (long, too_long) = ("x".repeat(1_000_000), "x".repeat(1 << 20));
    let (long, too_long) = (format!(r#""left.out":"{long}","#), format!(r#""b":"{too_long}","#));
    check_events(
        &[&event(&many.concat()), &event(&long), &event(&too_long), &event(&too_long), &event("")],
        &expect![[r#"
            a Died { exit_code: Some(9) } [("exitCode", "9"), ("name", "n")] 0
            a Died { exit_code: Some(9) } [("exitCode", "9"), ("name", "n")] 0
            too large
            a Died { exit_code: Some(9) } [("exitCode", "9"), ("name", "n")] 0
        "#]],
    );
}

#[test]
fn the_use_of_the_disk_is_read() {
    let text = r#"{"LayersSize":1000,"Images":[{"Id":"i","Size":900,"Containers":2},{"Id":"j","Containers":0}],
        "Containers":null,"Volumes":[
            {"Name":"data","Labels":{"com.docker.stack.namespace":"blog"},"UsageData":{"Size":77,"RefCount":1}},
            {"Name":"other","Labels":{"com.docker.compose.project":"c"},"UsageData":{"Size":-1,"RefCount":-1}},
            {"Name":"plain","Labels":null,"UsageData":null}],
        "BuildCache":[{"ID":"x","Size":5,"Shared":false},{"ID":"y","Size":6,"Shared":true}]}"#;
    let volume = |name: &str, stack: &str, bytes| VolumeUsage {
        name: name.to_owned(),
        stack: stack.to_owned(),
        bytes,
    };
    assert_eq!(
        DiskUsage::read(text.as_bytes()).unwrap(),
        DiskUsage {
            images: ImageUsage { bytes: 1000, count: 2, unused: 1 },
            volumes: vec![
                volume("data", "blog", Some(77)),
                volume("other", "c", None),
                volume("plain", "", None)
            ],
            build_cache: BuildCache { bytes: 5, count: 2 },
        }
    );
}

#[test]
fn an_id_is_nothing_but_hexadecimal_digits() {
    for (id, expected) in [
        ("5f0c2e8f9f7d", true),
        ("", false),
        ("../info", false),
        ("a b", false),
        ("5f0c?x=1", false),
        (&*"a".repeat(65), false),
    ] {
        assert_eq!(is_id(id), expected, "{id}");
    }
}
