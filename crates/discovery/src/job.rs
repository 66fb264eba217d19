//! What the target manager needs to know of a job.

use std::sync::Arc;

use swarmscout_model::PoolSpec;

use crate::SdConfig;

/// A job of the configuration, as far as its targets go. A job that is equal after a reload keeps
/// running undisturbed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobConfig {
    /// What is done with its targets.
    pub pool: PoolSpec,
    /// Its sources, in the order of the file.
    pub sources: Vec<SdConfig>,
}

impl JobConfig {
    /// A job with this name and these sources, and Prometheus' defaults for the rest.
    pub fn new(name: impl Into<Arc<str>>, sources: Vec<SdConfig>) -> Self {
        Self { pool: PoolSpec::new(name), sources }
    }

    /// The job's name.
    pub fn name(&self) -> &Arc<str> {
        self.pool.name()
    }
}
