//! The incremental bookkeeping against a recomputation from nothing.

use std::collections::HashMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use swarmscout_model::Labels;
use swarmscout_model::NameScheme;
use swarmscout_model::relabel::RawRule;
use swarmscout_model::size::Bytes;
use swarmscout_model::target::relabel_group;
use swarmscout_model::target_list::{LIST, UNREACHABLE};

use super::*;
use crate::scripted::group;
use swarmscout_model::canonicalize;

const SOURCES: usize = 3;

/// Targets `drop…` are dropped, those with a slash refused; targets that end in `+` become those
/// without it.
fn spec() -> Arc<PoolSpec> {
    let rule = |regex: &str, action: &str| RawRule {
        source_labels: Some(vec!["__address__".to_owned()]),
        regex: Some(regex.to_owned()),
        action: Some(action.to_owned()),
        target_label: (action == "replace").then(|| "__address__".to_owned()),
        ..RawRule::default()
    };
    let rules = [rule("drop.*", "drop"), rule("(.*)\\+", "replace")];
    let rules = rules.map(|rule| rule.check(NameScheme::Utf8).unwrap());
    Arc::new(PoolSpec { relabel: Arc::from(rules), ..PoolSpec::new("job") })
}

/// A set as it must be: for each group its key and its active targets, hidden ones in brackets.
fn recompute(spec: &PoolSpec, sources: &[CanonicalGroups]) -> (Vec<String>, TargetCounts) {
    let mut builder = LabelsBuilder::new();
    let relabelled: Vec<_> = sources
        .iter()
        .flat_map(|groups| groups.iter())
        .map(|group| relabel_group(group.clone(), &spec.defaults, &spec.relabel, &mut builder))
        .collect();
    let identity =
        |group: &RelabelledGroup, labels: &Labels| (TargetList::of(&group.group), labels.clone());
    let mut left = HashMap::<_, usize>::new();
    for group in &relabelled {
        for target in &group.active {
            *left.entry(identity(group, &target.labels)).or_default() += 1;
        }
    }
    let counts = TargetCounts {
        active: left.len(),
        dropped: relabelled.iter().map(|group| group.dropped.len()).sum(),
        refused: relabelled.iter().map(|group| group.refused.len()).sum(),
        duplicates: left.values().sum::<usize>() - left.len(),
        unreachable: relabelled.iter().map(|group| group.unreachable().count()).sum(),
    };
    let mut shown = Vec::new();
    for group in &relabelled {
        let mut line = group.group.source.to_string();
        for target in &group.active {
            let left = left.get_mut(&identity(group, &target.labels)).unwrap();
            *left -= 1;
            show(&mut line, &target.labels, *left > 0);
        }
        shown.push(line);
    }
    (shown, counts)
}

fn show(shown: &mut String, labels: &Labels, hidden: bool) {
    let address = labels.get("__address__").unwrap();
    let (open, close) = if hidden { ("[", "]") } else { ("", "") };
    write!(shown, " {open}{address}{close}").unwrap();
}

fn present(pool: &Pool) -> (Vec<String>, TargetCounts) {
    let shown = pool.groups().iter().map(show_group).collect();
    (shown, pool.counts())
}

fn show_group(group: &SetGroup) -> String {
    let mut shown = group.relabelled.group.source.to_string();
    for (index, target) in (0..).zip(&group.relabelled.active) {
        show(&mut shown, &target.labels, group.duplicates().contains(&index));
    }
    let visible: Vec<_> = group.active().collect();
    assert_eq!(visible.len() + group.duplicates().len(), group.relabelled.active.len());
    shown
}

/// The groups of two keys are in another list, those of one are marked as unreachable.
fn fetched(key: &str, targets: &[&str]) -> Arc<TargetGroup> {
    let label = match key {
        "b" | "g:10" => Some((LIST, "class/internal")),
        "g:2" => Some((UNREACHABLE, "no shared network")),
        _ => None,
    };
    let group = TargetGroup::clone(&group(key, targets));
    Arc::new(TargetGroup { labels: label.into_iter().collect(), ..group })
}

/// The keys of groups, and the addresses of their targets.
type Listed = Vec<(&'static str, Vec<&'static str>)>;

/// One update after the other: the source, and all that it has then.
fn updates() -> impl Strategy<Value = Vec<(usize, Listed)>> {
    let key = prop::sample::select(vec!["a", "b", "g:2", "g:10"]);
    // Few enough that a group is often the same as in the update before.
    let targets = prop::sample::select(vec![
        vec![],
        vec!["x"],
        vec!["y", "x+", "x"],
        vec!["z", "drop", "y+", "drop"],
        vec!["bad/address", "", "x", "z"],
    ]);
    let groups = prop::collection::vec((key, targets), 0..5);
    prop::collection::vec((0..SOURCES, groups), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equals_a_recomputation_and_keeps_what_did_not_change(updates in updates()) {
        let job = spec();
        let mut pool = Pool::new(job.clone(), SOURCES, &Budget::unlimited());
        let mut sources: Vec<CanonicalGroups> = vec![Arc::from([]); SOURCES];
        for (source, groups) in updates {
            let fetched = groups.iter().map(|(key, targets)| fetched(key, targets)).collect();
            let Some(canonical) = canonicalize(Some(&sources[source]), fetched) else { continue };
            let before = pool.groups();
            let relabelled_before: Vec<_> = sources[source].to_vec();
            sources[source] = canonical.clone();
            let mut done = Update::default();
            let work = pool.work(source, &canonical);
            pool.update(source, &canonical, &mut done).unwrap();
            prop_assert_eq!(present(&pool), recompute(&job, &sources));

            // Only groups that came are relabelled.
            let come: Vec<_> = canonical
                .iter()
                .filter(|group| !relabelled_before.iter().any(|old| Arc::ptr_eq(old, group)))
                .collect();
            prop_assert_eq!(done.relabelled, come.len());
            prop_assert!(work >= come.iter().map(|group| group.targets.len()).sum::<usize>());
            let targets: usize = canonical.iter().map(|group| group.targets.len()).sum();
            prop_assert_eq!(pool.targets(source), targets);
            prop_assert!(pool.holds(source, &canonical));

            // Equal results of the same group are the same value.
            for new in pool.groups().iter() {
                let old = before.iter().find(|old| {
                    Arc::ptr_eq(&old.relabelled.group, &new.relabelled.group)
                });
                if let Some(old) = old {
                    let equal = show_group(old) == show_group(new);
                    prop_assert_eq!(old.is_same(new), equal);
                }
            }
        }
        // Nothing is left behind.
        for source in 0..SOURCES {
            pool.update(source, &Arc::from([]), &mut Update::default()).unwrap();
        }
        prop_assert_eq!(pool.counts(), TargetCounts::default());
        prop_assert_eq!(pool.groups().len(), 0);
        prop_assert!(pool.identities.is_empty());
        prop_assert!(pool.members.groups.iter().all(Option::is_none));
    }
}

#[test]
fn many_equal_targets_cost_no_square() {
    // A list to walk for each would make this a minute.
    let equal = vec!["x"; 30_000];
    let mut pool = Pool::new(spec(), 1, &Budget::unlimited());
    let groups = |addresses| canonicalize(None, vec![group("g", addresses)]).unwrap();
    pool.update(0, &groups(&equal), &mut Update::default()).unwrap();
    assert_eq!((pool.counts().active, pool.counts().duplicates), (1, 29_999));
    pool.update(0, &groups(&equal[1..]), &mut Update::default()).unwrap();
    assert_eq!((pool.counts().active, pool.counts().duplicates), (1, 29_998));
}

#[test]
fn reports_the_first_refused_targets() {
    let mut pool = Pool::new(spec(), 1, &Budget::unlimited());
    let refused = vec!["/"; 12];
    let groups = canonicalize(None, vec![group("a", &["/", "x"]), group("b", &refused)]).unwrap();
    let mut done = Update::default();
    pool.update(0, &groups, &mut done).unwrap();
    assert_eq!((done.refused, done.refusals.len()), (13, REPORTED_REFUSALS));
    assert_eq!(done.refusals[0], r#"instance 0 in group a: "/" is not a valid hostname"#);
}

/// An update that does not fit changes nothing; with room again it is applied.
#[test]
fn an_update_that_does_not_fit_changes_nothing() {
    let budget = Budget::new(Bytes(100_000));
    let mut pool = Pool::new(spec(), 1, &budget);
    let few = canonicalize(None, vec![group("a", &["h:1"])]).unwrap();
    pool.update(0, &few, &mut Update::default()).unwrap();
    let (held, counts) = (budget.used(), pool.counts());
    assert!(held > 0);
    let addresses: Vec<_> = (0..1000).map(|i| format!("h:{i}")).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let many = canonicalize(Some(&few), vec![group("a", &addresses)]).unwrap();
    let mut update = Update::default();
    let error = pool.update(0, &many, &mut update).unwrap_err();
    let Excess::Memory(error) = error else { panic!("{error}") };
    assert_eq!((error.used, error.limit), (held, 100_000));
    assert_eq!(update, Update::default());
    assert!(pool.holds(0, &few));
    assert_eq!((budget.used(), pool.counts()), (held, counts));
    let none: CanonicalGroups = Arc::from([]);
    pool.update(0, &none, &mut update).unwrap();
    assert_eq!(budget.used(), 0);
}
