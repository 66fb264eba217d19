//! Relabeling, and the regular expressions of its rules.

use swarmscout_go_regexp::testing;
use swarmscout_model::relabel::{self, RawRule, RelabelRule};
use swarmscout_model::{Labels, LabelsBuilder, NameScheme};

use crate::checks;

/// This many rules are applied: each may double the length of a value, as in Prometheus.
const MAX_RULES: usize = 8;

/// The first line is a pattern, the others are texts to find it in.
pub fn regex(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let (pattern, texts) = text.split_once('\n').unwrap_or((&text, ""));
    // The last one is all of them, with their line ends.
    let texts = || texts.split('\n').chain([texts]);
    let Ok(found) = testing::find(pattern, texts()) else { return };
    for (found, text) in found.iter().zip(texts()) {
        assert_eq!(found.quick, found.slow, "{pattern:?} on {text:?}");
        assert_eq!(found.is_match, found.slow.is_some(), "{pattern:?} on {text:?}");
        assert!(found.has_prefix || !found.is_match, "{pattern:?} on {text:?}");
        for bounds in found.slow.iter().flatten().collect::<Vec<_>>().chunks(2) {
            if let [Some(from), Some(to)] = bounds {
                assert!(text.get(*from..*to).is_some(), "{pattern:?} on {text:?}");
            }
        }
    }
}

/// Rules and labels, see [`read`].
pub fn rules(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let (rules, labels) = read(&text);
    let (mut builder, mut other) = (LabelsBuilder::new(), LabelsBuilder::new());
    builder.reset(&labels);
    let before = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
    let kept = relabel::process(&rules, &mut builder);
    // `labelmap` can make a label without a name, as in Prometheus.
    checks::labels(builder.iter().skip_while(|(name, _)| name.is_empty()));

    // A builder remembers where it found names; that must not show. Nor must it matter whether
    // rules are applied at once or read one by one.
    other.reset(&labels);
    let steps = relabel::steps(&rules, &mut other);
    let dropped = steps.iter().position(|step| !step.keep);
    assert_eq!(dropped, kept.err());
    let after = builder.build();
    if let Some(last) = steps.last().filter(|step| step.keep) {
        assert_eq!(last.output, after);
    }
    builder.reset(&labels);
    assert_eq!(relabel::process(&rules, &mut builder), kept);
    assert_eq!(builder.build(), after, "another the second time");

    // What one rule writes is as long as its template, with a value for each of its variables.
    let most = rules.iter().fold(before, |most: usize, rule| {
        let text = most.saturating_add(rule.separator().len() * rule.source_labels().len() + 20);
        let template = rule.replacement().len() + rule.target_label().len() + 1;
        let labels = labels.len() + MAX_RULES;
        // Upper case of one character may be three, and `labelmap` writes a name for each label.
        let written = text.saturating_mul(3).saturating_add(4).saturating_mul(template * labels);
        most.saturating_add(written)
    });
    let size: usize = after.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(size <= most, "{size} bytes of {before}");
}

/// Rules, one a line, then an empty line, then labels, one a line, `name=value`. Members of a rule
/// are divided by tabs: `a=` action, `s=` one source label, `e=` separator, `r=` regex, `m=`
/// modulus, `t=` target label, `p=` replacement, and `l` for legacy names. Rules that are refused
/// are left out.
pub fn read(text: &str) -> (Vec<RelabelRule>, Labels) {
    let (rules, labels) = text.split_once("\n\n").unwrap_or((text, ""));
    let rules = rules.lines().filter_map(|line| {
        let mut rule = RawRule::default();
        let mut scheme = NameScheme::Utf8;
        for member in line.split('\t') {
            let Some((name, value)) = member.split_once('=') else {
                scheme = if member == "l" { NameScheme::Legacy } else { scheme };
                continue;
            };
            let value = value.to_owned();
            match name {
                "a" => rule.action = Some(value),
                "s" => rule.source_labels.get_or_insert_default().push(value),
                "e" => rule.separator = Some(value),
                "r" => rule.regex = Some(value),
                "m" => rule.modulus = value.parse().ok(),
                "t" => rule.target_label = Some(value),
                "p" => rule.replacement = Some(value),
                _ => {}
            }
        }
        rule.check(scheme).ok()
    });
    let named = labels.lines().filter_map(|line| line.split_once('='));
    (rules.take(MAX_RULES).collect(), named.filter(|(name, _)| !name.is_empty()).collect())
}
