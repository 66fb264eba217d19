//! YAML in the one form that file SD needs: block style, strings in double quotes.
//!
//! Prometheus reads it with a parser of YAML 1.1 (go-yaml), which refuses or changes more
//! characters than JSON has escapes for, and keys that are too long. Both are heeded here.

use std::io::Write as _;

/// The longest key, in characters, that is written without a question mark before it. A parser
/// searches 1024 characters for the colon (YAML 1.2.2, 8.2.2), and quotes and escapes lengthen a
/// key.
pub const LONGEST_KEY: usize = 100;

/// Appends `text` in double quotes.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend(b"\\\""),
            '\\' => out.extend(b"\\\\"),
            '\n' => out.extend(b"\\n"),
            '\t' => out.extend(b"\\t"),
            '\r' => out.extend(b"\\r"),
            c if is_printable(c) => out.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            c => {
                let code = u32::from(c);
                // Everything beyond U+FFFF is printable.
                write!(out, "\\u{code:04X}").expect("writing to memory never fails");
            }
        }
    }
    out.push(b'"');
}

/// Appends labels as a mapping in lines of their own, below a key that is indented by two.
pub fn mapping<'a>(out: &mut Vec<u8>, labels: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut empty = true;
    for (name, value) in labels {
        empty = false;
        if name.len() > LONGEST_KEY {
            out.extend(b"\n    ? ");
            string(out, name);
            out.extend(b"\n    : ");
        } else {
            out.extend(b"\n    ");
            string(out, name);
            out.extend(b": ");
        }
        string(out, value);
    }
    if empty {
        out.extend(b" {}");
    }
}

/// Whether a parser takes the character as it stands, and as no line break (YAML 1.1, 5.1 and 5.4).
fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
        && !matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(labels: &[(&str, &str)], expected: &Expect) {
        let mut out = b"labels:".to_vec();
        mapping(&mut out, labels.iter().copied());
        expected.assert_eq(std::str::from_utf8(&out).unwrap());
        // A parser that is not ours reads what was written.
        let indented = std::str::from_utf8(&out).unwrap().replace("labels:", "  labels:");
        let read: std::collections::BTreeMap<String, std::collections::BTreeMap<String, String>> =
            serde_saphyr::from_str(&indented).unwrap();
        let written = labels.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        assert_eq!(read["labels"], written.collect());
    }

    #[test]
    fn writes_what_every_parser_reads_as_it_was() {
        check(&[], &expect!["labels: {}"]);
        check(
            &[("no", "yes"), ("ü", "1.10"), ("q", "\"\\ # : -"), ("e", "")],
            &expect![[r#"
                labels:
                    "no": "yes"
                    "ü": "1.10"
                    "q": "\"\\ # : -"
                    "e": """#]],
        );
        check(
            &[
                ("a", "\0\u{1}\t\r\n\u{7f}\u{85}"),
                ("b", "\u{2028}\u{feff}\u{ffff}"),
                ("c", "🐳\u{10ffff}"),
            ],
            &expect![[r#"
                labels:
                    "a": "\u0000\u0001\t\r\n\u007F\u0085"
                    "b": "\u2028\uFEFF\uFFFF"
                    "c": "🐳􏿿""#]],
        );
    }

    #[test]
    fn marks_keys_that_are_too_long_for_a_parser_to_find_their_colon() {
        let long = "x".repeat(2000);
        let mut out = Vec::new();
        mapping(&mut out, [(long.as_str(), "v")].into_iter());
        assert_eq!(String::from_utf8(out).unwrap(), format!("\n    ? \"{long}\"\n    : \"v\""));
    }
}
