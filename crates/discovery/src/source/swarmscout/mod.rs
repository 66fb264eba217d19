//! `swarmscout_sd_configs`: services say in their labels how they are scraped.
//!
//! ```text
//! tasks ─Slots→ one task for each slot ┐
//! labels ─settings::declared, presets→ ├─ address::choose, targets → groups
//! networks of the scraper ─────────────┘
//! ```
//!
//! The middle is pure: `finder::EndpointFinder` makes groups of a snapshot, of the
//! options, and of the `surroundings::Surroundings`, which only its own task asks
//! for.

mod address;
mod config;
mod engines;
mod explain;
mod finder;
mod keys;
mod nodes;
mod options;
mod own_container;
mod presets;
mod probes;
pub(crate) mod settings;
mod slots;
mod state;
mod surroundings;
mod targets;

use std::sync::Arc;

use swarmscout_model::CanonicalGroups;
use swarmscout_refresh::supervisor::Supervised;
use swarmscout_swarm::{Reader, Subscription};
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

pub use self::config::{
    CopiedLabel, Reach, Scraper, SwarmscoutConfig, SwarmscoutOptions, UnreachableTargets,
};
pub use self::engines::PlainEngineConfig;
pub use self::explain::{ServiceSettings, SettingLabel};
pub use self::keys::SwarmscoutSdKeys;
pub use self::own_container::OwnContainer;
pub use self::presets::Preset;

use self::finder::EndpointFinder;
use self::surroundings::{ContainerQuery, Scout};
use crate::Error;
use crate::config::BuildContext;
use crate::source::SourceConfig;
use crate::source::dockerswarm::DockerSwarm;
use crate::source::replica::{self, Beside, Details, ReplicaSpec};

/// What the source keys of all groups begin with.
const SOURCE: &str = "Swarmscout";

/// What every source of this kind reads of its Swarm.
pub(crate) fn reader() -> Reader {
    finder::reader()
}

/// Starts a source in the snapshots of a Swarm. `job` is the job that starts it, for the log.
pub(crate) fn start(
    config: &SwarmscoutConfig,
    job: &Arc<str>,
    swarm: Subscription,
    context: &BuildContext,
) -> (Supervised<CanonicalGroups>, watch::Receiver<Details>) {
    let (publish, surroundings) = watch::channel(Arc::default());
    let changed = Arc::new(Notify::new());
    let scout = Scout::new(swarm.last_good(), publish, Arc::clone(&changed));
    let options = config.options.clone();
    let own_container = context.own_container.clone();
    let is_here = options.scraper == Scraper::Here;
    let query = own_container.clone().filter(|_| is_here);
    let query = query.map(|container| ContainerQuery::new(container, &config.engine, context));
    let with_dockerd = options::Options::new(&options).of_program(context).lists_nodes();
    let node_ports = (options.reach == Reach::Node).then(|| context.node_ports.clone());
    let task = context.refresh.tasks.spawn(scout.run(with_dockerd, query, node_ports));
    let beside = Beside { changed, _task: AbortOnDropHandle::new(task) };
    let of_finder = context.clone();
    let finder =
        move || Box::new(EndpointFinder::new(&options, surroundings.clone(), &of_finder)) as Box<_>;
    let spec = ReplicaSpec {
        mechanism: config.mechanism(),
        job: Arc::clone(job),
        what: config.describe(),
        swarm,
        finder: Box::new(finder),
        beside: Some(beside),
    };
    replica::start(spec, context)
}

/// A source that shares its Swarm with no other source. It knows the networks of this program's
/// container only if that is a task, and no Engine that serves metrics.
fn alone(config: &SwarmscoutConfig, context: &BuildContext) -> Result<DockerSwarm, Error> {
    let surroundings = watch::channel(Arc::default()).1;
    let finder = EndpointFinder::new(&config.options, surroundings, context);
    let what = config.engine.describe();
    DockerSwarm::of(&config.swarm(), &what, &reader(), Box::new(finder), context)
}
