//! Holds what is known of a pattern without an engine against what the engine finds: for the tests
//! and the fuzz target.

use super::{Regex, RegexError, Slots, compile, node, parse, search};

/// What each way finds in each of the texts.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// As rules search for it.
    pub quick: Option<Vec<Option<usize>>>,
    /// By the engine alone.
    pub slow: Option<Vec<Option<usize>>>,
    /// As rules ask whether there is a match at all.
    pub is_match: bool,
    /// Whether the text begins with what all texts that match are said to begin with.
    pub has_prefix: bool,
}

/// Searches for `pattern` in `texts` in both ways. A match is reported as the bounds of its groups.
pub fn find<'a>(
    pattern: &str,
    texts: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<Found>, RegexError> {
    let regex = Regex::new(pattern)?;
    let anchored = format!("^(?s:{pattern})$");
    let parsed = parse::parse(&anchored)?;
    let engine = compile(&parsed.hir, parsed.height);
    let engine = engine.ok_or_else(|| RegexError::new(node::LARGE, &anchored))?;
    let mut slots = Slots::new();
    let bounds = |found: bool, slots: &Slots| {
        // Groups that take part in no match may be missing at the end.
        let bound = |i| slots.get(i).copied().flatten().map(|at: super::NonMaxUsize| at.get());
        found.then(|| (0..2 * regex.names.len()).map(bound).collect::<Vec<_>>())
    };
    let both = |text| {
        let found = search(&engine, text, 0, &mut slots);
        let slow = bounds(found, &slots);
        let found = regex.find(text, &mut slots);
        let quick = bounds(found, &slots);
        let has_prefix = text.starts_with(regex.prefix());
        Found { quick, slow, is_match: regex.is_match(text), has_prefix }
    };
    Ok(texts.into_iter().map(both).collect())
}
