//! Nodes as targets: the preset `dockerd`.

use std::collections::BTreeSet;
use std::sync::Arc;

use swarmscout_docker::engine::Node;
use swarmscout_model::labels::{ADDRESS, INSTANCE, JOB};
use swarmscout_model::{CanonicalGroups, TargetGroup};
use swarmscout_refresh::problems::shown;
use swarmscout_swarm::Bucket;

use super::config::CopiedLabel;
use super::presets::Preset;
use super::targets::{Buffers, Context, DECLARED_BY, METRICS_PATH, NODE, PRESET, SCHEME};
use crate::limits::{Excess, Meter};
use crate::source::dockerswarm::group_cache::BucketResult;

/// What the source keys of groups of nodes begin with.
const GROUPS: &str = "Swarmscout;dockerd";

/// The address of a node's Engine for its metrics. `None` if others cannot use it.
pub(super) fn dockerd_address(node: &Node, buffers: &mut Buffers) -> Option<Arc<str>> {
    let host = node.usable_address()?;
    Some(buffers.address.host(&host, Preset::Dockerd.row().port).into())
}

/// The addresses in the groups that [`find`] made.
pub(super) fn restored(groups: &CanonicalGroups) -> BTreeSet<Arc<str>> {
    let of_nodes = groups.iter().filter(|group| group.source.starts_with(GROUPS));
    let targets = of_nodes.flat_map(|group| &group.targets);
    targets.filter_map(|target| target.get(ADDRESS).map(Arc::from)).collect()
}

/// Makes a group of the nodes of a bucket whose Engine serves metrics.
pub(super) fn find(
    bucket: &Bucket<Node>,
    answered: &dyn Fn(&str) -> bool,
    context: Context<'_>,
    buffers: &mut Buffers,
    found: &mut BucketResult<()>,
    meter: &mut Meter,
) -> Result<(), Excess> {
    let Context { options, shared, names, .. } = context;
    let mut targets = Vec::new();
    for node in bucket.objects() {
        let Some(address) = dockerd_address(node, buffers) else { continue };
        let Some(labels) = shared.node(&node.id).filter(|_| answered(&address)) else {
            continue;
        };
        let writer = &mut buffers.writer;
        writer.push(ADDRESS, &address);
        writer.extend(&labels.known);
        writer.push(DECLARED_BY, PRESET);
        writer.extend(&labels.own);
        writer.push(METRICS_PATH, Preset::Dockerd.row().path);
        writer.push(SCHEME, "http");
        writer.push(INSTANCE, names.of(&node.id));
        writer.push(NODE, names.of(&node.id));
        for CopiedLabel { key, name } in &*options.copied {
            writer.push(name, node.labels.get(key).unwrap_or_default());
        }
        let target = writer.build();
        let counted = meter.target(&target, || format!("node {}", shown(&node.id)));
        if found.skipped.fits(counted, "node", &node.id)? {
            targets.push(target);
        }
    }
    if targets.is_empty() {
        return Ok(());
    }
    let source = bucket.name(GROUPS);
    buffers.writer.push(JOB, Preset::Dockerd.as_str());
    let labels = buffers.writer.build();
    meter.group(source.len(), targets.len(), &labels, String::new)?;
    found.groups.push(TargetGroup { source, targets, labels });
    Ok(())
}
