use swarmscout_docker::engine::Lists;

use super::*;

/// Two services, three tasks of them, one of a service that is gone, and two nodes.
fn snapshot() -> Snapshot {
    let labels = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Arc::new(LabelMap::new(pairs.collect()))
    };
    let node = |id: &str, hostname: &str, role: &str, zone: &str| {
        Arc::new(Node {
            id: id.into(),
            hostname: hostname.into(),
            role: role.into(),
            labels: labels(&[("zone", zone)]),
            engine_labels: labels(&[("disk", "ssd")]),
            ..Node::default()
        })
    };
    let service = |id: &str, name: &str, mode: Mode, tier: &str| {
        let labels = labels(&[("tier", tier), ("team", "a=b")]);
        Arc::new(Service { id: id.into(), name: name.into(), mode, labels, ..Service::default() })
    };
    let task = |id: &str, service: &str, node: &str, slot: i64, desired: &str| {
        Arc::new(Task {
            id: id.into(),
            service: service.into(),
            node: node.into(),
            slot,
            desired_state: desired.into(),
            ..Task::default()
        })
    };
    let mut snapshot = Snapshot::from(&Lists {
        nodes: vec![node("n1", "alpha", "manager", "a"), node("n2", "beta", "worker", "b")],
        services: vec![
            service("s1", "web", Mode::Replicated, "front"),
            service("s2", "agent", Mode::Global, "back"),
        ],
        tasks: vec![
            task("t1", "s1", "n1", 1, "running"),
            task("t2", "s1", "n2", 2, "shutdown"),
            task("t3", "s2", "n2", 0, "running"),
            task("t4", "gone", "n2", 1, "remove"),
        ],
        ..Lists::default()
    });
    snapshot.this_node = "n1".into();
    snapshot
}

/// The IDs that filters let through, or why they are refused.
#[track_caller]
fn check(role: Role, filters: &[(&str, &[&str])], expected: &str) {
    let filters = filters.iter().map(|(name, values)| Filter {
        name: (*name).to_owned(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    });
    let filters = Filters::new(role, &filters.collect::<Vec<_>>());
    let snapshot = snapshot();
    let found = filters.resolve(&snapshot).map(|selection| {
        let nodes = snapshot.nodes.objects().filter(|node| selection.node(node));
        let services = snapshot.services.objects().filter(|service| selection.service(service));
        let tasks = snapshot.tasks.objects().filter(|task| {
            let service = snapshot.services.get("", &task.service).map(|service| &**service);
            selection.task(task, service)
        });
        let mut ids: Vec<_> = match role {
            Role::Nodes => nodes.map(|node| &*node.id).collect(),
            Role::Services => services.map(|service| &*service.id).collect(),
            Role::Tasks => tasks.map(|task| &*task.id).collect(),
        };
        ids.sort_unstable();
        ids.join(" ")
    });
    let found = found.unwrap_or_else(|error| format!("! {error}"));
    assert_eq!(found, expected, "{filters:?}");
}

#[test]
fn nodes() {
    let check = |filters: &[(&str, &[&str])], expected| check(Role::Nodes, filters, expected);
    check(&[], "n1 n2");
    check(&[("name", &["al"])], "n1");
    check(&[("id", &["n"])], "n1 n2");
    check(&[("name", &["al", "be"])], "n1 n2");
    check(&[("role", &["Manager"])], "n1");
    check(&[("role", &["worker"]), ("name", &["alpha"])], "");
    // `label` is the engine's own, `node.label` the Swarm's.
    check(&[("label", &["disk=ssd"])], "n1 n2");
    check(&[("label", &["zone"])], "");
    check(&[("node.label", &["zone=b"])], "n2");
    check(&[("node.label", &["zone"])], "n1 n2");
    check(&[("node.label", &["zone="])], "n1 n2");
    check(&[("node.label", &["zone=a", "zone=b"])], "");
    check(&[("role", &["boss"])], "! invalid role filter: 'boss'");
    check(&[("service", &["web"])], "! invalid filter 'service'");
    check(&[("name", &[])], "n1 n2");
}

#[test]
fn services() {
    let check = |filters: &[(&str, &[&str])], expected| check(Role::Services, filters, expected);
    check(&[("name", &["we"])], "s1");
    check(&[("mode", &["global"])], "s2");
    check(&[("mode", &["Global"])], "");
    check(&[("mode", &["global", "replicated"])], "s1 s2");
    check(&[("label", &["tier=front", "team"])], "s1");
    check(&[("label", &["team=a=b"])], "s1 s2");
    check(&[("runtime", &["container"])], "s1 s2");
    check(&[("node", &["n1"])], "! invalid filter 'node'");
}

#[test]
fn tasks() {
    let check = |filters: &[(&str, &[&str])], expected| check(Role::Tasks, filters, expected);
    check(&[("desired-state", &["running"])], "t1 t3");
    check(&[("desired-state", &["RUNNING", "shutdown"])], "t1 t2 t3");
    check(&[("desired-state", &["walking"])], "! invalid desired-state filter: 'walking'");
    check(&[("service", &["web"])], "t1 t2");
    check(&[("service", &["s2"])], "t3");
    check(&[("service", &["web", "agent"])], "t1 t2 t3");
    check(&[("service", &["w"])], "! filter service: service w not found");
    check(&[("service", &["s"])], "! filter service: service s is ambiguous (2 matches found)");
    check(&[("service", &["gone"])], "! filter service: service gone not found");
    check(&[("node", &["beta"]), ("desired-state", &["running"])], "t3");
    check(&[("node", &["self"])], "t1");
    check(&[("node", &["gamma"])], "! filter node: node gamma not found");
    check(&[("name", &["web.1"])], "t1");
    check(&[("name", &["agent.n2.t3"])], "t3");
    check(&[("id", &["t1", "t4"])], "t1 t4");
    check(&[("label", &["tier=front"])], "t1 t2");
    check(&[("label", &["tier"])], "t1 t2 t3");
    check(&[("colour", &["red"])], "! invalid filter 'colour'");
}

#[test]
fn some_filters_are_only_the_engines() {
    let can_be_local = |name: &str, value: &str| {
        let filter = Filter { name: name.to_owned(), values: vec![value.to_owned()] };
        Filters::new(Role::Tasks, &[filter]).can_be_local()
    };
    assert!(can_be_local("service", "web") && can_be_local("runtime", "container"));
    assert!(!can_be_local("_up-to-date", "true") && !can_be_local("runtime", "plugin"));
    // An Engine does not report it, and `docker node update` makes a node pending again.
    assert!(!can_be_local("membership", "accepted"));
}
