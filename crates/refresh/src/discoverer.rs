//! The one interface of a source.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use swarmscout_model::TargetGroup;

use crate::Problem;

/// A future on the heap.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The groups that a source of targets yields.
pub type Groups = Vec<Arc<TargetGroup>>;

/// Lists what it sees. Knows nothing of time, retries or relabeling.
///
/// `T` is what a refresh yields: target groups, or a snapshot that several sources read.
pub trait Discoverer<T = Groups>: Send {
    /// Why a refresh failed. Its text says what to do where that is known; no secret is in it.
    type Error;

    /// The complete present set, when its origin last confirmed it, and what was skipped on the
    /// way. An error means "nothing new is known": what was known stays.
    ///
    /// An incremental refresh may leave unread what [`Self::changed`] did not report as changed; it
    /// yields the complete set all the same. Who reports no incremental change is never asked for
    /// one.
    ///
    /// The supervisor drops the future when the deadline of the refresh passes; what must survive
    /// that (which host is next) is state of `self`, written before each await.
    fn fetch(&mut self, scope: RefreshScope) -> BoxFuture<'_, Result<Refreshed<T>, Self::Error>>;

    /// How long the result of a full refresh that just succeeded needs no other one, unless
    /// [`Self::changed`] resolves. `None`: until the refresh interval is over.
    fn next_refresh(&self) -> Option<Duration> {
        None
    }

    /// Resolves when another refresh may be worth it, and says which. Cancel-safe. Never resolves
    /// unless overridden.
    fn changed(&mut self) -> BoxFuture<'_, RefreshScope> {
        Box::pin(std::future::pending())
    }
}

/// How much a refresh reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshScope {
    /// Everything.
    Full,
    /// What is known to have changed.
    Incremental,
}

/// What a refresh yielded.
#[derive(Clone, Debug)]
pub struct Refreshed<T> {
    /// The complete present set.
    pub value: T,
    /// When the origin last confirmed it: for a list read from a server the moment its answer was
    /// asked for, for a relayed one the moment that the relay names.
    pub as_of: Instant,
    /// What was skipped, and why. The rest is good.
    pub problems: Vec<Problem>,
}

impl<T> Refreshed<T> {
    /// A result without problems.
    pub fn new(value: T, as_of: Instant) -> Self {
        Self { value, as_of, problems: Vec::new() }
    }

    /// The same result with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Refreshed<U> {
        Refreshed { value: f(self.value), as_of: self.as_of, problems: self.problems }
    }
}
