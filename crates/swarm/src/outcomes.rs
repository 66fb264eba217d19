//! What became of the tasks of each service, counted since the Swarm is followed.
//!
//! A task that ended is listed for a while, then SwarmKit forgets it. So endings are counted when a
//! change shows them, each once. What had ended before the first listing is not counted: a restart
//! of this program is not a failure of a service.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use swarmscout_docker::engine::{Service, Task};

use crate::buckets::Buckets;
use crate::reason::Reason;

/// What became of the tasks of each service. A clone shares everything.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    /// By the ID of the service.
    services: Arc<HashMap<Arc<str>, Arc<ServiceOutcomes>>>,
    /// Slots whose task ended by itself and has no successor yet.
    vacant: Arc<HashSet<(Arc<str>, SlotKey)>>,
}

/// What became of the tasks of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceOutcomes {
    /// Tasks that failed or were rejected, by reason and exit code.
    pub failures: BTreeMap<(Reason, ExitCode), u64>,
    /// Tasks that took the place of one that had ended by itself.
    pub restarts: u64,
    /// When a task last ended well, in microseconds since 1970; 0 if none did.
    pub last_success: i64,
}

/// The exit code of a container. Codes that no process of Linux has are one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExitCode {
    /// No container was started, or it ended without one.
    None,
    /// 1 to 255.
    Code(u8),
    /// Any other.
    Other,
}

/// What successive tasks have in common: the number of a slot, of global services the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum SlotKey {
    Number(i64),
    Node(Arc<str>),
}

impl ExitCode {
    fn of(code: i64) -> Self {
        match u8::try_from(code) {
            Ok(0) => Self::None,
            Ok(code) => Self::Code(code),
            Err(_) => Self::Other,
        }
    }
}

impl SlotKey {
    fn of(task: &Task) -> Self {
        match task.slot {
            0 => Self::Node(Arc::clone(&task.node)),
            number => Self::Number(number),
        }
    }
}

/// When the newest task of each slot was created, of services whose tasks ended. Tasks that change
/// together share one, so that each service is read once.
#[derive(Debug, Default)]
pub(crate) struct NewestTasks(HashMap<Arc<str>, HashMap<SlotKey, i64>>);

impl NewestTasks {
    /// Whether a newer task of the slot was known before: SwarmKit replaced this one on a node
    /// that it did not reach.
    fn replaced(&mut self, task: &Task, known: &Buckets<Task>) -> bool {
        // SwarmKit has not replaced it yet.
        if &*task.desired_state == "running" {
            return false;
        }
        let newest = self.0.entry(Arc::clone(&task.service)).or_insert_with(|| {
            let mut newest = HashMap::<_, i64>::new();
            for task in known.of_owner(&task.service) {
                let created = newest.entry(SlotKey::of(task)).or_default();
                *created = task.created.max(*created);
            }
            newest
        });
        newest.get(&SlotKey::of(task)).is_some_and(|created| *created > task.created)
    }
}

/// How a task ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Success,
    Failure,
}

/// `None` for a task that has not ended, or was stopped.
fn ending(task: &Task) -> Option<Ending> {
    match &*task.state {
        "complete" => Some(Ending::Success),
        "failed" | "rejected" | "orphaned" => Some(Ending::Failure),
        _ => None,
    }
}

/// Sorts tasks that changed together: one that ended comes before its successor.
pub(crate) fn order(task: &Task) -> (bool, i64) {
    (ending(task).is_none(), task.created)
}

impl Outcomes {
    /// What became of the tasks of a service; `None` if no ending was seen.
    pub fn of(&self, service: &str) -> Option<&Arc<ServiceOutcomes>> {
        self.services.get(service)
    }

    /// All services that have a task whose ending was seen.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<ServiceOutcomes>)> {
        self.services.iter()
    }

    /// Whether both are the same for sure. Compares two addresses.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.services, &other.services) && Arc::ptr_eq(&self.vacant, &other.vacant)
    }

    /// Notes that a task became another, or that it is new. Of tasks that changed together,
    /// to be called in their [`order`]. `known` are the tasks without this change.
    pub(crate) fn note(
        &mut self,
        before: Option<&Task>,
        now: &Task,
        known: &Buckets<Task>,
        newest: &mut NewestTasks,
    ) {
        let is_news = before.and_then(ending).is_none();
        if before.is_none() {
            self.note_successor(now);
        }
        if let Some(ending) = ending(now).filter(|_| is_news) {
            let services = Arc::make_mut(&mut self.services);
            let outcomes = services.entry(Arc::clone(&now.service)).or_default();
            let outcomes = Arc::make_mut(outcomes);
            match ending {
                Ending::Success => {
                    outcomes.last_success = outcomes.last_success.max(now.state_since);
                }
                Ending::Failure => {
                    let code = now.failure.as_ref().map_or(0, |failure| failure.exit_code);
                    let reason = Reason::of(now).unwrap_or(Reason::Other);
                    *outcomes.failures.entry((reason, ExitCode::of(code))).or_default() += 1;
                }
            }
            if !newest.replaced(now, known) {
                let slot = (Arc::clone(&now.service), SlotKey::of(now));
                Arc::make_mut(&mut self.vacant).insert(slot);
            }
        }
    }

    /// Counts a new task if it takes the place of one that ended, even if it has ended itself.
    fn note_successor(&mut self, now: &Task) {
        let slot = (Arc::clone(&now.service), SlotKey::of(now));
        if self.vacant.contains(&slot) {
            Arc::make_mut(&mut self.vacant).remove(&slot);
            let services = Arc::make_mut(&mut self.services);
            let outcomes = services.entry(slot.0).or_default();
            Arc::make_mut(outcomes).restarts += 1;
        }
    }

    /// Forgets a service that is gone.
    pub(crate) fn forget(&mut self, service: &Service) {
        if self.services.contains_key(&service.id) {
            Arc::make_mut(&mut self.services).remove(&service.id);
            Arc::make_mut(&mut self.vacant).retain(|(of, _)| *of != service.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use expect_test::{Expect, expect};
    use swarmscout_docker::engine::{Lists, TaskFailure};
    use swarmscout_docker::swarmkit::{Change, Object};

    use super::*;
    use crate::store::{Beside, Store};
    use crate::{ListFilter, ListScope};

    /// `<id> <slot> <state> [<exit code>] [stop]`, changed at the second `version`. The ID says when it
    /// was created; one that is to stop has a successor.
    fn task(text: &str, version: u64) -> Arc<Task> {
        let mut words = text.split(' ');
        let mut word = || words.next().unwrap_or_default();
        let (id, slot, state) = (word(), word(), word());
        let exit_code = word().parse().unwrap_or_default();
        let desired = if text.ends_with(" stop") { "shutdown" } else { "running" };
        let failure =
            (exit_code != 0).then(|| Box::new(TaskFailure { exit_code, ..Default::default() }));
        let state_since = i64::try_from(version).unwrap() * 1_000_000;
        Arc::new(Task {
            id: id.into(),
            version,
            service: "web".into(),
            slot: slot.parse().unwrap(),
            state: state.into(),
            desired_state: desired.into(),
            created: i64::from(id.as_bytes()[0]),
            state_since,
            failure,
            ..Task::default()
        })
    }

    enum Step<'a> {
        /// All tasks of a listing.
        Listed(&'a [&'a str]),
        /// The same, but another list is read than before.
        ListedOtherwise(&'a [&'a str]),
        /// What a watch reports together.
        ChangedTogether(&'a [&'a str]),
        /// What a watch reports.
        Changed(&'a str),
        /// The service is removed.
        ServiceGone,
    }

    use Step::{Changed, ChangedTogether, Listed, ListedOtherwise, ServiceGone};

    /// The counts after each step.
    #[track_caller]
    fn check(steps: &[Step<'_>], expected: &Expect) {
        let mut store = Store::default();
        let mut scope = ListScope::everything();
        let mut text = String::new();
        let service = Arc::new(Service { id: "web".into(), ..Service::default() });
        for (step, version) in steps.iter().zip(1..) {
            match step {
                Listed(tasks) | ListedOtherwise(tasks) => {
                    if matches!(step, ListedOtherwise(_)) {
                        scope.tasks = ListFilter::Filtered("{}".into());
                    }
                    let lists = Lists {
                        tasks: tasks.iter().map(|text| task(text, version)).collect(),
                        services: vec![Arc::clone(&service)],
                        ..Lists::default()
                    };
                    let (failed, node) = (Arc::default(), Arc::default());
                    store.replace(&lists, failed, scope.clone(), node, Beside::Nothing, 0);
                }
                ChangedTogether(tasks) => {
                    let changes = tasks.iter().map(|text| task(text, version));
                    let changes: Vec<_> =
                        changes.map(|task| Change::Changed(Object::Task(task))).collect();
                    store.apply_all(&changes, 0);
                }
                Changed(text) => {
                    store.apply(&Change::Changed(Object::Task(task(text, version))), 0);
                }
                ServiceGone => {
                    store.apply(&Change::Removed(Object::Service(Arc::clone(&service))), 0);
                }
            }
            match store.snapshot().outcomes.of("web") {
                None => writeln!(text, "none").unwrap(),
                Some(outcomes) => {
                    let ServiceOutcomes { failures, restarts, last_success } = &**outcomes;
                    for ((reason, code), count) in failures {
                        write!(text, "{count} {reason} ({code:?}), ").unwrap();
                    }
                    writeln!(text, "{restarts} restarts, success at {last_success}").unwrap();
                }
            }
        }
        expected.assert_eq(&text);
    }

    #[test]
    fn what_ended_before_the_first_listing_does_not_count() {
        check(
            &[Listed(&["a 1 failed 1", "b 1 running"]), Listed(&["a 1 failed 1", "b 1 running"])],
            &expect![[r#"
                none
                none
            "#]],
        );
    }

    #[test]
    fn a_failure_counts_once_and_its_successor_is_a_restart() {
        check(
            &[
                Listed(&["a 1 running", "b 2 running"]),
                Changed("a 1 failed 3"),
                Changed("c 1 pending"),
                // Reported again, and listed again.
                Changed("a 1 failed 3"),
                Listed(&["a 1 failed 3", "b 2 running", "c 1 running"]),
                // Scaled up: another slot.
                Changed("d 3 running"),
                Changed("c 1 failed 300"),
            ],
            &expect![[r#"
                none
                1 exit code (Code(3)), 0 restarts, success at 0
                1 exit code (Code(3)), 1 restarts, success at 0
                1 exit code (Code(3)), 1 restarts, success at 0
                1 exit code (Code(3)), 1 restarts, success at 0
                1 exit code (Code(3)), 1 restarts, success at 0
                1 exit code (Code(3)), 1 exit code (Other), 1 restarts, success at 0
            "#]],
        );
    }

    /// Tasks that lived between two listings count too, in whatever order they are listed.
    #[test]
    fn a_listing_shows_endings_and_successors_together() {
        check(
            &[
                Listed(&["a 1 running"]),
                Listed(&["c 1 running", "b 1 failed 1", "a 1 failed 1"]),
                Listed(&["c 1 shutdown", "d 1 running"]),
            ],
            &expect![[r#"
                none
                2 exit code (Code(1)), 2 restarts, success at 0
                2 exit code (Code(1)), 2 restarts, success at 0
            "#]],
        );
    }

    /// A watch sorts what it reports together by ID, not by time.
    #[test]
    fn a_watch_shows_an_ending_and_its_successor_together() {
        check(
            &[Listed(&["b 1 running"]), ChangedTogether(&["a 1 pending", "b 1 failed 1"])],
            &expect![[r#"
                none
                1 exit code (Code(1)), 1 restarts, success at 0
            "#]],
        );
    }

    /// The successor of a task on a node that is not reached is created before that task ends.
    #[test]
    fn a_task_that_ends_after_it_was_replaced_makes_no_room() {
        check(
            &[
                Listed(&["a 1 running", "d 2 running"]),
                Changed("a 1 running 0 stop"),
                Changed("b 1 running"),
                Changed("a 1 failed 1 stop"),
                // An update of the service: no restart.
                ChangedTogether(&["b 1 shutdown 0 stop", "c 1 running"]),
                // What a listing shows together counts as before.
                Listed(&["e 1 running", "c 1 failed 2 stop", "d 2 running"]),
            ],
            &expect![[r#"
                none
                none
                none
                1 exit code (Code(1)), 0 restarts, success at 0
                1 exit code (Code(1)), 0 restarts, success at 0
                1 exit code (Code(1)), 1 exit code (Code(2)), 1 restarts, success at 0
            "#]],
        );
    }

    /// SwarmKit reports it as complete, with no word of its health check (moby
    /// daemon/cluster/executor/container/controller.go).
    #[test]
    fn an_unhealthy_container_that_ends_with_0_is_a_restart_alone() {
        check(
            &[Listed(&["a 1 running"]), Changed("a 1 complete"), Changed("b 1 running")],
            &expect![[r#"
                none
                0 restarts, success at 2000000
                1 restarts, success at 2000000
            "#]],
        );
    }

    #[test]
    fn jobs_have_the_time_of_their_last_success() {
        check(
            &[Listed(&["a 0 running"]), Changed("a 0 complete"), Changed("b 0 complete")],
            &expect![[r#"
                none
                0 restarts, success at 2000000
                1 restarts, success at 3000000
            "#]],
        );
    }

    #[test]
    fn another_scope_shows_no_endings_and_a_service_takes_its_counts_along() {
        check(
            &[
                Listed(&["a 1 running"]),
                Changed("a 1 rejected"),
                ListedOtherwise(&["a 1 rejected", "b 1 failed 1"]),
                ServiceGone,
            ],
            &expect![[r#"
                none
                1 other (None), 0 restarts, success at 0
                1 other (None), 0 restarts, success at 0
                none
            "#]],
        );
    }
}
