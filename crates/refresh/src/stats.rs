//! What supervisors count, for the program's own metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::Problem;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that is replaced.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Replaces it.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// What it is now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often there was a kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProblemCount {
    /// See [`Problem::kind`].
    pub kind: &'static str,
    /// See [`Problem::reason`].
    pub reason: &'static str,
    /// See [`Problem::is_skipped`].
    pub skipped: bool,
    /// How often.
    pub count: u64,
}

/// What all supervisors count together, since the program started.
#[derive(Debug, Default)]
pub struct Stats {
    /// Refreshes that brought something new (`prometheus_sd_received_updates_total`).
    pub received_updates: Counter,
    /// Discoverers that panicked and were built again.
    pub panics: Counter,
    problems: Mutex<BTreeMap<(&'static str, &'static str), ProblemCount>>,
}

impl Stats {
    /// Counts each of `problems`; every refresh that meets one counts it again.
    pub fn count_problems(&self, problems: &[Problem]) {
        if problems.is_empty() {
            return;
        }
        let mut counts = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        for problem in problems {
            let skipped = problem.is_skipped();
            let count = counts.entry((problem.kind, problem.reason)).or_insert_with(|| {
                ProblemCount { kind: problem.kind, reason: problem.reason, skipped, count: 0 }
            });
            count.count += 1;
        }
    }

    /// How often there was each kind of problem, sorted (`swarmscout_objects_skipped_total`,
    /// `swarmscout_problems_reported_total`).
    pub fn problems(&self) -> Vec<ProblemCount> {
        let counts = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        counts.values().copied().collect()
    }
}
