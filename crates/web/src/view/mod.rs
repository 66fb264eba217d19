//! Views: what the pages and the API show, apart from how they show it.
//!
//! A [`Moment`] is the state of the program at one moment. A view is a struct that is made from it
//! and holds values, not text. A page renders it as HTML and the API serialises it, so both always
//! say the same. Views have no clock and do no I/O.
//!
//! **Invariant: of this crate, only this folder names `refresh` and `swarm`**, and pages and API do
//! not name `discovery` either; a test checks it. `/metrics` reads its counters from `discovery`,
//! and the list of all targets is written piece by piece from the sets (`api::targets`).
//!
//! To add a page:
//!
//! 1. Its view: a struct in a file of this folder, made from `&Moment`; `Serialize` if the API shows
//!    it too.
//! 2. `pages/<page>.rs` renders the view, `api/<page>.rs` answers with it.
//! 3. Its routes, in `router.rs` and `api/mod.rs`.

mod config;
pub(crate) mod doctor;
mod overview;
mod relabel;
mod sources;
mod swarms;
mod time;

use std::sync::Arc;

use swarmscout_discovery::JobStatus;
use swarmscout_discovery::config::OwnContainer;
pub(crate) use swarmscout_discovery::manager::Job;
use swarmscout_discovery::source::classic::ClassicSwarm;
use swarmscout_discovery::stats::DiscoveryStats;
use swarmscout_model::TargetSet;
use swarmscout_publish::file_sd::FileStatus;
use swarmscout_swarm::Swarm as ReplicaOfSwarm;
use swarmscout_web_config::{DoorsHandle, DoorsStatus};
use tokio::sync::watch;

pub(crate) use self::config::ConfigInUse;
pub(crate) use self::overview::{JobOverview, Overview, ProgramState, Progress, Totals};
pub(crate) use self::relabel::Steps;
pub(crate) use self::sources::{File, Health, Problem, Source, Sources, TasksWithoutAddress};
pub(crate) use self::swarms::{Swarm, Swarms, WholeSwarms};
pub(crate) use self::time::{Seconds, Time};
use crate::{Context, Now, Program, Readiness, ReloadStatus};

/// The state of discovery.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// The running jobs, sorted by name.
    pub jobs: watch::Receiver<Arc<[Job]>>,
    /// The Swarms of swarm mode that their sources read.
    pub swarms: watch::Receiver<Arc<[ReplicaOfSwarm]>>,
    /// The classic Swarms whose masters they ask, for state metrics.
    pub classic_swarms: watch::Receiver<Arc<[ClassicSwarm]>>,
    /// Counters that belong to no single job.
    pub stats: Arc<DiscoveryStats>,
    /// The container that this program runs in, if it is known.
    pub own_container: Option<OwnContainer>,
}

impl Discovery {
    /// The running job of this name.
    pub(crate) fn job(&self, name: &str) -> Option<Job> {
        let jobs = self.jobs.borrow();
        let place = jobs.binary_search_by(|job| (**job.config.name()).cmp(name));
        place.ok().map(|place| jobs[place].clone())
    }

    /// What state metrics show.
    pub(crate) fn whole_swarms(&self, now: Now) -> WholeSwarms {
        let mut swarms = WholeSwarms::of(&self.swarms.borrow(), now);
        swarms.add_classic(&self.classic_swarms.borrow(), now);
        swarms
    }
}

/// The state of the program at one moment.
#[derive(Debug)]
pub(crate) struct Moment {
    pub(crate) now: Now,
    /// Sorted by name.
    pub(crate) jobs: Vec<ObservedJob>,
    pub(crate) swarms: Swarms,
    /// The files of file SD.
    pub(crate) files: Arc<[FileStatus]>,
    pub(crate) readiness: Readiness,
    pub(crate) reload: ReloadStatus,
    /// How the last load of each web configuration went, with its file.
    pub(crate) web_configs: Vec<(String, DoorsStatus)>,
    pub(crate) started: std::time::SystemTime,
}

/// A job at one moment.
#[derive(Debug)]
pub(crate) struct ObservedJob {
    pub(crate) set: Arc<TargetSet>,
    pub(crate) status: Arc<JobStatus>,
    /// The configuration of a job that is not in the file: Swarmscout generated it.
    pub(crate) generated: Option<Arc<str>>,
}

impl ObservedJob {
    pub(crate) fn name(&self) -> &Arc<str> {
        self.set.pool.name()
    }
}

/// How the last load of each web configuration went, with its file.
pub(crate) fn web_configs(program: &Program) -> Vec<(String, DoorsStatus)> {
    let status = |doors: &DoorsHandle| (doors.file().display().to_string(), doors.status());
    program.doors.iter().map(status).collect()
}

impl Moment {
    pub(crate) fn of(context: &Context) -> Self {
        let Context { discovery, outputs, program, clock, .. } = context;
        let observe = |job: &Job| {
            let state = job.state();
            ObservedJob { set: state.set, status: state.status, generated: job.yaml.clone() }
        };
        Self {
            now: clock.now(),
            jobs: discovery.jobs.borrow().iter().map(observe).collect(),
            swarms: Swarms::of(&discovery.swarms.borrow()),
            files: Arc::clone(&outputs.files.borrow()),
            readiness: *program.ready.borrow(),
            reload: program.reload.borrow().clone(),
            web_configs: web_configs(program),
            started: program.started,
        }
    }
}
