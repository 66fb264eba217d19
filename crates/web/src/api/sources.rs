//! `/api/v1/sources`: the state of each source, and of each file of file SD. Prometheus has no such
//! endpoint.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde::Serialize;
use swarmscout_discovery::SourceStatus;
use swarmscout_discovery::without_address::{ServiceWithoutAddress, TasksWithoutAddress};
use swarmscout_swarm::SwarmStatus;

use super::status::time;
use super::{parameter, success};
use crate::swarms::Swarms;
use crate::{App, Now};
use swarmscout_publish::file_sd::FileStatus;

#[derive(Serialize)]
struct Sources {
    sources: Vec<Source>,
    /// Those of file SD, by path. Empty where nothing is written.
    files: Vec<File>,
}

/// A file of file SD.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    /// The job; null for the file of a removed job, which is listed while it cannot be emptied.
    scrape_pool: Option<String>,
    path: String,
    /// `up`: it holds the newest targets. `down`: it could not be written. `unknown`: no complete list
    /// exists yet.
    health: &'static str,
    /// When it was last known to hold the newest targets; null until then.
    last_confirmed: Option<String>,
    /// Why it could not be written; empty if it was.
    last_error: String,
    writes: u64,
    failed_writes: u64,
}

/// A source of a job. A source that several jobs share stands in each of them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    /// The job.
    scrape_pool: String,
    /// Unique among the sources of the job: `dockerswarm/0`.
    name: String,
    /// Prometheus' name of the mechanism: `dockerswarm`.
    mechanism: &'static str,
    /// What is asked.
    display_name: String,
    /// `up`: the last refresh succeeded. `down`: it failed, and the previous targets are shown.
    /// `unknown`: no refresh has succeeded yet.
    health: &'static str,
    /// When the origin last confirmed the targets; null until the first successful refresh.
    last_confirmed: Option<String>,
    /// Whether the targets are from before the last restart: the source has not answered since.
    restored: bool,
    /// Seconds since then; null as well for what is never asked again (`static_configs`).
    age_seconds: Option<f64>,
    /// Why the last refresh failed; empty if it succeeded.
    last_error: String,
    /// What the last successful refresh skipped or reported.
    problems: Vec<Problem>,
    /// Running tasks without a target; null for a source that does not find tasks of a Swarm.
    tasks_without_address: Option<WithoutAddress>,
    refreshes: u64,
    failed_refreshes: u64,
    /// Target groups, and targets before relabeling.
    groups: usize,
    targets: usize,
    /// Whether this is a source of a new configuration that waits for its first successful refresh,
    /// while the job still has the targets of the previous configuration.
    pending: bool,
    /// The change feed; null for a source that reads no Swarm in swarm mode, and until the first
    /// successful refresh.
    feed: Option<Feed>,
}

/// The state of a Swarm, the same for all sources that read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Feed {
    swarm: String,
    kind: &'static str,
    since: String,
    /// Why it is not a better one; empty if it is the best that is configured.
    reason: String,
    host: String,
    managers: Vec<String>,
    objects: Objects,
    /// Seconds since the cached Swarm was last confirmed.
    age_seconds: Option<f64>,
    changes: u64,
    last_change: Option<String>,
    /// How long after it was made, by the clock of the Swarm.
    delay_seconds: Option<f64>,
    starts: u64,
    drift: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WithoutAddress {
    tasks: usize,
    services: Vec<WithoutAddressService>,
    /// Services beyond the thousand that are listed.
    not_listed: usize,
}

#[derive(Serialize)]
struct WithoutAddressService {
    service: String,
    tasks: usize,
    reason: &'static str,
    networks: String,
}

#[derive(Serialize)]
struct Objects {
    nodes: usize,
    services: usize,
    tasks: usize,
    networks: usize,
}

#[derive(Serialize)]
struct Problem {
    /// Whether something is missing because of it.
    skipped: bool,
    kind: &'static str,
    object: String,
    reason: &'static str,
    detail: String,
}

/// `?scrapePool=` leaves out other jobs.
pub(super) async fn sources(State(app): State<Arc<App>>, uri: Uri) -> Response {
    let pool = parameter(&uri, "scrapePool");
    let now = app.context.clock.now();
    let swarms = app.swarms();
    let source = |name: &str, source: &SourceStatus, pending| {
        Source::new(name, source, &swarms, now, pending)
    };
    let mut sources = Vec::new();
    for job in app.jobs().iter() {
        let name = job.config.name();
        if pool.is_empty() || pool == **name {
            let status = Arc::clone(&job.status.borrow());
            sources.extend(status.sources.iter().map(|of| source(name, of, false)));
            let next = status.next_sources.iter().map(|of| source(name, of, true));
            sources.extend(next);
        }
    }
    let files = app.context.outputs.files.borrow().clone();
    let of_pool = |file: &&FileStatus| pool.is_empty() || file.job.as_deref() == Some(&*pool);
    let files = files.iter().filter(of_pool).map(File::new).collect();
    success(Sources { sources, files })
}

impl File {
    fn new(file: &FileStatus) -> Self {
        let health = match (&file.error, file.confirmed) {
            (Some(_), _) => "down",
            (None, None) => "unknown",
            (None, Some(_)) => "up",
        };
        Self {
            scrape_pool: file.job.as_deref().map(str::to_owned),
            path: file.path.clone(),
            health,
            last_confirmed: file.confirmed.map(time),
            last_error: file.error.as_deref().unwrap_or_default().to_owned(),
            writes: file.writes,
            failed_writes: file.failures,
        }
    }
}

impl Source {
    fn new(job: &str, source: &SourceStatus, swarms: &Swarms, now: Now, pending: bool) -> Self {
        let age = source.as_of.map(|at| now.instant.saturating_duration_since(at));
        let problem = |problem: &swarmscout_discovery::Problem| Problem {
            skipped: problem.is_skipped(),
            kind: problem.kind,
            object: problem.object.clone(),
            reason: problem.reason,
            detail: problem.detail.clone(),
        };
        Self {
            scrape_pool: job.to_owned(),
            name: source.name.to_string(),
            mechanism: source.mechanism,
            display_name: source.display_name.to_string(),
            health: health(source),
            last_confirmed: age.and_then(|age| now.system.checked_sub(age)).map(time),
            restored: source.restored,
            age_seconds: age.filter(|_| source.is_refreshed).as_ref().map(Duration::as_secs_f64),
            last_error: source.error.as_deref().unwrap_or_default().to_owned(),
            problems: source.problems.iter().map(problem).collect(),
            tasks_without_address: source.without_address.as_deref().map(WithoutAddress::new),
            refreshes: source.refreshes,
            failed_refreshes: source.failures,
            groups: source.groups,
            targets: source.targets,
            pending,
            feed: swarms.read_by(source).map(|swarm| Feed::new(swarm, now)),
        }
    }
}

impl WithoutAddress {
    fn new(all: &TasksWithoutAddress) -> Self {
        let service = |of: &ServiceWithoutAddress| WithoutAddressService {
            service: of.service.to_string(),
            tasks: of.tasks,
            reason: of.reason.as_str(),
            networks: of.networks.to_string(),
        };
        Self {
            tasks: all.tasks(),
            services: all.services.iter().map(service).collect(),
            not_listed: all.not_listed,
        }
    }
}

impl Feed {
    fn new(SwarmStatus { feed, as_of }: &SwarmStatus, now: Now) -> Self {
        let swarmscout_swarm::Feed { swarm, kind, since, reason, host, managers, .. } = &**feed;
        let [nodes, services, tasks, networks] = feed.objects;
        let age = as_of.map(|as_of| now.instant.saturating_duration_since(as_of));
        Self {
            swarm: swarm.to_string(),
            kind: kind.as_str(),
            since: time(*since),
            reason: reason.as_deref().unwrap_or_default().to_owned(),
            host: host.to_string(),
            managers: managers.clone(),
            objects: Objects { nodes, services, tasks, networks },
            age_seconds: age.as_ref().map(Duration::as_secs_f64),
            changes: feed.changes,
            last_change: feed.last_change.map(time),
            delay_seconds: feed.late.as_ref().map(Duration::as_secs_f64),
            starts: feed.begun,
            drift: feed.drift,
        }
    }
}

/// In Prometheus' words for targets.
fn health(source: &SourceStatus) -> &'static str {
    match (&source.error, source.as_of) {
        (_, None) => "unknown",
        (None, Some(_)) if source.restored => "unknown",
        (None, Some(_)) => "up",
        (Some(_), Some(_)) => "down",
    }
}
