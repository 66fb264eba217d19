//! Schedules refreshes. A [`Discoverer`] only fetches; deadlines, backoff and the last good result are
//! here, once for all sources:
//!
//! - The first refresh starts at once, the next full one after each refresh interval, or when the
//!   discoverer [says so](Discoverer::next_refresh). A [change](Discoverer::changed) starts one sooner, full or incremental. Refreshes are
//!   level-triggered: each yields the whole present set, so a lost change costs one interval and
//!   never a wrong set.
//! - A refresh has a deadline. After one that failed comes a growing, jittered pause of at most two
//!   seconds for what is on this machine and five for what is not, and never longer than the refresh
//!   interval. A change does not shorten that pause, unless an incremental refresh is enough for it;
//!   if that fails too, changes wait for the next full refresh.
//! - The last good result stays known for ever, together with its age.
//! - Only what differs is published as different: an unchanged set stays the same value.
//! - A panic is one more failed refresh. The discoverer, whose state is unknown then, is built again.
//!
//! Time is tokio's, so tests without I/O run it on a paused clock.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use swarmscout_model::{DurationHistogram, PromDuration};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Backoff, Discoverer, Error, Problem, RefreshContext, RefreshScope, Refreshed, caught, problems,
};

/// The shortest time between two refreshes, however often the discoverer reports a change, unless
/// its pace says otherwise.
pub const SHORTEST_GAP: Duration = Duration::from_millis(50);

/// The longest pause after failures of a local socket or file, and of everything else.
const LONGEST_PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(5)];

/// How long one refresh may take of what has no refresh interval.
const DEADLINE: Duration = Duration::from_mins(1);

/// An error that repeats itself is logged this often.
const LOG_AGAIN: Duration = Duration::from_mins(1);

/// What to keep fresh. `L` is what a refresh yields, `T` what is kept of it, `E` why one fails.
pub struct RefreshSpec<L, T, E> {
    /// Prometheus' name of the mechanism, for the log.
    pub mechanism: &'static str,
    /// The job that it was started for, for the log.
    pub job: Arc<str>,
    /// What is asked, for the log, without secrets.
    pub what: Arc<str>,
    /// When to refresh, and for how long. A change starts a full refresh.
    pub pace: watch::Receiver<Pace>,
    /// Makes the discoverer; called again after it failed, and after a panic.
    pub build: Build<L, E>,
    /// Makes of a result what is kept, with as much as possible of what was kept already. `None`:
    /// nothing differs.
    pub canonicalize: fn(Option<&T>, L) -> Option<T>,
}

/// Makes a discoverer. It may hand partial results to the [`Partial`] while it fetches.
pub type Build<L, E> =
    Box<dyn FnMut(&Partial<L>) -> Result<Box<dyn Discoverer<L, Error = E>>, E> + Send>;

/// Publishes what a refresh knows before it is finished.
pub struct Partial<L>(Arc<dyn Fn(Refreshed<L>) + Send + Sync>);

impl<L> Partial<L> {
    /// Calls `publish` with each partial result.
    pub fn new(publish: impl Fn(Refreshed<L>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(publish))
    }

    /// Publishes a partial result.
    pub fn publish(&self, refreshed: Refreshed<L>) {
        (self.0)(refreshed);
    }
}

impl<L> Clone for Partial<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L> fmt::Debug for Partial<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Partial")
    }
}

impl<L, T, E> fmt::Debug for RefreshSpec<L, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshSpec")
            .field("mechanism", &self.mechanism)
            .field("job", &self.job)
            .field("what", &self.what)
            .field("pace", &*self.pace.borrow())
            .finish_non_exhaustive()
    }
}

/// Why a refresh failed, as far as a supervisor needs to know.
pub trait Failure: fmt::Display + From<Error> + Send + 'static {}

impl<E: fmt::Display + From<Error> + Send + 'static> Failure for E {}

/// When to refresh, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From the start of one good full refresh to the start of the next. `None`: one is enough.
    pub refresh_interval: Option<Duration>,
    /// For a whole refresh, all attempts at all hosts together.
    pub deadline: Duration,
    /// The shortest time between two refreshes.
    pub gap: Duration,
    /// The longest pause after failures.
    pub longest_pause: Duration,
}

impl Pace {
    /// The pace of what needs one good refresh.
    pub fn once(is_local: bool) -> Self {
        let [local, remote] = LONGEST_PAUSES;
        let longest_pause = if is_local { local } else { remote };
        Self { refresh_interval: None, deadline: DEADLINE, gap: SHORTEST_GAP, longest_pause }
    }

    /// The pace of a source with several hosts; `is_local`: one is on this machine. Its deadline
    /// leaves every host its attempt, and the discoverer a second to name those that failed.
    pub fn asking(
        hosts: usize,
        is_local: bool,
        interval: PromDuration,
        context: &RefreshContext,
    ) -> Self {
        let attempts = (0..hosts.max(1)).map(|left| context.attempt_deadline(interval, left));
        let deadline = attempts.sum::<Duration>() + Duration::from_secs(1);
        let [local, remote] = LONGEST_PAUSES;
        let longest_pause = interval.get().min(if is_local { local } else { remote });
        let refresh_interval = Some(interval.get());
        Self { refresh_interval, deadline, gap: SHORTEST_GAP, longest_pause }
    }

    /// This one for ever.
    pub fn fixed(self) -> watch::Receiver<Self> {
        watch::channel(self).1
    }
}

/// The last good result, and how refreshes are going.
#[derive(Clone, Debug)]
pub struct LastGood<T> {
    /// What the last good refresh yielded; the same value as before if nothing differs.
    pub value: Option<T>,
    /// How the refreshes are going.
    pub health: Health,
}

impl<T> Default for LastGood<T> {
    fn default() -> Self {
        Self { value: None, health: Health::default() }
    }
}

/// How the refreshes of a source are going.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// When the origin last confirmed the value. `None` until the first good refresh.
    pub as_of: Option<std::time::Instant>,
    /// Whether the value is from before a restart: there was no good refresh yet.
    pub restored: bool,
    /// Why the last refresh failed; `None` while all is well.
    pub error: Option<Arc<str>>,
    /// What the last good refresh skipped. The same slice as before if nothing differs.
    pub problems: Arc<[Problem]>,
    /// Full refreshes so far, failed ones included.
    pub refreshes: u64,
    /// Refreshes that failed, incremental ones included.
    pub failures: u64,
    /// Duration of full refreshes, failed ones included.
    pub durations: Arc<DurationHistogram>,
}

/// A running supervisor. Dropping it ends the refreshes.
#[derive(Debug)]
pub struct Supervised<T> {
    publish: watch::Sender<LastGood<T>>,
    _task: AbortOnDropHandle<()>,
}

impl<T: Send + Sync + 'static> Supervised<T> {
    /// Runs `task`, which publishes there, as long as this is kept. A panic of the task itself ends it,
    /// and is published as its error.
    pub fn spawn(
        publish: watch::Sender<LastGood<T>>,
        task: impl Future<Output = ()> + Send + 'static,
        context: &RefreshContext,
    ) -> Self {
        let (report, stats) = (publish.clone(), Arc::clone(&context.stats));
        let guarded = async move {
            let Err(error) = caught(task).await else { return };
            tracing::error!(err = %error, "Supervisor stopped");
            stats.panics.add(1);
            report.send_modify(|last_good| {
                last_good.health.error = Some(error.to_string().into());
                last_good.health.failures += 1;
            });
        };
        Self { publish, _task: AbortOnDropHandle::new(context.tasks.spawn(guarded)) }
    }
}

impl<T> Supervised<T> {
    /// The last good result, now and as it changes. Wakes after every refresh.
    pub fn last_good(&self) -> watch::Receiver<LastGood<T>> {
        self.publish.subscribe()
    }

    /// Where the last good result is published, for what knows one before the first refresh.
    pub fn publisher(&self) -> watch::Sender<LastGood<T>> {
        self.publish.clone()
    }
}

/// Starts to refresh, as a task of `context`.
pub fn start<L, T, E>(spec: RefreshSpec<L, T, E>, context: &RefreshContext) -> Supervised<T>
where
    L: Send + 'static,
    T: Send + Sync + 'static,
    E: Failure,
{
    let publish = watch::Sender::new(LastGood::default());
    let partial = partial(publish.clone(), spec.canonicalize, context.clone());
    let run = Run {
        spec,
        context: context.clone(),
        publish: publish.clone(),
        partial,
        discoverer: None,
        backoff: Backoff::default(),
        incremental_failed: false,
        logged: None,
    };
    Supervised::spawn(publish, run.forever(), context)
}

struct Run<L, T, E> {
    spec: RefreshSpec<L, T, E>,
    context: RefreshContext,
    publish: watch::Sender<LastGood<T>>,
    partial: Partial<L>,
    /// `None` until it could be built, and after it panicked.
    discoverer: Option<Box<dyn Discoverer<L, Error = E>>>,
    /// Of failures since the last good full refresh.
    backoff: Backoff,
    /// Whether the last of them was incremental.
    incremental_failed: bool,
    /// The last error that was logged, and when.
    logged: Option<(Arc<str>, Instant)>,
}

impl<L: Send, T: Send + Sync, E: Failure> Run<L, T, E> {
    async fn forever(mut self) {
        let (mut started, mut due) = (Instant::now(), None);
        let mut scope = RefreshScope::Full;
        let mut outcome = self.refresh(scope).await;
        loop {
            let kept = outcome.and_then(|refreshed| self.succeeded(started, scope, refreshed));
            due = match kept {
                Ok(next) => next.or(due),
                Err(error) => Some(self.failed(started, scope, &error)),
            };
            let waited = self.wait(started, due).await;
            started = Instant::now();
            (scope, outcome) = match waited {
                Ok(scope) => (scope, self.refresh(scope).await),
                Err(error) => (RefreshScope::Full, Err(error)),
            };
        }
    }

    /// One refresh, within its deadline.
    async fn refresh(&mut self, scope: RefreshScope) -> Result<Refreshed<L>, E> {
        let deadline = self.spec.pace.borrow_and_update().deadline;
        let Self { discoverer, spec, partial, .. } = self;
        let discoverer = match discoverer {
            Some(discoverer) => discoverer,
            empty => match catch_unwind(AssertUnwindSafe(|| (spec.build)(partial))) {
                Ok(built) => empty.insert(built?),
                Err(payload) => return Err(self.drop_panicked(payload.as_ref())),
            },
        };
        // The call itself may panic as well as the future that it returns.
        let fetch = AssertUnwindSafe(async { discoverer.fetch(scope).await }).catch_unwind();
        match timeout(deadline, fetch).await {
            Err(_) => Err(Error::Deadline(deadline).into()),
            Ok(Ok(outcome)) => outcome,
            Ok(Err(payload)) => Err(self.drop_panicked(payload.as_ref())),
        }
    }

    /// Waits until the next refresh is due, or may be worth it.
    async fn wait(&mut self, started: Instant, due: Option<Instant>) -> Result<RefreshScope, E> {
        // What takes long is not done without a pause.
        let took = started.elapsed();
        let gap = self.spec.pace.borrow().gap.max((3 * took).min(SHORTEST_GAP));
        let earliest = Instant::now() + gap;
        let is_due = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let changed = async {
            match &mut self.discoverer {
                Some(discoverer) if !self.incremental_failed => discoverer.changed().await,
                _ => std::future::pending().await,
            }
        };
        let changed = AssertUnwindSafe(changed).catch_unwind();
        let other_pace = async {
            if self.spec.pace.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let scope = tokio::select! {
            biased;
            () = is_due => return Ok(RefreshScope::Full),
            () = other_pace => return Ok(RefreshScope::Full),
            changed = changed => match changed {
                Ok(scope) => scope,
                Err(payload) => return Err(self.drop_panicked(payload.as_ref())),
            },
        };
        let must_wait = scope == RefreshScope::Full && self.backoff.failures() > 0;
        match due {
            Some(due) if must_wait || due <= earliest => {
                sleep_until(due).await;
                Ok(RefreshScope::Full)
            }
            _ => {
                sleep_until(earliest).await;
                Ok(scope)
            }
        }
    }

    /// Keeps what a good refresh yielded. Returns when the next one is due; `None` for what it was
    /// before. Fails where it cannot be kept: then it is as if it had failed.
    fn succeeded(
        &mut self,
        started: Instant,
        scope: RefreshScope,
        refreshed: Refreshed<L>,
    ) -> Result<Option<Instant>, E> {
        let Refreshed { value, as_of, problems } = refreshed;
        let canonicalize = || (self.spec.canonicalize)(self.publish.borrow().value.as_ref(), value);
        let value = catch_unwind(AssertUnwindSafe(canonicalize))
            .map_err(|payload| self.drop_panicked(payload.as_ref()))?;
        if scope == RefreshScope::Full {
            self.context.stats.count_problems(&problems);
            self.log_recovery();
            self.incremental_failed = false;
        }
        let before = self.publish.borrow().health.problems.clone();
        let problems = if *before == *problems {
            before
        } else {
            let RefreshSpec { mechanism, job, what, .. } = &self.spec;
            problems::log_new(mechanism, job, what, &before, &problems);
            problems.into()
        };
        if value.is_some() {
            self.context.stats.received_updates.add(1);
        }
        self.publish.send_modify(|last_good| {
            if value.is_some() {
                last_good.value = value;
            }
            let health = &mut last_good.health;
            health.as_of = Some(as_of);
            health.restored = false;
            health.problems = problems;
            if scope == RefreshScope::Full {
                health.error = None;
                health.refreshes += 1;
                Arc::make_mut(&mut health.durations).observe(started.elapsed());
            }
        });
        if scope == RefreshScope::Incremental {
            return Ok(None);
        }
        if let Some(pause) =
            self.discoverer.as_ref().and_then(|discoverer| discoverer.next_refresh())
        {
            return Ok(Some(Instant::now() + pause));
        }
        let interval = self.spec.pace.borrow().refresh_interval;
        Ok(interval.map(|interval| started + interval))
    }

    /// Notes why a refresh failed. Returns when to try again.
    fn failed(&mut self, started: Instant, scope: RefreshScope, error: &E) -> Instant {
        let text: Arc<str> = error.to_string().into();
        self.log_failure(&text);
        self.incremental_failed = scope == RefreshScope::Incremental;
        self.publish.send_modify(|last_good| {
            let health = &mut last_good.health;
            health.error = Some(text);
            health.failures += 1;
            if scope == RefreshScope::Full {
                health.refreshes += 1;
                Arc::make_mut(&mut health.durations).observe(started.elapsed());
            }
        });
        let longest = self.spec.pace.borrow().longest_pause;
        Instant::now() + self.backoff.failed(longest)
    }

    /// Drops the discoverer that panicked.
    fn drop_panicked(&mut self, payload: &(dyn Any + Send)) -> E {
        self.discoverer = None;
        self.context.stats.panics.add(1);
        Error::panicked(payload).into()
    }

    fn log_failure(&mut self, text: &Arc<str>) {
        let logged = self.logged.as_ref();
        if logged.is_some_and(|(logged, when)| logged == text && when.elapsed() < LOG_AGAIN) {
            return;
        }
        let RefreshSpec { mechanism, job, what, .. } = &self.spec;
        tracing::error!(
            discovery = mechanism,
            config = %job,
            asked = %what,
            err = %text,
            "Unable to refresh target groups"
        );
        self.logged = Some((text.clone(), Instant::now()));
    }

    fn log_recovery(&mut self) {
        if self.backoff.failures() > 0 {
            let RefreshSpec { mechanism, job, what, .. } = &self.spec;
            tracing::info!(
                discovery = mechanism,
                config = %job,
                asked = %what,
                failures = self.backoff.failures(),
                "Target groups are refreshed again"
            );
        }
        self.backoff.succeeded();
        self.logged = None;
    }
}

/// Publishes partial results there.
fn partial<L: 'static, T: Send + Sync + 'static>(
    publish: watch::Sender<LastGood<T>>,
    canonicalize: fn(Option<&T>, L) -> Option<T>,
    context: RefreshContext,
) -> Partial<L> {
    Partial::new(move |refreshed: Refreshed<L>| {
        let value = canonicalize(publish.borrow().value.as_ref(), refreshed.value);
        if let Some(value) = value {
            context.stats.received_updates.add(1);
            publish.send_modify(|last_good| {
                last_good.value = Some(value);
                last_good.health.as_of = Some(refreshed.as_of);
                last_good.health.restored = false;
            });
        }
    })
}

#[cfg(test)]
mod tests;
