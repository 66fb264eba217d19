//! `role: nodes`: a target for each node (Prometheus `discovery/moby/nodes.go`).

use swarmscout_docker::engine::Node;
use swarmscout_model::labels::ADDRESS;
use swarmscout_model::{Labels, TargetGroup};
use swarmscout_refresh::problems::shown;
use swarmscout_swarm::Bucket;

use super::finder::{Buffers, Context};
use super::group_cache::BucketResult;
use super::{SOURCE, meta};
use crate::limits::{Excess, Meter};

/// Makes one group of a bucket of nodes.
pub(super) fn find(
    bucket: &Bucket<Node>,
    context: Context<'_>,
    buffers: &mut Buffers,
    found: &mut BucketResult<()>,
    meter: &mut Meter,
) -> Result<(), Excess> {
    let Context { options, selection, .. } = context;
    let Buffers { writer, address } = buffers;
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
        let counted = meter.target(&target, || format!("node {}", shown(&node.id)));
        if found.skipped.fits(counted, "node", &node.id)? {
            targets.push(target);
        }
    }
    let (source, labels) = (bucket.name(SOURCE), Labels::empty());
    meter.group(source.len(), targets.len(), &labels, String::new)?;
    found.groups.push(TargetGroup { source, targets, labels });
    Ok(())
}
