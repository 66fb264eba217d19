//! A scripted discoverer under a paused clock: time passes only while every task waits for it.

use swarmscout_model::PromDuration;
use tokio::time::sleep;

use super::*;
use crate::Groups;
use crate::stats::ProblemCount;
use crate::testing::{Answer, Script, group, targets};

/// The error of a script.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Scripted(&'static str),
    #[error(transparent)]
    Refresh(#[from] Error),
}

/// A running supervisor of a script.
struct Run {
    script: Script<Failed>,
    context: RefreshContext,
    known: watch::Receiver<LastGood<Groups>>,
    supervised: Supervised<Groups>,
}

/// Refreshes every 60 s, with a deadline of 100 s.
fn run(answer: Answer) -> Run {
    run_keeping(answer, |known, fetched| (known != Some(&fetched)).then_some(fetched))
}

fn run_keeping(answer: Answer, canonicalize: fn(Option<&Groups>, Groups) -> Option<Groups>) -> Run {
    let script = Script::new(answer, Failed::Scripted);
    let context = RefreshContext::new("test");
    let build = {
        let script = script.clone();
        Box::new(move |_: &_| script.build())
    };
    let spec = RefreshSpec {
        mechanism: "scripted",
        job: "job".into(),
        what: "a script".into(),
        pace: Pace {
            refresh_interval: Some(Duration::from_mins(1)),
            deadline: Duration::from_secs(100),
            gap: SHORTEST_GAP,
            longest_pause: Duration::from_secs(5),
        }
        .fixed(),
        build,
        canonicalize,
    };
    let supervised = start(spec, &context);
    Run { script, context, known: supervised.last_good(), supervised }
}

impl Run {
    /// Waits for this many refreshes, and returns the last good value.
    async fn refreshed(&mut self, times: u64) -> LastGood<Groups> {
        self.known.wait_for(|known| known.health.refreshes >= times).await.unwrap().clone()
    }

    /// Whole seconds from each refresh to the next.
    fn gaps(&self) -> Vec<u64> {
        gaps(&self.script.refreshes()).map(|gap| gap.as_secs()).collect()
    }
}

fn gaps(refreshes: &[Duration]) -> impl Iterator<Item = Duration> {
    refreshes.windows(2).map(|pair| pair[1].saturating_sub(pair[0]))
}

fn addresses(known: &LastGood<Groups>) -> Option<Vec<&str>> {
    let groups = known.value.as_ref()?;
    let targets = groups.iter().flat_map(|group| &group.targets);
    Some(targets.filter_map(|target| target.get("__address__")).collect())
}

#[tokio::test(start_paused = true)]
async fn refreshes_at_once_and_then_every_interval() {
    let mut run = run(targets(&["a"]));
    let known = run.refreshed(4).await;
    assert_eq!(run.script.refreshes()[0], Duration::ZERO);
    assert_eq!(run.gaps(), [60, 60, 60]);
    assert_eq!(addresses(&known), Some(vec!["a"]));
    assert_eq!((known.health.refreshes, known.health.failures), (4, 0));
    assert_eq!(known.health.durations.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_differ_stays_the_same_value_and_only_grows_older() {
    let mut run = run(targets(&["a"]));
    let first = run.refreshed(1).await;
    let second = run.refreshed(2).await;
    assert!(Arc::ptr_eq(&first.value.unwrap()[0], &second.value.unwrap()[0]));
    assert_eq!(second.health.as_of.unwrap() - first.health.as_of.unwrap(), Duration::from_mins(1));
    assert_eq!(run.context.stats.received_updates.get(), 1);
    run.script.answer(targets(&["b"]));
    assert_eq!(addresses(&run.refreshed(3).await), Some(vec!["b"]));
    assert_eq!(run.context.stats.received_updates.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_keeps_the_last_good_value_and_its_age() {
    let mut run = run(targets(&["a"]));
    let good = run.refreshed(1).await;
    run.script.answer(Answer::Fail("no route"));
    let failed = run.refreshed(3).await;
    assert_eq!(addresses(&failed), Some(vec!["a"]));
    assert_eq!(failed.health.as_of, good.health.as_of);
    assert_eq!(failed.health.error.as_deref(), Some("no route"));
    assert_eq!(failed.health.failures, 2);
    run.script.answer(targets(&["a"]));
    let recovered = run.refreshed(4).await;
    assert_eq!(recovered.health.error, None);
    assert!(recovered.health.as_of > good.health.as_of);
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_to_the_longest_and_start_over_after_a_success() {
    let mut run = run(Answer::Fail("no route"));
    run.refreshed(12).await;
    let longest = Duration::from_secs(5);
    let mut backoff = Backoff::default();
    for gap in gaps(&run.script.refreshes()) {
        let most = backoff.next_pause(longest);
        backoff.failed(longest);
        // The timer's grain is a millisecond.
        assert!(gap >= most / 2 && gap <= most + Duration::from_millis(1), "{gap:?} of {most:?}");
    }
    run.script.answer(targets(&["a"]));
    run.refreshed(13).await;
    run.script.answer(Answer::Fail("no route"));
    run.refreshed(15).await;
    assert!(run.gaps()[13] <= 1, "{:?}", run.gaps());
}

#[test]
fn local_sources_are_tried_again_sooner() {
    let context = RefreshContext::new("test");
    let longest = |is_local, interval| {
        let interval = PromDuration::from_millis(interval);
        Pace::asking(1, is_local, interval, &context).longest_pause.as_millis()
    };
    for (is_local, interval, expected) in
        [(false, 60_000, 5000), (false, 1000, 1000), (true, 60_000, 2000)]
    {
        assert_eq!(longest(is_local, interval), expected, "{is_local} {interval}");
    }
    assert_eq!(Pace::once(true).longest_pause, Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_hung_refresh_ends_at_its_deadline() {
    let mut run = run(targets(&["a"]));
    run.refreshed(1).await;
    run.script.answer(Answer::Hang);
    let hung = run.refreshed(2).await;
    assert_eq!(hung.health.error.as_deref(), Some("refresh timed out after 100s"));
    assert_eq!(addresses(&hung), Some(vec!["a"]));
    assert_eq!(run.script.refreshes().len(), 2);
    run.script.answer(targets(&["b"]));
    assert_eq!(addresses(&run.refreshed(3).await), Some(vec!["b"]));
}

#[tokio::test(start_paused = true)]
async fn a_change_causes_a_refresh_at_once() {
    let mut run = run(targets(&["a"]));
    run.refreshed(1).await;
    sleep(Duration::from_secs(7)).await;
    run.script.change(targets(&["b"]));
    assert_eq!(addresses(&run.refreshed(2).await), Some(vec!["b"]));
    // The interval counts from the newest refresh.
    run.refreshed(3).await;
    assert_eq!(run.gaps(), [7, 60]);
}

#[tokio::test(start_paused = true)]
async fn changes_do_not_shorten_the_pause_after_a_failure() {
    let mut run = run(Answer::Fail("no route"));
    run.refreshed(1).await;
    let hints = async {
        loop {
            run.script.hint();
            sleep(Duration::from_millis(1)).await;
        }
    };
    let _ = timeout(Duration::from_mins(1), hints).await;
    // Pauses are five seconds at most, and half of that at least.
    let refreshes = run.script.refreshes().len();
    assert!((12..=27).contains(&refreshes), "{refreshes} refreshes in a minute");
    run.script.answer(targets(&["a"]));
    assert_eq!(addresses(&run.refreshed(refreshes as u64 + 1).await), Some(vec!["a"]));
    run.script.change(targets(&["b"]));
    assert_eq!(addresses(&run.refreshed(refreshes as u64 + 2).await), Some(vec!["b"]));
    assert_eq!(run.gaps().last(), Some(&0));
}

/// Speaks of changes all the time.
struct Restless {
    /// Whether a full refresh fails, and whether an incremental one does.
    fails: [bool; 2],
    /// When each was tried.
    tried: Arc<std::sync::Mutex<[Vec<Instant>; 2]>>,
}

impl Restless {
    fn attempt(&self, scope: usize) -> Result<Refreshed<Groups>, Failed> {
        self.tried.lock().unwrap()[scope].push(Instant::now());
        if self.fails[scope] {
            return Err(Failed::Scripted("no route"));
        }
        Ok(Refreshed::new(Vec::new(), std::time::Instant::now()))
    }
}

impl Discoverer for Restless {
    type Error = Failed;

    fn fetch(
        &mut self,
        scope: RefreshScope,
    ) -> crate::BoxFuture<'_, Result<Refreshed<Groups>, Failed>> {
        Box::pin(std::future::ready(self.attempt(usize::from(scope == RefreshScope::Incremental))))
    }

    fn changed(&mut self) -> crate::BoxFuture<'_, RefreshScope> {
        Box::pin(std::future::ready(RefreshScope::Incremental))
    }
}

/// How many full and incremental refreshes a restless discoverer gets in a minute, and what is
/// known then.
async fn restless(fails: [bool; 2]) -> ([usize; 2], Health) {
    let tried = Arc::<std::sync::Mutex<[Vec<Instant>; 2]>>::default();
    let context = RefreshContext::new("test");
    let build = {
        let tried = Arc::clone(&tried);
        Box::new(move |_: &_| Ok(Box::new(Restless { fails, tried: Arc::clone(&tried) }) as Box<_>))
    };
    let pace = Pace { refresh_interval: Some(Duration::from_mins(5)), ..Pace::once(true) };
    let spec = RefreshSpec {
        mechanism: "restless",
        job: "job".into(),
        what: "changes".into(),
        pace: pace.fixed(),
        build,
        canonicalize: |known: Option<&Groups>, fetched| {
            (known != Some(&fetched)).then_some(fetched)
        },
    };
    let supervised = start(spec, &context);
    sleep(Duration::from_mins(1)).await;
    let counts = tried.lock().unwrap().each_ref().map(Vec::len);
    let health = supervised.last_good().borrow().health.clone();
    (counts, health)
}

#[tokio::test(start_paused = true)]
async fn changes_are_followed_while_full_refreshes_fail() {
    let ([refreshes, follows], health) = restless([true, false]).await;
    // At most each two seconds, half of that at least; changes each 50 ms.
    assert!((30..=63).contains(&refreshes) && follows > 1000, "{refreshes} {follows}");
    assert_eq!((health.refreshes, health.failures), (refreshes as u64, refreshes as u64));
    assert_eq!(health.error.as_deref(), Some("no route"));
}

#[tokio::test(start_paused = true)]
async fn a_failed_incremental_refresh_waits_for_a_full_one() {
    let ([refreshes, follows], health) = restless([false, true]).await;
    assert!(
        (60..=130).contains(&refreshes) && follows.abs_diff(refreshes) <= 1,
        "{refreshes} {follows}"
    );
    // Failures of both are counted, but only full refreshes as refreshes.
    assert_eq!((health.refreshes, health.failures), (refreshes as u64, follows as u64));
    assert_eq!(health.durations.count(), refreshes as u64);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_in_all_it_does_does_not_spin() {
    let ([refreshes, follows], _) = restless([true, true]).await;
    // As above: never sooner than a second after one that failed.
    assert!(refreshes <= 63 && follows <= refreshes, "{refreshes} {follows}");
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_hints_is_bounded() {
    let mut run = run(targets(&["a"]));
    run.refreshed(1).await;
    let hints = async {
        loop {
            run.script.hint();
            sleep(Duration::from_millis(1)).await;
        }
    };
    let second = Duration::from_secs(1);
    let _ = timeout(second, hints).await;
    let refreshes = run.script.refreshes().len();
    assert!((18..=21).contains(&refreshes), "{refreshes} refreshes in a second");
}

#[tokio::test(start_paused = true)]
async fn a_lost_hint_costs_one_interval() {
    let mut run = run(targets(&["a"]));
    run.refreshed(1).await;
    run.script.answer(targets(&["b"]));
    let known = run.known.wait_for(|known| addresses(known) == Some(vec!["b"])).await;
    assert!(known.is_ok());
    drop(known);
    assert_eq!(run.gaps(), [60]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failed_refresh_and_the_discoverer_is_rebuilt() {
    let mut run = run(targets(&["a"]));
    run.refreshed(1).await;
    run.script.answer(Answer::Panic);
    let known = run.refreshed(2).await;
    assert_eq!(known.health.error.as_deref(), Some("internal error, please report it: scripted"));
    assert_eq!(addresses(&known), Some(vec!["a"]));
    run.script.answer(targets(&["b"]));
    assert_eq!(addresses(&run.refreshed(3).await), Some(vec!["b"]));
    assert_eq!(run.script.builds(), 2);
    assert_eq!(run.context.stats.panics.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_between_refreshes_is_caught_too() {
    let mut run = run(Answer::PanicWaiting);
    let known = run.refreshed(2).await;
    assert!(known.health.error.is_some());
    run.script.answer(targets(&["a"]));
    assert_eq!(addresses(&run.refreshed(3).await), Some(vec!["a"]));
    assert_eq!(run.context.stats.panics.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_built_is_tried_again() {
    let mut run = run(Answer::NoBuild("no such file: ca.pem"));
    let known = run.refreshed(2).await;
    assert_eq!(known.health.error.as_deref(), Some("no such file: ca.pem"));
    assert_eq!(known.health.as_of, None);
    run.script.answer(targets(&["a"]));
    assert_eq!(addresses(&run.refreshed(3).await), Some(vec!["a"]));
}

#[tokio::test(start_paused = true)]
async fn problems_are_counted_at_each_refresh_and_kept_while_they_last() {
    let problem = |object: &str| Problem {
        kind: "service",
        object: object.to_owned(),
        reason: "virtual IP without address",
        detail: String::new(),
    };
    let groups = vec![group("g", &["a"])];
    let answer = |objects: &[&str]| {
        Answer::Skipping(groups.clone(), objects.iter().map(|object| problem(object)).collect())
    };
    let mut run = run(answer(&["x", "y"]));
    let first = run.refreshed(1).await;
    let second = run.refreshed(2).await;
    assert!(Arc::ptr_eq(&first.health.problems, &second.health.problems));
    assert_eq!(second.health.error, None);
    run.script.answer(answer(&["y"]));
    assert_eq!(*run.refreshed(3).await.health.problems, [problem("y")]);
    let counted = run.context.stats.problems();
    let (kind, reason) = ("service", "virtual IP without address");
    assert_eq!(counted, [ProblemCount { kind, reason, skipped: true, count: 5 }]);
    // A failed refresh says nothing of problems.
    run.script.answer(Answer::Fail("no route"));
    assert_eq!(run.refreshed(4).await.health.problems.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_handle_ends_a_hung_refresh() {
    let mut run = run(Answer::Hang);
    run.script.refreshed(1).await;
    assert!(run.script.is_running());
    drop(run.supervised);
    run.context.tasks.close();
    run.context.tasks.wait().await;
    assert!(!run.script.is_running());
    assert!(run.known.changed().await.is_err());
}

#[test]
fn the_deadline_leaves_every_server_its_attempt() {
    let context = RefreshContext::new("test");
    let of = |interval, hosts: usize| {
        Pace::asking(hosts, false, PromDuration::from_millis(interval), &context)
    };
    for (interval, hosts, seconds) in
        [(1000, 1, 1 + 1), (500, 3, 3 + 1), (60_000, 1, 60 + 1), (60_000, 3, 80 + 1)]
    {
        let expected = Duration::from_secs(seconds);
        assert_eq!(of(interval, hosts).deadline, expected, "{interval} {hosts}");
    }
    assert_eq!(Pace::once(false).refresh_interval, None);
}

/// A refresh whose groups cannot be canonicalized has failed; the next one counts again.
#[tokio::test(start_paused = true)]
async fn a_panic_while_canonicalizing_is_a_failed_refresh() {
    let mut run = run_keeping(targets(&["a"]), |known, fetched| {
        assert!(!fetched.is_empty(), "as this test wants it");
        (known != Some(&fetched)).then_some(fetched)
    });
    run.refreshed(1).await;
    run.script.answer(Answer::Groups(Vec::new()));
    let known = run.refreshed(2).await;
    let error = "internal error, please report it: as this test wants it";
    assert_eq!((known.health.error.as_deref(), known.health.failures), (Some(error), 1));
    assert_eq!(known.value.map(|groups| groups.len()), Some(1));
    assert_eq!(run.context.stats.panics.get(), 1);
    run.script.answer(targets(&["b"]));
    let known = run.refreshed(3).await;
    assert_eq!((known.health.error, known.health.failures), (None, 1));
    assert_eq!(run.script.builds(), 2);
}

/// A supervisor that fails outside of a refresh does not leave a source that is up for ever.
#[tokio::test]
async fn a_panic_of_a_supervisor_is_an_error() {
    let context = RefreshContext::new("test");
    let publish = watch::Sender::new(LastGood::<()>::default());
    let failing = async { assert!(std::env::args().count() == 0, "as this test wants it") };
    let supervised = Supervised::spawn(publish, failing, &context);
    let mut last_good = supervised.last_good();
    let failed = last_good.wait_for(|last_good| last_good.health.error.is_some()).await.unwrap();
    let error = "internal error, please report it: as this test wants it";
    assert_eq!((failed.health.error.as_deref(), failed.health.failures), (Some(error), 1));
    assert_eq!(context.stats.panics.get(), 1);
}
