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
        push(labels, &self.series_labels, "", find);
    }

    /// The labels of an object that are shown; `None` if it has none of them.
    pub(crate) fn shown<'a>(
        &self,
        labels: &SeriesLabels,
        find: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<SeriesLabels> {
        let mut shown = labels.clone();
        push(&mut shown, &self.shown_labels, "label_", find);
        (shown != *labels).then_some(shown)
    }
}

/// The labels that series of services and nodes have by themselves. A test compares them with an
/// exposition.
pub const OWN_LABELS: [&str; 31] = [
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
    "kind",
    "mode",
    "network",
    "node",
    "node_id",
    "os",
    "protocol",
    "published",
    "reason",
    "restart_condition",
    "role",
    "scheduled",
    "service",
    "service_id",
    "slot",
    "stack",
    "state",
    "swarm",
    "target",
    "task_id",
];

fn push<'a>(
    labels: &mut SeriesLabels,
    keys: &[String],
    prefix: &str,
    find: impl Fn(&str) -> Option<&'a str>,
) {
    for key in keys {
        if let Some(value) = find(key) {
            labels.push(&format!("{prefix}{}", label_name(key)), value);
        }
    }
}
