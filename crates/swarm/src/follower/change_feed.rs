//! The change feed of a Swarm: opened, compared with what is listed, closed, opened again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use swarmscout_docker::engine::{EVENTS_WITHIN, HostLists, NoEvents, StreamEnd};
use swarmscout_docker::swarmkit::ControlSocket;
use swarmscout_net::Host;
use swarmscout_refresh::{Backoff, Refreshed};
use tokio::time::Instant;

use super::SwarmFollower;
use crate::Error;
use crate::Events;
use crate::event_feed::EventFeed;
use crate::relist_schedule::RelistSchedule;
use crate::watch_feed::WatchFeed;
use crate::{FeedKind, Snapshot};

/// How often a better feed is tried by itself, at growing pauses; after that each full refresh tries.
const TRIES: u32 = 4;

/// Why a better feed is not open, right after the Engine answers again.
const NOT_TRIED: &str = "not tried yet since the Engine answers again";

/// A feed that lasted this many times the shortest of those pauses starts the pauses again.
const LASTED: u32 = 12;

/// How long opening a watch may take, and each request to the control socket. It is on this machine.
const SOCKET_DEADLINE: Duration = Duration::from_secs(2);

/// How long a refresh may take for everything but listing.
pub(crate) const OPEN_WITHIN: Duration =
    SOCKET_DEADLINE.saturating_mul(2).saturating_add(EVENTS_WITHIN);

/// Attempts to open a better feed than the one in use.
#[derive(Debug)]
pub(super) struct Retry {
    /// Counts those that failed, or did not last, since the first good refresh after failures or
    /// since a feed last lasted.
    backoff: Backoff,
    /// When to try again, sooner than at the next full refresh.
    pub(super) at: Option<Instant>,
    /// Whether the last one failed because the Engine did not answer.
    engine_failed: bool,
    /// Whether it was logged that the feed is closed, and not yet that it is open again.
    is_lost: bool,
}

impl Retry {
    /// No attempt yet; `pause` is the one after the first.
    pub(super) const fn new(pause: Duration) -> Self {
        Self { backoff: Backoff::new(pause), at: None, engine_failed: false, is_lost: false }
    }
}

/// Reports changes between listings.
#[derive(Debug)]
pub(super) enum ChangeFeed {
    None,
    Watch(Box<WatchFeed>),
    Events(EventFeed),
}

impl ChangeFeed {
    pub(super) const fn kind(&self) -> FeedKind {
        match self {
            Self::None => FeedKind::Poll,
            Self::Watch(_) => FeedKind::Watch,
            Self::Events(_) => FeedKind::Events,
        }
    }

    /// Whether it is over.
    pub(super) fn has_ended(&self) -> bool {
        self.ended().is_some()
    }

    /// Why it is over, if it is.
    fn ended(&self) -> Option<Arc<str>> {
        match self {
            Self::None => None,
            Self::Watch(watch_feed) => watch_feed.ended(),
            Self::Events(events) => events.ended().map(|end| end.to_string().into()),
        }
    }

    /// Whether it is a stream of events that was only closed.
    fn is_closed(&self) -> bool {
        let Self::Events(events) = self else { return false };
        events.ended().is_some_and(|end| matches!(*end, StreamEnd::Closed(_)))
    }
}

impl SwarmFollower {
    /// Drops a feed that has ended, or opens it again if it was only closed.
    pub(super) async fn close_feed(&mut self) {
        if self.can_reopen(Instant::now()) {
            self.reopen().await;
            return;
        }
        let overdue = self.confirm_by.is_some_and(|by| by <= Instant::now());
        let reason = match self.change_feed.ended() {
            Some(reason) => reason,
            None if overdue => {
                let count = self.store.unconfirmed();
                Arc::make_mut(&mut self.feed).drift += count as u64;
                format!("the watch did not report {count} changes that were listed").into()
            }
            None => return,
        };
        self.lose_feed(reason);
    }

    /// Whether events were only closed and may be opened again: by a proxy that ends idle streams, and
    /// not by one that ends every stream.
    pub(super) fn can_reopen(&self, now: Instant) -> bool {
        self.change_feed.is_closed()
            && self.opened_at == Some(self.hosts.place())
            && self.next_open().is_none_or(|next| next <= now)
    }

    /// When the next feed may be opened.
    fn next_open(&self) -> Option<Instant> {
        self.opened.map(|opened| opened + self.following.reopen_after)
    }

    /// Opens events again that were closed. Returns whether they are open.
    async fn reopen(&mut self) -> bool {
        self.opened = Some(Instant::now());
        match self.open_events().await {
            Ok(opened) => {
                tracing::debug!(
                    swarm = %self.feed.swarm,
                    err = self.change_feed.ended().as_deref(),
                    "Events were closed and are open again"
                );
                self.change_feed = opened;
                Arc::make_mut(&mut self.feed).starts += 1;
                true
            }
            Err(reason) => {
                let reason = reason.map(Arc::from).or_else(|| self.change_feed.ended());
                self.lose_feed(reason.unwrap_or_default());
                false
            }
        }
    }

    /// Opens events again that were closed, and lists what they named before.
    pub(super) async fn reopen_and_follow(&mut self) -> Result<Refreshed<Snapshot>, Error> {
        self.apply_pending().await;
        if self.reopen().await {
            return self.refresh_changes().await;
        }
        Ok(self.present())
    }

    /// Tries a better feed. If it opens, everything is listed next.
    pub(super) async fn upgrade(&mut self) -> Result<Refreshed<Snapshot>, Error> {
        self.apply_pending().await;
        self.retry.backoff.failed(Duration::MAX);
        self.retry.at = None;
        self.opened = None;
        self.open_feed().await;
        if self.listed {
            self.schedule_upgrade(false);
        }
        self.note_feed(None);
        Ok(self.present())
    }

    /// Schedules the next attempt to open a better feed after a good refresh, if there is one: at once
    /// if the Engine did not answer before. `recovers`: it was the first good refresh, or the first
    /// after failures.
    pub(super) fn schedule_upgrade(&mut self, recovers: bool) {
        self.retry.at = None;
        if self.feed.reason.is_none() {
            return;
        }
        let now = Instant::now();
        let backoff = &mut self.retry.backoff;
        if recovers || (self.retry.engine_failed && backoff.failures() == 0) {
            backoff.succeeded();
            self.retry.at = Some(now);
            if self.retry.engine_failed {
                Arc::make_mut(&mut self.feed).reason = Some(NOT_TRIED.into());
            }
        } else if backoff.failures() < TRIES {
            self.retry.at = Some(self.opened.unwrap_or(now) + backoff.next_pause(Duration::MAX));
        }
    }

    /// Drops a feed that has ended, and logs it.
    fn lose_feed(&mut self, reason: Arc<str>) {
        tracing::warn!(
            swarm = %self.feed.swarm,
            feed = self.change_feed.kind().as_str(),
            err = %reason,
            "Change feed closed"
        );
        self.retry.is_lost = true;
        self.drop_feed(reason);
    }

    pub(super) fn drop_feed(&mut self, reason: Arc<str>) {
        self.change_feed = ChangeFeed::None;
        self.listed = false;
        self.confirm_by = None;
        self.relists = RelistSchedule::default();
        self.node = None;
        self.hosts.ask_for_info();
        let lasted = self.since.elapsed() >= LASTED * self.following.reopen_after;
        if lasted {
            self.retry.backoff.succeeded();
        } else {
            self.retry.backoff.failed(Duration::MAX);
        }
        self.retry.engine_failed = false;
        Arc::make_mut(&mut self.feed).reason = Some(reason);
        self.note_feed(None);
    }

    /// Opens the best feed, unless it is in use, or was tried a moment ago.
    pub(super) async fn open_feed(&mut self) {
        let wanted = match (&self.change_feed, self.events) {
            (ChangeFeed::Watch(_), _)
            | (_, Events::Poll)
            | (ChangeFeed::Events(_), Events::Events) => {
                return;
            }
            (_, Events::Events) => &[FeedKind::Events][..],
            (_, Events::Watch) | (ChangeFeed::Events(_), Events::Auto) => &[FeedKind::Watch][..],
            (ChangeFeed::None, Events::Auto) => &[FeedKind::Watch, FeedKind::Events][..],
        };
        let now = Instant::now();
        if self.next_open().is_some_and(|next| now < next) {
            return;
        }
        self.opened = Some(now);
        self.opened_at = Some(self.hosts.place());
        self.retry.engine_failed = false;
        let mut reason = None;
        for kind in wanted {
            let opened = match kind {
                FeedKind::Watch => self.open_watch().await,
                FeedKind::Events => self.open_events().await,
                FeedKind::Poll => continue,
            };
            match opened {
                Ok(opened) => {
                    self.change_feed = opened;
                    self.since = now;
                    self.listed = false;
                    self.confirm_by = None;
                    self.relists = RelistSchedule::default();
                    if std::mem::take(&mut self.retry.is_lost) {
                        let feed = self.change_feed.kind().as_str();
                        tracing::info!(swarm = %self.feed.swarm, feed, "Change feed open again");
                    }
                    let feed = Arc::make_mut(&mut self.feed);
                    feed.starts += 1;
                    feed.reason = reason;
                    return;
                }
                Err(why) => reason = why.map(Arc::from).or(reason),
            }
        }
        if reason.is_some() {
            Arc::make_mut(&mut self.feed).reason = reason;
        }
    }

    /// Opens a watch. `Err(None)`: none is expected, so that is not a reason to report.
    async fn open_watch(&self) -> Result<ChangeFeed, Option<String>> {
        let beside = self.hosts.current().socket_path().map(beside);
        let Some(path) = self.swarmkit_socket.clone().or(beside) else {
            let text = "a watch needs SwarmKit's control socket, which is only on the manager \
                        itself: name it with swarmkit_socket";
            return Err((self.events == Events::Watch).then(|| text.to_owned()));
        };
        let deadline = Instant::now() + SOCKET_DEADLINE;
        let opened = async {
            let connection = ControlSocket::new(&path, &self.context).connect(deadline).await;
            let mut connection = connection.map_err(|error| error.to_string())?;
            let watch = connection.watch(deadline).await.map_err(|error| error.to_string())?;
            let mut watch_feed = WatchFeed::new(connection, watch, &self.context.tasks);
            if let Some(node) = &self.node {
                recognise(&mut watch_feed, node, self.hosts.current()).await?;
            }
            Ok::<_, String>(watch_feed)
        };
        match opened.await {
            Ok(watch_feed) => Ok(ChangeFeed::Watch(Box::new(watch_feed))),
            Err(reason) => Err(Some(reason)),
        }
    }

    async fn open_events(&mut self) -> Result<ChangeFeed, Option<String>> {
        match self.hosts.events(self.following.quiet).await {
            Ok(stream) => Ok(ChangeFeed::Events(EventFeed::new(stream, &self.context.tasks))),
            Err(NoEvents::Withheld(reason)) => Err(Some(reason)),
            Err(NoEvents::Failed(error)) => {
                self.retry.engine_failed = true;
                Err(Some(error.to_string()))
            }
        }
    }

    /// Whether the feed matches this listing: events of the host that answered, or a watch of its
    /// Swarm whose connection still works. Drops it if not.
    pub(super) async fn suits(&mut self, answer: &HostLists) -> bool {
        let listed = || answer.lists.nodes.iter().map(|node| node.id.to_string()).min();
        let node = answer.info.as_ref().map(|info| info.node.clone()).filter(|id| !id.is_empty());
        self.node = node.or_else(listed);
        let reason = match &mut self.change_feed {
            ChangeFeed::None => {
                return self.opened_at == Some(answer.host) || self.opened_at.is_none();
            }
            ChangeFeed::Events(_) if self.opened_at == Some(answer.host) => return true,
            ChangeFeed::Events(_) => {
                let reason = format!("{} answers instead", self.hosts.current());
                self.drop_feed(reason.into());
                return false;
            }
            ChangeFeed::Watch(watch_feed) => match &self.node {
                Some(node) => recognise(watch_feed, node, self.hosts.current()).await,
                None => Err("the Engine does not say which node it is, so it is unknown whether \
                             the control socket is that of its Swarm"
                    .to_owned()),
            },
        };
        let Err(reason) = reason else { return true };
        let node = self.node.take();
        self.asks_for_nodes |= node.is_none();
        self.drop_feed(reason.into());
        // The next watch must know it.
        self.node = node;
        false
    }
}

/// Fails if a watch is not of the Swarm of this node, for which `host` answers.
async fn recognise(watch_feed: &mut WatchFeed, node: &str, host: &Host) -> Result<(), String> {
    match watch_feed.knows_node(node, Instant::now() + SOCKET_DEADLINE).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!(
            "the control socket is that of another Swarm: node {node}, which {host} answers for, \
             is not in it"
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// The control socket next to an Engine's own, where dockerd puts it by default.
fn beside(socket: &Path) -> PathBuf {
    socket.with_file_name("docker").join("swarm").join("control.sock")
}
