//! The state that `explain` and the checks of `doctor` read.

use swarmscout_diagnose::doctor::{ObservedJob, Subject, SwarmState};

use crate::Context;

/// The state of all jobs and Swarms. Superseded jobs are left out: a target that a rule drops there, or
/// that does not answer, does not mean that a service lacks metrics.
pub(crate) fn subject(context: &Context) -> Subject {
    let (jobs, swarms) = (context.discovery.jobs.borrow(), context.discovery.swarms.borrow());
    let config = context.program.config.borrow();
    let current = jobs.iter().filter(|job| !config.is_superseded(job.config.name()));
    Subject {
        jobs: current.map(ObservedJob::of).collect(),
        swarms: swarms.iter().filter_map(SwarmState::of).collect(),
        links: context.outputs.nodes.links(),
        node_parts: context.outputs.nodes.node_parts(),
    }
}
