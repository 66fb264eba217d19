//! JSON as Go's `encoding/json` writes it.

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

/// Encodes a value as Go does: `<`, `>`, `&`, U+2028 and U+2029 escaped, and a newline at the end.
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::new();
    append(&mut json, value);
    json.push(b'\n');
    json
}

/// Appends a value without a newline.
pub(crate) fn append(json: &mut Vec<u8>, value: &impl Serialize) {
    let mut serializer = serde_json::Serializer::with_formatter(json, Go);
    value.serialize(&mut serializer).expect("what is encoded here has string keys only");
}

/// Go's escaping.
struct Go;

impl Formatter for Go {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(place) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (before, from) = rest.split_at(place);
            let mut characters = from.chars();
            let escaped = u32::from(characters.next().expect("`find` found a character"));
            write!(writer, "{before}\\u{escaped:04x}")?;
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match escape {
            CharEscape::Backspace => writer.write_all(br"\u0008"),
            CharEscape::FormFeed => writer.write_all(br"\u000c"),
            escape => CompactFormatter.write_char_escape(writer, escape),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn escapes_as_go_does() {
        let json = super::encode(&"<a>&\u{8}\u{c}\n\u{1}\u{2028}└ü\"\\\u{7f}");
        assert_eq!(
            String::from_utf8(json).unwrap(),
            "\"\\u003ca\\u003e\\u0026\\u0008\\u000c\\n\\u0001\\u2028└ü\\\"\\\\\u{7f}\"\n"
        );
    }
}
