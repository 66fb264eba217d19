//! The `__meta_dockerswarm_*` labels of each kind of object, and our own labels.
//!
//! Prometheus' labels are those of `discovery/moby` in v3.14. Ours start with `__meta_swarmscout_`,
//! so a `labelmap` over Prometheus' prefixes makes no other labels than with Prometheus. Labels are
//! written in the byte order of their names.

use swarmscout_docker::engine::{LabelMap, Mode, Node, STACK_LABEL, Service, Task};
use swarmscout_model::{Labels, LabelsWriter};

use crate::source::moby::truth;

/// The prefix of Prometheus' labels.
pub(in crate::source) const PREFIX: &str = "__meta_dockerswarm_";

const OWN_NODE_ADDRESS: &str = "__meta_swarmscout_node_address";
const OWN_NODE_ENGINE_LABEL: &str = "__meta_swarmscout_node_engine_label_";
const OWN_SERVICE_JOB_MODE: &str = "__meta_swarmscout_service_job_mode";
const OWN_SERVICE_STACK: &str = "__meta_swarmscout_service_stack";
/// Our own label: the port on which a task's container listens.
pub(in crate::source) const OWN_TASK_TARGET_PORT: &str = "__meta_swarmscout_task_target_port";

/// Prometheus' labels of a node. Tasks do not get the labels that only the nodes role has.
pub(in crate::source) fn node(node: &Node, nodes_role: bool, labels: &mut LabelsWriter) -> Labels {
    labels.push("__meta_dockerswarm_node_address", &node.address);
    labels.push("__meta_dockerswarm_node_availability", &node.availability);
    if nodes_role {
        labels.push("__meta_dockerswarm_node_engine_version", &node.engine_version);
    }
    labels.push("__meta_dockerswarm_node_hostname", &node.hostname);
    labels.push("__meta_dockerswarm_node_id", &node.id);
    node.labels.write("__meta_dockerswarm_node_label_", labels);
    if let Some(manager) = node.manager.as_ref().filter(|_| nodes_role) {
        labels.push("__meta_dockerswarm_node_manager_address", &manager.address);
        labels.push("__meta_dockerswarm_node_manager_leader", truth(manager.leader));
        labels.push("__meta_dockerswarm_node_manager_reachability", &manager.reachability);
    }
    labels.push("__meta_dockerswarm_node_platform_architecture", &node.architecture);
    labels.push("__meta_dockerswarm_node_platform_os", &node.os);
    labels.push("__meta_dockerswarm_node_role", &node.role);
    labels.push("__meta_dockerswarm_node_status", &node.state);
    labels.build()
}

/// Our labels of a node.
pub(in crate::source) fn own_node(node: &Node, labels: &mut LabelsWriter) -> Labels {
    labels.push(OWN_NODE_ADDRESS, &node.usable_address().unwrap_or_default());
    node.engine_labels.write(OWN_NODE_ENGINE_LABEL, labels);
    labels.build()
}

/// The labels of a service, Prometheus' and ours. Its tasks have them, too.
pub(in crate::source) fn service(
    service: &Service,
    services_role: bool,
    labels: &mut LabelsWriter,
) -> Labels {
    labels.push("__meta_dockerswarm_service_id", &service.id);
    service.labels.write("__meta_dockerswarm_service_label_", labels);
    labels.push("__meta_dockerswarm_service_mode", mode(service.mode));
    labels.push("__meta_dockerswarm_service_name", &service.name);
    if services_role {
        labels.push("__meta_dockerswarm_service_task_container_hostname", &service.hostname);
        labels.push("__meta_dockerswarm_service_task_container_image", &service.image);
        labels.push("__meta_dockerswarm_service_updating_status", &service.update_state);
    }
    labels.push(OWN_SERVICE_JOB_MODE, job_mode(service.mode));
    labels.push(OWN_SERVICE_STACK, service.labels.get(STACK_LABEL).unwrap_or_default());
    labels.build()
}

/// The labels of a task's container.
pub(in crate::source) fn container(container: &LabelMap, labels: &mut LabelsWriter) -> Labels {
    container.write("__meta_dockerswarm_container_label_", labels);
    labels.build()
}

/// Prometheus' labels of a task. `mode` is how its port is published, if it has one.
pub(in crate::source) fn task(
    task: &Task,
    slot: &str,
    mode: Option<&str>,
    labels: &mut LabelsWriter,
) {
    labels.push("__meta_dockerswarm_task_container_id", &task.container);
    labels.push("__meta_dockerswarm_task_desired_state", &task.desired_state);
    labels.push("__meta_dockerswarm_task_id", &task.id);
    labels.push("__meta_dockerswarm_task_port_publish_mode", mode.unwrap_or_default());
    labels.push("__meta_dockerswarm_task_slot", slot);
    labels.push("__meta_dockerswarm_task_state", &task.state);
}

/// Prometheus has no name for the modes of jobs.
const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Global => "global",
        Mode::Replicated => "replicated",
        Mode::GlobalJob | Mode::ReplicatedJob | Mode::Unknown => "",
    }
}

const fn job_mode(mode: Mode) -> &'static str {
    match mode {
        Mode::GlobalJob => "global-job",
        Mode::ReplicatedJob => "replicated-job",
        Mode::Global | Mode::Replicated | Mode::Unknown => "",
    }
}
