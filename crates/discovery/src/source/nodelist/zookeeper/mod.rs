//! `zk://`: ZooKeeper, as Swarm's library (docker/libkv) writes it.
//!
//! Swarm creates an empty node and writes its address a moment later, so an empty node is watched.
//! The data of other nodes is not watched: heartbeats write the same address again, and a node is
//! removed with its session. The primary's address outlives the primary: it counts only while some
//! master holds or awaits the lock below it.
//!
//! Invariants:
//! - A watch is set before the watched node is read, on the same connection, so no change is
//!   missed. Folders that do not exist are watched, too.
//! - A session lives as long as its connection. A broken connection does not fail the refresh while
//!   any server accepts a new one.
//! - Once a server has reported a change, servers that are behind it are refused, unless none is
//!   left.

pub(super) mod fuzzing;
mod jute;
mod session;
#[cfg(test)]
mod tests;

use std::time::Duration;

use swarmscout_net::{Error as NetError, Secrets, connect_tcp};
use swarmscout_refresh::Deadlines;
use swarmscout_refresh::problems::Problems;
use swarmscout_refresh::rotation::Rotation;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

use self::jute::{Ask, Op, Reader};
use self::session::{Session, Stream};
use super::layout::{self, FOLDERS, LEADER, is_bare_node, join};
use super::{LONGEST_ADDRESS, Listing, MOST_NODES, SHOWN_OF_ADDRESS, Servers, Store};
use crate::{BoxFuture, Error};

/// The pause between an event and the refresh. A new node nearly always gets its address within
/// this time; an earlier refresh would find it empty.
const MOMENT: Duration = Duration::from_millis(20);

/// What libkv's ZooKeeper library sometimes writes into an empty node.
const SOH: &[u8] = b"\x01";

/// A list of nodes in ZooKeeper.
#[derive(Debug)]
pub(super) struct ZooKeeper {
    servers: Servers,
    deadlines: Deadlines,
    rotation: Rotation,
    secrets: Secrets,
    /// The session with the server that answered last. A cancelled refresh drops it.
    session: Option<Session<TcpStream>>,
    /// The last transaction seen; 0 accepts every server.
    seen: i64,
}

impl ZooKeeper {
    /// Opens no connection yet.
    pub(super) fn new(servers: Servers, deadlines: Deadlines) -> Self {
        let secrets = Secrets::default();
        servers.user.iter().for_each(|user| secrets.keep_user(user));
        Self {
            rotation: Rotation::new(servers.addresses.len()),
            secrets,
            servers,
            deadlines,
            session: None,
            seen: 0,
        }
    }

    async fn read(&mut self) -> Result<Listing, Error> {
        let mut round = self.rotation.round();
        while let Some(turn) = self.rotation.next(&mut round) {
            let within = self.deadlines.of_attempt(turn.others_left);
            match self.attempt(turn.index, within).await {
                Ok(listing) => {
                    let name = |index: usize| self.servers.addresses[index].clone();
                    let problems = self.rotation.answered(round, turn.index, name);
                    let mut listing = listing.ok_or_else(|| layout::missing(&self.servers))?;
                    listing.problems.extend(problems);
                    return Ok(listing);
                }
                Err(error) => round.failed(turn, self.in_words(error)),
            }
        }
        // The ensemble may have been recreated, with its transactions counted from zero.
        self.seen = 0;
        Err(self.rotation.exhausted(round))
    }

    /// Reads the list from one server. An open session is always with the server that answered
    /// last, which is tried first.
    async fn attempt(&mut self, server: usize, within: Duration) -> Result<Option<Listing>, Error> {
        let address = &self.servers.addresses[server];
        let ends = Instant::now() + within;
        let late = |_| NetError::Deadline { to: address.clone(), within };
        let mut left = within;
        if let Some(mut session) = self.session.take() {
            let listing =
                timeout_at(ends, list(&self.servers, &mut session)).await.map_err(late)?;
            if let Ok(listing) = listing {
                self.seen = session.seen();
                self.session = Some(session);
                return Ok(listing);
            }
            left = ends.saturating_duration_since(Instant::now());
        }
        let stream = connect_tcp(address, left).await?;
        let opened = async {
            let user = self.servers.user.as_ref();
            let mut session = Session::open(stream, address, user, self.seen).await?;
            let listing = list(&self.servers, &mut session).await?;
            Ok::<_, Error>((listing, session))
        };
        let (listing, session) = timeout_at(ends, opened).await.map_err(late)??;
        self.seen = session.seen();
        self.session = Some(session);
        Ok(listing)
    }

    /// Removes secrets from an error, which may hold names of nodes.
    fn in_words(&self, error: Error) -> Error {
        match error {
            Error::Answer { mut url, mut reason } => {
                self.secrets.clean_in_place(&mut url);
                self.secrets.clean_in_place(&mut reason);
                Error::Answer { url, reason }
            }
            error => error,
        }
    }

    async fn wait(&mut self) -> Result<(), Error> {
        let Some(session) = &mut self.session else { return std::future::pending().await };
        let changed = session.changed().await;
        if changed.is_err() {
            self.session = None;
        }
        changed?;
        sleep(MOMENT).await;
        Ok(())
    }
}

impl Store for ZooKeeper {
    fn list(&mut self) -> BoxFuture<'_, Result<Listing, Error>> {
        Box::pin(self.read())
    }

    fn secrets(&self) -> Secrets {
        self.secrets.clone()
    }

    fn changed(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.wait())
    }
}

/// Reads the whole list and watches it. `None` if it does not exist.
async fn list(
    servers: &Servers,
    session: &mut Session<impl Stream>,
) -> Result<Option<Listing>, Error> {
    session.forget_changes();
    let primary = primary(servers, session).await?;
    for folder in FOLDERS {
        let path = absolute(&join(&servers.path, folder));
        if let Some(names) = names(&path, session).await? {
            let mut listing = nodes(folder, &path, &names, session).await?;
            listing.primary = primary;
            if folder.is_empty() && listing.nodes.is_empty() && (path == "/" || !names.is_empty()) {
                // The path is used for something else.
                break;
            }
            return Ok(Some(listing));
        }
    }
    Ok(None)
}

/// The address of the primary master.
async fn primary(
    servers: &Servers,
    session: &mut Session<impl Stream>,
) -> Result<Option<String>, Error> {
    let path = &absolute(&join(&servers.path, LEADER));
    let asks = [
        Ask { op: Op::Exists, path, watch: true },
        Ask { op: Op::Children, path, watch: true },
        Ask { op: Op::Data, path, watch: false },
    ];
    let (mut held, mut address) = (false, None);
    let read = |index, body: Option<Reader<'_>>| {
        match (index, body) {
            (1, Some(body)) => held = !body.children()?.is_empty(),
            (2, Some(body)) => address = str::from_utf8(body.data()?).ok().map(str::to_owned),
            _ => {}
        }
        Ok(())
    };
    session.ask(&asks, read).await?;
    Ok(address.filter(|address| held && !address.is_empty()))
}

/// The names in a folder. A folder that does not exist is watched, too.
async fn names(
    path: &str,
    session: &mut Session<impl Stream>,
) -> Result<Option<Vec<String>>, Error> {
    let asks =
        [Ask { op: Op::Exists, path, watch: true }, Ask { op: Op::Children, path, watch: true }];
    let mut names = None;
    let read = |index, body: Option<Reader<'_>>| {
        if let (1, Some(body)) = (index, body) {
            let listed = body.children()?;
            if listed.len() > MOST_NODES {
                return Err(format!("{} nodes, more than {MOST_NODES}", listed.len()));
            }
            let text = |name| String::from_utf8_lossy(name).into_owned();
            let mut listed: Vec<_> = listed.into_iter().map(text).collect();
            // Each server sends them in the order of its own hash table.
            listed.sort_unstable();
            names = Some(listed);
        }
        Ok(())
    };
    session.ask(&asks, read).await?;
    Ok(names)
}

/// Reads the addresses of these nodes.
async fn nodes(
    folder: &str,
    path: &str,
    names: &[String],
    session: &mut Session<impl Stream>,
) -> Result<Listing, Error> {
    let (mut listing, mut problems) = (Listing::default(), Problems::default());
    let below = if path == "/" { "" } else { path };
    // The path itself may also hold other entries.
    let names = names.iter().filter(|name| !folder.is_empty() || name.contains(':'));
    // A name that was not UTF-8 cannot be asked for.
    let (bad, names): (Vec<_>, Vec<_>) = names.partition(|name| name.contains('\u{fffd}'));
    for name in bad {
        problems.push("node", name, "name is not UTF-8", String::new());
    }
    let names = names.into_iter();
    let mut nodes: Vec<_> = names.map(|name| (name, format!("{below}/{name}"))).collect();
    // Empty nodes are read once more, with a watch.
    for watch in [false, true] {
        let asks: Vec<_> =
            nodes.iter().map(|(_, path)| Ask { op: Op::Data, path, watch }).collect();
        let mut empty = Vec::new();
        let read = |index, body: Option<Reader<'_>>| {
            let (name, _): &(&String, String) = &nodes[index];
            match body.map(Reader::data).transpose()? {
                // The node was removed since its folder was read.
                None => {}
                Some(b"" | SOH) => empty.push(index),
                Some(value) => match address(value) {
                    Ok(value) if !folder.is_empty() || is_bare_node(name, value) => {
                        listing.nodes.push(value.to_owned());
                    }
                    Ok(_) => {}
                    Err((reason, detail)) => problems.push("node", name, reason, detail),
                },
            }
            Ok(())
        };
        session.ask(&asks, read).await?;
        nodes = empty.into_iter().map(|index| nodes[index].clone()).collect();
    }
    listing.problems = problems.take();
    Ok(listing)
}

/// The address in a value, or what is wrong with it.
fn address(value: &[u8]) -> Result<&str, (&'static str, String)> {
    let bad = |reason, value| Err((reason, String::from_utf8_lossy(value).into_owned()));
    if value.len() > LONGEST_ADDRESS {
        return bad("address too long", &value[..SHOWN_OF_ADDRESS]);
    }
    str::from_utf8(value).or_else(|_| bad("address is not UTF-8", value))
}

fn absolute(path: &str) -> String {
    format!("/{path}")
}
