//! Sources that never answer, and what is served without them.

use swarmscout_model::Completeness;

use super::*;

/// The names of the sources that have never answered.
fn missing(set: &TargetSet) -> Vec<&str> {
    set.missing().iter().map(|source| &*source.name).collect()
}

/// The set of the only job once it is ready, and how many seconds that took.
async fn ready(manager: &Manager) -> (Arc<TargetSet>, u64) {
    let began = Instant::now();
    let set = set_when(manager, |set| set.is_ready()).await;
    (set, began.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn partial_sets_are_served_after_the_timeout() {
    let (good, bad) =
        (Script::answering(60, targets(&["a"])), Script::answering(60, Answer::Fail("no route")));
    let mut manager = manager();
    manager.apply(vec![JobConfig::new("a", vec![bad.config(), good.config()])]);
    let known = set_when(&manager, |set| addresses(set) == "a").await;
    assert!(!known.is_ready());
    let (set, took) = ready(&manager).await;
    assert_eq!((took, &*addresses(&set), &missing(&set)[..]), (30, "a", &["scripted/0"][..]));
    assert!(!set.is_complete());
    let age = status_of(&manager).oldest_age(Instant::now().into_std());
    assert!(age >= Duration::from_secs(30));
    // It joins as soon as it answers.
    bad.change(targets(&["b"]));
    let set = set_of(&manager, "b a").await;
    assert!(set.is_complete());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_served_while_no_source_has_answered() {
    let (first, second) =
        (Script::answering(60, Answer::Hang), Script::answering(60, Answer::Hang));
    let mut manager = manager();
    manager.apply(vec![JobConfig::new("a", vec![first.config(), second.config()])]);
    sleep(Duration::from_mins(1)).await;
    let set = only_job(&manager).set.borrow().clone();
    let Completeness::Pending { missing: of, sources } = &set.completeness else {
        panic!("{set:?}")
    };
    assert_eq!((of.len(), *sources, set.is_ready()), (2, 2, false));
    second.answer(targets(&["b"]));
    let (set, _) = ready(&manager).await;
    assert_eq!((&*addresses(&set), &missing(&set)[..]), ("b", &["scripted/0"][..]));
}

#[tokio::test(start_paused = true)]
async fn the_time_counts_from_the_start_and_from_a_reload() {
    let (good, bad) =
        (Script::answering(60, targets(&["a"])), Script::answering(60, Answer::Fail("no route")));
    let config = |name: &str| JobConfig::new(name, vec![good.config(), bad.config()]);
    let mut manager = manager();
    // Loading the configuration took its time.
    sleep(Duration::from_secs(20)).await;
    manager.apply(vec![config("a")]);
    assert_eq!(ready(&manager).await.1, 10);
    manager.apply(vec![config("b")]);
    assert_eq!(ready(&manager).await.1, 30);
}

#[tokio::test(start_paused = true)]
async fn a_changed_job_serves_its_previous_set_until_the_timeout() {
    let old = Script::answering(60, targets(&["old"]));
    let (good, bad) =
        (Script::answering(60, targets(&["new"])), Script::answering(60, Answer::Fail("no route")));
    let mut manager = manager();
    manager.apply(vec![JobConfig::new("a", vec![old.config()])]);
    set_of(&manager, "old").await;
    sleep(Duration::from_secs(100)).await;

    // No source of the new job answers: the previous set stays.
    manager.apply(vec![JobConfig::new("a", vec![bad.config()])]);
    sleep(Duration::from_secs(100)).await;
    let set = only_job(&manager).set.borrow().clone();
    assert_eq!((&*addresses(&set), set.stale_config, set.is_ready()), ("old", true, true));

    manager.apply(vec![JobConfig::new("a", vec![good.config(), bad.config()])]);
    let began = Instant::now();
    let set = set_of(&manager, "new").await;
    assert_eq!(began.elapsed().as_secs(), 30);
    assert_eq!((set.stale_config, &missing(&set)[..]), (false, &["scripted/1"][..]));

    // It was served before it was complete, so the next one waits too.
    manager.apply(vec![JobConfig::new("a", vec![old.config(), bad.config()])]);
    let began = Instant::now();
    let set = set_of(&manager, "old").await;
    assert_eq!((began.elapsed().as_secs(), set.stale_config), (30, false));
}

#[tokio::test(start_paused = true)]
async fn the_timeout_can_be_zero_or_longer_than_any_clock() {
    for (timeout, expected) in [(Duration::ZERO, true), (Duration::MAX, false)] {
        let good = Script::answering(60, targets(&["a"]));
        let bad = Script::answering(60, Answer::Fail("no route"));
        let context = BuildContext { startup_timeout: timeout, ..BuildContext::new("test") };
        let mut manager = Manager::new(context);
        manager.apply(vec![JobConfig::new("a", vec![good.config(), bad.config()])]);
        let set = set_when(&manager, |set| addresses(set) == "a").await;
        assert_eq!(set.is_ready(), expected, "{timeout:?}");
        sleep(Duration::from_hours(1)).await;
        assert_eq!(only_job(&manager).set.borrow().is_ready(), expected, "{timeout:?}");
    }
}
