//! Labels of services and nodes that tune their alerts.

use std::collections::BTreeSet;

use swarmscout_docker::engine::LabelMap;
use swarmscout_exposition::pieces::SeriesLabels;

use crate::families::Family;
use crate::page::Page;

/// What begins these labels.
const ALERT: &str = "prometheus.io/alert.";

/// The most alerts that a label can switch off.
const MOST_ALERTS: usize = 32;

/// The families of one kind of object.
#[derive(Clone, Copy)]
pub(crate) struct Tuning {
    pub(crate) threshold: Family,
    pub(crate) ignored: Family,
}

/// `prometheus.io/alert.memory: "0.8"` is a threshold, `prometheus.io/alert.ignore: replicas,restarts`
/// switches alerts off.
pub(crate) fn write(page: &mut Page, of_object: &LabelMap, labels: &SeriesLabels, to: Tuning) {
    for (key, value) in of_object.iter() {
        let Some(kind) = key.strip_prefix(ALERT) else { continue };
        if kind == "ignore" {
            let names = value.split([',', ' ']).filter(|name| !name.is_empty());
            for name in names.take(MOST_ALERTS).collect::<BTreeSet<_>>() {
                page.series_with(to.ignored, labels, ("alert", name), 1.0);
            }
        } else if let Ok(threshold) = value.trim().parse::<f64>() {
            page.series_with(to.threshold, labels, ("kind", kind), threshold);
        }
    }
}
