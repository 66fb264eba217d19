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
mod metrics;
mod node_exporter;
mod site;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use swarmscout_docker::engine::LocalEngine;
use swarmscout_node::engine::{Disk, Ends, EngineFollower};
use swarmscout_node::facts::FactsSet;
use swarmscout_node::unavailable::Unavailable;
use swarmscout_refresh::RefreshContext;
use swarmscout_server::{HttpServer, Listener, ServerOptions, Site};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::metrics::{NodeMetrics, Switches};
use crate::app::{BUILD, Ended, StartError};
use crate::cli::NodeArgs;
use crate::doors;
use crate::listen::{Listen, Listening};
use crate::signals::{Received, Signals};
use crate::systemd::Systemd;

/// Open files for each container, and the containers of a large node.
const FILES: usize = 14 * 1000;

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
        crate::open_files::raise(args.max_connections + FILES);
        let listen = if args.systemd_socket {
            Listen::Systemd
        } else {
            Listen::Addresses(args.listen_addresses.clone())
        };
        let web_config = args.web_config_file.as_deref();
        let web_config = web_config.filter(|path| !path.as_os_str().is_empty());
        let mut listening = tokio::select! {
            listening = Listening::start(listen, web_config) => listening?,
            _ = signals.stop() => return Err(StartError::Stopped),
        };
        let context = RefreshContext::new(format!("Swarmscout/{}", BUILD.version));
        let mut followers = JoinSet::new();
        let (unavailable, ends) = (Arc::<Unavailable>::default(), Arc::<Ends>::default());
        let (facts_sender, facts) = watch::channel(Arc::<FactsSet>::default());
        let (identity_sender, identity) = watch::channel(environment::identity(args));
        let switches = Switches {
            given: args.collectors.given.clone(),
            has_node_exporter: node_exporter::answers().await,
        };
        let disk = args.disk.then(Arc::<Disk>::default);
        if let Some(config) = environment::engine(args) {
            let engine = || LocalEngine::new(&config, &context);
            let follower = EngineFollower::new(
                engine().context("cannot use --docker.host")?,
                environment::labels(args),
                facts_sender,
                Arc::clone(&ends),
                Arc::clone(&unavailable),
            );
            followers.spawn(follower.run());
            let asked = engine().context("cannot use --docker.host")?;
            followers.spawn(environment::ask_engine(asked, identity_sender));
            if let Some(disk) = &disk {
                let engine = engine().context("cannot use --docker.host")?;
                followers.spawn(Arc::clone(disk).keep(engine, Arc::clone(&unavailable)));
            }
        }
        let options = ServerOptions {
            allowed_hosts: args.allowed_hosts.clone(),
            read_timeout: args.read_timeout.into(),
            max_connections: args.max_connections,
            max_waiting: 0,
            ..ServerOptions::default()
        };
        let shutdown_timeout = options.shutdown_timeout;
        let names = listening.names();
        let listeners: Vec<Listener> = std::mem::take(&mut listening.listeners);
        let server = HttpServer::new(options, &environment::hostname(), &listeners);
        let metrics = NodeMetrics::new(
            environment::roots(args),
            switches,
            facts,
            identity,
            (ends, disk),
            unavailable,
        );
        let app = Arc::new(site::App { server: Arc::clone(&server), metrics, started });
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
