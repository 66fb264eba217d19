//! What is shown.

use std::collections::BTreeSet;

use swarmscout_exposition::pieces::{SeriesLabels, label_name};

use crate::families::Family;

/// What is shown, and with which labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Labels of every series: `cluster`, `swarm`.
    pub constant_labels: Vec<(String, String)>,
    /// Labels of services and nodes that become labels of all their series.
    pub series_labels: Vec<String>,
    /// Labels of services and nodes that stand in the families of labels.
    pub shown_labels: Vec<String>,
    /// Whether all their labels do.
    pub shows_all_labels: bool,
    /// Families that are left out.
    pub hidden: BTreeSet<Family>,
}

impl Options {
    /// The labels that all series begin with.
    pub(crate) fn labels(&self) -> SeriesLabels {
        let mut labels = SeriesLabels::default();
        for (name, value) in &self.constant_labels {
            labels.push(name, value);
        }
        labels
    }

    /// Adds the allowed labels of an object.
    pub(crate) fn push_allowed<'a>(
        &self,
        labels: &mut SeriesLabels,
        find: impl Fn(&str) -> Option<&'a str>,
    ) {
        for key in &self.series_labels {
            if let Some(value) = find(key) {
                labels.push(&label_name(key), value);
            }
        }
    }

    /// The labels of an object that are shown; `None` if it has none of them. `all` is in the order of
    /// the keys: of keys that become one name, the first one counts.
    pub(crate) fn shown<'a>(
        &self,
        labels: &SeriesLabels,
        all: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Option<SeriesLabels> {
        let mut shown = labels.clone();
        let mut names = BTreeSet::new();
        for (key, value) in all {
            let is_shown = self.shows_all_labels || self.shown_labels.iter().any(|it| it == key);
            if is_shown && !value.is_empty() {
                let name = format!("{SHOWN_PREFIX}{}", label_name(key));
                if !names.contains(&name) {
                    shown.push(&name, value);
                    names.insert(name);
                }
            }
        }
        (!names.is_empty()).then_some(shown)
    }
}

/// What the names of labels in the families of labels begin with.
pub const SHOWN_PREFIX: &str = "label_";

/// The labels that series of services and nodes have by themselves. A test compares them with an
/// exposition.
pub const OWN_LABELS: [&str; 36] = [
    "address",
    "alert",
    "architecture",
    "availability",
    "cluster",
    "endpoint_mode",
    "engine_version",
    "exit_code",
    "hostname",
    "image",
    "image_digest",
    "kernel_version",
    "kind",
    "mode",
    "network",
    "node",
    "node_id",
    "operating_system",
    "os",
    "protocol",
    "published",
    "reason",
    "resource",
    "restart_condition",
    "role",
    "scheduled",
    "service",
    "service_id",
    "slot",
    "stack",
    "state",
    "status",
    "storage_driver",
    "swarm",
    "target",
    "task_id",
];
