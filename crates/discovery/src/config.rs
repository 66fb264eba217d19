//! The sources that the configuration file can name, checked and with defaults filled in.
//!
//! Equal values mean the same source: it then runs once, however many jobs name it.

use std::path::PathBuf;
use std::sync::Arc;

use swarmscout_model::{Labels, PromDuration};
use swarmscout_net::HttpConfig;

/// A source of targets, as the configuration file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SdConfig {
    /// `static_configs`: all groups of one job.
    Static(StaticConfig),
    /// One of `file_sd_configs`.
    File(FileConfig),
    /// One of `http_sd_configs`.
    Http(HttpSdConfig),
    /// One of `swarm_sd_configs`: classic Swarm.
    Classic(ClassicConfig),
    /// One of `dockerswarm_sd_configs`.
    DockerSwarm(DockerSwarmConfig),
    /// One of `docker_sd_configs`.
    Docker(DockerConfig),
}

impl SdConfig {
    /// Prometheus' name of the mechanism: `dockerswarm`, `file`; classic Swarm's is `swarm`.
    pub fn mechanism(&self) -> &'static str {
        match self {
            Self::Static(_) => "static",
            Self::File(_) => "file",
            Self::Http(_) => "http",
            Self::Classic(_) => "swarm",
            Self::DockerSwarm(_) => "dockerswarm",
            Self::Docker(_) => "docker",
        }
    }

    /// How often to look without being told of a change. `None`: one look is enough.
    pub fn refresh_interval(&self) -> Option<PromDuration> {
        match self {
            Self::Static(_) => None,
            Self::File(config) => Some(config.refresh_interval),
            Self::Http(config) => Some(config.refresh_interval),
            Self::Classic(config) => Some(config.refresh_interval),
            Self::DockerSwarm(config) => Some(config.engine.refresh_interval),
            Self::Docker(config) => Some(config.engine.refresh_interval),
        }
    }
}

/// `static_configs`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaticConfig {
    /// The groups in the order of the file; the index is the group's source.
    pub groups: Vec<StaticGroup>,
}

/// One of `static_configs`, and one group of file or HTTP SD.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaticGroup {
    /// `host:port` each.
    pub targets: Vec<String>,
    /// Labels of all targets.
    pub labels: Labels,
}

/// One of `file_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileConfig {
    /// Paths, absolute or relative to the configuration file and joined to its folder already; the
    /// last element may hold one `*`.
    pub files: Vec<PathBuf>,
    /// Default 5m.
    pub refresh_interval: PromDuration,
}

/// One of `http_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSdConfig {
    /// As written.
    pub url: String,
    /// Default 60s.
    pub refresh_interval: PromDuration,
    /// How to talk to it.
    pub http: HttpConfig,
}

/// One of `swarm_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicConfig {
    /// URLs as written, at least one.
    pub masters: Vec<String>,
    /// Default 1s.
    pub refresh_interval: PromDuration,
    /// Port of cAdvisor on masters and nodes, default `8070`.
    pub metrics_port: String,
    /// How to talk to the masters.
    pub http: HttpConfig,
}

/// What the two sources that talk to a Docker Engine share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// URLs as written, at least one; tried in this order.
    pub hosts: Vec<String>,
    /// Port of targets without a published one, default 80.
    pub port: u16,
    /// In the order of the file.
    pub filters: Vec<Filter>,
    /// Default 60s.
    pub refresh_interval: PromDuration,
    /// How to talk to `http` and `https` hosts.
    pub http: HttpConfig,
}

/// One of `filters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// `label`, `desired-state`, …
    pub name: String,
    /// Any of these.
    pub values: Vec<String>,
}

/// One of `dockerswarm_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerSwarmConfig {
    /// Where and how to ask.
    pub engine: EngineConfig,
    /// What becomes a target.
    pub role: Role,
    /// Only the first attachment by network name gives targets. Default false.
    pub match_first_network: bool,
    /// Which port goes with an address on an overlay network.
    pub overlay_port: OverlayPort,
    /// How to learn of changes. Checked; used when the watch exists.
    pub events: Events,
    /// SwarmKit's control socket. Checked; used when the watch exists.
    pub swarmkit_socket: Option<PathBuf>,
}

/// `role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A target for each virtual IP and port of a service.
    Services,
    /// A target for each address and port of a task.
    Tasks,
    /// A target for each node.
    Nodes,
}

/// `overlay_port`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OverlayPort {
    /// The published port, as Prometheus does.
    #[default]
    Published,
    /// The port that the container listens on.
    Target,
}

/// `events`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Events {
    /// The best that is there.
    #[default]
    Auto,
    /// SwarmKit's watch.
    Watch,
    /// The Engine's events.
    Events,
    /// Neither.
    Poll,
}

/// One of `docker_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerConfig {
    /// Where and how to ask. Exactly one host.
    pub engine: EngineConfig,
    /// Address of containers on the host's network, default `localhost`.
    pub host_networking_host: String,
    /// Only the first network by name gives targets. Default true.
    pub match_first_network: bool,
}

/// What every source is built with, besides its configuration.
#[derive(Clone, Debug)]
pub struct BuildContext {
    /// `User-Agent` of all requests.
    pub user_agent: Arc<str>,
}
