//! Go's regular expressions, with Go's error messages, on the engines of `regex-automata`.
//!
//! Go's `regexp` has RE2's syntax, leftmost-first matches and linear time. The engines of
//! `regex-automata` have the same semantics, but the dialect of the `regex` crate differs in ways
//! that no flag repairs: which patterns compile, what `\d`, `\w`, `\s` and `\b` mean, `[a&&b]`,
//! `\Q…\E`, octal escapes. So this crate has its own parser, and a table recorded from Go to test
//! it against.
//!
//! A pattern is anchored at both ends and `.` matches a newline, as Prometheus compiles the
//! patterns of relabeling rules. Usual patterns (names, lists of names, a fixed prefix) need no
//! engine.
//!
//! ```
//! use swarmscout_go_regexp::{Regex, Slots, Template};
//!
//! let regex = Regex::new("([^:]+)(?::\\d+)?")?;
//! let template = Template::new("${1}:9100".to_owned(), &regex);
//! let (mut slots, mut address) = (Slots::new(), String::new());
//! assert!(regex.find("10.0.0.1:80", &mut slots));
//! template.expand("10.0.0.1:80", &slots, &mut address);
//! assert_eq!(address, "10.0.0.1:9100");
//!
//! let error = Regex::new("(").unwrap_err();
//! assert_eq!(error.to_string(), "error parsing regexp: missing closing ): `^(?s:()$`");
//! # Ok::<(), swarmscout_go_regexp::RegexError>(())
//! ```
//!
//! **Invariant: a pattern compiles, fails and matches as in Go.** Differences are bugs. The crate
//! depends on nothing else of Swarmscout.

mod both_ways;
mod class;
mod node;
mod parse;
mod shape;
mod template;

use std::fmt;
use std::thread;

use regex_automata::Input;
use regex_automata::meta;
use regex_automata::util::primitives::NonMaxUsize;
use regex_syntax::hir::{ClassUnicode, Hir};

use self::parse::Parsed;
use self::shape::{Body, Shape};
pub use self::template::Template;

/// Compares the two ways to match a pattern. For tests and fuzz targets.
#[doc(hidden)]
pub mod testing {
    pub use crate::both_ways::{Found, find};
}

/// Where the groups of a match begin and end: those of group `n` are at `2n` and `2n + 1`, group 0
/// is the whole match. `None` where the group took no part.
pub type Slots = Vec<Option<NonMaxUsize>>;

/// Why a pattern is refused, in the words of Go's `regexp/syntax`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {what}: `{part}`")]
pub struct RegexError {
    what: &'static str,
    part: String,
}

impl RegexError {
    fn new(what: &'static str, part: &str) -> Self {
        Self { what, part: part.to_owned() }
    }
}

/// The compiler of `regex-automata` calls itself for every level of a pattern. Up to this height it
/// fits any stack; higher ones get a stack of their own.
const MAX_PLAIN_HEIGHT: u32 = 50;
/// Bytes, enough for the highest pattern that Go takes.
const DEEP_STACK_SIZE: usize = 32 << 20;

/// The most memory that the compiled form of a pattern takes, in bytes, and one half of its
/// compilation as well. Go's limits alone would admit patterns of several gigabytes.
const MAX_NFA_SIZE: usize = 64 << 20;

/// A compiled pattern, anchored as Prometheus anchors it: `^(?s:` pattern `)$`.
pub struct Regex {
    pattern: Box<str>,
    /// What is known of it without an engine.
    shape: Option<Shape>,
    /// Absent if the shape says all.
    engine: Option<meta::Regex>,
    /// The names of its groups.
    names: Vec<Option<Box<str>>>,
}

impl Regex {
    /// Compiles `pattern`.
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        let anchored = format!("^(?s:{pattern})$");
        let Parsed { hir, groups: names, height } = parse::parse(&anchored)?;
        let shape = if height <= MAX_PLAIN_HEIGHT { Shape::of(&hir, names.len()) } else { None };
        let engine = if shape.as_ref().is_some_and(Shape::says_all) {
            None
        } else {
            let engine = compile(&hir, height);
            Some(engine.ok_or_else(|| RegexError::new(node::LARGE, &anchored))?)
        };
        Ok(Self { pattern: pattern.into(), shape, engine, names })
    }

    /// The pattern as it was written, without the anchors.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether the pattern matches `text`.
    pub fn is_match(&self, text: &str) -> bool {
        match self.shape.as_ref().and_then(|shape| shape.body.as_ref()) {
            Some(body) => body.matches(text),
            None => self.engine().is_match(text),
        }
    }

    /// What every text that matches begins with, as far as that is known.
    pub fn prefix(&self) -> &str {
        match self.shape.as_ref().and_then(|shape| shape.body.as_ref()) {
            Some(Body::Between { prefix, .. }) => prefix,
            _ => "",
        }
    }

    /// Finds the leftmost match and fills `slots`. `false` leaves them undefined.
    pub fn find(&self, text: &str, slots: &mut Slots) -> bool {
        match &self.shape {
            Some(shape) if shape.groups.is_some() => self.is_match(text) && shape.fill(text, slots),
            _ => search(self.engine(), text, 0, slots),
        }
    }

    /// Finds the leftmost match that begins at `from`, which is not 0, or behind it.
    pub fn find_next(&self, text: &str, from: usize, slots: &mut Slots) -> bool {
        // A match of a pattern that has a shape begins where the text does.
        self.shape.is_none() && search(self.engine(), text, from, slots)
    }

    fn engine(&self) -> &meta::Regex {
        self.engine.as_ref().expect("a pattern whose shape does not say all has an engine")
    }

    /// The groups that have this name. More than one group may.
    pub fn groups_named(&self, name: &str) -> Vec<usize> {
        let named = |i: &usize| self.names[*i].as_deref() == Some(name);
        (0..self.names.len()).filter(named).collect()
    }
}

/// Compiles what was read; `None` if it becomes too large.
fn compile(hir: &Hir, height: u32) -> Option<meta::Regex> {
    let compile = || {
        let config = meta::Config::new().nfa_size_limit(Some(MAX_NFA_SIZE));
        meta::Builder::new().configure(config).build_from_hir(hir).ok()
    };
    if height <= MAX_PLAIN_HEIGHT {
        return compile();
    }
    thread::scope(|scope| {
        let thread =
            thread::Builder::new().stack_size(DEEP_STACK_SIZE).spawn_scoped(scope, compile);
        thread.ok()?.join().ok()?
    })
}

fn search(engine: &meta::Regex, text: &str, from: usize, slots: &mut Slots) -> bool {
    slots.clear();
    slots.resize(engine.group_info().slot_len(), None);
    engine.search_slots(&Input::new(text).range(from..), slots).is_some()
}

/// Whether `c` is in one of Unicode's categories L and Nd.
fn is_letter_or_digit(c: char) -> bool {
    let is_in = |class: ClassUnicode| class.iter().any(|r| (r.start()..=r.end()).contains(&c));
    ["L", "Nd"].into_iter().filter_map(class::unicode).any(is_in)
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Regex({:?})", self.pattern)
    }
}

#[cfg(test)]
mod tests;
