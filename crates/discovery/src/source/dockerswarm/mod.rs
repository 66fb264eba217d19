//! `dockerswarm_sd_configs`: nodes, services and tasks of a Docker Swarm in swarm mode.
//!
//! ```text
//!  Snapshot ─Finder→ groups of targets, problems
//! ```
//!
//! A [`Finder`] is a function of a snapshot and of a few options, and remembers what it made of the
//! one before: one snapshot of a Swarm serves every role and job. For the same answers it gives
//! Prometheus' targets and labels (v3.14), but for two things. The smallest bad part of an object
//! is left out and reported, where Prometheus rejects everything. Label keys that become one name
//! give the value of the byte-smallest key, always, where Prometheus' answer changes from refresh
//! to refresh.

mod alone;
mod config;
mod finder;
mod meta;
mod nodes;
mod pieces;
pub(crate) mod role;
mod services;
mod shelf;
mod tasks;

pub use alone::DockerSwarm;
pub use finder::Finder;

pub use self::config::{DockerSwarmConfig, OverlayPort};
use crate::config::Role;
use crate::{Groups, Problem};
use swarmscout_docker::engine::{Lists, Port};
use swarmscout_swarm::{Filters, Snapshot};

/// The source that Prometheus gives to all; ours goes on with the service's ID.
const SOURCE: &str = "DockerSwarm";

/// What of the configuration decides which targets are made of the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What becomes a target.
    pub role: Role,
    /// Port of targets without a published one.
    pub port: u16,
    /// Only the first network of a task or service gives targets.
    pub match_first_network: bool,
    /// Which port goes with an address on an overlay network.
    pub overlay_port: OverlayPort,
}

impl Options {
    /// The port at which a task or virtual IP is searched for.
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

/// What is found in the lists of one refresh, without filters, in an order that does not depend on
/// theirs. A list that the role does not need may be empty.
pub fn find(lists: &Lists, options: Options) -> (Groups, Vec<Problem>) {
    let filters = Filters::new(options.role, &[]);
    // Nothing but a filter can name what is not there.
    Finder::new(options, filters).find(&Snapshot::from(lists)).unwrap_or_default()
}
