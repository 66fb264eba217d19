//! Reads a watch, so that SwarmKit never waits.
//!
//! SwarmKit queues without limit what a watcher does not read. So the task here only reads, and merges
//! the changes: the newest of each object is kept until it is taken.

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

/// The most objects that may wait to be taken. A Swarm has fewer; beyond that the watch ends.
const MOST: usize = if cfg!(test) { 1000 } else { 2_000_000 };

/// Why the watch ends then.
const TOO_FAST: &str = "changes are reported faster than they are taken";

/// How long requests for managers may delay changes. The socket is on this machine.
const MANAGERS_WITHIN: Duration = Duration::from_millis(500);

/// A watch that is being read. Dropping it ends it.
#[derive(Debug)]
pub(super) struct WatchFeed {
    pending: Arc<Pending>,
    /// Changes that were shown or taken, and not handed over yet: taking may be canceled while
    /// managers are requested.
    taken: Newest,
    connection: Connection,
    _reader: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct Pending {
    state: Mutex<PendingChanges>,
    notify: Notify,
}

/// The changes that were not taken yet.
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

    /// Takes the newest change of each object, in the form that a listing has. `known` are the nodes so
    /// far. Cancel-safe: a change that is not handed over is taken the next time.
    pub(super) async fn take(&mut self, known: &Buckets<Node>) -> Vec<Change> {
        self.show();
        self.complete(known).await;
        std::mem::take(&mut self.taken.0).into_values().collect()
    }

    /// The newest change of each object since the last call, as reported. They can still be taken.
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
            self.has_new().await;
        }
    }

    /// Resolves when there is a change that was not shown yet, or the watch is over. Cancel-safe.
    pub(super) async fn has_new(&self) {
        loop {
            let notified = self.pending.notify.notified();
            {
                let state = self.pending.lock();
                if !state.changes.0.is_empty() || state.ended.is_some() {
                    return;
                }
            }
            notified.await;
        }
    }

    /// Puts changes into the form that a listing has: adds the managers' parts in the quorum, which a
    /// watch lacks, and removes what lists lack. After a change of one manager all of them are
    /// requested.
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
            // The next listing has it.
            let Ok(node) = self.connection.node(&id, deadline).await else { return };
            if let Some(node) = node {
                self.taken.merge(Change::Changed(Object::Node(node)));
            }
        }
    }

    /// Whether the node belongs to the Swarm that is watched.
    pub(super) async fn knows_node(&mut self, id: &str, deadline: Instant) -> Result<bool, Error> {
        self.connection.knows_node(id, deadline).await
    }
}

impl Pending {
    fn lock(&self) -> std::sync::MutexGuard<'_, PendingChanges> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the changes to `taken`, and returns them.
    fn show(&self, taken: &mut Newest) -> Vec<Change> {
        let mut state = self.lock();
        let changes: Vec<_> = std::mem::take(&mut state.changes).0.into_values().collect();
        for change in &changes {
            taken.merge(change.clone());
        }
        if taken.0.len() > MOST {
            state.ended.get_or_insert_with(|| TOO_FAST.into());
        }
        changes
    }

    /// Whether to go on.
    fn note(&self, changes: Result<Vec<Change>, Error>) -> bool {
        let mut state = self.lock();
        match changes {
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
