//! From nodes to typed values, with every error kept.
//!
//! A [`Value`] reads itself from a node and writes itself back. A [`Section`] is a mapping with
//! fixed keys; the `section!` macro makes one from a table of its keys, which is also what the
//! suggestions for unknown keys and the reference in `docs/configuration.md` are made from.
//!
//! Two rules of Go's YAML hold for every key: one that is absent keeps its default, one that is
//! null becomes the type's zero ([`Value::zero`]), which is not the same.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::path::Path;

use swarmscout_model::secret::HIDDEN;
use swarmscout_model::size::Bytes;
use swarmscout_model::{PromDuration, Secret};
use swarmscout_net::Url;

use super::out::Out;
use super::reference::Reference;
use super::suggest::nearest;
use super::yaml::{Data, Key, Node, Resolved, Scalar};
use super::{ConfigError, Position, Warning};

/// Where decoding and checking stands, and what it has found.
#[derive(Debug)]
pub(super) struct Cx<'a> {
    /// The file, as it was named.
    pub(super) file: &'a Path,
    /// The folder that relative paths are joined to.
    pub(super) folder: &'a Path,
    path: String,
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<Warning>,
    /// What was warned of already, and need not be again.
    warned: HashSet<&'static str>,
}

impl<'a> Cx<'a> {
    pub(super) fn new(file: &'a Path) -> Self {
        let folder = file.parent().unwrap_or(Path::new(""));
        let (errors, warnings, warned) = Default::default();
        Self { file, folder, path: String::new(), errors, warnings, warned }
    }

    /// Does something below the key `key`.
    pub(super) fn within<R>(&mut self, key: &str, run: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        let result = run(self);
        self.path.truncate(length);
        result
    }

    /// Does something below the item `index` of a list.
    pub(super) fn item<R>(&mut self, index: usize, run: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.path.len();
        self.path.push_str(&format!("[{index}]"));
        let result = run(self);
        self.path.truncate(length);
        result
    }

    /// Notes an error at `at`, unless there are [`MAX_ERRORS`].
    pub(super) fn error(&mut self, at: Position, message: impl Display) {
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
    pub(super) fn warn(&mut self, at: Position, message: impl Display) {
        self.warnings.push(Warning {
            file: self.file.to_owned(),
            position: Some(at),
            path: self.path.clone(),
            message: message.to_string(),
        });
    }

    /// Does `warn` the first time that it is asked to for `what`.
    pub(super) fn warn_once(&mut self, what: &'static str, warn: impl FnOnce(&mut Self)) {
        if self.warned.insert(what) {
            warn(self);
        }
    }

    /// Go's text for a value of the wrong type, with what is due. The value is not shown: it may be
    /// a secret at the wrong place.
    pub(super) fn mismatch(&mut self, node: &Node, due: &str, go_type: &str) {
        let quoted = match node.data() {
            Data::Scalar(Scalar { plain: false, .. }) => " in quotes",
            _ => "",
        };
        let tag = node.tag();
        self.error(node.at, format!("cannot unmarshal {tag}{quoted} into {go_type}: {due} is due"));
    }

    /// The text of a single value; an error where it is a collection.
    fn text<'n>(&mut self, node: &'n Node, go_type: &str) -> Option<&'n str> {
        match node.data() {
            Data::Scalar(scalar) => Some(&scalar.text),
            _ => {
                self.mismatch(node, "a single value", go_type);
                None
            }
        }
    }

    /// Reads `node` into `slot`. False where an error was noted.
    pub(super) fn read<T: Value>(&mut self, node: &Node, slot: &mut T) -> bool {
        let value = if node.is_null() { Some(T::zero()) } else { T::decode(node, self) };
        match value {
            Some(value) => {
                *slot = value;
                true
            }
            None => false,
        }
    }
}

/// A type that a key can have.
pub(super) trait Value: Sized {
    /// Its name in the reference: `duration`.
    fn name() -> String;

    /// What a null makes of it: Go's zero value.
    fn zero() -> Self;

    /// Reads a node that is not null. `None`: the whole value is unusable, and why was noted.
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self>;

    /// How it is written back. Secrets are hidden here.
    fn encode(&self) -> Out;

    /// Whether it is left out when it is written back (Go's `omitempty`).
    fn is_empty(&self) -> bool;

    /// Adds the sections that it consists of to the reference.
    fn refer(_reference: &mut Reference) {}
}

/// A mapping with fixed keys. Made by `section!`.
pub(super) trait Section: Default {
    /// Its type's name in error texts: `config.ScrapeConfig`.
    const TYPE: &'static str;
    /// Its heading in the reference: `scrape_config`.
    const TITLE: &'static str;

    /// Where it and its keys stand.
    fn at(&self) -> &At;
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
pub(super) struct At {
    section: Position,
    keys: Vec<(&'static str, Position)>,
    failed: Vec<&'static str>,
}

impl At {
    /// Where the section stands.
    pub(super) const fn section(&self) -> Position {
        self.section
    }

    /// Where `key` stands, or the section where it was not written.
    pub(super) fn key(&self, key: &str) -> Position {
        self.find(key).unwrap_or(self.section)
    }

    /// Where `key` stands, if it was written.
    pub(super) fn find(&self, key: &str) -> Option<Position> {
        self.keys.iter().find(|(name, _)| *name == key).map(|(_, at)| *at)
    }

    /// Whether `key` was written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Whether `key` was written and could not be read: its field holds the default, which means
    /// nothing.
    pub(super) fn failed(&self, key: &str) -> bool {
        self.failed.contains(&key)
    }

    /// Whether any key could not be read.
    pub(super) fn any_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// All keys that were written, in the order of the file.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&'static str, Position)> + '_ {
        self.keys.iter().copied()
    }

    pub(super) fn place(&mut self, at: Position) {
        self.section = at;
    }

    pub(super) fn note(&mut self, key: &'static str, at: Position, good: bool) {
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

impl std::fmt::Debug for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.section.line, self.section.column)
    }
}

/// What is known of a key besides its type.
#[derive(Clone, Debug)]
pub(super) struct KeyInfo {
    pub(super) name: &'static str,
    /// Heading of the section whose key it is, where sections are inlined.
    pub(super) of: &'static str,
    /// One sentence.
    pub(super) doc: &'static str,
    /// Name of its type.
    pub(super) value: String,
    /// The default as it is written; empty for none.
    pub(super) default: String,
    pub(super) marks: Marks,
}

/// What a key's row in its section's table says beyond type and default.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    /// Written back even where it is empty.
    pub(super) always: bool,
    /// Written back on one line.
    pub(super) flow: bool,
    /// Prometheus does not have it.
    pub(super) ours: bool,
    pub(super) state: State,
    /// The default, where the field's own is only a mark for "not set".
    pub(super) shown: Option<&'static str>,
}

/// What this version makes of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// What it says.
    #[default]
    Works,
    /// Checked, kept, written back, without effect yet: a warning.
    Kept,
    /// Checked and kept; only a Prometheus server has a use for it, so no warning.
    Ignored,
    /// Refused by name until its part exists.
    Refused,
}

impl Marks {
    pub(super) const fn always(mut self) -> Self {
        self.always = true;
        self
    }

    pub(super) const fn flow(mut self) -> Self {
        self.flow = true;
        self
    }

    pub(super) const fn ours(mut self) -> Self {
        self.ours = true;
        self
    }

    pub(super) const fn kept(mut self) -> Self {
        self.state = State::Kept;
        self
    }

    pub(super) const fn ignored(mut self) -> Self {
        self.state = State::Ignored;
        self
    }

    pub(super) const fn refused(mut self) -> Self {
        self.state = State::Refused;
        self
    }

    pub(super) const fn shown(mut self, default: &'static str) -> Self {
        self.shown = Some(default);
        self
    }
}

/// No more errors than this are noted: whoever has a thousand will look for one cause.
const MAX_ERRORS: usize = 1000;

/// Reads a mapping into a section, key by key, past every error.
fn decode_section<S: Section>(node: &Node, cx: &mut Cx<'_>) -> Option<S> {
    let Data::Mapping(entries) = node.data() else {
        cx.mismatch(node, "a mapping", S::TYPE);
        return None;
    };
    let mut section = S::default();
    section.place(node.at);
    let mut unknown: HashSet<&str> = HashSet::new();
    for (key, value) in entries {
        if let Some(first) = section.at().find(&key.text) {
            repeated(key, first, S::TYPE, cx);
            continue;
        }
        let taken = cx.within(&key.text, |cx| section.take(key, value, cx));
        if taken.is_none() && unknown.insert(&key.text) && cx.errors.len() < MAX_ERRORS {
            unknown_key::<S>(key, cx);
        }
    }
    Some(section)
}

fn repeated(key: &Key, first: Position, section: &str, cx: &mut Cx<'_>) {
    let (key, at) = (&key.text, key.at);
    let Position { line, column } = first;
    cx.error(
        at,
        format!("field {key} already set in type {section}: first at {line}:{column}, keep one"),
    );
}

fn unknown_key<S: Section>(key: &Key, cx: &mut Cx<'_>) {
    if let Some(message) = S::unknown(&key.text) {
        cx.error(key.at, message);
        return;
    }
    cx.error(key.at, not_found::<S>(&key.text));
}

/// Prometheus' text for an unknown key, and the nearest known one.
pub(super) fn not_found<S: Section>(key: &str) -> String {
    let mut keys = Vec::new();
    S::keys(&mut keys);
    let own = || keys.iter().filter(|key| key.of == S::TITLE).map(|key| key.name);
    let hint = match nearest(key, keys.iter().map(|key| key.name)) {
        Some(name) => format!(": did you mean \"{name}\"?"),
        None if own().count() <= 12 => {
            format!(": known are {}", own().collect::<Vec<_>>().join(", "))
        }
        None => String::new(),
    };
    format!("field {key} not found in type {}{hint}", S::TYPE)
}

impl<S: Section> Value for S {
    fn name() -> String {
        format!("[{0}](#{0})", S::TITLE)
    }

    fn zero() -> Self {
        S::empty()
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_section(node, cx)
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
    fn name() -> String {
        S::name()
    }

    fn zero() -> Self {
        None
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        S::decode(node, cx).map(Some)
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

impl<T: Value> Value for Vec<T> {
    fn name() -> String {
        format!("list of {}", T::name())
    }

    fn zero() -> Self {
        Self::new()
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Data::Sequence(items) = node.data() else {
            cx.mismatch(node, "a list", "[]");
            return None;
        };
        let mut list = Self::with_capacity(items.len());
        let mut good = true;
        for (i, item) in items.iter().enumerate() {
            let mut value = T::zero();
            good &= cx.item(i, |cx| cx.read(item, &mut value));
            list.push(value);
        }
        good.then_some(list)
    }

    fn encode(&self) -> Out {
        Out::List(self.iter().map(Value::encode).collect())
    }

    fn is_empty(&self) -> bool {
        Vec::is_empty(self)
    }

    fn refer(reference: &mut Reference) {
        T::refer(reference);
    }
}

/// Any keys, values of one type.
impl<T: Value> Value for BTreeMap<String, T> {
    fn name() -> String {
        format!("map of string to {}", T::name())
    }

    fn zero() -> Self {
        Self::new()
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Data::Mapping(entries) = node.data() else {
            cx.mismatch(node, "a mapping", "map");
            return None;
        };
        let mut map = Self::new();
        let mut good = true;
        for (key, node) in entries {
            if map.contains_key(&*key.text) {
                cx.error(key.at, format!("key {:?} already set in map", key.text));
                good = false;
                continue;
            }
            let mut value = T::zero();
            good &= cx.within(&key.text, |cx| cx.read(node, &mut value));
            map.insert(key.text.to_string(), value);
        }
        good.then_some(map)
    }

    fn encode(&self) -> Out {
        Out::Map(self.iter().map(|(key, value)| (key.clone(), value.encode())).collect())
    }

    fn is_empty(&self) -> bool {
        BTreeMap::is_empty(self)
    }

    fn refer(reference: &mut Reference) {
        T::refer(reference);
    }
}

/// Any scalar, its source text kept: `1.10`, `yes`, `010`.
impl Value for String {
    fn name() -> String {
        "string".into()
    }

    fn zero() -> Self {
        Self::new()
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        cx.text(node, "string").map(str::to_owned)
    }

    fn encode(&self) -> Out {
        Out::String(self.clone())
    }

    fn is_empty(&self) -> bool {
        String::is_empty(self)
    }
}

/// A string that knows whether it was written; a null is the empty string.
impl Value for Option<String> {
    fn name() -> String {
        String::name()
    }

    fn zero() -> Self {
        Some(String::new())
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        String::decode(node, cx).map(Some)
    }

    fn encode(&self) -> Out {
        self.as_ref().map_or(Out::Null, Value::encode)
    }

    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

/// A list that knows whether it was written; a null takes it away again.
impl<T: Value> Value for Option<Vec<T>> {
    fn name() -> String {
        Vec::<T>::name()
    }

    fn zero() -> Self {
        None
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        Vec::decode(node, cx).map(Some)
    }

    fn encode(&self) -> Out {
        self.as_ref().map_or(Out::Null, Value::encode)
    }

    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

impl Value for bool {
    fn name() -> String {
        "boolean".into()
    }

    fn zero() -> Self {
        false
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if let Data::Scalar(scalar) = node.data()
            && let Resolved::Bool(value) = scalar.resolve()
        {
            return Some(value);
        }
        cx.mismatch(node, "true or false, without quotes,", "bool");
        None
    }

    fn encode(&self) -> Out {
        Out::Bool(*self)
    }

    fn is_empty(&self) -> bool {
        !*self
    }
}

/// A boolean that knows whether it was set.
impl Value for Option<bool> {
    fn name() -> String {
        bool::name()
    }

    fn zero() -> Self {
        None
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        bool::decode(node, cx).map(Some)
    }

    fn encode(&self) -> Out {
        self.map_or(Out::Null, Out::Bool)
    }

    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

/// An integer by YAML 1.1's and Go's rules: `1e3` is one, `1.9` is 1, `"1"` is none.
fn integer(node: &Node, range: std::ops::RangeInclusive<i128>, cx: &mut Cx<'_>) -> Option<i128> {
    let go_type = if *range.start() < 0 { "int" } else { "uint" };
    let value = match node.data() {
        Data::Scalar(scalar) => match scalar.resolve() {
            Resolved::Int(value) => Some(value),
            #[expect(clippy::cast_possible_truncation, reason = "Go truncates; the range follows")]
            Resolved::Float(value) if value.is_finite() => Some(value as i128),
            _ => None,
        },
        _ => None,
    };
    match value.filter(|value| range.contains(value)) {
        Some(value) => Some(value),
        None if value.is_some() => {
            let (from, to) = range.into_inner();
            cx.error(node.at, format!("cannot unmarshal !!int into {go_type}: not {from} to {to}"));
            None
        }
        None => {
            cx.mismatch(node, "an integer, without quotes,", go_type);
            None
        }
    }
}

impl Value for i64 {
    fn name() -> String {
        "integer".into()
    }

    fn zero() -> Self {
        0
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let value = integer(node, i128::from(Self::MIN)..=i128::from(Self::MAX), cx)?;
        Self::try_from(value).ok()
    }

    fn encode(&self) -> Out {
        Out::Int(i128::from(*self))
    }

    fn is_empty(&self) -> bool {
        *self == 0
    }
}

impl Value for u64 {
    fn name() -> String {
        "integer".into()
    }

    fn zero() -> Self {
        0
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let value = integer(node, 0..=i128::from(Self::MAX), cx)?;
        Self::try_from(value).ok()
    }

    fn encode(&self) -> Out {
        Out::Int(i128::from(*self))
    }

    fn is_empty(&self) -> bool {
        *self == 0
    }
}

impl Value for f64 {
    fn name() -> String {
        "float".into()
    }

    fn zero() -> Self {
        0.0
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if let Data::Scalar(scalar) = node.data() {
            match scalar.resolve() {
                Resolved::Float(value) => return Some(value),
                #[expect(clippy::cast_precision_loss, reason = "as Go converts it")]
                Resolved::Int(value) => return Some(value as Self),
                _ => {}
            }
        }
        cx.mismatch(node, "a number, without quotes,", "float64");
        None
    }

    fn encode(&self) -> Out {
        Out::Float(*self)
    }

    fn is_empty(&self) -> bool {
        *self == 0.0
    }
}

impl Value for PromDuration {
    fn name() -> String {
        "duration".into()
    }

    fn zero() -> Self {
        Self::ZERO
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = cx.text(node, "model.Duration")?;
        text.parse().map_err(|error| cx.error(node.at, error)).ok()
    }

    fn encode(&self) -> Out {
        Out::String(self.to_string())
    }

    fn is_empty(&self) -> bool {
        self.is_zero()
    }
}

impl Value for Bytes {
    fn name() -> String {
        "size".into()
    }

    fn zero() -> Self {
        Self(0)
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = cx.text(node, "units.Base2Bytes")?;
        let hint = "write it with its unit, as 10MB";
        text.parse().map_err(|error| cx.error(node.at, format!("{error}: {hint}"))).ok()
    }

    fn encode(&self) -> Out {
        Out::String(self.to_string())
    }

    fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

impl Value for Secret {
    fn name() -> String {
        "secret".into()
    }

    fn zero() -> Self {
        Self::default()
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        cx.text(node, "config.Secret").map(Self::new)
    }

    fn encode(&self) -> Out {
        Out::String(if self.is_empty() { String::new() } else { HIDDEN.to_owned() })
    }

    fn is_empty(&self) -> bool {
        Secret::is_empty(self)
    }
}

/// A URL that is checked when it is read. Its password shows as `xxxxx`.
impl Value for Option<Url> {
    fn name() -> String {
        "URL".into()
    }

    fn zero() -> Self {
        None
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = cx.text(node, "config.URL")?;
        Url::parse(text).map_err(|error| cx.error(node.at, error)).ok().map(Some)
    }

    fn encode(&self) -> Out {
        self.as_ref().map_or(Out::Null, |url| Out::String(url.to_string()))
    }

    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

/// A path of the local file system. A relative one is joined to the configuration's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FilePath(pub(super) String);

impl Value for FilePath {
    fn name() -> String {
        "path".into()
    }

    fn zero() -> Self {
        Self::default()
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = cx.text(node, "string")?;
        if text.is_empty() || Path::new(text).is_absolute() {
            return Some(Self(text.to_owned()));
        }
        let mut path = cx.folder.to_path_buf();
        path.extend(
            Path::new(text).components().filter(|part| *part != std::path::Component::CurDir),
        );
        Some(Self(path.to_string_lossy().into_owned()))
    }

    fn encode(&self) -> Out {
        Out::String(self.0.clone())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A URL or Docker host that is kept as it was written. Its password shows as `xxxxx`.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Address(pub(super) String);

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", swarmscout_net::redact_url(&self.0))
    }
}

impl Value for Address {
    fn name() -> String {
        "URL".into()
    }

    fn zero() -> Self {
        Self::default()
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        cx.text(node, "string").map(|text| Self(text.to_owned()))
    }

    fn encode(&self) -> Out {
        Out::String(swarmscout_net::redact_url(&self.0))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Anything at all, for what is handed on unread.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Any(Out);

impl Default for Any {
    fn default() -> Self {
        Self(Out::Null)
    }
}

impl Value for Any {
    fn name() -> String {
        "anything".into()
    }

    fn zero() -> Self {
        Self(Out::Null)
    }

    fn decode(node: &Node, _: &mut Cx<'_>) -> Option<Self> {
        Some(Self(any(node)))
    }

    fn encode(&self) -> Out {
        self.0.clone()
    }

    fn is_empty(&self) -> bool {
        self.0 == Out::Null
    }
}

fn any(node: &Node) -> Out {
    match node.data() {
        Data::Scalar(scalar) => match scalar.resolve() {
            Resolved::Null => Out::Null,
            Resolved::Bool(value) => Out::Bool(value),
            Resolved::Int(value) => Out::Int(value),
            Resolved::Float(value) => Out::Float(value),
            Resolved::String => Out::String(scalar.text.clone()),
        },
        Data::Sequence(items) => Out::List(items.iter().map(any).collect()),
        Data::Mapping(entries) => {
            Out::Map(entries.iter().map(|(key, node)| (key.text.to_string(), any(node))).collect())
        }
    }
}

/// Makes a [`Section`] from a table of keys.
///
/// ```ignore
/// section! {
///     /// What it is.
///     Name: "go.Type", "heading" {
///         /// What the key does.
///         key name: Type = default, marks(…) mark;
///         /// All keys of another section stand among this one's.
///         inline field: Section = default;
///     }
/// }
/// ```
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident: $type:literal, $title:literal {
            $(
                $(#[doc = $doc:literal])+
                $kind:ident $field:ident: $value:ty = $default:expr
                $(, $($mark:ident $(($($argument:tt)*))?)+)?;
            )+
        }
        $(unknown $unknown:expr;)?
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub(in crate::config) struct $name {
            pub(in crate::config) at: $crate::config::decode::At,
            $($(#[doc = $doc])+ pub(in crate::config) $field: $value,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { at: Default::default(), $($field: $default,)+ }
            }
        }

        impl $crate::config::decode::Section for $name {
            const TYPE: &'static str = $type;
            const TITLE: &'static str = $title;

            fn at(&self) -> &$crate::config::decode::At {
                &self.at
            }

            fn empty() -> Self {
                Self {
                    at: Default::default(),
                    $($field: <$value as $crate::config::decode::Value>::zero(),)+
                }
            }

            fn take(
                &mut self,
                key: &$crate::config::yaml::Key,
                node: &$crate::config::yaml::Node,
                cx: &mut $crate::config::decode::Cx<'_>,
            ) -> Option<&'static str> {
                $($crate::config::decode::section!(@take $kind self $field key node cx);)+
                None
            }

            fn place(&mut self, at: $crate::config::Position) {
                self.at.place(at);
                $($crate::config::decode::section!(@place $kind self $field at);)+
            }

            fn keys(out: &mut Vec<$crate::config::decode::KeyInfo>) {
                let defaults = Self::default();
                $(
                    let marks = $crate::config::decode::Marks::default()
                        $($(.$mark($($($argument)*)?))+)?;
                    let doc = concat!($($doc),+);
                    $crate::config::decode::section!(
                        @keys $kind defaults $field $value, marks doc out
                    );
                )+
            }

            fn write(&self, out: &mut Vec<(String, $crate::config::out::Out)>) {
                $(
                    let marks = $crate::config::decode::Marks::default()
                        $($(.$mark($($($argument)*)?))+)?;
                    $crate::config::decode::section!(@write $kind self $field marks out);
                )+
            }

            fn all_empty(&self) -> bool {
                true $(&& $crate::config::decode::Value::is_empty(&self.$field))+
            }

            fn refer_fields(reference: &mut $crate::config::reference::Reference) {
                if !reference.begin::<Self>(concat!($($about),+)) {
                    return;
                }
                $(<$value as $crate::config::decode::Value>::refer(reference);)+
            }

            $(fn unknown(key: &str) -> Option<String> {
                let unknown: fn(&str) -> Option<String> = $unknown;
                unknown(key)
            })?
        }
    };

    (@take key $self:ident $field:ident $key:ident $node:ident $cx:ident) => {
        let name = $crate::config::decode::key_name(stringify!($field));
        if &*$key.text == name {
            let good = $cx.read($node, &mut $self.$field);
            $self.at.note(name, $key.at, good);
            return Some(name);
        }
    };
    (@take inline $self:ident $field:ident $key:ident $node:ident $cx:ident) => {
        if let Some(name) = $self.$field.take($key, $node, $cx) {
            let failed = $self.$field.at.failed(name);
            $self.at.note(name, $key.at, !failed);
            return Some(name);
        }
    };

    (@place key $self:ident $field:ident $at:ident) => {};
    (@place inline $self:ident $field:ident $at:ident) => {
        $crate::config::decode::Section::place(&mut $self.$field, $at);
    };

    (@keys key $defaults:ident $field:ident $value:ty, $marks:ident $doc:ident $out:ident) => {
        $out.push($crate::config::decode::KeyInfo {
            name: $crate::config::decode::key_name(stringify!($field)),
            of: <Self as $crate::config::decode::Section>::TITLE,
            doc: $doc,
            value: <$value as $crate::config::decode::Value>::name(),
            default: $crate::config::decode::shown_default(&$defaults.$field, $marks),
            marks: $marks,
        });
    };
    (@keys inline $defaults:ident $field:ident $value:ty, $marks:ident $doc:ident $out:ident) => {
        let _ = ($marks, $doc, &$defaults.$field);
        let first = $out.len();
        <$value as $crate::config::decode::Section>::keys($out);
        for key in &mut $out[first..] {
            key.of = <$value as $crate::config::decode::Section>::TITLE;
        }
    };

    (@write key $self:ident $field:ident $marks:ident $out:ident) => {
        if $marks.always || !$crate::config::decode::Value::is_empty(&$self.$field) {
            let name = $crate::config::decode::key_name(stringify!($field));
            let value = $crate::config::decode::Value::encode(&$self.$field);
            $out.push((name.to_owned(), if $marks.flow { value.on_one_line() } else { value }));
        }
    };
    (@write inline $self:ident $field:ident $marks:ident $out:ident) => {
        let _ = $marks;
        $crate::config::decode::Section::write(&$self.$field, $out);
    };
}
pub(super) use section;

/// A field's key: raw identifiers (`r#type`) lose their mark.
pub(super) fn key_name(field: &'static str) -> &'static str {
    field.strip_prefix("r#").unwrap_or(field)
}

/// A default as the reference shows it.
pub(super) fn shown_default<T: Value>(value: &T, marks: Marks) -> String {
    match (marks.shown, value.encode()) {
        (Some(text), _) => text.to_owned(),
        (None, Out::Bool(value)) => value.to_string(),
        (None, Out::Int(value)) if value != 0 => value.to_string(),
        (None, Out::Float(value)) if value != 0.0 => value.to_string(),
        (None, Out::String(text)) if !value.is_empty() => text,
        _ => String::new(),
    }
}
