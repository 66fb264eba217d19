//! Cases that all stores over HTTP share: one scenario each, for every protocol.

use futures_util::FutureExt;
use swarmscout_sim_stores::consul::{Agent, Consul as SimulatedConsul};
use swarmscout_sim_stores::etcd::{Etcd, Member};
use swarmscout_simulator::{Fault, Listen, Server};

use super::super::http::{HttpStore, Protocol};
use super::*;
use crate::RefreshScope;
use crate::source::faults::{self, Named, body, spoil};

/// A simulated store with two servers, and how ours speaks to it.
enum Pair {
    Etcd2(Etcd, [Member; 2]),
    Etcd3(Etcd, [Member; 2]),
    Consul(SimulatedConsul, [Agent; 2]),
}

const NODES: &str = "/swarm/docker/swarm/nodes";

fn pairs() -> [Pair; 3] {
    let members = |etcd: &Etcd| [(); 2].map(|()| Member::start(Listen::Tcp, etcd).unwrap());
    let (etcd2, etcd3, consul) = (Etcd::default(), Etcd::default(), SimulatedConsul::default());
    let agents = [(); 2].map(|()| Agent::start(Listen::Tcp, &consul).unwrap());
    [
        Pair::Etcd2(etcd2.clone(), members(&etcd2)),
        Pair::Etcd3(etcd3.clone(), members(&etcd3)),
        Pair::Consul(consul, agents),
    ]
}

impl Pair {
    fn name(&self) -> &'static str {
        match self {
            Self::Etcd2(..) => "etcd v2",
            Self::Etcd3(..) => "etcd v3",
            Self::Consul(..) => "consul",
        }
    }

    fn server(&self, index: usize) -> &Server {
        match self {
            Self::Etcd2(_, members) | Self::Etcd3(_, members) => &members[index].server,
            Self::Consul(_, agents) => &agents[index].server,
        }
    }

    /// `etcd://127.0.0.1:1,127.0.0.1:2/swarm`
    fn url(&self) -> String {
        let scheme = if matches!(self, Self::Consul(..)) { "consul" } else { "etcd" };
        let [first, second] = [0, 1].map(|index| self.server(index).addr().unwrap());
        format!("{scheme}://{first},{second}/swarm")
    }

    /// What a node or a master writes, at first and with each heartbeat.
    fn put(&self, key: &str, value: &str) {
        match self {
            Self::Etcd2(etcd, _) => etcd.set(key, value, Some(60)),
            Self::Etcd3(etcd, _) => etcd.put(key, value, Some(7)),
            Self::Consul(consul, _) => {
                consul.put(key.trim_start_matches('/'), value, Some("a session"));
            }
        }
    }

    fn join(&self, node: &str) {
        self.put(&format!("{NODES}/{node}"), node);
    }

    /// The end of a node's lifetime.
    fn expire(&self, node: &str) {
        let key = format!("{NODES}/{node}");
        match self {
            Self::Etcd2(etcd, _) => etcd.expire(&key),
            Self::Etcd3(etcd, _) => etcd.drop_key(&key),
            Self::Consul(consul, _) => consul.delete(key.trim_start_matches('/')),
        }
    }

    fn lead(&self, master: &str) {
        self.put("/swarm/docker/swarm/leader", master);
    }

    /// Our side of it with one node in it, after its first listing.
    async fn watched(&self) -> Box<dyn Tuned> {
        self.join("10.0.0.1:2375");
        let mut store = self.store();
        nodes(&mut store).await;
        store
    }

    /// Our side of it.
    fn store(&self) -> Box<dyn Tuned> {
        self.store_with(u64::MAX)
    }

    /// Our side of it, which reads no larger answer than this.
    fn store_with(&self, max_answer: u64) -> Box<dyn Tuned> {
        let mut config = config(&self.url());
        let mut context = BuildContext::new("Swarmscout/test");
        context.refresh.max_answer = max_answer;
        let Location::Store(servers) = config.location.clone() else { unreachable!() };
        let path = &servers.path;
        let mut store: Box<dyn Tuned> = match self {
            Self::Etcd2(..) => {
                let protocol = Etcd2::new(path);
                Box::new(HttpStore::new(&servers, protocol, true, &config, &context).unwrap())
            }
            Self::Etcd3(..) => {
                config.etcd_api = EtcdApi::V3;
                let protocol = Etcd3::new(path, None, 2);
                Box::new(HttpStore::new(&servers, protocol, false, &config, &context).unwrap())
            }
            Self::Consul(..) => {
                let protocol = Consul::new(path);
                Box::new(HttpStore::new(&servers, protocol, true, &config, &context).unwrap())
            }
        };
        // A test must not depend on how busy the machine is.
        store.set_deadline(|_, _| Duration::from_mins(1));
        store
    }
}

/// A store whose deadline a test sets.
trait Tuned: Store {
    fn set_deadline(&mut self, deadline: fn(PromDuration, usize) -> Duration);
}

impl<P: Protocol> Tuned for HttpStore<P> {
    fn set_deadline(&mut self, deadline: fn(PromDuration, usize) -> Duration) {
        self.deadlines.rule = deadline;
    }
}

/// The nodes of one listing, sorted, and the primary.
async fn list(store: &mut Box<dyn Tuned>) -> Result<(Vec<String>, Option<String>), Error> {
    let mut listing = store.list().await?;
    listing.nodes.sort();
    Ok((listing.nodes, listing.primary))
}

async fn nodes(store: &mut Box<dyn Tuned>) -> Vec<String> {
    list(store).await.unwrap().0
}

/// Waits for a change, and checks how many nodes there are then.
async fn comes_to(store: &mut Box<dyn Tuned>, expected: usize, name: &str) {
    store.changed().await.unwrap();
    assert_eq!(nodes(store).await.len(), expected, "{name}");
}

#[tokio::test]
async fn nodes_come_expire_and_return() {
    for pair in pairs() {
        let name = pair.name();
        let mut store = pair.store();
        let error = list(&mut store).await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "{}: no list of nodes at any of /swarm/docker/swarm/nodes, /swarm/docker/nodes, /swarm: \
                 no node ever joined, or the path is another one",
                pair.url()
            ),
            "{name}"
        );
        // The first one is reported, although there was nothing to watch.
        pair.join("10.0.0.1:2375");
        store.changed().await.unwrap();
        assert_eq!(nodes(&mut store).await, ["10.0.0.1:2375"], "{name}");
        pair.join("10.0.0.2:2375");
        store.changed().await.unwrap();
        assert_eq!(nodes(&mut store).await, ["10.0.0.1:2375", "10.0.0.2:2375"], "{name}");
        pair.expire("10.0.0.1:2375");
        store.changed().await.unwrap();
        assert_eq!(nodes(&mut store).await, ["10.0.0.2:2375"], "{name}");
        pair.join("10.0.0.1:2375");
        comes_to(&mut store, 2, name).await;
        assert_eq!(pair.server(1).request_count(), 0, "{name}: one server is enough");
    }
}

#[tokio::test]
async fn the_primary_is_the_master_that_leads() {
    for pair in pairs() {
        let name = pair.name();
        pair.join("10.0.0.1:2375");
        let mut store = pair.store();
        assert_eq!(list(&mut store).await.unwrap().1, None, "{name}");
        for master in ["10.0.0.8:3375", "10.0.0.9:3375"] {
            pair.lead(master);
            store.changed().await.unwrap();
            assert_eq!(list(&mut store).await.unwrap().1.as_deref(), Some(master), "{name}");
        }
    }
}

/// A master that leads is a Swarm, though it may have no node.
#[tokio::test]
async fn masters_without_nodes_are_an_empty_list() {
    for pair in pairs() {
        pair.lead("10.0.0.8:3375");
        let mut store = pair.store();
        let (nodes, primary) = list(&mut store).await.unwrap();
        assert_eq!(
            (nodes.len(), primary.as_deref()),
            (0, Some("10.0.0.8:3375")),
            "{}",
            pair.name()
        );
        pair.join("10.0.0.1:2375");
        store.changed().await.unwrap();
        assert_eq!(list(&mut store).await.unwrap().0.len(), 1, "{}", pair.name());
    }
}

/// Engines with `--cluster-store` announce themselves elsewhere.
#[tokio::test]
async fn engines_announce_themselves_without_swarm() {
    for pair in pairs() {
        let name = pair.name();
        pair.put("/swarm/docker/network/v1.0/network/x", "{}");
        pair.put("/swarm/docker/nodes/10.0.0.1:2375", "10.0.0.1:2375");
        let mut store = pair.store();
        assert_eq!(nodes(&mut store).await, ["10.0.0.1:2375"], "{name}");
        pair.put("/swarm/docker/nodes/10.0.0.2:2375", "10.0.0.2:2375");
        store.changed().await.unwrap();
        assert_eq!(nodes(&mut store).await, ["10.0.0.1:2375", "10.0.0.2:2375"], "{name}");
        // As soon as Swarm has a list it is the one that counts.
        pair.join("10.0.0.3:2375");
        assert_eq!(nodes(&mut store).await, ["10.0.0.3:2375"], "{name}");
    }
}

/// Keys beside the list, or like those of the list, are not in it.
#[tokio::test]
async fn other_keys_are_not_nodes() {
    for pair in pairs() {
        pair.join("10.0.0.1:2375");
        pair.put("/swarm/docker/swarm/nodes-of-old/10.0.0.9:2375", "10.0.0.9:2375");
        pair.put("/swarm/docker/swarm/nodes/deeper/10.0.0.9:2375", "10.0.0.9:2375");
        pair.put("/swarm/docker/swarm/nodes/empty", "");
        pair.put("/swarm2/docker/swarm/nodes/10.0.0.9:2375", "10.0.0.9:2375");
        assert_eq!(nodes(&mut pair.store()).await, ["10.0.0.1:2375"], "{}", pair.name());
    }
}

#[tokio::test]
async fn heartbeats_are_not_changes() {
    for pair in pairs() {
        let name = pair.name();
        let mut store = pair.watched().await;
        let asked = pair.server(0).request_count();
        for _ in 0..3 {
            pair.join("10.0.0.1:2375");
        }
        let heartbeats_were_seen = async {
            // A client that waits request by request asks again after each change; the
            // stream of version 3 reports all of them in one answer.
            let questions = match &pair {
                Pair::Etcd2(..) => 4,
                Pair::Etcd3(..) => 1,
                Pair::Consul(..) => 2,
            };
            pair.server(0).requested(asked + questions).await;
        };
        tokio::select! {
            biased;
            changed = store.changed() => panic!("{name}: {changed:?}"),
            () = heartbeats_were_seen => {}
        }
        pair.join("10.0.0.2:2375");
        comes_to(&mut store, 2, name).await;
    }
}

/// A refresh is dropped when its deadline passes, a watch whenever a refresh is due.
#[tokio::test]
async fn a_change_while_no_caller_waits_is_reported_later() {
    for pair in pairs() {
        let mut store = pair.watched().await;
        assert!(store.changed().now_or_never().is_none(), "{}", pair.name());
        pair.join("10.0.0.2:2375");
        comes_to(&mut store, 2, pair.name()).await;
    }
}

#[tokio::test]
async fn what_the_store_forgot_is_a_change() {
    for pair in pairs() {
        let mut store = pair.watched().await;
        pair.join("10.0.0.2:2375");
        match &pair {
            Pair::Etcd2(etcd, _) => etcd.forget(),
            Pair::Etcd3(etcd, _) => etcd.compact(),
            // It forgets nothing, but its index may start over.
            Pair::Consul(consul, _) => consul.rewind(),
        }
        comes_to(&mut store, 2, pair.name()).await;
        pair.expire("10.0.0.2:2375");
        comes_to(&mut store, 1, pair.name()).await;
    }
}

/// All that can go wrong with a server, by name.
fn faults() -> Vec<Named> {
    let mut faults = faults::of_any_server();
    faults.extend([
        ("401", Some(Fault::Status(401, "no".to_owned()))),
        ("a number", Some(body(b"17"))),
        ("numbers in place of objects", Some(body(b"{\"node\":1,\"kvs\":[1]}"))),
        ("not UTF-8", Some(body(b"{\"node\":{\"key\":\"\xff\"},\"kvs\":[\"\xff\"]}"))),
        ("two answers", Some(body(b"{\"node\":{}}{}"))),
        ("an endless answer", Some(Fault::endless_array(&format!("{:4096}", "{}")))),
        ("a gigabyte", Some(Fault::Huge(1 << 30))),
    ]);
    faults
}

#[tokio::test]
async fn the_next_server_answers() {
    for (fault_name, fault) in faults() {
        for pair in pairs() {
            let name = format!("{}: {fault_name}", pair.name());
            let [bad, good] = [0, 1].map(|index| pair.server(index));
            pair.join("10.0.0.1:2375");
            spoil(bad, fault.clone());
            let mut store = pair.store_with(1 << 20);
            // Hung servers are left soon, while another one is left to try.
            store.set_deadline(|_, others_left| match others_left {
                0 => Duration::from_mins(1),
                _ => Duration::from_millis(30),
            });
            let listing = store.list().await.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(listing.nodes.len(), 1, "{name}");
            assert_eq!(listing.problems.len(), 1, "{name}");
            assert_eq!(listing.problems[0].object, bad.url(), "{name}");
            assert_eq!(listing.problems[0].reason, "next host tried", "{name}");
            store.set_deadline(|_, _| Duration::from_mins(1));
            // It stays with the good one, and watches that.
            let asked = bad.request_count();
            pair.join("10.0.0.2:2375");
            comes_to(&mut store, 2, &name).await;
            assert_eq!(bad.request_count(), asked, "{name}");
            assert!(good.request_count() > 2, "{name}");
        }
    }
}

#[tokio::test]
async fn when_all_fail_each_is_named_and_the_next_listing_recovers() {
    for pair in pairs() {
        let name = pair.name();
        let mut store = pair.watched().await;
        let [first, second] = [0, 1].map(|index| pair.server(index));
        first.faults().set(Fault::Status(500, "boom".to_owned()));
        second.faults().set(Fault::Close);
        let error = store.list().await.unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("no host answered: {}/", first.url())),
            "{name}: {error}"
        );
        assert!(
            error.contains("500 Internal Server Error: {\"message\":\"boom\"}; "),
            "{name}: {error}"
        );
        assert!(error.contains(&second.addr().unwrap().to_string()), "{name}: {error}");
        first.faults().clear();
        assert_eq!(nodes(&mut store).await.len(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_fault_breaks_the_watch_and_the_next_listing_opens_another() {
    for (fault_name, fault) in faults() {
        // A watch that hangs is what a watch does.
        let hangs = matches!(
            fault,
            Some(Fault::HangBeforeHeader | Fault::HangInHeader | Fault::HangInBody)
        );
        if hangs {
            continue;
        }
        for pair in pairs() {
            let name = format!("{}: {fault_name}", pair.name());
            let server = pair.server(0);
            pair.join("10.0.0.1:2375");
            let mut store = pair.store_with(1 << 20);
            nodes(&mut store).await;
            spoil(server, fault.clone());
            store.changed().await.expect_err(&name);
            server.faults().clear();
            server.accept().unwrap();
            assert_eq!(nodes(&mut store).await.len(), 1, "{name}");
            pair.join("10.0.0.2:2375");
            comes_to(&mut store, 2, &name).await;
        }
    }
}

#[tokio::test]
async fn a_watch_breaks_with_its_server() {
    for pair in pairs() {
        let name = pair.name();
        let mut store = pair.watched().await;
        let asked = pair.server(0).request_count();
        let (broken, ()) = tokio::join!(store.changed(), async {
            pair.server(0).requested(asked + 1).await;
            pair.server(0).refuse();
        });
        broken.unwrap_err();
        // The other one has it all.
        pair.join("10.0.0.2:2375");
        assert_eq!(nodes(&mut store).await.len(), 2, "{name}");
        pair.expire("10.0.0.2:2375");
        comes_to(&mut store, 1, name).await;
    }
}

#[tokio::test]
async fn a_value_that_is_not_an_address_costs_only_that_value() {
    for pair in pairs() {
        pair.join("10.0.0.1:2375");
        pair.put(&format!("{NODES}/odd"), "nonsense");
        pair.put(&format!("{NODES}/odder"), "a:b:c");
        match &pair {
            // JSON is UTF-8.
            Pair::Etcd2(etcd, _) => etcd.set(&format!("{NODES}/oddest"), "\u{fffd}:1", None),
            Pair::Etcd3(etcd, _) => etcd.put(&format!("{NODES}/oddest"), b"\xff:1", None),
            Pair::Consul(consul, _) => {
                consul.put(&format!("{}/oddest", &NODES[1..]), b"\xff:1", None);
            }
        }
        let refreshed = node_list(Boxed(pair.store())).fetch(RefreshScope::Full).await.unwrap();
        assert_eq!(refreshed.value[0].targets.len(), 1, "{}", pair.name());
        let problems: Vec<_> = refreshed.problems.iter().map(|problem| &*problem.object).collect();
        assert_eq!(problems, ["a:b:c", "nonsense", "\u{fffd}:1"], "{}", pair.name());
    }
}
