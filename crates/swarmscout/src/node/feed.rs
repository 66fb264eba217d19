//! What a manager's answer means for the parts of a node: facts for metrics, what reach may fetch,
//! and whom to probe.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use swarmscout_node::ends::{Ends, Service};
use swarmscout_node::facts::{ContainerState, Facts, FactsSet, FactsSource, NetworkMode};
use swarmscout_node::task_ends::{EndedTask, LivingTask, TaskEnds};
use swarmscout_node::unavailable::Unavailable;
use swarmscout_node_tasks::{self as wire, Followed, NodeTasks, TaskEntry, TaskFeed};
use swarmscout_peers::{PeerList, PeerNode};
use swarmscout_reach::{ReachTarget, Reachable, ReachableTask};
use tokio::sync::watch;

use super::metrics::NodeIdentity;

/// Whom a feed reaches.
#[derive(Debug, Default)]
pub(super) struct Outlets {
    /// `None` where the Engine knows the facts.
    pub(super) metrics: Option<MetricsOutlet>,
    pub(super) reachable: watch::Sender<Arc<Reachable>>,
    pub(super) peers: watch::Sender<Arc<PeerList>>,
}

/// What metrics need of a manager.
#[derive(Debug)]
pub(super) struct MetricsOutlet {
    facts: watch::Sender<Arc<FactsSet>>,
    identity: watch::Sender<NodeIdentity>,
    ends: TaskEnds,
    unavailable: Arc<Unavailable>,
}

impl MetricsOutlet {
    /// Counts ends from now on.
    pub(super) fn new(
        facts: watch::Sender<Arc<FactsSet>>,
        identity: watch::Sender<NodeIdentity>,
        ends: Arc<Ends>,
        unavailable: Arc<Unavailable>,
    ) -> Self {
        let reason = "managers do not know what health checks say; give Docker's socket";
        unavailable.set("health", reason);
        Self { facts, identity, ends: TaskEnds::new(ends, Instant::now()), unavailable }
    }

    fn hand_on(&mut self, followed: &Followed, tasks: &NodeTasks, is_same: bool) {
        let before = Arc::clone(&self.facts.borrow());
        let as_of = followed.as_of.and_then(on_the_clock);
        if is_same {
            self.facts.send_replace(Arc::new(FactsSet { as_of, ..FactsSet::clone(&before) }));
            return;
        }
        let is_without = !tasks.lists_ended;
        let reason = "the manager lists running tasks only; start its Swarmscout with state metrics, \
                      which are on by default, or give Docker's socket";
        self.unavailable.note("exit_codes", is_without.then_some(reason));
        let ended: Vec<_> = tasks.ended().collect();
        let living = tasks.tasks.iter().filter(|task| !task.container.is_empty());
        self.ends.observe(
            (Instant::now(), SystemTime::now()),
            living.map(living_task),
            ended.iter().map(|(end, task)| ended_task(end, task)),
        );
        let containers = facts(tasks, &ended, &before);
        let source = Some(FactsSource::Manager);
        let facts = FactsSet { containers, source, as_of };
        self.ends.set_present(&facts);
        self.facts.send_replace(Arc::new(facts));
        self.identity.send_modify(|known| {
            known.node.node_id = Some(tasks.node.id.clone());
            known.node.node_name = Some(tasks.node.name.clone());
        });
    }
}

/// Hands every answer on, for ever.
pub(super) async fn hand_on(mut feed: TaskFeed, mut outlets: Outlets) {
    let mut known: Option<Arc<NodeTasks>> = None;
    loop {
        let followed = Arc::clone(&feed.borrow_and_update());
        if let Some(tasks) = &followed.tasks {
            let is_same = known.as_ref().is_some_and(|known| Arc::ptr_eq(known, tasks));
            if let Some(metrics) = &mut outlets.metrics {
                metrics.hand_on(&followed, tasks, is_same);
            }
            if !is_same {
                outlets.reachable.send_replace(Arc::new(reachable(tasks)));
                outlets.peers.send_replace(Arc::new(peers(tasks)));
                known = Some(Arc::clone(tasks));
            }
        }
        if feed.changed().await.is_err() {
            return;
        }
    }
}

fn living_task(task: &TaskEntry) -> LivingTask<'_> {
    let service = (!task.service_name.is_empty()).then(|| service_of(task));
    LivingTask { id: &task.id, service, has_process: task.pid > 0 }
}

fn ended_task<'a>(end: &wire::EndedTask, task: &'a TaskEntry) -> EndedTask<'a> {
    EndedTask {
        id: &task.id,
        container: &task.container,
        service: service_of(task),
        exit_code: exit_code(end),
        was_stopped: task.state == "shutdown",
        at: moment(task.state_since),
    }
}

fn exit_code(end: &wire::EndedTask) -> Option<i32> {
    end.exit_code.and_then(|code| i32::try_from(code).ok())
}

/// What its container belongs to: as its labels say, as with an engine.
fn service_of(task: &TaskEntry) -> Service {
    Service::of(|key| task.labels.get(key).map(String::as_str), Some(&task.name))
}

type FactsById = HashMap<String, Arc<Facts>>;

/// The facts of an answer. A container that did not change keeps those of `before`.
fn facts(
    tasks: &NodeTasks,
    ended: &[(&wire::EndedTask, TaskEntry)],
    before: &FactsSet,
) -> FactsById {
    let living = tasks.tasks.iter().filter(|task| !task.container.is_empty()).map(facts_of);
    let ended = ended.iter().filter(|(end, _)| !end.removed);
    let ended = ended.map(|(end, task)| facts_of_ended(task, exit_code(end)));
    let kept = |new: Facts| match before.containers.get(&new.id) {
        Some(known) if **known == new => Arc::clone(known),
        _ => Arc::new(new),
    };
    ended.chain(living).map(|new| (new.id.clone(), kept(new))).collect()
}

fn facts_of_ended(task: &TaskEntry, last_exit_code: Option<i32>) -> Facts {
    // One without a code was never started.
    let state = last_exit_code.map_or(ContainerState::Created, |_| ContainerState::Exited);
    Facts { state: Some(state), last_exit_code, ..facts_of(task) }
}

/// Microseconds since 1970; 0 means unknown.
fn moment(micros: i64) -> Option<SystemTime> {
    let micros = u64::try_from(micros).ok().filter(|micros| *micros > 0)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(micros))
}

fn on_the_clock(instant: Instant) -> Option<SystemTime> {
    SystemTime::now().checked_sub(instant.elapsed())
}

fn facts_of(task: &TaskEntry) -> Facts {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let is_running = task.state == "running";
    let has_network = !task.networks.is_empty();
    Facts {
        id: task.container.clone(),
        name: text(&task.name),
        image: text(&task.image),
        labels: task.labels.clone().into_iter().filter(|(_, value)| !value.is_empty()).collect(),
        pid: (task.pid > 0).then_some(task.pid),
        // Within a moment of the start of its container.
        started: moment(task.state_since).filter(|_| is_running),
        network: match (task.host_network, has_network) {
            (true, _) => Some(NetworkMode::Host),
            (false, true) => Some(NetworkMode::Own),
            (false, false) => None,
        },
        // Without a process, it waits for an earlier task to stop.
        state: Some(if is_running || task.pid > 0 {
            ContainerState::Running
        } else {
            ContainerState::Created
        }),
        ..Facts::default()
    }
}

fn reachable(tasks: &NodeTasks) -> Reachable {
    tasks.tasks.iter().filter(|task| !task.reach.is_empty()).map(reachable_task).collect()
}

fn reachable_task(task: &TaskEntry) -> ReachableTask {
    let is_internal = |task: &TaskEntry| task.networks.iter().all(|network| network.internal);
    let addresses = task.networks.iter().flat_map(|network| &network.addresses);
    let addresses = addresses.filter_map(|address| {
        let address = address.split('/').next().unwrap_or_default();
        address.parse::<IpAddr>().ok()
    });
    let targets = task.reach.iter();
    ReachableTask {
        id: task.id.clone(),
        name: task.name.clone(),
        container: task.container.clone(),
        pid: task.pid,
        host_network: task.host_network,
        internal_only: !task.networks.is_empty() && is_internal(task),
        excluded_addresses: addresses.collect(),
        // Those of a task stay.
        addresses: Vec::new(),
        targets: targets
            .filter_map(|target| ReachTarget::new(&target.scheme, target.port, &target.path))
            .collect(),
    }
}

fn peers(tasks: &NodeTasks) -> PeerList {
    let nodes = tasks.peers.iter().map(|peer| PeerNode {
        id: peer.id.clone(),
        name: peer.name.clone(),
        host: Some(SocketAddr::new(peer.address, peer.port)),
        overlay: peer.overlay,
    });
    PeerList { nodes: nodes.collect() }
}
