//! The targets of an object, with every step on their way.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::{iter, slice};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use swarmscout_model::labels::ADDRESS;
use swarmscout_model::relabel::{self, Action, RelabelRule};
use swarmscout_model::target::{DefaultLabels, discovered};
use swarmscout_model::target_list::UNREACHABLE;
use swarmscout_model::{
    DropReason, Labels, LabelsBuilder, SetGroup, Target, TargetList, TargetSet,
};

use super::find::Found;
use super::limits::{NAME, SENTENCE, cut};
use super::scope::{Scope, label};
use super::{ExplainedTarget, Fate, JobTargets};
use crate::doctor::Subject;

/// This number of targets of a list is shown.
const SHOWN: usize = 10;

/// This number of targets of all lists is shown.
const SHOWN_OF_ALL: usize = 30;

/// The most labels of a target that are shown, and their size in bytes.
const SHOWN_LABELS: usize = 48;
const SHOWN_OF_LABELS: usize = 6 << 10;

/// This number of rules that changed something is shown, and of the labels that each changed.
const SHOWN_STEPS: usize = 20;
const SHOWN_CHANGES: usize = 5;

/// Everything but these is percent-encoded in an address.
const WORD: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The targets of an object in each list of all jobs that has some.
pub(super) fn of(subject: &Subject, found: &Found<'_>) -> Vec<JobTargets> {
    let scope = Scope::of(found);
    let mut jobs = Vec::new();
    let mut left = SHOWN_OF_ALL;
    for job in &subject.jobs {
        let set = &job.state.set;
        for (list, found) in lists(set, &scope) {
            let targets = found.shown.len().min(left);
            left -= targets;
            jobs.push(found.shown(set, &list, targets));
        }
    }
    jobs
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

/// Why a target is not scraped, or not reachable. Most are never shown, so the text is written late.
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
            Self::Dropped(reason) => reason.describe(&set.pool.relabel),
            Self::Duplicate => "another target has the same labels and URL".to_owned(),
            Self::Refused(reason) | Self::Unreachable(reason) => cut(reason, SENTENCE),
        }
    }
}

impl Candidate<'_> {
    /// What is shown first: what is not scraped, then what cannot be reached.
    fn rank(&self) -> (Fate, bool) {
        (self.fate, matches!(self.reason, Reason::Unreachable("")))
    }
}

/// The targets of an object in one list.
#[derive(Default)]
struct InList<'a> {
    counts: BTreeMap<Fate, usize>,
    unreachable: usize,
    /// Those that are shown first.
    shown: Vec<Candidate<'a>>,
}

fn lists<'a>(set: &'a TargetSet, scope: &Scope<'_>) -> BTreeMap<TargetList, InList<'a>> {
    let mut lists = BTreeMap::<_, InList<'_>>::new();
    let changes_labels = set.pool.relabel.iter().any(changes_labels);
    for group in set.groups.iter() {
        let of_group = &group.relabelled.group;
        let Some(in_group) = scope.in_group(of_group) else { continue };
        let mut found = candidates(group).filter(|candidate| {
            let relabelled = candidate.active.filter(|_| changes_labels);
            in_group.has(candidate.index, relabelled.map(|target| &target.labels))
        });
        let Some(first) = found.next() else { continue };
        let list = lists.entry(TargetList::of(of_group)).or_default();
        for mut candidate in iter::once(first).chain(found) {
            *list.counts.entry(candidate.fate).or_default() += 1;
            // Their label is among the last of a target's, and most jobs have none of them.
            if candidate.fate == Fate::Active && set.counts.unreachable > 0 {
                let reason = label(of_group, candidate.index, UNREACHABLE).unwrap_or_default();
                list.unreachable += usize::from(!reason.is_empty());
                candidate.reason = Reason::Unreachable(reason);
            }
            list.show(candidate);
        }
    }
    lists
}

/// Whether a rule may give a target other labels.
fn changes_labels(rule: &RelabelRule) -> bool {
    !matches!(rule.action(), Action::Keep | Action::Drop | Action::KeepEqual | Action::DropEqual)
}

impl<'a> InList<'a> {
    /// Keeps a target if it is among those that are shown first.
    fn show(&mut self, candidate: Candidate<'a>) {
        let rank = candidate.rank();
        let place = self.shown.partition_point(|shown| shown.rank() <= rank);
        if place < SHOWN {
            self.shown.truncate(SHOWN - 1);
            self.shown.insert(place, candidate);
        }
    }
}

impl InList<'_> {
    /// The first of its targets, this number.
    fn shown(self, set: &TargetSet, list: &TargetList, targets: usize) -> JobTargets {
        let defaults = DefaultLabels::new(&set.pool.defaults);
        let mut builder = LabelsBuilder::new();
        let shown = self.shown.iter().take(targets);
        let targets = shown.map(|one| target(set, one, &defaults, &mut builder)).collect();
        let name = set.pool.name();
        let word = |text| utf8_percent_encode(text, WORD).to_string();
        let (list, query) = match list {
            TargetList::Normal => (String::new(), String::new()),
            TargetList::Class(class) => (list.to_string(), format!("?class={}", word(class))),
            TargetList::Probes => (list.to_string(), "?probes=1".to_owned()),
        };
        let path = format!("/sd/{}{query}", word(name));
        let Self { counts, unreachable, .. } = self;
        JobTargets { job: name.to_string(), list, path, counts, unreachable, targets }
    }
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

fn target(
    set: &TargetSet,
    candidate: &Candidate<'_>,
    defaults: &DefaultLabels,
    builder: &mut LabelsBuilder,
) -> ExplainedTarget {
    let Candidate { fate, group, index, active, reason } = *candidate;
    let rules = &set.pool.relabel;
    discovered(&group.relabelled.group, index as usize, defaults, builder);
    let before = builder.build();
    builder.reset(&before);
    let steps = steps(&before, rules, builder);
    let url = match active {
        Some(target) => target.url(&set.pool.defaults.params),
        None => before.get(ADDRESS).unwrap_or_default().to_owned(),
    };
    let is_read = |name: &str| {
        rules.iter().any(|rule| rule.source_labels().iter().any(|source| source == name))
    };
    let (discovered, more_discovered) = first(before.iter(), is_read);
    let (labels, more_labels) = match active {
        Some(target) => first(target.public_labels(), |_| false),
        None => Default::default(),
    };
    ExplainedTarget {
        fate,
        url: cut(&url, SENTENCE),
        reason: reason.describe(set),
        discovered,
        more_discovered,
        steps,
        labels,
        more_labels,
    }
}

/// The labels that matter most, in bounded space, and the number of the others.
fn first<'a>(
    labels: impl Iterator<Item = (&'a str, &'a str)>,
    is_read: impl Fn(&str) -> bool,
) -> (BTreeMap<String, String>, usize) {
    let rank = |name: &str| match name {
        ADDRESS => 0,
        name if is_read(name) => 1,
        name if name.starts_with("__meta_swarmscout_") => 2,
        name if name.starts_with("__meta_") && name.contains("_label_") => 5,
        name if name.starts_with("__meta_") => 4,
        name if name.ends_with("_histograms__") || name.ends_with("_nhcb__") => 6,
        _ => 3,
    };
    let mut labels: Vec<_> = labels.map(|(name, value)| (rank(name), name, value)).collect();
    labels.sort_by_key(|(rank, ..)| *rank);
    let (mut shown, mut bytes) = (BTreeMap::new(), 0);
    for (_, name, value) in &labels {
        let (name, value) = (cut(name, NAME), cut(value, NAME));
        bytes += name.len() + value.len();
        if shown.len() == SHOWN_LABELS || bytes > SHOWN_OF_LABELS {
            break;
        }
        shown.insert(name, value);
    }
    let more = labels.len() - shown.len();
    (shown, more)
}

/// The rules that changed something: `relabel_configs[1] replace: job = "web"`.
fn steps(before: &Labels, rules: &[RelabelRule], builder: &mut LabelsBuilder) -> Vec<String> {
    let mut previous = before.clone();
    let mut lines = Vec::new();
    let mut more = 0;
    for (number, rule) in rules.iter().enumerate() {
        // One rule at a time, as labels may be large.
        let Some(step) = relabel::steps(slice::from_ref(rule), builder).pop() else { continue };
        let name = format!("relabel_configs[{number}] {}", rule.action().name());
        let line = if step.keep {
            let changes = changes(&previous, &step.output);
            if changes.is_empty() {
                continue;
            }
            format!("{name}: {changes}")
        } else {
            let sources = rule.source_labels().iter().take(SHOWN_CHANGES);
            let sources = sources.map(|name| {
                let value = previous.get(name).unwrap_or_default();
                format!("{} is {:?}", cut(name, NAME), cut(value, NAME))
            });
            let sources: Vec<_> = sources.collect();
            format!("{name}: drops the target, as {}", sources.join(", "))
        };
        if lines.len() < SHOWN_STEPS {
            lines.push(cut(&line, SENTENCE));
        } else {
            more += 1;
        }
        if !step.keep {
            break;
        }
        previous = step.output;
    }
    if more > 0 {
        lines.push(format!("{more} more"));
    }
    lines
}

/// The labels that a rule set or removed: `job = "web", env removed`.
fn changes(before: &Labels, after: &Labels) -> String {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    let (mut changes, mut more) = (Vec::new(), 0_usize);
    let mut add = |change: &dyn Fn() -> String| match changes.len() {
        SHOWN_CHANGES => more += 1,
        _ => changes.push(change()),
    };
    let set = |(name, value)| format!("{} = {:?}", cut(name, NAME), cut(value, NAME));
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => break,
            (Some(old), Some(new)) => old.0.cmp(new.0),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
        };
        let old = before.next_if(|_| order != Ordering::Greater);
        let new = after.next_if(|_| order != Ordering::Less);
        match (old, new) {
            (Some(old), None) => add(&|| format!("{} removed", cut(old.0, NAME))),
            (old, Some(new)) if old != Some(new) => add(&|| set(new)),
            _ => {}
        }
    }
    if more > 0 {
        changes.push(format!("{more} more"));
    }
    changes.join(", ")
}
