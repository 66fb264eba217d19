//! Alertmanagers: checked for the sake of a file that a Prometheus server uses too.

use swarmscout_model::PromDuration;

use super::{HttpClient, RelabelConfig, SdConfigs, SigV4};
use crate::engine::section;

section! {
    /// Alertmanagers, for a server only.
    Alerting: "config.AlertingConfig", "alerting" {
        /// Rules for alerts.
        key alert_relabel_configs: Vec<Option<RelabelConfig>> = Vec::new();
        /// The Alertmanagers.
        key alertmanagers: Vec<Option<Alertmanager>> = Vec::new();
    }
}

section! {
    /// A set of Alertmanagers.
    Alertmanager: "config.AlertmanagerConfig", "alertmanager" {
        /// How requests to them are made.
        inline http: HttpClient = HttpClient::default();
        /// Amazon's signature.
        key sigv4: Option<SigV4> = None;
        /// `http` or `https`.
        key scheme: String = "http".into();
        /// Prefix of the path.
        key path_prefix: String = String::new();
        /// How long sending may take.
        key timeout: PromDuration = PromDuration::from_secs(10);
        /// `v2`.
        key api_version: String = "v2".into(), always;
        /// Rules for the Alertmanagers.
        key relabel_configs: Vec<Option<RelabelConfig>> = Vec::new();
        /// Rules for alerts.
        key alert_relabel_configs: Vec<Option<RelabelConfig>> = Vec::new();
        /// Where they are found.
        inline sd: SdConfigs = SdConfigs::default();
    }
}
