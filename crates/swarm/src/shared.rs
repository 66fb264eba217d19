//! One Swarm that several sources read: listed once for all of them, at the smallest of their refresh
//! intervals, with the lists that they need together.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use swarmscout_model::PromDuration;
use swarmscout_refresh::RefreshContext;
use swarmscout_refresh::supervisor::{self, LastGood, Pace, Partial, RefreshSpec, Supervised};
use tokio::sync::watch;

use super::follower::{FILES_WITHIN, OPEN_WITHIN, STATUS_WITHIN};
use super::{
    Feed, Following, ListScope, Reader, Snapshot, Source, SwarmFollower, SwarmStatus, TaskQuery,
};

/// A Swarm that is followed until this is dropped.
#[derive(Debug)]
pub struct SharedSwarm {
    supervised: Supervised<Arc<Snapshot>>,
    readers: Mutex<Readers>,
    /// What is read in addition, as long as there is a reader.
    companion: Option<Reader>,
    hosts: usize,
    is_local: bool,
    wanted: watch::Sender<ListScope>,
    pace: watch::Sender<Pace>,
    feed: watch::Receiver<Arc<Feed>>,
    tasks: TaskQuery,
    context: RefreshContext,
}

#[derive(Debug, Default)]
struct Readers {
    next: u64,
    present: Vec<(u64, Reader, PromDuration)>,
}

/// One reader. When it is dropped, lists that no other reader needs are no longer requested.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<SharedSwarm>,
    id: u64,
}

impl SharedSwarm {
    /// Requests nothing before there is a reader and [`Self::publish`] is called. `swarm` is the
    /// display name. `companion` is read too, as long as there is a reader.
    pub fn start(
        source: Source,
        swarm: Arc<str>,
        job: &Arc<str>,
        following: Following,
        companion: Option<Reader>,
        context: &RefreshContext,
    ) -> Arc<Self> {
        let hosts = source.engine.hosts.len();
        let is_local = source.engine.is_local();
        let tasks = TaskQuery::new(&source.engine, context);
        let (wanted, scopes) = watch::channel(ListScope::default());
        let pace = Self::pace_of(hosts, is_local, source.engine.refresh_interval, context);
        let (pace, paced) = watch::channel(pace);
        let (feeds, feed) = watch::channel(Arc::new(Feed::new(Arc::clone(&swarm))));
        let build = {
            let (swarm, context) = (Arc::clone(&swarm), context.clone());
            Box::new(move |partial: &Partial<Snapshot>| {
                let follower = SwarmFollower::new(
                    &source,
                    swarm.clone(),
                    scopes.clone(),
                    following,
                    &context,
                )?;
                Ok(Box::new(follower.reporting_to(feeds.clone()).publishing(partial.clone()))
                    as Box<_>)
            })
        };
        let spec = RefreshSpec {
            mechanism: "dockerswarm",
            job: Arc::clone(job),
            what: swarm,
            pace: paced,
            build,
            canonicalize: |known: Option<&Arc<Snapshot>>, snapshot: Snapshot| {
                let same = known.is_some_and(|known| known.is_same(&snapshot));
                (!same).then(|| Arc::new(snapshot))
            },
        };
        let supervised = supervisor::start(spec, context);
        let context = context.clone();
        let readers = Mutex::default();
        Arc::new(Self {
            supervised,
            readers,
            companion,
            hosts,
            is_local,
            wanted,
            pace,
            feed,
            tasks,
            context,
        })
    }

    /// Changes are taken as they come; partial results have a pace of their own.
    fn pace_of(
        hosts: usize,
        is_local: bool,
        interval: PromDuration,
        context: &RefreshContext,
    ) -> Pace {
        let pace = Pace::asking(hosts, is_local, interval, context);
        let deadline = pace.deadline + OPEN_WITHIN + FILES_WITHIN + STATUS_WITHIN;
        Pace { gap: Duration::from_millis(2), deadline, ..pace }
    }

    /// Adds a reader. It counts from the next [`Self::publish`].
    pub fn read(self: &Arc<Self>, reader: Reader, interval: PromDuration) -> Subscription {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let id = readers.next;
        readers.next += 1;
        readers.present.push((id, reader, interval));
        Subscription { shared: Arc::clone(self), id }
    }

    /// Requests the lists that all present readers need.
    pub fn publish(&self) {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(interval) = readers.present.iter().map(|(.., interval)| *interval).min() else {
            return;
        };
        let present = readers.present.iter().map(|(_, reader, _)| reader);
        let wanted = ListScope::of(present.chain(&self.companion));
        let pace = Self::pace_of(self.hosts, self.is_local, interval, &self.context);
        // The pace first: a change of either starts a refresh.
        self.pace.send_if_modified(|known| std::mem::replace(known, pace) != pace);
        self.wanted.send_if_modified(|known| {
            let differs = *known != wanted;
            *known = wanted;
            differs
        });
    }
}

/// The state of a Swarm, as long as it has a reader.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// Its change feed.
    pub feed: watch::Receiver<Arc<Feed>>,
    /// Its last good snapshot, and the health of its refreshes.
    pub known: watch::Receiver<LastGood<Arc<Snapshot>>>,
    /// Asks it for tasks that the snapshot does not have; `None` if nothing can be asked.
    pub tasks: Option<TaskQuery>,
    /// Whether all that it has is read, for state metrics.
    pub is_whole: bool,
}

impl Swarm {
    /// The state of this Swarm.
    pub fn of(shared: &SharedSwarm) -> Self {
        let (feed, known) = (shared.feed.clone(), shared.supervised.last_good());
        let is_whole = shared.companion.is_some();
        Self { feed, known, tasks: Some(shared.tasks.clone()), is_whole }
    }

    /// The newest; `None` without a reader.
    pub fn status(&self) -> Option<SwarmStatus> {
        self.feed.has_changed().ok()?;
        let feed = Arc::clone(&self.feed.borrow());
        Some(SwarmStatus { feed, as_of: self.known.borrow().health.as_of })
    }
}

impl Subscription {
    /// The last good snapshot of the Swarm.
    pub fn last_good(&self) -> watch::Receiver<LastGood<Arc<Snapshot>>> {
        self.shared.supervised.last_good()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut readers = self.shared.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.present.retain(|(id, ..)| *id != self.id);
        drop(readers);
        self.shared.publish();
    }
}
