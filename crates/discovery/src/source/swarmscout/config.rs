//! The configuration of `swarmscout_sd_configs`.

use std::path::PathBuf;
use std::sync::Arc;

use swarmscout_docker::EngineConfig;
use swarmscout_model::PromDuration;
use swarmscout_swarm::{Events, Source};

use super::presets::Preset;
use super::settings::dialects::DIALECTS;
use crate::config::BuildContext;
use crate::source::SourceConfig;
use crate::storage::Identity;
use crate::{BoxDiscoverer, Error};

/// One of `swarmscout_sd_configs` with `hosts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwarmscoutConfig {
    /// The managers of the Swarm, and how to query them. It has neither a port nor filters.
    pub engine: EngineConfig,
    /// How to learn of changes.
    pub events: Events,
    /// SwarmKit's control socket, where it is not beside the Engine's.
    pub swarmkit_socket: Option<PathBuf>,
    /// Which targets are made of the Swarm.
    pub options: SwarmscoutOptions,
}

/// Which targets are made of what runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwarmscoutOptions {
    /// What our labels begin with.
    pub label_prefix: String,
    /// The names of other programs' labels that count, in this order.
    pub dialects: Vec<String>,
    /// Only services of these stacks. Empty: all.
    pub stacks: Vec<String>,
    /// Only services of these names. Empty: all.
    pub services: Vec<String>,
    /// Where the scraper is.
    pub scraper: Scraper,
    /// What to do with targets that the scraper does not reach.
    pub unreachable: UnreachableTargets,
    /// Who fetches from tasks.
    pub reach: Reach,
    /// What is scraped without labels.
    pub presets: Vec<Preset>,
    /// Only endpoints of this class. Empty: endpoints of other classes have lists of their own.
    pub class: String,
}

/// A label of services and nodes that their targets have, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedLabel {
    /// As Docker has it: `com.example.team`.
    pub key: Arc<str>,
    /// The name of the label of targets: `com_example_team`.
    pub name: Arc<str>,
}

/// Where the scraper is: that decides which addresses it reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scraper {
    /// Where this program is.
    #[default]
    Here,
    /// In these networks, by name or ID.
    Networks(Vec<Arc<str>>),
    /// Where the tasks of this service are, by name.
    Service(Arc<str>),
}

/// `unreachable`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UnreachableTargets {
    /// They are listed, with the reason in a label.
    #[default]
    Keep,
    /// They are left out, and reported.
    Drop,
}

impl UnreachableTargets {
    /// As it is written in the configuration file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Drop => "drop",
        }
    }
}

/// `reach`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reach {
    /// The scraper itself.
    #[default]
    Direct,
    /// The part of this program on the node of the task, for the scraper.
    Node,
}

impl Reach {
    /// As it is written in the configuration file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Node => "node",
        }
    }
}

impl SwarmscoutConfig {
    /// The Swarm that it reads.
    pub fn swarm(&self) -> Source {
        Source::new(&self.engine, self.events, self.swarmkit_socket.clone())
    }
}

/// The defaults of the configuration file.
impl Default for SwarmscoutOptions {
    fn default() -> Self {
        Self {
            label_prefix: "prometheus.io/".to_owned(),
            dialects: DIALECTS.iter().map(|dialect| dialect.name.to_owned()).collect(),
            stacks: Vec::new(),
            services: Vec::new(),
            scraper: Scraper::default(),
            unreachable: UnreachableTargets::default(),
            reach: Reach::default(),
            presets: Preset::ALL.into(),
            class: String::new(),
        }
    }
}

impl SwarmscoutOptions {
    /// The options that are not as usual, for the display name.
    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        for (key, values) in [("stacks", &self.stacks), ("services", &self.services)] {
            if !values.is_empty() {
                text.extend([" ", key, " ", &values.join(", ")]);
            }
        }
        if !self.class.is_empty() {
            text.extend([" class ", &*self.class]);
        }
        text
    }

    pub(super) fn identify(&self, identity: &mut Identity) {
        let Self { label_prefix, dialects, stacks, services, scraper, .. } = self;
        identity.add(label_prefix);
        let presets: Vec<_> =
            self.presets.iter().map(|preset| preset.as_str().to_owned()).collect();
        let (networks, scraper) = match scraper {
            Scraper::Here => (Vec::new(), ""),
            Scraper::Networks(names) => (names.iter().map(ToString::to_string).collect(), ""),
            Scraper::Service(name) => (Vec::new(), &**name),
        };
        for (key, values) in [
            ("dialects", dialects),
            ("stacks", stacks),
            ("services", services),
            ("presets", &presets),
            ("networks", &networks),
        ] {
            identity.add(key);
            for value in values {
                identity.add(value);
            }
        }
        identity.add("scraper");
        identity.add(scraper);
        identity.add(self.unreachable.as_str());
        identity.add(self.reach.as_str());
        identity.add(&self.class);
    }
}

impl SourceConfig for SwarmscoutConfig {
    fn mechanism(&self) -> &'static str {
        "swarmscout"
    }

    fn describe(&self) -> String {
        self.engine.describe() + &self.options.describe()
    }

    fn refresh_interval(&self) -> Option<PromDuration> {
        Some(self.engine.refresh_interval)
    }

    fn engine(&self) -> Option<&EngineConfig> {
        Some(&self.engine)
    }

    fn identity(&self) -> Option<Identity> {
        let mut identity = Identity::new("swarmscout");
        self.options.identify(&mut identity);
        identity.engine(&self.engine);
        Some(identity)
    }

    fn build(&self, context: &BuildContext) -> Result<BoxDiscoverer, Error> {
        Ok(Box::new(super::alone(self, context)?))
    }
}
