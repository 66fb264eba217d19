//! `/api/v1/nodes/<node>/tasks`.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use swarmscout_model::Budget;
use swarmscout_model::size::Bytes;
use swarmscout_swarm::{FeedKind, ListScope, Snapshot};
use swarmscout_web_config::testing::{doors, handle};
use tokio::task::JoinSet;

use super::{Reply, Server, SwarmSenders, request, source, swarm};
use crate::Options;

/// A Swarm of the nodes `n1` and `n2`, with a task of the service `web` on each.
fn snapshot(state_of_first: &str) -> Snapshot {
    use swarmscout_docker::engine::{Node, Service, Task};
    let mut snapshot = Snapshot { scope: ListScope::everything(), ..Snapshot::default() };
    let service = Service { id: "s1".into(), name: "web".into(), ..Service::default() };
    snapshot.services.insert(Arc::new(service));
    for (node, state) in [("n1", state_of_first), ("n2", "running")] {
        snapshot.nodes.insert(Arc::new(Node {
            id: node.into(),
            hostname: format!("host-{node}").into(),
            state: "ready".into(),
            address: if node == "n1" { "192.0.2.1" } else { "192.0.2.2" }.into(),
            ..Node::default()
        }));
        snapshot.tasks.insert(Arc::new(Task {
            id: format!("t{node}").into(),
            service: "s1".into(),
            node: node.into(),
            slot: 1,
            state: state.into(),
            container: node.repeat(32).replace('n', "a").into(),
            ..Task::default()
        }));
    }
    snapshot
}

/// What a node part sends to register.
const NODE_PART: &str = "X-Swarmscout-Node-Part: 1";

struct Site {
    server: Server,
    swarm: SwarmSenders,
}

impl Site {
    async fn start(web_config: Option<&str>, open_nodes: bool) -> Self {
        let now = Instant::now();
        let doors = web_config.map(|text| handle(doors(text)).1);
        let options = Options { open_nodes, ..Options::default() };
        let budget = Budget::new(Bytes(1 << 30));
        let server = Server::with_doors(now, Vec::new(), options, budget, doors).await;
        let swarm = swarm(&mut source("s/0", now, Some(1)), now, FeedKind::Watch);
        server.swarms.send_replace(Arc::from([swarm.swarm()]));
        Self { server, swarm }
    }

    async fn get(&self, path: &str, headers: &[&str]) -> Reply {
        self.server.request("GET", path, headers).await
    }
}

#[tokio::test]
async fn a_node_gets_its_tasks_and_waits_for_another_answer() {
    let site = Site::start(None, true).await;
    // Before there is a snapshot, only who waits gets an answer.
    assert_eq!(site.get("/api/v1/nodes/n1/tasks", &[]).await.status, 503);
    let address = site.server.address;
    let mut replies = JoinSet::new();
    replies
        .spawn(async move { request(address, "GET", "/api/v1/nodes/n1/tasks?wait=5m", &[]).await });
    site.swarm.publish(snapshot("running"));
    let first = replies.join_next().await.unwrap().unwrap();
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(first.header("x-swarmscout-wait"), Some("5m"));
    assert_eq!(first.header("x-swarmscout-oldest-source-age-seconds"), Some("4"));
    let text = first.text();
    assert!(text.starts_with(r#"{"status":"success","data":{"node":{"id":"n1","name":"host-n1","#));
    assert!(text.contains(r#""id":"tn1","name":"web.1.tn1""#) && !text.contains("tn2"), "{text}");
    // By other names it is the same answer.
    let container = format!("container:{}", "a1".repeat(32));
    for name in ["name:host-n1", "name%3Ahost-n1", &container] {
        let reply = site.get(&format!("/api/v1/nodes/{name}/tasks"), &[]).await;
        assert_eq!(reply.text(), text, "{name}");
    }
    let known = format!("If-None-Match: {}", first.header("etag").unwrap());
    let path = "/api/v1/nodes/n1/tasks?wait=5m&port=9500";
    let known_of_reader = known.clone();
    replies
        .spawn(async move { request(address, "GET", path, &[NODE_PART, &known_of_reader]).await });
    let ports = || site.server.context.outputs.nodes.node_ports();
    ports().wait_for(|ports| ports.get("n1") == Some(&9500)).await.unwrap();
    assert_eq!(site.get("/api/v1/nodes/n1/tasks", &[&known]).await.status, 304);
    // Later than the registration of the one that waits.
    site.get("/api/v1/nodes/n1/tasks?port=9501", &[NODE_PART]).await;
    // A change of the other node does not count.
    let mut other = snapshot("running");
    other.tasks.remove("s1", "tn2");
    site.swarm.publish(other);
    site.swarm.publish(snapshot("starting"));
    let second = replies.join_next().await.unwrap().unwrap();
    assert!(second.text().contains(r#""state":"starting""#), "{}", second.text());
    assert_eq!(ports().borrow().get("n1"), Some(&9501));
}

#[tokio::test]
async fn what_is_not_there_or_not_right_is_said() {
    let site = Site::start(None, true).await;
    site.swarm.publish(snapshot("running"));
    assert_eq!(site.get("/api/v1/nodes/n1/tasks?wait=5m", &[]).await.status, 200);
    for (path, status) in [
        ("/api/v1/nodes/n3/tasks?wait=5m", 404),
        ("/api/v1/nodes/name:other/tasks", 404),
        ("/api/v1/nodes/container:a1/tasks", 400),
        ("/api/v1/nodes/other:a1/tasks", 400),
        ("/api/v1/nodes/n1/tasks?wait=1", 400),
        ("/api/v1/nodes/n1/tasks?port=0", 400),
        ("/api/v1/nodes/n1/tasks?port=65536", 400),
        ("/api/v1/nodes/n1/tasks?overlay=10.0.0.1", 400),
        ("/api/v1/nodes/n1/tasks?port=1&overlay=x", 400),
        ("/api/v1/nodes/n1/tasks?labels=a,b", 200),
        ("/api/v1/nodes/n1/tasks?peers.host=un2,dn3", 200),
        ("/api/v1/nodes/n1/tasks?peers.host=n2", 400),
        ("/api/v1/nodes//tasks", 400),
    ] {
        assert_eq!(site.get(path, &[]).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn without_proof_no_client_gets_the_tasks_of_a_node() {
    const USERS: &str = "\
basic_auth_users:
  alice: $2a$04$S4eJ/7GLDFeFpln6WOAhE.pfhAcx3PY4ATeCVP3cZkWzVWfl7F0tK
  node: $2a$04$S4eJ/7GLDFeFpln6WOAhE.pfhAcx3PY4ATeCVP3cZkWzVWfl7F0tK
authorization:
  read: [user:alice]
  nodes: [user:node]
";
    let plain = Site::start(None, false).await;
    plain.swarm.publish(snapshot("running"));
    let refused = plain.get("/api/v1/nodes/n1/tasks?wait=5m", &[]).await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("--nodes.insecure"), "{}", refused.text());

    let site = Site::start(Some(USERS), false).await;
    site.swarm.publish(snapshot("running"));
    let get = async |user: &str| {
        let credentials = STANDARD.encode(format!("{user}:secret"));
        let header = format!("Authorization: Basic {credentials}");
        site.get("/api/v1/nodes/n1/tasks?wait=5m&port=9500", &[NODE_PART, &header]).await.status
    };
    assert_eq!(get("alice").await, 200);
    // A password does not say which node it is.
    assert_eq!(get("node").await, 403);
    assert_eq!(site.get("/api/v1/nodes/n1/tasks", &[]).await.status, 401);
    // Only the node itself registers a port.
    let board = &site.server.context.outputs.nodes;
    assert!(board.node_ports().borrow().is_empty());
    assert!(board.node_parts().refused.contains_key("n1"));
    assert!(plain.server.context.outputs.nodes.node_parts().refused.is_empty());
}

/// A node part registers with those managers by `HEAD` that it does not follow.
#[tokio::test]
async fn a_node_registers_and_reports_without_its_tasks() {
    let site = Site::start(None, true).await;
    site.swarm.publish(snapshot("running"));
    assert_eq!(site.get("/api/v1/nodes/n1/tasks?wait=5m", &[]).await.status, 200);
    let path = "/api/v1/nodes/n1/tasks?port=9500&peers.host=un2";
    let board = &site.server.context.outputs.nodes;
    // A page of another site cannot make a browser send the header.
    for method in ["GET", "HEAD"] {
        assert_eq!(site.server.request(method, path, &[]).await.status, 200);
        assert_eq!((board.stats().registered, board.links().len()), (0, 0), "{method}");
    }
    let reply = site.server.request("HEAD", path, &[NODE_PART]).await;
    assert_eq!((reply.status, reply.text()), (200, String::new()));
    assert_eq!(board.node_ports().borrow().get("n1"), Some(&9500));
    assert_eq!(board.links().len(), 1);
    let metrics = site.get("/metrics", &[]).await.text();
    for series in ["registered 1.0", "reporting 1.0", "waiting 0.0", "answers_written_total "] {
        let series = format!("\nswarmscout_node_parts_{series}");
        assert!(metrics.contains(&series), "{series}: {metrics}");
    }
    let doctor = site.server.request("POST", "/api/v1/doctor", &[]).await.text();
    assert!(doctor.contains(r#""peers":{"pairs":1,"broken":0}"#), "{doctor}");
}
