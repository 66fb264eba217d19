//! The simulated Engine API against what real engines answered.

use std::collections::BTreeSet;

use serde_json::Value;
use swarmscout_simulator::Listen;
use swarmscout_simulator::engine::Condition::{Locked, Member, NoQuorum, Standalone};
use swarmscout_simulator::engine::{Engine, Recording, Release as R};
use swarmscout_simulator::swarm::{Mode, ServiceSpec, Swarm};
use swarmscout_simulator::testing::{get, request, split};

/// A manager and two workers; services of every kind.
fn swarm() -> (Swarm, String, String) {
    let swarm = Swarm::new(7);
    let manager = swarm.add_manager("manager-1");
    let worker = swarm.add_worker("worker-1");
    swarm.label_node(&worker, "tier", "front");
    swarm.edit_node(&worker, |node| {
        node.description.engine.labels.insert("city".to_owned(), "Zürich ✓".to_owned());
    });
    swarm.add_worker("worker-2");
    let front = swarm.create_network_with("front", |network| {
        network.labels.insert("team".to_owned(), "a".to_owned());
    });
    let web = ServiceSpec::new("web", "demo:1").replicas(3).network(&front).publish(8080, 8081);
    let web = swarm.create_service(web.label("app", "a<b>&c").container_label("app", "web"));
    swarm.update_service(&web, |spec| *spec = spec.clone().env("V=2".to_owned()));
    let host = swarm.host_network();
    for spec in [
        ServiceSpec::new("agent", "demo:1").global().publish_on_host(8080, 9100),
        ServiceSpec::new("on-host", "demo:1").global().network(&host),
        ServiceSpec::new("rr", "demo:1").network(&front).dnsrr(),
        ServiceSpec::new("stuck", "demo:1").constraint("node.labels.none==such"),
        ServiceSpec::new("random-port", "demo:1").publish(8080, 0).publish_udp(53, 5353),
        ServiceSpec::new("done-job", "demo:1")
            .mode(Mode::ReplicatedJob { max_concurrent: 1, total_completions: 2 }),
        ServiceSpec::new("everywhere-job", "demo:1").mode(Mode::GlobalJob {}),
    ] {
        swarm.create_service(spec);
    }
    (swarm, manager, worker)
}

/// What a real engine answered, in a file of this folder.
macro_rules! recorded {
    ($file:literal) => {
        split(include_str!(concat!("../../fixtures/swarm-mode/", $file)))
    };
}

#[tokio::test]
async fn refuses_in_the_words_of_real_engines() {
    let (swarm, manager, worker) = swarm();
    let start =
        |node: &str, release| Engine::start_release(Listen::Tcp, &swarm, node, release).unwrap();
    let (manager, worker) = (manager.as_str(), worker.as_str());
    for (node, release, condition, path, expected) in [
        (worker, R::V20_10, Member, "/nodes", recorded!("errors/worker-nodes-503.txt")),
        (worker, R::V20_10, Member, "/v1.41/tasks", recorded!("errors/worker-tasks-503.txt")),
        (worker, R::V28, Member, "/nodes", recorded!("3-nodes-docker-28.5.2/worker-nodes-503.txt")),
        (
            worker,
            R::V29,
            Member,
            "/nodes",
            recorded!("3-nodes-moby-v2.0.0-beta.24/worker-nodes-503.txt"),
        ),
        (manager, R::V20_10, Standalone, "/nodes", recorded!("errors/standalone-nodes-503.txt")),
        (manager, R::V20_10, Locked, "/nodes", recorded!("errors/manager-locked-nodes.txt")),
        (manager, R::V20_10, NoQuorum, "/tasks", recorded!("errors/manager-no-quorum-tasks.txt")),
        (
            manager,
            R::V20_10,
            Member,
            "/tasks?filters=%7B%22service%22%3A%5B%22nope%22%5D%7D",
            recorded!("errors/no-such-service.txt"),
        ),
        (
            manager,
            R::V20_10,
            Member,
            "/nodes?filters=%7B%22nope%22%3A%5B%22x%22%5D%7D",
            recorded!("errors/unknown-filter.txt"),
        ),
        (manager, R::V20_10, Member, "/nodes?filters=%7Bbad", recorded!("errors/bad-filters.txt")),
        (manager, R::V20_10, Member, "/v1.41/nope", recorded!("errors/not-found.txt")),
        (manager, R::V20_10, Member, "/v1.99/nodes", recorded!("errors/version-too-new.txt")),
        (manager, R::V20_10, Member, "/v1.11/nodes", recorded!("errors/version-too-old.txt")),
        (
            manager,
            R::V28,
            Member,
            "/v1.23/nodes",
            recorded!("3-nodes-docker-28.5.2/version-too-old.txt"),
        ),
        (
            manager,
            R::V29,
            Member,
            "/v1.24/nodes",
            recorded!("3-nodes-moby-v2.0.0-beta.24/version-too-old.txt"),
        ),
        (manager, R::V20_10, Member, "/_ping", recorded!("3-nodes/ping-with-headers.txt")),
        (
            manager,
            R::V28,
            Member,
            "/v1.24/_ping",
            recorded!("3-nodes-docker-28.5.2/ping-with-headers.txt"),
        ),
        (
            manager,
            R::V29,
            Member,
            "/_ping",
            recorded!("3-nodes-moby-v2.0.0-beta.24/ping-with-headers.txt"),
        ),
    ] {
        let engine = start(node, release);
        engine.set_condition(condition);
        assert_eq!(get(&engine.server, path).await.unwrap(), expected, "{path} {release:?}");
    }
}

/// Names of all members of a value, with those they stand in. What maps hold is left out.
fn members(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            let map = ["Labels", "Options", "Networks"];
            for (name, value) in object {
                let path = format!("{path}.{name}");
                if !map.contains(&name.as_str()) {
                    members(value, &path, into);
                }
                into.insert(path);
            }
        }
        Value::Array(array) => array.iter().for_each(|value| members(value, path, into)),
        _ => {}
    }
}

#[tokio::test]
async fn objects_have_the_members_of_real_ones_and_no_others() {
    let (swarm, manager, _) = swarm();
    let engine = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
    for path in ["/nodes", "/services", "/tasks", "/networks", "/containers/json", "/info"] {
        let of = |body: &[u8]| {
            let mut set = BTreeSet::new();
            members(&serde_json::from_slice(body).unwrap(), "", &mut set);
            set
        };
        let ours = of(get(&engine.server, path).await.unwrap().1.as_bytes());
        let mut real = of(Recording::THREE_NODES.body(path).unwrap());
        real.extend(of(Recording::SIX_NODES_LEADER.body(path).unwrap_or(b"[]")));
        let invented: Vec<_> = ours.difference(&real).collect();
        assert!(invented.is_empty(), "{path}: {invented:?}");
    }
}

#[tokio::test]
async fn filters_as_the_engine_does() {
    let (swarm, manager, worker) = swarm();
    let engine = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
    let (service, task) = (&swarm.services()[0].meta.id, &swarm.tasks()[0].meta.id);
    let short = &service[..5];
    let filtered = async |path: &str, filters: &str| {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("filters", filters)
            .finish();
        let (head, body) = get(&engine.server, &format!("{path}?{query}")).await.unwrap();
        let status = head.iter().find(|line| line.starts_with("HTTP")).cloned().unwrap();
        match serde_json::from_str(&body).unwrap() {
            Value::Array(array) => array.len().to_string(),
            error => format!("{} {}", &status[9..12], error["message"].as_str().unwrap()),
        }
    };
    for (path, filters, expected) in [
        ("/nodes", r#"{"role":{"manager":true}}"#.to_owned(), "1"),
        ("/nodes", r#"{"role":["worker"]}"#.to_owned(), "2"),
        ("/nodes", r#"{"role":["Worker","manager"]}"#.to_owned(), "3"),
        ("/nodes", r#"{"role":["boss"]}"#.to_owned(), "500 Invalid role filter: 'boss'"),
        ("/nodes", r#"{"membership":["accepted"]}"#.to_owned(), "3"),
        ("/nodes", r#"{"membership":["pending"]}"#.to_owned(), "0"),
        ("/nodes", r#"{"name":["worker"]}"#.to_owned(), "2"),
        ("/nodes", format!(r#"{{"id":["{}"]}}"#, &worker[..6]), "1"),
        ("/nodes", r#"{"label":["city=Zürich ✓"]}"#.to_owned(), "1"),
        ("/nodes", r#"{"label":["tier"]}"#.to_owned(), "0"),
        ("/nodes", r#"{"node.label":["tier=front"]}"#.to_owned(), "1"),
        ("/nodes", r#"{"node.label":["tier=front","none"]}"#.to_owned(), "0"),
        ("/nodes", "null".to_owned(), "3"),
        ("/nodes", r#"{"name":{}}"#.to_owned(), "3"),
        ("/nodes", r#"{"name"#.to_owned(), "500 unexpected end of JSON input"),
        ("/services", r#"{"mode":["global"]}"#.to_owned(), "2"),
        ("/services", r#"{"mode":["replicated-job","global-job"]}"#.to_owned(), "2"),
        ("/services", r#"{"name":["r"]}"#.to_owned(), "2"),
        ("/services", r#"{"label":["app"]}"#.to_owned(), "1"),
        (
            "/services",
            r#"{"desired-state":["running"]}"#.to_owned(),
            "400 Invalid filter 'desired-state'",
        ),
        ("/tasks", r#"{"service":["agent"]}"#.to_owned(), "3"),
        ("/tasks", r#"{"service":["web","agent"],"desired-state":["running"]}"#.to_owned(), "6"),
        ("/tasks", r#"{"service":["web"],"desired-state":["shutdown"]}"#.to_owned(), "3"),
        (
            "/tasks",
            r#"{"desired-state":["sleeping"]}"#.to_owned(),
            "500 Invalid desired-state filter: 'sleeping'",
        ),
        ("/tasks", r#"{"node":["worker-1"],"service":["agent"]}"#.to_owned(), "1"),
        ("/tasks", r#"{"node":["nope"]}"#.to_owned(), "404 node nope not found"),
        ("/tasks", r#"{"service":[""]}"#.to_owned(), "400 service  is ambiguous (8 matches found)"),
        ("/tasks", r#"{"name":["agent."]}"#.to_owned(), "3"),
        ("/tasks", format!(r#"{{"id":["{task}"]}}"#), "1"),
        ("/tasks", r#"{"label":["app"]}"#.to_owned(), "6"),
        ("/networks", r#"{"name":["front"]}"#.to_owned(), "1"),
        ("/networks", r#"{"scope":["swarm"]}"#.to_owned(), "2"),
        ("/networks", r#"{"driver":["bridge"]}"#.to_owned(), "2"),
        ("/networks", r#"{"label":["team=a"]}"#.to_owned(), "1"),
        ("/containers/json", r#"{"label":["app=web"]}"#.to_owned(), "1"),
        ("/containers/json", r#"{"status":["exited"]}"#.to_owned(), "3"),
        ("/containers/json", r#"{"name":["^/agent"]}"#.to_owned(), "1"),
        ("/containers/json", r#"{"network":["front"]}"#.to_owned(), "2"),
    ] {
        assert_eq!(filtered(path, &filters).await, expected, "{path} {filters}");
    }
    let one = filtered("/tasks", &format!(r#"{{"service":["{short}"]}}"#)).await;
    assert_ne!(one, format!("404 service {short} not found"), "the beginning of an ID is enough");
}

#[tokio::test]
async fn lists_come_in_another_order_at_every_call() {
    let (swarm, manager, _) = swarm();
    let engine = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
    let mut orders = BTreeSet::new();
    let mut sets = BTreeSet::new();
    for _ in 0..4 {
        let (_, body) = get(&engine.server, "/tasks").await.unwrap();
        let tasks: Vec<Value> = serde_json::from_str(&body).unwrap();
        let mut ids: Vec<_> = tasks.iter().map(|task| task["ID"].to_string()).collect();
        orders.insert(ids.clone());
        ids.sort();
        sets.insert(ids);
    }
    assert_eq!((orders.len(), sets.len()), (4, 1));
}

#[tokio::test]
async fn info_reports_the_swarm() {
    let (swarm, manager, worker) = swarm();
    let (manager, worker) = (
        Engine::start(Listen::Tcp, &swarm, &manager).unwrap(),
        Engine::start(Listen::Tcp, &swarm, &worker).unwrap(),
    );
    let info = async |engine: &Engine| -> Value {
        serde_json::from_str(&get(&engine.server, "/v1.41/info").await.unwrap().1).unwrap()
    };
    let reported = &info(&manager).await["Swarm"];
    assert_eq!(reported["Cluster"]["ID"], swarm.cluster_id());
    assert_eq!((&reported["Nodes"], &reported["Managers"]), (&3.into(), &1.into()));
    let reported = info(&worker).await;
    assert_eq!(reported["Name"], "worker-1");
    assert_eq!(reported["Swarm"]["ControlAvailable"], false);
    assert_eq!(reported["Swarm"]["RemoteManagers"][0]["Addr"], "10.77.0.11:2377");
    assert!(reported["Swarm"].get("Cluster").is_none());
    manager.set_condition(Standalone);
    assert_eq!(info(&manager).await["Swarm"]["LocalNodeState"], "inactive");
}

#[tokio::test]
async fn without_most_of_its_managers_there_is_no_quorum() {
    let (swarm, manager, worker) = swarm();
    let others = [swarm.add_manager("manager-2"), swarm.add_manager("manager-3")];
    let engine = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
    swarm.stop_node(&others[0]);
    assert!(get(&engine.server, "/nodes").await.unwrap().1.starts_with('['));
    swarm.stop_node(&others[1]);
    let (_, body) = get(&engine.server, "/nodes").await.unwrap();
    assert!(body.contains("does not have a leader"), "{body}");
    swarm.promote_node(&worker);
    swarm.restore_node(&others[1]);
    assert!(get(&engine.server, "/nodes").await.unwrap().1.starts_with('['));
}

#[tokio::test]
async fn recordings_are_served_byte_for_byte() {
    let engine = Engine::recorded(Listen::Tcp, Recording::THREE_NODES).unwrap();
    for path in ["/nodes", "/services", "/tasks", "/networks", "/containers/json", "/info"] {
        let (_, body) = get(&engine.server, &format!("/v1.41{path}")).await.unwrap();
        assert_eq!(body.as_bytes(), Recording::THREE_NODES.body(path).unwrap(), "{path}");
    }
    let query = "/tasks?filters=%7B%22desired-state%22%3A%5B%22running%22%5D%7D";
    let (_, running) = get(&engine.server, query).await.unwrap();
    assert_eq!(running.as_bytes(), Recording::THREE_NODES.body("/tasks?desired-state").unwrap());
    let worker = Engine::recorded(Listen::Tcp, Recording::WORKER).unwrap();
    let refusal = get(&worker.server, "/nodes").await.unwrap();
    assert_eq!(refusal, recorded!("errors/worker-nodes-503.txt"));
    let head = request(&worker.server, "HEAD", "/_ping").await.unwrap();
    assert!(head.ends_with("\r\n\r\n"), "no body: {head:?}");
}
