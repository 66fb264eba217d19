//! Reads one JSON value out of an element of a list, member by member.
//!
//! Made for reading a few members of large objects from servers of every version: other members are
//! skipped without being decoded, `null` is the default, and a value of the wrong type can be skipped
//! without losing what stands around it ([`Reader::attempt`]).
//! Strings are borrowed unless they hold an escape. As in Go's `encoding/json`, bytes that are not
//! UTF-8 and lone surrogates become U+FFFD, and of a member given twice the last counts.

use std::borrow::Cow;

use super::text::find_quote_or_backslash;

/// A place in a JSON text.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

/// Why a value could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The text is not JSON at this offset.
    #[error("not JSON at byte {at}")]
    Syntax {
        /// Offset in the text.
        at: usize,
    },
    /// The value at this offset is of another type than the one that was asked for.
    #[error("expected {expected} at byte {at}")]
    Type {
        /// Offset in the text.
        at: usize,
        /// What was asked for.
        expected: &'static str,
    },
}

impl Fault {
    /// A part is of another type than it should be; its place is that of the part.
    pub(super) fn expected(expected: &'static str) -> Self {
        Self::Type { at: 0, expected }
    }
}

type Result<T> = std::result::Result<T, Fault>;

impl<'a> Reader<'a> {
    /// Reads from the start of `text`.
    pub fn new(text: &'a [u8]) -> Self {
        Self::at(text, 0)
    }

    /// Reads from a place in `text`, as [`Self::place`] gives it.
    pub(super) fn at(text: &'a [u8], at: usize) -> Self {
        Self { text, at }
    }

    /// The text, and where in it the next value stands.
    pub(super) fn place(&self) -> (&'a [u8], usize) {
        (self.text, self.at)
    }

    /// Calls `member` for each member of an object with its key as it was written; `member` must
    /// read or skip the value. `null` is an object without members.
    pub fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &'a [u8]) -> Result<()>,
    ) -> Result<()> {
        if !self.open(b'{', "an object")? {
            return Ok(());
        }
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.peek()? != b'"' {
                return Err(self.syntax());
            }
            let (key, _) = self.raw_string()?;
            self.expect(b':')?;
            member(self, key)?;
            if !self.more(b'}')? {
                return Ok(());
            }
        }
    }

    /// Calls `member` for each member of an object with its key decoded.
    pub fn map(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<()>,
    ) -> Result<()> {
        self.object(|reader, key| {
            let key = reader.decode(key)?;
            member(reader, key)
        })
    }

    /// Calls `element` for each element of an array; `element` must read or skip it. `null` is an
    /// array without elements.
    pub fn array(&mut self, mut element: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        if !self.open(b'[', "a list")? {
            return Ok(());
        }
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            element(self)?;
            if !self.more(b']')? {
                return Ok(());
            }
        }
    }

    /// A string; `null` is the empty one.
    pub fn string(&mut self) -> Result<Cow<'a, str>> {
        match self.peek()? {
            b'"' => {
                let (raw, escaped) = self.raw_string()?;
                match std::str::from_utf8(raw) {
                    Ok(text) if !escaped => Ok(Cow::Borrowed(text)),
                    _ => self.decode(raw),
                }
            }
            b'n' => self.null().map(|()| Cow::Borrowed("")),
            _ => Err(self.wrong_type("a string")),
        }
    }

    /// A whole number that is not negative; `null` is 0.
    pub fn unsigned(&mut self) -> Result<u64> {
        let start = self.clone();
        let number = self.number(|text| text.parse().ok())?;
        number.ok_or_else(|| start.wrong_type("a whole number that is not negative"))
    }

    /// A whole number; `null` is 0.
    pub fn signed(&mut self) -> Result<i64> {
        let start = self.clone();
        self.number(|text| text.parse().ok())?.ok_or_else(|| start.wrong_type("a whole number"))
    }

    /// `true` or `false`; `null` is `false`.
    pub fn boolean(&mut self) -> Result<bool> {
        match self.peek()? {
            b't' => self.word(b"true").map(|()| true),
            b'f' => self.word(b"false").map(|()| false),
            b'n' => self.null().map(|()| false),
            _ => Err(self.wrong_type("true or false")),
        }
    }

    /// Whether the next value is `null`. Reads it if it is.
    pub fn is_null(&mut self) -> Result<bool> {
        if self.peek()? != b'n' {
            return Ok(false);
        }
        self.null().map(|()| true)
    }

    /// Leaves out the next value and returns how it was written.
    pub fn skip(&mut self) -> Result<&'a [u8]> {
        let first = self.peek()?;
        let start = self.at;
        match first {
            b'"' => {
                self.raw_string()?;
            }
            b'{' | b'[' => self.skip_nested()?,
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => self.skip_scalar(),
            _ => return Err(self.syntax()),
        }
        Ok(&self.text[start..self.at])
    }

    /// Leaves out the next value, which is read later: then a scalar that is not JSON, such as `NaN`, is
    /// a value of the wrong type.
    pub(super) fn skip_unread(&mut self) -> Result<()> {
        self.peek()?;
        let start = self.at;
        match self.skip() {
            Err(Fault::Syntax { at }) if at == start => {
                self.skip_scalar();
                Ok(())
            }
            skipped => skipped.map(drop),
        }
    }

    fn skip_scalar(&mut self) {
        let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t'..=b'\r');
        let rest = &self.text[self.at..];
        self.at += rest.iter().position(ends).unwrap_or(rest.len());
    }

    /// Reads the next value with `read`; where something in it is of the wrong type, leaves the
    /// value out as a whole and returns what was expected, and how the value was written.
    pub fn attempt<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<std::result::Result<T, (&'static str, &'a [u8])>> {
        let start = self.clone();
        match read(self) {
            Ok(value) => Ok(Ok(value)),
            Err(Fault::Type { expected, .. }) => {
                *self = start;
                let written = self.skip()?;
                Ok(Err((expected, written)))
            }
            Err(fault) => Err(fault),
        }
    }

    /// Checks that nothing but white space is left.
    pub fn end(&mut self) -> Result<()> {
        match self.peek() {
            Ok(_) => Err(self.syntax()),
            Err(_) => Ok(()),
        }
    }

    fn skip_nested(&mut self) -> Result<()> {
        let mut depth = 0_usize;
        let mut at = self.at;
        loop {
            let Some(byte) = self.text.get(at) else {
                self.at = self.text.len();
                return Err(self.syntax());
            };
            at += 1;
            match byte {
                b'"' => {
                    self.at = at;
                    self.string_end()?;
                    at = self.at;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at = at;
                        return Ok(());
                    }
                }
                _ => {}
            }
        }
    }

    /// What stands between the quotes, and whether there is an escape in it. The next byte is the
    /// opening one.
    fn raw_string(&mut self) -> Result<(&'a [u8], bool)> {
        self.at += 1;
        let start = self.at;
        let escaped = self.string_end()?;
        Ok((&self.text[start..self.at - 1], escaped))
    }

    /// Moves from inside a string to behind its closing quote. Returns whether there was an escape.
    fn string_end(&mut self) -> Result<bool> {
        let mut escaped = false;
        loop {
            let Some(found) = find_quote_or_backslash(self.text, self.at) else {
                self.at = self.text.len();
                return Err(self.syntax());
            };
            self.at = found + 1;
            if self.text[found] == b'"' {
                return Ok(escaped);
            }
            escaped = true;
            self.at += 1;
        }
    }

    fn number<T: Default>(&mut self, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>> {
        match self.peek()? {
            b'-' | b'0'..=b'9' => {
                let raw = self.skip()?;
                Ok(std::str::from_utf8(raw).ok().and_then(parse))
            }
            b'n' => self.null().map(|()| Some(T::default())),
            _ => Ok(None),
        }
    }

    fn null(&mut self) -> Result<()> {
        self.word(b"null")
    }

    fn word(&mut self, word: &[u8]) -> Result<()> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.syntax());
        }
        self.at += word.len();
        Ok(())
    }

    /// Enters an object or array; `false` for `null`.
    fn open(&mut self, bracket: u8, expected: &'static str) -> Result<bool> {
        let next = self.peek()?;
        if next == bracket {
            self.at += 1;
            Ok(true)
        } else if next == b'n' {
            self.null().map(|()| false)
        } else {
            Err(self.wrong_type(expected))
        }
    }

    /// After a member or element: whether another follows.
    fn more(&mut self, bracket: u8) -> Result<bool> {
        match self.peek()? {
            b',' => {
                self.at += 1;
                Ok(true)
            }
            next if next == bracket => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.syntax()),
        }
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.peek()? != byte {
            return Err(self.syntax());
        }
        self.at += 1;
        Ok(())
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Result<u8> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(self.syntax()),
            }
        }
    }

    fn syntax(&self) -> Fault {
        Fault::Syntax { at: self.at }
    }

    /// A fault of type at this place.
    pub(super) fn wrong_type(&self, expected: &'static str) -> Fault {
        Fault::Type { at: self.at, expected }
    }

    fn decode(&self, raw: &'a [u8]) -> Result<Cow<'a, str>> {
        if !raw.contains(&b'\\')
            && let Ok(text) = std::str::from_utf8(raw)
        {
            return Ok(Cow::Borrowed(text));
        }
        let mut text = String::with_capacity(raw.len());
        let mut rest = raw;
        while !rest.is_empty() {
            let plain = rest.iter().position(|byte| *byte == b'\\').unwrap_or(rest.len());
            push_lossy(&mut text, &rest[..plain]);
            rest = &rest[plain..];
            if !rest.is_empty() {
                rest = push_escape(&mut text, rest).ok_or_else(|| self.syntax())?;
            }
        }
        Ok(Cow::Owned(text))
    }
}

/// Appends `bytes`; each byte that is not part of valid UTF-8 becomes U+FFFD.
pub(crate) fn push_lossy(text: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
}

/// Appends what the escape at the start of `rest` stands for and returns what follows it.
fn push_escape<'a>(text: &mut String, rest: &'a [u8]) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(2)?;
    let c = match head[1] {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        c @ (b'"' | b'\\' | b'/') => char::from(c),
        b'u' => {
            let (unit, tail) = hex_unit(tail)?;
            if let Some(low) = tail.strip_prefix(b"\\u")
                && let Some((low, after)) = hex_unit(low)
                && let Some(Ok(c)) = char::decode_utf16([unit, low]).next()
                && c > '\u{ffff}'
            {
                text.push(c);
                return Some(after);
            }
            text.push(char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER));
            return Some(tail);
        }
        _ => return None,
    };
    text.push(c);
    Some(tail)
}

fn hex_unit(text: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, tail) = text.split_at_checked(4)?;
    let digits = std::str::from_utf8(digits).ok().filter(|d| !d.starts_with('+'))?;
    Some((u16::from_str_radix(digits, 16).ok()?, tail))
}

#[cfg(test)]
mod tests;
