//! An etcd cluster that is not there: the keys API of version 2 and the JSON gateway of version 3,
//! each with its own keys, as in etcd 3.4.
//!
//! All members share what is stored. What changes it is a call of its owner; time does not pass by
//! itself, so a key with a lifetime goes when [`Etcd::expire`] says so. Answers are those recorded
//! from etcd 3.4.23 (`fixtures`), but for their numbers, times, and the order of keys.

mod recorded;
mod v2;
mod v3;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

pub use recorded::RECORDED;
use swarmscout_simulator::http::{Listen, Reply, Request, Response, Server};
use v2::Tree;
use v3::Map;

/// What is stored. Clones share it.
#[derive(Clone)]
pub struct Etcd(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Counts the changes.
    changes: watch::Sender<u64>,
}

struct State {
    /// Version 2; `None` while that is not switched on.
    tree: Option<Tree>,
    /// Version 3.
    map: Map,
    /// Where its gateway is.
    gateway: &'static str,
    /// User and password that version 3 asks for.
    user: Option<(String, String)>,
    tokens: BTreeSet<String>,
    authentications: u64,
}

/// A running member. Ends when it is dropped.
#[derive(Debug)]
pub struct Member {
    /// Where it listens, what goes wrong, and what it was asked.
    pub server: Server,
}

impl Default for Etcd {
    fn default() -> Self {
        let state = State {
            tree: Some(Tree::default()),
            map: Map::default(),
            gateway: "/v3",
            user: None,
            tokens: BTreeSet::new(),
            authentications: 0,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), changes: watch::Sender::default() }))
    }
}

impl Etcd {
    /// Sets a key of version 2, and makes the directories that it is in. `ttl` is in seconds.
    pub fn set(&self, key: &str, value: &str, ttl: Option<u64>) {
        self.tree(|tree| tree.set(key, value, ttl));
    }

    /// Removes a key of version 2, or a directory with all below it.
    pub fn delete(&self, key: &str) {
        self.tree(|tree| tree.remove(key, "delete"));
    }

    /// Ends the lifetime of a key of version 2.
    pub fn expire(&self, key: &str) {
        self.tree(|tree| tree.remove(key, "expire"));
    }

    /// Forgets all changes of version 2 so far, as etcd does after 1,000 more of them.
    pub fn forget(&self) {
        self.tree(Tree::forget);
    }

    /// Switches version 2 off, with all its keys, or on.
    pub fn switch_v2(&self, on: bool) {
        self.change(|state| state.tree = on.then(Tree::default));
    }

    /// Puts a key of version 3, with the number of its lease.
    pub fn put(&self, key: &str, value: impl AsRef<[u8]>, lease: Option<u64>) {
        self.change(|state| state.map.put(key.as_bytes(), value.as_ref(), lease));
    }

    /// Deletes a key of version 3; the end of its lease is the same.
    pub fn drop_key(&self, key: &str) {
        self.change(|state| state.map.delete(key.as_bytes()));
    }

    /// Forgets all changes of version 3 so far.
    pub fn compact(&self) {
        self.change(|state| state.map.compact());
    }

    /// Where the gateway of version 3 is: `/v3beta` in etcd 3.3.
    pub fn set_gateway(&self, path: &'static str) {
        self.change(|state| state.gateway = path);
    }

    /// From now on version 3 wants this user and password.
    pub fn require_user(&self, name: &str, password: &str) {
        self.change(|state| state.user = Some((name.to_owned(), password.to_owned())));
    }

    /// Ends all tokens, as etcd does after five minutes.
    pub fn end_tokens(&self) {
        self.change(|state| state.tokens.clear());
    }

    fn tree(&self, change: impl FnOnce(&mut Tree)) {
        self.change(|state| change(state.tree.get_or_insert_default()));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.0.changes.send_modify(|changes| *changes += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `find` finds something.
    async fn find<T>(&self, mut find: impl FnMut(&State) -> Option<T>) -> T {
        let mut changes = self.0.changes.subscribe();
        loop {
            if let Some(found) = find(&self.lock()) {
                return found;
            }
            if changes.changed().await.is_err() {
                // Not while there is a `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    fn answer(&self, request: &Request) -> Reply {
        let gateway = self.lock().gateway;
        let path = request.path.as_str();
        if path.starts_with("/v2/keys") {
            return v2::answer(self, request);
        }
        match path.strip_prefix(gateway).and_then(|rest| rest.strip_prefix('/')) {
            Some(method) if request.method == http::Method::POST => {
                v3::answer(self, method, request)
            }
            _ => not_found().into(),
        }
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Etcd").finish_non_exhaustive()
    }
}

impl Member {
    /// Starts a member of the cluster.
    pub fn start(listen: Listen, etcd: &Etcd) -> io::Result<Self> {
        let etcd = etcd.clone();
        Ok(Self { server: Server::start(listen, move |request| etcd.answer(request))? })
    }
}

impl Member {
    /// Serves the keys that were recorded in this case: see [`RECORDED`]. `None` where there is no
    /// such recording.
    pub fn recorded(listen: Listen, case: &str) -> Option<io::Result<Self>> {
        let (_, body) = RECORDED.iter().find(|(name, _)| *name == case)?;
        let server = Server::start(listen, |request| recorded::answer(body, request));
        Some(server.map(|server| Self { server }))
    }
}

/// Go's answer for an unknown path, between etcd's own headers.
fn not_found() -> Response {
    let mut response = Response::not_found();
    response.headers.splice(..0, cors());
    response
}

/// The headers of every answer.
fn cors() -> [(String, String); 3] {
    [
        ("Access-Control-Allow-Headers", "accept, content-type, authorization"),
        ("Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE"),
        ("Access-Control-Allow-Origin", "*"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
}
