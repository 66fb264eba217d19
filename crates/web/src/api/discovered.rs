//! The discovered labels of targets as JSON. Most of what a target shows is that of its group and of
//! its job, so their text is written once and copied.

use std::cmp::Ordering;
use std::ops::Range;

use swarmscout_model::target::DefaultLabels;
use swarmscout_model::{Labels, TargetGroup};
use swarmscout_publish::json;

/// Writes the discovered labels of the targets of one job.
#[derive(Debug)]
pub(super) struct DiscoveredLabels {
    defaults: DefaultLabels,
    /// What targets get from their job: without the labels that some do not get, and with them.
    of_job: [Rendered; 2],
    /// The group that `of_group` is of, by its address, and which of `of_job` is in it.
    group: Option<(usize, bool)>,
    /// The labels of a group, and those of its job that it lacks.
    of_group: Rendered,
}

impl DiscoveredLabels {
    pub(super) fn new(defaults: DefaultLabels) -> Self {
        let of_job = [false, true].map(|with_common| {
            let mut rendered = Rendered::default();
            rendered.merge(&defaults.added(with_common), &Rendered::default());
            rendered
        });
        Self { defaults, of_job, group: None, of_group: Rendered::default() }
    }

    /// Forgets the group. To be called when another one may have its memory.
    pub(super) fn forget_group(&mut self) {
        self.group = None;
    }

    /// Appends the labels of target `index` as a JSON object.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, group: &TargetGroup, index: usize) {
        let with_common = self.defaults.has_common(group, index);
        let key = Some((std::ptr::from_ref(group).addr(), with_common));
        if self.group != key {
            self.of_group.merge(&group.labels, &self.of_job[usize::from(with_common)]);
            self.group = key;
        }
        out.push(b'{');
        let start = out.len();
        self.of_group.write_below(&group.targets[index], out);
        if out.len() > start {
            // The last comma.
            out.pop();
        }
        out.push(b'}');
    }
}

/// Labels in the order of their names, as members of a JSON object.
#[derive(Debug, Default)]
struct Rendered {
    names: String,
    /// Each with a comma after it.
    members: Vec<u8>,
    /// Where the name and the member of each label end.
    ends: Vec<(usize, usize)>,
}

impl Rendered {
    /// Replaces all by `labels` and those of `lower` whose names are missing.
    fn merge(&mut self, labels: &Labels, lower: &Self) {
        self.names.clear();
        self.members.clear();
        self.ends.clear();
        let mut next = 0;
        for (name, value) in labels {
            let (end, is_known) = lower.find(next, name);
            self.copy(lower, next..end);
            next = end + usize::from(is_known);
            member(&mut self.members, name, value);
            self.names.push_str(name);
            self.ends.push((self.names.len(), self.members.len()));
        }
        self.copy(lower, next..lower.ends.len());
    }

    /// Appends `labels` and, of these, those whose names are missing there.
    fn write_below(&self, labels: &Labels, out: &mut Vec<u8>) {
        let mut next = 0;
        for (name, value) in labels {
            let (end, is_known) = self.find(next, name);
            out.extend_from_slice(&self.members[self.start(next).1..self.start(end).1]);
            next = end + usize::from(is_known);
            member(out, name, value);
        }
        out.extend_from_slice(&self.members[self.start(next).1..]);
    }

    /// The first label from `from` on whose name is not less, and whether it is this name.
    fn find(&self, from: usize, name: &str) -> (usize, bool) {
        for index in from..self.ends.len() {
            match self.names[self.start(index).0..self.ends[index].0].cmp(name) {
                Ordering::Less => {}
                Ordering::Equal => return (index, true),
                Ordering::Greater => return (index, false),
            }
        }
        (self.ends.len(), false)
    }

    fn copy(&mut self, other: &Self, labels: Range<usize>) {
        let (from, own) = (other.start(labels.start), (self.names.len(), self.members.len()));
        let to = other.start(labels.end);
        self.names.push_str(&other.names[from.0..to.0]);
        self.members.extend_from_slice(&other.members[from.1..to.1]);
        let ends = other.ends[labels].iter();
        self.ends.extend(ends.map(|end| (end.0 - from.0 + own.0, end.1 - from.1 + own.1)));
    }

    /// Where the name and the member of a label start.
    fn start(&self, index: usize) -> (usize, usize) {
        index.checked_sub(1).map_or((0, 0), |before| self.ends[before])
    }
}

fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    json::string(out, name);
    out.push(b':');
    json::string(out, value);
    out.push(b',');
}

#[cfg(test)]
mod tests {
    use swarmscout_model::target::discovered;
    use swarmscout_model::target_list::HONOR_LABELS;
    use swarmscout_model::{LabelsBuilder, TargetDefaults};

    use super::*;
    use crate::tests::job;

    fn labels(names: &[&str], value: &str) -> Labels {
        names.iter().map(|name| (name, value)).collect()
    }

    #[test]
    fn writes_the_labels_that_relabeling_sees() {
        let common_labels = labels(&["b", "cluster", "job"], "common");
        let defaults = TargetDefaults { common_labels, ..job("web").pool.defaults.clone() };
        let defaults = DefaultLabels::new(&defaults);
        let sets: &[&[&str]] = &[
            &[],
            &["a"],
            &["__address__", "a\"b", "b", "zone"],
            &["__scheme__", "cluster", "job", "z"],
            &["__metrics_path__", HONOR_LABELS],
        ];
        let mut ours = DiscoveredLabels::new(defaults.clone());
        let mut builder = LabelsBuilder::new();
        for of_group in sets {
            let targets = sets.iter().map(|names| labels(names, "target\n")).collect();
            let labels = labels(of_group, "group");
            let group = TargetGroup { source: "file:0".into(), targets, labels };
            ours.forget_group();
            for (index, of_target) in sets.iter().enumerate() {
                let (mut written, mut expected) = (Vec::new(), Vec::new());
                ours.write(&mut written, &group, index);
                discovered(&group, index, &defaults, &mut builder);
                json::object(&mut expected, builder.iter());
                let text = |json| String::from_utf8(json).unwrap();
                assert_eq!(text(written), text(expected), "{of_group:?} {of_target:?}");
            }
        }
    }
}
