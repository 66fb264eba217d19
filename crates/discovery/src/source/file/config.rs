//! The configuration of targets in files.

use std::path::PathBuf;

use swarmscout_model::PromDuration;

use super::File;
use crate::config::BuildContext;
use crate::source::SourceConfig;
use crate::storage::Identity;
use crate::{BoxDiscoverer, Error};

/// One of `file_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileConfig {
    /// Paths, absolute or relative to the configuration file and joined to its folder already; the
    /// last element may hold one `*`.
    pub files: Vec<PathBuf>,
    /// Default 5m.
    pub refresh_interval: PromDuration,
}

impl SourceConfig for FileConfig {
    fn mechanism(&self) -> &'static str {
        "file"
    }

    fn describe(&self) -> String {
        let files: Vec<_> = self.files.iter().map(|file| file.to_string_lossy()).collect();
        files.join(", ")
    }

    fn refresh_interval(&self) -> Option<PromDuration> {
        Some(self.refresh_interval)
    }

    fn is_local(&self) -> bool {
        true
    }

    fn identity(&self) -> Option<Identity> {
        let mut identity = Identity::new("file");
        for file in &self.files {
            identity.add(&file.to_string_lossy());
        }
        Some(identity)
    }

    fn build(&self, context: &BuildContext) -> Result<BoxDiscoverer, Error> {
        Ok(Box::new(File::new(self.clone(), context)))
    }
}
