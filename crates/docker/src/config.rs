//! Where an Engine is, and what it is asked.

use std::fmt;

use swarmscout_model::PromDuration;
use swarmscout_net::{HttpConfig, redact_url, without_password};

/// How to talk to an Engine.
#[derive(Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// URLs as written, at least one; tried in this order.
    pub hosts: Vec<String>,
    /// Port of targets without a published one, default 80.
    pub port: u16,
    /// In the order of the file.
    pub filters: Vec<Filter>,
    /// Default 60s.
    pub refresh_interval: PromDuration,
    /// How to talk to `http` and `https` hosts.
    pub http: HttpConfig,
}

/// One of `filters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// `label`, `desired-state`, …
    pub name: String,
    /// Any of these.
    pub values: Vec<String>,
}

impl EngineConfig {
    /// The display name: the hosts, without secrets.
    pub fn describe(&self) -> String {
        let hosts: Vec<_> = self.hosts.iter().map(|host| without_password(host)).collect();
        hosts.join(", ")
    }

    /// Whether one of the hosts is a unix socket of this machine.
    pub fn is_local(&self) -> bool {
        self.hosts.iter().any(|host| host.starts_with("unix://"))
    }
}

/// Shows no password of a URL.
impl fmt::Debug for EngineConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.hosts.iter().map(|host| redact_url(host)).collect();
        f.debug_struct("EngineConfig")
            .field("hosts", &hosts)
            .field("port", &self.port)
            .field("filters", &self.filters)
            .field("refresh_interval", &self.refresh_interval)
            .field("http", &self.http)
            .finish()
    }
}
