//! `swarmscout node`: the part that runs on every node, in place of cAdvisor.
//!
//! ```text
//!  Docker's socket ─┐                      /proc, /sys/fs/cgroup
//!                   ├─ facts, tasks ─▸ metrics of containers and node ─▸ /metrics…
//!  a manager ───────┘        ├──────▸ reach ─▸ tasks of this node
//!                            └──────▸ /sd/swarm, without a manager
//! ```
//!
//! Files of the kernel are read at a scrape only. Between scrapes it waits: for events of the Engine,
//! for changes of the manager's list, and for the next probe of another node.

mod environment;
mod feed;
mod following;
mod list;
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
use swarmscout_server::{HttpServer, Listener, ServerOptions, Site, hostname};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::following::Following;
use self::metrics::{NodeMetrics, Switches};
use crate::app::{Ended, StartError};
use crate::cli::NodeArgs;
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
    app: Arc<site::App>,
    /// What follows the Engine and the managers.
    _running: JoinSet<()>,
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
        let ports: Arc<[u16]> = listening.addresses().iter().map(SocketAddr::port).collect();
        let roots = environment::roots(args);
        let Following { facts, identity, tasks, counted, unavailable, probes, running } =
            Following::start(args, &ports, &roots)?;
        let switches = Switches {
            given: args.collectors.given.clone(),
            has_node_exporter: node_exporter::answers().await,
        };
        let options = ServerOptions { max_waiting: 0, ..args.listener.options()? };
        let shutdown_timeout = options.shutdown_timeout;
        let names = listening.names();
        let listeners: Vec<Listener> = std::mem::take(&mut listening.listeners);
        let server = HttpServer::new(options, &hostname(), &listeners);
        let metrics = NodeMetrics::new(roots, switches, facts, identity, counted, unavailable);
        let app =
            Arc::new(site::App { server: Arc::clone(&server), metrics, tasks, probes, started });
        let site = Site::new(site::routes(&server), Arc::clone(&app));
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
            app,
            _running: running,
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
        if let Some(tasks) = &self.app.tasks {
            tasks.reach.stop();
        }
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
