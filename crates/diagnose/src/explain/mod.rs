//! `explain`: all that is known of one object, and what became of its targets.

mod find;
mod scope;
mod settings;
mod swarm;
mod targets;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::find::NotFound;
use crate::doctor::Subject;

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

/// What the labels of a service say, as one job reads them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The job.
    pub job: String,
    /// Each label that could be a scrape setting, with what became of it.
    pub labels: Vec<Label>,
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

/// The targets of an object in one job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobTargets {
    /// The job.
    pub job: String,
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
    /// Its labels before relabeling.
    pub discovered: BTreeMap<String, String>,
    /// The rules that changed something, and how.
    pub steps: Vec<String>,
    /// The labels of its metrics; empty if it is not scraped.
    pub labels: BTreeMap<String, String>,
}

/// Explains `object`: `service/NAME`, `task/ID`, `node/NAME` or an address. The kind may be left
/// out, an ID may be cut.
///
/// # Errors
///
/// If there is no such object, or if the name means several: the error lists them.
pub fn explain(subject: &Subject, object: &str) -> Result<Explanation, NotFound> {
    let found = find::find(subject, object)?;
    let jobs = targets::of(subject, &found);
    let (swarm, facts, mut problems) = swarm::describe(&found);
    let (settings, refused) = settings::of(subject, &found);
    problems.extend(refused);
    let verdict = targets::verdict(&found.object, &problems, &jobs);
    Ok(Explanation { object: found.object, swarm, facts, problems, settings, jobs, verdict })
}

#[cfg(test)]
mod tests;
