//! What every discoverer is built with.

use std::sync::Arc;
use std::time::Duration;

use swarmscout_model::{Budget, PromDuration};
use swarmscout_net::{ClientOptions, SystemRoots};
use tokio_util::task::TaskTracker;

use crate::stats::Stats;

/// What every discoverer is built with, apart from its configuration. Cheap to clone; clones share all.
#[derive(Clone, Debug)]
pub struct RefreshContext {
    /// `User-Agent` of all requests.
    pub user_agent: Arc<str>,
    /// Where tasks that discoverers start are kept, so that shutdown can wait for them.
    pub tasks: TaskTracker,
    /// What is counted along the way.
    pub stats: Arc<Stats>,
    /// The system's certificates, shared by all clients.
    pub roots: SystemRoots,
    /// The memory that everything that is read may take.
    pub budget: Budget,
    /// No answer and no file of more bytes is read, whatever a discoverer would take by itself: for
    /// tests of what happens then.
    pub max_answer: u64,
    /// No attempt has less time, whatever its interval is: for tests that must not depend on how
    /// busy the machine is.
    pub patience: Duration,
}

impl RefreshContext {
    /// A context with all counters at zero, without tasks and without a memory limit.
    pub fn new(user_agent: impl Into<Arc<str>>) -> Self {
        Self {
            user_agent: user_agent.into(),
            tasks: TaskTracker::new(),
            stats: Arc::default(),
            roots: SystemRoots::default(),
            budget: Budget::unlimited(),
            max_answer: u64::MAX,
            patience: Duration::ZERO,
        }
    }

    /// How long each attempt of a source with this interval may take.
    pub fn deadlines(&self, refresh_interval: PromDuration) -> Deadlines {
        Deadlines { refresh_interval, patience: self.patience, rule: attempt_deadline }
    }

    /// The deadline of one attempt to ask one server: [`attempt_deadline`], but no less than
    /// [`Self::patience`].
    pub fn attempt_deadline(&self, refresh_interval: PromDuration, others_left: usize) -> Duration {
        self.deadlines(refresh_interval).of_attempt(others_left)
    }

    /// What a discoverer makes its HTTP client with.
    pub fn client_options(&self, connect_timeout: Duration) -> ClientOptions {
        let user_agent = self.user_agent.to_string();
        let roots = self.roots.clone();
        ClientOptions { roots, ..ClientOptions::new(user_agent, connect_timeout) }
    }
}

/// The deadline of one attempt to ask one server: the refresh interval, but at least a second, and
/// at most ten while `others_left` more servers can still be tried.
pub fn attempt_deadline(refresh_interval: PromDuration, others_left: usize) -> Duration {
    let deadline = refresh_interval.get().max(Duration::from_secs(1));
    if others_left == 0 { deadline } else { deadline.min(Duration::from_secs(10)) }
}

/// How long each attempt of a source may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    refresh_interval: PromDuration,
    /// [`RefreshContext::patience`].
    patience: Duration,
    /// [`attempt_deadline`], unless a test wants another.
    pub rule: fn(PromDuration, usize) -> Duration,
}

impl Deadlines {
    /// The deadline of one attempt while `others_left` more servers can still be tried.
    pub fn of_attempt(self, others_left: usize) -> Duration {
        (self.rule)(self.refresh_interval, others_left).max(self.patience)
    }
}
