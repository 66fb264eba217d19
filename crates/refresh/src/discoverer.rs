//! The one interface of a source.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use swarmscout_model::TargetGroup;

use crate::Problem;

/// A future on the heap.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The groups that a source of targets yields.
pub type Groups = Vec<Arc<TargetGroup>>;

/// Lists what it sees. Knows nothing of time, retries or relabeling.
///
/// `T` is what one look yields: target groups, or, for what several sources read together, a
/// snapshot of an engine.
pub trait Discoverer<T = Groups>: Send {
    /// Why a look failed. Its text says what to do where that is known; no secret is in it.
    type Error;

    /// The complete present set, when its origin last confirmed it, and what was skipped on the
    /// way. An error means "nothing new is known": what was known stays.
    ///
    /// The supervisor drops the future when the deadline of the look passes; what must survive
    /// that (which master is next) is state of `self`, written before each await.
    fn fetch(&mut self) -> BoxFuture<'_, Result<Look<T>, Self::Error>>;

    /// The same, for who is told of changes while a look takes its time: `meanwhile` takes what the
    /// set is by then. Nothing is told unless overridden.
    fn fetch_meanwhile<'a>(
        &'a mut self,
        _meanwhile: &'a mut (dyn FnMut(Look<T>) + Send),
    ) -> BoxFuture<'a, Result<Look<T>, Self::Error>> {
        self.fetch()
    }

    /// The same, after [`Self::changed`] resolved, for who was told what changed and need not look
    /// at the rest. `None` where everything must be looked at, which is always unless overridden.
    fn follow(&mut self) -> Option<BoxFuture<'_, Result<Look<T>, Self::Error>>> {
        None
    }

    /// Resolves when another look may be worth it. Cancel-safe. Never, unless overridden.
    fn changed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// What one look brought.
#[derive(Clone, Debug)]
pub struct Look<T> {
    /// The complete present set.
    pub what: T,
    /// When the origin last confirmed it: for a list read from a server the moment its answer was
    /// asked for, for a relayed one the moment that the relay names.
    pub as_of: Instant,
    /// What was skipped, and why. The rest of the look is good.
    pub problems: Vec<Problem>,
}

impl<T> Look<T> {
    /// A look without problems.
    pub fn new(what: T, as_of: Instant) -> Self {
        Self { what, as_of, problems: Vec::new() }
    }

    /// The same look with another content.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Look<U> {
        Look { what: f(self.what), as_of: self.as_of, problems: self.problems }
    }
}
