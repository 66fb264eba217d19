//! Faults of servers, and their effects.

use std::net::Ipv4Addr;

use swarmscout_sim_stores::dns::{Fault, Record, code};

use super::*;
use crate::RefreshScope;

/// The first of two servers does this; the second has no fault.
const SKIPPED_FOR: &[Fault] = &[
    Fault::Silence,
    Fault::Code(code::SERVFAIL),
    Fault::Code(code::REFUSED),
    Fault::Code(code::NOTIMP),
    Fault::Code(code::BADVERS),
    Fault::BareCode(code::REFUSED),
    Fault::BareCode(code::NOERROR),
    Fault::BareCode(code::NXDOMAIN),
    Fault::WrongId,
    Fault::WrongQuestion,
    Fault::CutShort,
    Fault::Loop,
    Fault::Truncated,
    Fault::TcpCloses,
    Fault::TcpSilence,
    Fault::TcpCutShort,
    Fault::Late(Duration::from_hours(1)),
];

/// Faults that make no difference.
fn endured() -> Vec<Fault> {
    vec![
        Fault::Strays,
        Fault::Trailing,
        Fault::NoEdns,
        Fault::EdnsSilence,
        Fault::Late(Duration::from_millis(1)),
    ]
}

/// A source that waits a second for an answer, or less where there are more servers.
fn impatient(world: &World, names: &[&str]) -> Dns {
    let mut source = world.source(RecordType::A, names);
    source.deadline = Duration::from_secs(2);
    source
}

#[tokio::test]
async fn the_next_server_is_asked() {
    for fault in SKIPPED_FOR {
        let world = World::new(2);
        world.set_a("tasks.web", &[[10, 0, 0, 1]]);
        world.servers[0].fault(fault.clone());
        let mut source = impatient(&world, &["tasks.web"]);
        let refreshed = source
            .fetch(RefreshScope::Full)
            .await
            .unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(refreshed.value[0].targets.len(), 1, "{fault:?}");
        assert_eq!(refreshed.problems, [], "{fault:?}");
        let asked = world.asked();
        assert!(asked[0].starts_with("S1") && asked.last().unwrap().starts_with("S2"), "{asked:?}");
    }
}

#[tokio::test]
async fn one_server_is_enough() {
    for fault in endured() {
        let world = World::new(1);
        world.set_a("tasks.web", &[[10, 0, 0, 1]]);
        world.servers[0].fault(fault.clone());
        let mut source = impatient(&world, &["tasks.web"]);
        // One answer is waited for in vain, of another there must be time.
        source.deadline *= 2;
        let refreshed = source
            .fetch(RefreshScope::Full)
            .await
            .unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(refreshed.value[0].targets.len(), 1, "{fault:?}");
    }
}

/// The old targets stay, the failed name is reported, and its age is that of its last answer.
#[tokio::test]
async fn a_name_that_fails_keeps_its_targets() {
    let world = World::new(1);
    world.conf("options attempts:1\n");
    world.set_a("good", &[[10, 0, 0, 1]]);
    world.set_a("bad", &[[10, 0, 0, 2]]);
    let mut source = impatient(&world, &["good", "bad", "never"]);
    world.servers[0].fault_for("never.", Fault::Code(code::SERVFAIL));
    let first = source.fetch(RefreshScope::Full).await.unwrap();
    let answered = Instant::now().into_std();
    for fault in SKIPPED_FOR {
        world.servers[0].fault_for("bad.", fault.clone());
        let refreshed = source
            .fetch(RefreshScope::Full)
            .await
            .unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert!(
            refreshed.value.iter().zip(&first.value).all(|(a, b)| Arc::ptr_eq(a, b)),
            "{fault:?}"
        );
        assert_eq!(refreshed.value.len(), 2, "{fault:?}");
        assert!(refreshed.as_of < answered, "{fault:?}");
        assert_eq!(refreshed.problems.len(), 2, "{fault:?}: {:?}", refreshed.problems);
    }
    world.servers[0].heal();
    let last = source.fetch(RefreshScope::Full).await.unwrap();
    assert!(last.as_of > answered);
    assert_eq!(last.value, first.value);
}

#[tokio::test]
async fn every_fault_has_its_message() {
    let world = World::new(1);
    world.conf("options attempts:1\n");
    world.set_a("good", &[[10, 0, 0, 1]]);
    for (fault, expected) in [
        (
            Fault::Silence,
            expect![[r#"
                good [{__address__="10.0.0.1:8080"}] {__meta_dns_name="good"}
                problem: name bad: no server answered: bad. at S1: no answer in time
            "#]],
        ),
        (
            Fault::WrongId,
            expect![[r#"
                good [{__address__="10.0.0.1:8080"}] {__meta_dns_name="good"}
                problem: name bad: no server answered: bad. at S1: no answer in time but to other questions
            "#]],
        ),
        (
            Fault::Code(code::SERVFAIL),
            expect![[r#"
            good [{__address__="10.0.0.1:8080"}] {__meta_dns_name="good"}
            problem: name bad: lookup failed: bad. at S1: SERVFAIL
        "#]],
        ),
        (
            Fault::Code(code::BADVERS),
            expect![[r#"
            good [{__address__="10.0.0.1:8080"}] {__meta_dns_name="good"}
            problem: name bad: lookup failed: bad. at S1: BADVERS
        "#]],
        ),
        (
            Fault::BareCode(code::REFUSED),
            expect![[r#"
            good [{__address__="10.0.0.1:8080"}] {__meta_dns_name="good"}
            problem: name bad: lookup failed: bad. at S1: REFUSED
        "#]],
        ),
        (
            Fault::Loop,
            expect![[r#"
            good [{__address__="10.0.0.1:8080"}] {__meta_dns_name="good"}
            problem: name bad: lookup failed: bad. at S1: cannot understand the answer: a record is damaged
        "#]],
        ),
        (
            Fault::Truncated,
            expect![[r#"
                good [{__address__="10.0.0.1:8080"}] {__meta_dns_name="good"}
                problem: name bad: lookup failed: bad. at S1: the answer is too long for UDP, and over TCP: cannot understand the answer: it is cut short
            "#]],
        ),
        (
            Fault::TcpCloses,
            expect![[r#"
            good [{__address__="10.0.0.1:8080"}] {__meta_dns_name="good"}
            problem: name bad: lookup failed: bad. at S1: the answer is too long for UDP, and over TCP: the server closed the connection before the answer was complete
        "#]],
        ),
        (
            Fault::TcpSilence,
            expect![[r#"
                good [{__address__="10.0.0.1:8080"}] {__meta_dns_name="good"}
                problem: name bad: lookup failed: bad. at S1: the answer is too long for UDP, and over TCP: no answer in time
            "#]],
        ),
        (
            Fault::TcpCutShort,
            expect![[r#"
            good [{__address__="10.0.0.1:8080"}] {__meta_dns_name="good"}
            problem: name bad: lookup failed: bad. at S1: the answer is too long for UDP, and over TCP: the server closed the connection before the answer was complete
        "#]],
        ),
    ] {
        world.servers[0].fault_for("bad.", fault);
        let mut source = impatient(&world, &["good", "bad"]);
        world.check(&mut source, expected).await;
    }
    world.servers[0].fault(Fault::Code(code::REFUSED));
    let mut source = impatient(&world, &["a.", "b.", "c.", "d.", "e.", "f.", "g."]);
    world.check(&mut source, expect![[r#"
        error: cannot look up any name: a. at S1: REFUSED; b. at S1: REFUSED; c. at S1: REFUSED; d. at S1: REFUSED; e. at S1: REFUSED; 2 more names
    "#]]).await;
}

/// An answer that never was complete does not look like fewer targets.
#[tokio::test]
async fn a_part_of_an_answer_is_none() {
    let world = World::new(1);
    let addresses: Vec<[u8; 4]> = (0..250).map(|i| [10, 0, 1, i]).collect();
    world.set_a("tasks.web", &addresses);
    let mut source = impatient(&world, &["tasks.web"]);
    let whole = source.fetch(RefreshScope::Full).await.unwrap().value;
    for fault in [Fault::TcpCloses, Fault::TcpCutShort, Fault::Truncated, Fault::CutShort] {
        world.servers[0].fault(fault.clone());
        source.fetch(RefreshScope::Full).await.unwrap_err();
    }
    world.servers[0].heal();
    assert_eq!(source.fetch(RefreshScope::Full).await.unwrap().value, whole);
}

#[tokio::test]
async fn no_server_listens() {
    let world = World::new(1);
    world.set_a("tasks.web", &[[10, 0, 0, 1]]);
    let mut source = world.source(RecordType::A, &["tasks.web"]);
    // A socket that is connected elsewhere keeps the port: packets from us are refused.
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect((Ipv4Addr::LOCALHOST, 1)).unwrap();
    let addr = format!("[127.0.0.1]:{}", socket.local_addr().unwrap().port());
    std::fs::write(&world.file, format!("nameserver {addr}\n")).unwrap();
    let error =
        source.fetch(RefreshScope::Full).await.unwrap_err().to_string().replace(&addr, "S0");
    expect!["cannot look up any name: tasks.web. at S0: connection refused"].assert_eq(&error);
    let other = bracketed(&world.servers[0]);
    std::fs::write(&world.file, format!("nameserver {addr}\nnameserver {other}\n")).unwrap();
    assert_eq!(source.fetch(RefreshScope::Full).await.unwrap().value.len(), 1);
}

/// NXDOMAIN counts only if nothing else was said; a later candidate may still be known.
#[tokio::test]
async fn failures_along_the_search_list() {
    let world = World::new(1);
    world.conf("search one.example two.example\n");
    world.servers[0].fault_for("web.one.example.", Fault::Code(code::SERVFAIL));
    let mut source = world.source(RecordType::A, &["web"]);
    world.check(&mut source, expect![[r#"
        error: cannot look up any name: web.one.example. at S1: SERVFAIL; web.two.example. at S1: NXDOMAIN; web. at S1: NXDOMAIN
    "#]]).await;
    world.set_a("web.two.example", &[[10, 0, 0, 1]]);
    world
        .check(
            &mut source,
            expect![[r#"
        web [{__address__="10.0.0.1:8080"}] {__meta_dns_name="web"}
    "#]],
        )
        .await;
    assert_eq!(world.counted(), (2, 1));
}

#[tokio::test]
async fn tcp_at_once_where_the_file_says_so() {
    let world = World::new(1);
    world.conf("options use-vc\n");
    world.set_a("tasks.web", &[[10, 0, 0, 1]]);
    let mut source = impatient(&world, &["tasks.web"]);
    assert_eq!(source.fetch(RefreshScope::Full).await.unwrap().value.len(), 1);
    expect!["S1 tasks.web. 1 tcp"].assert_eq(&world.asked().join("\n"));
    world.servers[0].fault(Fault::TcpSilence);
    world
        .check(
            &mut source,
            expect![[r#"
                error: cannot look up any name: tasks.web. at S1: no answer in time
            "#]],
        )
        .await;
}

#[tokio::test]
async fn records_of_other_types_count_as_in_prometheus() {
    let world = World::new(1);
    let record = |data| Record::new("tasks.web", data);
    world.servers[0].fault(Fault::Records(vec![
        record(Data::A(Ipv4Addr::new(10, 0, 0, 1))),
        record(Data::Ns("ns.example".to_owned())),
        record(Data::Other(39, b"\x01x\0".to_vec())),
        record(Data::Other(46, vec![0; 20])),
    ]));
    let mut source = world.source(RecordType::A, &["tasks.web"]);
    world.check(&mut source, expect![[r#"
        tasks.web [{__address__="ns.example:8080", __meta_dns_ns_record_target="ns.example."}, {__address__="10.0.0.1:8080"}] {__meta_dns_name="tasks.web"}
        problem: name tasks.web: record of another type: DNAME
        problem: name tasks.web: record of another type: RRSIG
    "#]]).await;
    for damaged in [
        Data::Other(kind::A, vec![10, 0, 0]),
        Data::Other(kind::A, vec![10, 0, 0, 1, 2]),
        Data::Other(kind::SRV, vec![0; 6]),
        Data::Other(kind::NS, b"\x05x".to_vec()),
    ] {
        world.servers[0].fault(Fault::Records(vec![record(damaged.clone())]));
        source.fetch(RefreshScope::Full).await.expect_err("a damaged record");
    }
}
