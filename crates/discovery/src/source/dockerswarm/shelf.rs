//! What was found in each bucket of a kind, kept until the bucket changes or something that its
//! objects refer to.

use std::sync::Arc;

use swarmscout_model::{Charge, TargetGroup};
use swarmscout_swarm::buckets::Object;
use swarmscout_swarm::{Bucket, Buckets};

use crate::limits::{Excess, Meter};
use crate::source::moby::Skipped;
use crate::without_address::ServiceWithoutAddress;
use crate::{Groups, Problem};
use swarmscout_model::CanonicalGroups;
use swarmscout_model::groups::source_order;

/// In the order of the buckets.
#[derive(Debug)]
pub(super) struct Shelf<T>(Vec<Kept<T>>);

#[derive(Debug)]
struct Kept<T> {
    bucket: Arc<Bucket<T>>,
    groups: Groups,
    problems: Vec<Problem>,
    without_address: Vec<ServiceWithoutAddress>,
    /// How many groups and targets that are.
    units: usize,
    _held: Charge,
}

/// What is found in one bucket.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Those without targets are left out.
    pub(super) groups: Vec<TargetGroup>,
    pub(super) skipped: Skipped,
    pub(super) without_address: Vec<ServiceWithoutAddress>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Object> Shelf<T> {
    /// Makes `buckets` those that are kept. Calls `find` for those that are new or `stale`; a group
    /// that is equal to the one that was found before is that very one.
    ///
    /// Where `find` fails, what it found until then stays, and for the rest what was found before;
    /// the next update has to call the same buckets stale.
    pub(super) fn update(
        &mut self,
        buckets: &Buckets<T>,
        meter: Meter,
        stale: impl Fn(&Bucket<T>) -> bool,
        mut find: impl FnMut(&Bucket<T>, &mut Found, &mut Meter) -> Result<(), Excess>,
    ) -> Result<(), Excess> {
        let units = self.0.iter().map(|kept| kept.units).sum();
        let mut meter = meter.beside(units);
        let mut before = std::mem::take(&mut self.0).into_iter().peekable();
        self.0.reserve_exact(buckets.iter().len());
        for bucket in buckets.iter() {
            while let Some(gone) = before.next_if(|kept| kept.bucket.place_cmp(bucket).is_lt()) {
                meter.forget(gone.units);
            }
            let known = before.next_if(|kept| kept.bucket.place_cmp(bucket).is_eq());
            let known = match known {
                Some(known) if Arc::ptr_eq(&known.bucket, bucket) && !stale(bucket) => {
                    self.0.push(known);
                    continue;
                }
                known => known,
            };
            meter.forget(known.as_ref().map_or(0, |known| known.units));
            let others = meter.units();
            let mut found = Found::default();
            if let Err(excess) = find(bucket, &mut found, &mut meter) {
                self.0.extend(known.into_iter().chain(before));
                return Err(excess);
            }
            let known = known.map_or_else(Vec::new, |known| known.groups);
            let keep = |group: TargetGroup| {
                let same = known.iter().find(|known| ***known == group);
                same.cloned().unwrap_or_else(|| Arc::new(group))
            };
            let groups = found.groups.into_iter().filter(|group| !group.targets.is_empty());
            self.0.push(Kept {
                bucket: Arc::clone(bucket),
                groups: groups.map(keep).collect(),
                problems: found.skipped.into_problems().collect(),
                without_address: found.without_address,
                units: meter.units() - others,
                _held: meter.part(),
            });
        }
        Ok(())
    }

    /// Replaces groups by those of `known` that are equal to them.
    pub(super) fn adopt(&mut self, known: &CanonicalGroups) {
        for group in self.0.iter_mut().flat_map(|kept| &mut kept.groups) {
            let place = known.binary_search_by(|known| source_order(&known.source, &group.source));
            if let Ok(place) = place
                && known[place] == *group
            {
                *group = Arc::clone(&known[place]);
            }
        }
    }

    /// How many objects stand in buckets that are not kept yet.
    pub(super) fn news(&self, buckets: &Buckets<T>) -> usize {
        let mut kept = self.0.iter().peekable();
        let is_new = |bucket: &&Arc<Bucket<T>>| {
            while kept.next_if(|kept| kept.bucket.place_cmp(bucket).is_lt()).is_some() {}
            kept.peek().is_none_or(|kept| !Arc::ptr_eq(&kept.bucket, bucket))
        };
        buckets.iter().filter(is_new).map(|bucket| bucket.objects().len()).sum()
    }

    /// All groups, in the order of the buckets.
    pub(super) fn groups(&self) -> Groups {
        self.0.iter().flat_map(|kept| &kept.groups).cloned().collect()
    }

    /// Running tasks that gave no target.
    pub(super) fn without_address(&self) -> impl Iterator<Item = &ServiceWithoutAddress> {
        self.0.iter().flat_map(|kept| &kept.without_address)
    }

    /// What had to be left out.
    pub(super) fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter().flat_map(|kept| &kept.problems)
    }
}
