//! `?wait=60s`: an answer that waits for a list that the reader does not have.
//!
//! The reader names the list that it has in `If-None-Match`. The answer comes as soon as the list
//! differs, and 304 at the end of the time. A list that there cannot be yet is awaited too. A job that
//! ends is a 404 at once, and the end of the program a 503.
//!
//! A waiting request is one task that holds no list. Each change wakes all of them, and the first one
//! renders the list for all. A change of other lists, or of what this one does not show, leaves the `ETag`
//! as it is: then they wait on. A change of the web configuration ends them: their readers may have no
//! right any longer, and ask again.

use std::ops::RangeInclusive;
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue};
use swarmscout_publish::list::NoList;
use swarmscout_server::{LongPoll, Waited, WaitingRequest};
use tokio::time::{Instant, sleep_until};

use super::{Reader, is_known};
use crate::changes::changed;
use crate::lifecycle;

/// Says that requests may wait, and how long at most.
pub(crate) const SUPPORTED: HeaderName = HeaderName::from_static("x-swarmscout-wait");

/// The longest wait, as [`SUPPORTED`] has it.
pub(crate) const LONGEST_AS_HEADER: HeaderValue = HeaderValue::from_static("5m");

/// How long a request may ask to wait.
pub(crate) const ALLOWED: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_mins(5);

impl Reader<'_> {
    /// Answers with a list that the reader does not have. Waits for one at most for `wait`.
    pub(super) async fn wait(&self, wait: Duration, long_poll: &LongPoll) -> Response {
        let mut waiting = None;
        let news = self.news(Instant::now() + wait, long_poll, &mut waiting);
        let mut response = tokio::select! {
            response = news => response,
            response = long_poll.revoked() => response,
        };
        if waiting.is_some() {
            response.extensions_mut().insert(Waited);
        }
        response
    }

    async fn news(
        &self,
        until: Instant,
        long_poll: &LongPoll,
        waiting: &mut Option<WaitingRequest>,
    ) -> Response {
        let mut jobs = self.app.context.discovery.jobs.clone();
        let mut ready = self.app.context.program.ready.clone();
        loop {
            // What changes from now on ends the wait below.
            jobs.mark_unchanged();
            ready.mark_unchanged();
            if let Some(stopping) = lifecycle::unavailable(self.app) {
                return stopping;
            }
            let Some(mut job) = self.job() else { return self.no_job() };
            job.set.mark_unchanged();
            let list = self.list(&job).await;
            let may_wait = match &list {
                Ok((_, rendered)) => is_known(&self.headers, &rendered.etag),
                Err(NoList::Withheld(_)) => true,
                Err(NoList::Memory(_) | NoList::Failed) => false,
            };
            if !may_wait || until <= Instant::now() {
                return self.respond(&job, list);
            }
            drop(list);
            if waiting.is_none() {
                match long_poll.start() {
                    Ok(started) => *waiting = Some(started),
                    Err(too_many) => return too_many.into_response(),
                }
            }
            tokio::select! {
                () = changed(&mut job.set) => {}
                () = changed(&mut jobs) => {}
                () = changed(&mut ready) => {}
                () = sleep_until(until) => {}
            }
        }
    }
}
