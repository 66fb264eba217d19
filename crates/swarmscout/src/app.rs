//! The running program: what is started in which order, what may happen, and how it ends.
//!
//! ```text
//!  start:  signals → configuration → listeners → discovery → web → ready
//!  events: a signal · a request to reload or quit · a changed file · a reload that is done
//!          (one loop, `run`)
//!  end:    not ready → file SD → discovery → web
//! ```
//!
//! A reload reads and checks the whole configuration first and then applies it at once; on any
//! error everything runs on as before, and log, metric and API say so. One reload runs at a time:
//! requests that come meanwhile are all answered by the one after it, since the file may have
//! changed after the running one read it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use futures_util::future::OptionFuture;
use swarmscout_config::{Config, Loaded};
use swarmscout_discovery::Manager;
use swarmscout_discovery::config::{BuildContext, CopiedLabel, OwnContainer};
use swarmscout_discovery::manager::{Job, JobSet, ShadowedJob};
use swarmscout_discovery::storage::Storage;
use swarmscout_model::size::Bytes;
use swarmscout_model::{Budget, Labels};
use swarmscout_node_tasks::Board;
use swarmscout_publish::file_sd::{self, FileSd};
use swarmscout_publish::list::Cache;
use swarmscout_state::Exporter;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::auto_reload::AutoReload;
use crate::cli::IgnoredFlag;
use crate::cli::state::presets_off;
use crate::config_source::{Attempt, ConfigSource};
use crate::counters;
use crate::doors::{self, AllDoors};
use crate::listen::{Listen, Listening, SocketFile, local_url};
use crate::manager_certificates;
use crate::memory;
use crate::signals::{Received, Signals};
use crate::summary::summary;
use crate::systemd::Systemd;
use swarmscout_server::{Listener, Threads};
use swarmscout_web::{self as web, BuildInfo, LifecycleCommand, Readiness, ReloadStatus};

/// How long discovery may take to end. Together with the others and the web server's
/// `shutdown_timeout` it stays under the 10 s after which Docker kills a container.
const DISCOVERY_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the last counters may take to be stored.
const COUNTERS_SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);

/// How long the write of a file that has started may take to end.
const FILE_SD_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// What this binary is.
pub const BUILD: BuildInfo = BuildInfo {
    version: env!("CARGO_PKG_VERSION"),
    revision: env!("SWARMSCOUT_REVISION"),
    branch: env!("SWARMSCOUT_BRANCH"),
    build_user: "unknown",
    build_date: "unknown",
    compiler: env!("SWARMSCOUT_COMPILER"),
};

/// What the program is started with.
#[derive(Debug)]
pub struct Options {
    /// Where the configuration comes from.
    pub source: ConfigSource,
    /// `--config.auto-reload`: how often to check its files for a change.
    pub auto_reload: Option<Duration>,
    /// Where the web server listens.
    pub listen: Listen,
    /// `--web.config.file`.
    pub web_config: Option<PathBuf>,
    /// What all sources and lists may hold together; 0: no limit.
    pub memory: Bytes,
    /// What else the web server obeys.
    pub web: web::Options,
    /// Where and how to write targets into files, if at all.
    pub file_sd: Option<file_sd::Options>,
    /// `--storage.path`.
    pub storage_path: Option<PathBuf>,
    /// What state metrics show; `None` if they are off.
    pub state: Option<swarmscout_state::Options>,
    /// Whether state metrics ask managers for the addresses in use on each network.
    pub network_status: bool,
    /// Whether state metrics show when the certificates of managers end.
    pub certificates: bool,
    /// Labels of all targets: `--cluster`.
    pub common_labels: Labels,
    /// Labels of services and nodes that their targets have, too.
    pub copied_labels: Arc<[CopiedLabel]>,
    /// `--sd.startup-timeout`.
    pub startup_timeout: Duration,
    /// What `/api/v1/status/flags` shows.
    pub flags: Vec<(String, String)>,
    /// Flags that were given and have no effect.
    pub ignored_flags: Vec<IgnoredFlag>,
}

/// Why the program did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration cannot be used. Holds one line for each error.
    Config(String),
    /// Something else, a taken port for instance.
    Other(anyhow::Error),
    /// A signal asked for the end before it had started.
    Stopped,
}

impl From<anyhow::Error> for StartError {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything was ended in order and in time.
    Clean,
    /// A second signal asked for the end at once, or something did not end in time.
    Forced,
    /// The web server ended by itself.
    Failed,
}

/// The program, running.
#[derive(Debug)]
pub struct App {
    source: ConfigSource,
    auto_reload: Option<AutoReload>,
    signals: Signals,
    systemd: Systemd,
    manager: Manager,
    config: watch::Sender<Arc<Config>>,
    status: watch::Sender<ReloadStatus>,
    readiness: watch::Sender<Readiness>,
    lifecycle: mpsc::Receiver<LifecycleCommand>,
    file_sd: Option<FileSd>,
    web: JoinSet<()>,
    web_threads: Threads,
    stop_web: oneshot::Sender<()>,
    web_timeout: Duration,
    addresses: Vec<SocketAddr>,
    doors: AllDoors,
    /// Removed at the end.
    _socket_files: Vec<SocketFile>,
    /// Counts what happens between two scrapes.
    counting: JoinSet<()>,
    stop_counting: oneshot::Sender<()>,
    /// Reads the certificates of managers.
    _certificates: JoinSet<()>,
    /// Follows what the parts on nodes ask for.
    _following: JoinSet<()>,
}

type Reply = oneshot::Sender<Result<(), String>>;
type Loading = Pin<Box<dyn Future<Output = (Attempt, Result<(), String>)> + Send>>;

impl App {
    /// Reads the configuration, listens, and starts discovery and web server.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let started = SystemTime::now();
        let mut context = BuildContext::new(format!("Swarmscout/{}", BUILD.version));
        let own_container = OwnContainer::read();
        context.own_container.clone_from(&own_container);
        context.startup_timeout = options.startup_timeout;
        context.state_metrics = options.state.is_some();
        context.presets_off = presets_off(options.state.is_some());
        context.common_labels = options.common_labels;
        context.copied_labels = options.copied_labels;
        context.network_status = options.network_status;
        context.refresh.budget = Budget::measured(options.memory, memory::process(options.memory));
        let budget = context.refresh.budget.clone();
        let nodes = Arc::new(Board::default());
        context.node_ports = nodes.node_ports();
        context.storage = options.storage_path.map(|path| Storage::new(path, &context));
        let storage = context.storage.clone();
        // The time that sources have to answer counts from here.
        let mut manager = Manager::new(context);
        // First of all: a SIGHUP without a handler ends a process.
        let mut signals = Signals::new().context("cannot take over signals")?;
        let mut systemd = Systemd::from_env();
        for flag in &options.ignored_flags {
            tracing::warn!(flag = %format_args!("--{}", flag.name), reason = flag.reason,
                "Flag has no effect");
        }
        let Attempt { loaded, fingerprint } = tokio::select! {
            attempt = load(&options.source) => attempt,
            _ = signals.stop() => return Err(StartError::Stopped),
        };
        let loaded = loaded.map_err(StartError::Config)?;
        crate::open_files::raise(
            options.web.server.max_connections + options.web.server.max_waiting,
        );
        let auto_reload = options.auto_reload.and_then(|interval| {
            let mut auto_reload = options.source.auto_reload(interval)?;
            auto_reload.note(fingerprint);
            Some(auto_reload)
        });
        let threads = Handle::current().metrics().num_workers();
        let listening = Listening::start(options.listen, options.web_config.as_deref(), threads);
        let listening = tokio::select! {
            listening = listening => listening?,
            _ = signals.stop() => return Err(StartError::Stopped),
        };
        let addresses = listening.addresses();
        let url = |listener: &Listener| {
            listener.address().map(|address| local_url(listener.scheme(), address))
        };
        let local_url = listening.public().find_map(url);
        let names = listening.names();
        let Listening { threads: web_threads, listeners, doors, files: socket_files } = listening;
        apply_jobs(&mut manager, loaded.config.job_configs());
        let (config, config_receiver) = watch::channel(Arc::new(loaded.config));
        let (status, status_receiver) = watch::channel(ReloadStatus {
            error: None,
            loaded: SystemTime::now(),
            warnings: texts(&loaded.warnings),
        });
        let (readiness, readiness_receiver) = watch::channel(Readiness::Starting);
        let (lifecycle_sender, lifecycle) = mpsc::channel(16);
        let web_timeout = options.web.server.shutdown_timeout;
        let base = options.web.server.external_url.as_ref().map(ToString::to_string);
        let prefix = options.web.server.route_prefix.clone();
        let lists = Cache::new(budget);
        let file_sd = options.file_sd.map(|options| {
            let counters = Arc::clone(manager.stats());
            let on_panic = move || counters.refresh.panics.add(1);
            FileSd::start(options, manager.sets(), Arc::clone(&lists), on_panic)
        });
        let files = file_sd.as_ref().map(FileSd::status);
        let exporter = options.state.map(|shown| Arc::new(Exporter::new(shown)));
        let (mut counting, mut certificates) = (JoinSet::new(), JoinSet::new());
        let (stop_counting, counting_stopped) = oneshot::channel();
        if let Some(exporter) = &exporter {
            if let Some(storage) = &storage {
                counters::restore(exporter, storage).await;
            }
            if options.certificates {
                let swarms = manager.swarms();
                certificates.spawn(manager_certificates::keep(Arc::clone(exporter), swarms));
            }
            let (exporter, swarms) = (Arc::clone(exporter), manager.swarms());
            counting.spawn(counters::keep(exporter, swarms, storage, counting_stopped));
        }
        let mut following = JoinSet::new();
        following.spawn(Arc::clone(&nodes).run(manager.swarms(), manager.sets()));
        let context = web::Context {
            discovery: web::Discovery {
                jobs: manager.jobs(),
                swarms: manager.swarms(),
                classic_swarms: manager.classic_swarms(),
                stats: Arc::clone(manager.stats()),
                own_container,
            },
            outputs: web::Outputs {
                files: files.unwrap_or_else(|| watch::channel(Arc::from([])).1),
                lists,
                state_metrics: exporter,
                nodes,
            },
            program: web::Program {
                config: config_receiver,
                reload: status_receiver,
                ready: readiness_receiver,
                lifecycle: lifecycle_sender,
                doors: doors.handles.clone().into(),
                flags: options.flags.into(),
                build: BUILD,
                started,
                log_lines_dropped: crate::logging::dropped,
                runtimes: Arc::from([Handle::current(), web_threads.handle().clone()]),
            },
            options: Arc::new(options.web),
            clock: web::Clock::System,
        };
        let (stop_web, stopped) = oneshot::channel();
        let mut web = JoinSet::new();
        let serve = web::serve(listeners, context, async {
            // A sender that is gone means the end as well.
            let _ = stopped.await;
        });
        web.spawn_on(serve, web_threads.handle());
        readiness.send_replace(Readiness::Ready);
        for address in &names {
            tracing::info!(%address, "Listening on");
        }
        if let (ConfigSource::Engine(_), Some(local_url)) = (&options.source, local_url) {
            let base = base.unwrap_or(local_url + &prefix);
            let url = format!("{base}/api/v1/status/config?format=yaml");
            tracing::info!(
                url,
                "To change what is discovered, save this configuration as prometheus.yml"
            );
        }
        systemd.ready(&summary(&manager, None));
        Ok(Self {
            source: options.source,
            auto_reload,
            signals,
            systemd,
            manager,
            config,
            status,
            readiness,
            lifecycle,
            file_sd,
            web,
            web_threads,
            stop_web,
            web_timeout,
            addresses,
            doors,
            _socket_files: socket_files,
            counting,
            stop_counting,
            _certificates: certificates,
            _following: following,
        })
    }

    /// The TCP addresses that the web server listens on, in the order of the flags.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The running jobs, sorted by name.
    pub fn jobs(&self) -> watch::Receiver<Arc<[Job]>> {
        self.manager.jobs()
    }

    /// Reloads on request until a signal or a request ends it, and ends everything in order.
    pub async fn run(mut self) -> Ended {
        let mut loading: OptionFuture<Loading> = None.into();
        // Whom the running reload answers, if one runs, and whom the next one will.
        let mut answered: Option<Vec<Reply>> = None;
        let mut waiting: Vec<Reply> = Vec::new();
        let mut hangup = false;
        let mut ended = Ended::Clean;
        loop {
            if answered.is_none() && (hangup || !waiting.is_empty()) {
                hangup = false;
                answered = Some(std::mem::take(&mut waiting));
                self.systemd.reloading();
                let source = self.source.clone();
                let doors = self.doors.handles.clone();
                let load: Loading =
                    Box::pin(async move { (load(&source).await, doors::reload(&doors).await) });
                loading = Some(load).into();
            }
            tokio::select! {
                signal = self.signals.next() => match signal {
                    Received::Reload => hangup = true,
                    Received::Stop(signal) => {
                        tracing::info!(signal, "Received signal, shutting down");
                        break;
                    }
                },
                // None comes only when the web server has ended, which is handled below.
                Some(command) = self.lifecycle.recv() => match command {
                    LifecycleCommand::Reload(reply) => waiting.push(reply),
                    LifecycleCommand::Quit => {
                        tracing::info!("Received a request to /-/quit, shutting down");
                        break;
                    }
                },
                Some(()) = OptionFuture::from(self.auto_reload.as_mut().map(AutoReload::changed)),
                    if answered.is_none() =>
                {
                    tracing::info!(from = %self.source, "Configuration changed");
                    hangup = true;
                }
                Some((attempt, doors)) = &mut loading => {
                    loading = None.into();
                    let Attempt { loaded, fingerprint } = attempt;
                    if let Some(auto_reload) = &mut self.auto_reload {
                        auto_reload.note(fingerprint);
                    }
                    let result = self.apply(loaded).and(doors);
                    self.systemd.ready(&self.summary());
                    for reply in answered.take().into_iter().flatten() {
                        // The client may have gone.
                        let _ = reply.send(result.clone());
                    }
                }
                () = self.systemd.due() => self.systemd.alive(&self.summary()),
                _ = self.web.join_next() => {
                    tracing::error!("Web server stopped unexpectedly");
                    ended = Ended::Failed;
                    break;
                }
            }
        }
        self.shutdown(ended).await
    }

    /// Makes a configuration that was read the one in use, or says why the old one stays.
    fn apply(&mut self, loaded: Result<Loaded, String>) -> Result<(), String> {
        match loaded {
            Ok(Loaded { config, warnings, .. }) => {
                apply_jobs(&mut self.manager, config.job_configs());
                self.config.send_replace(Arc::new(config));
                self.status.send_replace(ReloadStatus {
                    error: None,
                    loaded: SystemTime::now(),
                    warnings: texts(&warnings),
                });
                Ok(())
            }
            Err(error) => {
                tracing::error!(error, "Reload failed, the previous configuration stays in use");
                self.status.send_modify(|status| status.error = Some(error.as_str().into()));
                Err(error)
            }
        }
    }

    /// How it is doing, in a line.
    fn summary(&self) -> String {
        summary(&self.manager, self.status.borrow().error.as_deref())
    }

    /// Downstream: what finds targets first, what others read last.
    async fn shutdown(self, ended: Ended) -> Ended {
        let Self {
            mut signals,
            mut systemd,
            manager,
            readiness,
            file_sd,
            mut web,
            web_threads: _web_threads,
            stop_web,
            web_timeout,
            mut counting,
            stop_counting,
            ..
        } = self;
        readiness.send_replace(Readiness::Stopping);
        systemd.stopping();
        let in_order = async move {
            let mut in_time = true;
            // First: the jobs that discovery ends with are not gone.
            if let Some(file_sd) = file_sd
                && !file_sd.shutdown(FILE_SD_SHUTDOWN_TIMEOUT).await
            {
                tracing::warn!("File SD did not stop in time");
                in_time = false;
            }
            let _ = stop_counting.send(());
            if timeout(COUNTERS_SHUTDOWN_TIMEOUT, counting.join_next()).await.is_err() {
                tracing::warn!("The counters of state metrics were not stored in time");
                in_time = false;
            }
            if timeout(DISCOVERY_SHUTDOWN_TIMEOUT, manager.shutdown()).await.is_err() {
                tracing::warn!("Discovery did not stop in time");
                in_time = false;
            }
            // The server is gone already where it ended by itself.
            let _ = stop_web.send(());
            let last = web_timeout + Duration::from_secs(1);
            if timeout(last, web.join_next()).await.is_err() {
                tracing::warn!("Web server did not stop in time");
                in_time = false;
            }
            in_time
        };
        tokio::select! {
            in_time = in_order => match ended {
                Ended::Clean if !in_time => Ended::Forced,
                ended => {
                    tracing::info!("Stopped");
                    ended
                }
            },
            signal = signals.stop() => {
                tracing::warn!(signal, "Received a second signal, exiting immediately");
                Ended::Forced
            }
        }
    }
}

/// Reads the configuration and logs its warnings.
async fn load(source: &ConfigSource) -> Attempt {
    let start = Instant::now();
    tracing::info!(from = %source, "Loading configuration");
    let attempt = source.load().await;
    if let Ok(loaded) = &attempt.loaded {
        for warning in &loaded.warnings {
            tracing::warn!(warning = %warning, "Configuration warning");
        }
        let jobs = loaded.config.jobs.len();
        tracing::info!(from = %source, jobs, duration = ?start.elapsed(), "Loaded configuration");
    }
    attempt
}

/// Makes these the jobs, and logs those that do not run.
fn apply_jobs(manager: &mut Manager, jobs: impl Into<JobSet>) {
    for ShadowedJob { job, layer, by } in manager.apply(jobs) {
        tracing::warn!(
            config = %job,
            layer,
            used = by,
            "Job does not run because another one has its name, rename one of them"
        );
    }
}

fn texts(warnings: &[swarmscout_config::Warning]) -> Arc<[String]> {
    warnings.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use expect_test::expect;
    use swarmscout_discovery::JobConfig;
    use swarmscout_discovery::config::STARTUP_TIMEOUT;
    use swarmscout_discovery::manager::LayeredJob;

    use super::*;
    use crate::cli::{LogFormat, LogLevel};
    use crate::logging::tests::lines;

    #[tokio::test]
    async fn a_job_that_another_one_shadows_is_logged() {
        let jobs = |names: [&str; 2]| names.map(|name| JobConfig::new(name, Vec::new()));
        let mut set = JobSet::of_file(jobs(["web", "db"]).into());
        let made = jobs(["db", "cache"]).map(|config| LayeredJob { config, yaml: None });
        set.add_layer("discovered", made.into());
        let mut manager = Manager::new(BuildContext::new("test"));
        let logged =
            lines(LogLevel::Info, LogFormat::Logfmt, || apply_jobs(&mut manager, set.clone()));
        expect![[r#"
            time=TIME level=WARN source=app.rs:N msg="Job does not run because another one has its name, rename one of them" config=db layer=discovered used=file
        "#]].assert_eq(&logged);
    }

    /// This test's one thread is that of discovery. While it is held up the web server answers; so
    /// neither waits in the other's queue.
    #[tokio::test]
    async fn the_web_server_has_its_own_threads() {
        let app = App::start(Options {
            source: ConfigSource::Text { name: "a test", yaml: Arc::from("scrape_configs: []") },
            auto_reload: None,
            listen: Listen::Addresses(vec!["127.0.0.1:0".parse().expect("an address")]),
            web_config: None,
            web: web::Options::default(),
            memory: Bytes(0),
            file_sd: None,
            storage_path: None,
            state: None,
            network_status: false,
            certificates: false,
            common_labels: Labels::empty(),
            copied_labels: Arc::default(),
            startup_timeout: STARTUP_TIMEOUT,
            flags: Vec::new(),
            ignored_flags: Vec::new(),
        })
        .await
        .expect("it starts");
        let mut stream = TcpStream::connect(app.addresses()[0]).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let request = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}
