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

    /// Whether a group can have targets of the object, as far as its own labels show it.
    pub(super) fn may_have(&self, group: &TargetGroup) -> bool {
        let services = self.services.as_ref();
        let named = services.and_then(|services| Some((services, group.labels.get(SERVICE_ID)?)));
        named.is_none_or(|(services, id)| services.contains(id))
    }

    /// Whether a target is one of the object. `labels` are those that relabeling left.
    pub(super) fn has(&self, group: &TargetGroup, index: u32, labels: Option<&Labels>) -> bool {
        let id = &*self.object.id;
        let is = |name: &str| label(group, index, name) == Some(id);
        match self.object.kind {
            // The label of the group is cheaper to read, and counts for nearly all.
            Kind::Service => {
                group.labels.get(SERVICE_ID) == Some(id)
                    || is(SERVICE_ID)
                    || is(SERVICE_OF_CONTAINER)
            }
            Kind::Task => is(TASK_ID) || is(TASK_OF_CONTAINER),
            Kind::Node => is(NODE_ID),
            Kind::Address => {
                let matches = |address: &str| {
                    address == id || self.host.is_some_and(|host| host_of(address) == host)
                };
                label(group, index, ADDRESS).is_some_and(matches)
                    || labels.and_then(|labels| labels.get(ADDRESS)).is_some_and(matches)
            }
        }
    }
}

/// A label of a target before relabeling.
pub(super) fn label<'a>(group: &'a TargetGroup, index: u32, name: &str) -> Option<&'a str> {
    let own = group.targets.get(index as usize);
    own.and_then(|own| own.get(name)).or_else(|| group.labels.get(name))
}

/// The host of `host:port`, without brackets.
fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}
