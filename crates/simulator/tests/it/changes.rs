//! A simulated Swarm reports its changes as a real one did.

use std::collections::BTreeMap;

use expect_test::expect;
use swarmscout_simulator::swarm::{Action, Change, Changes, Object, ServiceSpec, Swarm};

/// What a client of a real Swarm's control socket received while a service was deployed, its task
/// killed, another scaled up and down, a node labelled, the first updated and removed, the node
/// drained, a network made and removed, a job run.
const RECORDED: &str = include_str!("../../fixtures/swarm-mode/control-socket/changes.txt");

/// A change as the recording has it: action, kind, name, ID, and of a task its state and the wanted
/// one.
fn line(change: &Change) -> String {
    let rest = match &change.object {
        Object::Task(task) => format!(
            "task {} {} {:?} {:?}",
            task.slot, task.meta.id, task.status.state, task.desired_state
        ),
        object => format!("{} - {}", object.kind(), object.meta().id),
    };
    format!("{:?} {rest}", change.action)
}

fn lines(changes: &mut Changes) -> Vec<String> {
    std::iter::from_fn(|| changes.try_next()).map(|change| line(&change)).collect()
}

/// The reports on each object, in the order of their first ones. A change that
/// is not visible is left out: a real engine reports twice how a container ended.
fn lives<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Vec<String>> {
    let mut order: Vec<Vec<String>> = Vec::new();
    let mut known = BTreeMap::new();
    for line in lines {
        let words: Vec<_> = line.split(' ').collect();
        let at = *known.entry(words[3].to_owned()).or_insert_with(|| {
            order.push(Vec::new());
            order.len() - 1
        });
        let shown = [&words[..2], &words[4..]].concat().join(" ");
        if words[1] != "task" || order[at].last() != Some(&shown) {
            order[at].push(shown);
        }
    }
    order
}

/// The lives of the objects whose name begins so in the recording.
fn recorded(name: &str) -> Vec<Vec<String>> {
    lives(
        RECORDED.lines().filter(|line| line.split(' ').nth(2).is_some_and(|n| n.starts_with(name))),
    )
}

fn swarm() -> (Swarm, String) {
    let swarm = Swarm::new(1);
    swarm.add_manager("manager-1");
    (swarm.clone(), swarm.add_worker("worker-1"))
}

#[test]
fn a_service_is_deployed_killed_updated_and_removed_as_a_real_one_is() {
    let (swarm, _) = swarm();
    let mut changes = swarm.changes();
    let spec = ServiceSpec::new("web", "demo:1").publish_on_host(8080, 9100);
    let web = swarm.create_service(spec);
    assert!(swarm.kill_task(&swarm.tasks_of(&web)[0].meta.id));
    swarm.update_service(&web, |spec| *spec = spec.clone().env("V=2".to_owned()));
    swarm.remove_service(&web);
    let reported = lines(&mut changes);
    let (ours, mut real) = (lives(reported.iter().map(String::as_str)), recorded("web"));
    // The real one put the specification and the state of the update down one after the other,
    // and wanted the third task to run before it found a node for its port.
    let update = real[0].iter().position(|line| line == "Update service").unwrap();
    real[0].remove(update);
    let (of, shown) = (ours.iter().flatten().count(), ours.len());
    assert_eq!((shown, ours[0].clone(), ours[1].clone(), ours[2].clone()), {
        (real.len(), real[0].clone(), real[1].clone(), real[2].clone())
    });
    assert!(of > 20, "{reported:#?}");
}

#[test]
fn a_network_lives_as_a_real_one() {
    let (swarm, _) = swarm();
    let mut changes = swarm.changes();
    let other = swarm.create_network("other");
    swarm.remove_network(&other);
    assert_eq!(lives(lines(&mut changes).iter().map(String::as_str)), recorded("other"));
}

#[test]
fn reports_the_same_to_all_listeners_with_rising_indexes() {
    let (swarm, worker) = swarm();
    let (mut one, mut other) = (swarm.changes(), swarm.changes());
    let web = swarm.create_service(ServiceSpec::new("web", "demo:1").replicas(2));
    swarm.drain_node(&worker);
    swarm.scale(&web, 1);
    swarm.remove_node(&worker);
    let changes: Vec<_> = std::iter::from_fn(|| one.try_next()).collect();
    let mut last = 0;
    let mut before = BTreeMap::new();
    for change in &changes {
        let meta = change.object.meta();
        if change.action == Action::Remove {
            assert_eq!(before.remove(&meta.id).unwrap_or(meta.version.index), meta.version.index);
            continue;
        }
        assert!(meta.version.index > last, "{}", line(change));
        last = meta.version.index;
        let old = change.old.as_ref().map(|old| old.meta().version.index);
        let known = before.insert(meta.id.clone(), last);
        assert_eq!(old.is_some(), change.action == Action::Update);
        assert!(known.is_none() || known == old, "{}", line(change));
    }
    let reported: Vec<_> = changes.iter().map(line).collect();
    assert_eq!(reported, lines(&mut other));
    // The last report agrees with the state.
    for task in swarm.tasks() {
        assert_eq!(before.get(&task.meta.id), Some(&task.meta.version.index));
    }
}

#[test]
fn a_task_is_killed_once() {
    let (swarm, _) = swarm();
    let web = swarm.create_service(ServiceSpec::new("web", "demo:1"));
    let task = swarm.tasks_of(&web).remove(0).meta.id;
    let killed: Vec<_> = (0..2).map(|_| swarm.kill_task(&task)).collect();
    assert_eq!(killed, [true, false]);
    for _ in 0..6 {
        assert!(swarm.kill_task(&swarm.tasks_of(&web)[0].meta.id));
    }
    assert!(!swarm.kill_task(&task), "it is forgotten by now");
}

#[test]
fn a_drained_node_loses_its_tasks_step_by_step() {
    let (swarm, worker) = swarm();
    let agent = swarm.create_service(ServiceSpec::new("agent", "demo:1").global());
    let mut changes = swarm.changes();
    swarm.drain_node(&worker);
    let task = |line: &str| line.split(' ').skip(4).collect::<Vec<_>>().join(" ");
    let reported: Vec<_> = lines(&mut changes).iter().map(|line| task(line)).collect();
    expect![[r#"
        [
            "",
            "Running Shutdown",
            "Shutdown Shutdown",
        ]
    "#]]
    .assert_debug_eq(&reported);
    assert_eq!(swarm.tasks_of(&agent).len(), 1);
}
