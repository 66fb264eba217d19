//! Which nodes may probe each other: a few of all, by rendezvous hashing. One that comes or goes
//! changes the choice of a few.
//!
//! Two nodes are neighbours if one of them chose the other: a node answers only whom it knows, so both
//! must know of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

/// How many nodes each one probes.
const PEERS: usize = 4;

/// The nodes that can be probed, and whom each of them probes.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    /// With the hash of their IDs.
    members: BTreeMap<Arc<str>, u64>,
    /// The highest score first.
    chosen: HashMap<Arc<str>, Vec<(u64, Arc<str>)>>,
}

impl Peers {
    /// Whom a node may probe and be probed by, in the order of their IDs.
    pub(crate) fn of(&self, node: &str) -> BTreeSet<Arc<str>> {
        let chosen = self.chosen.get(node).into_iter().flatten().map(|(_, peer)| peer);
        let has = |chosen: &[(u64, Arc<str>)]| chosen.iter().any(|(_, peer)| **peer == *node);
        let others = self.chosen.iter().filter(|(_, chosen)| has(chosen)).map(|(other, _)| other);
        chosen.chain(others).cloned().collect()
    }

    /// Makes these the nodes that can be probed. Returns those that have other neighbours now.
    pub(crate) fn update(&mut self, members: &BTreeSet<Arc<str>>) -> BTreeSet<Arc<str>> {
        if self.members.keys().eq(members) {
            return BTreeSet::new();
        }
        let before = self.chosen.clone();
        let gone = self.members.keys().filter(|known| !members.contains(*known));
        let gone: Vec<_> = gone.cloned().collect();
        let new = members.iter().filter(|node| !self.members.contains_key(*node));
        let new: Vec<_> = new.cloned().collect();
        let mut changed = BTreeSet::new();
        for node in &gone {
            self.members.remove(node);
            self.chosen.remove(node);
            changed.insert(Arc::clone(node));
        }
        for node in &new {
            self.members.insert(Arc::clone(node), xxh3_64(node.as_bytes()));
        }
        // Those that lose one choose again among all; the others compare the new ones alone.
        let has_gone = |chosen: &[(u64, Arc<str>)]| {
            !gone.is_empty() && chosen.iter().any(|(_, peer)| !members.contains(peer))
        };
        let again = self.chosen.iter().filter(|(_, chosen)| has_gone(chosen));
        let again: Vec<_> = again.map(|(node, _)| Arc::clone(node)).chain(new.clone()).collect();
        for node in again {
            let chosen = self.choose(&node);
            changed.insert(Arc::clone(&node));
            self.chosen.insert(node, chosen);
        }
        for (node, chosen) in &mut self.chosen {
            let own = self.members[node];
            for peer in new.iter().filter(|peer| *peer != node) {
                let entry = (score(own, self.members[peer]), Arc::clone(peer));
                if insert(chosen, entry) {
                    changed.insert(Arc::clone(node));
                }
            }
        }
        let mut neighbours = changed.clone();
        for node in &changed {
            let peers = |chosen: &HashMap<Arc<str>, Vec<(u64, Arc<str>)>>| {
                let peers = chosen.get(node).into_iter().flatten();
                peers.map(|(_, peer)| Arc::clone(peer)).collect::<BTreeSet<_>>()
            };
            neighbours.extend(peers(&before).symmetric_difference(&peers(&self.chosen)).cloned());
        }
        neighbours
    }

    fn choose(&self, node: &Arc<str>) -> Vec<(u64, Arc<str>)> {
        let own = self.members[node];
        let mut chosen = Vec::with_capacity(PEERS + 1);
        for (peer, hash) in self.members.iter().filter(|(peer, _)| *peer != node) {
            insert(&mut chosen, (score(own, *hash), Arc::clone(peer)));
        }
        chosen
    }
}

/// Whether the entry is new, and among the highest.
fn insert(chosen: &mut Vec<(u64, Arc<str>)>, entry: (u64, Arc<str>)) -> bool {
    let Err(place) = chosen.binary_search_by(|known| entry.cmp(known)) else { return false };
    if place >= PEERS {
        return false;
    }
    chosen.insert(place, entry);
    chosen.truncate(PEERS);
    true
}

fn score(from: u64, to: u64) -> u64 {
    let mut both = [0; 16];
    both[..8].copy_from_slice(&from.to_le_bytes());
    both[8..].copy_from_slice(&to.to_le_bytes());
    xxh3_64(&both)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nodes(numbers: impl IntoIterator<Item = u16>) -> BTreeSet<Arc<str>> {
        numbers.into_iter().map(|number| format!("n{number}").into()).collect()
    }

    fn shown(peers: &Peers) -> BTreeMap<Arc<str>, BTreeSet<Arc<str>>> {
        peers.members.keys().map(|node| (Arc::clone(node), peers.of(node))).collect()
    }

    proptest! {
        #[test]
        fn neighbours_depend_on_the_members_alone(
            rounds in proptest::collection::vec(proptest::collection::btree_set(0..40_u16, 0..40), 1..8),
        ) {
            let mut peers = Peers::default();
            let mut before = BTreeMap::new();
            for round in rounds {
                let members = nodes(round);
                let changed = peers.update(&members);
                let mut fresh = Peers::default();
                fresh.update(&members);
                let now = shown(&peers);
                prop_assert_eq!(&now, &shown(&fresh));
                for (node, of) in &now {
                    prop_assert!(of.len() >= PEERS.min(now.len() - 1));
                    prop_assert!(!of.contains(node));
                    prop_assert!(of.iter().all(|peer| now[peer].contains(node)), "{} alone", node);
                    let is_same = before.get(node) == Some(of);
                    prop_assert!(is_same || changed.contains(node), "{} changed", node);
                }
                before = now;
            }
        }
    }

    #[test]
    fn a_node_that_comes_changes_the_choice_of_a_few() {
        let mut peers = Peers::default();
        peers.update(&nodes(0..1000));
        let changed = peers.update(&nodes(0..1001)).len();
        assert!((2..40).contains(&changed), "{changed}");
        let changed = peers.update(&nodes(1..1001)).len();
        assert!((2..40).contains(&changed), "{changed}");
        // No node is forgotten, or known by many.
        let most = (1..1001).map(|number| peers.of(&format!("n{number}")).len()).max();
        assert!(most < Some(24), "{most:?}");
    }
}
