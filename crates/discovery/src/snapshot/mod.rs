//! One Swarm at one moment, kept once for all that read it.
//!
//! ```text
//!            Demand ◂────────────── readers: roles of all jobs
//!              │                               ▴
//!  Engine ─lists─▸ Store ─▸ Snapshot ─watch────┘
//!  watch, events ─▸
//! ```

pub mod buckets;
pub mod demand;
mod feed;
pub mod filter;
mod listening;
mod origin;
mod settling;
mod shared;
mod store;
mod watching;

use std::sync::Arc;

pub use buckets::{Bucket, Buckets};
pub use demand::{Demand, Part};
pub use feed::{Feed, FeedKind, SwarmStatus};
pub use filter::{Filters, Selection};
pub use origin::{Origin, Source};
pub use shared::Swarm;
pub(crate) use shared::{Reader, Shared};

use crate::engine::{Lists, Network, Node, Service, Task};

/// What is known of a Swarm. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Its nodes.
    pub nodes: Buckets<Node>,
    /// Its services.
    pub services: Buckets<Service>,
    /// Its tasks, by service.
    pub tasks: Buckets<Task>,
    /// Its networks, and those of the manager that answered.
    pub networks: Buckets<Network>,
    /// What of it was asked for. The rest is empty.
    pub scope: Demand,
    /// ID of the node that answered; empty where it did not tell.
    pub this_node: Arc<str>,
    /// How changes are learned, where it is kept up to date.
    pub feed: Option<Arc<Feed>>,
}

/// All that the lists of one look hold of a Swarm.
impl From<&Lists> for Snapshot {
    fn from(lists: &Lists) -> Self {
        fn of<T: buckets::Object>(list: &[Arc<T>]) -> Buckets<T> {
            let mut buckets = Buckets::default();
            for object in list {
                buckets.insert(Arc::clone(object));
            }
            buckets
        }
        Self {
            nodes: of(&lists.nodes),
            services: of(&lists.services),
            tasks: of(&lists.tasks),
            networks: of(&lists.networks),
            scope: Demand::everything(),
            this_node: Arc::default(),
            feed: None,
        }
    }
}

impl Snapshot {
    /// Whether both are the same for sure. Compares no object.
    pub fn is_same(&self, other: &Self) -> bool {
        self.nodes.is_same(&other.nodes)
            && self.services.is_same(&other.services)
            && self.tasks.is_same(&other.tasks)
            && self.networks.is_same(&other.networks)
            && self.scope == other.scope
            && self.this_node == other.this_node
            && self.feed.as_ref().map(Arc::as_ptr) == other.feed.as_ref().map(Arc::as_ptr)
    }
}

impl buckets::Object for Node {
    fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl buckets::Object for Service {
    fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn refers(&self, to: &mut dyn FnMut(&str)) {
        self.virtual_ips.iter().for_each(|ip| to(&ip.network));
    }
}

impl buckets::Object for Network {
    fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The Engine tells none.
    fn version(&self) -> u64 {
        0
    }
}

impl buckets::Object for Task {
    fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn owner(&self) -> Arc<str> {
        Arc::clone(&self.service)
    }

    fn refers(&self, to: &mut dyn FnMut(&str)) {
        to(&self.node);
        self.attachments.iter().for_each(|attachment| to(&attachment.network));
    }
}
