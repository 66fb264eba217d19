//! Cuts the targets of one service, or of one Engine, into groups of a size that makes a change
//! cheap: what changes is relabelled and handed on by the group.
//!
//! Which group a target is in depends on a hash of its object's ID: an object that comes or goes
//! changes one group, and at most splits it in two or joins it with its other half. It never
//! depends on the order in which the Engine lists objects, which is another one at every call.

use std::sync::Arc;

use swarmscout_model::{Labels, TargetGroup};

use crate::Groups;
use crate::limits::{Excess, Meter};
use swarmscout_model::groups::source_order;

/// A group has no more targets than this, unless a single object has.
pub(super) const MOST: usize = 64;

/// The groups of one look. One that is equal to the one of the look before is that one, at once:
/// so a look of thousands of targets never has them all in memory twice.
#[derive(Debug, Default)]
pub(super) struct Cut<'a> {
    known: &'a [Arc<TargetGroup>],
    groups: Groups,
}

impl<'a> Cut<'a> {
    /// `known` are the groups of the look before, as [`Self::into_groups`] gave them.
    pub(super) fn new(known: &'a [Arc<TargetGroup>]) -> Self {
        Self { known, groups: Groups::new() }
    }

    /// The groups in the order that they have in every set: those of an unchanged look are then
    /// recognised as they stand, without another sort.
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

/// Targets with what they have in common.
#[derive(Debug, Default)]
pub(super) struct Partition {
    /// With the hash of the object's ID; the targets of one object one after the other.
    targets: Vec<(u64, Labels)>,
}

impl Partition {
    /// Adds a target of the object with this ID.
    pub(super) fn push(&mut self, id: &str, target: Labels) {
        self.targets.push((xxhash_rust::xxh3::xxh3_64(id.as_bytes()), target));
    }

    /// Adds the groups: `source` where one is enough, else
    /// `source` with `/` and the first bits of the hash. No target, no group. The targets were
    /// counted in `meter`.
    pub(super) fn groups(
        mut self,
        source: &str,
        labels: &Labels,
        into: &mut Cut<'_>,
        meter: &mut Meter,
    ) -> Result<(), Excess> {
        // Stable: the targets of an object stay in their order.
        self.targets.sort_by_key(|(hash, _)| *hash);
        split(&mut self.targets, 0, &mut source.to_owned(), labels, into, meter)
    }
}

fn split(
    targets: &mut [(u64, Labels)],
    bits: u32,
    source: &mut String,
    labels: &Labels,
    into: &mut Cut<'_>,
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
