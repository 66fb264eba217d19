//! Alertmanagers: checked for the sake of a file that a Prometheus server uses too.

use swarmscout_config_decoder::{HttpKeys, section};
use swarmscout_model::PromDuration;

use super::{RelabelConfig, SdConfigs, SigV4};

section! {
    /// Alertmanagers, for a server only.
    pub(crate) Alerting: "config.AlertingConfig", "alerting" {
        /// Rules for alerts.
        key alert_relabel_configs: Vec<Option<RelabelConfig>> = Vec::new();
        /// The Alertmanagers.
        key alertmanagers: Vec<Option<Alertmanager>> = Vec::new();
    }
}

section! {
    /// A set of Alertmanagers.
    pub(crate) Alertmanager: "config.AlertmanagerConfig", "alertmanager" {
        /// How requests to them are made.
        inline http: HttpKeys = HttpKeys::default();
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
