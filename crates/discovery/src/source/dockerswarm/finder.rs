//! Makes groups of targets from one snapshot after the other.

use std::sync::Arc;

use swarmscout_docker::engine::{Node, Service, Task};
use swarmscout_model::CanonicalGroups;
use swarmscout_model::{Budget, LabelsWriter};
use swarmscout_swarm::buckets::{Buckets, Object, hash_of};
use swarmscout_swarm::{Bucket, Filters, ListScope, Reader, Selection, Snapshot};

use super::group_cache::GroupCache;
use super::shared_labels::SharedLabels;
use super::{Options, nodes, services, tasks};
use crate::config::Role;
use crate::limits::{LONGEST_ENGINE_LABEL, Meter};
use crate::source::moby::{AddressWriter, Skipped};
use crate::source::replica::SnapshotFinder;
use crate::without_address::{ServiceWithoutAddress, TasksWithoutAddress};
use crate::{Error, Groups, Problem};

/// Makes groups of the objects that a role and its filters select, and caches them by bucket. For
/// the next snapshot it reads only buckets that changed, or whose objects refer to a changed
/// object.
#[derive(Debug)]
pub struct Finder {
    options: Options,
    filters: Filters,
    needs: ListScope,
    /// The last snapshot.
    seen: Snapshot,
    /// `None` before the first snapshot.
    selection: Option<Selection>,
    nodes: GroupCache<Node, ()>,
    services: GroupCache<Service, ()>,
    tasks: GroupCache<Task, Vec<ServiceWithoutAddress>>,
    shared: SharedLabels,
    buffers: Buffers,
    budget: Budget,
}

/// What targets are made from, in addition to the objects of a bucket.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) shared: &'a SharedLabels,
    pub(super) options: Options,
    pub(super) selection: &'a Selection,
}

/// Buffers, for reuse.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) writer: LabelsWriter,
    pub(super) address: AddressWriter,
}

impl Finder {
    /// A finder without a snapshot yet.
    pub fn new(options: Options, filters: Filters) -> Self {
        Self {
            options,
            needs: ListScope::of([&Reader::of_role(filters.clone())]),
            filters,
            seen: Snapshot::default(),
            selection: None,
            nodes: GroupCache::default(),
            services: GroupCache::default(),
            tasks: GroupCache::default(),
            shared: SharedLabels::default(),
            buffers: Buffers::default(),
            budget: Budget::unlimited(),
        }
    }

    /// Charges the groups to `budget`.
    #[must_use]
    pub fn within(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// The filters of its objects.
    pub fn filters(&self) -> &Filters {
        &self.filters
    }

    /// The lists of a Swarm that it needs.
    pub fn needs(&self) -> &ListScope {
        &self.needs
    }

    /// Whether a snapshot has all the needed lists.
    pub fn can_read(&self, snapshot: &Snapshot) -> bool {
        snapshot.scope.covers(&self.needs)
    }

    /// The approximate number of objects that [`find`](Self::find) would read in this snapshot.
    pub fn work(&self, snapshot: &Snapshot) -> usize {
        if self.selection.is_none() {
            return match self.options.role {
                Role::Nodes => snapshot.nodes.len(),
                Role::Services => snapshot.services.len(),
                Role::Tasks => snapshot.tasks.len() + snapshot.nodes.len(),
            };
        }
        let referenced = self.seen.nodes.differences(&snapshot.nodes).len()
            + self.seen.networks.differences(&snapshot.networks).len();
        match self.options.role {
            Role::Nodes => self.nodes.uncached(&snapshot.nodes),
            Role::Services => self.services.uncached(&snapshot.services) + referenced,
            Role::Tasks => {
                let services = self.seen.services.differences(&snapshot.services).len();
                let per_bucket = swarmscout_swarm::buckets::MOST;
                self.tasks.uncached(&snapshot.tasks) + per_bucket * (referenced + services)
            }
        }
    }

    /// The groups of a snapshot, in an order that depends on IDs alone, and what was skipped. A
    /// group that equals the last one is the same `Arc`.
    ///
    /// Fails if a filter names a missing object, or if the groups exceed a limit. The last groups
    /// are then kept.
    pub fn find(&mut self, snapshot: &Snapshot) -> Result<(Groups, Vec<Problem>), Error> {
        let selection = self.filters.resolve(snapshot)?;
        let all = self.selection.as_ref() != Some(&selection);
        let networks = changed(&self.seen.networks, &snapshot.networks);
        let Self { options, buffers, shared, seen, .. } = self;
        if options.role != Role::Nodes {
            shared.update_networks(seen, snapshot, &mut buffers.writer);
        }
        if options.role == Role::Tasks {
            shared.update_nodes(seen, snapshot, &mut buffers.writer);
        }
        let context = Context { snapshot, shared, options: *options, selection: &selection };
        let meter = Meter::new(&self.budget, LONGEST_ENGINE_LABEL);
        let found = match options.role {
            Role::Nodes => {
                let find = |bucket: &_, found: &mut _, meter: &mut _| {
                    nodes::find(bucket, context, buffers, found, meter)
                };
                self.nodes.update(&snapshot.nodes, meter, |_| all, find)
            }
            Role::Services => {
                let stale = |bucket: &Bucket<_>| all || bucket.refers_to_any(&networks);
                let find = |bucket: &_, found: &mut _, meter: &mut _| {
                    services::find(bucket, context, buffers, found, meter)
                };
                self.services.update(&snapshot.services, meter, stale, find)
            }
            Role::Tasks => {
                let mut referenced = networks;
                referenced.extend(changed(&seen.nodes, &snapshot.nodes));
                referenced.sort_unstable();
                let services = changed(&seen.services, &snapshot.services);
                let stale = |bucket: &Bucket<_>| {
                    let service = || services.binary_search(&hash_of(bucket.owner())).is_ok();
                    all || (!services.is_empty() && service()) || bucket.refers_to_any(&referenced)
                };
                let find = |bucket: &_, found: &mut _, meter: &mut _| {
                    tasks::find(bucket, context, buffers, found, meter)
                };
                self.tasks.update(&snapshot.tasks, meter, stale, find)
            }
        };
        if let Err(excess) = found {
            // `seen` does not change, so the same buckets are stale the next time.
            let what = format!("role {}", options.role.as_str());
            return Err(Error::Excess { what, excess });
        }
        self.selection = Some(selection);
        self.seen = snapshot.clone();
        Ok((self.groups(), self.problems()))
    }

    /// Running tasks of the last snapshot without a target. `None` for roles other than tasks.
    pub fn without_address(&self) -> Option<TasksWithoutAddress> {
        let tasks = self.options.role == Role::Tasks;
        tasks.then(|| TasksWithoutAddress::of(self.tasks.extras().flatten()))
    }

    /// Replaces groups by those of `known` that equal them, and returns all groups.
    fn adopt(&mut self, known: &CanonicalGroups) -> Groups {
        match self.options.role {
            Role::Nodes => self.nodes.adopt(known),
            Role::Services => self.services.adopt(known),
            Role::Tasks => self.tasks.adopt(known),
        }
        self.groups()
    }

    fn groups(&self) -> Groups {
        match self.options.role {
            Role::Nodes => self.nodes.groups(),
            Role::Services => self.services.groups(),
            Role::Tasks => self.tasks.groups(),
        }
    }

    fn problems(&self) -> Vec<Problem> {
        let mut skipped = Skipped::default();
        skipped.extend(self.nodes.problems());
        skipped.extend(self.services.problems());
        skipped.extend(self.tasks.problems());
        skipped.extend(self.shared.problems());
        skipped.into_problems().collect()
    }
}

impl SnapshotFinder for Finder {
    fn needs(&self) -> &ListScope {
        Self::needs(self)
    }

    fn work(&self, snapshot: &Snapshot) -> usize {
        Self::work(self, snapshot)
    }

    fn find(
        &mut self,
        snapshot: &Snapshot,
        restored: Option<&CanonicalGroups>,
    ) -> Result<(Groups, Vec<Problem>), Error> {
        let (groups, problems) = Self::find(self, snapshot)?;
        Ok((restored.map_or(groups, |restored| self.adopt(restored)), problems))
    }

    fn without_address(&self) -> Option<TasksWithoutAddress> {
        Self::without_address(self)
    }
}

/// The sorted hashes of the IDs of all objects that differ.
pub(in crate::source) fn changed<T: Object>(before: &Buckets<T>, now: &Buckets<T>) -> Vec<u64> {
    let differences = before.differences(now).into_iter();
    let ids = differences.filter_map(|(old, new)| Some(hash_of(Arc::clone(new.or(old)?).id())));
    let mut hashes: Vec<_> = ids.collect();
    hashes.sort_unstable();
    hashes
}

#[cfg(test)]
mod tests;
