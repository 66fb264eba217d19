//! Which peers a node probes: those that follow it on a ring.
//!
//! Nodes stand on a ring by the hash of their key, and each probes the next ones. So each node is probed
//! by exactly as many as it probes, every node computes the same ring without being asked, and a node
//! that comes or goes changes one peer of each of its predecessors. Rendezvous hashing (each node takes
//! those of the highest hash of both keys) moves as little, but leaves one node of fifty without a
//! prober.

use xxhash_rust::xxh3::xxh3_64;

/// How many peers a node probes.
pub(crate) const PEERS: usize = 4;

/// The indexes of the nodes that `own` probes, among the keys of the others.
pub(crate) fn successors(own: &str, others: &[impl AsRef<str>]) -> Vec<usize> {
    let place = |key: &str| xxh3_64(key.as_bytes());
    let start = place(own);
    let distance = |index: &usize| {
        let key = others[*index].as_ref();
        (place(key).wrapping_sub(start), key)
    };
    let mut indexes: Vec<_> = (0..others.len()).collect();
    indexes.sort_by_cached_key(|index| {
        let (distance, key) = distance(index);
        (distance, key.to_owned())
    });
    indexes.truncate(PEERS);
    indexes
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// Who probes whom.
    fn probes(nodes: &BTreeSet<String>) -> BTreeMap<&str, BTreeSet<&str>> {
        let of = |own: &str| {
            let others: Vec<&str> =
                nodes.iter().map(String::as_str).filter(|n| *n != own).collect();
            successors(own, &others).into_iter().map(|index| others[index]).collect()
        };
        nodes.iter().map(|own| (own.as_str(), of(own))).collect()
    }

    #[test]
    fn in_a_small_swarm_each_node_probes_all_others() {
        for size in 0..=PEERS {
            let others: Vec<_> = (0..size).map(|n| format!("node-{n}")).collect();
            let chosen: BTreeSet<_> = successors("own", &others).into_iter().collect();
            assert_eq!(chosen, (0..size).collect());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn each_node_probes_four_and_is_probed_by_four(nodes in prop::collection::btree_set("[a-z0-9]{3,25}", 6..60)) {
            let probes = probes(&nodes);
            for (node, peers) in &probes {
                prop_assert_eq!(peers.len(), PEERS);
                prop_assert!(!peers.contains(node));
                let probers = probes.values().filter(|peers| peers.contains(node)).count();
                prop_assert_eq!(probers, PEERS);
            }
        }

        #[test]
        fn a_node_that_leaves_changes_one_peer_of_those_that_probed_it(
            mut nodes in prop::collection::btree_set("[a-z0-9]{3,25}", 7..60),
            pick in any::<prop::sample::Index>(),
        ) {
            let leaves = nodes.iter().nth(pick.index(nodes.len())).expect("the index is inside").clone();
            let before: BTreeMap<String, BTreeSet<String>> = probes(&nodes)
                .into_iter()
                .map(|(node, peers)| (node.to_owned(), peers.into_iter().map(str::to_owned).collect()))
                .collect();
            nodes.remove(&leaves);
            for (node, peers) in probes(&nodes) {
                let peers: BTreeSet<String> = peers.into_iter().map(str::to_owned).collect();
                let gone: Vec<_> = before[node].difference(&peers).collect();
                let expected: &[&String] = if before[node].contains(&leaves) { &[&leaves] } else { &[] };
                prop_assert_eq!(gone, expected);
            }
        }
    }
}
