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
mod finder;
mod group_cache;
mod keys;
mod meta;
mod nodes;
pub(crate) mod role;
mod services;
mod shared_labels;
mod tasks;

pub use alone::DockerSwarm;
pub use finder::Finder;

pub use self::config::{DockerSwarmConfig, OverlayPort};
pub use self::keys::DockerSwarmSdKeys;
use crate::config::Role;
use crate::{Groups, Problem};
use swarmscout_docker::engine::{Lists, Port};
use swarmscout_swarm::{Filters, Snapshot};

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

/// The groups of one listing, without filters, in an order that does not depend on that of the
/// lists. A list that the role does not need may be empty.
pub fn find(lists: &Lists, options: Options) -> (Groups, Vec<Problem>) {
    let filters = Filters::new(options.role, &[]);
    // Only a filter can name a missing object.
    Finder::new(options, filters).find(&Snapshot::from(lists)).unwrap_or_default()
}
