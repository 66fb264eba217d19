//! The owner of time. A [`Discoverer`] only looks; everything that has to do with *when* and with
//! *what if not* stands here, once for all sources:
//!
//! - The first look starts at once, the next one after each refresh interval. As soon as the
//!   discoverer says that something [changed](Discoverer::changed), it may [follow](Discoverer::follow)
//!   that in between. Looks are level-triggered: each brings the whole present set, so a lost hint
//!   costs one interval and never a wrong set.
//! - A look has a deadline. A failed one is repeated after a growing, jittered pause of at most two
//!   seconds for what is on this machine and five for what is not, and never longer than the refresh
//!   interval. A change does not shorten that pause. It is followed all the same where that takes no
//!   look at everything; if following fails too, changes wait for the next look.
//! - What the last good look brought stays known for ever, together with its age.
//! - Only what differs is published as different: an unchanged set stays the same value.
//! - A panic is one more failed look. The discoverer, whose state nobody can trust any more, is
//!   built anew.
//!
//! Time is tokio's, so tests without I/O run it on a paused clock.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use swarmscout_model::{DurationHistogram, PromDuration};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::{Discoverer, Error, Look, Problem, RefreshContext};

/// The shortest time between two looks, however often the discoverer speaks of a change, unless
/// its pace says otherwise.
pub const SHORTEST_GAP: Duration = Duration::from_millis(50);

/// The pause after a first failure, before jitter. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause after failures of a local socket or file, and of everything else.
const LONGEST_PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(5)];

/// How long one look may take at what has no refresh interval.
const DEADLINE: Duration = Duration::from_mins(1);

/// An error that repeats itself is logged this often.
const LOG_AGAIN: Duration = Duration::from_mins(1);

/// So many skipped objects are logged one by one, the others as a number.
const LOG_OBJECTS: usize = 10;

/// What to supervise. `L` is what a look yields, `T` what is kept of it.
pub struct Origin<L, T, E> {
    /// Prometheus' name of the mechanism, for the log.
    pub mechanism: &'static str,
    /// The job that it was started for, for the log.
    pub job: Arc<str>,
    /// What is asked, for the log, without secrets.
    pub what: Arc<str>,
    /// When to look, and for how long. A change is followed by a look.
    pub pace: watch::Receiver<Pace>,
    /// Makes the discoverer; called again after it failed, and after a panic.
    pub build: Build<L, E>,
    /// Makes of a look what is kept, with as much as possible of what was known already. `None`:
    /// nothing differs.
    pub settle: fn(Option<&T>, L) -> Option<T>,
}

/// Makes a discoverer.
pub type Build<L, E> = Box<dyn FnMut() -> Result<Box<dyn Discoverer<L, Error = E>>, E> + Send>;

impl<L, T, E> fmt::Debug for Origin<L, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin")
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

/// When to look, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From the start of one good look to the start of the next. `None`: one good look is enough.
    pub refresh_interval: Option<Duration>,
    /// For a whole look, all attempts at all servers together.
    pub deadline: Duration,
    /// The shortest time between two looks.
    pub gap: Duration,
    /// The longest pause after failures.
    pub longest_pause: Duration,
}

impl Pace {
    /// The pace of what needs no second look.
    pub fn once(is_local: bool) -> Self {
        let [local, remote] = LONGEST_PAUSES;
        let longest_pause = if is_local { local } else { remote };
        Self { refresh_interval: None, deadline: DEADLINE, gap: SHORTEST_GAP, longest_pause }
    }

    /// The pace of what asks one of several hosts, of which one is on this machine or none. Its deadline
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

/// What is known of an origin at one moment.
#[derive(Clone, Debug)]
pub struct Known<T> {
    /// What the last good look brought; the same value as before if nothing differs.
    pub what: Option<T>,
    /// How its looks are going.
    pub health: Health,
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self { what: None, health: Health::default() }
    }
}

/// How the looks at an origin are going.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// When the origin last confirmed what is known. `None` until the first good look.
    pub as_of: Option<std::time::Instant>,
    /// Whether what is known is from before a restart: there was no good look yet.
    pub restored: bool,
    /// Why the last look failed; `None` while all is well.
    pub error: Option<Arc<str>>,
    /// What the last good look had to skip. The same slice as before if nothing differs.
    pub problems: Arc<[Problem]>,
    /// Looks at everything so far, failed ones included.
    pub looks: u64,
    /// Looks that failed, those that follow a change included.
    pub failures: u64,
    /// How long looks at everything took, failed ones included.
    pub durations: Arc<DurationHistogram>,
}

/// A running supervisor. Dropping it ends the looks.
#[derive(Debug)]
pub struct Supervised<T> {
    publish: watch::Sender<Known<T>>,
    _task: AbortOnDropHandle<()>,
}

impl<T> Supervised<T> {
    /// What `task` publishes, as long as this is kept.
    pub fn new(publish: watch::Sender<Known<T>>, task: AbortOnDropHandle<()>) -> Self {
        Self { publish, _task: task }
    }

    /// What is known, now and as it changes. Wakes after every look.
    pub fn known(&self) -> watch::Receiver<Known<T>> {
        self.publish.subscribe()
    }

    /// Where what is known stands, for whoever knows something before the first look does.
    pub fn publisher(&self) -> watch::Sender<Known<T>> {
        self.publish.clone()
    }
}

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// Everything.
    All,
    /// What changed, where the discoverer was told what that is.
    Changes,
}

/// Starts to look, as a task of `context`.
pub fn start<L, T, E>(origin: Origin<L, T, E>, context: &RefreshContext) -> Supervised<T>
where
    L: Send + 'static,
    T: Send + Sync + 'static,
    E: Failure,
{
    let publish = watch::Sender::new(Known::default());
    let context_of_run = context.clone();
    let run = Run {
        origin,
        context: context_of_run,
        publish: publish.clone(),
        discoverer: None,
        failures: 0,
        follow_failed: false,
        logged: None,
    };
    let task = AbortOnDropHandle::new(context.tasks.spawn(run.forever()));
    Supervised::new(publish, task)
}

struct Run<L, T, E> {
    origin: Origin<L, T, E>,
    context: RefreshContext,
    publish: watch::Sender<Known<T>>,
    /// `None` until it could be built, and after it panicked.
    discoverer: Option<Box<dyn Discoverer<L, Error = E>>>,
    /// Failed looks since the last good one at everything.
    failures: u32,
    /// Whether the last of them followed a change.
    follow_failed: bool,
    /// The last error that was logged, and when.
    logged: Option<(Arc<str>, Instant)>,
}

impl<L: Send, T: Send + Sync, E: Failure> Run<L, T, E> {
    async fn forever(mut self) {
        let mut started = Instant::now();
        let (mut extent, mut outcome) = self.look(Extent::All).await;
        let mut due = None;
        loop {
            due = match outcome {
                Ok(look) => match self.succeeded(started, extent, look) {
                    Ok(next) => next.or(due),
                    Err(error) => Some(self.failed(started, extent, &error)),
                },
                Err(error) => Some(self.failed(started, extent, &error)),
            };
            let waited = self.wait(started, due).await;
            started = Instant::now();
            (extent, outcome) = match waited {
                Ok(extent) => self.look(extent).await,
                Err(error) => (Extent::All, Err(error)),
            };
        }
    }

    /// One look, within its deadline, and how much was looked at.
    async fn look(&mut self, mut extent: Extent) -> (Extent, Result<Look<L>, E>) {
        let deadline = self.origin.pace.borrow_and_update().deadline;
        let Self { discoverer, origin, publish, context, .. } = self;
        let discoverer = match discoverer {
            Some(discoverer) => discoverer,
            empty => match std::panic::catch_unwind(AssertUnwindSafe(&mut origin.build)) {
                Ok(Ok(built)) => empty.insert(built),
                Ok(Err(error)) => return (Extent::All, Err(error)),
                Err(payload) => return (Extent::All, Err(self.give_up(payload.as_ref()))),
            },
        };
        let settle = origin.settle;
        let mut meanwhile = |look| hand_over(publish, settle, context, look);
        // The call itself may panic as well as the future that it returns.
        let look = async {
            if extent == Extent::Changes
                && let Some(changes) = discoverer.follow()
            {
                return changes.await;
            }
            extent = Extent::All;
            discoverer.fetch_meanwhile(&mut meanwhile).await
        };
        let outcome = match timeout(deadline, AssertUnwindSafe(look).catch_unwind()).await {
            Err(_) => Err(Error::Deadline(deadline).into()),
            Ok(Ok(outcome)) => outcome,
            Ok(Err(payload)) => Err(self.give_up(payload.as_ref())),
        };
        (extent, outcome)
    }

    /// Waits until the next look is due, or may be worth it.
    async fn wait(&mut self, started: Instant, due: Option<Instant>) -> Result<Extent, E> {
        // What takes long is not done without a pause.
        let took = started.elapsed();
        let gap = self.origin.pace.borrow().gap.max((3 * took).min(SHORTEST_GAP));
        let earliest = Instant::now() + gap;
        let is_due = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let changed = async {
            match &mut self.discoverer {
                Some(discoverer) if !self.follow_failed => discoverer.changed().await,
                _ => std::future::pending().await,
            }
        };
        let changed = AssertUnwindSafe(changed).catch_unwind();
        let other_pace = async {
            if self.origin.pace.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let outcome = tokio::select! {
            biased;
            () = is_due => return Ok(Extent::All),
            () = other_pace => return Ok(Extent::All),
            outcome = changed => outcome,
        };
        match outcome {
            Ok(()) if due.is_some_and(|due| due <= earliest) => {
                sleep_until(due.unwrap_or(earliest)).await;
                Ok(Extent::All)
            }
            Ok(()) => {
                sleep_until(earliest).await;
                if self.failures == 0 {
                    return Ok(Extent::Changes);
                }
                match std::panic::catch_unwind(AssertUnwindSafe(|| self.can_follow())) {
                    Ok(true) => Ok(Extent::Changes),
                    Ok(false) => {
                        sleep_until(due.unwrap_or(earliest)).await;
                        Ok(Extent::All)
                    }
                    Err(payload) => Err(self.give_up(payload.as_ref())),
                }
            }
            Err(payload) => Err(self.give_up(payload.as_ref())),
        }
    }

    /// Whether a change can be followed without a look at everything.
    fn can_follow(&mut self) -> bool {
        self.discoverer.as_mut().is_some_and(|discoverer| discoverer.follow().is_some())
    }

    /// Keeps what a good look brought. Returns when the next one is due; `None` for what it was
    /// before. Fails where it cannot be put in order: then it is as if it had not come.
    fn succeeded(
        &mut self,
        started: Instant,
        extent: Extent,
        look: Look<L>,
    ) -> Result<Option<Instant>, E> {
        let Look { what, as_of, problems } = look;
        let settle = || (self.origin.settle)(self.publish.borrow().what.as_ref(), what);
        let what = std::panic::catch_unwind(AssertUnwindSafe(settle))
            .map_err(|payload| self.give_up(payload.as_ref()))?;
        if extent == Extent::All {
            self.context.stats.count_problems(&problems);
            self.log_recovery();
            self.follow_failed = false;
        }
        let before = self.publish.borrow().health.problems.clone();
        let problems = if *before == *problems {
            before
        } else {
            self.log_problems(&before, &problems);
            problems.into()
        };
        if what.is_some() {
            self.context.stats.received_updates.add(1);
        }
        self.publish.send_modify(|known| {
            if what.is_some() {
                known.what = what;
            }
            let health = &mut known.health;
            health.as_of = Some(as_of);
            health.restored = false;
            health.problems = problems;
            if extent == Extent::All {
                health.error = None;
                health.looks += 1;
                Arc::make_mut(&mut health.durations).observe(started.elapsed());
            }
        });
        let interval = self.origin.pace.borrow().refresh_interval;
        Ok(interval.filter(|_| extent == Extent::All).map(|interval| started + interval))
    }

    /// Notes why a look failed. Returns when to try again.
    fn failed(&mut self, started: Instant, extent: Extent, error: &E) -> Instant {
        let text: Arc<str> = error.to_string().into();
        self.log_failure(&text);
        self.failures = self.failures.saturating_add(1);
        self.follow_failed = extent == Extent::Changes;
        self.publish.send_modify(|known| {
            let health = &mut known.health;
            health.error = Some(text);
            health.failures += 1;
            if extent == Extent::All {
                health.looks += 1;
                Arc::make_mut(&mut health.durations).observe(started.elapsed());
            }
        });
        let longest = self.origin.pace.borrow().longest_pause;
        Instant::now() + jittered_pause(self.failures, longest)
    }

    /// Drops the discoverer that panicked.
    fn give_up(&mut self, payload: &(dyn Any + Send)) -> E {
        self.discoverer = None;
        self.context.stats.panics.add(1);
        Error::panicked(payload).into()
    }

    fn log_failure(&mut self, text: &Arc<str>) {
        let known = self.logged.as_ref();
        if known.is_some_and(|(logged, when)| logged == text && when.elapsed() < LOG_AGAIN) {
            return;
        }
        let Origin { mechanism, job, what, .. } = &self.origin;
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
        if self.failures > 0 {
            let Origin { mechanism, job, what, .. } = &self.origin;
            tracing::info!(
                discovery = mechanism,
                config = %job,
                asked = %what,
                failures = self.failures,
                "Target groups are refreshed again"
            );
        }
        self.failures = 0;
        self.logged = None;
    }

    fn log_problems(&self, before: &[Problem], now: &[Problem]) {
        let Origin { mechanism, job, what, .. } = &self.origin;
        let before: BTreeSet<_> = before.iter().collect();
        let mut new = now.iter().filter(|problem| !before.contains(problem));
        for problem in new.by_ref().take(LOG_OBJECTS) {
            let Problem { kind, object, reason, detail } = problem;
            let message = if problem.is_skipped() { "Object skipped" } else { "Problem reported" };
            tracing::warn!(
                discovery = mechanism,
                config = %job,
                asked = %what,
                kind,
                object,
                reason,
                detail,
                "{message}"
            );
        }
        let others = new.count();
        if others > 0 {
            tracing::warn!(
                discovery = mechanism,
                config = %job,
                asked = %what,
                problems = others,
                "Further problems"
            );
        }
    }
}

/// Publishes what a look knows before it is finished.
fn hand_over<L, T>(
    publish: &watch::Sender<Known<T>>,
    settle: fn(Option<&T>, L) -> Option<T>,
    context: &RefreshContext,
    look: Look<L>,
) {
    let what = settle(publish.borrow().what.as_ref(), look.what);
    if let Some(what) = what {
        context.stats.received_updates.add(1);
        publish.send_modify(|known| {
            known.what = Some(what);
            known.health.as_of = Some(look.as_of);
            known.health.restored = false;
        });
    }
}

/// The pause after so many failures in a row, at least one.
pub fn jittered_pause(failures: u32, longest: Duration) -> Duration {
    pause(failures, longest, random_fraction())
}

/// The pause after so many failures in a row. `fraction` in 0..1 spreads it between half and
/// whole, so that many clients of one server do not come back together.
fn pause(failures: u32, longest: Duration, fraction: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(longest).mul_f64(0.5 + fraction / 2.0)
}

/// Every `RandomState` has other keys: enough for jitter, and no dependency.
fn random_fraction() -> f64 {
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests;
