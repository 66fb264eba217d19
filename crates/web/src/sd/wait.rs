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
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use swarmscout_publish::list::NoList;
use tokio::time::{Instant, sleep_until};

use super::{Reader, is_known};
use crate::changes::changed;
use crate::connections::{Place, Waiting};
use crate::lifecycle;

/// Says that requests may wait, and how long at most.
pub(super) const SUPPORTED: HeaderName = HeaderName::from_static("x-swarmscout-wait");

/// The longest wait, as [`SUPPORTED`] has it.
pub(super) const LONGEST_AS_HEADER: HeaderValue = HeaderValue::from_static("5m");

/// How long a request may ask to wait.
pub(super) const ALLOWED: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_mins(5);

/// Marks the answer to a request that waited: the time until it says nothing of the server's speed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waited;

impl Reader<'_> {
    /// Answers with a list that the reader does not have. Waits for one at most for `wait`.
    pub(super) async fn wait(
        &self,
        wait: Duration,
        place: Option<Arc<Place>>,
        revoked: impl Future<Output = ()> + Send,
    ) -> Response {
        let mut waiting = None;
        let news = self.news(Instant::now() + wait, place, &mut waiting);
        let mut response = tokio::select! {
            response = news => response,
            () = revoked => ask_again(),
        };
        if waiting.is_some() {
            response.extensions_mut().insert(Waited);
        }
        response
    }

    async fn news(
        &self,
        until: Instant,
        place: Option<Arc<Place>>,
        waiting: &mut Option<Waiting>,
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
                *waiting = place.as_ref().and_then(Place::wait);
                if waiting.is_none() {
                    return too_many();
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

fn ask_again() -> Response {
    let message = "the web configuration has changed: ask again\n";
    (StatusCode::SERVICE_UNAVAILABLE, message).into_response()
}

fn too_many() -> Response {
    let message = "too many requests wait for a change (--web.max-waiting): ask without wait\n";
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], message).into_response()
}
