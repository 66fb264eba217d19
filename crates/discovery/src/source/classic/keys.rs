//! The keys of classic Swarm, for both ways to its nodes.

use std::fmt;

use swarmscout_config_decoder::yaml::Node;
use swarmscout_config_decoder::{
    Address, Cx, HttpKeys, Out, Value, in_folder, not_found, refresh_interval, section,
};
use swarmscout_model::PromDuration;
use swarmscout_model::quote::Quoted;
use swarmscout_net::HttpConfig;

use super::ClassicConfig;
use crate::SdConfig;
use crate::source::SourceKeys;
use crate::source::keys::{check_hosts, http_url};
use crate::source::nodelist::{EtcdApi, Location, NO_TOKEN_SERVICE, NodeListConfig, StoreKind};

section! {
    /// A classic Swarm: from its masters, as the Swarm plugin of 2016 reads it, or from its own list of nodes.
    pub SwarmSdKeys: "config.SwarmSDConfig", "swarm_sd_config" {
        /// URLs of the masters: `http://`, `https://`, `tcp://` or `unix://`. Exactly one of `masters` and `discovery`.
        key masters: Vec<Address> = Vec::new(), ours;
        /// How often they are asked. With `discovery` the default is `1m`.
        key refresh_interval: PromDuration = PromDuration::from_secs(1), ours;
        /// Port of the metrics on every master and node, as a string or a number.
        key metrics_port: String = "8070".into(), ours;
        /// Where Swarm itself has its nodes from, as it was given to `swarm manage`: `etcd://`, `consul://`, `zk://`, `file://`, `token://`, `nodes://` or a list of `host:port` ([more](#lists-of-nodes-discovery)).
        key discovery: Discovery = Discovery::default(), ours;
        /// Version of the etcd API, `v2` or `v3`.
        key etcd_api: String = String::new(), shown("v2") ours;
        /// URL of the service that knows the token of `token://`.
        key token_url: Address = Address::default(), ours;
        /// How they are spoken to.
        inline http: HttpKeys = HttpKeys::default();
    }
    unknown |key| Some(format!(
        "unknown fields in swarm_sd_config: {}",
        not_found::<SwarmSdKeys>(key)
    ));
}

/// Where a classic Swarm keeps its nodes. Passwords and tokens show as `xxxxx`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Discovery(String);

impl Discovery {
    fn shown(&self) -> String {
        match self.0.strip_prefix("token://") {
            Some(rest) => {
                let service = rest.rfind('/').map_or("", |slash| &rest[..=slash]);
                format!("token://{service}xxxxx")
            }
            None => swarmscout_net::redact_url(&self.0),
        }
    }
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shown())
    }
}

impl Value for Discovery {
    fn name() -> String {
        Address::name()
    }

    fn zero() -> Self {
        Self::default()
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        cx.text(node, "string").map(|text| Self(text.to_owned()))
    }

    fn encode(&self) -> Out {
        Out::String(self.shown())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl SourceKeys for SwarmSdKeys {
    fn check(&mut self, _: bool, cx: &mut Cx<'_>) -> SdConfig {
        let http = self.http.client(cx);
        let at = &self.at;
        if at.has("masters") && at.has("discovery") {
            cx.error(at.key("discovery"), "at most one of masters & discovery must be configured");
        } else if self.masters.is_empty() && !at.failed("masters") && !at.has("discovery") {
            cx.error(
                at.key("masters"),
                "Swarm SD configuration requires at least one Swarm master",
            );
        }
        cx.within("masters", |cx| check_hosts(&self.masters, "masters", &self.http, &http, cx));
        if !at.failed("metrics_port")
            && self.metrics_port.parse::<u16>().ok().is_none_or(|p| p == 0)
        {
            let text = format!("{} is not a port: 1 to 65535", Quoted(&self.metrics_port));
            cx.within("metrics_port", |cx| cx.error(at.key("metrics_port"), text));
        }
        refresh_interval(self.refresh_interval, at, cx);
        if at.has("discovery") {
            return SdConfig::NodeList(node_list(self, http, cx));
        }
        for key in ["etcd_api", "token_url"] {
            if at.has(key) {
                cx.within(key, |cx| cx.warn(at.key(key), "has no effect without discovery"));
            }
        }
        SdConfig::Classic(ClassicConfig {
            masters: self.masters.iter().map(|master| master.0.clone()).collect(),
            refresh_interval: self.refresh_interval,
            metrics_port: self.metrics_port.clone(),
            http,
        })
    }
}

/// The list that a classic Swarm has its nodes from.
fn node_list(sd: &mut SwarmSdKeys, http: HttpConfig, cx: &mut Cx<'_>) -> NodeListConfig {
    let at = &sd.at;
    if !at.has("refresh_interval") {
        // Masters have to be polled; what can be watched, or hardly changes, need not be.
        sd.refresh_interval = PromDuration::from_secs(60);
    }
    let etcd_api = match sd.etcd_api.as_str() {
        "" | "v2" => EtcdApi::V2,
        "v3" => EtcdApi::V3,
        other => {
            let text = format!("invalid etcd_api {other}, expected v2 or v3");
            cx.error(at.key("etcd_api"), text);
            EtcdApi::default()
        }
    };
    let token_url = (!sd.token_url.0.is_empty()).then(|| sd.token_url.0.clone());
    if let Some(Err(text)) = token_url.as_deref().map(http_url) {
        cx.within("token_url", |cx| cx.error(at.key("token_url"), text));
    }
    let location = cx.within("discovery", |cx| {
        location(sd, &http, token_url.is_some(), cx).unwrap_or_else(|error| {
            if !at.failed("discovery") {
                cx.error(at.key("discovery"), error);
            }
            Location::Nodes(Vec::new())
        })
    });
    NodeListConfig {
        location,
        etcd_api,
        token_url,
        refresh_interval: sd.refresh_interval,
        metrics_port: sd.metrics_port.clone(),
        http,
    }
}

/// Checks `discovery`, and warns of options that it has no use for.
fn location(
    sd: &SwarmSdKeys,
    http: &HttpConfig,
    has_token_url: bool,
    cx: &mut Cx<'_>,
) -> Result<Location, String> {
    let mut location = Location::parse(&sd.discovery.0).map_err(|error| error.to_string())?;
    let (scheme, takes_http) = match &mut location {
        Location::Nodes(_) => ("nodes", false),
        Location::File(path) => {
            *path = in_folder(cx.folder, path);
            ("file", false)
        }
        Location::Store(servers) => (servers.kind.as_str(), servers.kind != StoreKind::ZooKeeper),
        Location::Token { service: None, .. } if !has_token_url => {
            return Err(NO_TOKEN_SERVICE.to_owned());
        }
        Location::Token { service: Some(_), .. } if has_token_url => {
            return Err("the service is named twice: here and by token_url".to_owned());
        }
        Location::Token { .. } => ("token", true),
    };
    if !takes_http {
        sd.http.warn_of_no_effect(scheme, "", http, cx);
    }
    for (key, of) in [("etcd_api", "etcd"), ("token_url", "token")] {
        if sd.at.has(key) && scheme != of {
            cx.warn(sd.at.key(key), format!("{key} has no effect on {scheme}://"));
        }
    }
    Ok(location)
}
