use std::sync::Arc;

use expect_test::expect;
use proptest::prelude::*;
use swarmscout_docker::engine::{AddressPool, LabelMap, ManagerStatus, Service, TaskFailure};
use swarmscout_swarm::{Buckets, ListScope};

use super::*;

fn attachment(network: &str, address: &str) -> Attachment {
    Attachment {
        network: format!("id-{network}").into(),
        name: network.into(),
        driver: if network == "host" { "host" } else { "overlay" }.into(),
        ingress: network == "ingress",
        addresses: address.parse().into_iter().collect(),
    }
}

fn answer(index: &TaskIndex, node: &str) -> NodeTasks {
    let node_of = index.node(node).map(|node| identity(node)).unwrap_or_default();
    let mut answer = NodeTasks { node: node_of, ..NodeTasks::default() };
    index.write_tasks(node, &ReachIndex::default(), &AllowedLabels::default(), &mut answer);
    answer
}

#[test]
fn a_node_gets_what_concerns_it() {
    let mut snapshot = Snapshot { scope: ListScope::everything(), ..Snapshot::default() };
    let manager = Some(ManagerStatus { address: "192.0.2.3:2377".into(), ..Default::default() });
    snapshot.nodes.insert(Arc::new(Node {
        id: "n1".into(),
        hostname: "pi".into(),
        address: "0.0.0.0".into(),
        manager,
        ..Node::default()
    }));
    snapshot.services.insert(Arc::new(Service {
        id: "s1".into(),
        name: "web".into(),
        ..Service::default()
    }));
    let pools = vec![AddressPool { subnet: "10.0.1.0/24".into(), range: "".into() }];
    let network = Network { id: "id-front".into(), internal: true, pools, ..Network::default() };
    snapshot.networks.insert(Arc::new(network));
    let labels = [("com.docker.stack.namespace".to_owned(), "shop".to_owned())];
    let running = Task {
        id: "t1".into(),
        service: "s1".into(),
        node: "n1".into(),
        slot: 2,
        image: "nginx:1".into(),
        labels: Arc::new(LabelMap::new(labels.into())),
        container: "a".repeat(64).into(),
        pid: 4711,
        state: "running".into(),
        state_since: 1_700_000_000_000_000,
        attachments: vec![attachment("front", "10.0.1.3"), attachment("ingress", "10.255.0.4")],
        ..Task::default()
    };
    let ended = Task {
        id: "t0".into(),
        container: "b".repeat(64).into(),
        pid: 0,
        state: "failed".into(),
        failure: Some(Box::new(TaskFailure { error: "x".into(), exit_code: 137 })),
        ..running.clone()
    };
    let on_host = Task {
        id: "t2".into(),
        service: "gone".into(),
        attachments: vec![attachment("host", "")],
        ..running.clone()
    };
    let rejected = Task { id: "t3".into(), container: "".into(), ..ended.clone() };
    let elsewhere = Task { id: "t4".into(), node: "n2".into(), ..running.clone() };
    for task in [running, ended, on_host, rejected, elsewhere] {
        snapshot.tasks.insert(Arc::new(task));
    }
    let mut index = TaskIndex::default();
    index.update(&snapshot, Instant::now());
    let answer = answer(&index, "n1");
    let text = serde_json::to_string_pretty(&answer).unwrap();
    let short = text.replace(&"a".repeat(64), "a…").replace(&"b".repeat(64), "b…");
    expect![[r#"
        {
          "node": {
            "id": "n1",
            "name": "pi",
            "address": "192.0.2.3"
          },
          "cluster": "",
          "tasks": [
            {
              "id": "t1",
              "name": "web.2.t1",
              "service_id": "s1",
              "service_name": "web",
              "image": "nginx:1",
              "labels": {
                "com.docker.stack.namespace": "shop",
                "com.docker.swarm.node.id": "n1",
                "com.docker.swarm.service.id": "s1",
                "com.docker.swarm.service.name": "web",
                "com.docker.swarm.task.id": "t1",
                "com.docker.swarm.task.name": "web.2.t1"
              },
              "container": "a…",
              "pid": 4711,
              "state": "running",
              "state_since": 1700000000000000,
              "networks": [
                {
                  "id": "id-front",
                  "name": "front",
                  "driver": "overlay",
                  "internal": true,
                  "ingress": false,
                  "addresses": [
                    "10.0.1.3/24"
                  ]
                },
                {
                  "id": "id-ingress",
                  "name": "ingress",
                  "driver": "overlay",
                  "internal": false,
                  "ingress": true,
                  "addresses": [
                    "10.255.0.4"
                  ]
                }
              ],
              "host_network": false
            },
            {
              "id": "t2",
              "name": "",
              "service_id": "gone",
              "service_name": "",
              "image": "nginx:1",
              "labels": {
                "com.docker.stack.namespace": "shop",
                "com.docker.swarm.node.id": "n1",
                "com.docker.swarm.service.id": "gone",
                "com.docker.swarm.task.id": "t2"
              },
              "container": "a…",
              "pid": 4711,
              "state": "running",
              "state_since": 1700000000000000,
              "networks": [
                {
                  "id": "id-host",
                  "name": "host",
                  "driver": "host",
                  "internal": false,
                  "ingress": false,
                  "addresses": []
                }
              ],
              "host_network": true
            }
          ],
          "lists_ended": true,
          "ended": [
            {
              "id": "t0",
              "spec": 0,
              "slot": 2,
              "container": "b…",
              "state": "failed",
              "state_since": 1700000000000000,
              "exit_code": 137
            }
          ],
          "specs": [
            {
              "service_id": "s1",
              "service_name": "web",
              "image": "nginx:1",
              "labels": {
                "com.docker.stack.namespace": "shop"
              }
            }
          ],
          "peers": []
        }"#]]
    .assert_eq(&short);
}

/// Replaces a node, a task or a network by another, or removes it. Services have one name for ever.
#[derive(Clone, Debug)]
enum Step {
    Node(u8, Option<u8>),
    Service(u8, bool),
    Task(u8, Option<u8>),
    Network(u8, Option<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let what = || proptest::option::weighted(0.8, 0..9_u8);
    prop_oneof![
        (0..4_u8, what()).prop_map(|(id, what)| Step::Node(id, what)),
        (0..4_u8, any::<bool>()).prop_map(|(id, there)| Step::Service(id, there)),
        (0..200_u8, what()).prop_map(|(id, what)| Step::Task(id, what)),
        (0..3_u8, what()).prop_map(|(id, what)| Step::Network(id, what)),
    ]
}

fn put<T: swarmscout_swarm::buckets::Object>(
    buckets: &mut Buckets<T>,
    owner: &str,
    id: &str,
    object: Option<T>,
) {
    match object {
        Some(object) => buckets.insert(Arc::new(object)),
        None => drop(buckets.remove(owner, id)),
    }
}

fn service(id: u8) -> Service {
    Service { id: format!("s{id}").into(), name: format!("web{id}").into(), ..Service::default() }
}

fn apply(step: &Step, to: &mut Snapshot) {
    match *step {
        Step::Node(id, what) => {
            let id: Arc<str> = format!("n{id}").into();
            let node = what.map(|what| Node {
                id: id.clone(),
                hostname: format!("host{}", what % 2).into(),
                address: format!("192.0.2.{}", what % 3).into(),
                version: what.into(),
                ..Node::default()
            });
            put(&mut to.nodes, "", &id, node);
        }
        Step::Service(id, there) => {
            put(&mut to.services, "", &format!("s{id}"), there.then(|| service(id)));
        }
        Step::Task(number, what) => {
            let (id, owner) = (Arc::from(format!("t{number}")), format!("s{}", number % 4));
            let task = what.map(|what| Task {
                id: Arc::clone(&id),
                service: owner.as_str().into(),
                node: if what == 8 { "".into() } else { format!("n{}", what % 4).into() },
                slot: i64::from(number) + 1,
                version: what.into(),
                state: ["running", "starting", "failed"][usize::from(what % 3)].into(),
                container: if what == 1 { "".into() } else { format!("c{number}").into() },
                attachments: vec![attachment(&format!("net{}", what % 3), "10.0.0.9")],
                ..Task::default()
            });
            put(&mut to.tasks, &owner, &id, task);
        }
        Step::Network(id, what) => {
            let id: Arc<str> = format!("id-net{id}").into();
            let network = what.map(|what| Network {
                id: id.clone(),
                internal: what % 2 == 0,
                pools: vec![AddressPool {
                    subnet: format!("10.0.0.0/2{}", what % 3).into(),
                    range: "".into(),
                }],
                ..Network::default()
            });
            put(&mut to.networks, "", &id, network);
        }
    }
}

/// What a node would get, written for each node alone, without an index. `before` is the snapshot in
/// which tasks were that are removed now.
fn expected(before: &Snapshot, snapshot: &Snapshot, node: &str) -> Vec<String> {
    let removed = before
        .tasks
        .objects()
        .filter(|task| task.has_ended() && snapshot.tasks.get(&task.service, &task.id).is_none());
    let ours = snapshot.tasks.objects().chain(removed).filter(|task| *task.node == *node);
    let mut lines: Vec<_> = ours
        .filter(|task| !task.has_ended() || !task.container.is_empty())
        .map(|task| {
            let name = task.service.replace('s', "web");
            let internal = task.attachments.iter().map(|one| {
                let network = snapshot.networks.objects().find(|it| it.id == one.network);
                let length =
                    network.map(|network| network.pools[0].subnet.rsplit('/').next().unwrap());
                let length = length.map_or_else(String::new, |length| format!("/{length}"));
                format!("{} {}{length}", network.is_some_and(|it| it.internal), one.addresses[0])
            });
            let networks: Vec<_> = if task.has_ended() { Vec::new() } else { internal.collect() };
            format!("{} {name} {} {networks:?}", task.id, task.state)
        })
        .collect();
    lines.sort();
    lines
}

fn found(index: &TaskIndex, node: &str) -> Vec<String> {
    let answer = answer(index, node);
    let ended = answer.ended().map(|(_, task)| task);
    let tasks: Vec<_> = answer.tasks.iter().cloned().chain(ended).collect();
    let mut lines: Vec<_> = tasks
        .iter()
        .map(|task| {
            let networks =
                task.networks.iter().map(|one| format!("{} {}", one.internal, one.addresses[0]));
            let networks: Vec<_> = networks.collect();
            format!("{} {} {} {networks:?}", task.id, task.service_name, task.state)
        })
        .collect();
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// What a node gets depends on the Swarm alone, and a node that gets something else is named.
    #[test]
    fn every_node_that_differs_is_named(
        rounds in proptest::collection::vec(proptest::collection::vec(step(), 0..40), 1..12),
    ) {
        let mut snapshot = Snapshot { scope: ListScope::everything(), ..Snapshot::default() };
        (0..4).for_each(|id| snapshot.services.insert(Arc::new(service(id))));
        let mut index = TaskIndex::default();
        let (mut at, mut before) = (Instant::now(), snapshot.clone());
        let nodes = ["n0", "n1", "n2", "n3"];
        let mut known = nodes.map(|_| Vec::new());
        let mut had = BTreeSet::new();
        for steps in rounds {
            for step in &steps {
                apply(step, &mut snapshot);
            }
            // A task never outlives a service that was never read with it.
            let unread = snapshot.tasks.objects().filter(|task| {
                snapshot.services.get("", &task.service).is_none() && !had.contains(&task.service)
            });
            let unread: Vec<_> = unread.cloned().collect();
            for task in unread {
                snapshot.tasks.remove(&task.service, &task.id);
            }
            // What was removed in an earlier round does not stay.
            at += STAYS;
            let changed = index.update(&snapshot, at);
            had = snapshot.tasks.objects().map(|task| Arc::clone(&task.service)).collect();
            for (node, known) in nodes.iter().zip(&mut known) {
                let now = expected(&before, &snapshot, node);
                prop_assert_eq!(&found(&index, node), &now);
                prop_assert!(*known == now || changed.contains(*node), "{} {:?}", node, changed);
                *known = now;
                for task in snapshot.tasks.objects().filter(|task| *task.node == **node) {
                    let of = index.of_container(&task.container).map(|node| &node.id);
                    let is_there = snapshot.nodes.get("", node).is_some();
                    let expected = (is_there && !task.container.is_empty()).then_some(&task.node);
                    prop_assert_eq!(of, expected);
                }
            }
            before = snapshot.clone();
        }
    }
}
