//! The program's parts that the cells of one column share: a manager with a job for each cell, the
//! web server, and the log.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use swarmscout::app::BUILD;
use swarmscout::cli::{LogArgs, LogFormat, LogLevel};
use swarmscout::logging;
use swarmscout_config::{Options, parse};
use swarmscout_discovery::Manager;
use swarmscout_discovery::config::BuildContext;
use swarmscout_discovery::manager::Job;
use swarmscout_discovery::source::dns::Resolver;
use swarmscout_web::{self as web, Clock, Readiness, ReloadStatus};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;

use super::origin::NameServer;

/// No source reads more of one answer, in bytes.
pub(crate) const MOST: u64 = 256 << 10;

/// The lines of the program's log so far.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl Log {
    /// From now on, of the whole process.
    pub(crate) fn capture() -> Self {
        let log = Self::default();
        let writer = log.clone();
        let args = LogArgs { level: LogLevel::Info, format: LogFormat::Json };
        let subscriber = logging::subscriber(args, move || writer.clone());
        tracing::subscriber::set_global_default(subscriber).unwrap();
        log
    }

    /// The lines about one job.
    pub(crate) fn of(&self, job: &str) -> Vec<Value> {
        let key = format!("\"config\":\"{job}\"");
        let log = self.0.lock().unwrap();
        let lines = std::str::from_utf8(&log).unwrap().lines();
        let lines = lines.filter(|line| line.contains(&key));
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A manager and its web server. Ends when it is dropped.
pub(crate) struct Site {
    pub(crate) log: Log,
    manager: Manager,
    address: SocketAddr,
    /// One cell after the other reads the pages: all at once would hold up what they read.
    pub(crate) turn: Mutex<()>,
    _config: watch::Sender<Arc<swarmscout_config::Config>>,
    _reload: watch::Sender<ReloadStatus>,
    _ready: watch::Sender<Readiness>,
    _web: JoinSet<()>,
}

impl Site {
    /// Runs the jobs of a configuration file. No refresh has a deadline before `patience`.
    pub(crate) async fn start(
        yaml: &str,
        patience: Duration,
        names: &NameServer,
        log: &Log,
    ) -> Self {
        let loaded = parse(yaml.as_bytes(), Path::new("/faults.yml"), &Options::default());
        let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}\n{yaml}"));
        let mut context = BuildContext::new("faults");
        context.refresh.max_answer = MOST;
        context.refresh.patience = patience;
        context.dns = Arc::new(Resolver::new(names.resolv_conf()));
        let mut manager = Manager::new(context);
        manager.apply(loaded.config.job_configs());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (config, config_receiver) = watch::channel(Arc::new(loaded.config));
        let status =
            ReloadStatus { error: None, loaded: SystemTime::now(), warnings: Arc::default() };
        let (reload, reload_receiver) = watch::channel(status);
        let (ready, ready_receiver) = watch::channel(Readiness::Ready);
        let context = web::Context {
            discovery: web::Discovery {
                jobs: manager.jobs(),
                swarms: manager.swarms(),
                classic_swarms: manager.classic_swarms(),
                stats: Arc::clone(manager.stats()),
                own_container: None,
            },
            outputs: web::Outputs {
                lists: Arc::default(),
                nodes: Arc::default(),
                state_metrics: None,
                files: watch::channel(Arc::from([])).1,
            },
            program: web::Program {
                config: config_receiver,
                reload: reload_receiver,
                ready: ready_receiver,
                lifecycle: mpsc::channel(1).0,
                doors: Arc::from([]),
                flags: Arc::from([]),
                build: BUILD,
                started: SystemTime::now(),
                runtimes: Arc::from([]),
                log_lines_dropped: || 0,
            },
            options: Arc::default(),
            clock: Clock::System,
        };
        let mut web = JoinSet::new();
        let listener = swarmscout_server::Listener::tcp(listener).unwrap();
        web.spawn(web::serve(vec![listener], context, std::future::pending()));
        let log = log.clone();
        Self {
            log,
            manager,
            address,
            turn: Mutex::default(),
            _config: config,
            _reload: reload,
            _ready: ready,
            _web: web,
        }
    }

    pub(crate) fn job(&self, name: &str) -> Job {
        let jobs = self.manager.jobs();
        let jobs = jobs.borrow();
        jobs.iter().find(|job| **job.config.name() == *name).unwrap().clone()
    }

    /// Status and body of a page.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    /// The only source of a job, as the API reports it.
    pub(crate) async fn source(&self, job: &str) -> Value {
        let (_, body) = self.get(&format!("/api/v1/sources?scrapePool={job}")).await;
        let mut answer: Value = serde_json::from_str(&body).unwrap();
        answer["data"]["sources"][0].take()
    }

    /// The samples of `/metrics`.
    pub(crate) async fn metrics(&self) -> Metrics {
        let (_, text) = self.get("/metrics").await;
        Metrics(text)
    }
}

/// The series of one moment.
pub(crate) struct Metrics(String);

impl Metrics {
    /// The sample of the series whose name and labels begin so.
    pub(crate) fn sample(&self, series: &str) -> f64 {
        let line = self.0.lines().find(|line| line.starts_with(series));
        let line = line.unwrap_or_else(|| panic!("no {series} in\n{}", self.0));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}
