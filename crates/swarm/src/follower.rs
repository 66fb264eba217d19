//! Keeps a replica of a Swarm: lists it at each refresh interval, and applies the changes that a
//! change feed reports in between.
//!
//! Invariants:
//! - A change feed is open before the listing that its changes are applied to.
//! - A change feed decides how soon a change is seen, never what is seen in the end: every full
//!   refresh lists everything.
//! - A watch is used only if the node that answers the listing belongs to its Swarm.
//! - A broken stream is opened again, at another host if necessary, but not more often than
//!   [`Following`] allows: until then, and without any stream, each refresh lists. A stream of events
//!   that a proxy closed because it was idle is opened again without a listing: an event that is lost
//!   in between costs one refresh interval.
//! - After a good refresh with a lesser feed the better one is tried again, at once after a failure
//!   and then at growing pauses, without a listing until it is open.
//! - A refresh that fails or is canceled loses no reported change. Until one succeeds, no reported
//!   change starts another.
//! - A list that cannot be read does not affect the others. Its objects stay, but its readers get
//!   nothing new, unless a watch keeps it up to date.

mod change_feed;
mod failed_lists;
mod relist;

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use swarmscout_docker::engine::{HostFiles, HostLists, Hosts, List, NetworkStatuses, Query};
use swarmscout_docker::swarmkit::{Change, Object};
use swarmscout_refresh::supervisor::Partial;
use swarmscout_refresh::{
    Backoff, BoxFuture, Discoverer, Problem, RefreshContext, RefreshScope, Refreshed,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

pub(super) use self::change_feed::OPEN_WITHIN;
use self::change_feed::{ChangeFeed, Retry};
use self::relist::is_not_found;
use super::relist_schedule::RelistSchedule;
use super::store::{Beside, Store};
use super::{Events, Feed, Following, ListFilter, ListScope, Snapshot, Source};
use crate::Error;

/// How often one refresh opens another feed because the open one does not match the host that
/// answered.
const MOST_REOPENS: u32 = 3;

/// The most unreadable events that are reported between two full refreshes.
const MOST_PROBLEMS: usize = 1000;

/// How long configs and secrets may take: they are small.
pub(super) const FILES_WITHIN: Duration = Duration::from_secs(1);

/// How long the addresses of networks may take.
pub(super) const STATUS_WITHIN: Duration = Duration::from_secs(3);

/// The most networks that are asked for.
const MOST_NETWORKS: usize = 500;

/// The shortest time between two partial results of one listing.
const PARTIAL_GAP: Duration = Duration::from_millis(20);

/// Keeps a replica of one Swarm.
#[derive(Debug)]
pub struct SwarmFollower {
    hosts: Hosts,
    wanted: watch::Receiver<ListScope>,
    events: Events,
    swarmkit_socket: Option<PathBuf>,
    change_feed: ChangeFeed,
    /// Whether the snapshot was listed after `change_feed` was opened.
    listed: bool,
    /// When `change_feed` was opened.
    since: Instant,
    /// When opening a feed was last tried.
    opened: Option<Instant>,
    /// At which host.
    opened_at: Option<usize>,
    /// When to try to open a better one.
    retry: Retry,
    /// Pauses after lists that could not be read.
    list_backoff: Backoff,
    /// When to list everything again, because lists could not be read.
    relist_at: Option<Instant>,
    store: Store,
    /// By when the watch must report what the last listing showed.
    confirm_by: Option<Instant>,
    relists: RelistSchedule,
    /// The node that answered last, which a watch must know.
    node: Option<String>,
    /// Whether nodes must be listed to know one.
    asks_for_nodes: bool,
    /// Whether no refresh has ended yet, or the last one failed.
    is_failing: bool,
    feed: Arc<Feed>,
    /// Where partial results are published.
    partial: Partial<Snapshot>,
    /// Publishes `feed`, after failed refreshes too.
    feeds: watch::Sender<Arc<Feed>>,
    /// Of the last full refresh.
    problems: Vec<Problem>,
    as_of: std::time::Instant,
    following: Following,
    context: RefreshContext,
}

impl SwarmFollower {
    /// Does not connect yet. Fails if a host or its TLS options cannot be used. `wanted` has the lists
    /// that readers need, and may change; `swarm` is the display name.
    pub fn new(
        source: &Source,
        swarm: Arc<str>,
        wanted: watch::Receiver<ListScope>,
        following: Following,
        context: &RefreshContext,
    ) -> Result<Self, Error> {
        let feed = Arc::new(Feed::new(swarm));
        Ok(Self {
            hosts: Hosts::new(&source.engine, context)?,
            wanted,
            events: source.events,
            swarmkit_socket: source.swarmkit_socket.clone(),
            change_feed: ChangeFeed::None,
            listed: false,
            since: Instant::now(),
            opened: None,
            opened_at: None,
            retry: Retry::new(following.reopen_after),
            list_backoff: Backoff::new(following.reopen_after),
            relist_at: None,
            store: Store::default(),
            confirm_by: None,
            relists: RelistSchedule::default(),
            node: None,
            asks_for_nodes: false,
            is_failing: true,
            partial: Partial::new(drop),
            feeds: watch::Sender::new(Arc::clone(&feed)),
            feed,
            problems: Vec::new(),
            as_of: std::time::Instant::now(),
            following,
            context: context.clone(),
        })
    }

    /// Publishes the state of its feed there, after failed refreshes too, and continues its counters.
    #[must_use]
    pub(super) fn reporting_to(mut self, feeds: watch::Sender<Arc<Feed>>) -> Self {
        self.feed = Arc::clone(&feeds.borrow());
        self.feeds = feeds;
        self
    }

    /// Publishes there what a refresh knows before it is finished.
    #[must_use]
    pub fn publishing(mut self, partial: Partial<Snapshot>) -> Self {
        self.partial = partial;
        self
    }

    async fn refresh_everything(&mut self) -> Result<Refreshed<Snapshot>, Error> {
        let scope = self.wanted.wait_for(|scope| *scope != ListScope::default()).await.map(drop);
        scope.map_err(|_| Error::NoReader)?;
        let recovers = std::mem::replace(&mut self.is_failing, true);
        // Pending changes may confirm the last listing. They do not wait for this one, which may
        // fail.
        let is_news = self.apply_pending().await;
        if is_news && self.listed && self.scope().covers(&self.store.snapshot().scope) {
            self.note_feed(None);
            self.partial.publish(self.present());
        }
        self.close_feed().await;
        self.open_feed().await;
        // Every object that is due is listed now.
        let now = Instant::now();
        let objects = self.relists.take(now);
        let mut reopens = 0;
        let mut skipped_hosts = Vec::new();
        let (listed, scope) = loop {
            // It may change while lists are read: the snapshot has the scope that was requested.
            let scope = self.scope();
            let mut listed = self.list(&scope).await?;
            listed.problems.append(&mut skipped_hosts);
            listed.problems.sort();
            listed.problems.dedup();
            if self.suits(&listed.value).await || reopens == MOST_REOPENS {
                break (listed, scope);
            }
            // The feed is opened first, and then everything is listed again.
            reopens += 1;
            self.opened = None;
            self.open_feed().await;
            if matches!(self.change_feed, ChangeFeed::None) {
                break (listed, scope);
            }
            // A host that was skipped at first is not asked again.
            skipped_hosts = listed.problems;
            skipped_hosts.retain(|problem| problem.kind == "host");
        };
        let Refreshed { value: HostLists { lists, failed, info, .. }, as_of, problems } = listed;
        let failed = self.note_failed(failed, &scope);
        let beside = match self.change_feed {
            ChangeFeed::Watch(_) if self.listed => Beside::Watch,
            _ => Beside::Nothing,
        };
        let this_node = info.as_ref().map_or("", |info| &info.node);
        let this_node = Arc::from(this_node);
        let before = self.store.snapshot().clone();
        let (with_files, with_status) = (scope.files, scope.network_status);
        self.store.replace(&lists, failed, scope, this_node, beside, now_micros());
        let files = if with_files { self.list_files().await } else { HostFiles::default() };
        self.store.note_files(files, info.clone());
        let status = if with_status { self.network_status().await } else { NetworkStatuses::new() };
        self.store.note_network_status(status);
        self.listed = true;
        self.problems = problems;
        self.as_of = as_of;
        let waits = self.store.unconfirmed() > 0;
        let within = self.following.confirmed_within;
        self.confirm_by = waits.then(|| self.confirm_by.unwrap_or_else(|| Instant::now() + within));
        self.note_quiescent(&objects, now);
        if matches!(self.change_feed, ChangeFeed::Events(_)) {
            self.note_changing(&before, now);
        }
        self.apply_pending().await;
        self.is_failing = false;
        self.schedule_upgrade(recovers);
        let managers = info.map(|info| info.managers.clone());
        self.note_feed(managers);
        Ok(self.present())
    }

    /// Reads configs and secrets. They wait for the lists, and nothing waits long for them.
    async fn list_files(&mut self) -> HostFiles {
        let Ok(files) = timeout(FILES_WITHIN, self.hosts.list_files()).await else {
            let error: Arc<str> = format!("no complete answer within {FILES_WITHIN:?}").into();
            let failed = [List::Configs, List::Secrets].map(|list| (list, Arc::clone(&error)));
            return HostFiles { failed: failed.into(), ..HostFiles::default() };
        };
        files
    }

    /// Asks for the networks of the Swarm one by one.
    async fn network_status(&self) -> NetworkStatuses {
        let networks = self.store.snapshot().networks.objects();
        let networks = networks.filter(|network| &*network.scope == "swarm").take(MOST_NETWORKS);
        let networks: Vec<_> = networks.map(|network| Arc::clone(&network.id)).collect();
        self.hosts.network_status(networks, STATUS_WITHIN).await
    }

    /// The lists to request: with a watch each as a whole, since it reports changes of all objects.
    fn scope(&self) -> ListScope {
        let wanted = self.wanted.borrow().clone();
        match self.change_feed {
            ChangeFeed::Watch(_) if self.asks_for_nodes => {
                ListScope { nodes: ListFilter::All, ..wanted.unfiltered() }
            }
            ChangeFeed::Watch(_) => wanted.unfiltered(),
            ChangeFeed::None | ChangeFeed::Events(_) => wanted,
        }
    }

    /// Lists. For a large Swarm that takes seconds, so changes that a watch reports are published as
    /// partial results, based on the previous snapshot. They are applied again to the listing.
    async fn list(
        &mut self,
        scope: &ListScope,
    ) -> Result<Refreshed<HostLists>, swarmscout_docker::Error> {
        let query = Query::of_swarm(scope.lists());
        let Self { hosts, change_feed, listed, store, feed, problems, partial, .. } = self;
        let mut listing = pin!(hosts.list(&query));
        let ChangeFeed::Watch(watch_feed) = change_feed else { return listing.await };
        // Lists without a reader are not published again.
        if !*listed || !scope.covers(&store.snapshot().scope) {
            return listing.await;
        }
        let mut store = store.clone();
        loop {
            tokio::select! {
                listed = &mut listing => return listed,
                () = watch_feed.has_new() => {}
            }
            if watch_feed.ended().is_some() {
                return listing.await;
            }
            // A watch does not have all members of nodes and networks that a listing has.
            let mut changes = watch_feed.show();
            changes.retain(|change| {
                let (Change::Changed(object) | Change::Removed(object)) = change;
                matches!(object, Object::Service(_) | Object::Task(_))
            });
            let now = now_micros();
            store.apply_all(&changes, now);
            let value = Snapshot { feed: Some(Arc::clone(feed)), ..store.snapshot().clone() };
            let as_of = std::time::Instant::now();
            partial.publish(Refreshed { value, as_of, problems: problems.clone() });
            tokio::select! {
                listed = &mut listing => return listed,
                () = sleep(PARTIAL_GAP) => {}
            }
        }
    }

    /// Applies the changes since the last call. Returns whether a watch reported any.
    async fn apply_pending(&mut self) -> bool {
        match &mut self.change_feed {
            ChangeFeed::None => false,
            ChangeFeed::Watch(watch_feed) => {
                let changes = watch_feed.take(&self.store.snapshot().nodes).await;
                if changes.is_empty() {
                    return false;
                }
                let now = now_micros();
                self.store.apply_all(&changes, now);
                self.as_of = std::time::Instant::now();
                if self.store.unconfirmed() == 0 {
                    self.confirm_by = None;
                }
                true
            }
            ChangeFeed::Events(events) => {
                let now = Instant::now();
                for object in events.take() {
                    self.relists.note(object, now);
                }
                let problems = events.take_problems();
                if self.problems.len() < MOST_PROBLEMS {
                    self.problems.extend(problems);
                }
                false
            }
        }
    }

    /// Applies reported changes, and lists the objects that events named.
    async fn refresh_changes(&mut self) -> Result<Refreshed<Snapshot>, Error> {
        self.apply_pending().await;
        if matches!(self.change_feed, ChangeFeed::Events(_)) {
            self.is_failing = true;
            let now = Instant::now();
            let objects = self.relists.take(now);
            let listed = match self.relist(&objects).await {
                // A service was removed between two of the lists.
                Err(error) if is_not_found(&error) => self.relist(&objects).await,
                listed => listed,
            };
            match listed {
                Ok(()) => self.note_quiescent(&objects, now),
                Err(error) => self.leave_host(error)?,
            }
            self.is_failing = false;
        }
        self.note_feed(None);
        Ok(self.present())
    }

    /// Publishes the state of the feed.
    fn note_feed(&mut self, managers: Option<Vec<String>>) {
        let news = self.store.take_news();
        let snapshot = self.store.snapshot();
        let objects = [
            snapshot.nodes.len(),
            snapshot.services.len(),
            snapshot.tasks.len(),
            snapshot.networks.len(),
        ];
        let mut feed = Feed::clone(&self.feed);
        let now = SystemTime::now();
        if feed.kind != self.change_feed.kind() {
            feed.kind = self.change_feed.kind();
            feed.since = now;
        }
        if news.changes > 0 {
            feed.changes += news.changes;
            feed.last_change = Some(now);
            feed.late = news.late.or(feed.late);
        }
        feed.objects = objects;
        let host = self.hosts.current().to_string();
        if *feed.host != *host {
            feed.host = host.into();
        }
        if let Some(managers) = managers {
            feed.managers = managers;
        }
        if feed != *self.feed {
            self.feed = Arc::new(feed);
        }
        self.feeds.send_if_modified(|published| {
            let differs = !Arc::ptr_eq(published, &self.feed);
            published.clone_from(&self.feed);
            differs
        });
    }

    fn present(&self) -> Refreshed<Snapshot> {
        let snapshot =
            Snapshot { feed: Some(Arc::clone(&self.feed)), ..self.store.snapshot().clone() };
        Refreshed { value: snapshot, as_of: self.as_of, problems: self.problems.clone() }
    }

    /// Whether only a full refresh is of use now.
    fn must_list(&self, now: Instant) -> bool {
        let snapshot = self.store.snapshot();
        let has_ended = match &self.change_feed {
            ChangeFeed::Events(_) => self.change_feed.has_ended() && !self.can_reopen(now),
            ChangeFeed::None | ChangeFeed::Watch(_) => self.change_feed.has_ended(),
        };
        !self.listed
            || has_ended
            || snapshot.scope != self.scope().without(snapshot.out_of_date())
            || [self.confirm_by, self.relist_at].iter().flatten().any(|by| *by <= now)
            || (matches!(self.change_feed, ChangeFeed::Events(_)) && self.is_much(now))
    }
}

impl SwarmFollower {
    /// Whether a change can be followed without a full refresh.
    fn can_follow(&self, now: Instant) -> bool {
        let is_due = !self.is_failing && self.retry.at.is_some_and(|at| at <= now);
        !self.must_list(now)
            && (is_due
                || self.change_feed.has_ended()
                || !matches!(self.change_feed, ChangeFeed::None))
    }

    /// Follows changes without a full refresh.
    async fn follow(&mut self) -> Result<Refreshed<Snapshot>, Error> {
        let now = Instant::now();
        if !self.can_follow(now) {
            // It no longer can: the next change starts a full refresh.
            return Ok(self.present());
        }
        if self.change_feed.has_ended() {
            self.reopen_and_follow().await
        } else if !self.is_failing && self.retry.at.is_some_and(|at| at <= now) {
            self.upgrade().await
        } else {
            self.refresh_changes().await
        }
    }

    /// Resolves when there is something to follow or to list. Cancel-safe.
    async fn wait(&mut self) {
        let Self { change_feed, wanted, confirm_by, relists, retry, relist_at, .. } = self;
        let (listed, is_failing) = (self.listed, self.is_failing);
        if !listed && !is_failing {
            // The feed was closed, or the next host is to be asked.
            return;
        }
        let changed = async {
            match change_feed {
                ChangeFeed::Watch(watch_feed) if listed => watch_feed.changed().await,
                ChangeFeed::Events(events) if !is_failing => events.changed().await,
                // A change is of no use before the next full refresh.
                _ => std::future::pending().await,
            }
        };
        let scopes = async {
            if wanted.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let relist = relists.next();
        let due = [relist, retry.at, *relist_at].map(|due| due.filter(|_| !is_failing));
        let due = due.into_iter().chain([*confirm_by]).flatten().min();
        let is_due = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => {}
            () = scopes => {}
            () = is_due => {}
        }
    }
}

impl Discoverer<Snapshot> for SwarmFollower {
    type Error = Error;

    fn fetch(&mut self, scope: RefreshScope) -> BoxFuture<'_, Result<Refreshed<Snapshot>, Error>> {
        if scope == RefreshScope::Incremental {
            return Box::pin(self.follow());
        }
        self.wanted.mark_unchanged();
        Box::pin(async {
            let refreshed = self.refresh_everything().await;
            if refreshed.is_err() {
                // The reason why no feed is open is published all the same.
                self.note_feed(None);
            }
            refreshed
        })
    }

    fn changed(&mut self) -> BoxFuture<'_, RefreshScope> {
        Box::pin(async {
            self.wait().await;
            if self.can_follow(Instant::now()) {
                RefreshScope::Incremental
            } else {
                RefreshScope::Full
            }
        })
    }
}

/// Microseconds since 1970.
fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
