//! The types of keys that any schema has: texts, numbers, lists, maps.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

use swarmscout_model::yaml::{Data, Key, Node, Resolved};

use crate::{Cx, Out, Reference, Value};

/// How a list is written.
const LIST: &str = "write every item with a dash, or all of them in [ ]";

impl<T: Value> Value for Vec<T> {
    fn name() -> String {
        format!("list of {}", T::name())
    }

    fn zero() -> Self {
        Self::new()
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Data::Sequence(items) = node.data() else {
            cx.error(node.at, format!("cannot unmarshal {} into a list: {LIST}", node.tag()));
            return None;
        };
        let mut list = Self::with_capacity(items.len());
        let mut good = true;
        for (i, item) in items.iter().enumerate() {
            let mut value = T::zero();
            good &= cx.item(i, |cx| cx.read(item, &mut value));
            list.push(value);
        }
        (good || T::STANDS_ALONE).then_some(list)
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
        let mut map = Self::new();
        map.join(node, cx).then_some(map)
    }

    /// A key that is there already is an error, wherever it comes from.
    fn join(&mut self, node: &Node, cx: &mut Cx<'_>) -> bool {
        let Data::Mapping(entries) = node.data() else {
            cx.error(
                node.at,
                format!("cannot unmarshal {} into a map: write key: value", node.tag()),
            );
            return false;
        };
        if T::IN_INLINE_MAP {
            self.clear();
        }
        let mut good = true;
        for (key, node) in entries {
            if key.merge {
                good = node.merged().fold(good, |good, map| self.join(map, cx) && good);
                continue;
            }
            if self.contains_key(&*key.text) {
                already_set(key, cx);
                good = false;
                continue;
            }
            let mut value = T::zero();
            good &= cx.within(&key.text, |cx| cx.read(node, &mut value)) || T::STANDS_ALONE;
            self.insert(key.text.to_string(), value);
        }
        good
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

/// An integer by YAML 1.1's and Go's rules: `1e3` is one, `1.9` is 1, `"1"` is not. Go compares
/// numbers with a fraction or an exponent after rounding: 2^64 is taken for the largest one.
fn integer(node: &Node, range: RangeInclusive<i128>, cx: &mut Cx<'_>) -> Option<i128> {
    let go_type = if *range.start() < 0 { "int" } else { "uint" };
    let value = match node.data() {
        Data::Scalar(scalar) => match scalar.resolve() {
            Resolved::Int(value) => Some(value),
            #[expect(clippy::cast_possible_truncation, reason = "Go truncates; the range follows")]
            Resolved::Float(value) if value.is_finite() => {
                let largest = *range.end();
                Some((value as i128).min(if value <= largest as f64 { largest } else { i128::MAX }))
            }
            _ => None,
        },
        _ => None,
    };
    match value.filter(|value| range.contains(value)) {
        Some(value) => Some(value),
        None if value.is_some() => {
            let (from, to) = range.into_inner();
            cx.error(
                node.at,
                format!("cannot unmarshal {} into {go_type}: not {from} to {to}", node.tag()),
            );
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

/// Anything at all, for what is handed on unread.
#[derive(Clone, Debug, PartialEq)]
pub struct Any(Out);

impl Any {
    /// As it stands in JSON. What JSON has no number for is null.
    pub fn to_json(&self) -> serde_json::Value {
        self.0.to_json()
    }
}

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

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        Some(Self(any(node, cx)))
    }

    fn encode(&self) -> Out {
        self.0.clone()
    }

    fn is_empty(&self) -> bool {
        self.0 == Out::Null
    }
}

fn any(node: &Node, cx: &mut Cx<'_>) -> Out {
    match node.data() {
        Data::Scalar(scalar) => match scalar.resolve() {
            Resolved::Null => Out::Null,
            Resolved::Bool(value) => Out::Bool(value),
            Resolved::Int(value) => Out::Int(value),
            Resolved::Float(value) => Out::Float(value),
            Resolved::String => Out::String(scalar.text.clone()),
        },
        Data::Sequence(items) => Out::List(items.iter().map(|item| any(item, cx)).collect()),
        Data::Mapping(_) => {
            let (mut map, mut seen) = (Vec::new(), HashSet::new());
            any_entries(node, &mut map, &mut seen, cx);
            Out::Map(map)
        }
    }
}

fn any_entries<'n>(
    node: &'n Node,
    map: &mut Vec<(String, Out)>,
    seen: &mut HashSet<&'n str>,
    cx: &mut Cx<'_>,
) {
    let Data::Mapping(entries) = node.data() else { return };
    for (key, value) in entries {
        if key.merge {
            value.merged().for_each(|merged| any_entries(merged, map, seen, cx));
        } else if seen.insert(&key.text) {
            map.push((key.text.to_string(), any(value, cx)));
        } else {
            already_set(key, cx);
        }
    }
}

fn already_set(key: &Key, cx: &mut Cx<'_>) {
    let text = format!("key {:?} already set in map: keep one of them", key.text);
    cx.within(&key.text, |cx| cx.error(key.at, text));
}
