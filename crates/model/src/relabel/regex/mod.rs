//! Go's regular expressions, as far as relabeling uses them.
//!
//! Prometheus matches with Go's `regexp` (RE2 syntax, leftmost-first, linear time). The engines of
//! `regex-automata` have the same semantics, but its dialect differs in ways that no flag repairs:
//! which patterns compile, what `\d`, `\w`, `\s` and `\b` mean, `[a&&b]`, `\Q…\E`, octal escapes.

use std::fmt;

use regex_automata::Input;
use regex_automata::meta;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::util::syntax;

/// Where the groups of a match begin and end: those of group `n` are at `2n` and `2n + 1`, group 0
/// is the whole match. `None` where the group took no part.
pub(super) type Slots = Vec<Option<NonMaxUsize>>;

/// Why a pattern is refused, in the words of Go's `regexp/syntax`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {what}: `{part}`")]
pub struct RegexError {
    what: String,
    part: String,
}

/// A compiled pattern, anchored as Prometheus anchors it: `^(?s:` pattern `)$`.
pub struct Regex {
    pattern: Box<str>,
    engine: meta::Regex,
}

impl Regex {
    /// Compiles `pattern`.
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        let anchored = format!("^(?s:{pattern})$");
        let engine = meta::Regex::builder()
            .syntax(syntax::Config::new())
            .build(&anchored)
            .map_err(|error| RegexError { what: error.to_string(), part: anchored })?;
        Ok(Self { pattern: pattern.into(), engine })
    }

    /// The pattern as it was written, without the anchors.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether the pattern matches `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.engine.is_match(text)
    }

    /// Finds the leftmost match at or after `from` and fills `slots`. `false` leaves them undefined.
    pub(super) fn search(&self, text: &str, from: usize, slots: &mut Slots) -> bool {
        slots.clear();
        slots.resize(self.engine.group_info().slot_len(), None);
        self.engine.search_slots(&Input::new(text).range(from..), slots).is_some()
    }

    /// The groups that have this name. More than one group may.
    pub(super) fn groups_named(&self, name: &str) -> Vec<usize> {
        let names = self.engine.group_info().all_names();
        names.enumerate().filter(|(_, (_, _, n))| *n == Some(name)).map(|(i, _)| i).collect()
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Regex({:?})", self.pattern)
    }
}
