//! What etcd answered with the keys of real Swarms in it.

use serde_json::Value;

use swarmscout_simulator::engine::json;
use swarmscout_simulator::http::{Request, Response};

macro_rules! recorded {
    ($case:literal) => {
        ($case, include_str!(concat!("../../fixtures/etcd-v2/", $case, ".json")))
    };
}

/// Case and body of every recorded answer to `?recursive=true` for a whole path.
pub const RECORDED: &[(&str, &str)] = &[
    recorded!("dockerd-cluster-store"),
    recorded!("swarm-0.2.0"),
    recorded!("swarm-0.2.0-after-expiry"),
    recorded!("swarm-0.4.0"),
    recorded!("swarm-1.0.1"),
    recorded!("swarm-1.1.0"),
    recorded!("swarm-1.2.9"),
];

/// The part of a recorded answer that a request asks for.
pub(super) fn answer(body: &str, request: &Request) -> Response {
    let whole: Value = serde_json::from_str(body).unwrap_or_default();
    let key = request.path.strip_prefix("/v2/keys").unwrap_or_default();
    let recursive = request.parameter("recursive").as_deref() == Some("true");
    let response = if let Some(node) = find(&whole["node"], key, recursive) {
        let action = serde_json::json!({ "action": "get", "node": node });
        Response::json(json::encode(&action))
    } else {
        let error = serde_json::json!({
            "errorCode": 100, "message": "Key not found", "cause": key, "index": 200,
        });
        Response { status: 404, ..Response::json(json::encode(&error)) }
    };
    response.with("X-Etcd-Index", "200")
}

fn find(node: &Value, key: &str, recursive: bool) -> Option<Value> {
    if node["key"] == key {
        let mut node = node.clone();
        if !recursive && let Some(children) = node["nodes"].as_array_mut() {
            for child in children.iter_mut().filter_map(Value::as_object_mut) {
                child.remove("nodes");
            }
        }
        return Some(node);
    }
    node["nodes"].as_array()?.iter().find_map(|node| find(node, key, recursive))
}
