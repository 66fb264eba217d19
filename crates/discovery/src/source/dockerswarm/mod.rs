//! `dockerswarm_sd_configs`: nodes, services and tasks of a Docker Swarm in swarm mode.

use std::sync::Arc;

use swarmscout_model::TargetGroup;

use crate::config::{BuildContext, DockerSwarmConfig};
use crate::{BoxFuture, Discoverer, Error, Look};

/// One of `dockerswarm_sd_configs`.
#[derive(Debug)]
pub struct DockerSwarm {
    config: DockerSwarmConfig,
}

impl DockerSwarm {
    /// Fails where a host cannot be used or its TLS options cannot.
    pub fn new(config: DockerSwarmConfig, context: &BuildContext) -> Result<Self, Error> {
        let _ = context;
        Ok(Self { config })
    }
}

impl Discoverer for DockerSwarm {
    fn fetch(&mut self) -> BoxFuture<'_, Result<Look<Vec<Arc<TargetGroup>>>, Error>> {
        Box::pin(async { Err(Error::AllHosts(self.config.engine.hosts.clone())) })
    }
}
