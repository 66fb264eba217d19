//! `filters` of a job, as the Engine resolves them, for readers that share what was listed once.
//!
//! Values of one filter are alternatives, filters of different names must all hold, and of labels
//! all values must hold. `service` and `node` name objects by ID, by name or by the beginning of an
//! ID; one that names nothing known is refused, so that a job that was misspelt does not lose its
//! targets in silence (moby `daemon/cluster/filters.go` and `tasks.go`, swarmkit
//! `manager/controlapi`).
//!
//! Two differences from the Engine are intended. The node `self` is the one that answers; the Engine
//! leaves that name to its command line. And `label` of tasks matches the current labels of the
//! service. SwarmKit matches a copy that was made with the task: there a label that a running service
//! gets selects none of its tasks before they are replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use swarmscout_docker::Filter;
use swarmscout_docker::engine::{LabelMap, Mode, Node, Service, Task};

use super::{Snapshot, buckets};
use crate::Error;
use crate::Role;

/// The filters of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filters {
    role: Role,
    /// None is without values.
    terms: BTreeMap<String, BTreeSet<String>>,
}

/// Filters whose names of services and nodes are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    filters: Filters,
    /// The IDs that `service` names.
    services: Option<BTreeSet<Arc<str>>>,
    /// The IDs that `node` names.
    nodes: Option<BTreeSet<Arc<str>>>,
}

/// States of a task, as `desired-state` knows them.
const TASK_STATES: &[&str] = &[
    "new",
    "pending",
    "assigned",
    "accepted",
    "preparing",
    "ready",
    "starting",
    "running",
    "complete",
    "shutdown",
    "failed",
    "rejected",
    "remove",
    "orphaned",
];

impl Filters {
    /// The filters of a job with this role. One without values is ignored.
    pub fn new(role: Role, filters: &[Filter]) -> Self {
        let mut terms = BTreeMap::<String, BTreeSet<String>>::new();
        for filter in filters.iter().filter(|filter| !filter.values.is_empty()) {
            terms.entry(filter.name.clone()).or_default().extend(filter.values.iter().cloned());
        }
        Self { role, terms }
    }

    /// The role whose targets they filter.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether they can be applied to unfiltered lists. Some (`runtime`, `membership`, `_up-to-date`)
    /// need what only the Engine has.
    pub fn can_be_local(&self) -> bool {
        self.terms.iter().all(|(name, values)| match name.as_str() {
            "_up-to-date" | "membership" => false,
            "runtime" => values.iter().all(|value| value == "container"),
            _ => true,
        })
    }

    /// The JSON of those that the Engine is to apply, empty for none. Where others read the same
    /// list (`alone` is false), it is given none that it may refuse, so that they do not fail with
    /// it.
    pub fn for_engine(&self, alone: bool) -> String {
        let mut terms = serde_json::Map::new();
        for (name, values) in &self.terms {
            let otherwise = self.role == Role::Tasks
                && (name == "label" || (name == "node" && values.contains("self")));
            if otherwise || (!alone && self.may_be_refused(name, values)) {
                continue;
            }
            let values = values.iter().map(|value| (value.clone(), true.into()));
            terms.insert(name.clone(), serde_json::Value::Object(values.collect()));
        }
        if terms.is_empty() { String::new() } else { serde_json::Value::Object(terms).to_string() }
    }

    fn may_be_refused(&self, name: &str, values: &BTreeSet<String>) -> bool {
        matches!(name, "service" | "node")
            || !self.accepted().contains(&name)
            || self.values_of(name).is_some_and(|accepted| not_among(values, accepted).is_some())
    }

    /// The names that the Engine knows for the role's list.
    fn accepted(&self) -> &'static [&'static str] {
        match self.role {
            Role::Nodes => &["name", "id", "label", "role", "membership", "node.label"],
            Role::Services => &["name", "id", "label", "mode", "runtime"],
            Role::Tasks => &[
                "name",
                "id",
                "label",
                "service",
                "node",
                "desired-state",
                "_up-to-date",
                "runtime",
            ],
        }
    }

    /// The values of a filter that is an enumeration, without regard to case.
    fn values_of(&self, name: &str) -> Option<&'static [&'static str]> {
        match (self.role, name) {
            (Role::Nodes, "role") => Some(&["worker", "manager"]),
            (Role::Nodes, "membership") => Some(&["pending", "accepted"]),
            (Role::Tasks, "desired-state") => Some(TASK_STATES),
            _ => None,
        }
    }

    /// Resolves their names. Fails like the Engine: for an unknown filter, an invalid value, and a
    /// service or node that does not exist.
    pub fn resolve(&self, snapshot: &Snapshot) -> Result<Selection, Error> {
        for (name, values) in &self.terms {
            if !self.accepted().contains(&name.as_str()) {
                return Err(Error::InvalidFilter(name.clone()));
            }
            if let Some(value) = self.values_of(name).and_then(|known| not_among(values, known)) {
                return Err(Error::InvalidValue { name: name.clone(), value: value.clone() });
            }
        }
        let (mut services, mut nodes) = (None, None);
        if self.role == Role::Tasks {
            services = self.named("service", &snapshot.services, None, |service| &service.name)?;
            let this = Some(&snapshot.this_node).filter(|id| !id.is_empty());
            nodes = self.named("node", &snapshot.nodes, this, |node| &node.hostname)?;
        }
        Ok(Selection { filters: self.clone(), services, nodes })
    }

    fn named<T: buckets::Object>(
        &self,
        kind: &'static str,
        known: &buckets::Buckets<T>,
        this: Option<&Arc<str>>,
        name: impl Fn(&T) -> &Arc<str>,
    ) -> Result<Option<BTreeSet<Arc<str>>>, Error> {
        let Some(values) = self.terms.get(kind) else { return Ok(None) };
        let mut ids = BTreeSet::new();
        for value in values {
            if let Some(this) = this.filter(|_| value == "self") {
                ids.insert(Arc::clone(this));
                continue;
            }
            let found = |is: &dyn Fn(&T) -> bool| {
                let found = known.objects().filter(|object| is(object));
                found.map(|object| Arc::clone(object.id())).collect::<Vec<_>>()
            };
            let mut matching = found(&|object| **object.id() == **value);
            if matching.is_empty() {
                matching = found(&|object| **name(object) == **value);
            }
            if matching.is_empty() {
                matching = found(&|object| object.id().starts_with(value.as_str()));
            }
            match matching.len() {
                0 => return Err(Error::NotFound { kind, value: value.clone() }),
                1 => ids.extend(matching),
                count => {
                    return Err(Error::Ambiguous { kind, value: value.clone(), count });
                }
            }
        }
        Ok(Some(ids))
    }
}

/// The first of the values that an enumeration does not have.
fn not_among<'a>(values: &'a BTreeSet<String>, accepted: &[&str]) -> Option<&'a String> {
    let known = |value: &str| value.is_empty() || accepted.contains(&&*value.to_lowercase());
    values.iter().find(|value| !known(value))
}

impl Selection {
    /// Whether a node is let through.
    pub fn node(&self, node: &Node) -> bool {
        self.starts("name", &node.hostname)
            && self.starts("id", &node.id)
            && self.labelled("label", &node.engine_labels)
            && self.labelled("node.label", &node.labels)
            && self.is("role", &node.role)
    }

    /// Whether a service is let through.
    pub fn service(&self, service: &Service) -> bool {
        let mode = match service.mode {
            Mode::Global => "global",
            Mode::Replicated => "replicated",
            Mode::GlobalJob => "global-job",
            Mode::ReplicatedJob => "replicated-job",
            Mode::Unknown => "",
        };
        let modes = self.filters.terms.get("mode");
        self.starts("name", &service.name)
            && self.starts("id", &service.id)
            && self.labelled("label", &service.labels)
            && modes.is_none_or(|modes| modes.contains(mode))
    }

    /// Whether a task is let through. `service` is the one that it belongs to, if that is known.
    pub fn task(&self, task: &Task, service: Option<&Service>) -> bool {
        let among = |ids: &Option<BTreeSet<Arc<str>>>, id: &Arc<str>| {
            ids.as_ref().is_none_or(|ids| ids.contains(id))
        };
        self.is("desired-state", &task.desired_state)
            && among(&self.services, &task.service)
            && among(&self.nodes, &task.node)
            && self.starts("id", &task.id)
            && self.named_task(task, service)
            && self.filters.terms.get("label").is_none_or(|wanted| {
                service.is_some_and(|service| has_labels(wanted, &service.labels))
            })
    }

    /// A task's name is its service's, its slot or node, and its ID (swarmkit `api/naming`).
    fn named_task(&self, task: &Task, service: Option<&Service>) -> bool {
        self.filters.terms.get("name").is_none_or(|starts| {
            let service = service.map_or("", |service| &*service.name);
            let name = match task.slot {
                0 => format!("{service}.{}.{}", task.node, task.id),
                slot => format!("{service}.{slot}.{}", task.id),
            };
            starts.iter().any(|start| name.starts_with(start.as_str()))
        })
    }

    fn is(&self, name: &str, value: &str) -> bool {
        let values = self.filters.terms.get(name);
        values.is_none_or(|values| values.iter().any(|wanted| wanted.eq_ignore_ascii_case(value)))
    }

    fn starts(&self, name: &str, value: &str) -> bool {
        let starts = self.filters.terms.get(name);
        starts.is_none_or(|starts| starts.iter().any(|start| value.starts_with(start.as_str())))
    }

    fn labelled(&self, name: &str, labels: &LabelMap) -> bool {
        self.filters.terms.get(name).is_none_or(|wanted| has_labels(wanted, labels))
    }
}

/// `key`, or `key=value`, each of them.
fn has_labels(wanted: &BTreeSet<String>, labels: &LabelMap) -> bool {
    wanted.iter().all(|wanted| {
        let (key, value) = wanted.split_once('=').unwrap_or((wanted, ""));
        labels.get(key).is_some_and(|is| value.is_empty() || is == value)
    })
}

#[cfg(test)]
mod tests;
