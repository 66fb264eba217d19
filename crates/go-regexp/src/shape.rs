//! Patterns that need no engine, or not the slow half of one.
//!
//! Rules match whole texts, and most of their patterns are a name, a few names, or a prefix with
//! anything behind it: comparing is all it takes. Where groups begin and end often needs no search
//! either, as all that stands before or behind is of one length. (Prometheus' `FastRegexMatcher`
//! has the same idea for the matchers of its queries.)

use regex_automata::util::primitives::NonMaxUsize;
use regex_syntax::hir::{Class, ClassUnicodeRange, Hir, HirKind, Look};

use super::Slots;

/// The most texts that a pattern is written out to.
const MAX_TEXTS: usize = 1000;

/// What is known of a pattern that spans the whole text wherever it matches.
#[derive(Debug)]
pub(super) struct Shape {
    /// What the text must be, if that is simple.
    pub(super) body: Option<Body>,
    /// Where each group begins and ends, if that is the same in all matches. A group that takes
    /// part in none has no place.
    pub(super) groups: Option<Box<[Place]>>,
}

/// What a text must be to match.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// One of these, which are sorted.
    OneOf(Box<[Box<str>]>),
    /// Anything, or anything but nothing, between two texts.
    Between { prefix: Box<str>, suffix: Box<str>, nothing: bool },
}

/// Where a group begins and ends; `None` if it takes part in no match.
type Place = Option<(Edge, Edge)>;

/// A place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// This many bytes from its beginning.
    FromStart(usize),
    /// This many bytes from its end.
    FromEnd(usize),
}

impl Shape {
    /// Reads a whole pattern that has `groups` groups, group 0 included. `None` if its matches
    /// need not span the whole text, or nothing is known of it.
    pub(super) fn of(hir: &Hir, groups: usize) -> Option<Self> {
        let HirKind::Concat(parts) = hir.kind() else { return None };
        let [first, parts @ .., last] = parts.as_slice() else { return None };
        let (HirKind::Look(Look::Start), HirKind::Look(Look::End)) = (first.kind(), last.kind())
        else {
            return None;
        };
        let mut edges = vec![None; groups];
        edges[0] = Some((Edge::FromStart(0), Edge::FromEnd(0)));
        let found = find_edges(parts, Some(0), Some(0), &mut edges);
        let shape = Self { body: Body::of(parts), groups: found.then(|| edges.into()) };
        (shape.body.is_some() || shape.groups.is_some()).then_some(shape)
    }

    /// Whether no engine is needed at all.
    pub(super) fn says_all(&self) -> bool {
        self.body.is_some() && self.groups.is_some()
    }

    /// Fills `slots` with the groups of a match; `false` if they are not known.
    pub(super) fn fill(&self, text: &str, slots: &mut Slots) -> bool {
        let Some(groups) = &self.groups else { return false };
        slots.clear();
        for group in groups {
            let place = |edge| match edge {
                Edge::FromStart(distance) => NonMaxUsize::new(distance),
                Edge::FromEnd(distance) => NonMaxUsize::new(text.len() - distance),
            };
            let (start, end) = group.map_or((None, None), |(a, b)| (place(a), place(b)));
            slots.extend([start, end]);
        }
        true
    }
}

impl Body {
    /// What a sequence of parts matches, groups left aside.
    fn of(parts: &[Hir]) -> Option<Self> {
        let mut texts = Vec::new();
        if write_out(parts, &mut texts) {
            let mut texts: Vec<Box<str>> = texts.into_iter().map(Into::into).collect();
            texts.sort_unstable();
            return Some(Self::OneOf(texts.into()));
        }
        let mut between = Between::default();
        if !parts.iter().all(|part| between.read(part)) {
            return None;
        }
        let Between { prefix, nothing, suffix } = between;
        Some(Self::Between { prefix: prefix.into(), suffix: suffix.into(), nothing: nothing? })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::OneOf(texts) => texts.binary_search_by(|one| (**one).cmp(text)).is_ok(),
            Self::Between { prefix, suffix, nothing } => {
                let between = text.len().checked_sub(prefix.len() + suffix.len());
                // To compare with nothing is slow: an empty box points nowhere, and the processor
                // stumbles over that.
                between.is_some_and(|between| between > 0 || *nothing)
                    && (prefix.is_empty() || text.starts_with(&**prefix))
                    && (suffix.is_empty() || text.ends_with(&**suffix))
            }
        }
    }
}

/// Finds where the groups within `parts` begin and end. `before` and `behind` are the lengths of
/// what stands on either side, if they are always the same. `false` if a group has no certain
/// place.
fn find_edges(
    parts: &[Hir],
    mut before: Option<usize>,
    behind: Option<usize>,
    edges: &mut [Place],
) -> bool {
    parts.iter().enumerate().all(|(i, part)| {
        let start = before;
        let own = length(part);
        before = add(before, own);
        if part.properties().explicit_captures_len() == 0 {
            return true;
        }
        let rest = parts[i + 1..].iter().map(length).fold(behind, add);
        match part.kind() {
            HirKind::Concat(parts) => find_edges(parts, start, rest, edges),
            HirKind::Capture(capture) => {
                let edge = |from_start: Option<usize>, from_end: Option<usize>| {
                    from_start.map(Edge::FromStart).or(from_end.map(Edge::FromEnd))
                };
                let place = edge(start, add(rest, own)).zip(edge(before, rest));
                edges[capture.index as usize] = place;
                place.is_some()
                    && find_edges(std::slice::from_ref(&*capture.sub), start, rest, edges)
            }
            _ => false,
        }
    })
}

fn add(one: Option<usize>, other: Option<usize>) -> Option<usize> {
    one?.checked_add(other?)
}

/// The length in bytes, if it is always the same.
fn length(hir: &Hir) -> Option<usize> {
    let properties = hir.properties();
    properties.minimum_len().filter(|least| properties.maximum_len() == Some(*least))
}

/// Writes out all texts that `parts` match one after the other. `false` if they are too many.
fn write_out(parts: &[Hir], texts: &mut Vec<String>) -> bool {
    texts.clear();
    texts.push(String::new());
    parts.iter().all(|part| append(part, texts))
}

/// Appends every text that `part` matches to every one of `texts`.
fn append(part: &Hir, texts: &mut Vec<String>) -> bool {
    let tails: Vec<String> = match part.kind() {
        HirKind::Empty => return true,
        HirKind::Capture(capture) => return append(&capture.sub, texts),
        HirKind::Concat(parts) => return parts.iter().all(|part| append(part, texts)),
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(literal) => vec![literal.to_owned()],
            Err(_) => return false,
        },
        HirKind::Class(Class::Unicode(class)) => {
            let size: usize = class.iter().map(ClassUnicodeRange::len).sum();
            if size > MAX_TEXTS {
                return false;
            }
            class.iter().flat_map(|r| r.start()..=r.end()).map(String::from).collect()
        }
        HirKind::Alternation(parts) => {
            let mut tails = Vec::new();
            let mut some = Vec::new();
            for part in parts {
                if !write_out(std::slice::from_ref(part), &mut some) || tails.len() > MAX_TEXTS {
                    return false;
                }
                tails.append(&mut some);
            }
            tails
        }
        HirKind::Repetition(repetition) if (repetition.min, repetition.max) == (0, Some(1)) => {
            let mut tails = Vec::new();
            if !write_out(std::slice::from_ref(&*repetition.sub), &mut tails) {
                return false;
            }
            tails.push(String::new());
            tails
        }
        _ => return false,
    };
    if let [tail] = tails.as_slice() {
        for text in texts {
            text.push_str(tail);
        }
        return true;
    }
    if texts.len() * tails.len() > MAX_TEXTS {
        return false;
    }
    *texts =
        texts.iter().flat_map(|text| tails.iter().map(move |t| format!("{text}{t}"))).collect();
    true
}

/// A prefix, one `.*` or `.+` (greedy or not, it is the same between two fixed ends), a suffix.
#[derive(Default)]
struct Between {
    prefix: String,
    /// Whether there may be nothing between; `None` before the wildcard.
    nothing: Option<bool>,
    suffix: String,
}

impl Between {
    /// Reads the next part; `false` if it does not fit.
    fn read(&mut self, part: &Hir) -> bool {
        match part.kind() {
            HirKind::Empty => true,
            HirKind::Capture(capture) => self.read(&capture.sub),
            HirKind::Concat(parts) => parts.iter().all(|part| self.read(part)),
            HirKind::Literal(literal) => {
                let end = if self.nothing.is_none() { &mut self.prefix } else { &mut self.suffix };
                std::str::from_utf8(&literal.0).map(|literal| end.push_str(literal)).is_ok()
            }
            HirKind::Repetition(repetition) => {
                let fits = self.nothing.is_none()
                    && repetition.min <= 1
                    && repetition.max.is_none()
                    && is_any_char(&repetition.sub);
                self.nothing = Some(repetition.min == 0);
                fits
            }
            _ => false,
        }
    }
}

fn is_any_char(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            matches!(class.ranges(), [all] if (all.start(), all.end()) == ('\0', char::MAX))
        }
        _ => false,
    }
}
