//! Texts with variables, as Go's `Regexp.Expand` reads them.

use super::{Regex, Slots, is_letter_or_digit};

/// A text with variables (`$1`, `${1}`, `$name`, `${name}`; `$$` is a `$`), split once. A variable
/// is as long as it can be: `$1x` is the group named `1x`. What is not a variable stands for
/// itself; a group that is not there or took no part is empty.
#[derive(Debug)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Group(usize),
    /// The first of several groups of one name that took part.
    FirstOf(Box<[usize]>),
}

impl Template {
    /// Splits `text`, whose variables are groups of `regex`.
    pub fn new(text: String, regex: &Regex) -> Self {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('$') {
            literal.push_str(before);
            rest = after;
            if let Some(after) = rest.strip_prefix('$') {
                literal.push('$');
                rest = after;
            } else if let Some((name, after)) = variable(rest) {
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal).into()));
                }
                parts.extend(part(name, regex));
                rest = after;
            } else {
                literal.push('$');
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into()));
        }
        Self { text, parts }
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is a `$` in the text, be it that of a variable or not.
    pub fn has_dollar(&self) -> bool {
        self.text.contains('$')
    }

    /// Appends the text with its variables replaced by the groups of a match in `matched`.
    pub fn expand(&self, matched: &str, slots: &Slots, out: &mut String) {
        let group = |index: usize| {
            let from = slots.get(2 * index).copied().flatten()?;
            let to = slots.get(2 * index + 1).copied().flatten()?;
            Some(&matched[from.get()..to.get()])
        };
        for part in &self.parts {
            match part {
                Part::Literal(literal) => out.push_str(literal),
                Part::Group(index) => out.push_str(group(*index).unwrap_or_default()),
                Part::FirstOf(indexes) => {
                    out.push_str(indexes.iter().find_map(|i| group(*i)).unwrap_or_default());
                }
            }
        }
    }

    /// Appends `text` with every match of `regex` replaced by the expanded template: Go's
    /// `ReplaceAllString`. Without a match nothing is appended, and the answer is `false`.
    pub fn replace_all(
        &self,
        regex: &Regex,
        text: &str,
        slots: &mut Slots,
        out: &mut String,
    ) -> bool {
        if !regex.find(text, slots) {
            return false;
        }
        let mut copied = 0;
        let mut from = 0;
        loop {
            let [Some(start), Some(end)] = slots[..2] else {
                unreachable!("a match has a beginning and an end")
            };
            let (start, end) = (start.get(), end.get());
            out.push_str(&text[copied..start]);
            // An empty match right after another match does not count.
            if end > copied || start == 0 {
                self.expand(text, slots, out);
            }
            copied = end;
            let width = text[from..].chars().next().map_or(1, char::len_utf8);
            from = end.max(from + width);
            if from > text.len() || !regex.find_next(text, from, slots) {
                break;
            }
        }
        out.push_str(&text[copied..]);
        true
    }
}

/// Splits what follows a `$` into the variable's name and the rest.
fn variable(text: &str) -> Option<(&str, &str)> {
    let (braced, text) = match text.strip_prefix('{') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let end = text.find(|c| !is_name_char(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let rest = if braced { rest.strip_prefix('}')? } else { rest };
    (!name.is_empty()).then_some((name, rest))
}

/// Letters, decimal digits and `_`, of all scripts.
fn is_name_char(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() || c == '_' } else { is_letter_or_digit(c) }
}

/// A number without leading zeros is a group's index, everything else a group's name.
fn part(name: &str, regex: &Regex) -> Option<Part> {
    if name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0')) {
        return name.parse().ok().map(Part::Group);
    }
    match regex.groups_named(name).as_slice() {
        [] => None,
        [index] => Some(Part::Group(*index)),
        indexes => Some(Part::FirstOf(indexes.into())),
    }
}
