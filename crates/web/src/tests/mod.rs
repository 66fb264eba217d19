//! Everything over real sockets on loopback, with jobs and sets made by hand.

mod access;
mod api;
mod changes;
mod doctor;
mod hostile;
mod lifecycle;
mod metrics;
mod nodes;
mod pages;
mod sd;
mod site;
mod wait;

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use swarmscout_config::Config;
use swarmscout_discovery::manager::Job;
use swarmscout_discovery::stats::DiscoveryStats;
use swarmscout_discovery::{JobConfig, JobStatus, SourceStatus};
use swarmscout_model::size::Bytes;
use swarmscout_model::{
    Budget, Completeness, DurationHistogram, MissingSource, TargetGroup, TargetSet,
};
use swarmscout_publish::file_sd::FileStatus;
use swarmscout_publish::list::Cache;
use swarmscout_publish::testing;
pub(super) use swarmscout_publish::testing::{group, replace, rule};
use swarmscout_refresh::supervisor::{Health, LastGood};
use swarmscout_swarm::{Feed, FeedKind, Swarm};
use swarmscout_web_config::DoorsHandle;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::{
    BuildInfo, Clock, Context, Discovery, LifecycleCommand, Listener, Now, Options, Outputs,
    Program, Readiness, ReloadStatus, ServerOptions,
};

/// The defaults, with this change.
pub(super) fn with(change: impl FnOnce(&mut ServerOptions)) -> Options {
    let mut options = Options::default();
    change(&mut options.server);
    options
}

/// A job whose rules keep what they are given.
pub(crate) fn job(name: &str) -> JobConfig {
    JobConfig::new(name, Vec::new())
}

/// A source that answered `age` seconds before `now`, if ever.
pub(crate) fn source(name: &str, now: Instant, age: Option<u64>) -> SourceStatus {
    SourceStatus {
        mechanism: "dockerswarm",
        name: Arc::from(name),
        display_name: Arc::from("unix:///var/run/docker.sock role tasks"),
        as_of: age.map(|age| now.checked_sub(Duration::from_secs(age)).unwrap()),
        restored: false,
        is_refreshed: true,
        error: None,
        problems: Arc::from([]),
        without_address: None,
        refreshes: 3,
        failures: 1,
        durations: Arc::new(DurationHistogram::default()),
        groups: 1,
        targets: 2,
        swarm: None,
    }
}

/// A Swarm that was last confirmed 4 s ago, and which `source` reads from now on.
pub(super) fn swarm(source: &mut SourceStatus, now: Instant, kind: FeedKind) -> SwarmSenders {
    let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1_699_999_000);
    let feed = Feed {
        swarm: Arc::from("unix:///var/run/docker.sock"),
        kind,
        since,
        reason: (kind != FeedKind::Watch).then(|| Arc::from("no control socket <here>")),
        host: Arc::from("unix:///var/run/docker.sock"),
        managers: vec![String::from("10.0.0.1"), String::from("10.0.0.2")],
        objects: [3, 2, 5, 1],
        changes: 7,
        last_change: Some(since + Duration::from_secs(990)),
        late: Some(Duration::from_millis(20)),
        starts: 1,
        drift: 0,
    };
    source.swarm = Some(Arc::clone(&feed.swarm));
    let as_of = now.checked_sub(Duration::from_secs(4));
    let known = LastGood { value: None, health: Health { as_of, ..Health::default() } };
    SwarmSenders { feed: watch::Sender::new(Arc::new(feed)), known: watch::Sender::new(known) }
}

/// The senders of what is known of a Swarm.
pub(super) struct SwarmSenders {
    pub(super) feed: watch::Sender<Arc<Feed>>,
    known: watch::Sender<LastGood<Arc<swarmscout_swarm::Snapshot>>>,
}

impl SwarmSenders {
    pub(super) fn publish(&self, snapshot: swarmscout_swarm::Snapshot) {
        self.known.send_modify(|known| known.value = Some(Arc::new(snapshot)));
    }

    pub(super) fn swarm(&self) -> Swarm {
        Swarm {
            feed: self.feed.subscribe(),
            known: self.known.subscribe(),
            tasks: None,
            is_whole: true,
        }
    }
}

/// The file of a job, as it is to be or not.
pub(super) fn file(now: Now, job: Option<&str>, error: Option<&str>) -> FileStatus {
    FileStatus {
        job: job.map(Arc::from),
        path: format!("/targets/{}.json", job.unwrap_or("gone")),
        confirmed: job.map(|_| now.system - Duration::from_secs(5)),
        error: error.map(Arc::from),
        writes: 3,
        failures: u64::from(error.is_some()),
    }
}

/// The set that the target manager makes from these groups.
pub(crate) fn set(
    job: &Arc<JobConfig>,
    groups: &[Arc<TargetGroup>],
    sources: Vec<SourceStatus>,
) -> Published {
    let mut set = testing::set(&job.pool, groups);
    set.completeness = completeness(&sources);
    let status = JobStatus { sources, ..JobStatus::default() };
    Published { config: Arc::clone(job), set, status }
}

fn completeness(sources: &[SourceStatus]) -> Completeness {
    let missing = sources.iter().filter(|source| source.as_of.is_none());
    let missing = missing.map(|source| MissingSource {
        name: Arc::clone(&source.name),
        display_name: Arc::clone(&source.display_name),
        error: source.error.clone(),
    });
    let missing: Arc<[_]> = missing.collect();
    if missing.is_empty() {
        return Completeness::Complete;
    }
    Completeness::Pending { missing, sources: sources.len() }
}

/// The channels of a job.
#[derive(Clone)]
pub(crate) struct Published {
    pub(crate) config: Arc<JobConfig>,
    pub(crate) set: TargetSet,
    pub(crate) status: JobStatus,
}

impl Published {
    /// The same once the sources have had their time to answer, and one of them has.
    pub(crate) fn timed_out(mut self) -> Self {
        let missing = self.set.missing().into();
        self.set.completeness = Completeness::Partial { missing };
        self
    }
}

/// A server of its own on a port of its own.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) now: Now,
    pub(super) sets: Vec<watch::Sender<Arc<TargetSet>>>,
    statuses: Vec<watch::Sender<Arc<JobStatus>>>,
    pub(super) jobs: watch::Sender<Arc<[Job]>>,
    pub(super) swarms: watch::Sender<Arc<[Swarm]>>,
    pub(super) config: watch::Sender<Arc<Config>>,
    pub(super) reload: watch::Sender<ReloadStatus>,
    pub(super) ready: watch::Sender<Readiness>,
    pub(super) commands: mpsc::Receiver<LifecycleCommand>,
    pub(super) stats: Arc<DiscoveryStats>,
    pub(super) files: watch::Sender<Arc<[FileStatus]>>,
    pub(super) stop: Option<oneshot::Sender<()>>,
    pub(super) tasks: JoinSet<()>,
    pub(super) context: Context,
}

impl Server {
    /// The first job has this now.
    pub(super) fn publish(&self, Published { set, status, .. }: Published) {
        self.statuses[0].send_replace(Arc::new(status));
        self.sets[0].send_replace(Arc::new(set));
    }

    /// Serves these jobs, sorted by their names.
    pub(super) async fn start(now: Instant, published: Vec<Published>) -> Self {
        Self::with_options(now, published, Options::default()).await
    }

    /// [`request`] calls it `swarm.example`.
    pub(super) async fn with_options(
        now: Instant,
        published: Vec<Published>,
        options: Options,
    ) -> Self {
        let budget = Budget::new(Bytes(1 << 30));
        Self::with_budget(now, published, options, budget).await
    }

    /// The same, with lists that count to `budget`.
    pub(super) async fn with_budget(
        now: Instant,
        published: Vec<Published>,
        options: Options,
        budget: Budget,
    ) -> Self {
        Self::with_doors(now, published, options, budget, None).await
    }

    /// The same with a web configuration.
    pub(super) async fn with_doors(
        now: Instant,
        published: Vec<Published>,
        mut options: Options,
        budget: Budget,
        doors: Option<DoorsHandle>,
    ) -> Self {
        options.server.allowed_hosts.push(String::from("swarm.example"));
        let lists = Cache::new(budget);
        let now = Now {
            instant: now,
            system: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        };
        let (mut sets, mut statuses, mut jobs) = (Vec::new(), Vec::new(), Vec::new());
        for Published { config, set, status } in published {
            let (set, of_set) = watch::channel(Arc::new(set));
            let (status, of_status) = watch::channel(Arc::new(status));
            sets.push(set);
            statuses.push(status);
            jobs.push(Job { config, yaml: None, set: of_set, status: of_status });
        }
        let jobs = watch::Sender::new(Arc::from(jobs));
        let swarms = watch::Sender::new(Arc::from([]));
        let config = watch::Sender::new(Arc::new(Config::default()));
        let reload = watch::Sender::new(ReloadStatus {
            error: None,
            loaded: now.system - Duration::from_mins(1),
            warnings: Arc::from([]),
        });
        let ready = watch::Sender::new(Readiness::Ready);
        let (lifecycle, commands) = mpsc::channel(1);
        let stats = Arc::new(DiscoveryStats::default());
        let files = watch::Sender::new(Arc::from([]));
        let context = Context {
            discovery: Discovery {
                jobs: jobs.subscribe(),
                swarms: swarms.subscribe(),
                classic_swarms: watch::channel(Arc::from([])).1,
                stats: Arc::clone(&stats),
                own_container: None,
            },
            outputs: Outputs {
                lists,
                state_metrics: None,
                nodes: Arc::default(),
                files: files.subscribe(),
            },
            program: Program {
                config: config.subscribe(),
                reload: reload.subscribe(),
                ready: ready.subscribe(),
                lifecycle,
                doors: Arc::from([]),
                flags: Arc::from([(String::from("config.file"), String::from("prometheus.yml"))]),
                build: BuildInfo {
                    version: "0.1.0",
                    revision: "0123abc",
                    branch: "main",
                    build_user: "somebody",
                    build_date: "2026-11-23",
                    compiler: "rustc 1.95.0",
                },
                started: now.system - Duration::from_hours(1),
                runtimes: Arc::from([Handle::current()]),
                log_lines_dropped: || 0,
            },
            options: Arc::new(options),
            clock: Clock::Fixed(now),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let mut tasks = JoinSet::new();
        let of_jobs = sets.iter().map(watch::Sender::subscribe).collect::<Vec<_>>();
        let of_jobs = watch::Sender::new(Arc::from(of_jobs));
        let board = Arc::clone(&context.outputs.nodes);
        tasks.spawn(board.run(swarms.subscribe(), of_jobs.subscribe()));
        let listener = Listener::tcp(listener).unwrap().with_doors(doors);
        tasks.spawn(super::serve(vec![listener], context.clone(), async {
            let _ = stopped.await;
        }));
        let stop = Some(stop);
        Self {
            address,
            now,
            sets,
            statuses,
            jobs,
            swarms,
            config,
            reload,
            ready,
            commands,
            stats,
            files,
            stop,
            tasks,
            context,
        }
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.request("GET", path, &[]).await
    }

    pub(super) async fn request(&self, method: &str, path: &str, headers: &[&str]) -> Reply {
        request(self.address, method, path, headers).await
    }
}

/// Sends a request on a connection of its own.
pub(super) async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[&str],
) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let own_host = headers.iter().any(|header| header.starts_with("Host:"));
    let host = ["Host: swarm.example:9465"].into_iter().filter(|_| !own_host);
    let headers = host.chain(headers.iter().copied());
    let headers: String = headers.flat_map(|header| [header, "\r\n"]).collect();
    let request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    Reply::parse(&answer)
}

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// `name: value` each.
    pub(super) headers: Vec<String>,
    /// Without chunks, still compressed.
    pub(super) body: Vec<u8>,
}

impl Reply {
    fn parse(answer: &[u8]) -> Self {
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&answer[..end]).unwrap();
        let mut lines = head.split("\r\n").map(str::to_owned);
        let status = lines.next().unwrap()[9..12].parse().unwrap();
        let mut reply = Self { status, headers: lines.collect(), body: answer[end + 4..].to_vec() };
        if reply.header("transfer-encoding") == Some("chunked") {
            let mut rest = &reply.body[..];
            let mut body = Vec::new();
            while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
                let size = std::str::from_utf8(&rest[..line]).unwrap();
                let size = usize::from_str_radix(size, 16).unwrap();
                body.extend(&rest[line + 2..line + 2 + size]);
                rest = &rest[line + 4 + size..];
            }
            reply.body = body;
        }
        reply
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter().filter_map(|header| header.split_once(": "));
        headers.find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text()).unwrap()
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        match self.header("content-encoding") {
            Some("gzip") => {
                let mut decoder = flate2::read::GzDecoder::new(&self.body[..]);
                decoder.read_to_string(&mut text).unwrap();
                assert!(decoder.into_inner().is_empty(), "the answer is one gzip file");
            }
            _ => text.push_str(std::str::from_utf8(&self.body).unwrap()),
        }
        text
    }
}
