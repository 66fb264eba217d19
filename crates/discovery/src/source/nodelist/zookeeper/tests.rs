//! Every listing goes over real sockets to a simulated ensemble.

use std::fmt::Write as _;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use swarmscout_model::PromDuration;
use swarmscout_refresh::RefreshContext;
use swarmscout_sim_stores::zookeeper::{Fault, ZooKeeper as Ensemble};

use super::super::Location;
use super::*;
use crate::Problem;

const NODES: &str = "/swarm/docker/swarm/nodes";
const LEADER: &str = "/swarm/docker/swarm/leader";

/// Reads the list that the URL names; `SERVERS` stands for the ensemble's addresses.
fn zookeeper(ensemble: &Ensemble, url: &str) -> ZooKeeper {
    let url = url.replace("SERVERS", &ensemble.addresses().join(","));
    let Ok(Location::Store(servers)) = Location::parse(&url) else {
        panic!("{url} is not a store")
    };
    let deadlines = RefreshContext::new("test").deadlines(PromDuration::from_secs(60));
    let mut zookeeper = ZooKeeper::new(servers, deadlines);
    // A test must not depend on how busy the machine is.
    zookeeper.deadlines.rule = |_, _| Duration::from_mins(1);
    zookeeper
}

/// An ensemble where two nodes joined and a master was elected.
fn swarm(members: usize) -> (Ensemble, ZooKeeper) {
    let ensemble = Ensemble::start(members).unwrap();
    ensemble.put("/swarm/docker/swarm/nodes/10.0.0.1:2375", "10.0.0.1:2375");
    ensemble.put("/swarm/docker/swarm/nodes/10.0.0.2:2375", "10.0.0.2:2375");
    ensemble.put("/swarm/docker/swarm/leader", "10.0.0.9:3375");
    ensemble.create("/swarm/docker/swarm/leader/_c_1-lock-0000000000", "");
    let zookeeper = zookeeper(&ensemble, "zk://SERVERS/swarm");
    (ensemble, zookeeper)
}

/// One listing, as text. `MEMBER-1` stands for the address of the first member.
async fn list(zookeeper: &mut ZooKeeper) -> String {
    let mut text = match zookeeper.list().await {
        Err(error) => format!("error: {error}\n"),
        Ok(Listing { nodes, primary, problems }) => {
            let nodes = if nodes.is_empty() { "no node".to_owned() } else { nodes.join(" ") };
            let mut text = format!("{nodes}\n");
            if let Some(primary) = primary {
                let _ = writeln!(text, "primary {primary}");
            }
            for Problem { kind, object, reason, detail } in problems {
                let _ = writeln!(text, "problem: {kind} {object:?}: {reason}: {detail}");
            }
            text
        }
    };
    for (index, address) in zookeeper.servers.addresses.iter().enumerate() {
        text = text.replace(address, &format!("MEMBER-{}", index + 1));
    }
    text
}

const BOTH: &str = "10.0.0.1:2375 10.0.0.2:2375\nprimary 10.0.0.9:3375\n";

/// Whether a change was reported that no listing has seen yet.
fn has_changed(zookeeper: &mut ZooKeeper) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    match zookeeper.changed().as_mut().poll(&mut context) {
        Poll::Ready(changed) => changed.is_ok(),
        Poll::Pending => false,
    }
}

async fn check(values: &[(&str, &str)], url: &str, expected: Expect) {
    let ensemble = Ensemble::start(1).unwrap();
    for (path, value) in values {
        ensemble.put(path, value);
    }
    let mut zookeeper = zookeeper(&ensemble, url);
    expected.assert_eq(&list(&mut zookeeper).await);
}

#[tokio::test]
async fn lists_by_version_of_swarm() {
    let node = "10.77.1.11:2375";
    // Recorded from Swarm 1.1.0: a node, the primary, and its lock.
    let recent = [
        ("/s/docker/swarm/nodes/10.77.1.11:2375", node),
        ("/s/docker/swarm/nodes/10.77.1.12:2375", "10.77.1.12:2375"),
        ("/s/docker/swarm/leader", "10.77.1.1:3641"),
        ("/s/docker/swarm/leader/_c_604b3368f02fdfb81c55864b23fcf62e-lock-0000000000", ""),
    ];
    for url in ["zk://SERVERS/s", "zk://SERVERS//s/"] {
        check(
            &recent,
            url,
            expect![[r#"
                10.77.1.11:2375 10.77.1.12:2375
                primary 10.77.1.1:3641
            "#]],
        )
        .await;
    }
    // The lock is free: the address is that of a master that is gone.
    check(
        &recent[..3],
        "zk://SERVERS/s",
        expect![[r#"
            10.77.1.11:2375 10.77.1.12:2375
        "#]],
    )
    .await;
    // Without a path.
    check(
        &[("/docker/swarm/nodes/a:1", "a:1")],
        "zk://SERVERS",
        expect![[r#"
            a:1
        "#]],
    )
    .await;
    // A master that found no node makes the folder.
    check(
        &[("/s/docker/swarm/nodes", "")],
        "zk://SERVERS/s",
        expect![[r#"
            no node
        "#]],
    )
    .await;
    // dockerd --cluster-store.
    check(
        &[("/s/docker/nodes/10.77.1.11:2375", node), ("/s/docker/network/v1.0/x", "?")],
        "zk://SERVERS/s",
        expect![[r#"
            10.77.1.11:2375
        "#]],
    )
    .await;
    // Swarm 0.2.0, with other things in its folder.
    check(
        &[("/s/10.77.1.11:2375", node), ("/s/a:b", "other"), ("/s/x", "x"), ("/t/b:1", "b:1")],
        "zk://SERVERS/s",
        expect![[r#"
            10.77.1.11:2375
        "#]],
    )
    .await;
    check(
        &[("/a:1", "a:1")],
        "zk://SERVERS",
        expect![[r#"
            a:1
        "#]],
    )
    .await;
}

#[tokio::test]
async fn lists_that_are_not_there() {
    check(&[("/t", "")], "zk://SERVERS/s", expect![[r#"
        error: zk://MEMBER-1/s: no list of nodes at any of /s/docker/swarm/nodes, /s/docker/nodes, /s: no node ever joined, or the path is another one
    "#]]).await;
    // A root is always there.
    check(&[], "zk://SERVERS", expect![[r#"
        error: zk://MEMBER-1: no list of nodes at any of /docker/swarm/nodes, /docker/nodes, /: no node ever joined, or the path is another one
    "#]]).await;
    // The path is there, but for something else.
    check(&[("/s/docker/network", "")], "zk://SERVERS/s", expect![[r#"
        error: zk://MEMBER-1/s: no list of nodes at any of /s/docker/swarm/nodes, /s/docker/nodes, /s: no node ever joined, or the path is another one
    "#]]).await;
}

#[tokio::test]
async fn bad_addresses_cost_themselves_only() {
    let (ensemble, mut zookeeper) = swarm(1);
    for (name, value) in [
        ("long", "x".repeat(LONGEST_ADDRESS + 1).as_bytes()),
        ("other", b"10.0.0.3:2375"),
        ("utf-8", b"\xff\xfe:2375"),
    ] {
        ensemble.create(&format!("{NODES}/{name}"), "");
        ensemble.set(&format!("{NODES}/{name}"), value);
    }
    let shown = list(&mut zookeeper).await.replace(&"x".repeat(SHOWN_OF_ADDRESS), "xx…");
    expect![[r#"
        10.0.0.1:2375 10.0.0.2:2375 10.0.0.3:2375
        primary 10.0.0.9:3375
        problem: node "long": address too long: xx…
        problem: node "utf-8": address is not UTF-8: ��:2375
    "#]]
    .assert_eq(&shown);
}

#[tokio::test]
async fn thousands_of_nodes() {
    let ensemble = Ensemble::start(1).unwrap();
    let mut nodes: Vec<_> = (0..2_000).map(|node| format!("10.1.{node}:2375")).collect();
    nodes.sort();
    for node in &nodes {
        ensemble.put(&format!("{NODES}/{node}"), node);
    }
    let mut zookeeper = zookeeper(&ensemble, "zk://SERVERS/swarm");
    for _ in 0..3 {
        assert_eq!(zookeeper.list().await.unwrap().nodes, nodes);
    }
}

/// Changes the tree; false where that cannot be.
type Change<'a> = &'a dyn Fn() -> bool;

#[tokio::test]
async fn changes_are_reported() {
    let (ensemble, mut zookeeper) = swarm(1);
    assert_eq!(list(&mut zookeeper).await, BOTH);
    assert_eq!(list(&mut zookeeper).await, BOTH, "the second refresh is on the same session");
    assert_eq!(ensemble.sessions(), 1);

    let node = format!("{NODES}/10.0.0.3:2375");
    let three = "10.0.0.1:2375 10.0.0.2:2375 10.0.0.3:2375\nprimary 10.0.0.9:3375\n";
    let next = "10.0.0.1:2375 10.0.0.2:2375\nprimary 10.0.0.8:3375\n";
    let unlocked = "10.0.0.1:2375 10.0.0.2:2375\n";
    let lock = format!("{LEADER}/_c_1-lock-0000000000");
    let changes: [(&str, Change<'_>, &str); 6] = [
        ("a node joins, empty at first", &|| ensemble.create(&node, ""), BOTH),
        ("its address is written", &|| ensemble.set(&node, "10.0.0.3:2375"), three),
        ("it leaves", &|| ensemble.delete(&node), BOTH),
        ("the primary changes", &|| ensemble.set(LEADER, "10.0.0.8:3375"), next),
        ("the lock is released", &|| ensemble.delete(&lock), unlocked),
        ("the lock is taken", &|| ensemble.create(&lock, ""), next),
    ];
    for (what, change, expected) in changes {
        assert!(!has_changed(&mut zookeeper), "before {what}");
        assert!(change());
        zookeeper.changed().await.unwrap();
        assert_eq!(list(&mut zookeeper).await, expected, "{what}");
    }

    // A heartbeat writes what is there already. An event would come before the answers of a listing.
    assert!(ensemble.set(&format!("{NODES}/10.0.0.1:2375"), "10.0.0.1:2375"));
    assert_eq!(list(&mut zookeeper).await, next);
    assert!(!has_changed(&mut zookeeper));
}

/// Swarm makes a node empty and writes its address then. One listing sees both, unless much time lies
/// between them.
#[tokio::test]
async fn a_node_that_is_made_may_be_written_before_the_listing() {
    let (ensemble, mut zookeeper) = swarm(1);
    assert_eq!(list(&mut zookeeper).await, BOTH);
    let made = Instant::now();
    assert!(ensemble.create(&format!("{NODES}/10.0.0.3:2375"), ""));
    zookeeper.changed().await.unwrap();
    assert!(made.elapsed() >= MOMENT);
}

#[tokio::test]
async fn keys_that_are_made_later_are_reported() {
    let ensemble = Ensemble::start(1).unwrap();
    let mut zookeeper = zookeeper(&ensemble, "zk://SERVERS/swarm");
    assert!(list(&mut zookeeper).await.starts_with("error"));
    assert_eq!(ensemble.sessions(), 1, "it stays to watch");
    // The folders come one after the other, as does the node, its address, the primary.
    let mut listings = 0;
    ensemble.put("/swarm/docker/swarm/nodes/a:1", "a:1");
    loop {
        zookeeper.changed().await.unwrap();
        listings += 1;
        if list(&mut zookeeper).await == "a:1\n" {
            break;
        }
    }
    assert!(listings <= 3, "{listings} listings");
    ensemble.put(LEADER, "m:1");
    ensemble.create(&format!("{LEADER}/lock"), "");
    while list(&mut zookeeper).await != "a:1\nprimary m:1\n" {
        zookeeper.changed().await.unwrap();
    }
}

/// All that can go wrong with a member, by name.
fn faults() -> Vec<(&'static str, Option<Fault>)> {
    let body = |bytes: &'static [u8]| Some(Fault::Body(Bytes::from_static(bytes)));
    let raw = |bytes: &'static [u8]| Some(Fault::Raw(Bytes::from_static(bytes)));
    vec![
        ("refused", None),
        ("mute", Some(Fault::Mute)),
        ("without quorum", Some(Fault::NoQuorum)),
        ("hung", Some(Fault::Hang)),
        ("closed", Some(Fault::Close)),
        ("cut", Some(Fault::Cut)),
        ("stalled", Some(Fault::Stall)),
        ("huge", Some(Fault::Length(i32::MAX))),
        ("negative", Some(Fault::Length(-2))),
        ("too short for a header", Some(Fault::Length(3))),
        ("another question's answer", Some(Fault::OtherQuestion)),
        ("not permitted", Some(Fault::Code(-102))),
        ("an unknown error", Some(Fault::Code(-9999))),
        ("session expired", Some(Fault::Code(-112))),
        ("nothing in an answer", body(b"")),
        ("two billion children", body(b"\x7f\xff\xff\xff")),
        ("a name of negative length", body(b"\0\0\0\x01\xff\xff\xff\xfe")),
        ("a name longer than the answer", body(b"\0\0\0\x01\0\0\0\x09a")),
        ("a web server", raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
        ("a TLS alert", raw(b"\x15\x03\x03\0\x02\x02\x0a")),
        ("events without end", Some(Fault::Events)),
    ]
}

/// Lets a member go wrong. Where that is a wait without end, it is a short one.
fn spoil(ensemble: &Ensemble, member: usize, fault: Option<&Fault>, zookeeper: &mut ZooKeeper) {
    match fault {
        None => ensemble.refuse(member),
        Some(fault) => ensemble.fault(member, Some(fault.clone())),
    }
    if let Some(Fault::Mute | Fault::Hang | Fault::Stall | Fault::Events) = fault {
        let members = zookeeper.servers.addresses.len();
        zookeeper.deadlines.rule = match members {
            1 => |_, _| Duration::from_millis(30),
            _ => |_, others_left| match others_left {
                0 => Duration::from_mins(1),
                _ => Duration::from_millis(30),
            },
        };
    }
}

fn heal(ensemble: &Ensemble, member: usize, zookeeper: &mut ZooKeeper) {
    ensemble.fault(member, None);
    ensemble.accept(member).unwrap();
    zookeeper.deadlines.rule = |_, _| Duration::from_mins(1);
}

/// At the first listing and at a later one.
#[tokio::test]
async fn a_fault_costs_no_listing_while_another_member_answers() {
    for (name, fault) in faults() {
        for later in [false, true] {
            let (ensemble, mut zookeeper) = swarm(2);
            if later {
                assert_eq!(list(&mut zookeeper).await, BOTH);
            }
            spoil(&ensemble, 0, fault.as_ref(), &mut zookeeper);
            let listing = zookeeper.list().await.unwrap();
            assert_eq!(listing.nodes.len(), 2, "{name}, later: {later}");
            assert_eq!(listing.problems.len(), 1, "{name}, later: {later}");
            heal(&ensemble, 0, &mut zookeeper);
            // The member that answered is asked first, and no problem is reported.
            ensemble.forget_asked();
            assert_eq!(list(&mut zookeeper).await, BOTH, "{name}, later: {later}");
            assert!(ensemble.asked().iter().all(|asked| asked.member == 1), "{name}");
        }
    }
}

/// At the first listing and at a later one.
#[tokio::test]
async fn faults_of_the_only_member_are_reported_and_pass() {
    let mut errors = String::new();
    for (name, fault) in faults() {
        for later in [false, true] {
            let (ensemble, mut zookeeper) = swarm(1);
            if later {
                assert_eq!(list(&mut zookeeper).await, BOTH);
            }
            spoil(&ensemble, 0, fault.as_ref(), &mut zookeeper);
            let error = list(&mut zookeeper).await;
            assert!(error.starts_with("error: "), "{name}, later: {later}: {error}");
            if !later {
                let _ = write!(errors, "{name}: {error}");
            }
            assert!(!has_changed(&mut zookeeper), "there is nothing to wait for");
            heal(&ensemble, 0, &mut zookeeper);
            assert_eq!(list(&mut zookeeper).await, BOTH, "{name}, later: {later}");
        }
    }
    expect![[r#"
        refused: error: cannot connect to MEMBER-1: connection refused
        mute: error: no complete answer from MEMBER-1 within 30ms
        without quorum: error: request to MEMBER-1 failed: the server closed the connection at once: it may lack a quorum, have seen less than another server before, or expect TLS
        hung: error: no complete answer from MEMBER-1 within 30ms
        closed: error: request to MEMBER-1 failed: the server closed the connection
        cut: error: request to MEMBER-1 failed: the server closed the connection within an answer
        stalled: error: no complete answer from MEMBER-1 within 30ms
        huge: error: request to MEMBER-1 failed: an answer of 2147483647 bytes is announced, 16777216 at most are read: is this ZooKeeper's client port?
        negative: error: request to MEMBER-1 failed: an answer of -2 bytes is announced, 16777216 at most are read: is this ZooKeeper's client port?
        too short for a header: error: request to MEMBER-1 failed: an answer ends before its time
        another question's answer: error: zk://MEMBER-1/swarm/docker/swarm/leader: question 1 was answered as 8
        not permitted: error: zk://MEMBER-1/swarm/docker/swarm/leader: not permitted: an ACL lets only others read (error -102)
        an unknown error: error: zk://MEMBER-1/swarm/docker/swarm/leader: error -9999
        session expired: error: zk://MEMBER-1/swarm/docker/swarm/leader: session expired (error -112)
        nothing in an answer: error: zk://MEMBER-1/swarm/docker/swarm/leader: an answer ends before its time
        two billion children: error: zk://MEMBER-1/swarm/docker/swarm/leader: an answer ends before its time
        a name of negative length: error: zk://MEMBER-1/swarm/docker/swarm/leader: a length of -2 in an answer
        a name longer than the answer: error: zk://MEMBER-1/swarm/docker/swarm/leader: an answer ends before its time
        a web server: error: request to MEMBER-1 failed: an answer of 1213486160 bytes is announced, 16777216 at most are read: is this ZooKeeper's client port?
        a TLS alert: error: request to MEMBER-1 failed: an answer of 352518912 bytes is announced, 16777216 at most are read: is this ZooKeeper's client port?
        events without end: error: no complete answer from MEMBER-1 within 30ms
    "#]].assert_eq(&errors);
}

#[tokio::test]
async fn slow_answers_are_answers() {
    let (ensemble, mut zookeeper) = swarm(1);
    ensemble.fault(0, Some(Fault::Drip(Duration::ZERO)));
    assert_eq!(list(&mut zookeeper).await, BOTH);
}

#[tokio::test]
async fn a_dead_ensemble_is_named_member_by_member() {
    let (ensemble, mut zookeeper) = swarm(3);
    for member in 0..3 {
        ensemble.refuse(member);
    }
    expect![[r#"
        error: no host answered: cannot connect to MEMBER-1: connection refused; cannot connect to MEMBER-2: connection refused; cannot connect to MEMBER-3: connection refused
    "#]].assert_eq(&list(&mut zookeeper).await);
    ensemble.accept(1).unwrap();
    let found = list(&mut zookeeper).await;
    assert!(found.starts_with(BOTH), "{found}");
}

#[tokio::test]
async fn a_lost_session_costs_no_listing() {
    let (ensemble, mut zookeeper) = swarm(1);
    assert_eq!(list(&mut zookeeper).await, BOTH);

    // Reported before the next listing …
    ensemble.expire_sessions();
    let error = zookeeper.changed().await.unwrap_err().to_string();
    assert!(error.contains("closed the connection"), "{error}");
    assert_eq!(list(&mut zookeeper).await, BOTH);
    // … or found out by it.
    ensemble.expire_sessions();
    assert_eq!(list(&mut zookeeper).await, BOTH);
    ensemble.refuse(0);
    ensemble.accept(0).unwrap();
    assert_eq!(list(&mut zookeeper).await, BOTH);
    ensemble.create(&format!("{NODES}/c:1"), "c:1");
    zookeeper.changed().await.unwrap();
    assert!(list(&mut zookeeper).await.contains(" c:1"));
}

#[tokio::test]
async fn an_ensemble_that_was_wiped_is_read_again() {
    let (ensemble, mut zookeeper) = swarm(2);
    assert_eq!(list(&mut zookeeper).await, BOTH);
    ensemble.wipe();
    // Its members have seen less than we: refused once, in case that one of them was only late.
    let error = list(&mut zookeeper).await;
    assert!(error.starts_with("error: no host answered"), "{error}");
    ensemble.put(&format!("{NODES}/c:1"), "c:1");
    assert_eq!(list(&mut zookeeper).await, "c:1\n");
}

#[tokio::test]
async fn a_cancelled_listing_starts_at_the_next_member() {
    let (ensemble, mut zookeeper) = swarm(2);
    ensemble.fault(0, Some(Fault::Hang));
    tokio::select! {
        biased;
        () = ensemble.received("exists", 1) => {}
        _ = zookeeper.list() => unreachable!("the first member hangs"),
    }
    assert_eq!(list(&mut zookeeper).await, BOTH);
}

#[tokio::test]
async fn waiting_keeps_the_session_alive() {
    let (ensemble, mut zookeeper) = swarm(1);
    ensemble.session_timeout(Duration::from_millis(1));
    assert_eq!(list(&mut zookeeper).await, BOTH);
    tokio::select! {
        () = ensemble.received("ping", 3) => {}
        changed = zookeeper.changed() => panic!("{changed:?}"),
    }
    // The member hangs: its silence is noticed.
    ensemble.fault(0, Some(Fault::Hang));
    let error = zookeeper.changed().await.unwrap_err().to_string();
    let expected = format!("{} sent nothing for 666.666666ms", ensemble.addr(0));
    assert_eq!(error, expected);
}

#[tokio::test]
async fn the_session_ends_with_the_source() {
    let (ensemble, mut zookeeper) = swarm(1);
    assert_eq!(list(&mut zookeeper).await, BOTH);
    drop(zookeeper);
    ensemble.received("close", 1).await;
    assert_eq!(ensemble.sessions(), 0);
}

#[tokio::test]
async fn a_client_may_have_to_authenticate() {
    let (ensemble, mut anonymous) = swarm(1);
    ensemble.protect("swarm:s3cret");
    expect![[r#"
        error: zk://MEMBER-1/swarm/docker/swarm/leader: not permitted: an ACL lets only others read (error -102)
    "#]].assert_eq(&list(&mut anonymous).await);
    let mut known = zookeeper(&ensemble, "zk://swarm:s3cret@SERVERS/swarm");
    assert_eq!(list(&mut known).await, BOTH);
    assert!(!format!("{known:?}").contains("s3cret"));
    let mut wrong = zookeeper(&ensemble, "zk://swarm:wrong@SERVERS/swarm");
    assert!(list(&mut wrong).await.contains("not permitted"));
}

proptest! {
    /// Reading any bytes ends with a value or an error.
    #[test]
    fn any_bytes_are_read_or_refused(
        frame in prop::collection::vec(any::<u8>(), 0..200),
        count in -2_i32..9,
    ) {
        let _ = jute::connected(&frame);
        let mut answer = [0; 16].to_vec();
        answer.extend(count.to_be_bytes());
        answer.extend(&frame);
        for answer in [&frame, &answer] {
            let body = || jute::Answer::read(answer).ok()?.body.ok();
            let _ = body().map(Reader::data);
            let _ = body().map(Reader::children);
        }
    }
}
