//! How often something happened for each of some reasons, and when to log that.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The least time between two log lines for one reason.
const QUIET: Duration = Duration::from_mins(1);

/// Counts for `N` reasons, by their number.
#[derive(Debug)]
pub(crate) struct Tally<const N: usize> {
    counts: [AtomicU64; N],
    logged: Mutex<[Option<Logged>; N]>,
}

/// The last log line for a reason.
#[derive(Clone, Copy, Debug)]
struct Logged {
    at: Instant,
    /// How often it happened since, without a line.
    more: u64,
}

impl<const N: usize> Default for Tally<N> {
    fn default() -> Self {
        Self { counts: array::from_fn(|_| AtomicU64::new(0)), logged: Mutex::new([None; N]) }
    }
}

impl<const N: usize> Tally<N> {
    /// How often it happened for each reason.
    pub(crate) fn counts(&self) -> impl Iterator<Item = u64> + '_ {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed))
    }

    /// It happened once more.
    pub(crate) fn count(&self, reason: usize) {
        self.counts[reason].fetch_add(1, Ordering::Relaxed);
    }

    /// How often it happened since the last log line; `None` if that was within [`QUIET`], and this
    /// is not to be logged either.
    pub(crate) fn due(&self, reason: usize, now: Instant) -> Option<u64> {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &mut logged[reason]
            && now.saturating_duration_since(last.at) < QUIET
        {
            last.more += 1;
            return None;
        }
        let last = logged[reason].replace(Logged { at: now, more: 0 });
        Some(last.map_or(0, |last| last.more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_logged_once_a_minute_with_the_number_in_between() {
        let tally = Tally::<2>::default();
        let start = Instant::now();
        for (seconds, reason, expected) in [
            (0, 0, Some(0)),
            (1, 0, None),
            (1, 1, Some(0)),
            (59, 0, None),
            (60, 0, Some(2)),
            (61, 1, Some(0)),
            (119, 0, None),
        ] {
            let got = tally.due(reason, start + Duration::from_secs(seconds));
            assert_eq!(got, expected, "{reason} after {seconds} s");
        }
    }
}
