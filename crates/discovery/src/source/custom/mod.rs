//! A discoverer of the program that uses this crate. Its targets count towards the limits and the
//! budget as those of other sources, but only after it has returned them.

mod config;

use std::sync::Arc;

use swarmscout_model::groups::differing;
use swarmscout_model::{Budget, Charge, TargetGroup};

pub use self::config::{BuildCustom, CustomConfig};
use crate::config::BuildContext;
use crate::limits::{LONGEST_ENGINE_LABEL, Meter};
use crate::{BoxDiscoverer, BoxFuture, Discoverer, Error, Groups, RefreshScope, Refreshed};

/// A discoverer without a budget of its own, and the count of its targets.
pub(super) struct Custom {
    discoverer: BoxDiscoverer,
    scale: Scale,
}

/// The targets of the last refresh, and their memory.
struct Scale {
    what: Arc<str>,
    budget: Budget,
    groups: Groups,
    /// Targets and groups.
    units: usize,
    held: Charge,
}

impl Custom {
    pub(super) fn new(
        discoverer: BoxDiscoverer,
        config: &CustomConfig,
        context: &BuildContext,
    ) -> Self {
        let scale = Scale {
            what: Arc::clone(&config.display_name),
            budget: context.refresh.budget.clone(),
            groups: Groups::new(),
            units: 0,
            held: context.refresh.budget.nothing(),
        };
        Self { discoverer, scale }
    }
}

impl Scale {
    /// Counts the new groups of a refresh, and uncounts those that are gone.
    fn weigh(
        &mut self,
        refreshed: Result<Refreshed<Groups>, Error>,
    ) -> Result<Refreshed<Groups>, Error> {
        let refreshed = refreshed?;
        let (old, new) = differing(&self.groups, &refreshed.value);
        let old = &self.groups[old];
        let units = self.units - old.iter().map(|group| units(group)).sum::<usize>();
        let mut meter = Meter::new(&self.budget, LONGEST_ENGINE_LABEL).beside(units);
        let counted = refreshed.value[new].iter().try_for_each(|group| meter.whole(group));
        let what = || self.what.to_string();
        counted.map_err(|excess| Error::Excess { what: what(), excess })?;
        self.units = meter.units();
        self.held.absorb(meter.finish());
        self.held.shrink(old.iter().map(|group| group.footprint()).sum());
        self.groups.clone_from(&refreshed.value);
        Ok(refreshed)
    }
}

fn units(group: &TargetGroup) -> usize {
    group.targets.len() + 1
}

impl Discoverer for Custom {
    type Error = Error;

    fn fetch(&mut self, scope: RefreshScope) -> BoxFuture<'_, Result<Refreshed<Groups>, Error>> {
        Box::pin(async move {
            let refreshed = self.discoverer.fetch(scope).await;
            self.scale.weigh(refreshed)
        })
    }

    fn changed(&mut self) -> BoxFuture<'_, RefreshScope> {
        self.discoverer.changed()
    }
}
