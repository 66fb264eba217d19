//! Upper and lower case as Go's `strings.ToUpper` and `strings.ToLower` make them: rune by rune,
//! with Unicode's simple mapping, so that a text keeps its number of characters. The standard
//! library has the full mapping (`ß` becomes `SS`), whose longer results are of no use here.

/// Appends `text` in lower case.
pub(super) fn push_lower(out: &mut String, text: &str) {
    if text.is_ascii() {
        let start = out.len();
        out.push_str(text);
        out[start..].make_ascii_lowercase();
    } else {
        out.extend(text.chars().map(lower));
    }
}

/// Appends `text` in upper case.
pub(super) fn push_upper(out: &mut String, text: &str) {
    if text.is_ascii() {
        let start = out.len();
        out.push_str(text);
        out[start..].make_ascii_uppercase();
    } else {
        out.extend(text.chars().map(upper));
    }
}

fn lower(c: char) -> char {
    match c {
        'İ' => 'i',
        _ => single(c, c.to_lowercase()),
    }
}

fn upper(c: char) -> char {
    // Greek letters with an iota below: their simple upper case is the title case.
    let distance = match c {
        'ᾀ'..='ᾇ' | 'ᾐ'..='ᾗ' | 'ᾠ'..='ᾧ' => 8,
        'ᾳ' | 'ῃ' | 'ῳ' => 9,
        _ => return single(c, c.to_uppercase()),
    };
    char::from_u32(u32::from(c) + distance).unwrap_or(c)
}

/// A character whose full mapping is longer than one character has no simple one, those above
/// excepted.
fn single(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(mapped), None) => mapped,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_one_character_to_one() {
        for (text, lowered, raised) in [
            ("", "", ""),
            ("bar-123Foo", "bar-123foo", "BAR-123FOO"),
            ("straße", "straße", "STRAßE"),
            ("İı", "iı", "İI"),
            ("ΣΑΣ", "σασ", "ΣΑΣ"),
            ("ǆǅ", "ǆǆ", "ǄǄ"),
            ("ᾀᾧᾳῃῳᾼ", "ᾀᾧᾳῃῳᾳ", "ᾈᾯᾼῌῼᾼ"),
            ("ﬁŉΐ", "ﬁŉΐ", "ﬁŉΐ"),
            ("ſK", "ſk", "SK"),
        ] {
            let mut out = String::new();
            push_lower(&mut out, text);
            assert_eq!(out, lowered);
            out.clear();
            push_upper(&mut out, text);
            assert_eq!(out, raised);
        }
    }
}
