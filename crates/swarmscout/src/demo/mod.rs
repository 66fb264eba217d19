//! `swarmscout demo`: all of it on a machine that has no Docker.
//!
//! The simulator plays a Swarm and a classic Swarm in this process; everything else is the real
//! thing: the configuration goes through the parser, discovery asks over sockets, and every target
//! has an exporter behind it that a Prometheus may scrape. What is printed of a change is what the
//! target sets say, not what ought to be in them.

mod classic;
mod exporters;
mod story;
mod swarm;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use swarmscout_discovery::manager::Job;
use swarmscout_model::Labels;
use swarmscout_model::labels::ADDRESS;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::app::{self, App, Ended, StartError};
use crate::cli::{Cli, DemoArgs};
use crate::config_source::ConfigSource;
use crate::listen::{Listen, local_url};
use crate::memory;
use crate::output::print;
use swarmscout_web as web;

use classic::Classic;
use story::{STEPS, Step};
use swarm::SwarmMode;

/// How long a change may take to be seen before the demo says that it was not.
const PATIENCE: Duration = Duration::from_secs(15);

/// Time between two checks of what discovery has seen.
const GLANCE: Duration = Duration::from_millis(50);

/// The demo's configuration, with what is only known at run time in `{{…}}`.
const TEMPLATE: &str = include_str!("prometheus.yml");

/// Everything that is simulated.
struct World {
    swarm: SwarmMode,
    classic: Classic,
}

impl World {
    fn start() -> anyhow::Result<Self> {
        Ok(Self { swarm: SwarmMode::start()?, classic: Classic::start()? })
    }
}

/// The shortest time between two things that happen.
const SHORTEST_PACE: Duration = Duration::from_millis(100);

/// Runs until Ctrl-C.
pub async fn run(args: &DemoArgs, cli: &Cli) -> Result<ExitCode, StartError> {
    let mut world = World::start().context(
        "cannot start the demo, which needs all of 127.0.0.0/8 as loopback, as Linux has it",
    )?;
    let app = App::start(app::Options {
        source: ConfigSource::Text {
            name: "the demo's configuration",
            yaml: configuration(&world),
        },
        auto_reload: None,
        listen: Listen::Addresses(args.listen_addresses.clone()),
        web_config: None,
        memory: memory::default_limit(),
        web: web::Options {
            page_title: String::from("Swarmscout demo"),
            ..web::Options::default()
        },
        file_sd: None,
        storage_path: None,
        state: Some(swarmscout_state::Options::default()),
        network_status: false,
        certificates: false,
        common_labels: Labels::empty(),
        copied_labels: Arc::default(),
        startup_timeout: cli.run.startup_timeout.into(),
        flags: crate::cli::values(cli),
        ignored_flags: cli.ignored.clone(),
    })
    .await?;
    let jobs = app.jobs();
    let address = app.addresses().first().copied();
    let pace = Duration::from(args.pace).max(SHORTEST_PACE);
    let story = async {
        let all = jobs.borrow().clone();
        for job in all.iter() {
            let _ = timeout(PATIENCE, job.set.clone().wait_for(|set| set.is_ready())).await;
        }
        if print(&guide(address, &all, pace)) {
            play(&mut world, jobs, pace).await;
        }
    };
    let ended = tokio::select! {
        ended = app.run() => ended,
        // It is there to be read.
        () = story => Ended::Failed,
    };
    Ok(match ended {
        Ended::Clean => ExitCode::SUCCESS,
        Ended::Forced | Ended::Failed => ExitCode::FAILURE,
    })
}

fn configuration(world: &World) -> Arc<str> {
    let list = |urls: Vec<String>| {
        let urls: Vec<_> = urls.iter().map(|url| format!("{url:?}")).collect();
        format!("[{}]", urls.join(", "))
    };
    TEMPLATE
        .replace("{{hosts}}", &list(world.swarm.hosts()))
        .replace("{{engine_port}}", &world.swarm.ports().engines.to_string())
        .replace("{{masters}}", &list(world.classic.masters()))
        .replace("{{cadvisor_port}}", &world.classic.metrics_port().to_string())
        .into()
}

/// Plays one step after the other, and prints what discovery made of it, as long as it can be printed.
async fn play(world: &mut World, jobs: watch::Receiver<Arc<[Job]>>, pace: Duration) {
    let start = Instant::now();
    let mut steps = STEPS.iter().cycle();
    loop {
        let step = steps.next().expect("a cycle of some steps has no end");
        sleep(pace).await;
        let before = addresses(&jobs);
        let refreshes = refreshes(&jobs);
        let (happened, at) = (Instant::now(), SystemTime::now());
        world.swarm.set_time();
        for result in [(step.act)(world), world.swarm.sync(), world.classic.sync()] {
            if let Err(error) = result {
                let error = format!("{error:#}");
                tracing::warn!(error, step = step.what, "A step of the demo failed");
            }
        }
        let clock = (happened - start).as_secs();
        let what = format!("[{:02}:{:02}] {}\n", clock / 60, clock % 60, step.what);
        if !print(&what) {
            return;
        }
        let seen = timeout(PATIENCE, seen_since(&jobs, happened, &refreshes)).await.is_ok();
        let how = match served(&jobs, at) {
            _ if !seen => format!("not confirmed within {PATIENCE:?}, see the log"),
            Some(took) => format!("served {} ms later", took.as_millis()),
            None => String::from("confirmed by every source"),
        };
        if !print(&outcome(step, &before, &addresses(&jobs), &how)) {
            return;
        }
    }
}

/// Waits until every source was confirmed after `moment` by a full refresh that started after it: a
/// watch may report one part of a step before the other. A set whose age alone changes wakes no
/// reader, so this polls.
async fn seen_since(jobs: &watch::Receiver<Arc<[Job]>>, moment: Instant, before: &[u64]) {
    // One may have been under way.
    let started_since = |before: &u64, now: &u64| *now > before + 1;
    let fresh = |job: &Job| {
        let status = job.status.borrow();
        status.sources.iter().all(|source| source.as_of.is_some_and(|as_of| as_of > moment))
    };
    while !jobs.borrow().iter().all(fresh)
        || !before.iter().zip(&refreshes(jobs)).all(|(before, now)| started_since(before, now))
    {
        sleep(GLANCE).await;
    }
}

/// The number of full refreshes of each source.
fn refreshes(jobs: &watch::Receiver<Arc<[Job]>>) -> Vec<u64> {
    let of_job = |job: &Job| {
        job.status.borrow().sources.iter().map(|source| source.refreshes).collect::<Vec<_>>()
    };
    jobs.borrow().iter().flat_map(of_job).collect()
}

/// How long after `moment` the last change was served; `None` where nothing changed.
fn served(jobs: &watch::Receiver<Arc<[Job]>>, moment: SystemTime) -> Option<Duration> {
    let since = |job: &Job| job.set.borrow().changed.duration_since(moment).ok();
    jobs.borrow().iter().filter_map(since).max()
}

/// Addresses of the active targets of each job.
fn addresses(jobs: &watch::Receiver<Arc<[Job]>>) -> BTreeMap<Arc<str>, BTreeSet<String>> {
    let all = jobs.borrow();
    let of_job = |job: &Job| {
        let set = job.set.borrow();
        let addresses = set.active().filter_map(|(_, target)| target.labels.get(ADDRESS));
        (Arc::clone(job.config.name()), addresses.map(str::to_owned).collect())
    };
    all.iter().map(of_job).collect()
}

fn outcome(
    step: &Step,
    before: &BTreeMap<Arc<str>, BTreeSet<String>>,
    after: &BTreeMap<Arc<str>, BTreeSet<String>>,
    how: &str,
) -> String {
    let mut changes = Vec::new();
    for (job, after) in after {
        let known = before.get(job).into_iter().flatten().collect::<BTreeSet<_>>();
        let added = after.iter().filter(|address| !known.contains(address)).count();
        let gone = known.iter().filter(|address| !after.contains(**address)).count();
        if added + gone > 0 {
            changes.push(format!("{job}: {added} new, {gone} gone, {} targets", after.len()));
        }
    }
    if changes.is_empty() {
        changes.push(String::from("the same targets as before"));
    }
    format!("        {}\n        {}; {how}\n", step.effect, changes.join("; "))
}

/// What to try.
fn guide(address: Option<SocketAddr>, jobs: &[Job], pace: Duration) -> String {
    let url = address.map(|address| local_url("http", address));
    let url = url.unwrap_or_else(|| String::from("http://127.0.0.1"));
    let mut text = String::from(
        "\nA Swarm of three managers, three workers and a shop, and a classic Swarm of two masters \
         and\nthree nodes run in this process, on loopback. Swarmscout finds:\n\n",
    );
    for job in jobs {
        let counts = job.set.borrow().counts;
        let name = job.config.name();
        writeln!(
            text,
            "  {name:<12} {:>3} targets, {} dropped by rules   {url}/sd/{name}",
            counts.active, counts.dropped
        )
        .expect("a string takes all");
    }
    let target = jobs
        .iter()
        .find(|job| &**job.config.name() == "swarm-tasks")
        .and_then(|job| Some(job.set.borrow().active().next()?.1.url(&[])));
    write!(
        text,
        "\nTry:\n\n  \
           {url}/                  jobs, sources, counts\n  \
           curl -s {url}/sd/swarm\n  \
           curl -s {url}/api/v1/targets\n"
    )
    .expect("a string takes all");
    if let Some(target) = target {
        writeln!(text, "  curl -s {target}      one of the targets").expect("a string takes all");
    }
    write!(
        text,
        "\nTwo services of the shop are not scraped: shop_report fits no node, and shop_mail is in \
         a network\nthat the scraper does not share. Ask why:\n\n  \
           swarmscout status --url={url}\n  \
           swarmscout explain --url={url} shop_report\n  \
           swarmscout explain --url={url} shop_mail\n  \
           swarmscout doctor --url={url}\n"
    )
    .expect("a string takes all");
    text.push_str("\nLet a Prometheus on this machine scrape it:\n\n  scrape_configs:\n");
    for job in jobs {
        let name = job.config.name();
        write!(
            text,
            "    - job_name: {name}\n      http_sd_configs:\n        - url: {url}/sd/{name}\n          \
             refresh_interval: 5s\n"
        )
        .expect("a string takes all");
    }
    writeln!(
        text,
        "\nThe configuration is at {url}/api/v1/status/config?format=yaml. The Swarm changes every {pace:?}; \
         Ctrl-C ends it.\n"
    )
    .expect("a string takes all");
    text
}
