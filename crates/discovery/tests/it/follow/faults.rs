//! Faults of a watch, of events, and of the lists beside them.

use swarmscout_discovery::config::{BuildContext, DockerSwarmConfig, EngineConfig, Events, Role};
use swarmscout_simulator::engine::Condition;
use swarmscout_simulator::swarmkit::Fault as ControlFault;
use swarmscout_simulator::{Fault, Response};
use swarmscout_swarm::FeedKind;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::site::{Followed, Manager, Site, context, guarded, impatient};

/// The Engine's answer right now, to be replayed later.
async fn answered(site: &Site, list: &str) -> Vec<u8> {
    let path = site.manager.engine.server.socket().unwrap();
    let mut stream = UnixStream::connect(path).await.unwrap();
    let request = format!("GET /{list} HTTP/1.0\r\nHost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let at = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    answer.split_off(at + 4)
}

async fn watched(site: &Site) -> Followed {
    watched_with(site, &context()).await
}

async fn watched_with(site: &Site, context: &BuildContext) -> Followed {
    let mut followed = Followed::new(&site.config(Role::Tasks, Events::Auto), context);
    followed.refresh().await;
    assert_eq!(followed.feed().kind, FeedKind::Watch, "{:?}", followed.feed().reason);
    followed
}

#[tokio::test]
async fn a_watch_that_stalls_is_found_by_a_listing_and_opened_again() {
    let site = Site::new(1);
    let mut followed = watched_with(&site, &impatient()).await;
    let faults = site.manager.control.faults();
    faults.set(ControlFault::Stall);
    site.swarm.label_node(&site.workers[0], "a", "b");
    faults.struck_times(1).await;
    faults.clear();
    site.swarm.scale(&site.web, 9);
    // The regular refresh shows what the watch did not report.
    followed.refresh().await;
    let fresh = site.fresh(Role::Tasks).await;
    followed.check_right(Role::Tasks, &fresh);
    assert_eq!((followed.feed().drift, followed.feed().starts), (0, 1));
    followed.until(|followed| followed.feed().starts == 2).await;
    let feed = followed.feed();
    assert!(feed.drift > 0 && feed.kind == FeedKind::Watch, "{feed:?}");
    let drift = feed.drift;
    site.swarm.scale(&site.web, 4);
    followed.until_right(&site).await;
    assert_eq!((followed.feed().drift, followed.feed().starts), (drift, 2));
    assert!(!followed.was_empty);
}

#[tokio::test]
async fn a_watch_that_ends_is_opened_again() {
    for fault in [
        ControlFault::End(0, String::new()),
        ControlFault::End(1, "context canceled".to_owned()),
        ControlFault::End(14, "too slow".to_owned()),
        ControlFault::Reset,
    ] {
        let site = Site::new(1);
        let mut followed = watched(&site).await;
        let faults = site.manager.control.faults();
        faults.next(1, fault.clone());
        site.swarm.scale(&site.web, 9);
        followed.until(|followed| followed.feed().starts == 2).await;
        followed.until_right(&site).await;
        assert_eq!(
            (followed.feed().kind, followed.feed().drift),
            (FeedKind::Watch, 0),
            "{fault:?}"
        );
        assert!(!followed.was_empty);
    }
}

#[tokio::test]
async fn an_engine_that_is_started_again_is_followed_again() {
    let site = Site::new(1);
    let mut followed = watched(&site).await;
    for engine_too in [false, true] {
        let starts = followed.feed().starts;
        site.manager.control.refuse();
        if engine_too {
            site.manager.engine.server.refuse();
        }
        site.swarm.scale(&site.web, if engine_too { 5 } else { 7 });
        followed
            .until(|followed| followed.error.is_some() || followed.feed().kind != FeedKind::Watch)
            .await;
        if engine_too {
            followed.until(|followed| followed.error.is_some()).await;
            site.manager.engine.server.accept().unwrap();
        }
        site.manager.control.accept().unwrap();
        // As a supervisor does after a failure.
        followed.refresh().await;
        followed
            .until(|followed| {
                followed.feed().starts > starts && followed.feed().kind == FeedKind::Watch
            })
            .await;
        followed.until_right(&site).await;
        assert_eq!(followed.feed().drift, 0);
        assert!(!followed.was_empty);
    }
}

#[tokio::test]
async fn the_control_socket_of_another_swarm_is_skipped_for_events() {
    let (site, other) = (Site::new(1), Site::new(2));
    for role in [Role::Services, Role::Tasks] {
        for withheld in [false, true] {
            let faults = site.manager.engine.server.faults();
            faults.clear();
            if withheld {
                faults.set_for("/info", Fault::Status(403, "forbidden".to_owned()));
            }
            let socket = Some(other.manager.socket());
            let config = site.config(role, Events::Auto);
            let config = DockerSwarmConfig { swarmkit_socket: socket, ..config };
            let mut followed = Followed::new(&config, &context());
            followed.refresh().await;
            let feed = followed.feed().clone();
            assert_eq!(feed.kind, FeedKind::Events);
            let reason = feed.reason.as_deref().unwrap();
            assert!(reason.contains("that of another Swarm: node"), "{reason}");
            site.swarm.scale(&site.web, 9 + u64::from(withheld));
            followed.until_right(&site).await;
            assert_eq!(followed.feed().reason, feed.reason);
        }
    }
}

#[tokio::test]
async fn a_watch_is_used_though_info_is_withheld() {
    let site = Site::new(1);
    let faults = site.manager.engine.server.faults();
    faults.set_for("/info", Fault::Status(403, "forbidden".to_owned()));
    let config = site.config(Role::Services, Events::Auto);
    let context = context();
    let (_demand, demanded) = tokio::sync::watch::channel(swarmscout_swarm::ListScope::of([
        &swarmscout_swarm::Reader::of_role(swarmscout_swarm::Filters::new(Role::Services, &[])),
    ]));
    let source = config.swarm();
    let mut follower = swarmscout_swarm::SwarmFollower::new(
        &source,
        "swarm".into(),
        demanded,
        context.following,
        &context.refresh,
    )
    .unwrap();
    let refreshed = swarmscout_discovery::Discoverer::fetch(
        &mut follower,
        swarmscout_refresh::RefreshScope::Full,
    )
    .await
    .unwrap();
    let feed = refreshed.value.feed.unwrap();
    assert_eq!((feed.kind, &feed.reason), (FeedKind::Watch, &None));
}

#[tokio::test]
async fn changes_that_are_lost_doubled_or_swapped_leave_the_right_set() {
    for fault in [
        ControlFault::LoseEach(3),
        ControlFault::Lose,
        ControlFault::Duplicate,
        ControlFault::Swap,
        ControlFault::HoldRemovals,
    ] {
        let site = Site::new(1);
        let mut followed = watched_with(&site, &impatient()).await;
        let faults = site.manager.control.faults();
        faults.set(fault.clone());
        site.swarm.update_service(&site.web, |spec| *spec = spec.clone().env("A=B".to_owned()));
        site.swarm.scale(&site.agent, 1);
        site.swarm.scale(&site.web, 12);
        site.swarm.stop_node(&site.workers[0]);
        site.swarm.scale(&site.web, 2);
        faults.struck_times(1).await;
        faults.clear();
        let lost = matches!(fault, ControlFault::Lose | ControlFault::LoseEach(_));
        if lost {
            followed.refresh().await;
        }
        followed.until_right(&site).await;
        assert!(!followed.was_empty, "{fault:?}");
        if !lost {
            assert_eq!((followed.refreshes[0], followed.feed().drift), (1, 0), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn lists_that_contradict_the_watch_take_nothing_away() {
    for older in [true, false] {
        let site = Site::new(1);
        let mut followed = watched(&site).await;
        let faults = site.manager.engine.server.faults();
        let lists = ["tasks", "services", "nodes"];
        let mut old = Vec::new();
        for list in lists {
            old.push((list, answered(&site, list).await));
        }
        site.swarm.scale(&site.web, 9);
        site.swarm.kill_task(&site.swarm.tasks_of(&site.web)[0].meta.id);
        followed.until_right(&site).await;
        let fresh = site.fresh(Role::Tasks).await;
        for (list, old) in old {
            let body = if older { old } else { b"[]\n".to_vec() };
            faults.set_for(&format!("/{list}"), Fault::Body(body.into()));
        }
        followed.refresh().await;
        followed.check_right(Role::Tasks, &fresh);
        assert_eq!(followed.feed().drift, 0);
        faults.clear();
        followed.refresh().await;
        followed.until_right(&site).await;
        assert!(!followed.was_empty);
        assert_eq!(
            (followed.feed().starts, followed.feed().drift),
            (1, 0),
            "{:?}",
            followed.feed()
        );
    }
}

#[tokio::test]
async fn events_that_are_lost_cost_one_refresh() {
    let site = Site::new(1);
    let config = site.config(Role::Tasks, Events::Events);
    let engine = EngineConfig {
        refresh_interval: swarmscout_model::PromDuration::from_secs(1),
        ..config.engine
    };
    let config = DockerSwarmConfig { engine, ..config };
    let mut followed = Followed::new(&config, &context());
    followed.refresh().await;
    // No event of this Engine reports a task that ends elsewhere.
    let task = site.swarm.tasks_of(&site.web);
    let task = task.iter().find(|task| task.node_id != site.manager.node).unwrap();
    site.swarm.kill_task(&task.meta.id);
    followed.refresh().await;
    followed.check_right(Role::Tasks, &site.fresh(Role::Tasks).await);
}

#[tokio::test]
async fn an_engine_whose_lists_fail_costs_no_target() {
    for events in [Events::Auto, Events::Events] {
        let site = Site::new(1);
        let mut followed = site.follow(events);
        followed.refresh().await;
        let before = followed.shown(Role::Tasks);
        let faults = site.manager.engine.server.faults();
        for list in ["/tasks", "/services", "/nodes", "/networks"] {
            faults.set_for(list, Fault::no_leader());
        }
        followed.refresh().await;
        assert!(followed.error.as_ref().unwrap().to_string().contains("no leader"));
        // A watch is of use while no list can be read; events are not.
        site.swarm.label_service(&site.web, "a", "b");
        if events == Events::Auto {
            followed.until(|followed| followed.shown(Role::Tasks) != before).await;
        }
        faults.clear();
        followed.refresh().await;
        followed.until_right(&site).await;
        assert!(!followed.was_empty);
    }
}

#[tokio::test]
async fn a_change_reported_before_a_listing_that_fails_is_seen() {
    let site = Site::new(1);
    let mut followed = watched(&site).await;
    site.swarm.label_service(&site.web, "a", "b");
    let fresh = site.fresh(Role::Services).await;
    guarded("a change", followed.is_notified()).await;
    site.manager.engine.server.faults().set(Fault::no_leader());
    followed.refresh().await;
    assert!(followed.error.is_some());
    followed.check_right(Role::Services, &fresh);
}

#[tokio::test]
async fn a_cancelled_refresh_loses_no_change() {
    let site = Site::new(1);
    let mut followed = watched(&site).await;
    // Managers are listed when one of them changes: that is where a refresh hangs.
    let faults = site.manager.control.faults();
    faults.set(ControlFault::HangLists);
    site.swarm.label_node(&site.manager.node, "a", "b");
    site.swarm.label_service(&site.web, "a", "b");
    let struck = faults.struck();
    followed.cut_off(faults.struck_times(struck + 1)).await;
    faults.clear();
    followed.refresh().await;
    followed.until_right(&site).await;
    assert_eq!((followed.feed().drift, followed.feed().starts), (0, 1));
}

#[tokio::test]
async fn the_reason_a_manager_stops_answering_is_reported() {
    let site = Site::new(1);
    let second = site.swarm.add_manager("manager-2");
    let mut followed = watched(&site).await;
    let mut errors = Vec::new();
    for condition in [Condition::Standalone, Condition::Locked, Condition::NoQuorum] {
        site.manager.engine.set_condition(condition);
        followed.refresh().await;
        errors.push(followed.error.as_ref().unwrap().to_string());
    }
    site.manager.engine.set_condition(Condition::Member);
    site.swarm.demote_node(&site.manager.node);
    followed.refresh().await;
    errors.push(followed.error.as_ref().unwrap().to_string());
    let errors: Vec<_> = errors.iter().map(|text| site.manager.anonymous(text)).collect();
    expect_test::expect![[r#"
        unix://…/docker.sock: this Engine is not a manager, as it never joined a Swarm, has left it, or is stopping
        unix://…/docker.sock: this manager is locked: run `docker swarm unlock` on it
        unix://…/docker.sock: the Swarm has no leader: more than half of its managers must be up
        unix://…/docker.sock: this Engine is not a manager but a worker, and only a manager knows its Swarm: ask 10.77.0.14"#]].assert_eq(&errors.join("\n"));
    site.swarm.promote_node(&site.manager.node);
    site.manager.control.accept().unwrap();
    followed.refresh().await;
    followed.until(|followed| followed.feed().kind == FeedKind::Watch).await;
    followed.until_right(&site).await;
    assert!(!followed.was_empty);
    drop(second);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_ends_nothing() {
    let site = Site::new(1);
    let faults = site.manager.engine.server.faults();
    let response = Response::json("{\"Type\":\"service\"}\n".repeat(5000));
    faults.set_for("/events", Fault::Answer(response));
    let mut followed = site.follow(Events::Events);
    followed.refresh().await;
    // The stream ends, and is opened again when the fault is over.
    faults.clear();
    followed.until(|followed| followed.feed().starts > 1).await;
    site.swarm.scale(&site.web, 9);
    followed.until_right(&site).await;
}

#[tokio::test]
async fn clocks_that_differ_report_no_absurd_lateness() {
    // The simulator's own time is years away.
    let site = Site::new(1);
    for events in [Events::Watch, Events::Events] {
        let mut followed = site.follow(events);
        followed.refresh().await;
        site.swarm.label_service(&site.web, "a", &format!("{events:?}"));
        followed.until_right(&site).await;
        let late = followed.feed().late;
        assert!(late.is_none_or(|late| late < std::time::Duration::from_hours(24)), "{late:?}");
    }
}

#[tokio::test]
async fn another_swarm_behind_the_same_socket_takes_the_place_of_the_old_one() {
    let site = Site::new(1);
    let mut followed = watched(&site).await;
    let Site { swarm, manager, .. } = site;
    let path = manager.engine.server.socket().unwrap().to_owned();
    let Manager { engine, control, .. } = &manager;
    engine.server.refuse();
    control.refuse();
    drop(swarm);
    followed.refresh().await;
    assert!(followed.error.is_some() && !followed.was_empty);
    let other = Site::new(7);
    let listen = swarmscout_simulator::Listen::Unix(path);
    let _engine =
        swarmscout_simulator::engine::Engine::start(listen, &other.swarm, &other.manager.node)
            .unwrap();
    let _control = swarmscout_simulator::swarmkit::ControlSocket::start(
        control.path(),
        &other.swarm,
        &other.manager.node,
    )
    .unwrap();
    followed.refresh().await;
    followed.until(|followed| followed.feed().kind == FeedKind::Watch).await;
    followed.until_right(&other).await;
}
