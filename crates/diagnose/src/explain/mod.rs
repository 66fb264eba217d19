//! `explain`: all that is known of one object, and what became of its targets.

mod find;
mod history;
mod limits;
mod scope;
mod settings;
mod swarm;
mod targets;
mod verdict;

use std::cell::OnceCell;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::find::NotFound;
use self::find::Place;
use self::history::Failures;
use self::limits::{NAME, SENTENCE, cut};
use self::swarm::Description;
use crate::doctor::{Subject, scraper_network};

/// An object of a Swarm, or an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Its ID; the address itself for an address.
    pub id: String,
    /// Its name; of a task: `<service>.<slot>`.
    pub name: String,
}

impl Object {
    /// With names that are not too long.
    fn shown(self) -> Self {
        Self { kind: self.kind, id: cut(&self.id, NAME), name: cut(&self.name, NAME) }
    }
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A service.
    Service,
    /// A task.
    Task,
    /// A node.
    Node,
    /// `host:port` or a host: the targets there.
    Address,
}

impl Kind {
    /// As it is written before the slash.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Task => "task",
            Self::Node => "node",
            Self::Address => "address",
        }
    }
}

/// All that is known of an object. The last line of what is shown is the verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What is explained.
    pub object: Object,
    /// The Swarm that it is in; empty for an address.
    pub swarm: String,
    /// What the Swarm says of it.
    pub facts: Vec<Fact>,
    /// Why it is not as it should be.
    pub problems: Vec<String>,
    /// Its tasks that failed, the newest first, if it is not as it should be.
    pub failures: Vec<FailedTask>,
    /// How many of them are not shown.
    pub more_failures: usize,
    /// The scrape settings of a service in each job that reads them.
    pub settings: Vec<Settings>,
    /// The targets of it in each job.
    pub jobs: Vec<JobTargets>,
    /// One sentence that sums up.
    pub verdict: String,
}

/// Something that the Swarm says of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// `desired tasks`.
    pub name: String,
    /// `3`.
    pub value: String,
}

/// A task that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedTask {
    /// Its ID.
    pub id: String,
    /// `<service>.<slot>`.
    pub name: String,
    /// The host name of its node; empty if it never had one.
    pub node: String,
    /// `failed`, `rejected`, …
    pub state: String,
    /// The exit code of its container; 0 if it has none.
    pub exit_code: i64,
    /// `No such image: shop/web:2`.
    pub error: String,
    /// When, in RFC 3339; empty if unknown.
    pub at: String,
}

/// What the labels of a service say, as one job reads them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// The job.
    pub job: String,
    /// The labels that could be scrape settings, with what became of them.
    pub labels: Vec<Label>,
    /// How many of them are not shown.
    pub more_labels: usize,
    /// What follows from them.
    pub conclusion: String,
}

/// A label that could be a scrape setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// `service` or `container`.
    pub place: String,
    /// `ours`, or the name of a dialect.
    pub style: String,
    /// Its key.
    pub key: String,
    /// Its value, cut.
    pub value: String,
    /// What became of it.
    pub outcome: String,
}

/// The targets of an object in one list of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobTargets {
    /// The job.
    pub job: String,
    /// `class/<name>` or `probes`; empty: the normal list.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub list: String,
    /// Where the list is served: `/sd/swarm?class=internal`.
    pub path: String,
    /// How many there are, by what became of them.
    pub counts: BTreeMap<Fate, usize>,
    /// How many of the active ones the scraper cannot reach, as far as discovery knows.
    pub unreachable: usize,
    /// Some of them, those that are not scraped first.
    pub targets: Vec<ExplainedTarget>,
}

/// What became of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// A rule dropped it.
    Dropped,
    /// It cannot be scraped.
    Refused,
    /// Another target has the same labels.
    Duplicate,
    /// It is scraped.
    Active,
}

impl Fate {
    /// As it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Refused => "refused",
            Self::Duplicate => "duplicate",
            Self::Active => "active",
        }
    }
}

/// A target, from discovery to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedTarget {
    /// What became of it.
    pub fate: Fate,
    /// Where it is scraped; its address if it is not.
    pub url: String,
    /// Why it is not scraped, or not reachable; empty if all is well.
    pub reason: String,
    /// Its labels before relabeling, those that matter most.
    pub discovered: BTreeMap<String, String>,
    /// How many of them are not shown.
    pub more_discovered: usize,
    /// The rules that changed something, and how.
    pub steps: Vec<String>,
    /// The labels of its metrics; empty if it is not scraped.
    pub labels: BTreeMap<String, String>,
    /// How many of them are not shown.
    pub more_labels: usize,
}

/// Why an object is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Problem {
    /// The job that it matters to; `None`: all of them.
    job: Option<String>,
    /// In words that follow those of the object: `it is drained: …`.
    text: String,
    /// Whether somebody wanted it so: then it explains more than anything else.
    is_wanted: bool,
}

impl Problem {
    fn of_object(text: impl Into<String>) -> Self {
        Self { job: None, text: text.into(), is_wanted: false }
    }
}

/// This number of problems is shown.
const SHOWN_PROBLEMS: usize = 20;

/// Explains `object`: `service/NAME`, `task/ID`, `node/NAME` or an address. The kind may be left
/// out, an ID may be cut.
///
/// If tasks of a service do not run as they should, the Swarm is asked for those that failed. It is
/// also asked for a task that is not among those that shall run.
///
/// # Errors
///
/// If there is no such object, or if the name means several: the error lists them.
pub async fn explain(subject: &Subject, object: &str) -> Result<Explanation, NotFound> {
    let found = match find::find(subject, object) {
        Ok(found) => found,
        Err(missing @ NotFound::Missing { .. }) => {
            history::task(subject, object).await.ok_or(missing)?
        }
        Err(ambiguous) => return Err(ambiguous),
    };
    let mut described = swarm::describe(&found);
    let mut failures = Failures::default();
    let (mut found, whole) = (found, OnceCell::new());
    if described.needs_ended_tasks() {
        match history::with_ended_tasks(&found).await {
            Some(Ok(snapshot)) => {
                let snapshot = whole.get_or_init(|| snapshot);
                found.place = found.place.map(|place| Place { snapshot, ..place });
                described = swarm::describe(&found);
            }
            Some(Err(error)) => failures.error = Some(error),
            None => {}
        }
        if described.has_missing_tasks() {
            failures = Failures { error: failures.error, ..history::failures(&found) };
        }
    }
    described.explain_missing_tasks(&failures);
    let jobs = targets::of(subject, &found);
    let (settings, of_jobs) = settings::of(subject, &found);
    let Description { swarm, facts, mut problems, otherwise, reach, .. } = described;
    problems.extend(of_jobs);
    let reach = reach.map(|reach| reach.advice(scraper_network(subject).as_deref()));
    let verdict = verdict::of(&found.object, &problems, &jobs, otherwise, reach.as_deref());
    let object = found.object.shown();
    let Failures { tasks, more, .. } = failures;
    Ok(Explanation {
        object,
        swarm,
        facts,
        problems: shown(subject, &problems),
        failures: tasks,
        more_failures: more,
        settings,
        jobs,
        verdict,
    })
}

/// The problems as texts, each with its job if there are several.
fn shown(subject: &Subject, problems: &[Problem]) -> Vec<String> {
    let mut shown: Vec<String> = Vec::new();
    let mut more = 0_usize;
    for Problem { job, text, .. } in problems {
        let text = match job {
            Some(job) if subject.jobs.len() > 1 => format!("job {job}: {text}"),
            _ => text.clone(),
        };
        let text = cut(&text, SENTENCE);
        if shown.contains(&text) {
            continue;
        }
        if shown.len() < SHOWN_PROBLEMS {
            shown.push(text);
        } else {
            more += 1;
        }
    }
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown
}

#[cfg(test)]
mod tests;
