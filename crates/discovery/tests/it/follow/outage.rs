//! An Engine that is gone for a while, and streams that are closed for no reason.

use std::time::Duration;

use swarmscout_discovery::config::{BuildContext, DockerSwarmConfig, Events, Following, Role};
use swarmscout_simulator::{Fault, Response};
use swarmscout_swarm::FeedKind;

use super::site::{Followed, Site, context, guarded};

/// The Engine comes back before its control socket and its events do: whatever was tried before,
/// once or often, the watch is opened within seconds and not by the next regular refresh.
#[tokio::test]
async fn the_best_feed_is_open_soon_after_an_outage() {
    for (failed, was_watched) in [(0, false), (1, false), (7, false), (7, true)] {
        let site = Site::new(1);
        // No attempt is put off, however long a refresh takes.
        let at_once = quiet(Following::default().quiet, Duration::ZERO);
        let mut followed = Followed::new(&site.config(Role::Tasks, Events::Auto), &at_once);
        let Site { swarm, manager, .. } = &site;
        if was_watched {
            followed.refresh().await;
            assert_eq!(followed.feed().kind, FeedKind::Watch);
        }
        manager.control.refuse();
        if was_watched {
            guarded("the end of the watch", followed.is_notified()).await;
        }
        manager.engine.server.refuse();
        for _ in 0..failed {
            followed.refresh().await;
            assert!(followed.error.is_some());
        }
        manager.engine.server.accept().unwrap();
        let faults = manager.engine.server.faults();
        faults.set_for("/events", Fault::HangBeforeHeader);
        followed.refresh().await;
        let feed = followed.feed();
        assert_eq!((&followed.error.is_none(), feed.kind), (&true, FeedKind::Poll));
        // No reason that is no longer true.
        assert_eq!(feed.reason.as_deref(), Some("not tried yet since the Engine answers again"));
        faults.clear();
        manager.control.accept().unwrap();
        let refreshes = followed.refreshes[0];
        followed.until(|followed| followed.feed().kind == FeedKind::Watch).await;
        // Everything is listed once: it may have changed before the watch was open.
        followed.until(|followed| followed.refreshes[0] > refreshes).await;
        assert_eq!((followed.refreshes[0], &followed.feed().reason), (refreshes + 1, &None));
        swarm.scale(&site.web, 9);
        followed.until_right(&site).await;
        assert_eq!(followed.refreshes[0], refreshes + 1, "failed {failed} times");
    }
}

#[tokio::test]
async fn a_better_feed_is_tried_without_a_listing() {
    let site = Site::new(1);
    site.manager.control.refuse();
    let mut followed = site.follow(Events::Auto);
    followed.refresh().await;
    assert_eq!(followed.feed().kind, FeedKind::Events);
    let reason = followed.feed().reason.clone().unwrap();
    assert!(reason.contains("control.sock"), "{reason}");
    let server = &site.manager.engine.server;
    server.forget_requests();
    // At once, and then at growing gaps.
    for _ in 0..3 {
        followed.step().await;
    }
    assert_eq!((followed.refreshes[0], server.request_count(), followed.feed().starts), (1, 0, 1));
    site.manager.control.accept().unwrap();
    followed.until(|followed| followed.feed().kind == FeedKind::Watch).await;
    site.swarm.scale(&site.web, 9);
    followed.until_right(&site).await;
    assert_eq!((followed.refreshes[0], &followed.feed().reason), (2, &None));
}

fn quiet(quiet: Duration, reopen_after: Duration) -> BuildContext {
    let following = Following { quiet, reopen_after, ..context().following };
    BuildContext { following, ..context() }
}

fn events(site: &Site, context: &BuildContext) -> Followed {
    let config = site.config(Role::Tasks, Events::Events);
    Followed::new(&DockerSwarmConfig { ..config }, context)
}

/// A Swarm in which nothing changes for ten minutes looks like this.
#[tokio::test]
async fn events_that_are_silent_for_long_are_opened_again_and_nothing_else() {
    let site = Site::new(1);
    let context = quiet(Duration::from_millis(40), Duration::from_millis(20));
    let mut followed = events(&site, &context);
    followed.refresh().await;
    let server = &site.manager.engine.server;
    server.forget_requests();
    followed.until(|followed| followed.feed().starts >= 4).await;
    let asked: Vec<_> = server.requests().into_iter().map(|request| request.path).collect();
    assert!(asked.len() >= 3 && asked.iter().all(|path| path.ends_with("/events")), "{asked:?}");
    assert_eq!(followed.refreshes[0], 1);
    // An event that comes while the stream is reopened is lost until the next regular refresh.
    site.swarm.scale(&site.web, 9);
    let fresh = site.fresh(Role::Tasks).await;
    followed.refresh().await;
    followed.check_right(Role::Tasks, &fresh);
    assert_eq!((followed.refreshes[0], followed.failures), (2, 0));
    assert_eq!(followed.kinds.iter().collect::<Vec<_>>(), [&"events"]);
    assert_eq!(followed.feed().reason, None);
}

/// A proxy closes idle connections like this.
#[tokio::test]
async fn events_that_are_closed_are_opened_again_and_nothing_else() {
    let site = Site::new(1);
    let faults = site.manager.engine.server.faults();
    let ends = [
        Fault::Answer(Response::json("")),
        // Without the end that the header promises.
        Fault::Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".into()),
    ];
    for (at, end) in ends.into_iter().enumerate() {
        faults.set_for("/events", end);
        let mut followed = events(&site, &quiet(Duration::from_mins(10), Duration::ZERO));
        followed.refresh().await;
        followed.until(|followed| followed.feed().starts >= 4).await;
        faults.clear();
        site.swarm.scale(&site.web, 8 + at as u64);
        followed.until(|followed| followed.refreshes[1] > 0).await;
        let fresh = site.fresh(Role::Tasks).await;
        followed.refresh().await;
        followed.check_right(Role::Tasks, &fresh);
        assert_eq!((followed.refreshes[0], followed.failures), (2, 0));
        assert_eq!(followed.kinds.iter().collect::<Vec<_>>(), [&"events"]);
    }
}

#[tokio::test]
async fn events_that_cannot_be_opened_again_are_polled_for_until_they_can() {
    let site = Site::new(1);
    let faults = site.manager.engine.server.faults();
    faults.set_for("/events", Fault::Answer(Response::json("")));
    let mut followed = events(&site, &quiet(Duration::from_mins(10), Duration::ZERO));
    followed.refresh().await;
    assert_eq!(followed.feed().kind, FeedKind::Events);
    faults.set_for("/events", Fault::Status(503, "later".to_owned()));
    followed.until(|followed| followed.feed().kind == FeedKind::Poll).await;
    let reason = followed.feed().reason.clone().unwrap();
    assert!(reason.contains("503 Service Unavailable: later"), "{reason}");
    faults.clear();
    followed.until(|followed| followed.feed().kind == FeedKind::Events).await;
    site.swarm.scale(&site.web, 9);
    followed.until_right(&site).await;
    assert_eq!((&followed.feed().reason, followed.failures), (&None, 0));
}
