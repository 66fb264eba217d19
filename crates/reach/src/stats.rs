//! What reach counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::body::CutOff;
use crate::decision::ReachRefusal;
use crate::failure::ReachFailure;

/// Counters since the start.
#[derive(Debug, Default)]
pub struct ReachStats {
    refused: [AtomicU64; ReachRefusal::ALL.len()],
    failed: [AtomicU64; ReachFailure::REASONS.len()],
    cut_off: [AtomicU64; CutOff::ALL.len()],
    complete: AtomicU64,
    abandoned: AtomicU64,
    bytes: AtomicU64,
    connections: AtomicU64,
    in_flight: AtomicU64,
}

impl ReachStats {
    /// Requests that fetched nothing, by reason.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ReachRefusal::ALL.iter().map(|refusal| refusal.reason()).zip(loaded(&self.refused))
    }

    /// Fetches without an answer, by reason.
    pub fn failed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ReachFailure::REASONS.into_iter().zip(loaded(&self.failed))
    }

    /// Answers that ended before they were complete, by reason.
    pub fn cut_off(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CutOff::ALL.iter().map(|cut| cut.reason()).zip(loaded(&self.cut_off))
    }

    /// Answers that were passed on to their end, whatever their status.
    pub fn complete(&self) -> u64 {
        self.complete.load(Ordering::Relaxed)
    }

    /// Fetches whose reader went away.
    pub fn abandoned(&self) -> u64 {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Bytes of answers that were read, as they came.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Connections that were opened.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Fetches that are running.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn count_refused(&self, refusal: ReachRefusal) {
        self.refused[refusal as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }
}

fn loaded(counts: &[AtomicU64]) -> impl Iterator<Item = u64> {
    counts.iter().map(|count| count.load(Ordering::Relaxed))
}

/// How a fetch ended.
pub(crate) enum Ended {
    Complete,
    Failed(usize),
    CutOff(CutOff),
}

/// A fetch that is running; counted as abandoned if it is dropped before it has ended.
#[derive(Debug)]
pub(crate) struct Running(Option<Arc<ReachStats>>);

impl Running {
    pub(crate) fn new(stats: &Arc<ReachStats>) -> Self {
        stats.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Some(Arc::clone(stats)))
    }

    /// It is counted as refused instead.
    pub(crate) fn refused(mut self) {
        if let Some(stats) = self.0.take() {
            stats.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn ended(mut self, how: &Ended) {
        let Some(stats) = self.0.take() else { return };
        let counter = match how {
            Ended::Complete => &stats.complete,
            Ended::Failed(reason) => &stats.failed[*reason],
            Ended::CutOff(cut) => &stats.cut_off[*cut as usize],
        };
        counter.fetch_add(1, Ordering::Relaxed);
        stats.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(stats) = self.0.take() {
            stats.abandoned.fetch_add(1, Ordering::Relaxed);
            stats.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
