//! From the bytes of a file to a tree of nodes that know their place and how they were written.
//!
//! The parser is granit-parser, the one below serde-saphyr. Its events are read directly instead of
//! through serde because a `prometheus.yml` needs three things that serde's data model does not
//! carry: every error at once (serde ends at the first), the source text beside the type (a label
//! `1.10` or `yes` is that very text, a boolean `"yes"` is refused because it is quoted), and a
//! null for any key, which here means the type's zero and not its default.
//!
//! Invariants: a tree is at most [`MAX_DEPTH`] deep and, with every alias written out, at most
//! [`MAX_NODES`] large, so whatever walks it ends soon and cannot exhaust the stack. An alias
//! shares the node that it names. Errors never quote the file: a neighbour may be a secret.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span};

use super::error::whole_file;
use super::{ConfigError, Position};

/// How deep collections may be nested.
const MAX_DEPTH: usize = 100;

/// How many scalars and collections a document may hold, counting each as often as aliases repeat
/// it. A file of 5 MB has less than half a million.
const MAX_NODES: usize = 2_000_000;

/// A scalar or collection of a document. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where it begins, or where the alias to it stands.
    pub(super) at: Position,
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
pub(super) enum Data {
    /// A text.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values in the order of the file, repeated keys included. Those that `<<` brings
    /// stand among them: as in Go, they replace what stands before and give way to what follows.
    Mapping(Vec<(Key, Node)>),
}

/// A text, as it was written.
#[derive(Debug)]
pub(super) struct Scalar {
    /// The text, with quotes and escapes resolved.
    pub(super) text: String,
    /// Whether it was written without quotes: only then may it be more than a string.
    pub(super) plain: bool,
}

/// A key of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// Where it stands.
    pub(super) at: Position,
    /// Its text; empty for a null.
    pub(super) text: Rc<str>,
    /// Whether a `<<` brought it.
    merged: bool,
}

/// Why a text is no document. The position is missing where the whole text is meant.
#[derive(Debug)]
pub(super) struct YamlError {
    pub(super) at: Option<Position>,
    pub(super) message: String,
}

impl YamlError {
    /// As an error of the file whose text it is.
    pub(super) fn of_file(&self, path: &Path) -> ConfigError {
        whole_file(path, self.at, &self.message)
    }
}

impl Node {
    /// What it holds.
    pub(super) fn data(&self) -> &Data {
        &self.inner.data
    }

    /// Whether nothing was written, or one of YAML's words for it.
    pub(super) fn is_null(&self) -> bool {
        match self.data() {
            Data::Scalar(Scalar { text, plain: true }) => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// YAML's name for what was written, as Go's errors show it: `!!str`.
    pub(super) fn tag(&self) -> &'static str {
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
}

/// What a scalar means by YAML 1.1's rules where nothing says that it is a string.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Resolved {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    String,
}

impl Scalar {
    /// What it means by YAML 1.1's rules, as Go's yaml.v2 reads them.
    pub(super) fn resolve(&self) -> Resolved {
        if !self.plain {
            return Resolved::String;
        }
        match self.text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
                return Resolved::Bool(true);
            }
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off"
            | "OFF" => return Resolved::Bool(false),
            ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
            ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
                return Resolved::Float(f64::INFINITY);
            }
            "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
            _ => {}
        }
        let digits = self.text.replace('_', "");
        if let Some(int) = parse_int(&digits) {
            return Resolved::Int(int);
        }
        let number = digits.strip_prefix(['+', '-']).unwrap_or(&digits);
        let looks_like_one = number.bytes().any(|b| b.is_ascii_digit())
            && number.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
        match digits.parse() {
            Ok(float) if looks_like_one => Resolved::Float(float),
            _ => Resolved::String,
        }
    }
}

/// An integer as Go's `strconv.ParseInt` with base 0 reads it: `0x1f`, `0o17`, `017`, `0b11`.
fn parse_int(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', b'o' | b'O', ..] => (&digits[2..], 8),
        [b'0', b'b' | b'B', ..] => (&digits[2..], 2),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    let value = if negative { -value } else { value };
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value).then_some(value)
}

/// Reads the first document of `text`; `None` where there is none.
pub(super) fn parse(text: &[u8]) -> Result<Option<Node>, YamlError> {
    let text = utf8(text)?;
    let options = granit_parser::options! { emit_comments: false };
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            let mut message = format!("cannot read YAML: {}", error.info());
            if line_is_indented_by_tab(text, error.marker()) {
                message.push_str(": the line is indented with a tab, YAML takes spaces only");
            }
            YamlError { at: Some(position(error.marker())), message }
        })?;
        match event {
            Event::DocumentEnd => break,
            event => builder.add(event, &span)?,
        }
    }
    Ok(builder.root)
}

fn utf8(text: &[u8]) -> Result<&str, YamlError> {
    std::str::from_utf8(text).map_err(|error| {
        if matches!(text, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) {
            let message = "the file is UTF-16: save it as UTF-8".into();
            return YamlError { at: None, message };
        }
        let (good, rest) = text.split_at(error.valid_up_to());
        let good = String::from_utf8_lossy(good);
        let line = good.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = good.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        YamlError {
            at: Some(Position { line: narrow(line), column: narrow(column) }),
            message: format!("the file is not valid UTF-8: byte 0x{:02x}", rest[0]),
        }
    })
}

fn line_is_indented_by_tab(text: &str, marker: &Marker) -> bool {
    let line = text.lines().nth(marker.line().saturating_sub(1)).unwrap_or_default();
    line.trim_start_matches(' ').starts_with('\t')
}

fn position(marker: &Marker) -> Position {
    Position { line: narrow(marker.line()), column: narrow(marker.col() + 1) }
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Puts events together. Keeps its own stack, so the depth of a document is no recursion here.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
}

/// A collection whose end has not been read yet.
struct Open {
    at: Position,
    /// 0 for none.
    anchor: usize,
    data: Data,
    /// The key whose value comes next, and whether it was a plain `<<`.
    key: Option<(Key, bool)>,
    /// Where each key is among the entries, once there was a `<<`.
    places: Option<HashMap<Rc<str>, usize>>,
    weight: usize,
    depth: usize,
}

impl Builder {
    fn add(&mut self, event: Event<'_>, span: &Span) -> Result<(), YamlError> {
        let at = position(&span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let typed = tag
                    .as_ref()
                    .map(|tag| tag.is_yaml_core_schema() && !tag.is_yaml_core_schema_tag("str"));
                let plain = typed.unwrap_or(style == ScalarStyle::Plain);
                let data = Data::Scalar(Scalar { text: text.into_owned(), plain });
                let inner = Rc::new(Inner { data, weight: 1, depth: 0 });
                self.complete(Node { at, inner }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.open(at, anchor, Data::Sequence(Vec::new())),
            Event::MappingStart(_, anchor, _) => self.open(at, anchor, Data::Mapping(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop().expect("the parser ends only what it has begun");
                let Open { at, anchor, data, weight, depth, .. } = open;
                let inner = Rc::new(Inner { data, weight, depth: depth + 1 });
                self.complete(Node { at, inner }, anchor)
            }
            Event::Alias(id) => match self.anchors.get(&id) {
                Some(node) => {
                    let node = Node { at, inner: Rc::clone(&node.inner) };
                    self.complete(node, 0)
                }
                None => Err(error(at, "cannot read YAML: an anchor holds an alias to itself")),
            },
            _ => Ok(()),
        }
    }

    fn open(&mut self, at: Position, anchor: usize, data: Data) -> Result<(), YamlError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        let (key, places) = (None, None);
        self.open.push(Open { at, anchor, data, key, places, weight: 1, depth: 0 });
        Ok(())
    }

    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        // An alias may bring its own depth and weight to where it stands.
        if self.open.len() + node.inner.depth > MAX_DEPTH {
            return Err(too_deep(node.at));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.depth = open.depth.max(node.inner.depth);
        open.weight += node.inner.weight;
        if open.weight > MAX_NODES {
            let message =
                format!("cannot read YAML: more than {MAX_NODES} values, with aliases written out");
            return Err(error(node.at, &message));
        }
        match (&mut open.data, open.key.take()) {
            (Data::Sequence(items), _) => items.push(node),
            (Data::Mapping(_), None) => {
                let Data::Scalar(Scalar { text, plain }) = node.data() else {
                    return Err(error(node.at, "cannot read YAML: a key must be a single value"));
                };
                let is_merge = *plain && text == "<<";
                let text = if node.is_null() { "" } else { text.as_str() }.into();
                open.key = Some((Key { at: node.at, text, merged: false }, is_merge));
            }
            (Data::Mapping(_), Some((_, true))) => open.merge(&node)?,
            (Data::Mapping(_), Some((key, false))) => open.entry(key, node),
            (Data::Scalar(_), _) => unreachable!("only collections are opened"),
        }
        Ok(())
    }
}

impl Open {
    /// Adds what a `<<` names. Of several mappings the first that has a key wins.
    fn merge(&mut self, node: &Node) -> Result<(), YamlError> {
        let Data::Mapping(entries) = &self.data else { return Ok(()) };
        self.places.get_or_insert_with(|| {
            entries.iter().enumerate().map(|(i, (key, _))| (Rc::clone(&key.text), i)).collect()
        });
        let one = std::slice::from_ref(node);
        let maps = if let Data::Sequence(items) = node.data() { items } else { one };
        for map in maps.iter().rev() {
            let Data::Mapping(merged) = map.data() else {
                let text = "map merge requires map or sequence of maps as the value";
                return Err(error(map.at, text));
            };
            for (key, value) in merged {
                self.entry(Key { merged: true, ..key.clone() }, value.clone());
            }
        }
        Ok(())
    }

    /// Adds an entry, in place of one that it overrides.
    fn entry(&mut self, key: Key, value: Node) {
        let Data::Mapping(entries) = &mut self.data else { return };
        if let Some(places) = &mut self.places {
            let place = *places.entry(Rc::clone(&key.text)).or_insert(entries.len());
            if let Some(entry) = entries.get_mut(place)
                && (key.merged || entry.0.merged)
            {
                *entry = (key, value);
                return;
            }
        }
        entries.push((key, value));
    }
}

fn error(at: Position, message: &str) -> YamlError {
    YamlError { at: Some(at), message: message.to_owned() }
}

fn too_deep(at: Position) -> YamlError {
    error(at, &format!("cannot read YAML: nested more than {MAX_DEPTH} levels deep"))
}
