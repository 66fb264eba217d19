//! What `/containers/json` lists.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Standing;
use super::filters::task_name;
use crate::swarm::objects::Attachment;
use crate::swarm::{Container, Map, Random, State, Task, TaskState};

/// A container as it is listed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Summary {
    pub(super) id: String,
    pub(super) names: Vec<String>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: &'static str,
    command: &'static str,
    created: i64,
    ports: Vec<Port>,
    pub(super) labels: Map,
    pub(super) state: &'static str,
    status: &'static str,
    host_config: HostConfig,
    network_settings: NetworkSettings,
    mounts: [(); 0],
}

impl Summary {
    /// Name and ID of each of its networks.
    pub(super) fn networks(&self) -> impl Iterator<Item = (&str, &str)> {
        let networks = self.network_settings.networks.iter();
        networks.map(|(name, endpoint)| (name.as_str(), endpoint.network_id.as_str()))
    }
}

#[derive(Debug, Serialize)]
struct Port {
    #[serde(rename = "IP", skip_serializing_if = "Option::is_none")]
    ip: Option<&'static str>,
    #[serde(rename = "PrivatePort")]
    private: u64,
    #[serde(rename = "PublicPort", skip_serializing_if = "Option::is_none")]
    public: Option<u64>,
    #[serde(rename = "Type")]
    protocol: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    network_mode: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    networks: BTreeMap<String, Endpoint>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_field_names, reason = "they are the Engine's")]
struct Endpoint {
    /// Always null.
    #[serde(rename = "IPAMConfig")]
    ipam_config: (),
    links: (),
    aliases: (),
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    gateway: &'static str,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(rename = "IPPrefixLen")]
    ip_prefix_len: u8,
    #[serde(rename = "IPv6Gateway")]
    ipv6_gateway: &'static str,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: String,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    global_ipv6_prefix_len: u8,
    mac_address: &'static str,
    driver_opts: (),
}

/// All containers on the engine of this node.
pub(super) fn of(state: &State, node: &str, standing: Standing) -> Vec<Summary> {
    let own = state.containers.get(node).into_iter().flatten();
    let own = own.map(|container| single(state, node, container));
    if standing == Standing::Standalone {
        return own.collect();
    }
    let tasks = state.tasks.values().filter(|task| task.node_id == node);
    let tasks = tasks.filter_map(|task| {
        let container = task.status.container_status.as_ref()?;
        let service = state.services.get(&task.service_id);
        let service = service.map_or("", |service| service.spec.name.as_str());
        let spec = task.spec.container_spec.as_ref()?;
        let name = task_name(task, Some(service));
        let labels = labels(task, service);
        let running = task.status.state == TaskState::Running;
        let endpoint = |attachment: &Attachment| {
            let network = &attachment.of;
            let address = attachment.addresses.first().map_or("", String::as_str);
            let (ip, prefix) = address.split_once('/').unwrap_or_default();
            let prefix = prefix.parse().unwrap_or(0);
            Some((network.name.clone(), endpoint(&network.meta.id, ip, prefix)))
        };
        let mut networks: BTreeMap<_, _> =
            task.networks_attachments.iter().filter_map(endpoint).collect();
        let on_host = networks.contains_key("host");
        if networks.is_empty() {
            networks.insert("bridge".to_owned(), bridge(state, node, &container.container_id));
        }
        let ports = task.status.port_status.ports.iter().step_by(2).flat_map(|port| {
            let (private, public) = (port.target_port, Some(port.published_port));
            [Some("0.0.0.0"), Some("::")].map(|ip| Port {
                ip,
                private,
                public,
                protocol: port.protocol,
            })
        });
        Some(Summary {
            id: container.container_id.clone(),
            names: vec![format!("/{name}")],
            image: spec.image.clone(),
            image_id: IMAGE_ID,
            command: "serve",
            created: task.meta.created_at.seconds(),
            ports: ports.collect(),
            labels,
            state: if running { "running" } else { "exited" },
            status: if running { "Up 5 minutes" } else { "Exited (0) 5 minutes ago" },
            host_config: HostConfig {
                network_mode: if on_host { "host" } else { "default" }.into(),
            },
            network_settings: NetworkSettings { networks },
            mounts: [],
        })
    });
    own.chain(tasks).collect()
}

/// What a container is labelled with: as wanted, and by the Swarm.
pub(super) fn labels(task: &Task, service: &str) -> Map {
    let spec = task.spec.container_spec.as_ref();
    let mut labels = spec.map(|spec| spec.labels.clone()).unwrap_or_default();
    for (key, value) in [
        ("node.id", task.node_id.as_str()),
        ("service.id", &task.service_id),
        ("service.name", service),
        ("task", ""),
        ("task.id", &task.meta.id),
        ("task.name", &task_name(task, Some(service))),
    ] {
        labels.insert(format!("com.docker.swarm.{key}"), value.to_owned());
    }
    labels
}

const IMAGE_ID: &str = "sha256:a99361bb77576090e981b03b41b3c7d86f6b05a2bd825af006f3f9df705f8f17";

fn single(state: &State, node: &str, container: &Container) -> Summary {
    let networks = container.networks.iter().map(|(name, ip)| {
        let network = state.networks.values().find(|network| network.name == *name);
        let id = network.map_or_else(|| id_of(name), |network| network.meta.id.clone());
        let endpoint = match (name.as_str(), ip.as_str()) {
            ("bridge", "") => bridge(state, node, &container.name),
            (_, ip) => endpoint(&id, ip, if ip.is_empty() { 0 } else { 16 }),
        };
        (name.clone(), endpoint)
    });
    let ports = container.ports.iter().flat_map(|&(private, public, protocol)| {
        let published = (public > 0).then_some([Some("0.0.0.0"), Some("::")]);
        let public = (public > 0).then_some(u64::from(public));
        let ips = published.map_or(vec![None], |ips| ips.to_vec());
        ips.into_iter().map(move |ip| Port { ip, private: private.into(), public, protocol })
    });
    Summary {
        id: id_of(&container.name),
        names: if container.name.is_empty() {
            Vec::new()
        } else {
            vec![format!("/{}", container.name)]
        },
        image: container.image.clone(),
        image_id: IMAGE_ID,
        command: "serve",
        created: crate::swarm::Time::START.seconds(),
        ports: ports.collect(),
        labels: container.labels.clone(),
        state: if container.state.is_empty() { "running" } else { container.state },
        status: "Up 5 minutes",
        host_config: HostConfig { network_mode: container.network_mode.clone() },
        network_settings: NetworkSettings { networks: networks.collect() },
        mounts: [],
    }
}

/// The ID of something that has a name alone: the same for the same name.
fn id_of(name: &str) -> String {
    let seed = name.bytes().fold(0_u64, |seed, byte| seed.wrapping_mul(131) + u64::from(byte));
    Random::new(seed).engine_id()
}

/// A place on `docker0`.
fn bridge(state: &State, node: &str, container: &str) -> Endpoint {
    let seed = container.bytes().fold(2_u64, |seed, byte| seed.wrapping_mul(31) + u64::from(byte));
    let ip = format!("172.17.{}.{}", seed / 250 % 250, 2 + seed % 250);
    let networks = state.engines.get(node).map(|engine| &engine.networks[..]);
    let id = networks.and_then(|networks| networks.iter().find_map(bridge_id));
    endpoint(&id.unwrap_or_else(|| id_of("bridge")), &ip, 16)
}

fn bridge_id(network: &crate::swarm::objects::Json) -> Option<String> {
    let members: serde_json::Value = serde_json::from_str(network.text()).ok()?;
    (members["Name"] == "bridge").then(|| members["Id"].as_str().map(str::to_owned))?
}

/// An address without prefix, IPv4 or IPv6.
fn endpoint(network: &str, ip: &str, prefix: u8) -> Endpoint {
    let six = ip.contains(':');
    let pick = |want: bool| if want { ip.to_owned() } else { String::new() };
    Endpoint {
        ipam_config: (),
        links: (),
        aliases: (),
        network_id: network.to_owned(),
        endpoint_id: id_of(&format!("{network}{ip}")),
        gateway: "",
        ip_address: pick(!six),
        ip_prefix_len: if six { 0 } else { prefix },
        ipv6_gateway: "",
        global_ipv6_address: pick(six),
        global_ipv6_prefix_len: if six { prefix } else { 0 },
        mac_address: "02:42:0a:5a:01:0f",
        driver_opts: (),
    }
}
