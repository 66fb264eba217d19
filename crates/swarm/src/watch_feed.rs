//! Reads a watch, so that it never has to wait for us.
//!
//! SwarmKit queues without limit what a watcher does not read. The task here therefore does nothing
//! but read, and merges what it is told: of an object only the newest is kept until somebody takes
//! it.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use swarmscout_docker::Error;
use swarmscout_docker::engine::Node;
use swarmscout_docker::swarmkit::{Change, Connection, Object, Watch};
use swarmscout_refresh::caught;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::Buckets;

/// So many objects may wait to be taken. A Swarm has fewer; if nobody takes them, the watch ends.
const MOST: usize = if cfg!(test) { 1000 } else { 2_000_000 };

/// Why it ends then.
const TOO_FAST: &str = "changes are reported faster than they are taken";

/// How long asking for managers may hold up changes. They are on this machine.
const MANAGERS_WITHIN: Duration = Duration::from_millis(500);

/// A watch that is being read. Dropping it ends it.
#[derive(Debug)]
pub(super) struct WatchFeed {
    pending: Arc<Pending>,
    /// What was shown or taken, and not handed over yet: taking may be cancelled while managers are
    /// asked for.
    taken: Newest,
    connection: Connection,
    _reader: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct Pending {
    told: Mutex<PendingChanges>,
    notify: Notify,
}

/// What was told and not taken yet.
#[derive(Debug, Default)]
struct PendingChanges {
    changes: Newest,
    ended: Option<Arc<str>>,
}

/// The newest change of each object.
#[derive(Debug, Default)]
struct Newest(HashMap<(u8, Arc<str>), Change>);

impl WatchFeed {
    pub(super) fn new(connection: Connection, watch: Watch, tasks: &TaskTracker) -> Self {
        let pending = Arc::<Pending>::default();
        let reader = tasks.spawn(read(watch, Arc::clone(&pending)));
        let taken = Newest::default();
        Self { pending, taken, connection, _reader: AbortOnDropHandle::new(reader) }
    }

    /// What was told since this was last asked, of each object the newest, in the form that a
    /// listing has. `known` are the nodes so far. Cancel-safe: what is not handed over is told the
    /// next time.
    pub(super) async fn take(&mut self, known: &Buckets<Node>) -> Vec<Change> {
        self.show();
        self.complete(known).await;
        std::mem::take(&mut self.taken.0).into_values().collect()
    }

    /// What was told since it was last shown, of each object the newest, as it was told. It is still
    /// there to be taken.
    pub(super) fn show(&mut self) -> Vec<Change> {
        self.pending.show(&mut self.taken)
    }

    /// Why the watch is over, if it is.
    pub(super) fn ended(&self) -> Option<Arc<str>> {
        self.pending.lock().ended.clone()
    }

    /// Resolves when there is something to take, or the watch is over. Cancel-safe.
    pub(super) async fn changed(&self) {
        if self.taken.0.is_empty() {
            self.told().await;
        }
    }

    /// The same of what was not shown yet.
    pub(super) async fn told(&self) {
        loop {
            let notified = self.pending.notify.notified();
            {
                let told = self.pending.lock();
                if !told.changes.0.is_empty() || told.ended.is_some() {
                    return;
                }
            }
            notified.await;
        }
    }

    /// Puts changes into the form that a listing has: adds what managers are to each other, which no
    /// change tells, and takes away what lists do not tell. Whenever something happens to one of the
    /// managers, all of them are asked for.
    async fn complete(&mut self, known: &Buckets<Node>) {
        let mut managers = BTreeSet::new();
        for change in self.taken.0.values_mut() {
            match change {
                Change::Changed(Object::Node(node)) => {
                    let before = known.get("", &node.id).and_then(|known| known.manager.clone());
                    let is_manager = &*node.role == "manager";
                    if is_manager || before.is_some() {
                        managers.insert(Arc::clone(&node.id));
                    }
                    Arc::make_mut(node).manager = before.filter(|_| is_manager);
                }
                Change::Changed(Object::Network(network)) => Arc::make_mut(network).updated = 0,
                Change::Changed(_) | Change::Removed(_) => {}
            }
        }
        if managers.is_empty() {
            return;
        }
        let others = known.objects().filter(|node| node.manager.is_some());
        managers.extend(others.map(|node| Arc::clone(&node.id)));
        let deadline = Instant::now() + MANAGERS_WITHIN;
        for id in managers {
            // What cannot be told now is told by the next listing.
            let Ok(node) = self.connection.node(&id, deadline).await else { return };
            if let Some(node) = node {
                self.taken.merge(Change::Changed(Object::Node(node)));
            }
        }
    }

    /// Whether the node is one of the Swarm that is watched.
    pub(super) async fn knows_node(&mut self, id: &str, deadline: Instant) -> Result<bool, Error> {
        self.connection.knows_node(id, deadline).await
    }
}

impl Pending {
    fn lock(&self) -> std::sync::MutexGuard<'_, PendingChanges> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves what was told to `taken`, and returns it.
    fn show(&self, taken: &mut Newest) -> Vec<Change> {
        let mut state = self.lock();
        let told: Vec<_> = std::mem::take(&mut state.changes).0.into_values().collect();
        for change in &told {
            taken.merge(change.clone());
        }
        if taken.0.len() > MOST {
            state.ended.get_or_insert_with(|| TOO_FAST.into());
        }
        told
    }

    /// Whether to go on.
    fn note(&self, told: Result<Vec<Change>, Error>) -> bool {
        let mut state = self.lock();
        match told {
            Ok(changes) => changes.into_iter().for_each(|change| state.changes.merge(change)),
            Err(error) => state.ended = Some(error.to_string().into()),
        }
        if state.changes.0.len() > MOST {
            state.ended = Some(TOO_FAST.into());
        }
        let goes_on = state.ended.is_none();
        drop(state);
        self.notify.notify_one();
        goes_on
    }
}

impl Newest {
    fn merge(&mut self, change: Change) {
        let (Change::Changed(object) | Change::Removed(object)) = &change;
        let (kind, id, version) = key(object);
        match self.0.entry((kind, Arc::clone(id))) {
            Entry::Vacant(entry) => drop(entry.insert(change)),
            Entry::Occupied(mut entry) => {
                let replaces = match (entry.get(), &change) {
                    // An ID is never used again.
                    (Change::Removed(_), _) => false,
                    (_, Change::Removed(_)) => true,
                    (Change::Changed(known), _) => key(known).2 <= version,
                };
                if replaces {
                    entry.insert(change);
                }
            }
        }
    }
}

/// Kind, ID and version.
fn key(object: &Object) -> (u8, &Arc<str>, u64) {
    match object {
        Object::Node(node) => (0, &node.id, node.version),
        Object::Service(service) => (1, &service.id, service.version),
        Object::Task(task) => (2, &task.id, task.version),
        Object::Network(network) => (3, &network.id, 0),
    }
}

async fn read(mut watch: Watch, pending: Arc<Pending>) {
    while pending.note(caught(watch.next()).await.map_err(Error::from).flatten()) {}
}

#[cfg(test)]
mod tests;
