//! The target manager: runs the sources that the jobs name, and gives every job its targets.

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::BuildContext;
use crate::figures::Figures;
use crate::{JobConfig, TargetSet};

/// Owns all sources and jobs. Dropping it ends them.
#[derive(Debug)]
pub struct Manager {
    context: BuildContext,
    jobs: watch::Sender<Arc<[Job]>>,
}

/// A running job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its configuration. During a reload newer than that of the set.
    pub config: Arc<JobConfig>,
    /// Its newest targets.
    pub set: watch::Receiver<Arc<TargetSet>>,
}

impl Manager {
    /// A manager without jobs.
    pub fn new(context: BuildContext) -> Self {
        Self { context, jobs: watch::Sender::new(Arc::from([])) }
    }

    /// What is counted for all jobs together.
    pub fn figures(&self) -> &Arc<Figures> {
        &self.context.figures
    }

    /// Makes these the jobs, in the order of their names. A job whose configuration is equal to
    /// that of a running one is left alone; so is every source that some job still names.
    pub fn apply(&mut self, jobs: Vec<JobConfig>) {
        let _ = jobs;
    }

    /// The running jobs, sorted by name.
    pub fn jobs(&self) -> watch::Receiver<Arc<[Job]>> {
        self.jobs.subscribe()
    }

    /// Ends all sources and waits for them.
    pub async fn shutdown(self) {}
}
