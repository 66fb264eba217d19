//! What Docker reports about itself: the [Engine API](engine) and [SwarmKit's control socket](swarmkit),
//! as clients and as the objects that both of them list, and what a master of a [classic Swarm](classic)
//! says.
//!
//! **Invariant: read only.** Nothing is ever asked for but the paths of [`engine::Resource`] and
//! the calls of [`swarmkit::Method`], and no credential, environment or secret is ever decoded.
//!
//! It may use `refresh`, `net` and `model`. It knows nothing of targets, jobs or the configuration
//! file.

pub mod classic;
mod config;
pub mod engine;
mod error;
pub mod swarmkit;
#[doc(hidden)]
pub mod testing;

pub use config::{EngineConfig, Filter};
pub use error::Error;
