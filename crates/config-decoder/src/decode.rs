//! From nodes to typed values, with every error kept.
//!
//! A [`Value`] reads itself from a node and writes itself back. A [`Section`] is a mapping with
//! fixed keys; the `section!` macro makes one from a table of its keys, which is also what the
//! suggestions for unknown keys and the reference in `docs/configuration.md` are made from.
//!
//! Two rules of Go's YAML hold for every key: one that is absent keeps its default, one that is
//! null becomes the type's zero ([`Value::zero`]), which is not the same.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Display, Write as _};
use std::ops::Range;
use std::path::Path;

use swarmscout_model::yaml::{Data, Key, Node, Scalar};

use crate::out::Out;
use crate::reference::Reference;
use crate::suggest::nearest;
use crate::table::{KeyInfo, State};
use crate::{ConfigError, Position, Warning};

/// Where decoding and checking stands, and what it has found.
#[derive(Debug)]
pub struct Cx<'a> {
    /// The file, as it was named.
    pub file: &'a Path,
    /// The folder that relative paths are joined to.
    pub folder: &'a Path,
    /// How it is to be read.
    pub options: Options,
    advice: &'static Advice,
    /// The document, to find the place of what is wrong in it.
    root: Option<Node>,
    /// The way from the top, as it is shown.
    path: String,
    /// The same, step by step.
    steps: Vec<Step>,
    errors: Vec<ConfigError>,
    warnings: Vec<Warning>,
    /// What was warned of already, and need not be again.
    warned: HashSet<&'static str>,
}

impl<'a> Cx<'a> {
    /// A context at the top of `file`.
    pub fn new(
        file: &'a Path,
        root: Option<Node>,
        options: Options,
        advice: &'static Advice,
    ) -> Self {
        let folder = file.parent().unwrap_or(Path::new(""));
        let (path, steps) = Default::default();
        let (errors, warnings, warned) = Default::default();
        Self { file, folder, options, advice, root, path, steps, errors, warnings, warned }
    }

    /// A context for the next file: what was warned of in others is not warned of again.
    pub fn after(
        findings: &mut Findings,
        file: &'a Path,
        root: Node,
        options: Options,
        advice: &'static Advice,
    ) -> Self {
        let warned = std::mem::take(&mut findings.warned);
        Self { warned, ..Self::new(file, Some(root), options, advice) }
    }

    /// Does something below the key `key`.
    pub fn within<R>(&mut self, key: &str, run: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        let start = self.path.len();
        self.path.push_str(key);
        self.step(Step::Key(start..self.path.len()), length, run)
    }

    /// Does something below the item `index` of a list.
    pub fn item<R>(&mut self, index: usize, run: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.path.len();
        write!(self.path, "[{index}]").expect("writing to a string cannot fail");
        self.step(Step::Item(index), length, run)
    }

    fn step<R>(&mut self, step: Step, length: usize, run: impl FnOnce(&mut Self) -> R) -> R {
        self.steps.push(step);
        let result = run(self);
        self.steps.pop();
        self.path.truncate(length);
        result
    }

    /// Where the path leads to in the file: a key, or an item of a list. The nearest that is there
    /// where something is not.
    fn here(&self) -> Position {
        let mut at = Position::default();
        // Of what a `<<` joins, the last that has it.
        let mut nodes: Vec<&Node> = self.root.iter().collect();
        for step in &self.steps {
            let next: Vec<_> = nodes
                .iter()
                .flat_map(|node| match (step, node.data()) {
                    (Step::Key(key), _) => node.values(&self.path[key.clone()]),
                    (Step::Item(i), Data::Sequence(items)) => {
                        items.get(*i).map(|item| (item.at, item)).into_iter().collect()
                    }
                    _ => Vec::new(),
                })
                .collect();
            let Some((place, _)) = next.last() else { break };
            at = *place;
            nodes = next.into_iter().map(|(_, node)| node).collect();
        }
        at
    }

    /// Notes an error at the place that the path leads to.
    pub fn error_here(&mut self, message: impl Display) {
        self.error(self.here(), message);
    }

    /// As [`Self::error_here`], for an item that is missing: unless it is missing because it could
    /// not be read, which was said already.
    pub fn missing_here(&mut self, message: impl Display) {
        let at = self.here();
        if !self.errors.iter().any(|error| error.position == Some(at)) {
            self.error(at, message);
        }
    }

    /// Notes a warning at the place that the path leads to.
    pub fn warn_here(&mut self, message: impl Display) {
        self.warn(self.here(), message);
    }

    /// Notes an error at `at`, unless there are 1,000 already.
    pub fn error(&mut self, at: Position, message: impl Display) {
        if self.errors.len() >= MAX_ERRORS {
            return;
        }
        self.errors.push(ConfigError {
            file: self.file.to_owned(),
            position: Some(at),
            path: self.path.clone(),
            message: message.to_string(),
        });
    }

    /// Notes a warning at `at`.
    pub fn warn(&mut self, at: Position, message: impl Display) {
        self.warnings.push(Warning {
            file: self.file.to_owned(),
            position: Some(at),
            path: self.path.clone(),
            message: message.to_string(),
        });
    }

    /// Does `warn` the first time that it is asked to for `what`.
    pub fn warn_once(&mut self, what: &'static str, warn: impl FnOnce(&mut Self)) {
        if self.warned.insert(what) {
            warn(self);
        }
    }

    /// Go's text for a value of the wrong type, with what is due. The value is not shown: it may be
    /// a secret at the wrong place.
    pub fn mismatch(&mut self, node: &Node, due: &str, go_type: &str) {
        let quoted = match node.data() {
            Data::Scalar(Scalar { plain: false, .. }) => " in quotes",
            _ => "",
        };
        let tag = node.tag();
        self.error(node.at, format!("cannot unmarshal {tag}{quoted} into {go_type}: {due} is due"));
    }

    /// The text of a single value; an error where it is a collection.
    pub fn text<'n>(&mut self, node: &'n Node, go_type: &str) -> Option<&'n str> {
        if let Data::Scalar(scalar) = node.data() {
            if let Some(warning) = (self.advice.on_text)(&scalar.text) {
                self.warn(node.at, warning);
            }
            return Some(&scalar.text);
        }
        self.mismatch(node, "a single value", go_type);
        None
    }

    /// Reads `node` into `slot`. False where an error was noted.
    pub fn read<T: Value>(&mut self, node: &Node, slot: &mut T) -> bool {
        if node.is_null() {
            *slot = T::zero();
            return true;
        }
        slot.join(node, self)
    }
}

/// How to read a file.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// `--agent`: sections that only a Prometheus server has are refused instead of warned of.
    pub agent: bool,
    /// Looks up an environment variable, for `external_labels` and `proxy_from_environment`.
    pub env: fn(&str) -> Option<String>,
}

/// Not an agent, in the environment of this process.
impl Default for Options {
    fn default() -> Self {
        Self { agent: false, env: |name| std::env::var(name).ok() }
    }
}

/// What a schema has to say of what other programs would take.
#[derive(Debug)]
pub struct Advice {
    /// Of a key that a section, named by its type, does not have.
    pub on_key: fn(section: &str, key: &str) -> Option<Instead>,
    /// A warning about a text that another program would change.
    pub on_text: fn(text: &str) -> Option<&'static str>,
}

/// What to do about a key that a section does not have.
pub struct Instead {
    /// For the error.
    pub message: String,
    /// The key of the same section that was meant.
    pub meant: Option<&'static str>,
}

/// What was found in the files that were read so far, in their order.
#[derive(Debug, Default)]
pub struct Findings {
    /// What is wrong. At most 1,000.
    pub errors: Vec<ConfigError>,
    /// What is accepted, but does not do what it seems to.
    pub warnings: Vec<Warning>,
    warned: HashSet<&'static str>,
}

impl Findings {
    /// Adds what was found in a file, sorted into its order.
    pub fn add(&mut self, mut of_file: Cx<'_>) {
        of_file.errors.sort_by_key(|error| error.position);
        of_file.warnings.sort_by_key(|warning| warning.position);
        self.errors.append(&mut of_file.errors);
        self.errors.truncate(MAX_ERRORS);
        self.warnings.append(&mut of_file.warnings);
        self.warned.extend(of_file.warned);
    }
}

/// A step on the way from the top of the file.
#[derive(Clone, Debug)]
enum Step {
    /// To the value of a key; where the key stands in the path's text.
    Key(Range<usize>),
    /// To an item of a list.
    Item(usize),
}

/// A type that a key can have.
pub trait Value: Sized {
    /// Whether one that cannot be read leaves the others of its list or map as good as they are.
    const STANDS_ALONE: bool = false;

    /// Whether a map of it starts empty each time that it is read, as Go's inline maps do.
    const IN_INLINE_MAP: bool = false;

    /// Its name in the reference: `duration`.
    fn name() -> String;

    /// What a null makes of it: Go's zero value.
    fn zero() -> Self;

    /// Reads a node that is not null. `None`: the whole value is unusable, and why was noted.
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self>;

    /// Reads a node that is not null into a value that may have been read already, where a `<<`
    /// stands before the key: maps and sections take what is new, all others are replaced. False
    /// where the whole value is unusable.
    fn join(&mut self, node: &Node, cx: &mut Cx<'_>) -> bool {
        let Some(value) = Self::decode(node, cx) else { return false };
        *self = value;
        true
    }

    /// How it is written back. Secrets are hidden here.
    fn encode(&self) -> Out;

    /// Whether it is left out when it is written back (Go's `omitempty`).
    fn is_empty(&self) -> bool;

    /// Adds the sections that it consists of to the reference.
    fn refer(_reference: &mut Reference) {}
}

/// A mapping with fixed keys. Made by `section!`.
pub trait Section: Default {
    /// Its type's name in error texts: `config.ScrapeConfig`.
    const TYPE: &'static str;
    /// Its heading in the reference: `scrape_config`.
    const TITLE: &'static str;

    /// Where it and its keys stand.
    fn at(&self) -> &At;
    /// The same, to note more.
    fn at_mut(&mut self) -> &mut At;
    /// All fields zero.
    fn empty() -> Self;
    /// Reads the value of a key into its field. `None`: there is no such key.
    fn take(&mut self, key: &Key, node: &Node, cx: &mut Cx<'_>) -> Option<&'static str>;
    /// Notes where the section itself stands.
    fn place(&mut self, at: Position);
    /// All keys, inlined ones included.
    fn keys(out: &mut Vec<KeyInfo>);
    /// Writes all keys.
    fn write(&self, out: &mut Vec<(String, Out)>);
    /// Whether all fields are empty.
    fn all_empty(&self) -> bool;
    /// Adds itself and the sections of its fields to the reference.
    fn refer_fields(reference: &mut Reference);

    /// What to say of a key that this section does not have but that people write.
    fn unknown(_key: &str) -> Option<String> {
        None
    }
}

/// Where a section and its keys stand. Takes no part in comparisons: a job that only moved within
/// its file is the same job.
#[derive(Clone, Default)]
pub struct At {
    section: Position,
    keys: Vec<(&'static str, Position)>,
    failed: Vec<&'static str>,
}

impl At {
    /// Where the section stands.
    pub const fn section(&self) -> Position {
        self.section
    }

    /// Where `key` stands, or the section where it was not written.
    pub fn key(&self, key: &str) -> Position {
        self.find(key).unwrap_or(self.section)
    }

    /// Where `key` stands, if it was written.
    pub fn find(&self, key: &str) -> Option<Position> {
        self.keys.iter().rfind(|(name, _)| *name == key).map(|(_, at)| *at)
    }

    /// Whether `key` was written.
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Whether `key` was written and could not be read: its field holds the default, which means
    /// nothing.
    pub fn failed(&self, key: &str) -> bool {
        self.failed.contains(&key)
    }

    /// Whether any key could not be read.
    pub fn any_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// All keys that were written, in the order of the file.
    pub fn keys(&self) -> impl Iterator<Item = (&'static str, Position)> + '_ {
        self.keys.iter().copied()
    }

    /// Notes where the section stands.
    pub fn place(&mut self, at: Position) {
        self.section = at;
    }

    /// Notes that `key` was meant, and written as something else.
    fn misnamed(&mut self, key: &'static str) {
        self.failed.push(key);
    }

    /// Notes that `key` was written at `at`, and whether it could be read.
    pub fn note(&mut self, key: &'static str, at: Position, good: bool) {
        self.keys.push((key, at));
        if !good {
            self.failed.push(key);
        }
    }
}

impl PartialEq for At {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.section.line, self.section.column)
    }
}

/// The number of errors that are reported: a file with a thousand has one cause.
const MAX_ERRORS: usize = 1000;

/// Reads a mapping into a section, key by key, past every error. Keys replace those that a `<<`
/// before them brought, and give way to one after them.
fn read_section<S: Section>(section: &mut S, node: &Node, cx: &mut Cx<'_>) -> bool {
    let Data::Mapping(entries) = node.data() else {
        cx.mismatch(node, "a mapping", S::TYPE);
        return false;
    };
    let mut seen: HashMap<&str, Position> = HashMap::new();
    for (key, value) in entries {
        if key.merge {
            for map in value.merged() {
                read_section(section, map, cx);
            }
            continue;
        }
        if let Some(first) = seen.get(&*key.text) {
            if section.at().has(&key.text) {
                repeated(key, *first, S::TYPE, cx);
            }
            continue;
        }
        seen.insert(&key.text, key.at);
        let taken = cx.within(&key.text, |cx| section.take(key, value, cx));
        if taken.is_none() && cx.errors.len() < MAX_ERRORS {
            unknown_key(key, section, cx);
        }
    }
    // After what was merged, which stands elsewhere.
    section.place(node.at);
    true
}

fn repeated(key: &Key, first: Position, section: &str, cx: &mut Cx<'_>) {
    let (key, at) = (&key.text, key.at);
    let Position { line, column } = first;
    cx.error(
        at,
        format!("field {key} already set in type {section}: first at {line}:{column}, keep one"),
    );
}

fn unknown_key<S: Section>(key: &Key, section: &mut S, cx: &mut Cx<'_>) {
    if let Some(Instead { message, meant }) = (cx.advice.on_key)(S::TYPE, &key.text) {
        cx.within(&key.text, |cx| cx.error(key.at, message));
        if let Some(meant) = meant {
            // It is not missing as well.
            section.at_mut().misnamed(meant);
        }
        return;
    }
    if let Some(message) = S::unknown(&key.text) {
        cx.error(key.at, message);
        return;
    }
    cx.error(key.at, not_found::<S>(&key.text));
}

/// Prometheus' text for an unknown key, and the nearest known one.
pub fn not_found<S: Section>(key: &str) -> String {
    let mut keys = Vec::new();
    S::keys(&mut keys);
    // A key that is refused is not a suggestion.
    keys.retain(|key| key.marks.state != State::Refused);
    let own = || keys.iter().filter(|key| key.of == S::TITLE).map(|key| key.name);
    let hint = match nearest(key, keys.iter().map(|key| key.name)) {
        _ if key.contains(|c: char| !c.is_ascii() && c.is_whitespace()) => {
            ": this is not a plain space: type it again".to_owned()
        }
        Some(name) => format!(": did you mean \"{name}\"?"),
        None if own().count() <= 12 => {
            format!(": known keys are {}", own().collect::<Vec<_>>().join(", "))
        }
        None => String::new(),
    };
    let key = Visible(key);
    format!("field {key} not found in type {}{hint}", S::TYPE)
}

/// A key as it is, but for characters that do not show, which are named.
struct Visible<'a>(&'a str);

impl Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            c if c != ' ' && c.is_whitespace() => write!(f, "{}", c.escape_unicode()),
            c => f.write_char(c),
        })
    }
}

impl<S: Section> Value for S {
    const STANDS_ALONE: bool = true;
    const IN_INLINE_MAP: bool = matches!(S::TYPE.as_bytes(), b"config.Header");

    fn name() -> String {
        format!("[{0}](#{0})", S::TITLE)
    }

    fn zero() -> Self {
        S::empty()
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let mut section = S::default();
        read_section(&mut section, node, cx).then_some(section)
    }

    fn join(&mut self, node: &Node, cx: &mut Cx<'_>) -> bool {
        read_section(self, node, cx)
    }

    fn encode(&self) -> Out {
        let mut entries = Vec::new();
        self.write(&mut entries);
        Out::Map(entries)
    }

    fn is_empty(&self) -> bool {
        self.all_empty()
    }

    fn refer(reference: &mut Reference) {
        S::refer_fields(reference);
    }
}

/// A section that may be absent (a pointer in Prometheus): null takes it away again.
impl<S: Section> Value for Option<S> {
    const STANDS_ALONE: bool = true;

    fn name() -> String {
        S::name()
    }

    fn zero() -> Self {
        None
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        S::decode(node, cx).map(Some)
    }

    fn join(&mut self, node: &Node, cx: &mut Cx<'_>) -> bool {
        if let Some(section) = self {
            return section.join(node, cx);
        }
        *self = S::decode(node, cx);
        self.is_some()
    }

    fn encode(&self) -> Out {
        self.as_ref().map_or(Out::Null, Value::encode)
    }

    fn is_empty(&self) -> bool {
        self.is_none()
    }

    fn refer(reference: &mut Reference) {
        S::refer(reference);
    }
}
