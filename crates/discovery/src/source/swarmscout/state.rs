//! What the Swarm is doing, as a target: the preset `swarm-state`.
//!
//! Each task of this program serves the same series, apart from counters. So one task is a target:
//! that of the first slot that runs. Its target has no label that its series have.

use std::sync::Arc;

use swarmscout_docker::engine::Service;
use swarmscout_model::{CanonicalGroups, Charge, TargetGroup};
use swarmscout_refresh::problems::shown;
use swarmscout_swarm::Snapshot;
use swarmscout_swarm::buckets::Object as _;

use super::options::Options;
use super::slots::{Slot, Slots};
use super::targets::{self, Buffers, Context};
use crate::Problem;
use crate::limits::{Excess, Meter};
use crate::source::moby::Skipped;

/// The source key of its group.
const SOURCE_KEY: &str = "Swarmscout;state";

/// The one target of the preset.
#[derive(Debug, Default)]
pub(super) struct StateTarget {
    /// The services whose tasks serve what the Swarm is doing, by ID.
    services: Vec<Arc<Service>>,
    group: Option<Arc<TargetGroup>>,
    problems: Vec<Problem>,
    held: Option<Charge>,
}

impl StateTarget {
    /// Finds the services.
    pub(super) fn note_services(&mut self, snapshot: &Snapshot, options: &Options) {
        let services = snapshot.services.objects();
        self.services = services.filter(|service| options.serves_state(service)).cloned().collect();
        self.services.sort_by(|a, b| a.id.cmp(&b.id));
    }

    /// Makes the group. One that equals the last one is the same `Arc`.
    pub(super) fn update(
        &mut self,
        slots: &Slots,
        context: Context<'_>,
        buffers: &mut Buffers,
        mut meter: Meter,
    ) -> Result<(), Excess> {
        let mut skipped = Skipped::default();
        let found = self.slots(slots).find_map(|(service, slot)| {
            let group = targets::state_group(service, slot, context, buffers, &mut skipped)?;
            Some((service, group))
        });
        let group = match found {
            Some((service, (target, labels))) => {
                let of = || format!("service {}", shown(&service.id));
                meter.target(&target, of)?;
                meter.group(SOURCE_KEY.len(), 1, &labels, of)?;
                Some(TargetGroup { source: SOURCE_KEY.into(), targets: vec![target], labels })
            }
            None => None,
        };
        self.problems = skipped.into_problems().collect();
        if self.group.as_deref() != group.as_ref() {
            self.group = group.map(Arc::new);
            self.held = Some(meter.finish());
        }
        Ok(())
    }

    /// The first slot that runs of each service: of the one that this program is a task of, then of
    /// the others by ID.
    fn slots<'a>(&'a self, slots: &'a Slots) -> impl Iterator<Item = (&'a Service, &'a Slot)> {
        let own = slots.own().map(|slot| slot.owner());
        let is_own = move |service: &&Arc<Service>| own.as_ref() == Some(&service.id);
        let services = self.services.iter();
        let in_order = services.clone().filter(is_own).chain(services);
        let first = move |service: &'a Arc<Service>| {
            let slots = slots.buckets().of_owner(&service.id);
            let place = |slot: &Slot| (slot.task().slot, Arc::clone(slot.name()));
            Some((&**service, &**slots.min_by_key(|slot| place(slot))?))
        };
        in_order.filter_map(first)
    }

    /// Replaces the group by that of `known` that equals it.
    pub(super) fn adopt(&mut self, known: &CanonicalGroups) {
        let same = known.iter().find(|known| Some(*known) == self.group.as_ref());
        if let Some(same) = same {
            self.group = Some(Arc::clone(same));
        }
    }

    pub(super) fn group(&self) -> Option<&Arc<TargetGroup>> {
        self.group.as_ref()
    }

    pub(super) fn problems(&self) -> &[Problem] {
        &self.problems
    }
}
