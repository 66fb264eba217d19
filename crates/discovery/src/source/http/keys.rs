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
        /// `http://` or `https://`. Exactly one of `url` and `urls`.
        key url: Address = Address::default();
        /// Several servers of the same list: asked in turn until one answers.
        key urls: Vec<Address> = Vec::new(), ours;
    }
}

impl SourceKeys for HttpSdKeys {
    fn check(&mut self, _: bool, cx: &mut Cx<'_>) -> SdConfig {
        let http = self.http.client(cx);
        let at = &self.at;
        let url = (!self.url.0.is_empty()).then_some(&self.url);
        match (url, self.urls.is_empty()) {
            (None, true) if !at.failed("url") && !at.failed("urls") => {
                cx.error(at.key("url"), "URL is missing");
            }
            (Some(_), false) => {
                cx.error(at.key("urls"), "at most one of url & urls must be configured");
            }
            _ => {}
        }
        if let Some(url) = url
            && let Err(text) = http_url(&url.0)
        {
            cx.error(at.key("url"), text);
        }
        let urls = url.map_or(&self.urls[..], std::slice::from_ref);
        if url.is_none() {
            cx.within("urls", |cx| {
                for (i, url) in urls.iter().enumerate() {
                    if let Err(text) = http_url(&url.0) {
                        cx.item(i, |cx| cx.error_here(text));
                    }
                }
            });
        }
        refresh_interval(self.refresh_interval, &self.at, cx);
        let urls = urls.iter().map(|url| url.0.clone()).collect();
        SdConfig::Http(HttpSdConfig { urls, refresh_interval: self.refresh_interval, http })
    }
}
