//! How the program is doing, in a line: what systemd shows as its status.

use std::fmt::Write as _;
use std::sync::Arc;

use swarmscout_discovery::Manager;
use swarmscout_discovery::manager::Job;
use swarmscout_model::counted;

/// `3 jobs, 120 targets, 1 of 4 sources failing; the last reload failed: …`.
pub(crate) fn summary(manager: &Manager, error: Option<&str>) -> String {
    let jobs = Arc::clone(&manager.jobs().borrow());
    let states: Vec<_> = jobs.iter().map(Job::state).collect();
    let targets: usize = states.iter().map(|job| job.set.counts.active).sum();
    let sources = || states.iter().flat_map(|job| &job.status.sources);
    let failing = sources().filter(|source| source.error.is_some()).count();
    let mut text = format!("{}, {}", counted(jobs.len(), "job"), counted(targets, "target"));
    if failing > 0 {
        write!(text, ", {failing} of {} sources failing", sources().count())
            .expect("a string takes all");
    }
    if let Some(error) = error {
        let first = error.lines().next().unwrap_or_default();
        write!(text, "; the last reload failed: {first}").expect("a string takes all");
    }
    text
}
