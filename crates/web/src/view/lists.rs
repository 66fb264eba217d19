//! The lists of HTTP SD.

use serde::Serialize;
use swarmscout_model::TargetList;
use swarmscout_publish::links;
use swarmscout_publish::list::{Form, withheld};

use super::{Moment, ObservedJob};

/// The lists of each job, by name.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Lists<'a>(Vec<JobLists<'a>>);

#[derive(Debug, Serialize)]
struct JobLists<'a> {
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
pub(crate) struct OtherLists {
    /// `?class=<name>` has targets of each.
    pub(crate) classes: Vec<String>,
    /// Whether `?probes=1` has targets.
    pub(crate) probes: bool,
}

impl<'a> Lists<'a> {
    /// `base` stands before every path.
    pub(crate) fn of(moment: &'a Moment, base: &str) -> Self {
        Self(moment.jobs.iter().map(|job| JobLists::new(job, base)).collect())
    }
}

impl<'a> JobLists<'a> {
    fn new(job: &'a ObservedJob, base: &str) -> Self {
        let ObservedJob { set, .. } = job;
        let (targets, others) = job.lists();
        Self {
            job: job.name(),
            url: format!("{base}{}", links::sd(job.name())),
            targets,
            ready: withheld(set, Form::Full).is_none(),
            missing: set.missing().iter().map(|source| &*source.name).collect(),
            others,
        }
    }
}

impl ObservedJob {
    /// The number of targets of the normal list, and the other lists.
    pub(super) fn lists(&self) -> (usize, OtherLists) {
        let (mut normal, mut others) = (0, OtherLists::default());
        for (list, targets) in self.set.lists() {
            match list {
                TargetList::Normal => normal = targets,
                TargetList::Class(class) => others.classes.push(class.into()),
                TargetList::Probes => others.probes = true,
            }
        }
        (normal, others)
    }
}
