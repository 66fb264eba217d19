//! `/events` against what real engines reported.

use std::collections::BTreeSet;

use serde_json::Value;
use swarmscout_simulator::engine::{Engine, Release};
use swarmscout_simulator::swarm::{ServiceSpec, Swarm};
use swarmscout_simulator::{Listen, Server};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;

use swarmscout_simulator::testing::get;

const MANAGER: &str = include_str!("../../fixtures/swarm-mode/3-nodes/events-manager.json");
const WORKER: &str = include_str!("../../fixtures/swarm-mode/3-nodes/events-worker.json");

struct Events(Lines<BufReader<TcpStream>>);

impl Events {
    async fn open(server: &Server, filters: &str) -> Self {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("filters", filters)
            .finish();
        let mut stream = TcpStream::connect(server.addr().unwrap()).await.unwrap();
        let request = format!("GET /v1.41/events?{query} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        while lines.next_line().await.unwrap().is_some_and(|line| !line.is_empty()) {}
        Self(lines)
    }

    async fn next(&mut self) -> Option<Value> {
        while let Some(line) = self.0.next_line().await.unwrap() {
            // Between them is the framing of chunks.
            if let Ok(event @ Value::Object(_)) = serde_json::from_str(&line) {
                return Some(event);
            }
        }
        None
    }

    /// The events up to, and without, one about an object of this name.
    async fn until(&mut self, name: &str) -> Vec<Value> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            if event["Actor"]["Attributes"]["name"] == name {
                break;
            }
            events.push(event);
        }
        events
    }
}

fn parse(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Type, action, scope, and the names of all members and attributes in order; without labels.
fn shape(event: &Value) -> String {
    let names = |value: &Value| {
        let names = value.as_object().unwrap().keys().map(String::as_str);
        names.filter(|name| !["app", "note"].contains(name)).collect::<Vec<_>>().join(",")
    };
    let attributes = names(&event["Actor"]["Attributes"]);
    format!(
        "{} {} {} {}: {attributes}",
        event["Type"],
        event["Action"],
        event["scope"],
        names(event)
    )
}

fn shapes(events: &[Value]) -> BTreeSet<String> {
    events.iter().map(shape).collect()
}

#[tokio::test]
async fn events_have_the_form_of_real_ones() {
    let swarm = Swarm::new(1);
    let manager = swarm.add_manager("manager-1");
    let worker = swarm.add_worker("worker-1");
    let on_manager = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
    let on_worker = Engine::start(Listen::Tcp, &swarm, &worker).unwrap();
    let mut at_manager = Events::open(&on_manager.server, "").await;
    let mut at_worker = Events::open(&on_worker.server, "").await;
    let net = swarm.create_network("evnet");
    let web = swarm.create_service(ServiceSpec::new("ev", "demo:1").replicas(2).network(&net));
    swarm.scale(&web, 4);
    swarm.start_update(&web, |spec| *spec = spec.clone().env("V=2".to_owned()));
    while swarm.continue_update(&web) {}
    swarm.label_node(&worker, "a", "b");
    swarm.drain_node(&worker);
    swarm.stop_node(&worker);
    swarm.restore_node(&worker);
    swarm.promote_node(&worker);
    swarm.demote_node(&worker);
    swarm.remove_service(&web);
    swarm.remove_network(&net);
    swarm.create_network("end");
    let manager = at_manager.until("end").await;
    let mut real = shapes(&parse(MANAGER));
    real.extend(shapes(&parse(WORKER)));
    // The recording has the end of an update in no line.
    let unknown: Vec<_> = shapes(&manager).difference(&real).cloned().collect();
    assert_eq!(unknown, Vec::<String>::new());
    let secrets = |shape: &&String| {
        ["secret", "config", "availability.new,availability.old,name"]
            .iter()
            .all(|word| !shape.contains(word))
    };
    let ours = shapes(&manager);
    let missing: Vec<_> = shapes(&parse(MANAGER))
        .iter()
        .filter(secrets)
        .filter(|s| !ours.contains(*s))
        .cloned()
        .collect();
    assert_eq!(missing, Vec::<String>::new());
    // A worker knows its own containers alone; the last thing it has seen is the end of the tasks.
    swarm.activate_node(&worker);
    let end =
        swarm.create_service(ServiceSpec::new("end", "demo:1").constraint("node.role==worker"));
    let name = format!("end.1.{}", swarm.tasks_of(&end)[0].meta.id);
    let worker = at_worker.until(&name).await;
    assert!(worker.len() > 4 && worker.iter().all(|event| event["scope"] == "local"), "{worker:?}");
    let unknown: Vec<_> = shapes(&worker).difference(&real).cloned().collect();
    assert_eq!(unknown, Vec::<String>::new());
}

#[tokio::test]
async fn events_are_filtered_as_by_the_engine() {
    let swarm = Swarm::new(1);
    let manager = swarm.add_manager("manager-1");
    let engine = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
    let new = Engine::start_release(Listen::Tcp, &swarm, &manager, Release::V29).unwrap();
    let (create, update, remove) = ("service create", "service update", "service remove");
    let cases: [(&str, &[&str]); 8] = [
        (r#"{"type":["service"]}"#, &[create, update, update, update, remove]),
        (
            r#"{"type":["service","node"],"scope":["swarm"]}"#,
            &[create, update, update, update, "node update", remove],
        ),
        (r#"{"type":["service"],"event":["update"]}"#, &[update; 3]),
        (r#"{"scope":["local"],"event":["start"]}"#, &["container start"; 2]),
        (r#"{"service":["a"],"event":["remove"]}"#, &[remove]),
        (r#"{"service":["b"],"network":["b"]}"#, &["network create"]),
        (
            r#"{"label":["com.docker.swarm.task"],"event":["create","destroy"]}"#,
            &["container create", "container create", "container destroy", "container destroy"],
        ),
        (r#"{"nothing":["x"],"type":["node"]}"#, &["node update"]),
    ];
    let mut open = Vec::new();
    for (filters, _) in cases {
        open.push(Events::open(&engine.server, filters).await);
    }
    let mut all = Events::open(&new.server, "").await;
    let api = swarm.create_service(ServiceSpec::new("api", "demo:1").publish(80, 80));
    swarm.scale(&api, 2);
    swarm.label_service(&api, "a", "b");
    swarm.label_node(&manager, "a", "b");
    swarm.remove_service(&api);
    swarm.create_network("b");
    for ((filters, expected), mut events) in cases.into_iter().zip(open) {
        for expected in expected {
            let event = events.next().await.unwrap();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let seen = format!("{} {}", text(&event["Type"]), text(&event["Action"]));
            assert_eq!(seen, *expected, "{filters}");
        }
    }
    swarm.create_network("end");
    for event in all.until("end").await {
        assert!(event.get("status").is_none(), "{event}");
    }
    let refused = get(&new.server, "/events?since=1").await.unwrap();
    assert!(refused.1.contains("no past events"), "{refused:?}");
}
