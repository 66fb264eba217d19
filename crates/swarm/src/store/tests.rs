use std::fmt::Write as _;

use expect_test::{Expect, expect};

use super::*;

/// A task of service `s`, changed at second `version` and seen at second 100.
fn task(id: &str, version: u64) -> Arc<Task> {
    let updated = i64::try_from(version).unwrap() * 1_000_000;
    Arc::new(Task { id: id.into(), version, service: "s".into(), updated, ..Task::default() })
}

const NOW: i64 = 100_000_000;

/// A step of a store.
enum Step<'a> {
    /// A listing of tasks, with a watch beside it or not.
    Listed(Beside, &'a [(&'a str, u64)]),
    /// All tasks of service `s`.
    Part(&'a [(&'a str, u64)]),
    Changed(&'a str, u64),
    Gone(&'a str),
}

use Step::{Changed as IsChanged, Gone as IsGone, Listed, Part as OfService};

/// The contents after each step, and what was new.
#[track_caller]
fn check(steps: &[Step<'_>], expected: &Expect) {
    let mut store = Store::default();
    let mut text = String::new();
    let list = |tasks: &[(&str, u64)]| Lists {
        tasks: tasks.iter().map(|(id, version)| task(id, *version)).collect(),
        ..Lists::default()
    };
    for step in steps {
        match step {
            Listed(beside, tasks) => {
                let scope = ListScope::everything();
                store.replace(&list(tasks), Arc::default(), scope, Arc::default(), *beside, NOW);
            }
            OfService(tasks) => {
                let part = ListedPart { tasks_of: ["s".into()].into(), ..ListedPart::default() };
                store.replace_part(&part, &list(tasks), NOW);
            }
            IsChanged(id, version) => {
                store.apply(&Change::Changed(Object::Task(task(id, *version))), NOW);
            }
            IsGone(id) => store.apply(&Change::Removed(Object::Task(task(id, 0))), NOW),
        }
        let tasks = store.snapshot().tasks.objects();
        let mut tasks: Vec<_> = tasks.map(|task| format!("{}@{}", task.id, task.version)).collect();
        tasks.sort();
        let News { changes, late } = store.take_news();
        write!(text, "{}, {changes} changes", tasks.join(" ")).unwrap();
        if let Some(late) = late {
            write!(text, ", {} s late", late.as_secs()).unwrap();
        }
        if store.unconfirmed() > 0 {
            write!(text, ", {} unconfirmed", store.unconfirmed()).unwrap();
        }
        text.push('\n');
    }
    expected.assert_eq(&text);
}

#[test]
fn a_listing_is_complete() {
    check(
        &[
            Listed(Beside::Nothing, &[("a", 1), ("b", 2)]),
            Listed(Beside::Nothing, &[("b", 2), ("a", 1)]),
            Listed(Beside::Nothing, &[("b", 90), ("c", 95)]),
            // Indexes may fall.
            Listed(Beside::Nothing, &[("b", 3)]),
        ],
        &expect![[r#"
            a@1 b@2, 0 changes
            a@1 b@2, 0 changes
            b@90 c@95, 3 changes, 10 s late
            b@3, 2 changes
        "#]],
    );
}

#[test]
fn a_change_counts_if_it_is_newer() {
    check(
        &[
            Listed(Beside::Nothing, &[("a", 5)]),
            IsChanged("a", 6),
            IsChanged("a", 4),
            IsChanged("b", 7),
            IsGone("a"),
            // Reported late, and again: an ID is never used twice.
            IsChanged("a", 8),
            IsGone("a"),
        ],
        &expect![[r#"
            a@5, 0 changes
            a@6, 1 changes, 94 s late
            a@6, 0 changes
            a@6 b@7, 1 changes, 93 s late
            b@7, 1 changes
            b@7, 0 changes
            b@7, 0 changes
        "#]],
    );
}

#[test]
fn a_listing_beside_a_watch_is_not_trusted_blindly() {
    check(
        &[
            Listed(Beside::Nothing, &[("a", 5), ("b", 5)]),
            IsChanged("a", 9),
            IsGone("b"),
            // It is behind: an older one, and one that is gone.
            Listed(Beside::Watch, &[("a", 5), ("b", 5)]),
            // It is ahead, and then the watch reports the same.
            Listed(Beside::Watch, &[("a", 10), ("c", 11)]),
            IsChanged("a", 10),
            IsChanged("c", 12),
        ],
        &expect![[r#"
            a@5 b@5, 0 changes
            a@9 b@5, 1 changes, 91 s late
            a@9, 1 changes
            a@9, 0 changes
            a@10 c@11, 2 changes, 90 s late, 2 unconfirmed
            a@10 c@11, 0 changes, 1 unconfirmed
            a@10 c@12, 1 changes, 88 s late
        "#]],
    );
}

#[test]
fn nothing_is_gone_that_only_a_listing_lacks_while_a_watch_is_on() {
    check(
        &[
            Listed(Beside::Nothing, &[("a", 5), ("b", 5)]),
            Listed(Beside::Watch, &[]),
            IsGone("a"),
            // The next one still has it.
            Listed(Beside::Watch, &[("b", 5)]),
            // After the beginning of another watch the listing counts alone.
            Listed(Beside::Nothing, &[]),
        ],
        &expect![[r#"
            a@5 b@5, 0 changes
            a@5 b@5, 0 changes, 2 unconfirmed
            b@5, 1 changes, 1 unconfirmed
            b@5, 0 changes
            , 1 changes
        "#]],
    );
}

#[test]
fn a_part_is_complete_for_what_it_asked_for() {
    check(
        &[
            Listed(Beside::Nothing, &[("a", 5), ("b", 5)]),
            OfService(&[("b", 6), ("c", 7)]),
            OfService(&[]),
        ],
        &expect![[r#"
            a@5 b@5, 0 changes
            b@6 c@7, 3 changes, 94 s late
            , 2 changes
        "#]],
    );
}

#[test]
fn lists_without_a_reader_are_not_kept() {
    let mut store = Store::default();
    store.apply(&Change::Changed(Object::Task(task("a", 1))), NOW);
    assert!(store.snapshot().tasks.is_empty());
}

/// The demand may change while a watch is open: that is not a change of the Swarm, or a difference
/// that the watch did not report.
#[test]
fn another_demand_is_not_a_change() {
    let mut store = Store::default();
    let nodes = ListScope { nodes: ListFilter::All, ..ListScope::default() };
    let lists = Lists { tasks: vec![task("a", 1), task("b", 2)], ..Lists::default() };
    let empty = Lists::default();
    for (scope, lists, left) in [
        (&nodes, &empty, 0),
        (&ListScope::everything(), &lists, 2),
        (&nodes, &empty, 0),
        (&ListScope::everything(), &lists, 2),
    ] {
        store.replace(lists, Arc::default(), scope.clone(), Arc::default(), Beside::Watch, NOW);
        assert_eq!((store.snapshot().tasks.len(), store.unconfirmed()), (left, 0));
        assert_eq!((store.take_news(), &store.snapshot().scope), (News::default(), scope));
    }
}

#[test]
fn removed_ids_are_kept_within_bounds() {
    let mut gone = Gone::default();
    for n in 0..5 * MOST_GONE / 2 {
        gone.note(&n.to_string().into());
    }
    assert!(gone.now.len() <= MOST_GONE && gone.before.len() <= MOST_GONE);
    assert!(gone.contains(&(5 * MOST_GONE / 2 - MOST_GONE).to_string()) && !gone.contains("0"));
}

#[test]
fn a_clock_that_is_wrong_reports_no_lateness() {
    for (now, updated, expected) in [
        (NOW, 1_000_000, Some(99)),
        (1_000_000, NOW, Some(0)),
        (i64::MAX, 1, None),
        (i64::MIN, i64::MAX, Some(0)),
        (NOW, 0, None),
    ] {
        let mut news = News::default();
        news.note(now, updated);
        assert_eq!(news.late, expected.map(Duration::from_secs), "{now} {updated}");
    }
}
