//! Tasks that failed, asked for on demand: the replica has only those that shall run.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use swarmscout_docker::engine::{Task, TaskFailure};

use super::FailedTask;
use super::find::{self, Found, Known, Place};
use super::limits::{NAME, SENTENCE, cut};
use crate::doctor::Subject;

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

/// The failed tasks of a service, or of the slot of a task. `None` if nothing can be asked.
pub(super) async fn failures(found: &Found<'_>) -> Option<Failures> {
    let Place { swarm, snapshot, known } = found.place.as_ref()?;
    let (service, of_task) = match known {
        Known::Service(service) => (&service.id, None),
        Known::Task(task) => (&snapshot.services.get("", &task.service)?.id, Some(task)),
        Known::Node(_) => return None,
    };
    let mut tasks = match swarm.tasks.as_ref()?.of_service(service).await {
        Ok(tasks) => tasks,
        Err(error) => {
            let error = Some(cut(&error.to_string(), SENTENCE));
            return Some(Failures { error, ..Failures::default() });
        }
    };
    tasks.retain(|task| {
        let is_of = of_task.is_none_or(|of| slot(task) == slot(of));
        task.service == *service && is_of && has_failed(task)
    });
    tasks.sort_by(|a, b| (b.state_since, &b.id).cmp(&(a.state_since, &a.id)));
    let (mut shown, mut of_slots) = (Vec::new(), HashMap::<_, usize>::new());
    for task in &tasks {
        let of_slot = of_slots.entry(slot(task)).or_default();
        *of_slot += 1;
        if *of_slot <= SHOWN_OF_SLOT && shown.len() < SHOWN {
            let node = snapshot.nodes.get("", &task.node);
            let node = node.map_or(&*task.node, |node| &*node.hostname);
            let failure = task.failure.as_deref();
            shown.push(FailedTask {
                id: cut(&task.id, NAME),
                name: cut(&find::name_of(snapshot, task), NAME),
                node: cut(node, NAME),
                state: cut(&task.state, NAME),
                exit_code: failure.map_or(0, |failure| failure.exit_code),
                error: cut(failure.map_or(&task.message, |failure| &failure.error), SENTENCE),
                at: time(task.state_since),
            });
        }
    }
    let more = tasks.len() - shown.len();
    Some(Failures { tasks: shown, more, error: None })
}

fn slot(task: &Task) -> (i64, &str) {
    (task.slot, if task.slot == 0 { &task.node } else { "" })
}

fn has_failed(task: &Task) -> bool {
    match &*task.state {
        "failed" | "rejected" | "orphaned" => true,
        // The Engine stops a container with its exit code.
        "shutdown" | "complete" | "running" | "remove" => false,
        _ => task.failure.is_some(),
    }
}

/// RFC 3339, in UTC; empty if unknown.
fn time(microseconds: i64) -> String {
    match Timestamp::from_microsecond(microseconds) {
        Ok(time) if microseconds > 0 => format!("{time:.0}"),
        _ => String::new(),
    }
}

/// What went wrong, in a few words: `exit code 137`, `No such image: shop/web:2`.
pub(super) fn in_words(failure: &TaskFailure) -> String {
    words(&failure.error, failure.exit_code)
}

pub(super) fn words(error: &str, exit_code: i64) -> String {
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
