//! What a source knows beside the snapshots of its Swarm: which Engines serve metrics, and in which
//! networks this program's container is.
//!
//! A task of its own asks, so that no list waits for an answer. It ends with the source.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use swarmscout_docker::engine::{Hosts, List, Node, Query};
use swarmscout_docker::{EngineConfig, Filter};
use swarmscout_net::connect_tcp;
use swarmscout_refresh::supervisor::LastGood;
use swarmscout_swarm::{Buckets, Snapshot};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::nodes::dockerd_address;
use super::own_container::OwnContainer;
use super::targets::Buffers;
use crate::BoxFuture;
use crate::config::BuildContext;

/// At most this many Engines are connected to at a time.
const MOST_CONNECTIONS: usize = 32;

/// An Engine must accept a connection within this time.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// An Engine that did not accept a connection is tried again after this time. So is everything else
/// that did not work.
const RETRY_AFTER: Duration = Duration::from_hours(1);

/// Engines that accept connections within this time are published together, since each publication
/// reads all nodes.
const PUBLISH_AFTER: Duration = Duration::from_millis(250);

/// What was learned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// IDs of the networks of this program's container, as the Engine lists it.
    pub(super) networks: BTreeSet<Arc<str>>,
    /// Addresses of Engines that accepted a connection for metrics. They stay as long as their node
    /// is known.
    pub(super) dockerd: BTreeSet<Arc<str>>,
}

/// Learns what it says above.
pub(super) struct Scout {
    snapshots: watch::Receiver<LastGood<Arc<Snapshot>>>,
    nodes: Option<Buckets<Node>>,
    /// Engines that did not accept a connection yet, and when to try again. `None`: now trying.
    waiting: BTreeMap<Arc<str>, Option<Instant>>,
    known: Surroundings,
    publish: watch::Sender<Arc<Surroundings>>,
    publish_at: Option<Instant>,
    changed: Arc<Notify>,
    buffers: Buffers,
    connect_within: Duration,
}

impl Scout {
    /// One that connects to the nodes of these snapshots.
    pub(super) fn new(
        snapshots: watch::Receiver<LastGood<Arc<Snapshot>>>,
        publish: watch::Sender<Arc<Surroundings>>,
        changed: Arc<Notify>,
    ) -> Self {
        Self {
            snapshots,
            nodes: None,
            waiting: BTreeMap::new(),
            known: Surroundings::default(),
            publish,
            publish_at: None,
            changed,
            buffers: Buffers::default(),
            connect_within: CONNECT_WITHIN,
        }
    }

    /// Connects to the nodes' Engines, if `with_dockerd`, and asks for the networks of a container.
    pub(super) async fn run(mut self, with_dockerd: bool, container: Option<ContainerQuery>) {
        let mut networks = pin!(networks_of(container));
        let mut has_asked = false;
        let mut connecting = FuturesUnordered::new();
        loop {
            if with_dockerd {
                self.note_nodes();
            }
            let now = Instant::now();
            while connecting.len() < MOST_CONNECTIONS
                && let Some(address) = self.next(now)
            {
                connecting.push(connect(address, self.connect_within));
            }
            let can_connect = connecting.len() < MOST_CONNECTIONS;
            let retry_at = self.waiting.values().flatten().min().filter(|_| can_connect).copied();
            let due = [retry_at, self.publish_at].into_iter().flatten().min();
            let is_due = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some((address, is_open)) = connecting.next(), if !connecting.is_empty() => {
                    self.note(address, is_open);
                }
                ids = &mut networks, if !has_asked => {
                    has_asked = true;
                    self.known.networks = ids;
                    self.publish();
                }
                changed = self.snapshots.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = is_due => {}
            }
            let is_due = self.publish_at.is_some_and(|at| at <= Instant::now());
            if is_due || (self.publish_at.is_some() && connecting.is_empty()) {
                self.publish();
            }
        }
    }

    /// Forgets nodes that are gone, and has new ones tried at once.
    fn note_nodes(&mut self) {
        let snapshot = self.snapshots.borrow_and_update().value.clone();
        let Some(snapshot) = snapshot else { return };
        if self.nodes.as_ref().is_some_and(|known| known.is_same(&snapshot.nodes)) {
            return;
        }
        let nodes = snapshot.nodes.objects();
        let addresses: BTreeSet<_> =
            nodes.filter_map(|node| dockerd_address(node, &mut self.buffers)).collect();
        self.known.dockerd.retain(|address| addresses.contains(address));
        self.waiting.retain(|address, _| addresses.contains(address));
        let now = Instant::now();
        for address in addresses {
            if !self.known.dockerd.contains(&address) {
                self.waiting.entry(address).or_insert(Some(now));
            }
        }
        self.nodes = Some(snapshot.nodes.clone());
    }

    /// The next Engine to connect to.
    fn next(&mut self, now: Instant) -> Option<Arc<str>> {
        let mut due = self.waiting.iter_mut().filter(|(_, at)| at.is_some_and(|at| at <= now));
        let (address, at) = due.next()?;
        *at = None;
        Some(Arc::clone(address))
    }

    fn note(&mut self, address: Arc<str>, is_open: bool) {
        // The node may be gone.
        let Some(at) = self.waiting.get_mut(&address) else { return };
        if is_open {
            self.waiting.remove(&address);
            self.known.dockerd.insert(address);
            self.publish_at.get_or_insert_with(|| Instant::now() + PUBLISH_AFTER);
        } else {
            *at = Some(Instant::now() + RETRY_AFTER);
        }
    }

    fn publish(&mut self) {
        self.publish_at = None;
        let differs = self.publish.send_if_modified(|known| {
            let differs = **known != self.known;
            if differs {
                *known = Arc::new(self.known.clone());
            }
            differs
        });
        if differs {
            self.changed.notify_one();
        }
    }
}

async fn connect(address: Arc<str>, within: Duration) -> (Arc<str>, bool) {
    let is_open = connect_tcp(&address, within).await.is_ok();
    (address, is_open)
}

/// Asks the Engines of a Swarm in which networks a container is.
#[derive(Debug)]
pub(super) struct ContainerQuery {
    pub(super) container: OwnContainer,
    pub(super) engine: EngineConfig,
    pub(super) context: BuildContext,
}

/// The IDs of the networks of a container. Empty if no Engine lists it; pending without a query.
async fn networks_of(query: Option<ContainerQuery>) -> BTreeSet<Arc<str>> {
    match query {
        Some(query) => query.run().await,
        None => std::future::pending().await,
    }
}

impl ContainerQuery {
    /// Any of the hosts may be the Engine of the container.
    fn run(&self) -> BoxFuture<'_, BTreeSet<Arc<str>>> {
        Box::pin(async {
            let id = Filter { name: "id".to_owned(), values: vec![self.container.id().to_owned()] };
            let query = Query::new(List::Containers, &[], &[id]);
            for host in &self.engine.hosts {
                let engine = EngineConfig { hosts: vec![host.clone()], ..self.engine.clone() };
                let Ok(mut hosts) = Hosts::new(&engine, &self.context.refresh) else { continue };
                match hosts.list(&query).await {
                    Ok(listed) => {
                        let containers = listed.value.lists.containers.into_iter();
                        let mut own = containers
                            .filter(|container| container.id.starts_with(self.container.id()));
                        if let Some(own) = own.next() {
                            let networks = own.networks.iter().filter_map(|(_, one)| one.as_ref());
                            return networks.map(|one| Arc::clone(&one.network)).collect();
                        }
                    }
                    Err(err) => {
                        tracing::debug!(%err, "Cannot ask for the networks of this container");
                    }
                }
            }
            BTreeSet::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarmscout_model::PromDuration;
    use swarmscout_net::HttpConfig;
    use swarmscout_simulator::Listen;
    use swarmscout_simulator::engine::Engine;
    use swarmscout_simulator::swarm::{ServiceSpec, Swarm};
    use tokio::net::TcpListener;

    /// Far more than anything here takes.
    const GUARD: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn an_engine_that_accepts_a_connection_is_published_and_stays() {
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address =
            |listener: &TcpListener| Arc::from(listener.local_addr().unwrap().to_string());
        let (open_address, closed_address): (Arc<str>, Arc<str>) =
            (address(&open), address(&closed));
        drop(closed);
        let (snapshots, receiver) = watch::channel(LastGood::default());
        let (publish, mut published) = watch::channel(Arc::default());
        let changed = Arc::new(Notify::new());
        let mut scout = Scout::new(receiver, publish, Arc::clone(&changed));
        scout.connect_within = GUARD;
        let now = Instant::now();
        for address in [&open_address, &closed_address] {
            scout.waiting.insert(Arc::clone(address), Some(now));
        }
        let learned = async {
            changed.notified().await;
            published.borrow_and_update().dockerd.clone()
        };
        let learned = tokio::time::timeout(GUARD, async {
            tokio::select! {
                () = scout.run(false, None) => panic!("the snapshots are still there"),
                learned = learned => learned,
            }
        });
        assert_eq!(learned.await.unwrap(), BTreeSet::from([open_address]));
        drop(snapshots);
    }

    #[tokio::test]
    async fn an_engine_knows_the_networks_of_a_container() {
        let swarm = Swarm::new(1);
        let node = swarm.add_manager("manager-1");
        let network = swarm.create_network("front");
        let web = swarm.create_service(ServiceSpec::new("web", "demo:1").network(&network));
        let engine = Engine::start(Listen::Tcp, &swarm, &node).unwrap();
        let task = &swarm.tasks_of(&web)[0];
        let id = task.status.container_status.as_ref().unwrap().container_id.clone();
        let query = |id: &str| ContainerQuery {
            container: OwnContainer::of_id(id),
            engine: EngineConfig {
                hosts: vec!["tcp://127.0.0.1:1".to_owned(), engine.server.url().to_owned()],
                port: 0,
                filters: Vec::new(),
                refresh_interval: PromDuration::from_secs(60),
                http: HttpConfig::default(),
            },
            context: BuildContext::new("test"),
        };
        assert!(query(&id).run().await.contains(&*network));
        assert!(query(&id[..12]).run().await.contains(&*network));
        assert_eq!(query(&"0".repeat(64)).run().await, BTreeSet::new());
    }
}
