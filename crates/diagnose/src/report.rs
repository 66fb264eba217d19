//! The findings of a diagnosis, for terminals and programs.

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
