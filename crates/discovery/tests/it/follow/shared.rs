//! Jobs that share one Swarm, through the target manager.

use std::sync::Arc;

use swarmscout_discovery::Manager;
use swarmscout_discovery::config::{DockerSwarmConfig, EngineConfig, Events, Role};
use swarmscout_discovery::manager::{Job, JobState};
use swarmscout_model::PromDuration;
use swarmscout_simulator::Fault;
use swarmscout_simulator::swarm::ServiceSpec;
use swarmscout_swarm::{Feed, FeedKind, Filters, ListScope, Reader};

use super::site::{Site, context, filtered, guarded, job, shown, shown_set};

pub(super) fn job_of(manager: &Manager, name: &str) -> Job {
    let jobs = manager.jobs();
    let jobs = jobs.borrow();
    jobs.iter().find(|job| **job.config.name() == *name).unwrap().clone()
}

#[track_caller]
pub(super) fn until(
    job: &mut Job,
    is: impl Fn(&JobState) -> bool,
) -> impl Future<Output = JobState> {
    guarded("a set", async move { job.wait_for(is).await.unwrap() })
}

#[track_caller]
pub(super) fn ready(job: &mut Job) -> impl Future<Output = JobState> {
    until(job, |job| job.set.is_ready())
}

/// The change feed of the Swarm that a job reads.
fn feed_of(manager: &Manager, job: &JobState) -> Arc<Feed> {
    let name = job.status.sources[0].swarm.as_ref().unwrap();
    let swarms = manager.swarms().borrow().clone();
    let mut feeds = swarms.iter().map(|swarm| swarm.feed.borrow().clone());
    feeds.find(|feed| feed.swarm == *name).unwrap()
}

pub(super) const KINDS: [(Events, FeedKind); 3] = [
    (Events::Watch, FeedKind::Watch),
    (Events::Events, FeedKind::Events),
    (Events::Poll, FeedKind::Poll),
];

#[tokio::test]
async fn a_job_that_is_added_has_its_targets_at_once_and_disturbs_no_other() {
    for (events, kind) in KINDS {
        let site = Site::new(1);
        let mut manager = Manager::new(context());
        let nodes = job("nodes", &site.config(Role::Nodes, events));
        manager.apply(vec![nodes.clone()]);
        let mut first = job_of(&manager, "nodes");
        let before = ready(&mut first).await;
        assert_eq!(before.set.counts.active, 3);
        let tasks = job("tasks", &site.config(Role::Tasks, events));
        let services = job("services", &site.config(Role::Services, events));
        manager.apply(vec![nodes, tasks, services.clone()]);
        for (name, role) in [("tasks", Role::Tasks), ("services", Role::Services)] {
            let now = ready(&mut job_of(&manager, name)).await;
            assert_eq!(shown_set(&now.set), site.fresh(role).await, "{name} by {events:?}");
            assert_eq!(feed_of(&manager, &now).kind, kind);
        }
        let now = first.set.borrow().clone();
        assert!(now.groups.iter().zip(&*before.set.groups).all(|(a, b)| a.is_same(b)));

        // The new list is followed now, and no difference was counted as one that the
        // watch did not report.
        if kind != FeedKind::Poll {
            let mut job = job_of(&manager, "tasks");
            site.swarm.scale(&site.web, 9);
            let fresh = site.fresh(Role::Tasks).await;
            let now = until(&mut job, |job| shown_set(&job.set) == fresh).await;
            let feed = feed_of(&manager, &now);
            assert_eq!((feed.drift, feed.starts), (0, 1), "{feed:?}");
        }
        // Nor is it when a job goes.
        manager.apply(vec![services]);
        let mut job = job_of(&manager, "services");
        site.manager.engine.server.forget_requests();
        site.swarm.label_service(&site.web, "a", "b");
        if kind != FeedKind::Poll {
            let fresh = site.fresh(Role::Services).await;
            let now = until(&mut job, |job| shown_set(&job.set) == fresh).await;
            let feed = feed_of(&manager, &now);
            assert_eq!((feed.drift, feed.starts, feed.objects[2]), (0, 1, 0), "{feed:?}");
        }
    }
}

#[tokio::test]
async fn filters_of_one_job_are_not_those_of_another() {
    for (events, _) in KINDS {
        let site = Site::new(1);
        let mut manager = Manager::new(context());
        let tasks = |filters: &[(&str, &str)]| filtered(site.config(Role::Tasks, events), filters);
        let names = ["web", "running", "gone", "here", "nodes"];
        manager.apply(vec![
            job("web", &tasks(&[("service", "web"), ("desired-state", "running")])),
            job("running", &tasks(&[("desired-state", "running")])),
            job("gone", &tasks(&[("service", "nothing-of-the-kind")])),
            job("here", &tasks(&[("node", "self")])),
            job("nodes", &site.config(Role::Nodes, events)),
        ]);
        let mut found = Vec::new();
        for name in names {
            let mut job = job_of(&manager, name);
            let answered = |job: &JobState| {
                job.set.is_ready() || job.status.sources.iter().any(|source| source.error.is_some())
            };
            let JobState { set, status } = until(&mut job, answered).await;
            let error = status.sources[0].error.clone();
            found.push((name, set.is_ready(), set.counts.active, error));
        }
        let web = found[0].2;
        assert!(web > 0 && found[0].1 && found[0].3.is_none(), "{events:?} {found:?}");
        assert!(found[1].2 >= web && (1..=web).contains(&found[3].2), "{events:?} {found:?}");
        assert_eq!((found[2].1, found[2].2), (false, 0));
        let error = found[2].3.as_deref().unwrap();
        assert!(error.contains("service nothing-of-the-kind not found"), "{error}");
        assert_eq!((found[4].2, found[4].3.is_none()), (3, true));
    }
}

#[tokio::test]
async fn a_filter_that_the_engine_may_refuse_finds_as_much_beside_another_job_as_alone() {
    for (events, _) in KINDS {
        let site = Site::new(1);
        let filters = [("service", "web"), ("desired-state", "running")];
        let web = job("web", &filtered(site.config(Role::Tasks, events), &filters));
        let nodes = job("nodes", &site.config(Role::Nodes, events));
        let mut manager = Manager::new(context());
        manager.apply(vec![web.clone()]);
        let alone = ready(&mut job_of(&manager, "web")).await;
        let mut manager = Manager::new(context());
        manager.apply(vec![web, nodes]);
        let beside = ready(&mut job_of(&manager, "web")).await;
        assert!(alone.set.counts.active > 0);
        assert_eq!(shown_set(&alone.set), shown_set(&beside.set));
    }
}

#[tokio::test]
async fn a_service_that_a_filter_named_and_is_gone_leaves_its_targets() {
    let site = Site::new(1);
    let mut manager = Manager::new(context());
    let config = filtered(site.config(Role::Tasks, Events::Watch), &[("service", "web")]);
    let other = site.config(Role::Tasks, Events::Watch);
    manager.apply(vec![job("web", &config), job("all", &other)]);
    let (mut web, mut all) = (job_of(&manager, "web"), job_of(&manager, "all"));
    let before = ready(&mut web).await;
    ready(&mut all).await;
    site.swarm.remove_service(&site.web);
    let after = until(&mut web, |job| job.status.sources[0].error.is_some()).await;
    assert_eq!(after.set.counts, before.set.counts);
    let fresh = site.fresh(Role::Tasks).await;
    until(&mut all, |job| shown_set(&job.set) == fresh).await;
}

#[tokio::test]
async fn filters_that_only_the_engine_can_apply_have_listings_of_their_own() {
    let site = Site::new(1);
    site.swarm.create_plugin_service("plugin");
    let mut manager = Manager::new(context());
    let all = site.config(Role::Tasks, Events::Auto);
    let newest = filtered(all.clone(), &[("_up-to-date", "true")]);
    manager.apply(vec![job("all", &all), job("newest", &newest)]);
    let all = ready(&mut job_of(&manager, "all")).await;
    let newest = ready(&mut job_of(&manager, "newest")).await;
    let kind = |job: &JobState| feed_of(&manager, job).kind;
    assert_eq!((kind(&all), kind(&newest)), (FeedKind::Watch, FeedKind::Poll));
    assert!(newest.set.counts.active > 0);
    let asked = site.manager.engine.server.requests();
    let asked = asked.iter().filter_map(|request| request.parameter("filters"));
    assert_eq!(asked.collect::<Vec<_>>(), [r#"{"_up-to-date":{"true":true}}"#]);
}

#[tokio::test]
async fn the_job_with_the_shortest_interval_polls() {
    let site = Site::new(1);
    let mut manager = Manager::new(context());
    let slow = site.config(Role::Tasks, Events::Poll);
    let engine =
        EngineConfig { refresh_interval: PromDuration::from_secs(1), ..slow.engine.clone() };
    let fast = DockerSwarmConfig { engine, role: Role::Nodes, ..slow.clone() };
    manager.apply(vec![job("slow", &slow), job("fast", &fast)]);
    let mut slow_job = job_of(&manager, "slow");
    ready(&mut slow_job).await;
    site.swarm.scale(&site.web, 9);
    let fresh = site.fresh(Role::Tasks).await;
    until(&mut slow_job, |job| shown_set(&job.set) == fresh).await;
    // Once it has gone, no job asks for nodes alone or that often.
    manager.apply(vec![job("slow", &slow)]);
    ready(&mut job_of(&manager, "slow")).await;
}

#[tokio::test]
async fn events_that_are_withheld_cost_the_feed_alone() {
    for status in [403, 404] {
        let site = Site::new(1);
        let faults = site.manager.engine.server.faults();
        faults.set_for("/events", Fault::Status(status, "page not found".to_owned()));
        let mut manager = Manager::new(context());
        manager.apply(vec![job("tasks", &site.config(Role::Tasks, Events::Events))]);
        let now = ready(&mut job_of(&manager, "tasks")).await;
        assert_eq!(shown_set(&now.set), site.fresh(Role::Tasks).await);
        let feed = feed_of(&manager, &now);
        assert_eq!(feed.kind, FeedKind::Poll);
        let reason = feed.reason.as_deref().unwrap();
        assert!(reason.contains("/events"), "{reason}");
        assert!(now.status.sources[0].error.is_none());
    }
}

#[tokio::test]
async fn a_burst_of_updates_is_few_requests() {
    let site = Site::new(1);
    let big = ServiceSpec::new("big", "demo:1").replicas(500).network(&site.network);
    let big = site.swarm.create_service(big);
    let mut followed = site.follow(Events::Events);
    followed.refresh().await;
    let server = &site.manager.engine.server;
    server.forget_requests();
    site.swarm.update_service(&big, |spec| *spec = spec.clone().env("A=B".to_owned()));
    let started = std::time::Instant::now();
    followed.until_right(&site).await;
    let seconds = started.elapsed().as_secs();
    // The service and its tasks, at most four times a second, and three full refreshes of up to six
    // requests.
    let requests = server.request_count();
    assert!(requests <= 18 + 2 * 2 + 8 * (seconds + 1), "{requests} in {seconds} s");
    assert_eq!(followed.refreshes[0], 1);
    let tasks = shown(followed.groups(Role::Tasks));
    site.swarm.remove_service(&big);
    followed.until_right(&site).await;
    assert!(followed.shown(Role::Tasks).len() < tasks.len());
}

#[tokio::test]
async fn a_list_requested_during_a_refresh_is_not_taken_for_empty() {
    for (events, _) in KINDS {
        let site = Site::new(1);
        let mut followed = site.follow(events);
        let nodes = ListScope::of([&Reader::of_role(Filters::new(Role::Nodes, &[]))]);
        followed.ask_for(nodes.clone());
        followed.refresh().await;
        let server = &site.manager.engine.server;
        let asked = server.requested(server.request_count() + 1);
        followed.refresh_while(asked, ListScope::everything()).await;
        assert_eq!(followed.snapshot.scope, nodes);
        followed.until(|followed| followed.snapshot.scope == ListScope::everything()).await;
        followed.until_right(&site).await;
        assert_eq!((followed.refreshes[0], followed.feed().drift), (3, 0));
    }
}

/// Tasks that a new node takes have no event but that of the node; those that it had
/// before are not to run, and not listed.
#[tokio::test]
async fn an_event_of_a_node_leads_to_the_tasks_that_it_takes() {
    let site = Site::new(1);
    let everywhere = ServiceSpec::new("everywhere", "demo:1").global();
    site.swarm.create_service(everywhere.publish_on_host(8080, 9100));
    let pinned = ServiceSpec::new("pinned", "demo:1").constraint("node.labels.disk==ssd");
    site.swarm.create_service(pinned.replicas(1).publish_on_host(8080, 9200));
    let config = site.config(Role::Tasks, Events::Events);
    let config = filtered(config, &[("desired-state", "running")]);
    let mut manager = Manager::new(context());
    manager.apply(vec![job("tasks", &config)]);
    let mut job = job_of(&manager, "tasks");
    ready(&mut job).await;
    let mut ports = async |everywhere: usize, pinned: usize| {
        let found = until(&mut job, |job| {
            let shown = shown_set(&job.set);
            // A task lists a port twice, for IPv4 and for IPv6.
            let found = [":9100\"", ":9200\""].map(|port| shown.matches(port).count());
            found == [2 * everywhere, 2 * pinned]
        });
        found.await
    };
    ports(3, 0).await;
    site.swarm.drain_node(&site.workers[0]);
    ports(2, 0).await;
    site.swarm.activate_node(&site.workers[0]);
    ports(3, 0).await;
    site.swarm.label_node(&site.workers[1], "disk", "ssd");
    ports(3, 1).await;
    site.swarm.add_worker("worker-3");
    let now = ports(4, 1).await;
    let feed = feed_of(&manager, &now);
    assert_eq!((feed.kind, feed.starts), (FeedKind::Events, 1), "{feed:?}");
    assert_eq!(now.status.sources[0].refreshes, 1, "nothing but what was reported");
}
