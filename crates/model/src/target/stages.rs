//! The labels of a target on its way: as its source has them, with the defaults of its job, and as
//! HTTP SD serves them.

use super::{BOOLEANS, METRICS_PATH, SCHEME, SCRAPE_INTERVAL, SCRAPE_TIMEOUT, TargetDefaults};
use crate::groups::TargetGroup;
use crate::labels::{ADDRESS, JOB, Labels, LabelsBuilder, META_PREFIX, PARAM_PREFIX};
use crate::relabel::{self, RelabelRule};
use crate::target_list::HONOR_LABELS;

/// The labels of target `index` before any default of a job: its own, its group's, and
/// [those of all targets](TargetDefaults::common_labels). Clears `builder` first.
pub fn raw(
    group: &TargetGroup,
    index: usize,
    defaults: &DefaultLabels,
    builder: &mut LabelsBuilder,
) {
    group.merged(index, builder);
    if defaults.has_common(group, index) {
        builder.add_absent(&defaults.common);
    }
}

/// The labels of target `index` as relabeling sees them first: those of [`raw`] and the job's
/// defaults. Prometheus' `discoveredLabels`. Clears `builder` first.
pub fn discovered(
    group: &TargetGroup,
    index: usize,
    defaults: &DefaultLabels,
    builder: &mut LabelsBuilder,
) {
    raw(group, index, defaults, builder);
    builder.add_defaults(&defaults.defaults);
}

/// Whether `__meta_*` labels are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaLabels {
    /// They are.
    Show,
    /// They are not.
    Hide,
}

/// Fills `builder` with the labels of target `index` that HTTP SD serves. These are the labels
/// after our rules, without those that only our defaults set: the reader has its own defaults.
/// Returns the address, which `builder` does not hold. `None` if our rules drop the target or it
/// has no address.
///
/// - `job`, `instance`, `__scrape_*__` and the histogram booleans are served only if a source or a
///   rule set them, even to the default value. Otherwise our defaults would override the reader's.
/// - `__scheme__`, `__metrics_path__` and `__param_*` say how to reach the target, so our values
///   count. Values that Prometheus uses anyway are left out (`http`, `/metrics`, no parameter).
/// - A label with an empty name, which `labelmap` can make, is never served: readers would refuse
///   the whole list.
pub fn served(
    group: &TargetGroup,
    index: usize,
    defaults: &DefaultLabels,
    rules: &[RelabelRule],
    meta: MetaLabels,
    builder: &mut LabelsBuilder,
) -> Option<String> {
    discovered(group, index, defaults, builder);
    relabel::process(rules, builder).ok()?;
    let address = builder.get(ADDRESS)?.to_owned();
    builder.retain_with_origin(|name, value, is_default| match name {
        ADDRESS | "" => false,
        SCHEME => value != "http",
        METRICS_PATH => value != "/metrics",
        _ if name.starts_with(PARAM_PREFIX) => true,
        _ if name.starts_with(META_PREFIX) => meta == MetaLabels::Show,
        _ => !is_default,
    });
    Some(address)
}

/// A job's defaults as labels, sorted by name. Made once for all targets of a job.
#[derive(Clone, Debug)]
pub struct DefaultLabels {
    defaults: Labels,
    /// See [`TargetDefaults::common_labels`].
    common: Labels,
}

impl DefaultLabels {
    /// The labels that say what `defaults` say.
    pub fn new(defaults: &TargetDefaults) -> Self {
        let mut labels = LabelsBuilder::new();
        labels.set(JOB, &defaults.job);
        labels.set(SCRAPE_INTERVAL, &defaults.scrape_interval.to_string());
        labels.set(SCRAPE_TIMEOUT, &defaults.scrape_timeout.to_string());
        labels.set(METRICS_PATH, &defaults.metrics_path);
        labels.set(SCHEME, &defaults.scheme);
        let values = [
            defaults.convert_classic_histograms_to_nhcb,
            defaults.always_scrape_classic_histograms,
            defaults.scrape_native_histograms,
        ];
        for ((name, _), value) in BOOLEANS.into_iter().zip(values) {
            labels.set(name, if value { "true" } else { "false" });
        }
        for (name, values) in &defaults.params {
            if let Some(value) = values.first() {
                labels.set(&format!("{PARAM_PREFIX}{name}"), value);
            }
        }
        Self { defaults: labels.build(), common: defaults.common_labels.clone() }
    }

    /// Whether target `index` has the [labels of all targets](TargetDefaults::common_labels).
    pub fn has_common(&self, group: &TargetGroup, index: usize) -> bool {
        let honors = |labels: &Labels| labels.get(HONOR_LABELS).is_some();
        !self.common.is_empty() && !honors(&group.labels) && !honors(&group.targets[index])
    }

    /// What [`discovered`] adds to the labels of a target and its group, where they lack it.
    pub fn added(&self, with_common: bool) -> Labels {
        let mut builder = LabelsBuilder::new();
        if with_common {
            builder.reset(&self.common);
        }
        builder.add_absent(&self.defaults);
        builder.build()
    }
}
