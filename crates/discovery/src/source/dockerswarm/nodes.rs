//! `role: nodes`: a target for each node (Prometheus `discovery/moby/nodes.go`).

use swarmscout_model::labels::ADDRESS;
use swarmscout_model::{Labels, LabelsWriter};

use super::{Found, Options, SOURCE, meta};
use crate::engine::Lists;
use crate::source::moby::AddressWriter;
use crate::source::partition::Partition;

pub(super) fn find(lists: &Lists, options: Options, found: &mut Found<'_>) {
    let mut writer = LabelsWriter::new();
    let mut address = AddressWriter::default();
    let mut targets = Partition::default();
    for node in &lists.nodes {
        found.skipped.collisions("node", &node.id, &node.labels);
        found.skipped.collisions("node", &node.id, &node.engine_labels);
        let known = meta::node(node, true, &mut writer);
        let own = meta::own_node(node, &mut writer);
        writer.push(ADDRESS, address.host(&node.address, options.port));
        writer.extend(&known);
        writer.extend(&own);
        targets.push(&node.id, writer.build());
    }
    targets.groups(SOURCE, &Labels::empty(), &mut found.groups);
}
