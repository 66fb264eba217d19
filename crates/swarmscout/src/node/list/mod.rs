//! The list of this node's own containers, where there is no manager: the job `swarm` of the program, for
//! one Engine.
//!
//! ```text
//!  Engine ─lists→ job swarm ─▸ /sd/swarm ─▸ Prometheus
//!    └─ events ─▸ facts ─┴─▸ what reach may fetch
//! ```
//!
//! **Invariant: what reach may fetch is what the list has.** Both are made of the same set of targets.

mod answer;
mod containers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use swarmscout_discovery::config::{
    BuildContext, CustomConfig, EngineConfig, OwnContainer, PlainEngineConfig, SwarmscoutOptions,
};
use swarmscout_discovery::manager::Job;
use swarmscout_discovery::{
    BoxDiscoverer, BoxFuture, Discoverer, Error, Groups, JobConfig, Manager, RefreshScope,
    Refreshed, SdConfig,
};
use swarmscout_model::TargetSet;
use swarmscout_node::facts::{ContainerState, Facts, FactsSet};
use swarmscout_reach::Reachable;
use swarmscout_refresh::RefreshContext;
use swarmscout_refresh::problems::NO_LABELS;
use swarmscout_swarm::Snapshot;
use tokio::sync::watch;

pub(super) use self::answer::{index, job};
use super::places::Places;
use crate::detect::SUCCESSOR;

/// Containers that start, end or get another network within this time are listed together.
const TOGETHER: Duration = Duration::from_millis(500);

/// How long a list needs no other one while no such thing happens. Each costs milliseconds, here and in
/// dockerd, and a node part is to cost nothing between scrapes.
const LIST_LASTS: Duration = Duration::from_mins(10);

/// The job of this node's containers.
#[derive(Debug)]
pub(super) struct OwnList {
    job: Job,
    /// The node part's own ports: a container that listens there on the host's network is this one.
    ports: Arc<[u16]>,
    /// Whether this process is in the host's network, from where it reaches containers.
    has_way: bool,
    /// For those who read it.
    places: Places<answer::Listing>,
    _manager: Manager,
}

/// What the list is made from.
pub(super) struct ListSpec {
    /// The Engine of this node.
    pub(super) engine: EngineConfig,
    /// What is known of its containers. A change makes a refresh sooner.
    pub(super) facts: watch::Receiver<Arc<FactsSet>>,
    /// See [`OwnList`].
    pub(super) ports: Arc<[u16]>,
    /// See [`OwnList`].
    pub(super) has_way: bool,
}

impl OwnList {
    /// Starts to list. The future publishes what reach may fetch, as long as it runs.
    pub(super) fn start(
        spec: ListSpec,
        context: &RefreshContext,
        reachable: watch::Sender<Arc<Reachable>>,
    ) -> (Self, impl Future<Output = ()> + use<>) {
        let ListSpec { engine, facts, ports, has_way } = spec;
        let mut build = BuildContext::new(Arc::clone(&context.user_agent));
        build.refresh = context.clone();
        build.own_container = OwnContainer::read();
        let (containers, snapshots) = watch::channel(Snapshot::default());
        let mut manager = Manager::new(build);
        let source = source(engine, facts.clone(), containers);
        manager.apply(vec![JobConfig::new(SUCCESSOR, vec![source])]);
        let job = manager.jobs().borrow().first().cloned().expect("one job was applied");
        let own_ports = Arc::clone(&ports);
        let publish = publish(job.set.clone(), snapshots, facts, reachable, own_ports);
        (Self { job, ports, has_way, places: Places::default(), _manager: manager }, publish)
    }

    /// The newest targets.
    fn set(&self) -> Arc<TargetSet> {
        Arc::clone(&self.job.set.borrow())
    }

    /// How many targets it has, and how long ago the Engine confirmed them. `None` before the Engine
    /// has answered.
    pub(super) fn state(&self) -> Option<(usize, Duration)> {
        let as_of = self.job.status.borrow().sources.first()?.as_of?;
        Some((self.set().counts.active, Instant::now().saturating_duration_since(as_of)))
    }
}

/// The Engine as a source of targets, listed again soon after a container started, ended or got another
/// network.
fn source(
    engine: EngineConfig,
    facts: watch::Receiver<Arc<FactsSet>>,
    containers: watch::Sender<Snapshot>,
) -> SdConfig {
    let (display_name, interval) = (engine.describe(), engine.refresh_interval);
    let config = PlainEngineConfig { engine, node: None, options: SwarmscoutOptions::default() };
    let build = move |context: &BuildContext| {
        let engine = config.build_for_node(context, containers.clone())?;
        let seen = BTreeMap::new();
        Ok(Box::new(FollowedEngine { engine, facts: facts.clone(), seen }) as BoxDiscoverer)
    };
    SdConfig::Custom(CustomConfig {
        mechanism: "swarmscout",
        display_name: display_name.into(),
        refresh_interval: Some(interval),
        build: Arc::new(build),
    })
}

/// The containers of an Engine, and when they were started.
struct FollowedEngine {
    engine: BoxDiscoverer,
    facts: watch::Receiver<Arc<FactsSet>>,
    /// Those that ran when it was listed last.
    seen: Running,
}

/// The containers that run, by their IDs: when each was started, and its networks.
type Running = BTreeMap<String, (Option<SystemTime>, Vec<String>)>;

impl FollowedEngine {
    fn running(&mut self) -> Running {
        let facts = Arc::clone(&self.facts.borrow_and_update());
        let all = facts.containers.values();
        let running = all.filter(|facts| facts.state == Some(ContainerState::Running));
        let seen = |facts: &Arc<Facts>| (facts.started, facts.networks.clone());
        running.map(|facts| (facts.id.clone(), seen(facts))).collect()
    }
}

impl Discoverer for FollowedEngine {
    type Error = Error;

    fn fetch(&mut self, scope: RefreshScope) -> BoxFuture<'_, Result<Refreshed<Groups>, Error>> {
        // Before the list: what starts meanwhile is a change.
        self.seen = self.running();
        let listed = self.engine.fetch(scope);
        Box::pin(async {
            let mut listed = listed.await?;
            // Many node parts are there for their metrics alone.
            listed.problems.retain(|problem| problem.reason != NO_LABELS);
            Ok(listed)
        })
    }

    fn next_refresh(&self) -> Option<Duration> {
        Some(LIST_LASTS)
    }

    fn changed(&mut self) -> BoxFuture<'_, RefreshScope> {
        Box::pin(async {
            while self.running() == self.seen {
                if self.facts.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            tokio::time::sleep(TOGETHER).await;
            RefreshScope::Full
        })
    }
}

/// Publishes what reach may fetch, whenever something changes that it depends on.
async fn publish(
    mut sets: watch::Receiver<Arc<TargetSet>>,
    mut snapshots: watch::Receiver<Snapshot>,
    mut facts: watch::Receiver<Arc<FactsSet>>,
    reachable: watch::Sender<Arc<Reachable>>,
    own_ports: Arc<[u16]>,
) {
    loop {
        let set = Arc::clone(&sets.borrow_and_update());
        let snapshot = snapshots.borrow_and_update().clone();
        let known = Arc::clone(&facts.borrow_and_update());
        let now = containers::reachable(&set, &snapshot, &known, &own_ports);
        reachable.send_replace(Arc::new(now));
        let ended = tokio::select! {
            changed = sets.changed() => changed.is_err(),
            changed = snapshots.changed() => changed.is_err(),
            changed = facts.changed() => changed.is_err(),
        };
        if ended {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
