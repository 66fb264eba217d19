//! Targets of this node's containers: what reach may fetch of them, and what a reader of the list gets.
//! Pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use swarmscout_docker::engine::Task;
use swarmscout_model::target_list::{ADDRESS_SOURCE, NODE_PART, UNREACHABLE};
use swarmscout_model::{LabelsBuilder, ReachPath, TargetSet};
use swarmscout_node::facts::FactsSet;
use swarmscout_reach::{ReachTarget, Reachable, ReachableTask};
use swarmscout_swarm::Snapshot;

const CONTAINER: &str = "__meta_dockerswarm_task_container_id";
const TARGET_PORT: &str = "__meta_swarmscout_task_target_port";
const METRICS_PATH: &str = "__metrics_path__";
const SCHEME: &str = "__scheme__";

/// The value of [`ADDRESS_SOURCE`] for a container on the network of its host.
const HOST_NETWORK: &str = "node";

/// What the Engine beside this program calls the machine of its published ports.
const HERE: &str = "localhost:";

/// The way by which a node part reaches a target of a container. `None` for what is not one, and for the
/// node part itself.
fn way<'a>(get: impl Fn(&str) -> Option<&'a str>, own_ports: &[u16]) -> Option<ReachPath<'a>> {
    let port = get(TARGET_PORT)?.parse().ok()?;
    if is_on_host(&get) && own_ports.contains(&port) {
        return None;
    }
    let (scheme, path) = (get(SCHEME).unwrap_or("http"), get(METRICS_PATH).unwrap_or("/metrics"));
    Some(ReachPath { task: get(CONTAINER)?, scheme, port, path })
}

fn is_on_host<'a>(get: impl Fn(&str) -> Option<&'a str>) -> bool {
    get(ADDRESS_SOURCE) == Some(HOST_NETWORK)
}

/// What may be fetched of the containers in the list.
pub(super) fn reachable(
    set: &TargetSet,
    snapshot: &Snapshot,
    facts: &FactsSet,
    own_ports: &[u16],
) -> Reachable {
    let mut listed = HashMap::<&str, (bool, Vec<ReachTarget>)>::new();
    for (group, target) in set.active() {
        let labels = &group.group.targets[target.index as usize];
        let get = |name: &str| labels.get(name);
        let Some(ReachPath { task, scheme, port, path }) = way(get, own_ports) else { continue };
        let Some(target) = ReachTarget::new(scheme, port, path) else { continue };
        let (on_host, targets) = listed.entry(task).or_default();
        *on_host |= is_on_host(get);
        targets.push(target);
    }
    let task = |task: &Arc<Task>| {
        let (host_network, targets) = listed.remove(&*task.container)?;
        let known = facts.containers.get(&*task.container);
        let name = known.and_then(|known| known.name.clone());
        Some(ReachableTask {
            id: task.id.to_string(),
            name: name.unwrap_or_else(|| task.service.to_string()),
            container: task.container.to_string(),
            pid: known.and_then(|known| known.pid).unwrap_or_default(),
            host_network,
            targets,
            ..networks(task, snapshot)
        })
    };
    snapshot.tasks.objects().filter_map(task).collect()
}

/// What the networks of a container mean for reach.
fn networks(task: &Task, snapshot: &Snapshot) -> ReachableTask {
    let network = |id: &str| snapshot.networks.get("", id);
    let is_internal = |id: &str| network(id).is_some_and(|network| network.internal);
    // Another container of this node may have the same address on a bridge. A network that is not
    // known may be one of the Swarm. The machine has an address on internal bridges, but they are not
    // meant to be reached from outside.
    let is_excluded = |id: &str| {
        network(id).is_none_or(|network| network.internal || &*network.driver == "overlay")
    };
    let all = &task.attachments;
    let excluded = all.iter().filter(|one| is_excluded(&one.network));
    let addresses: Vec<IpAddr> = excluded.flat_map(|one| one.addresses.iter().copied()).collect();
    ReachableTask {
        addresses: all.iter().flat_map(|one| one.addresses.iter().copied()).collect(),
        internal_only: !all.is_empty() && all.iter().all(|one| is_internal(&one.network)),
        excluded_addresses: addresses,
        ..ReachableTask::default()
    }
}

/// Who reads the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reader {
    /// `http` or `https`: how it reached this program.
    pub(super) scheme: &'static str,
    /// The name or address by which it reached this machine, IPv6 in brackets.
    pub(super) host: String,
    /// The port by which it reached this program.
    pub(super) port: u16,
    /// Whether it may fetch from containers through this program, and that has a way to them.
    pub(super) by_reach: bool,
}

impl Reader {
    /// The place of this program, for that reader.
    pub(super) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Makes the labels of a target those that this reader needs, and gives its address.
    pub(super) fn address(
        &self,
        known: &str,
        own_ports: &[u16],
        labels: &mut LabelsBuilder,
    ) -> String {
        let get = |name: &str| labels.get(name);
        let path = way(get, own_ports).filter(|_| self.by_reach).map(|path| path.to_string());
        let Some(path) = path else {
            let Some(port) = known.strip_prefix(HERE) else { return known.to_owned() };
            let is_own = port.parse().is_ok_and(|port| own_ports.contains(&port));
            if is_own && is_on_host(get) {
                self.set_scheme(labels);
            }
            return format!("{}:{port}", self.host);
        };
        labels.set(METRICS_PATH, &path);
        labels.set(ADDRESS_SOURCE, NODE_PART);
        labels.remove(UNREACHABLE);
        self.set_scheme(labels);
        self.authority()
    }

    fn set_scheme(&self, labels: &mut LabelsBuilder) {
        if labels.get(SCHEME).unwrap_or("http") != self.scheme {
            labels.set(SCHEME, self.scheme);
        }
    }
}

#[cfg(test)]
mod tests {
    use swarmscout_docker::engine::{Attachment, Network};

    use super::*;

    #[test]
    fn no_address_on_an_internal_network_is_used() {
        let mut snapshot = Snapshot::default();
        for (name, driver, internal) in [
            ("bridge", "bridge", false),
            ("inner", "bridge", true),
            ("front", "overlay", false),
            ("back", "overlay", true),
        ] {
            let (id, driver) = (name.into(), driver.into());
            snapshot.networks.insert(Arc::new(Network {
                id,
                driver,
                internal,
                ..Network::default()
            }));
        }
        for (networks, internal_only, excluded) in [
            ("", false, ""),
            ("bridge=172.17.0.2", false, ""),
            ("inner=172.18.0.2", true, "172.18.0.2"),
            ("inner=172.18.0.2 back=10.0.2.2", true, "172.18.0.2 10.0.2.2"),
            ("inner=172.18.0.2 bridge=172.17.0.2", false, "172.18.0.2"),
            ("front=10.0.1.2 inner=172.18.0.2", false, "10.0.1.2 172.18.0.2"),
            ("unknown=10.0.3.2 inner=172.18.0.2", false, "10.0.3.2 172.18.0.2"),
        ] {
            let attachments = networks.split_whitespace().map(|word| {
                let (network, address) = word.split_once('=').unwrap();
                let addresses = vec![address.parse().unwrap()];
                Attachment { network: network.into(), addresses, ..Attachment::default() }
            });
            let task = Task { attachments: attachments.collect(), ..Task::default() };
            let found = super::networks(&task, &snapshot);
            assert_eq!(found.addresses.len(), networks.split_whitespace().count());
            let addresses: Vec<_> =
                found.excluded_addresses.iter().map(ToString::to_string).collect();
            let found = (found.internal_only, &*addresses.join(" "));
            assert_eq!(found, (internal_only, excluded), "{networks}");
        }
    }
}
