//! Runs the jobs of a configuration file for a while, without a server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use swarmscout_diagnose::doctor::{ObservedJob, Subject, SwarmState};
use swarmscout_discovery::config::{BuildContext, CopiedLabel, OwnContainer, Preset};
use swarmscout_discovery::{JobConfig, Manager};
use swarmscout_model::{Budget, Labels};
use tokio::time::timeout;

use crate::app::BUILD;
use crate::cli::ServerArgs;
use crate::cli::state::{checked_copied_labels, common_labels, presets_off};
use crate::memory;

/// How long sources may take to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Flags of the program that change targets.
#[derive(Clone, Debug, Default)]
pub(crate) struct TargetFlags {
    /// Labels of all targets: `--cluster`.
    common_labels: Labels,
    /// `--state.series-labels`
    copied_labels: Arc<[CopiedLabel]>,
    /// `--no-state.metrics`
    presets_off: Arc<[Preset]>,
}

impl TargetFlags {
    /// Checks them.
    pub(crate) fn new(
        cluster: Option<&str>,
        series_labels: &[String],
        state_metrics: bool,
    ) -> anyhow::Result<Self> {
        let copied_labels = checked_copied_labels(series_labels)?;
        let common_labels = common_labels(cluster);
        Ok(Self { common_labels, copied_labels, presets_off: presets_off(state_metrics) })
    }
}

/// Runs all jobs of the file until each source has answered once, or the time is over. What is known
/// by then is the result. `None` without a file.
pub(super) async fn observe(args: &ServerArgs) -> anyhow::Result<Option<Subject>> {
    match LocalJobs::of_args(args)? {
        Some(jobs) => Ok(Some(jobs.observe(args.timeout.into()).await)),
        None => Ok(None),
    }
}

/// The same for these jobs, without what only a diagnosis needs.
pub(crate) async fn observe_jobs(
    jobs: Vec<JobConfig>,
    flags: TargetFlags,
    within: Duration,
) -> Subject {
    LocalJobs::start(jobs, flags, false).observe(within).await
}

/// Jobs that run in this process.
#[derive(Debug)]
pub(super) struct LocalJobs(Manager);

impl LocalJobs {
    /// Starts all jobs of the file, if one is given.
    pub(super) fn of_args(args: &ServerArgs) -> anyhow::Result<Option<Self>> {
        let Some(file) = &args.config_file else { return Ok(None) };
        let ServerArgs { cluster, series_labels, state_metrics, .. } = args;
        let flags = TargetFlags::new(cluster.as_deref(), series_labels, *state_metrics)?;
        let options = swarmscout_config::Options::default();
        let loaded = swarmscout_config::load(file, &options).context("cannot load the file")?;
        Ok(Some(Self::start(loaded.config.job_configs(), flags, true)))
    }

    /// `all_tasks`: read those that ended, too, as for state metrics: they say why others are missing.
    fn start(jobs: Vec<JobConfig>, flags: TargetFlags, all_tasks: bool) -> Self {
        let TargetFlags { common_labels, copied_labels, presets_off } = flags;
        let context = BuildContext {
            own_container: OwnContainer::read(),
            state_metrics: all_tasks,
            common_labels,
            copied_labels,
            presets_off,
            ..BuildContext::new(format!("Swarmscout/{}", BUILD.version))
        };
        let limit = memory::default_limit();
        let budget = Budget::measured(limit, memory::process(limit));
        let mut manager = Manager::new(context.within(budget));
        manager.apply(jobs);
        Self(manager)
    }

    /// Waits until each source has answered once, or the time is over.
    pub(super) async fn wait(&self, within: Duration) {
        let mut jobs = self.0.jobs().borrow().to_vec();
        let complete = jobs.iter_mut().map(|job| job.wait_for(|job| job.set.is_complete()));
        let _ = timeout(within, join_all(complete)).await;
    }

    /// What is known now.
    pub(super) fn subject(&self) -> Subject {
        let (jobs, swarms) = (self.0.jobs(), self.0.swarms());
        let (jobs, swarms) = (jobs.borrow(), swarms.borrow());
        Subject {
            jobs: jobs.iter().map(ObservedJob::of).collect(),
            swarms: swarms.iter().filter_map(SwarmState::of).collect(),
            // Node parts ask the program that runs.
            ..Subject::default()
        }
    }

    /// Ends the sources.
    pub(super) async fn stop(self) {
        let _ = timeout(SHUTDOWN_TIMEOUT, self.0.shutdown()).await;
    }

    async fn observe(self, within: Duration) -> Subject {
        self.wait(within).await;
        let subject = self.subject();
        self.stop().await;
        subject
    }
}
