//! The targets of one job: a pure function of its configuration and of its sources' groups. An
//! update costs only what changes.
//!
//! Invariants:
//! - [`Pool::identities`] holds every active target of every group once, by its list and its labels.
//!   Two targets of a list are the same if all labels after relabeling are equal. (Prometheus also compares the
//!   URL, which is made of those labels and of the job.)
//! - Of the same targets, the last one is shown: by the order of the sources, then of the groups'
//!   source keys, then of the targets in their group. The others are duplicates of their groups.
//! - Relabelled groups are charged to the budget before they are kept. An update that does not fit
//!   changes nothing.
//! - An update subtracts removed groups and adds new ones. It touches another group only if that
//!   has the same target as one of them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::mem;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use swarmscout_model::target::relabel_within;
use swarmscout_model::{
    Budget, CanonicalGroups, Charge, LabelsBuilder, PoolSpec, Refused, RelabelledGroup, SetGroup,
    Target, TargetCounts, TargetGroup, TargetList,
};

use crate::limits::{Excess, Meter};
use swarmscout_model::groups::{differing, source_order};

/// The targets of one job.
#[derive(Debug)]
pub(super) struct Pool {
    spec: Arc<PoolSpec>,
    sources: Vec<Source>,
    members: Members,
    identities: HashTable<Identity>,
    hasher: RandomState,
    counts: TargetCounts,
    builder: LabelsBuilder,
    budget: Budget,
    /// The memory of all relabelled groups.
    held: Charge,
}

/// The groups of a source.
#[derive(Debug, Default)]
struct Source {
    groups: CanonicalGroups,
    /// The IDs of `groups`, in the same order.
    ids: Vec<GroupId>,
    /// The number of targets of all groups, before relabeling.
    targets: usize,
}

/// The outcome of updates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Update {
    /// Groups that were relabelled.
    pub relabelled: usize,
    /// Targets of those groups that were refused.
    pub refused: usize,
    /// The first few refused targets, and why, in Prometheus' words.
    pub refusals: Vec<String>,
}

/// This many refused targets of one update are reported one by one.
const REPORTED_REFUSALS: usize = 10;

impl Update {
    fn note(&mut self, relabelled: &RelabelledGroup) {
        self.relabelled += 1;
        self.refused += relabelled.refused.len();
        let left = REPORTED_REFUSALS - self.refusals.len();
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
    /// The duplicates of groups that the present update changes.
    touched: BTreeMap<GroupId, BTreeSet<u32>>,
}

#[derive(Debug)]
struct Member {
    source: u32,
    shown: SetGroup,
    /// The list that the group is in.
    list: TargetList,
    /// Its number of unreachable targets.
    unreachable: usize,
}

/// A target, and its places in the set.
#[derive(Debug)]
struct Identity {
    hash: u64,
    places: Places,
}

#[derive(Debug)]
enum Places {
    /// One place: by far the most common case.
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
    /// The pool of a job while none of its `sources` has any group.
    pub(super) fn new(spec: Arc<PoolSpec>, sources: usize, budget: &Budget) -> Self {
        Self {
            spec,
            sources: (0..sources).map(|_| Source::default()).collect(),
            members: Members::default(),
            identities: HashTable::new(),
            hasher: RandomState::default(),
            counts: TargetCounts::default(),
            builder: LabelsBuilder::new(),
            budget: budget.clone(),
            held: budget.nothing(),
        }
    }

    /// Whether `source` already has these `groups`. Compares no group.
    pub(super) fn holds(&self, source: usize, groups: &CanonicalGroups) -> bool {
        Arc::ptr_eq(&self.sources[source].groups, groups)
    }

    /// How many targets `source` has, before relabeling.
    pub(super) fn targets(&self, source: usize) -> usize {
        self.sources[source].targets
    }

    /// The most targets that an update to `groups` would relabel.
    pub(super) fn work(&self, source: usize, groups: &CanonicalGroups) -> usize {
        let (.., new) = differing(&self.sources[source].groups, groups);
        groups[new].iter().map(|group| group.targets.len()).sum()
    }

    /// Sets the groups of `source`. If the relabelled groups do not fit into the budget, nothing
    /// changes.
    pub(super) fn update(
        &mut self,
        source: usize,
        groups: &CanonicalGroups,
        update: &mut Update,
    ) -> Result<(), Excess> {
        let number = narrow(source);
        let known = &self.sources[source];
        let (old, new) = differing(&known.groups, groups);
        let mut targets = known.targets;
        let mut kept = Vec::with_capacity(new.len());
        let mut gone = Vec::new();
        let mut present = known.groups[old.clone()].iter().zip(&known.ids[old.clone()]).peekable();
        for group in &groups[new.clone()] {
            let earlier = |(old, _): &(&Arc<TargetGroup>, _)| {
                source_order(&old.source, &group.source).is_lt()
            };
            while let Some((old, id)) = present.next_if(earlier) {
                targets -= old.targets.len();
                gone.push(*id);
            }
            let same = present.next_if(|(old, _)| Arc::ptr_eq(old, group));
            targets += if same.is_some() { 0 } else { group.targets.len() };
            kept.push(same.map(|(_, id)| *id));
        }
        for (old, id) in present {
            targets -= old.targets.len();
            gone.push(*id);
        }
        // The published set still holds the old groups, so both are charged.
        let mut meter = Meter::new(&self.budget, usize::MAX);
        let PoolSpec { defaults, relabel, .. } = &*self.spec;
        let mut relabelled = Vec::new();
        for (_, group) in kept.iter().zip(&groups[new]).filter(|(kept, _)| kept.is_none()) {
            let (group, keep) = (group.clone(), |bytes| meter.keep(bytes));
            let made = relabel_within(group, defaults, relabel, &mut self.builder, keep)?;
            relabelled.push(Arc::new(made));
        }
        self.held.absorb(meter.finish());
        let mut relabelled = relabelled.into_iter();
        for id in gone {
            self.held.shrink(self.members.get(id).shown.relabelled.footprint());
            self.subtract(id);
        }
        let ids: Vec<_> = kept
            .into_iter()
            .map(|kept| {
                kept.unwrap_or_else(|| {
                    let relabelled = relabelled.next().expect("one for each that is not kept");
                    update.note(&relabelled);
                    self.add(number, &relabelled)
                })
            })
            .collect();
        let known = &mut self.sources[source];
        known.ids.splice(old, ids);
        known.groups = groups.clone();
        known.targets = targets;
        self.members.commit();
        Ok(())
    }

    /// All groups, in order.
    pub(super) fn groups(&self) -> Arc<[SetGroup]> {
        let ids = self.sources.iter().flat_map(|source| &source.ids);
        let mut groups = Vec::with_capacity(self.sources.iter().map(|s| s.ids.len()).sum());
        groups.extend(ids.map(|id| self.members.get(*id).shown.clone()));
        groups.into()
    }

    /// The number of targets of each kind.
    pub(super) fn counts(&self) -> TargetCounts {
        TargetCounts { active: self.identities.len(), ..self.counts }
    }

    fn add(&mut self, source: u32, relabelled: &Arc<RelabelledGroup>) -> GroupId {
        self.counts.dropped += relabelled.dropped.len();
        self.counts.refused += relabelled.refused.len();
        let unreachable = relabelled.unreachable().count();
        self.counts.unreachable += unreachable;
        let target_list = TargetList::of(&relabelled.group);
        let shown = SetGroup::new(relabelled.clone(), &[]);
        let member = Member { source, shown, list: target_list.clone(), unreachable };
        let id = self.members.insert(member);
        for (index, target) in (0..).zip(&relabelled.active) {
            let hash = self.hasher.hash_one((&target_list, target.labels.as_bytes()));
            let Self { identities, members, counts, .. } = self;
            let same = |identity: &Identity| {
                identity.hash == hash && members.is(&identity.places, &target_list, target)
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
        let Member { shown, list, unreachable, .. } = self.members.get(id);
        let (relabelled, target_list) = (shown.relabelled.clone(), list.clone());
        self.counts.unreachable -= unreachable;
        self.counts.dropped -= relabelled.dropped.len();
        self.counts.refused -= relabelled.refused.len();
        for (index, target) in (0..).zip(&relabelled.active) {
            let hash = self.hasher.hash_one((&target_list, target.labels.as_bytes()));
            let Self { identities, members, counts, .. } = self;
            let same = |identity: &Identity| {
                identity.hash == hash && members.is(&identity.places, &target_list, target)
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

    /// Whether `target` of `list` is the one in these places.
    fn is(&self, places: &Places, list: &TargetList, target: &Target) -> bool {
        let (id, index) = match places {
            Places::One(id, index) => (*id, *index),
            Places::Many(places) => {
                let (place, id) = places.first_key_value().expect("an identity has a place");
                (*id, place.index)
            }
        };
        let Member { shown, list: of, .. } = self.get(id);
        shown.relabelled.active[index as usize].labels == target.labels && of == list
    }

    fn place(&self, id: GroupId, index: u32) -> Place {
        let Member { source, shown, .. } = self.get(id);
        Place { source: *source, group: shown.relabelled.group.source.clone(), index }
    }

    /// The duplicates of a group, for a change.
    fn touch(&mut self, id: GroupId) -> &mut BTreeSet<u32> {
        let Self { groups, touched, .. } = self;
        touched.entry(id).or_insert_with(|| {
            let member = groups[id as usize].as_ref().expect("IDs are of present groups");
            member.shown.duplicates().iter().copied().collect()
        })
    }

    /// Writes changed duplicates back. A group whose duplicates are the same in the end keeps its
    /// identity.
    fn commit(&mut self) {
        for (id, duplicates) in mem::take(&mut self.touched) {
            let member = self.groups[id as usize].as_mut().expect("IDs are of present groups");
            if !duplicates.iter().eq(member.shown.duplicates()) {
                member.shown.set_duplicates(duplicates.into_iter());
            }
        }
    }
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).expect("fewer than 2^32 groups fit in memory")
}

#[cfg(test)]
mod tests;
