use expect_test::{Expect, expect};
use swarmscout_docker::engine::{
    AddressPool, Attachment, GenericResource, LabelMap, Lists, ManagerStatus, Mode, Network, Node,
    Placement, Port, Resources, Service, Task, TaskFailure, VirtualIp,
};

use super::*;
use crate::page::{Body, Encoding};

/// When everything was made: a second of 2026.
const CREATED: i64 = 1_780_000_000_000_000;

fn labels(labels: &[(&str, &str)]) -> Arc<LabelMap> {
    let pairs = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Arc::new(LabelMap::new(pairs.collect()))
}

fn node(id: &str) -> Node {
    Node {
        id: id.into(),
        created: CREATED,
        hostname: format!("pi-{id}").into(),
        role: "worker".into(),
        availability: "active".into(),
        state: "ready".into(),
        address: "192.0.2.7".into(),
        resources: Resources { nano_cpus: 4_000_000_000, memory_bytes: 8 << 30 },
        labels: labels(&[("disk", "ssd")]),
        ..Node::default()
    }
}

fn service(name: &str, replicas: u64) -> Service {
    Service {
        id: format!("{name}-id").into(),
        created: CREATED,
        name: name.into(),
        mode: Mode::Replicated,
        replicas,
        image: "shop/web:1.4@sha256:0123456789abcdef0123456789abcdef".into(),
        restart_condition: "any".into(),
        ..Service::default()
    }
}

fn task(service: &str, slot: i64, node: &str, state: &str) -> Task {
    Task {
        id: format!("{service}-{slot}-{node}").into(),
        created: CREATED,
        state_since: CREATED + 5_000_000,
        service: format!("{service}-id").into(),
        slot,
        node: node.into(),
        state: state.into(),
        desired_state: "running".into(),
        image: "shop/web:1.4@sha256:0123456789abcdef0123456789abcdef".into(),
        container: "c0ffee".into(),
        ..Task::default()
    }
}

fn snapshot(nodes: Vec<Node>, services: Vec<Service>, tasks: Vec<Task>) -> Snapshot {
    fn shared<T>(all: Vec<T>) -> Vec<Arc<T>> {
        all.into_iter().map(Arc::new).collect()
    }
    let lists = Lists {
        nodes: shared(nodes),
        services: shared(services),
        tasks: shared(tasks),
        ..Lists::default()
    };
    Snapshot::from(&lists)
}

fn text(body: &Body) -> String {
    let bytes: Vec<u8> = body.pieces.iter().flatten().copied().collect();
    assert_eq!(bytes.len() as u64, body.size);
    String::from_utf8(bytes).unwrap()
}

fn joined(metrics: &SwarmMetrics) -> Body {
    page::join(&metrics.pages().collect::<Vec<_>>(), Encoding::Text)
}

fn exposition(snapshot: &Snapshot, options: Options) -> String {
    let mut metrics = SwarmMetrics::new(Arc::new(options));
    let certificates = HashMap::from([(
        "a".into(),
        CertificateValidity { begins: 1_898_553_600, ends: 1_930_089_600 },
    )]);
    let input = Input { snapshot, up: true, as_of: Some(CREATED), certificates: &certificates };
    metrics.update(&input, &Counters::default());
    text(&joined(&metrics))
}

/// The series whose name and labels contain all of these words.
#[track_caller]
fn check(snapshot: &Snapshot, options: Options, words: &str, expected: &Expect) {
    let text = exposition(snapshot, options);
    let is_wanted = |line: &&str| words.split(' ').all(|word| line.contains(word));
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter(is_wanted);
    let mut lines: Vec<_> = lines.map(|line| line.strip_prefix("dockerswarm_").unwrap()).collect();
    // The order of objects depends on the number of shards.
    let family = |line: &str| line.split('{').next().map(str::to_owned);
    for of_family in lines.chunk_by_mut(|a, b| family(a) == family(b)) {
        of_family.sort_unstable();
    }
    expected.assert_eq(&lines.join("\n"));
}

/// Docker does not list the networks that each Engine has by itself.
#[test]
fn networks_of_an_engine_have_their_name() {
    let networks = vec!["host-id".into(), "gone-id".into()];
    let agent = Service { networks, ..service("agent", 1) };
    let attachment = Attachment {
        network: "host-id".into(),
        name: "host".into(),
        driver: "host".into(),
        ..Attachment::default()
    };
    let task = Task { attachments: vec![attachment], ..task("agent", 1, "a", "running") };
    check(
        &snapshot(vec![node("a")], vec![agent], vec![task]),
        Options::default(),
        "service_network",
        &expect![[r#"
            service_network{service="agent",network="gone-id"} 1
            service_network{service="agent",network="host"} 1"#]],
    );
}

#[test]
fn a_service_has_all_its_series() {
    let web = Service {
        labels: labels(&[
            ("com.docker.stack.namespace", "shop"),
            ("team", "red"),
            ("prometheus.io/alert.memory", "0.8"),
            ("prometheus.io/alert.ignore", "replicas, restarts"),
        ]),
        updated: CREATED + 1_000_000,
        update_state: "completed".into(),
        update_started: CREATED,
        update_completed: CREATED + 1_000_000,
        limits: Resources { nano_cpus: 500_000_000, memory_bytes: 64 << 20 },
        reservations: Resources { nano_cpus: 100_000_000, memory_bytes: 0 },
        endpoint_mode: "vip".into(),
        ports: vec![Port {
            protocol: "tcp".into(),
            target: 8080,
            published: 80,
            mode: "ingress".into(),
            ..Port::default()
        }],
        ..service("shop_web", 3)
    };
    let tasks = vec![
        task("shop_web", 1, "a", "running"),
        task("shop_web", 2, "a", "running"),
        Task {
            failure: Some(Box::new(TaskFailure {
                error: "no suitable node (insufficient resources on 1 node)".into(),
                exit_code: 0,
            })),
            ..task("shop_web", 3, "", "pending")
        },
    ];
    let snapshot = snapshot(vec![node("a")], vec![web], tasks);
    let options = Options {
        constant_labels: vec![("cluster".to_owned(), "home".to_owned())],
        shown_labels: vec!["team".to_owned()],
        ..Options::default()
    };
    check(
        &snapshot,
        options,
        "shop_web",
        &expect![[r#"
            service_info{cluster="home",service="shop_web",stack="shop",service_id="shop_web-id",mode="replicated",image="shop/web:1.4",image_digest="sha256:0123456789ab",endpoint_mode="vip",restart_condition="any"} 1
            service_created_timestamp_seconds{cluster="home",service="shop_web",stack="shop"} 1780000000
            service_updated_timestamp_seconds{cluster="home",service="shop_web",stack="shop"} 1780000001
            service_desired_tasks{cluster="home",service="shop_web",stack="shop"} 3
            service_running_tasks{cluster="home",service="shop_web",stack="shop"} 2
            service_schedulable_tasks{cluster="home",service="shop_web",stack="shop"} 2
            service_at_desired{cluster="home",service="shop_web",stack="shop"} 0
            service_tasks{cluster="home",service="shop_web",state="complete"} 0
            service_tasks{cluster="home",service="shop_web",state="failed"} 0
            service_tasks{cluster="home",service="shop_web",state="orphaned"} 0
            service_tasks{cluster="home",service="shop_web",state="pending"} 1
            service_tasks{cluster="home",service="shop_web",state="preparing"} 0
            service_tasks{cluster="home",service="shop_web",state="ready"} 0
            service_tasks{cluster="home",service="shop_web",state="rejected"} 0
            service_tasks{cluster="home",service="shop_web",state="running"} 2
            service_tasks{cluster="home",service="shop_web",state="starting"} 0
            service_waiting_tasks{cluster="home",service="shop_web",stack="shop",reason="no suitable node: resources"} 1
            service_running_images{cluster="home",service="shop_web",stack="shop"} 1
            service_most_tasks_on_one_node{cluster="home",service="shop_web",stack="shop"} 2
            service_update_state{cluster="home",service="shop_web",stack="shop",state="completed"} 1
            service_update_started_timestamp_seconds{cluster="home",service="shop_web",stack="shop"} 1780000000
            service_update_completed_timestamp_seconds{cluster="home",service="shop_web",stack="shop"} 1780000001
            service_task_limit_cpus{cluster="home",service="shop_web",stack="shop"} 0.5
            service_task_limit_memory_bytes{cluster="home",service="shop_web",stack="shop"} 67108864
            service_task_reserved_cpus{cluster="home",service="shop_web",stack="shop"} 0.1
            service_published_port{cluster="home",service="shop_web",stack="shop",protocol="tcp",published="80",target="8080",mode="ingress"} 1
            service_labels{cluster="home",service="shop_web",stack="shop",label_team="red"} 1
            service_alert_threshold{cluster="home",service="shop_web",stack="shop",kind="memory"} 0.8
            service_alert_ignored{cluster="home",service="shop_web",stack="shop",alert="replicas"} 1
            service_alert_ignored{cluster="home",service="shop_web",stack="shop",alert="restarts"} 1
            service_task_failures_total{cluster="home",service="shop_web",stack="shop"} 0
            service_task_restarts_total{cluster="home",service="shop_web",stack="shop"} 0
            task_info{cluster="home",service="shop_web",slot="1",task_id="shop_web-1-a",node="pi-a",container_id="c0ffee",image="shop/web:1.4",image_digest="sha256:0123456789ab"} 1
            task_info{cluster="home",service="shop_web",slot="2",task_id="shop_web-2-a",node="pi-a",container_id="c0ffee",image="shop/web:1.4",image_digest="sha256:0123456789ab"} 1
            task_info{cluster="home",service="shop_web",slot="3",task_id="shop_web-3-",container_id="c0ffee",image="shop/web:1.4",image_digest="sha256:0123456789ab"} 1
            task_state{cluster="home",service="shop_web",slot="1",state="running"} 1
            task_state{cluster="home",service="shop_web",slot="2",state="running"} 1
            task_state{cluster="home",service="shop_web",slot="3",state="pending"} 1
            task_state_since_timestamp_seconds{cluster="home",service="shop_web",slot="1"} 1780000005
            task_state_since_timestamp_seconds{cluster="home",service="shop_web",slot="2"} 1780000005
            task_state_since_timestamp_seconds{cluster="home",service="shop_web",slot="3"} 1780000005
            task_created_timestamp_seconds{cluster="home",service="shop_web",slot="1"} 1780000000
            task_created_timestamp_seconds{cluster="home",service="shop_web",slot="2"} 1780000000
            task_created_timestamp_seconds{cluster="home",service="shop_web",slot="3"} 1780000000"#]],
    );
}

#[test]
fn a_node_has_all_its_series() {
    let manager = Node {
        role: "manager".into(),
        manager: Some(ManagerStatus {
            leader: true,
            reachability: "reachable".into(),
            ..ManagerStatus::default()
        }),
        labels: labels(&[
            ("disk", "ssd"),
            ("prometheus.io/alert.ignore", "down, targets"),
            ("prometheus.io/alert.memory", "0.95"),
        ]),
        ..node("a")
    };
    let reserving = Task {
        reservations: Resources { nano_cpus: 100_000_000, memory_bytes: 1 << 20 },
        ..task("web", 1, "a", "running")
    };
    let snapshot = snapshot(vec![manager], vec![service("web", 1)], vec![reserving]);
    let options = Options { series_labels: vec!["disk".to_owned()], ..Options::default() };
    check(
        &snapshot,
        options,
        "node_",
        &expect![[r#"
            node_info{node="pi-a",disk="ssd",node_id="a",hostname="pi-a",role="manager",address="192.0.2.7"} 1
            node_created_timestamp_seconds{node="pi-a",disk="ssd"} 1780000000
            node_state{node="pi-a",disk="ssd",state="disconnected"} 0
            node_state{node="pi-a",disk="ssd",state="down"} 0
            node_state{node="pi-a",disk="ssd",state="ready"} 1
            node_state{node="pi-a",disk="ssd",state="unknown"} 0
            node_availability{node="pi-a",disk="ssd",availability="active"} 1
            node_availability{node="pi-a",disk="ssd",availability="drain"} 0
            node_availability{node="pi-a",disk="ssd",availability="pause"} 0
            node_manager_leader{node="pi-a",disk="ssd"} 1
            node_manager_reachable{node="pi-a",disk="ssd"} 1
            node_cpus{node="pi-a",disk="ssd"} 4
            node_memory_bytes{node="pi-a",disk="ssd"} 8589934592
            node_reserved_cpus{node="pi-a",disk="ssd"} 0.1
            node_reserved_memory_bytes{node="pi-a",disk="ssd"} 1048576
            node_tasks{node="pi-a",disk="ssd"} 1
            node_alert_threshold{node="pi-a",disk="ssd",kind="memory"} 0.95
            node_alert_ignored{node="pi-a",disk="ssd",alert="down"} 1
            node_alert_ignored{node="pi-a",disk="ssd",alert="targets"} 1"#]],
    );
    check(
        &snapshot,
        Options::default(),
        "managers",
        &expect![[r#"
            managers{reachability="reachable"} 1
            managers{reachability="unknown"} 0
            managers{reachability="unreachable"} 0"#]],
    );
}

/// Docker goes on to say that the tasks of a node that died run.
#[test]
fn generic_resources_are_shown_by_kind() {
    let gpus = |count| vec![GenericResource { kind: "gpu".into(), count }];
    let node = Node { generic_resources: gpus(4), ..node("a") };
    let train = Service { generic_resources: gpus(2), ..service("train", 1) };
    let task = Task { generic_resources: gpus(2), ..task("train", 1, "a", "running") };
    check(
        &snapshot(vec![node], vec![train], vec![task]),
        Options::default(),
        "generic",
        &expect![[r#"
            node_generic_resources{node="pi-a",resource="gpu"} 4
            node_reserved_generic_resources{node="pi-a",resource="gpu"} 2
            service_task_reserved_generic_resources{service="train",resource="gpu"} 2"#]],
    );
}

#[test]
fn a_manager_has_the_validity_of_its_certificate() {
    let manager = Node { manager: Some(ManagerStatus::default()), ..node("a") };
    let swarm = snapshot(vec![manager, node("b")], Vec::new(), Vec::new());
    check(
        &swarm,
        Options::default(),
        "manager_certificate",
        &expect![[r#"
        manager_certificate_not_before_timestamp_seconds{node="pi-a"} 1898553600
        manager_certificate_expiry_timestamp_seconds{node="pi-a"} 1930089600"#]],
    );
    let worker = snapshot(vec![node("a")], Vec::new(), Vec::new());
    check(&worker, Options::default(), "manager_certificate", &expect![""]);
}

#[test]
fn a_node_that_died_takes_its_tasks_along() {
    let dead = Node { state: "down".into(), ..node("a") };
    let tasks = vec![task("web", 1, "a", "running")];
    let constrained = |service: Service| Service {
        placement: Placement {
            constraints: vec!["node.hostname==pi-a".into()],
            ..Placement::default()
        },
        ..service
    };
    let nodes = vec![dead, node("b")];
    let services = vec![constrained(service("web", 1))];
    let of = snapshot(nodes, services, tasks);
    check(
        &of,
        Options::default(),
        "service=\"web\"} ",
        &expect![[r#"
            service_created_timestamp_seconds{service="web"} 1780000000
            service_desired_tasks{service="web"} 1
            service_running_tasks{service="web"} 0
            service_schedulable_tasks{service="web"} 0
            service_at_desired{service="web"} 0
            service_running_images{service="web"} 1
            service_most_tasks_on_one_node{service="web"} 1
            service_task_failures_total{service="web"} 0
            service_task_restarts_total{service="web"} 0"#]],
    );
}

#[test]
fn desired_of_each_mode() {
    let mode = |name: &str, mode: Mode, replicas: u64, max_concurrent: u64| Service {
        mode,
        max_concurrent,
        ..service(name, replicas)
    };
    let scheduled = Service { restart_condition: "none".into(), ..service("nightly", 1) };
    let cron =
        Service { labels: labels(&[("swarm.cronjob.enable", "true")]), ..service("cron", 1) };
    let done =
        |slot| Task { desired_state: "complete".into(), ..task("job", slot, "a", "complete") };
    let drained = Node { availability: "drain".into(), ..node("c") };
    let of = snapshot(
        vec![node("a"), node("b"), drained],
        vec![
            mode("global", Mode::Global, 0, 0),
            mode("job", Mode::ReplicatedJob, 5, 2),
            scheduled,
            cron,
            service("none", 0),
        ],
        vec![
            task("global", 0, "a", "running"),
            done(0),
            done(1),
            Task { desired_state: "complete".into(), ..task("job", 2, "a", "running") },
            Task { desired_state: "shutdown".into(), ..task("nightly", 1, "a", "complete") },
        ],
    );
    check(
        &of,
        Options::default(),
        "service_desired_tasks",
        &expect![[r#"
        service_desired_tasks{service="cron"} 1
        service_desired_tasks{service="global"} 2
        service_desired_tasks{service="job"} 5
        service_desired_tasks{service="nightly"} 1
        service_desired_tasks{service="none"} 0"#]],
    );
    check(
        &of,
        Options::default(),
        "service_at_desired",
        &expect![[r#"
        service_at_desired{service="cron"} 1
        service_at_desired{service="global"} 0
        service_at_desired{service="job"} 0
        service_at_desired{service="nightly"} 1
        service_at_desired{service="none"} 1"#]],
    );
    check(
        &of,
        Options::default(),
        "last_success",
        &expect![[r#"
        service_last_success_timestamp_seconds{service="job"} 1780000005
        service_last_success_timestamp_seconds{service="nightly"} 1780000005"#]],
    );
    check(
        &of,
        Options::default(),
        "service_completed",
        &expect![[r#"service_completed_tasks{service="job"} 2"#]],
    );
}

fn overlay(subnet: &str) -> Arc<Network> {
    Arc::new(Network {
        id: "n".into(),
        name: "shop_default".into(),
        scope: "swarm".into(),
        driver: "overlay".into(),
        created: CREATED,
        pools: vec![AddressPool { subnet: subnet.into(), range: "".into() }],
        ..Network::default()
    })
}

/// A task that has this address in that network.
fn attached(address: &str, task: Task) -> Task {
    let attachment = Attachment {
        network: "n".into(),
        driver: "overlay".into(),
        addresses: vec![address.parse().unwrap()],
        ..Attachment::default()
    };
    Task { attachments: vec![attachment], ..task }
}

#[test]
fn addresses_of_networks_are_counted() {
    let mut of = snapshot(
        vec![node("a")],
        vec![service("web", 2)],
        vec![
            attached("10.0.1.3", task("web", 1, "a", "running")),
            attached("10.0.1.4", task("web", 2, "a", "running")),
            attached("10.0.1.5", task("web", 2, "b", "failed")),
        ],
    );
    of.networks.insert(overlay("10.0.1.0/29"));
    check(
        &of,
        Options::default(),
        "network_",
        &expect![[r#"
        network_info{network="shop_default",network_id="n",driver="overlay",attachable="false",ingress="false",internal="false"} 1
        network_created_timestamp_seconds{network="shop_default"} 1780000000
        network_addresses{network="shop_default"} 5
        network_addresses_used{network="shop_default"} 3"#]],
    );
}

/// SwarmKit reports no text for it.
#[test]
fn a_new_task_on_a_full_network_waits_for_an_address() {
    let tasks = (1..5)
        .map(|slot| attached(&format!("10.0.1.{}", slot + 2), task("web", slot, "a", "running")));
    let tasks = tasks.chain([task("web", 5, "", "new")]).collect();
    let web = Service { networks: vec!["n".into()], ..service("web", 5) };
    let mut of = snapshot(vec![node("a")], vec![web], tasks);
    of.networks.insert(overlay("10.0.1.0/29"));
    check(
        &of,
        Options::default(),
        "waiting_tasks",
        &expect![[r#"service_waiting_tasks{service="web",reason="network addresses used up"} 1"#]],
    );
    check(
        &of,
        Options::default(),
        "schedulable",
        &expect![[r#"service_schedulable_tasks{service="web"} 4"#]],
    );
    of.networks.insert(overlay("10.0.1.0/28"));
    check(
        &of,
        Options::default(),
        "waiting_tasks",
        &expect![[r#"service_waiting_tasks{service="web",reason="not assigned"} 1"#]],
    );
    check(
        &of,
        Options::default(),
        "schedulable",
        &expect![[r#"service_schedulable_tasks{service="web"} 5"#]],
    );
}

#[test]
fn families_are_whole_and_in_order() {
    let services = vec![service("a", 1), service("b", 1)];
    let of = snapshot(vec![node("a"), node("b")], services, vec![task("a", 1, "a", "running")]);
    let hidden = [Family::TaskInfo].into();
    let text = exposition(&of, Options { hidden, ..Options::default() });
    assert!(!text.contains("task_info"));
    let mut seen = BTreeSet::new();
    let mut present = "";
    for line in text.lines() {
        let name = match line.strip_prefix("# ") {
            Some(head) => head.split(' ').nth(1).unwrap(),
            None => line.split(['{', ' ']).next().unwrap(),
        };
        if name != present {
            assert!(seen.insert(name.to_owned()), "{name} stands in two places");
            present = name;
        }
    }
    assert!(seen.len() >= 30, "{seen:?}");
}

/// A label of a service or node that becomes one of its series must not be one that they have.
#[test]
fn labels_of_series_are_known() {
    let busy = Service {
        ports: vec![Port {
            published: 80,
            protocol: "tcp".into(),
            mode: "host".into(),
            ..Port::default()
        }],
        networks: vec!["n".into()],
        update_state: "completed".into(),
        endpoint_mode: "vip".into(),
        labels: labels(&[
            ("com.docker.stack.namespace", "shop"),
            ("prometheus.io/alert.memory", "1"),
            ("prometheus.io/alert.ignore", "spread"),
            ("swarm.cronjob.enable", "true"),
        ]),
        ..service("web", 2)
    };
    let full = Node {
        os: "linux".into(),
        architecture: "x86_64".into(),
        engine_version: "28".into(),
        manager: Some(ManagerStatus::default()),
        ..node("a")
    };
    let tasks = vec![task("web", 1, "a", "running"), task("web", 2, "", "pending")];
    let text = exposition(&snapshot(vec![full], vec![busy], tasks), Options::default());
    let of_objects = text.lines().filter(|line| {
        ["dockerswarm_node_", "dockerswarm_service_"].iter().any(|prefix| line.starts_with(prefix))
    });
    let mut found = BTreeSet::new();
    for line in of_objects {
        let inner = line.split_once('{').map_or("", |(_, labels)| labels);
        found.extend(inner.split("=\"").filter_map(|part| part.rsplit(['{', ',']).next()));
        found.retain(|name| !name.contains(['"', '}', ' ']));
    }
    let own: BTreeSet<_> = crate::OWN_LABELS.into_iter().collect();
    let unknown: Vec<_> = found.difference(&own).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(found.len() > 20, "{found:?}");
}

/// No more series than a large Swarm can bear.
#[test]
fn an_object_has_few_series() {
    let busy = Service {
        ports: vec![Port { published: 80, ..Port::default() }],
        networks: vec!["n".into()],
        limits: Resources { nano_cpus: 1, memory_bytes: 1 },
        reservations: Resources { nano_cpus: 1_000_000, memory_bytes: 1 },
        updated: CREATED,
        update_state: "completed".into(),
        update_started: CREATED,
        update_completed: CREATED,
        labels: labels(&[("com.docker.stack.namespace", "shop")]),
        ..service("web", 1)
    };
    let manager = Node { manager: Some(ManagerStatus::default()), updated: CREATED, ..node("a") };
    let of = snapshot(vec![manager], vec![busy], vec![task("web", 1, "a", "running")]);
    let text = exposition(&of, Options::default());
    let number = |prefix: &str| text.lines().filter(|line| line.starts_with(prefix)).count();
    let [services, tasks, nodes] =
        ["service", "task", "node"].map(|kind| number(&format!("dockerswarm_{kind}_")));
    assert!(services <= 30, "{services}");
    assert!(tasks <= 5, "{tasks}");
    assert!(nodes <= 20, "{nodes}");
}

/// Whatever happens in whatever order, what is kept is what is made from scratch.
#[test]
fn changes_lead_to_the_same_series() {
    let mut number = 7_u64;
    let mut random = |below: u64| {
        number =
            number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (number >> 33) % below
    };
    let pick = |from: &[&str], at: u64| from[usize::try_from(at).unwrap()].to_owned();
    let mut kept = SwarmMetrics::new(Arc::default());
    let mut now = Snapshot::default();
    let mut version = 0;
    for _ in 0..600 {
        for _ in 0..=random(3) {
            version += 1;
            let id = format!("{}", random(8));
            match random(8) {
                0 => drop(now.nodes.remove("", &id)),
                1 | 2 => now.nodes.insert(Arc::new(Node {
                    version,
                    hostname: pick(&["pi", "x", "y"], random(3)).into(),
                    state: pick(&["ready", "ready", "down"], random(3)).into(),
                    availability: pick(&["active", "drain", "pause"], random(3)).into(),
                    ..node(&id)
                })),
                3 => drop(now.services.remove("", &format!("{id}-id"))),
                4 => now.services.insert(Arc::new(Service {
                    version,
                    mode: if random(2) == 0 { Mode::Global } else { Mode::Replicated },
                    reservations: Resources { nano_cpus: 2_000_000_000, memory_bytes: 0 },
                    networks: vec!["n".into()],
                    virtual_ips: vec![VirtualIp {
                        network: "n".into(),
                        address: Some([10, 0, 1, u8::try_from(random(6)).unwrap()].into()),
                    }],
                    ..service(&id, random(3))
                })),
                5 => {
                    let name = pick(&["one", "two"], random(2)).into();
                    now.networks.insert(Arc::new(Network {
                        id: "n".into(),
                        name,
                        scope: "swarm".into(),
                        pools: vec![AddressPool { subnet: "10.0.1.0/24".into(), range: "".into() }],
                        ..Network::default()
                    }));
                }
                _ => {
                    let slot = i64::try_from(random(3)).unwrap();
                    let state = pick(&["running", "running", "running", "failed"], random(4));
                    let of_node = format!("{}", random(8));
                    let mut task = task(&id, slot, &of_node, &state);
                    task.version = version;
                    task.reservations.nano_cpus = 2_000_000_000;
                    task.attachments.push(Attachment {
                        network: "n".into(),
                        driver: "overlay".into(),
                        addresses: vec![[10, 0, 1, u8::try_from(random(6)).unwrap()].into()],
                        ..Attachment::default()
                    });
                    if random(3) == 0 {
                        now.tasks.remove(&task.service, &task.id);
                    } else {
                        now.tasks.insert(Arc::new(task));
                    }
                }
            }
        }
        let certificates = HashMap::new();
        let input = Input { snapshot: &now, up: true, as_of: None, certificates: &certificates };
        kept.update(&input, &Counters::default());
        let mut fresh = SwarmMetrics::new(Arc::default());
        fresh.update(&input, &Counters::default());
        let [kept, fresh] = [&kept, &fresh].map(|it| {
            let text = text(&joined(it));
            // The order of objects depends on the number of shards.
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        });
        assert_eq!(kept, fresh);
    }
}
