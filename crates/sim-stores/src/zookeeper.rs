//! A ZooKeeper ensemble that is not there: sessions, reads and one-shot watches, with faults on
//! demand.
//!
//! Its members share one tree and have always seen the same. What changes the tree is a call of
//! its owner, since the readers under test never write. Frames are those recorded from ZooKeeper
//! 3.8 (`fixtures/zookeeper`), transaction numbers included; only the order of children is
//! ours, theirs comes from a hash table.

mod connection;
mod tree;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinSet;

use swarmscout_simulator::Listen;
use swarmscout_simulator::http::Listener;
use tree::Tree;

/// What a member does wrong, from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Says nothing at all, though it accepts connections.
    Mute,
    /// Ends connections when something comes, as a member does that is cut off from the others.
    NoQuorum,
    /// Begins sessions, but answers nothing.
    Hang,
    /// Ends the connection when it is asked something.
    Close,
    /// Half of each answer, then the end.
    Cut,
    /// Half of each answer, then nothing more.
    Stall,
    /// Answers announce this length.
    Length(i32),
    /// Answers belong to another question.
    OtherQuestion,
    /// Each question fails with this number.
    Code(i32),
    /// Each question succeeds with this body.
    Body(Bytes),
    /// These bytes instead of any answer, that to the beginning of a session included.
    Raw(Bytes),
    /// Events without end instead of an answer.
    Events,
    /// Answers come byte for byte, with this pause after each.
    Drip(Duration),
}

/// What a member was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which member.
    pub member: usize,
    /// `exists`, `data` or `children`.
    pub what: &'static str,
    /// The node that it is about.
    pub path: String,
}

/// A running ensemble. Ends when it is dropped.
pub struct ZooKeeper {
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    tree: Mutex<Tree>,
    members: Vec<Member>,
    log: Mutex<Log>,
    /// How often each of `ping`, `close`, `exists`, `data` and `children` came so far.
    counts: watch::Sender<BTreeMap<&'static str, u64>>,
}

struct Member {
    addr: SocketAddr,
    listener: Listener,
    fault: Mutex<Option<Fault>>,
}

struct Log {
    asked: Vec<Asked>,
    session_timeout: Duration,
    /// `user:password` that somebody must have said before anything can be read.
    credentials: Option<String>,
}

impl ZooKeeper {
    /// Starts this many members on loopback ports. The tree has what is in every new one.
    pub fn start(members: usize) -> io::Result<Self> {
        let member = || {
            let listener = Listener::bind(Listen::Tcp)?;
            let addr = listener.tcp_addr().ok_or(io::ErrorKind::AddrNotAvailable)?;
            Ok(Member { addr, listener, fault: Mutex::default() })
        };
        let members: Vec<_> = (0..members).map(|_| member()).collect::<io::Result<_>>()?;
        let log =
            Log { asked: Vec::new(), session_timeout: Duration::from_secs(10), credentials: None };
        let shared = Arc::new(Shared {
            tree: Mutex::default(),
            members,
            log: Mutex::new(log),
            counts: watch::Sender::default(),
        });
        let mut tasks = JoinSet::new();
        for index in 0..shared.members.len() {
            tasks.spawn(connection::accept(Arc::clone(&shared), index));
        }
        Ok(Self { shared, _tasks: tasks })
    }

    /// `127.0.0.1:1234` of each member.
    pub fn addresses(&self) -> Vec<String> {
        let members = (0..self.shared.members.len()).map(|index| self.addr(index).to_string());
        members.collect()
    }

    /// Where a member listens.
    pub fn addr(&self, member: usize) -> SocketAddr {
        self.shared.members[member].addr
    }

    /// Makes a node without what is above it, as `create` does. False: it is there, or its parent
    /// is not.
    pub fn create(&self, path: &str, data: &str) -> bool {
        self.tree().create(path, data.as_bytes(), 0)
    }

    /// Makes a node that belongs to a session, whose number `session` is.
    pub fn create_ephemeral(&self, path: &str, data: &str, session: i64) -> bool {
        self.tree().create(path, data.as_bytes(), session)
    }

    /// Writes what a node holds. False: it is not there.
    pub fn set(&self, path: &str, data: impl AsRef<[u8]>) -> bool {
        self.tree().set(path, data.as_ref())
    }

    /// Removes a node. False: it is not there, or something is below it.
    pub fn delete(&self, path: &str) -> bool {
        self.tree().delete(path)
    }

    /// Writes a value as Swarm does: whatever is missing above and the node itself are made empty,
    /// then the node is written.
    pub fn put(&self, path: &str, data: &str) {
        let mut tree = self.tree();
        for (end, _) in path.match_indices('/').filter(|(end, _)| *end > 0) {
            tree.create(&path[..end], b"", 0);
        }
        tree.create(path, b"", 0);
        tree.set(path, data.as_bytes());
    }

    /// Ends all sessions, and their connections.
    pub fn expire_sessions(&self) {
        self.tree().end_sessions();
    }

    /// Ends all sessions and empties the tree; transactions are counted from zero again.
    pub fn wipe(&self) {
        self.tree().wipe();
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.tree().sessions()
    }

    /// What a member does wrong from now on; `None`: nothing.
    pub fn fault(&self, member: usize, fault: Option<Fault>) {
        *lock(&self.shared.members[member].fault) = fault;
    }

    /// Closes the port of a member, and its connections.
    pub fn refuse(&self, member: usize) {
        self.shared.members[member].listener.close();
    }

    /// Opens the port of a member again.
    pub fn accept(&self, member: usize) -> io::Result<()> {
        self.shared.members[member].listener.open()
    }

    /// How long sessions live without a word of their client, as the server says from now on. No
    /// session ends by it.
    pub fn session_timeout(&self, timeout: Duration) {
        lock(&self.shared.log).session_timeout = timeout;
    }

    /// From now on only who said `user:password` may read.
    pub fn protect(&self, credentials: &str) {
        lock(&self.shared.log).credentials = Some(credentials.to_owned());
    }

    /// Everything that was asked so far, oldest first.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.log).asked.clone()
    }

    /// Forgets what was asked so far.
    pub fn forget_asked(&self) {
        lock(&self.shared.log).asked.clear();
    }

    /// Waits until `ping`, `close`, `exists`, `data` or `children` came so often.
    pub async fn received(&self, what: &str, times: u64) {
        let mut counts = self.shared.counts.subscribe();
        // The sender is in `self`.
        let _ = counts.wait_for(|counts| counts.get(what).is_some_and(|&n| n >= times)).await;
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        lock(&self.shared.tree)
    }
}

impl fmt::Debug for ZooKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZooKeeper").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}

impl Shared {
    fn count(&self, what: &'static str) {
        self.counts.send_modify(|counts| *counts.entry(what).or_default() += 1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
