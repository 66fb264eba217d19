//! What each relabeling rule does to a set of labels.

use std::collections::BTreeMap;

use serde::Serialize;
use swarmscout_model::relabel::{self, RelabelRule};
use swarmscout_model::{Labels, LabelsBuilder};

#[derive(Debug, Serialize)]
pub(crate) struct Steps {
    steps: Vec<Step>,
}

#[derive(Debug, Serialize)]
struct Step {
    rule: Rule,
    /// No labels where the target is dropped.
    output: BTreeMap<String, String>,
    keep: bool,
}

/// A rule, as Prometheus writes one in JSON.
#[derive(Debug, Serialize)]
struct Rule {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    source_labels: Vec<String>,
    separator: String,
    regex: String,
    #[serde(skip_serializing_if = "is_zero")]
    modulus: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    target_label: String,
    replacement: String,
    action: &'static str,
}

impl Steps {
    pub(crate) fn of(rules: &[RelabelRule], labels: &Labels) -> Self {
        let mut builder = LabelsBuilder::new();
        builder.reset(labels);
        let step = |step: &relabel::Step<'_>| Step {
            rule: Rule::new(step.rule),
            output: step.output.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
            keep: step.keep,
        };
        Self { steps: relabel::steps(rules, &mut builder).iter().map(step).collect() }
    }
}

impl Rule {
    fn new(rule: &RelabelRule) -> Self {
        Self {
            source_labels: rule.source_labels().to_vec(),
            separator: rule.separator().to_owned(),
            regex: rule.regex().to_owned(),
            modulus: rule.modulus(),
            target_label: rule.target_label().to_owned(),
            replacement: rule.replacement().to_owned(),
            action: rule.action().name(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
