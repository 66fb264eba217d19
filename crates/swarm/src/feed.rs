//! The state of a Swarm's change feed, for display.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The change feed in use, since when, and its counters. Immutable; a new one with each change.
#[derive(Clone, Debug, PartialEq)]
pub struct Feed {
    /// The display name of the Swarm: the hosts of the configuration, without secrets.
    pub swarm: Arc<str>,
    /// The kind in use.
    pub kind: FeedKind,
    /// Since when.
    pub since: SystemTime,
    /// Why a better kind is not in use, if one was wanted.
    pub reason: Option<Arc<str>>,
    /// The host that answered last.
    pub host: Arc<str>,
    /// Hosts of the managers that it knows, without port; empty if it reports none.
    pub managers: Vec<String>,
    /// The number of nodes, services, tasks and networks.
    pub objects: [usize; 4],
    /// Objects that were added, removed or changed since the start.
    pub changes: u64,
    /// When the last change was seen.
    pub last_change: Option<SystemTime>,
    /// The delay from a change to its arrival, by the clock of the Swarm; the longest of the last
    /// changes that arrived together.
    pub late: Option<Duration>,
    /// How often a watch or a stream of events was opened.
    pub starts: u64,
    /// Differences that a listing showed and the watch had not reported.
    pub drift: u64,
}

/// The state of a Swarm, for display.
#[derive(Clone, Debug, PartialEq)]
pub struct SwarmStatus {
    /// Its change feed.
    pub feed: Arc<Feed>,
    /// When the snapshot was last confirmed. `None` before the first good refresh.
    pub as_of: Option<Instant>,
}

/// How changes arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FeedKind {
    /// SwarmKit reports each change of each object.
    Watch,
    /// The Engine names changed services, nodes and networks, and they are listed again.
    Events,
    /// Everything is listed again at each refresh.
    #[default]
    Poll,
}

impl FeedKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Watch, Self::Events, Self::Poll];

    /// As it is written in the configuration file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Events => "events",
            Self::Poll => "poll",
        }
    }
}

impl Feed {
    /// Nothing is known yet.
    pub fn new(swarm: Arc<str>) -> Self {
        Self {
            swarm,
            kind: FeedKind::Poll,
            since: SystemTime::now(),
            reason: None,
            host: Arc::default(),
            managers: Vec::new(),
            objects: [0; 4],
            changes: 0,
            last_change: None,
            late: None,
            starts: 0,
            drift: 0,
        }
    }
}
