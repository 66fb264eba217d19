//! Target groups, and the canonical form of the groups of a source.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use crate::budget::{allocation, shared_allocation};
use crate::labels::{Labels, LabelsBuilder};

/// Targets that came from one place of a source and share labels.
///
/// The unit of change: a group that did not change between two refreshes is the same `Arc` in both,
/// and everything derived from it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGroup {
    /// The source key: names the place within its source. It is unique within the source and stable
    /// across refreshes: `swarm_nodes`, `DockerSwarm/<service ID>/<part>`, `targets.json:0`.
    pub source: Arc<str>,
    /// Each target's own labels, `__address__` among them. They override the group's. Labels have
    /// no empty values, so a target cannot remove a label of its group: a source must not put a
    /// label into the group that a target may lack.
    pub targets: Vec<Labels>,
    /// Labels that all targets of the group have.
    pub labels: Labels,
}

impl TargetGroup {
    /// The cost of a group in a [`Budget`](crate::Budget), without label sets: its own block, its
    /// source key of `source` bytes, the handles of its targets, and its entries in the list of the
    /// source and in the canonical one. Each is there twice while it is made.
    pub const fn frame(source: usize, targets: usize) -> u64 {
        4 * size_of::<Arc<Self>>() as u64
            + shared_allocation(size_of::<Self>())
            + shared_allocation(source)
            + allocation(targets * size_of::<Labels>())
    }

    /// Its cost in a [`Budget`](crate::Budget): the [frame](Self::frame), and all label sets as if
    /// none were shared.
    pub fn footprint(&self) -> u64 {
        let sets = std::iter::once(&self.labels).chain(&self.targets).map(Labels::footprint);
        Self::frame(self.source.len(), self.targets.len()) + sets.sum::<u64>()
    }

    /// Clears `builder`, then fills it with the labels of target `index` and of the group. These
    /// are the labels that the source returned, before any default of a job.
    pub fn merged(&self, index: usize, builder: &mut LabelsBuilder) {
        builder.reset(&self.targets[index]);
        builder.add_absent(&self.labels);
    }
}

/// The groups of a source: in the order of their source keys, no key twice, none without targets.
pub type CanonicalGroups = Arc<[Arc<TargetGroup>]>;

/// Sorts the groups of a refresh by source key, and reuses the known `Arc` of each group that did
/// not change. `None` if the result equals `known`.
pub fn canonicalize(
    known: Option<&CanonicalGroups>,
    groups: Vec<Arc<TargetGroup>>,
) -> Option<CanonicalGroups> {
    let Some(known) = known else { return Some(in_order(groups).into()) };
    // Most refreshes return mostly known groups, in the known order.
    let (mut old, new) = differing(known, &groups);
    if old.is_empty() && new.is_empty() {
        return None;
    }
    let mut changed = in_order(groups[new].to_vec());
    let follows = |a: Option<&Arc<TargetGroup>>, b: Option<&Arc<TargetGroup>>| {
        a.zip(b).is_none_or(|(a, b)| source_order(&a.source, &b.source).is_lt())
    };
    let (before, after) = (&known[..old.start], &known[old.end..]);
    if !follows(before.last(), changed.first()) || !follows(changed.last(), after.first()) {
        old = 0..known.len();
        changed = in_order(groups);
    }
    let mut unchanged = changed.len() == old.len();
    let mut present = known[old.clone()].iter().peekable();
    for group in &mut changed {
        let earlier = |old: &&Arc<_>| follows(Some(*old), Some(group));
        while present.next_if(earlier).is_some() {}
        match present.next_if(|old| old.source == group.source) {
            Some(old) if Arc::ptr_eq(old, group) || old == group => *group = old.clone(),
            _ => unchanged = false,
        }
    }
    let (before, after) = (&known[..old.start], &known[old.end..]);
    (!unchanged).then(|| before.iter().chain(&changed).chain(after).cloned().collect())
}

/// The ranges in which two lists differ, without their common beginning and end. Compares addresses
/// only.
pub fn differing<T>(old: &[Arc<T>], new: &[Arc<T>]) -> (Range<usize>, Range<usize>) {
    let same = |(a, b): &(&Arc<T>, &Arc<T>)| Arc::ptr_eq(a, b);
    let start = old.iter().zip(new).take_while(same).count();
    let (rest_of_old, rest_of_new) = (&old[start..], &new[start..]);
    let end = rest_of_old.iter().rev().zip(rest_of_new.iter().rev()).take_while(same).count();
    (start..old.len() - end, start..new.len() - end)
}

/// The groups with targets, sorted by source key. If a key is given twice, the last group counts.
fn in_order(mut groups: Vec<Arc<TargetGroup>>) -> Vec<Arc<TargetGroup>> {
    groups.retain(|group| !group.targets.is_empty());
    if !groups.is_sorted_by(|a, b| source_order(&a.source, &b.source).is_lt()) {
        // The sort is stable: the last of equal keys stays last.
        groups.sort_by(|a, b| source_order(&a.source, &b.source));
        groups.reverse();
        groups.dedup_by(|a, b| a.source == b.source);
        groups.reverse();
    }
    groups
}

/// The order of source keys: bytewise, except for a number that is the whole key or follows the
/// last colon. Numbers are compared as such, so that group 10 of a file follows group 9.
pub fn source_order(a: &str, b: &str) -> Ordering {
    fn parts(key: &str) -> (&str, usize, &str) {
        let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
        let stem = if stem.is_empty() || stem.ends_with(':') { stem } else { key };
        let number = &key[stem.len()..];
        (stem, number.len(), number)
    }
    parts(a).cmp(&parts(b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn group(source: &str, addresses: &[&str]) -> Arc<TargetGroup> {
        let target = |address: &&str| [("__address__", *address)].into_iter().collect();
        Arc::new(TargetGroup {
            source: source.into(),
            targets: addresses.iter().map(target).collect(),
            labels: Labels::empty(),
        })
    }

    /// Two refreshes, each a list of `(source key, addresses)`, and the result of the second: `=`
    /// before a group that is the same `Arc`, `+` before a new one; `None` if nothing differs.
    fn check(
        first: &[(&str, &[&str])],
        second: &[(&str, &[&str])],
        expected: Option<&[(&str, &str)]>,
    ) {
        let refresh = |groups: &[(&str, &[&str])]| -> Vec<Arc<TargetGroup>> {
            groups.iter().map(|(source, addresses)| group(source, addresses)).collect()
        };
        let known = canonicalize(None, refresh(first)).unwrap();
        let canonical = canonicalize(Some(&known), refresh(second));
        let shown = canonical.as_ref().map(|canonical| -> Vec<_> {
            let lines = canonical.iter().map(|group| {
                let same = known.iter().any(|old| Arc::ptr_eq(old, group));
                let targets = group.targets.iter().filter_map(|target| target.get("__address__"));
                let source = format!("{}{}", if same { '=' } else { '+' }, group.source);
                (source, targets.collect::<Vec<_>>().join(" "))
            });
            lines.collect()
        });
        let expected = expected
            .map(|lines| lines.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect::<Vec<_>>());
        assert_eq!(shown, expected);
    }

    #[test]
    fn equal_groups_keep_their_identity() {
        check(&[("a", &["1"]), ("b", &["2"])], &[("b", &["2"]), ("a", &["1"])], None);
        check(
            &[("a", &["1"]), ("c", &["2"])],
            &[("a", &["9"]), ("b", &["3"]), ("c", &["2"])],
            Some(&[("+a", "9"), ("+b", "3"), ("=c", "2")]),
        );
    }

    #[test]
    fn a_key_given_twice_is_replaced_and_an_empty_group_is_not_a_group() {
        let twice: &[(&str, &[&str])] = &[("a", &["1"]), ("b", &[]), ("a", &["2"])];
        check(&[], twice, Some(&[("+a", "2")]));
        check(&[("a", &["1"])], &[("a", &[])], Some(&[]));
        check(&[], &[], None);
    }

    /// The result of a refresh does not depend on the known groups.
    #[test]
    fn what_was_known_makes_no_difference() {
        let groups = |indexes: &[usize]| -> Vec<Arc<TargetGroup>> {
            // The first letter is the key, an empty text no target.
            let all = [("a", "1"), ("a", "2"), ("b", "1"), ("c", ""), ("c", "1"), ("d", "1")];
            let of = |i: &usize| {
                let (key, address) = all[*i];
                let targets: &[&str] = &[address];
                group(key, &targets[..usize::from(!address.is_empty())])
            };
            indexes.iter().map(of).collect()
        };
        let strategy = || proptest::collection::vec(0..6_usize, 0..7);
        proptest!(|(first in strategy(), second in strategy(), shared in 0..7_usize)| {
            let known = canonicalize(None, groups(&first)).unwrap();
            let mut found = groups(&second);
            // Some known groups are returned again, as a source with a cache does.
            found.extend(known.iter().take(shared).cloned());
            let expected = canonicalize(None, found.clone()).unwrap();
            let canonical = canonicalize(Some(&known), found);
            prop_assert_eq!(canonical.is_none(), known == expected);
            let canonical = canonical.unwrap_or_else(|| known.clone());
            prop_assert_eq!(&canonical, &expected);
            for group in canonical.iter() {
                let old = known.iter().find(|old| *old == group);
                prop_assert!(old.is_none_or(|old| Arc::ptr_eq(old, group)));
            }
        });
    }

    #[test]
    fn numbers_at_the_end_of_keys_count() {
        let unordered: &[(&str, &[&str])] = &[
            ("f:10", &["1"]),
            ("f:9", &["1"]),
            ("e:11", &["1"]),
            ("f", &["1"]),
            ("11", &["1"]),
            ("9", &["1"]),
        ];
        check(
            &[],
            unordered,
            Some(&[
                ("+9", "1"),
                ("+11", "1"),
                ("+e:11", "1"),
                ("+f", "1"),
                ("+f:9", "1"),
                ("+f:10", "1"),
            ]),
        );
    }
}
