//! What the node part follows between scrapes: its Engine, its managers, other nodes. Nothing of it is
//! awaited before the server answers.

use std::sync::Arc;

use anyhow::Context as _;
use http::HeaderValue;
use swarmscout_docker::EngineConfig;
use swarmscout_docker::engine::LocalEngine;
use swarmscout_node::engine::EngineFollower;
use swarmscout_node::facts::FactsSet;
use swarmscout_node::host::Identity;
use swarmscout_node::roots::Roots;
use swarmscout_node::unavailable::Unavailable;
use swarmscout_node_tasks::{Follower, NodeRef};
use swarmscout_reach::{Reach, ReachOptions, Reachable};
use swarmscout_refresh::RefreshContext;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::feed::{self, MetricsOutlet, Outlets};
use super::list::{ListSpec, OwnList};
use super::metrics::{Counted, NodeIdentity};
use super::probes::Probes;
use super::site::{Tasks, TasksSource};
use super::{USER_AGENT, environment};
use crate::cli::{DEFAULT_NODE_PORT, NodeArgs};

/// What is known of this node, as it changes.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) facts: watch::Receiver<Arc<FactsSet>>,
    pub(super) identity: watch::Receiver<NodeIdentity>,
    /// Which tasks or containers scrapers find here; `None` without manager and Engine.
    pub(super) tasks: Option<Tasks>,
    pub(super) counted: Counted,
    pub(super) unavailable: Arc<Unavailable>,
    pub(super) probes: Probes,
    /// What follows: dropped, it ends.
    pub(super) running: JoinSet<()>,
}

/// Where those that follow publish.
struct Publish {
    facts: watch::Sender<Arc<FactsSet>>,
    identity: watch::Sender<NodeIdentity>,
    /// Empty until the Engine was asked, which knows the surest one.
    names: watch::Sender<Vec<NodeRef>>,
}

impl Following {
    /// Starts to follow. `ports` are where this program listens: the first one is registered. Fails if
    /// something of the flags cannot be used.
    pub(super) fn start(
        args: &NodeArgs,
        ports: &Arc<[u16]>,
        roots: &Roots,
    ) -> anyhow::Result<Self> {
        let port = ports.first().copied().unwrap_or(DEFAULT_NODE_PORT);
        let context = RefreshContext::new(USER_AGENT);
        // One that is there for its probes alone serves no containers.
        let engine = environment::engine(args).filter(|_| !args.peers.only);
        let (facts_sender, facts) = watch::channel(Arc::default());
        let (identity_sender, identity) = watch::channel(environment::identity(args));
        let is_named = engine.is_none() || environment::node_id(args).is_some();
        let names = if is_named { environment::names(args) } else { Vec::new() };
        let (names_sender, names) = watch::channel(names);
        let mut following = Self {
            facts,
            identity,
            tasks: None,
            counted: Counted {
                ends: Arc::default(),
                has_engine: engine.is_some(),
                counts_ends: engine.is_some() || !args.managers.is_empty() && !args.peers.only,
                disk: args.disk.then(Arc::default),
            },
            unavailable: Arc::default(),
            probes: Probes::default(),
            running: JoinSet::new(),
        };
        following.probe_overlay(args, port)?;
        let mut outlets = Outlets::default();
        if args.peers.only {
            if !args.managers.is_empty() {
                following.follow_managers(args, port, names, outlets, &context)?;
            }
            return Ok(following);
        }
        let publish =
            Publish { facts: facts_sender, identity: identity_sender, names: names_sender };
        if let Some(engine) = &engine {
            following.follow_engine(engine, args, publish, &context)?;
        } else if args.managers.is_empty() {
            let reason = "containers have their IDs alone, and what ends is not counted; give --manager \
                          or Docker's socket";
            following.unavailable.set("names", reason);
        } else {
            let (ends, unavailable) = (&following.counted.ends, &following.unavailable);
            let (ends, unavailable) = (Arc::clone(ends), Arc::clone(unavailable));
            let outlet = MetricsOutlet::new(publish.facts, publish.identity, ends, unavailable);
            outlets.metrics = Some(outlet);
        }
        let reach = Reach::new(reach_options(args, roots), outlets.reachable.subscribe());
        let source = if !args.managers.is_empty() {
            following.follow_managers(args, port, names, outlets, &context)?
        } else if let Some(engine) = engine {
            following.list_own(engine, args, Arc::clone(ports), roots, outlets.reachable, &context)
        } else {
            return Ok(following);
        };
        following.tasks = Some(Tasks { source, reach, insecure: args.reach_insecure });
        Ok(following)
    }

    /// The containers of this node, and what its Engine is.
    fn follow_engine(
        &mut self,
        config: &EngineConfig,
        args: &NodeArgs,
        publish: Publish,
        context: &RefreshContext,
    ) -> anyhow::Result<()> {
        let Publish { facts, identity, names } = publish;
        let engine = || LocalEngine::new(config, context).context("cannot use --docker.host");
        let (labels, ends) = (environment::labels(args), Arc::clone(&self.counted.ends));
        let unavailable = || Arc::clone(&self.unavailable);
        let follower = EngineFollower::new(engine()?, labels, facts, ends, unavailable());
        self.running.spawn(follower.run());
        let known = environment::names(args);
        self.running.spawn(environment::ask_engine(engine()?, known, identity, names));
        if let Some(disk) = &self.counted.disk {
            self.running.spawn(Arc::clone(disk).keep(engine()?, unavailable()));
        }
        Ok(())
    }

    /// The tasks of this node by its managers, and the network to other nodes.
    fn follow_managers(
        &mut self,
        args: &NodeArgs,
        port: u16,
        names: watch::Receiver<Vec<NodeRef>>,
        outlets: Outlets,
        context: &RefreshContext,
    ) -> anyhow::Result<TasksSource> {
        let mut settings = environment::manager(args, port, names)?;
        let (report, reported) = watch::channel(Arc::default());
        settings.report = reported;
        let follower = Follower::new(settings, context).context("cannot use --manager")?;
        let feed = follower.subscribe();
        self.running.spawn(follower.run());
        self.running.spawn(self.probes.clone().report(report));
        if args.peers.enabled && args.peers.overlay.is_none() {
            let peers = outlets.peers.subscribe();
            self.running.spawn(self.probes.clone().by_host(port, feed.clone(), peers));
        }
        if !args.peers.only {
            self.running.spawn(feed::hand_on(feed.clone(), outlets));
        }
        Ok(TasksSource::Managers(feed))
    }

    /// The containers of this node by their labels.
    fn list_own(
        &mut self,
        engine: EngineConfig,
        args: &NodeArgs,
        ports: Arc<[u16]>,
        roots: &Roots,
        reachable: watch::Sender<Arc<Reachable>>,
        context: &RefreshContext,
    ) -> TasksSource {
        let has_way = environment::is_in_host_network(roots);
        let reach = match (has_way, args.reach_insecure) {
            (false, _) => "no: this process is not in the host's network (--network host)",
            (true, true) => "yes, for every reader",
            (true, false) => "for readers with a client certificate; --reach.insecure: for all",
        };
        tracing::info!(list = "/sd/swarm", reach, "Listing the containers of this node");
        let spec = ListSpec { engine, facts: self.facts.clone(), ports, has_way };
        let (list, publish) = OwnList::start(spec, context, reachable);
        self.running.spawn(publish);
        TasksSource::Engine(Box::new(list))
    }

    /// The network between the tasks of a service that is there for probes.
    fn probe_overlay(&mut self, args: &NodeArgs, port: u16) -> anyhow::Result<()> {
        let Some(service) = &args.peers.overlay else { return Ok(()) };
        let Identity { node_id, node_name } = self.identity.borrow().node.clone();
        let name = node_name.unwrap_or_default();
        let id = node_id.unwrap_or_else(|| name.clone());
        self.running.spawn(self.probes.over_overlay(port, service, id, name)?);
        Ok(())
    }
}

fn reach_options(args: &NodeArgs, roots: &Roots) -> ReachOptions {
    ReachOptions {
        procfs: roots.procfs.clone(),
        max_body: args.reach_max_body.0,
        ..ReachOptions::new(HeaderValue::from_static(USER_AGENT))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Args {
        #[command(flatten)]
        node: NodeArgs,
    }

    /// What is reported as missing.
    fn missing(flags: &[&str]) -> Vec<String> {
        let args = ["node", "--docker.host="].iter().chain(flags);
        let Args { node } = Args::try_parse_from(args).unwrap();
        let following = Following::start(&node, &Arc::from([0]), &Roots::default()).unwrap();
        following.unavailable.list().into_iter().map(|(what, _)| what).collect()
    }

    #[tokio::test]
    async fn one_that_only_probes_misses_nothing_of_containers() {
        let manager = "--manager=http://127.0.0.1:1";
        assert_eq!(missing(&[]), ["names"]);
        assert_eq!(missing(&[manager]), ["health"]);
        assert_eq!(missing(&["--peers.only"]), [""; 0]);
        assert_eq!(missing(&["--peers.only", manager]), [""; 0]);
    }
}
