//! Upper and lower case as Go's `strings.ToUpper` and `strings.ToLower` make them: rune by rune,
//! with Unicode's simple mapping, so that a text keeps its number of characters.

/// Appends `text` in lower case.
pub(super) fn push_lower(out: &mut String, text: &str) {
    out.extend(text.chars().map(|c| single(c, c.to_lowercase())));
}

/// Appends `text` in upper case.
pub(super) fn push_upper(out: &mut String, text: &str) {
    out.extend(text.chars().map(|c| single(c, c.to_uppercase())));
}

fn single(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(mapped), None) => mapped,
        _ => c,
    }
}
