//! Runs the jobs of a configuration file for a while, without a server.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use swarmscout_diagnose::doctor::{ObservedJob, Subject, SwarmState};
use swarmscout_discovery::config::{BuildContext, OwnContainer};
use swarmscout_discovery::{JobConfig, Manager};
use swarmscout_model::{Budget, Labels};
use tokio::time::timeout;

use crate::app::BUILD;
use crate::memory;

/// How long sources may take to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs all jobs of a file until each source has answered once, or the time is over. What is known
/// by then is the result.
pub(super) async fn observe(file: &Path, within: Duration) -> anyhow::Result<Subject> {
    Ok(LocalJobs::of_file(file)?.observe(within).await)
}

/// The same for these jobs, whose targets all have `common_labels`.
pub(crate) async fn observe_jobs(
    jobs: Vec<JobConfig>,
    common_labels: Labels,
    within: Duration,
) -> Subject {
    LocalJobs::start(jobs, common_labels).observe(within).await
}

/// Jobs that run in this process.
#[derive(Debug)]
pub(super) struct LocalJobs(Manager);

impl LocalJobs {
    /// Starts all jobs of a file.
    pub(super) fn of_file(file: &Path) -> anyhow::Result<Self> {
        let options = swarmscout_config::Options::default();
        let loaded = swarmscout_config::load(file, &options).context("cannot load the file")?;
        Ok(Self::start(loaded.config.job_configs(), Labels::empty()))
    }

    fn start(jobs: Vec<JobConfig>, common_labels: Labels) -> Self {
        let context = BuildContext {
            budget: Budget::new(memory::default_limit()),
            own_container: OwnContainer::read(),
            common_labels,
            ..BuildContext::new(format!("Swarmscout/{}", BUILD.version))
        };
        let mut manager = Manager::new(context);
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
