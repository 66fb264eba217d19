//! Services of a real Swarm that say in their labels how they are scraped: three managers, two
//! workers, a stack for each dialect, and services that are hard to scrape.
//!
//! Swarmscout runs as a service, without a configuration file. A Prometheus in the network of its
//! container reads nothing but `/sd/swarm`.

#[path = "labels/diagnose.rs"]
mod diagnose;
#[path = "labels/engines.rs"]
mod engines;
#[path = "labels/lists.rs"]
mod lists;
#[path = "labels/scrape.rs"]
mod scrape;

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use swarmscout_e2e::cases::{self, Case, PATIENCE};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::process::Process;
use swarmscout_e2e::program::{Server, swarmscout};
use swarmscout_e2e::{get, get_json, until};

const CASES: &[(&str, Case)] = &[
    ("one entry of a Prometheus scrapes every service", scrape::everything),
    ("instances survive a redeploy", scrape::redeployed),
    ("what cannot be reached is marked and counted", lists::unreachable),
    ("what is refused is counted by its reason", lists::refused),
    ("classes and probes have lists of their own", lists::classes_and_probes),
    ("explain says what became of each object", diagnose::explained),
    ("doctor finds what is wrong, and nothing else", diagnose::doctored),
    ("both also read the Swarm without a server", diagnose::directly),
    ("status sums up", diagnose::summed_up),
    ("plain engines are a union, and a dead one takes none away", engines::union),
    ("five nodes of one host name have instances of their own", scrape::one_host_name),
];

/// Files of the folder `stacks`, each a stack.
const STACKS: [&str; 9] = [
    "monitoring",
    "ours",
    "containersolutions",
    "llacroix",
    "docker-flow-monitor",
    "blog-dots",
    "blog-dashes",
    "blog-underscores",
    "awkward",
];

/// What a stack file cannot say: a service without a network, and a job.
const SERVICES: [&str; 2] = [
    "no-network -l prometheus.io/port=8080 demo:1",
    "job --mode replicated-job --network front -l prometheus.io/port=8080 demo:1 true",
];

/// None of their tasks runs.
const WITHOUT_TASKS: [&str; 6] = [
    "awkward_nowhere",
    "awkward_too-big",
    "awkward_zero",
    "awkward_crash",
    "awkward_no-image",
    "job",
];

fn main() -> ExitCode {
    cases::run(CASES, || {
        let cluster = Cluster::up(3, 2)?;
        deploy(&cluster)?;
        Ok(cluster)
    })
}

/// Deploys all services, and waits until those that can run do.
fn deploy(cluster: &Cluster) -> Result<()> {
    let program = std::fs::canonicalize(swarmscout().get_program())?;
    cluster.add_program("manager-1", &program, "swarmscout:1")?;
    cluster.docker(&["node", "update", "--label-add", "scraper=yes", "manager-1"])?;
    cluster.docker(&["network", "create", "-d", "overlay", "front"])?;
    cluster.docker(&["network", "create", "-d", "overlay", "--internal", "back"])?;
    STACKS.iter().try_for_each(|stack| cluster.deploy_stack(stack))?;
    for service in SERVICES {
        cluster.create_service(service)?;
    }
    until("all services", PATIENCE, || {
        let list = cluster.docker(&["service", "ls", "--format", "{{.Name}} {{.Replicas}}"])?;
        let waiting = list.lines().filter(|line| {
            let (name, replicas) = line.split_once(' ').unwrap_or_default();
            let (running, wanted) = replicas.split_once('/').unwrap_or_default();
            !WITHOUT_TASKS.contains(&name) && (running != wanted || running == "0")
        });
        let waiting: Vec<_> = waiting.collect();
        ensure!(waiting.is_empty(), "{waiting:?}");
        Ok(())
    })?;
    let url = format!("{}/sd/swarm", scout(cluster));
    until("targets", PATIENCE, || get(&url)).map(drop)
}

/// The URL of the Swarmscout that runs as a service.
fn scout(cluster: &Cluster) -> String {
    format!("http://{}:9465", cluster.engine("manager-1").address)
}

/// The container of Swarmscout, on the first manager.
fn container(cluster: &Cluster) -> Result<String> {
    let id = cluster.docker(&["ps", "-q", "--filter", "name=monitoring_swarmscout"])?;
    ensure!(!id.is_empty() && !id.contains('\n'), "containers: {id:?}");
    Ok(id)
}

/// The targets of one of its lists: address and labels.
fn sd(cluster: &Cluster, list: &str) -> Result<Vec<(String, serde_json::Value)>> {
    swarmscout_e2e::program::targets(&get_json(&format!("{}/sd/{list}", scout(cluster)))?)
}

/// A Prometheus in the network of Swarmscout's container, whose only source is the job `swarm`.
fn prometheus(cluster: &Cluster, folder: &Path) -> Result<Server> {
    let file = folder.join("prometheus.yml");
    std::fs::write(
        &file,
        "global: {scrape_interval: 4s, scrape_timeout: 3s}\nscrape_configs:\n- job_name: swarm\n  \
         http_sd_configs: [{url: 'http://127.0.0.1:9465/sd/swarm', refresh_interval: 1s}]\n",
    )?;
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", file.display()));
    command.arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()));
    command.arg("--web.listen-address=0.0.0.0:9090");
    let mut inside = cluster.in_container("manager-1", &container(cluster)?, &command)?;
    let process = Process::start(&mut inside, &folder.join("prometheus.log"))?;
    let url = format!("http://{}:9090", cluster.engine("manager-1").address);
    until("Prometheus", PATIENCE, || get(&format!("{url}/-/ready")))
        .with_context(|| process.printed())?;
    Ok(Server { process, url })
}
