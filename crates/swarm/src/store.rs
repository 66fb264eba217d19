//! Keeps the newest [`Snapshot`], from listings and from what is told in between.
//!
//! Invariants:
//! - A listing is complete for what it was asked for: what it does not have is gone. While a watch
//!   is on, which has told of every change so far, two things are kept in spite of a listing: an
//!   object that is newer than it is listed, and one that is not listed. Whether the listing or the
//!   watch was right about the latter comes out soon: it stays *unconfirmed* until the watch tells
//!   the same, and if that takes too long, whoever owns the store begins a new watch and lists again.
//! - IDs are never used twice. So what was told to be gone does not come back by an older listing,
//!   or by a change that was told late.
//! - After the beginning of a new watch the listing counts alone: indexes may have fallen
//!   (`docker swarm init --force-new-cluster`).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use swarmscout_docker::engine::{List, Lists, Network, Node, Service, Task};
use swarmscout_docker::swarmkit::{Change, Object};

use super::buckets::{Buckets, Object as Bucketed};
use super::{FailedList, ListFilter, ListScope, Snapshot};

/// The newest snapshot, and what must be remembered to keep it right. A clone shares the objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    snapshot: Snapshot,
    gone: Gone,
    /// What listings had that the watch has not told: the version, or `None` for what is gone.
    unconfirmed: BTreeMap<Key, Option<u64>>,
    news: News,
}

/// What changed since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// Objects that came, went or became others.
    pub(crate) changes: u64,
    /// How long after it was made the latest of the changes was seen, the longest of them.
    pub(crate) late: Option<Duration>,
}

/// The IDs of which it was told that they are gone, since the listing before the last one.
#[derive(Clone, Debug, Default)]
struct Gone {
    now: HashSet<Arc<str>>,
    before: HashSet<Arc<str>>,
}

/// Of more than these those that went first are forgotten, however long no listing comes.
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

/// What is known besides a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Nothing, or nothing that counts any more.
    Nothing,
    /// Every change since the listing before it was told.
    Watch,
}

/// What applying a listing needs to know, and what it finds.
struct Listing<'a> {
    beside: Beside,
    now: i64,
    gone: &'a Gone,
    unconfirmed: &'a mut BTreeMap<Key, Option<u64>>,
    news: &'a mut News,
}

/// The kind of an object, and its ID.
type Key = (&'static str, Arc<str>);

/// Of which objects a listing tells all.
#[derive(Clone, Copy)]
enum Within<'a> {
    All,
    Ids(&'a BTreeSet<Arc<str>>),
    Owners(&'a BTreeSet<Arc<str>>),
}

/// What a listing of some objects asked for, by ID.
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

/// What is needed of an object besides what buckets need.
trait Updated {
    const KIND: &'static str;

    /// Whether a watch tells of all of its kind. There are networks of an Engine alone.
    const IS_WATCHED: bool = true;

    /// When it was changed: microseconds since 1970, 0 where nobody knows.
    fn updated(&self) -> i64;
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
}

impl Updated for Task {
    const KIND: &'static str = "task";

    fn updated(&self) -> i64 {
        self.updated
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

    /// What changed since this was last asked.
    pub(crate) fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// How many differences listings showed of which the watch has not told.
    pub(crate) fn unconfirmed(&self) -> usize {
        self.unconfirmed.len()
    }

    /// Takes over a complete listing of `scope`, but for the lists that `failed`: what is known of
    /// them stays, and counts only where a watch keeps it up to date. `now` in microseconds since
    /// 1970.
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
            // What this one does not list is found below.
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
        self.gone.before = std::mem::take(&mut self.gone.now);
    }

    /// Takes over a listing of `part` alone: of what it asked for and is not in the list nothing is
    /// left.
    pub(crate) fn replace_part(&mut self, part: &ListedPart, lists: &Lists, now: i64) {
        let ListedPart { nodes, services, networks, tasks_of } = part;
        let (snapshot, mut listing) = self.listing(Beside::Nothing, now);
        listing.apply(&mut snapshot.nodes, &lists.nodes, Within::Ids(nodes));
        listing.apply(&mut snapshot.services, &lists.services, Within::Ids(services));
        listing.apply(&mut snapshot.networks, &lists.networks, Within::Ids(networks));
        listing.apply(&mut snapshot.tasks, &lists.tasks, Within::Owners(tasks_of));
    }

    /// Takes over what a watch told.
    pub(crate) fn apply(&mut self, change: &Change, now: i64) {
        let Self { snapshot, gone, unconfirmed, news } = self;
        let (object, is_gone) = match change {
            Change::Changed(object) => (object, false),
            Change::Removed(object) => (object, true),
        };
        let scope = &snapshot.scope;
        let mut told = PendingChanges { gone, unconfirmed, news, now, is_gone };
        match object {
            Object::Node(node) if scope.nodes != ListFilter::Nothing => {
                told.apply(&mut snapshot.nodes, node);
            }
            Object::Service(service) if scope.services != ListFilter::Nothing => {
                told.apply(&mut snapshot.services, service);
            }
            Object::Network(network) if scope.networks != ListFilter::Nothing => {
                told.apply(&mut snapshot.networks, network);
            }
            Object::Task(task) if scope.tasks != ListFilter::Nothing => {
                told.apply(&mut snapshot.tasks, task);
            }
            _ => {}
        }
    }

    fn listing(&mut self, beside: Beside, now: i64) -> (&mut Snapshot, Listing<'_>) {
        let Self { snapshot, gone, unconfirmed, news } = self;
        (snapshot, Listing { beside, now, gone, unconfirmed, news })
    }
}

/// Nothing is seen later than this: then the clocks differ.
const LATEST: Duration = Duration::from_hours(24);

impl News {
    /// Notes a change that was made at `updated`; 0 where nobody knows.
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
    /// Makes `listed` all objects of `known`. `was` is what was asked for of this kind before.
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
        // What comes and goes because something else is asked for is no change, and nothing that a
        // watch would tell.
        let news = *self.news;
        let beside = std::mem::replace(&mut self.beside, Beside::Nothing);
        self.unconfirmed.retain(|(kind, _), _| *kind != T::KIND);
        self.apply(known, listed, Within::All);
        self.beside = beside;
        *self.news = news;
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
        // Of an ID that stands twice, which no Engine lists, the last one counts.
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
        for object in added {
            known.insert(object);
        }
    }

    /// Removes what is `within` and was not listed.
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
                self.news.note(self.now, 0);
            }
        }
    }
}

/// What applying a change needs.
struct PendingChanges<'a> {
    gone: &'a mut Gone,
    unconfirmed: &'a mut BTreeMap<Key, Option<u64>>,
    news: &'a mut News,
    now: i64,
    is_gone: bool,
}

impl PendingChanges<'_> {
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
        // Networks have no version, and what a manager is to others changes without one.
        let is_other = |before: &Arc<T>| before.version() == version && before != object;
        if is_newer || before.is_some_and(is_other) {
            self.news.note(self.now, if is_newer { object.updated() } else { 0 });
            known.insert(Arc::clone(object));
        }
    }
}

#[cfg(test)]
mod tests;
