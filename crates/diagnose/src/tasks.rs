//! Why a service has fewer running tasks than it should have.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use swarmscout_docker::Filter;
use swarmscout_docker::engine::{Mode, Service, Task};
use swarmscout_swarm::buckets::hash_of;
use swarmscout_swarm::scheduler::Scheduler;
use swarmscout_swarm::{Filters, ListScope, Reader, Role, Snapshot};

/// This number of different errors is named.
const NAMED: usize = 3;

/// The tasks of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskCounts {
    pub(crate) running: usize,
    pub(crate) wanted: usize,
    /// Why some are missing, the likeliest reason first.
    pub(crate) reasons: Vec<String>,
}

/// Whether a snapshot has all tasks that should run, and what explains their absence.
pub(crate) fn are_known(snapshot: &Snapshot) -> bool {
    let covers = |states: &[&str]| {
        let values = states.iter().map(|state| (*state).to_owned()).collect();
        let filter = Filter { name: "desired-state".to_owned(), values };
        let reader = Reader::of_role(Filters::new(Role::Tasks, &[filter]));
        snapshot.scope.covers(&ListScope::of([&reader]))
    };
    snapshot.out_of_date().next().is_none()
        && (covers(&["running", "complete"]) || covers(&["running"]))
}

/// Whether a scheduler starts the tasks of a service, as swarm-cronjob does: they need not run.
pub(crate) fn is_started_by_others(service: &Service) -> bool {
    &*service.restart_condition == "none"
}

/// The tasks on a node. Reads only buckets that have some.
pub(crate) fn on_node<'a>(
    snapshot: &'a Snapshot,
    node: &'a str,
) -> impl Iterator<Item = &'a Arc<Task>> {
    let hashes = [hash_of(node)];
    let buckets = snapshot.tasks.iter().filter(move |bucket| bucket.refers_to_any(&hashes));
    buckets.flat_map(|bucket| bucket.objects()).filter(move |task| *task.node == *node)
}

/// Counts the tasks of a service, and finds out why some are missing. Only that needs the scheduler,
/// which reads all tasks.
pub(crate) fn count(
    snapshot: &Snapshot,
    scheduler: &LazyCell<Scheduler, impl FnOnce() -> Scheduler>,
    service: &Service,
) -> TaskCounts {
    let current: Vec<_> = current(snapshot, service).collect();
    let (running, wanted) = running_and_wanted(service, current.iter().copied(), scheduler);
    let reasons = if running < wanted { reasons(scheduler, service, &current) } else { Vec::new() };
    TaskCounts { running, wanted, reasons }
}

/// The tasks of a service that should run, or that were to run to their end.
pub(crate) fn current<'a>(
    snapshot: &'a Snapshot,
    service: &'a Service,
) -> impl Iterator<Item = &'a Arc<Task>> {
    let tasks = snapshot.tasks.of_owner(&service.id);
    tasks.filter(|task| matches!(&*task.desired_state, "running" | "complete"))
}

/// How many of these tasks of a service run, and how many should. Only of a global service the
/// scheduler knows that.
pub(crate) fn running_and_wanted<'a>(
    service: &Service,
    current: impl Iterator<Item = &'a Arc<Task>>,
    scheduler: &LazyCell<Scheduler, impl FnOnce() -> Scheduler>,
) -> (usize, usize) {
    let (mut all, mut running) = (0, 0);
    for task in current {
        all += 1;
        running += usize::from(&*task.state == "running");
    }
    let wanted = match service.mode {
        Mode::Replicated => usize::try_from(service.replicas).unwrap_or(usize::MAX),
        // A job has ended, or runs as often as it can.
        Mode::ReplicatedJob | Mode::GlobalJob => running,
        // A task that was rejected has no successor for a moment. A node that is down keeps its task.
        Mode::Global => {
            all.max(usize::try_from(scheduler.wanted_nodes(service)).unwrap_or(usize::MAX))
        }
        Mode::Unknown => all,
    };
    (running, wanted)
}

fn reasons(
    scheduler: &LazyCell<Scheduler, impl FnOnce() -> Scheduler>,
    service: &Service,
    current: &[&Arc<Task>],
) -> Vec<String> {
    let mut reasons = Vec::new();
    if current.iter().any(|task| task.node.is_empty()) {
        reasons.extend(scheduler.obstacles(service).iter().map(ToString::to_string));
    }
    let mut errors = BTreeMap::<String, usize>::new();
    for task in current.iter().filter(|task| &*task.state != "running") {
        let text = match &task.failure {
            Some(failure) if !failure.error.is_empty() => failure.error.to_string(),
            Some(failure) => format!("exit code {}", failure.exit_code),
            None => format!("{} ({})", task.state, task.message),
        };
        *errors.entry(text).or_default() += 1;
    }
    let more = errors.len().saturating_sub(NAMED);
    let named = errors.into_iter().take(NAMED);
    reasons.extend(named.map(|(error, count)| match count {
        1 => error,
        count => format!("{error} ({count} tasks)"),
    }));
    if more > 0 {
        reasons.push(format!("{more} other errors"));
    }
    if matches!(&*service.update_state, "paused" | "rollback_paused") {
        let message = &service.update_message;
        reasons.push(format!("its update is {}: {message}", service.update_state));
    }
    reasons
}
