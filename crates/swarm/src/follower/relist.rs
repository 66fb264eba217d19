//! Lists again what events named.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::StatusCode;
use swarmscout_docker::Error;
use swarmscout_docker::engine::{List, Mode, Query, Service, Task};
use tokio::time::Instant;

use super::{SwarmFollower, now_micros};
use crate::buckets::hash_of;
use crate::relist_schedule::ChangedObject;
use crate::store::ListedPart;
use crate::{ListFilter, Snapshot};

/// More services than this are not listed one by one.
const ONE_BY_ONE: usize = 100;

/// More tasks of removed services than this are not, either: their IDs must fit into the first line
/// of a request, and proxies accept 16 KiB.
const TASKS_ONE_BY_ONE: usize = 250;

impl SwarmFollower {
    /// Lists what events named.
    pub(super) async fn relist(&mut self, objects: &[ChangedObject]) -> Result<(), Error> {
        let mut part = self.named(objects);
        let scope = self.store.snapshot().scope.clone();
        let by_id = [
            (List::Services, &scope.services, &part.services),
            (List::Nodes, &scope.nodes, &part.nodes),
            (List::Networks, &scope.networks, &part.networks),
        ];
        let by_id = by_id
            .into_iter()
            .filter(|(_, wanted, ids)| **wanted != ListFilter::Nothing && !ids.is_empty());
        let by_id = by_id.map(|(list, wanted, ids)| (list, filters("id", ids, wanted)));
        let mut lists = self.hosts.list_parts(&Query::of_parts(by_id)).await?;
        if scope.tasks != ListFilter::Nothing {
            // The Engine refuses to list tasks of a removed service.
            let known = |id: &Arc<str>| lists.services.iter().any(|service| service.id == *id);
            let (there, gone): (BTreeSet<_>, BTreeSet<_>) =
                part.services.iter().cloned().partition(known);
            let left = self.store.snapshot().tasks.of_owners(&gone);
            let left: BTreeSet<_> = left.map(|task| Arc::clone(&task.id)).collect();
            for (name, values) in [("service", &there), ("id", &left)] {
                if !values.is_empty() {
                    let filters = filters(name, values, &scope.tasks);
                    let query = Query::of_parts([(List::Tasks, filters)]);
                    lists.tasks.extend(self.hosts.list_parts(&query).await?.tasks);
                }
            }
            part.tasks_of.clone_from(&part.services);
        }
        self.as_of = std::time::Instant::now();
        self.store.replace_part(&part, &lists, now_micros());
        Ok(())
    }

    /// Removes from the schedule what was listed `now` and is quiescent.
    pub(super) fn note_quiescent(&mut self, objects: &[ChangedObject], now: Instant) {
        for object in objects {
            if self.is_quiescent(object) {
                self.relists.finish(object, now);
            }
        }
    }

    /// Notes the services that a listing found changing: no event names them until they have ended.
    /// One that was the same `before` is not noted again, since it may never end. If most of the Swarm
    /// changes, to list it service by service would cost more than the next refresh.
    pub(super) fn note_changing(&mut self, before: &Snapshot, now: Instant) {
        let snapshot = self.store.snapshot();
        let tasks = snapshot.tasks.objects().filter(|task| !is_at_rest(task));
        let tasks = tasks.filter(|task| {
            let known = before.tasks.get(&task.service, &task.id);
            known.is_none_or(|known| known.version != task.version)
        });
        let services = snapshot.services.objects();
        let services = services.filter(|service| is_under_way(&service.update_state));
        let services = services.filter(|service| {
            let known = before.services.get("", &service.id);
            known.is_none_or(|known| known.version != service.version)
        });
        let ids = tasks.map(|task| &task.service).chain(services.map(|service| &service.id));
        let ids: BTreeSet<_> = ids.filter(|id| !id.is_empty()).cloned().collect();
        if ids.len() > ONE_BY_ONE {
            return;
        }
        for id in ids {
            self.relists.note(ChangedObject::Service(id), now);
        }
    }

    /// The objects to list for those that events named. For a node that includes the services with
    /// tasks there, and those that may get some when it joins, is made active or gets other labels.
    fn named(&self, objects: &[ChangedObject]) -> ListedPart {
        let mut part = ListedPart::default();
        for object in objects {
            match object {
                ChangedObject::All => {}
                ChangedObject::Service(id) => drop(part.services.insert(Arc::clone(id))),
                ChangedObject::Network(id) => drop(part.networks.insert(Arc::clone(id))),
                ChangedObject::Node(id) => {
                    part.nodes.insert(Arc::clone(id));
                    let node = [hash_of(id)];
                    let tasks = self.store.snapshot().tasks.iter();
                    let there = tasks.filter(|bucket| bucket.refers_to_any(&node));
                    part.services.extend(there.map(|bucket| Arc::clone(bucket.owner())));
                    part.services.extend(self.awaiting_a_node());
                }
            }
        }
        part
    }

    /// The services that can get a task on a node without an event of their own: global ones, and
    /// those with a task that found no node.
    fn awaiting_a_node(&self) -> impl Iterator<Item = Arc<str>> {
        let snapshot = self.store.snapshot();
        let global =
            |service: &&Arc<Service>| matches!(service.mode, Mode::Global | Mode::GlobalJob);
        let services = snapshot.services.objects().filter(global).map(|service| &service.id);
        let waiting = snapshot.tasks.objects().filter(|task| task.node.is_empty());
        services.chain(waiting.map(|task| &task.service)).cloned()
    }

    /// Whether to list everything instead of what is due.
    pub(super) fn is_much(&self, now: Instant) -> bool {
        let due = self.relists.due(now);
        if due.contains(&ChangedObject::All) {
            return true;
        }
        let services = self.named(&due).services;
        let snapshot = self.store.snapshot();
        let gone = services.iter().filter(|id| snapshot.services.get("", id).is_none());
        let left = snapshot.tasks.of_owners(&gone.cloned().collect()).count();
        services.len() > ONE_BY_ONE || left > TASKS_ONE_BY_ONE
    }

    /// Whether no further change of a named object is expected.
    fn is_quiescent(&self, object: &ChangedObject) -> bool {
        let snapshot = self.store.snapshot();
        match object {
            ChangedObject::Service(id) => {
                let owner = BTreeSet::from([Arc::clone(id)]);
                let mut tasks = snapshot.tasks.of_owners(&owner);
                let service = snapshot.services.get("", id);
                !service.is_some_and(|service| is_under_way(&service.update_state))
                    && tasks.all(|task| is_at_rest(task))
            }
            ChangedObject::All | ChangedObject::Node(_) | ChangedObject::Network(_) => true,
        }
    }
}

/// Whether no further change of a task is expected.
fn is_at_rest(task: &Task) -> bool {
    match &*task.desired_state {
        "running" => &*task.state == "running",
        "complete" => &*task.state == "running" || task.has_ended(),
        "remove" => false,
        _ => task.has_ended(),
    }
}

/// Whether an update of a service, or its rollback, continues in batches that no event names.
fn is_under_way(update_state: &str) -> bool {
    matches!(update_state, "updating" | "rollback_started")
}

/// Whether the Engine refused a filter that names an object that does not exist.
pub(super) fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::Status { status: StatusCode::NOT_FOUND, .. })
}

/// The JSON of the filters of `wanted`, and of one more with these values.
fn filters(name: &str, values: &BTreeSet<Arc<str>>, wanted: &ListFilter) -> String {
    let known = match wanted {
        ListFilter::Filtered(filters) => serde_json::from_str(filters).unwrap_or_default(),
        ListFilter::Nothing | ListFilter::All => serde_json::Map::new(),
    };
    let values = values.iter().map(|value| (value.to_string(), true.into()));
    let mut all = known;
    all.insert(name.to_owned(), serde_json::Value::Object(values.collect()));
    serde_json::Value::Object(all).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that moby knows (`api/types/swarm/service.go`).
    #[test]
    fn what_is_updated_or_rolled_back_is_under_way() {
        for (state, expected) in [
            ("", false),
            ("updating", true),
            ("paused", false),
            ("completed", false),
            ("rollback_started", true),
            ("rollback_paused", false),
            ("rollback_completed", false),
        ] {
            assert_eq!(is_under_way(state), expected, "{state}");
        }
    }
}
