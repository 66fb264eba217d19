//! How many answers are written at one time: each one holds all numbers of its scrape until its reader
//! has taken them.
//!
//! A reader that takes a byte now and then is never idle, so a time limit alone does not end it. Where
//! no place is free, the answer that is being written for the longest time is broken off.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// Answers at one time. Several Prometheus rarely scrape a node in the same moment.
const MOST: usize = 16;

/// An answer that takes longer may be broken off; and who waits for a place checks so often.
const SLOW: Duration = Duration::from_secs(1);

/// All places.
#[derive(Debug)]
pub(super) struct Places<T> {
    free: Arc<Semaphore>,
    /// The oldest first.
    taken: Mutex<Vec<Weak<Place<T>>>>,
}

/// A place, and what is written.
#[derive(Debug)]
struct Place<T> {
    since: Instant,
    /// `None` once it has ended, or is broken off.
    content: Mutex<Option<(T, OwnedSemaphorePermit)>>,
}

/// The pieces of an answer.
#[derive(Debug)]
struct Pieces<T> {
    place: Arc<Place<T>>,
    has_ended: bool,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(MOST)), taken: Mutex::default() }
    }
}

impl<T: Iterator> Places<T> {
    /// A free place. If all are taken for long, the oldest answer is broken off.
    pub(super) async fn free(&self) -> OwnedSemaphorePermit {
        loop {
            let free = Arc::clone(&self.free);
            if free.available_permits() == 0 {
                self.cut_off_oldest();
            }
            if let Ok(place) = timeout(SLOW, free.acquire_owned()).await {
                return place.expect("the semaphore is never closed");
            }
        }
    }

    /// The pieces of `content`, which holds `place` as long as they are taken. The last one is an error
    /// if it is broken off: its reader sees a broken connection.
    pub(super) fn hold(
        &self,
        content: T,
        place: OwnedSemaphorePermit,
    ) -> impl Iterator<Item = io::Result<T::Item>> + use<T> {
        let content = Mutex::new(Some((content, place)));
        let place = Arc::new(Place { since: Instant::now(), content });
        let mut taken = locked(&self.taken);
        taken.retain(|place| place.strong_count() > 0);
        taken.push(Arc::downgrade(&place));
        Pieces { place, has_ended: false }
    }

    fn cut_off_oldest(&self) {
        let mut taken = locked(&self.taken);
        taken.retain(|place| place.upgrade().is_some_and(|it| locked(&it.content).is_some()));
        let oldest = taken.first().and_then(Weak::upgrade);
        if let Some(oldest) = oldest.filter(|oldest| oldest.since.elapsed() > SLOW) {
            locked(&oldest.content).take();
        }
    }
}

impl<T: Iterator> Iterator for Pieces<T> {
    type Item = io::Result<T::Item>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let mut content = locked(&self.place.content);
        let next = match content.as_mut() {
            Some((content, _)) => content.next().map(Ok),
            None => Some(Err(io::Error::other("the reader is too slow, and others wait"))),
        };
        self.has_ended = !matches!(next, Some(Ok(_)));
        if self.has_ended {
            content.take();
        }
        next
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_of_many_answers_makes_room() {
        let places = Places::default();
        let mut answers = Vec::new();
        for number in 0..MOST {
            answers.push(places.hold(number..100, places.free().await));
        }
        // None of them is slow yet: the next one waits until one is.
        let before = Instant::now();
        let mut last = places.hold(0..1, places.free().await);
        assert!(before.elapsed() >= SLOW);
        assert!(matches!(answers[0].next(), Some(Err(_))));
        assert!(answers[0].next().is_none());
        assert!(matches!(answers[1].next(), Some(Ok(1))));
        // One that ends makes room as well.
        assert!(matches!((last.next(), last.next()), (Some(Ok(0)), None)));
        let _next = places.hold(0..1, places.free().await);
        assert!(matches!(answers[1].next(), Some(Ok(2))));
        // So does one whose reader goes away.
        drop(answers.swap_remove(1));
        let place = timeout(SLOW / 2, places.free()).await;
        assert!(place.is_ok() && matches!(answers[2].next(), Some(Ok(2))));
    }
}
