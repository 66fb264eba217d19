//! The configuration of classic Swarm.

use std::fmt;

use swarmscout_model::PromDuration;
use swarmscout_net::{HttpConfig, redact_url, without_password};

use super::Classic;
use crate::config::BuildContext;
use crate::source::{SourceConfig, is_socket};
use crate::storage::Identity;
use crate::{BoxDiscoverer, Error};

/// One of `swarm_sd_configs` with `masters`.
#[derive(Clone, PartialEq, Eq)]
pub struct ClassicConfig {
    /// URLs as written, at least one.
    pub masters: Vec<String>,
    /// Default 1s.
    pub refresh_interval: PromDuration,
    /// Port of cAdvisor on masters and nodes, default `8070`.
    pub metrics_port: String,
    /// How to talk to the masters.
    pub http: HttpConfig,
}

/// Shows no password of a URL.
impl fmt::Debug for ClassicConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassicConfig")
            .field("masters", &redact_all(&self.masters))
            .field("refresh_interval", &self.refresh_interval)
            .field("metrics_port", &self.metrics_port)
            .field("http", &self.http)
            .finish()
    }
}

fn redact_all(urls: &[String]) -> Vec<String> {
    urls.iter().map(|url| redact_url(url)).collect()
}

impl SourceConfig for ClassicConfig {
    fn mechanism(&self) -> &'static str {
        "swarm"
    }

    fn describe(&self) -> String {
        let masters: Vec<_> = self.masters.iter().map(|url| without_password(url)).collect();
        masters.join(", ")
    }

    fn refresh_interval(&self) -> Option<PromDuration> {
        Some(self.refresh_interval)
    }

    fn is_local(&self) -> bool {
        self.masters.iter().any(|master| is_socket(master))
    }

    fn http(&self) -> Option<&HttpConfig> {
        Some(&self.http)
    }

    fn urls(&self) -> &[String] {
        &self.masters
    }

    fn identity(&self) -> Option<Identity> {
        let mut identity = Identity::new("classic");
        identity.add(&self.metrics_port);
        identity.caller(&self.http);
        for master in &self.masters {
            identity.add(&redact_url(master));
        }
        Some(identity)
    }

    fn build(&self, context: &BuildContext) -> Result<BoxDiscoverer, Error> {
        Ok(Box::new(Classic::new(self, context)?))
    }
}
