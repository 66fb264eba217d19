//! Every change is seen, and nothing else changes with it.

use std::sync::Arc;

use proptest::test_runner::{Config, TestRunner};
use swarmscout_discovery::config::{Events, Role};
use swarmscout_simulator::swarm::{ServiceSpec, TaskState};
use swarmscout_swarm::FeedKind;

use super::site::{Followed, ROLES, Site};

/// Changes of a Swarm, by number.
const STEPS: u8 = 14;

/// Does something; what cannot be done is left.
fn act(site: &mut Site, step: u8, pick: usize) {
    let swarm = &site.swarm;
    let services = swarm.services();
    let service = services[pick % services.len()].meta.id.clone();
    let worker = &site.workers[pick % 2];
    match step {
        0 => drop(
            swarm.create_service(
                ServiceSpec::new(&format!("new-{pick}-{}", services.len()), "demo:1")
                    .replicas(2)
                    .network(&site.network),
            ),
        ),
        1 => swarm.scale(&site.web, pick as u64 % 90),
        2 => {
            let tasks = swarm.tasks();
            swarm.kill_task(&tasks[pick % tasks.len()].meta.id);
        }
        3 => swarm.update_service(&service, |spec| {
            *spec = spec.clone().env(format!("N={pick}"));
        }),
        4 => swarm.drain_node(worker),
        5 => swarm.activate_node(worker),
        6 => swarm.stop_node(worker),
        7 => swarm.restore_node(worker),
        8 => swarm.label_service(&service, "n", &pick.to_string()),
        9 => swarm.label_node(worker, "n", &pick.to_string()),
        10 => {
            let network = swarm.create_network(&format!("net-{pick}"));
            if pick.is_multiple_of(2) {
                swarm.remove_network(&network);
            }
        }
        11 if service != site.web && service != site.agent => swarm.remove_service(&service),
        12 => swarm.edit_network(&site.network, |network| {
            network.labels.insert("n".to_owned(), pick.to_string());
        }),
        13 => drop(swarm.add_worker(&format!("worker-{pick}"))),
        _ => {}
    }
}

async fn follows_all(events: Events, kind: FeedKind, steps: &[(u8, usize)]) {
    let mut site = Site::new(1);
    let mut followed = site.follow(events);
    followed.refresh().await;
    assert_eq!((followed.feed().kind, &followed.error.is_none()), (kind, &true));
    for (step, pick) in steps {
        act(&mut site, *step, *pick);
        if pick.is_multiple_of(3) {
            followed.until_right(&site).await;
        }
    }
    followed.until_right(&site).await;
    assert_eq!(followed.refreshes[0], 1, "nothing but reported changes: {:?}", followed.feed());
    assert_eq!((followed.feed().kind, followed.feed().drift), (kind, 0));
    // A listing finds nothing that was missed, and changes no group.
    let before: Vec<_> = ROLES.map(|role| followed.groups(role).clone()).into();
    followed.refresh().await;
    for (role, before) in ROLES.into_iter().zip(before) {
        let same = followed.groups(role).iter().zip(&before).all(|(a, b)| Arc::ptr_eq(a, b));
        assert!(same && followed.groups(role).len() == before.len());
    }
}

fn each_step() -> Vec<(u8, usize)> {
    let picks = [1, 88, 3, 5];
    (0..STEPS).flat_map(|step| picks.map(|pick| (step, pick))).collect()
}

#[tokio::test]
async fn a_watch_reports_every_change() {
    follows_all(Events::Auto, FeedKind::Watch, &each_step()).await;
}

#[tokio::test]
async fn events_report_every_change_but_labels_of_networks() {
    // No event reports a changed network: the Engine cannot change one either.
    let steps: Vec<_> = each_step().into_iter().filter(|(step, _)| *step != 12).collect();
    follows_all(Events::Events, FeedKind::Events, &steps).await;
}

#[tokio::test]
async fn a_task_that_the_first_listing_finds_starting_is_followed_without_an_event() {
    let site = Site::new(1);
    let task = site.swarm.tasks_of(&site.web)[0].meta.id.clone();
    site.swarm.edit_task(&task, |task| task.status.state = TaskState::Starting);
    let mut followed = site.follow(Events::Events);
    followed.refresh().await;
    site.swarm.edit_task(&task, |task| task.status.state = TaskState::Running);
    followed.until_right(&site).await;
    assert_eq!((followed.refreshes[0], followed.feed().kind), (1, FeedKind::Events));
}

#[test]
fn whatever_happens_in_whatever_order_is_seen() {
    let config = Config { cases: 6, failure_persistence: None, ..Config::default() };
    let steps = proptest::collection::vec((0..STEPS, 0..100_usize), 1..25);
    TestRunner::new(config)
        .run(&steps, |steps| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(follows_all(Events::Watch, FeedKind::Watch, &steps));
            Ok(())
        })
        .unwrap();
}

/// Does something and counts the groups of tasks that are not the same afterwards.
async fn others(site: &mut Site, followed: &mut Followed, step: u8, pick: usize) -> usize {
    let before = followed.groups(Role::Tasks).clone();
    act(site, step, pick);
    followed.until_right(site).await;
    let now = followed.groups(Role::Tasks);
    now.iter().filter(|group| !before.iter().any(|known| Arc::ptr_eq(known, group))).count()
}

#[tokio::test]
async fn a_change_changes_the_groups_that_it_is_of() {
    let mut site = Site::new(1);
    let big = ServiceSpec::new("big", "demo:1").replicas(500).network(&site.network);
    site.swarm.create_service(big);
    for events in [Events::Watch, Events::Events] {
        let mut followed = site.follow(events);
        followed.refresh().await;
        let groups = followed.groups(Role::Tasks).len();
        assert!(groups > 8, "{groups}");
        let task = site.swarm.tasks().iter().position(|task| task.slot == 400).unwrap();
        // The task that went and the one that came may be of two groups. No event reports them.
        if events == Events::Watch {
            let killed = others(&mut site, &mut followed, 2, task).await;
            assert!((1..=2).contains(&killed), "{killed}");
        }
        let services = site.swarm.services();
        let service = services.iter().position(|service| service.meta.id == site.web).unwrap();
        let again = if events == Events::Events { services.len() } else { 0 };
        let label = others(&mut site, &mut followed, 8, service + again).await;
        assert_eq!(label, 1);
    }
}
