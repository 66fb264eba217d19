//! The newest state of each Swarm in swarm mode.
//!
//! The status of a source holds the state of its Swarm at the source's last change. Here all readers
//! of a Swarm see the same, newest state.

use std::collections::BTreeMap;
use std::sync::Arc;

use swarmscout_discovery::SourceStatus;
use swarmscout_swarm::{Swarm, SwarmStatus};

/// By display name.
#[derive(Debug)]
pub(super) struct Swarms(BTreeMap<Arc<str>, SwarmStatus>);

impl Swarms {
    /// `swarms` is in the order of creation. Two have one name for a moment after a reload: the newer
    /// one counts.
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
