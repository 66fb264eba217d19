//! The state of each source, and of each file of file SD.

use std::time::Duration;

use serde::{Serialize, Serializer};
use swarmscout_discovery::SourceStatus;
use swarmscout_discovery::without_address as found;
use swarmscout_publish::file_sd::FileStatus;
use swarmscout_refresh::problems::NO_LABELS;

use super::{Moment, ObservedJob, Seconds, Swarm, Time};
use crate::Now;

/// Sources and files, of all jobs or of one.
#[derive(Debug, Serialize)]
pub(crate) struct Sources<'a> {
    sources: Vec<Source<'a>>,
    /// Those of file SD, by path. Empty where nothing is written.
    files: Vec<File<'a>>,
}

impl<'a> Sources<'a> {
    /// Those of this job; of all jobs if `job` is empty.
    pub(crate) fn of(moment: &'a Moment, job: &str) -> Self {
        let is_wanted = |name: Option<&str>| job.is_empty() || name == Some(job);
        let jobs = moment.jobs.iter().filter(|job| is_wanted(Some(job.name())));
        let files = moment.files.iter().filter(|file| is_wanted(file.job.as_deref()));
        Self {
            sources: jobs.flat_map(|job| Source::of_job(moment, job)).collect(),
            files: files.map(|file| File::new(file, moment.now)).collect(),
        }
    }
}

/// How the last refresh of a source, or the last write of a file, went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// Before the first result since the start.
    Waiting,
    /// It succeeded.
    Up,
    /// It failed: the previous result is in use.
    Failing,
    /// It failed, and there is no previous result.
    NeverAnswered,
}

/// In Prometheus' words for targets.
impl Serialize for Health {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Up => "up",
            Self::Failing => "down",
            Self::Waiting | Self::NeverAnswered => "unknown",
        })
    }
}

/// A source of a job. A source that several jobs share stands in each of them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Source<'a> {
    /// The job.
    scrape_pool: &'a str,
    /// Unique among the sources of the job: `dockerswarm/0`.
    pub(crate) name: &'a str,
    /// Prometheus' name of the mechanism: `dockerswarm`.
    pub(crate) mechanism: &'static str,
    /// What it queries: `unix:///var/run/docker.sock role tasks`.
    pub(crate) display_name: &'a str,
    pub(crate) health: Health,
    /// When the origin last confirmed the targets; null until the first successful refresh.
    last_confirmed: Option<Time>,
    /// Whether the targets are from before the last restart: the source has not answered since.
    pub(crate) restored: bool,
    /// The time since then; null as well for what is never refreshed (`static_configs`).
    #[serde(rename = "ageSeconds")]
    pub(crate) age: Option<Seconds>,
    /// Why the last refresh failed; empty if it succeeded.
    #[serde(rename = "lastError")]
    pub(crate) error: &'a str,
    /// What the last successful refresh skipped or reported.
    pub(crate) problems: Vec<Problem<'a>>,
    /// Running tasks without a target; null for a source that does not find tasks of a Swarm.
    pub(crate) tasks_without_address: Option<TasksWithoutAddress<'a>>,
    refreshes: u64,
    failed_refreshes: u64,
    /// Target groups, and targets before relabeling.
    groups: usize,
    pub(crate) targets: usize,
    /// Whether this is a source of a new configuration that waits for its first successful refresh,
    /// while the job still has the targets of the previous configuration.
    pending: bool,
    /// The Swarm with its change feed; null for a source that reads no Swarm in swarm mode, and until
    /// the first listing of the Swarm.
    #[serde(rename = "feed")]
    pub(crate) swarm: Option<Swarm<'a>>,
}

impl<'a> Source<'a> {
    /// The sources of a job, those that wait after a reload last.
    pub(super) fn of_job(moment: &'a Moment, job: &'a ObservedJob) -> impl Iterator<Item = Self> {
        let in_use = job.status.sources.iter().map(|source| (source, false));
        let pending = job.status.next_sources.iter().map(|source| (source, true));
        in_use.chain(pending).map(|(source, pending)| Self::new(moment, job, source, pending))
    }

    fn new(
        moment: &'a Moment,
        job: &'a ObservedJob,
        source: &'a SourceStatus,
        pending: bool,
    ) -> Self {
        let now = moment.now;
        let age = source.as_of.map(|at| now.instant.saturating_duration_since(at));
        let confirmed = |age: Duration| now.system.checked_sub(age);
        Self {
            scrape_pool: job.name(),
            name: &source.name,
            mechanism: source.mechanism,
            display_name: &source.display_name,
            health: health(source),
            last_confirmed: age.and_then(confirmed).map(Time),
            restored: source.restored,
            age: age.filter(|_| source.is_refreshed).map(Seconds),
            error: source.error.as_deref().unwrap_or_default(),
            problems: source.problems.iter().map(Problem::new).collect(),
            tasks_without_address: source.without_address.as_deref().map(TasksWithoutAddress::new),
            refreshes: source.refreshes,
            failed_refreshes: source.failures,
            groups: source.groups,
            targets: source.targets,
            pending,
            swarm: moment.swarms.read_by(source, now),
        }
    }
}

fn health(source: &SourceStatus) -> Health {
    match (&source.error, source.as_of) {
        (None, Some(_)) if source.restored => Health::Waiting,
        (None, Some(_)) => Health::Up,
        (Some(_), Some(_)) => Health::Failing,
        (Some(_), None) => Health::NeverAnswered,
        (None, None) => Health::Waiting,
    }
}

/// An irregular part of an answer.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Problem<'a> {
    /// Whether something is missing because of it.
    pub(crate) skipped: bool,
    pub(crate) kind: &'static str,
    pub(crate) object: &'a str,
    pub(crate) reason: &'static str,
    /// Empty where there is nothing to add.
    pub(crate) detail: &'a str,
}

impl<'a> Problem<'a> {
    fn new(problem: &'a swarmscout_discovery::Problem) -> Self {
        Self {
            skipped: problem.is_skipped(),
            kind: problem.kind,
            object: &problem.object,
            reason: problem.reason,
            detail: &problem.detail,
        }
    }

    /// Whether it concerns the whole source, and says what to do.
    pub(crate) fn is_advice(&self) -> bool {
        self.reason == NO_LABELS
    }
}

/// Running tasks that give no target, by service.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TasksWithoutAddress<'a> {
    pub(crate) tasks: usize,
    pub(crate) services: Vec<ServiceWithoutAddress<'a>>,
    /// Services beyond the thousand that are listed.
    pub(crate) not_listed: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct ServiceWithoutAddress<'a> {
    service: String,
    tasks: usize,
    reason: &'static str,
    networks: &'a str,
    /// The same as a sentence.
    #[serde(skip)]
    pub(crate) message: String,
}

impl<'a> TasksWithoutAddress<'a> {
    fn new(all: &'a found::TasksWithoutAddress) -> Self {
        let service = |of: &'a found::ServiceWithoutAddress| ServiceWithoutAddress {
            service: of.service.to_string(),
            tasks: of.tasks,
            reason: of.reason.as_str(),
            networks: &of.networks,
            message: of.to_string(),
        };
        Self {
            tasks: all.tasks(),
            services: all.services.iter().map(service).collect(),
            not_listed: all.not_listed,
        }
    }
}

/// A file of file SD.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct File<'a> {
    /// The job; null for the file of a removed job, which is listed while it cannot be emptied.
    scrape_pool: Option<&'a str>,
    pub(crate) path: &'a str,
    /// [`Health::Up`]: it holds the newest targets. [`Health::Waiting`]: no complete list exists yet.
    pub(crate) health: Health,
    /// When it was last known to hold the newest targets; null until then.
    last_confirmed: Option<Time>,
    /// How long ago that was.
    #[serde(skip)]
    pub(crate) age: Option<Duration>,
    /// Why it could not be written; empty if it was.
    #[serde(rename = "lastError")]
    pub(crate) error: &'a str,
    writes: u64,
    failed_writes: u64,
}

impl<'a> File<'a> {
    pub(super) fn new(file: &'a FileStatus, now: Now) -> Self {
        let health = match (&file.error, file.confirmed) {
            (Some(_), _) => Health::Failing,
            (None, None) => Health::Waiting,
            (None, Some(_)) => Health::Up,
        };
        Self {
            scrape_pool: file.job.as_deref(),
            path: &file.path,
            health,
            last_confirmed: file.confirmed.map(Time),
            age: file.confirmed.map(|at| Time(at).age(now)),
            error: file.error.as_deref().unwrap_or_default(),
            writes: file.writes,
            failed_writes: file.failures,
        }
    }
}
