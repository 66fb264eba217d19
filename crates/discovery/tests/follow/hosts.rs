//! Several managers of one Swarm.

use swarmscout_discovery::config::{DockerSwarmConfig, Events, Role};
use swarmscout_discovery::snapshot::FeedKind;
use swarmscout_simulator::Listen;
use swarmscout_simulator::engine::Engine;

use super::site::{Followed, Manager, Site, config, context};

#[tokio::test]
async fn when_the_manager_in_use_dies_the_next_one_tells_at_once() {
    for (events, kind) in [(Events::Auto, FeedKind::Watch), (Events::Events, FeedKind::Events)] {
        let site = Site::new(1);
        let other = Site::new(2);
        let nodes = [site.swarm.add_manager("manager-2"), site.swarm.add_manager("manager-3")];
        let second = Manager::new(&site.swarm, &nodes[0]);
        let hosts = [&site.manager, &other.manager, &second];
        let config = DockerSwarmConfig { events, ..config(&hosts, Role::Tasks) };
        let mut followed = Followed::new(&config, &context());
        followed.look().await;
        assert_eq!(followed.feed().kind, kind);
        site.manager.control.refuse();
        site.manager.engine.server.refuse();
        site.swarm.scale(&site.web, 9);
        followed.until(|followed| *followed.feed().host == *second.url()).await;
        assert_eq!(followed.feed().kind, kind, "{:?}", followed.feed());
        let looks = followed.looks[0];
        site.manager.engine.server.accept().unwrap();
        site.swarm.scale(&site.web, 5);
        followed.until_right(&site).await;
        assert!(followed.looks[0] <= looks + 1, "{:?}", followed.looks);
        assert!(!followed.was_empty);
    }
}

#[tokio::test]
async fn the_first_host_may_be_down_from_the_beginning() {
    let site = Site::new(1);
    let dead = Site::new(3);
    dead.manager.engine.server.refuse();
    dead.manager.control.refuse();
    let config = config(&[&dead.manager, &site.manager], Role::Tasks);
    for events in [Events::Events, Events::Auto] {
        let config = DockerSwarmConfig { events, ..config.clone() };
        let mut followed = Followed::new(&config, &context());
        followed.look().await;
        assert_ne!(followed.feed().kind, FeedKind::Poll, "{:?}", followed.feed());
        site.swarm.scale(&site.web, if events == Events::Auto { 8 } else { 9 });
        followed.until_right(&site).await;
        assert_eq!(followed.looks[0], 1);
    }
}

#[tokio::test]
async fn a_follower_watches_for_what_the_leader_lists() {
    let site = Site::new(1);
    let node = site.swarm.add_manager("manager-2");
    let second = Manager::new(&site.swarm, &node);
    let config = config(&[&second], Role::Tasks);
    let mut followed = Followed::new(&config, &context());
    followed.look().await;
    assert_eq!(followed.feed().kind, FeedKind::Watch);
    site.swarm.scale(&site.web, 9);
    followed.until_right(&site).await;
    // The leader goes: which manager leads is told by no change, and asked for.
    site.swarm.add_manager("manager-3");
    site.swarm.stop_node(&site.manager.node);
    followed.until_right(&site).await;
    assert_eq!((followed.looks[0], followed.feed().drift), (1, 0));
}

#[tokio::test]
async fn over_tcp_there_are_events_and_no_excuse() {
    let site = Site::new(1);
    let engine = Engine::start(Listen::Tcp, &site.swarm, &site.manager.node).unwrap();
    let mut config = config(&[&site.manager], Role::Tasks);
    config.engine.hosts = vec![engine.server.url().to_owned()];
    let mut followed = Followed::new(&config, &context());
    followed.look().await;
    assert_eq!((followed.feed().kind, &followed.feed().reason), (FeedKind::Events, &None));
}
