//! SwarmKit's control socket of a manager of a [`Swarm`]: gRPC over TLS on a unix socket.
//!
//! It answers `Watch`, the lists of nodes, services, tasks and networks, and `GetNode`, with
//! objects as complete as a real manager writes them; any other method is unknown to it. As in a
//! real Swarm the lists are the leader's and need a quorum, and the watch is the manager's own and
//! goes on without one; no message of a watch has a version, as on followers; what a manager has to
//! do with the quorum is in lists alone, and its change is not reported.
//!
//! Only a manager has the socket. When a node is one no longer, its connections end and the file
//! goes; [`ControlSocket::accept`] makes it again after a promotion.
//!
//! Answers are encoded here by hand, apart from what decodes them (`encode`). Pings are policed as
//! gRPC does it (`pings`).

mod encode;
mod fault;
mod objects;
mod pings;
mod server;
mod watch;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch as channel;
use tokio::task::JoinSet;

use crate::Listen;
use crate::http::Listener;
use crate::swarm::{NodeRole, Random, Swarm};

pub use fault::{ControlFaults, Fault};

/// A control socket. Ends when it is dropped.
pub struct ControlSocket {
    shared: Arc<Shared>,
    path: PathBuf,
    _tasks: JoinSet<()>,
}

struct Shared {
    swarm: Swarm,
    node: String,
    path: PathBuf,
    listener: Listener,
    faults: ControlFaults,
    calls: Mutex<Vec<String>>,
    count: channel::Sender<u64>,
    /// How many watches are open.
    watches: channel::Sender<u64>,
    pings: Arc<AtomicU64>,
    order: Mutex<Random>,
}

impl ControlSocket {
    /// Makes the socket of this node at this path. A worker has none.
    pub fn start(path: impl Into<PathBuf>, swarm: &Swarm, node: &str) -> io::Result<Self> {
        let path = path.into();
        let shared = Arc::new(Shared {
            swarm: swarm.clone(),
            node: node.to_owned(),
            path: path.clone(),
            listener: Listener::bind(Listen::Unix(path.clone()))?,
            faults: ControlFaults::new(swarm),
            calls: Mutex::default(),
            count: channel::Sender::default(),
            watches: channel::Sender::default(),
            pings: Arc::default(),
            order: Mutex::new(Random::new(0)),
        });
        if !shared.is_manager() {
            shared.leave();
        }
        let acceptor = server::acceptor()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(server::accept(Arc::clone(&shared), acceptor));
        Ok(Self { shared, path, _tasks: tasks })
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What goes wrong.
    pub fn faults(&self) -> &ControlFaults {
        &self.shared.faults
    }

    /// Closes the socket: the open connections end, and from now on they are refused. The file
    /// stays.
    pub fn refuse(&self) {
        self.shared.listener.close();
    }

    /// Opens the socket again, as another file at the same path.
    pub fn accept(&self) -> io::Result<()> {
        self.shared.listener.open()
    }

    /// The engine is started again: the open connections end, and another file is there.
    pub fn restart(&self) -> io::Result<()> {
        self.refuse();
        self.accept()
    }

    /// The gRPC methods that were called so far, in order, unknown ones included:
    /// `/docker.swarmkit.v1.Control/ListTasks`.
    pub fn calls(&self) -> Vec<String> {
        self.shared.log().clone()
    }

    /// How many calls there were.
    pub fn call_count(&self) -> u64 {
        *self.shared.count.borrow()
    }

    /// Waits until there were this many calls.
    pub async fn called(&self, count: u64) {
        let reached =
            self.shared.count.subscribe().wait_for(|calls| *calls >= count).await.map(drop);
        debug_assert!(reached.is_ok(), "the sender is part of this socket");
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.shared.log().clear();
        self.shared.count.send_replace(0);
    }

    /// How many watches are open.
    pub fn open_watches(&self) -> u64 {
        *self.shared.watches.borrow()
    }

    /// Waits until this many watches are open.
    pub async fn watched_by(&self, watches: u64) {
        let reached =
            self.shared.watches.subscribe().wait_for(|open| *open == watches).await.map(drop);
        debug_assert!(reached.is_ok(), "the sender is part of this socket");
    }

    /// How many pings clients sent.
    pub fn pings(&self) -> u64 {
        self.shared.pings.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for ControlSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlSocket").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Vec<String>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_manager(&self) -> bool {
        let state = self.swarm.lock();
        state.nodes.get(&self.node).is_some_and(|node| node.spec.role == NodeRole::Manager)
    }

    /// The node is not a manager: connections end, and the file goes.
    fn leave(&self) {
        self.listener.close();
        // It may be gone with its folder already.
        let _ = std::fs::remove_file(&self.path);
    }
}
