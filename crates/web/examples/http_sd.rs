//! How fast and how large HTTP SD is at 100,000 targets. Run with
//! `cargo run --release -p swarmscout-web --example http_sd`.
//!
//! The targets are like tasks of a Swarm: 40 labels, groups of 64, a few relabeling rules. Server and
//! readers are one process, so the figures hold both sides.

#![expect(clippy::print_stdout, reason = "the figures are the output")]
#![expect(clippy::unwrap_used, reason = "what fails here ends the measurement")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use swarmscout_config::Config;
use swarmscout_discovery::manager::Job;
use swarmscout_discovery::stats::DiscoveryStats;
use swarmscout_discovery::{JobConfig, JobStatus};
use swarmscout_model::relabel::{RawRule, RelabelRule};
use swarmscout_model::target::relabel_group;
use swarmscout_model::{
    Completeness, Labels, LabelsBuilder, NameScheme, RelabelledGroup, SetGroup, SyncStats,
    TargetCounts, TargetGroup, TargetSet,
};
use swarmscout_web::{
    self as web, BuildInfo, Clock, Context, Discovery, Options, Outputs, Program, Readiness,
    ReloadStatus,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TARGETS: usize = 100_000;
const PER_GROUP: usize = 64;
const READERS: usize = 200;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let job = Arc::new(job()?);
    let started = Instant::now();
    let groups: Vec<_> = (0..TARGETS.div_ceil(PER_GROUP)).map(|n| group(n, 0, &job)).collect();
    println!(
        "{TARGETS} targets in {} groups relabelled in {:.2?}",
        groups.len(),
        started.elapsed()
    );
    let (set, receiver) = watch::channel(Arc::new(target_set(&job, &groups)));
    let (address, _stop, _tasks) = serve(&job, receiver).await?;
    println!("memory with all targets: {} MiB", memory("VmRSS:") >> 20);

    for (what, path, gzip) in [
        ("plain, without __meta_*", "/sd/tasks?meta=0", false),
        ("gzip, without __meta_*", "/sd/tasks?meta=0", true),
        ("gzip", "/sd/tasks", true),
        ("plain", "/sd/tasks", false),
    ] {
        println!("\n{path} ({what})");
        measure("first answer", || get(address, path, gzip)).await?;
        measure("unchanged, from memory", || get(address, path, gzip)).await?;
        for change in 1..=3 {
            let mut groups = groups.clone();
            groups[TARGETS / PER_GROUP / 2] = group(TARGETS / PER_GROUP / 2, change, &job);
            let newer = Arc::new(target_set(&job, &groups));
            set.send_replace(newer);
            measure("HEAD after one group changed", || head(address, path, gzip)).await?;
        }
        println!("  memory: {} MiB", memory("VmRSS:") >> 20);
    }

    println!("\n{READERS} readers at one time of /sd/tasks (plain), each the whole list");
    let before = memory("VmRSS:");
    let mut readers = JoinSet::new();
    let (started, cpu_started) = (Instant::now(), cpu());
    for _ in 0..READERS {
        readers.spawn(async move { get(address, "/sd/tasks", false).await.unwrap() });
    }
    let mut largest = before;
    let mut bytes = 0;
    while let Some(read) = readers.join_next().await {
        bytes += read?;
        largest = largest.max(memory("VmRSS:"));
    }
    let took = started.elapsed();
    println!(
        "  {:.1} GB in {took:.2?}: {:.2} GB/s, {:.2} s of CPU; memory {} MiB before, {} MiB at most",
        bytes as f64 / 1e9,
        bytes as f64 / 1e9 / took.as_secs_f64(),
        cpu() - cpu_started,
        before >> 20,
        largest >> 20,
    );

    println!("\n/api/v1/targets");
    measure("all, written as it is sent", || get(address, "/api/v1/targets", false)).await?;
    println!("  memory: {} MiB", memory("VmRSS:") >> 20);
    Ok(())
}

async fn measure<F>(what: &str, request: impl Fn() -> F) -> Result<(), Box<dyn Error>>
where
    F: Future<Output = Result<usize, std::io::Error>>,
{
    let (started, cpu_started) = (Instant::now(), cpu());
    let bytes = request().await?;
    let took = started.elapsed();
    println!(
        "  {what}: {:.1} MB in {took:.2?}, {:.2} GB/s, {:.2} s of CPU",
        bytes as f64 / 1e6,
        bytes as f64 / 1e9 / took.as_secs_f64(),
        cpu() - cpu_started,
    );
    Ok(())
}

/// Bytes of the answer.
async fn get(address: SocketAddr, path: &str, gzip: bool) -> std::io::Result<usize> {
    request(address, "GET", path, gzip).await
}

async fn head(address: SocketAddr, path: &str, gzip: bool) -> std::io::Result<usize> {
    request(address, "HEAD", path, gzip).await
}

async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    gzip: bool,
) -> std::io::Result<usize> {
    let mut stream = TcpStream::connect(address).await?;
    let accept = if gzip { "Accept-Encoding: gzip\r\n" } else { "" };
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{accept}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = 0;
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(bytes),
            read => bytes += read,
        }
    }
}

async fn serve(
    job: &Arc<JobConfig>,
    set: watch::Receiver<Arc<TargetSet>>,
) -> Result<(SocketAddr, oneshot::Sender<()>, JoinSet<()>), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let status = watch::Sender::new(Arc::<JobStatus>::default()).subscribe();
    let jobs: Arc<[Job]> = Arc::from([Job { config: Arc::clone(job), yaml: None, set, status }]);
    let now = SystemTime::now();
    let reload = ReloadStatus { error: None, loaded: now, warnings: Arc::from([]) };
    let context = Context {
        discovery: Discovery {
            jobs: watch::Sender::new(jobs).subscribe(),
            swarms: watch::Sender::new(Arc::from([])).subscribe(),
            classic_swarms: watch::channel(Arc::from([])).1,
            stats: Arc::new(DiscoveryStats::default()),
            own_container: None,
        },
        outputs: Outputs {
            lists: Arc::default(),
            state_metrics: None,
            nodes: Arc::default(),
            files: watch::channel(Arc::from([])).1,
        },
        program: Program {
            config: watch::Sender::new(Arc::new(Config::default())).subscribe(),
            reload: watch::Sender::new(reload).subscribe(),
            ready: watch::Sender::new(Readiness::Ready).subscribe(),
            lifecycle: mpsc::channel(1).0,
            doors: Arc::from([]),
            flags: Arc::from([]),
            build: BuildInfo {
                version: "0",
                revision: "",
                branch: "",
                build_user: "",
                build_date: "",
                compiler: "",
            },
            started: now,
            runtimes: Arc::from([]),
            log_lines_dropped: || 0,
        },
        options: Arc::new(Options::default()),
        clock: Clock::System,
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let mut tasks = JoinSet::new();
    tasks.spawn(web::serve(
        vec![swarmscout_server::Listener::tcp(listener).expect("it is bound")],
        context,
        async {
            let _ = stopped.await;
        },
    ));
    Ok((address, stop, tasks))
}

fn job() -> Result<JobConfig, Box<dyn Error>> {
    let rule =
        |action: &str, label: &str, regex: &str, target_label: &str| -> Result<RelabelRule, _> {
            let rule = RawRule {
                source_labels: Some(vec![label.to_owned()]),
                regex: Some(regex.to_owned()),
                target_label: (!target_label.is_empty()).then(|| target_label.to_owned()),
                action: Some(action.to_owned()),
                ..RawRule::default()
            };
            rule.check(NameScheme::Utf8)
        };
    let mut job = JobConfig::new("tasks", Vec::new());
    job.pool.relabel = Arc::from([
        rule("keep", "__meta_dockerswarm_task_desired_state", "running", "")?,
        rule("replace", "__meta_dockerswarm_service_name", "(.*)", "service")?,
        rule("replace", "__meta_dockerswarm_node_hostname", "(.*)", "node")?,
        rule("replace", "__meta_dockerswarm_task_slot", "(.+)", "slot")?,
    ]);
    Ok(job)
}

/// Tasks of one service; `version` distinguishes their states.
fn group(number: usize, version: usize, job: &JobConfig) -> SetGroup {
    let mut builder = LabelsBuilder::new();
    let task = |slot: usize| -> Labels {
        let node = (number * 7 + slot) % 1000;
        let mut labels = vec![
            (
                String::from("__address__"),
                format!("10.{}.{}.{slot}:8080", number / 250, number % 250),
            ),
            (String::from("__meta_dockerswarm_task_id"), format!("task{number:012}{slot:08}")),
            (String::from("__meta_dockerswarm_task_slot"), slot.to_string()),
            (String::from("__meta_dockerswarm_task_desired_state"), String::from("running")),
            (String::from("__meta_dockerswarm_task_state"), format!("running{version}")),
            (
                String::from("__meta_dockerswarm_task_container_id"),
                format!("{:064x}", number * 64 + slot),
            ),
            (String::from("__meta_dockerswarm_node_hostname"), format!("worker-{node:04}.example")),
            (String::from("__meta_dockerswarm_node_id"), format!("node{node:021}")),
            (
                String::from("__meta_dockerswarm_node_address"),
                format!("192.168.{}.{}", node / 250, node % 250),
            ),
        ];
        for label in 0..15 {
            labels.push((
                format!("__meta_dockerswarm_node_label_custom_{label:02}"),
                format!("value-{label}-{node}"),
            ));
        }
        labels.into_iter().collect()
    };
    let service: Labels = (0..15)
        .map(|label| {
            (
                format!("__meta_dockerswarm_service_label_com_example_{label:02}"),
                format!("service-{number}-{label}"),
            )
        })
        .chain([(
            String::from("__meta_dockerswarm_service_name"),
            format!("stack_service-{number}"),
        )])
        .collect();
    let group = TargetGroup {
        source: Arc::from(format!("DockerSwarm/{number:08}")),
        targets: (0..PER_GROUP.min(TARGETS - number * PER_GROUP)).map(task).collect(),
        labels: service,
    };
    let group: RelabelledGroup =
        relabel_group(Arc::new(group), &job.pool.defaults, &job.pool.relabel, &mut builder);
    SetGroup::new(Arc::new(group), &[])
}

fn target_set(job: &Arc<JobConfig>, groups: &[SetGroup]) -> TargetSet {
    TargetSet {
        pool: Arc::new(job.pool.clone()),
        groups: Arc::from(groups),
        counts: TargetCounts { active: TARGETS, ..TargetCounts::default() },
        completeness: Completeness::Complete,
        limit_error: None,
        stale_config: false,
        changed: SystemTime::now(),
        syncs: SyncStats::default(),
    }
}

/// Seconds of CPU that the process has used.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields).unwrap_or_default();
    let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10).as_secs_f64()
}

/// Bytes, by the name that Linux has for them.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() << 10
}
