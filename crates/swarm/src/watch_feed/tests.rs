use swarmscout_docker::engine::Task;

use super::*;

/// A change of a task: its version, or `None` for its removal.
fn change(id: &str, version: Option<u64>) -> Change {
    let task = |version| Arc::new(Task { id: id.into(), version, ..Task::default() });
    match version {
        Some(version) => Change::Changed(Object::Task(task(version))),
        None => Change::Removed(Object::Task(task(0))),
    }
}

/// Checks what is left of the changes of one task, given in the order of their reports.
#[track_caller]
fn check(changes: &[Option<u64>], expected: Option<u64>) {
    let mut state = Newest::default();
    for version in changes {
        state.merge(change("t", *version));
    }
    let left: Vec<_> = state.0.into_values().collect();
    assert_eq!(left, [change("t", expected)], "{changes:?}");
}

#[test]
fn of_an_object_the_newest_is_kept() {
    check(&[Some(1), Some(2), Some(3)], Some(3));
    check(&[Some(1), Some(3), Some(2)], Some(3));
    check(&[Some(2), Some(2)], Some(2));
    check(&[Some(1), None], None);
    // Reported late: an ID is never used again.
    check(&[None, Some(4)], None);
}

/// During a listing that hangs, changes are shown as they come and taken after it.
#[tokio::test]
async fn pending_changes_are_kept_once_and_within_bounds() {
    let mut taken = Newest::default();
    let pending = Pending::default();
    for version in 1..=5 {
        assert!(pending.note(Ok(vec![change("a", Some(version)), change("b", Some(version))])));
        assert_eq!(pending.show(&mut taken).len(), 2);
    }
    assert_eq!(taken.0.len(), 2);
    assert!(
        taken.0.values().all(|kept| [change("a", Some(5)), change("b", Some(5))].contains(kept))
    );
    for n in 0..MOST {
        pending.note(Ok(vec![change(&n.to_string(), Some(1))]));
        pending.show(&mut taken);
    }
    let ended = pending.lock().ended.clone();
    assert_eq!(ended.as_deref(), Some(TOO_FAST));
}

#[tokio::test]
async fn changes_that_pile_up_unread_end_the_watch() {
    let pending = Pending::default();
    for n in 0..MOST {
        pending.lock().changes.merge(change(&n.to_string(), Some(1)));
    }
    assert!(pending.note(Ok(vec![change("0", Some(2))])));
    assert!(!pending.note(Ok(vec![change("one more", Some(1))])));
    let ended = pending.lock().ended.clone();
    assert_eq!(ended.as_deref(), Some(TOO_FAST));
}
