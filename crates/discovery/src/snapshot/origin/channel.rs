//! What tells of the changes of a Swarm: begun, held against what is listed, given up, begun again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use swarmscout_net::Host;
use tokio::time::Instant;

use super::Origin;
use crate::config::Events;
use crate::engine::{EVENTS_WITHIN, NoEvents, Seen};
use crate::snapshot::FeedKind;
use crate::snapshot::listening::Listening;
use crate::snapshot::settling::Settling;
use crate::snapshot::watching::Watching;
use crate::swarmkit::ControlSocket;

/// So often is a stream begun again by itself, at growing gaps; after that each regular look tries.
const TRIES: u32 = 4;

/// What lasted so many times as long as the shortest of those gaps is begun again as if for the
/// first time.
const LASTED: u32 = 12;

/// How long beginning to watch may take, and each question to the control socket. It is on this
/// machine.
const SOCKET_DEADLINE: Duration = Duration::from_secs(2);

/// How long all that a look does besides listing may take.
pub(in crate::snapshot) const BEGIN_WITHIN: Duration =
    SOCKET_DEADLINE.saturating_mul(2).saturating_add(EVENTS_WITHIN);

/// What tells of changes.
#[derive(Debug)]
pub(super) enum Channel {
    None,
    Watch(Box<Watching>),
    Events(Listening),
}

impl Channel {
    pub(super) const fn kind(&self) -> FeedKind {
        match self {
            Self::None => FeedKind::Poll,
            Self::Watch(_) => FeedKind::Watch,
            Self::Events(_) => FeedKind::Events,
        }
    }

    /// Why it is over, if it is.
    pub(super) fn ended(&self) -> Option<Arc<str>> {
        match self {
            Self::None => None,
            Self::Watch(watching) => watching.ended(),
            Self::Events(listening) => listening.ended(),
        }
    }
}

impl Origin {
    /// Drops what tells of changes no more.
    pub(super) fn end_channel(&mut self) {
        let overdue = self.confirm_by.is_some_and(|by| by <= Instant::now());
        let reason = match self.channel.ended() {
            Some(reason) => reason,
            None if overdue => {
                let count = self.store.unconfirmed();
                Arc::make_mut(&mut self.feed).drift += count as u64;
                format!("the watch did not tell of {count} changes that were listed").into()
            }
            None => return,
        };
        tracing::warn!(
            swarm = %self.feed.swarm,
            feed = self.channel.kind().as_str(),
            err = %reason,
            "Changes are told no more"
        );
        self.drop_channel(reason);
    }

    fn drop_channel(&mut self, reason: Arc<str>) {
        self.channel = Channel::None;
        self.listed = false;
        self.confirm_by = None;
        self.settling = Settling::default();
        self.node = None;
        self.hosts.ask_for_info();
        let lasted = self.since.elapsed() >= LASTED * self.context.following.begin_again;
        self.failed = self.failed.filter(|_| !lasted).or(Some(0));
        self.begin_better(self.since);
        Arc::make_mut(&mut self.feed).reason = Some(reason);
        self.note_feed(None);
    }

    /// Begins the best that there is, unless it is in use already, or was tried a moment ago.
    pub(super) async fn begin_channel(&mut self) {
        let wanted = match (&self.channel, self.events) {
            (Channel::Watch(_), _) | (_, Events::Poll) | (Channel::Events(_), Events::Events) => {
                return;
            }
            (_, Events::Events) => &[FeedKind::Events][..],
            (_, Events::Watch) | (Channel::Events(_), Events::Auto) => &[FeedKind::Watch][..],
            (Channel::None, Events::Auto) => &[FeedKind::Watch, FeedKind::Events][..],
        };
        let now = Instant::now();
        if let Some(next) = self.begun.map(|begun| begun + self.context.following.begin_again)
            && now < next
        {
            self.begin_at = self.failed.map(|_| next);
            return;
        }
        self.begun = Some(now);
        self.begun_at = Some(self.hosts.place());
        self.begin_at = None;
        let mut reason = None;
        for kind in wanted {
            let begun = match kind {
                FeedKind::Watch => self.begin_watch().await,
                FeedKind::Events => self.begin_events().await,
                FeedKind::Poll => continue,
            };
            match begun {
                Ok(channel) => {
                    self.channel = channel;
                    self.since = now;
                    self.listed = false;
                    self.confirm_by = None;
                    self.settling = Settling::default();
                    if *kind == wanted[0] {
                        self.failed.get_or_insert(0);
                    } else if reason.is_some() {
                        self.begin_better(now);
                    }
                    let feed = Arc::make_mut(&mut self.feed);
                    feed.begun += 1;
                    feed.reason = reason;
                    return;
                }
                Err(why) => reason = why.map(Arc::from).or(reason),
            }
        }
        if reason.is_some() {
            Arc::make_mut(&mut self.feed).reason = reason;
        }
        self.begin_better(now);
    }

    /// Tries again after a while where a better channel was in use once, which has gone for a moment
    /// then: an Engine that starts again.
    fn begin_better(&mut self, now: Instant) {
        let Some(failed) = &mut self.failed else { return };
        let gap = self.context.following.begin_again;
        self.begin_at = (*failed < TRIES).then(|| now + gap * (1 << *failed));
        *failed = failed.saturating_add(1);
    }

    /// Begins to watch. The reason why not is missing where nobody would expect a watch.
    async fn begin_watch(&self) -> Result<Channel, Option<String>> {
        let beside = self.hosts.current().socket_path().map(beside);
        let Some(path) = self.swarmkit_socket.clone().or(beside) else {
            let text = "a watch needs SwarmKit's control socket, which is only on the manager \
                        itself: name it with swarmkit_socket";
            return Err((self.events == Events::Watch).then(|| text.to_owned()));
        };
        let deadline = Instant::now() + SOCKET_DEADLINE;
        let begun = async {
            let connection = ControlSocket::new(&path, &self.context).connect(deadline).await;
            let mut connection = connection.map_err(|error| error.to_string())?;
            let watch = connection.watch(deadline).await.map_err(|error| error.to_string())?;
            let mut watching = Watching::new(connection, watch, &self.context.tasks);
            if let Some(node) = &self.node {
                recognise(&mut watching, node, self.hosts.current()).await?;
            }
            Ok::<_, String>(watching)
        };
        match begun.await {
            Ok(watching) => Ok(Channel::Watch(Box::new(watching))),
            Err(reason) => Err(Some(reason)),
        }
    }

    async fn begin_events(&mut self) -> Result<Channel, Option<String>> {
        match self.hosts.events().await {
            Ok(stream) => Ok(Channel::Events(Listening::new(stream, &self.context.tasks))),
            Err(NoEvents::Withheld(reason)) => Err(Some(reason)),
            Err(NoEvents::Failed(error)) => Err(Some(error.to_string())),
        }
    }

    /// Whether what tells of changes is of use beside this listing: events of the host that
    /// answered, and a watch of its Swarm whose connection still stands. What is not is dropped.
    pub(super) async fn suits(&mut self, seen: &Seen) -> bool {
        let listed = || seen.lists.nodes.iter().map(|node| node.id.to_string()).min();
        let node = seen.info.as_ref().map(|info| info.node.clone()).filter(|id| !id.is_empty());
        self.node = node.or_else(listed);
        let reason = match &mut self.channel {
            Channel::None => return self.begun_at == Some(seen.host) || self.begun_at.is_none(),
            Channel::Events(_) if self.begun_at == Some(seen.host) => return true,
            Channel::Events(_) => {
                let reason = format!("{} answers instead", self.hosts.current());
                self.drop_channel(reason.into());
                return false;
            }
            Channel::Watch(watching) => match &self.node {
                Some(node) => recognise(watching, node, self.hosts.current()).await,
                None => Err("the Engine does not tell which node it is, so nobody knows whether \
                             the control socket is that of its Swarm"
                    .to_owned()),
            },
        };
        let Err(reason) = reason else { return true };
        let node = self.node.take();
        self.asks_for_nodes |= node.is_none();
        self.drop_channel(reason.into());
        // It is asked for before anything else the next time.
        self.node = node;
        false
    }
}

/// Makes sure that a watch is of the Swarm of this node, for which `host` answers.
async fn recognise(watching: &mut Watching, node: &str, host: &Host) -> Result<(), String> {
    match watching.knows_node(node, Instant::now() + SOCKET_DEADLINE).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!(
            "the control socket is that of another Swarm: node {node}, which {host} answers for, \
             is not in it"
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// The control socket beside an Engine's own, where dockerd puts it unless told otherwise.
fn beside(socket: &Path) -> PathBuf {
    socket.with_file_name("docker").join("swarm").join("control.sock")
}
