//! What the target manager needs to know of a job.

use std::sync::Arc;

use swarmscout_model::relabel::RelabelRule;
use swarmscout_model::{PromDuration, TargetDefaults};

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
    /// A job that says nothing but its name and its sources: Prometheus' defaults for the rest.
    pub fn new(name: impl Into<Arc<str>>, sources: Vec<SdConfig>) -> Self {
        let defaults = TargetDefaults {
            job: name.into(),
            scrape_interval: PromDuration::from_secs(60),
            scrape_timeout: PromDuration::from_secs(10),
            metrics_path: "/metrics".to_owned(),
            scheme: "http".to_owned(),
            params: Vec::new(),
            convert_classic_histograms_to_nhcb: false,
            always_scrape_classic_histograms: false,
            scrape_native_histograms: false,
        };
        let relabel = Arc::from([]);
        Self { defaults, relabel, sources, target_limit: 0, keep_dropped_targets: 0 }
    }

    /// The job's name.
    pub fn name(&self) -> &Arc<str> {
        &self.defaults.job
    }
}
