//! What each node may fetch for scrapers: what targets of jobs with `reach: node` point at.
//!
//! Sets are compared by the addresses of their groups, so a change costs the groups that changed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use swarmscout_model::target_list::{ADDRESS_SOURCE, NODE_PART};
use swarmscout_model::{ReachPath, RelabelledGroup, SetGroup, TargetSet};

use crate::wire::ReachTarget;

/// What the source keys of groups begin with that may have such targets. Other sources cannot open
/// a port, whatever labels their servers send.
const SOURCES: [&str; 2] = ["Swarmscout/", "Swarmscout;"];

const NODE_ID: &str = "__meta_dockerswarm_node_id";
const TASK_ID: &str = "__meta_dockerswarm_task_id";
const METRICS_PATH: &str = "__metrics_path__";

/// The most targets of one task: more than its labels can declare.
const MOST: usize = 256;

/// Targets, and how many groups have each.
type Targets = BTreeMap<ReachTarget, u32>;

/// The targets of all tasks that node parts fetch from.
#[derive(Debug, Default)]
pub(crate) struct ReachIndex {
    /// The groups of each job when its set was last read.
    jobs: BTreeMap<Arc<str>, Arc<[SetGroup]>>,
    /// By node and task. A target counts once for each job and list that has it.
    nodes: HashMap<Box<str>, HashMap<Box<str>, Targets>>,
    /// The number of groups that were read, for tests.
    pub(crate) groups_read: u64,
}

impl ReachIndex {
    /// Follows the sets of all jobs. Returns the IDs of the nodes whose targets differ now.
    pub(crate) fn update(&mut self, sets: &[Arc<TargetSet>]) -> BTreeSet<Box<str>> {
        let mut before = std::mem::take(&mut self.jobs);
        let mut changed = BTreeSet::new();
        for set in sets {
            let name = set.pool.name();
            let old = before.remove(name).unwrap_or_default();
            self.follow(&old, &set.groups, &mut changed);
            self.jobs.insert(Arc::clone(name), Arc::clone(&set.groups));
        }
        for gone in before.into_values() {
            self.follow(&gone, &[], &mut changed);
        }
        changed
    }

    /// What may be fetched from a task, in order.
    pub(crate) fn of(&self, node: &str, task: &str) -> Vec<ReachTarget> {
        let targets = self.nodes.get(node).and_then(|tasks| tasks.get(task));
        targets.map_or_else(Vec::new, |targets| targets.keys().take(MOST).cloned().collect())
    }

    fn follow(&mut self, old: &[SetGroup], new: &[SetGroup], changed: &mut BTreeSet<Box<str>>) {
        let same = |(a, b): &(&SetGroup, &SetGroup)| Arc::ptr_eq(&a.relabelled, &b.relabelled);
        let start = old.iter().zip(new).take_while(same).count();
        let (old, new) = (&old[start..], &new[start..]);
        let end = old.iter().rev().zip(new.iter().rev()).take_while(same).count();
        let (old, new) = (&old[..old.len() - end], &new[..new.len() - end]);
        let address = |group: &SetGroup| Arc::as_ptr(&group.relabelled);
        let (was, is): (HashSet<_>, HashSet<_>) =
            (old.iter().map(address).collect(), new.iter().map(address).collect());
        // New ones first: what stays never goes to zero.
        for group in new.iter().filter(|group| !was.contains(&address(group))) {
            self.count(&group.relabelled, true, changed);
        }
        for group in old.iter().filter(|group| !is.contains(&address(group))) {
            self.count(&group.relabelled, false, changed);
        }
    }

    fn count(&mut self, group: &RelabelledGroup, adds: bool, changed: &mut BTreeSet<Box<str>>) {
        if !SOURCES.iter().any(|source| group.group.source.starts_with(source)) {
            return;
        }
        self.groups_read += 1;
        for target in &group.active {
            let discovered = &group.group.targets[target.index as usize];
            if discovered.get(ADDRESS_SOURCE) != Some(NODE_PART) {
                continue;
            }
            let path = target.labels.get(METRICS_PATH).and_then(ReachPath::parse);
            let (Some(path), Some(node)) = (path, discovered.get(NODE_ID)) else { continue };
            // A rule may change the path, but not whose it is.
            if discovered.get(TASK_ID) != Some(path.task) {
                continue;
            }
            let ReachPath { scheme, port, path: below, task } = path;
            let target = ReachTarget { scheme: scheme.to_owned(), port, path: below.to_owned() };
            let is_other = if adds {
                let tasks = self.nodes.entry(node.into()).or_default();
                let count = tasks.entry(task.into()).or_default().entry(target).or_default();
                *count += 1;
                *count == 1
            } else {
                self.remove(node, task, &target)
            };
            if is_other {
                changed.insert(node.into());
            }
        }
    }

    /// Whether the target is gone.
    fn remove(&mut self, node: &str, task: &str, target: &ReachTarget) -> bool {
        let Some(tasks) = self.nodes.get_mut(node) else { return false };
        let Some(targets) = tasks.get_mut(task) else { return false };
        let Some(count) = targets.get_mut(target) else { return false };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        targets.remove(target);
        if targets.is_empty() {
            tasks.remove(task);
        }
        if tasks.is_empty() {
            self.nodes.remove(node);
        }
        true
    }
}

#[cfg(test)]
mod tests;
