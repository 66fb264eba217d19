//! What a manager's answer means for the parts of a node: facts for metrics, what reach may fetch,
//! and whom to probe.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use swarmscout_node::facts::{ContainerState, Facts, FactsSet, FactsSource, NetworkMode};
use swarmscout_node_tasks::{Followed, NodeTasks, TaskEntry, TaskFeed};
use swarmscout_peers::{PeerList, PeerNode};
use swarmscout_reach::{ReachTarget, Reachable, ReachableTask};
use tokio::sync::watch;

use super::metrics::NodeIdentity;

/// Whom a feed reaches.
#[derive(Debug, Default)]
pub(super) struct Outlets {
    /// `None` where the Engine knows the facts.
    pub(super) facts: Option<(watch::Sender<Arc<FactsSet>>, watch::Sender<NodeIdentity>)>,
    pub(super) reachable: watch::Sender<Arc<Reachable>>,
    pub(super) peers: watch::Sender<Arc<PeerList>>,
}

/// Hands every answer on, for ever.
pub(super) async fn hand_on(mut feed: TaskFeed, outlets: Outlets) {
    let mut known: Option<Arc<NodeTasks>> = None;
    loop {
        let followed = Arc::clone(&feed.borrow_and_update());
        if let Some(tasks) = &followed.tasks {
            let is_same = known.as_ref().is_some_and(|known| Arc::ptr_eq(known, tasks));
            if !is_same {
                outlets.reachable.send_replace(Arc::new(reachable(tasks)));
                outlets.peers.send_replace(Arc::new(peers(tasks)));
                known = Some(Arc::clone(tasks));
            }
            if let Some((sender, identity)) = &outlets.facts {
                let before = Arc::clone(&sender.borrow());
                sender.send_replace(Arc::new(facts(&followed, tasks, &before)));
                identity.send_modify(|known| {
                    known.node.node_id = Some(tasks.node.id.clone());
                    known.node.node_name = Some(tasks.node.name.clone());
                });
            }
        }
        if feed.changed().await.is_err() {
            return;
        }
    }
}

/// The facts of an answer. A container that did not change keeps those of `before`.
fn facts(followed: &Followed, tasks: &NodeTasks, before: &FactsSet) -> FactsSet {
    let containers = tasks.tasks.iter().filter(|task| !task.container.is_empty()).map(|task| {
        let new = facts_of(task);
        let facts = match before.containers.get(&task.container) {
            Some(known) if **known == new => Arc::clone(known),
            _ => Arc::new(new),
        };
        (task.container.clone(), facts)
    });
    FactsSet {
        containers: containers.collect(),
        source: Some(FactsSource::Manager),
        as_of: followed.as_of.and_then(on_the_clock),
    }
}

fn on_the_clock(instant: Instant) -> Option<SystemTime> {
    SystemTime::now().checked_sub(instant.elapsed())
}

fn facts_of(task: &TaskEntry) -> Facts {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let is_running = task.state == "running";
    let has_ended = task.pid == 0 && !is_running;
    let since = u64::try_from(task.state_since).ok().filter(|micros| *micros > 0);
    let since = since.map(|micros| SystemTime::UNIX_EPOCH + Duration::from_micros(micros));
    let has_network = !task.networks.is_empty();
    Facts {
        id: task.container.clone(),
        name: text(&task.name),
        image: text(&task.image),
        labels: task.labels.clone().into_iter().filter(|(_, value)| !value.is_empty()).collect(),
        pid: (task.pid > 0).then_some(task.pid),
        // Within a moment of the start of its container.
        started: since.filter(|_| is_running),
        network: match (task.host_network, has_network) {
            (true, _) => Some(NetworkMode::Host),
            (false, true) => Some(NetworkMode::Own),
            (false, false) => None,
        },
        state: is_running
            .then_some(ContainerState::Running)
            .or(has_ended.then_some(ContainerState::Exited)),
        last_exit_code: i32::try_from(task.exit_code).ok().filter(|_| has_ended),
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
        swarm_addresses: addresses.collect(),
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
