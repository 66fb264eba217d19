//! The configuration of a Docker Swarm in swarm mode.

use std::path::PathBuf;

use swarmscout_docker::EngineConfig;
use swarmscout_model::PromDuration;
use swarmscout_swarm::{Events, Role, Source};

use super::DockerSwarm;
use crate::config::BuildContext;
use crate::source::SourceConfig;
use crate::storage::Identity;
use crate::{BoxDiscoverer, Error};

/// One of `dockerswarm_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerSwarmConfig {
    /// The hosts, and how to query them.
    pub engine: EngineConfig,
    /// The objects that become targets.
    pub role: Role,
    /// Only the first attachment by network name makes targets. Default false.
    pub match_first_network: bool,
    /// Which port goes with an address on an overlay network.
    pub overlay_port: OverlayPort,
    /// How to learn of changes.
    pub events: Events,
    /// SwarmKit's control socket, where it is not beside the Engine's.
    pub swarmkit_socket: Option<PathBuf>,
}

impl DockerSwarmConfig {
    /// The Swarm that it reads.
    pub fn swarm(&self) -> Source {
        Source::new(&self.engine, self.events, self.swarmkit_socket.clone())
    }
}

/// `overlay_port`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OverlayPort {
    /// The published port, as Prometheus does.
    #[default]
    Published,
    /// The port that the container listens on.
    Target,
}

impl SourceConfig for DockerSwarmConfig {
    fn mechanism(&self) -> &'static str {
        "dockerswarm"
    }

    fn describe(&self) -> String {
        format!("{} role {}", self.engine.describe(), self.role.as_str())
    }

    fn refresh_interval(&self) -> Option<PromDuration> {
        Some(self.engine.refresh_interval)
    }

    fn engine(&self) -> Option<&EngineConfig> {
        Some(&self.engine)
    }

    fn identity(&self) -> Option<Identity> {
        let mut identity = Identity::new("dockerswarm");
        identity.add(self.role.as_str());
        identity.add(&format!("{} {:?}", self.match_first_network, self.overlay_port));
        identity.engine(&self.engine);
        Some(identity)
    }

    fn build(&self, context: &BuildContext) -> Result<BoxDiscoverer, Error> {
        Ok(Box::new(DockerSwarm::new(self, context)?))
    }
}
