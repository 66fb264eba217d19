use std::time::Duration;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use swarmscout_net::{ClientOptions, Host, HttpConfig, ReadClient};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::*;
use crate::engine::ApiVersion;
use crate::engine::client::Session;

const MANAGER: &[u8] = include_bytes!("../../../tests/fixtures/events/manager.json");
const WORKER: &[u8] = include_bytes!("../../../tests/fixtures/events/worker.json");

type Parsed = Result<(Vec<Event>, Vec<Problem>), ScanError>;

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Parsed {
    let mut parser = EventParser::default();
    for piece in pieces {
        parser.push(piece)?;
    }
    Ok((parser.take_events(), parser.take_problems()))
}

/// One line for each event and each problem.
fn shown(parsed: Parsed) -> String {
    let (events, problems) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return error.to_string(),
    };
    let mut lines = Vec::new();
    for Event { kind, action, id, service, node, time_nano } in events {
        let of = |name: &str, id: Option<Arc<str>>| id.map(|id| format!(" {name} {id}"));
        let service = of("of", service).unwrap_or_default();
        let node = of("on", node).unwrap_or_default();
        let id = &id[..id.len().min(25)];
        lines.push(format!("{kind:?} {action:?} {id}{service}{node} {time_nano}"));
    }
    lines.extend(problems.iter().map(|p| format!("{}: {} {}", p.reason, p.object, p.detail)));
    lines.join("\n")
}

#[track_caller]
fn check(text: &str, expected: &Expect) {
    expected.assert_eq(&shown(read([text.as_bytes()])));
}

#[test]
fn what_engines_sent_is_read() {
    let counts = |text: &[u8]| {
        let (events, problems) = read([text]).unwrap();
        assert_eq!(problems, []);
        let mut counts = std::collections::BTreeMap::new();
        for event in &events {
            assert_eq!(event.service.is_some(), event.node.is_some(), "{event:?}");
            assert!(event.time_nano > 1_700_000_000_000_000_000, "{event:?}");
            *counts.entry((event.kind, event.action)).or_insert(0) += 1;
        }
        let lines = counts.iter().map(|((kind, action), n)| format!("{n} {kind:?} {action:?}"));
        lines.collect::<Vec<_>>().join("\n")
    };
    expect![[r#"
        1 Service Create
        6 Service Update
        1 Service Remove
        18 Node Update
        1 Network Create
        1 Network Update
        1 Network Remove
        4 Container Create
        3 Container Remove
        7 Container Other"#]]
    .assert_eq(&counts(MANAGER));
    expect![[r#"
        2 Network Remove
        2 Container Create
        15 Container Remove
        9 Container Other"#]]
    .assert_eq(&counts(WORKER));
}

#[test]
fn events_are_distinguished() {
    check(
        r#"{"Type":"node","Action":"update","Actor":{"ID":"n1","Attributes":{"name":"a","state.new":"down"}},"scope":"swarm","time":1,"timeNano":1000000005}
{"status":"start","id":"c1","from":"i","Type":"container","Action":"start","Actor":{"ID":"c1","Attributes":{"com.docker.swarm.node.id":"n1","com.docker.swarm.service.id":"s1","x":{"y":[]}}},"timeNano":7}
{"Type":"container","Action":"die","Actor":{"ID":"c2","Attributes":null},"timeNano":8}"#,
        &expect![[r#"
            Node Update n1 1000000005
            Container Other c1 of s1 on n1 7
            Container Other c2 8"#]],
    );
    // No target depends on these.
    check(
        r#"{"Type":"secret","Action":"create","Actor":{"ID":"x"}}{"Type":"container","Action":"exec_start: sh","Actor":{"ID":"x"}}{}"#,
        &expect![[""]],
    );
    // The same as one sequence of records.
    check(
        "\u{1e}{\"Type\":\"service\",\"Action\":\"remove\",\"Actor\":{\"ID\":\"s\"}}\n\u{1e}",
        &expect!["Service Remove s 0"],
    );
}

#[test]
fn what_cannot_be_used_is_left_out_and_reported() {
    let large = format!(
        r#"{{"Type":"node","Action":"update","Actor":{{"ID":"{}"}}}}"#,
        "x".repeat(MAX_EVENT)
    );
    check(
        &format!(
            r#"{large}{{"Type":"node","Action":"update"}}{{"Type":"node","Action":["update"],"Actor":{{"ID":"n"}}}}{{"Actor":{{"ID":"n","Attributes":7}},"Type":"node"}}{{"Type":"node","Action":"create","Actor":{{"ID":"n"}}}}"#
        ),
        &expect![[r#"
            Node Create n 0
            event too large:  
            event without ID:  
            wrong type:  expected a string at byte 24
            wrong type: n expected an object at byte 32"#]],
    );
}

#[test]
fn a_body_that_is_not_a_stream_of_events_fails() {
    check("<html>", &expect!["not JSON at byte 0: expected an object, found <"]);
    check("[]", &expect!["not JSON at byte 0: expected an object, found ["]);
    check(r#"{"Type":"node"]"#, &expect!["not JSON at byte 14: expected }, found ]"]);
    check(r#"{"Type" "node"}"#, &expect![[r#"not JSON at byte 8: expected JSON, found \""#]]);
    check(
        &format!(r#"{{"x":{}"#, "[".repeat(100)),
        &expect!["more than 64 brackets open at byte 68"],
    );
}

proptest! {
    #[test]
    fn a_stream_cut_anywhere_reads_the_same(size in 1_usize..2000, at in 0_usize..2000) {
        let whole = read([MANAGER]);
        let (first, rest) = MANAGER.split_at(at);
        prop_assert_eq!(&read(std::iter::once(first).chain(rest.chunks(size))), &whole);
    }
}

/// Answers one request with the given head, and hands over the connection and what was asked.
async fn server(head: &str) -> (Host, impl Future<Output = (TcpStream, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = Host::parse(&format!("tcp://{}", listener.local_addr().unwrap())).unwrap();
    let head = head.replace('\n', "\r\n");
    let answer = async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(head.as_bytes()).await.unwrap();
        (stream, String::from_utf8(request).unwrap())
    };
    (host, answer)
}

const OPEN: &str = "HTTP/1.1 200 OK\nApi-Version: 1.41\nTransfer-Encoding: chunked\n\n";

async fn send(stream: &mut TcpStream, piece: &str) {
    let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
    stream.write_all(chunk.as_bytes()).await.unwrap();
}

async fn open(host: &Host) -> Result<EventStream, NoEvents> {
    let options = ClientOptions::new("test", Duration::from_secs(5));
    let client = ReadClient::new(&HttpConfig::default(), options).unwrap();
    let session = Session {
        client: &client,
        host,
        version: ApiVersion::parse("1.41").unwrap(),
        deadline: Instant::now() + Duration::from_secs(5),
        max_answer: 100,
    };
    session.events(Duration::from_secs(5)).await
}

#[tokio::test]
async fn events_are_returned_as_they_come() {
    let (host, answer) = server(OPEN).await;
    let (stream, (mut engine, asked)) = tokio::join!(open(&host), answer);
    let mut stream = stream.unwrap();
    let path = asked.lines().next().unwrap();
    let filters = percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned();
    expect![[r#"GET /v1.41/events?filters={"event":{"create":true,"destroy":true,"die":true,"remove":true,"start":true,"update":true},"type":{"container":true,"network":true,"node":true,"service":true}} HTTP/1.1"#]].assert_eq(&filters);

    let text = String::from_utf8(MANAGER.to_vec()).unwrap();
    let (expected, _) = read([MANAGER]).unwrap();
    // More than the limit of a list, in pieces that end anywhere.
    let (first, rest) = text.split_at(200);
    send(&mut engine, first).await;
    assert_eq!(stream.next().await.unwrap(), expected[0]);
    // Half an event; a caller that stops waiting for it loses nothing.
    assert!(futures_util::poll!(std::pin::pin!(stream.next())).is_pending());
    send(&mut engine, rest).await;
    for expected in &expected[1..] {
        assert_eq!(stream.next().await.unwrap(), *expected);
    }
    assert_eq!(stream.take_problems(), []);
    send(&mut engine, "").await;
    let error = stream.next().await.unwrap_err().to_string();
    assert_eq!(error, format!("{host}/events: the stream of events has ended"));
}

#[tokio::test]
async fn a_connection_that_breaks_ends_the_stream() {
    let (host, answer) = server(OPEN).await;
    let (stream, (mut engine, _)) = tokio::join!(open(&host), answer);
    let mut stream = stream.unwrap();
    send(&mut engine, r#"{"Type":"node""#).await;
    drop(engine);
    assert!(stream.next().await.is_err());

    let (host, answer) = server(OPEN).await;
    let (stream, (mut engine, _)) = tokio::join!(open(&host), answer);
    let mut stream = stream.unwrap();
    send(&mut engine, "oops").await;
    let error = stream.next().await.unwrap_err().to_string();
    assert_eq!(error, format!("{host}/events: not JSON at byte 0: expected an object, found o"));
}

#[tokio::test]
async fn a_proxy_that_withholds_it_is_distinguished_from_a_failure() {
    let refusal = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\nContent-Length: {}\n\n{body}", body.len())
    };
    for (head, expected) in [
        (
            refusal("403 Forbidden", "Forbidden"),
            "withheld: HOST: access to /events is forbidden (HTTP status 403): a proxy in front of \
             the Engine must allow GET of it",
        ),
        (
            refusal("404 Not Found", r#"{"message":"no such thing"}"#),
            "withheld: HOST: there is no /events here (HTTP status 404): a proxy in front of the \
             Engine must allow GET of it",
        ),
        (
            refusal("503 Service Unavailable", "later"),
            "failed: HOST/v1.41/events: server returned HTTP status 503 Service Unavailable: later",
        ),
        (
            refusal(
                "400 Bad Request",
                r#"{"message":"client version 1.41 is too old. Minimum supported API version is 1.44"}"#,
            ),
            "failed: HOST: it refuses API version 1.41 and asks for 1.44",
        ),
    ] {
        let (host, answer) = server(&head).await;
        let (stream, _) = tokio::join!(open(&host), answer);
        let reason = match stream.unwrap_err() {
            NoEvents::Withheld(reason) => format!("withheld: {reason}"),
            NoEvents::Failed(error) => format!("failed: {error}"),
        };
        assert_eq!(reason.replace(&host.to_string(), "HOST"), expected);
    }
}
