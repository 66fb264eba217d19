//! A list of target groups in YAML, read as Go does: `<<` merges, and any scalar is a string.

use std::collections::BTreeMap;

use swarmscout_model::Labels;
use swarmscout_model::quote::Quoted;
use swarmscout_model::yaml::{self, Data, Key, Node, YamlError};

use super::super::static_configs::address_only;
use super::ListedGroup;
use crate::limits::{Excess, Meter, Unreadable, check_count};

/// How many scalars and collections a file may hold, with aliases written out …
const MAX_NODES: usize = 6_000_000;

/// … and how many more of them than bytes: aliases let a small file hold a large list.
const MAX_REPEATED: usize = 200_000;

/// The memory of a node that is read, in bytes: its block, its text, and its entry in a collection.
const NODE: u64 = 160;

/// The same of a list that stands behind a dash: lists in lists need no line of their own.
const NESTED: u64 = 128;

/// Reads the first document of a YAML stream. A stream without documents is a list without groups.
/// An error has the position in it.
pub(in crate::source) fn from_yaml(
    text: &[u8],
    meter: &mut Meter,
) -> Result<Vec<ListedGroup>, Unreadable> {
    // A key and a value stand between two of these.
    let pairs = text.iter().filter(|b| matches!(b, b'\n' | b'\r' | b',' | b'[' | b'{')).count();
    let dashes = text.windows(2).filter(|pair| matches!(pair, [b'-', b' ' | b'\t'])).count();
    meter.reserve(2 * NODE * (pairs as u64 + 1) + NESTED * dashes as u64)?;
    let max_nodes = MAX_NODES.min(text.len() + MAX_REPEATED);
    let root = yaml::parse(text, max_nodes).map_err(|error| error.to_string())?;
    let Some(root) = root.filter(|root| !root.is_null()) else { return Ok(Vec::new()) };
    let Data::Sequence(items) = root.data() else {
        return Err(mismatch(&root, "a list of target groups: write each with a dash").into());
    };
    let mut groups = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let mut group = Group::default();
        group.join(item)?;
        if group.targets.is_empty() {
            meter.unit()?;
        } else {
            meter.listed(group.targets.len())?;
            let (targets, labels) = group.build(index, meter)?;
            groups.push(ListedGroup { index, targets, labels });
        }
    }
    Ok(groups)
}

impl From<YamlError> for Unreadable {
    fn from(error: YamlError) -> Self {
        Self::Syntax(error.to_string())
    }
}

/// A group as written.
#[derive(Default)]
struct Group<'n> {
    targets: Vec<&'n str>,
    labels: BTreeMap<&'n str, &'n str>,
}

impl<'n> Group<'n> {
    fn build(&self, index: usize, meter: &mut Meter) -> Result<(Vec<Labels>, Labels), Excess> {
        let of = || format!("group {index}");
        for (name, value) in &self.labels {
            meter.label(name, value, of)?;
        }
        check_count(self.labels.len(), of)?;
        let labels: Labels = self.labels.iter().map(|(name, value)| (*name, *value)).collect();
        meter.reserve(labels.footprint())?;
        let targets = self.targets.iter().map(|address| {
            let labels = address_only(address);
            meter.target(&labels, || format!("a target of group {index}"))?;
            Ok(labels)
        });
        let mut targets = targets.collect::<Result<Vec<_>, Excess>>()?;
        targets.shrink_to_fit();
        Ok((targets, labels))
    }

    fn join(&mut self, node: &'n Node) -> Result<(), YamlError> {
        if node.is_null() {
            return Err(error(node, "nil target group item found".to_owned()));
        }
        let Data::Mapping(entries) = node.data() else {
            return Err(mismatch(node, "a target group: write targets: and labels:"));
        };
        for (i, (key, value)) in entries.iter().enumerate() {
            if key.merge {
                value.merged().try_for_each(|map| self.join(map))?;
                continue;
            }
            if entries[..i].iter().any(|(other, _)| !other.merge && other.text == key.text) {
                let message = format!("field {} already set: keep one of them", key.text);
                return Err(YamlError { at: Some(key.at), message });
            }
            match &*key.text {
                "targets" => self.targets = targets(value)?,
                "labels" if value.is_null() => self.labels.clear(),
                "labels" => self.join_labels(value)?,
                other => {
                    let message =
                        format!("field {other} not found: a target group has targets and labels");
                    return Err(YamlError { at: Some(key.at), message });
                }
            }
        }
        Ok(())
    }

    fn join_labels(&mut self, node: &'n Node) -> Result<(), YamlError> {
        let Data::Mapping(entries) = node.data() else {
            return Err(mismatch(node, "labels: write name: value"));
        };
        for (key, value) in entries {
            if key.merge {
                value.merged().try_for_each(|map| self.join_labels(map))?;
            } else if key.null {
                // A label with an empty name is left out.
                text(value)?;
            } else if key.text.is_empty() {
                return Err(wrong_name(key, "is not a valid label name"));
            } else if self.labels.insert(&key.text, text(value)?).is_some() {
                return Err(wrong_name(key, "is already set: keep one of them"));
            }
        }
        Ok(())
    }
}

fn targets(node: &Node) -> Result<Vec<&str>, YamlError> {
    match node.data() {
        Data::Sequence(items) => items.iter().map(text).collect(),
        _ if node.is_null() => Ok(Vec::new()),
        _ => Err(mismatch(node, "a list of targets: write each with a dash, or all in [ ]")),
    }
}

/// Any scalar as written; null is the empty text.
fn text(node: &Node) -> Result<&str, YamlError> {
    match node.data() {
        _ if node.is_null() => Ok(""),
        Data::Scalar(scalar) => Ok(&scalar.text),
        _ => Err(mismatch(node, "a string")),
    }
}

fn mismatch(node: &Node, due: &str) -> YamlError {
    error(node, format!("cannot unmarshal {} into {due}", node.tag()))
}

fn error(node: &Node, message: String) -> YamlError {
    YamlError { at: Some(node.at), message }
}

fn wrong_name(key: &Key, what: &str) -> YamlError {
    YamlError { at: Some(key.at), message: format!("{} {what}", Quoted(&key.text)) }
}
