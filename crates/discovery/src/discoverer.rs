//! The one interface of a source.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use swarmscout_model::TargetGroup;

/// A future on the heap.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The groups that a source of targets yields.
pub type Groups = Vec<Arc<TargetGroup>>;

/// Lists what it sees. Knows nothing of time, retries or relabeling.
///
/// `T` is what one look yields: target groups, or, for what several sources read together, a
/// snapshot of an engine.
pub trait Discoverer<T = Groups>: Send {
    /// The complete present set, when its origin last confirmed it, and what was skipped on the
    /// way. An error means "nothing new is known": what was known stays.
    ///
    /// The supervisor drops the future when the deadline of the look passes; what must survive
    /// that (which master is next) is state of `self`, written before each await.
    fn fetch(&mut self) -> BoxFuture<'_, Result<Look<T>, Error>>;

    /// The same, for who is told of changes while a look takes its time: `meanwhile` takes what the
    /// set is by then. Nothing is told unless overridden.
    fn fetch_meanwhile<'a>(
        &'a mut self,
        _meanwhile: &'a mut (dyn FnMut(Look<T>) + Send),
    ) -> BoxFuture<'a, Result<Look<T>, Error>> {
        self.fetch()
    }

    /// The same, after [`Self::changed`] resolved, for who was told what changed and need not look
    /// at the rest. `None` where everything must be looked at, which is always unless overridden.
    fn follow(&mut self) -> Option<BoxFuture<'_, Result<Look<T>, Error>>> {
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

/// Something in an answer that is not as it should be. [`Problem::is_skipped`] tells whether a part
/// of the answer was skipped because of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Problem {
    /// What kind of object it is: `node`, `service`, `task`, `network`, `container`, `file`, `host`,
    /// `name`, `group`.
    /// One of a small closed set: it becomes the metric label `kind`.
    pub kind: &'static str,
    /// Which object: an ID or name as it was sent.
    pub object: String,
    /// Why, in a few constant words: `virtual IP without address`. It becomes the metric label
    /// `reason`.
    pub reason: &'static str,
    /// Anything beyond that, for log and API.
    pub detail: String,
}

/// Why a look failed. The text says what to do where that is known; no secret is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The HTTP exchange failed.
    #[error(transparent)]
    Http(#[from] swarmscout_net::Error),
    /// A file could not be read or understood.
    #[error("{path}: {reason}")]
    File {
        /// The file, or the directory.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server answered with another status than the one that was needed.
    #[error("{url}: server returned HTTP status {status}{}{message}", if message.is_empty() { "" } else { ": " })]
    Status {
        /// What was asked for, without password.
        url: String,
        /// The status.
        status: http::StatusCode,
        /// What the body said, shortened.
        message: String,
    },
    /// The answer was not what the interface promises.
    #[error("{url}: {reason}")]
    Answer {
        /// What was asked for, without password.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The answer, or what would have to be made of it, is more than is allowed.
    #[error("{what}: {excess}")]
    Excess {
        /// What was asked, without password.
        what: String,
        /// What is too much.
        excess: crate::limits::Excess,
    },
    /// Each master or manager failed. Holds one line for each, in the order in which they were
    /// tried.
    #[error("no host answered: {}", .0.join("; "))]
    AllHosts(Vec<String>),
    /// No name of the DNS could be looked up. Holds what happened with each, or with the first few.
    #[error("cannot look up any name: {}", .0.join("; "))]
    AllNames(Vec<String>),
    /// The deadline of the whole look passed.
    #[error("look not finished within {0:?}")]
    Deadline(std::time::Duration),
    /// The discoverer panicked. It was built anew; the look is repeated.
    #[error("internal error, please report it: {0}")]
    Panic(String),
    /// Anything else a discoverer wants to say.
    #[error("{0}")]
    Other(String),
}
