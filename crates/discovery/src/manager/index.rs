//! Finds a running source or Swarm by its configuration, without comparing it with all others.
//!
//! Configurations have no hash of their own: they hold labels, URLs and secrets of many types.
//! Equal ones have the same `Debug`, so the hash is made from that. Configurations that differ only
//! in secrets share a hash; equality decides.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Weak};

use foldhash::fast::RandomState;

/// An index by configuration. It does not keep its values alive.
#[derive(Debug)]
pub(super) struct Index<K, V> {
    by_hash: HashMap<u64, Vec<Entry<K, V>>>,
    hasher: RandomState,
    /// The number of entries that were ever added.
    added: u64,
}

#[derive(Debug)]
struct Entry<K, V> {
    number: u64,
    key: K,
    value: Weak<V>,
}

impl<K, V> Default for Index<K, V> {
    fn default() -> Self {
        Self { by_hash: HashMap::new(), hasher: RandomState::default(), added: 0 }
    }
}

impl<K, V> Index<K, V> {
    /// The hash of a configuration's `Debug` text.
    pub(super) fn hash(&self, shown: &impl fmt::Debug) -> u64 {
        struct Text<H>(H);
        impl<H: Hasher> fmt::Write for Text<H> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.write(text.as_bytes());
                Ok(())
            }
        }
        let mut text = Text(self.hasher.build_hasher());
        write!(text, "{shown:?}").expect("a hasher takes all");
        text.0.finish()
    }

    /// The running entry with this `hash` whose key satisfies `is`.
    pub(super) fn find(&self, hash: u64, is: impl Fn(&K) -> bool) -> Option<(&K, Arc<V>)> {
        let entries = self.by_hash.get(&hash)?;
        let mut found = entries.iter().filter(|entry| is(&entry.key));
        found.find_map(|Entry { key, value, .. }| Some((key, value.upgrade()?)))
    }

    pub(super) fn add(&mut self, hash: u64, key: K, value: &Arc<V>) {
        let entry = Entry { number: self.added, key, value: Arc::downgrade(value) };
        self.added += 1;
        self.by_hash.entry(hash).or_default().push(entry);
    }

    /// Drops entries that no longer run.
    pub(super) fn forget_ended(&mut self) {
        self.by_hash.retain(|_, entries| {
            entries.retain(|entry| entry.value.strong_count() > 0);
            !entries.is_empty()
        });
    }

    /// The running values, in the order in which they were added.
    pub(super) fn running(&self) -> Vec<Arc<V>> {
        let entries = self.by_hash.values().flatten();
        let mut running: Vec<_> =
            entries.filter_map(|entry| Some((entry.number, entry.value.upgrade()?))).collect();
        running.sort_unstable_by_key(|(number, _)| *number);
        running.into_iter().map(|(_, value)| value).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::config::{SdConfig, StaticConfig, StaticGroup};

    fn fixed(target: usize) -> SdConfig {
        let targets = vec![format!("host:{target}")];
        let group = StaticGroup { targets, ..StaticGroup::default() };
        SdConfig::Static(StaticConfig { groups: vec![group] })
    }

    /// Each entry is found by few comparisons, however many run.
    #[test]
    fn is_found_by_one_comparison_among_thousands() {
        let mut index = Index::<SdConfig, usize>::default();
        let compared = Cell::new(0_usize);
        let mut running = Vec::new();
        for round in 0..2 {
            for number in 0..5000 {
                let config = fixed(number);
                let hash = index.hash(&config);
                let is = |known: &SdConfig| {
                    compared.set(compared.get() + 1);
                    *known == config
                };
                let found = index.find(hash, is).map(|(_, found)| *found);
                assert_eq!(found, (round == 1).then_some(number));
                if found.is_none() {
                    running.push(Arc::new(number));
                    index.add(hash, config, &running[number]);
                }
            }
        }
        assert_eq!(compared.get(), 5000);
        assert_eq!(index.running(), running);
        running.truncate(1);
        index.forget_ended();
        assert_eq!((index.by_hash.len(), index.running()), (1, running));
    }
}
