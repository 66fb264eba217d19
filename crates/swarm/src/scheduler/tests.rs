use expect_test::{Expect, expect};
use swarmscout_docker::engine::{GenericResource, LabelMap, Lists, Placement, Port};

use super::*;

const GIB: i64 = 1 << 30;

fn node(id: &str, disk: &str) -> Node {
    Node {
        id: id.into(),
        hostname: id.into(),
        state: "ready".into(),
        availability: "active".into(),
        os: "linux".into(),
        architecture: "aarch64".into(),
        labels: Arc::new(LabelMap::new(vec![("disk".to_owned(), disk.to_owned())])),
        resources: Resources { nano_cpus: 4_000_000_000, memory_bytes: 4 * GIB },
        ..Node::default()
    }
}

fn gpus(count: i64) -> Vec<GenericResource> {
    vec![GenericResource { kind: "gpu".into(), count }]
}

/// Two nodes, `pi1` with an SSD; on each runs a task that reserves 1 CPU, 1 GiB and a GPU and has port
/// 80.
fn snapshot(change: impl Fn(&mut Node)) -> Snapshot {
    let port =
        Port { published: 80, protocol: "tcp".into(), mode: "host".into(), ..Port::default() };
    let busy = Service { id: "busy".into(), ..Service::default() };
    let task = |node: &str| {
        Arc::new(Task {
            id: format!("on-{node}").into(),
            service: "busy".into(),
            node: node.into(),
            state: "running".into(),
            desired_state: "running".into(),
            reservations: Resources { nano_cpus: 1_000_000_000, memory_bytes: GIB },
            generic_resources: gpus(1),
            host_ports: vec![port.clone()],
            ..Task::default()
        })
    };
    let nodes = [node("pi1", "ssd"), node("pi2", "sd")].map(|mut node| {
        change(&mut node);
        Arc::new(node)
    });
    let lists = Lists {
        nodes: nodes.into(),
        services: vec![Arc::new(busy)],
        tasks: vec![task("pi1"), task("pi2")],
        ..Lists::default()
    };
    Snapshot::from(&lists)
}

fn constrained(constraints: &[&str]) -> Service {
    let constraints = constraints.iter().map(|text| Arc::from(*text)).collect();
    let placement = Placement { constraints, ..Placement::default() };
    Service { id: "web".into(), placement, ..Service::default() }
}

fn check(snapshot: &Snapshot, service: &Service, expected: &Expect) {
    let scheduler = Scheduler::new(snapshot);
    let nodes: Vec<_> = scheduler.nodes_for(service).map(|node| &*node.id).collect();
    let obstacles = scheduler.obstacles(service);
    assert_eq!(nodes.is_empty(), !obstacles.is_empty(), "{nodes:?} {obstacles:?}");
    let mut lines: Vec<_> = obstacles.iter().map(ToString::to_string).collect();
    lines.extend(nodes.into_iter().map(str::to_owned));
    lines.sort_unstable();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn nodes_are_filtered_as_swarmkit_filters_them() {
    let all = snapshot(|_| ());
    check(
        &all,
        &constrained(&[]),
        &expect![[r#"
        pi1
        pi2"#]],
    );
    check(&all, &constrained(&["node.labels.disk==ssd"]), &expect!["pi1"]);
    check(
        &all,
        &constrained(&["node.labels.disk==nvme"]),
        &expect!["no node satisfies the constraint node.labels.disk==nvme"],
    );
    let both = ["node.labels.disk==ssd", "node.hostname==pi2"];
    check(&all, &constrained(&both), &expect!["no ready node satisfies all constraints together"]);
    // One that cannot be read switches all off.
    check(
        &all,
        &constrained(&["node.labels.disk==nvme", "disk"]),
        &expect![[r#"
        pi1
        pi2"#]],
    );
}

#[test]
fn nodes_that_are_not_ready_take_no_task() {
    let drained = snapshot(|node| {
        if &*node.id == "pi1" {
            node.availability = "drain".into();
        }
    });
    check(&drained, &constrained(&[]), &expect!["pi2"]);
    check(
        &drained,
        &constrained(&["node.labels.disk==ssd"]),
        &expect![
            "no ready node satisfies the constraint node.labels.disk==ssd; node pi1 does, but is not ready and active"
        ],
    );
    let down = snapshot(|node| node.state = "down".into());
    check(&down, &constrained(&[]), &expect!["no node is ready and active"]);
}

#[test]
fn what_is_short_is_named_with_the_amount() {
    let all = snapshot(|_| ());
    let reserves = |nano_cpus, memory_bytes| Service {
        reservations: Resources { nano_cpus, memory_bytes },
        ..constrained(&[])
    };
    check(
        &all,
        &reserves(3_000_000_000, 3 * GIB),
        &expect![[r#"
        pi1
        pi2"#]],
    );
    check(
        &all,
        &reserves(3_500_000_000, 4 * GIB),
        &expect![[r#"
        each task reserves 3.5 CPUs, and the node with the most has 3 free: 0.5 too few
        each task reserves 4096 MiB, and the node with the most has 3072 MiB free: 1024 MiB too few"#]],
    );
}

#[test]
fn generic_resources_count() {
    let some = snapshot(|node| {
        if &*node.id == "pi1" {
            node.generic_resources = gpus(3);
        }
    });
    let reserves = |count| Service { generic_resources: gpus(count), ..constrained(&[]) };
    check(&some, &reserves(2), &expect!["pi1"]);
    assert_eq!(Scheduler::new(&some).room_for(&reserves(1), 9), 2);
    check(
        &some,
        &reserves(3),
        &expect!["each task reserves 3 gpu, and the node with the most has 2 free: 1 too few"],
    );
}

#[test]
fn platforms_ports_and_tasks_per_node_count() {
    let all = snapshot(|_| ());
    let built_for = |architecture: &str| {
        let platform = Platform { architecture: architecture.into(), os: "linux".into() };
        let placement = Placement { platforms: vec![platform], ..Placement::default() };
        Service { placement, ..constrained(&[]) }
    };
    check(
        &all,
        &built_for("arm64"),
        &expect![[r#"
        pi1
        pi2"#]],
    );
    check(
        &all,
        &built_for("amd64"),
        &expect!["no node has a platform that the image is built for (linux/amd64)"],
    );
    let port = |published| {
        let port =
            Port { published, protocol: "tcp".into(), mode: "host".into(), ..Port::default() };
        Service { ports: vec![port], ..constrained(&[]) }
    };
    check(&all, &port(80), &expect!["port 80 in host mode is taken on every node that would do"]);
    check(
        &all,
        &port(81),
        &expect![[r#"
        pi1
        pi2"#]],
    );
    let placement = Placement { max_replicas: 1, ..Placement::default() };
    let limited = Service { id: "busy".into(), placement, ..Service::default() };
    check(&all, &limited, &expect!["each node that would do has 1 task of it, the most allowed"]);
}

#[test]
fn a_driver_that_a_node_lacks_keeps_it_out() {
    let plugin = |kind: &str, name: &str| Plugin { kind: kind.into(), name: name.into() };
    let all = snapshot(|node| {
        node.plugins = vec![plugin("Volume", "local")];
        if &*node.id == "pi1" {
            node.plugins.push(plugin("Volume", "vieux/sshfs:latest"));
        }
    });
    let needs =
        |kind: &str, name: &str| Service { plugins: vec![plugin(kind, name)], ..constrained(&[]) };
    check(&all, &needs("Volume", "vieux/sshfs"), &expect!["pi1"]);
    check(
        &all,
        &needs("Volume", "nfs"),
        &expect!["no node that would do has the volume plugin nfs"],
    );
    // No node names a log driver: all are too old to do it.
    check(
        &all,
        &needs("Log", "loki"),
        &expect![[r#"
        pi1
        pi2"#]],
    );
}

#[test]
fn room_is_counted_by_what_is_short() {
    let scheduler = Scheduler::new(&snapshot(|_| ()));
    let room = |service: &Service| scheduler.room_for(service, 100);
    assert_eq!(room(&constrained(&[])), 100);
    let reservations = Resources { nano_cpus: 1_000_000_000, memory_bytes: 2 * GIB };
    // 3 CPUs and 3 GiB are free on each node.
    assert_eq!(room(&Service { reservations, ..constrained(&[]) }), 2);
    assert_eq!(room(&Service { reservations, ..constrained(&["node.labels.disk==ssd"]) }), 1);
    let placement = Placement { max_replicas: 3, ..Placement::default() };
    assert_eq!(room(&Service { id: "busy".into(), placement, ..Service::default() }), 4);
}

#[test]
fn a_global_service_wants_the_nodes_that_take_its_tasks() {
    let wanted = |availability: &str, state: &str, service: &str| {
        let all = snapshot(|node| {
            if &*node.id == "pi1" {
                (node.availability, node.state) = (availability.into(), state.into());
            }
        });
        let service = Service { id: service.into(), ..constrained(&[]) };
        Scheduler::new(&all).wanted_nodes(&service)
    };
    assert_eq!(wanted("active", "ready", "web"), 2);
    assert_eq!(wanted("drain", "ready", "busy"), 1);
    assert_eq!(wanted("active", "down", "busy"), 1);
    // A paused node keeps its task.
    assert_eq!(wanted("pause", "ready", "busy"), 2);
    assert_eq!(wanted("pause", "ready", "web"), 1);
}

/// What follows from one snapshot to the next is what one snapshot alone says.
#[test]
fn changes_lead_to_the_same_loads() {
    let (first, then) = (snapshot(|_| ()), Snapshot::default());
    let mut moved = first.clone();
    let task =
        Task { node: "pi3".into(), ..Task::clone(first.tasks.get("busy", "on-pi1").unwrap()) };
    moved.tasks.insert(Arc::new(task));
    moved.nodes.remove("", "pi2");
    let mut scheduler = Scheduler::default();
    for snapshot in [&first, &moved, &first, &then, &moved, &then] {
        scheduler.update(snapshot);
        let fresh = Scheduler::new(snapshot);
        assert_eq!(format!("{:?}", scheduler.nodes), format!("{:?}", fresh.nodes));
    }
    assert!(scheduler.nodes.is_empty());
}
