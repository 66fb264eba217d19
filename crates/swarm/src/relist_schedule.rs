//! What to list again after an event, and when.
//!
//! The Engine reports that a service, a node or a network was changed, and never what becomes of the
//! tasks: they follow within seconds or minutes. So a named object is listed at once, and again after
//! growing pauses until it is quiescent. A burst of events of one object counts as one: the object is
//! listed at the first of them, and then at most once in [`SHORTEST`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two listings of one object.
pub(super) const SHORTEST: Duration = Duration::from_millis(250);

/// The longest.
const LONGEST: Duration = Duration::from_secs(8);

/// An object that is not quiescent by then is left to the next full refresh.
const LISTED_FOR: Duration = Duration::from_mins(10);

/// What an event names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ChangedObject {
    /// Everything.
    All,
    /// The service with this ID, and its tasks.
    Service(Arc<str>),
    /// The node with this ID, and the services that have tasks there.
    Node(Arc<str>),
    /// The network with this ID.
    Network(Arc<str>),
}

/// What waits to be listed again.
#[derive(Debug, Default)]
pub(super) struct RelistSchedule(BTreeMap<ChangedObject, Due>);

#[derive(Clone, Copy, Debug)]
struct Due {
    at: Instant,
    /// After the listing that is due.
    gap: Duration,
    /// The last event.
    noted: Instant,
    listed: Option<Instant>,
}

impl RelistSchedule {
    /// Notes an event of an object.
    pub(super) fn note(&mut self, object: ChangedObject, now: Instant) {
        let listed = self.0.get(&object).and_then(|due| due.listed);
        let at = listed.map_or(now, |listed| now.max(listed + SHORTEST));
        self.0.insert(object, Due { at, gap: SHORTEST, noted: now, listed });
    }

    /// When the next object is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|due| due.at).min()
    }

    /// The objects that are due now.
    pub(super) fn due(&self, now: Instant) -> Vec<ChangedObject> {
        let due = self.0.iter().filter(|(_, due)| due.at <= now);
        due.map(|(object, _)| object.clone()).collect()
    }

    /// Takes the objects that are due, to list them. Each is due again, after a longer pause each
    /// time, unless it is [finished](Self::finish) by then.
    pub(super) fn take(&mut self, now: Instant) -> Vec<ChangedObject> {
        let mut taken = Vec::new();
        self.0.retain(|object, due| {
            if due.at > now {
                return true;
            }
            taken.push(object.clone());
            due.listed = Some(now);
            due.at = now + due.gap;
            due.gap = (2 * due.gap).min(LONGEST);
            due.at < due.noted + LISTED_FOR
        });
        taken
    }

    /// Removes a quiescent object. One with an event less than the longest pause ago is listed once
    /// more all the same: an update may start slowly.
    pub(super) fn finish(&mut self, object: &ChangedObject, now: Instant) {
        if self.0.get(object).is_some_and(|due| now > due.noted + LONGEST) {
            self.0.remove(object);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Events at these times, in milliseconds; when the object is listed, if it is quiescent from
    /// `quiescent` on.
    fn check(events: &[u64], quiescent: u64, expected: &[u64]) {
        let start = Instant::now();
        let object = ChangedObject::Service("web".into());
        let mut schedule = RelistSchedule::default();
        let mut events = events.iter().map(|at| start + ms(*at)).peekable();
        let mut listed = Vec::new();
        loop {
            let next = schedule.next();
            let event = events.next_if(|event| next.is_none_or(|next| *event <= next));
            match (event, next) {
                (Some(event), _) => schedule.note(object.clone(), event),
                (None, Some(now)) => {
                    assert_eq!(schedule.take(now), std::slice::from_ref(&object));
                    let at = now - start;
                    listed.push(u64::try_from(at.as_millis()).unwrap());
                    if at >= ms(quiescent) {
                        schedule.finish(&object, now);
                    }
                }
                (None, None) => break,
            }
            assert!(listed.len() < 1000, "it never ends");
        }
        assert_eq!(listed, expected);
    }

    #[tokio::test]
    async fn is_listed_at_once_and_at_growing_pauses() {
        check(&[0], 0, &[0, 250, 750, 1750, 3750, 7750, 15750]);
    }

    #[tokio::test]
    async fn a_burst_is_one_event_that_is_not_late() {
        let burst: Vec<u64> = (0..100).map(|n| 10 * n).collect();
        let expected = [0, 250, 500, 750, 1000, 1250, 1750, 2750, 4750, 8750, 16750];
        check(&burst, 0, &expected);
    }

    #[tokio::test]
    async fn what_goes_on_is_followed_for_some_minutes() {
        let start = [0, 250, 750, 1750, 3750, 7750, 15750];
        let later = (0..).map(|n| 23_750 + 8000 * n).take_while(|at| *at < 605_000);
        let expected: Vec<u64> = start.into_iter().chain(later).take(80).collect();
        check(&[0], u64::MAX, &expected);
    }
}
