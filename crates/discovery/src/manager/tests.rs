//! Scripted sources under a paused clock, seen through the manager's public face.

use std::time::Duration;

use swarmscout_model::relabel::{RawRule, RelabelRule};
use swarmscout_model::size::Bytes;
use swarmscout_model::{Budget, NameScheme, PoolSpec};
use tokio::time::{Instant, sleep, timeout};

mod missing;

use super::*;
use crate::config::{StaticConfig, StaticGroup};
use crate::scripted::{Answer, Script, group, targets};

fn manager() -> Manager {
    Manager::new(BuildContext::new("test"))
}

fn fixed(groups: &[&[&str]]) -> SdConfig {
    let groups = groups.iter().map(|targets| StaticGroup {
        targets: targets.iter().map(|target| (*target).to_owned()).collect(),
        ..StaticGroup::default()
    });
    SdConfig::Static(StaticConfig { groups: groups.collect() })
}

/// Drops the targets whose address matches.
fn drop_rule(regex: &str) -> RelabelRule {
    let rule = RawRule {
        source_labels: Some(vec!["__address__".to_owned()]),
        regex: Some(regex.to_owned()),
        action: Some("drop".to_owned()),
        ..RawRule::default()
    };
    rule.check(NameScheme::Utf8).unwrap()
}

fn with_rule(job: JobConfig, regex: &str) -> JobConfig {
    JobConfig { pool: PoolSpec { relabel: Arc::from([drop_rule(regex)]), ..job.pool }, ..job }
}

fn only_job(manager: &Manager) -> Job {
    let jobs = manager.jobs();
    let jobs = jobs.borrow();
    assert_eq!(jobs.len(), 1);
    jobs[0].clone()
}

/// The set of the only job, as soon as it is like that.
async fn set_when(manager: &Manager, like: impl FnMut(&Arc<TargetSet>) -> bool) -> Arc<TargetSet> {
    let mut set = only_job(manager).set;
    let day = Duration::from_hours(24);
    timeout(day, set.wait_for(like)).await.expect("it never was like that").unwrap().clone()
}

/// The state of the only job, as soon as it is like that.
async fn state_when(manager: &Manager, like: impl FnMut(&JobState) -> bool) -> JobState {
    let mut job = only_job(manager);
    let day = Duration::from_hours(24);
    timeout(day, job.wait_for(like)).await.expect("it never was like that").unwrap()
}

/// The state of its sources now.
fn status_of(manager: &Manager) -> Arc<JobStatus> {
    only_job(manager).state().status
}

async fn set_of(manager: &Manager, expected: &str) -> Arc<TargetSet> {
    set_when(manager, |set| set.is_ready() && addresses(set) == expected).await
}

fn addresses(set: &TargetSet) -> String {
    let addresses: Vec<_> =
        set.active().filter_map(|(_, target)| target.labels.get("__address__")).collect();
    addresses.join(" ")
}

#[tokio::test(start_paused = true)]
async fn static_targets_are_there_after_one_refresh() {
    let mut manager = manager();
    manager.apply(vec![JobConfig::new("a", vec![fixed(&[&["x:1", "x:2"], &["y:1"]])])]);
    let set = set_of(&manager, "x:1 x:2 y:1").await;
    assert_eq!(set.counts.active, 3);
    let status = status_of(&manager);
    let source = &status.sources[0];
    assert_eq!((&*source.name, &*source.display_name), ("static/0", "2 groups"));
    assert_eq!((source.groups, source.targets), (2, 3));
    sleep(Duration::from_hours(1)).await;
    assert_eq!(status.oldest_age(Instant::now().into_std()), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_job_without_sources_is_ready_and_empty() {
    let mut manager = manager();
    manager.apply(vec![JobConfig::new("a", Vec::new())]);
    assert!(only_job(&manager).set.borrow().is_ready());
}

#[tokio::test(start_paused = true)]
async fn the_order_is_that_of_sources_keys_and_targets() {
    let script = Script::answering(
        60,
        Answer::Groups(vec![group("g:10", &["c"]), group("g:9", &["b", "a"]), group("e", &[])]),
    );
    let mut manager = manager();
    manager.apply(vec![JobConfig::new(
        "a",
        vec![fixed(&[&["z"]]), script.config(), fixed(&[&["y"]])],
    )]);
    set_of(&manager, "z b a c y").await;
    let status = status_of(&manager);
    let names: Vec<_> = status.sources.iter().map(|source| &*source.name).collect();
    assert_eq!(names, ["static/0", "scripted/0", "static/1"]);
}

#[tokio::test(start_paused = true)]
async fn of_the_same_targets_the_last_is_shown() {
    let (first, last) = (Script::new(60), Script::new(60));
    first.answer(targets(&["a", "b"]));
    last.answer(targets(&["b", "c", "b"]));
    let mut manager = manager();
    manager.apply(vec![JobConfig::new("a", vec![first.config(), last.config()])]);
    let set = set_of(&manager, "a c b").await;
    assert_eq!((set.counts.active, set.counts.duplicates), (3, 2));

    first.change(targets(&["c"]));
    let set = set_of(&manager, "c b").await;
    assert_eq!(set.counts.duplicates, 2);
    last.change(targets(&["d"]));
    let set = set_of(&manager, "c d").await;
    assert_eq!(set.counts.duplicates, 0);
}

#[tokio::test(start_paused = true)]
async fn one_change_costs_one_group() {
    let script = Script::new(60);
    let groups = |b: &[&str]| {
        Answer::Groups(vec![group("a", &["a:1"]), group("b", b), group("c", &["c:1", "c:2"])])
    };
    script.answer(groups(&["b:1"]));
    let mut manager = manager();
    manager.apply(vec![JobConfig::new("a", vec![script.config()])]);
    let before = set_of(&manager, "a:1 b:1 c:1 c:2").await;
    script.change(groups(&["b:2"]));
    let after = set_of(&manager, "a:1 b:2 c:1 c:2").await;
    let same: Vec<_> =
        before.groups.iter().zip(after.groups.iter()).map(|(a, b)| a.is_same(b)).collect();
    assert_eq!(same, [true, false, true]);
}

#[tokio::test(start_paused = true)]
async fn equal_sources_run_once() {
    let script = Script::answering(60, targets(&["a"]));
    let mut manager = manager();
    let both = || vec![script.config(), script.config()];
    manager.apply(vec![
        JobConfig::new("a", both()),
        JobConfig::new("b", both()),
        JobConfig::new("c", vec![script.config()]),
    ]);
    let jobs = manager.jobs().borrow().clone();
    for job in jobs.iter() {
        let JobState { set, status } =
            job.clone().wait_for(|job| job.set.is_ready()).await.unwrap();
        assert_eq!((addresses(&set), status.sources.len()), ("a".to_owned(), 1));
        assert_eq!(set.counts.duplicates, 0);
    }
    script.refreshed(3).await;
    assert_eq!(script.builds(), 1);
    assert_eq!(script.refreshes()[2], Duration::from_mins(2));
    // It runs on as long as one job names it.
    manager.apply(vec![JobConfig::new("c", vec![script.config()])]);
    script.refreshed(4).await;
    assert_eq!((script.builds(), script.refreshes()[3]), (1, Duration::from_mins(3)));
    manager.apply(Vec::new());
    sleep(Duration::from_millis(1)).await;
    assert!(!script.is_running());
}

#[tokio::test(start_paused = true)]
async fn a_reload_leaves_an_equal_job_alone() {
    let script = Script::answering(60, targets(&["a"]));
    let config = || with_rule(JobConfig::new("a", vec![script.config()]), "x");
    let mut manager = manager();
    manager.apply(vec![config()]);
    let before = set_of(&manager, "a").await;
    let channel = only_job(&manager).set;
    manager.apply(vec![config()]);
    sleep(Duration::from_secs(1)).await;
    let after = only_job(&manager);
    assert!(channel.same_channel(&after.set));
    assert!(Arc::ptr_eq(&before, &after.set.borrow()));
    assert_eq!(script.builds(), 1);
}

#[tokio::test(start_paused = true)]
async fn other_rules_take_effect_at_once_and_disturb_no_source() {
    let script = Script::answering(60, targets(&["a", "b"]));
    let mut manager = manager();
    manager.apply(vec![JobConfig::new("a", vec![script.config()])]);
    set_of(&manager, "a b").await;
    let channel = only_job(&manager).set;
    manager.apply(vec![with_rule(JobConfig::new("a", vec![script.config()]), "b")]);
    let set = set_of(&manager, "a").await;
    assert!(channel.same_channel(&only_job(&manager).set));
    assert!(!set.stale_config);
    assert_eq!(set.counts.dropped, 1);
    assert_eq!((script.builds(), script.refreshes().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_changed_job_serves_its_previous_set_until_the_new_one_is_complete() {
    let (old, new) = (Script::new(60), Script::answering(60, Answer::Fail("no route")));
    old.answer(targets(&["a"]));
    let mut manager = manager();
    manager.apply(vec![JobConfig::new("a", vec![old.config()])]);
    set_of(&manager, "a").await;

    manager.apply(vec![with_rule(JobConfig::new("a", vec![new.config(), old.config()]), "a")]);
    let stale = state_when(&manager, |job| {
        job.status.next_sources.first().is_some_and(|source| source.error.is_some())
    });
    let JobState { set: stale, status } = stale.await;
    assert!(stale.is_ready() && stale.stale_config);
    assert_eq!((addresses(&stale), status.sources.len()), ("a".to_owned(), 1));
    assert_ne!(*stale.pool, only_job(&manager).config.pool);

    // It is kept fresh by the rules that it was made with.
    old.change(targets(&["a", "b"]));
    let stale = set_of(&manager, "a b").await;
    assert!(stale.stale_config);

    new.answer(targets(&["c"]));
    let set = set_of(&manager, "c b").await;
    assert!(!set.stale_config && status_of(&manager).next_sources.is_empty());
    assert_eq!(*set.pool, only_job(&manager).config.pool);
    assert_eq!(old.builds(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_never_complete_turns_to_its_new_configuration_at_once() {
    let (hung, new) =
        (Script::answering(60, Answer::Hang), Script::answering(60, Answer::Fail("no")));
    let mut manager = manager();
    manager.apply(vec![JobConfig::new("a", vec![hung.config()])]);
    hung.refreshed(1).await;
    manager.apply(vec![JobConfig::new("a", vec![new.config()])]);
    let set = state_when(&manager, |job| job.status.sources[0].error.is_some()).await.set;
    assert!(!set.stale_config && !set.is_ready());
    assert!(!hung.is_running());
}

#[tokio::test(start_paused = true)]
async fn an_unpublished_set_is_not_an_update() {
    let (old, hung) = (Script::answering(60, targets(&["a"])), Script::answering(60, Answer::Hang));
    let fresh = Script::answering(60, targets(&["b", "c"]));
    let mut manager = manager();
    let limited = |sources| {
        let mut job = JobConfig::new("a", sources);
        job.pool.target_limit = 2;
        job
    };
    manager.apply(vec![limited(vec![old.config()])]);
    set_of(&manager, "a").await;
    let updates = manager.stats().updates.get();

    // The new sources are more than the limit, but one of them does not answer.
    manager.apply(vec![limited(vec![old.config(), fresh.config(), hung.config()])]);
    let stale = state_when(&manager, |job| {
        job.status.next_sources.get(1).is_some_and(|source| source.as_of.is_some())
    });
    let stale = stale.await.set;
    assert_eq!(addresses(&stale), "a");
    fresh.change(targets(&["b", "d"]));
    fresh.refreshed(2).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(manager.stats().updates.get(), updates);

    // Then the new configuration is served without it.
    let set = set_when(&manager, |set| !set.stale_config).await;
    assert_eq!((set.counts.active, manager.stats().limit_exceeded.get()), (3, 1));
    assert_eq!(manager.stats().updates.get(), updates + 1);
}

#[tokio::test(start_paused = true)]
async fn of_several_reloads_the_newest_counts() {
    let scripts: Vec<_> = ["a", "b", "c"].map(|a| Script::answering(60, targets(&[a]))).into();
    let mut manager = manager();
    manager.apply(vec![JobConfig::new("a", vec![scripts[0].config()])]);
    set_of(&manager, "a").await;
    scripts[1].answer(Answer::Hang);
    manager.apply(vec![JobConfig::new("a", vec![scripts[1].config()])]);
    scripts[1].refreshed(1).await;
    manager.apply(vec![JobConfig::new("a", vec![scripts[2].config()])]);
    set_of(&manager, "c").await;
    sleep(Duration::from_millis(1)).await;
    assert!(!scripts[0].is_running() && !scripts[1].is_running());
}

#[tokio::test(start_paused = true)]
async fn a_removed_job_ends() {
    let script = Script::answering(60, targets(&["a"]));
    let mut manager = manager();
    manager.apply(vec![JobConfig::new("a", vec![script.config()])]);
    let mut set = only_job(&manager).set;
    manager.apply(vec![JobConfig::new("b", Vec::new())]);
    assert_eq!(&**only_job(&manager).config.name(), "b");
    while set.changed().await.is_ok() {}
    assert!(!script.is_running());
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_handed_over_at_once_and_then_every_50_ms() {
    let scripts: Vec<_> = (0..20).map(|_| Script::answering(60, targets(&["a"]))).collect();
    let mut manager = manager();
    manager.apply(vec![JobConfig::new("a", scripts.iter().map(Script::config).collect())]);
    let mut set = only_job(&manager).set;
    set.wait_for(|set| set.is_ready()).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    set.borrow_and_update();

    // For 200 ms one source or another changes in every millisecond.
    let began = Instant::now();
    let mut wakes = Vec::new();
    let changes = async {
        for i in 0..200 {
            let address = i.to_string();
            scripts[i % scripts.len()].change(targets(&[&address]));
            sleep(Duration::from_millis(1)).await;
        }
    };
    let wake = async {
        loop {
            set.changed().await.unwrap();
            wakes.push(began.elapsed().as_millis());
        }
    };
    tokio::select! {
        () = changes => {}
        () = wake => {}
    }
    assert_eq!(wakes[0], 0);
    assert!((4..=5).contains(&wakes.len()), "{wakes:?}");
    assert!(wakes.windows(2).all(|pair| pair[1] - pair[0] >= 50), "{wakes:?}");
    assert!(manager.stats().updates_delayed.get() >= 3);
    set_of(&manager, &(180..200).map(|i| i.to_string()).collect::<Vec<_>>().join(" ")).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_of_a_source_waits_for_nothing() {
    let began = Instant::now();
    let (quick, slow) = (Script::new(60), Script::answering(60, Answer::Fail("no route")));
    let mut manager = manager();
    manager.apply(vec![JobConfig::new("a", vec![quick.config(), slow.config()])]);
    slow.refreshed(1).await;
    slow.answer(targets(&["b"]));
    // While the other one has something new all the time.
    let changes = async {
        for n in 0_u64.. {
            quick.change(targets(&[&n.to_string()]));
            sleep(Duration::from_millis(7)).await;
        }
    };
    tokio::select! {
        () = changes => {}
        set = set_when(&manager, |set| set.is_ready()) => assert_eq!(set.counts.active, 2),
    }
    assert_eq!(began.elapsed(), *slow.refreshes().last().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_failing_source_is_reported_and_keeps_its_targets() {
    let (good, bad) = (Script::new(10), Script::new(10));
    good.answer(targets(&["a"]));
    bad.answer(targets(&["b"]));
    let mut manager = manager();
    manager.apply(vec![JobConfig::new("a", vec![good.config(), bad.config()])]);
    let before = set_of(&manager, "a b").await;
    bad.answer(Answer::Fail("no route"));
    let status_before = status_of(&manager);
    let JobState { set: after, status } =
        state_when(&manager, |job| job.status.sources[1].error.is_some()).await;
    assert_eq!(status.sources[1].error.as_deref(), Some("no route"));
    assert_eq!(status.sources[0].error, None);
    assert!(after.groups.iter().zip(before.groups.iter()).all(|(a, b)| a.is_same(b)));
    sleep(Duration::from_secs(100)).await;
    let now = Instant::now().into_std();
    let JobState { set, status } = only_job(&manager).state();
    assert_eq!(addresses(&set), "a b");
    // Confirmed at 0 s for the last time.
    assert_eq!(status.oldest_age(now), now - status_before.sources[1].as_of.unwrap());
    assert!(status.oldest_age(now) > Duration::from_secs(100));
    assert!(now - status.sources[0].as_of.unwrap() < Duration::from_secs(11));
}

#[tokio::test(start_paused = true)]
async fn ages_and_counters_wake_no_receiver() {
    let script = Script::answering(1, targets(&["a"]));
    let mut manager = manager();
    manager.apply(vec![JobConfig::new("a", vec![script.config()])]);
    set_of(&manager, "a").await;
    let mut job = only_job(&manager);
    let first = job.state();
    let newer = job.wait_for(|job| job.status.sources[0].refreshes > 1);
    assert!(timeout(Duration::from_millis(100_500), newer).await.is_err());
    let last = job.state();
    assert!(last.status.sources[0].as_of > first.status.sources[0].as_of);
    assert_eq!(last.status.sources[0].refreshes, 101);
    assert!(Arc::ptr_eq(&first.set, &last.set));
    assert_eq!((last.set.syncs.durations.count(), manager.stats().updates.get()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_cannot_be_built_leaves_other_jobs_alone() {
    let bad = Script::answering(60, Answer::NoBuild("no such file: ca.pem"));
    let mut manager = manager();
    manager.apply(vec![
        JobConfig::new("a", vec![bad.config()]),
        JobConfig::new("b", vec![fixed(&[&["x"]])]),
    ]);
    let jobs = manager.jobs().borrow().clone();
    let (mut a, mut b) = (jobs[0].clone(), jobs[1].clone());
    assert_eq!(addresses(&b.wait_for(|job| job.set.is_ready()).await.unwrap().set), "x");
    let failed = a.wait_for(|job| job.status.sources[0].error.is_some()).await.unwrap();
    assert!(!failed.set.is_ready());
    bad.answer(targets(&["y"]));
    assert_eq!(addresses(&a.wait_for(|job| job.set.is_ready()).await.unwrap().set), "y");
}

#[tokio::test(start_paused = true)]
async fn more_targets_than_the_limit_fail_all_of_them() {
    let script = Script::answering(60, targets(&["a", "b", "b"]));
    let mut manager = manager();
    let mut job = JobConfig::new("a", vec![script.config()]);
    job.pool.target_limit = 2;
    manager.apply(vec![job]);
    let set = set_of(&manager, "a b").await;
    assert_eq!(set.limit_error, None);
    script.change(targets(&["a", "b", "c"]));
    let set = set_of(&manager, "a b c").await;
    let error = "target_limit exceeded (number of targets: 3, limit: 2)";
    assert_eq!(set.limit_error.as_deref(), Some(error));
    assert_eq!(manager.stats().limit_exceeded.get(), 1);
    // It does not fall when the job goes.
    manager.apply(Vec::new());
    assert_eq!(manager.stats().limit_exceeded.get(), 1);
}

/// Prometheus takes a counter that falls without reaching zero for a reset: the rest
/// of it would be new failures.
#[tokio::test(start_paused = true)]
async fn what_sources_counted_outlives_them() {
    let stays = Script::answering(60, targets(&["a"]));
    let goes = Script::answering(60, targets(&["b"]));
    let comes = Script::answering(60, targets(&["c"]));
    let mut manager = manager();
    manager.apply(vec![JobConfig::new("a", vec![stays.config(), goes.config()])]);
    set_of(&manager, "a b").await;
    goes.change(Answer::Fail("gone"));
    sleep(Duration::from_mins(10)).await;
    goes.change(targets(&["b"]));
    let counted = |status: &JobStatus| {
        let mut all = status.ended.get("scripted").cloned().unwrap_or_default();
        for source in &status.sources {
            all.add(source);
        }
        (all.failures, all.durations.count())
    };
    let before = state_when(&manager, |job| job.status.sources[1].error.is_none()).await;
    let before = counted(&before.status);
    assert!(before.0 > 3, "{before:?}");
    // One of two is replaced, then it comes back, then all go.
    for (sources, expected) in [
        (vec![stays.config(), comes.config()], "a c"),
        (vec![stays.config(), goes.config()], "a b"),
        (Vec::new(), ""),
    ] {
        manager.apply(vec![JobConfig::new("a", sources)]);
        set_when(&manager, |set| !set.stale_config && addresses(set) == expected).await;
        let (failures, refreshes) = counted(&status_of(&manager));
        assert_eq!(failures, before.0, "{expected}");
        assert!(refreshes >= before.1, "{expected}: {refreshes} after {}", before.1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_generated_job_runs_beside_those_of_the_file_and_shows_its_yaml() {
    let script = Script::answering(60, targets(&["a"]));
    let mut manager = manager();
    let jobs = |yaml: &str| {
        let generated = |name: &str| LayeredJob {
            config: JobConfig::new(name, vec![script.config()]),
            yaml: Some(yaml.into()),
        };
        let mut jobs = JobSet::of_file(vec![JobConfig::new("web", vec![fixed(&[&["x"]])])]);
        jobs.add_layer("discovered", vec![generated("db"), generated("web")]);
        jobs
    };
    for yaml in ["job_name: db", "# commented\njob_name: db"] {
        let shadowed = manager.apply(jobs(yaml));
        let by = |job: &str| ShadowedJob { job: job.into(), layer: "discovered", by: JobSet::FILE };
        assert_eq!(shadowed, [by("web")]);
        let running = manager.jobs().borrow().clone();
        let shown: Vec<_> =
            running.iter().map(|job| (&**job.config.name(), job.yaml.as_deref())).collect();
        assert_eq!(shown, [("db", Some(yaml)), ("web", None)]);
        for (job, expected) in running.iter().zip(["a", "x"]) {
            let found = job.clone().wait_for(|job| job.set.is_ready()).await.unwrap();
            assert_eq!(addresses(&found.set), expected);
        }
    }
    // Other YAML of an equal job disturbs nothing.
    assert_eq!(script.builds(), 1);
}

/// A paused clock would not wait for the threads of the pool.
#[tokio::test]
async fn large_sets_are_relabelled_elsewhere_to_the_same_end() {
    let all: Vec<_> = (0..5000).map(|i| i.to_string()).collect();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    let groups = all.chunks(64).enumerate().map(|(i, part)| group(&format!("g:{i}"), part));
    let script = Script::answering(60, Answer::Groups(groups.collect()));
    let mut manager = manager();
    let config = with_rule(JobConfig::new("a", vec![script.config()]), "1.*");
    manager.apply(vec![config]);
    let set = set_when(&manager, |set| set.is_ready() && set.counts.active > 0).await;
    assert_eq!((set.counts.active, set.counts.dropped), (5000 - 1111, 1111));
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_reloads_leave_nothing_behind() {
    let stays = Script::answering(60, targets(&["a"]));
    let mut manager = manager();
    let tasks = manager.context.refresh.tasks.clone();
    for i in 0..200 {
        let comes = Script::answering(60, if i % 2 == 0 { targets(&["b"]) } else { Answer::Hang });
        manager.apply(vec![
            JobConfig::new("stays", vec![stays.config()]),
            with_rule(
                JobConfig::new("changes", vec![stays.config(), comes.config()]),
                &i.to_string(),
            ),
            JobConfig::new(format!("new-{i}"), vec![comes.config(), fixed(&[&["c"]])]),
        ]);
        sleep(Duration::from_millis(300)).await;
        // Three jobs and three sources, and before them the sources of an older configuration
        // that is still served.
        assert!(tasks.len() <= 7, "{i}: {} tasks", tasks.len());
        let sources = manager.sources.running().len();
        assert!(sources <= 7, "{i}: {sources} sources");
    }
    assert_eq!(stays.builds(), 1);
    manager.apply(Vec::new());
    sleep(Duration::from_millis(1)).await;
    assert!(tasks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn hung_refreshes_hold_up_neither_reload_nor_end() {
    let scripts: Vec<_> = (0..10).map(|_| Script::answering(3600, Answer::Hang)).collect();
    let mut manager = manager();
    let began = Instant::now();
    for script in &scripts {
        manager.apply(vec![JobConfig::new("a", vec![script.config()])]);
        script.refreshed(1).await;
    }
    let mut jobs = manager.jobs();
    jobs.borrow_and_update();
    manager.shutdown().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(scripts.iter().all(|script| !script.is_running()));
    assert!(jobs.borrow().is_empty());
}

/// The targets of a job do not fit after relabeling: the old ones stay, with the reason, and the
/// other job goes on.
#[tokio::test(start_paused = true)]
async fn targets_that_do_not_fit_are_an_error_of_their_source() {
    let context = BuildContext::new("test").within(Budget::new(Bytes(500_000)));
    let mut manager = Manager::new(context);
    let (growing, steady) = (Script::new(60), Script::new(60));
    growing.answer(targets(&["a:1"]));
    steady.answer(targets(&["b:1"]));
    let job = |name: &str, script: &Script| JobConfig::new(name, vec![script.config()]);
    manager.apply(vec![job("growing", &growing), job("steady", &steady)]);
    let job = |index: usize| manager.jobs().borrow()[index].clone();
    let (mut growing_job, mut steady_job) = (job(0), job(1));
    growing_job.wait_for(|job| addresses(&job.set) == "a:1").await.unwrap();
    let many: Vec<_> = (0..1500).map(|i| format!("a:{i}")).collect();
    growing.change(targets(&many.iter().map(String::as_str).collect::<Vec<_>>()));
    let failed = |job: &JobState| job.status.sources[0].error.is_some();
    let refused = growing_job.wait_for(failed).await.unwrap();
    assert_eq!(addresses(&refused.set), "a:1");
    let error = refused.status.sources[0].error.clone().unwrap();
    assert!(error.starts_with("its targets cannot be kept: needs about "), "{error}");
    steady.change(targets(&["b:2"]));
    steady_job.wait_for(|job| addresses(&job.set) == "b:2").await.unwrap();
    growing.change(targets(&["a:2"]));
    let now = growing_job.wait_for(|job| addresses(&job.set) == "a:2").await.unwrap();
    assert_eq!(now.status.sources[0].error, None);
}
