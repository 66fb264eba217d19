//! What the target manager needs to know of a job.

use std::sync::Arc;

use swarmscout_model::TargetDefaults;
use swarmscout_model::relabel::RelabelRule;

use crate::SdConfig;

/// A job of the configuration file, as far as its targets go. A job that is equal after a reload
/// keeps running undisturbed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobConfig {
    /// Its name and what it says of its targets.
    pub defaults: TargetDefaults,
    /// `relabel_configs`.
    pub relabel: Arc<[RelabelRule]>,
    /// Its sources, in the order of the file.
    pub sources: Vec<SdConfig>,
    /// Most targets after merging, 0 for no limit: with more, all of them fail.
    pub target_limit: u64,
    /// Most dropped targets that are listed, 0 for no limit. Their count stays exact.
    pub keep_dropped_targets: u64,
}

impl JobConfig {
    /// The job's name.
    pub fn name(&self) -> &Arc<str> {
        &self.defaults.job
    }
}
