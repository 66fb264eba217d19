//! Finds secrets in a text, in all forms that they may have there.

use std::collections::BTreeMap;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use super::SHORTEST;
use super::readings::{Reading, readings};

/// This number of bytes from the start of a secret is hidden although the rest does not follow.
const DISTINCTIVE: usize = 16;

/// Longer forms are searched for in pieces of this number of bytes.
const PIECE: usize = 256;

/// What Go's `url.QueryEscape` leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// All forms of some secrets. However many there are, a text is gone through once.
pub(super) struct Patterns {
    forms: Vec<Form>,
    /// Indexes of forms by the first bytes of these.
    by_head: BTreeMap<[u8; SHORTEST], Vec<usize>>,
    /// A bit for each pair of bytes that some form starts with.
    starts: Vec<u64>,
}

struct Form {
    text: Zeroizing<Vec<u8>>,
    /// Whether it is base64, so that the characters around it may hold bits of the secret.
    base64: bool,
}

impl Patterns {
    pub(super) fn of<'s>(secrets: impl Iterator<Item = &'s str>) -> Self {
        let starts = vec![0; (1 << 16) / 64];
        let mut patterns = Self { forms: Vec::new(), by_head: BTreeMap::new(), starts };
        for secret in secrets {
            patterns.add(secret.as_bytes(), false);
            for encoded in before_base64(secret) {
                for offset in 0..3 {
                    for form in in_base64(encoded.as_bytes(), offset) {
                        patterns.add(&form, true);
                    }
                }
            }
        }
        patterns
    }

    fn add(&mut self, form: &[u8], base64: bool) {
        for piece in form.chunks(PIECE) {
            let Some(head) = piece.first_chunk::<SHORTEST>() else { continue };
            let same_head = self.by_head.entry(*head).or_default();
            if same_head.iter().any(|known| *self.forms[*known].text == piece) {
                continue;
            }
            same_head.push(self.forms.len());
            let (word, bit) = pair(*head);
            self.starts[word] |= bit;
            self.forms.push(Form { text: Zeroizing::new(piece.to_vec()), base64 });
        }
    }

    /// Where `text` holds secrets: ranges in order, which do not touch.
    pub(super) fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for reading in readings(text.as_bytes()) {
            self.find_in(&reading, &mut found);
        }
        found.sort_unstable_by_key(|range| range.start);
        let mut hidden: Vec<Range<usize>> = Vec::new();
        for Range { start, end } in found {
            // A part of a character hides all of it.
            let (start, end) = (text.floor_char_boundary(start), text.ceil_char_boundary(end));
            match hidden.last_mut() {
                Some(last) if start <= last.end => last.end = last.end.max(end),
                _ => hidden.push(start..end),
            }
        }
        hidden
    }

    fn find_in(&self, reading: &Reading, found: &mut Vec<Range<usize>>) {
        let text = &reading.text[..];
        for (at, head) in text.windows(SHORTEST).enumerate() {
            let head = *head.first_chunk().expect("a window has the length that was asked for");
            let (word, bit) = pair(head);
            if self.starts[word] & bit == 0 {
                continue;
            }
            let rest = &text[at..];
            for form in self.by_head.get(&head).into_iter().flatten().map(|form| &self.forms[*form])
            {
                let same = form.text.iter().zip(rest).take_while(|(a, b)| a == b).count();
                let is_cut = same == rest.len() || rest[same..].starts_with("…".as_bytes());
                if same < form.text.len() && same < DISTINCTIVE && !is_cut {
                    continue;
                }
                let (mut from, mut to) = (at, at + same);
                if form.base64 {
                    from -= usize::from(from > 0 && is_base64(text[from - 1]));
                    to += usize::from(text.get(to).is_some_and(|byte| is_base64(*byte)));
                }
                found.push(reading.source(from..to));
            }
        }
    }
}

/// The bit of the first two bytes.
fn pair([first, second, ..]: [u8; SHORTEST]) -> (usize, u64) {
    (usize::from(first) << 2 | usize::from(second >> 6), 1 << (second & 63))
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// A secret as it may stand in a text that is then encoded in base64.
fn before_base64(secret: &str) -> Vec<Zeroizing<String>> {
    let percent = utf8_percent_encode(secret, UNRESERVED).to_string();
    let json = serde_json::Value::from(secret).to_string();
    let mut forms = vec![
        secret.to_owned(),
        json[1..json.len() - 1].to_owned(),
        percent.replace("%20", "+"),
        with_lower_digits(&percent),
        percent,
    ];
    forms.sort_unstable();
    forms.dedup();
    forms.into_iter().map(Zeroizing::new).collect()
}

/// Percent-encoded text with its hexadecimal digits in lower case.
fn with_lower_digits(percent: &str) -> String {
    let mut pieces = percent.split('%');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        // Two digits follow each percent sign, as it was just written.
        let (digits, rest) = piece.split_at(2);
        text.push('%');
        text.push_str(&digits.to_ascii_lowercase());
        text.push_str(rest);
    }
    text
}

/// The characters of base64 that depend on nothing but `text`, where `offset` bytes (or that many
/// modulo 3) come before it, in both alphabets.
fn in_base64(text: &[u8], offset: usize) -> [Zeroizing<Vec<u8>>; 2] {
    let bytes = Zeroizing::new([&[0; 2][..offset], text].concat());
    // Six bits a character; those that are partly another's do not count.
    let own = (8 * offset).div_ceil(6)..8 * bytes.len() / 6;
    [STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(|engine| {
        let encoded = Zeroizing::new(engine.encode(&*bytes));
        Zeroizing::new(encoded.as_bytes()[own.clone()].to_vec())
    })
}
