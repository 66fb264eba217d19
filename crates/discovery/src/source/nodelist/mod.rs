//! `swarm_sd_configs` with `discovery`: reads the nodes of a classic Swarm from the store that
//! Swarm itself uses (docker/docker `pkg/discovery`), without asking a master.
//!
//! The groups resemble those of a master: `swarm_nodes` (in parts of 64), and `swarm_masters` with
//! the primary, if the store names one.
//!
//! Invariants:
//! - A refresh returns the complete list. A watch only reports that the list may have changed, and
//!   ignores heartbeats that change nothing.
//! - After a watch breaks, the next refresh waits, longer each time. So a server that drops watches
//!   is polled, not flooded.
//! - No list is empty by mistake: a missing key is a failure, a directory or file without nodes is
//!   a list without nodes.
//! - A bad address in a store is skipped. In `nodes://` it is refused when the configuration is
//!   loaded. In a file it fails the refresh, as in Swarm.

mod config;
mod consul;
mod etcd2;
mod etcd3;
mod expand;
mod file;
pub mod fuzzing;
mod http;
pub(crate) mod layout;
mod location;
mod server;
#[cfg(test)]
mod tests;
mod token;
mod zookeeper;

use std::time::Duration;

use swarmscout_model::labels::{ADDRESS, INSTANCE};
use swarmscout_model::{Budget, Charge, Labels, LabelsWriter, TargetGroup};
use swarmscout_net::Secrets;
use tokio::time::{Instant, sleep};

pub use self::config::{EtcdApi, NodeListConfig};
use self::consul::Consul;
use self::etcd2::Etcd2;
use self::etcd3::Etcd3;
use self::expand::split_host_port;
pub use self::expand::{MOST_NODES, expand, expand_list};
use self::http::HttpStore;
pub use self::location::{Location, Servers, StoreKind};
use super::classic::host_of;
use super::moby::AddressWriter;
use super::partition::{GroupDiff, Partition};
use crate::config::BuildContext;
use crate::limits::{Excess, LONGEST_LABEL, Meter};
use crate::{BoxFuture, Discoverer, Error, Groups, Problem, RefreshScope, Refreshed};
use swarmscout_refresh::Backoff;
use swarmscout_refresh::problems::{self, Problems};

/// The longest address of a node that is read, in bytes.
const LONGEST_ADDRESS: usize = 1024;

/// How much of a longer address is shown, in bytes.
const SHOWN_OF_ADDRESS: usize = 64;

/// The error for `token://` without a service.
pub const NO_TOKEN_SERVICE: &str =
    "token:// needs token_url: the public service that Swarm asked is gone";

/// A store in which a classic Swarm keeps its list of nodes.
pub(super) trait Store: Send {
    /// Reads the complete present list. After an error the known nodes stay.
    ///
    /// The supervisor may drop the future at its deadline. So the next server to try must be stored
    /// before each await ([`Rotation`](swarmscout_refresh::rotation::Rotation)).
    fn list(&mut self) -> BoxFuture<'_, Result<Listing, Error>>;

    /// Resolves with `Ok` when the list may have changed since [`Self::list`] returned it, and with
    /// an error when the watch broke. The caller pauses after an error. Cancel-safe. The default
    /// never resolves, for stores without a watch.
    fn changed(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::pending())
    }

    /// The secrets to remove from its entries and errors.
    fn secrets(&self) -> Secrets {
        Secrets::default()
    }
}

/// The list that a [`Store`] returned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// `host:port` each, as stored: the address that the engine advertised.
    pub(super) nodes: Vec<String>,
    /// The primary master's `host:port`.
    pub(super) primary: Option<String>,
    /// Skipped servers and addresses.
    pub(super) problems: Vec<Problem>,
}

/// One of `swarm_sd_configs` with `discovery`.
pub struct NodeList {
    store: Box<dyn Store>,
    secrets: Secrets,
    /// For the log, without secrets.
    what: String,
    metrics_port: String,
    /// The longest pause after a watch broke.
    longest_pause: Duration,
    /// Whether the last watch held until it was dropped or reported a change.
    stood: bool,
    /// Counts broken watches since the last one that held.
    backoff: Backoff,
    /// Why the last watch broke, as it was logged.
    logged: Option<String>,
    /// The groups of the last refresh.
    groups: Groups,
    /// The memory of those groups.
    held: Charge,
    budget: Budget,
}

impl NodeList {
    /// Sends no request yet. Fails if options cannot be used together.
    pub fn new(config: &NodeListConfig, context: &BuildContext) -> Result<Self, Error> {
        let store = open(config, context)?;
        Ok(Self {
            secrets: store.secrets(),
            store,
            what: config.location.to_string(),
            metrics_port: config.metrics_port.clone(),
            longest_pause: config.refresh_interval.get(),
            stood: false,
            backoff: Backoff::default(),
            logged: None,
            groups: Groups::new(),
            held: context.refresh.budget.nothing(),
            budget: context.refresh.budget.clone(),
        })
    }

    async fn refresh(&mut self) -> Result<Refreshed<Groups>, Error> {
        let as_of = Instant::now().into_std();
        let Listing { nodes, primary, mut problems } = self.store.list().await?;
        let (primary, port) = (primary.as_deref(), &self.metrics_port);
        let mut meter = Meter::new(&self.budget, LONGEST_LABEL);
        let found = groups(&nodes, primary, port, &self.groups, &mut meter);
        let (groups, skipped) = found.map_err(|excess| Error::Excess {
            what: self.what.clone(),
            excess: excess.without(&self.secrets),
        })?;
        (self.groups, self.held) = (groups, meter.finish());
        problems.extend(skipped);
        problems::clean(&mut problems, &self.secrets);
        problems.sort();
        Ok(Refreshed { value: self.groups.clone(), as_of, problems })
    }

    async fn wait(&mut self) {
        if std::mem::replace(&mut self.stood, true) {
            self.backoff.succeeded();
            self.logged = None;
        }
        let Err(error) = self.store.changed().await else { return };
        // Even if this is cancelled during the pause, the watch counts as broken.
        self.stood = false;
        let pause = self.backoff.failed(self.longest_pause);
        let error = error.to_string();
        if self.logged.as_ref() != Some(&error) {
            tracing::warn!(
                asked = %self.what,
                err = error,
                "A watch on the nodes of a classic Swarm broke, they are polled until it stands again"
            );
            self.logged = Some(error);
        }
        sleep(pause).await;
    }
}

impl Discoverer for NodeList {
    type Error = Error;

    fn fetch(&mut self, _: RefreshScope) -> BoxFuture<'_, Result<Refreshed<Groups>, Error>> {
        Box::pin(self.refresh())
    }

    fn changed(&mut self) -> BoxFuture<'_, RefreshScope> {
        Box::pin(async {
            self.wait().await;
            RefreshScope::Full
        })
    }
}

/// Shows no secret: stores hold passwords.
impl std::fmt::Debug for NodeList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeList").field("what", &self.what).finish_non_exhaustive()
    }
}

fn open(config: &NodeListConfig, context: &BuildContext) -> Result<Box<dyn Store>, Error> {
    match &config.location {
        Location::File(path) => {
            Ok(Box::new(file::File::new(path, config.refresh_interval, context)))
        }
        Location::Nodes(nodes) => Ok(Box::new(Written(nodes.clone()))),
        Location::Token { service, token } => {
            Ok(Box::new(token::Token::new(service.as_deref(), token, config, context)?))
        }
        Location::Store(servers) => open_store(servers, config, context),
    }
}

fn open_store(
    servers: &Servers,
    config: &NodeListConfig,
    context: &BuildContext,
) -> Result<Box<dyn Store>, Error> {
    let Servers { kind, addresses, user, path } = servers;
    Ok(match (kind, config.etcd_api) {
        (StoreKind::Etcd, EtcdApi::V2) => {
            Box::new(HttpStore::new(servers, Etcd2::new(path), true, config, context)?)
        }
        (StoreKind::Etcd, EtcdApi::V3) => {
            let protocol = Etcd3::new(path, user.clone(), addresses.len());
            Box::new(HttpStore::new(servers, protocol, false, config, context)?)
        }
        (StoreKind::Consul, _) => {
            Box::new(HttpStore::new(servers, Consul::new(path), true, config, context)?)
        }
        (StoreKind::ZooKeeper, _) => {
            let deadlines = context.refresh.deadlines(config.refresh_interval);
            Box::new(zookeeper::ZooKeeper::new(servers.clone(), deadlines))
        }
    })
}

/// `nodes://`: the list is part of the configuration.
#[derive(Debug)]
struct Written(Vec<String>);

impl Store for Written {
    fn list(&mut self) -> BoxFuture<'_, Result<Listing, Error>> {
        let listing = Listing { nodes: self.0.clone(), ..Listing::default() };
        Box::pin(std::future::ready(Ok(listing)))
    }
}

/// The groups of a list. Unchanged groups are those of `known`.
pub(crate) fn groups(
    nodes: &[String],
    primary: Option<&str>,
    port: &str,
    known: &Groups,
    meter: &mut Meter,
) -> Result<(Groups, Vec<Problem>), Excess> {
    let mut problems = Problems::default();
    let (mut writer, mut address) = (LabelsWriter::new(), AddressWriter::default());
    let mut target = |listed: &str, kind| {
        if listed.len() > LONGEST_ADDRESS {
            let shown = &listed[..listed.floor_char_boundary(SHOWN_OF_ADDRESS)];
            problems.push(kind, shown, "address too long", String::new());
            return Ok::<_, Excess>(None);
        }
        // A name that was not UTF-8 is not valid.
        let address_at_all = split_host_port(listed).is_ok() && !listed.contains('\u{fffd}');
        let Some(host) = host_of(listed).filter(|_| address_at_all) else {
            problems.push(kind, listed, "address that is not host:port", String::new());
            return Ok(None);
        };
        writer.push(ADDRESS, address.host(host, port));
        writer.push(INSTANCE, listed);
        let labels = writer.build();
        meter.target(&labels, || format!("node {listed:?}"))?;
        Ok(Some(labels))
    };
    let mut partition = Partition::default();
    for node in nodes {
        if let Some(target) = target(node, "node")? {
            partition.push(node, target);
        }
    }
    let master = primary.map(|primary| target(primary, "host")).transpose()?.flatten();
    // A primary with a too long address has no target and no label.
    let primary = primary.filter(|primary| primary.len() <= LONGEST_ADDRESS);
    let labels = |role| -> Labels {
        let primary = ("__meta_swarm_primary", primary.unwrap_or_default());
        [primary, ("__meta_swarm_role", role)].into_iter().collect()
    };
    let mut diff = GroupDiff::new(known);
    if let Some(master) = master {
        let (source, labels) = ("swarm_masters", labels("master"));
        meter.group(source.len(), 1, &labels, || source.to_owned())?;
        diff.push(TargetGroup { source: source.into(), targets: vec![master], labels });
    }
    partition.groups("swarm_nodes", &labels("node"), &mut diff, meter)?;
    Ok((diff.into_groups(), problems.take()))
}
