//! The configuration of classic Swarm's own lists of nodes.

use std::fmt;

use swarmscout_model::PromDuration;
use swarmscout_net::{HttpConfig, Secrets, redact_url};

use super::{Location, NodeList, Servers};
use crate::config::BuildContext;
use crate::source::SourceConfig;
use crate::storage::Identity;
use crate::{BoxDiscoverer, Error};

/// One of `swarm_sd_configs` with `discovery`.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeListConfig {
    /// Where the list is.
    pub location: Location,
    /// The version of etcd's API.
    pub etcd_api: EtcdApi,
    /// The URL of the service for `token://`, as written.
    pub token_url: Option<String>,
    /// Default 60s. A watch reports changes earlier.
    pub refresh_interval: PromDuration,
    /// Port of cAdvisor on masters and nodes, default `8070`.
    pub metrics_port: String,
    /// How to talk to etcd, Consul and the service of tokens.
    pub http: HttpConfig,
}

/// `etcd_api`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EtcdApi {
    /// The keys API, which Swarm itself uses.
    #[default]
    V2,
    /// The JSON gateway of version 3.
    V3,
}

/// Shows no password of a URL, and no token.
impl fmt::Debug for NodeListConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeListConfig")
            .field("location", &self.location)
            .field("etcd_api", &self.etcd_api)
            .field("token_url", &self.token_url.as_deref().map(redact_url))
            .field("refresh_interval", &self.refresh_interval)
            .field("metrics_port", &self.metrics_port)
            .field("http", &self.http)
            .finish()
    }
}

impl SourceConfig for NodeListConfig {
    fn mechanism(&self) -> &'static str {
        "swarm"
    }

    fn describe(&self) -> String {
        self.location.to_string()
    }

    fn refresh_interval(&self) -> Option<PromDuration> {
        let is_inline = matches!(self.location, Location::Nodes(_));
        (!is_inline).then_some(self.refresh_interval)
    }

    fn is_local(&self) -> bool {
        matches!(self.location, Location::File(_) | Location::Nodes(_))
    }

    fn hosts(&self) -> usize {
        match &self.location {
            Location::Store(servers) => servers.addresses.len(),
            _ => 1,
        }
    }

    fn http(&self) -> Option<&HttpConfig> {
        Some(&self.http)
    }

    fn urls(&self) -> &[String] {
        self.token_url.as_slice()
    }

    fn keep_secrets(&self, secrets: &Secrets) {
        match &self.location {
            Location::Store(Servers { user: Some(user), .. }) => secrets.keep_user(user),
            Location::Token { token, .. } => secrets.keep(token.expose()),
            Location::Store(_) | Location::File(_) | Location::Nodes(_) => {}
        }
        self.http.keep_secrets(secrets);
        self.urls().iter().for_each(|url| secrets.keep_url(url));
    }

    fn identity(&self) -> Option<Identity> {
        if matches!(self.location, Location::Nodes(_)) {
            return None;
        }
        let mut identity = Identity::new("nodes");
        // Shows neither password nor token.
        identity.add(&self.location.to_string());
        identity.add(self.token_url.as_deref().map(redact_url).as_deref().unwrap_or_default());
        identity.add(&format!("{:?}", self.etcd_api));
        identity.add(&self.metrics_port);
        identity.caller(&self.http);
        Some(identity)
    }

    fn build(&self, context: &BuildContext) -> Result<BoxDiscoverer, Error> {
        Ok(Box::new(NodeList::new(self, context)?))
    }
}
