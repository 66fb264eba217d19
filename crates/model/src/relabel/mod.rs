//! Relabeling, as Prometheus' `model/relabel` does it: a list of rules that rewrites the labels of
//! a target, or drops it.

mod apply;
mod case;
mod rule;

use std::fmt;

use crate::labels::{Labels, LabelsBuilder};

use self::apply::apply;
pub use self::rule::{
    DEFAULT_REGEX, DEFAULT_REPLACEMENT, DEFAULT_SEPARATOR, RawRule, RelabelError, RelabelRule,
};
pub use swarmscout_go_regexp::{Regex, RegexError};

/// Applies `rules` in order. `Err` is the index of the rule that drops the target; `labels` is then
/// as that rule found it.
pub fn process(rules: &[RelabelRule], labels: &mut LabelsBuilder) -> Result<(), usize> {
    match rules.iter().position(|rule| !apply(rule, labels)) {
        Some(dropping) => Err(dropping),
        None => Ok(()),
    }
}

/// What one rule did to a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// The rule.
    pub rule: &'a RelabelRule,
    /// The labels after it; none if the target is dropped.
    pub output: Labels,
    /// Whether the target is still there.
    pub keep: bool,
}

/// Applies `rules` in order and returns what each of them did. The rules after one that drops the
/// target are reported as dropping it, too.
pub fn steps<'a>(rules: &'a [RelabelRule], labels: &mut LabelsBuilder) -> Vec<Step<'a>> {
    let mut keep = true;
    let step = |rule| {
        keep = keep && apply(rule, labels);
        Step { rule, output: if keep { labels.build() } else { Labels::empty() }, keep }
    };
    rules.iter().map(step).collect()
}

/// What a relabeling rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Action {
    /// Sets the target label to the expanded replacement where the regex matches.
    #[default]
    Replace,
    /// Drops the target unless the regex matches.
    Keep,
    /// Drops the target if the regex matches.
    Drop,
    /// Drops the target unless the joined source labels equal the target label.
    KeepEqual,
    /// Drops the target if the joined source labels equal the target label.
    DropEqual,
    /// Sets the target label to a hash of the joined source labels modulo the modulus.
    HashMod,
    /// Copies every label whose name matches to the name that the replacement makes of it.
    LabelMap,
    /// Removes the labels whose name matches.
    LabelDrop,
    /// Removes the labels whose name does not match.
    LabelKeep,
    /// Sets the target label to the joined source labels in lower case.
    Lowercase,
    /// Sets the target label to the joined source labels in upper case.
    Uppercase,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Replace,
        Self::Keep,
        Self::Drop,
        Self::KeepEqual,
        Self::DropEqual,
        Self::HashMod,
        Self::LabelMap,
        Self::LabelDrop,
        Self::LabelKeep,
        Self::Lowercase,
        Self::Uppercase,
    ];

    /// The name in the file: lower case, in one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::KeepEqual => "keepequal",
            Self::DropEqual => "dropequal",
            Self::HashMod => "hashmod",
            Self::LabelMap => "labelmap",
            Self::LabelDrop => "labeldrop",
            Self::LabelKeep => "labelkeep",
            Self::Lowercase => "lowercase",
            Self::Uppercase => "uppercase",
        }
    }

    /// The action of this name, which may be written in any case.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// Whether a rule of this action needs a `target_label`.
    fn needs_target_label(self) -> bool {
        use Action::{DropEqual, HashMod, KeepEqual, Lowercase, Replace, Uppercase};
        matches!(self, Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual)
    }

    /// Whether a rule of this action must not have a `replacement`. Prometheus has an error of its
    /// own for that.
    fn refuses_replacement(self) -> bool {
        matches!(self, Self::Lowercase | Self::Uppercase | Self::KeepEqual | Self::DropEqual)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
