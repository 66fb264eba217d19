//! The tasks of a service: the current one of each slot, how many of them run, and how many should.

use std::collections::BTreeMap;
use std::sync::Arc;

use swarmscout_docker::engine::{Mode, Service, Task};

use crate::Snapshot;

/// The label of services that [swarm-cronjob](https://crazymax.dev/swarm-cronjob/) runs.
const CRONJOB: &str = "swarm.cronjob.enable";

/// Whether something else than SwarmKit starts its tasks, so that none may run at a time.
pub fn is_scheduled(service: &Service) -> bool {
    service.labels.get(CRONJOB) == Some("true")
        || (service.mode == Mode::Replicated && &*service.restart_condition == "none")
}

/// Whether its tasks are to end by themselves.
pub fn is_job(service: &Service) -> bool {
    matches!(service.mode, Mode::ReplicatedJob | Mode::GlobalJob)
}

/// The tasks of a service at one moment.
#[derive(Clone, Debug)]
pub struct ServiceTasks<'a> {
    /// The current task of each slot, in the order of the slots: what `docker service ps` shows first.
    pub current: Vec<(Slot<'a>, &'a Arc<Task>)>,
    /// Replicas; of a global service the nodes that its scheduler would use; of a job its completions.
    pub desired: u64,
    /// Those that should run now: of a job those that are left, as many as may run at a time. Nothing
    /// needs to run of a service on a schedule: what runs is wanted.
    pub wanted: u64,
    /// Those that run, on nodes that are ready.
    pub running: u64,
    /// Those that have not ended, on nodes that are ready.
    pub placed: u64,
    /// Those that ended well.
    pub completed: u64,
    /// Those that failed or were rejected, and have no successor.
    pub failed: u64,
}

impl<'a> ServiceTasks<'a> {
    /// Counts them. `wanted_nodes` is called for global services, with
    /// [`Scheduler::wanted_nodes`](crate::scheduler::Scheduler::wanted_nodes) for instance.
    pub fn of(
        snapshot: &'a Snapshot,
        service: &'a Service,
        wanted_nodes: impl FnOnce() -> u64,
    ) -> Self {
        let current = current_tasks(service, snapshot.tasks.of_owner(&service.id));
        let desired = match service.mode {
            Mode::Replicated | Mode::ReplicatedJob => service.replicas,
            Mode::Global | Mode::GlobalJob => wanted_nodes(),
            Mode::Unknown => 0,
        };
        let (mut running, mut placed, mut completed, mut failed) = (0, 0, 0, 0);
        for (_, task) in &current {
            completed += u64::from(&*task.state == "complete");
            failed += u64::from(matches!(&*task.state, "failed" | "rejected"));
            if !task.has_ended() && snapshot.is_on_ready_node(task) {
                placed += 1;
                running += u64::from(&*task.state == "running");
            }
        }
        let wanted = if is_scheduled(service) {
            running
        } else if is_job(service) {
            let left = desired.saturating_sub(completed);
            if service.max_concurrent == 0 { left } else { left.min(service.max_concurrent) }
        } else {
            desired
        };
        Self { current, desired, wanted, running, placed, completed, failed }
    }

    /// Whether as many tasks run as should.
    pub fn is_at_desired(&self) -> bool {
        self.running >= self.wanted
    }
}

impl Snapshot {
    /// Whether the node of a task is ready, so that the state of the task is known.
    pub fn is_on_ready_node(&self, task: &Task) -> bool {
        self.nodes.get("", &task.node).is_some_and(|node| &*node.state == "ready")
    }
}

/// The number of a slot; of global services the ID of the node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot<'a> {
    /// Of a replicated service or job.
    Number(i64),
    /// Of a global service or job.
    Node(&'a str),
}

/// The current task of each slot of a service, in the order of the slots.
///
/// Of several tasks the one counts that should run, and of those the newest. A slot whose tasks have
/// all ended keeps the last one if the service wants it: its restart condition forbids another.
fn current_tasks<'a>(
    service: &Service,
    tasks: impl Iterator<Item = &'a Arc<Task>>,
) -> Vec<(Slot<'a>, &'a Arc<Task>)> {
    let mut slots = BTreeMap::<Slot<'_>, &Arc<Task>>::new();
    for task in tasks.filter(|task| !is_job(service) || task.job_iteration == service.job_iteration)
    {
        let slot = match service.mode {
            Mode::Global | Mode::GlobalJob => Slot::Node(&task.node),
            _ => Slot::Number(task.slot),
        };
        let rank = |task: &Task| (is_wanted(task), task.created, task.version);
        slots
            .entry(slot)
            .and_modify(|known| {
                if rank(known) < rank(task) {
                    *known = task;
                }
            })
            .or_insert(task);
    }
    let wanted = slots.values().filter(|task| is_wanted(task)).count() as u64;
    let mut vacant = match service.mode {
        Mode::Replicated | Mode::ReplicatedJob => service.replicas.saturating_sub(wanted),
        Mode::Global | Mode::GlobalJob => u64::MAX,
        Mode::Unknown => 0,
    };
    let mut current = Vec::with_capacity(slots.len());
    for (slot, task) in slots {
        if is_wanted(task) {
            current.push((slot, task));
        } else if vacant > 0 && matches!(&*task.state, "complete" | "failed" | "rejected") {
            vacant -= 1;
            current.push((slot, task));
        }
    }
    current
}

fn is_wanted(task: &Task) -> bool {
    matches!(&*task.desired_state, "ready" | "running" | "complete")
}

#[cfg(test)]
mod tests {
    use swarmscout_docker::engine::{Lists, Node};

    use super::*;

    fn task(text: &str) -> Arc<Task> {
        let words: Vec<_> = text.split(' ').collect();
        let [id, slot, desired, state, created] = words[..] else { panic!("{text}") };
        let global = slot.starts_with('n');
        Arc::new(Task {
            id: id.into(),
            slot: if global { 0 } else { slot.parse().unwrap() },
            node: if global { slot.into() } else { "n".into() },
            desired_state: desired.into(),
            state: state.into(),
            created: created.parse().unwrap(),
            ..Task::default()
        })
    }

    fn check(mode: Mode, replicas: u64, tasks: &[&str], expected: &str) {
        let tasks: Vec<_> = tasks.iter().map(|text| task(text)).collect();
        let service = Service { mode, replicas, ..Service::default() };
        for order in [tasks.iter().collect::<Vec<_>>(), tasks.iter().rev().collect()] {
            let found = current_tasks(&service, order.into_iter());
            let found: Vec<_> = found.iter().map(|(_, task)| &*task.id).collect();
            assert_eq!(found.join(" "), expected);
        }
    }

    #[test]
    fn the_task_that_should_run_is_the_current_one() {
        let history = ["a 1 shutdown failed 1", "b 1 running running 2", "c 2 running pending 1"];
        check(Mode::Replicated, 2, &history, "b c");
        // Start-first: the old one runs until the new one does.
        check(Mode::Replicated, 1, &["a 1 running running 1", "b 1 running starting 2"], "b");
    }

    #[test]
    fn a_slot_that_is_not_restarted_keeps_its_last_task() {
        let ended = ["a 1 shutdown failed 1", "b 1 shutdown complete 2"];
        check(Mode::Replicated, 1, &ended, "b");
        check(Mode::Replicated, 0, &ended, "");
        // Scaled down, or moved by an update.
        check(Mode::Replicated, 1, &["a 1 shutdown shutdown 1"], "");
    }

    #[test]
    fn what_should_run_depends_on_the_mode() {
        let node = |id: &str, state: &str| {
            Arc::new(Node { id: id.into(), state: state.into(), ..Node::default() })
        };
        let nodes = vec![node("n", "ready"), node("n2", "down")];
        let check = |service: Service, tasks: &[&str], expected: &str| {
            let lists = Lists {
                nodes: nodes.clone(),
                tasks: tasks.iter().map(|text| task(text)).collect(),
                ..Lists::default()
            };
            let snapshot = Snapshot::from(&lists);
            let tasks = ServiceTasks::of(&snapshot, &service, || 2);
            let ServiceTasks { desired, wanted, running, placed, completed, failed, .. } = tasks;
            let found = format!("{running}/{wanted} of {desired}, {placed} {completed} {failed}");
            assert_eq!(found, expected);
        };
        let of = |mode| Service { mode, replicas: 3, ..Service::default() };
        let job = || of(Mode::ReplicatedJob);
        let ended = ["a 1 complete complete 1", "b 2 shutdown failed 1"];
        check(job(), &ended, "0/2 of 3, 0 1 1");
        check(Service { max_concurrent: 1, ..job() }, &ended, "0/1 of 3, 0 1 1");
        check(of(Mode::GlobalJob), &["a n complete complete 1"], "0/1 of 2, 0 1 0");
        // A failed task that was replaced counts no more.
        let again = [&ended[..], &["c 2 complete running 2"]].concat();
        check(job(), &again, "1/2 of 3, 1 1 0");
        let scheduled = Service { restart_condition: "none".into(), ..of(Mode::Replicated) };
        check(scheduled, &["a 1 shutdown failed 1"], "0/0 of 3, 0 0 1");
        let on_nodes = ["a n running running 1", "b n2 running running 1"];
        check(of(Mode::Global), &on_nodes, "1/2 of 2, 1 0 0");
    }

    #[test]
    fn a_global_service_has_a_task_on_each_node() {
        let tasks = ["a n1 running running 1", "b n2 shutdown failed 1", "c n2 running running 2"];
        check(Mode::Global, 0, &tasks, "a c");
    }
}
