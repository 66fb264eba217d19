//! How the tasks of a service are, and why some are missing.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use swarmscout_docker::Filter;
use swarmscout_docker::engine::{List, Service, Task, TaskFailure};
use swarmscout_model::counted;
use swarmscout_swarm::buckets::hash_of;
use swarmscout_swarm::scheduler::Scheduler;
use swarmscout_swarm::service_tasks::{is_job, is_scheduled};
use swarmscout_swarm::{Filters, ListFilter, ListScope, Reader, Role, ServiceTasks, Snapshot};

use crate::nodes::display_name;

/// This number of different errors is named.
const NAMED: usize = 3;

/// Which tasks a snapshot has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KnownTasks {
    /// Not even all that should run.
    Some,
    /// All that should run.
    Running,
    /// Those, and all of jobs that did not fail.
    Wanted,
    /// Those that ended, too.
    All,
}

impl KnownTasks {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let covers = |states: &[&str]| {
            let values = states.iter().map(|state| (*state).to_owned()).collect();
            let filter = Filter { name: "desired-state".to_owned(), values };
            let reader = Reader::of_role(Filters::new(Role::Tasks, &[filter]));
            snapshot.scope.covers(&ListScope::of([&reader]))
        };
        if snapshot.out_of_date().next().is_some() {
            Self::Some
        } else if covers(&["running", "complete"]) {
            match snapshot.scope.filter(List::Tasks) {
                ListFilter::All => Self::All,
                _ => Self::Wanted,
            }
        } else if covers(&["running"]) {
            Self::Running
        } else {
            Self::Some
        }
    }

    /// Whether a snapshot has all tasks that a service without a schedule should run.
    pub(crate) fn has_running(self) -> bool {
        self >= Self::Running
    }
}

/// Whether the tasks of a service are as they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    AsWanted,
    /// Tasks should run, and do not.
    TasksMissing,
    /// The last run of a job, or of a service on a schedule, failed.
    RunFailed,
}

/// The tasks of a service, and how they are.
#[derive(Debug)]
pub(crate) struct JudgedTasks<'a> {
    pub(crate) tasks: ServiceTasks<'a>,
    pub(crate) condition: Condition,
}

impl<'a> JudgedTasks<'a> {
    /// Judges the tasks of a service in a snapshot that has these. What is not known is as wanted.
    pub(crate) fn of(
        snapshot: &'a Snapshot,
        service: &'a Service,
        known: KnownTasks,
        scheduler: &LazyCell<Scheduler, impl FnOnce() -> Scheduler>,
    ) -> Self {
        let mut tasks = ServiceTasks::of(snapshot, service, || scheduler.wanted_nodes(service));
        if is_job(service) && known < KnownTasks::Wanted {
            tasks.wanted = tasks.running;
        }
        let has_failed = tasks.failed > 0;
        let condition = if is_scheduled(service) {
            if has_failed { Condition::RunFailed } else { Condition::AsWanted }
        } else if tasks.is_at_desired() {
            Condition::AsWanted
        } else if has_failed && is_job(service) {
            Condition::RunFailed
        } else {
            Condition::TasksMissing
        };
        Self { tasks, condition }
    }

    /// Why some of its tasks do not run, the likeliest reason first. Only a task without a node needs
    /// the scheduler, which reads all tasks.
    pub(crate) fn reasons(
        &self,
        snapshot: &Snapshot,
        service: &Service,
        scheduler: &LazyCell<Scheduler, impl FnOnce() -> Scheduler>,
    ) -> Vec<String> {
        let current = &self.tasks.current;
        let is_missing = |task: &Task| &*task.state != "complete" && !is_running(snapshot, task);
        let missing = || current.iter().filter(|(_, task)| is_missing(task));
        let has_waiting = missing().any(|(_, task)| task.node.is_empty());
        let mut reasons = Vec::new();
        if has_waiting || (current.len() as u64) < self.tasks.wanted {
            reasons.extend(scheduler.obstacles(service).iter().map(ToString::to_string));
        }
        let (mut errors, mut stages) = (BTreeMap::new(), BTreeMap::new());
        let mut lost = BTreeSet::new();
        for (_, task) in missing() {
            let (texts, text) = match &task.failure {
                Some(failure) => (&mut errors, in_words(failure)),
                None if &*task.state == "running" => {
                    lost.insert(node_of(snapshot, task));
                    continue;
                }
                None if task.message.is_empty() => (&mut stages, task.state.to_string()),
                None => (&mut stages, format!("{} ({})", task.state, task.message)),
            };
            *texts.entry(text).or_insert(0_usize) += 1;
        }
        add_counted(&mut reasons, errors);
        if let Some(last) = self.last_failure(snapshot, service) {
            let (node, text) = (node_of(snapshot, last), of_failed(last));
            add_last_failure(&mut reasons, node, &text);
        }
        if !lost.is_empty() {
            let nodes: Vec<_> = lost.into_iter().take(NAMED).collect();
            let nodes = nodes.join(", ");
            reasons.push(format!("the managers do not reach {nodes}: what runs there is unknown"));
        }
        add_counted(&mut reasons, stages);
        if matches!(&*service.update_state, "paused" | "rollback_paused") {
            let message = &service.update_message;
            reasons.push(format!("its update is {}: {message}", service.update_state));
        }
        reasons
    }

    /// The newest task that failed in a slot where none runs now, of those that were replaced.
    fn last_failure<'b>(
        &self,
        snapshot: &'b Snapshot,
        service: &'b Service,
    ) -> Option<&'b Arc<Task>> {
        let current = &self.tasks.current;
        let runs = current.iter().filter(|(_, task)| is_running(snapshot, task));
        let runs: BTreeSet<_> = runs.map(|(_, task)| slot(task)).collect();
        let is_current = |task: &Task| current.iter().any(|(_, known)| known.id == task.id);
        let is_of_run =
            |task: &Task| !is_job(service) || task.job_iteration == service.job_iteration;
        let tasks = snapshot.tasks.of_owner(&service.id);
        let failed = tasks.filter(|task| has_failed(task) && is_of_run(task));
        let failed = failed.filter(|task| !runs.contains(&slot(task)) && !is_current(task));
        failed.max_by_key(|task| (task.state_since, task.version))
    }
}

/// The slot of a task: a number, or of a global service the node.
pub(crate) fn slot(task: &Task) -> (i64, &str) {
    (task.slot, if task.slot == 0 { &task.node } else { "" })
}

fn is_running(snapshot: &Snapshot, task: &Task) -> bool {
    &*task.state == "running" && snapshot.is_on_ready_node(task)
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

/// The name of the node of a task, or its ID.
pub(crate) fn node_of<'a>(snapshot: &'a Snapshot, task: &'a Task) -> &'a str {
    snapshot.nodes.get("", &task.node).map_or(&*task.node, |node| display_name(node))
}

/// Whether a task ended by a failure.
pub(crate) fn has_failed(task: &Task) -> bool {
    match &*task.state {
        "failed" | "rejected" | "orphaned" => true,
        // The Engine stops a container with its exit code.
        "shutdown" | "complete" | "running" | "remove" => false,
        _ => task.failure.is_some(),
    }
}

/// Adds some texts, and how many tasks have each.
fn add_counted(reasons: &mut Vec<String>, texts: BTreeMap<String, usize>) {
    let more = texts.len().saturating_sub(NAMED);
    reasons.extend(texts.into_iter().take(NAMED).map(|(text, count)| match count {
        1 => text,
        count => format!("{text} ({})", counted(count, "task")),
    }));
    if more > 0 {
        reasons.push(format!("{more} other reasons"));
    }
}

/// Adds what the last task that failed says, unless that is known.
pub(crate) fn add_last_failure(reasons: &mut Vec<String>, node: &str, text: &str) {
    if !reasons.iter().any(|reason| reason.contains(text)) {
        let place = if node.is_empty() { String::new() } else { format!(" on node {node}") };
        reasons.push(format!("the last task that failed{place} says: {text}"));
    }
}

/// What a task that failed says.
fn of_failed(task: &Task) -> String {
    match &task.failure {
        Some(failure) => in_words(failure),
        None => format!("{} ({})", task.state, task.message),
    }
}

/// What went wrong, in a few words: `exit code 137`, `No such image: shop/web:2`.
pub(crate) fn in_words(failure: &TaskFailure) -> String {
    words(&failure.error, failure.exit_code)
}

/// The same of an error and an exit code.
pub(crate) fn words(error: &str, exit_code: i64) -> String {
    // SwarmKit repeats the code: `task: non-zero exit (137): dockerexec: unhealthy container`.
    if let Some(rest) = error.strip_prefix("task: non-zero exit (") {
        let rest = rest.split_once(')').map_or("", |(_, rest)| rest);
        return format!("exit code {exit_code}{rest}");
    }
    match (error, exit_code) {
        ("", code) => format!("exit code {code}"),
        (error, 0) => error.to_owned(),
        (error, code) => format!("{error} (exit code {code})"),
    }
}
