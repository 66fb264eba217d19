//! Sources of targets.

use std::path::PathBuf;

use swarmscout_discovery::SdConfig;
use swarmscout_discovery::config::{
    ClassicConfig, DnsConfig, DockerConfig, DockerSwarmConfig, EngineConfig, EtcdApi, Events,
    FileConfig, Filter, HttpSdConfig, NodeListConfig, OverlayPort, RecordType, Role, StaticConfig,
    StaticGroup,
};
use swarmscout_discovery::source::nodelist::{Location, NO_TOKEN_SERVICE, StoreKind};
use swarmscout_model::PromDuration;
use swarmscout_model::quote::Quoted;
use swarmscout_net::{Host, HttpConfig, Scheme, Url};

use super::{client, is_glob, refresh_interval};
use crate::Position;
use crate::engine::{At, Cx, Section};
use crate::prometheus::values::{Address, in_folder};
use crate::prometheus::{not_supported, raw};

/// Checks the sources of a job, in the order in which the file has them. Without rules of its own
/// (`relabels`) no rule would turn static targets that are URLs into hosts: they are refused.
pub(super) fn check(sd: &mut raw::SdConfigs, relabels: bool, cx: &mut Cx<'_>) -> Vec<SdConfig> {
    let at = sd.at.clone();
    let mut sources: Vec<(Position, SdConfig)> = Vec::new();
    if !sd.static_configs.is_empty() {
        let groups = list(&mut sd.static_configs, "static_configs", &at, cx, |group, cx| {
            static_group(group, relabels, cx)
        });
        let groups = groups.into_iter().map(|(_, group)| group).collect();
        sources.push((at.key("static_configs"), SdConfig::Static(StaticConfig { groups })));
    }
    sources.extend(list(&mut sd.file_sd_configs, "file_sd_configs", &at, cx, file));
    sources.extend(list(&mut sd.http_sd_configs, "http_sd_configs", &at, cx, http_sd));
    sources.extend(list(&mut sd.swarm_sd_configs, "swarm_sd_configs", &at, cx, classic));
    let key = "dockerswarm_sd_configs";
    sources.extend(list(&mut sd.dockerswarm_sd_configs, key, &at, cx, dockerswarm));
    sources.extend(list(&mut sd.docker_sd_configs, "docker_sd_configs", &at, cx, docker));
    sources.extend(list(&mut sd.dns_sd_configs, "dns_sd_configs", &at, cx, dns));
    refuse_foreign(sd, cx);
    // Lists of one key stay in order: the sort is stable.
    sources.sort_by_key(|(at, _)| *at);
    sources.into_iter().map(|(_, source)| source).collect()
}

/// Like [`check`], for Alertmanagers. Their sources do not run here, so those of other kinds are
/// accepted too.
pub(super) fn check_unused(sd: &mut raw::SdConfigs, relabels: bool, cx: &mut Cx<'_>) {
    let at = sd.at.clone();
    list(&mut sd.static_configs, "static_configs", &at, cx, |group, cx| {
        static_group(group, relabels, cx)
    });
    list(&mut sd.file_sd_configs, "file_sd_configs", &at, cx, file);
    list(&mut sd.http_sd_configs, "http_sd_configs", &at, cx, http_sd);
    list(&mut sd.swarm_sd_configs, "swarm_sd_configs", &at, cx, classic);
    list(&mut sd.dockerswarm_sd_configs, "dockerswarm_sd_configs", &at, cx, dockerswarm);
    list(&mut sd.docker_sd_configs, "docker_sd_configs", &at, cx, docker);
    list(&mut sd.dns_sd_configs, "dns_sd_configs", &at, cx, dns);
}

/// Checks every item below `key`; each comes back with the place of the key.
fn list<T, U>(
    items: &mut [Option<T>],
    key: &str,
    at: &At,
    cx: &mut Cx<'_>,
    mut check: impl FnMut(&mut T, &mut Cx<'_>) -> U,
) -> Vec<(Position, U)> {
    let mut checked = Vec::with_capacity(items.len());
    let at = at.key(key);
    cx.within(key, |cx| {
        for (i, item) in items.iter_mut().enumerate() {
            cx.item(i, |cx| match item {
                None => cx.missing_here(format!("empty or null section in {key}")),
                Some(item) => checked.push((at, check(item, cx))),
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

fn static_group(group: &raw::StaticGroup, relabels: bool, cx: &mut Cx<'_>) -> StaticGroup {
    cx.within("targets", |cx| {
        for (i, target) in group.targets.iter().enumerate() {
            if !relabels && target.contains('/') {
                let text = format!("{} is not a valid hostname", Quoted(target));
                cx.item(i, |cx| cx.error_here(text));
            }
        }
    });
    StaticGroup { targets: group.targets.clone(), labels: group.labels.0.iter().collect() }
}

fn file(file: &mut raw::FileSd, cx: &mut Cx<'_>) -> SdConfig {
    if file.files.is_empty() && !file.at.failed("files") {
        let text = "file service discovery config must contain at least one path name";
        cx.error(file.at.key("files"), text);
    }
    let endings = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"];
    for (i, path) in file.files.iter().map(|path| &path.0).enumerate() {
        if !is_glob(path) || !endings.iter().any(|ending| path.ends_with(ending)) {
            let text = format!("path name {} is not valid for file discovery", Quoted(path));
            cx.within("files", |cx| cx.item(i, |cx| cx.error_here(text)));
        }
    }
    refresh_interval(file.refresh_interval, &file.at, cx);
    SdConfig::File(FileConfig {
        files: file.files.iter().map(|path| PathBuf::from(&path.0)).collect(),
        refresh_interval: file.refresh_interval,
    })
}

fn http_sd(sd: &mut raw::HttpSd, cx: &mut Cx<'_>) -> SdConfig {
    let http = client::of_source(&mut sd.http, cx);
    if !sd.at.failed("url")
        && let Err(text) = http_url(&sd.url.0)
    {
        cx.error(sd.at.key("url"), text);
    }
    refresh_interval(sd.refresh_interval, &sd.at, cx);
    let (url, refresh_interval) = (sd.url.0.clone(), sd.refresh_interval);
    SdConfig::Http(HttpSdConfig { url, refresh_interval, http })
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
fn classic(sd: &mut raw::SwarmSd, cx: &mut Cx<'_>) -> SdConfig {
    let http = client::of_source(&mut sd.http, cx);
    let at = &sd.at;
    if at.has("masters") && at.has("discovery") {
        cx.error(at.key("discovery"), "at most one of masters & discovery must be configured");
    } else if sd.masters.is_empty() && !at.failed("masters") && !at.has("discovery") {
        cx.error(at.key("masters"), "Swarm SD configuration requires at least one Swarm master");
    }
    cx.within("masters", |cx| hosts(&sd.masters, "masters", &sd.http, &http, cx));
    if !at.failed("metrics_port") && sd.metrics_port.parse::<u16>().ok().is_none_or(|p| p == 0) {
        let text = format!("{} is not a port: 1 to 65535", Quoted(&sd.metrics_port));
        cx.within("metrics_port", |cx| cx.error(at.key("metrics_port"), text));
    }
    refresh_interval(sd.refresh_interval, at, cx);
    if at.has("discovery") {
        return SdConfig::NodeList(node_list(sd, http, cx));
    }
    for key in ["etcd_api", "token_url"] {
        if at.has(key) {
            cx.within(key, |cx| cx.warn(at.key(key), "has no effect without discovery"));
        }
    }
    SdConfig::Classic(ClassicConfig {
        masters: sd.masters.iter().map(|master| master.0.clone()).collect(),
        refresh_interval: sd.refresh_interval,
        metrics_port: sd.metrics_port.clone(),
        http,
    })
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

fn dockerswarm(sd: &mut raw::DockerSwarmSd, cx: &mut Cx<'_>) -> SdConfig {
    let http = client::of_source(&mut sd.http, cx);
    let at = &sd.at;
    let host = (!sd.host.0.is_empty()).then_some(&sd.host);
    match (host, sd.hosts.is_empty()) {
        (None, true) if !at.failed("host") && !at.failed("hosts") => {
            cx.error(at.key("host"), "host missing");
        }
        (Some(_), false) => {
            cx.error(at.key("hosts"), "at most one of host & hosts must be configured");
        }
        _ => {}
    }
    let key = if host.is_some() { "host" } else { "hosts" };
    let addresses = host.map_or(&sd.hosts[..], std::slice::from_ref);
    cx.within(key, |cx| hosts(addresses, key, &sd.http, &http, cx));
    // What is wrong is noted: the role that stands in for it is never used.
    let role = match sd.role.as_str() {
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
    let overlay_port = match sd.overlay_port.as_str() {
        "published" => OverlayPort::Published,
        "target" => OverlayPort::Target,
        other => {
            let text = format!("invalid overlay_port {other}, expected published or target");
            cx.error(at.key("overlay_port"), text);
            OverlayPort::default()
        }
    };
    let events = match sd.events.as_str() {
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
        let text = format!("has no effect with events: {}", sd.events);
        cx.within("swarmkit_socket", |cx| cx.warn(place, text));
    }
    let engine = engine(sd.port, &sd.filters, sd.refresh_interval, addresses, at, http, cx);
    SdConfig::DockerSwarm(DockerSwarmConfig {
        engine,
        role,
        match_first_network: sd.match_first_network,
        overlay_port,
        events,
        swarmkit_socket: (!sd.swarmkit_socket.0.is_empty())
            .then(|| PathBuf::from(&sd.swarmkit_socket.0)),
    })
}

fn docker(sd: &mut raw::DockerSd, cx: &mut Cx<'_>) -> SdConfig {
    let http = client::of_source(&mut sd.http, cx);
    let host = if sd.host.0.is_empty() { &[][..] } else { std::slice::from_ref(&sd.host) };
    if host.is_empty() && !sd.at.failed("host") {
        cx.error(sd.at.key("host"), "host missing");
    }
    cx.within("host", |cx| hosts(host, "host", &sd.http, &http, cx));
    let engine = engine(sd.port, &sd.filters, sd.refresh_interval, host, &sd.at, http, cx);
    SdConfig::Docker(DockerConfig {
        engine,
        host_networking_host: sd.host_networking_host.clone(),
        match_first_network: sd.match_first_network,
    })
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

fn dns(sd: &mut raw::DnsSd, cx: &mut Cx<'_>) -> SdConfig {
    if sd.names.is_empty() && !sd.at.failed("names") {
        let text = "DNS-SD config must contain at least one SRV record name";
        cx.error(sd.at.key("names"), text);
    }
    // What is wrong is noted: the type that stands in for it is never used.
    let record_type = match sd.r#type.to_uppercase().as_str() {
        "SRV" => RecordType::Srv,
        "A" => RecordType::A,
        "AAAA" => RecordType::Aaaa,
        "MX" => RecordType::Mx,
        "NS" => RecordType::Ns,
        _ => {
            cx.error(sd.at.key("type"), format!("invalid DNS-SD records type {}", sd.r#type));
            RecordType::Srv
        }
    };
    if record_type != RecordType::Srv && sd.port == 0 && !sd.at.failed("port") {
        let text = "a port is required in DNS-SD configs for all record types except SRV";
        cx.error(sd.at.key("port"), text);
    }
    let port = port(sd.port, &sd.at, cx);
    refresh_interval(sd.refresh_interval, &sd.at, cx);
    let names = sd.names.clone();
    SdConfig::Dns(DnsConfig { names, record_type, port, refresh_interval: sd.refresh_interval })
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
