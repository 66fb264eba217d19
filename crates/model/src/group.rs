//! Target groups: what a source hands over.

use std::sync::Arc;

use crate::budget::{allocation, shared_allocation};
use crate::labels::{Labels, LabelsBuilder};

/// Targets that came from one place of a source and share labels.
///
/// The unit of change: a group that did not change between two looks is the same `Arc` in both, and
/// all that is derived from it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGroup {
    /// Names the place within its source, stable from look to look and unique within the source:
    /// `swarm_nodes`, `DockerSwarm/<service ID>/<part>`, `targets.json:0`.
    pub source: Arc<str>,
    /// Each target's own labels, `__address__` among them. They win over the group's. As there are no
    /// empty values, a target cannot hide a label of its group: a source whose targets could leaves
    /// it out of the group.
    pub targets: Vec<Labels>,
    /// Labels that all targets of the group have.
    pub labels: Labels,
}

impl TargetGroup {
    /// What a group of `targets` counts as in a [`Budget`](crate::Budget) before any label set: its
    /// own block, the name of its place (`source` bytes), the handles of its targets, and its place
    /// in a list.
    pub const fn frame(source: usize, targets: usize) -> u64 {
        size_of::<Arc<Self>>() as u64
            + shared_allocation(size_of::<Self>())
            + shared_allocation(source)
            + allocation(targets * size_of::<Labels>())
    }

    /// What it counts as in a [`Budget`](crate::Budget): the [frame](Self::frame), and all label
    /// sets as if it shared none.
    pub fn footprint(&self) -> u64 {
        let sets = std::iter::once(&self.labels).chain(&self.targets).map(Labels::footprint);
        Self::frame(self.source.len(), self.targets.len()) + sets.sum::<u64>()
    }

    /// Puts the labels of target `index` together with the group's into `builder`, which is
    /// cleared first. What the source told, before any default of a job.
    pub fn merged(&self, index: usize, builder: &mut LabelsBuilder) {
        builder.reset(&self.targets[index]);
        builder.add_absent(&self.labels);
    }
}
