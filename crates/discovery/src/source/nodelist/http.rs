//! Stores with an HTTP API. Any of several servers may answer; [`layout`] says where the list is.

use swarmscout_model::budget::allocation;
use swarmscout_model::{Budget, Charge};
use swarmscout_net::{Client, Host, HttpConfig, Secrets};
use swarmscout_refresh::Deadlines;
use swarmscout_refresh::rotation::{Rotation, Turn};
use tokio::time::Instant;

use super::layout::{self, Entry};
use super::server::Server;
use super::{Listing, Servers, Store};
use crate::config::{BuildContext, NodeListConfig};
use crate::limits::Excess;
use crate::source::decoding::Decoding;
use crate::{BoxFuture, Error};

/// The largest answer that is read, in bytes: some 200,000 nodes.
const MAX_ANSWER: u64 = 64 << 20;

/// The API of a kind of store. State about a server is kept for that server alone.
pub(super) trait Protocol: Send {
    /// Reads everything below `folder`, which is relative to the configured path. For the path
    /// itself, reads only the entries directly below. A missing folder has no entries.
    fn read(
        &mut self,
        server: &Server<'_>,
        folder: &str,
    ) -> impl Future<Output = Result<Reading, Error>> + Send;

    /// Resolves when something below `folder` changed since `known`. Events that change nothing
    /// advance the version of `known`. Cancel-safe.
    fn changed(
        &mut self,
        server: &Server<'_>,
        folder: &str,
        known: &mut Reading,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// The entries of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) entries: Vec<Entry>,
    /// The store's count of changes when the folder was read, if the store reports it.
    pub(super) version: Option<u64>,
}

impl Reading {
    /// Its approximate size in memory, in bytes.
    fn footprint(&self) -> u64 {
        let entry = |Entry { key, value }: &Entry| {
            let value = value.as_ref().map_or(0, String::len);
            size_of::<Entry>() as u64 + allocation(key.len()) + allocation(value)
        };
        self.entries.iter().map(entry).sum()
    }
}

/// What a watch reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WatchOutcome {
    /// Something changed.
    Change,
    /// Nothing relevant changed up to this version, if the store reports it.
    Nothing(Option<u64>),
}

/// The servers of a store.
#[derive(Debug)]
pub(super) struct HttpStore<P> {
    pub(super) protocol: P,
    client: Client,
    servers: Servers,
    hosts: Vec<Host>,
    rotation: Rotation,
    /// The watched folder, and its last entries.
    watched: Option<(&'static str, Reading)>,
    /// The memory of those entries.
    held: Charge,
    budget: Budget,
    decoding: Decoding,
    pub(super) deadlines: Deadlines,
    max_answer: u64,
}

impl<P: Protocol> HttpStore<P> {
    /// Sends no request yet. With `with_user`, user and password of the URL are sent as basic auth.
    pub(super) fn new(
        servers: &Servers,
        protocol: P,
        with_user: bool,
        config: &NodeListConfig,
        context: &BuildContext,
    ) -> Result<Self, Error> {
        let user = if with_user { servers.userinfo() } else { String::new() };
        // As in Swarm, options for TLS enable TLS.
        let tls = config.http.tls != HttpConfig::default().tls;
        let scheme = if tls { "https" } else { "http" };
        let hosts = servers
            .addresses
            .iter()
            .map(|address| Host::parse(&format!("{scheme}://{user}{address}")));
        let deadlines = context.refresh.deadlines(config.refresh_interval);
        let options = context.refresh.client_options(deadlines.of_attempt(1));
        let client = Client::new(&config.http, options)?;
        servers.user.iter().for_each(|user| client.secrets().keep_user(user));
        Ok(Self {
            protocol,
            client,
            hosts: hosts.collect::<Result<_, _>>()?,
            rotation: Rotation::new(servers.addresses.len()),
            servers: servers.clone(),
            watched: None,
            held: context.refresh.budget.nothing(),
            budget: context.refresh.budget.clone(),
            decoding: Decoding::default(),
            deadlines,
            max_answer: MAX_ANSWER.min(context.refresh.max_answer),
        })
    }

    async fn ask(&mut self) -> Result<Listing, Error> {
        self.watched = None;
        self.held = self.budget.nothing();
        let mut round = self.rotation.round();
        while let Some(turn) = self.rotation.next(&mut round) {
            match self.attempt(turn).await {
                Ok(listing) => {
                    let name = |index: usize| self.hosts[index].to_string();
                    let failed = self.rotation.answered(round, turn.index, name);
                    // A missing list is an answer, too: no other server has one either.
                    let mut listing = listing.ok_or_else(|| layout::missing(&self.servers))?;
                    listing.problems.extend(failed);
                    return Ok(listing);
                }
                Err(error) => round.failed(turn, error),
            }
        }
        Err(self.rotation.exhausted(round))
    }

    /// Reads the list from one server. `None` if there is no list.
    async fn attempt(&mut self, turn: Turn) -> Result<Option<Listing>, Error> {
        let within = self.deadlines.of_attempt(turn.others_left);
        let server = Server {
            client: &self.client,
            host: &self.hosts[turn.index],
            index: turn.index,
            deadline: Instant::now() + within,
            within,
            max_answer: self.max_answer,
            budget: &self.budget,
            decoding: &self.decoding,
        };
        let [_, engine, bare] = layout::FOLDERS;
        let swarm = self.protocol.read(&server, layout::SWARM).await?;
        let primary = layout::primary(&swarm.entries);
        // The watch starts at this version, so it reports all later changes, whichever folder has
        // the list.
        let version = swarm.version;
        let (folder, reading, nodes) = if let Some(nodes) = layout::swarm_nodes(&swarm.entries) {
            (layout::SWARM, swarm, Some(nodes))
        } else {
            let engines = self.protocol.read(&server, engine).await?;
            if let Some(nodes) = layout::engine_nodes(&engines.entries) {
                (engine, engines, Some(nodes))
            } else {
                let here = self.protocol.read(&server, bare).await?;
                match layout::bare_nodes(&here.entries, self.servers.path.is_empty()) {
                    // Masters without any node.
                    None if !swarm.entries.is_empty() => (layout::SWARM, swarm, Some(Vec::new())),
                    nodes => (bare, here, nodes),
                }
            }
        };
        let held = self.budget.charge(reading.footprint()).map_err(|excess| {
            let (what, excess) = (server.host.to_string(), Excess::Memory(excess));
            Error::Excess { what, excess }
        });
        self.held = held?;
        self.watched = Some((folder, Reading { version, ..reading }));
        Ok(nodes.map(|nodes| Listing { nodes, primary, problems: Vec::new() }))
    }

    async fn watch(&mut self) -> Result<(), Error> {
        let Some((folder, known)) =
            self.watched.as_mut().filter(|(_, known)| known.version.is_some())
        else {
            return std::future::pending().await;
        };
        let within = self.deadlines.of_attempt(0);
        let index = self.rotation.current();
        let server = Server {
            client: &self.client,
            host: &self.hosts[index],
            index,
            deadline: Instant::now() + within,
            within,
            max_answer: self.max_answer,
            budget: &self.budget,
            decoding: &self.decoding,
        };
        match self.protocol.changed(&server, folder, known).await {
            // Either nothing changed or the server is gone: a refresh finds out which.
            Err(Error::Http(swarmscout_net::Error::Silent { .. })) => Ok(()),
            outcome => outcome,
        }
    }
}

impl<P: Protocol> Store for HttpStore<P> {
    fn list(&mut self) -> BoxFuture<'_, Result<Listing, Error>> {
        Box::pin(self.ask())
    }

    fn secrets(&self) -> Secrets {
        self.client.secrets().clone()
    }

    fn changed(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.watch())
    }
}
