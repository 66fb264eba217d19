//! `role: tasks`: a target for each address and port of a task (Prometheus
//! `discovery/moby/tasks.go`).
//!
//! The labels of each node, network, service and container are written once, and the label set of a
//! target is assembled from them. Labels that all tasks of a service share are labels of the group.

use std::sync::Arc;

use swarmscout_docker::engine::{Attachment, LabelMap, Port, Task};
use swarmscout_model::labels::ADDRESS;
use swarmscout_model::{Labels, LabelsWriter, TargetGroup};
use swarmscout_refresh::problems::shown;
use swarmscout_swarm::Bucket;

use super::finder::{Buffers, Context};
use super::group_cache::BucketResult;
use super::shared_labels::NodeLabels;
use super::{Options, SOURCE, meta};
use crate::limits::{Excess, Meter};
use crate::without_address::{self, ServiceWithoutAddress};

/// Makes one group of a bucket of tasks.
pub(super) fn find(
    bucket: &Bucket<Task>,
    context: Context<'_>,
    buffers: &mut Buffers,
    found: &mut BucketResult<Vec<ServiceWithoutAddress>>,
    meter: &mut Meter,
) -> Result<(), Excess> {
    let Context { snapshot, shared, options, selection } = context;
    let Buffers { writer, address } = buffers;
    let service = snapshot.services.get("", bucket.owner()).map(|service| &**service);
    let ports = service.map_or(&[][..], |service| &service.ports);
    let mut targets = Vec::new();
    // The tasks of a service mostly share one map.
    let mut container: Option<(&Arc<LabelMap>, Labels)> = None;
    for task in bucket.objects().filter(|task| selection.task(task, service)) {
        let container = match &mut container {
            Some((map, labels)) if Arc::ptr_eq(map, &task.labels) => &*labels,
            other => {
                // Reported for the service, which configures the labels: tasks come and go.
                let (kind, id) = match &*task.service {
                    "" => ("task", &task.id),
                    _ => ("service", &task.service),
                };
                found.skipped.collisions(kind, id, &task.labels);
                &other.insert((&task.labels, meta::container(&task.labels, writer))).1
            }
        };
        let before = targets.len();
        let mut keep = |target| {
            let counted = meter.target(&target, || format!("task {}", shown(&task.id)));
            if found.skipped.fits(counted, "task", &task.id)? {
                targets.push(target);
            }
            Ok::<_, Excess>(())
        };
        let node = shared.node(&task.node);
        let of_task = Parts { task, container, node, slot: &task.slot.to_string() };
        for port in tcp(&task.host_ports) {
            let node_address = node.map_or("", |node| &*node.address);
            let address = address.host(node_address, port.published);
            keep(of_task.target(address, None, Some(port), writer))?;
        }
        for attachment in attachments(task, options) {
            let network = shared.network(&attachment.network);
            for ip in &attachment.addresses {
                let mut published = tcp(ports).peekable();
                if published.peek().is_none() {
                    let address = address.ip(*ip, options.port);
                    keep(of_task.target(address, network, None, writer))?;
                }
                for port in published {
                    let address = address.ip(*ip, options.overlay_port(port));
                    keep(of_task.target(address, network, Some(port), writer))?;
                }
            }
        }
        if targets.len() == before {
            let name = service.map(|service| &*service.name);
            without_address::note(&mut found.extra, name, task);
        }
    }
    let labels = service.map_or_else(Labels::empty, |service| {
        found.skipped.collisions("service", &service.id, &service.labels);
        meta::service(service, false, writer)
    });
    let source = bucket.name(SOURCE);
    let of = || format!("service {}", shown(bucket.owner()));
    let counted = meter.group(source.len(), targets.len(), &labels, of);
    if found.skipped.fits(counted, "service", bucket.owner())? {
        found.groups.push(TargetGroup { source, targets, labels });
    }
    Ok(())
}

/// What the targets of one task are assembled from.
struct Parts<'a> {
    task: &'a Task,
    container: &'a Labels,
    node: Option<&'a NodeLabels>,
    slot: &'a str,
}

impl Parts<'_> {
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
        meta::task(task, self.slot, port.map(|port| &*port.mode), writer);
        if let Some(node) = self.node {
            writer.extend(&node.own);
        }
        if let Some(port) = port.filter(|port| port.target != 0) {
            writer.push(meta::OWN_TASK_TARGET_PORT, &port.target.to_string());
        }
        writer.build()
    }
}

fn tcp(ports: &[Port]) -> impl Iterator<Item = &Port> {
    ports.iter().filter(|port| &*port.protocol == "tcp")
}

/// The attachments that make targets: all, or the first one with an address, by network name. The
/// network of published ports comes last: no container can be reached through it.
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
