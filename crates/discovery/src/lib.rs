//! Finds what runs on a Docker Swarm and keeps Prometheus targets of it fresh.
//!
//! ```text
//!  SdConfig ─build→ Discoverer ─fetch→ supervisor ─watch→ target manager: merge → relabel → dedupe
//!                                                             │ watch<Arc<TargetSet>>, one per job
//! ```
//!
//! The [`manager::Manager`] gives every job the sources it names. A source runs once, however many
//! jobs name it. The manager relabels what changed, and publishes one
//! [`TargetSet`](swarmscout_model::TargetSet) per job, next to the [state of its sources](JobStatus).
//!
//! **Invariant: a failed refresh never removes a target.**
//!
//! It may use `swarm`, `docker`, `refresh` and what is below them.
//!
//! The sources of the configuration file are a closed set, [`config::SdConfig`]; a program of your
//! own may add any [`Discoverer`] as [`SdConfig::Custom`] (`examples/own_discoverer.rs`).

pub mod config;
mod error;
#[doc(hidden)]
pub mod fuzzing;
pub mod job;
pub mod limits;
pub mod manager;
#[cfg(test)]
mod scripted;
pub mod source;
pub mod stats;
pub mod status;
pub mod storage;
pub mod without_address;

pub use config::SdConfig;
pub use error::Error;
pub use job::JobConfig;
pub use manager::Manager;
pub use status::{JobStatus, SourceStatus};
pub use swarmscout_refresh::{BoxFuture, Discoverer, Groups, Problem, RefreshScope, Refreshed};

/// A source of targets.
pub type BoxDiscoverer = Box<dyn Discoverer<Groups, Error = Error>>;
