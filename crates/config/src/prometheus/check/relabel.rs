//! Relabeling rules.

use std::sync::Arc;

use swarmscout_config_decoder::Cx;
use swarmscout_model::NameScheme;
use swarmscout_model::quote::Quoted;
use swarmscout_model::relabel::{Action, RawRule, RelabelRule};

use crate::prometheus::foreign_keys;
use crate::prometheus::raw::RelabelConfig;

/// Checks and compiles a list of rules, noting what is wrong below `key`. `null` is the text for an
/// item without content.
pub(super) fn check(
    rules: &mut [Option<RelabelConfig>],
    key: &str,
    scheme: NameScheme,
    null: &str,
    cx: &mut Cx<'_>,
) -> Arc<[RelabelRule]> {
    let mut checked = Vec::with_capacity(rules.len());
    cx.within(key, |cx| {
        for (i, rule) in rules.iter_mut().enumerate() {
            cx.item(i, |cx| match rule {
                None => cx.missing_here(null),
                Some(rule) => checked.extend(check_rule(rule, scheme, cx)),
            });
        }
    });
    checked.into()
}

fn check_rule(
    rule: &mut RelabelConfig,
    scheme: NameScheme,
    cx: &mut Cx<'_>,
) -> Option<RelabelRule> {
    if rule.at.any_failed() {
        return None;
    }
    if let Some(action) = Action::parse(&rule.action) {
        // Prometheus shows the name in lower case, however it was written.
        action.name().clone_into(&mut rule.action);
    }
    if let Some(instead) = foreign_keys::instead_of_action(&rule.action) {
        let action = Quoted(&rule.action);
        cx.error(rule.at.section(), format!("unknown relabel action {action}: {instead}"));
        return None;
    }
    if foreign_keys::has_template(&rule.replacement) {
        cx.within("replacement", |cx| {
            cx.warn_here(
                "{{...}} stays as it is: only vmagent takes it for a label; write source_labels \
                 and $1",
            );
        });
    }
    let raw = RawRule {
        source_labels: rule
            .source_labels
            .as_ref()
            .map(|names| names.iter().map(|name| name.0.clone()).collect()),
        separator: Some(rule.separator.clone()),
        regex: rule.regex.clone(),
        modulus: Some(rule.modulus),
        target_label: Some(rule.target_label.clone()),
        replacement: Some(rule.replacement.clone()),
        action: Some(rule.action.clone()),
    };
    raw.check(scheme).map_err(|error| cx.error(rule.at.section(), error)).ok()
}
