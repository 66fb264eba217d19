//! Which targets are those of an object.
//!
//! A Swarm may have 100,000 targets. The labels of most groups name a service, so groups of other
//! services are skipped.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use swarmscout_model::labels::ADDRESS;
use swarmscout_model::{Labels, TargetGroup};

use super::find::{Found, Known};
use super::{Kind, Object};
use crate::tasks::on_node;

const SERVICE_ID: &str = "__meta_dockerswarm_service_id";
const TASK_ID: &str = "__meta_dockerswarm_task_id";
const NODE_ID: &str = "__meta_dockerswarm_node_id";
/// Of containers that plain engines list.
const SERVICE_OF_CONTAINER: &str = "__meta_docker_container_label_com_docker_swarm_service_id";
const TASK_OF_CONTAINER: &str = "__meta_docker_container_label_com_docker_swarm_task_id";

/// The targets of an object.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    object: &'a Object,
    /// The services that its targets are of; `None` if they may be of any.
    services: Option<BTreeSet<Arc<str>>>,
    /// Of an address without a port.
    host: Option<&'a str>,
}

/// The targets of an object in one group.
#[derive(Clone, Copy, Debug)]
pub(super) struct InGroup<'a> {
    scope: &'a Scope<'a>,
    group: &'a TargetGroup,
    /// Whether all targets of the group are of the object.
    is_whole: bool,
}

impl<'a> Scope<'a> {
    pub(super) fn of(found: &'a Found<'_>) -> Self {
        let place = found.place.as_ref();
        let services = place.map(|place| match &place.known {
            Known::Service(service) => BTreeSet::from([Arc::clone(&service.id)]),
            Known::Task(task) => BTreeSet::from([Arc::clone(&task.service)]),
            Known::Node(node) => {
                let tasks = on_node(place.snapshot, &node.id);
                tasks.map(|task| Arc::clone(&task.service)).collect()
            }
        });
        let id = &*found.object.id;
        let is_host = id.parse::<IpAddr>().is_ok() || !id.contains(':');
        Self { object: &found.object, services, host: is_host.then_some(id) }
    }

    /// The targets of the object in a group; `None` if its own labels show that there are none.
    pub(super) fn in_group(&'a self, group: &'a TargetGroup) -> Option<InGroup<'a>> {
        let Some(services) = &self.services else {
            return Some(InGroup { scope: self, group, is_whole: false });
        };
        let service = group.labels.get(SERVICE_ID);
        let may_have = service.is_none_or(|id| services.contains(id));
        let is_whole = self.object.kind == Kind::Service && service == Some(&*self.object.id);
        may_have.then_some(InGroup { scope: self, group, is_whole })
    }

    fn is_at(&self, address: &str) -> bool {
        let has_host = |host: &str| {
            let rest = address.strip_prefix('[').unwrap_or(address).strip_prefix(host);
            rest.is_some_and(|rest| {
                let port = rest.strip_prefix(']').unwrap_or(rest);
                port.is_empty() || port.starts_with(':')
            })
        };
        address == self.object.id || self.host.is_some_and(has_host)
    }
}

impl InGroup<'_> {
    /// Whether a target is one of the object. `relabelled` are its labels after rules that may have
    /// changed the address.
    pub(super) fn has(self, index: u32, relabelled: Option<&Labels>) -> bool {
        let Self { scope, group, is_whole } = self;
        let label = |name: &'static str| label(group, index, name);
        let is = |name, or| label(name).or_else(|| label(or)) == Some(&*scope.object.id);
        match scope.object.kind {
            Kind::Service => is_whole || is(SERVICE_ID, SERVICE_OF_CONTAINER),
            Kind::Task => is(TASK_ID, TASK_OF_CONTAINER),
            Kind::Node => label(NODE_ID) == Some(&*scope.object.id),
            Kind::Address => {
                let after = || relabelled.and_then(|labels| labels.get(ADDRESS));
                label(ADDRESS).is_some_and(|address| scope.is_at(address))
                    || after().is_some_and(|address| scope.is_at(address))
            }
        }
    }
}

/// A label of a target before relabeling.
pub(super) fn label<'a>(group: &'a TargetGroup, index: u32, name: &str) -> Option<&'a str> {
    let own = group.targets.get(index as usize);
    own.and_then(|own| own.get(name)).or_else(|| group.labels.get(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_by_its_host() {
        let check = |id: &str, address: &str, expected: bool| {
            let object = Object { kind: Kind::Address, id: id.to_owned(), name: id.to_owned() };
            let found = Found { object, place: None };
            assert_eq!(Scope::of(&found).is_at(address), expected, "{id} {address}");
        };
        check("10.0.0.1", "10.0.0.1:80", true);
        check("10.0.0.1", "10.0.0.1", true);
        check("10.0.0.1", "10.0.0.11:80", false);
        check("10.0.0.1", "110.0.0.1:80", false);
        check("10.0.0.1:80", "10.0.0.1:80", true);
        check("10.0.0.1:80", "10.0.0.1:8080", false);
        check("fd00::1", "[fd00::1]:80", true);
        check("fd00::1", "[fd00::1]", true);
        check("fd00::1", "[fd00::12]:80", false);
        check("web", "web:80", true);
        check("web", "web.example.com:80", false);
    }
}
