//! What can go wrong with a master, at the first refresh and at a later one.

use std::task::{Context, Poll, Waker};

use swarmscout_simulator::Fault;

use super::*;
use crate::RefreshScope;
use crate::source::faults::{self, Named, body, spoil};

/// All that can go wrong, by name.
fn faults() -> Vec<Named> {
    let mut faults = faults::of_any_server();
    faults.extend([
        ("JSON without rows", Some(body(b"{}"))),
        ("no Nodes row", Some(body(br#"{"SystemStatus":[["Role","primary"]]}"#))),
        ("a Nodes row without number", Some(body(br#"{"SystemStatus":[["Nodes","many"]]}"#))),
        ("nodes that are not listed", Some(body(br#"{"SystemStatus":[["Nodes","2"]]}"#))),
        ("rows of another type", Some(body(br#"{"SystemStatus":{"Nodes":"2"}}"#))),
        ("two answers", Some(body(br#"{"SystemStatus":[["Nodes","0"]]}{}"#))),
        ("an Engine", Some(body(br#"{"DriverStatus":[["Backing Filesystem","extfs"]]}"#))),
        ("an endless answer", Some(Fault::endless_array("{}"))),
    ]);
    faults
}

fn heal(master: &Master) {
    master.server.faults().clear();
    master.server.accept().unwrap();
}

/// Hung masters are left soon, while another one is left to try.
fn impatient(classic: &mut Classic) {
    classic.deadlines.rule = |_, others_left| match others_left {
        0 => Duration::from_mins(1),
        _ => Duration::from_millis(30),
    };
}

#[tokio::test]
async fn the_next_master_answers_at_the_first_refresh() {
    for (name, fault) in faults() {
        let cluster = Cluster::of(3);
        let (bad, good) = (master(&cluster), master(&cluster));
        spoil(&bad.server, fault);
        let mut classic = classic(&[bad.server.url(), good.server.url()]);
        impatient(&mut classic);
        let first = classic
            .fetch(RefreshScope::Full)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(first.value[1].targets.len(), 3, "{name}");
        assert_eq!(first.problems.len(), 1, "{name}");
        assert_eq!(first.problems[0].object, bad.server.url(), "{name}");
        // It stays with the good one, and does not ask the bad one again.
        classic.deadlines.rule = |_, _| Duration::from_mins(1);
        let asked = bad.server.request_count();
        assert_eq!(nodes(&mut classic).await.unwrap().len(), 3, "{name}");
        assert_eq!((bad.server.request_count(), good.server.request_count()), (asked, 2), "{name}");
    }
}

#[tokio::test]
async fn the_next_master_answers_at_a_later_refresh() {
    for (name, fault) in faults() {
        let cluster = Cluster::of(3);
        let (first, second) = (master(&cluster), master(&cluster));
        let mut classic = classic(&[first.server.url(), second.server.url()]);
        let before = nodes(&mut classic).await.unwrap();
        assert_eq!(second.server.request_count(), 0, "{name}");
        spoil(&first.server, fault);
        impatient(&mut classic);
        assert_eq!(nodes(&mut classic).await.unwrap(), before, "{name}");
        // And back again: the second is the one that is kept now.
        heal(&first);
        classic.deadlines.rule = |_, _| Duration::from_mins(1);
        let asked = first.server.request_count();
        assert_eq!(nodes(&mut classic).await.unwrap(), before, "{name}");
        assert_eq!(first.server.request_count(), asked, "{name}");
    }
}

#[tokio::test]
async fn when_all_fail_each_is_named_in_the_order_of_the_attempts() {
    let cluster = Cluster::of(1);
    let (first, second) = (master(&cluster), master(&cluster));
    let mut classic = classic(&[first.server.url(), second.server.url()]);
    first.server.faults().set(Fault::Status(500, "boom".to_owned()));
    second.server.faults().set(Fault::CutJson);
    let error = classic.fetch(RefreshScope::Full).await.unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "no host answered: {}/info: server returned HTTP status 500 Internal Server Error: \
             {{\"message\":\"boom\"}}; {}/info: the answer ends early",
            first.server.url(),
            second.server.url()
        )
    );
    // One that recovers is found by the next refresh.
    second.server.faults().clear();
    assert_eq!(nodes(&mut classic).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_cancelled_refresh_does_not_start_again_at_the_master_that_hung() {
    let cluster = Cluster::of(2);
    let (hung, good) = (master(&cluster), master(&cluster));
    hung.server.faults().set(Fault::HangBeforeHeader);
    let mut classic = classic(&[hung.server.url(), good.server.url()]);
    {
        let mut refresh = classic.fetch(RefreshScope::Full);
        // The request is on its way; then the deadline of the whole refresh passes.
        let poll = refresh.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(poll, Poll::Pending));
    }
    assert_eq!(nodes(&mut classic).await.unwrap().len(), 2);
    assert_eq!(good.server.request_count(), 1);
}

#[tokio::test]
async fn one_master_alone_fails_with_its_own_error() {
    let master = master(&Cluster::of(1));
    let mut classic = classic(&[master.server.url()]);
    master.server.refuse();
    let error = classic.fetch(RefreshScope::Full).await.unwrap_err().to_string();
    let address = master.server.addr().unwrap();
    assert!(error.starts_with(&format!("cannot connect to {address}: ")), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_left() {
    let master = master(&Cluster::of(1));
    master.server.faults().set(Fault::endless_array("{\"a\":\"0123456789012345678901234567890\"}"));
    let mut classic = classic(&[master.server.url()]);
    let error = classic.fetch(RefreshScope::Full).await.unwrap_err().to_string();
    let address = master.server.addr().unwrap();
    assert_eq!(error, format!("answer of {address} is larger than 1048576 bytes"));
}
