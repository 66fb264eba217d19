//! Histograms of durations.

use std::time::Duration;

/// A histogram of durations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DurationHistogram {
    /// The count of each bucket of [`Self::BOUNDS`], and last of all larger durations. Not
    /// cumulative.
    pub buckets: [u64; Self::BOUNDS.len() + 1],
    /// The sum of all durations, in seconds.
    pub sum: f64,
}

impl DurationHistogram {
    /// Upper bounds in seconds.
    pub const BOUNDS: [f64; 9] = [0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];

    /// Adds a duration.
    pub fn observe(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = Self::BOUNDS.iter().position(|bound| seconds <= *bound);
        self.buckets[bucket.unwrap_or(Self::BOUNDS.len())] += 1;
        self.sum += seconds;
    }

    /// Adds all durations of `others`.
    pub fn add(&mut self, others: &Self) {
        self.sum += others.sum;
        for (sum, count) in self.buckets.iter_mut().zip(others.buckets) {
            *sum += count;
        }
    }

    /// The number of durations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}
