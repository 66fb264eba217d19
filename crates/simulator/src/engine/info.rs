//! The body of `/info`: that of a real engine with the members changed that report its Swarm.

use serde::Serialize;
use serde_json::json;

use super::json::Members;
use super::{NO_LEADER, Release, Standing, json};
use crate::swarm::objects::{Json, Meta};
use crate::swarm::{NodeRole, State};

const V20_10: &str = include_str!("../../fixtures/swarm-mode/3-nodes/info.json");
const V28: &str = include_str!("../../fixtures/swarm-mode/3-nodes-docker-28.5.2/info.json");

pub(super) fn body(release: Release, state: &State, node: &str, standing: Standing) -> Vec<u8> {
    let recorded = if release.api < 42 { V20_10 } else { V28 };
    let mut info = Members::of(recorded);
    let description = state.nodes.get(node).map(|node| &node.description);
    let engine = state.engines.get(node);
    let labels: Vec<_> = description
        .map(|description| &description.engine.labels)
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let containers = super::containers::of(state, node, standing);
    let running = containers.iter().filter(|container| container.state == "running").count();
    info.set("ID", &engine.map_or("", |engine| &engine.id));
    info.set("Containers", &containers.len());
    info.set("ContainersRunning", &running);
    info.set("ContainersStopped", &(containers.len() - running));
    info.set("Name", &description.map_or("", |description| &description.hostname));
    info.set("Labels", &labels);
    info.set("ServerVersion", &release.version);
    info.set("Swarm", &swarm(state, node, standing));
    json::encode(&info)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Swarm<'a> {
    #[serde(rename = "NodeID")]
    node_id: &'a str,
    node_addr: &'a str,
    local_node_state: &'a str,
    control_available: bool,
    error: &'a str,
    remote_managers: Option<Vec<Json>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    managers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<Cluster<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Cluster<'a> {
    #[serde(flatten)]
    meta: &'a Meta,
    spec: serde_json::Value,
    root_rotation_in_progress: bool,
    subnet_size: u32,
    data_path_port: u32,
}

fn swarm<'a>(state: &'a State, node: &'a str, standing: Standing) -> Swarm<'a> {
    let addr = state.nodes.get(node).map_or("", |node| node.status.addr.as_str());
    let managers = state.nodes.values().filter_map(|node| {
        let status = node.manager_status.as_ref()?;
        let manager = json!({ "NodeID": node.meta.id, "Addr": status.addr });
        Some(Json::new(manager.to_string()))
    });
    let managers: Vec<_> = managers.collect();
    let member = Swarm {
        node_id: node,
        node_addr: addr,
        local_node_state: "active",
        control_available: standing == Standing::Manager,
        error: "",
        remote_managers: Some(managers),
        nodes: None,
        managers: None,
        cluster: None,
    };
    match standing {
        Standing::Worker => member,
        Standing::Standalone => Swarm {
            node_id: "",
            node_addr: "",
            local_node_state: "inactive",
            remote_managers: None,
            ..member
        },
        Standing::Locked => Swarm {
            node_id: "",
            node_addr: "",
            local_node_state: "locked",
            remote_managers: None,
            ..member
        },
        Standing::NoQuorum => Swarm { control_available: true, error: NO_LEADER, ..member },
        Standing::Manager => {
            let managers = state.nodes.values().filter(|n| n.spec.role == NodeRole::Manager);
            Swarm {
                nodes: Some(state.nodes.len()),
                managers: Some(managers.count()),
                cluster: Some(Cluster {
                    meta: &state.cluster,
                    spec: json!({
                        "Name": "default",
                        "Labels": {},
                        "Orchestration": { "TaskHistoryRetentionLimit": 5 },
                    }),
                    root_rotation_in_progress: false,
                    subnet_size: 24,
                    data_path_port: 4789,
                }),
                ..member
            }
        }
    }
}
