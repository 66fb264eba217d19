//! One relabeling rule: as written in a file, as checked, and as written back.

use std::fmt;
use std::sync::Arc;

use swarmscout_go_regexp::{Regex, RegexError, Template};

use super::Action;
use crate::name::NameScheme;
use crate::quote::Quoted;

/// The `separator` of a rule that names none.
pub const DEFAULT_SEPARATOR: &str = ";";
/// The `regex` of a rule that names none.
pub const DEFAULT_REGEX: &str = "(.*)";
/// The `replacement` of a rule that names none.
pub const DEFAULT_REPLACEMENT: &str = "$1";

/// A rule as written in a file. `None` is a missing key. A key without a value (null) is the empty
/// string or 0; for `source_labels` it is the same as a missing key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawRule {
    /// `source_labels`.
    pub source_labels: Option<Vec<String>>,
    /// `separator`.
    pub separator: Option<String>,
    /// `regex`. Even the default counts as given if it is written, where a rule may not have one.
    pub regex: Option<String>,
    /// `modulus`.
    pub modulus: Option<u64>,
    /// `target_label`.
    pub target_label: Option<String>,
    /// `replacement`.
    pub replacement: Option<String>,
    /// `action`, in any case.
    pub action: Option<String>,
}

/// Why a rule is refused, in Prometheus' words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelabelError {
    /// `action:` without a value.
    #[error("relabel action cannot be empty")]
    NoAction,
    /// No such action.
    #[error("unknown relabel action {}", Quoted(.0))]
    UnknownAction(String),
    /// The regex is not valid.
    #[error(transparent)]
    Regex(#[from] RegexError),
    /// `hashmod` without a modulus.
    #[error("relabel configuration for hashmod requires non-zero modulus")]
    NoModulus,
    /// The action needs a target label.
    #[error("relabel configuration for {0} action requires 'target_label' value")]
    NoTargetLabel(Action),
    /// The target label is not a valid label name.
    #[error("{} is invalid 'target_label' for {action} action", Quoted(.target_label))]
    InvalidTargetLabel {
        /// As written.
        target_label: String,
        /// The rule's action.
        action: Action,
    },
    /// The replacement of a `labelmap` is not a valid label name.
    #[error("{} is invalid 'replacement' for labelmap action", Quoted(.0))]
    InvalidReplacement(String),
    /// The action does not use a replacement.
    #[error("'replacement' can not be set for {0} action")]
    NeedlessReplacement(Action),
    /// `keepequal` and `dropequal` compare two labels and use no other field.
    #[error("{0} action requires only 'source_labels' and `target_label`, and no other fields")]
    OnlySourceAndTarget(Action),
    /// `labeldrop` and `labelkeep` match label names and use no other field.
    #[error("{0} action requires only 'regex', and no other fields")]
    OnlyRegex(Action),
}

/// One relabeling rule, checked and compiled. Cheap to clone.
///
/// Two rules are equal if they were configured to the same.
#[derive(Clone)]
pub struct RelabelRule(Arc<Checked>);

pub(super) struct Checked {
    pub(super) source_labels: Vec<String>,
    pub(super) separator: String,
    pub(super) regex: Regex,
    /// The file has no `regex`. That differs from `(.*)`, both for the fields that are allowed with
    /// it and for an empty value.
    pub(super) default_regex: bool,
    pub(super) modulus: u64,
    pub(super) target_label: Template,
    pub(super) replacement: Template,
    pub(super) action: Action,
    pub(super) scheme: NameScheme,
}

impl RawRule {
    /// Checks the rule as Prometheus' `relabel.Config` does, and compiles it. `scheme` says which
    /// label names are valid, here and when the rule is applied.
    pub fn check(self, scheme: NameScheme) -> Result<RelabelRule, RelabelError> {
        let action = match self.action.as_deref() {
            None => Action::default(),
            Some("") => return Err(RelabelError::NoAction),
            Some(name) => {
                Action::parse(name).ok_or_else(|| RelabelError::UnknownAction(name.to_owned()))?
            }
        };
        let regex = Regex::new(self.regex.as_deref().unwrap_or(DEFAULT_REGEX))?;
        let separator = self.separator.unwrap_or_else(|| DEFAULT_SEPARATOR.to_owned());
        let modulus = self.modulus.unwrap_or(0);
        let target_label = self.target_label.unwrap_or_default();
        let replacement = self.replacement.unwrap_or_else(|| DEFAULT_REPLACEMENT.to_owned());

        if action == Action::HashMod && modulus == 0 {
            return Err(RelabelError::NoModulus);
        }
        if action.needs_target_label() {
            if target_label.is_empty() {
                return Err(RelabelError::NoTargetLabel(action));
            }
            let valid = if action == Action::Replace && target_label.contains('$') {
                is_valid_name_template(&target_label, scheme)
            } else {
                scheme.is_valid_label_name(&target_label)
            };
            if !valid {
                return Err(RelabelError::InvalidTargetLabel { target_label, action });
            }
        }
        if action.refuses_replacement() && replacement != DEFAULT_REPLACEMENT {
            return Err(RelabelError::NeedlessReplacement(action));
        }
        if action == Action::LabelMap && !is_valid_name_template(&replacement, scheme) {
            return Err(RelabelError::InvalidReplacement(replacement));
        }
        let plain = modulus == 0 && separator == DEFAULT_SEPARATOR;
        match action {
            Action::KeepEqual | Action::DropEqual if !plain || self.regex.is_some() => {
                return Err(RelabelError::OnlySourceAndTarget(action));
            }
            Action::LabelDrop | Action::LabelKeep
                if !plain
                    || self.source_labels.is_some()
                    || !target_label.is_empty()
                    || replacement != DEFAULT_REPLACEMENT =>
            {
                return Err(RelabelError::OnlyRegex(action));
            }
            _ => {}
        }

        Ok(RelabelRule(Arc::new(Checked {
            source_labels: self.source_labels.unwrap_or_default(),
            separator,
            default_regex: self.regex.is_none(),
            modulus,
            target_label: Template::new(target_label, &regex),
            replacement: Template::new(replacement, &regex),
            regex,
            action,
            scheme,
        })))
    }
}

/// Whether a text with variables may be a label name. With the legacy names it must be
/// `^(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+$`.
fn is_valid_name_template(text: &str, scheme: NameScheme) -> bool {
    if scheme == NameScheme::Utf8 {
        return scheme.is_valid_label_name(text);
    }
    let word =
        |text: &str| text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    let mut rest = text;
    while !rest.is_empty() {
        let taken = if let Some(variable) = rest.strip_prefix("${") {
            match word(variable) {
                0 => return false,
                name if variable[name..].starts_with('}') => "${".len() + name + "}".len(),
                _ => return false,
            }
        } else if let Some(variable) = rest.strip_prefix('$') {
            match word(variable) {
                0 => return false,
                name => "$".len() + name,
            }
        } else {
            // A digit may follow anything but the beginning.
            let starts = rest.len() == text.len();
            match word(rest) {
                0 => return false,
                _ if starts && rest.as_bytes()[0].is_ascii_digit() => return false,
                name => name,
            }
        };
        rest = &rest[taken..];
    }
    !text.is_empty()
}

/// The configured fields. To write a rule back as Prometheus does, use the order of these methods.
/// Always write `separator` and `replacement`. Write `regex` always in JSON, and in YAML unless
/// [`has_default_regex`](Self::has_default_regex). Write the others unless they are empty or 0.
impl RelabelRule {
    /// `source_labels`.
    pub fn source_labels(&self) -> &[String] {
        &self.0.source_labels
    }

    /// `separator`.
    pub fn separator(&self) -> &str {
        &self.0.separator
    }

    /// `regex`, without the anchors that are put around it.
    pub fn regex(&self) -> &str {
        self.0.regex.pattern()
    }

    /// Whether no `regex` was given.
    pub fn has_default_regex(&self) -> bool {
        self.0.default_regex
    }

    /// `modulus`.
    pub fn modulus(&self) -> u64 {
        self.0.modulus
    }

    /// `target_label`.
    pub fn target_label(&self) -> &str {
        self.0.target_label.text()
    }

    /// `replacement`.
    pub fn replacement(&self) -> &str {
        self.0.replacement.text()
    }

    /// `action`.
    pub fn action(&self) -> Action {
        self.0.action
    }

    /// Which label names the rule may write.
    pub fn name_scheme(&self) -> NameScheme {
        self.0.scheme
    }

    pub(super) fn checked(&self) -> &Checked {
        &self.0
    }
}

impl PartialEq for RelabelRule {
    fn eq(&self, other: &Self) -> bool {
        self.source_labels() == other.source_labels()
            && self.separator() == other.separator()
            && self.regex() == other.regex()
            && self.has_default_regex() == other.has_default_regex()
            && self.modulus() == other.modulus()
            && self.target_label() == other.target_label()
            && self.replacement() == other.replacement()
            && self.action() == other.action()
            && self.name_scheme() == other.name_scheme()
    }
}

impl Eq for RelabelRule {}

impl fmt::Debug for RelabelRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelabelRule")
            .field("source_labels", &self.source_labels())
            .field("separator", &self.separator())
            .field("regex", &self.regex())
            .field("modulus", &self.modulus())
            .field("target_label", &self.target_label())
            .field("replacement", &self.replacement())
            .field("action", &self.action())
            .finish_non_exhaustive()
    }
}
