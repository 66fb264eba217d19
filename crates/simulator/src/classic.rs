//! The master of a standalone ("classic") Swarm, from 0.1.0 to 1.2.9.
//!
//! A master reports its nodes in rows of text in `/info`. [`Master::recorded`] serves what real
//! masters answered, byte for byte; [`Master::start`] writes the same for any nodes, in the form of
//! any version (classicswarm `cluster/swarm/cluster.go`, tag by tag).

mod recorded;
mod rows;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::json::{self, Members};
use crate::swarm::{Map, Random};
use crate::{Listen, Request, Response, Server};

pub use recorded::RECORDED;

/// A version of classic Swarm: `(1, 2, 9)`.
pub type Version = (u8, u8, u8);

/// The versions whose answers were recorded, oldest first.
pub const VERSIONS: [Version; 11] = [
    (0, 1, 0),
    (0, 2, 0),
    (0, 3, 0),
    (0, 4, 0),
    (1, 0, 1),
    (1, 1, 0),
    (1, 1, 3),
    (1, 2, 0),
    (1, 2, 3),
    (1, 2, 6),
    (1, 2, 9),
];

/// The nodes that masters know. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Cluster(Arc<Mutex<Vec<Node>>>);

/// An engine that a master knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its host name; a master that never reached it shows `(unknown)` instead.
    pub name: String,
    /// `host:port`.
    pub addr: String,
    /// Of the engine; shown by 1.2.1 and later.
    pub id: String,
    /// Whether the master reaches it.
    pub status: Status,
    /// Running, paused and stopped ones.
    pub containers: (u64, u64, u64),
    /// Reserved and all.
    pub cpus: (u64, u64),
    /// Reserved and all, in bytes.
    pub memory: (u64, u64),
    /// Labels of the engine.
    pub labels: Map,
    /// Why the master does not reach it; empty if it does.
    pub error: String,
    /// Of the engine; shown by 1.2.0 and later.
    pub server_version: String,
    /// When the master last received a report of it, as RFC 3339; shown by 1.1.0 and later.
    pub updated_at: String,
}

/// Whether a master reaches an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Swarm's")]
pub enum Status {
    Pending,
    Unhealthy,
    Healthy,
    Disconnected,
}

impl Cluster {
    /// This many healthy nodes `node-00000`, …, each with the labels that engines of this age have.
    pub fn of(nodes: usize) -> Self {
        let mut random = Random::new(nodes as u64);
        let node = |i: usize| {
            let [.., third, fourth] = i.to_be_bytes();
            let zone = ["eu-central-1a", "eu-central-1b", "eu-central-1c"][i % 3];
            let labels = [
                ("kernelversion", "6.1.0-32-amd64"),
                ("operatingsystem", "Debian GNU/Linux 12 (bookworm)"),
                ("ostype", "linux"),
                ("storage", if i.is_multiple_of(4) { "ssd" } else { "hdd" }),
                ("storagedriver", "overlay2"),
                ("zone", zone),
            ];
            Node {
                name: format!("node-{i:05}"),
                addr: format!("10.77.{third}.{fourth}:2375"),
                id: random.daemon_id(),
                status: Status::Healthy,
                containers: (8, 0, i as u64 % 3),
                cpus: (i as u64 % 5, 4),
                memory: ((i as u64 % 9) << 26, 26_540_340_019),
                labels: BTreeMap::from(labels.map(|(k, v)| (k.to_owned(), v.to_owned()))),
                error: String::new(),
                server_version: "20.10.24+dfsg1".to_owned(),
                updated_at: "2026-11-23T00:18:17Z".to_owned(),
            }
        };
        let nodes: Vec<_> = (0..nodes).map(node).collect();
        Self(Arc::new(Mutex::new(nodes)))
    }

    /// Changes the nodes.
    pub fn edit<T>(&self, edit: impl FnOnce(&mut Vec<Node>) -> T) -> T {
        edit(&mut self.lock())
    }

    /// The body of `/info` as a master of this version writes it. `primary` is the address of the
    /// other master that leads, for a replica.
    pub fn info(&self, version: Version, primary: Option<&str>) -> Vec<u8> {
        self.info_in(version, primary, version < (1, 1, 0), &mut Random::new(0))
    }

    fn info_in(
        &self,
        version: Version,
        primary: Option<&str>,
        old: bool,
        order: &mut Random,
    ) -> Vec<u8> {
        let mut nodes = self.lock().clone();
        // Sorted by name alone: nodes of one name change places.
        order.shuffle(&mut nodes);
        nodes.sort_by(|a, b| a.shown_name().cmp(b.shown_name()));
        if version < (1, 1, 0) {
            nodes.retain(|node| node.status != Status::Pending);
        }
        let mut info = Members::of(recorded::template(version));
        let rows = rows::rows(version, primary, old, &nodes);
        match (version < (1, 1, 0), old) {
            (true, _) => info.set("DriverStatus", &rows),
            (false, true) => {
                info.set("DriverStatus", &rows);
                info.set("SystemStatus", &());
            }
            (false, false) => info.set("SystemStatus", &rows),
        }
        let known = || nodes.iter().filter(|node| node.status != Status::Pending);
        let sum = |of: fn(&Node) -> u64| known().map(of).sum::<u64>();
        let (running, paused) = (sum(|n| n.containers.0), sum(|n| n.containers.1));
        let stopped = sum(|n| n.containers.2);
        info.set("Containers", &(running + paused + stopped));
        if version >= (1, 1, 0) {
            info.set("ContainersRunning", &running);
            info.set("ContainersPaused", &paused);
            info.set("ContainersStopped", &stopped);
        }
        if version >= (0, 3, 0) {
            info.set("NCPU", &sum(|n| n.cpus.1));
            info.set("MemTotal", &sum(|n| n.memory.1));
        }
        if version >= (1, 2, 0) {
            info.set("ServerVersion", &format!("swarm/{}", dotted(version)));
        }
        json::encode(&info)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Node>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    /// A healthy node.
    pub fn new(name: &str, addr: &str) -> Self {
        let mut node = Cluster::of(1).edit(|nodes| nodes.remove(0));
        name.clone_into(&mut node.name);
        addr.clone_into(&mut node.addr);
        node
    }

    fn shown_name(&self) -> &str {
        if self.status == Status::Pending { "(unknown)" } else { &self.name }
    }
}

/// A running master. Ends when it is dropped.
#[derive(Debug)]
pub struct Master {
    /// Where it listens, what goes wrong, and what it was asked.
    pub server: Server,
    primary: Arc<Mutex<Option<String>>>,
}

impl Master {
    /// Starts a primary master of this version.
    pub fn start(listen: Listen, cluster: &Cluster, version: Version) -> io::Result<Self> {
        let primary = Arc::<Mutex<Option<String>>>::default();
        let (cluster, shown) = (cluster.clone(), Arc::clone(&primary));
        let order = Mutex::new(Random::new(0));
        let server = Server::start(listen, move |request| {
            answer(request, version, |old| {
                let primary = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let mut order = order.lock().unwrap_or_else(PoisonError::into_inner);
                cluster.info_in(version, primary.as_deref(), old, &mut order)
            })
        })?;
        Ok(Self { server, primary })
    }

    /// Serves what a real master answered to `/info`: see [`RECORDED`] for versions and cases.
    /// `None` where there is no such recording.
    pub fn recorded(listen: Listen, version: &str, case: &str) -> Option<io::Result<Self>> {
        let body = recorded::body(version, case)?;
        let version = recorded::parse(version)?;
        let server =
            Server::start(listen, move |request| answer(request, version, |_| body.to_vec()));
        Some(server.map(|server| Self { server, primary: Arc::default() }))
    }

    /// Makes the master a replica of the one at this address, which is empty without a leader; or
    /// the primary.
    pub fn set_primary(&self, primary: Option<&str>) {
        *self.primary.lock().unwrap_or_else(PoisonError::into_inner) = primary.map(str::to_owned);
    }
}

/// `info` says whether the older form is wanted.
fn answer(request: &Request, version: Version, info: impl FnOnce(bool) -> Vec<u8>) -> Response {
    let (asked, path) = match request.path.strip_prefix("/v").and_then(|rest| rest.split_once('/'))
    {
        Some((api, _)) => (api.strip_prefix("1.").and_then(|minor| minor.parse::<u32>().ok()), {
            &request.path[api.len() + 2..]
        }),
        None => (None, request.path.as_str()),
    };
    if !matches!(request.method, http::Method::GET | http::Method::HEAD) {
        return Response::not_found();
    }
    match path {
        "/info" => {
            let choice = ((1, 1, 0)..(1, 2, 6)).contains(&version);
            let old = version < (1, 1, 0) || (choice && asked.is_some_and(|minor| minor < 22));
            Response::json(info(old))
        }
        "/_ping" => {
            let ok = Response::new("text/plain; charset=utf-8", "OK");
            if version >= (1, 2, 9) { ok.with("Api-Version", "1.30") } else { ok }
        }
        "/version" => Response::json(json::encode(&serde_json::json!({
            "Version": format!("swarm/{}", dotted(version)),
            "ApiVersion": "1.22",
            "Os": "linux",
            "Arch": "amd64",
        }))),
        _ => Response::not_found(),
    }
}

fn dotted((major, minor, patch): Version) -> String {
    format!("{major}.{minor}.{patch}")
}
