//! The configuration of targets in the configuration file itself.

use swarmscout_model::{Labels, PromDuration};

use super::Static;
use crate::config::BuildContext;
use crate::source::SourceConfig;
use crate::storage::Identity;
use crate::{BoxDiscoverer, Error};

/// `static_configs`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaticConfig {
    /// The groups in the order of the file. The index is the source key of a group.
    pub groups: Vec<StaticGroup>,
}

/// One of `static_configs`, and one group of file or HTTP SD.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaticGroup {
    /// `host:port` each.
    pub targets: Vec<String>,
    /// Labels of all targets.
    pub labels: Labels,
}

impl SourceConfig for StaticConfig {
    fn mechanism(&self) -> &'static str {
        "static"
    }

    fn describe(&self) -> String {
        match self.groups.len() {
            1 => "1 group".to_owned(),
            groups => format!("{groups} groups"),
        }
    }

    fn refresh_interval(&self) -> Option<PromDuration> {
        None
    }

    fn is_local(&self) -> bool {
        true
    }

    fn identity(&self) -> Option<Identity> {
        None
    }

    fn build(&self, context: &BuildContext) -> Result<BoxDiscoverer, Error> {
        Ok(Box::new(Static::new(self, context)?))
    }
}
