//! Finding the end of a JSON string: the inner loop of everything that reads an answer.

/// The index of the first `"` or `\` at or after `from`.
///
/// Eight bytes at a time: strings in the Engine's answers are mostly shorter than what it takes to
/// call `memchr`.
pub(super) fn find_quote_or_backslash(text: &[u8], from: usize) -> Option<usize> {
    let mut rest = text.get(from..)?;
    let mut at = from;
    while let Some((word, tail)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let found = zero_bytes(word ^ repeat(b'"')) | zero_bytes(word ^ repeat(b'\\'));
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        rest = tail;
        at += 8;
    }
    let place = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    Some(at + place)
}

const fn repeat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Marks zero bytes with their highest bit. Bytes above the lowest zero byte may be marked
/// wrongly; the lowest mark is always right.
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(repeat(1)) & !word & repeat(0x80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_what_a_plain_search_finds(
            text in prop::collection::vec(
                prop_oneof![any::<u8>(), Just(b'"'), Just(b'\\'), Just(0x5d), Just(0x23)], 0..40),
            from in 0_usize..45,
        ) {
            let plain = text
                .iter()
                .enumerate()
                .skip(from)
                .find(|(_, byte)| matches!(byte, b'"' | b'\\'))
                .map(|(at, _)| at);
            prop_assert_eq!(find_quote_or_backslash(&text, from), plain);
        }
    }
}
