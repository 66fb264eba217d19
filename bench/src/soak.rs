//! A day of changes in minutes: what is kept too long shows as memory that grows.
//!
//! Time is compressed, not faked: the source of the tasks is read as fast as it answers, 86,400
//! times, as often as one with an interval of a second is in a day, and 60 refreshes count as a
//! minute. Before every refresh something changes in the Swarm: a service comes, goes, is scaled,
//! labelled or updated, a task dies, a node goes down or comes back. Every minute a target file
//! changes, and the configuration is read again, with another rule, another job with a source of
//! its own and, every tenth time, a mistake; and everything that is served is read. Only what waits
//! for hours of the clock is not in it.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use swarmscout_simulator::Listen;
use swarmscout_simulator::classic::{Cluster, Master};
use swarmscout_simulator::engine::Engine;
use swarmscout_simulator::swarm::{ServiceSpec, Swarm, Task};
use tempfile::TempDir;

use crate::process::until;
use crate::programs::{Program, Running, get, reload, replace};
use crate::report::{Report, count, mebibytes};

const REFRESHES_A_MINUTE: u64 = 60;
const MINUTES_AN_HOUR: u64 = 60;
const HOURS: u64 = 24;
/// At the ends of these hours memory is shown.
const SHOWN: [u64; 4] = [1, 6, 12, HOURS];
/// The most memory at the end, as a share of that after the first hour.
const GROWTH: f64 = 1.05;

/// Memory is the least of this many minutes at the end of an hour: what is held all the time.
const MEASURED: u64 = 30;

/// Requests of one refresh of tasks: their list and the three that explain it.
const REQUESTS: u64 = 4;

/// The number of names of the job that is another one each minute. Of each there stays an empty
/// file of file SD, which is so on purpose.
const NAMES: u64 = 30;

/// Services that come and go.
const SERVICES: usize = 40;

const PAGES: [&str; 9] = [
    "/sd/tasks",
    "/sd/services",
    "/sd/classic",
    "/sd/file",
    "/metrics",
    "/api/v1/targets",
    "/api/v1/sources",
    "/api/v1/status/config",
    "/",
];

pub fn run(report: &mut Report) -> Result<()> {
    let mut day = Day::begin()?;
    let mut first = None;
    for hour in 1..=HOURS {
        let taken = day.hour()?;
        let first = *first.get_or_insert(taken);
        if SHOWN.contains(&hour) {
            let wanted = format!("<= {}", mebibytes(first.memory * GROWTH));
            let row = format!("memory after {hour} simulated hours of changes");
            report.row(&row, taken.memory, None, &wanted, mebibytes);
        }
        if hour == HOURS {
            let wanted = format!("<= {}", first.descriptors);
            report.row("file descriptors at the end", taken.descriptors, None, &wanted, count);
            ensure!(
                taken.memory <= first.memory * GROWTH,
                "memory grew by more than 5 % after the first hour"
            );
            ensure!(taken.descriptors <= first.descriptors, "file descriptors are left open");
        }
    }
    Ok(())
}

/// A program in the middle of a day.
struct Day {
    swarm: Swarm,
    network: String,
    nodes: Vec<String>,
    /// Whether the node of that place is down.
    down: Option<usize>,
    services: Vec<String>,
    sources: Sources,
    scout: Running,
    folder: TempDir,
    minute: u64,
    refresh: u64,
}

/// What is read.
struct Sources {
    /// Without pause, for the tasks.
    fast: Engine,
    /// The same Swarm, once a second of the clock.
    slow: Engine,
    classic: Master,
}

/// What the program takes.
#[derive(Clone, Copy)]
struct Taken {
    /// Resident bytes.
    memory: f64,
    descriptors: f64,
}

impl Day {
    fn begin() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let swarm = Swarm::new(1);
        let manager = swarm.add_manager("manager-1");
        let nodes = (1..=4).map(|n| swarm.add_worker(&format!("worker-{n}"))).collect();
        let network = swarm.create_network("front");
        let socket = |name: &str| Listen::Unix(folder.path().join(name));
        let sources = Sources {
            fast: Engine::start(socket("fast.sock"), &swarm, &manager)?,
            slow: Engine::start(socket("slow.sock"), &swarm, &manager)?,
            classic: Master::start(Listen::Tcp, &Cluster::of(50), (1, 2, 9))?,
        };
        let out = folder.path().join("out");
        fs::create_dir(&out)?;
        replace(&folder.path().join("targets.json"), targets(0))?;
        let scout = Program::Swarmscout.start_frugal(
            folder.path(),
            &sources.config(0),
            &["--web.enable-lifecycle", &format!("--file-sd.directory={}", out.display())],
        )?;
        Ok(Self {
            swarm,
            network,
            nodes,
            down: None,
            services: Vec::new(),
            sources,
            scout,
            folder,
            minute: 0,
            refresh: 0,
        })
    }

    fn hour(&mut self) -> Result<Taken> {
        let mut memory = f64::INFINITY;
        for minute in 0..MINUTES_AN_HOUR {
            self.one_minute()?;
            if minute >= MINUTES_AN_HOUR - MEASURED {
                memory = memory.min(self.scout.process.memory()?);
            }
        }
        // A connection may be open at one moment and not at another.
        let mut descriptors = f64::INFINITY;
        for _ in 0..MEASURED {
            descriptors = descriptors.min(self.scout.process.descriptors()?.0);
            self.refreshes(1)?;
        }
        Ok(Taken { memory, descriptors })
    }

    fn one_minute(&mut self) -> Result<()> {
        self.refreshes(REFRESHES_A_MINUTE)?;
        self.minute += 1;
        replace(&self.folder.path().join("targets.json"), targets(self.minute))?;
        self.reload()?;
        for path in PAGES {
            let body = get(&format!("{}{path}", self.scout.url));
            ensure!(body.is_some(), "{path} was not answered in minute {}", self.minute);
        }
        Ok(())
    }

    fn refreshes(&mut self, number: u64) -> Result<()> {
        for _ in 0..number {
            self.change();
            self.refresh += 1;
            let server = &self.sources.fast.server;
            until("the next refresh", Duration::from_mins(1), || {
                Ok((server.request_count() >= REQUESTS * self.refresh).then_some(()))
            })?;
        }
        Ok(())
    }

    /// Something else happens before each refresh.
    fn change(&mut self) {
        let place = usize::try_from(self.refresh % 1_000_003).expect("it is small");
        let services = self.services.len();
        match self.refresh % 6 {
            0 => {
                if services == SERVICES {
                    self.swarm.remove_service(&self.services.remove(place % services));
                }
                let spec = ServiceSpec::new(&format!("service-{}", self.refresh), "demo:1")
                    .replicas(self.refresh % 9)
                    .network(&self.network)
                    .label("number", &self.refresh.to_string());
                self.services.push(self.swarm.create_service(spec));
            }
            1 => self.swarm.scale(&self.services[place % services], self.refresh % 12),
            2 => self.swarm.label_service(
                &self.services[place % services],
                "refresh",
                &self.refresh.to_string(),
            ),
            3 => self.swarm.update_service(&self.services[place % services], |spec| {
                spec.task_template.force_update += 1;
            }),
            4 => {
                let mut tasks = self.swarm.tasks();
                tasks.retain(Task::is_live);
                if let Some(task) = tasks.get(place % tasks.len().max(1)) {
                    self.swarm.kill_task(&task.meta.id);
                }
            }
            _ => {
                if let Some(node) = self.down.take() {
                    self.swarm.restore_node(&self.nodes[node]);
                } else {
                    let node = place % self.nodes.len();
                    self.swarm.stop_node(&self.nodes[node]);
                    self.down = Some(node);
                }
            }
        }
    }

    fn reload(&self) -> Result<()> {
        let good = self.minute % 10 != 9;
        let mut text = self.sources.config(self.minute);
        if !good {
            text += "no_such_key: 1\n";
        }
        reload(&self.scout, text.as_bytes(), good)
            .with_context(|| format!("minute {}", self.minute))
    }
}

impl Sources {
    /// The configuration of this minute.
    fn config(&self, minute: u64) -> String {
        let (fast, slow) = (self.fast.server.url(), self.slow.server.url());
        let classic = self.classic.server.url();
        let name = minute % NAMES;
        format!(
            "scrape_configs:\n\
             - job_name: tasks\n  dockerswarm_sd_configs: [{{host: '{fast}', role: tasks, refresh_interval: 1ms}}]\n  \
             relabel_configs:\n  - {{source_labels: [__meta_dockerswarm_service_name], target_label: service}}\n  \
             - {{target_label: minute, replacement: '{minute}'}}\n\
             - job_name: services\n  dockerswarm_sd_configs: [{{host: '{slow}', role: services, refresh_interval: 1s}}]\n\
             - job_name: classic\n  swarm_sd_configs: [{{masters: ['{classic}'], refresh_interval: 1s}}]\n\
             - job_name: file\n  file_sd_configs: [{{files: [targets.json]}}]\n\
             - job_name: minute-{name}\n  dockerswarm_sd_configs:\n  - host: '{slow}'\n    role: nodes\n    \
             refresh_interval: 1s\n    filters: [{{name: label, values: ['minute={minute}']}}]\n"
        )
    }
}

/// The target file of this minute.
fn targets(minute: u64) -> String {
    let targets: Vec<_> = (0..minute % 50).map(|i| format!("10.0.{i}.1:{minute}")).collect();
    json!([{ "targets": targets, "labels": { "minute": minute.to_string() } }]).to_string()
}
