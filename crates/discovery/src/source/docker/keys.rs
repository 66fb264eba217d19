//! The keys of the containers of one Docker Engine.

use swarmscout_config_decoder::{Address, Cx, HttpKeys, section};
use swarmscout_model::PromDuration;

use super::DockerConfig;
use crate::SdConfig;
use crate::source::SourceKeys;
use crate::source::keys::{FilterKeys, check_hosts, engine};

section! {
    /// Containers of one Docker engine.
    pub DockerSdKeys: "moby.DockerSDConfig", "docker_sd_config" {
        /// How an `http://` or `https://` host is spoken to.
        inline http: HttpKeys = HttpKeys::default();
        /// The engine, required: `unix://`, `tcp://`, `http://` or `https://`.
        key host: Address = Address::default();
        /// Port of targets without one.
        key port: i64 = 80, always;
        /// Which containers are wanted.
        key filters: Vec<FilterKeys> = Vec::new(), always;
        /// Address of containers on the host's network.
        key host_networking_host: String = "localhost".into(), always;
        /// How often the engine is asked.
        key refresh_interval: PromDuration = PromDuration::from_secs(60);
        /// Targets on the first network by name only.
        key match_first_network: bool = true, always;
    }
}

impl SourceKeys for DockerSdKeys {
    fn check(&mut self, _: bool, cx: &mut Cx<'_>) -> SdConfig {
        let http = self.http.client(cx);
        let host = if self.host.0.is_empty() { &[][..] } else { std::slice::from_ref(&self.host) };
        if host.is_empty() && !self.at.failed("host") {
            cx.error(self.at.key("host"), "host missing");
        }
        cx.within("host", |cx| check_hosts(host, "host", &self.http, &http, cx));
        let engine =
            engine(self.port, &self.filters, self.refresh_interval, host, &self.at, http, cx);
        SdConfig::Docker(DockerConfig {
            engine,
            host_networking_host: self.host_networking_host.clone(),
            match_first_network: self.match_first_network,
        })
    }
}
