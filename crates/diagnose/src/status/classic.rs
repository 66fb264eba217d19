//! The nodes of classic Swarms, as far as their masters report a state. There is no replica of a
//! classic Swarm: what its sources found is read.

use std::collections::BTreeMap;

use swarmscout_model::{Labels, TargetGroup};

use super::NodeCounts;
use crate::doctor::ObservedJob;
use crate::report::{Finding, Severity};

/// Prometheus' style of name for the source of classic Swarm.
const MECHANISM: &str = "swarm";

/// What a master of 1.0 or later calls a node that takes containers.
const HEALTHY: &str = "Healthy";

/// Counts the nodes, and reports those that are not healthy.
pub(super) fn check(jobs: &[ObservedJob]) -> (Option<NodeCounts>, Vec<Finding>) {
    // Several jobs may read one Swarm.
    let mut nodes = BTreeMap::new();
    for job in jobs {
        let status = &job.state.status;
        if status.sources.iter().all(|source| source.mechanism != MECHANISM) {
            continue;
        }
        for group in job.state.set.groups.iter() {
            let group: &TargetGroup = &group.relabelled.group;
            for target in &group.targets {
                if let Some(status) = label(target, "__meta_swarm_node_status") {
                    // The address of the node's Engine.
                    let key = label(target, "instance").unwrap_or_default();
                    nodes.insert(key, (status, target));
                }
            }
        }
    }
    let ready = nodes.values().filter(|(status, _)| *status == HEALTHY).count();
    let counts = NodeCounts { ready, all: nodes.len() };
    let others = nodes.iter().filter(|(_, (status, _))| *status != HEALTHY);
    let findings = others.map(|(address, (status, node))| finding(address, status, node));
    ((counts.all > 0).then_some(counts), findings.collect())
}

fn label<'a>(labels: &'a Labels, name: &str) -> Option<&'a str> {
    labels.get(name).filter(|value| !value.is_empty())
}

fn finding(address: &str, status: &str, node: &Labels) -> Finding {
    let name = label(node, "__meta_swarm_node_name").unwrap_or(address);
    let error = label(node, "__meta_swarm_node_error");
    let error = error.map(|error| format!(": {error}")).unwrap_or_default();
    Finding {
        severity: Severity::Error,
        check: "node_not_ready".to_owned(),
        subject: format!("node {name}"),
        problem: format!("the classic master sees it as {status}{error}"),
        fix: format!("start its Docker Engine, and check that the masters reach it at {address}"),
        targets: 1,
        examples: Vec::new(),
    }
}
