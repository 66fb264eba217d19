//! `swarm_sd_configs`: the nodes of a standalone ("classic") Swarm, from its masters' `/info`.
//!
//! There are two groups, as the plugin of 2016 documents them: `swarm_masters`, the configured
//! masters, and `swarm_nodes`, the nodes that one of them lists. The targets of both are the
//! cAdvisor on each machine. More than 64 nodes make several groups, `swarm_nodes/01…`: a group is
//! compared, relabelled and published as a whole, so a change of one node must not cost ten
//! thousand.
//!
//! Invariants:
//! - One master that answers is enough, primary or replica: each of them knows all nodes.
//! - If a master fails in any way, the same refresh asks the next one ([`swarmscout_refresh::rotation`]).
//! - A node whose rows are the same bytes as before is not parsed again, and one that only reports
//!   other loads is the same target.
//! - No list is empty by mistake: an answer without a `Nodes` row, or with nodes that it does not
//!   list, is a failure. `Nodes` 0 is an empty list.

mod config;
mod keys;
mod masters;
mod node;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;
use swarmscout_docker::classic::{ClassicInfo, ClassicNode, ClassicSnapshot};
use swarmscout_docker::engine::Reader;
use swarmscout_model::budget::allocation;
use swarmscout_model::labels::{ADDRESS, INSTANCE};
use swarmscout_model::{Budget, Charge, Labels, LabelsWriter, TargetGroup};
use swarmscout_net::{Host, ReadClient, Request, Scheme};
use swarmscout_refresh::Deadlines;
use swarmscout_refresh::problems::{self, Mark, OTHER_COUNT, Problems, shown};
use swarmscout_refresh::rotation::{Rotation, Turn};

pub use self::config::ClassicConfig;
pub use self::keys::SwarmSdKeys;
pub use self::masters::ClassicSwarm;
use self::masters::MasterRole;
pub(crate) use self::masters::{ClassicReplica, Observer};
use self::node::TargetNode;
pub(super) use self::node::host_of;
use super::decoding::{Decoding, Whole, whole};
use super::moby::AddressWriter;
use super::partition::{GroupDiff, Partition};
use crate::config::BuildContext;
use crate::limits::{Excess, LONGEST_ENGINE_LABEL, MOST_TARGETS, Meter, Unreadable};
use crate::{BoxFuture, Discoverer, Error, Groups, Problem, RefreshScope, Refreshed};

/// The largest answer that is read, in bytes: some 100,000 nodes.
const MAX_ANSWER: u64 = 64 << 20;

/// How often the bytes of a node's rows are in memory, at most, while its target is made of them: list,
/// rows, key, decoded texts, labels in the making.
const COPIES: u64 = 12;

/// One of `swarm_sd_configs`.
#[derive(Debug)]
pub struct Classic {
    client: ReadClient,
    masters: Vec<Host>,
    rotation: Rotation,
    deadlines: Deadlines,
    /// The largest answer that is read, in bytes.
    max_answer: u64,
    /// The port of cAdvisor.
    port: String,
    /// The targets of the configured masters.
    master_targets: Vec<Labels>,
    /// `None` while an answer is being read on another thread.
    cache: Option<NodeCache>,
    /// The memory of the groups and of the cache.
    held: Charge,
    budget: Budget,
    decoding: Decoding,
    /// Learns what is known beside the targets, for state metrics.
    observer: Option<Observer>,
}

impl Classic {
    /// Sends no request yet. Fails if a URL cannot be used or TLS options cannot be used together.
    pub fn new(config: &ClassicConfig, context: &BuildContext) -> Result<Self, Error> {
        let masters = masters::hosts(config)?;
        if masters.is_empty() {
            let reason = "Swarm SD configuration requires at least one Swarm master";
            return Err(Error::Other(reason.to_owned()));
        }
        let options = context
            .refresh
            .client_options(context.refresh.attempt_deadline(config.refresh_interval, 1));
        let port = &config.metrics_port;
        Ok(Self {
            client: ReadClient::new(&config.http, options)?,
            master_targets: masters.iter().map(|host| master_target(host, port)).collect(),
            rotation: Rotation::new(masters.len()),
            masters,
            deadlines: context.refresh.deadlines(config.refresh_interval),
            max_answer: MAX_ANSWER.min(context.refresh.max_answer),
            cache: None,
            held: context.refresh.budget.nothing(),
            budget: context.refresh.budget.clone(),
            decoding: Decoding::default(),
            port: port.clone(),
            observer: None,
        })
    }

    /// The same one, which reports what it learns.
    pub(crate) fn observed_by(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Asks the masters, starting with the one that answered last, until one answers.
    async fn refresh(&mut self) -> Result<Refreshed<Groups>, Error> {
        let mut round = self.rotation.round();
        while let Some(turn) = self.rotation.next(&mut round) {
            match self.attempt(turn).await {
                Ok(mut refreshed) => {
                    let name = |master: usize| self.masters[master].to_string();
                    refreshed.problems.extend(self.rotation.answered(round, turn.index, name));
                    // The order in which a master lists its nodes must not matter.
                    refreshed.problems.sort();
                    return Ok(refreshed);
                }
                Err(error) => {
                    if let Some(observer) = &self.observer {
                        observer.note(turn.index, None);
                    }
                    round.failed(turn, error);
                }
            }
        }
        Err(self.rotation.exhausted(round))
    }

    /// Asks one master.
    async fn attempt(&mut self, turn: Turn) -> Result<Refreshed<Groups>, Error> {
        let as_of = tokio::time::Instant::now().into_std();
        let master = &self.masters[turn.index];
        let deadline = self.deadlines.of_attempt(turn.others_left);
        let (url, answer) =
            info(&self.client, master, deadline, self.max_answer, &self.budget).await?;
        let secrets = self.client.secrets().clone();
        match self.read(answer, as_of).await {
            Ok(Answer { mut refreshed, role, snapshot }) => {
                problems::clean(&mut refreshed.problems, &secrets);
                if let Some(observer) = &self.observer {
                    observer.note_answer(turn.index, role, snapshot);
                }
                Ok(refreshed)
            }
            Err(Unreadable::Syntax(mut reason)) => {
                secrets.clean_in_place(&mut reason);
                Err(Error::Answer { url, reason })
            }
            Err(Unreadable::Excess(excess)) => {
                Err(Error::Excess { what: url, excess: excess.without(&secrets) })
            }
        }
    }

    async fn read(&mut self, answer: Whole, as_of: Instant) -> Result<Answer, Unreadable> {
        // A refresh that is cancelled here loses the cache, and the next one parses all nodes.
        let cache = self.cache.take();
        let mut cache = cache.unwrap_or_else(|| NodeCache::new(&self.port));
        let (masters, budget) = (self.master_targets.clone(), self.budget.clone());
        let decoded = self.decoding.run(answer.bytes.len(), move |cancel| {
            let mut meter = Meter::new(&budget, LONGEST_ENGINE_LABEL).until(cancel);
            let read = cache.read(&answer.bytes, masters, as_of, &mut meter);
            (read, cache, meter.finish())
        });
        let (read, cache, held) = decoded.await;
        self.cache = Some(cache);
        let read = read?;
        self.held = held;
        Ok(read)
    }
}

/// The `/info` of a master, with its URL for messages.
async fn info(
    client: &ReadClient,
    master: &Host,
    deadline: Duration,
    max_answer: u64,
    budget: &Budget,
) -> Result<(String, Whole), Error> {
    let request = Request::to(master, "/info")?.timeout(deadline).max_body(max_answer);
    let answer = client.get(request).await?;
    let url = format!("{}/info", master.to_string().trim_end_matches('/'));
    let status = answer.status;
    let answer = whole(answer.body, budget, &url).await?;
    if !status.is_success() {
        return Err(super::refused(url, status, &answer.bytes, client.secrets()));
    }
    Ok((url, answer))
}

/// What an answer says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) refreshed: Refreshed<Groups>,
    role: MasterRole,
    snapshot: ClassicSnapshot,
}

impl Discoverer for Classic {
    type Error = Error;

    fn fetch(&mut self, _: RefreshScope) -> BoxFuture<'_, Result<Refreshed<Groups>, Error>> {
        Box::pin(self.refresh())
    }
}

/// The target of a master: the cAdvisor beside it. `instance` and scheme are those of its URL.
fn master_target(master: &Host, port: &str) -> Labels {
    let host = match master.scheme() {
        // A unix socket is on this very machine.
        Scheme::Unix => "localhost",
        _ => master.hostname(),
    };
    let scheme = if master.scheme() == Scheme::Https { "https" } else { "http" };
    let mut writer = LabelsWriter::new();
    writer.push(ADDRESS, AddressWriter::default().host(host, port));
    writer.push("__scheme__", scheme);
    writer.push(INSTANCE, &master.address());
    writer.build()
}

/// The parsed nodes of the last answer.
#[derive(Debug, Default)]
pub(crate) struct NodeCache {
    /// The port of cAdvisor.
    port: String,
    /// By their first row, which is unique even among pending nodes.
    nodes: HashMap<Vec<u8>, CachedNode, RandomState>,
    /// The number of refreshes.
    refresh: u64,
    // Buffers, for reuse.
    list: Vec<u8>,
    writer: LabelsWriter,
    address: AddressWriter,
}

#[derive(Debug)]
struct CachedNode {
    /// All its rows, as a list.
    rows: Arc<[u8]>,
    target: Labels,
    problems: Box<[Problem]>,
    /// The last refresh that listed it.
    seen: u64,
}

impl CachedNode {
    /// The approximate bytes that caching it takes, without its target.
    fn footprint(&self, first: &[u8]) -> u64 {
        let problem = |problem: &Problem| {
            let Problem { object, detail, .. } = problem;
            size_of::<Problem>() as u64 + allocation(object.len()) + allocation(detail.len())
        };
        // The table is at least half full.
        2 * size_of::<(Vec<u8>, Self)>() as u64
            + allocation(first.len())
            + allocation(self.rows.len() + size_of::<[usize; 2]>())
            + size_of::<Arc<[u8]>>() as u64
            + self.problems.iter().map(problem).sum::<u64>()
    }
}

impl NodeCache {
    /// An empty cache. Targets of nodes get this port.
    pub(crate) fn new(port: &str) -> Self {
        Self { port: port.to_owned(), ..Self::default() }
    }

    /// Makes groups of an answer.
    pub(crate) fn read(
        &mut self,
        json: &[u8],
        masters: Vec<Labels>,
        as_of: Instant,
        meter: &mut Meter,
    ) -> Result<Answer, Unreadable> {
        let info = ClassicInfo::read(json, MOST_TARGETS)?;
        if info.nodes.len() > MOST_TARGETS {
            return Err(Excess::Targets.into());
        }
        let role = MasterRole::of(&info);
        let mut problems = info.problems;
        let listed = info.nodes.len();
        if info.count != listed as u64 {
            let detail = format!("the master says {}, and lists {listed}", info.count);
            problems.push("host", "", OTHER_COUNT, detail);
        }
        self.refresh += 1;
        let mut nodes = Partition::default();
        let mut snapshot = ClassicSnapshot {
            strategy: info.strategy.clone().into_owned(),
            primary: info.primary.clone().into_owned(),
            nodes: Vec::with_capacity(listed),
        };
        for rows in info.nodes {
            let first = Reader::new(rows).skip().unwrap_or_default();
            let copies = rows.len() as u64 * COPIES;
            meter.reserve(copies)?;
            let node = self.node(first, rows);
            meter.release(copies);
            let identity = String::from_utf8_lossy(first);
            meter.target(&node.target, || format!("node {}", shown(&identity)))?;
            meter.keep(node.footprint(first))?;
            nodes.push(&identity, node.target.clone());
            problems.extend(&node.problems);
            snapshot.nodes.push(Arc::clone(&node.rows));
        }
        let refresh = self.refresh;
        self.nodes.retain(|_, node| node.seen == refresh);

        let mut group = |role| {
            self.writer.push("__meta_swarm_primary", &info.primary);
            self.writer.push("__meta_swarm_role", role);
            self.writer.push("__meta_swarm_strategy", &info.strategy);
            self.writer.build()
        };
        let mut diff = GroupDiff::default();
        let (source, labels) = ("swarm_masters", group("master"));
        meter.group(source.len(), masters.len(), &labels, || source.to_owned())?;
        diff.push(TargetGroup { source: source.into(), targets: masters, labels });
        nodes.groups("swarm_nodes", &group("node"), &mut diff, meter)?;
        let refreshed = Refreshed { value: diff.into_groups(), as_of, problems: problems.take() };
        Ok(Answer { refreshed, role, snapshot })
    }

    fn node(&mut self, first: &[u8], rows: &[u8]) -> &CachedNode {
        let (refresh, port) = (self.refresh, &self.port);
        let (list, writer, address) = (&mut self.list, &mut self.writer, &mut self.address);
        let mut read = |before: Option<&CachedNode>| {
            list.clear();
            list.push(b'[');
            list.extend_from_slice(rows);
            list.push(b']');
            let rows: Arc<[u8]> = list.as_slice().into();
            let mut problems = Problems::default();
            let node = ClassicNode::read(&rows, &mut problems);
            let target = TargetNode::of(&node);
            let same = before.filter(|before| {
                // What was reported of the rows before may not be right for these.
                let is_good = before.problems.is_empty() && problems.mark() == Mark::default();
                is_good && TargetNode::of(&ClassicNode::of(&before.rows)) == target
            });
            let target = match same {
                Some(before) => before.target.clone(),
                None => target.labels(port, address, writer, &mut problems),
            };
            CachedNode {
                target,
                problems: problems.take().into(),
                seen: refresh,
                rows: Arc::clone(&rows),
            }
        };
        let node = match self.nodes.entry_ref(first) {
            EntryRef::Vacant(entry) => entry.insert(read(None)),
            EntryRef::Occupied(entry) => {
                let node = entry.into_mut();
                let known = node.rows.strip_prefix(b"[").and_then(|rows| rows.strip_suffix(b"]"));
                if known != Some(rows) {
                    *node = read(Some(node));
                }
                node
            }
        };
        node.seen = refresh;
        node
    }
}
