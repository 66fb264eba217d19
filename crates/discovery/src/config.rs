//! The configurations of sources, checked and with defaults, and the context that sources are built
//! with.
//!
//! Equal configurations are the same source: it runs once, however many jobs name it.

use std::sync::Arc;
use std::time::Duration;

pub use swarmscout_docker::{EngineConfig, Filter};
use swarmscout_model::{Budget, Labels};
use swarmscout_refresh::RefreshContext;
use swarmscout_swarm::NodePorts;
pub use swarmscout_swarm::{Events, Following, Role};
use tokio::sync::watch;

pub use crate::source::configs::*;
pub use crate::source::custom::{BuildCustom, CustomConfig};
pub use crate::source::dns::RecordType;
use crate::source::dns::Resolver;
pub use crate::source::dockerswarm::OverlayPort;
pub use crate::source::nodelist::EtcdApi;
pub use crate::source::static_configs::StaticGroup;
pub use crate::source::swarmscout::{
    CopiedLabel, OwnContainer, Preset, Reach, Scraper, SwarmscoutOptions, UnreachableTargets,
};
pub use crate::source::{SdConfig, SourceConfig};
use crate::stats::DiscoveryStats;
use crate::storage::Storage;

/// What every source is built with, in addition to its configuration. Cheap to clone; clones share
/// everything.
#[derive(Clone, Debug)]
pub struct BuildContext {
    /// What every discoverer is built with.
    pub refresh: RefreshContext,
    /// The counters of discovery.
    pub stats: Arc<DiscoveryStats>,
    /// The resolver of all DNS sources.
    pub dns: Arc<Resolver>,
    /// How long a Swarm's watch is trusted, and when a stream that ended is opened again.
    pub following: Following,
    /// Whether all that a Swarm has is read, for state metrics.
    pub state_metrics: bool,
    /// Labels of every target of every job that has none of that name: `cluster`.
    pub common_labels: Labels,
    /// Labels of services and nodes that targets of `swarmscout_sd_configs` have, too.
    pub copied_labels: Arc<[CopiedLabel]>,
    /// Presets that make no target, whatever the configuration file says.
    pub presets_off: Arc<[Preset]>,
    /// Whether the addresses in use on networks are read for them too.
    pub network_status: bool,
    /// Where the parts of this program on nodes listen, those that have registered another port.
    pub node_ports: watch::Receiver<Arc<NodePorts>>,
    /// The container that this program runs in, if it is known: it says which networks the program
    /// shares with others.
    pub own_container: Option<OwnContainer>,
    /// How long the sources of a job have to answer before it is served without the missing ones.
    /// The time starts with the manager, or with the reload that changed the job.
    pub startup_timeout: Duration,
    /// Keeps the targets of sources across a restart, if configured.
    pub storage: Option<Storage>,
}

/// Default of [`BuildContext::startup_timeout`].
pub const STARTUP_TIMEOUT: Duration = Duration::from_secs(30);

impl BuildContext {
    /// A context with counters at zero, without tasks and without a memory limit, with the name
    /// servers of `/etc/resolv.conf`.
    pub fn new(user_agent: impl Into<Arc<str>>) -> Self {
        let refresh = RefreshContext::new(user_agent);
        let stats = DiscoveryStats::new(Arc::clone(&refresh.stats));
        Self {
            refresh,
            stats: Arc::new(stats),
            dns: Arc::new(Resolver::new("/etc/resolv.conf")),
            following: Following::default(),
            state_metrics: false,
            common_labels: Labels::empty(),
            copied_labels: Arc::default(),
            presets_off: Arc::default(),
            network_status: false,
            node_ports: watch::channel(Arc::default()).1,
            own_container: None,
            startup_timeout: STARTUP_TIMEOUT,
            storage: None,
        }
    }

    /// The same, with this limit of the memory that all sources and lists may hold together.
    #[must_use]
    pub fn within(mut self, budget: Budget) -> Self {
        self.refresh.budget = budget;
        self
    }
}
