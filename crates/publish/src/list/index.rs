//! The lists that there are: what `/sd` answers.

use serde::Serialize;
use swarmscout_model::{TargetList, TargetSet};

use super::{Form, withheld};
use crate::links;

/// The lists of a job.
#[derive(Debug, Serialize)]
pub struct JobLists<'a> {
    job: &'a str,
    /// Where the normal list is.
    url: String,
    /// The targets of the normal list.
    targets: usize,
    ready: bool,
    /// Names of sources that have never answered.
    missing: Vec<&'a str>,
    #[serde(flatten)]
    others: OtherLists,
}

/// The lists of a job apart from the normal one.
#[derive(Debug, Default, Serialize)]
pub struct OtherLists {
    /// `?class=<name>` has targets of each.
    pub classes: Vec<String>,
    /// Whether `?probes=1` has targets.
    pub probes: bool,
}

impl<'a> JobLists<'a> {
    /// Those of the job of a set. `base` stands before every path.
    pub fn of(set: &'a TargetSet, base: &str) -> Self {
        let (targets, others) = lists(set);
        let job = set.pool.name();
        Self {
            job,
            url: format!("{base}{}", links::sd(job)),
            targets,
            ready: withheld(set, Form::Full).is_none(),
            missing: set.missing().iter().map(|source| &*source.name).collect(),
            others,
        }
    }
}

/// The number of targets of the normal list, and the other lists.
pub fn lists(set: &TargetSet) -> (usize, OtherLists) {
    let (mut normal, mut others) = (0, OtherLists::default());
    for (list, targets) in set.lists() {
        match list {
            TargetList::Normal => normal = targets,
            TargetList::Class(class) => others.classes.push(class.into()),
            TargetList::Probes => others.probes = true,
        }
    }
    (normal, others)
}
