//! The targets of one job: a pure function of its configuration and of its sources' groups, kept up
//! to date at the cost of what changes.
//!
//! Invariants:
//! - Every active target of every group stands in [`Pool::identities`] once, under its labels: two
//!   targets of one job are the same if all labels that relabeling left are equal. (Prometheus adds
//!   the URL, which is made of those labels and of the job.)
//! - Of the same targets the last one is shown, in the order of the sources, of the groups' source
//!   keys and of the targets in their group. The others are their groups' duplicates.
//! - An update subtracts the groups that went and adds those that came. Of the others it touches
//!   only those that hold the same target as one of them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::mem;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use swarmscout_model::target::relabel_group;
use swarmscout_model::{Labels, LabelsBuilder, Refused, RelabelledGroup, TargetGroup};

use super::settle::{Settled, source_order};
use crate::JobConfig;
use crate::set::{Counts, SetGroup};

/// The targets of one job.
#[derive(Debug)]
pub(super) struct Pool {
    job: Arc<JobConfig>,
    /// For each source its groups, in the order of their source keys.
    sources: Vec<Vec<GroupId>>,
    members: Members,
    identities: HashTable<Identity>,
    hasher: RandomState,
    counts: Counts,
    builder: LabelsBuilder,
}

/// What updates did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Update {
    /// Groups that were relabelled.
    pub relabelled: usize,
    /// Targets of those groups that were refused.
    pub refused: usize,
    /// The first few of them, and why, in Prometheus' words.
    pub refusals: Vec<String>,
}

/// So many refused targets of one update are told one by one.
const TELL_REFUSED: usize = 10;

impl Update {
    fn note(&mut self, relabelled: &RelabelledGroup) {
        self.relabelled += 1;
        self.refused += relabelled.refused.len();
        let left = TELL_REFUSED - self.refusals.len();
        let source = &relabelled.group.source;
        self.refusals.extend(relabelled.refused.iter().take(left).map(
            |Refused { index, reason }| format!("instance {index} in group {source}: {reason}"),
        ));
    }
}

/// Index in [`Members::groups`].
type GroupId = u32;

/// The groups of a pool, by an ID that outlives changes of their content.
#[derive(Debug, Default)]
struct Members {
    groups: Vec<Option<Member>>,
    free: Vec<GroupId>,
    /// The duplicates of the groups that are being changed.
    touched: BTreeMap<GroupId, BTreeSet<u32>>,
}

#[derive(Debug)]
struct Member {
    source: u32,
    shown: SetGroup,
}

/// A target, and where it is found.
#[derive(Debug)]
struct Identity {
    hash: u64,
    places: Places,
}

#[derive(Debug)]
enum Places {
    /// By far the most common.
    One(GroupId, u32),
    /// Two or more.
    #[expect(clippy::box_collection, reason = "it keeps the common case small")]
    Many(Box<BTreeMap<Place, GroupId>>),
}

/// A place in the order of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    source: u32,
    group: Arc<str>,
    index: u32,
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        self.source
            .cmp(&other.source)
            .then_with(|| source_order(&self.group, &other.group))
            .then_with(|| self.index.cmp(&other.index))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Pool {
    /// The pool of `job` while none of its `sources` has any group.
    pub(super) fn new(job: Arc<JobConfig>, sources: usize) -> Self {
        Self {
            job,
            sources: vec![Vec::new(); sources],
            members: Members::default(),
            identities: HashTable::new(),
            hasher: RandomState::default(),
            counts: Counts::default(),
            builder: LabelsBuilder::new(),
        }
    }

    /// How many targets an update to `groups` would relabel.
    pub(super) fn work(&self, source: usize, groups: &Settled) -> usize {
        let mut work = 0;
        self.compare(source, groups, |change| {
            if let Change::Replaced(_, group) | Change::Added(group) = change {
                work += group.targets.len();
            }
        });
        work
    }

    /// Makes `groups` those of `source`.
    pub(super) fn update(&mut self, source: usize, groups: &Settled, update: &mut Update) {
        let mut ids = Vec::with_capacity(groups.len());
        let mut gone = Vec::new();
        let mut come = Vec::new();
        self.compare(source, groups, |change| match change {
            Change::Kept(id) => ids.push(Some(id)),
            Change::Removed(id) => gone.push(id),
            Change::Replaced(id, group) => {
                gone.push(id);
                ids.push(None);
                come.push(group.clone());
            }
            Change::Added(group) => {
                ids.push(None);
                come.push(group.clone());
            }
        });
        for id in gone {
            self.subtract(id);
        }
        let mut come = come.into_iter();
        let ids = ids.into_iter().map(|kept| {
            kept.unwrap_or_else(|| {
                let group = come.next().expect("there is a group for each place without one");
                let JobConfig { defaults, relabel, .. } = &*self.job;
                let relabelled = relabel_group(group, defaults, relabel, &mut self.builder);
                update.note(&relabelled);
                self.add(narrow(source), relabelled)
            })
        });
        let ids = ids.collect();
        self.sources[source] = ids;
        self.members.settle();
    }

    /// All groups in their order.
    pub(super) fn groups(&self) -> Arc<[SetGroup]> {
        let ids: Vec<_> = self.sources.iter().flatten().collect();
        ids.into_iter().map(|id| self.members.get(*id).shown.clone()).collect()
    }

    /// How many targets there are of each kind.
    pub(super) fn counts(&self) -> Counts {
        Counts { active: self.identities.len(), ..self.counts }
    }

    /// Walks the present groups of `source` and `groups` side by side, in their order.
    fn compare<'a>(&self, source: usize, groups: &'a Settled, mut change: impl FnMut(Change<'a>)) {
        let key = |id: GroupId| &self.members.get(id).shown.relabelled.group;
        let mut present = self.sources[source].iter().copied().peekable();
        for group in groups.iter() {
            let before = |id: &GroupId| source_order(&key(*id).source, &group.source).is_lt();
            while let Some(id) = present.next_if(before) {
                change(Change::Removed(id));
            }
            change(match present.next_if(|id| key(*id).source == group.source) {
                Some(id) if Arc::ptr_eq(key(id), group) => Change::Kept(id),
                Some(id) => Change::Replaced(id, group),
                None => Change::Added(group),
            });
        }
        present.for_each(|id| change(Change::Removed(id)));
    }

    fn add(&mut self, source: u32, relabelled: RelabelledGroup) -> GroupId {
        let relabelled = Arc::new(relabelled);
        self.counts.dropped += relabelled.dropped.len();
        self.counts.refused += relabelled.refused.len();
        let shown = SetGroup { relabelled: relabelled.clone(), duplicates: None };
        let id = self.members.insert(Member { source, shown });
        for (index, target) in (0..).zip(&relabelled.active) {
            let hash = self.hasher.hash_one(target.labels.as_bytes());
            let Self { identities, members, counts, .. } = self;
            let same = |identity: &Identity| {
                identity.hash == hash && *members.labels(&identity.places) == target.labels
            };
            match identities.entry(hash, same, |identity| identity.hash) {
                Entry::Vacant(entry) => {
                    entry.insert(Identity { hash, places: Places::One(id, index) });
                }
                Entry::Occupied(mut entry) => {
                    let places = &mut entry.get_mut().places;
                    counts.duplicates += 1;
                    let places = match places {
                        Places::Many(places) => places,
                        Places::One(other, at) => {
                            let one = BTreeMap::from([(members.place(*other, *at), *other)]);
                            *places = Places::Many(Box::new(one));
                            let Places::Many(places) = places else { unreachable!("just made") };
                            places
                        }
                    };
                    let (last, owner) = places.last_key_value().expect("an identity has a place");
                    let new = members.place(id, index);
                    let (hidden, owner) =
                        if new > *last { (last.index, *owner) } else { (index, id) };
                    members.touch(owner).insert(hidden);
                    places.insert(new, id);
                }
            }
        }
        id
    }

    fn subtract(&mut self, id: GroupId) {
        let relabelled = self.members.get(id).shown.relabelled.clone();
        self.counts.dropped -= relabelled.dropped.len();
        self.counts.refused -= relabelled.refused.len();
        for (index, target) in (0..).zip(&relabelled.active) {
            let hash = self.hasher.hash_one(target.labels.as_bytes());
            let Self { identities, members, counts, .. } = self;
            let same = |identity: &Identity| {
                identity.hash == hash && *members.labels(&identity.places) == target.labels
            };
            let Ok(mut entry) = identities.find_entry(hash, same) else {
                unreachable!("every active target of a member has an identity")
            };
            let places = match &mut entry.get_mut().places {
                Places::One(..) => {
                    entry.remove();
                    continue;
                }
                Places::Many(places) => places,
            };
            counts.duplicates -= 1;
            let last = places.last_key_value().map(|(place, _)| place.clone());
            let gone = members.place(id, index);
            places.remove(&gone);
            let (place, owner) = places.last_key_value().expect("there were two or more places");
            let (place, owner) = (place.index, *owner);
            if last == Some(gone) {
                members.touch(owner).remove(&place);
            }
            if places.len() == 1 {
                entry.get_mut().places = Places::One(owner, place);
            }
        }
        self.members.remove(id);
    }
}

enum Change<'a> {
    Kept(GroupId),
    Removed(GroupId),
    Replaced(GroupId, &'a Arc<TargetGroup>),
    Added(&'a Arc<TargetGroup>),
}

impl Members {
    fn get(&self, id: GroupId) -> &Member {
        self.groups[id as usize].as_ref().expect("IDs are of present groups")
    }

    fn insert(&mut self, member: Member) -> GroupId {
        if let Some(id) = self.free.pop() {
            self.groups[id as usize] = Some(member);
            return id;
        }
        self.groups.push(Some(member));
        narrow(self.groups.len() - 1)
    }

    fn remove(&mut self, id: GroupId) {
        self.groups[id as usize] = None;
        self.touched.remove(&id);
        self.free.push(id);
    }

    fn labels(&self, places: &Places) -> &Labels {
        let (id, index) = match places {
            Places::One(id, index) => (*id, *index),
            Places::Many(places) => {
                let (place, id) = places.first_key_value().expect("an identity has a place");
                (*id, place.index)
            }
        };
        &self.get(id).shown.relabelled.active[index as usize].labels
    }

    fn place(&self, id: GroupId, index: u32) -> Place {
        let Member { source, shown } = self.get(id);
        Place { source: *source, group: shown.relabelled.group.source.clone(), index }
    }

    /// The duplicates of a group, to be changed.
    fn touch(&mut self, id: GroupId) -> &mut BTreeSet<u32> {
        let Self { groups, touched, .. } = self;
        touched.entry(id).or_insert_with(|| {
            let member = groups[id as usize].as_ref().expect("IDs are of present groups");
            member.shown.duplicates().iter().copied().collect()
        })
    }

    /// Writes changed duplicates back. What ends as it began keeps its identity.
    fn settle(&mut self) {
        for (id, duplicates) in mem::take(&mut self.touched) {
            let member = self.groups[id as usize].as_mut().expect("IDs are of present groups");
            if !duplicates.iter().eq(member.shown.duplicates()) {
                member.shown.duplicates =
                    (!duplicates.is_empty()).then(|| duplicates.into_iter().collect());
            }
        }
    }
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).expect("fewer than 2^32 groups fit in memory")
}

#[cfg(test)]
mod tests;
