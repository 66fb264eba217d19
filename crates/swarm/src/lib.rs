//! One Swarm at one moment, kept once for all that read it: nodes, services, tasks and networks.
//!
//! ```text
//!            ListScope ◂────────────── readers: roles of all jobs
//!              │                               ▴
//!  Engine ─lists─▸ Store ─▸ Snapshot ─watch────┘
//!  watch, events ─▸
//! ```
//!
//! **Invariant: a change feed makes a change known sooner, never a different one.** A listing decides in
//! the end.
//!
//! It may use `docker` and what is below it. It knows nothing of targets, jobs or the configuration file.

pub mod buckets;
mod config;
mod error;
mod event_feed;
mod feed;
pub mod filter;
mod follower;
pub mod list_scope;
mod node_names;
mod node_ports;
mod outcomes;
mod reason;
mod relist_schedule;
pub mod scheduler;
pub mod service_tasks;
mod shared;
mod store;
mod task_query;
mod watch_feed;

use std::sync::Arc;
use std::time::Instant;

pub use buckets::{Bucket, Buckets};
pub use config::{Events, Following, Role, Source};
pub use error::Error;
pub use feed::{Feed, FeedKind, SwarmStatus};
pub use filter::{Filters, Selection};
pub use follower::SwarmFollower;
pub use list_scope::{ListFilter, ListScope, Reader};
pub use node_names::NodeNames;
pub use node_ports::{NODE_PART_PORT, NodePorts};
pub use outcomes::{ExitCode, Outcomes, ServiceOutcomes};
pub use reason::Reason;
pub use service_tasks::{ServiceTasks, Slot};
pub use shared::{SharedSwarm, Subscription, Swarm};
pub use task_query::TaskQuery;

use swarmscout_docker::engine::{
    HostFiles, Info, List, Lists, Network, NetworkStatuses, Node, Service, Task,
};

/// The objects of a Swarm at one moment. Cheap to clone.
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
    /// Its configs and secrets, if some reader needs them.
    pub files: Arc<HostFiles>,
    /// What the manager knows of the addresses of its networks, if some reader needs it.
    pub network_status: Arc<NetworkStatuses>,
    /// What the manager that answered says of the Swarm. `None` if it does not.
    pub info: Option<Arc<Info>>,
    /// What became of tasks since the Swarm is followed. Complete if all tasks are read.
    pub outcomes: Outcomes,
    /// The lists that it has, of those that were requested. Others are empty, or out of date.
    pub scope: ListScope,
    /// The requested lists that could not be read the last time.
    pub failed: Arc<[FailedList]>,
    /// ID of the node that answered; empty if unknown.
    pub this_node: Arc<str>,
    /// Its change feed, if it is kept up to date.
    pub feed: Option<Arc<Feed>>,
}

/// A list that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedList {
    /// Which list.
    pub list: List,
    /// Why, without secrets.
    pub error: Arc<str>,
    /// When it was last confirmed; `None` where it was never read.
    pub as_of: Option<Instant>,
    /// Whether it is up to date all the same, because a watch reports its changes.
    pub is_watched: bool,
}

/// The objects of one listing.
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
            files: Arc::default(),
            network_status: Arc::default(),
            info: None,
            outcomes: Outcomes::default(),
            scope: ListScope::everything(),
            failed: Arc::default(),
            this_node: Arc::default(),
            feed: None,
        }
    }
}

impl Snapshot {
    /// The lists that could not be read and that no watch keeps up to date.
    pub fn out_of_date(&self) -> impl Iterator<Item = List> {
        self.failed.iter().filter(|failed| !failed.is_watched).map(|failed| failed.list)
    }

    /// The lists that could not be read, of those that are needed.
    pub fn failed_of(&self, needed: &ListScope) -> impl Iterator<Item = &FailedList> {
        self.failed.iter().filter(|failed| *needed.filter(failed.list) != ListFilter::Nothing)
    }

    /// Whether both are the same for sure. Compares no object.
    pub fn is_same(&self, other: &Self) -> bool {
        self.nodes.is_same(&other.nodes)
            && self.services.is_same(&other.services)
            && self.tasks.is_same(&other.tasks)
            && self.networks.is_same(&other.networks)
            && self.outcomes.is_same(&other.outcomes)
            && self.files == other.files
            && self.network_status == other.network_status
            && self.info == other.info
            && self.scope == other.scope
            && self.failed == other.failed
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

    /// The Engine has none.
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
