//! The findings of a diagnosis, for terminals and programs.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// How bad a finding is. The worst comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Metrics are missing.
    Error,
    /// Metrics may be missing, or are about to.
    Warning,
    /// Good to know.
    Note,
}

/// A finding, with its fix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was checked, in one word: `port_closed`. Stable, for programs.
    pub check: String,
    /// What it is about: `service shop_web`, `node pi1`.
    pub subject: String,
    /// What is wrong, in one sentence.
    pub problem: String,
    /// What to do; empty if nothing needs to be done.
    pub fix: String,
    /// How many targets are concerned.
    pub targets: usize,
    /// Some of them: URL and reason.
    pub examples: Vec<String>,
}

/// The worst first, and of equal ones that with the most targets.
pub fn rank(findings: &mut [Finding]) {
    findings.sort_by(|a, b| {
        let key = |finding: &Finding| (finding.severity, std::cmp::Reverse(finding.targets));
        key(a).cmp(&key(b)).then_with(|| (&a.subject, &a.check).cmp(&(&b.subject, &b.check)))
    });
}

/// This number of details is named in one line.
const NAMED: usize = 20;

/// The details of one problem of one object. Those that differ in their last word alone share a line:
/// `service web has :9100/metrics of node pi1, pi2 and 3 more`.
pub(crate) fn merged<'a>(details: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut lines = BTreeMap::<&str, BTreeSet<&str>>::new();
    for detail in details {
        let last = detail.rfind(' ').map_or(0, |space| space + 1);
        let (start, word) = detail.split_at(last);
        lines.entry(start).or_default().insert(word);
    }
    let lines = lines.into_iter().map(|(start, words)| {
        let more = words.len().saturating_sub(NAMED);
        let named: Vec<_> = words.into_iter().take(NAMED).collect();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{start}{}{more}", named.join(", "))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_that_differ_in_their_last_word_share_a_line() {
        let check = |details: &[&str], expected: &[&str]| {
            assert_eq!(merged(details.iter().copied()), expected);
        };
        check(&[], &[]);
        check(&[""], &[""]);
        check(&["b", "a"], &["a, b"]);
        check(
            &["web has :1 of node pi2", "web has :1 of node pi1", "api has :1 of node pi1"],
            &["api has :1 of node pi1", "web has :1 of node pi1, pi2"],
        );
        let many: Vec<_> = (10..35).map(|number| format!("on {number}")).collect();
        let lines = merged(many.iter().map(String::as_str));
        assert!(lines[0].starts_with("on 10, 11, ") && lines[0].ends_with(", 29 and 5 more"));
    }
}
