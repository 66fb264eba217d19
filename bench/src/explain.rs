//! How long `/api/v1/explain` takes at 10,000 nodes and 100,000 tasks, by labels and by role: for
//! objects of every kind, one of them a service with a fifth of all tasks, and for names that do not
//! exist.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use swarmscout_simulator::swarm::{self, ServiceSpec, Task};

use crate::follow::Times;
use crate::labels::{REPLICAS, labelled};
use crate::process::until;
use crate::programs::{Program, agent, shows};
use crate::refresh::Swarm;
use crate::report::{Report, milliseconds};

const NODES: usize = 10_000;
/// Of the many services, and of the large one.
const TASKS: (usize, u64) = (80_000, 20_000);
const LARGE: &str = "large";

/// Of each object.
const REQUESTS: usize = 100;

pub fn run(report: &mut Report) -> Result<()> {
    let swarm = swarm::Swarm::grown_with(1, NODES, TASKS.0, REPLICAS, labelled);
    let network = swarm.create_network("large");
    let large = ServiceSpec::new(LARGE, "demo:1").replicas(TASKS.1).network(&network);
    swarm.create_service(large.label("prometheus.io/port", "8080"));
    let swarm = Swarm::serve(swarm)?.watched()?;
    let host = swarm.url();
    let config = format!(
        "scrape_configs:\n\
         - job_name: swarm\n  swarmscout_sd_configs: [{{host: '{host}'}}]\n\
         - job_name: role\n  dockerswarm_sd_configs: [{{host: '{host}', role: tasks}}]\n  relabel_configs:\n  \
         - {{source_labels: [__meta_dockerswarm_network_name], regex: net-7|large, action: keep}}\n"
    );
    let folder = tempfile::tempdir()?;
    let scout = Program::Swarmscout.start(folder.path(), &config)?;
    for job in ["swarm", "role"] {
        let list = format!("{}/sd/{job}?meta=0", scout.url);
        until(job, Duration::from_mins(2), || Ok(shows(&list, "\"targets\"").then_some(())))?;
    }
    let task = task(&swarm)?;
    let address = address(&task)?;
    let ip = address.split(':').next().unwrap_or_default();
    let objects = [
        ("a service of 50 tasks", "service/shop-1_service-7".to_owned(), 200),
        ("a service of 20,000 tasks", format!("service/{LARGE}"), 200),
        ("a task, by the beginning of its ID", task.meta.id[..12].to_owned(), 200),
        ("a task, by its instance", format!("{LARGE}.777"), 200),
        ("a node", "node/worker-777".to_owned(), 200),
        ("an address with port", address.clone(), 200),
        ("an address", ip.to_owned(), 200),
        ("a service that does not exist", "service/shop-1_service-5000".to_owned(), 404),
        ("a name that does not exist", "no-such-object".to_owned(), 404),
        ("an address that does not exist", "192.0.2.1:80".to_owned(), 200),
    ];
    let agent = agent();
    for (what, object, status) in objects {
        let url = format!("{}/api/v1/explain?object={object}", scout.url);
        let mut times = Vec::new();
        let before = scout.process.cpu()?;
        for _ in 0..REQUESTS {
            let started = Instant::now();
            let mut response = agent.get(&url).call()?;
            let body = response.body_mut().read_to_string()?;
            times.push(started.elapsed().as_secs_f64());
            ensure!(response.status() == status, "{object}: {}: {body}", response.status());
        }
        let cpu = (scout.process.cpu()? - before) / REQUESTS as f64;
        let times = Times::new(times);
        for (name, figure, wanted) in
            [("p50", times.at(50), "< 10 ms"), ("p99", times.at(99), ""), ("CPU", cpu, "")]
        {
            report.row(&format!("explain {what}, {name}"), figure, None, wanted, milliseconds);
        }
    }
    Ok(())
}

/// One in the middle of a service that is scraped.
fn task(swarm: &Swarm) -> Result<Task> {
    let services = swarm.state.services();
    let service = services.iter().find(|service| service.spec.name == "shop-1_service-7");
    let mut tasks = swarm.state.tasks_of(&service.context("services have numbers")?.meta.id);
    Ok(tasks.swap_remove(REPLICAS / 2))
}

/// Where it is scraped.
fn address(task: &Task) -> Result<String> {
    let first = task.networks_attachments.iter().min_by_key(|one| &one.of.name);
    let address = first.and_then(|one| one.addresses.first()).context("it has no address")?;
    Ok(format!("{}:8080", address.split('/').next().unwrap_or_default()))
}
