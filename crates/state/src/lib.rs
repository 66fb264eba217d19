//! What a Swarm is doing, as metrics: what kube-state-metrics is to Kubernetes.
//!
//! Everything is read from the replica that discovery keeps ([`Snapshot`](swarmscout_swarm::Snapshot)), or
//! from what it keeps of a classic Swarm ([`ClassicSnapshot`](swarmscout_docker::classic::ClassicSnapshot)).
//! Series are kept as text, in shards of some hundred objects: a change costs the shard that it is in.
//!
//! **Invariant: every current object has all its series, and none outlives its object.** Texts of the
//! Swarm become labels of a bounded set, or stand in one `_info` series.
//!
//! It may use `swarm`, `docker`, `exposition` and `gzip-parts`. It requests nothing.

mod classic;
mod cluster;
mod counters;
#[cfg(test)]
mod docs_tests;
mod exporter;
pub mod families;
mod files;
mod network;
mod node;
mod options;
mod page;
mod service;
mod shards;
mod stack;
mod tuning;

pub use self::classic::ObservedClassic;
pub use self::exporter::{CertificateValidity, Exporter, ObservedSwarm};
pub use self::families::{Family, Subject};
pub use self::options::{OWN_LABELS, Options, SHOWN_PREFIX};
pub use self::page::{Body, Encoding};
pub use self::shards::{Input, SwarmMetrics};
