//! How much CPU a refresh of a large classic Swarm costs, the reading of the answer from a socket
//! and the making of the groups included, the simulated master not.
//!
//! ```sh
//! cargo run --release -p swarmscout-discovery --example classic_speed -- 10000
//! ```

use std::error::Error;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use swarmscout_discovery::Discoverer;
use swarmscout_discovery::config::{BuildContext, ClassicConfig};
use swarmscout_discovery::source::classic::Classic;
use swarmscout_model::PromDuration;
use swarmscout_net::HttpConfig;
use swarmscout_refresh::RefreshScope;
use swarmscout_simulator::classic::Cluster;
use swarmscout_simulator::{Listen, Response, Server};
use tokio::sync::oneshot;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The thread of the simulated master; the kernel keeps 15 characters.
const MASTER: &str = "master";

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let nodes = std::env::args().nth(1).map_or(Ok(10_000), |nodes| nodes.parse())?;
    let cluster = Cluster::of(nodes);
    // As after half a minute: every node was read again.
    let same = Bytes::from(cluster.info((1, 2, 9), None));
    let text = String::from_utf8(same.to_vec())?.replace("00:18:17Z", "00:18:47Z");
    let answers = [same.clone(), same.clone(), text.clone().into(), text.into()];
    println!("{nodes} nodes, {:.1} MB of answer", same.len() as f64 / 1e6);

    let (sender, url) = mpsc::channel();
    let (_end, ended) = oneshot::channel::<()>();
    let _master = thread::Builder::new().name(MASTER.into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("the machine lets us start a runtime");
        runtime.block_on(async {
            let count = std::sync::atomic::AtomicUsize::new(0);
            let server = Server::start(Listen::Tcp, move |_| {
                let count = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Response::json(answers[count % answers.len()].clone())
            });
            let server = server.expect("there is a free port");
            sender.send(server.url().to_owned()).expect("main waits for it");
            // Until main ends.
            let _ = ended.await;
        });
    })?;
    let config = ClassicConfig {
        masters: vec![url.recv()?],
        refresh_interval: PromDuration::from_millis(10_000),
        metrics_port: "8070".to_owned(),
        http: HttpConfig::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut classic = Classic::new(&config, &BuildContext::new("classic_speed"))?;
        for what in ["first", "nothing new", "all changed", "nothing new", "all changed"] {
            let (cpu, wall) = (cpu_seconds()?, Instant::now());
            let refresh = classic.fetch(RefreshScope::Full).await?;
            let (cpu, wall) = (cpu_seconds()? - cpu, wall.elapsed().as_secs_f64());
            let targets: usize = refresh.value.iter().map(|group| group.targets.len()).sum();
            println!(
                "{what:12} {:6.1} ms CPU {:6.1} ms  {targets} targets in {} groups",
                cpu * 1e3,
                wall * 1e3,
                refresh.value.len()
            );
        }
        Ok(())
    })
}

/// CPU seconds of all threads but the master's.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.trim() != MASTER {
            let schedstat = std::fs::read_to_string(task.join("schedstat"))?;
            let on_cpu = schedstat.split_whitespace().next().unwrap_or_default();
            nanoseconds += on_cpu.parse::<u64>()?;
        }
    }
    Ok(nanoseconds as f64 / 1e9)
}
