//! Reads a text in the encodings that it may be written in.

use std::ops::Range;

/// The most encodings that may be nested.
const DEPTH: usize = 3;

/// The most readings of one text.
const MOST: usize = 24;

/// A text, or what it is when it is decoded.
pub(super) struct Reading {
    pub(super) text: Vec<u8>,
    /// Where in the source each byte of `text` starts and ends. `None`: it is the source.
    places: Option<Vec<(u32, u32)>>,
}

impl Reading {
    /// The part of the source that a part of the text, which is not empty, stands for.
    pub(super) fn source(&self, part: Range<usize>) -> Range<usize> {
        match &self.places {
            None => part,
            Some(places) => places[part.start].0 as usize..places[part.end - 1].1 as usize,
        }
    }

    /// This text decoded; `None` where that changes nothing.
    fn decoded(&self, escape: Escape) -> Option<Self> {
        let (mut text, mut places) = (Vec::with_capacity(self.text.len()), Vec::new());
        let (mut at, mut changed) = (0, false);
        while at < self.text.len() {
            let rest = &self.text[at..];
            let before = text.len();
            let escaped = escape(rest, &mut text);
            if escaped.is_none() {
                text.push(rest[0]);
            }
            changed |= escaped.is_some();
            let length = escaped.unwrap_or(1);
            let source = self.source(at..at + length);
            let place = |at| u32::try_from(at).expect("a text is cut before it is read");
            places.resize(
                places.len() + text.len() - before,
                (place(source.start), place(source.end)),
            );
            at += length;
        }
        changed.then_some(Self { text, places: Some(places) })
    }
}

/// All readings of a text that differ, the text itself first.
pub(super) fn readings(text: &[u8]) -> Vec<Reading> {
    let mut readings = vec![Reading { text: text.to_vec(), places: None }];
    let mut last = 0..1;
    for _ in 0..DEPTH {
        for index in last.clone() {
            for escape in [percent, form, html, backslash] {
                if readings.len() < MOST
                    && let Some(reading) = readings[index].decoded(escape)
                    && readings.iter().all(|known| known.text != reading.text)
                {
                    readings.push(reading);
                }
            }
        }
        last = last.end..readings.len();
    }
    readings
}

/// Decodes the escape that a text starts with, and returns its length; `None` without one.
type Escape = fn(&[u8], &mut Vec<u8>) -> Option<usize>;

/// `%2F`.
fn percent(text: &[u8], to: &mut Vec<u8>) -> Option<usize> {
    let digits = text.strip_prefix(b"%")?.get(..2)?;
    to.push(u8::try_from(number(digits, 16)?).ok()?);
    Some(3)
}

/// `%2F`, and `+` for a space.
fn form(text: &[u8], to: &mut Vec<u8>) -> Option<usize> {
    if text[0] == b'+' {
        to.push(b' ');
        return Some(1);
    }
    percent(text, to)
}

/// `&amp;`, `&#38;`, `&#x26;`.
fn html(text: &[u8], to: &mut Vec<u8>) -> Option<usize> {
    const LONGEST: usize = 12;
    let rest = text.strip_prefix(b"&")?;
    let end = rest.iter().take(LONGEST).position(|byte| *byte == b';')?;
    let name = &rest[..end];
    let c = match name.strip_prefix(b"#") {
        Some([b'x' | b'X', digits @ ..]) => char::from_u32(number(digits, 16)?)?,
        Some(digits) => char::from_u32(number(digits, 10)?)?,
        None => named(name)?,
    };
    push(to, c);
    Some(1 + end + 1)
}

/// HTML's names for characters of ASCII.
fn named(name: &[u8]) -> Option<char> {
    Some(match name {
        b"amp" | b"AMP" => '&',
        b"lt" | b"LT" => '<',
        b"gt" | b"GT" => '>',
        b"quot" | b"QUOT" => '"',
        b"apos" => '\'',
        b"nbsp" => ' ',
        b"excl" => '!',
        b"num" => '#',
        b"dollar" => '$',
        b"percnt" => '%',
        b"lpar" => '(',
        b"rpar" => ')',
        b"ast" | b"midast" => '*',
        b"plus" => '+',
        b"comma" => ',',
        b"period" => '.',
        b"sol" => '/',
        b"colon" => ':',
        b"semi" => ';',
        b"equals" => '=',
        b"quest" => '?',
        b"commat" => '@',
        b"lsqb" | b"lbrack" => '[',
        b"bsol" => '\\',
        b"rsqb" | b"rbrack" => ']',
        b"Hat" => '^',
        b"lowbar" | b"UnderBar" => '_',
        b"grave" | b"DiacriticalGrave" => '`',
        b"lcub" | b"lbrace" => '{',
        b"verbar" | b"vert" | b"VerticalLine" => '|',
        b"rcub" | b"rbrace" => '}',
        _ => return None,
    })
}

/// Escapes of strings in JSON, Go, Rust and C: `\"`, `\n`, `\x2f`, `\u002f`, `\u{2f}`,
/// `\U0000002f`.
fn backslash(text: &[u8], to: &mut Vec<u8>) -> Option<usize> {
    let rest = text.strip_prefix(b"\\")?;
    let (kind, digits) = rest.split_first()?;
    let c = match kind {
        b'a' => '\x07',
        b'b' => '\x08',
        b'f' => '\x0c',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'v' => '\x0b',
        b'0' => '\0',
        b'x' => {
            to.push(u8::try_from(number(digits.get(..2)?, 16)?).ok()?);
            return Some(4);
        }
        b'U' => {
            push(to, char::from_u32(number(digits.get(..8)?, 16)?)?);
            return Some(10);
        }
        b'u' if digits.first() == Some(&b'{') => {
            let end = digits.iter().take(8).position(|byte| *byte == b'}')?;
            push(to, char::from_u32(number(&digits[1..end], 16)?)?);
            return Some(2 + end + 1);
        }
        b'u' => {
            let unit = |text: &[u8]| u16::try_from(number(text.get(..4)?, 16)?).ok();
            let first = unit(digits)?;
            let second = digits.get(4..).and_then(|rest| unit(rest.strip_prefix(b"\\u")?));
            let pair = [first, second.unwrap_or_default()];
            return match char::decode_utf16(pair).next()?.ok()? {
                c if c > '\u{ffff}' => {
                    push(to, c);
                    Some(12)
                }
                c => {
                    push(to, c);
                    Some(6)
                }
            };
        }
        b'"' | b'\'' | b'\\' | b'/' | b'`' => char::from(*kind),
        _ => return None,
    };
    push(to, c);
    Some(2)
}

fn push(to: &mut Vec<u8>, c: char) {
    to.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// A number of at least one digit and no sign.
fn number(digits: &[u8], base: u32) -> Option<u32> {
    let text = str::from_utf8(digits).ok()?;
    let is_number = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(text, base).ok().filter(|_| is_number)
}
