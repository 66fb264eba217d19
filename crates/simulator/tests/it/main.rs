//! The simulator against what real Swarms did and answered.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod changes;
mod classic;
mod engine;
mod events;
mod fault;
mod swarm;
mod swarmkit;
