//! Lists that cannot be read while others can.

use std::sync::Arc;
use std::time::Duration;

use swarmscout_docker::Error;
use swarmscout_docker::engine::List;
use tokio::time::Instant;

use super::{ChangeFeed, SwarmFollower};
use crate::{FailedList, ListFilter, ListScope};

impl SwarmFollower {
    /// Notes which requested lists could not be read, and schedules another try: at growing pauses,
    /// since a proxy may withhold them for good. The roles that need them log it.
    pub(super) fn note_failed(
        &mut self,
        failed: Vec<(List, Arc<str>)>,
        scope: &ListScope,
    ) -> Arc<[FailedList]> {
        let snapshot = self.store.snapshot();
        let before = Arc::clone(&snapshot.failed);
        let find = |lists: &[FailedList], list| lists.iter().position(|known| known.list == list);
        let is_watched = self.listed && matches!(self.change_feed, ChangeFeed::Watch(_));
        let failed = failed.into_iter().map(|(list, error)| {
            let was = snapshot.scope.filter(list);
            let as_of = match find(&before, list) {
                Some(place) => before[place].as_of,
                None => (*was != ListFilter::Nothing).then_some(self.as_of),
            };
            FailedList { list, error, as_of, is_watched: is_watched && was == scope.filter(list) }
        });
        let now: Arc<[FailedList]> = failed.collect();
        let is_new = now.iter().any(|failed| find(&before, failed.list).is_none());
        if is_new {
            self.list_backoff.succeeded();
        }
        let due = || Instant::now() + self.list_backoff.failed(Duration::MAX);
        self.relist_at = (!now.is_empty()).then(due);
        now
    }

    /// Moves to the next host, after a part could not be listed at this one. Fails if there is no
    /// other.
    pub(super) fn leave_host(&mut self, error: Error) -> Result<(), Error> {
        let reason = error.to_string();
        self.hosts.set_aside(error)?;
        // The feed does not match the lists of another host.
        self.drop_feed(reason.into());
        self.opened = None;
        Ok(())
    }
}
