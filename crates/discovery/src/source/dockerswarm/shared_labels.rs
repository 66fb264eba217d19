//! Labels that many targets share. They are written once for each network and node, and again when
//! it changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use swarmscout_model::{Labels, LabelsWriter};
use swarmscout_swarm::Snapshot;

use super::meta;
use crate::Problem;
use crate::source::moby::{self, ById, Skipped};

/// The labels of all networks and nodes of a snapshot.
#[derive(Debug, Default)]
pub(in crate::source) struct SharedLabels {
    networks: ById<Labels>,
    nodes: ById<NodeLabels>,
    /// By kind and ID. Objects without problems have no entry.
    problems: BTreeMap<(&'static str, Arc<str>), Vec<Problem>>,
}

/// The labels of a node that its tasks have, too.
#[derive(Debug)]
pub(in crate::source) struct NodeLabels {
    /// As the Engine reports it: Prometheus scrapes ports that are published on the node there.
    pub(in crate::source) address: Arc<str>,
    /// The address at which others reach the node, if there is one.
    pub(in crate::source) usable_address: Option<Arc<str>>,
    /// Prometheus' labels.
    pub(in crate::source) known: Labels,
    /// Our own labels.
    pub(in crate::source) own: Labels,
}

impl SharedLabels {
    pub(in crate::source) fn network(&self, id: &str) -> Option<&Labels> {
        self.networks.get(id)
    }

    pub(in crate::source) fn node(&self, id: &str) -> Option<&NodeLabels> {
        self.nodes.get(id)
    }

    pub(in crate::source) fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.problems.values().flatten()
    }

    pub(in crate::source) fn update_networks(
        &mut self,
        seen: &Snapshot,
        now: &Snapshot,
        writer: &mut LabelsWriter,
    ) {
        for difference in seen.networks.differences(&now.networks) {
            let mut skipped = Skipped::default();
            match difference {
                (Some(gone), None) => drop(self.networks.remove(&gone.id)),
                (_, Some(network)) => {
                    let labels = moby::network(meta::PREFIX, network, &mut skipped, writer);
                    self.networks.insert(Arc::clone(&network.id), labels);
                }
                (None, None) => {}
            }
            let (before, after) = difference;
            let id = after.or(before).map(|network| &network.id);
            self.note("network", id, skipped);
        }
    }

    pub(in crate::source) fn update_nodes(
        &mut self,
        seen: &Snapshot,
        now: &Snapshot,
        writer: &mut LabelsWriter,
    ) {
        for difference in seen.nodes.differences(&now.nodes) {
            let mut skipped = Skipped::default();
            match difference {
                (Some(gone), None) => drop(self.nodes.remove(&gone.id)),
                (_, Some(node)) => {
                    skipped.collisions("node", &node.id, &node.labels);
                    skipped.collisions("node", &node.id, &node.engine_labels);
                    let known = meta::node(node, false, writer);
                    let own = meta::own_node(node, writer);
                    let address = Arc::clone(&node.address);
                    let usable_address = node.usable_address().map(Arc::from);
                    let labels = NodeLabels { address, usable_address, known, own };
                    self.nodes.insert(Arc::clone(&node.id), labels);
                }
                (None, None) => {}
            }
            let (before, after) = difference;
            self.note("node", after.or(before).map(|node| &node.id), skipped);
        }
    }

    fn note(&mut self, kind: &'static str, id: Option<&Arc<str>>, skipped: Skipped) {
        let Some(id) = id else { return };
        let problems: Vec<_> = skipped.into_problems().collect();
        if problems.is_empty() {
            self.problems.remove(&(kind, Arc::clone(id)));
        } else {
            self.problems.insert((kind, Arc::clone(id)), problems);
        }
    }
}
