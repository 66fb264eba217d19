//! Sources of targets.

use std::path::PathBuf;

use swarmscout_discovery::config::{
    ClassicConfig, DnsConfig, DockerConfig, DockerSwarmConfig, EngineConfig, EtcdApi, Events,
    FileConfig, Filter, HttpSdConfig, NodeListConfig, OverlayPort, RecordType, Role, StaticConfig,
    StaticGroup,
};
use swarmscout_discovery::source::nodelist::{Location, NO_TOKEN_SERVICE, StoreKind};
use swarmscout_discovery::{SdConfig, for_each_source};
use swarmscout_model::PromDuration;
use swarmscout_model::quote::Quoted;
use swarmscout_net::{Host, HttpConfig, Scheme, Url};

use super::{client, is_glob, refresh_interval};
use crate::Position;
use crate::engine::{At, Cx, Section};
use crate::prometheus::values::{Address, in_folder};
use crate::prometheus::{not_supported, raw};

/// What the configuration file says of one source.
trait Source {
    /// Checks it. Without rules of its job (`relabels`) no rule would turn static targets that are
    /// URLs into hosts: they are refused.
    fn check(&mut self, relabels: bool, cx: &mut Cx<'_>) -> SdConfig;
}

macro_rules! check_all {
    ($(
        $(#[doc = $doc:literal])+
        $key:ident: $($variant:ident($config:ident))|+, section $section:ident $(, $mark:ident)?;
    )+) => {
        /// Checks all sources; each comes back with the place of its key. Sources of Alertmanagers
        /// are checked too, but do not run here, so those of other kinds are accepted.
        pub(super) fn check_all(
            sd: &mut raw::SdConfigs,
            relabels: bool,
            cx: &mut Cx<'_>,
        ) -> Vec<(Position, SdConfig)> {
            let at = sd.at.clone();
            let mut sources = Vec::new();
            $(sources.extend(list(&mut sd.$key, stringify!($key), &at, relabels, cx));)+
            sources
        }
    };
}

for_each_source!(check_all);

/// Checks the sources of a job, in the order in which the file has them.
pub(super) fn check(sd: &mut raw::SdConfigs, relabels: bool, cx: &mut Cx<'_>) -> Vec<SdConfig> {
    let mut sources = check_all(sd, relabels, cx);
    refuse_foreign(sd, cx);
    // Lists of one key stay in order: the sort is stable.
    sources.sort_by_key(|(at, _)| *at);
    let mut merged = Vec::<SdConfig>::new();
    for (_, source) in sources {
        match (merged.last_mut(), source) {
            // All static groups of a job are one source.
            (Some(SdConfig::Static(all)), SdConfig::Static(more)) => all.groups.extend(more.groups),
            (_, source) => merged.push(source),
        }
    }
    merged
}

/// Checks every item below `key`; each comes back with the place of the key.
fn list<T: Source>(
    items: &mut [Option<T>],
    key: &str,
    at: &At,
    relabels: bool,
    cx: &mut Cx<'_>,
) -> Vec<(Position, SdConfig)> {
    let mut checked = Vec::with_capacity(items.len());
    let at = at.key(key);
    cx.within(key, |cx| {
        for (i, item) in items.iter_mut().enumerate() {
            cx.item(i, |cx| match item {
                None => cx.missing_here(format!("empty or null section in {key}")),
                Some(item) => checked.push((at, item.check(relabels, cx))),
            });
        }
    });
    checked
}

/// Refuses by name the sources that this program does not have.
fn refuse_foreign(sd: &raw::SdConfigs, cx: &mut Cx<'_>) {
    let mut foreign = Vec::new();
    sd.foreign.write(&mut foreign);
    for (key, _) in foreign {
        cx.within(&key, |cx| {
            cx.error(sd.foreign.at.key(&key), not_supported(&key));
        });
    }
}

impl Source for raw::StaticGroup {
    fn check(&mut self, relabels: bool, cx: &mut Cx<'_>) -> SdConfig {
        cx.within("targets", |cx| {
            for (i, target) in self.targets.iter().enumerate() {
                if !relabels && target.contains('/') {
                    let text = format!("{} is not a valid hostname", Quoted(target));
                    cx.item(i, |cx| cx.error_here(text));
                }
            }
        });
        let (targets, labels) = (self.targets.clone(), self.labels.0.iter().collect());
        SdConfig::Static(StaticConfig { groups: vec![StaticGroup { targets, labels }] })
    }
}

impl Source for raw::FileSd {
    fn check(&mut self, _: bool, cx: &mut Cx<'_>) -> SdConfig {
        if self.files.is_empty() && !self.at.failed("files") {
            let text = "file service discovery config must contain at least one path name";
            cx.error(self.at.key("files"), text);
        }
        let endings = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"];
        for (i, path) in self.files.iter().map(|path| &path.0).enumerate() {
            if !is_glob(path) || !endings.iter().any(|ending| path.ends_with(ending)) {
                let text = format!("path name {} is not valid for file discovery", Quoted(path));
                cx.within("files", |cx| cx.item(i, |cx| cx.error_here(text)));
            }
        }
        refresh_interval(self.refresh_interval, &self.at, cx);
        SdConfig::File(FileConfig {
            files: self.files.iter().map(|path| PathBuf::from(&path.0)).collect(),
            refresh_interval: self.refresh_interval,
        })
    }
}

impl Source for raw::HttpSd {
    fn check(&mut self, _: bool, cx: &mut Cx<'_>) -> SdConfig {
        let http = client::of_source(&mut self.http, cx);
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

fn http_url(url: &str) -> Result<(), String> {
    if url.is_empty() {
        return Err("URL is missing".into());
    }
    let url = Url::parse(url).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("URL scheme must be 'http' or 'https'".into());
    }
    if url.host().is_empty() {
        return Err("host is missing in URL".into());
    }
    Ok(())
}

/// A classic Swarm, from its masters or from where it has its nodes itself.
impl Source for raw::SwarmSd {
    fn check(&mut self, _: bool, cx: &mut Cx<'_>) -> SdConfig {
        let http = client::of_source(&mut self.http, cx);
        let at = &self.at;
        if at.has("masters") && at.has("discovery") {
            cx.error(at.key("discovery"), "at most one of masters & discovery must be configured");
        } else if self.masters.is_empty() && !at.failed("masters") && !at.has("discovery") {
            cx.error(
                at.key("masters"),
                "Swarm SD configuration requires at least one Swarm master",
            );
        }
        cx.within("masters", |cx| hosts(&self.masters, "masters", &self.http, &http, cx));
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
fn node_list(sd: &mut raw::SwarmSd, http: HttpConfig, cx: &mut Cx<'_>) -> NodeListConfig {
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
    sd: &raw::SwarmSd,
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
        warn_of_http_config(scheme, "", &sd.http, http, cx);
    }
    for (key, of) in [("etcd_api", "etcd"), ("token_url", "token")] {
        if sd.at.has(key) && scheme != of {
            cx.warn(sd.at.key(key), format!("{key} has no effect on {scheme}://"));
        }
    }
    Ok(location)
}

impl Source for raw::DockerSwarmSd {
    fn check(&mut self, _: bool, cx: &mut Cx<'_>) -> SdConfig {
        let http = client::of_source(&mut self.http, cx);
        let at = &self.at;
        let host = (!self.host.0.is_empty()).then_some(&self.host);
        match (host, self.hosts.is_empty()) {
            (None, true) if !at.failed("host") && !at.failed("hosts") => {
                cx.error(at.key("host"), "host missing");
            }
            (Some(_), false) => {
                cx.error(at.key("hosts"), "at most one of host & hosts must be configured");
            }
            _ => {}
        }
        let key = if host.is_some() { "host" } else { "hosts" };
        let addresses = host.map_or(&self.hosts[..], std::slice::from_ref);
        cx.within(key, |cx| hosts(addresses, key, &self.http, &http, cx));
        // What is wrong is noted: the role that stands in for it is never used.
        let role = match self.role.as_str() {
            "services" => Role::Services,
            "tasks" => Role::Tasks,
            "nodes" => Role::Nodes,
            _ if at.failed("role") => Role::Nodes,
            "" => {
                cx.error(at.key("role"), "role missing (one of: tasks, services, nodes)");
                Role::Nodes
            }
            role => {
                let text = format!("invalid role {role}, expected tasks, services, or nodes");
                cx.error(at.key("role"), text);
                Role::Nodes
            }
        };
        let overlay_port = match self.overlay_port.as_str() {
            "published" => OverlayPort::Published,
            "target" => OverlayPort::Target,
            other => {
                let text = format!("invalid overlay_port {other}, expected published or target");
                cx.error(at.key("overlay_port"), text);
                OverlayPort::default()
            }
        };
        let events = match self.events.as_str() {
            "auto" => Events::Auto,
            "watch" => Events::Watch,
            "events" => Events::Events,
            "poll" => Events::Poll,
            other => {
                let text = format!("invalid events {other}, expected auto, watch, events or poll");
                cx.error(at.key("events"), text);
                Events::default()
            }
        };
        if at.has("swarmkit_socket") && matches!(events, Events::Events | Events::Poll) {
            let place = at.key("swarmkit_socket");
            let text = format!("has no effect with events: {}", self.events);
            cx.within("swarmkit_socket", |cx| cx.warn(place, text));
        }
        let engine =
            engine(self.port, &self.filters, self.refresh_interval, addresses, at, http, cx);
        SdConfig::DockerSwarm(DockerSwarmConfig {
            engine,
            role,
            match_first_network: self.match_first_network,
            overlay_port,
            events,
            swarmkit_socket: (!self.swarmkit_socket.0.is_empty())
                .then(|| PathBuf::from(&self.swarmkit_socket.0)),
        })
    }
}

impl Source for raw::DockerSd {
    fn check(&mut self, _: bool, cx: &mut Cx<'_>) -> SdConfig {
        let http = client::of_source(&mut self.http, cx);
        let host = if self.host.0.is_empty() { &[][..] } else { std::slice::from_ref(&self.host) };
        if host.is_empty() && !self.at.failed("host") {
            cx.error(self.at.key("host"), "host missing");
        }
        cx.within("host", |cx| hosts(host, "host", &self.http, &http, cx));
        let engine =
            engine(self.port, &self.filters, self.refresh_interval, host, &self.at, http, cx);
        SdConfig::Docker(DockerConfig {
            engine,
            host_networking_host: self.host_networking_host.clone(),
            match_first_network: self.match_first_network,
        })
    }
}

fn engine(
    port: i64,
    filters: &[raw::Filter],
    interval: PromDuration,
    hosts: &[Address],
    at: &At,
    http: HttpConfig,
    cx: &mut Cx<'_>,
) -> EngineConfig {
    refresh_interval(interval, at, cx);
    let filter =
        |filter: &raw::Filter| Filter { name: filter.name.clone(), values: filter.values.clone() };
    EngineConfig {
        hosts: hosts.iter().map(|host| host.0.clone()).collect(),
        port: self::port(port, at, cx),
        filters: filters.iter().map(filter).collect(),
        refresh_interval: interval,
        http,
    }
}

impl Source for raw::DnsSd {
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

fn port(port: i64, at: &At, cx: &mut Cx<'_>) -> u16 {
    u16::try_from(port).unwrap_or_else(|_| {
        let text = format!("{port} is not a port: 0 to 65535");
        cx.within("port", |cx| cx.error(at.key("port"), text));
        0
    })
}

/// Checks that every address is one, and warns of options that it has no use for.
fn hosts(
    addresses: &[Address],
    key: &str,
    raw_http: &raw::HttpClient,
    http: &HttpConfig,
    cx: &mut Cx<'_>,
) {
    for (i, address) in addresses.iter().enumerate() {
        let host = match Host::parse(&address.0) {
            Ok(host) => host,
            Err(error) => {
                if key == "host" {
                    cx.error_here(error);
                } else {
                    cx.item(i, |cx| cx.error_here(error));
                }
                continue;
            }
        };
        if host.scheme().takes_http_config() {
            continue;
        }
        let instead = if host.scheme() == Scheme::Tcp { ", use https://" } else { "" };
        warn_of_http_config(host.scheme().as_str(), instead, raw_http, http, cx);
    }
}

/// Warns of options for HTTP that have no effect with this scheme.
fn warn_of_http_config(
    scheme: &str,
    instead: &str,
    raw_http: &raw::HttpClient,
    http: &HttpConfig,
    cx: &mut Cx<'_>,
) {
    let plain = HttpConfig::default();
    let auth = ["basic_auth", "authorization", "oauth2", "bearer_token", "bearer_token_file"];
    let effectless = [
        (http.auth != plain.auth, &auth[..]),
        (http.tls != plain.tls, &["tls_config"][..]),
        (http.headers != plain.headers, &["http_headers"][..]),
        (http.proxy != plain.proxy, &["proxy_url", "proxy_from_environment"][..]),
    ];
    for (set, keys) in effectless {
        let place = keys.iter().find_map(|key| Some((*key, raw_http.at.find(key)?)));
        if let (true, Some((option, place))) = (set, place) {
            cx.warn(place, format!("{option} has no effect on {scheme}://{instead}"));
        }
    }
}
