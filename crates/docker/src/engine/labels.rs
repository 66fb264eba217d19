//! The user's labels of an object.

use std::fmt;

use swarmscout_model::LabelsWriter;
use swarmscout_model::name::push_sanitized;

/// A map of labels as the Engine reports it, with the names that Prometheus makes of the keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct LabelMap {
    /// Sorted by name, then key.
    labels: Box<[Label]>,
}

/// One of the labels.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Label {
    /// The key with all that a label name cannot hold replaced: `prometheus_io_port`.
    name: Box<str>,
    /// `prometheus.io/port`.
    key: Box<str>,
    value: Box<str>,
}

impl LabelMap {
    /// From pairs in any order; of a key given twice the last counts.
    pub fn new(pairs: Vec<(String, String)>) -> Self {
        let mut labels: Vec<Label> = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let mut name = String::with_capacity(key.len());
            push_sanitized(&mut name, &key);
            labels.push(Label { name: name.into(), key: key.into(), value: value.into() });
        }
        labels.sort_by(|a, b| (&a.name, &a.key).cmp(&(&b.name, &b.key)));
        // The sort is stable: the last of equal keys is the last that was written.
        labels.reverse();
        labels.dedup_by(|later, kept| later.key == kept.key);
        labels.reverse();
        Self { labels: labels.into() }
    }

    /// Which keys become the same name, in words.
    pub fn collisions(&self) -> impl Iterator<Item = String> {
        let same_name = self.labels.chunk_by(|a, b| a.name == b.name);
        same_name.filter(|same| same.len() > 1).map(|same| {
            let keys: Vec<_> = same.iter().map(|label| format!("{:?}", label.key)).collect();
            format!("{} become {}; the first counts", keys.join(", "), same[0].name)
        })
    }

    /// The value of the label with this very key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|label| &*label.key == key).map(|label| &*label.value)
    }

    /// All keys and values, in the order of the names that are made of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|label| (&*label.key, &*label.value))
    }

    /// Appends the labels as Prometheus names them, with a prefix. Where several keys become one
    /// name, the byte-smallest key counts.
    pub fn write(&self, prefix: &str, labels: &mut LabelsWriter) {
        let mut name = String::from(prefix);
        for same in self.labels.chunk_by(|a, b| a.name == b.name) {
            name.truncate(prefix.len());
            name.push_str(&same[0].name);
            labels.push(&name, &same[0].value);
        }
    }
}

/// Shows keys and values.
impl fmt::Debug for LabelMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
