use super::*;
use crate::engine::Task;

/// A change of a task: its version, or `None` for its removal.
fn change(id: &str, version: Option<u64>) -> Change {
    let task = |version| Arc::new(Task { id: id.into(), version, ..Task::default() });
    match version {
        Some(version) => Change::Changed(Object::Task(task(version))),
        None => Change::Removed(Object::Task(task(0))),
    }
}

/// What is left of changes of one task, in the order in which they were told.
#[track_caller]
fn check(told: &[Option<u64>], expected: Option<u64>) {
    let mut state = Told::default();
    for version in told {
        state.merge(change("t", *version));
    }
    let left: Vec<_> = state.changes.into_values().collect();
    assert_eq!(left, [change("t", expected)], "{told:?}");
}

#[test]
fn of_an_object_the_newest_is_kept() {
    check(&[Some(1), Some(2), Some(3)], Some(3));
    check(&[Some(1), Some(3), Some(2)], Some(3));
    check(&[Some(2), Some(2)], Some(2));
    check(&[Some(1), None], None);
    // Told late: an ID is never used again.
    check(&[None, Some(4)], None);
}

#[tokio::test]
async fn what_nobody_takes_ends_the_watch() {
    let pending = Pending::default();
    for n in 0..MOST {
        pending.lock().merge(change(&n.to_string(), Some(1)));
    }
    assert!(pending.note(Ok(vec![change("0", Some(2))])));
    assert!(!pending.note(Ok(vec![change("one more", Some(1))])));
    let ended = pending.lock().ended.clone();
    assert_eq!(ended.as_deref(), Some("changes are told faster than they are taken"));
}
