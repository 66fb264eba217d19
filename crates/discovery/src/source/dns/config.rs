//! The configuration of DNS SD.

use swarmscout_model::PromDuration;

use super::Dns;
use crate::config::BuildContext;
use crate::source::SourceConfig;
use crate::storage::Identity;
use crate::{BoxDiscoverer, Error};

/// The number of names in a description.
const SHOWN: usize = 5;

/// One of `dns_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// As written, at least one.
    pub names: Vec<String>,
    /// What is asked for. Default SRV.
    pub record_type: RecordType,
    /// Port of targets whose records have none: of all but SRV.
    pub port: u16,
    /// Default 30s.
    pub refresh_interval: PromDuration,
}

/// `type` of `dns_sd_configs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RecordType {
    /// Hosts and ports.
    #[default]
    Srv,
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail servers.
    Mx,
    /// Name servers.
    Ns,
}

impl RecordType {
    /// As it is written in the configuration file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Srv => "SRV",
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Mx => "MX",
            Self::Ns => "NS",
        }
    }
}

impl SourceConfig for DnsConfig {
    fn mechanism(&self) -> &'static str {
        "dns"
    }

    fn describe(&self) -> String {
        let shown: Vec<_> = self.names.iter().take(SHOWN).map(String::as_str).collect();
        let text = format!("{} of {}", self.record_type.as_str(), shown.join(", "));
        match self.names.len() - shown.len() {
            0 => text,
            others => format!("{text} and {others} more"),
        }
    }

    fn refresh_interval(&self) -> Option<PromDuration> {
        Some(self.refresh_interval)
    }

    fn identity(&self) -> Option<Identity> {
        let mut identity = Identity::new("dns");
        identity.add(self.record_type.as_str());
        identity.add(&self.port.to_string());
        for name in &self.names {
            identity.add(name);
        }
        Some(identity)
    }

    fn build(&self, context: &BuildContext) -> Result<BoxDiscoverer, Error> {
        Ok(Box::new(Dns::new(self, context)))
    }
}
