//! The index page: the program, and every job with its sources and files.

use std::sync::Arc;
use std::time::Duration;

use swarmscout_model::TargetCounts;
use swarmscout_publish::list::{OtherLists, lists};
use swarmscout_web_config::DoorsStatus;

use super::{File, Moment, ObservedJob, Source, Time};
use crate::Readiness;

#[derive(Debug)]
pub(crate) struct Overview<'a> {
    pub(crate) program: ProgramState<'a>,
    pub(crate) totals: Totals,
    /// Those of swarm mode first, those of classic Swarm last.
    pub(crate) jobs: Vec<JobOverview<'a>>,
    /// Why files of removed jobs could not be emptied: Prometheus still reads them.
    pub(crate) not_emptied: Vec<&'a str>,
}

/// The state of the program itself.
#[derive(Debug)]
pub(crate) struct ProgramState<'a> {
    pub(crate) readiness: Readiness,
    pub(crate) up: Duration,
    /// The age of the configuration in use.
    pub(crate) configured: Duration,
    /// Why the last reload failed.
    pub(crate) reload_error: Option<&'a str>,
    pub(crate) warnings: &'a [String],
    /// Why the last load of a web configuration failed, and the warnings about the one in use.
    pub(crate) web_configs: &'a [(String, DoorsStatus)],
}

/// Sums over all jobs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) active: usize,
    pub(crate) dropped: usize,
    pub(crate) refused: usize,
    pub(crate) sources: usize,
    /// Sources whose last refresh failed.
    pub(crate) failing: usize,
}

#[derive(Debug)]
pub(crate) struct JobOverview<'a> {
    pub(crate) name: &'a Arc<str>,
    pub(crate) progress: Progress,
    pub(crate) counts: TargetCounts,
    pub(crate) limit_error: Option<&'a str>,
    /// The number of sources that have never answered.
    pub(crate) missing: usize,
    /// Whether the targets are those of the configuration before a reload.
    pub(crate) stale_config: bool,
    /// The configuration of a job that is not in the file: Swarmscout generated it.
    pub(crate) generated: Option<&'a str>,
    /// Lists apart from the normal one.
    pub(crate) other_lists: OtherLists,
    pub(crate) sources: Vec<Source<'a>>,
    pub(crate) files: Vec<File<'a>>,
}

/// How far the first refreshes of a job's sources are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// No list is served yet.
    Waiting,
    /// Lists are served without the targets of sources that have never answered.
    Incomplete,
    Complete,
}

impl<'a> Overview<'a> {
    pub(crate) fn of(moment: &'a Moment) -> Self {
        let Moment { now, jobs, files, readiness, reload, started, web_configs, .. } = moment;
        let mut totals = Totals::default();
        for ObservedJob { set, status, .. } in jobs {
            totals.active += set.counts.active;
            totals.dropped += set.counts.dropped;
            totals.refused += set.counts.refused;
            totals.sources += status.sources.len();
            let failing = status.sources.iter().filter(|source| source.error.is_some());
            totals.failing += failing.count();
        }
        let mut jobs: Vec<_> = jobs.iter().map(|job| JobOverview::new(moment, job)).collect();
        jobs.sort_by_key(JobOverview::rank);
        let of_removed_jobs = files.iter().filter(|file| file.job.is_none());
        Self {
            program: ProgramState {
                readiness: *readiness,
                up: Time(*started).age(*now),
                configured: Time(reload.loaded).age(*now),
                reload_error: reload.error.as_deref(),
                warnings: &reload.warnings,
                web_configs,
            },
            totals,
            jobs,
            not_emptied: of_removed_jobs.filter_map(|file| file.error.as_deref()).collect(),
        }
    }
}

impl<'a> JobOverview<'a> {
    fn new(moment: &'a Moment, job: &'a ObservedJob) -> Self {
        let (set, name) = (&job.set, job.name());
        let files = moment.files.iter().filter(|file| file.job.as_ref() == Some(name));
        Self {
            name,
            progress: match (set.is_ready(), set.is_complete()) {
                (false, _) => Progress::Waiting,
                (true, false) => Progress::Incomplete,
                (true, true) => Progress::Complete,
            },
            counts: set.counts,
            limit_error: set.limit_error.as_deref(),
            missing: set.missing().len(),
            stale_config: set.stale_config,
            generated: job.generated.as_deref(),
            other_lists: lists(&job.set).1,
            sources: Source::of_job(moment, job).collect(),
            files: files.map(|file| File::new(file, moment.now)).collect(),
        }
    }

    /// Jobs of swarm mode come first, those of classic Swarm last.
    fn rank(&self) -> u8 {
        let has = |mechanism| self.sources.iter().any(|source| source.mechanism == mechanism);
        match (has("swarmscout") || has("dockerswarm"), has("swarm")) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        }
    }
}
