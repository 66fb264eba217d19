//! From snapshots to groups of targets, one snapshot after the other.

use std::sync::Arc;

use swarmscout_docker::engine::{Node, Service, Task};
use swarmscout_model::{Budget, LabelsWriter};
use swarmscout_swarm::buckets::{Buckets, Object, hash_of};
use swarmscout_swarm::{Bucket, Demand, Filters, Selection, Snapshot};

use super::pieces::Pieces;
use super::shelf::Shelf;
use super::{Options, nodes, services, tasks};
use crate::config::Role;
use crate::limits::{LONGEST_ENGINE_LABEL, Meter};
use crate::source::moby::{AddressWriter, Skipped};
use crate::without_address::TasksWithoutAddress;
use crate::{Error, Groups, Problem};
use swarmscout_model::CanonicalGroups;

/// Makes groups of what a role and its filters let through, and remembers what it made: with the
/// next snapshot only those buckets are looked at again that changed, or of which an object refers
/// to something that did.
#[derive(Debug)]
pub struct Finder {
    options: Options,
    filters: Filters,
    needs: Demand,
    /// What was found from.
    seen: Snapshot,
    /// `None` before the first snapshot.
    selection: Option<Selection>,
    nodes: Shelf<Node>,
    services: Shelf<Service>,
    tasks: Shelf<Task>,
    pieces: Pieces,
    scratch: Scratch,
    budget: Budget,
}

/// What targets are made from, besides the objects of a bucket.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) pieces: &'a Pieces,
    pub(super) options: Options,
    pub(super) selection: &'a Selection,
}

/// Memory that is used again and again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) writer: LabelsWriter,
    pub(super) address: AddressWriter,
}

impl Finder {
    /// Has seen no snapshot yet.
    pub fn new(options: Options, filters: Filters) -> Self {
        Self {
            options,
            needs: Demand::of([&filters]),
            filters,
            seen: Snapshot::default(),
            selection: None,
            nodes: Shelf::default(),
            services: Shelf::default(),
            tasks: Shelf::default(),
            pieces: Pieces::default(),
            scratch: Scratch::default(),
            budget: Budget::unlimited(),
        }
    }

    /// The same, for groups that are charged to `budget`.
    #[must_use]
    pub fn within(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// The filters that it was made with.
    pub fn filters(&self) -> &Filters {
        &self.filters
    }

    /// What is needed of a Swarm.
    pub fn needs(&self) -> &Demand {
        &self.needs
    }

    /// Whether a snapshot has all that is needed.
    pub fn can_read(&self, snapshot: &Snapshot) -> bool {
        snapshot.scope.covers(&self.needs)
    }

    /// About how many objects finding from this snapshot would look at.
    pub fn work(&self, snapshot: &Snapshot) -> usize {
        if self.selection.is_none() {
            return match self.options.role {
                Role::Nodes => snapshot.nodes.len(),
                Role::Services => snapshot.services.len(),
                Role::Tasks => snapshot.tasks.len() + snapshot.nodes.len(),
            };
        }
        let spoken_of = self.seen.nodes.differences(&snapshot.nodes).len()
            + self.seen.networks.differences(&snapshot.networks).len();
        match self.options.role {
            Role::Nodes => self.nodes.news(&snapshot.nodes),
            Role::Services => self.services.news(&snapshot.services) + spoken_of,
            Role::Tasks => {
                let services = self.seen.services.differences(&snapshot.services).len();
                let per_bucket = swarmscout_swarm::buckets::MOST;
                self.tasks.news(&snapshot.tasks) + per_bucket * (spoken_of + services)
            }
        }
    }

    /// What is found, in an order that depends on nothing but IDs, and what had to be left out. A
    /// group that is equal to the one that was found before is that very one.
    ///
    /// Fails where a filter names what is not there, and where there would be more than is allowed;
    /// what was found before is then kept.
    pub fn find(&mut self, snapshot: &Snapshot) -> Result<(Groups, Vec<Problem>), Error> {
        let selection = self.filters.resolve(snapshot)?;
        let all = self.selection.as_ref() != Some(&selection);
        let networks = changed(&self.seen.networks, &snapshot.networks);
        let Self { options, scratch, pieces, seen, .. } = self;
        if options.role != Role::Nodes {
            pieces.update_networks(seen, snapshot, &mut scratch.writer);
        }
        if options.role == Role::Tasks {
            pieces.update_nodes(seen, snapshot, &mut scratch.writer);
        }
        let given = Given { snapshot, pieces, options: *options, selection: &selection };
        let meter = Meter::new(&self.budget, LONGEST_ENGINE_LABEL);
        let found = match options.role {
            Role::Nodes => {
                let find = |bucket: &_, found: &mut _, meter: &mut _| {
                    nodes::find(bucket, given, scratch, found, meter)
                };
                self.nodes.update(&snapshot.nodes, meter, |_| all, find)
            }
            Role::Services => {
                let stale = |bucket: &Bucket<_>| all || bucket.refers_to_any(&networks);
                let find = |bucket: &_, found: &mut _, meter: &mut _| {
                    services::find(bucket, given, scratch, found, meter)
                };
                self.services.update(&snapshot.services, meter, stale, find)
            }
            Role::Tasks => {
                let mut spoken_of = networks;
                spoken_of.extend(changed(&seen.nodes, &snapshot.nodes));
                spoken_of.sort_unstable();
                let services = changed(&seen.services, &snapshot.services);
                let stale = |bucket: &Bucket<_>| {
                    let service = || services.binary_search(&hash_of(bucket.owner())).is_ok();
                    all || (!services.is_empty() && service()) || bucket.refers_to_any(&spoken_of)
                };
                let find = |bucket: &_, found: &mut _, meter: &mut _| {
                    tasks::find(bucket, given, scratch, found, meter)
                };
                self.tasks.update(&snapshot.tasks, meter, stale, find)
            }
        };
        if let Err(excess) = found {
            // What was seen stays what it was: the next time the same buckets are stale.
            let what = format!("role {}", options.role.as_str());
            return Err(Error::Excess { what, excess });
        }
        self.selection = Some(selection);
        self.seen = snapshot.clone();
        Ok((self.groups(), self.problems()))
    }

    /// Running tasks of the last snapshot that gave no target. `None` where tasks are not looked at.
    pub fn without_address(&self) -> Option<TasksWithoutAddress> {
        let tasks = self.options.role == Role::Tasks;
        tasks.then(|| TasksWithoutAddress::of(self.tasks.without_address()))
    }

    /// Takes those of `known` that are equal to what was found in its place, and returns what was
    /// found.
    pub(super) fn adopt(&mut self, known: &CanonicalGroups) -> Groups {
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
        skipped.extend(self.pieces.problems());
        skipped.into_problems().collect()
    }
}

/// The hashes of the IDs of all objects that differ, sorted.
fn changed<T: Object>(before: &Buckets<T>, now: &Buckets<T>) -> Vec<u64> {
    let differences = before.differences(now).into_iter();
    let ids = differences.filter_map(|(old, new)| Some(hash_of(Arc::clone(new.or(old)?).id())));
    let mut hashes: Vec<_> = ids.collect();
    hashes.sort_unstable();
    hashes
}

#[cfg(test)]
mod tests;
