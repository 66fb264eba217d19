//! `docker_sd_configs`: the containers of one Docker Engine.

use std::sync::Arc;

use swarmscout_model::TargetGroup;

use crate::config::{BuildContext, DockerConfig};
use crate::{BoxFuture, Discoverer, Error, Look};

/// One of `docker_sd_configs`.
#[derive(Debug)]
pub struct Docker {
    config: DockerConfig,
}

impl Docker {
    /// Fails where the host cannot be used or its TLS options cannot.
    pub fn new(config: DockerConfig, context: &BuildContext) -> Result<Self, Error> {
        let _ = context;
        Ok(Self { config })
    }
}

impl Discoverer for Docker {
    fn fetch(&mut self) -> BoxFuture<'_, Result<Look<Vec<Arc<TargetGroup>>>, Error>> {
        Box::pin(async { Err(Error::AllHosts(self.config.engine.hosts.clone())) })
    }
}
