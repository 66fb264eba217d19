//! When to wait for a change at a server that lets its readers do so, and for how long.
//!
//! Invariants:
//! - A wait starts only after a good refresh, at the server that answered it. If the wait fails, a
//!   refresh is next, which tries all servers. Then the list is polled for a while, longer each time.
//! - Answers that come early and change nothing come less and less often. So a server that does not wait
//!   is polled, not flooded.
//! - What takes long to read takes at most half of the time.

use std::time::{Duration, Instant};

use swarmscout_net::Response;
use swarmscout_refresh::problems::NOT_FOLLOWED;
use swarmscout_refresh::{Backoff, Deadlines};
use tokio::time::sleep_until;

use crate::{Error, Problem};

/// The longest wait that is asked for. Many proxies cut answers that take a minute.
const LONGEST: Duration = Duration::from_secs(50);

/// The shortest one, which servers accept.
const SHORTEST: Duration = Duration::from_secs(1);

/// The first pause after an answer that came early without a change.
const EARLY_PAUSE: Duration = Duration::from_millis(50);

/// The first pause after a wait that failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause after an answer that took long to read.
const READING_PAUSE: Duration = Duration::from_secs(5);

/// Beyond its deadline a wait may take so long before a refresh takes its place.
const SLACK: Duration = Duration::from_secs(1);

/// The state of one list.
#[derive(Debug)]
pub(super) struct Follow {
    refresh_interval: Duration,
    next: Next,
    /// The answer that ended the last wait, until it is read.
    answer: Option<Waited>,
    /// Whether the present refresh reads an answer that came early.
    is_early: bool,
    early: Backoff,
    failures: Backoff,
    failed: Option<Failed>,
}

/// A wait that failed.
#[derive(Debug)]
struct Failed {
    server: usize,
    /// Why. `None`: the server is stopping, as it should.
    error: Option<String>,
    /// Until then there is no other one.
    until: tokio::time::Instant,
}

/// What comes after a refresh.
#[derive(Debug)]
enum Next {
    /// The next refresh, when its time has come.
    Refresh,
    /// This wait, not before its moment.
    Wait(Wait, tokio::time::Instant),
    /// A refresh, at once.
    Now,
}

/// A wait for a change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    /// Where.
    pub(super) server: usize,
    /// How long the server is asked to wait.
    pub(super) time: Duration,
    /// How long it takes at most, from the refresh before.
    total: Duration,
}

/// The answer that ended a wait.
#[derive(Debug)]
pub(super) struct Waited {
    pub(super) server: usize,
    pub(super) arrived: Instant,
    pub(super) answer: Response,
}

impl Follow {
    pub(super) fn new(refresh_interval: Duration) -> Self {
        Self {
            refresh_interval,
            next: Next::Refresh,
            answer: None,
            is_early: false,
            early: Backoff::new(EARLY_PAUSE),
            failures: Backoff::new(FAILURE_PAUSE),
            failed: None,
        }
    }

    /// The answer that ended the last wait.
    pub(super) fn take(&mut self) -> Option<Waited> {
        self.next = Next::Refresh;
        self.answer.take()
    }

    /// There is no wait before a refresh succeeds.
    pub(super) fn stop(&mut self) {
        self.next = Next::Refresh;
        self.is_early = false;
    }

    /// A refresh succeeded. `longest`: how long its server lets readers wait, if it does. `is_same`: the
    /// list is the one that was known. `took`: to read the answer.
    pub(super) fn answered(
        &mut self,
        server: usize,
        longest: Option<Duration>,
        is_same: bool,
        took: Duration,
        deadlines: Deadlines,
    ) {
        let early = std::mem::take(&mut self.is_early) && is_same;
        let pause = if early {
            self.early.failed(self.refresh_interval.max(EARLY_PAUSE))
        } else {
            self.early.succeeded();
            took.min(READING_PAUSE)
        };
        let now = tokio::time::Instant::now();
        self.failed.take_if(|_| longest.is_none());
        self.next = match (longest.filter(|longest| *longest >= SHORTEST), &self.failed) {
            (Some(longest), failed) if failed.as_ref().is_none_or(|one| one.until <= now) => {
                let time = self.refresh_interval.clamp(SHORTEST, LONGEST.min(longest));
                let total = pause + time + deadlines.of_attempt(0) + SLACK;
                Next::Wait(Wait { server, time, total }, now + pause)
            }
            _ => Next::Refresh,
        };
    }

    /// When the next refresh is due, if not after the refresh interval.
    pub(super) fn next_refresh(&self) -> Option<Duration> {
        match (&self.next, &self.failed) {
            (Next::Wait(wait, _), _) => Some(wait.total),
            // Then the next wait may start.
            (_, Some(Failed { until, .. })) => {
                let pause = until.saturating_duration_since(tokio::time::Instant::now());
                Some(pause.min(self.refresh_interval))
            }
            _ => None,
        }
    }

    /// The next wait, when it may start; `None` if the result of one is there. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Wait> {
        match self.next {
            _ if self.answer.is_some() => None,
            Next::Now => None,
            Next::Refresh => std::future::pending().await,
            Next::Wait(wait, from) => {
                sleep_until(from).await;
                Some(wait)
            }
        }
    }

    /// A wait that started at `asked` is over.
    pub(super) fn waited(
        &mut self,
        wait: Wait,
        asked: tokio::time::Instant,
        outcome: Result<Response, Error>,
    ) {
        let now = tokio::time::Instant::now();
        match outcome {
            Ok(answer) => {
                self.failed = None;
                self.failures.succeeded();
                self.is_early = now - asked < SHORTEST / 2;
                let (server, arrived) = (wait.server, now.into_std());
                self.answer = Some(Waited { server, arrived, answer });
            }
            Err(error) => self.failed(wait, Some(error.to_string())),
        }
    }

    /// The server of a wait says that it is stopping.
    pub(super) fn stopping(&mut self, wait: Wait) {
        self.failed(wait, None);
    }

    fn failed(&mut self, Wait { server, .. }: Wait, error: Option<String>) {
        let pause = self.failures.failed(self.refresh_interval.max(FAILURE_PAUSE));
        let until = tokio::time::Instant::now() + pause;
        self.failed = Some(Failed { server, error, until });
        self.next = Next::Now;
    }

    /// Why the list is polled although its server lets readers wait. `name` is that of a server.
    pub(super) fn problem(&self, name: impl Fn(usize) -> String) -> Option<Problem> {
        let Failed { server, error, .. } = self.failed.as_ref()?;
        Some(Problem {
            kind: "host",
            object: name(*server),
            reason: NOT_FOLLOWED,
            detail: error.clone()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use swarmscout_model::PromDuration;
    use swarmscout_refresh::RefreshContext;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);
    const SECOND: Duration = Duration::from_secs(1);

    /// The wait after a refresh that succeeded, and the time until the next refresh.
    fn after(
        follow: &mut Follow,
        longest: Duration,
        is_same: bool,
    ) -> (Option<Duration>, Duration) {
        let interval = PromDuration::from_secs(follow.refresh_interval.as_secs());
        let deadlines = RefreshContext::new("test").deadlines(interval);
        follow.answered(0, Some(longest), is_same, Duration::ZERO, deadlines);
        let wait = match follow.next {
            Next::Wait(wait, _) => Some(wait.time),
            Next::Refresh | Next::Now => None,
        };
        (wait, follow.next_refresh().unwrap_or(follow.refresh_interval))
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_less_than_proxies_cut_and_than_the_refresh_interval() {
        for (interval, longest, time) in
            [(60, 300, 50), (3600, 300, 50), (5, 300, 5), (60, 20, 20), (0, 300, 1), (1, 1, 1)]
        {
            let seconds = Duration::from_secs;
            let mut follow = Follow::new(seconds(interval));
            let (wait, next) = after(&mut follow, seconds(longest), true);
            assert_eq!(wait, Some(seconds(time)), "{interval} {longest}");
            // A refresh does not cut it.
            assert_eq!(next, seconds(time + interval.max(1) + 1));
        }
        let mut follow = Follow::new(MINUTE);
        assert_eq!(after(&mut follow, SECOND / 2, true), (None, MINUTE));
    }

    #[tokio::test(start_paused = true)]
    async fn early_answers_without_a_change_come_less_and_less_often() {
        let mut follow = Follow::new(MINUTE);
        let whole = after(&mut follow, MINUTE, true).1;
        let mut pauses = Vec::new();
        for _ in 0..20 {
            follow.is_early = true;
            pauses.push(after(&mut follow, MINUTE, true).1.saturating_sub(whole));
        }
        assert!(pauses[0] >= EARLY_PAUSE / 2 && pauses[0] <= EARLY_PAUSE, "{pauses:?}");
        assert!(pauses[19] >= MINUTE / 2, "{pauses:?}");
        // A change comes at once.
        follow.is_early = true;
        assert_eq!(after(&mut follow, MINUTE, false).1, whole);
        // So does an answer at the end.
        follow.is_early = true;
        after(&mut follow, MINUTE, true);
        assert_eq!(after(&mut follow, MINUTE, true).1, whole);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_that_fail_are_tried_less_and_less_often() {
        let mut follow = Follow::new(MINUTE);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            let (wait, _) = after(&mut follow, MINUTE, true);
            assert_eq!(wait, Some(Duration::from_secs(50)));
            let Some(wait) = follow.next().await else { panic!("{follow:?}") };
            let error = Error::Other(String::from("cut"));
            follow.waited(wait, tokio::time::Instant::now(), Err(error));
            assert!(follow.next().await.is_none(), "a refresh is next");
            follow.stop();
            let (wait, pause) = after(&mut follow, MINUTE, true);
            assert_eq!(wait, None, "it is polled");
            assert_eq!(follow.problem(|server| server.to_string()).unwrap().detail, "cut");
            pauses.push(pause);
            tokio::time::sleep(pause).await;
        }
        assert!(pauses[0] <= FAILURE_PAUSE && pauses[9] >= MINUTE / 2, "{pauses:?}");
        // One that does not support it any longer has no problem.
        let deadlines = RefreshContext::new("test").deadlines(PromDuration::from_secs(60));
        follow.answered(0, None, true, Duration::ZERO, deadlines);
        assert!(follow.problem(|server| server.to_string()).is_none());
        assert_eq!(follow.next_refresh(), None);
    }
}
