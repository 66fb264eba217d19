//! Looks at a Swarm: lists it now and then, and follows what it is told in between.
//!
//! Invariants:
//! - Whatever tells of changes is there before the listing that they are applied to.
//! - What tells of changes makes a difference to how soon one is seen, and never to what is seen in
//!   the end: every look at everything lists everything.
//! - A watch is used only where the node that answers the listing is among those of its Swarm.
//! - A stream that breaks is begun again, at another host if need be, but not more often than
//!   [`Following`](crate::config::Following) says, and more and more seldom if it does not last: in
//!   between, and where there is none, listing is what is left.
//! - A look that fails or is cut off loses nothing that was told; until one succeeds, nothing that is
//!   told begins another.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::buckets::hash_of;
use super::listening::Listening;
use super::settling::{Settling, Thing};
use super::store::{Beside, ListedPart, Store};
use super::watching::Watching;
use super::{Demand, Feed, FeedKind, Part, Snapshot};
use crate::config::{BuildContext, DockerSwarmConfig, EngineConfig, Events};
use crate::engine::{EVENTS_WITHIN, Hosts, List, NoEvents, Query, Seen, Task};
use crate::swarmkit::{Change, ControlSocket, Object};
use crate::{BoxFuture, Discoverer, Error, Look, Problem};
use swarmscout_net::Host;

/// So often is a stream begun again by itself, at growing gaps; after that each regular look tries.
const TRIES: u32 = 4;

/// What lasted so many times as long as the shortest of those gaps is begun again as if for the
/// first time.
const LASTED: u32 = 12;

/// So often does one look begin what tells of changes anew, because it does not suit who answers.
const TURNS: u32 = 3;

/// Events that cannot be read are told up to this number between two looks at everything.
const MOST_PROBLEMS: usize = 1000;

/// More services than these are not listed one by one.
const ONE_BY_ONE: usize = 100;

/// More tasks of services that are gone are not, either: their IDs have to fit into the first line
/// of a request, of which proxies take 16 KiB.
const TASKS_ONE_BY_ONE: usize = 250;

/// How long beginning to watch may take, and each question to the control socket. It is on this
/// machine.
const SOCKET_DEADLINE: Duration = Duration::from_secs(2);

/// The shortest time between two sets that are handed over while a listing is on its way.
const MEANWHILE: Duration = Duration::from_millis(20);

/// How long all that a look does besides listing may take.
pub(super) const BEGIN_WITHIN: Duration =
    SOCKET_DEADLINE.saturating_mul(2).saturating_add(EVENTS_WITHIN);

/// What of the configuration makes a Swarm another one to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where and how to ask. Port, filters and interval are of no matter.
    engine: EngineConfig,
    events: Events,
    swarmkit_socket: Option<PathBuf>,
}

impl Source {
    /// The Swarm of a job.
    pub fn of(config: &DockerSwarmConfig) -> Self {
        let engine = EngineConfig { port: 0, filters: Vec::new(), ..config.engine.clone() };
        Self { engine, events: config.events, swarmkit_socket: config.swarmkit_socket.clone() }
    }

    /// What people call it, without secrets: the hosts, and what of the rest is not as usual.
    pub fn what(&self) -> String {
        let mut what = self.engine.what();
        if self.events != Events::Auto {
            what += " events ";
            what += self.events.as_str();
        }
        if let Some(socket) = &self.swarmkit_socket {
            what += " swarmkit_socket ";
            what += &socket.to_string_lossy();
        }
        what
    }

    /// Whether both look at the same Swarm in the same way, however often.
    pub fn is_same(&self, other: &Self) -> bool {
        let interval = self.engine.refresh_interval;
        let engine = EngineConfig { refresh_interval: interval, ..other.engine.clone() };
        *self == Self { engine, ..other.clone() }
    }
}

/// Looks at one Swarm.
#[derive(Debug)]
pub struct Origin {
    hosts: Hosts,
    demand: watch::Receiver<Demand>,
    events: Events,
    swarmkit_socket: Option<PathBuf>,
    channel: Channel,
    /// Of `channel`: whether what is kept was listed after it had begun.
    listed: bool,
    /// Since when `channel` is in use.
    since: Instant,
    /// When a channel was last begun, or tried to be.
    begun: Option<Instant>,
    /// At which host.
    begun_at: Option<usize>,
    /// How often that failed, or did not last, since one last did. `None` before one was ever in
    /// use.
    failed: Option<u32>,
    /// When to try again, sooner than at the next regular look.
    begin_at: Option<Instant>,
    store: Store,
    /// Until when the watch must have told what the last listing showed.
    confirm_by: Option<Instant>,
    settling: Settling,
    /// The node that answered last, which a watch must know.
    node: Option<String>,
    /// Whether nodes must be listed to know one.
    asks_for_nodes: bool,
    /// Whether the last look did not come to its end.
    is_failing: bool,
    feed: Arc<Feed>,
    /// Where `feed` is told, after failed looks too.
    feeds: watch::Sender<Arc<Feed>>,
    /// Of the last look at everything.
    problems: Vec<Problem>,
    as_of: std::time::Instant,
    context: BuildContext,
}

/// What tells of changes.
#[derive(Debug)]
enum Channel {
    None,
    Watch(Box<Watching>),
    Events(Listening),
}

impl Channel {
    const fn kind(&self) -> FeedKind {
        match self {
            Self::None => FeedKind::Poll,
            Self::Watch(_) => FeedKind::Watch,
            Self::Events(_) => FeedKind::Events,
        }
    }

    /// Why it is over, if it is.
    fn ended(&self) -> Option<Arc<str>> {
        match self {
            Self::None => None,
            Self::Watch(watching) => watching.ended(),
            Self::Events(listening) => listening.ended(),
        }
    }
}

impl Origin {
    /// Asks nobody yet. Fails where a host cannot be used or its TLS options cannot. `demand` says
    /// what is asked for, and may change; `swarm` is what people call the Swarm.
    pub fn new(
        source: &Source,
        swarm: Arc<str>,
        demand: watch::Receiver<Demand>,
        context: &BuildContext,
    ) -> Result<Self, Error> {
        let feed = Arc::new(Feed::new(swarm));
        Ok(Self {
            hosts: Hosts::new(&source.engine, context)?,
            demand,
            events: source.events,
            swarmkit_socket: source.swarmkit_socket.clone(),
            channel: Channel::None,
            listed: false,
            since: Instant::now(),
            begun: None,
            begun_at: None,
            failed: None,
            begin_at: None,
            store: Store::default(),
            confirm_by: None,
            settling: Settling::default(),
            node: None,
            asks_for_nodes: false,
            is_failing: false,
            feeds: watch::Sender::new(Arc::clone(&feed)),
            feed,
            problems: Vec::new(),
            as_of: std::time::Instant::now(),
            context: context.clone(),
        })
    }

    /// Tells there how changes are learned, whatever becomes of a look, and goes on from what was
    /// told there before.
    #[must_use]
    pub(super) fn telling(mut self, feeds: watch::Sender<Arc<Feed>>) -> Self {
        self.feed = Arc::clone(&feeds.borrow());
        self.feeds = feeds;
        self
    }

    async fn look_at_everything(
        &mut self,
        meanwhile: &mut (dyn FnMut(Look<Snapshot>) + Send),
    ) -> Result<Look<Snapshot>, Error> {
        let scope = self.demand.wait_for(|demand| *demand != Demand::default()).await.map(drop);
        scope.map_err(|_| Error::Other("nobody reads what is found".to_owned()))?;
        self.is_failing = true;
        // What was told already may be what a watch is waited for.
        self.take_told().await;
        self.end_channel();
        self.begin_channel().await;
        // Whatever is due is listed now.
        let now = Instant::now();
        let things = self.settling.take(now);
        let mut turns = 0;
        let mut passed_over = Vec::new();
        let (look, scope) = loop {
            // It may change while lists are read: what was not asked for is not known then.
            let scope = self.scope();
            let mut look = self.list(&scope, meanwhile).await?;
            look.problems.append(&mut passed_over);
            look.problems.sort();
            look.problems.dedup();
            if self.suits(&look.what).await || turns == TURNS {
                break (look, scope);
            }
            // What tells of changes comes first, and what it does not tell is listed after it.
            turns += 1;
            self.begun = None;
            self.begin_channel().await;
            if matches!(self.channel, Channel::None) {
                break (look, scope);
            }
            // Who was passed over at first is not asked again.
            passed_over = look.problems;
            passed_over.retain(|problem| problem.kind == "host");
        };
        let Look { what: Seen { lists, info, .. }, as_of, problems } = look;
        let beside = match self.channel {
            Channel::Watch(_) if self.listed => Beside::Watch,
            _ => Beside::Nothing,
        };
        let this_node = info.as_ref().map_or("", |info| &info.node);
        let this_node = Arc::from(this_node);
        self.store.replace(&lists, scope, this_node, beside, now_micros());
        self.listed = true;
        self.problems = problems;
        self.as_of = as_of;
        let waits = self.store.unconfirmed() > 0;
        let within = self.context.following.confirmed_within;
        self.confirm_by = waits.then(|| self.confirm_by.unwrap_or_else(|| Instant::now() + within));
        self.note_settled(&things, now);
        self.take_told().await;
        let managers = info.map(|info| info.managers.clone());
        self.note_feed(managers);
        self.is_failing = false;
        Ok(self.present())
    }

    /// What to ask for: with a watch everything of each list, since it tells of everything.
    fn scope(&self) -> Demand {
        let demand = self.demand.borrow().clone();
        match self.channel {
            Channel::Watch(_) if self.asks_for_nodes => {
                Demand { nodes: Part::All, ..demand.unfiltered() }
            }
            Channel::Watch(_) => demand.unfiltered(),
            Channel::None | Channel::Events(_) => demand,
        }
    }

    /// Lists. Of a large Swarm that takes seconds, so what a watch tells is handed over meanwhile,
    /// made of what was known before; it is applied again to what is listed.
    async fn list(
        &mut self,
        scope: &Demand,
        meanwhile: &mut (dyn FnMut(Look<Snapshot>) + Send),
    ) -> Result<Look<Seen>, Error> {
        let query = Query::of_swarm(scope.lists());
        let Self { hosts, channel, listed, store, feed, problems, .. } = self;
        let mut listing = pin!(hosts.look(&query));
        let Channel::Watch(watching) = channel else { return listing.await };
        // What nobody reads any more is not handed over again.
        if !*listed || !scope.covers(&store.snapshot().scope) {
            return listing.await;
        }
        let mut store = store.clone();
        loop {
            tokio::select! {
                listed = &mut listing => return listed,
                () = watching.told() => {}
            }
            if watching.ended().is_some() {
                return listing.await;
            }
            // Of nodes and networks the watch does not tell all that a listing does.
            let told = watching.show().iter().filter(|change| {
                let (Change::Changed(object) | Change::Removed(object)) = change;
                matches!(object, Object::Service(_) | Object::Task(_))
            });
            let now = now_micros();
            told.for_each(|change| store.apply(change, now));
            let what = Snapshot { feed: Some(Arc::clone(feed)), ..store.snapshot().clone() };
            let as_of = std::time::Instant::now();
            meanwhile(Look { what, as_of, problems: problems.clone() });
            tokio::select! {
                listed = &mut listing => return listed,
                () = sleep(MEANWHILE) => {}
            }
        }
    }

    /// Drops what tells of changes no more.
    fn end_channel(&mut self) {
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
    async fn begin_channel(&mut self) {
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
    async fn suits(&mut self, seen: &Seen) -> bool {
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

    /// Applies what was told since this was last done.
    async fn take_told(&mut self) {
        match &mut self.channel {
            Channel::None => {}
            Channel::Watch(watching) => {
                let changes = watching.take(&self.store.snapshot().nodes).await;
                if changes.is_empty() {
                    return;
                }
                let now = now_micros();
                for change in &changes {
                    self.store.apply(change, now);
                }
                self.as_of = std::time::Instant::now();
                if self.store.unconfirmed() == 0 {
                    self.confirm_by = None;
                }
            }
            Channel::Events(listening) => {
                let now = Instant::now();
                for thing in listening.take() {
                    self.settling.note(thing, now);
                }
                let problems = listening.take_problems();
                if self.problems.len() < MOST_PROBLEMS {
                    self.problems.extend(problems);
                }
            }
        }
    }

    /// Follows what was told, without a look at everything.
    async fn look_at_changes(&mut self) -> Result<Look<Snapshot>, Error> {
        self.take_told().await;
        if matches!(self.channel, Channel::Events(_)) {
            self.is_failing = true;
            let now = Instant::now();
            let things = self.settling.take(now);
            if let Err(error) = self.list_again(&things).await {
                if !is_not_found(&error) {
                    return Err(error);
                }
                // A service has gone between two of the lists.
                self.list_again(&things).await?;
            }
            self.note_settled(&things, now);
            self.is_failing = false;
        }
        self.note_feed(None);
        Ok(self.present())
    }

    /// Lists what events named.
    async fn list_again(&mut self, things: &[Thing]) -> Result<(), Error> {
        let mut part = self.named(things);
        let scope = self.store.snapshot().scope.clone();
        let by_id = [
            (List::Services, &scope.services, &part.services),
            (List::Nodes, &scope.nodes, &part.nodes),
            (List::Networks, &scope.networks, &part.networks),
        ];
        let by_id = by_id
            .into_iter()
            .filter(|(_, wanted, ids)| **wanted != Part::Nothing && !ids.is_empty());
        let by_id = by_id.map(|(list, wanted, ids)| (list, filters("id", ids, wanted)));
        let mut lists = self.hosts.list_parts(&Query::of_parts(by_id)).await?;
        if scope.tasks != Part::Nothing {
            // The Engine refuses to list tasks of a service that is gone.
            let known = |id: &Arc<str>| lists.services.iter().any(|service| service.id == *id);
            let (there, gone): (BTreeSet<_>, BTreeSet<_>) =
                part.services.iter().cloned().partition(known);
            let left = self.store.snapshot().tasks.of_owners(&gone);
            let left: BTreeSet<_> = left.map(|task| Arc::clone(&task.id)).collect();
            for (name, values) in [("service", &there), ("id", &left)] {
                if !values.is_empty() {
                    let filters = filters(name, values, &scope.tasks);
                    let query = Query::of_parts([(List::Tasks, filters)]);
                    lists.tasks.extend(self.hosts.list_parts(&query).await?.tasks);
                }
            }
            part.tasks_of.clone_from(&part.services);
        }
        self.as_of = std::time::Instant::now();
        self.store.replace_part(&part, &lists, now_micros());
        Ok(())
    }

    /// Lists no more what was listed `now` and has settled.
    fn note_settled(&mut self, things: &[Thing], now: Instant) {
        for thing in things {
            if self.has_settled(thing) {
                self.settling.settled(thing, now);
            }
        }
    }

    /// What to list of the things that events named: of a node also the services that have tasks
    /// there.
    fn named(&self, things: &[Thing]) -> ListedPart {
        let mut part = ListedPart::default();
        for thing in things {
            match thing {
                Thing::All => {}
                Thing::Service(id) => drop(part.services.insert(Arc::clone(id))),
                Thing::Network(id) => drop(part.networks.insert(Arc::clone(id))),
                Thing::Node(id) => {
                    part.nodes.insert(Arc::clone(id));
                    let node = [hash_of(id)];
                    let tasks = self.store.snapshot().tasks.iter();
                    let there = tasks.filter(|bucket| bucket.refers_to_any(&node));
                    part.services.extend(there.map(|bucket| Arc::clone(bucket.owner())));
                }
            }
        }
        part
    }

    /// Whether it is better to list everything than what is due.
    fn is_much(&self, now: Instant) -> bool {
        let due = self.settling.due(now);
        if due.contains(&Thing::All) {
            return true;
        }
        let services = self.named(&due).services;
        let snapshot = self.store.snapshot();
        let gone = services.iter().filter(|id| snapshot.services.get("", id).is_none());
        let left = snapshot.tasks.of_owners(&gone.cloned().collect()).count();
        services.len() > ONE_BY_ONE || left > TASKS_ONE_BY_ONE
    }

    /// Whether nothing more is to be expected of what an event named.
    fn has_settled(&self, thing: &Thing) -> bool {
        let snapshot = self.store.snapshot();
        let at_rest = |task: &Arc<Task>| match &*task.desired_state {
            "running" => &*task.state == "running",
            "complete" => matches!(&*task.state, "complete" | "running" | "failed" | "rejected"),
            "remove" => false,
            _ => {
                matches!(&*task.state, "shutdown" | "failed" | "rejected" | "complete" | "orphaned")
            }
        };
        match thing {
            Thing::Service(id) => {
                let owner = BTreeSet::from([Arc::clone(id)]);
                let mut tasks = snapshot.tasks.of_owners(&owner);
                let service = snapshot.services.get("", id);
                service.is_none_or(|service| &*service.update_state != "updating")
                    && tasks.all(at_rest)
            }
            Thing::All | Thing::Node(_) | Thing::Network(_) => true,
        }
    }

    /// Says how things are.
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
        if feed.kind != self.channel.kind() {
            feed.kind = self.channel.kind();
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
        self.feeds.send_if_modified(|told| {
            let differs = !Arc::ptr_eq(told, &self.feed);
            told.clone_from(&self.feed);
            differs
        });
    }

    fn present(&self) -> Look<Snapshot> {
        let snapshot =
            Snapshot { feed: Some(Arc::clone(&self.feed)), ..self.store.snapshot().clone() };
        Look { what: snapshot, as_of: self.as_of, problems: self.problems.clone() }
    }

    /// Whether what was told is enough to go on with.
    fn can_follow(&self) -> bool {
        let now = Instant::now();
        self.listed
            && self.store.snapshot().scope == self.scope()
            && self.channel.ended().is_none()
            && [self.confirm_by, self.begin_at].iter().flatten().all(|by| now < *by)
            && match &self.channel {
                Channel::None => false,
                Channel::Watch(_) => true,
                Channel::Events(_) => !self.is_much(now),
            }
    }
}

impl Discoverer<Snapshot> for Origin {
    fn fetch(&mut self) -> BoxFuture<'_, Result<Look<Snapshot>, Error>> {
        Box::pin(async { self.fetch_meanwhile(&mut |_| {}).await })
    }

    fn fetch_meanwhile<'a>(
        &'a mut self,
        meanwhile: &'a mut (dyn FnMut(Look<Snapshot>) + Send),
    ) -> BoxFuture<'a, Result<Look<Snapshot>, Error>> {
        self.demand.mark_unchanged();
        Box::pin(async {
            let look = self.look_at_everything(meanwhile).await;
            if look.is_err() {
                // Why nothing tells of changes is known all the same.
                self.note_feed(None);
            }
            look
        })
    }

    fn follow(&mut self) -> Option<BoxFuture<'_, Result<Look<Snapshot>, Error>>> {
        if self.can_follow() { Some(Box::pin(self.look_at_changes())) } else { None }
    }

    fn changed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let Self { channel, demand, confirm_by, settling, begin_at, .. } = self;
            let (listed, is_failing) = (self.listed, self.is_failing);
            let told = async {
                match channel {
                    Channel::Watch(watching) if listed => watching.changed().await,
                    Channel::Events(listening) if !is_failing => listening.changed().await,
                    // Nothing can be made of it before the next look at everything.
                    _ => std::future::pending().await,
                }
            };
            let demanded = async {
                if demand.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            let settling = settling.next().filter(|_| !is_failing);
            let due = [*confirm_by, settling, *begin_at].into_iter().flatten().min();
            let is_due = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = told => {}
                () = demanded => {}
                () = is_due => {}
            }
        })
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

/// Whether the Engine refused a filter that names what is not there.
fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::Status { status, .. } if status.starts_with("404"))
}

/// The JSON of filters that let through what `wanted` does, and of that only what has one of these
/// values.
fn filters(name: &str, values: &BTreeSet<Arc<str>>, wanted: &Part) -> String {
    let known = match wanted {
        Part::Filtered(filters) => serde_json::from_str(filters).unwrap_or_default(),
        Part::Nothing | Part::All => serde_json::Map::new(),
    };
    let values = values.iter().map(|value| (value.to_string(), true.into()));
    let mut all = known;
    all.insert(name.to_owned(), serde_json::Value::Object(values.collect()));
    serde_json::Value::Object(all).to_string()
}

/// Microseconds since 1970.
fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
