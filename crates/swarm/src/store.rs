//! Keeps the newest [`Snapshot`], from listings and from the changes between them.
//!
//! Invariants:
//! - A listing is complete for its scope: an object that it lacks is removed. While a watch is open,
//!   which has reported every change so far, two kinds of objects are kept in spite of a listing: one
//!   that is newer than it is listed, and one that is not listed. The latter is *unconfirmed* until
//!   the watch reports the same. If that takes too long, the owner of the store opens a new watch and
//!   lists again.
//! - IDs are never used twice. So an object that was reported as removed does not come back by an
//!   older listing, or by a late change.
//! - After a new watch is opened the listing counts alone: indexes may have fallen
//!   (`docker swarm init --force-new-cluster`).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use swarmscout_docker::engine::{
    HostFiles, Info, List, Lists, Network, NetworkStatuses, Node, Service, Task,
};
use swarmscout_docker::swarmkit::{Change, Object};

use super::buckets::{Buckets, Object as Bucketed};
use super::outcomes::{self, NewestTasks, Outcomes};
use super::{FailedList, ListFilter, ListScope, Snapshot};

/// The newest snapshot, and the state to keep it right. A clone shares the objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    snapshot: Snapshot,
    gone: Gone,
    /// Differences in listings that the watch has not reported: the version, or `None` if removed.
    unconfirmed: BTreeMap<Key, Option<u64>>,
    news: News,
    outcomes: Outcomes,
}

/// Changes since they were last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// Objects that were added, removed or changed.
    pub(crate) changes: u64,
    /// The longest delay from a change to its arrival.
    pub(crate) late: Option<Duration>,
}

/// The IDs of objects that were reported as removed, since the listing before the last one.
#[derive(Clone, Debug, Default)]
struct Gone {
    now: HashSet<Arc<str>>,
    before: HashSet<Arc<str>>,
}

/// The most that are kept, however long no listing comes; the oldest are forgotten first.
const MOST_GONE: usize = 100_000;

impl Gone {
    fn note(&mut self, id: &Arc<str>) {
        if self.now.len() >= MOST_GONE {
            self.before = std::mem::take(&mut self.now);
        }
        self.now.insert(Arc::clone(id));
    }

    fn contains(&self, id: &str) -> bool {
        self.now.contains(id) || self.before.contains(id)
    }
}

/// The change feed that was open during a listing, as far as it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    /// None, or one that no longer counts.
    Nothing,
    /// A watch that reported every change since the listing before.
    Watch,
}

/// Applies a listing.
struct Listing<'a> {
    beside: Beside,
    now: i64,
    gone: &'a Gone,
    unconfirmed: &'a mut BTreeMap<Key, Option<u64>>,
    news: &'a mut News,
    outcomes: &'a mut Outcomes,
}

/// The kind of an object, and its ID.
type Key = (&'static str, Arc<str>);

/// The objects for which a listing is complete.
#[derive(Clone, Copy)]
enum Within<'a> {
    All,
    Ids(&'a BTreeSet<Arc<str>>),
    Owners(&'a BTreeSet<Arc<str>>),
}

/// The objects that a partial listing requested, by ID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListedPart {
    /// These nodes.
    pub(crate) nodes: BTreeSet<Arc<str>>,
    /// These services.
    pub(crate) services: BTreeSet<Arc<str>>,
    /// These networks.
    pub(crate) networks: BTreeSet<Arc<str>>,
    /// All tasks of these services.
    pub(crate) tasks_of: BTreeSet<Arc<str>>,
}

/// What the store needs of an object in addition to what buckets need.
trait Updated: Bucketed + Sized {
    const KIND: &'static str;

    /// Whether a watch reports all objects of the kind. Some networks are local to an Engine.
    const IS_WATCHED: bool = true;

    /// When it was changed: microseconds since 1970, 0 if unknown.
    fn updated(&self) -> i64;

    /// Sorts objects of the kind that changed together.
    fn order(&self) -> (bool, i64) {
        (false, 0)
    }

    /// Notes what became of it. `_known` are the objects without this change.
    fn note(
        _before: Option<&Self>,
        _now: Option<&Self>,
        _known: &Buckets<Self>,
        _newest: &mut NewestTasks,
        _outcomes: &mut Outcomes,
    ) {
    }
}

impl Updated for Node {
    const KIND: &'static str = "node";

    fn updated(&self) -> i64 {
        self.updated
    }
}

impl Updated for Service {
    const KIND: &'static str = "service";

    fn updated(&self) -> i64 {
        self.updated
    }

    fn note(
        before: Option<&Self>,
        now: Option<&Self>,
        _: &Buckets<Self>,
        _: &mut NewestTasks,
        outcomes: &mut Outcomes,
    ) {
        if let (Some(gone), None) = (before, now) {
            outcomes.forget(gone);
        }
    }
}

impl Updated for Task {
    const KIND: &'static str = "task";

    fn updated(&self) -> i64 {
        self.updated
    }

    fn order(&self) -> (bool, i64) {
        outcomes::order(self)
    }

    fn note(
        before: Option<&Self>,
        now: Option<&Self>,
        known: &Buckets<Self>,
        newest: &mut NewestTasks,
        outcomes: &mut Outcomes,
    ) {
        if let Some(now) = now {
            outcomes.note(before, now, known, newest);
        }
    }
}

impl Updated for Network {
    const KIND: &'static str = "network";
    const IS_WATCHED: bool = false;

    fn updated(&self) -> i64 {
        0
    }
}

impl Store {
    /// The newest.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Takes over what stands beside the lists.
    pub(crate) fn note_files(&mut self, files: HostFiles, info: Option<Arc<Info>>) {
        if *self.snapshot.files != files {
            self.snapshot.files = Arc::new(files);
        }
        self.snapshot.info = info;
    }

    /// Takes over what the manager knows of the addresses of networks.
    pub(crate) fn note_network_status(&mut self, known: NetworkStatuses) {
        if *self.snapshot.network_status != known {
            self.snapshot.network_status = Arc::new(known);
        }
    }

    /// The changes since the last call.
    pub(crate) fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// The number of differences in listings that the watch has not reported.
    pub(crate) fn unconfirmed(&self) -> usize {
        self.unconfirmed.len()
    }

    /// Takes over a complete listing of `scope`, but for the lists that `failed`: their objects stay,
    /// and count only if a watch keeps them up to date. `now` in microseconds since 1970.
    pub(crate) fn replace(
        &mut self,
        lists: &Lists,
        failed: Arc<[FailedList]>,
        scope: ListScope,
        this_node: Arc<str>,
        beside: Beside,
        now: i64,
    ) {
        match beside {
            Beside::Nothing => {
                self.gone = Gone::default();
                self.unconfirmed.clear();
            }
            // Objects that this listing lacks are found below.
            Beside::Watch => self.unconfirmed.retain(|_, version| version.is_some()),
        }
        let was = std::mem::take(&mut self.snapshot.scope);
        self.snapshot.this_node = this_node;
        let (snapshot, mut listing) = self.listing(beside, now);
        let is_listed = |list| !failed.iter().any(|failed| failed.list == list);
        if is_listed(List::Nodes) {
            listing.replace(&mut snapshot.nodes, &lists.nodes, &was.nodes, &scope.nodes);
        }
        if is_listed(List::Services) {
            let (was, scope) = (&was.services, &scope.services);
            listing.replace(&mut snapshot.services, &lists.services, was, scope);
        }
        if is_listed(List::Networks) {
            let (was, scope) = (&was.networks, &scope.networks);
            listing.replace(&mut snapshot.networks, &lists.networks, was, scope);
        }
        if is_listed(List::Tasks) {
            listing.replace(&mut snapshot.tasks, &lists.tasks, &was.tasks, &scope.tasks);
        }
        self.snapshot.failed = failed;
        self.snapshot.scope = scope.without(self.snapshot.out_of_date());
        self.snapshot.outcomes = self.outcomes.clone();
        self.gone.before = std::mem::take(&mut self.gone.now);
    }

    /// Takes over a listing of `part` alone: requested objects that it lacks are removed.
    pub(crate) fn replace_part(&mut self, part: &ListedPart, lists: &Lists, now: i64) {
        let ListedPart { nodes, services, networks, tasks_of } = part;
        let (snapshot, mut listing) = self.listing(Beside::Nothing, now);
        listing.apply(&mut snapshot.nodes, &lists.nodes, Within::Ids(nodes));
        listing.apply(&mut snapshot.services, &lists.services, Within::Ids(services));
        listing.apply(&mut snapshot.networks, &lists.networks, Within::Ids(networks));
        listing.apply(&mut snapshot.tasks, &lists.tasks, Within::Owners(tasks_of));
        self.snapshot.outcomes = self.outcomes.clone();
    }

    /// Takes over changes that a watch reported together, in whatever order.
    pub(crate) fn apply_all(&mut self, changes: &[Change], now: i64) {
        let mut changes: Vec<_> = changes.iter().collect();
        changes.sort_by_key(|change| match change {
            Change::Changed(Object::Task(task)) => task.order(),
            Change::Changed(_) | Change::Removed(_) => (false, 0),
        });
        for change in changes {
            self.apply(change, now);
        }
    }

    /// Takes over a change that a watch reported.
    pub(crate) fn apply(&mut self, change: &Change, now: i64) {
        let Self { snapshot, gone, unconfirmed, news, outcomes } = self;
        let (object, is_gone) = match change {
            Change::Changed(object) => (object, false),
            Change::Removed(object) => (object, true),
        };
        let scope = &snapshot.scope;
        let mut change = ReportedChange { gone, unconfirmed, news, outcomes, now, is_gone };
        match object {
            Object::Node(node) if scope.nodes != ListFilter::Nothing => {
                change.apply(&mut snapshot.nodes, node);
            }
            Object::Service(service) if scope.services != ListFilter::Nothing => {
                change.apply(&mut snapshot.services, service);
            }
            Object::Network(network) if scope.networks != ListFilter::Nothing => {
                change.apply(&mut snapshot.networks, network);
            }
            Object::Task(task) if scope.tasks != ListFilter::Nothing => {
                change.apply(&mut snapshot.tasks, task);
            }
            _ => {}
        }
        self.snapshot.outcomes = self.outcomes.clone();
    }

    fn listing(&mut self, beside: Beside, now: i64) -> (&mut Snapshot, Listing<'_>) {
        let Self { snapshot, gone, unconfirmed, news, outcomes } = self;
        (snapshot, Listing { beside, now, gone, unconfirmed, news, outcomes })
    }
}

/// A longer delay means that the clocks differ.
const LATEST: Duration = Duration::from_hours(24);

impl News {
    /// Notes a change that was made at `updated`; 0 if unknown.
    fn note(&mut self, now: i64, updated: i64) {
        self.changes += 1;
        let late = u64::try_from(now.saturating_sub(updated));
        let late = late.map_or(Duration::ZERO, Duration::from_micros);
        if updated > 0 && late <= LATEST {
            self.late = Some(self.late.map_or(late, |known| known.max(late)));
        }
    }
}

impl Listing<'_> {
    /// Makes `listed` all objects of `known`. `was` is the previous scope of this kind.
    fn replace<T: Bucketed + Updated + PartialEq>(
        &mut self,
        known: &mut Buckets<T>,
        listed: &[Arc<T>],
        was: &ListFilter,
        scope: &ListFilter,
    ) {
        if was == scope {
            return self.apply(known, listed, Within::All);
        }
        // Objects that come and go because the scope is another are not changes, and a watch does
        // not report them.
        let (news, outcomes) = (*self.news, self.outcomes.clone());
        let beside = std::mem::replace(&mut self.beside, Beside::Nothing);
        self.unconfirmed.retain(|(kind, _), _| *kind != T::KIND);
        self.apply(known, listed, Within::All);
        self.beside = beside;
        (*self.news, *self.outcomes) = (news, outcomes);
    }

    /// Makes `listed` all objects of `known` that are `within`.
    fn apply<T: Bucketed + Updated + PartialEq>(
        &mut self,
        known: &mut Buckets<T>,
        listed: &[Arc<T>],
        within: Within<'_>,
    ) {
        let watched = self.beside == Beside::Watch;
        let mut added = Vec::new();
        let mut ids = HashSet::with_capacity_and_hasher(listed.len(), RandomState::default());
        let mut present = 0;
        // Of an ID given twice, which no Engine lists, the last one counts.
        for object in listed.iter().rev().filter(|object| ids.insert(&**object.id())) {
            let id = object.id();
            let before = known.get(&object.owner(), id);
            present += usize::from(before.is_some());
            match before {
                Some(before) if Arc::ptr_eq(before, object) || before == object => continue,
                Some(before) if watched && before.version() > object.version() => continue,
                None if watched && self.gone.contains(id) => continue,
                _ => {}
            }
            let is_newer = before.is_none_or(|before| before.version() < object.version());
            if watched && T::IS_WATCHED && is_newer {
                self.unconfirmed.insert((T::KIND, Arc::clone(id)), Some(object.version()));
            }
            self.news.note(self.now, if is_newer { object.updated() } else { 0 });
            added.push(Arc::clone(object));
        }
        if present < known.len() || !matches!(within, Within::All) {
            self.remove_others(known, &ids, within);
        }
        // A task that ended makes room for a new one, in whatever order they are listed.
        added.sort_by_key(|object| object.order());
        let mut newest = NewestTasks::default();
        for object in added {
            let before = known.get(&object.owner(), object.id()).map(|it| &**it);
            T::note(before, Some(&object), known, &mut newest, self.outcomes);
            known.insert(object);
        }
    }

    /// Removes the objects `within` that were not listed.
    fn remove_others<T: Bucketed + Updated>(
        &mut self,
        known: &mut Buckets<T>,
        listed: &HashSet<&str, RandomState>,
        within: Within<'_>,
    ) {
        let missing = |object: &&Arc<T>| !listed.contains(&**object.id());
        let gone: Vec<_> = match within {
            Within::All => known.objects().filter(missing).cloned().collect(),
            Within::Ids(ids) => {
                let asked = ids.iter().filter_map(|id| known.get("", id));
                asked.filter(missing).cloned().collect()
            }
            Within::Owners(owners) => known.of_owners(owners).filter(missing).cloned().collect(),
        };
        for object in gone {
            let id = object.id();
            if self.beside == Beside::Watch && T::IS_WATCHED {
                self.unconfirmed.insert((T::KIND, Arc::clone(id)), None);
            } else {
                known.remove(&object.owner(), id);
                T::note(Some(&object), None, known, &mut NewestTasks::default(), self.outcomes);
                self.news.note(self.now, 0);
            }
        }
    }
}

/// Applies a change that a watch reported.
struct ReportedChange<'a> {
    gone: &'a mut Gone,
    unconfirmed: &'a mut BTreeMap<Key, Option<u64>>,
    news: &'a mut News,
    outcomes: &'a mut Outcomes,
    now: i64,
    is_gone: bool,
}

impl ReportedChange<'_> {
    fn apply<T: Bucketed + Updated + PartialEq>(
        &mut self,
        known: &mut Buckets<T>,
        object: &Arc<T>,
    ) {
        let id = object.id();
        let key = (T::KIND, Arc::clone(id));
        if self.is_gone {
            self.unconfirmed.remove(&key);
            self.gone.note(id);
            if known.remove(&object.owner(), id) {
                T::note(Some(object), None, known, &mut NewestTasks::default(), self.outcomes);
                self.news.note(self.now, 0);
            }
            return;
        }
        if self.gone.contains(id) {
            return;
        }
        let version = object.version();
        if self.unconfirmed.get(&key).is_some_and(|listed| listed.is_none_or(|it| it <= version)) {
            self.unconfirmed.remove(&key);
        }
        let before = known.get(&object.owner(), id);
        let is_newer = before.is_none_or(|before| before.version() < version);
        // Networks have no version, and a manager's part in the quorum changes without one.
        let is_other = |before: &Arc<T>| before.version() == version && before != object;
        if is_newer || before.is_some_and(is_other) {
            self.news.note(self.now, if is_newer { object.updated() } else { 0 });
            let before = before.map(|it| &**it);
            T::note(before, Some(object), known, &mut NewestTasks::default(), self.outcomes);
            known.insert(Arc::clone(object));
        }
    }
}

#[cfg(test)]
mod tests;
