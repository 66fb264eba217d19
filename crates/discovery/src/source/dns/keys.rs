//! The keys of DNS SD.

use swarmscout_config_decoder::{Cx, port, refresh_interval, section};
use swarmscout_model::PromDuration;

use super::{DnsConfig, RecordType};
use crate::SdConfig;
use crate::source::SourceKeys;

section! {
    /// The records of DNS names: `tasks.<service>` has the addresses of a service's tasks. The name
    /// servers are those of `/etc/resolv.conf`, read again at each refresh, as is `search` there.
    pub DnsSdKeys: "dns.SDConfig", "dns_sd_config" {
        /// Names to look up, at least one.
        key names: Vec<String> = Vec::new();
        /// How often they are looked up, whatever time to live their records have.
        key refresh_interval: PromDuration = PromDuration::from_secs(30);
        /// Which records: `SRV`, `A`, `AAAA`, `MX` or `NS`; in any case.
        key r#type: String = "SRV".into();
        /// Port of the targets, required unless the type is SRV, whose records have their own.
        key port: i64 = 0, always;
    }
}

impl SourceKeys for DnsSdKeys {
    fn check(&mut self, _: bool, cx: &mut Cx<'_>) -> SdConfig {
        if self.names.is_empty() && !self.at.failed("names") {
            let text = "DNS-SD config must contain at least one SRV record name";
            cx.error(self.at.key("names"), text);
        }
        // What is wrong is noted: the type that stands in for it is never used.
        let record_type = match self.r#type.to_uppercase().as_str() {
            "SRV" => RecordType::Srv,
            "A" => RecordType::A,
            "AAAA" => RecordType::Aaaa,
            "MX" => RecordType::Mx,
            "NS" => RecordType::Ns,
            _ => {
                cx.error(
                    self.at.key("type"),
                    format!("invalid DNS-SD records type {}", self.r#type),
                );
                RecordType::Srv
            }
        };
        if record_type != RecordType::Srv && self.port == 0 && !self.at.failed("port") {
            let text = "a port is required in DNS-SD configs for all record types except SRV";
            cx.error(self.at.key("port"), text);
        }
        let port = port(self.port, &self.at, cx);
        refresh_interval(self.refresh_interval, &self.at, cx);
        let names = self.names.clone();
        SdConfig::Dns(DnsConfig {
            names,
            record_type,
            port,
            refresh_interval: self.refresh_interval,
        })
    }
}
