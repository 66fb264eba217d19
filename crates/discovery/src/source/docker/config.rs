//! The configuration of a Docker Engine's containers.

use swarmscout_docker::EngineConfig;
use swarmscout_model::PromDuration;

use super::Docker;
use crate::config::BuildContext;
use crate::source::SourceConfig;
use crate::storage::Identity;
use crate::{BoxDiscoverer, Error};

/// One of `docker_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerConfig {
    /// Where and how to ask. Exactly one host.
    pub engine: EngineConfig,
    /// Address of containers on the host's network, default `localhost`.
    pub host_networking_host: String,
    /// Only the first network by name gives targets. Default true.
    pub match_first_network: bool,
}

impl SourceConfig for DockerConfig {
    fn mechanism(&self) -> &'static str {
        "docker"
    }

    fn describe(&self) -> String {
        self.engine.describe()
    }

    fn refresh_interval(&self) -> Option<PromDuration> {
        Some(self.engine.refresh_interval)
    }

    fn engine(&self) -> Option<&EngineConfig> {
        Some(&self.engine)
    }

    fn identity(&self) -> Option<Identity> {
        let mut identity = Identity::new("docker");
        identity.add(&self.host_networking_host);
        identity.add(&self.match_first_network.to_string());
        identity.engine(&self.engine);
        Some(identity)
    }

    fn build(&self, context: &BuildContext) -> Result<BoxDiscoverer, Error> {
        Ok(Box::new(Docker::new(self, context)?))
    }
}
