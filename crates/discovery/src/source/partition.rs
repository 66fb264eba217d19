//! Splits the targets of one service, or of one Engine, into small groups. A group is relabelled
//! and published as a whole, so small groups make a change cheap.
//!
//! The group of a target depends on a hash of its object's ID. An object that is added or removed
//! changes one group, and at most splits it in two or joins it with its other half. The order in
//! which the Engine lists objects, which differs at every call, does not matter.

use std::sync::Arc;

use swarmscout_model::{Labels, TargetGroup};

use crate::Groups;
use crate::limits::{Excess, Meter};
use swarmscout_model::groups::source_order;

/// The most targets of a group, unless a single object has more.
pub(super) const MOST: usize = 64;

/// Collects the groups of a refresh. A group that equals that of the last refresh is replaced by it
/// at once, so thousands of targets are never held in memory twice.
#[derive(Debug, Default)]
pub(super) struct GroupDiff<'a> {
    known: &'a [Arc<TargetGroup>],
    groups: Groups,
}

impl<'a> GroupDiff<'a> {
    /// `known` are the groups of the last refresh, as [`Self::into_groups`] returned them.
    pub(super) fn new(known: &'a [Arc<TargetGroup>]) -> Self {
        Self { known, groups: Groups::new() }
    }

    /// The groups in the order of every set. Groups without changes are then recognised without
    /// another sort.
    pub(super) fn into_groups(mut self) -> Groups {
        self.groups.sort_by(|a, b| source_order(&a.source, &b.source));
        self.groups
    }

    /// Adds a group.
    pub(super) fn push(&mut self, group: TargetGroup) {
        let place = self.known.binary_search_by(|known| source_order(&known.source, &group.source));
        let known = place.ok().map(|at| &self.known[at]).filter(|known| ***known == group);
        self.groups.push(known.cloned().unwrap_or_else(|| Arc::new(group)));
    }
}

/// The targets of one service or Engine.
#[derive(Debug, Default)]
pub(super) struct Partition {
    /// Each with the hash of its object's ID. The targets of one object are adjacent.
    targets: Vec<(u64, Labels)>,
}

impl Partition {
    /// Adds a target of the object with this ID.
    pub(super) fn push(&mut self, id: &str, target: Labels) {
        self.targets.push((xxhash_rust::xxh3::xxh3_64(id.as_bytes()), target));
    }

    /// Adds the groups to `into`. Their source key is `source` if one group is enough, and
    /// otherwise `source`, `/` and the first bits of the hash. Without targets there is no group.
    /// `meter` has already counted the targets.
    pub(super) fn groups(
        mut self,
        source: &str,
        labels: &Labels,
        into: &mut GroupDiff<'_>,
        meter: &mut Meter,
    ) -> Result<(), Excess> {
        // The sort is stable: the targets of an object keep their order.
        self.targets.sort_by_key(|(hash, _)| *hash);
        split(&mut self.targets, 0, &mut source.to_owned(), labels, into, meter)
    }
}

fn split(
    targets: &mut [(u64, Labels)],
    bits: u32,
    source: &mut String,
    labels: &Labels,
    into: &mut GroupDiff<'_>,
    meter: &mut Meter,
) -> Result<(), Excess> {
    let (Some((first, _)), Some((last, _))) = (targets.first(), targets.last()) else {
        return Ok(());
    };
    if targets.len() <= MOST || first == last {
        meter.group(source.len(), targets.len(), labels, || source.clone())?;
        into.push(TargetGroup {
            source: source.as_str().into(),
            targets: targets.iter_mut().map(|(_, target)| std::mem::take(target)).collect(),
            labels: labels.clone(),
        });
        return Ok(());
    }
    let bit = 1 << (u64::BITS - 1 - bits);
    let middle = targets.partition_point(|(hash, _)| hash & bit == 0);
    let (zeros, ones) = targets.split_at_mut(middle);
    let length = source.len();
    for (digit, half) in [('0', zeros), ('1', ones)] {
        if bits == 0 {
            source.push('/');
        }
        source.push(digit);
        split(half, bits + 1, source, labels, into, meter)?;
        source.truncate(length);
    }
    Ok(())
}
