//! Words and numbers in the text of a file of the kernel.

use memchr::memchr;

/// The lines, without what ends them.
pub(super) fn lines(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let end = memchr(b'\n', text);
        let line = &text[..end.unwrap_or(text.len())];
        text = end.map_or(&[][..], |end| &text[end + 1..]);
        Some(line)
    })
}

/// What stands between blanks and tabs.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty())
}

/// A whole number, if that is all there is.
pub(super) fn number(word: &[u8]) -> Option<u64> {
    let digit = |b: &u8| b.is_ascii_digit().then(|| u64::from(b - b'0'));
    let (first, rest) = word.split_first()?;
    rest.iter().try_fold(digit(first)?, |number, b| number.checked_mul(10)?.checked_add(digit(b)?))
}

/// Fills `values` with the numbers that `words` begins with, the rest with 0. How many there are.
pub(super) fn numbers<'t>(words: impl IntoIterator<Item = &'t [u8]>, values: &mut [u64]) -> usize {
    values.fill(0);
    let mut count = 0;
    for (value, word) in values.iter_mut().zip(words) {
        let Some(number) = number(word) else { break };
        *value = number;
        count += 1;
    }
    count
}

/// The first line of a file, without blanks around it; empty if it is not text.
pub(super) fn line(text: &[u8]) -> &str {
    let line = lines(text).next().unwrap_or_default();
    // Values of a device tree end in a zero.
    str::from_utf8(line).unwrap_or_default().trim_matches(['\0', ' ', '\t', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole_and_fit() {
        let max = u64::MAX.to_string();
        for (text, expected) in [
            ("0", Some(0)),
            ("0042", Some(42)),
            (&max, Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("1 ", None),
        ] {
            assert_eq!(number(text.as_bytes()), expected, "{text:?}");
        }
        let mut values = [9; 4];
        assert_eq!(numbers(words(b" 1\t2  x 4"), &mut values), 2);
        assert_eq!(values, [1, 2, 0, 0]);
    }

    #[test]
    fn the_last_line_needs_no_end() {
        let all: Vec<_> = lines(b"a\n\nb").collect();
        assert_eq!(all, [&b"a"[..], b"", b"b"]);
        assert_eq!(lines(b"a\n").count(), 1);
        assert_eq!(line(b" 45 \nx"), "45");
        assert_eq!(line(b"Raspberry\0"), "Raspberry");
        assert_eq!(line(b"\xff"), "");
    }
}
