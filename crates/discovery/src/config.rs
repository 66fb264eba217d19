//! The sources that the configuration file can name, checked and with defaults filled in, and what
//! they are built with.
//!
//! Equal values mean the same source: it then runs once, however many jobs name it.

use std::sync::Arc;
use std::time::Duration;

pub use swarmscout_docker::{EngineConfig, Filter};
use swarmscout_model::Budget;
use swarmscout_refresh::RefreshContext;
pub use swarmscout_swarm::{Events, Following, Role};

use crate::figures::Figures;
pub use crate::source::classic::ClassicConfig;
pub use crate::source::custom::{BuildCustom, CustomConfig};
use crate::source::dns::Resolver;
pub use crate::source::dns::{DnsConfig, RecordType};
pub use crate::source::docker::DockerConfig;
pub use crate::source::dockerswarm::{DockerSwarmConfig, OverlayPort};
pub use crate::source::file::FileConfig;
pub use crate::source::http::HttpSdConfig;
pub use crate::source::nodelist::{EtcdApi, NodeListConfig};
pub use crate::source::static_configs::{StaticConfig, StaticGroup};
pub use crate::source::{SdConfig, SourceConfig};
use crate::storage::Storage;

/// What every source is built with, in addition to its configuration. Cheap to clone; clones share
/// all.
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
    /// How long a Swarm's watch is trusted, and when a stream that ended is opened again.
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
