//! The objects of a Swarm as SwarmKit writes them.
//!
//! Numbers of members are those of `api/*.proto` in moby/swarmkit. What a discovery has no use for
//! is written too where it could do harm: environment, references to secrets, credentials of
//! registries.

use serde_json::Value;

use super::encode::Message;
use crate::swarm::objects::{
    Attachment, Endpoint, Json, Meta, Port, Reachability, TaskSpec, Time, UpdateStatus, Version,
};
use crate::swarm::{
    Availability, Map, Mode, Network, Node, NodeRole, NodeState, Service, ServiceSpec, Task,
    TaskState,
};

fn new() -> Message {
    Message::new()
}

fn json(json: &Json) -> Value {
    serde_json::from_str(json.text()).unwrap_or_default()
}

fn time(time: Time) -> Message {
    let nanos = time.nanoseconds() - i128::from(time.seconds()) * 1_000_000_000;
    new().signed(1, time.seconds()).number(2, u64::try_from(nanos).unwrap_or_default())
}

fn version(version: Version) -> Message {
    new().number(1, version.index)
}

fn meta(meta: &Meta) -> Message {
    new()
        .message(1, &version(meta.version))
        .message(2, &time(meta.created_at))
        .message(3, &time(meta.updated_at))
}

pub(super) fn annotations(name: &str, labels: &Map) -> Message {
    new().text(1, name).map(2, labels)
}

fn role(role: NodeRole) -> u64 {
    match role {
        NodeRole::Worker => 0,
        NodeRole::Manager => 1,
    }
}

/// `raft`: with the manager's part in the quorum, which lists have and watches do not.
pub(super) fn node(node: &Node, raft: bool) -> Message {
    let availability = match node.spec.availability {
        Availability::Active => 0,
        Availability::Pause => 1,
        Availability::Drain => 2,
    };
    let spec = new()
        .message(1, &annotations("", &node.spec.labels))
        .number(2, role(node.spec.role))
        .number(3, 1)
        .number(4, availability);
    let description = &node.description;
    let resources = json(&description.resources);
    let resources = new()
        .number(1, resources["NanoCPUs"].as_u64().unwrap_or_default())
        .number(2, resources["MemoryBytes"].as_u64().unwrap_or_default());
    let plugins = json(&description.engine.plugins);
    let plugins = plugins.as_array().into_iter().flatten().map(|plugin| {
        let text = |name| plugin[name].as_str().unwrap_or_default();
        new().text(1, text("Type")).text(2, text("Name"))
    });
    let engine = new()
        .text(1, &description.engine.engine_version)
        .map(2, &description.engine.labels)
        .messages(3, plugins);
    let platform =
        new().text(1, &description.platform.architecture).text(2, &description.platform.os);
    let tls = json(&description.tls_info);
    let description = new()
        .text(1, &description.hostname)
        .message(2, &platform)
        .message(3, &resources)
        .message(4, &engine)
        .message(5, &new().text(1, tls["TrustRoot"].as_str().unwrap_or_default()));
    let state = match node.status.state {
        NodeState::Unknown => 0,
        NodeState::Down => 1,
        NodeState::Ready => 2,
        NodeState::Disconnected => 3,
    };
    let status = new().number(1, state).text(2, &node.status.message).text(3, &node.status.addr);
    let mut message = new()
        .text(1, &node.meta.id)
        .message(2, &meta(&node.meta))
        .message(3, &spec)
        .message(4, &description)
        .message(5, &status);
    if let Some(manager) = node.manager_status.as_ref().filter(|_| raft) {
        let reachability = match manager.reachability {
            Reachability::Unreachable => 1,
            Reachability::Reachable => 2,
        };
        let raft = node.meta.id.bytes().fold(7, |id: u64, byte| (id << 5) ^ u64::from(byte));
        let manager = new()
            .number(1, raft)
            .text(2, &manager.addr)
            .flag(3, manager.leader)
            .number(4, reachability);
        message = message.message(6, &manager);
    }
    let certificate = new()
        .number(1, role(node.spec.role))
        .message(3, &new().number(1, 3))
        .text(5, &node.meta.id);
    message.message(8, &certificate).number(9, role(node.spec.role))
}

pub(super) fn service(service: &Service) -> Message {
    let mut message = new()
        .text(1, &service.meta.id)
        .message(2, &meta(&service.meta))
        .message(3, &service_spec(&service.spec));
    if service.endpoint != Endpoint::default() {
        message = message.message(4, &endpoint(&service.endpoint));
    }
    if let Some(status) = &service.update_status {
        message = message.message(5, &update_status(status));
    }
    if let Some(previous) = &service.previous_spec {
        message = message.message(6, &service_spec(previous));
    }
    message = message.message(10, &new());
    match &service.job_status {
        Some(job) => {
            let iteration = version(job.job_iteration);
            message.message(12, &new().message(1, &iteration).message(2, &time(job.last_execution)))
        }
        None => message,
    }
}

fn service_spec(spec: &ServiceSpec) -> Message {
    let message = new()
        .message(1, &annotations(&spec.name, &spec.labels))
        .message(2, &task_spec(&spec.task_template));
    let message = match spec.mode {
        Mode::Replicated { replicas } => message.message(3, &new().number(1, replicas)),
        Mode::Global {} => message.message(4, &new()),
        Mode::ReplicatedJob { max_concurrent, total_completions } => {
            message.message(10, &new().number(1, max_concurrent).number(2, total_completions))
        }
        Mode::GlobalJob {} => message.message(11, &new()),
    };
    let endpoint = &spec.endpoint_spec;
    let mode = u64::from(endpoint.mode == "dnsrr");
    message.message(8, &new().number(1, mode).messages(2, endpoint.ports.iter().map(port)))
}

fn task_spec(spec: &TaskSpec) -> Message {
    let mut message = new();
    if let Some(container) = &spec.container_spec {
        let mounts = container.mounts.iter().map(|mount| {
            let kind = ["bind", "volume", "tmpfs", "npipe", "cluster"];
            let kind = kind.iter().position(|kind| *kind == mount.r#type).unwrap_or_default();
            new().number(1, kind as u64).text(2, &mount.source).text(3, &mount.target)
        });
        let secrets = container.secrets.iter().map(|secret| {
            let secret = json(secret);
            let text = |name| secret[name].as_str().unwrap_or_default();
            let file = new().text(1, secret["File"]["Name"].as_str().unwrap_or_default());
            new().text(1, text("SecretID")).text(2, text("SecretName")).message(3, &file)
        });
        let configs = container.configs.iter().map(|config| {
            let config = json(config);
            let text = |name| config[name].as_str().unwrap_or_default();
            let file = new().text(1, config["File"]["Name"].as_str().unwrap_or_default());
            new().text(1, text("ConfigID")).text(2, text("ConfigName")).message(3, &file)
        });
        let mut inner = new()
            .text(1, &container.image)
            .map(2, &container.labels)
            .texts(4, &container.args)
            .texts(5, &container.env)
            .messages(8, mounts);
        if container.image.contains('/') {
            // Its creator gave `--with-registry-auth`.
            inner = inner.message(10, &new().text(64, "c2ltdWxhdGVkOmNyZWRlbnRpYWxz"));
        }
        let inner = inner
            .messages(12, secrets)
            .text(14, &container.hostname)
            .message(15, &new())
            .messages(21, configs)
            .message(23, &new().flag(1, container.init));
        message = message.message(1, &inner);
    }
    let resources = json(&spec.resources);
    let resource = |name: &str| {
        let number = |member| resources[name][member].as_u64().unwrap_or_default();
        let generic = resources[name]["GenericResources"].as_array().into_iter().flatten();
        let generic = generic.map(|resource| {
            let discrete = &resource["DiscreteResourceSpec"];
            let kind = discrete["Kind"].as_str().unwrap_or_default();
            let amount = discrete["Value"].as_u64().unwrap_or_default();
            new().message(2, &new().text(1, kind).number(2, amount))
        });
        new().number(1, number("NanoCPUs")).number(2, number("MemoryBytes")).messages(3, generic)
    };
    let resources = new().message(1, &resource("Limits")).message(2, &resource("Reservations"));
    let networks = spec.networks.iter();
    let networks =
        networks.map(|network| new().text(1, &network.target).texts(2, &network.aliases));
    message = message.message(2, &resources);
    if let Some(policy) = &spec.restart_policy {
        message = message.message(4, &restart_policy(&json(policy)));
    }
    let platforms = spec.placement.platforms.iter();
    let platforms =
        platforms.map(|platform| new().text(1, &platform.architecture).text(2, &platform.os));
    let placement = new()
        .texts(1, &spec.placement.constraints)
        .messages(3, platforms)
        .number(4, spec.placement.max_replicas);
    message = message.message(5, &placement).messages(7, networks);
    if spec.runtime == Some("attachment") {
        message = message.message(8, &new().text(1, "0".repeat(64).as_str()));
    }
    message = message.number(9, spec.force_update);
    if spec.runtime == Some("plugin") {
        message = message.message(10, &new().text(1, "plugin").message(2, &new()));
    }
    message
}

fn restart_policy(policy: &Value) -> Message {
    let condition = match policy["Condition"].as_str() {
        Some("any") => 2,
        Some("on-failure") => 1,
        _ => 0,
    };
    let delay = policy["Delay"].as_u64().unwrap_or_default();
    new()
        .number(1, condition)
        .message(2, &new().number(1, delay / 1_000_000_000).number(2, delay % 1_000_000_000))
        .number(3, policy["MaxAttempts"].as_u64().unwrap_or_default())
}

fn port(port: &Port) -> Message {
    let protocol = match port.protocol {
        "udp" => 1,
        "sctp" => 2,
        _ => 0,
    };
    new()
        .text(1, &port.name)
        .number(2, protocol)
        .number(3, port.target_port)
        .number(4, port.published_port)
        .number(5, u64::from(port.publish_mode == "host"))
}

fn endpoint(endpoint: &Endpoint) -> Message {
    let spec = &endpoint.spec;
    let mode = u64::from(spec.mode == "dnsrr");
    let spec = new().number(1, mode).messages(2, spec.ports.iter().map(port));
    let addresses = endpoint.virtual_ips.iter();
    new()
        .message(1, &spec)
        .messages(2, endpoint.ports.iter().map(port))
        .messages(3, addresses.map(|vip| new().text(1, &vip.network_id).text(2, &vip.addr)))
}

fn update_status(status: &UpdateStatus) -> Message {
    let names = [
        "unknown",
        "updating",
        "paused",
        "completed",
        "rollback_started",
        "rollback_paused",
        "rollback_completed",
    ];
    let state = names.iter().position(|name| *name == status.state).unwrap_or_default();
    let mut message = new().number(1, state as u64).message(2, &time(status.started_at));
    if let Some(completed) = status.completed_at {
        message = message.message(3, &time(completed));
    }
    message.text(4, status.message)
}

/// SwarmKit's numbers leave room between states.
fn state(state: TaskState) -> u64 {
    match state {
        TaskState::New => 0,
        TaskState::Pending => 64,
        TaskState::Assigned => 192,
        TaskState::Accepted => 256,
        TaskState::Preparing => 320,
        TaskState::Ready => 384,
        TaskState::Starting => 448,
        TaskState::Running => 512,
        TaskState::Complete => 576,
        TaskState::Shutdown => 640,
        TaskState::Failed => 704,
        TaskState::Rejected => 768,
        TaskState::Remove => 800,
        TaskState::Orphaned => 832,
    }
}

/// `service`: the one that the task is of, as far as it is known.
pub(super) fn task(task: &Task, service: Option<&Service>) -> Message {
    let mut status = new()
        .message(1, &time(task.status.timestamp))
        .number(2, state(task.status.state))
        .text(3, &task.status.message)
        .text(4, &task.status.err);
    if let Some(container) = &task.status.container_status {
        let container = new()
            .text(1, &container.container_id)
            .number(2, container.pid)
            .signed(3, container.exit_code);
        status = status.message(5, &container);
    }
    if task.status.state > TaskState::Assigned {
        let ports = task.status.port_status.ports.iter().map(port);
        status = status.message(6, &new().messages(1, ports));
    }
    let mut message = new()
        .text(1, &task.meta.id)
        .message(2, &meta(&task.meta))
        .message(3, &task_spec(&task.spec))
        .text(4, &task.service_id)
        .number(5, task.slot)
        .text(6, &task.node_id)
        .message(7, &annotations("", &task.labels));
    let none = Map::new();
    let (name, labels) =
        service.map_or(("", &none), |service| (&service.spec.name, &service.spec.labels));
    message = message
        .message(8, &annotations(name, labels))
        .message(9, &status)
        .number(10, state(task.desired_state))
        .messages(11, task.networks_attachments.iter().map(attachment));
    if let Some(service) = service {
        message = message.message(12, &endpoint(&service.endpoint));
    }
    message = message.message(14, &new());
    match task.job_iteration {
        Some(iteration) => message.message(16, &version(iteration)),
        None => message,
    }
}

fn attachment(attachment: &Attachment) -> Message {
    new().message(1, &network(&attachment.of)).texts(2, &attachment.addresses)
}

pub(super) fn network(network: &Network) -> Message {
    let overlay = network.subnet.is_some();
    let driver = if network.ingress { "" } else { network.driver };
    let wanted = new().text(1, if overlay && !network.ingress { "default" } else { "" });
    let mut spec = new()
        .message(1, &annotations(&network.name, &network.labels))
        .message(2, &new().text(1, driver))
        .flag(4, network.internal);
    if overlay {
        spec = spec.message(5, &new().message(1, &wanted));
    }
    let spec = spec.flag(6, network.attachable).flag(7, network.ingress);
    let message =
        new().text(1, &network.meta.id).message(2, &meta(&network.meta)).message(3, &spec);
    if !network.allocated {
        return message;
    }
    let configs = network
        .subnets()
        .map(|(subnet, gateway)| new().number(1, 4).text(2, &subnet).text(4, &gateway));
    let ipam =
        new().message(1, &new().text(1, if overlay { "default" } else { "" })).messages(3, configs);
    let driver = new().text(1, network.driver).map(2, &network.vxlan());
    message.message(4, &driver).message(5, &ipam)
}
