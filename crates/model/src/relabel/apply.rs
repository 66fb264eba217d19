//! What each action does to a label set.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};

use super::case::{push_lower, push_upper};
use super::regex::Slots;
use super::rule::Checked;
use super::{Action, RelabelRule};
use crate::labels::LabelsBuilder;

/// Memory that one rule uses after the other.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// The values of the source labels, joined.
    source: String,
    /// The name of the label to write.
    name: String,
    /// The value to write.
    value: String,
    slots: Slots,
}

/// Applies one rule; `false` means that the rule drops the target, whose labels are left as they
/// were.
pub(super) fn apply(rule: &RelabelRule, labels: &mut LabelsBuilder, scratch: &mut Scratch) -> bool {
    let rule = rule.checked();
    match rule.action {
        Action::LabelMap => label_map(rule, labels, scratch),
        Action::LabelDrop => labels.retain(|name, _| !rule.regex.is_match(name)),
        Action::LabelKeep => labels.retain(|name, _| rule.regex.is_match(name)),
        _ => {
            join(rule, labels, &mut scratch.source);
            return with_source(rule, labels, scratch);
        }
    }
    true
}

/// Joins the values of the source labels. A label that is not there is the empty string.
fn join(rule: &Checked, labels: &LabelsBuilder, source: &mut String) {
    source.clear();
    for (i, name) in rule.source_labels.iter().enumerate() {
        if i > 0 {
            source.push_str(&rule.separator);
        }
        source.push_str(labels.get(name).unwrap_or_default());
    }
}

/// The actions that look at the joined source labels.
fn with_source(rule: &Checked, labels: &mut LabelsBuilder, scratch: &mut Scratch) -> bool {
    let Scratch { source, value, .. } = scratch;
    let target = rule.target_label.text();
    value.clear();
    match rule.action {
        Action::Keep => return rule.regex.is_match(source),
        Action::Drop => return !rule.regex.is_match(source),
        Action::KeepEqual => return labels.get(target).unwrap_or_default() == source,
        Action::DropEqual => return labels.get(target).unwrap_or_default() != source,
        Action::Replace => {
            replace(rule, labels, scratch);
            return true;
        }
        Action::HashMod => {
            let digest: [u8; 16] = Md5::digest(source.as_bytes()).into();
            let low = digest.last_chunk().expect("an MD5 digest has 16 bytes");
            let _ = write!(value, "{}", u64::from_be_bytes(*low) % rule.modulus);
        }
        Action::Lowercase => push_lower(value, source),
        Action::Uppercase => push_upper(value, source),
        Action::LabelMap | Action::LabelDrop | Action::LabelKeep => {
            unreachable!("these actions have no source labels")
        }
    }
    labels.set(target, value);
    true
}

fn replace(rule: &Checked, labels: &mut LabelsBuilder, scratch: &mut Scratch) {
    let Scratch { source, name, value, slots } = scratch;
    // Without a regex, an empty source and nothing to expand Prometheus does not check the name.
    if source.is_empty()
        && rule.default_regex
        && !rule.target_label.has_dollar()
        && !rule.replacement.has_dollar()
    {
        labels.set(rule.target_label.text(), rule.replacement.text());
        return;
    }
    if !rule.regex.find(source, slots) {
        return;
    }
    name.clear();
    rule.target_label.expand(source, slots, name);
    if rule.scheme.is_valid_label_name(name) {
        rule.replacement.expand(source, slots, value);
        labels.set(name, value);
    }
}

/// Copies labels to other names. The names that match are those from before the rule. Where several
/// become one name, the byte-largest of them wins, as the labels are walked in order; Prometheus
/// leaves that to chance for targets.
fn label_map(rule: &Checked, labels: &mut LabelsBuilder, scratch: &mut Scratch) {
    let Scratch { name, slots, .. } = scratch;
    let before = labels.clone();
    for (from, value) in before.iter() {
        if rule.regex.is_match(from) {
            name.clear();
            rule.replacement.replace_all(&rule.regex, from, slots, name);
            labels.set(name, value);
        }
    }
}
