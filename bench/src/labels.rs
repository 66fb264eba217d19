//! What `swarmscout_sd_configs` costs next to `role: tasks` with the relabel rules that it replaces,
//! and next to Prometheus with the same rules.
//!
//! 1,000 nodes and 10,000 tasks. The services are labelled as people do it: half of them in our
//! way, some of these with a second endpoint, others on their containers or for other programs, and
//! some not at all. The programs run in turn, several times; the figures are the medians.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;
use swarmscout_simulator::swarm::{ServiceSpec, Task};

use crate::process::{pause_until, until};
use crate::programs::{Program, Running, get, shows};
use crate::refresh::Swarm;
use crate::report::{Report, count, mebibytes, milliseconds, seconds};

pub const NODES: usize = 1000;
pub const TASKS: usize = 10_000;
/// Of a service.
pub const REPLICAS: usize = 50;

/// How often each program runs.
const ROUNDS: usize = 3;

/// Changes that a watch reports, one after the other.
const CHANGES: usize = 100;

/// Between two of them: longer than the pause after which the next refresh may start.
const GAP: Duration = Duration::from_millis(150);

/// What finds the targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Ours, by labels.
    Labels,
    /// Ours, by `role: tasks` and rules.
    Role,
    /// The same in Prometheus.
    Peer,
}

/// One run of a program; everything in seconds or bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    first: f64,
    first_cpu: f64,
    memory: f64,
    nothing: f64,
    every_task: f64,
    service: f64,
    peak: f64,
    targets: f64,
    /// Of a change that a watch reports.
    watched_service: f64,
    watched_task: f64,
}

/// A figure, and how to show it.
type Row = (&'static str, fn(&Figures) -> f64, &'static str, fn(f64) -> String);

/// The first of them are those of Prometheus, too.
const ROWS: [Row; 9] = [
    ("CPU of one refresh, nothing changed", |figures| figures.nothing, "< 1.3", seconds),
    ("… container of every task changed", |figures| figures.every_task, "< 1.3", seconds),
    ("… a label of one service changed", |figures| figures.service, "< 1.3", seconds),
    ("wall time to the first targets", |figures| figures.first, "", seconds),
    ("CPU until then", |figures| figures.first_cpu, "< 1.3", seconds),
    ("memory after that", |figures| figures.memory, "< 1.2", mebibytes),
    ("peak memory", |figures| figures.peak, "< 1.2", mebibytes),
    (
        "CPU of a service's label, by watch",
        |figures| figures.watched_service,
        "< 1.3",
        milliseconds,
    ),
    ("CPU of a replaced task, by watch", |figures| figures.watched_task, "< 1.3", milliseconds),
];
const OF_PEER: usize = 7;

pub fn run(report: &mut Report) -> Result<()> {
    let mut runs = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for (source, runs) in
            [Source::Labels, Source::Role, Source::Peer].into_iter().zip(&mut runs)
        {
            if source != Source::Peer || Program::Prometheus.is_there() {
                runs.push(measure(source)?);
            }
        }
    }
    let [labels, role, peer] = runs;
    for (name, runs) in [("labels", &labels), ("role: tasks", &role), ("Prometheus", &peer)] {
        if let Some(last) = runs.last() {
            report.row(&format!("targets, {name}"), last.targets, None, "", count);
        }
    }
    for (what, figure, wanted, show) in ROWS {
        let what = format!("{what}: labels, role: tasks");
        report.row(&what, median(&labels, figure), Some(median(&role, figure)), wanted, show);
    }
    for (what, figure, _, show) in ROWS.into_iter().take(OF_PEER).filter(|_| !peer.is_empty()) {
        let what = format!("{what}: labels, Prometheus");
        report.row(&what, median(&labels, figure), Some(median(&peer, figure)), "", show);
    }
    Ok(())
}

fn median(runs: &[Figures], figure: impl Fn(&Figures) -> f64) -> f64 {
    let mut figures: Vec<_> = runs.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn measure(source: Source) -> Result<Figures> {
    let swarm = swarmscout_simulator::swarm::Swarm::grown_with(1, NODES, TASKS, REPLICAS, labelled);
    let swarm = Swarm::serve(swarm)?.watched()?;
    let mut figures = refreshed(source, &swarm)?;
    if source != Source::Peer {
        (figures.watched_service, figures.watched_task) = watched(source, &swarm)?;
    }
    Ok(figures)
}

/// The figures of whole refreshes.
fn refreshed(source: Source, swarm: &Swarm) -> Result<Figures> {
    // Prometheus needs more than a second for one.
    let (interval, refreshes) = if source == Source::Peer { ("5s", 4) } else { ("2s", 10) };
    let folder = tempfile::tempdir()?;
    let (running, mut figures) = first_targets(source, swarm, folder.path(), interval, "poll")?;
    let mut next = swarm.refreshes() + 1;
    swarm.await_refresh(next)?;
    let service = swarm.state.services().swap_remove(0).meta.id;
    let mut cpu_of = |change: &mut dyn FnMut(usize)| -> Result<f64> {
        let before = running.process.cpu()?;
        for number in 0..refreshes {
            change(number);
            next += 1;
            swarm.await_refresh(next)?;
        }
        Ok((running.process.cpu()? - before) / refreshes as f64)
    };
    figures.nothing = cpu_of(&mut |_| {})?;
    figures.service = cpu_of(&mut |number| {
        swarm.state.label_service(&service, "refresh", &number.to_string());
    })?;
    figures.every_task = cpu_of(&mut |number| change_tasks(swarm, number))?;
    figures.peak = running.process.peak_memory()?;
    Ok(figures)
}

/// CPU seconds for each change that a watch reports: of a label of a service, and of a task that
/// dies and is replaced.
fn watched(source: Source, swarm: &Swarm) -> Result<(f64, f64)> {
    let folder = tempfile::tempdir()?;
    let (running, _) = first_targets(source, swarm, folder.path(), "1h", "watch")?;
    let services: Vec<_> = swarm.state.services().into_iter().map(|one| one.meta.id).collect();
    let cpu_of = |change: &dyn Fn(&str, usize)| -> Result<f64> {
        let before = running.process.cpu()?;
        for number in 0..CHANGES {
            let next = Instant::now() + GAP;
            change(&services[number % services.len()], number);
            pause_until(next);
        }
        Ok((running.process.cpu()? - before) / CHANGES as f64)
    };
    let label = |service: &str, number: usize| {
        swarm.state.label_service(service, "refresh", &format!("watched-{number}"));
    };
    let kill = |service: &str, _| {
        let task = swarm.state.tasks_of(service).into_iter().find(Task::is_live);
        swarm.state.kill_task(&task.expect("services have tasks").meta.id);
    };
    Ok((cpu_of(&label)?, cpu_of(&kill)?))
}

/// Starts a program and awaits its targets.
fn first_targets(
    source: Source,
    swarm: &Swarm,
    folder: &std::path::Path,
    interval: &str,
    events: &str,
) -> Result<(Running, Figures)> {
    let program = if source == Source::Peer { Program::Prometheus } else { Program::Swarmscout };
    let running = program.start(folder, &config(source, swarm, interval, events))?;
    let page = match program {
        Program::Swarmscout => format!("{}/sd/swarm?meta=0", running.url),
        Program::Prometheus => format!("{}/api/v1/targets?state=active", running.url),
    };
    until("the first targets", Duration::from_mins(1), || {
        Ok(shows(&page, "shop-2_").then_some(()))
    })?;
    let first = running.started.elapsed().as_secs_f64();
    let first_cpu = running.process.cpu()?;
    // What it needed for the start alone is given back.
    pause_until(running.started + Duration::from_secs(8));
    let memory = running.process.memory()?;
    let body = serde_json::from_slice(&get(&page).unwrap_or_default())?;
    let targets = targets(&body) as f64;
    Ok((running, Figures { first, first_cpu, memory, targets, ..Figures::default() }))
}

/// How many targets a page has.
fn targets(page: &Value) -> usize {
    let groups = page.as_array().into_iter().flatten();
    let listed = groups.filter_map(|group| group["targets"].as_array()).map(Vec::len).sum();
    page["data"]["activeTargets"].as_array().map_or(listed, Vec::len)
}

/// A block for these services, or the role with the six rules that it needs.
fn config(source: Source, swarm: &Swarm, interval: &str, events: &str) -> String {
    let host = swarm.url();
    let head = "scrape_configs:\n- job_name: swarm\n  scrape_interval: 1d\n";
    let events = match source {
        Source::Peer => String::new(),
        _ => format!(", events: {events}"),
    };
    let block = format!("host: '{host}', refresh_interval: {interval}{events}");
    match source {
        Source::Labels => format!(
            "{head}  swarmscout_sd_configs: [{{{block}, networks: [net-0, net-2, net-4]}}]\n"
        ),
        Source::Role | Source::Peer => format!(
            "{head}  dockerswarm_sd_configs: [{{role: tasks, {block}}}]\n  relabel_configs:\n\
             {RULES}"
        ),
    }
}

/// State, network, port, path, job and instance.
const RULES: &str = "  \
  - {source_labels: [__meta_dockerswarm_task_desired_state], regex: running, action: keep}
  - {source_labels: [__meta_dockerswarm_network_name], regex: net-0|net-2|net-4, action: keep}
  - {source_labels: [__meta_dockerswarm_service_label_prometheus_io_port], regex: .+, action: keep}
  - {source_labels: [__address__, __meta_dockerswarm_service_label_prometheus_io_port],
     regex: '([^:]+)(?::\\d+)?;(\\d+)', replacement: '$1:$2', target_label: __address__}
  - {source_labels: [__meta_dockerswarm_service_label_prometheus_io_path], regex: (.+), target_label: __metrics_path__}
  - {source_labels: [__meta_dockerswarm_service_name], target_label: job}
";

/// A service of a grown Swarm with other labels for its scrape: it had one of a dialect.
pub fn labelled(number: usize, mut service: ServiceSpec) -> ServiceSpec {
    let dialect = service.labels.remove("prometheus.port");
    match number % 10 {
        0 | 1 => service
            .label("prometheus.io/port", "8080")
            .label("prometheus.io/label.team", "shop")
            .label("prometheus.io/admin.port", "9200")
            .label("prometheus.io/admin.path", "/internal/metrics")
            .label("prometheus.io/admin.interval", "60s"),
        2..=4 => service.label("prometheus.io/port", "8080"),
        5 => service.container_label("prometheus.io/port", "8080"),
        6 => service
            .label("prometheus.jobs.app.port", "8080")
            .label("prometheus.jobs.app.path", "/actuator/prometheus"),
        7 => {
            service.labels.extend(dialect.map(|port| ("prometheus.port".to_owned(), port)));
            service
        }
        _ => service,
    }
}

/// Gives every task another container.
fn change_tasks(swarm: &Swarm, number: usize) {
    for task in swarm.state.tasks() {
        swarm.state.edit_task(&task.meta.id, |task| {
            if let Some(status) = &mut task.status.container_status {
                status.container_id.replace_range(..4, &format!("{number:04}"));
            }
        });
    }
}
