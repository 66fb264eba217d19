//! What is kept of the groups that a look brings.

use std::cmp::Ordering;
use std::sync::Arc;

use swarmscout_model::TargetGroup;

use crate::Groups;

/// The groups of a source: in the order of their source keys, no key twice, none without targets.
pub(crate) type Settled = Arc<[Arc<TargetGroup>]>;

/// Puts the groups of a look in order. A group that equals the one known before is that very one,
/// so that all that was made of it can be kept; `None` if that holds for all of them.
pub(crate) fn settle(known: Option<&Settled>, mut groups: Groups) -> Option<Settled> {
    groups.retain(|group| !group.targets.is_empty());
    let in_order = |a: &Arc<TargetGroup>, b: &Arc<TargetGroup>| {
        source_order(&a.source, &b.source) == Ordering::Less
    };
    if !groups.is_sorted_by(in_order) {
        // The sort is stable: of a key given twice, the last one stands last and wins.
        groups.sort_by(|a, b| source_order(&a.source, &b.source));
        groups.reverse();
        groups.dedup_by(|a, b| a.source == b.source);
        groups.reverse();
    }
    let Some(known) = known else { return Some(groups.into()) };
    let mut unchanged = groups.len() == known.len();
    let mut before = known.iter().peekable();
    for group in &mut groups {
        while before.next_if(|old| in_order(old, group)).is_some() {}
        match before.next_if(|old| old.source == group.source) {
            Some(old) if Arc::ptr_eq(old, group) || old == group => *group = old.clone(),
            _ => unchanged = false,
        }
    }
    (!unchanged).then(|| groups.into())
}

/// The order of source keys: bytewise, but a number at the end counts as a number, so that group
/// 10 of a file follows group 9.
pub(crate) fn source_order(a: &str, b: &str) -> Ordering {
    fn parts(key: &str) -> (&str, usize, &str) {
        let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = &key[stem.len()..];
        (stem, number.len(), number)
    }
    parts(a).cmp(&parts(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::group;

    /// Two looks, each a list of `(source key, addresses)`, and what the second left: `=` before a
    /// group that is the very one of the first, `+` before a new one; `None` if nothing differs.
    fn check(
        first: &[(&str, &[&str])],
        second: &[(&str, &[&str])],
        expected: Option<&[(&str, &str)]>,
    ) {
        let look = |groups: &[(&str, &[&str])]| -> Groups {
            groups.iter().map(|(source, addresses)| group(source, addresses)).collect()
        };
        let known = settle(None, look(first)).unwrap();
        let settled = settle(Some(&known), look(second));
        let shown = settled.as_ref().map(|settled| -> Vec<_> {
            let lines = settled.iter().map(|group| {
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
    fn a_key_given_twice_is_replaced_and_an_empty_group_is_no_group() {
        let twice: &[(&str, &[&str])] = &[("a", &["1"]), ("b", &[]), ("a", &["2"])];
        check(&[], twice, Some(&[("+a", "2")]));
        check(&[("a", &["1"])], &[("a", &[])], Some(&[]));
        check(&[], &[], None);
    }

    #[test]
    fn numbers_at_the_end_of_keys_count() {
        let unordered: &[(&str, &[&str])] =
            &[("f:10", &["1"]), ("f:9", &["1"]), ("e:11", &["1"]), ("f", &["1"])];
        check(&[], unordered, Some(&[("+e:11", "1"), ("+f", "1"), ("+f:9", "1"), ("+f:10", "1")]));
    }
}
