//! The sources that the configuration file can name, checked and with defaults filled in.
//!
//! Equal values mean the same source: it then runs once, however many jobs name it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use swarmscout_docker::{EngineConfig, Filter};
use swarmscout_model::{Budget, Labels, PromDuration};
use swarmscout_net::{HttpConfig, redact_url, without_password};
use swarmscout_refresh::RefreshContext;
use swarmscout_refresh::supervisor::Pace;
use swarmscout_swarm::Source;
pub use swarmscout_swarm::{Events, Following, Role};

use crate::figures::Figures;
use crate::source::dns::Resolver;
use crate::source::nodelist::Location;
use crate::storage::Storage;
use crate::{BoxDiscoverer, Error};

/// A source of targets, as the configuration file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SdConfig {
    /// `static_configs`: all groups of one job.
    Static(StaticConfig),
    /// One of `file_sd_configs`.
    File(FileConfig),
    /// One of `http_sd_configs`.
    Http(HttpSdConfig),
    /// One of `swarm_sd_configs` with `masters`: classic Swarm.
    Classic(ClassicConfig),
    /// One of `swarm_sd_configs` with `discovery`: classic Swarm's own list of nodes.
    NodeList(NodeListConfig),
    /// One of `dockerswarm_sd_configs`.
    DockerSwarm(DockerSwarmConfig),
    /// One of `docker_sd_configs`.
    Docker(DockerConfig),
    /// One of `dns_sd_configs`.
    Dns(DnsConfig),
    /// A discoverer of the program that uses this crate. No configuration file names it.
    Custom(CustomConfig),
}

impl SdConfig {
    /// Prometheus' name of the mechanism: `dockerswarm`, `file`; classic Swarm's is `swarm`.
    pub const fn mechanism(&self) -> &'static str {
        match self {
            Self::Static(_) => "static",
            Self::File(_) => "file",
            Self::Http(_) => "http",
            Self::Classic(_) | Self::NodeList(_) => "swarm",
            Self::DockerSwarm(_) => "dockerswarm",
            Self::Docker(_) => "docker",
            Self::Dns(_) => "dns",
            Self::Custom(config) => config.mechanism,
        }
    }

    /// How often to look without being told of a change. `None`: one look is enough.
    pub fn refresh_interval(&self) -> Option<PromDuration> {
        match self {
            // Both stand in the configuration file itself.
            Self::Static(_)
            | Self::NodeList(NodeListConfig { location: Location::Nodes(_), .. }) => None,
            Self::File(config) => Some(config.refresh_interval),
            Self::Http(config) => Some(config.refresh_interval),
            Self::Classic(config) => Some(config.refresh_interval),
            Self::NodeList(config) => Some(config.refresh_interval),
            Self::DockerSwarm(config) => Some(config.engine.refresh_interval),
            Self::Docker(config) => Some(config.engine.refresh_interval),
            Self::Dns(config) => Some(config.refresh_interval),
            Self::Custom(config) => config.refresh_interval,
        }
    }

    /// What is asked, for people, without secrets: `unix:///var/run/docker.sock role tasks`.
    pub fn what(&self) -> Arc<str> {
        let what = match self {
            Self::Static(config) => match config.groups.len() {
                1 => "1 group".to_owned(),
                groups => format!("{groups} groups"),
            },
            Self::File(config) => {
                let files: Vec<_> =
                    config.files.iter().map(|file| file.to_string_lossy()).collect();
                files.join(", ")
            }
            Self::Http(config) => without_password(&config.url),
            Self::Classic(config) => without_passwords(&config.masters),
            Self::NodeList(config) => config.location.to_string(),
            Self::DockerSwarm(config) => config.what(),
            Self::Docker(config) => config.engine.what(),
            Self::Dns(config) => config.what(),
            Self::Custom(config) => return config.what.clone(),
        };
        what.into()
    }

    /// Whether it is read from this machine: from a file or, of several hosts, from a unix socket.
    pub fn is_local(&self) -> bool {
        let is_socket = |host: &String| host.starts_with("unix://");
        match self {
            Self::Static(_) | Self::File(_) => true,
            Self::NodeList(config) => {
                matches!(config.location, Location::File(_) | Location::Nodes(_))
            }
            Self::Classic(config) => config.masters.iter().any(is_socket),
            Self::DockerSwarm(config) => config.engine.is_local(),
            Self::Docker(config) => config.engine.is_local(),
            Self::Http(_) | Self::Dns(_) | Self::Custom(_) => false,
        }
    }

    /// When to look at it, and for how long.
    pub fn pace(&self, context: &RefreshContext) -> Pace {
        match self.refresh_interval() {
            Some(interval) => Pace::asking(self.hosts(), self.is_local(), interval, context),
            None => Pace::once(self.is_local()),
        }
    }

    /// How many servers one look may have to try, one after the other.
    pub const fn hosts(&self) -> usize {
        match self {
            Self::Classic(config) => config.masters.len(),
            Self::NodeList(NodeListConfig { location: Location::Store(servers), .. }) => {
                servers.addresses.len()
            }
            Self::DockerSwarm(config) => config.engine.hosts.len(),
            Self::Docker(config) => config.engine.hosts.len(),
            Self::Static(_)
            | Self::File(_)
            | Self::Http(_)
            | Self::NodeList(_)
            | Self::Dns(_)
            | Self::Custom(_) => 1,
        }
    }
}

fn without_passwords(urls: &[String]) -> String {
    let urls: Vec<_> = urls.iter().map(|url| without_password(url)).collect();
    urls.join(", ")
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
#[derive(Clone, PartialEq, Eq)]
pub struct HttpSdConfig {
    /// As written.
    pub url: String,
    /// Default 60s.
    pub refresh_interval: PromDuration,
    /// How to talk to it.
    pub http: HttpConfig,
}

/// One of `swarm_sd_configs` with `masters`.
#[derive(Clone, PartialEq, Eq)]
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

/// One of `swarm_sd_configs` with `discovery`.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeListConfig {
    /// Where the list is.
    pub location: Location,
    /// How etcd is spoken to.
    pub etcd_api: EtcdApi,
    /// The URL of the service that knows `token://`, as written.
    pub token_url: Option<String>,
    /// Default 60s; changes that the place tells of are seen at once.
    pub refresh_interval: PromDuration,
    /// Port of cAdvisor on masters and nodes, default `8070`.
    pub metrics_port: String,
    /// How to talk to etcd, Consul and the service of tokens.
    pub http: HttpConfig,
}

/// `etcd_api`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EtcdApi {
    /// The keys API, which is what Swarm itself speaks.
    #[default]
    V2,
    /// The JSON gateway of version 3.
    V3,
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
    /// How to learn of changes.
    pub events: Events,
    /// SwarmKit's control socket, where it is not beside the Engine's.
    pub swarmkit_socket: Option<PathBuf>,
}

impl DockerSwarmConfig {
    /// What is asked, for people, without secrets: `unix:///var/run/docker.sock role tasks`.
    pub fn what(&self) -> String {
        format!("{} role {}", self.engine.what(), self.role.as_str())
    }

    /// The Swarm that it reads.
    pub fn swarm(&self) -> Source {
        Source::new(&self.engine, self.events, self.swarmkit_socket.clone())
    }
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

/// One of `dns_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// As written, at least one.
    pub names: Vec<String>,
    /// What is asked for. Default SRV.
    pub record_type: RecordType,
    /// Port of targets whose records have none: of all but SRV.
    pub port: u16,
    /// Default 30s.
    pub refresh_interval: PromDuration,
}

impl DnsConfig {
    /// So many names are shown.
    const SHOWN: usize = 5;

    fn what(&self) -> String {
        let shown: Vec<_> = self.names.iter().take(Self::SHOWN).map(String::as_str).collect();
        let what = format!("{} of {}", self.record_type.as_str(), shown.join(", "));
        match self.names.len() - shown.len() {
            0 => what,
            others => format!("{what} and {others} more"),
        }
    }
}

/// `type` of `dns_sd_configs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RecordType {
    /// Hosts and ports.
    #[default]
    Srv,
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail servers.
    Mx,
    /// Name servers.
    Ns,
}

impl RecordType {
    /// As it is written in the configuration file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Srv => "SRV",
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Mx => "MX",
            Self::Ns => "NS",
        }
    }
}

/// Shows no password of a URL.
impl fmt::Debug for HttpSdConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSdConfig")
            .field("url", &redact_url(&self.url))
            .field("refresh_interval", &self.refresh_interval)
            .field("http", &self.http)
            .finish()
    }
}

/// Shows no password of a URL.
impl fmt::Debug for ClassicConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassicConfig")
            .field("masters", &redact_all(&self.masters))
            .field("refresh_interval", &self.refresh_interval)
            .field("metrics_port", &self.metrics_port)
            .field("http", &self.http)
            .finish()
    }
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

fn redact_all(urls: &[String]) -> Vec<String> {
    urls.iter().map(|url| redact_url(url)).collect()
}

/// A discoverer that is not among those of the configuration file.
#[derive(Clone)]
pub struct CustomConfig {
    /// Name of the mechanism, for logs and metrics.
    pub mechanism: &'static str,
    /// What is asked, for people, without secrets.
    pub what: Arc<str>,
    /// `None`: one good look is enough.
    pub refresh_interval: Option<PromDuration>,
    /// Makes the discoverer. Called again after it failed or after the discoverer panicked.
    pub build: BuildCustom,
}

/// Makes a discoverer of the program that uses this crate.
pub type BuildCustom = Arc<dyn Fn(&BuildContext) -> Result<BoxDiscoverer, Error> + Send + Sync>;

/// The same source if it is made by the very same function and looked at as often.
impl PartialEq for CustomConfig {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.build, &other.build)
            && self.mechanism == other.mechanism
            && self.what == other.what
            && self.refresh_interval == other.refresh_interval
    }
}

impl Eq for CustomConfig {}

impl fmt::Debug for CustomConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomConfig")
            .field("mechanism", &self.mechanism)
            .field("what", &self.what)
            .field("refresh_interval", &self.refresh_interval)
            .finish_non_exhaustive()
    }
}

/// What every source is built with, besides its configuration. Cheap to clone; clones share all.
#[derive(Clone, Debug)]
pub struct BuildContext {
    /// What every discoverer is built with.
    pub refresh: RefreshContext,
    /// What is counted along the way.
    pub figures: Arc<Figures>,
    /// What all sources and lists may hold together.
    pub budget: Budget,
    /// How names of the DNS are looked up.
    pub dns: Arc<Resolver>,
    /// How long a Swarm's watch is trusted, and when a stream that ended is begun again.
    pub following: Following,
    /// How long the sources of a job have to answer before the job is served without those that
    /// have not: since the manager was made, or since the reload that changed the job.
    pub startup_timeout: Duration,
    /// Where what sources find is kept over a restart, if anywhere.
    pub storage: Option<Storage>,
}

/// Default of [`BuildContext::startup_timeout`].
pub const STARTUP_TIMEOUT: Duration = Duration::from_secs(30);

impl BuildContext {
    /// A context with figures at zero, without tasks and without a limit for memory, that asks the
    /// name servers of `/etc/resolv.conf`.
    pub fn new(user_agent: impl Into<Arc<str>>) -> Self {
        let refresh = RefreshContext::new(user_agent);
        let figures = Figures::new(Arc::clone(&refresh.stats));
        Self {
            refresh,
            figures: Arc::new(figures),
            budget: Budget::unlimited(),
            dns: Arc::new(Resolver::new("/etc/resolv.conf")),
            following: Following::default(),
            startup_timeout: STARTUP_TIMEOUT,
            storage: None,
        }
    }
}
