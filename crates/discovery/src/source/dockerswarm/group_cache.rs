//! Caches the groups of each bucket of a kind, until the bucket changes or an object changes that
//! its objects refer to.

use std::sync::Arc;

use swarmscout_model::{Charge, TargetGroup};
use swarmscout_swarm::buckets::Object;
use swarmscout_swarm::{Bucket, Buckets};

use crate::limits::{Excess, Meter};
use crate::source::moby::Skipped;
use crate::{Groups, Problem};
use swarmscout_model::CanonicalGroups;
use swarmscout_model::groups::source_order;

/// The groups of all buckets of a kind, in the order of the buckets. `E` is what else is found in a
/// bucket.
#[derive(Debug)]
pub(in crate::source) struct GroupCache<T, E>(Vec<CachedBucket<T, E>>);

#[derive(Debug)]
struct CachedBucket<T, E> {
    bucket: Arc<Bucket<T>>,
    groups: Groups,
    problems: Vec<Problem>,
    extra: E,
    /// The number of groups and targets.
    units: usize,
    _held: Charge,
}

/// The groups of one bucket, and what was skipped in it.
#[derive(Debug, Default)]
pub(in crate::source) struct BucketResult<E> {
    /// Groups without targets are dropped.
    pub(in crate::source) groups: Vec<TargetGroup>,
    pub(in crate::source) skipped: Skipped,
    pub(in crate::source) extra: E,
}

impl<T, E> Default for GroupCache<T, E> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Object, E: Default + PartialEq> GroupCache<T, E> {
    /// Updates the cache to `buckets`. Calls `find` for buckets that are new or `stale`. A group
    /// that equals the cached one is the same `Arc`. Returns whether anything else that was found
    /// changed.
    ///
    /// If `find` fails, buckets that are already updated stay so, and the others keep their old
    /// groups. The next update must treat the same buckets as stale.
    pub(in crate::source) fn update(
        &mut self,
        buckets: &Buckets<T>,
        meter: Meter,
        stale: impl Fn(&Bucket<T>) -> bool,
        mut find: impl FnMut(&Bucket<T>, &mut BucketResult<E>, &mut Meter) -> Result<(), Excess>,
    ) -> Result<bool, Excess> {
        let units = self.0.iter().map(|kept| kept.units).sum();
        let mut meter = meter.beside(units);
        let mut before = std::mem::take(&mut self.0).into_iter().peekable();
        let (nothing, mut differs) = (E::default(), false);
        self.0.reserve_exact(buckets.iter().len());
        for bucket in buckets.iter() {
            while let Some(gone) = before.next_if(|kept| kept.bucket.place_cmp(bucket).is_lt()) {
                meter.forget(gone.units);
                differs |= gone.extra != nothing;
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
            let mut found = BucketResult::default();
            if let Err(excess) = find(bucket, &mut found, &mut meter) {
                self.0.extend(known.into_iter().chain(before));
                return Err(excess);
            }
            differs |= found.extra != *known.as_ref().map_or(&nothing, |known| &known.extra);
            let known = known.map_or_else(Vec::new, |known| known.groups);
            let keep = |group: TargetGroup| {
                let same = known.iter().find(|known| ***known == group);
                same.cloned().unwrap_or_else(|| Arc::new(group))
            };
            let groups = found.groups.into_iter().filter(|group| !group.targets.is_empty());
            self.0.push(CachedBucket {
                bucket: Arc::clone(bucket),
                groups: groups.map(keep).collect(),
                problems: found.skipped.into_problems().collect(),
                extra: found.extra,
                units: meter.units() - others,
                _held: meter.part(),
            });
        }
        differs |= before.any(|gone| gone.extra != nothing);
        Ok(differs)
    }

    /// Replaces groups by those of `known` that equal them.
    pub(in crate::source) fn adopt(&mut self, known: &CanonicalGroups) {
        for group in self.0.iter_mut().flat_map(|kept| &mut kept.groups) {
            let place = known.binary_search_by(|known| source_order(&known.source, &group.source));
            if let Ok(place) = place
                && known[place] == *group
            {
                *group = Arc::clone(&known[place]);
            }
        }
    }

    /// The number of objects in buckets that are not cached yet.
    pub(in crate::source) fn uncached(&self, buckets: &Buckets<T>) -> usize {
        let mut kept = self.0.iter().peekable();
        let is_new = |bucket: &&Arc<Bucket<T>>| {
            while kept.next_if(|kept| kept.bucket.place_cmp(bucket).is_lt()).is_some() {}
            kept.peek().is_none_or(|kept| !Arc::ptr_eq(&kept.bucket, bucket))
        };
        buckets.iter().filter(is_new).map(|bucket| bucket.objects().len()).sum()
    }

    /// All groups, in the order of the buckets.
    pub(in crate::source) fn groups(&self) -> Groups {
        self.0.iter().flat_map(|kept| &kept.groups).cloned().collect()
    }

    /// What else was found in the buckets.
    pub(in crate::source) fn extras(&self) -> impl Iterator<Item = &E> {
        self.0.iter().map(|kept| &kept.extra)
    }

    /// The problems of all buckets.
    pub(in crate::source) fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter().flat_map(|kept| &kept.problems)
    }
}
