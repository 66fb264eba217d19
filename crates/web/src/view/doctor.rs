//! The state that the checks of `doctor` read.

use swarmscout_diagnose::doctor::{ObservedJob, Subject, SwarmState};

use crate::Context;

/// The state of all jobs and Swarms.
pub(crate) fn subject(context: &Context) -> Subject {
    let (jobs, swarms) = (context.discovery.jobs.borrow(), context.discovery.swarms.borrow());
    Subject {
        jobs: jobs.iter().map(ObservedJob::of).collect(),
        swarms: swarms.iter().filter_map(SwarmState::of).collect(),
    }
}
