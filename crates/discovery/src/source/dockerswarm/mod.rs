//! `dockerswarm_sd_configs`: nodes, services and tasks of a Docker Swarm in swarm mode.
//!
//! ```text
//!  Hosts ─look→ Lists ─find→ groups of targets, problems
//! ```
//!
//! [`find`] is a function of what the Engine listed and of a few options: one set of lists can
//! serve every role and job. For the same answers it gives Prometheus' targets and labels
//! (v3.14), but for two things. The smallest bad part of an object is left out and told, where
//! Prometheus gives up everything. Label keys that become one name give the value of the
//! byte-smallest key, always, where Prometheus' answer changes from look to look.

mod meta;
mod nodes;
mod services;
mod tasks;

use std::sync::Arc;

use swarmscout_model::TargetGroup;

use crate::config::{BuildContext, DockerSwarmConfig, OverlayPort, Role};
use crate::engine::{Hosts, List, Lists, Port, Query};
use crate::source::moby::Skipped;
use crate::source::partition::Cut;
use crate::{BoxFuture, Discoverer, Error, Groups, Look, Problem};

/// The source that Prometheus gives to all; ours goes on with the service's ID.
const SOURCE: &str = "DockerSwarm";

/// One of `dockerswarm_sd_configs`.
#[derive(Debug)]
pub struct DockerSwarm {
    hosts: Hosts,
    query: Query,
    options: Options,
    /// The groups of the last good look.
    known: Groups,
}

/// What of the configuration decides which targets are made of the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What becomes a target.
    pub role: Role,
    /// Port of targets without a published one.
    pub port: u16,
    /// Only the first network of a task or service gives targets.
    pub match_first_network: bool,
    /// Which port goes with an address on an overlay network.
    pub overlay_port: OverlayPort,
}

impl Options {
    /// The port at which a task or virtual IP is looked for.
    fn overlay_port(self, port: &Port) -> u32 {
        match self.overlay_port {
            OverlayPort::Published => port.published,
            OverlayPort::Target => port.target,
        }
    }
}

impl DockerSwarm {
    /// Fails where a host cannot be used or its TLS options cannot.
    pub fn new(config: &DockerSwarmConfig, context: &BuildContext) -> Result<Self, Error> {
        let hosts = Hosts::new(&config.engine, context)?;
        let (main, also): (_, &[_]) = match config.role {
            Role::Nodes => (List::Nodes, &[]),
            Role::Services => (List::Services, &[List::Networks]),
            Role::Tasks => (List::Tasks, &[List::Services, List::Nodes, List::Networks]),
        };
        let query = Query::new(main, also, &config.engine.filters);
        let options = Options {
            role: config.role,
            port: config.engine.port,
            match_first_network: config.match_first_network,
            overlay_port: config.overlay_port,
        };
        Ok(Self { hosts, query, options, known: Groups::new() })
    }
}

impl Discoverer for DockerSwarm {
    fn fetch(&mut self) -> BoxFuture<'_, Result<Look<Groups>, Error>> {
        Box::pin(async {
            let look = self.hosts.look(&self.query).await?;
            let (groups, mut problems) = find(&look.what, self.options, &self.known);
            self.known.clone_from(&groups);
            problems.extend(look.problems);
            Ok(Look { what: groups, as_of: look.as_of, problems })
        })
    }
}

/// What is found in the lists of one look, in an order that does not depend on theirs. A list that
/// the role does not need may be empty. A group that is equal to one of `known`, the groups of the
/// look before, is that one.
pub fn find(lists: &Lists, options: Options, known: &[Arc<TargetGroup>]) -> (Groups, Vec<Problem>) {
    let mut found = Found { groups: Cut::new(known), skipped: Skipped::default() };
    match options.role {
        Role::Nodes => nodes::find(lists, options, &mut found),
        Role::Services => services::find(lists, options, &mut found),
        Role::Tasks => tasks::find(lists, options, &mut found),
    }
    (found.groups.into_groups(), found.skipped.into_problems().collect())
}

#[derive(Debug)]
struct Found<'a> {
    groups: Cut<'a>,
    skipped: Skipped,
}
