//! The syntax of Go's `regexp/syntax` (1.26, flags `Perl`), read into the [`Hir`] that
//! `regex-automata` compiles.
//!
//! A pattern is read in one pass from left to right, as Go reads it, so that of several faults the
//! same one is found. Open groups stand on a stack: no pattern can exhaust the call stack.

use regex_syntax::hir::{Class, ClassUnicode, Dot, Hir, Look, Repetition};

use super::RegexError;
use super::class::{self, ClassBuilder};
use super::node::{LARGE, Node, NodeKind};

/// The most repetitions of one thing, those of nested repetitions multiplied.
const MAX_REPEAT: u64 = 1000;
/// The most bounds of ranges in all character classes together.
const MAX_RUNES: usize = (128 << 20) / 4;

const INVALID_CHAR_RANGE: &str = "invalid character class range";
const INVALID_ESCAPE: &str = "invalid escape sequence";
const INVALID_NAMED_CAPTURE: &str = "invalid named capture";
const INVALID_PERL_OP: &str = "invalid or unsupported Perl syntax";
const INVALID_REPEAT_OP: &str = "invalid nested repetition operator";
const INVALID_REPEAT_SIZE: &str = "invalid repeat count";
const MISSING_BRACKET: &str = "missing closing ]";
const MISSING_PAREN: &str = "missing closing )";
const MISSING_REPEAT_ARGUMENT: &str = "missing argument to repetition operator";
const TRAILING_BACKSLASH: &str = "trailing backslash at end of expression";
const UNEXPECTED_PAREN: &str = "unexpected )";

/// A pattern that was understood.
pub(super) struct Parsed {
    pub(super) hir: Hir,
    /// The names of the groups; that of group 0, the whole match, is never given. A name can stand
    /// more than once.
    pub(super) groups: Vec<Option<Box<str>>>,
    /// The height of the tree.
    pub(super) height: u32,
}

/// Reads a whole pattern; nothing is put around it.
pub(super) fn parse(pattern: &str) -> Result<Parsed, RegexError> {
    let mut parser = Parser {
        pattern,
        at: 0,
        flags: Flags::default(),
        groups: vec![None],
        open: vec![Group::new(GroupKind::Plain, Flags::default())],
        runes: 0,
    };
    parser.run()?;
    let Some(root) = parser.open.pop().filter(|_| parser.open.is_empty()) else {
        return Err(parser.whole(MISSING_PAREN));
    };
    let node = root.finish().map_err(|what| parser.whole(what))?;
    Ok(Parsed { hir: node.hir, groups: parser.groups, height: node.height })
}

#[expect(clippy::struct_excessive_bools, reason = "they are independent flags of the syntax")]
#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    /// `i`
    fold_case: bool,
    /// `m`
    multi_line: bool,
    /// `s`
    dot_matches_newline: bool,
    /// `U`
    swap_greed: bool,
}

/// A group that is still open, or the pattern as a whole.
#[derive(Debug)]
struct Group {
    kind: GroupKind,
    /// What holds again after the group.
    flags: Flags,
    /// The alternatives before the last `|`.
    alternatives: Vec<Node>,
    /// What stands after it.
    sequence: Vec<Node>,
}

#[derive(Clone, Copy, Debug)]
enum GroupKind {
    Plain,
    Capture(usize),
}

impl Group {
    fn new(kind: GroupKind, flags: Flags) -> Self {
        Self { kind, flags, alternatives: Vec::new(), sequence: Vec::new() }
    }

    fn end_alternative(&mut self) -> Result<(), &'static str> {
        let sequence = std::mem::take(&mut self.sequence);
        self.alternatives.push(Node::concat(sequence).limited()?);
        Ok(())
    }

    fn finish(mut self) -> Result<Node, &'static str> {
        self.end_alternative()?;
        let node = Node::alternation(self.alternatives).limited()?;
        match self.kind {
            GroupKind::Plain => Ok(node),
            GroupKind::Capture(index) => node.captured(index).limited(),
        }
    }
}

struct Parser<'p> {
    pattern: &'p str,
    /// How much of it was read, in bytes.
    at: usize,
    flags: Flags,
    groups: Vec<Option<Box<str>>>,
    /// Never empty: the first is the pattern as a whole.
    open: Vec<Group>,
    /// Bounds of ranges in character classes so far.
    runes: usize,
}

type Result<T, E = RegexError> = std::result::Result<T, E>;

impl<'p> Parser<'p> {
    fn run(&mut self) -> Result<()> {
        // Where the operator began that was read last, if it is one that repeats.
        let mut last_repeat = None;
        while let Some(byte) = self.peek() {
            let start = self.at;
            let mut repeat = None;
            match byte {
                b'(' => self.open_group()?,
                b')' => self.close_group()?,
                b'|' => {
                    self.at += 1;
                    self.group().end_alternative().map_err(|what| self.whole(what))?;
                }
                b'^' if self.flags.multi_line => self.look(1, Look::StartLF)?,
                b'^' => self.look(1, Look::Start)?,
                b'$' if self.flags.multi_line => self.look(1, Look::EndLF)?,
                b'$' => self.look(1, Look::End)?,
                b'.' => {
                    self.at += 1;
                    let all = self.flags.dot_matches_newline;
                    let dot = if all { Dot::AnyChar } else { Dot::AnyCharExceptLF };
                    self.push(Node::leaf(Hir::dot(dot), NodeKind::Class))?;
                }
                b'[' => self.bracket()?,
                b'*' | b'+' | b'?' => {
                    self.at += 1;
                    let (min, max) = match byte {
                        b'*' => (0, None),
                        b'+' => (1, None),
                        _ => (0, Some(1)),
                    };
                    self.repeat(start, min, max, last_repeat)?;
                    repeat = Some(start);
                }
                b'{' => {
                    if let Some((min, max)) = self.counts()? {
                        self.repeat(start, min, max, last_repeat)?;
                        repeat = Some(start);
                    } else {
                        self.at += 1;
                        self.literal(u32::from('{'))?;
                    }
                }
                b'\\' => self.escape()?,
                _ => {
                    let c = self.next_char().expect("there is a byte, so there is a character");
                    self.literal(u32::from(c))?;
                }
            }
            last_repeat = repeat;
        }
        Ok(())
    }

    fn rest(&self) -> &'p str {
        &self.pattern[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.pattern.as_bytes().get(self.at).copied()
    }

    fn next_char(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// An error about what was read since `start`.
    fn since(&self, start: usize, what: &'static str) -> RegexError {
        RegexError::new(what, &self.pattern[start..self.at])
    }

    /// An error about all from `start` on.
    fn from(&self, start: usize, what: &'static str) -> RegexError {
        RegexError::new(what, &self.pattern[start..])
    }

    fn whole(&self, what: &'static str) -> RegexError {
        RegexError::new(what, self.pattern)
    }

    fn group(&mut self) -> &mut Group {
        self.open.last_mut().expect("the pattern as a whole is never closed")
    }

    fn push(&mut self, node: Node) -> Result<()> {
        let node = node.limited().map_err(|what| self.whole(what))?;
        self.group().sequence.push(node);
        Ok(())
    }

    fn look(&mut self, length: usize, look: Look) -> Result<()> {
        self.at += length;
        self.push(Node::leaf(Hir::look(look), NodeKind::Other))
    }

    fn literal(&mut self, code: u32) -> Result<()> {
        let fold_case = self.flags.fold_case;
        let hir = match char::from_u32(code) {
            Some(c) if !fold_case => Hir::literal(c.encode_utf8(&mut [0; 4]).as_bytes().to_vec()),
            _ => {
                let mut class = ClassBuilder::new(fold_case);
                class.add_range(code, code);
                Hir::class(Class::Unicode(class.finish(false)))
            }
        };
        self.push(Node::leaf(hir, NodeKind::Char { fold_case }))
    }

    fn class(&mut self, class: ClassUnicode) -> Result<()> {
        self.runes += 2 * class.ranges().len();
        if self.runes > MAX_RUNES {
            return Err(self.whole(LARGE));
        }
        self.push(Node::leaf(Hir::class(Class::Unicode(class)), NodeKind::Class))
    }

    fn open_group(&mut self) -> Result<()> {
        let start = self.at;
        if !self.rest().starts_with("(?") {
            self.at += 1;
            self.open_capture(None);
            return Ok(());
        }
        for prefix in ["(?P<", "(?<"] {
            let Some(rest) = self.rest().strip_prefix(prefix).filter(|rest| !rest.is_empty())
            else {
                continue;
            };
            let Some(length) = rest.find('>') else {
                return Err(self.from(start, INVALID_NAMED_CAPTURE));
            };
            let name = &rest[..length];
            self.at += prefix.len() + length + 1;
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(self.since(start, INVALID_NAMED_CAPTURE));
            }
            self.open_capture(Some(name.into()));
            return Ok(());
        }
        self.flags_or_plain_group(start)
    }

    fn open_capture(&mut self, name: Option<Box<str>>) {
        self.open.push(Group::new(GroupKind::Capture(self.groups.len()), self.flags));
        self.groups.push(name);
    }

    /// `(?i)`, `(?i-s:`, `(?:`.
    fn flags_or_plain_group(&mut self, start: usize) -> Result<()> {
        self.at += "(?".len();
        let mut flags = self.flags;
        let mut value = true;
        let mut any = false;
        loop {
            let c = self.next_char();
            let flag = match c {
                Some('i') => &mut flags.fold_case,
                Some('m') => &mut flags.multi_line,
                Some('s') => &mut flags.dot_matches_newline,
                Some('U') => &mut flags.swap_greed,
                Some('-') if value => {
                    value = false;
                    any = false;
                    continue;
                }
                Some(':' | ')') if value || any => {
                    if c == Some(':') {
                        self.open.push(Group::new(GroupKind::Plain, self.flags));
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => return Err(self.since(start, INVALID_PERL_OP)),
            };
            *flag = value;
            any = true;
        }
    }

    fn close_group(&mut self) -> Result<()> {
        self.at += 1;
        if self.open.len() == 1 {
            return Err(self.whole(UNEXPECTED_PAREN));
        }
        let group = self.open.pop().expect("the pattern as a whole is still open");
        self.flags = group.flags;
        let node = group.finish().map_err(|what| self.whole(what))?;
        self.push(node)
    }

    /// Reads `{n}`, `{n,}` or `{n,m}`; where there is none of them, nothing.
    fn counts(&mut self) -> Result<Option<(u64, Option<u64>)>> {
        let start = self.at;
        let inside = &self.rest()[1..];
        let end = inside.bytes().position(|b| !b.is_ascii_digit() && b != b',');
        let Some(inside) = end.filter(|end| inside[*end..].starts_with('}')).map(|e| &inside[..e])
        else {
            return Ok(None);
        };
        let (min, max) = match inside.split_once(',') {
            None => (number(inside), Some(number(inside))),
            Some((min, "")) => (number(min), None),
            Some((min, max)) => (number(min), Some(number(max))),
        };
        let (Some(min), None | Some(Some(_))) = (min, max) else { return Ok(None) };
        let max = max.flatten();
        self.at += "{".len() + inside.len() + "}".len();
        if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || max < min) {
            return Err(self.since(start, INVALID_REPEAT_SIZE));
        }
        Ok(Some((min, max)))
    }

    /// Repeats what was read last, by an operator that began at `start`.
    fn repeat(
        &mut self,
        start: usize,
        min: u64,
        max: Option<u64>,
        last_repeat: Option<usize>,
    ) -> Result<()> {
        let mut greedy = !self.flags.swap_greed;
        if self.peek() == Some(b'?') {
            self.at += 1;
            greedy = !greedy;
        }
        if let Some(last) = last_repeat {
            return Err(self.since(last, INVALID_REPEAT_OP));
        }
        let Some(sub) = self.group().sequence.pop() else {
            return Err(self.since(start, MISSING_REPEAT_ARGUMENT));
        };
        let (size, repeats) = match (self.pattern.as_bytes()[start], max) {
            (b'*', _) => (2 + sub.size, sub.repeats),
            (b'+' | b'?', _) => (1 + sub.size, sub.repeats),
            (_, None) if min == 0 => (2 + sub.size, sub.repeats),
            (_, None) => (1 + min * sub.size, min * sub.repeats),
            (_, Some(max)) => (max * sub.size + (max - min), max * sub.repeats),
        };
        if repeats > MAX_REPEAT && max.unwrap_or(min) >= 2 {
            return Err(self.since(start, INVALID_REPEAT_SIZE));
        }
        let narrow = |n| u32::try_from(n).expect("no count is over 1000");
        let (min, max) = (narrow(min), max.map(narrow));
        self.push(sub.wrapped(size.max(1), repeats, |sub| {
            Hir::repetition(Repetition { min, max, greedy, sub: Box::new(sub) })
        }))
    }

    fn escape(&mut self) -> Result<()> {
        let start = self.at;
        match self.pattern.as_bytes().get(start + 1) {
            Some(b'A') => self.look(2, Look::Start),
            Some(b'z') => self.look(2, Look::End),
            Some(b'b') => self.look(2, Look::WordAscii),
            Some(b'B') => self.look(2, Look::WordAsciiNegate),
            Some(b'C') => {
                self.at += 2;
                Err(self.since(start, INVALID_ESCAPE))
            }
            Some(b'Q') => {
                let text = &self.rest()[2..];
                let (literal, ended) = match text.split_once(r"\E") {
                    Some((literal, _)) => (literal, r"\E".len()),
                    None => (text, 0),
                };
                self.at += r"\Q".len() + literal.len() + ended;
                literal.chars().try_for_each(|c| self.literal(u32::from(c)))
            }
            _ => {
                let mut class = ClassBuilder::new(self.flags.fold_case);
                if self.class_escape(&mut class)? {
                    self.class(class.finish(false))
                } else {
                    let code = self.char_escape()?;
                    self.literal(code)
                }
            }
        }
    }

    /// Reads `\d`, `\pL` and their like into `class`; `false` if there is another escape or none.
    fn class_escape(&mut self, class: &mut ClassBuilder) -> Result<bool> {
        let start = self.at;
        let [b'\\', letter, ..] = self.rest().as_bytes() else { return Ok(false) };
        if let Some((perl, negated)) = class::perl(*letter) {
            self.at += 2;
            class.add(perl, negated);
            return Ok(true);
        }
        if !matches!(letter, b'p' | b'P') {
            return Ok(false);
        }
        let mut negated = *letter == b'P';
        self.at += 2;
        let mut name = match self.next_char() {
            Some('{') => {
                let Some(length) = self.rest().find('}') else {
                    return Err(self.from(start, INVALID_CHAR_RANGE));
                };
                let name = &self.rest()[..length];
                self.at += length + 1;
                name
            }
            _ => &self.pattern[start + 2..self.at],
        };
        if let Some(rest) = name.strip_prefix('^') {
            negated = !negated;
            name = rest;
        }
        let Some(unicode) = class::unicode(name) else {
            return Err(self.since(start, INVALID_CHAR_RANGE));
        };
        class.add(unicode, negated);
        Ok(true)
    }

    /// Reads an escape that stands for one code point.
    fn char_escape(&mut self) -> Result<u32> {
        let start = self.at;
        self.at += 1;
        let Some(c) = self.next_char() else {
            return Err(RegexError::new(TRAILING_BACKSLASH, ""));
        };
        let code = match c {
            '0'..='7' if c == '0' || matches!(self.peek(), Some(b'0'..=b'7')) => {
                self.at -= 1;
                Some(self.octal())
            }
            'x' => self.hexadecimal(),
            'a' => Some(0x07),
            'f' => Some(0x0c),
            'n' => Some(0x0a),
            'r' => Some(0x0d),
            't' => Some(0x09),
            'v' => Some(0x0b),
            _ if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
            _ => None,
        };
        code.ok_or_else(|| self.since(start, INVALID_ESCAPE))
    }

    /// Up to three octal digits.
    fn octal(&mut self) -> u32 {
        let mut code = 0;
        for _ in 0..3 {
            let Some(digit @ b'0'..=b'7') = self.peek() else { break };
            code = code * 8 + u32::from(digit - b'0');
            self.at += 1;
        }
        code
    }

    /// `FF` or `{10FFFF}`, after `\x`. Stops behind the first character that does not fit.
    fn hexadecimal(&mut self) -> Option<u32> {
        let first = self.next_char()?;
        if first != '{' {
            let second = self.next_char()?;
            return Some(first.to_digit(16)? * 16 + second.to_digit(16)?);
        }
        let mut code = None;
        loop {
            match self.next_char()? {
                '}' => return code,
                c => {
                    let next = code.unwrap_or(0) * 16 + c.to_digit(16)?;
                    code = Some(next).filter(|code| *code <= u32::from(char::MAX));
                    code?;
                }
            }
        }
    }

    /// Reads `[…]`.
    fn bracket(&mut self) -> Result<()> {
        let start = self.at;
        self.at += 1;
        let negated = self.peek() == Some(b'^');
        self.at += usize::from(negated);
        let mut class = ClassBuilder::new(self.flags.fold_case);
        let mut first = true;
        // A `]` that comes first stands for itself.
        while self.peek() != Some(b']') || first {
            first = false;
            if self.posix_class(&mut class)? || self.class_escape(&mut class)? {
                continue;
            }
            let range = self.at;
            let low = self.class_char(start)?;
            let mut high = low;
            if let [b'-', next, ..] = self.rest().as_bytes()
                && *next != b']'
            {
                self.at += 1;
                high = self.class_char(start)?;
                if high < low {
                    return Err(self.since(range, INVALID_CHAR_RANGE));
                }
            }
            class.add_range(low, high);
        }
        self.at += 1;
        self.class(class.finish(negated))
    }

    /// Reads `[:alpha:]` into `class`; `false` if there is no such thing.
    fn posix_class(&mut self, class: &mut ClassBuilder) -> Result<bool> {
        let start = self.at;
        let Some(rest) = self.rest().strip_prefix("[:") else { return Ok(false) };
        let Some((name, _)) = rest.split_once(":]") else { return Ok(false) };
        self.at += "[:".len() + name.len() + ":]".len();
        let Some((posix, negated)) = class::posix(name) else {
            return Err(self.since(start, INVALID_CHAR_RANGE));
        };
        class.add(posix, negated);
        Ok(true)
    }

    /// One code point of a class that began at `bracket`.
    fn class_char(&mut self, bracket: usize) -> Result<u32> {
        match self.peek() {
            None => Err(self.from(bracket, MISSING_BRACKET)),
            Some(b'\\') => self.char_escape(),
            Some(_) => Ok(self.next_char().map(u32::from).unwrap_or_default()),
        }
    }
}

/// A number without leading zeros. One that is too large for anything is the largest there is.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let plain = digits && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().unwrap_or(u64::MAX))
}
