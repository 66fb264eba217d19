//! The targets of an object, with every step on their way.

use std::collections::BTreeMap;
use std::sync::Arc;

use swarmscout_model::relabel::{self, Step};
use swarmscout_model::target::{DefaultLabels, DropReason, discovered};
use swarmscout_model::{Labels, LabelsBuilder, SetGroup, Target, TargetSet};

use super::find::Found;
use super::scope::{Scope, label};
use super::{ExplainedTarget, Fate, JobTargets, Object};
use crate::doctor::Subject;

/// This number of targets of a job is shown.
const SHOWN: usize = 10;

/// A label of a target is shown to this length, in bytes.
const SHOWN_OF_LABEL: usize = 1024;

/// Why the scraper cannot reach a target, as far as discovery knows.
const UNREACHABLE: &str = "__meta_swarmscout_unreachable";

/// The targets of an object in all jobs that have some.
pub(super) fn of(subject: &Subject, found: &Found<'_>) -> Vec<JobTargets> {
    let scope = Scope::of(found);
    let jobs = subject.jobs.iter().map(|job| of_job(&job.state.set, &scope));
    jobs.filter(|job| !job.counts.is_empty()).collect()
}

/// A target of a group: what became of it, its place in the group, and why.
struct Candidate<'a> {
    fate: Fate,
    group: &'a SetGroup,
    index: u32,
    /// Of an active one.
    active: Option<&'a Target>,
    reason: Reason<'a>,
}

/// Why a target is not scraped, or not reachable. Most are never shown, so it is no text yet.
#[derive(Clone, Copy)]
enum Reason<'a> {
    Dropped(DropReason),
    Refused(&'a str),
    Duplicate,
    /// Empty if it is reachable.
    Unreachable(&'a str),
}

impl Reason<'_> {
    fn describe(self, set: &TargetSet) -> String {
        match self {
            Self::Dropped(reason) => drop_reason(set, reason),
            Self::Duplicate => "another target has the same labels and URL".to_owned(),
            Self::Refused(reason) | Self::Unreachable(reason) => reason.to_owned(),
        }
    }
}

impl Candidate<'_> {
    /// What is shown first: what is not scraped, then what cannot be reached.
    fn rank(&self) -> (Fate, bool) {
        (self.fate, matches!(self.reason, Reason::Unreachable("")))
    }
}

fn of_job(set: &Arc<TargetSet>, scope: &Scope<'_>) -> JobTargets {
    let mut counts = BTreeMap::<Fate, usize>::new();
    let (mut unreachable, mut shown) = (0, Vec::new());
    for group in set.groups.iter().filter(|group| scope.may_have(&group.relabelled.group)) {
        for mut candidate in candidates(group) {
            let target = &group.relabelled.group;
            let labels = candidate.active.map(|target| &target.labels);
            if !scope.has(target, candidate.index, labels) {
                continue;
            }
            *counts.entry(candidate.fate).or_default() += 1;
            if candidate.fate == Fate::Active {
                let reason = label(target, candidate.index, UNREACHABLE).unwrap_or_default();
                unreachable += usize::from(!reason.is_empty());
                candidate.reason = Reason::Unreachable(reason);
            }
            shown.push(candidate);
            if shown.len() > 4 * SHOWN {
                shown.sort_by_key(Candidate::rank);
                shown.truncate(SHOWN);
            }
        }
    }
    shown.sort_by_key(Candidate::rank);
    shown.truncate(SHOWN);
    let defaults = DefaultLabels::new(&set.pool.defaults);
    let mut builder = LabelsBuilder::new();
    let targets = shown.iter().map(|one| target(set, one, &defaults, &mut builder)).collect();
    JobTargets { job: set.pool.name().to_string(), counts, unreachable, targets }
}

fn candidates(group: &SetGroup) -> impl Iterator<Item = Candidate<'_>> {
    let relabelled = &group.relabelled;
    let active = (0_u32..).zip(&relabelled.active).map(move |(place, target)| {
        let is_duplicate = group.duplicates().binary_search(&place).is_ok();
        let (fate, reason) = if is_duplicate {
            (Fate::Duplicate, Reason::Duplicate)
        } else {
            (Fate::Active, Reason::Unreachable(""))
        };
        Candidate { fate, group, index: target.index, active: Some(target), reason }
    });
    let plain = move |fate, index, reason| Candidate { fate, group, index, active: None, reason };
    let dropped = relabelled.dropped.iter();
    let dropped = dropped
        .map(move |target| plain(Fate::Dropped, target.index, Reason::Dropped(target.reason)));
    let refused = relabelled.refused.iter();
    let refused = refused
        .map(move |target| plain(Fate::Refused, target.index, Reason::Refused(&target.reason)));
    dropped.chain(refused).chain(active)
}

fn drop_reason(set: &TargetSet, reason: DropReason) -> String {
    match reason {
        DropReason::Relabel { rule: number } => {
            let rule = set.pool.relabel.get(number);
            let described = rule.map_or_else(String::new, |rule| {
                let source = rule.source_labels().join(", ");
                format!(" ({} {source:?} =~ {:?})", rule.action().name(), rule.regex())
            });
            format!("relabel_configs[{number}] of job {}{described}", set.pool.name())
        }
        _ => "dropped".to_owned(),
    }
}

fn target(
    set: &TargetSet,
    candidate: &Candidate<'_>,
    defaults: &DefaultLabels,
    builder: &mut LabelsBuilder,
) -> ExplainedTarget {
    let Candidate { fate, group, index, active, reason } = *candidate;
    discovered(&group.relabelled.group, index as usize, defaults, builder);
    let before = builder.build();
    builder.reset(&before);
    let steps = steps(&before, &relabel::steps(&set.pool.relabel, builder));
    let url = match active {
        Some(target) => target.url(&set.pool.defaults.params),
        None => before.get("__address__").unwrap_or_default().to_owned(),
    };
    let map = |labels: &Labels| labels.iter().map(|(n, v)| (n.to_owned(), cut(v))).collect();
    let public = active.map(|target| {
        target.public_labels().map(|(name, value)| (name.to_owned(), cut(value))).collect()
    });
    ExplainedTarget {
        fate,
        url,
        reason: reason.describe(set),
        discovered: map(&before),
        steps,
        labels: public.unwrap_or_default(),
    }
}

/// The rules that changed something: `relabel_configs[1] replace: job = "web"`.
fn steps(before: &Labels, steps: &[Step<'_>]) -> Vec<String> {
    let mut previous = before.clone();
    let mut lines = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let name = format!("relabel_configs[{number}] {}", step.rule.action().name());
        if !step.keep {
            lines.push(format!("{name}: drops the target"));
            break;
        }
        let mut changes = Vec::new();
        for (label, value) in &step.output {
            if previous.get(label) != Some(value) {
                changes.push(format!("{label} = {:?}", cut(value)));
            }
        }
        let gone = previous.iter().filter(|(label, _)| step.output.get(label).is_none());
        changes.extend(gone.map(|(label, _)| format!("{label} removed")));
        if !changes.is_empty() {
            lines.push(format!("{name}: {}", changes.join(", ")));
        }
        previous = step.output.clone();
    }
    lines
}

fn cut(text: &str) -> String {
    match text.len() {
        0..=SHOWN_OF_LABEL => text.to_owned(),
        _ => format!("{}…", &text[..text.floor_char_boundary(SHOWN_OF_LABEL)]),
    }
}

/// One sentence: what became of the object's targets, or why there are none.
pub(super) fn verdict(object: &Object, problems: &[String], jobs: &[JobTargets]) -> String {
    let name = format!("{} {}", object.kind.as_str(), object.name);
    let count = |fate| jobs.iter().filter_map(|job| job.counts.get(&fate)).sum::<usize>();
    let (active, all) =
        (count(Fate::Active), jobs.iter().flat_map(|job| job.counts.values()).sum());
    let unreachable: usize = jobs.iter().map(|job| job.unreachable).sum();
    let first = |fate: Fate| {
        let mut targets = jobs.iter().flat_map(|job| &job.targets);
        targets.find(|target| target.fate == fate && !target.reason.is_empty())
    };
    let plural = |n: usize| if n == 1 { "target" } else { "targets" };
    match (active, all) {
        (_, 0) => match problems.first() {
            Some(problem) => format!("No job has a target of {name}: {problem}."),
            None => format!("No job has a target of {name}: no job discovers it."),
        },
        (0, all) => {
            let why = [Fate::Dropped, Fate::Refused, Fate::Duplicate].into_iter().find_map(first);
            let why = why.map_or_else(String::new, |target| format!(": {}", target.reason));
            format!("None of the {all} {} of {name} is scraped{why}.", plural(all))
        }
        (active, _) => {
            let of_jobs: Vec<_> = jobs
                .iter()
                .filter(|job| job.counts.contains_key(&Fate::Active))
                .map(|job| job.job.as_str())
                .collect();
            let jobs = of_jobs.join(", ");
            let listed = format!(
                "{active} {} of {name} {} listed for scraping (job {jobs})",
                plural(active),
                if active == 1 { "is" } else { "are" },
            );
            match (first(Fate::Active), problems.first()) {
                (Some(first), _) => {
                    let some = match active - unreachable {
                        0 => String::new(),
                        _ => format!("{unreachable} of them "),
                    };
                    format!("{listed}, but {some}cannot be reached: {}.", first.reason)
                }
                (None, Some(problem)) => format!("{listed}, but {problem}."),
                (None, None) => format!("{listed}."),
            }
        }
    }
}
