//! JSON as Go's `encoding/json` accepts it: bytes that are not UTF-8 are replaced, one by one.

use std::borrow::Cow;

/// U+FFFD as an escape of JSON: as long as what it stands in for.
const REPLACEMENT: &[u8; 6] = br"\ufffd";

/// JSON without bytes that are not UTF-8, and without escapes of half a character (`\ud800`): each
/// becomes U+FFFD. Borrowed where there are none.
pub fn repaired(json: &[u8]) -> Cow<'_, [u8]> {
    let Some(length) = repaired_length(json) else { return Cow::Borrowed(json) };
    let mut text = valid(json, length).into_bytes();
    let mut at = 0;
    while let Some(half) = half(&text, at) {
        at = half + REPLACEMENT.len();
        text[half..at].copy_from_slice(REPLACEMENT);
    }
    Cow::Owned(text)
}

/// How many bytes [`repaired`] makes of it; `None` where it borrows.
pub fn repaired_length(json: &[u8]) -> Option<usize> {
    if str::from_utf8(json).is_ok() {
        let may_be =
            json.contains(&b'\\') && json.windows(3).any(|text| matches!(text, br"\ud" | br"\uD"));
        return (may_be && half(json, 0).is_some()).then_some(json.len());
    }
    let bad = json.utf8_chunks().map(|chunk| chunk.invalid().len()).sum::<usize>();
    Some(json.len() + bad * (char::REPLACEMENT_CHARACTER.len_utf8() - 1))
}

/// Each byte that is not part of a character becomes one.
fn valid(bytes: &[u8], length: usize) -> String {
    let mut text = String::with_capacity(length);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// The first escape of half a character, from a place on that is not within an escape.
fn half(json: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += json.get(at..)?.iter().position(|byte| *byte == b'\\')?;
        at += match (unit(&json[at..]), json.get(at + 6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => return Some(at),
            // The byte after the backslash may be another one.
            _ => 2,
        };
    }
}

/// The number of `\u1234`.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(br"\u")?.get(..4)?;
    let digits = str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_what_go_replaces() {
        // Go 1.26: `json.Unmarshal` into a string, for each of them.
        for (json, expected) in [
            (&br#""plain""#[..], "plain"),
            (b"\"caf\xe9\"", "caf\u{fffd}"),
            (b"\"\xe9\xe9 \xff\"", "\u{fffd}\u{fffd} \u{fffd}"),
            (b"\"\xe2\x82\"", "\u{fffd}\u{fffd}"),
            (b"\"\xed\xa0\x80\"", "\u{fffd}\u{fffd}\u{fffd}"),
            (br#""a\ud800b""#, "a\u{fffd}b"),
            (br#""\uDC00\ud83d\ude00\ud83d""#, "\u{fffd}😀\u{fffd}"),
            (br#""\ud83d\u0041""#, "\u{fffd}A"),
            (br#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (br#""\\ud800""#, "\\ud800"),
            (br#""\\\ud800\"""#, "\\\u{fffd}\""),
            (b"\"\xe9\\ud800\"", "\u{fffd}\u{fffd}"),
            (b"\"\xef\xbf\xbd\"", "\u{fffd}"),
        ] {
            let repaired = repaired(json);
            assert!(repaired_length(json).is_none_or(|length| length == repaired.len()));
            assert_eq!(serde_json::from_slice::<String>(&repaired).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_right_is_borrowed() {
        for json in
            [&b""[..], b"\"\xc3\xa9\"", br#""\ud83d\ude00""#, br#""\\ud800""#, br"\u", br"\"]
        {
            assert!(matches!(repaired(json), Cow::Borrowed(_)), "{json:?}");
        }
        assert!(matches!(repaired(b"\\ud800"), Cow::Owned(_)));
    }
}
