//! The newest that is known of each Swarm of swarm mode.
//!
//! What a job's set says of a Swarm is of the moment when the job last had news. Here all that read
//! one Swarm see the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use swarmscout_discovery::SourceStatus;
use swarmscout_swarm::{Swarm, SwarmStatus};

/// By what people call them.
#[derive(Debug)]
pub(super) struct Swarms(BTreeMap<Arc<str>, SwarmStatus>);

impl Swarms {
    /// Those that are read now, in the order in which that began: of two that are called the same,
    /// which may be for a moment after a reload, the newer one counts.
    pub(super) fn of(swarms: &[Swarm]) -> Self {
        let status = swarms.iter().filter_map(Swarm::status);
        Self(status.map(|status| (Arc::clone(&status.feed.swarm), status)).collect())
    }

    /// The one that a source reads.
    pub(super) fn read_by(&self, source: &SourceStatus) -> Option<&SwarmStatus> {
        self.0.get(&source.feed.as_ref()?.swarm)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &SwarmStatus> {
        self.0.values()
    }
}
