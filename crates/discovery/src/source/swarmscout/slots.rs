//! The slots of all services: what has one target for each endpoint, whichever task fills it.
//!
//! A replicated service has numbered slots, a global one a slot on each node. During an update two
//! tasks of a slot run for a moment, and earlier tasks stay listed for long. The slot keeps only
//! those that run and shall run.
//!
//! Slots are kept in [`Buckets`] like the objects of a Swarm, so they depend on the tasks alone. A
//! task that changes costs one bucket of its service.

use std::collections::HashMap;
use std::sync::Arc;

use swarmscout_docker::engine::{LabelMap, Task};
use swarmscout_swarm::Buckets;
use swarmscout_swarm::buckets::{Object, hash_of};

use super::own_container::OwnContainer;

/// A slot with at least one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// The slot's number, or the ID of the node. Unique within the service.
    id: Arc<str>,
    service: Arc<str>,
    /// The newest one first.
    tasks: Vec<Arc<Task>>,
}

impl Slot {
    /// The slot's number, or the ID of the node.
    pub(super) fn name(&self) -> &Arc<str> {
        &self.id
    }

    /// The newest task that runs and shall run.
    pub(super) fn task(&self) -> &Arc<Task> {
        self.tasks.first().expect("a slot without tasks is removed")
    }
}

impl Object for Slot {
    fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn version(&self) -> u64 {
        self.task().version
    }

    fn owner(&self) -> Arc<str> {
        Arc::clone(&self.service)
    }

    fn refers(&self, to: &mut dyn FnMut(&str)) {
        self.task().refers(to);
    }
}

/// All slots of a snapshot.
#[derive(Debug, Default)]
pub(super) struct Slots {
    buckets: Buckets<Slot>,
    seen: Buckets<Task>,
    /// The number of slots of each service whose task has labels that matter. Most have none.
    labelled: HashMap<Arc<str>, usize>,
    own_container: Option<OwnContainer>,
    /// Service and name of the slot that last had the task of this container.
    own: Option<(Arc<str>, Arc<str>)>,
}

impl Slots {
    /// No slots, in a program that runs in this container.
    pub(super) fn new(own_container: Option<OwnContainer>) -> Self {
        Self { own_container, ..Self::default() }
    }

    /// The slot that has the task of this program's container.
    pub(super) fn own(&self) -> Option<&Arc<Slot>> {
        let (service, name) = self.own.as_ref()?;
        let container = self.own_container.as_ref()?;
        let slot = self.buckets.get(service, name)?;
        slot.tasks.iter().any(|task| container.is_of(task)).then_some(slot)
    }

    /// The slots, by service.
    pub(super) fn buckets(&self) -> &Buckets<Slot> {
        &self.buckets
    }

    /// The labels of a service's containers that matter: those of its newest task that has some. While
    /// an update runs, other slots still have a task with the labels of before.
    pub(super) fn labels_of(
        &self,
        service: &str,
        matters: impl Fn(&LabelMap) -> bool,
    ) -> Option<&LabelMap> {
        let (service, _) = self.labelled.get_key_value(service)?;
        let tasks = self.buckets.of_owner(service).map(|slot| slot.task());
        let tasks = tasks.filter(|task| matters(&task.labels));
        let newest = tasks.max_by(|a, b| (a.created, age(a)).cmp(&(b.created, age(b))))?;
        Some(&newest.labels)
    }

    /// Follows the tasks from the last snapshot to this one. Returns the sorted hashes of the IDs of
    /// services with slots whose task has other labels now, if `matters` says so of the labels
    /// before or after.
    pub(super) fn update(
        &mut self,
        now: &Buckets<Task>,
        matters: impl Fn(&LabelMap) -> bool,
    ) -> Vec<u64> {
        let seen = std::mem::replace(&mut self.seen, now.clone());
        let mut changed = Vec::new();
        let mut edit = |of: &Task, task| {
            let counts = |task: Option<Arc<Task>>| task.is_some_and(|task| matters(&task.labels));
            let (before, after) = self.edit(of, task);
            let (before, after) = (counts(before), counts(after));
            if before || after {
                changed.push(hash_of(&of.service));
            }
            if before != after {
                let labelled = self.labelled.entry(Arc::clone(&of.service)).or_default();
                *labelled = if after { *labelled + 1 } else { labelled.saturating_sub(1) };
                if *labelled == 0 {
                    self.labelled.remove(&of.service);
                }
            }
        };
        for (old, new) in seen.differences(now) {
            let old = old.filter(|task| counts(task));
            let new = new.filter(|task| counts(task));
            if let Some(old) = old
                && new.is_none_or(|new| slot(old) != slot(new))
            {
                edit(old, None);
            }
            if let Some(new) = new {
                edit(new, Some(new));
            }
        }
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// Removes the task with the ID of `of` from its slot, and puts `task` there. Returns the task of
    /// the slot before and after.
    fn edit(
        &mut self,
        of: &Task,
        task: Option<&Arc<Task>>,
    ) -> (Option<Arc<Task>>, Option<Arc<Task>>) {
        let id = slot(of);
        let known = self.buckets.get(&of.service, &id);
        let mut tasks: Vec<_> = known.map_or_else(Vec::new, |slot| slot.tasks.clone());
        let before = tasks.first().cloned();
        tasks.retain(|known| known.id != of.id);
        if task.is_some() && self.own_container.as_ref().is_some_and(|own| own.is_of(of)) {
            self.own = Some((Arc::clone(&of.service), Arc::clone(&id)));
        }
        tasks.extend(task.cloned());
        tasks.sort_by(|a, b| age(b).cmp(&age(a)));
        let after = tasks.first().cloned();
        if tasks.is_empty() {
            self.buckets.remove(&of.service, &id);
        } else {
            let service = Arc::clone(&of.service);
            self.buckets.insert(Arc::new(Slot { id, service, tasks }));
        }
        (before, after)
    }
}

/// Whether a task runs and shall run. Tasks of jobs shall complete.
fn counts(task: &Task) -> bool {
    &*task.state == "running"
        && matches!(&*task.desired_state, "running" | "complete")
        && !task.service.is_empty()
}

fn slot(task: &Task) -> Arc<str> {
    match task.slot {
        0 => Arc::clone(&task.node),
        number => number.to_string().into(),
    }
}

/// Greater for a newer task. IDs are random, so they only make the order definite.
fn age(task: &Task) -> (u64, i64, &str) {
    (task.version, task.updated, &task.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `id service slot node state/desired version`
    fn tasks(lines: &[&str]) -> Buckets<Task> {
        let mut tasks = Buckets::default();
        for line in lines {
            let [id, service, slot, node, state, desired, version] =
                line.split([' ', '/']).collect::<Vec<_>>().try_into().unwrap();
            tasks.insert(Arc::new(Task {
                id: id.into(),
                service: service.into(),
                slot: slot.parse().unwrap(),
                node: node.into(),
                state: state.into(),
                desired_state: desired.into(),
                version: version.parse().unwrap(),
                ..Task::default()
            }));
        }
        tasks
    }

    /// Rounds of tasks, and after each `service.slot=task` of all slots.
    fn check(rounds: &[(&[&str], &str)]) {
        let mut slots = Slots::default();
        for (lines, expected) in rounds {
            let now = tasks(lines);
            slots.update(&now, |_| false);
            let shown =
                |slot: &Arc<Slot>| format!("{}.{}={}", slot.service, slot.id, slot.task().id);
            let mut found: Vec<_> = slots.buckets().objects().map(shown).collect();
            found.sort();
            assert_eq!(found.join(" "), *expected, "{lines:?}");
            let mut fresh = Slots::default();
            fresh.update(&now, |_| false);
            assert!(fresh.buckets().objects().eq(slots.buckets().objects()));
        }
    }

    #[test]
    fn a_slot_has_the_newest_task_that_runs_and_shall_run() {
        check(&[
            (&[], ""),
            (&["a web 1 n1 running/running 5", "b web 2 n1 running/running 6"], "web.1=a web.2=b"),
            // The new task starts before the old one stops.
            (&["a web 1 n1 running/running 5", "c web 1 n2 starting/running 7"], "web.1=a"),
            (&["a web 1 n1 running/running 5", "c web 1 n2 running/running 8"], "web.1=c"),
            (&["a web 1 n1 running/shutdown 9", "c web 1 n2 running/running 8"], "web.1=c"),
            // The new task fails, the old one is started again.
            (&["a web 1 n1 running/running 9", "c web 1 n2 failed/shutdown 10"], "web.1=a"),
            (&["a web 1 n1 shutdown/shutdown 11"], ""),
        ]);
    }

    #[test]
    fn a_global_service_has_a_slot_on_each_node() {
        check(&[
            (
                &["a agent 0 n1 running/running 1", "b agent 0 n2 running/running 1"],
                "agent.n1=a agent.n2=b",
            ),
            (&["a agent 0 n1 running/running 1", "c agent 0 n1 running/running 2"], "agent.n1=c"),
        ]);
    }

    #[test]
    fn tasks_of_jobs_run_to_their_end() {
        check(&[
            (&["a job 1 n1 running/complete 1", "b job 2 n2 complete/complete 1"], "job.1=a"),
            (&["a job 1 n1 complete/complete 2"], ""),
        ]);
    }
}
