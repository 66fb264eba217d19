//! What one refresh of a Swarm costs.
//!
//! ```text
//! cargo run --release -p swarmscout-discovery --example refresh_speed -- [ROLE [NODES [TASKS]]]
//! ```
//!
//! The role is one of `dockerswarm_sd_configs`, or `labels` for `swarmscout_sd_configs`.
//!
//! A second process simulates the Swarm behind a unix socket. So the figures are those of the
//! refresh alone: CPU seconds of this process, user and system, and its largest resident size.
//!
//! - the first refresh
//! - refreshes of a Swarm without a change
//! - refreshes of a Swarm where the version and state of every task change each time
//! - each step of reading the list of tasks, in memory
//!
//! Each row also shows the share of reading the lists. The allocator is that of the program.

#![expect(clippy::print_stdout, reason = "it is what the example is for")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use swarmscout_discovery::config::{
    BuildContext, DockerSwarmConfig, EngineConfig, Events, OverlayPort, Preset, Reach, Role,
    Scraper, SourceConfig as _, SwarmscoutConfig, SwarmscoutOptions, UnreachableTargets,
};
use swarmscout_docker::engine::{Element, Hosts, List, ListScanner, Memo, Query, ScanError, Task};
use swarmscout_model::PromDuration;
use swarmscout_net::{Client, ClientOptions, Host, HttpConfig, Request};
use swarmscout_refresh::RefreshScope;
use swarmscout_simulator::Listen;
use swarmscout_simulator::engine::Engine;
use swarmscout_simulator::swarm::{Swarm, TaskState};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Error = Box<dyn std::error::Error>;

const REFRESHES: usize = 10;

const DEADLINE: Duration = Duration::from_mins(1);

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize, default: &str| arguments.get(at).map_or(default, |a| a).to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if argument(0, "tasks") == "serve" {
        return runtime.block_on(serve(&argument(1, ""), &argument(2, ""), &argument(3, "")));
    }
    let role = match argument(0, "tasks").as_str() {
        "nodes" => Role::Nodes,
        "services" => Role::Services,
        "tasks" | "labels" => Role::Tasks,
        other => return Err(format!("no role {other}: tasks, services, nodes or labels").into()),
    };

    let socket = std::env::temp_dir().join(format!("refresh-speed-{}.sock", std::process::id()));
    let mut server = Command::new(std::env::current_exe()?)
        .arg("serve")
        .arg(&socket)
        .args([argument(1, "1000"), argument(2, "10000")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut simulated = Simulated {
        says: BufReader::new(server.stdout.take().ok_or("no output")?),
        input: server.stdin.take().ok_or("no input")?,
    };
    simulated.await_line()?;
    let refreshed = runtime.block_on(async {
        refresh(&socket, role, argument(0, "tasks") == "labels", &mut simulated).await?;
        steps(&socket).await
    });
    // The server ends with its standard input.
    drop(simulated);
    server.wait()?;
    refreshed
}

/// The process that simulates the Swarm.
struct Simulated {
    says: BufReader<ChildStdout>,
    input: ChildStdin,
}

impl Simulated {
    fn await_line(&mut self) -> Result<(), Error> {
        self.says.read_line(&mut String::new())?;
        Ok(())
    }

    /// Changes version and state of every task.
    fn change(&mut self) -> Result<(), Error> {
        self.input.write_all(b"change\n")?;
        self.await_line()
    }
}

/// Serves a Swarm of this size until standard input ends; changes every task for each line of it.
async fn serve(socket: &str, nodes: &str, tasks: &str) -> Result<(), Error> {
    let swarm = Swarm::grown(1, nodes.parse()?, tasks.parse()?);
    let manager = swarm.nodes().into_iter().find(|node| node.manager_status.is_some());
    let manager = manager.ok_or("no manager")?.meta.id;
    let engine = Engine::start(Listen::Unix(socket.into()), &swarm, &manager)?;
    let serve = move || {
        let mut states = [TaskState::Starting, TaskState::Running].into_iter().cycle();
        let mut lines = std::io::stdin().lines();
        loop {
            println!("done");
            std::io::stdout().flush()?;
            let Some(line) = lines.next() else { break };
            line?;
            let state = states.next().unwrap_or(TaskState::Running);
            for task in swarm.tasks() {
                swarm.edit_task(&task.meta.id, |task| task.status.state = state);
            }
        }
        Ok::<(), std::io::Error>(())
    };
    tokio::task::spawn_blocking(serve).await??;
    drop(engine);
    Ok(())
}

/// What each step of reading the list of tasks takes, the fastest of some tries.
async fn steps(socket: &Path) -> Result<(), Error> {
    let options = ClientOptions::new("refresh_speed", DEADLINE);
    let request = Request::to(&Host::socket(socket), "/tasks")?.timeout(DEADLINE).max_body(1 << 30);
    let client = Client::new(&HttpConfig::default(), options)?;
    let text = client.get(request).await?.body.bytes().await?;
    let step = |work: &mut dyn FnMut() -> Result<usize, ScanError>| {
        let mut fastest = f64::INFINITY;
        for _ in 0..REFRESHES {
            let before = cpu_seconds()?;
            std::hint::black_box(work()?);
            fastest = fastest.min(cpu_seconds()? - before);
        }
        Ok::<f64, Error>(fastest)
    };
    let scan = |each: &mut dyn FnMut(Element<'_>) -> Result<(), ScanError>| {
        let mut scanner = ListScanner::default();
        for piece in text.chunks(128 << 10) {
            scanner.push(piece, &mut |element: Element<'_>| each(element))?;
        }
        scanner.finish()
    };
    let found = step(&mut || {
        let mut count = 0;
        scan(&mut |_| {
            count += 1;
            Ok(())
        })?;
        Ok(count)
    })?;
    let read = |memo: &mut Memo<Task>| {
        let mut reader = memo.reader();
        for piece in text.chunks(128 << 10) {
            reader.push(piece)?;
        }
        reader.finish().map(|(tasks, _)| tasks.len())
    };
    let decoded = step(&mut || read(&mut Memo::default()))?;
    let mut memo = Memo::default();
    read(&mut memo)?;
    let recognised = step(&mut || read(&mut memo))?;
    println!("tasks of {:.1} MB in memory: CPU s", text.len() as f64 / 1e6);
    println!("  {found:.4}  objects found");
    println!("  {decoded:.4}  all decoded");
    println!("  {recognised:.4}  all recognised");
    Ok(())
}

async fn refresh(
    socket: &Path,
    role: Role,
    by_labels: bool,
    simulated: &mut Simulated,
) -> Result<(), Error> {
    let config = DockerSwarmConfig {
        engine: EngineConfig {
            hosts: vec![format!("unix://{}", socket.display())],
            port: 80,
            filters: Vec::new(),
            refresh_interval: PromDuration::from_secs(60),
            http: HttpConfig::default(),
        },
        role,
        match_first_network: false,
        overlay_port: OverlayPort::Published,
        events: Events::Poll,
        swarmkit_socket: None,
    };
    let context = BuildContext::new("refresh_speed");
    let mut source =
        if by_labels { by_labels_of(&config).build(&context)? } else { config.build(&context)? };
    let mut hosts = Hosts::new(&config.engine, &context.refresh)?;
    let query = match role {
        Role::Nodes => Query::new(List::Nodes, &[], &[]),
        Role::Services => Query::new(List::Services, &[List::Networks], &[]),
        Role::Tasks => Query::new(List::Tasks, &[List::Services, List::Nodes, List::Networks], &[]),
    };
    println!("what changed  CPU s  lists alone  wall s  groups  targets  problems  largest MiB");
    for (what, refreshes) in
        [("first refresh", 1), ("nothing", REFRESHES), ("every task", REFRESHES)]
    {
        for _ in 0..refreshes {
            if what == "every task" {
                simulated.change()?;
            }
            let before = cpu_seconds()?;
            drop(hosts.list(&query).await?);
            let lists = cpu_seconds()? - before;
            let (cpu, wall) = (cpu_seconds()?, Instant::now());
            let refresh = source.fetch(RefreshScope::Full).await?;
            let (cpu, wall) = (cpu_seconds()? - cpu, wall.elapsed().as_secs_f64());
            let targets: usize = refresh.value.iter().map(|group| group.targets.len()).sum();
            println!(
                "{what:12}  {cpu:.3}        {lists:.3}  {wall:.3}   {:6}  {targets:7}  {:8}  {:.1}",
                refresh.value.len(),
                refresh.problems.len(),
                largest_mebibytes()?,
            );
        }
    }
    Ok(())
}

/// The source that reads the same Swarm and makes targets of labels. The simulated services have
/// those of a dialect.
fn by_labels_of(config: &DockerSwarmConfig) -> SwarmscoutConfig {
    SwarmscoutConfig {
        engine: config.engine.clone(),
        events: config.events,
        swarmkit_socket: None,
        options: SwarmscoutOptions {
            label_prefix: "prometheus.io/".to_owned(),
            dialects: vec!["containersolutions".to_owned()],
            stacks: Vec::new(),
            services: Vec::new(),
            scraper: Scraper::Here,
            unreachable: UnreachableTargets::Keep,
            reach: Reach::Direct,
            presets: Preset::ALL.into(),
            class: String::new(),
        },
    }
}

/// What this thread, which does everything, has used: user and system, from the scheduler.
fn cpu_seconds() -> Result<f64, Error> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: u64 = text.split(' ').next().ok_or("no figure")?.parse()?;
    Ok(nanoseconds as f64 / 1e9)
}

fn largest_mebibytes() -> Result<f64, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no figure")?;
    let kibibytes: u64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
    Ok(kibibytes as f64 / 1024.0)
}
