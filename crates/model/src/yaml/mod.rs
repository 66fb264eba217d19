//! YAML 1.1 as Go's yaml.v2 reads it, which Prometheus uses for its files. The result is a tree of
//! nodes with their positions and the way they were written.
//!
//! The parser is our own for two reasons. First, users expect that we accept and refuse the same
//! files as Prometheus. Parsers of YAML 1.2 differ in colons inside of brackets, in tabs, line
//! separators, escapes and tags. The tests compare ours with a table that was recorded from Go.
//!
//! Second, serde's data model lacks what a `prometheus.yml` needs: all errors at once, the source
//! text beside the type, and null for any key. A label `1.10` or `yes` is that text, and a boolean
//! `"yes"` is refused because it is quoted. A null means the type's zero, not its default.
//!
//! Invariants: a tree is at most [`MAX_DEPTH`] deep. With aliases expanded, it is at most as large
//! as the caller allows, so a walk ends soon and cannot exhaust the stack. An alias shares the node
//! that it names. Errors never quote a value: it may be a secret.

mod parse;
mod resolve;
mod scan;
pub mod write;

use std::fmt;
use std::rc::Rc;

pub use self::resolve::{Resolved, resolve};

/// How deep collections may be nested.
pub const MAX_DEPTH: usize = 100;

/// A place in a file: line and column, both counted from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

/// Why a text is not a valid document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// Where; `None` where the whole text is meant.
    pub at: Option<Position>,
    /// The message. It quotes nothing of the text except the names of anchors.
    pub message: String,
}

impl YamlError {
    fn new(at: Position, message: &str) -> Self {
        Self { at: Some(at), message: message.to_owned() }
    }
}

/// `line 3, column 7: …`.
impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Position { line, column }) = self.at {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for YamlError {}

/// A scalar or collection of a document. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it starts, or where the alias to it is.
    pub at: Position,
    inner: Rc<Inner>,
}

#[derive(Debug)]
struct Inner {
    data: Data,
    /// Nodes in here, this one included, with aliases written out.
    weight: usize,
    /// Levels in here: 0 for a scalar.
    depth: usize,
}

/// What a node holds.
#[derive(Debug)]
pub enum Data {
    /// A text.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values in the order of the file, repeated keys and `<<` included.
    Mapping(Vec<(Key, Node)>),
}

/// A text, as it was written.
#[derive(Debug)]
pub struct Scalar {
    /// The text, with quotes and escapes resolved.
    pub text: String,
    /// Whether it was written without quotes: only then may it be more than a string. A tag can
    /// change this either way.
    pub plain: bool,
    merge: bool,
}

/// A key of a mapping.
#[derive(Clone, Debug)]
pub struct Key {
    /// Where it stands.
    pub at: Position,
    /// Its text; empty for a null.
    pub text: Rc<str>,
    /// Whether it is a null.
    pub null: bool,
    /// Whether it is a `<<`: its value is then a mapping or a list of mappings, see
    /// [`Node::merged`].
    pub merge: bool,
}

impl Node {
    /// What it holds.
    pub fn data(&self) -> &Data {
        &self.inner.data
    }

    /// Whether it is empty or one of YAML's words for null.
    pub fn is_null(&self) -> bool {
        matches!(self.data(), Data::Scalar(scalar) if scalar.resolve() == Resolved::Null)
    }

    /// YAML's name for what was written, as Go's errors show it: `!!str`.
    pub fn tag(&self) -> &'static str {
        match self.data() {
            Data::Sequence(_) => "!!seq",
            Data::Mapping(_) => "!!map",
            Data::Scalar(scalar) => match scalar.resolve() {
                Resolved::Null => "!!null",
                Resolved::Bool(_) => "!!bool",
                Resolved::Int(_) => "!!int",
                Resolved::Float(_) => "!!float",
                Resolved::String => "!!str",
            },
        }
    }

    /// The positions and values of `key`, as often as it is given, merged ones included. The last
    /// one counts.
    pub fn values(&self, key: &str) -> Vec<(Position, &Self)> {
        let Data::Mapping(entries) = self.data() else { return Vec::new() };
        let values = entries.iter().flat_map(|(own, value)| {
            if own.merge {
                value.merged().flat_map(|map| map.values(key)).collect()
            } else if *own.text == *key {
                vec![(own.at, value)]
            } else {
                Vec::new()
            }
        });
        values.collect()
    }

    /// The mappings that a `<<` names, in the order in which they are applied. The first one in the
    /// file wins, so it comes last.
    pub fn merged(&self) -> impl Iterator<Item = &Self> {
        let maps =
            if let Data::Sequence(maps) = self.data() { maps } else { std::slice::from_ref(self) };
        maps.iter().rev()
    }
}

impl Scalar {
    /// Its meaning by YAML 1.1's rules.
    pub fn resolve(&self) -> Resolved {
        if self.plain { resolve(&self.text) } else { Resolved::String }
    }
}

/// Reads the first document of `text`; `None` if there is none. With aliases expanded, it may have
/// `max_nodes` scalars and collections, keys included.
pub fn parse(text: &[u8], max_nodes: usize) -> Result<Option<Node>, YamlError> {
    parse_first(text, max_nodes).map(|first| first.root)
}

/// The first document of a text. Go's programs read no other, and do not say so.
#[derive(Clone, Debug)]
pub struct FirstDocument {
    /// `None` if there is none.
    pub root: Option<Node>,
    /// Where more stands behind it.
    pub more: Option<Position>,
}

/// Like [`parse`], and says whether there is more than the first document.
pub fn parse_first(text: &[u8], max_nodes: usize) -> Result<FirstDocument, YamlError> {
    let text = utf8(text)?;
    let mut parser = parse::Parser::new(text, max_nodes);
    let root = parser.document().map_err(|mut error| {
        if error.at.is_some_and(|at| line_is_indented_by_tab(text, at)) {
            error.message.push_str(": the line is indented with a tab, YAML takes spaces only");
        }
        error
    })?;
    Ok(FirstDocument { root, more: parser.remainder() })
}

fn utf8(text: &[u8]) -> Result<&str, YamlError> {
    let (good, wrong) = match std::str::from_utf8(text) {
        Ok(text) => match text.char_indices().find(|(_, c)| is_forbidden(*c)) {
            None => return Ok(text),
            Some((at, _)) => (&text[..at], "control characters are not allowed".to_owned()),
        },
        Err(_) if matches!(text, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) => {
            let message = "the file is UTF-16: save it as UTF-8".into();
            return Err(YamlError { at: None, message });
        }
        Err(error) => {
            let (good, rest) = text.split_at(error.valid_up_to());
            let good = std::str::from_utf8(good).expect("it is valid up to there");
            (good, format!("the file is not valid UTF-8: byte 0x{:02x}", rest[0]))
        }
    };
    let line = good.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = good.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    let narrow = |n| u32::try_from(n).unwrap_or(u32::MAX);
    Err(YamlError::new(Position { line: narrow(line), column: narrow(column) }, &wrong))
}

/// Whether YAML does not allow the character anywhere.
fn is_forbidden(c: char) -> bool {
    let control = c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    control || matches!(c, '\u{fffe}' | '\u{ffff}')
}

fn line_is_indented_by_tab(text: &str, at: Position) -> bool {
    let line = text.lines().nth(at.line.saturating_sub(1) as usize).unwrap_or_default();
    line.trim_start_matches(' ').starts_with('\t')
}

#[cfg(test)]
mod tests;
