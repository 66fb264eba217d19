//! `dockerswarm_sd_configs`: nodes, services and tasks of a Docker Swarm in swarm mode.
//!
//! ```text
//!  Snapshot ─Finder→ groups of targets, problems
//! ```
//!
//! A [`Finder`] makes groups of a snapshot and a few options, and caches what it made of the last
//! snapshot. One snapshot of a Swarm serves every role and job.
//!
//! The targets and labels are those of Prometheus (v3.14), with two exceptions. Of a bad object the
//! smallest bad part is skipped and reported, where Prometheus fails the whole refresh. If several
//! label keys become one name, the smallest key in byte order always counts, where Prometheus picks
//! any of them.

mod alone;
mod config;
pub(in crate::source) mod finder;
pub(in crate::source) mod group_cache;
mod keys;
pub(in crate::source) mod meta;
mod nodes;
mod services;
pub(in crate::source) mod shared_labels;
mod tasks;

use std::sync::Arc;

use swarmscout_docker::engine::{Lists, Port};
use swarmscout_model::CanonicalGroups;
use swarmscout_refresh::supervisor::Supervised;
use swarmscout_swarm::{Filters, Snapshot, Subscription};
use tokio::sync::watch;

pub use self::alone::DockerSwarm;
pub use self::config::{DockerSwarmConfig, OverlayPort};
pub use self::finder::Finder;
pub use self::keys::DockerSwarmSdKeys;
use crate::config::{BuildContext, Role};
use crate::source::SourceConfig;
use crate::source::replica::{self, Details, ReplicaSpec};
use crate::{Groups, Problem};

/// The source key that Prometheus gives to all targets. We append the ID of the service.
const SOURCE: &str = "DockerSwarm";

/// The options that decide which targets are made of the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The objects that become targets.
    pub role: Role,
    /// Port of targets without a published one.
    pub port: u16,
    /// Only the first network of a task or service gives targets.
    pub match_first_network: bool,
    /// Which port goes with an address on an overlay network.
    pub overlay_port: OverlayPort,
}

impl Options {
    /// The port at which a task or virtual IP is scraped.
    fn overlay_port(self, port: &Port) -> u32 {
        match self.overlay_port {
            OverlayPort::Published => port.published,
            OverlayPort::Target => port.target,
        }
    }
}

impl From<&DockerSwarmConfig> for Options {
    fn from(config: &DockerSwarmConfig) -> Self {
        Self {
            role: config.role,
            port: config.engine.port,
            match_first_network: config.match_first_network,
            overlay_port: config.overlay_port,
        }
    }
}

/// Starts a source in the snapshots of a Swarm. `job` is the job that starts it, for the log.
pub(crate) fn start(
    config: &DockerSwarmConfig,
    job: &Arc<str>,
    swarm: Subscription,
    context: &BuildContext,
) -> (Supervised<CanonicalGroups>, watch::Receiver<Details>) {
    let filters = Filters::new(config.role, &config.engine.filters);
    let (options, budget) = (Options::from(config), context.refresh.budget.clone());
    let finder =
        move || Box::new(Finder::new(options, filters.clone()).within(budget.clone())) as Box<_>;
    let spec = ReplicaSpec {
        mechanism: config.mechanism(),
        job: Arc::clone(job),
        what: config.describe(),
        swarm,
        finder: Box::new(finder),
        beside: None,
    };
    replica::start(spec, context)
}

/// The groups of one listing, without filters, in an order that does not depend on that of the
/// lists. A list that the role does not need may be empty.
pub fn find(lists: &Lists, options: Options) -> (Groups, Vec<Problem>) {
    let filters = Filters::new(options.role, &[]);
    // Only a filter can name a missing object.
    Finder::new(options, filters).find(&Snapshot::from(lists)).unwrap_or_default()
}
