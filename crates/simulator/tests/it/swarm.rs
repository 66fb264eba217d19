//! A simulated Swarm behaves as a real one.

use swarmscout_simulator::swarm::objects::{Reachability, TaskState};
use swarmscout_simulator::swarm::{NodeState, ServiceSpec, Swarm};

/// A manager, two workers, and a service of four tasks.
fn swarm() -> (Swarm, Vec<String>, String) {
    let swarm = Swarm::new(3);
    let mut nodes = vec![swarm.add_manager("manager-1")];
    nodes.extend(["worker-1", "worker-2"].map(|name| swarm.add_worker(name)));
    let net = swarm.create_network("net");
    let web = swarm.create_service(ServiceSpec::new("web", "demo:1").replicas(4).network(&net));
    (swarm, nodes, web)
}

/// Slot, state and wanted state of each task of all services, sorted.
fn states(swarm: &Swarm) -> Vec<(u64, TaskState, TaskState)> {
    let tasks = swarm.tasks().into_iter();
    let mut states: Vec<_> =
        tasks.map(|task| (task.slot, task.status.state, task.desired_state)).collect();
    states.sort();
    states
}

#[test]
fn the_same_calls_make_the_same_swarm() {
    let text = |(swarm, ..): (Swarm, Vec<String>, String)| format!("{:?}", swarm.tasks());
    assert_eq!(text(swarm()), text(swarm()));
}

#[test]
fn scaling_adds_slots_and_removes_the_highest() {
    let (swarm, _, web) = swarm();
    swarm.scale(&web, 6);
    let slots = |swarm: &Swarm| states(swarm).iter().map(|state| state.0).collect::<Vec<_>>();
    assert_eq!(slots(&swarm), [1, 2, 3, 4, 5, 6]);
    swarm.scale(&web, 2);
    assert_eq!(slots(&swarm), [1, 2]);
    swarm.remove_service(&web);
    assert!(swarm.tasks().is_empty());
}

#[test]
fn a_killed_task_fails_and_is_replaced() {
    let (swarm, _, web) = swarm();
    swarm.scale(&web, 1);
    let mut killed = swarm.tasks_of(&web).remove(0);
    for round in 0..8 {
        swarm.kill_task(&killed.meta.id);
        let next = swarm.tasks_of(&web).remove(0);
        assert_ne!(next.meta.id, killed.meta.id);
        assert!(next.meta.version.index > killed.meta.version.index);
        killed = next;
        // Five of them are kept.
        assert_eq!(swarm.tasks().len(), (round + 2).min(6));
    }
    assert_eq!(states(&swarm)[5], (1, TaskState::Failed, TaskState::Shutdown));
}

#[test]
fn a_drained_node_has_no_tasks() {
    let (swarm, nodes, web) = swarm();
    swarm.drain_node(&nodes[1]);
    let live = swarm.tasks_of(&web);
    assert_eq!(live.len(), 4);
    assert!(live.iter().all(|task| task.node_id != nodes[1]));
    let ended = swarm.tasks().into_iter().find(|task| task.node_id == nodes[1]).unwrap();
    assert_eq!(ended.status.state, TaskState::Shutdown);
}

#[test]
fn a_task_that_found_no_node_starts_when_there_is_one() {
    let swarm = Swarm::new(3);
    let manager = swarm.add_manager("manager-1");
    swarm.drain_node(&manager);
    let net = swarm.create_network("net");
    let web = swarm.create_service(ServiceSpec::new("web", "demo:1").replicas(2).network(&net));
    let waiting = swarm.tasks_of(&web);
    assert!(waiting.iter().all(|task| task.status.state == TaskState::Pending));
    swarm.activate_node(&manager);
    let running = swarm.tasks_of(&web);
    for (before, task) in waiting.iter().zip(&running) {
        assert_eq!((task.status.state, &task.node_id), (TaskState::Running, &manager));
        assert_eq!((&task.meta.id, task.networks_attachments.len()), (&before.meta.id, 1));
        assert!(task.meta.version.index > before.meta.version.index && task.status.err.is_empty());
    }
    assert_eq!(running.len(), 2);
}

#[test]
fn tasks_of_a_stopped_node_go_on_to_say_that_they_run() {
    let (swarm, nodes, web) = swarm();
    swarm.stop_node(&nodes[2]);
    let node = swarm.nodes().into_iter().find(|node| node.meta.id == nodes[2]).unwrap();
    assert_eq!(node.status.state, NodeState::Down);
    assert_eq!(node.status.message, "heartbeat failure");
    let old: Vec<_> = swarm.tasks().into_iter().filter(|task| task.node_id == nodes[2]).collect();
    assert!(!old.is_empty());
    for task in &old {
        assert_eq!(task.status.state, TaskState::Running);
        assert_eq!(task.desired_state, TaskState::Shutdown);
    }
    assert_eq!(swarm.tasks_of(&web).len(), 4);
    swarm.restore_node(&nodes[2]);
    let ended = |task: &swarmscout_simulator::swarm::Task| task.status.state == TaskState::Shutdown;
    assert!(swarm.tasks().iter().filter(|task| task.node_id == nodes[2]).all(ended));
}

#[test]
fn a_global_service_follows_the_nodes() {
    let (swarm, nodes, _) = swarm();
    let agent = swarm.create_service(ServiceSpec::new("agent", "demo:1").global());
    assert_eq!(swarm.tasks_of(&agent).len(), 3);
    swarm.add_worker("worker-3");
    assert_eq!(swarm.tasks_of(&agent).len(), 4);
    swarm.drain_node(&nodes[0]);
    assert_eq!(swarm.tasks_of(&agent).len(), 3);
    swarm.activate_node(&nodes[0]);
    assert_eq!(swarm.tasks_of(&agent).len(), 4);
    swarm.remove_node(&nodes[1]);
    assert_eq!(swarm.tasks_of(&agent).len(), 3);
    assert_eq!(swarm.nodes().len(), 3);
}

#[test]
fn an_update_replaces_one_task_after_the_other() {
    let (swarm, _, web) = swarm();
    let image = |swarm: &Swarm| {
        let tasks = swarm.tasks_of(&web).into_iter();
        let new = tasks.filter_map(|task| task.spec.container_spec.clone());
        new.filter(|container| container.image == "demo:2").count()
    };
    swarm.start_update(&web, |spec| spec.set_image("demo:2"));
    let state = |swarm: &Swarm| swarm.services()[0].update_status.as_ref().map(|s| s.state);
    assert_eq!((image(&swarm), state(&swarm)), (0, Some("updating")));
    for done in 1..=4 {
        assert!(swarm.continue_update(&web));
        assert_eq!(image(&swarm), done);
    }
    assert!(!swarm.continue_update(&web));
    assert_eq!(state(&swarm), Some("completed"));
    assert!(swarm.services()[0].previous_spec.is_some());
}

#[test]
fn addresses_and_ports_stay_through_updates() {
    let (swarm, _, _) = swarm();
    let id = swarm.create_service(ServiceSpec::new("api", "demo:1").publish(80, 0));
    let endpoint = |swarm: &Swarm| {
        let services = swarm.services();
        services.into_iter().find(|service| service.meta.id == id).map(|s| s.endpoint)
    };
    let before = endpoint(&swarm).unwrap();
    assert_eq!(before.ports[0].published_port, 30_000);
    assert!(before.virtual_ips[0].addr.starts_with("10.0.0."), "{before:?}");
    swarm.update_service(&id, |spec| spec.set_image("demo:2"));
    assert_eq!(endpoint(&swarm), Some(before));
}

#[test]
fn another_manager_leads_when_the_leader_goes() {
    let (swarm, nodes, _) = swarm();
    swarm.promote_node(&nodes[1]);
    swarm.promote_node(&nodes[2]);
    swarm.stop_node(&nodes[0]);
    let managers: Vec<_> =
        swarm.nodes().into_iter().filter_map(|node| node.manager_status).collect();
    assert_eq!(managers.iter().filter(|manager| manager.leader).count(), 1);
    let lost = managers.iter().find(|m| m.reachability == Reachability::Unreachable).unwrap();
    assert!(!lost.leader);
}

#[test]
fn a_change_moves_the_index_and_time_of_its_object_alone() {
    let (swarm, nodes, web) = swarm();
    let before = (swarm.nodes(), swarm.services(), swarm.tasks());
    swarm.label_node(&nodes[0], "zone", "a");
    let after = swarm.nodes();
    for (old, new) in before.0.iter().zip(&after) {
        let changed = new.meta.id == nodes[0];
        assert_eq!(new.meta.version.index > old.meta.version.index, changed);
        assert_eq!(new.meta.updated_at > old.meta.updated_at, changed);
        assert_eq!(new.meta.created_at, old.meta.created_at);
    }
    swarm.label_service(&web, "a", "b");
    assert_ne!(swarm.services()[0].meta, before.1[0].meta);
    let indexes = |tasks: &[swarmscout_simulator::swarm::Task]| {
        tasks.iter().map(|task| task.meta.version.index).collect::<Vec<_>>()
    };
    assert_eq!(indexes(&swarm.tasks()), indexes(&before.2));
}

#[test]
fn a_grown_swarm_is_as_large_as_asked() {
    let swarm = Swarm::grown(1, 100, 1000);
    assert_eq!((swarm.nodes().len(), swarm.tasks().len()), (100, 1000));
    let sizes = [
        serde_json::to_vec(&swarm.nodes()).unwrap().len(),
        serde_json::to_vec(&swarm.services()).unwrap().len(),
        serde_json::to_vec(&swarm.tasks()).unwrap().len(),
    ];
    // 30 MB for ten times as many.
    let all: usize = sizes.iter().sum();
    assert!((2_700_000..3_300_000).contains(&all), "{sizes:?}");
}
