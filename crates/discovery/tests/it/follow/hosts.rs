//! Several managers of one Swarm.

use std::time::Duration;

use swarmscout_discovery::config::{DockerSwarmConfig, EngineConfig, Events, Role};
use swarmscout_model::PromDuration;
use swarmscout_simulator::engine::Engine;
use swarmscout_simulator::{Fault, Listen};
use swarmscout_swarm::FeedKind;

use super::site::{Followed, Manager, Site, config, context};

#[tokio::test]
async fn when_the_manager_in_use_dies_the_next_one_reports_at_once() {
    for (events, kind) in [(Events::Auto, FeedKind::Watch), (Events::Events, FeedKind::Events)] {
        let site = Site::new(1);
        let other = Site::new(2);
        let nodes = [site.swarm.add_manager("manager-2"), site.swarm.add_manager("manager-3")];
        let second = Manager::new(&site.swarm, &nodes[0]);
        let hosts = [&site.manager, &other.manager, &second];
        let config = DockerSwarmConfig { events, ..config(&hosts, Role::Tasks) };
        let mut followed = Followed::new(&config, &context());
        followed.refresh().await;
        assert_eq!(followed.feed().kind, kind);
        site.manager.control.refuse();
        site.manager.engine.server.refuse();
        site.swarm.scale(&site.web, 9);
        followed.until(|followed| *followed.feed().host == *second.url()).await;
        assert_eq!(followed.feed().kind, kind, "{:?}", followed.feed());
        let refreshes = followed.refreshes[0];
        site.manager.engine.server.accept().unwrap();
        site.swarm.scale(&site.web, 5);
        followed.until_right(&site).await;
        assert!(followed.refreshes[0] <= refreshes + 1, "{:?}", followed.refreshes);
        assert!(!followed.was_empty);
    }
}

#[tokio::test]
async fn the_first_host_may_be_down_from_the_start() {
    let site = Site::new(1);
    let dead = Site::new(3);
    dead.manager.engine.server.refuse();
    dead.manager.control.refuse();
    let config = config(&[&dead.manager, &site.manager], Role::Tasks);
    for events in [Events::Events, Events::Auto] {
        let config = DockerSwarmConfig { events, ..config.clone() };
        let mut followed = Followed::new(&config, &context());
        followed.refresh().await;
        assert_ne!(followed.feed().kind, FeedKind::Poll, "{:?}", followed.feed());
        site.swarm.scale(&site.web, if events == Events::Auto { 8 } else { 9 });
        followed.until_right(&site).await;
        assert_eq!(followed.refreshes[0], 1);
    }
}

#[tokio::test]
async fn a_follower_watches_for_what_the_leader_lists() {
    let site = Site::new(1);
    let node = site.swarm.add_manager("manager-2");
    let second = Manager::new(&site.swarm, &node);
    let config = config(&[&second], Role::Tasks);
    let mut followed = Followed::new(&config, &context());
    followed.refresh().await;
    assert_eq!(followed.feed().kind, FeedKind::Watch);
    site.swarm.scale(&site.web, 9);
    followed.until_right(&site).await;
    // The leader goes: no change reports which manager leads, so it is listed.
    site.swarm.add_manager("manager-3");
    site.swarm.stop_node(&site.manager.node);
    followed.until_right(&site).await;
    assert_eq!((followed.refreshes[0], followed.feed().drift), (1, 0));
}

#[tokio::test]
async fn over_tcp_events_are_used_without_a_reason() {
    let site = Site::new(1);
    let engine = Engine::start(Listen::Tcp, &site.swarm, &site.manager.node).unwrap();
    let mut config = config(&[&site.manager], Role::Tasks);
    config.engine.hosts = vec![engine.server.url().to_owned()];
    let mut followed = Followed::new(&config, &context());
    followed.refresh().await;
    assert_eq!((followed.feed().kind, &followed.feed().reason), (FeedKind::Events, &None));
}

/// Two managers: the first, in use, answers every request with this fault from now
/// on, and its stream of events stays open.
async fn second_takes_over(fault: Fault, by_event: bool) -> Followed {
    let site = Site::new(1);
    let node = site.swarm.add_manager("manager-2");
    let second = Manager::new(&site.swarm, &node);
    let config = config(&[&site.manager, &second], Role::Tasks);
    // An attempt takes three seconds at most: a busy machine opens the events within a quarter of
    // that, too.
    let engine = EngineConfig { refresh_interval: PromDuration::from_secs(1), ..config.engine };
    let config = DockerSwarmConfig { events: Events::Events, engine, ..config };
    let mut context = context();
    context.refresh.patience = Duration::from_secs(3);
    let mut followed = Followed::new(&config, &context);
    followed.refresh().await;
    assert_eq!(
        (&*followed.feed().host, followed.feed().kind),
        (&*site.manager.url(), FeedKind::Events)
    );
    site.manager.engine.server.faults().set(fault);
    let refreshes = followed.refreshes[0];
    if by_event {
        site.swarm.label_service(&site.web, "a", "b");
        followed.until(|followed| followed.refreshes[0] > refreshes).await;
    } else {
        followed.refresh().await;
    }
    assert_eq!((&*followed.feed().host, followed.feed().kind), (&*second.url(), FeedKind::Events));
    assert_eq!(followed.problems.len(), 1, "{:?}", followed.problems);
    let problem = &followed.problems[0];
    assert_eq!((problem.kind, &*problem.object), ("host", &*site.manager.url()));
    // The second one reports from now on, whatever the first one does.
    site.manager.engine.server.faults().clear();
    site.swarm.scale(&site.web, 9);
    followed.until_right(&site).await;
    assert_eq!(
        (followed.refreshes[0], followed.failures, followed.was_empty),
        (refreshes + 1, 0, false)
    );
    followed
}

/// A manager that is stopped in an orderly way.
fn stopping() -> Fault {
    let text = "rpc error: code = Canceled desc = grpc: the client connection is closing";
    Fault::Status(500, text.to_owned())
}

#[tokio::test]
async fn a_manager_that_cannot_list_what_an_event_named_is_left_for_the_next() {
    let followed = second_takes_over(stopping(), true).await;
    let detail = &followed.problems[0].detail;
    assert!(detail.contains("this Engine is stopping or starting"), "{detail}");
    let followed = second_takes_over(Fault::HangBeforeHeader, true).await;
    let detail = &followed.problems[0].detail;
    assert!(detail.contains("no complete answer within 3s"), "{detail}");
}

#[tokio::test]
async fn a_manager_that_falls_silent_with_its_stream_open_is_left_for_the_next() {
    second_takes_over(Fault::HangBeforeHeader, false).await;
}

#[tokio::test]
async fn a_manager_alone_that_cannot_list_what_an_event_named_fails() {
    let site = Site::new(1);
    let mut followed = site.follow(Events::Events);
    followed.refresh().await;
    site.manager.engine.server.faults().set(stopping());
    site.swarm.label_service(&site.web, "a", "b");
    followed.until(|followed| followed.failures == 1).await;
    site.manager.engine.server.faults().clear();
    followed.refresh().await;
    followed.until_right(&site).await;
    assert_eq!((followed.refreshes[0], followed.was_empty), (2, false));
}
