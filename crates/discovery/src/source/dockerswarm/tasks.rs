//! `role: tasks`: a target for each address and port of a task (Prometheus
//! `discovery/moby/tasks.go`).
//!
//! The labels of nodes, networks, services and containers are written once each; a target's set is
//! put together from those pieces. What all tasks of a service have in common stands at the group.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use swarmscout_model::labels::ADDRESS;
use swarmscout_model::{Labels, LabelsWriter};

use super::{Found, Options, SOURCE, meta};
use crate::engine::{Attachment, LabelMap, Lists, Port, Service, Task};
use crate::source::moby::{self, AddressWriter, ById, Skipped};
use crate::source::partition::Partition;

pub(super) fn find(lists: &Lists, options: Options, found: &mut Found<'_>) {
    let mut writer = LabelsWriter::new();
    let mut address = AddressWriter::default();
    let skipped = &mut found.skipped;
    let networks = moby::networks(meta::PREFIX, &lists.networks, skipped, &mut writer);
    let nodes = nodes(lists, skipped, &mut writer);
    let services: ById<&Service> =
        lists.services.iter().map(|service| (service.id.clone(), &**service)).collect();
    let containers = containers(lists, skipped, &mut writer);

    // One service after the other, so that only its targets are there beside those known already.
    let mut by_service: BTreeMap<&Arc<str>, Vec<&Task>> = BTreeMap::new();
    for task in &lists.tasks {
        by_service.entry(&task.service).or_default().push(task);
    }
    for (id, tasks) in by_service {
        let service = services.get(id);
        let ports = service.map_or(&[][..], |service| &service.ports);
        let mut targets = Partition::default();
        for task in tasks {
            let node = nodes.get(&task.node);
            let pieces = Pieces {
                task,
                container: &containers[&Arc::as_ptr(&task.labels)],
                node,
                slot: &task.slot.to_string(),
            };
            for port in tcp(&task.host_ports) {
                let node_address = node.map_or("", |node| &*node.address);
                let address = address.host(node_address, port.published);
                targets.push(&task.id, pieces.target(address, None, Some(port), &mut writer));
            }
            for attachment in attachments(task, options) {
                let network = networks.get(&attachment.network);
                for ip in &attachment.addresses {
                    let mut published = tcp(ports).peekable();
                    if published.peek().is_none() {
                        let address = address.ip(*ip, options.port);
                        targets.push(&task.id, pieces.target(address, network, None, &mut writer));
                    }
                    for port in published {
                        let address = address.ip(*ip, options.overlay_port(port));
                        let target = pieces.target(address, network, Some(port), &mut writer);
                        targets.push(&task.id, target);
                    }
                }
            }
        }
        let labels = service.map_or_else(Labels::empty, |service| {
            found.skipped.collisions("service", id, &service.labels);
            meta::service(service, false, &mut writer)
        });
        targets.groups(&format!("{SOURCE}/{id}"), &labels, &mut found.groups);
    }
}

/// What the targets of one task are put together from.
struct Pieces<'a> {
    task: &'a Task,
    container: &'a Labels,
    node: Option<&'a OfNode>,
    slot: &'a str,
}

impl Pieces<'_> {
    fn target(
        &self,
        address: &str,
        network: Option<&Labels>,
        port: Option<&Port>,
        writer: &mut LabelsWriter,
    ) -> Labels {
        let task = self.task;
        writer.push(ADDRESS, address);
        writer.extend(self.container);
        if let Some(network) = network {
            writer.extend(network);
        }
        if let Some(node) = self.node {
            writer.extend(&node.known);
        }
        writer.push("__meta_dockerswarm_task_container_id", &task.container);
        writer.push("__meta_dockerswarm_task_desired_state", &task.desired_state);
        writer.push("__meta_dockerswarm_task_id", &task.id);
        if let Some(port) = port {
            writer.push("__meta_dockerswarm_task_port_publish_mode", &port.mode);
        }
        writer.push("__meta_dockerswarm_task_slot", self.slot);
        writer.push("__meta_dockerswarm_task_state", &task.state);
        if let Some(node) = self.node {
            writer.extend(&node.own);
        }
        if let Some(port) = port.filter(|port| port.target != 0) {
            writer.push(meta::OWN_TASK_TARGET_PORT, &port.target.to_string());
        }
        writer.build()
    }
}

/// What tasks take over from their node.
struct OfNode {
    /// As the Engine tells it: that is where Prometheus looks for ports published there.
    address: Arc<str>,
    known: Labels,
    own: Labels,
}

fn nodes(lists: &Lists, skipped: &mut Skipped, writer: &mut LabelsWriter) -> ById<OfNode> {
    let nodes = lists.nodes.iter().map(|node| {
        skipped.collisions("node", &node.id, &node.labels);
        skipped.collisions("node", &node.id, &node.engine_labels);
        let known = meta::node(node, false, writer);
        let own = meta::own_node(node, writer);
        (node.id.clone(), OfNode { address: node.address.clone(), known, own })
    });
    nodes.collect()
}

/// The labels of each map that some container has. The maps of a service's tasks are mostly one
/// and the same; they are known by their address, which stands as long as the lists do.
fn containers(
    lists: &Lists,
    skipped: &mut Skipped,
    writer: &mut LabelsWriter,
) -> HashMap<*const LabelMap, Labels, RandomState> {
    let mut containers = HashMap::default();
    for task in &lists.tasks {
        containers.entry(Arc::as_ptr(&task.labels)).or_insert_with(|| {
            // Told of the service, whose configuration it is: tasks come and go.
            let (kind, id) = match &*task.service {
                "" => ("task", &task.id),
                _ => ("service", &task.service),
            };
            skipped.collisions(kind, id, &task.labels);
            meta::container(&task.labels, writer)
        });
    }
    containers
}

fn tcp(ports: &[Port]) -> impl Iterator<Item = &Port> {
    ports.iter().filter(|port| &*port.protocol == "tcp")
}

/// The attachments that give targets: all, or the first with an address by the name of its
/// network. The network of published ports comes last: no container can be reached by it.
fn attachments(task: &Task, options: Options) -> &[Attachment] {
    let all = &task.attachments;
    if !options.match_first_network {
        return all;
    }
    let with_address = (0..all.len()).filter(|at| !all[*at].addresses.is_empty());
    let first = with_address.min_by_key(|at| {
        let attachment = &all[*at];
        (attachment.ingress, &attachment.name, &attachment.network)
    });
    first.map_or(&[], |at| &all[at..=at])
}
