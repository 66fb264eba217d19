//! Lists with texts that are not UTF-8: each bad byte is replaced by U+FFFD and reported.

use std::borrow::Cow;

use swarmscout_model::labels::ADDRESS;
use swarmscout_model::lossy_json;
use swarmscout_model::quote::Quoted;
use swarmscout_refresh::problems::{Problems, REPLACED};

use crate::limits::{Excess, Meter};
use crate::{Groups, Problem};

/// A JSON document with valid UTF-8, and whether anything was replaced. Its memory is reserved
/// first.
pub(super) fn repaired<'j>(
    json: &'j [u8],
    meter: &mut Meter,
) -> Result<(Cow<'j, [u8]>, bool), Excess> {
    let Some(length) = lossy_json::repaired_length(json) else { return Ok((json.into(), false)) };
    meter.reserve(length as u64)?;
    Ok((lossy_json::repaired(json), true))
}

/// Reports the labels and targets of a list that hold U+FFFD.
pub(super) fn problems(kind: &'static str, groups: &Groups) -> Vec<Problem> {
    let mut problems = Problems::default();
    for group in groups {
        for (name, value) in &group.labels {
            if name.contains('\u{fffd}') || value.contains('\u{fffd}') {
                problems.push(
                    kind,
                    &group.source,
                    REPLACED,
                    format!("label {name}={}", Quoted(value)),
                );
            }
        }
        for address in group.targets.iter().filter_map(|target| target.get(ADDRESS)) {
            if address.contains('\u{fffd}') {
                problems.push(kind, &group.source, REPLACED, format!("target {}", Quoted(address)));
            }
        }
    }
    problems.take()
}
