//! JSON written straight into a buffer: what is large is not built as a tree first.

/// Appends `text` as a JSON string.
#[expect(clippy::missing_panics_doc, reason = "writing a string to memory never fails")]
pub fn string(out: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes()) {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    serde_json::to_writer(out, text).expect("writing a string to memory never fails");
}

/// Appends labels as a JSON object, in their order.
pub fn object<'a>(out: &mut Vec<u8>, labels: impl Iterator<Item = (&'a str, &'a str)>) {
    out.push(b'{');
    for (index, (name, value)) in labels.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(out, name);
        out.push(b':');
        string(out, value);
    }
    out.push(b'}');
}

/// Whether no byte needs an escape, as in most texts. Reads eight bytes at once.
fn is_plain(text: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    // A byte that is less than `limit` sets its highest bit. So may a byte above it, but none
    // where there is no such byte.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    let marks = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        (below(word, 0x20) | quote | backslash) & (ONES * 0x80)
    };
    let (words, rest) = text.as_chunks::<8>();
    let found = words.iter().fold(0, |found, word| found | marks(word));
    let found = match text.last_chunk::<8>() {
        // Some bytes are read twice.
        Some(last) if !rest.is_empty() => found | marks(last),
        _ => {
            let mut word = [b' '; 8];
            word[..rest.len()].copy_from_slice(rest);
            found | marks(&word)
        }
    };
    found == 0
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn finds_each_byte_that_needs_an_escape_at_each_place() {
        for length in 0..20 {
            for (place, byte) in (0..length).flat_map(|place| (0..=255).map(move |it| (place, it)))
            {
                let mut text = vec![b'a'; length];
                text[place] = byte;
                let needs_escape = byte < 0x20 || byte == b'"' || byte == b'\\';
                assert_eq!(is_plain(&text), !needs_escape, "{byte} at {place} of {length}");
            }
        }
    }
}
