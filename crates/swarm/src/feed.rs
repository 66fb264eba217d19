//! How changes of a Swarm are learned between two listings, for people.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// What is in use, since when, and how well it does. Immutable; a new one with each change.
#[derive(Clone, Debug, PartialEq)]
pub struct Feed {
    /// Which Swarm: the hosts of the configuration, for people, without secrets.
    pub swarm: Arc<str>,
    /// What is in use.
    pub kind: FeedKind,
    /// Since when.
    pub since: SystemTime,
    /// Why it is nothing better, where something better was wanted.
    pub reason: Option<Arc<str>>,
    /// The host that answered last.
    pub host: Arc<str>,
    /// Hosts of the managers that it knows, without port; empty where it does not tell.
    pub managers: Vec<String>,
    /// Nodes, services, tasks and networks that are kept.
    pub objects: [usize; 4],
    /// Objects that came, went or became others, since the start.
    pub changes: u64,
    /// When the last change was seen.
    pub last_change: Option<SystemTime>,
    /// How long after it was made, by the clock of the Swarm; the longest of those seen at once.
    pub late: Option<Duration>,
    /// How often something better than polling was begun.
    pub begun: u64,
    /// Differences that a listing showed and the watch had not told of.
    pub drift: u64,
}

/// The newest that is known of a Swarm, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct SwarmStatus {
    /// How changes are learned.
    pub feed: Arc<Feed>,
    /// When what is kept was last confirmed. `None` until the first good look.
    pub as_of: Option<Instant>,
}

/// How changes are learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FeedKind {
    /// SwarmKit tells of each change of each object.
    Watch,
    /// The Engine tells of services, nodes and networks, and what it names is listed again.
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
    pub(super) fn new(swarm: Arc<str>) -> Self {
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
            begun: 0,
            drift: 0,
        }
    }
}
