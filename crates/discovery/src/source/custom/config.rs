//! The configuration of a discoverer of the program that uses this crate.

use std::fmt;
use std::sync::Arc;

use swarmscout_model::PromDuration;

use super::Custom;
use crate::config::BuildContext;
use crate::source::SourceConfig;
use crate::storage::Identity;
use crate::{BoxDiscoverer, Error};

/// A discoverer that is not among those of the configuration file.
#[derive(Clone)]
pub struct CustomConfig {
    /// Name of the mechanism, for logs and metrics.
    pub mechanism: &'static str,
    /// The display name of what it queries, without secrets.
    pub display_name: Arc<str>,
    /// `None`: one successful refresh is enough.
    pub refresh_interval: Option<PromDuration>,
    /// Makes the discoverer. Called again after it failed or after the discoverer panicked.
    pub build: BuildCustom,
}

/// Makes a discoverer of the program that uses this crate.
pub type BuildCustom = Arc<dyn Fn(&BuildContext) -> Result<BoxDiscoverer, Error> + Send + Sync>;

/// Two configurations are equal if they have the same function and the same interval.
impl PartialEq for CustomConfig {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.build, &other.build)
            && self.mechanism == other.mechanism
            && self.display_name == other.display_name
            && self.refresh_interval == other.refresh_interval
    }
}

impl Eq for CustomConfig {}

impl fmt::Debug for CustomConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomConfig")
            .field("mechanism", &self.mechanism)
            .field("display_name", &self.display_name)
            .field("refresh_interval", &self.refresh_interval)
            .finish_non_exhaustive()
    }
}

impl SourceConfig for CustomConfig {
    fn mechanism(&self) -> &'static str {
        self.mechanism
    }

    fn describe(&self) -> String {
        self.display_name.to_string()
    }

    fn refresh_interval(&self) -> Option<PromDuration> {
        self.refresh_interval
    }

    fn identity(&self) -> Option<Identity> {
        let mut identity = Identity::new("custom");
        identity.add(self.mechanism);
        identity.add(&self.display_name);
        Some(identity)
    }

    fn build(&self, context: &BuildContext) -> Result<BoxDiscoverer, Error> {
        Ok(Box::new(Custom::new((self.build)(context)?, self, context)))
    }
}
