//! Tasks that failed, asked for on demand: the replica has only those that shall run.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use swarmscout_swarm::{ListFilter, Snapshot};

use super::FailedTask;
use super::find::{self, Found, Known, Place};
use super::limits::{NAME, SENTENCE, cut};
use crate::doctor::Subject;
use crate::tasks::{KnownTasks, has_failed, node_of, slot};

/// This number of failed tasks of a slot is shown.
const SHOWN_OF_SLOT: usize = 3;

/// This number of failed tasks is shown.
const SHOWN: usize = 20;

/// A task whose kind is not given must have this much of an ID: other names are not asked for.
const SHORTEST: usize = 12;

/// Failed tasks of an object.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// The newest first.
    pub(super) tasks: Vec<FailedTask>,
    /// How many are not shown.
    pub(super) more: usize,
    /// Why they are not known.
    pub(super) error: Option<String>,
}

/// A task that is in no replica, but that a Swarm still knows.
pub(super) async fn task<'a>(subject: &'a Subject, text: &str) -> Option<Found<'a>> {
    let (id, shortest) = match text.split_once('/') {
        Some(("task", id)) => (id, find::SHORTEST),
        Some(_) => return None,
        None => (text, SHORTEST),
    };
    let is_id = id.len() >= shortest
        && id.len() <= find::LONGEST_ID
        && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z'));
    if !is_id {
        return None;
    }
    for swarm in &subject.swarms {
        let (Some(snapshot), Some(query)) = (swarm.snapshot.as_deref(), &swarm.tasks) else {
            continue;
        };
        let Ok(tasks) = query.with_id(id).await else { continue };
        // The Engine may not know the filter.
        if let [task] = &tasks[..]
            && task.id.starts_with(id)
        {
            let known = Known::Task(Arc::clone(task));
            let object = find::object(snapshot, &known);
            return Some(Found { object, place: Some(Place { swarm, snapshot, known }) });
        }
    }
    None
}

/// The snapshot of an object's Swarm, with the tasks of its service that ended, as the Swarm knows them.
/// `None` if they are not needed, or if nothing can be asked.
pub(super) async fn with_ended_tasks(found: &Found<'_>) -> Option<Result<Snapshot, String>> {
    let Place { swarm, snapshot, .. } = found.place.as_ref()?;
    if KnownTasks::of(snapshot) == KnownTasks::All {
        return None;
    }
    let service = service_of(found)?;
    let tasks = match swarm.tasks.as_ref()?.of_service(service).await {
        Ok(tasks) => tasks,
        Err(error) => return Some(Err(cut(&error.to_string(), SENTENCE))),
    };
    let mut whole = Snapshot::clone(snapshot);
    whole.scope.tasks = ListFilter::All;
    for task in tasks {
        if task.service == *service && snapshot.tasks.get(service, &task.id).is_none() {
            whole.tasks.insert(task);
        }
    }
    Some(Ok(whole))
}

fn service_of<'a>(found: &'a Found<'_>) -> Option<&'a Arc<str>> {
    let Place { snapshot, known, .. } = found.place.as_ref()?;
    match known {
        Known::Service(service) => Some(&service.id),
        Known::Task(task) => Some(&snapshot.services.get("", &task.service)?.id),
        Known::Node(_) => None,
    }
}

/// The failed tasks of a service, or of the slot of a task, as far as its Swarm's snapshot has them.
pub(super) fn failures(found: &Found<'_>) -> Failures {
    let (Some(Place { snapshot, known, .. }), Some(service)) = (&found.place, service_of(found))
    else {
        return Failures::default();
    };
    let of_task = match known {
        Known::Task(task) => Some(task),
        _ => None,
    };
    let mut tasks: Vec<_> = snapshot.tasks.of_owner(service).collect();
    tasks.retain(|task| has_failed(task) && of_task.is_none_or(|of| slot(task) == slot(of)));
    tasks.sort_by(|a, b| (b.state_since, &b.id).cmp(&(a.state_since, &a.id)));
    let (mut shown, mut of_slots) = (Vec::new(), HashMap::<_, usize>::new());
    for &task in &tasks {
        let of_slot = of_slots.entry(slot(task)).or_default();
        *of_slot += 1;
        if *of_slot <= SHOWN_OF_SLOT && shown.len() < SHOWN {
            let failure = task.failure.as_deref();
            shown.push(FailedTask {
                id: cut(&task.id, NAME),
                name: cut(&find::name_of(snapshot, task), NAME),
                node: cut(node_of(snapshot, task), NAME),
                state: cut(&task.state, NAME),
                exit_code: failure.map_or(0, |failure| failure.exit_code),
                error: cut(failure.map_or(&task.message, |failure| &failure.error), SENTENCE),
                at: time(task.state_since),
            });
        }
    }
    let more = tasks.len() - shown.len();
    Failures { tasks: shown, more, error: None }
}

/// RFC 3339, in UTC; empty if unknown.
fn time(microseconds: i64) -> String {
    match Timestamp::from_microsecond(microseconds) {
        Ok(time) if microseconds > 0 => format!("{time:.0}"),
        _ => String::new(),
    }
}
