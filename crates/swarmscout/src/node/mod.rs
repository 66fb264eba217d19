//! `swarmscout node`: the part that runs on every node, in place of cAdvisor.
//!
//! ```text
//!  Docker's socket ─┐                      /proc, /sys/fs/cgroup
//!                   ├─ facts, tasks ─▸ metrics of containers and node ─▸ /metrics…
//!  a manager ───────┘        └──────▸ reach ─▸ tasks of this node
//! ```
//!
//! Files of the kernel are read at a scrape only. Between scrapes it waits: for events of the Engine,
//! for changes of the manager's list, and for the next probe of another node.

mod environment;
mod feed;
mod metrics;
mod node_exporter;
mod own;
mod places;
mod probes;
mod site;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use http::HeaderValue;
use swarmscout_docker::engine::LocalEngine;
use swarmscout_node::engine::{Disk, Ends, EngineFollower};
use swarmscout_node::facts::FactsSet;
use swarmscout_node::host::Identity;
use swarmscout_node::unavailable::Unavailable;
use swarmscout_node_tasks::Follower;
use swarmscout_reach::{Reach, ReachOptions};
use swarmscout_refresh::RefreshContext;
use swarmscout_server::{HttpServer, Listener, ServerOptions, Site, hostname};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::feed::Outlets;
use self::metrics::{NodeMetrics, Switches};
use self::probes::Probes;
use crate::app::{Ended, StartError};
use crate::cli::{DEFAULT_NODE_PORT, NodeArgs};
use crate::doors;
use crate::listen::Listening;
use crate::signals::{Received, Signals};
use crate::systemd::Systemd;

const USER_AGENT: &str = concat!("Swarmscout/", env!("CARGO_PKG_VERSION"));

/// Open files for each container, and the containers of a large node.
const FILES: usize = 14 * 1000;

/// Threads that answer, at most: so a large scrape holds up no other reader. A node part has few readers, and
/// each thread costs memory.
const MAX_THREADS: usize = 2;

/// Runs until a signal ends it.
pub(crate) async fn run(args: &NodeArgs) -> ExitCode {
    match Node::start(args).await {
        Ok(node) => match node.run().await {
            Ended::Clean => ExitCode::SUCCESS,
            Ended::Forced | Ended::Failed => ExitCode::FAILURE,
        },
        Err(error) => crate::report(error),
    }
}

/// The node part, running.
struct Node {
    signals: Signals,
    systemd: Systemd,
    listening: Listening,
    web: JoinSet<()>,
    stop_web: oneshot::Sender<()>,
    shutdown_timeout: Duration,
    /// What follows the Engine and the managers.
    _followers: JoinSet<()>,
}

impl Node {
    async fn start(args: &NodeArgs) -> Result<Self, StartError> {
        let started = SystemTime::now();
        let mut signals = Signals::new().context("cannot take over signals")?;
        let systemd = Systemd::from_env();
        crate::open_files::raise(args.listener.max_connections + FILES);
        let listen = args.listener.listen(&args.listen_addresses);
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        let listening = Listening::start(listen, args.listener.web_config(), threads);
        let mut listening = tokio::select! {
            listening = listening => listening?,
            _ = signals.stop() => return Err(StartError::Stopped),
        };
        let context = RefreshContext::new(USER_AGENT);
        let mut followers = JoinSet::new();
        let (unavailable, ends) = (Arc::<Unavailable>::default(), Arc::<Ends>::default());
        let (facts_sender, facts) = watch::channel(Arc::<FactsSet>::default());
        let (identity_sender, identity) = watch::channel(environment::identity(args));
        let switches = Switches {
            given: args.collectors.given.clone(),
            has_node_exporter: node_exporter::answers().await,
        };
        let disk = args.disk.then(Arc::<Disk>::default);
        let (engine, roots) = (environment::engine(args), environment::roots(args));
        let probes = Probes::default();
        let port = listening.addresses().first().map_or(DEFAULT_NODE_PORT, SocketAddr::port);
        let mut outlets = Outlets::default();
        if let Some(config) = &engine {
            let engine = || LocalEngine::new(config, &context).context("cannot use --docker.host");
            let follower = EngineFollower::new(
                engine()?,
                environment::labels(args),
                facts_sender,
                Arc::clone(&ends),
                Arc::clone(&unavailable),
            );
            followers.spawn(follower.run());
            followers.spawn(environment::ask_engine(engine()?, identity_sender));
            if let Some(disk) = &disk {
                followers.spawn(Arc::clone(disk).keep(engine()?, Arc::clone(&unavailable)));
            }
        } else {
            outlets.facts = Some((facts_sender, identity_sender));
        }
        if let Some(service) = &args.peers_overlay {
            let Identity { node_id, node_name } = identity.borrow().node.clone();
            let name = node_name.unwrap_or_default();
            let id = node_id.unwrap_or_else(|| name.clone());
            followers.spawn(probes.over_overlay(port, service, id, name)?);
        }
        let tasks = if args.managers.is_empty() {
            None
        } else {
            let settings = environment::manager(args, port, engine.as_ref(), &context).await?;
            let follower = Follower::new(settings, &context).context("cannot use --manager")?;
            let feed = follower.subscribe();
            followers.spawn(follower.run());
            if args.peers && args.peers_overlay.is_none() {
                let peers = outlets.peers.subscribe();
                followers.spawn(probes.clone().by_host(port, feed.clone(), peers));
            }
            let reach = ReachOptions {
                procfs: roots.procfs.clone(),
                max_body: args.reach_max_body.0,
                ..ReachOptions::new(HeaderValue::from_static(USER_AGENT))
            };
            let reach = Reach::new(reach, outlets.reachable.subscribe());
            followers.spawn(feed::hand_on(feed.clone(), outlets));
            Some(site::Tasks { feed, reach, insecure: args.reach_insecure })
        };
        let options = ServerOptions { max_waiting: 0, ..args.listener.options()? };
        let shutdown_timeout = options.shutdown_timeout;
        let names = listening.names();
        let listeners: Vec<Listener> = std::mem::take(&mut listening.listeners);
        let server = HttpServer::new(options, &hostname(), &listeners);
        let metrics = NodeMetrics::new(roots, switches, facts, identity, (ends, disk), unavailable);
        let app =
            Arc::new(site::App { server: Arc::clone(&server), metrics, tasks, probes, started });
        let site = Site::new(site::routes(&server), app);
        let (stop_web, stopped) = oneshot::channel();
        let mut web = JoinSet::new();
        let serve = async move {
            server
                .run(listeners, site, site::own_check, async {
                    // A sender that is gone means the end as well.
                    let _ = stopped.await;
                })
                .await;
        };
        web.spawn_on(serve, listening.threads.handle());
        for address in &names {
            tracing::info!(%address, "Listening on");
        }
        Ok(Self {
            signals,
            systemd,
            listening,
            web,
            stop_web,
            shutdown_timeout,
            _followers: followers,
        })
    }

    async fn run(self) -> Ended {
        let Self { mut signals, mut systemd, listening, mut web, stop_web, .. } = self;
        systemd.ready("");
        let ended = loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Received::Reload => {
                        systemd.reloading();
                        if let Err(error) = doors::reload(&listening.doors.handles).await {
                            tracing::error!(error, "Reload failed, the previous web configuration stays in use");
                        }
                        systemd.ready("");
                    }
                    Received::Stop(signal) => {
                        tracing::info!(signal, "Stopping");
                        break Ended::Clean;
                    }
                },
                () = systemd.due() => systemd.alive(""),
                _ = web.join_next() => {
                    tracing::error!("Web server stopped unexpectedly");
                    return Ended::Failed;
                }
            }
        };
        systemd.stopping();
        let _ = stop_web.send(());
        let last = self.shutdown_timeout + Duration::from_secs(1);
        tokio::select! {
            in_time = timeout(last, web.join_next()) => {
                if in_time.is_err() {
                    tracing::warn!("Web server did not stop in time");
                    return Ended::Forced;
                }
                tracing::info!("Stopped");
                ended
            }
            signal = signals.stop() => {
                tracing::warn!(signal, "Received a second signal, exiting immediately");
                Ended::Forced
            }
        }
    }
}
