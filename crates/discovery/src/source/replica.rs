//! A source of targets that sends no requests: it reads a snapshot that it shares with other
//! sources. What targets it finds there is up to its [`SnapshotFinder`].
//!
//! Its state follows from that of the snapshot. So it has no clock of its own, and its refreshes
//! are those of the Swarm. It fails by itself in two cases: a list that it needs could not be read,
//! or a filter names a missing object. Then the previous targets stay.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use swarmscout_model::{CanonicalGroups, canonicalize};
use swarmscout_net::cpu;
use swarmscout_refresh::supervisor::{Health, LastGood, Supervised};
use swarmscout_refresh::{self as refresh, problems};
use swarmscout_swarm::{ListScope, Snapshot, Subscription};
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::config::BuildContext;
use crate::without_address::TasksWithoutAddress;
use crate::{Error, Groups, Problem};

/// More objects than this are read on a thread of their own.
const LARGE: usize = 1000;

/// Makes groups of targets from one snapshot after the other. What it makes depends on the snapshot
/// alone, and on what it knows beside it; what it keeps only saves time.
pub(crate) trait SnapshotFinder: fmt::Debug + Send {
    /// The lists of a Swarm that it needs.
    fn needs(&self) -> &ListScope;

    /// The approximate number of objects that [`find`](Self::find) would read in this snapshot.
    fn work(&self, snapshot: &Snapshot) -> usize;

    /// The groups of a snapshot, in an order that depends on IDs alone, and what was skipped. A
    /// group that equals the last one is the same `Arc`; so is one that equals a group of
    /// `restored`, which an earlier run of the program has found.
    ///
    /// After an error the last groups are kept.
    fn find(
        &mut self,
        snapshot: &Snapshot,
        restored: Option<&CanonicalGroups>,
    ) -> Result<(Groups, Vec<Problem>), Error>;

    /// Running tasks of the last snapshot without a target, if it reports them.
    fn without_address(&self) -> Option<TasksWithoutAddress> {
        None
    }

    /// Whether a snapshot has all the needed lists.
    fn can_read(&self, snapshot: &Snapshot) -> bool {
        snapshot.scope.covers(self.needs())
    }
}

/// What a source of this kind reports in addition to its health.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Details {
    /// Running tasks without a target; `None` for finders that do not report them.
    pub(crate) without_address: Option<Arc<TasksWithoutAddress>>,
    /// The name of its Swarm, from the first snapshot on.
    pub(crate) swarm: Option<Arc<str>>,
}

/// Which targets to find, and where.
pub(crate) struct ReplicaSpec {
    /// See [`SourceConfig::mechanism`](crate::config::SourceConfig::mechanism).
    pub(crate) mechanism: &'static str,
    /// The job that starts it, for the log.
    pub(crate) job: Arc<str>,
    /// The display name of what is read.
    pub(crate) what: String,
    /// The snapshots.
    pub(crate) swarm: Subscription,
    /// What finds targets in them. Made again after a panic.
    pub(crate) finder: Box<dyn Fn() -> Box<dyn SnapshotFinder> + Send + Sync>,
    /// What the finder knows beside the snapshots.
    pub(crate) beside: Option<Beside>,
}

/// A task that learns what a finder knows beside the snapshots.
#[derive(Debug)]
pub(crate) struct Beside {
    /// Notified if that changes.
    pub(crate) changed: Arc<Notify>,
    /// Ends with the source.
    pub(crate) _task: AbortOnDropHandle<()>,
}

/// Starts a task of `context` that finds targets.
pub(crate) fn start(
    spec: ReplicaSpec,
    context: &BuildContext,
) -> (Supervised<CanonicalGroups>, watch::Receiver<Details>) {
    let (details, details_of_source) = watch::channel(Details::default());
    let publish = watch::Sender::new(LastGood::default());
    let finder = (spec.finder)();
    let source = ReplicaSource {
        snapshots: spec.swarm.last_good(),
        needs: finder.needs().clone(),
        finder: Some(finder),
        spec,
        found: None,
        failure: None,
        problems: Vec::new(),
        details,
        list_error: None,
        list_failures: 0,
        refreshes: 0,
        publish: publish.clone(),
        context: context.clone(),
    };
    (Supervised::spawn(publish, source.forever(), &context.refresh), details_of_source)
}

struct ReplicaSource {
    spec: ReplicaSpec,
    /// `None` after it panicked.
    finder: Option<Box<dyn SnapshotFinder>>,
    snapshots: watch::Receiver<LastGood<Arc<Snapshot>>>,
    /// The last snapshot that was read.
    found: Option<Arc<Snapshot>>,
    /// Why no targets could be found in it.
    failure: Option<Arc<str>>,
    /// What was skipped in it.
    problems: Vec<Problem>,
    /// Written before the groups are published.
    details: watch::Sender<Details>,
    /// The lists that it needs.
    needs: ListScope,
    /// Why some of them could not be read the last time.
    list_error: Option<Arc<str>>,
    /// The number of refreshes of the Swarm that did not return all of these lists.
    list_failures: u64,
    /// The number of refreshes of the Swarm when failures and problems were last counted.
    refreshes: u64,
    publish: watch::Sender<LastGood<CanonicalGroups>>,
    context: BuildContext,
}

impl ReplicaSource {
    async fn forever(mut self) {
        loop {
            let LastGood { value, mut health } = self.snapshots.borrow_and_update().clone();
            let mut details = self.details.borrow().clone();
            let is_refresh =
                std::mem::replace(&mut self.refreshes, health.refreshes) != health.refreshes;
            if let Some(snapshot) = &value {
                details.swarm = snapshot.feed.as_ref().map(|feed| Arc::clone(&feed.swarm));
                self.note_failed_lists(snapshot, is_refresh, &mut health);
            }
            let groups = match value {
                Some(snapshot) => self.find(snapshot).await,
                None => None,
            };
            if is_refresh {
                self.context.refresh.stats.count_problems(&self.problems);
            }
            if groups.is_some() {
                let found = self.finder.as_ref().and_then(|finder| finder.without_address());
                if details.without_address.as_deref() != found.as_ref() {
                    details.without_address = found.map(Arc::new);
                }
            }
            self.publish(groups, health, &details);
            if !self.wait().await {
                return;
            }
        }
    }

    /// Waits for another snapshot, or for something else that targets depend on. Returns whether
    /// there may be more of them.
    async fn wait(&mut self) -> bool {
        let Some(beside) = &self.spec.beside else { return self.snapshots.changed().await.is_ok() };
        tokio::select! {
            changed = self.snapshots.changed() => changed.is_ok(),
            () = beside.changed.notified() => {
                self.found = None;
                true
            }
        }
    }

    /// Counts a needed list that could not be read as a failure of this source.
    fn note_failed_lists(&mut self, snapshot: &Snapshot, is_refresh: bool, health: &mut Health) {
        let failed: Vec<_> = snapshot.failed_of(&self.needs).collect();
        let errors: Vec<_> = failed.iter().map(|failed| &*failed.error).collect();
        let error: Option<Arc<str>> = (!errors.is_empty()).then(|| errors.join("; ").into());
        if error.is_some() {
            self.list_failures += u64::from(is_refresh && health.error.is_none());
            health.error = health.error.take().or_else(|| error.clone());
        }
        let before = std::mem::replace(&mut self.list_error, error);
        if before != self.list_error {
            self.log_lists();
        }
        health.failures += self.list_failures;
        // A list that was never read has no age.
        let as_of = failed.iter().filter(|failed| !failed.is_watched).map(|failed| failed.as_of);
        if let Some(oldest) = as_of.min() {
            health.as_of = oldest.or(self.publish.borrow().health.as_of);
        }
    }

    /// Logs why lists cannot be read, or that they are read again, as a supervisor does for a
    /// source.
    fn log_lists(&self) {
        let Self { spec: ReplicaSpec { mechanism, job, what, .. }, list_error, .. } = self;
        if let Some(err) = list_error {
            tracing::error!(
                discovery = mechanism,
                config = %job,
                asked = %what,
                %err,
                "Unable to refresh target groups"
            );
        } else {
            tracing::info!(
                discovery = mechanism,
                config = %job,
                asked = %what,
                "Target groups are refreshed again"
            );
        }
    }

    /// The groups of a snapshot, unless it was already read.
    async fn find(&mut self, snapshot: Arc<Snapshot>) -> Option<Groups> {
        if self.found.as_ref().is_some_and(|found| Arc::ptr_eq(found, &snapshot)) {
            return None;
        }
        let finder = self.finder.take().unwrap_or_else(|| (self.spec.finder)());
        if !finder.can_read(&snapshot) {
            // The snapshot was made before this source requested its lists.
            self.finder = Some(finder);
            return None;
        }
        let outcome = self.run(finder, &snapshot).await;
        let outcome = outcome.unwrap_or_else(|| {
            self.context.refresh.stats.panics.add(1);
            Err(refresh::Error::Panic("finding targets in a snapshot failed".to_owned()).into())
        });
        self.found = Some(snapshot);
        match outcome {
            Ok((groups, problems)) => {
                self.failure = None;
                let ReplicaSpec { mechanism, job, what, .. } = &self.spec;
                problems::log_new(mechanism, job, what, &self.problems, &problems);
                self.problems = problems;
                Some(groups)
            }
            Err(error) => {
                self.fail(&error);
                None
            }
        }
    }

    /// Runs the finder, on a thread of its own if that takes long. `None` after a panic, which
    /// loses the finder.
    async fn run(
        &mut self,
        mut finder: Box<dyn SnapshotFinder>,
        snapshot: &Arc<Snapshot>,
    ) -> Option<Result<(Groups, Vec<Problem>), Error>> {
        let is_large = finder.work(snapshot) > LARGE;
        let snapshot = Arc::clone(snapshot);
        // A group that equals the restored one stays the same `Arc`.
        let restored = {
            let known = self.publish.borrow();
            known.value.clone().filter(|_| known.health.restored)
        };
        let find = move || {
            let found = AssertUnwindSafe(|| finder.find(&snapshot, restored.as_ref()));
            let found = std::panic::catch_unwind(found).ok()?;
            Some((finder, found))
        };
        let (finder, found) =
            if is_large { cpu::DISCOVERY.run(move |_| find()).await? } else { find()? };
        self.finder = Some(finder);
        Some(found)
    }

    fn fail(&mut self, error: &Error) {
        let text: Arc<str> = error.to_string().into();
        if self.failure.as_ref() != Some(&text) {
            tracing::error!(
                discovery = self.spec.mechanism,
                asked = %self.spec.what,
                err = %text,
                "Unable to find targets"
            );
        }
        self.failure = Some(text);
    }

    /// Publishes the present state. Ages and counters alone wake no receiver.
    fn publish(&mut self, groups: Option<Groups>, mut health: Health, details: &Details) {
        let is_found = groups.is_some();
        let canonical =
            groups.and_then(|groups| canonicalize(self.publish.borrow().value.as_ref(), groups));
        if canonical.is_some() {
            self.context.refresh.stats.received_updates.add(1);
        }
        let mut problems = self.problems.clone();
        problems.extend(health.problems.iter().cloned());
        let failure = self.failure.clone();
        let differs = self.details.send_replace(details.clone()) != *details;
        self.publish.send_if_modified(|known| {
            let before = &known.health;
            health.restored = before.restored && !is_found;
            let is_empty = canonical.is_none() && known.value.is_none();
            if failure.is_some() || health.restored || is_empty {
                // The published groups were not confirmed.
                health.as_of = before.as_of;
            }
            health.error = failure.or(health.error);
            health.problems = if *before.problems == *problems {
                Arc::clone(&before.problems)
            } else {
                problems.into()
            };
            let is_news = canonical.is_some()
                || before.refreshes != health.refreshes
                || before.restored != health.restored
                || before.error != health.error
                || differs
                || !Arc::ptr_eq(&before.problems, &health.problems);
            if canonical.is_some() {
                known.value = canonical;
            }
            known.health = health;
            is_news
        });
    }
}
