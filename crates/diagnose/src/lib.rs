//! Why a target is missing, and what to do about it.
//!
//! - [`doctor`] checks all that stands between a Swarm and its metrics.
//! - [`explain`] reports all that is known of one service, task, node or address.
//! - [`status`] sums up how everything is, and what is wrong, without a request.
//! - [`probe`] requests a target as Prometheus would, and says what failed.
//!
//! **Invariant: it only reads.** A diagnosis changes neither targets nor the Swarm, and each request
//! that it sends has a deadline and a size limit.
//!
//! It may use `discovery` and what is below it. Its reports are plain data, for JSON and for a terminal.

pub mod doctor;
pub mod explain;
mod nodes;
pub mod probe;
pub mod report;
pub mod status;
mod tasks;

/// The labels that name the service of a target, before relabeling.
pub const SERVICE_LABELS: [&str; 2] = [
    "__meta_dockerswarm_service_name",
    "__meta_docker_container_label_com_docker_swarm_service_name",
];
