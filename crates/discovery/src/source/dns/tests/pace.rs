//! When questions leave.

use std::net::SocketAddr;

use swarmscout_sim_stores::dns::Fault;

use super::*;
use crate::RefreshScope;
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
async fn the_number_of_open_queries_is_bounded() {
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
async fn a_silent_server_is_silent_until_it_answers_or_for_a_while() {
    let resolver = Resolver::new("");
    let [a, b] = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let silent = || (resolver.is_silent(a), resolver.is_silent(b));
    resolver.note(a, true);
    assert_eq!(silent(), (false, false));
    resolver.note(a, false);
    resolver.note(b, false);
    assert_eq!(silent(), (true, true));
    resolver.note(b, true);
    assert_eq!(silent(), (true, false));
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(silent(), (false, false));
}

/// The first of two servers is dead, and there are more names than may wait at a time: not all of
/// them wait for it as long as the first ones.
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
    // Each server may take a second of it; 64 wait at a time.
    source.deadline = Duration::from_secs(3);
    let refreshed = source.fetch(RefreshScope::Full).await.unwrap();
    assert_eq!((refreshed.value.len(), refreshed.problems.len()), (300, 0));
    // Every name is asked for: the server could be alive again.
    assert_eq!(world.servers[0].queries().len(), 300);
}

/// A name that the first server does not answer for does not make another one the first for a
/// name that only the first server knows.
#[tokio::test]
async fn the_order_of_servers_stays() {
    let mut world = World::new(1);
    world.set_a("tasks.web", &[[10, 0, 0, 1]]);
    world.servers.push(DnsServer::start(&Zone::default()).unwrap());
    world.conf("");
    world.servers[0].fault_for("tasks.outside.", Fault::Silence);
    let mut source = world.source(RecordType::A, &["tasks.outside"]);
    source.deadline = Duration::from_secs(1);
    world
        .check(
            &mut source,
            expect![[r#"
        problem: name tasks.outside: no such name: tasks.outside. at S2: NXDOMAIN
    "#]],
        )
        .await;
    let mut source = world.source(RecordType::A, &["tasks.web"]);
    world
        .check(
            &mut source,
            expect![[r#"
        tasks.web [{__address__="10.0.0.1:8080"}] {__meta_dns_name="tasks.web"}
    "#]],
        )
        .await;
}

/// A server that does not answer takes no longer than the deadline of the refresh.
#[tokio::test]
async fn many_names_at_a_dead_server_end_at_the_deadline() {
    let world = World::new(1);
    world.servers[0].fault(Fault::Silence);
    let names: Vec<String> = (0..300).map(|i| format!("tasks.web-{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut source = world.source(RecordType::A, &names);
    source.deadline = Duration::from_secs(1);
    world.check(&mut source, expect![[r#"
        error: cannot look up any name: tasks.web-0. at S1: no answer in time; tasks.web-1. at S1: no answer in time; tasks.web-2. at S1: no answer in time; tasks.web-3. at S1: no answer in time; tasks.web-4. at S1: no answer in time; 295 more names
    "#]]).await;
    assert_eq!(world.counted(), (300, 300));
}
