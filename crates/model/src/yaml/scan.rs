//! Makes tokens from text, by the rules of YAML 1.1 as Go's yaml.v2 applies them.
//!
//! They differ from those of YAML 1.2: a plain text in `[ ]` may hold `:` and ends at `?`,
//! Unicode's line separators end a line, and a tab cannot precede a token that may be a key. A key
//! is known only at its `:`. So tokens wait in a queue while the first of them may be a key: at
//! most one line and 1024 characters.

use std::collections::VecDeque;

use super::{Position, YamlError};

/// The most characters of a key without a `?` before it.
const MAX_KEY: usize = 1024;

/// The tokens of a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    StreamEnd,
    Version(u8, u8),
    TagDirective { handle: String, prefix: String },
    DocumentStart,
    DocumentEnd,
    BlockSequence,
    BlockMapping,
    BlockEnd,
    FlowSequence,
    FlowSequenceEnd,
    FlowMapping,
    FlowMappingEnd,
    Item,
    Comma,
    Key,
    Value,
    Alias(String),
    Anchor(String),
    Tag { handle: String, suffix: String },
    Scalar { text: String, plain: bool },
}

/// Counted from 0, in characters.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    index: usize,
    line: usize,
    column: usize,
}

impl From<Mark> for Position {
    fn from(mark: Mark) -> Self {
        let narrow = |n: usize| u32::try_from(n + 1).unwrap_or(u32::MAX);
        Self { line: narrow(mark.line), column: narrow(mark.column) }
    }
}

/// A token that becomes a key if a `:` follows.
#[derive(Clone, Copy, Debug)]
struct MaybeKey {
    /// It starts a line of a block mapping, so it must be a key.
    required: bool,
    /// The number of the token in the text.
    token: usize,
    mark: Mark,
}

/// Reads tokens one by one.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    mark: Mark,
    tokens: VecDeque<(Token, Mark)>,
    /// The number of tokens taken so far.
    taken: usize,
    ended: bool,
    /// Column of the innermost block collection, -1 outside of any.
    indent: isize,
    indents: Vec<isize>,
    /// The possible key outside of brackets, and in each pair of them.
    keys: Vec<Option<MaybeKey>>,
    key_allowed: bool,
}

type Result<T = ()> = std::result::Result<T, YamlError>;

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text: text.strip_prefix('\u{feff}').unwrap_or(text),
            at: 0,
            mark: Mark::default(),
            tokens: VecDeque::new(),
            taken: 0,
            ended: false,
            indent: -1,
            indents: Vec::new(),
            keys: vec![None],
            key_allowed: true,
        }
    }

    /// The next token, and where it starts. The last token is never removed.
    pub(super) fn peek(&mut self) -> Result<&(Token, Mark)> {
        while !self.ended && (self.tokens.is_empty() || self.head_may_be_key()?) {
            self.fetch()?;
        }
        Ok(self.tokens.front().expect("the end of the stream is never taken"))
    }

    /// Takes the next token, unless it is the last one.
    pub(super) fn take(&mut self) -> Result<(Token, Mark)> {
        if self.peek()?.0 == Token::StreamEnd {
            return self.peek().cloned();
        }
        self.taken += 1;
        Ok(self.tokens.pop_front().expect("there is one, as was seen"))
    }

    fn head_may_be_key(&mut self) -> Result<bool> {
        let head = self.taken;
        match self.keys.iter().position(|key| key.is_some_and(|key| key.token == head)) {
            Some(level) => self.may_be_key(level),
            None => Ok(false),
        }
    }

    /// Whether the possible key at this level is still possible.
    fn may_be_key(&mut self, level: usize) -> Result<bool> {
        let Some(key) = self.keys[level] else { return Ok(false) };
        if key.mark.line == self.mark.line && key.mark.index + MAX_KEY >= self.mark.index {
            return Ok(true);
        }
        if key.required {
            return Err(self.error("could not find expected ':'"));
        }
        self.keys[level] = None;
        Ok(false)
    }

    fn error(&self, message: &str) -> YamlError {
        YamlError::new(self.mark.into(), message)
    }

    /// The byte after `n` others; 0 at the end.
    fn byte(&self, n: usize) -> u8 {
        self.text.as_bytes().get(self.at + n).copied().unwrap_or(0)
    }

    /// The length in bytes of a line break after `n` bytes; 0 if there is none.
    fn line_break(&self, n: usize) -> usize {
        match (self.byte(n), self.byte(n + 1), self.byte(n + 2)) {
            (b'\r', b'\n', _) | (0xc2, 0x85, _) => 2,
            (b'\r' | b'\n', ..) => 1,
            (0xe2, 0x80, 0xa8 | 0xa9) => 3,
            _ => 0,
        }
    }

    fn is_blank(&self, n: usize) -> bool {
        matches!(self.byte(n), b' ' | b'\t')
    }

    /// A line break, or the end.
    fn is_end_of_line(&self, n: usize) -> bool {
        self.byte(n) == 0 || self.line_break(n) > 0
    }

    fn is_space(&self, n: usize) -> bool {
        self.is_blank(n) || self.is_end_of_line(n)
    }

    /// Skips one character.
    fn skip(&mut self) {
        self.at += self.text[self.at..].chars().next().map_or(0, char::len_utf8);
        self.mark.index += 1;
        self.mark.column += 1;
    }

    fn push_char(&mut self, to: &mut String) {
        let from = self.at;
        self.skip();
        to.push_str(&self.text[from..self.at]);
    }

    /// Skips a line break, and returns what it reads as: a newline, except for two of Unicode's
    /// separators.
    fn skip_line(&mut self) -> &'a str {
        let (from, length) = (self.at, self.line_break(0));
        self.at += length;
        self.mark.index += if self.text[from..].starts_with("\r\n") { 2 } else { 1 };
        self.mark.line += 1;
        self.mark.column = 0;
        if length == 3 { &self.text[from..self.at] } else { "\n" }
    }

    fn skip_blanks(&mut self) {
        while self.is_blank(0) {
            self.skip();
        }
    }

    fn skip_comment(&mut self) {
        if self.byte(0) == b'#' {
            while !self.is_end_of_line(0) {
                self.skip();
            }
        }
    }

    /// The rest of a line after a directive or the head of a block text: only a comment may follow.
    fn rest_of_line(&mut self) -> Result {
        self.skip_blanks();
        self.skip_comment();
        if !self.is_end_of_line(0) {
            return Err(self.error("did not find expected comment or line break"));
        }
        if self.byte(0) != 0 {
            self.skip_line();
        }
        Ok(())
    }

    fn in_flow(&self) -> bool {
        self.keys.len() > 1
    }

    fn is_document_mark(&self, mark: u8) -> bool {
        self.mark.column == 0 && (0..3).all(|n| self.byte(n) == mark) && self.is_space(3)
    }

    fn column(&self) -> isize {
        isize::try_from(self.mark.column).unwrap_or(isize::MAX)
    }

    fn push(&mut self, token: Token, mark: Mark) {
        self.tokens.push_back((token, mark));
    }

    /// Pushes a token of `length` characters.
    fn push_mark(&mut self, token: Token, length: usize) {
        let mark = self.mark;
        (0..length).for_each(|_| self.skip());
        self.push(token, mark);
    }

    fn fetch(&mut self) -> Result {
        self.find_next_token();
        self.close_blocks(self.column());
        let first = self.byte(0);
        if first == 0 {
            if self.mark.column > 0 {
                self.mark.column = 0;
                self.mark.line += 1;
            }
            self.outermost()?;
            self.ended = true;
            self.push(Token::StreamEnd, self.mark);
            return Ok(());
        }
        if self.mark.column == 0 && first == b'%' {
            self.outermost()?;
            return self.directive();
        }
        for (mark, token) in [(b'-', Token::DocumentStart), (b'.', Token::DocumentEnd)] {
            if self.is_document_mark(mark) {
                self.outermost()?;
                self.push_mark(token, 3);
                return Ok(());
            }
        }
        let (flow, spaced) = (self.in_flow(), self.is_space(1));
        match first {
            b'[' => self.open(Token::FlowSequence)?,
            b'{' => self.open(Token::FlowMapping)?,
            b']' => self.close(Token::FlowSequenceEnd)?,
            b'}' => self.close(Token::FlowMappingEnd)?,
            b',' => {
                self.no_key()?;
                self.key_allowed = true;
                self.push_mark(Token::Comma, 1);
            }
            b'-' if spaced => {
                if !flow {
                    let text = "block sequence entries are not allowed in this context";
                    self.open_block(Token::BlockSequence, text)?;
                }
                self.no_key()?;
                self.key_allowed = true;
                self.push_mark(Token::Item, 1);
            }
            b'?' if flow || spaced => {
                if !flow {
                    let text = "mapping keys are not allowed in this context";
                    self.open_block(Token::BlockMapping, text)?;
                }
                self.no_key()?;
                self.key_allowed = !flow;
                self.push_mark(Token::Key, 1);
            }
            b':' if flow || spaced => self.value()?,
            b'*' => self.anchor(Token::Alias)?,
            b'&' => self.anchor(Token::Anchor)?,
            b'!' => self.tag()?,
            b'|' | b'>' if !flow => self.block_scalar()?,
            b'\'' | b'"' => self.quoted_scalar()?,
            b'#' | b'|' | b'>' | b'%' | b'@' | b'`' | b'\t' => {
                return Err(self.error("found character that cannot start any token"));
            }
            _ => self.plain_scalar()?,
        }
        Ok(())
    }

    fn find_next_token(&mut self) {
        loop {
            while self.byte(0) == b' '
                || self.byte(0) == b'\t' && (self.in_flow() || !self.key_allowed)
            {
                self.skip();
            }
            self.skip_comment();
            if self.line_break(0) == 0 {
                return;
            }
            self.skip_line();
            self.key_allowed |= !self.in_flow();
        }
    }

    /// Closes all block collections.
    fn outermost(&mut self) -> Result {
        self.close_blocks(-1);
        self.no_key()?;
        self.key_allowed = false;
        Ok(())
    }

    /// Opens a block collection at this column, unless one is already open there.
    fn open_block(&mut self, token: Token, not_allowed: &str) -> Result {
        if !self.key_allowed {
            return Err(self.error(not_allowed));
        }
        self.indent_to(self.column(), self.tokens.len(), token, self.mark);
        Ok(())
    }

    fn indent_to(&mut self, column: isize, place: usize, token: Token, mark: Mark) {
        if !self.in_flow() && self.indent < column {
            self.indents.push(self.indent);
            self.indent = column;
            self.tokens.insert(place, (token, mark));
        }
    }

    /// Closes the block collections that are indented more than `column`.
    fn close_blocks(&mut self, column: isize) {
        while !self.in_flow() && self.indent > column {
            self.push(Token::BlockEnd, self.mark);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    /// Notes that the next token may be a key.
    fn maybe_key(&mut self) -> Result {
        if self.key_allowed {
            let required = !self.in_flow() && self.indent == self.column();
            self.no_key()?;
            let token = self.taken + self.tokens.len();
            let key = MaybeKey { required, token, mark: self.mark };
            *self.keys.last_mut().expect("the outermost level stays") = Some(key);
        }
        Ok(())
    }

    /// Notes that the possible key in these brackets is not a key.
    fn no_key(&mut self) -> Result {
        match self.keys.last_mut().expect("the outermost level stays").take() {
            Some(MaybeKey { required: true, .. }) => Err(self.error("could not find expected ':'")),
            _ => Ok(()),
        }
    }

    fn open(&mut self, token: Token) -> Result {
        self.maybe_key()?;
        self.keys.push(None);
        self.key_allowed = true;
        self.push_mark(token, 1);
        Ok(())
    }

    fn close(&mut self, token: Token) -> Result {
        self.no_key()?;
        if self.in_flow() {
            self.keys.pop();
        }
        self.key_allowed = false;
        self.push_mark(token, 1);
        Ok(())
    }

    /// A `:`, which makes a key of the possible key before it.
    fn value(&mut self) -> Result {
        let level = self.keys.len() - 1;
        let is_key = self.may_be_key(level)?;
        if let Some(MaybeKey { token, mark, .. }) = self.keys[level].take().filter(|_| is_key) {
            let place = token.saturating_sub(self.taken);
            self.tokens.insert(place, (Token::Key, mark));
            let column = isize::try_from(mark.column).unwrap_or(isize::MAX);
            self.indent_to(column, place, Token::BlockMapping, mark);
            self.key_allowed = false;
        } else {
            if !self.in_flow() {
                let text = "mapping values are not allowed in this context";
                self.open_block(Token::BlockMapping, text)?;
            }
            self.key_allowed = !self.in_flow();
        }
        self.push_mark(Token::Value, 1);
        Ok(())
    }

    fn word(&mut self) -> &'a str {
        let from = self.at;
        while self.byte(0).is_ascii_alphanumeric() || matches!(self.byte(0), b'_' | b'-') {
            self.skip();
        }
        &self.text[from..self.at]
    }

    fn directive(&mut self) -> Result {
        let mark = self.mark;
        self.skip();
        let name = self.word();
        if name.is_empty() || !self.is_space(0) {
            return Err(self.error("could not find expected directive name"));
        }
        self.skip_blanks();
        let token = match name {
            "YAML" => {
                let major = self.version_number()?;
                if self.byte(0) != b'.' {
                    return Err(self.error("did not find expected digit or '.' character"));
                }
                self.skip();
                Token::Version(major, self.version_number()?)
            }
            "TAG" => {
                let handle = self.tag_handle()?;
                if handle.len() > 1 && !handle.ends_with('!') {
                    return Err(self.error("did not find expected '!'"));
                }
                let handle = handle.to_owned();
                if !self.is_blank(0) {
                    return Err(self.error("did not find expected whitespace"));
                }
                self.skip_blanks();
                let prefix = self.tag_uri("")?;
                if !self.is_space(0) {
                    return Err(self.error("did not find expected whitespace or line break"));
                }
                Token::TagDirective { handle, prefix }
            }
            _ => return Err(self.error("found unknown directive name")),
        };
        self.rest_of_line()?;
        self.push(token, mark);
        Ok(())
    }

    fn version_number(&mut self) -> Result<u8> {
        let from = self.at;
        while self.byte(0).is_ascii_digit() {
            self.skip();
        }
        let number = &self.text[from..self.at];
        let number = if number.len() < 3 { number.parse().ok() } else { None };
        number.ok_or_else(|| self.error("did not find expected version number"))
    }

    fn anchor(&mut self, token: fn(String) -> Token) -> Result {
        self.maybe_key()?;
        self.key_allowed = false;
        let mark = self.mark;
        self.skip();
        let name = self.word();
        if name.is_empty() || !(self.is_space(0) || b"?:,]}%@`".contains(&self.byte(0))) {
            return Err(self.error("did not find expected alphabetic or numeric character"));
        }
        self.push(token(name.to_owned()), mark);
        Ok(())
    }

    fn tag(&mut self) -> Result {
        self.maybe_key()?;
        self.key_allowed = false;
        let mark = self.mark;
        let (handle, suffix) = if self.byte(1) == b'<' {
            self.skip();
            self.skip();
            let suffix = self.tag_uri("")?;
            if self.byte(0) != b'>' {
                return Err(self.error("did not find the expected '>'"));
            }
            self.skip();
            (String::new(), suffix)
        } else {
            let handle = self.tag_handle()?;
            if handle.len() > 1 && handle.ends_with('!') {
                (handle.to_owned(), self.tag_uri("")?)
            } else {
                match self.tag_uri(handle)? {
                    suffix if suffix.is_empty() => (String::new(), "!".to_owned()),
                    suffix => ("!".to_owned(), suffix),
                }
            }
        };
        if !self.is_space(0) {
            return Err(self.error("did not find expected whitespace or line break"));
        }
        self.push(Token::Tag { handle, suffix }, mark);
        Ok(())
    }

    fn tag_handle(&mut self) -> Result<&'a str> {
        if self.byte(0) != b'!' {
            return Err(self.error("did not find expected '!'"));
        }
        let from = self.at;
        self.skip();
        self.word();
        if self.byte(0) == b'!' {
            self.skip();
        }
        Ok(&self.text[from..self.at])
    }

    /// The rest of a tag. `head` is the part that was read as a handle.
    fn tag_uri(&mut self, head: &str) -> Result<String> {
        let mut uri = head.get(1..).unwrap_or_default().as_bytes().to_vec();
        let from = self.at;
        loop {
            match self.byte(0) {
                b'%' => {
                    let digits = self.text.get(self.at + 1..self.at + 3);
                    let digits = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
                    let octet = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                    uri.push(octet.ok_or_else(|| self.error("did not find URI escaped octet"))?);
                    (0..3).for_each(|_| self.skip());
                }
                b if b.is_ascii_alphanumeric() || b"_-;/?:@&=+$,.!~*'()[]".contains(&b) => {
                    uri.push(b);
                    self.skip();
                }
                _ => break,
            }
        }
        if head.is_empty() && self.at == from {
            return Err(self.error("did not find expected tag URI"));
        }
        String::from_utf8(uri).map_err(|_| self.error("found an incorrect UTF-8 octet"))
    }

    fn block_scalar(&mut self) -> Result {
        self.no_key()?;
        self.key_allowed = true;
        let mark = self.mark;
        let folded = self.byte(0) == b'>';
        self.skip();
        let (mut chomping, mut increment) = (None, 0);
        loop {
            match self.byte(0) {
                sign @ (b'+' | b'-') if chomping.is_none() => chomping = Some(sign),
                b'0' if increment == 0 => {
                    return Err(self.error("found an indentation indicator equal to 0"));
                }
                digit @ b'1'..=b'9' if increment == 0 => increment = isize::from(digit - b'0'),
                _ => break,
            }
            self.skip();
        }
        self.rest_of_line()?;
        // 0 means the indentation of the first line with text.
        let mut indent = if increment > 0 { self.indent.max(0) + increment } else { 0 };
        let (mut text, mut line_break, mut breaks) = (String::new(), "", String::new());
        self.block_breaks(&mut indent, &mut breaks)?;
        let mut was_blank = false;
        while self.column() == indent && self.byte(0) != 0 {
            let is_blank = self.is_blank(0);
            if !folded || was_blank || is_blank || !line_break.starts_with('\n') {
                text.push_str(line_break);
            } else if breaks.is_empty() {
                text.push(' ');
            }
            text.push_str(&breaks);
            breaks.clear();
            was_blank = is_blank;
            let from = self.at;
            while !self.is_end_of_line(0) {
                self.skip();
            }
            text.push_str(&self.text[from..self.at]);
            line_break = if self.byte(0) == 0 { "" } else { self.skip_line() };
            self.block_breaks(&mut indent, &mut breaks)?;
        }
        if chomping != Some(b'-') {
            text.push_str(line_break);
        }
        if chomping == Some(b'+') {
            text.push_str(&breaks);
        }
        self.push(Token::Scalar { text, plain: false }, mark);
        Ok(())
    }

    /// The indentation of a block text's next line, and the empty lines before it.
    fn block_breaks(&mut self, indent: &mut isize, breaks: &mut String) -> Result {
        let mut widest = 0;
        loop {
            let inside = |of: &Self| *indent == 0 || of.column() < *indent;
            while inside(self) && self.byte(0) == b' ' {
                self.skip();
            }
            widest = widest.max(self.column());
            if inside(self) && self.byte(0) == b'\t' {
                let text = "found a tab character where an indentation space is expected";
                return Err(self.error(text));
            }
            if self.line_break(0) == 0 {
                break;
            }
            breaks.push_str(self.skip_line());
        }
        if *indent == 0 {
            *indent = widest.max(self.indent + 1).max(1);
        }
        Ok(())
    }

    fn quoted_scalar(&mut self) -> Result {
        self.maybe_key()?;
        self.key_allowed = false;
        let mark = self.mark;
        let quote = self.byte(0);
        self.skip();
        let mut text = String::new();
        loop {
            if self.is_document_mark(b'-') || self.is_document_mark(b'.') {
                return Err(self.error("found unexpected document indicator"));
            }
            if self.byte(0) == 0 {
                let text = "found unexpected end of stream: the quote is not closed";
                return Err(YamlError::new(mark.into(), text));
            }
            let mut escaped_break = false;
            while !self.is_space(0) {
                if self.byte(0) == quote {
                    if quote == b'"' || self.byte(1) != b'\'' {
                        break;
                    }
                    self.skip();
                    self.push_char(&mut text);
                } else if quote == b'"' && self.byte(0) == b'\\' {
                    if self.line_break(1) > 0 {
                        self.skip();
                        self.skip_line();
                        escaped_break = true;
                        break;
                    }
                    text.push(self.escape()?);
                } else {
                    self.push_char(&mut text);
                }
            }
            if self.byte(0) == quote {
                self.skip();
                break;
            }
            self.fold(&mut text, escaped_break);
        }
        self.push(Token::Scalar { text, plain: false }, mark);
        Ok(())
    }

    /// Blanks and line breaks in quotes. A line break becomes a space, and blanks around it vanish.
    fn fold(&mut self, text: &mut String, escaped_break: bool) {
        let (mut blanks, mut first, mut more) = (String::new(), None, String::new());
        let mut broken = escaped_break;
        while self.is_blank(0) || self.line_break(0) > 0 {
            if self.line_break(0) == 0 {
                if broken { self.skip() } else { self.push_char(&mut blanks) }
            } else if broken {
                more.push_str(self.skip_line());
            } else {
                broken = true;
                first = Some(self.skip_line());
            }
        }
        if !broken {
            text.push_str(&blanks);
        }
        match first {
            Some("\n") if more.is_empty() => text.push(' '),
            Some("\n") | None => {}
            Some(separator) => text.push_str(separator),
        }
        text.push_str(&more);
    }

    /// The character of an escape: a backslash and what follows it.
    fn escape(&mut self) -> Result<char> {
        let (c, digits) = match self.byte(1) {
            b'0' => ('\0', 0),
            b'a' => ('\x07', 0),
            b'b' => ('\x08', 0),
            b't' | b'\t' => ('\t', 0),
            b'n' => ('\n', 0),
            b'v' => ('\x0b', 0),
            b'f' => ('\x0c', 0),
            b'r' => ('\r', 0),
            b'e' => ('\x1b', 0),
            b @ (b' ' | b'"' | b'\'' | b'\\') => (char::from(b), 0),
            b'N' => ('\u{85}', 0),
            b'_' => ('\u{a0}', 0),
            b'L' => ('\u{2028}', 0),
            b'P' => ('\u{2029}', 0),
            b'x' => ('\0', 2),
            b'u' => ('\0', 4),
            b'U' => ('\0', 8),
            _ => return Err(self.error("found unknown escape character")),
        };
        self.skip();
        self.skip();
        if digits == 0 {
            return Ok(c);
        }
        let code = self.text.get(self.at..self.at + digits);
        let code = code.filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = code.and_then(|code| u32::from_str_radix(code, 16).ok());
        let code = code.ok_or_else(|| self.error("did not find expected hexdecimal number"))?;
        let c = char::from_u32(code)
            .ok_or_else(|| self.error("found invalid Unicode character escape code"))?;
        (0..digits).for_each(|_| self.skip());
        Ok(c)
    }

    fn plain_scalar(&mut self) -> Result {
        self.maybe_key()?;
        self.key_allowed = false;
        let mark = self.mark;
        let mut text = String::new();
        let mut broken = false;
        // The white space between two words.
        let (mut from, mut to) = (self.at, self.at);
        let mut folded = String::new();
        loop {
            if self.is_document_mark(b'-') || self.is_document_mark(b'.') || self.byte(0) == b'#' {
                break;
            }
            let word = self.at;
            while !self.is_space(0) {
                let ends = self.byte(0) == b':' && self.is_space(1)
                    || self.in_flow() && b",?[]{}".contains(&self.byte(0));
                if ends {
                    break;
                }
                self.skip();
            }
            if word < self.at {
                text.push_str(if broken { &folded } else { &self.text[from..to] });
                text.push_str(&self.text[word..self.at]);
                broken = false;
            }
            if !self.is_space(0) || self.byte(0) == 0 {
                break;
            }
            from = self.at;
            let (mut first, mut more) = ("", String::new());
            while self.is_blank(0) || self.line_break(0) > 0 {
                if self.is_blank(0) {
                    if broken && self.byte(0) == b'\t' && self.column() <= self.indent {
                        let text = "found a tab character that violates indentation";
                        return Err(self.error(text));
                    }
                    self.skip();
                } else if broken {
                    more.push_str(self.skip_line());
                } else {
                    broken = true;
                    first = self.skip_line();
                }
            }
            to = self.at;
            folded = match (first, more.as_str()) {
                ("\n", "") => " ".to_owned(),
                ("\n", _) => more,
                _ => format!("{first}{more}"),
            };
            if !self.in_flow() && self.column() <= self.indent {
                break;
            }
        }
        self.key_allowed |= broken;
        self.push(Token::Scalar { text, plain: true }, mark);
        Ok(())
    }
}
