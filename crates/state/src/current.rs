//! The current task of each slot: what `docker service ps` shows first.

use std::collections::BTreeMap;
use std::sync::Arc;

use swarmscout_docker::engine::{Mode, Service, Task};

/// The number of a slot; of global services the ID of the node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Slot<'a> {
    Number(i64),
    Node(&'a str),
}

/// The current task of each slot of a service, in the order of the slots.
///
/// Of several tasks the one counts that should run, and of those the newest. A slot whose tasks have
/// all ended keeps the last one if the service wants it: its restart condition forbids another.
pub(crate) fn current_tasks<'a>(
    service: &Service,
    tasks: impl Iterator<Item = &'a Arc<Task>>,
) -> Vec<(Slot<'a>, &'a Arc<Task>)> {
    let is_job = matches!(service.mode, Mode::ReplicatedJob | Mode::GlobalJob);
    let mut slots = BTreeMap::<Slot<'_>, &Arc<Task>>::new();
    for task in tasks.filter(|task| !is_job || task.job_iteration == service.job_iteration) {
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
    fn a_global_service_has_a_task_on_each_node() {
        let tasks = ["a n1 running running 1", "b n2 shutdown failed 1", "c n2 running running 2"];
        check(Mode::Global, 0, &tasks, "a c");
    }
}
