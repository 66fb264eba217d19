//! Applies the actions of rules to label sets.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};

use super::case::{push_lower, push_upper};
use super::rule::Checked;
use super::{Action, RelabelRule};
use crate::labels::{LabelsBuilder, Scratch};

/// Applies one rule. `false` means that the rule drops the target; its labels do not change then.
pub(super) fn apply(rule: &RelabelRule, labels: &mut LabelsBuilder) -> bool {
    let rule = rule.checked();
    let mut scratch = std::mem::take(&mut labels.scratch);
    let keep = match rule.action {
        Action::Keep => rule.regex.is_match(source(rule, labels, &mut scratch.source)),
        Action::Drop => !rule.regex.is_match(source(rule, labels, &mut scratch.source)),
        Action::KeepEqual => equals_target(rule, labels, &mut scratch),
        Action::DropEqual => !equals_target(rule, labels, &mut scratch),
        Action::LabelDrop => {
            labels.remove_all(rule.regex.prefix(), |name| rule.regex.is_match(name));
            true
        }
        Action::LabelKeep => {
            labels.retain(|name, _| rule.regex.is_match(name));
            true
        }
        Action::LabelMap => {
            label_map(rule, labels, &mut scratch);
            true
        }
        Action::Replace => {
            replace(rule, labels, &mut scratch);
            true
        }
        Action::HashMod => {
            set(rule, labels, &mut scratch, |out, source| push_hash(out, source, rule.modulus));
            true
        }
        Action::Lowercase => {
            set(rule, labels, &mut scratch, push_lower);
            true
        }
        Action::Uppercase => {
            set(rule, labels, &mut scratch, push_upper);
            true
        }
    };
    labels.scratch = scratch;
    keep
}

/// The values of the source labels, joined; `joined` lends its memory if there are several. A label
/// that is not there is the empty string.
fn source<'a>(rule: &Checked, labels: &'a mut LabelsBuilder, joined: &'a mut String) -> &'a str {
    match rule.source_labels.as_slice() {
        [] => "",
        [name] => labels.value(name),
        [first, rest @ ..] => {
            joined.clear();
            joined.push_str(labels.value(first));
            for name in rest {
                joined.push_str(&rule.separator);
                joined.push_str(labels.value(name));
            }
            joined
        }
    }
}

fn equals_target(rule: &Checked, labels: &mut LabelsBuilder, scratch: &mut Scratch) -> bool {
    scratch.value.clear();
    scratch.value.push_str(source(rule, labels, &mut scratch.source));
    labels.value(rule.target_label.text()) == scratch.value
}

/// Sets the target label to what `push` makes of the joined source labels.
fn set(
    rule: &Checked,
    labels: &mut LabelsBuilder,
    scratch: &mut Scratch,
    push: impl FnOnce(&mut String, &str),
) {
    scratch.value.clear();
    push(&mut scratch.value, source(rule, labels, &mut scratch.source));
    labels.set(rule.target_label.text(), &scratch.value);
}

fn push_hash(out: &mut String, source: &str, modulus: u64) {
    let digest: [u8; 16] = Md5::digest(source.as_bytes()).into();
    let low = digest.last_chunk().expect("an MD5 digest has 16 bytes");
    // Writing to a string cannot fail.
    let _ = write!(out, "{}", u64::from_be_bytes(*low) % modulus);
}

fn replace(rule: &Checked, labels: &mut LabelsBuilder, scratch: &mut Scratch) {
    let Scratch { source: joined, name, value, slots, .. } = scratch;
    let source = source(rule, labels, joined);
    let (target, replacement) = (&rule.target_label, &rule.replacement);
    // Without a regex, an empty source and nothing to expand Prometheus does not check the name.
    if source.is_empty() && rule.default_regex && !target.has_dollar() && !replacement.has_dollar()
    {
        labels.set(target.text(), replacement.text());
        return;
    }
    if !rule.regex.find(source, slots) {
        return;
    }
    value.clear();
    replacement.expand(source, slots, value);
    if target.has_dollar() {
        name.clear();
        target.expand(source, slots, name);
        if rule.scheme.is_valid_label_name(name) {
            labels.set(name, value);
        }
    } else {
        // Checked together with the rule.
        labels.set(target.text(), value);
    }
}

/// Copies labels to other names. If several become one name, a label of an earlier rule wins over a
/// default of the job, and that over a discovered label, as in Prometheus. Of several discovered
/// labels, Prometheus picks any; here the name that is largest in byte order wins.
fn label_map(rule: &Checked, labels: &mut LabelsBuilder, scratch: &mut Scratch) {
    let key = std::ptr::from_ref(rule).addr();
    labels.copy_all(key, rule.regex.prefix(), |name, new_name| {
        rule.replacement.replace_all(&rule.regex, name, &mut scratch.slots, new_name)
    });
}
