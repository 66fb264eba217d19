//! The pause after failures in a row: it doubles from the first to the longest, and is jittered.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Counts failures in a row, and says how long to pause after each.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    failures: u32,
}

impl Default for Backoff {
    /// The first pause is a second.
    fn default() -> Self {
        Self::new(Duration::from_secs(1))
    }
}

impl Backoff {
    /// No failure yet; `first` is the pause after the first one.
    pub const fn new(first: Duration) -> Self {
        Self { first, failures: 0 }
    }

    /// Failures since the last success.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failure. Returns the jittered pause after it, at most `longest`: between half and
    /// whole, so that many clients of one server do not come back together.
    pub fn failed(&mut self, longest: Duration) -> Duration {
        let pause = self.next_pause(longest);
        self.failures = self.failures.saturating_add(1);
        pause.mul_f64(0.5 + random_fraction() / 2.0)
    }

    /// Counts a success: the next pause is the first one again.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The pause after the next failure, without jitter.
    pub fn next_pause(&self, longest: Duration) -> Duration {
        self.first.saturating_mul(1 << self.failures.min(16)).min(longest)
    }
}

/// Every `RandomState` has other keys: enough for jitter, and no dependency.
fn random_fraction() -> f64 {
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(longest: Duration) -> [u128; 5] {
        let mut backoff = Backoff::default();
        [(); 5].map(|()| {
            let pause = backoff.next_pause(longest);
            let jittered = backoff.failed(longest);
            assert!(jittered >= pause / 2 && jittered <= pause, "{jittered:?} of {pause:?}");
            pause.as_millis()
        })
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        assert_eq!(pauses(Duration::from_secs(2)), [1000, 2000, 2000, 2000, 2000]);
        assert_eq!(pauses(Duration::from_secs(5)), [1000, 2000, 4000, 5000, 5000]);
        assert_eq!(pauses(Duration::from_millis(500)), [500; 5]);
    }

    #[test]
    fn a_success_begins_again() {
        let (mut backoff, longest) = (Backoff::default(), Duration::from_secs(5));
        for _ in 0..100 {
            backoff.failed(longest);
        }
        assert_eq!((backoff.failures(), backoff.next_pause(longest)), (100, longest));
        backoff.succeeded();
        assert_eq!((backoff.failures(), backoff.next_pause(longest).as_secs()), (0, 1));
    }

    #[test]
    fn jitter_is_a_fraction() {
        for _ in 0..100 {
            assert!((0.0..=1.0).contains(&random_fraction()));
        }
    }
}
