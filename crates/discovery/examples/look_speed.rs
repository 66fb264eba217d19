//! What one look at a Swarm costs.
//!
//! ```text
//! cargo run --release -p swarmscout-discovery --example look_speed -- [ROLE [NODES [TASKS]]]
//! ```
//!
//! A second process simulates the Swarm behind a unix socket, so that what is shown is the look
//! alone: CPU seconds of this process, user and system, and its largest resident size. Then, for
//! the list of tasks alone and in memory, what finding its objects takes, and what decoding them.

#![expect(clippy::print_stdout, reason = "it is what the example is for")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use swarmscout_discovery::Discoverer;
use swarmscout_discovery::config::{
    BuildContext, DockerSwarmConfig, EngineConfig, Events, OverlayPort, Role,
};
use swarmscout_discovery::engine::{Decoder, Element, Head, ListScanner, ScanError, Task};
use swarmscout_discovery::source::dockerswarm::DockerSwarm;
use swarmscout_model::PromDuration;
use swarmscout_net::{Client, ClientOptions, Host, HttpConfig, Request};
use swarmscout_simulator::Listen;
use swarmscout_simulator::engine::Engine;
use swarmscout_simulator::swarm::Swarm;

type Error = Box<dyn std::error::Error>;

const LOOKS: usize = 10;

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
        "tasks" => Role::Tasks,
        other => return Err(format!("no role {other}: tasks, services or nodes").into()),
    };

    let socket = std::env::temp_dir().join(format!("look-speed-{}.sock", std::process::id()));
    let mut server = Command::new(std::env::current_exe()?)
        .arg("serve")
        .arg(&socket)
        .args([argument(1, "1000"), argument(2, "10000")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut ready = String::new();
    BufReader::new(server.stdout.take().ok_or("no output")?).read_line(&mut ready)?;
    let looked = runtime.block_on(async {
        look(&socket, role).await?;
        steps(&socket).await
    });
    // The server ends with its standard input.
    drop(server.stdin.take());
    server.wait()?;
    looked
}

/// Serves a Swarm of this size until standard input ends.
async fn serve(socket: &str, nodes: &str, tasks: &str) -> Result<(), Error> {
    let swarm = Swarm::grown(1, nodes.parse()?, tasks.parse()?);
    let manager = swarm.nodes().into_iter().find(|node| node.manager_status.is_some());
    let manager = manager.ok_or("no manager")?.meta.id;
    let engine = Engine::start(Listen::Unix(socket.into()), &swarm, &manager)?;
    println!("ready");
    std::io::stdout().flush()?;
    let until_end = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    tokio::task::spawn_blocking(until_end).await??;
    drop(engine);
    Ok(())
}

/// What each step of reading the list of tasks takes, the fastest of some tries.
async fn steps(socket: &Path) -> Result<(), Error> {
    let options = ClientOptions::new("look_speed", DEADLINE);
    let request = Request::to(&Host::socket(socket), "/tasks")?.timeout(DEADLINE).max_body(1 << 30);
    let client = Client::new(&HttpConfig::default(), options)?;
    let text = client.get(request).await?.body.bytes().await?;
    let step = |work: &dyn Fn() -> Result<usize, ScanError>| {
        let mut fastest = f64::INFINITY;
        for _ in 0..LOOKS {
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
    let found = step(&|| {
        let mut count = 0;
        scan(&mut |_| {
            count += 1;
            Ok(())
        })?;
        Ok(count)
    })?;
    let headed = step(&|| {
        let mut sum = 0;
        scan(&mut |element| {
            sum += Head::read(element.text).id.len();
            Ok(())
        })?;
        Ok(sum)
    })?;
    let decoded = step(&|| {
        let mut decoder = Decoder::default();
        let mut tasks = Vec::new();
        scan(&mut |element| {
            tasks.extend(decoder.decode::<Task>(element)?);
            Ok(())
        })?;
        Ok(tasks.len())
    })?;
    println!("tasks of {:.1} MB in memory: CPU s", text.len() as f64 / 1e6);
    println!("  {found:.4}  objects found");
    println!("  {headed:.4}  ID and version read as well");
    println!("  {decoded:.4}  all decoded");
    Ok(())
}

async fn look(socket: &Path, role: Role) -> Result<(), Error> {
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
    let mut source = DockerSwarm::new(&config, &BuildContext::new("look_speed"))?;
    println!("look  CPU s  wall s  groups  targets  problems  largest MiB");
    for number in 1..=LOOKS {
        let (cpu, wall) = (cpu_seconds()?, Instant::now());
        let look = source.fetch().await?;
        let (cpu, wall) = (cpu_seconds()? - cpu, wall.elapsed().as_secs_f64());
        let targets: usize = look.what.iter().map(|group| group.targets.len()).sum();
        println!(
            "{number:4}  {cpu:.3}  {wall:.3}  {:6}  {targets:7}  {:8}  {:.1}",
            look.what.len(),
            look.problems.len(),
            largest_mebibytes()?,
        );
    }
    Ok(())
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
