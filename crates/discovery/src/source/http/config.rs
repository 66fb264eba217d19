//! The configuration of HTTP SD.

use std::fmt;

use swarmscout_model::PromDuration;
use swarmscout_net::{HttpConfig, redact_url, without_password};

use super::Http;
use crate::config::BuildContext;
use crate::source::SourceConfig;
use crate::storage::Identity;
use crate::{BoxDiscoverer, Error};

/// One of `http_sd_configs`.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpSdConfig {
    /// As written, at least one. All serve the same list; the first names the groups.
    pub urls: Vec<String>,
    /// Default 60s.
    pub refresh_interval: PromDuration,
    /// How to talk to it.
    pub http: HttpConfig,
}

/// Shows no password of a URL.
impl fmt::Debug for HttpSdConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<_> = self.urls.iter().map(|url| redact_url(url)).collect();
        f.debug_struct("HttpSdConfig")
            .field("urls", &urls)
            .field("refresh_interval", &self.refresh_interval)
            .field("http", &self.http)
            .finish()
    }
}

impl SourceConfig for HttpSdConfig {
    fn mechanism(&self) -> &'static str {
        "http"
    }

    fn describe(&self) -> String {
        let urls: Vec<_> = self.urls.iter().map(|url| without_password(url)).collect();
        urls.join(", ")
    }

    fn refresh_interval(&self) -> Option<PromDuration> {
        Some(self.refresh_interval)
    }

    fn http(&self) -> Option<&HttpConfig> {
        Some(&self.http)
    }

    fn urls(&self) -> &[String] {
        &self.urls
    }

    fn identity(&self) -> Option<Identity> {
        let mut identity = Identity::new("http");
        // The others have the same list.
        identity.add(&self.urls.first().map(|url| redact_url(url)).unwrap_or_default());
        identity.caller(&self.http);
        Some(identity)
    }

    fn build(&self, context: &BuildContext) -> Result<BoxDiscoverer, Error> {
        Ok(Box::new(Http::new(self.clone(), context)?))
    }
}
