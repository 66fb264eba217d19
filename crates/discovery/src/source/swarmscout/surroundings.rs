//! What a source knows beside the snapshots of its Swarm: which Engines serve metrics, and in which
//! networks this program's container is.
//!
//! A task of its own asks, so that no list waits for an answer. It ends with the source.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, FuturesUnordered, Stream, StreamExt};
use swarmscout_docker::engine::{Hosts, List, Node, Query};
use swarmscout_docker::{EngineConfig, Filter};
use swarmscout_net::connect_tcp;
use swarmscout_refresh::Backoff;
use swarmscout_refresh::supervisor::LastGood;
use swarmscout_swarm::{Buckets, NodePorts, Snapshot};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::nodes::dockerd_address;
use super::own_container::OwnContainer;
use super::targets::Buffers;
use crate::BoxFuture;
use crate::config::BuildContext;

/// At most this many Engines are connected to at a time.
const MOST_CONNECTIONS: usize = 32;

/// An Engine must accept a connection within this time.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// An Engine that did not accept a connection is tried again after this time.
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
    /// Where node parts listen, if targets go through them.
    pub(super) node_ports: Arc<NodePorts>,
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
    connect: Connect,
}

/// Connects to an address within this time, and says whether that worked.
type Connect = Box<dyn Fn(Arc<str>, Duration) -> BoxFuture<'static, (Arc<str>, bool)> + Send>;

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
            connect: Box::new(|address, within| {
                Box::pin(async move {
                    let is_open = connect_tcp(&address, within).await.is_ok();
                    (address, is_open)
                })
            }),
        }
    }

    /// Connects to the nodes' Engines, if `with_dockerd`, asks for the networks of a container
    /// again and again, and follows where node parts listen.
    pub(super) async fn run(
        mut self,
        with_dockerd: bool,
        container: Option<ContainerQuery>,
        mut node_ports: Option<watch::Receiver<Arc<NodePorts>>>,
    ) {
        if let Some(node_ports) = &mut node_ports {
            self.known.node_ports = Arc::clone(&node_ports.borrow_and_update());
            self.publish();
        }
        let mut networks = pin!(container.map_or_else(
            || stream::pending().left_stream(),
            |container| container.networks().right_stream(),
        ));
        let mut connecting = FuturesUnordered::new();
        loop {
            if with_dockerd {
                self.note_nodes();
            }
            let now = Instant::now();
            while connecting.len() < MOST_CONNECTIONS
                && let Some(address) = self.next(now)
            {
                connecting.push((self.connect)(address, self.connect_within));
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
                Some(ids) = networks.next() => {
                    self.known.networks = ids;
                    self.publish();
                }
                changed = self.snapshots.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = changed(&mut node_ports) => {
                    if let Some(node_ports) = &mut node_ports {
                        self.known.node_ports = Arc::clone(&node_ports.borrow_and_update());
                        self.publish_at.get_or_insert_with(|| Instant::now() + PUBLISH_AFTER);
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

/// Resolves if there is something new; never without a receiver or a sender.
async fn changed<T>(receiver: &mut Option<watch::Receiver<T>>) {
    let is_new = match receiver {
        Some(receiver) => receiver.changed().await.is_ok(),
        None => false,
    };
    if !is_new {
        std::future::pending::<()>().await;
    }
}

/// Asks the Engines of a Swarm in which networks a container is.
#[derive(Debug)]
pub(super) struct ContainerQuery {
    container: OwnContainer,
    /// Any of them may be the Engine of the container.
    engines: Vec<Hosts>,
    refresh_interval: Duration,
    backoff: Backoff,
}

impl ContainerQuery {
    /// Asks these Engines for this container.
    pub(super) fn new(
        container: OwnContainer,
        engine: &EngineConfig,
        context: &BuildContext,
    ) -> Self {
        let of_host = |host: &String| {
            let engine = EngineConfig { hosts: vec![host.clone()], ..engine.clone() };
            // The source reports a host that is not valid.
            Hosts::new(&engine, &context.refresh).ok()
        };
        Self {
            container,
            engines: engine.hosts.iter().filter_map(of_host).collect(),
            refresh_interval: engine.refresh_interval.get(),
            backoff: Backoff::default(),
        }
    }

    /// The IDs of the networks at each refresh interval, and after failures with backoff: a container
    /// may be attached to other networks while it runs.
    fn networks(self) -> impl Stream<Item = BTreeSet<Arc<str>>> {
        stream::unfold((self, Duration::ZERO), |(mut query, mut pause)| async move {
            loop {
                sleep(pause).await;
                let asked = query.ask().await;
                if let Ok(networks) = asked {
                    query.backoff.succeeded();
                    let pause = query.refresh_interval;
                    return Some((networks, (query, pause)));
                }
                pause = query.backoff.failed(query.refresh_interval);
            }
        })
    }

    /// Empty if no Engine has the container. Fails if the one that may have it does not answer.
    async fn ask(&mut self) -> Result<BTreeSet<Arc<str>>, swarmscout_docker::Error> {
        let id = Filter { name: "id".to_owned(), values: vec![self.container.id().to_owned()] };
        let query = Query::new(List::Containers, &[], &[id]);
        let mut failed = None;
        for engine in &mut self.engines {
            match engine.list(&query).await {
                Ok(listed) => {
                    let containers = listed.value.lists.containers.into_iter();
                    let mut own = containers
                        .filter(|container| container.id.starts_with(self.container.id()));
                    if let Some(own) = own.next() {
                        let networks = own.networks.iter().filter_map(|(_, one)| one.as_ref());
                        return Ok(networks.map(|one| Arc::clone(&one.network)).collect());
                    }
                }
                Err(err) => {
                    tracing::debug!(%err, "Cannot ask for the networks of this container");
                    failed = Some(err);
                }
            }
        }
        failed.map_or(Ok(BTreeSet::new()), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use swarmscout_model::PromDuration;
    use swarmscout_net::HttpConfig;
    use swarmscout_simulator::engine::Engine;
    use swarmscout_simulator::swarm::{ServiceSpec, Swarm};
    use swarmscout_simulator::{Fault, Listen};
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
                () = scout.run(false, None, None) => panic!("the snapshots are still there"),
                learned = learned => learned,
            }
        });
        assert_eq!(learned.await.unwrap(), BTreeSet::from([open_address]));
        drop(snapshots);
    }

    /// A Swarm with an Engine, and the ID of a container on the network `front` of it.
    fn container() -> (Swarm, Engine, String, String) {
        let swarm = Swarm::new(1);
        let node = swarm.add_manager("manager-1");
        let network = swarm.create_network("front");
        let web = swarm.create_service(ServiceSpec::new("web", "demo:1").network(&network));
        let engine = Engine::start(Listen::Tcp, &swarm, &node).unwrap();
        let task = &swarm.tasks_of(&web)[0];
        let id = task.status.container_status.as_ref().unwrap().container_id.clone();
        (swarm, engine, id, network)
    }

    fn query(hosts: &[&str], id: &str, refresh_interval: PromDuration) -> ContainerQuery {
        let engine = EngineConfig {
            hosts: hosts.iter().copied().map(str::to_owned).collect(),
            port: 0,
            filters: Vec::new(),
            refresh_interval,
            http: HttpConfig::default(),
        };
        ContainerQuery::new(OwnContainer::of_id(id), &engine, &BuildContext::new("test"))
    }

    #[tokio::test]
    async fn an_engine_knows_the_networks_of_a_container() {
        let (_swarm, engine, id, network) = container();
        let hosts = ["tcp://127.0.0.1:1", engine.server.url()];
        let ask = async |id: &str| query(&hosts, id, PromDuration::from_secs(60)).ask().await;
        assert!(ask(&id).await.unwrap().contains(&*network));
        assert!(ask(&id[..12]).await.unwrap().contains(&*network));
        // The host that does not answer may be the Engine of the container.
        ask(&"0".repeat(64)).await.unwrap_err();
        let mut other = query(&hosts[1..], &"0".repeat(64), PromDuration::from_secs(60));
        assert_eq!(other.ask().await.unwrap(), BTreeSet::new());
    }

    #[tokio::test]
    async fn a_container_that_is_attached_to_another_network_is_noticed() {
        let (swarm, engine, id, network) = container();
        let second = swarm.create_network("second");
        let other = ServiceSpec::new("other", "demo:1").network(&second);
        let other = swarm.tasks_of(&swarm.create_service(other))[0].networks_attachments.clone();
        engine.server.faults().next(3, Fault::Status(500, "starting".to_owned()));
        let query = query(&[engine.server.url()], &id, PromDuration::from_millis(50));
        let mut networks = pin!(query.networks());
        let first = tokio::time::timeout(GUARD, networks.next()).await.unwrap().unwrap();
        assert!(first.contains(&*network) && !first.contains(&*second), "{first:?}");
        let tasks = swarm.tasks();
        let task = tasks.iter().find(|task| {
            let container = task.status.container_status.as_ref();
            container.is_some_and(|container| container.container_id == id)
        });
        swarm.edit_task(&task.unwrap().meta.id, |task| task.networks_attachments.extend(other));
        let then = tokio::time::timeout(GUARD, networks.next()).await.unwrap().unwrap();
        assert!(then.contains(&*network) && then.contains(&*second), "{then:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_refuses_is_tried_again_after_an_hour() {
        let (_snapshots, receiver) = watch::channel(LastGood::default());
        let (publish, published) = watch::channel(Arc::<Surroundings>::default());
        let changed = Arc::new(Notify::new());
        let mut scout = Scout::new(receiver, publish, Arc::clone(&changed));
        scout.waiting.insert("192.0.2.1:9323".into(), Some(Instant::now()));
        // It refuses the first two connections.
        let attempts = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&attempts);
        scout.connect = Box::new(move |address, _| {
            let mut attempts = seen.lock().unwrap();
            attempts.push(Instant::now());
            let is_open = attempts.len() > 2;
            Box::pin(async move { (address, is_open) })
        });
        tokio::select! {
            () = scout.run(false, None, None) => panic!("the snapshots are still there"),
            () = changed.notified() => {}
        }
        assert!(published.borrow().dockerd.contains("192.0.2.1:9323"));
        let attempts = attempts.lock().unwrap();
        let pauses: Vec<_> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(pauses, [RETRY_AFTER; 2]);
    }
}
