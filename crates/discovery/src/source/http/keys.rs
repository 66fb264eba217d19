//! The keys of HTTP SD.

use swarmscout_config_decoder::{Address, Cx, HttpKeys, refresh_interval, section};
use swarmscout_model::PromDuration;

use super::HttpSdConfig;
use crate::SdConfig;
use crate::source::SourceKeys;
use crate::source::keys::http_url;

section! {
    /// Targets as a web server lists them (Prometheus' HTTP SD).
    pub HttpSdKeys: "http.SDConfig", "http_sd_config" {
        /// How the server is spoken to.
        inline http: HttpKeys = HttpKeys::default();
        /// How often it is asked.
        key refresh_interval: PromDuration = PromDuration::from_secs(60);
        /// `http://` or `https://`, required.
        key url: Address = Address::default(), always;
    }
}

impl SourceKeys for HttpSdKeys {
    fn check(&mut self, _: bool, cx: &mut Cx<'_>) -> SdConfig {
        let http = self.http.client(cx);
        if !self.at.failed("url")
            && let Err(text) = http_url(&self.url.0)
        {
            cx.error(self.at.key("url"), text);
        }
        refresh_interval(self.refresh_interval, &self.at, cx);
        let (url, refresh_interval) = (self.url.0.clone(), self.refresh_interval);
        SdConfig::Http(HttpSdConfig { url, refresh_interval, http })
    }
}
