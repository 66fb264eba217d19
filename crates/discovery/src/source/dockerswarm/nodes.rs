//! `role: nodes`: a target for each node (Prometheus `discovery/moby/nodes.go`).

use swarmscout_docker::engine::Node;
use swarmscout_model::labels::ADDRESS;
use swarmscout_model::{Labels, TargetGroup};
use swarmscout_refresh::problems::shown;
use swarmscout_swarm::Bucket;

use super::finder::{Given, Scratch};
use super::shelf::Found;
use super::{SOURCE, meta};
use crate::limits::{Excess, Meter};

/// One group.
pub(super) fn find(
    bucket: &Bucket<Node>,
    given: Given<'_>,
    scratch: &mut Scratch,
    found: &mut Found,
    meter: &mut Meter,
) -> Result<(), Excess> {
    let Given { options, selection, .. } = given;
    let Scratch { writer, address } = scratch;
    let mut targets = Vec::with_capacity(bucket.objects().len());
    for node in bucket.objects().filter(|node| selection.node(node)) {
        found.skipped.collisions("node", &node.id, &node.labels);
        found.skipped.collisions("node", &node.id, &node.engine_labels);
        let known = meta::node(node, true, writer);
        let own = meta::own_node(node, writer);
        writer.push(ADDRESS, address.host(&node.address, options.port));
        writer.extend(&known);
        writer.extend(&own);
        let target = writer.build();
        meter.target(&target, || format!("node {}", shown(&node.id)))?;
        targets.push(target);
    }
    let (source, labels) = (bucket.name(SOURCE), Labels::empty());
    meter.group(source.len(), targets.len(), &labels, String::new)?;
    found.groups.push(TargetGroup { source, targets, labels });
    Ok(())
}
