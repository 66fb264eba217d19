//! What every node may ask for, and who waits for it.
//!
//! Nothing is kept before the first node asks: a Swarm without node parts costs nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt as _, select_all};
use swarmscout_docker::engine::Node;
use swarmscout_model::TargetSet;
use swarmscout_net::cpu;
use swarmscout_swarm::{NODE_PART_PORT, NodePorts, Snapshot, Swarm};
use tokio::sync::watch;
use tokio::time::sleep;
use xxhash_rust::xxh3::xxh3_128;

use crate::index::{self, TaskIndex};
use crate::labels::AllowedLabels;
use crate::peers::Peers;
use crate::query::{NodeRef, Registration};
use crate::reach::ReachIndex;
use crate::report::{LinkPath, PathReport, PeerLink, PeerReport};
use crate::wire::{Envelope, NodeIdentity, NodeTasks, PeerNode};

/// Changes within this time are one.
const PAUSE: Duration = Duration::from_millis(20);

/// A node part that has not asked for so long is not probed any more: longer than any wait.
const FORGET_AFTER: Duration = Duration::from_mins(6);

/// A node part that is there has registered by then: it does so every minute.
const TIME_TO_REGISTER: Duration = Duration::from_mins(2);

/// A report on the network counts for so long. A node part that is there repeats it every minute.
const REPORT_FOR: Duration = Duration::from_mins(3);

/// How often it is checked which ones have not.
const CHECK_EVERY: Duration = Duration::from_secs(30);

/// A node that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundNode {
    /// Who it is.
    pub identity: NodeIdentity,
    /// Whether no other node of any Swarm has its host name.
    pub is_name_unique: bool,
    /// Whether no other Swarm has a node at its address.
    pub is_address_unique: bool,
}

/// Why there are no tasks of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoNode {
    /// No Swarm has been read yet.
    NotReady(String),
    /// No Swarm has it.
    Unknown(String),
    /// Several nodes have its host name.
    Ambiguous(String),
}

impl fmt::Display for NoNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady(text) | Self::Unknown(text) | Self::Ambiguous(text) => f.write_str(text),
        }
    }
}

/// The answer to a node.
#[derive(Clone, Debug)]
pub struct NodeAnswer {
    /// The whole body, JSON.
    pub body: bytes::Bytes,
    /// Differs if the body does, with its quotes.
    pub etag: String,
}

/// The counters of a [`Board`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BoardStats {
    /// Node parts that have registered, and ask still.
    pub registered: usize,
    /// Node parts that say what they find of the network to other nodes.
    pub reporting: usize,
    /// Readers that wait for changes of a node.
    pub waiting: usize,
    /// Bodies that were written.
    pub renderings: u64,
    /// Nodes whose readers were woken.
    pub wakes: u64,
}

/// Which node parts ask for their tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeParts {
    /// IDs of the nodes whose parts have registered, and ask still.
    pub registered: BTreeSet<String>,
    /// Others whose parts were refused, by ID of the node. Any client may say that it is that part.
    pub refused: BTreeMap<String, PartRefusal>,
    /// Whether all parts have had the time to register since this program was started.
    pub had_time: bool,
}

/// Why a node part got no tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartRefusal {
    /// From where it asked; `None` on a unix socket.
    pub from: Option<IpAddr>,
    /// Whether it has a verified certificate, which is not that of the node.
    pub has_certificate: bool,
}

/// The tasks of all nodes, for those that ask.
#[derive(Debug)]
pub struct Board {
    state: Mutex<State>,
    /// Whether anybody has asked.
    wanted: watch::Sender<bool>,
    /// Counts changes of the list of known Swarms.
    known: watch::Sender<u64>,
    node_ports: watch::Sender<Arc<NodePorts>>,
    /// The set of those that can be probed may have changed.
    registered: watch::Sender<u64>,
    since: Instant,
}

#[derive(Debug, Default)]
struct State {
    swarms: Vec<KnownSwarm>,
    reach: ReachIndex,
    slots: HashMap<Arc<str>, Slot>,
    peers: Peers,
    stats: BoardStats,
    /// Whether the present Swarms have been read once.
    has_started: bool,
}

#[derive(Debug)]
struct KnownSwarm {
    swarm: Swarm,
    index: TaskIndex,
    last: Option<Arc<Snapshot>>,
}

/// What is kept for a node that has asked.
#[derive(Debug, Default)]
struct Slot {
    version: watch::Sender<u64>,
    rendered: Option<(u64, AllowedLabels, Arc<NodeAnswer>)>,
    registration: Option<(Registration, Instant)>,
    refusal: Option<(PartRefusal, Instant)>,
    /// The last report of each path: a node may have a part of its own for one.
    reports: [Option<(PathReport, Instant)>; LinkPath::ALL.len()],
}

impl Slot {
    /// The reports that count.
    fn reports(&self, now: Instant) -> impl Iterator<Item = (LinkPath, &PathReport)> {
        let all = LinkPath::ALL.into_iter().zip(&self.reports);
        all.filter_map(move |(path, report)| {
            let (report, at) = report.as_ref()?;
            (now.saturating_duration_since(*at) < REPORT_FOR).then_some((path, report))
        })
    }

    fn refusal(&self, now: Instant) -> Option<PartRefusal> {
        let (refusal, at) = self.refusal?;
        (now.saturating_duration_since(at) < FORGET_AFTER).then_some(refusal)
    }

    fn is_alive(&self, now: Instant) -> bool {
        let age = self.registration.map(|(_, at)| now.saturating_duration_since(at));
        age.is_some_and(|age| age < FORGET_AFTER)
    }
}

/// The sets of all jobs.
type Sets = watch::Receiver<Arc<[watch::Receiver<Arc<TargetSet>>]>>;

impl Default for Board {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            wanted: watch::Sender::new(false),
            known: watch::Sender::default(),
            node_ports: watch::Sender::default(),
            registered: watch::Sender::default(),
            since: Instant::now(),
        }
    }
}

impl Board {
    /// Where node parts listen that have registered another port than the usual one.
    pub fn node_ports(&self) -> watch::Receiver<Arc<NodePorts>> {
        self.node_ports.subscribe()
    }

    /// Its counters.
    pub fn stats(&self) -> BoardStats {
        let (state, now) = (self.lock(), Instant::now());
        let count = |has: &dyn Fn(&Slot) -> bool| state.slots.values().filter(|it| has(it)).count();
        BoardStats {
            registered: count(&|slot| slot.is_alive(now)),
            reporting: count(&|slot| slot.reports(now).next().is_some()),
            waiting: state.slots.values().map(|slot| slot.version.receiver_count()).sum(),
            ..state.stats
        }
    }

    /// Who asks, and who is refused.
    pub fn node_parts(&self) -> NodeParts {
        let (state, now) = (self.lock(), Instant::now());
        let had_time = now.saturating_duration_since(self.since) >= TIME_TO_REGISTER;
        let mut parts = NodeParts { had_time, ..NodeParts::default() };
        for (id, slot) in &state.slots {
            if slot.is_alive(now) {
                parts.registered.insert(id.to_string());
            } else if let Some(refusal) = slot.refusal(now) {
                parts.refused.insert(id.to_string(), refusal);
            }
        }
        parts
    }

    /// Notes that a client said to be the part of this node, and was refused.
    pub fn refuse(&self, node: &NodeRef, refusal: PartRefusal) {
        if let Ok(found) = self.find(node) {
            let mut state = self.lock();
            let slot = state.slots.entry(found.identity.id.into()).or_default();
            slot.refusal = Some((refusal, Instant::now()));
        }
    }

    /// Changes when there may be an answer instead of [`NoNode::NotReady`].
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.known.subscribe()
    }

    /// Changes when the answer for this node may be another one.
    pub fn subscribe_node(&self, id: &str) -> watch::Receiver<u64> {
        self.lock().slots.entry(id.into()).or_default().version.subscribe()
    }

    /// The node that is asked for.
    pub fn find(&self, node: &NodeRef) -> Result<FoundNode, NoNode> {
        self.wanted.send_if_modified(|wanted| !std::mem::replace(wanted, true));
        let state = self.lock();
        let swarms = || state.readable();
        let found = match node {
            NodeRef::Id(id) => swarms().find_map(|index| Some((index, index.node(id)?))),
            NodeRef::Container(id) => {
                swarms().find_map(|index| Some((index, index.of_container(id)?)))
            }
            NodeRef::Name(name) => {
                let named = swarms().flat_map(|index| index.named(name).map(move |it| (index, it)));
                let mut named: Vec<_> = named.collect();
                named.dedup_by(|(_, a), (_, b)| a.id == b.id);
                if named.len() > 1 {
                    let count = named.len();
                    let text = format!("{count} nodes have the host name {name}: ask by the ID");
                    return Err(NoNode::Ambiguous(text));
                }
                named.pop()
            }
        };
        if let Some((index, node)) = found {
            let identity = index::identity(node);
            // One that is known in part may have the same names.
            let all = || state.swarms.iter().map(|known| &known.index);
            let mut named = all().flat_map(|index| index.named(&node.hostname));
            let is_name_unique = named.all(|other| other.id == node.id);
            let mut others = all().filter(|other| !std::ptr::eq(*other, index));
            let is_address_unique = !others.any(|other| other.has_node_at(&identity.address));
            return Ok(FoundNode { identity, is_name_unique, is_address_unique });
        }
        if let Some(reason) = state.not_ready() {
            return Err(NoNode::NotReady(reason));
        }
        Err(NoNode::Unknown(format!("no Swarm here has the node {node}")))
    }

    /// The answer for a node that was found.
    pub fn answer(&self, id: &str, labels: &AllowedLabels) -> Option<Arc<NodeAnswer>> {
        let mut state = self.lock();
        let slot = state.slots.entry(id.into()).or_default();
        let version = *slot.version.borrow();
        if let Some((of, allowed, answer)) = &slot.rendered
            && (*of, allowed) == (version, labels)
        {
            return Some(Arc::clone(answer));
        }
        let index = state.readable().find(|index| index.node(id).is_some())?;
        let node = index.node(id)?;
        let peers = state.peers.of(id);
        let peers = peers.iter().filter_map(|peer| state.peer(index, peer));
        let mut tasks = NodeTasks {
            node: index::identity(node),
            cluster: index.cluster().to_owned(),
            peers: peers.collect(),
            ..NodeTasks::default()
        };
        index.write_tasks(id, &state.reach, labels, &mut tasks);
        let envelope = Envelope { status: "success".to_owned(), data: tasks };
        let body = serde_json::to_vec(&envelope).ok()?;
        let etag = format!("\"{:032x}\"", xxh3_128(&body));
        let answer = Arc::new(NodeAnswer { body: body.into(), etag });
        state.stats.renderings += 1;
        let slot = state.slots.entry(id.into()).or_default();
        slot.rendered = Some((version, labels.clone(), Arc::clone(&answer)));
        Some(answer)
    }

    /// How long ago the Swarm of a node was last confirmed.
    pub fn age(&self, id: &str, now: Instant) -> Duration {
        let state = self.lock();
        let mut swarms = state.swarms.iter().filter(|known| known.index.node(id).is_some());
        let as_of = swarms.next().and_then(|known| known.swarm.known.borrow().health.as_of);
        as_of.map_or(Duration::ZERO, |as_of| now.saturating_duration_since(as_of))
    }

    /// Notes that the part of a node asks, and where it listens. Only that part itself may say so.
    pub fn register(&self, id: &str, registration: Registration) {
        let mut state = self.lock();
        // Others probe this address: it must be one of the node's tasks.
        let is_own =
            |overlay: &IpAddr| state.readable().any(|index| index.has_address(id, *overlay));
        let overlay = registration.overlay.filter(is_own);
        let registration = Registration { overlay, ..registration };
        let now = Instant::now();
        let slot = state.slots.entry(id.into()).or_default();
        let was_alive = slot.is_alive(now);
        let before = slot.registration.replace((registration, now));
        let differs = !was_alive || before.map(|(before, _)| before) != Some(registration);
        if differs {
            // Those that probe it must know.
            let neighbours = state.peers.of(id);
            state.wake(neighbours.iter());
            drop(state);
            self.publish_ports();
            self.registered.send_modify(|count| *count += 1);
        }
    }

    /// Notes what the part of a node finds of the network. Only that part itself may say so.
    pub fn report(&self, id: &str, report: &PeerReport) {
        let now = Instant::now();
        let mut state = self.lock();
        let slot = state.slots.entry(id.into()).or_default();
        for (path, kept) in LinkPath::ALL.into_iter().zip(&mut slot.reports) {
            if let Some(report) = report.of(path) {
                *kept = Some((report.clone(), now));
            }
        }
    }

    /// What node parts say of the network to the others, in order. A node that no Swarm has is in none
    /// of it.
    pub fn links(&self) -> Vec<PeerLink> {
        let (state, now) = (self.lock(), Instant::now());
        let is_known = |id: &str| state.readable().any(|index| index.node(id).is_some());
        let mut links = Vec::new();
        for (from, slot) in state.slots.iter().filter(|(from, _)| is_known(from)) {
            for (path, report) in slot.reports(now) {
                let peers = report.peers().filter(|(to, _)| is_known(to) && **to != **from);
                links.extend(peers.map(|(to, state)| PeerLink {
                    from: from.to_string(),
                    to: to.to_owned(),
                    path,
                    state,
                }));
            }
        }
        links.sort();
        links
    }

    /// Notes that the part of a node was there until now: a request of it has ended.
    pub fn seen(&self, id: &str) {
        let mut state = self.lock();
        if let Some((_, at)) = state.slots.get_mut(id).and_then(|slot| slot.registration.as_mut()) {
            *at = Instant::now();
        }
    }

    /// Follows the Swarms and the targets of all jobs, from the first request on, until it is dropped.
    pub async fn run(self: Arc<Self>, mut swarms: watch::Receiver<Arc<[Swarm]>>, mut sets: Sets) {
        if self.wanted.subscribe().wait_for(|wanted| *wanted).await.is_err() {
            return;
        }
        let mut registered = self.registered.subscribe();
        loop {
            let mut of_swarms = swarms.borrow_and_update().to_vec();
            let mut of_jobs = sets.borrow_and_update().to_vec();
            registered.mark_unchanged();
            let snapshots = of_swarms
                .iter_mut()
                .map(|swarm| (swarm.clone(), swarm.known.borrow_and_update().value.clone()))
                .collect();
            let present: Vec<_> =
                of_jobs.iter_mut().map(|set| Arc::clone(&set.borrow_and_update())).collect();
            let board = Arc::clone(&self);
            cpu::DISCOVERY.run(move |_| board.follow(snapshots, &present)).await;
            {
                let mut all: Vec<BoxFuture<'_, ()>> = vec![
                    changed(&mut swarms),
                    changed(&mut sets),
                    changed(&mut registered),
                    sleep(CHECK_EVERY).boxed(),
                ];
                all.extend(of_swarms.iter_mut().map(|swarm| changed(&mut swarm.known)));
                all.extend(of_jobs.iter_mut().map(changed));
                select_all(all).await;
            }
            sleep(PAUSE).await;
        }
    }

    /// Takes over the newest snapshots and sets, and wakes the nodes that differ.
    pub(crate) fn follow(
        &self,
        snapshots: Vec<(Swarm, Option<Arc<Snapshot>>)>,
        sets: &[Arc<TargetSet>],
    ) {
        let mut state = self.lock();
        let mut before = std::mem::take(&mut state.swarms);
        let (mut changed, mut news) = (BTreeSet::new(), before.len() != snapshots.len());
        for (swarm, snapshot) in snapshots {
            let same = |known: &KnownSwarm| known.swarm.known.same_channel(&swarm.known);
            let mut known = match before.iter().position(same) {
                Some(place) => before.swap_remove(place),
                None => KnownSwarm { swarm, index: TaskIndex::default(), last: None },
            };
            if let Some(snapshot) = snapshot
                && !known.last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &snapshot))
            {
                let could_read = known.last.is_some() && known.index.is_complete();
                changed.extend(known.index.update(&snapshot, Instant::now()));
                known.last = Some(snapshot);
                news |= could_read != known.index.is_complete();
            }
            state.swarms.push(known);
        }
        news |= !std::mem::replace(&mut state.has_started, true);
        for gone in before {
            news = true;
            changed.extend(gone.index.snapshot().nodes.objects().map(|node| Arc::clone(&node.id)));
        }
        changed.extend(state.reach.update(sets).into_iter().map(Arc::from));
        state.forget_nodes();
        let now = Instant::now();
        let members = state.probed(now);
        changed.extend(state.peers.update(&members));
        let named: BTreeSet<_> = changed.iter().flat_map(|id| state.peers.of(id)).collect();
        changed.extend(named);
        state.wake(changed.iter());
        drop(state);
        self.publish_ports();
        if news {
            self.known.send_modify(|count| *count += 1);
        }
    }

    fn publish_ports(&self) {
        let state = self.lock();
        let ports = state.slots.iter().filter_map(|(id, slot)| {
            let (Registration { port, .. }, _) = slot.registration?;
            (port != NODE_PART_PORT).then(|| (Arc::clone(id), port))
        });
        let ports: NodePorts = ports.collect();
        drop(state);
        self.node_ports.send_if_modified(|known| {
            let differs = **known != ports;
            if differs {
                *known = Arc::new(ports);
            }
            differs
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The Swarms whose tasks are read.
    fn readable(&self) -> impl Iterator<Item = &TaskIndex> {
        let is_read = |known: &&KnownSwarm| known.last.is_some() && known.index.is_complete();
        self.swarms.iter().filter(is_read).map(|known| &known.index)
    }

    /// Why a node that is not found may be there all the same.
    fn not_ready(&self) -> Option<String> {
        if !self.has_started {
            return Some("the tasks of the Swarm are being read".to_owned());
        }
        let unread = self.swarms.iter().find(|known| known.last.is_none());
        if let Some(unread) = unread {
            let health = unread.swarm.known.borrow();
            let error = health.health.error.as_deref().unwrap_or("the first refresh has not ended");
            let name = &unread.swarm.feed.borrow().swarm;
            return Some(format!("no tasks yet of {name}: {error}"));
        }
        let is_first = self.swarms.is_empty();
        let none = "no Swarm is read: write swarmscout_sd_configs with the host of a manager";
        let partial = self.swarms.iter().find(|known| !known.index.is_complete());
        let partial = partial.map(|known| {
            let name = &known.swarm.feed.borrow().swarm;
            format!(
                "the tasks of {name} are not read: write swarmscout_sd_configs, or start with \
                 state metrics"
            )
        });
        is_first.then(|| none.to_owned()).or(partial)
    }

    /// Drops what is kept for nodes that are in no Swarm any more. Those that wait for them are woken.
    fn forget_nodes(&mut self) {
        let Self { swarms, slots, .. } = self;
        let is_known = |id: &str| swarms.iter().any(|known| known.index.node(id).is_some());
        slots.retain(|id, slot| {
            let stays = is_known(id);
            if !stays {
                slot.version.send_modify(|version| *version += 1);
            }
            stays
        });
    }

    /// The nodes that can be probed.
    fn probed(&self, now: Instant) -> BTreeSet<Arc<str>> {
        let alive = self.slots.iter().filter(|(_, slot)| slot.is_alive(now)).map(|(id, _)| id);
        let can_be = |id: &&Arc<str>| {
            let node = self.readable().find_map(|index| index.node(id));
            node.is_some_and(|node| &*node.state == "ready" && address(node).is_some())
        };
        alive.filter(can_be).cloned().collect()
    }

    fn peer(&self, index: &TaskIndex, id: &str) -> Option<PeerNode> {
        let (node, (registration, _)) = (index.node(id)?, self.slots.get(id)?.registration?);
        let Registration { port, overlay } = registration;
        let NodeIdentity { id, name, .. } = index::identity(node);
        Some(PeerNode { id, name, address: address(node)?, port, overlay })
    }

    fn wake<'a>(&mut self, nodes: impl Iterator<Item = &'a Arc<str>>) {
        for id in nodes {
            if let Some(slot) = self.slots.get_mut(id) {
                slot.version.send_modify(|version| *version += 1);
                self.stats.wakes += 1;
            }
        }
    }
}

fn address(node: &Node) -> Option<IpAddr> {
    node.usable_address()?.parse().ok()
}

/// Resolves when there is something new; never, once the sender is gone.
fn changed<T: Send + Sync>(receiver: &mut watch::Receiver<T>) -> BoxFuture<'_, ()> {
    async {
        if receiver.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
    .boxed()
}

#[cfg(test)]
mod tests;
