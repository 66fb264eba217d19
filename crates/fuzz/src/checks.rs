//! What is true of everything that comes out.

use std::collections::BTreeSet;

use swarmscout_discovery::{Groups, Problem};
use swarmscout_model::Labels;
use swarmscout_model::labels::META_PREFIX;

/// Sorted by name, no name twice, no name and no value empty.
pub fn labels<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) {
    let mut before = "";
    for (name, value) in labels {
        assert!(before < name, "{name:?} stands after {before:?}");
        assert!(!value.is_empty(), "{name:?} is empty");
        before = name;
    }
}

/// The label set of something that was discovered. Names that are made of what users wrote can be
/// read by every Prometheus.
pub fn discovered(set: &Labels) {
    labels(set);
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for (name, _) in set {
        assert!(!name.starts_with(META_PREFIX) || name.chars().all(is_word), "{name:?}");
    }
}

/// The groups of one refresh: no source twice, and good labels.
pub fn groups(groups: &Groups) {
    let mut sources = BTreeSet::new();
    for group in groups {
        assert!(sources.insert(&group.source), "{:?} stands twice", group.source);
    }
    each_group(groups, discovered);
}

/// The groups of one refresh, each by itself.
pub fn each_group(groups: &Groups, check: fn(&Labels)) {
    for group in groups {
        check(&group.labels);
        group.targets.iter().for_each(check);
    }
}

/// The groups of a list in which users write labels of any name.
pub fn listed(groups: &Groups) {
    each_group(groups, |set| labels(set));
}

/// A problem becomes a log line, a row of the API and two metric labels.
pub fn problems(problems: &[Problem], input: usize) {
    let mut size = 0;
    for Problem { kind, object, reason, detail } in problems {
        assert!(!kind.is_empty() && !reason.is_empty());
        size += object.len() + detail.len();
    }
    // A byte that is no UTF-8 is three bytes of text, and ten where that is shown escaped.
    assert!(size <= 20 * input + 500 * problems.len(), "{} problems: {size}", problems.len());
    assert!(problems.len() <= 30_000);
}

/// A password of some length, in a place where nothing but a password can stand, is in none of the
/// texts that are shown.
pub fn password_is_hidden(text: &str, shown: &[&str]) {
    // In a path it would be part of the path.
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let (scheme, after) = text.split_once("://").unwrap_or_default();
    if !scheme.chars().all(is_scheme) {
        return;
    }
    let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((user, _)) = authority.rsplit_once('@') else { return };
    let Some((_, password)) = user.split_once(':') else { return };
    if password.len() < 6 || text.matches(password).count() != 1 {
        return;
    }
    is_hidden(password, shown);
}

/// A secret is in none of the texts that are shown.
pub fn is_hidden(secret: &str, shown: &[&str]) {
    for shown in shown {
        // A secret may equal what stands in its place.
        assert!(!shown.replace(":xxxxx", "").contains(secret), "{secret:?} shows: {shown}");
    }
}
