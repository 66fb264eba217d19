//! Names of nodes that no two of them share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use swarmscout_docker::engine::Node;

use crate::Buckets;
use crate::buckets::hash_of;

/// The first characters of a node's ID that distinguish nodes of the same name.
const SHOWN_OF_ID: usize = 5;

/// The names of all nodes: host names, with the beginning of the ID where several nodes have one
/// host name.
#[derive(Debug, Default)]
pub struct NodeNames {
    seen: Buckets<Node>,
    ids: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    names: HashMap<Arc<str>, Arc<str>, RandomState>,
}

impl NodeNames {
    /// The name of a node. Its ID if it is not known.
    pub fn of<'a>(&'a self, id: &'a str) -> &'a str {
        self.names.get(id).map_or(id, |name| name)
    }

    /// Follows the nodes from one snapshot to the next. Returns the hashes of the IDs of nodes with
    /// another name than before.
    pub fn update(&mut self, now: &Buckets<Node>) -> Vec<u64> {
        let seen = std::mem::replace(&mut self.seen, now.clone());
        let mut touched = BTreeSet::new();
        for (old, new) in seen.differences(now) {
            if old.map(|node| &node.hostname) == new.map(|node| &node.hostname) {
                continue;
            }
            if let Some(old) = old {
                self.names.remove(&old.id);
                if let Some(ids) = self.ids.get_mut(&old.hostname) {
                    ids.remove(&old.id);
                    if ids.is_empty() {
                        self.ids.remove(&old.hostname);
                    }
                }
                touched.insert(Arc::clone(&old.hostname));
            }
            if let Some(new) = new {
                let ids = self.ids.entry(Arc::clone(&new.hostname)).or_default();
                ids.insert(Arc::clone(&new.id));
                touched.insert(Arc::clone(&new.hostname));
            }
        }
        let mut renamed = Vec::new();
        for hostname in touched {
            let ids = self.ids.get(&hostname).into_iter().flatten();
            let is_shared = self.ids.get(&hostname).is_some_and(|ids| ids.len() > 1);
            for id in ids {
                let name = match &*hostname {
                    "" => Arc::clone(id),
                    _ if !is_shared => Arc::clone(&hostname),
                    _ => {
                        let start = &id[..id.floor_char_boundary(SHOWN_OF_ID)];
                        format!("{hostname}-{start}").into()
                    }
                };
                if self.names.get(id) != Some(&name) {
                    self.names.insert(Arc::clone(id), name);
                    renamed.push(hash_of(id));
                }
            }
        }
        renamed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(nodes: &[(&str, &str)]) -> Buckets<Node> {
        let mut buckets = Buckets::default();
        for (id, hostname) in nodes {
            let (id, hostname) = ((*id).into(), (*hostname).into());
            buckets.insert(Arc::new(Node { id, hostname, ..Node::default() }));
        }
        buckets
    }

    #[test]
    fn nodes_of_one_name_have_the_beginning_of_their_id() {
        let mut names = NodeNames::default();
        let mut check = |now: &[(&str, &str)], expected: &str, renamed: &[&str]| {
            let mut hashes: Vec<_> = renamed.iter().map(|id| hash_of(id)).collect();
            let mut found = names.update(&nodes(now));
            hashes.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, hashes, "{now:?}");
            let found: Vec<_> = now.iter().map(|(id, _)| names.of(id).to_owned()).collect();
            assert_eq!(found.join(" "), expected);
        };
        check(&[("aaaaaaa", "pi"), ("bbbbbbb", "web")], "pi web", &["aaaaaaa", "bbbbbbb"]);
        check(
            &[("aaaaaaa", "pi"), ("ccccccc", "pi")],
            "pi-aaaaa pi-ccccc",
            &["aaaaaaa", "ccccccc"],
        );
        check(&[("ccccccc", "pi"), ("d", "")], "pi d", &["ccccccc", "d"]);
        check(&[("ccccccc", "pi")], "pi", &[]);
        check(&[("ccccccc", "web")], "web", &["ccccccc"]);
        assert_eq!(names.of("unknown"), "unknown");
        assert_eq!(names.ids.len(), 1);
    }

    #[test]
    fn five_nodes_of_one_name_have_five_names() {
        let ids = ["a1234567", "b1234567", "c1234567", "d1234567", "e1234567"];
        let mut names = NodeNames::default();
        names.update(&nodes(&ids.map(|id| (id, "raspberrypi"))));
        let found = ids.map(|id| names.of(id).to_owned());
        let expected = ids.map(|id| format!("raspberrypi-{}", &id[..5]));
        assert_eq!(found, expected);
        // The last one of that name has it alone.
        names.update(&nodes(&[(ids[4], "raspberrypi")]));
        assert_eq!(names.of(ids[4]), "raspberrypi");
    }
}
