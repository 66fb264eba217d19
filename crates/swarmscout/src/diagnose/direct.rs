//! Runs the jobs of a configuration file for a moment, without a server.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use swarmscout_diagnose::doctor::{ObservedJob, Subject, SwarmState};
use swarmscout_discovery::config::{BuildContext, OwnContainer};
use swarmscout_discovery::{JobConfig, Manager};
use swarmscout_model::Budget;
use tokio::time::timeout;

use crate::app::BUILD;
use crate::memory;

/// How long sources may take to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs all jobs of a file until each source has answered once, or the time is over. What is known
/// by then is the result.
pub(super) async fn observe(file: &Path, within: Duration) -> anyhow::Result<Subject> {
    let options = swarmscout_config::Options::default();
    let loaded = swarmscout_config::load(file, &options).context("Cannot load config")?;
    Ok(observe_jobs(loaded.config.job_configs(), within).await)
}

/// The same for these jobs.
pub(crate) async fn observe_jobs(jobs: Vec<JobConfig>, within: Duration) -> Subject {
    let context = BuildContext {
        budget: Budget::new(memory::default_limit()),
        own_container: OwnContainer::read(),
        ..BuildContext::new(format!("Swarmscout/{}", BUILD.version))
    };
    let mut manager = Manager::new(context);
    manager.apply(jobs);
    let mut jobs = manager.jobs().borrow().to_vec();
    let complete = jobs.iter_mut().map(|job| job.wait_for(|job| job.set.is_complete()));
    let _ = timeout(within, join_all(complete)).await;
    let swarms = manager.swarms();
    let swarms = swarms.borrow().iter().filter_map(SwarmState::of).collect();
    let subject = Subject { jobs: jobs.iter().map(ObservedJob::of).collect(), swarms };
    let _ = timeout(SHUTDOWN_TIMEOUT, manager.shutdown()).await;
    subject
}
