//! Swarmscout: monitoring for Docker Swarm, classic and swarm mode.

use mimalloc as _;
use swarmscout as _;

fn main() {}
