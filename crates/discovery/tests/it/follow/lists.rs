//! Each role depends on the lists that it reads, and on no other.

use std::fmt::Write as _;
use std::time::Duration;

use expect_test::{Expect, expect};
use swarmscout_discovery::Manager;
use swarmscout_discovery::config::{DockerSwarmConfig, EngineConfig, Events, Role};
use swarmscout_discovery::manager::{Job, JobState};
use swarmscout_model::PromDuration;
use swarmscout_simulator::Fault;
use swarmscout_swarm::FeedKind;

use super::shared::{KINDS, job_of, ready, until};
use super::site::{Followed, Site, context, guarded, job, shown_set};

const JOBS: [(&str, Role); 3] =
    [("nodes", Role::Nodes), ("services", Role::Services), ("tasks", Role::Tasks)];

/// One job of each role, refreshed every second.
fn start(site: &Site, events: Events) -> (Manager, [Job; 3]) {
    let jobs = JOBS.map(|(name, role)| {
        let config = site.config(role, events);
        let engine = EngineConfig { refresh_interval: PromDuration::from_secs(1), ..config.engine };
        job(name, &DockerSwarmConfig { engine, ..config })
    });
    let mut manager = Manager::new(context());
    manager.apply(Vec::from(jobs));
    let jobs = JOBS.map(|(name, _)| job_of(&manager, name));
    (manager, jobs)
}

fn forbidden() -> Fault {
    Fault::Status(403, "Forbidden".to_owned())
}

/// The state of the three jobs while one list is refused from the start.
async fn check(list: &str, expected: &Expect) {
    for (events, _) in KINDS {
        let site = Site::new(1);
        site.manager.engine.server.faults().set_for(list, forbidden());
        let (_manager, mut jobs) = start(&site, events);
        let mut text = String::new();
        for ((name, _), job) in JOBS.iter().zip(&mut jobs) {
            let known =
                |job: &JobState| job.status.sources[0].error.is_some() || job.set.is_ready();
            let JobState { set, status } = until(job, known).await;
            let source = &status.sources[0];
            let error = source.error.as_deref().unwrap_or("well");
            let state = if source.as_of.is_some() { "read" } else { "never read" };
            let error = site.manager.anonymous(error);
            writeln!(text, "{name}: {state}, {} targets, {error}", set.counts.active).unwrap();
        }
        expected.assert_eq(&text);
    }
}

#[tokio::test]
async fn a_list_that_is_refused_takes_those_that_need_it() {
    check("/networks", &expect![[r#"
        nodes: read, 3 targets, well
        services: never read, 0 targets, unix://…/docker.sock: access to /networks is forbidden (HTTP status 403): a proxy in front of the Engine must allow GET of it
        tasks: never read, 0 targets, unix://…/docker.sock: access to /networks is forbidden (HTTP status 403): a proxy in front of the Engine must allow GET of it
    "#]]).await;
    check("/tasks", &expect![[r#"
        nodes: read, 3 targets, well
        services: read, 2 targets, well
        tasks: never read, 0 targets, unix://…/docker.sock: access to /tasks is forbidden (HTTP status 403): a proxy in front of the Engine must allow GET of it
    "#]]).await;
    check("/services", &expect![[r#"
        nodes: read, 3 targets, well
        services: never read, 0 targets, unix://…/docker.sock: access to /services is forbidden (HTTP status 403): a proxy in front of the Engine must allow GET of it
        tasks: never read, 0 targets, unix://…/docker.sock: access to /services is forbidden (HTTP status 403): a proxy in front of the Engine must allow GET of it
    "#]]).await;
    check("/nodes", &expect![[r#"
        nodes: never read, 0 targets, unix://…/docker.sock: access to /nodes is forbidden (HTTP status 403): a proxy in front of the Engine must allow GET of it
        services: read, 2 targets, well
        tasks: never read, 0 targets, unix://…/docker.sock: access to /nodes is forbidden (HTTP status 403): a proxy in front of the Engine must allow GET of it
    "#]]).await;
}

#[tokio::test]
async fn a_list_that_fails_later_leaves_what_it_gave_and_nothing_else_behind() {
    let site = Site::new(1);
    let (_manager, [mut nodes, mut services, mut tasks]) = start(&site, Events::Poll);
    let before = ready(&mut tasks).await;
    ready(&mut services).await;
    assert_eq!(ready(&mut nodes).await.set.counts.active, 3);
    let faults = site.manager.engine.server.faults();
    faults.set_for("/tasks", Fault::Status(500, "raft: stopped".to_owned()));
    site.swarm.add_worker("worker-3");
    site.swarm.scale(&site.web, 9);
    until(&mut nodes, |job| job.set.counts.active == 4).await;
    let after = until(&mut tasks, |job| job.status.sources[0].error.is_some()).await;
    assert_eq!(shown_set(&after.set), shown_set(&before.set));
    let source = &after.status.sources[0];
    assert!(source.error.as_deref().unwrap().contains("raft: stopped"), "{:?}", source.error);
    let failures = source.failures;
    assert!(failures > 0);
    let as_of = source.as_of.unwrap();
    // It stays as old as it is, while the others go on.
    let server = &site.manager.engine.server;
    guarded("two more refreshes", server.requested(server.request_count() + 10)).await;
    let later = tasks.state().status;
    assert!(later.sources[0].failures > failures);
    assert_eq!(later.sources[0].as_of, Some(as_of));
    for well in [&nodes, &services] {
        let status = well.state().status;
        let source = &status.sources[0];
        assert_eq!((source.failures, &source.error), (0, &None));
        assert!(source.as_of.unwrap() > as_of);
    }
    faults.clear();
    let fresh = site.fresh(Role::Tasks).await;
    let is_well =
        |job: &JobState| shown_set(&job.set) == fresh && job.status.sources[0].error.is_none();
    assert!(until(&mut tasks, is_well).await.status.sources[0].as_of.unwrap() > as_of);
}

#[tokio::test]
async fn a_watch_keeps_a_list_up_to_date_that_cannot_be_read() {
    let site = Site::new(1);
    let mut followed = site.follow(Events::Auto);
    followed.refresh().await;
    assert_eq!(followed.feed().kind, FeedKind::Watch);
    let fault = Fault::Status(500, "raft: stopped".to_owned());
    site.manager.engine.server.faults().set_for("/tasks", fault);
    followed.refresh().await;
    let failed = &followed.snapshot.failed[0];
    assert!(failed.is_watched && failed.error.contains("raft: stopped"), "{failed:?}");
    site.manager.engine.server.faults().clear();
    let fresh = {
        site.swarm.scale(&site.web, 9);
        site.fresh(Role::Tasks).await
    };
    let fault = Fault::Status(500, "raft: stopped".to_owned());
    site.manager.engine.server.faults().set_for("/tasks", fault);
    followed.until(|followed| followed.shown(Role::Tasks) == fresh).await;
    site.manager.engine.server.faults().clear();
    followed.until(|followed| followed.snapshot.failed.is_empty()).await;
    followed.check_right(Role::Tasks, &fresh);
    assert_eq!((followed.feed().drift, followed.feed().starts), (0, 1));
}

/// A list that a proxy withholds does not turn each event into a full refresh.
#[tokio::test]
async fn events_are_followed_beside_a_list_that_is_refused() {
    let site = Site::new(1);
    site.manager.engine.server.faults().set_for("/networks", forbidden());
    // The list is not due again while this test runs.
    let mut context = context();
    context.following.reopen_after = Duration::from_hours(1);
    let mut followed = Followed::new(&site.config(Role::Tasks, Events::Events), &context);
    followed.refresh().await;
    assert_eq!(followed.snapshot.failed.len(), 1);
    site.swarm.label_node(&site.workers[0], "a", "b");
    let fresh = site.fresh(Role::Nodes).await;
    followed.until(|followed| followed.shown(Role::Nodes) == fresh).await;
    assert_eq!(followed.refreshes[0], 1);
}

#[tokio::test]
async fn a_manager_that_gives_all_lists_is_asked_before_one_that_does_not() {
    use super::site::{Manager as Simulated, config};
    let site = Site::new(1);
    let node = site.swarm.add_manager("manager-2");
    let second = Simulated::new(&site.swarm, &node);
    let config = config(&[&site.manager, &second], Role::Tasks);
    let config = DockerSwarmConfig { events: Events::Poll, ..config };
    site.manager.engine.server.faults().set_for("/networks", forbidden());
    let mut followed = Followed::new(&config, &context());
    followed.refresh().await;
    assert_eq!((&*followed.feed().host, followed.snapshot.failed.len()), (&*second.url(), 0));
    assert_eq!(followed.problems[0].object, site.manager.url());
    // If no host gives all lists, some of them are better than none.
    second.engine.server.faults().set_for("/networks", forbidden());
    followed.refresh().await;
    assert_eq!((followed.snapshot.failed.len(), followed.failures), (1, 0));
    assert!(followed.snapshot.failed[0].error.contains("access to /networks is forbidden"));
}
