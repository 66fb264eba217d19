//! When questions leave.

use std::net::SocketAddr;

use swarmscout_simulator::dns::Fault;

use super::*;
use crate::source::dns::resolv_conf::NameServer;
use crate::source::dns::resolver::MOST_AT_ONCE;

#[tokio::test(start_paused = true)]
async fn questions_leave_one_after_the_other() {
    let resolver = Resolver::new("");
    let (began, end) = (Instant::now(), Instant::now() + Duration::from_secs(1));
    let mut left = Vec::new();
    for gap in [GAP, GAP, Duration::from_micros(500), GAP] {
        drop(resolver.turn(gap, end).await.unwrap());
        left.push(began.elapsed());
    }
    // The clock of the runtime has ticks of a millisecond.
    assert_eq!(left, [0, 1, 2, 3].map(Duration::from_millis));
    tokio::time::advance(Duration::from_millis(500)).await;
    drop(resolver.turn(GAP, end).await.unwrap());
    assert_eq!(began.elapsed(), Duration::from_millis(503));
}

#[tokio::test(start_paused = true)]
async fn so_many_wait_for_answers_at_a_time() {
    let resolver = Resolver::new("");
    let end = Instant::now() + Duration::from_secs(1);
    let mut slots = Vec::new();
    for _ in 0..MOST_AT_ONCE {
        slots.push(resolver.turn(GAP, end).await.unwrap());
    }
    assert!(resolver.turn(GAP, end).await.is_none());
    assert!(Instant::now() >= end);
    slots.pop();
    assert!(resolver.turn(GAP, end).await.is_none(), "the time is over");
    assert!(resolver.turn(GAP, end + Duration::from_secs(1)).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_waits_until_it_is_the_first_again() {
    let resolver = Resolver::new("");
    let servers = [1, 2, 3].map(|port| NameServer {
        name: port.to_string(),
        addr: SocketAddr::from(([127, 0, 0, 1], port)),
    });
    resolver.note(servers[0].addr, false);
    assert_eq!(resolver.order(&servers), [1, 2, 0]);
    resolver.note(servers[1].addr, false);
    assert_eq!(resolver.order(&servers), [2, 0, 1]);
    resolver.note(servers[0].addr, true);
    assert_eq!(resolver.order(&servers), [0, 2, 1]);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(resolver.order(&servers), [0, 1, 2]);
}

/// The first of two servers is dead, and there are more names than may wait at a time: all are
/// answered by the second, within the time that one name needs.
#[tokio::test]
async fn many_names_do_not_wait_for_a_dead_server() {
    let world = World::new(2);
    let names: Vec<String> = (0..300).map(|i| format!("tasks.web-{i}")).collect();
    for name in &names {
        world.set_a(name, &[[10, 0, 0, 1]]);
    }
    world.servers[0].fault(Fault::Silence);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut source = world.source(RecordType::A, &names);
    // Each of the two may take a third of it.
    source.deadline = Duration::from_millis(900);
    let look = source.fetch().await.unwrap();
    assert_eq!((look.what.len(), look.problems.len()), (300, 0));
    let in_vain = world.servers[0].queries().len();
    assert!(in_vain <= MOST_AT_ONCE, "{in_vain}");
}

/// A server that answers nothing takes no longer than the look may.
#[tokio::test]
async fn many_names_at_a_dead_server_end_with_the_look() {
    let world = World::new(1);
    world.servers[0].fault(Fault::Silence);
    let names: Vec<String> = (0..300).map(|i| format!("tasks.web-{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut source = world.source(RecordType::A, &names);
    source.deadline = Duration::from_millis(200);
    world.check(&mut source, expect![[r#"
        error: cannot look up any name: tasks.web-0. at S1: no answer in time; tasks.web-1. at S1: no answer in time; tasks.web-2. at S1: no answer in time; tasks.web-3. at S1: no answer in time; tasks.web-4. at S1: no answer in time; 295 more names
    "#]]).await;
    assert_eq!(world.counted(), (300, 300));
}
