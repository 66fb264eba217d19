//! What is written back: a YAML document for people, in the form in which Prometheus shows its own
//! configuration.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

/// A value to be written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Out {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    String(String),
    /// A list, one line for each item.
    List(Vec<Self>),
    /// A list of short items on one line.
    Flow(Vec<Self>),
    /// Keys in the order in which they are written.
    Map(Vec<(String, Self)>),
}

impl Out {
    /// A list as one line.
    pub(super) fn on_one_line(self) -> Self {
        match self {
            Self::List(items) => Self::Flow(items),
            other => other,
        }
    }

    /// The same in JSON. What JSON has no number for is null.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => match (i64::try_from(*value), u64::try_from(*value)) {
                (Ok(value), _) => value.into(),
                (_, Ok(value)) => value.into(),
                _ => (*value as f64).into(),
            },
            Self::Float(value) => (*value).into(),
            Self::String(text) => text.as_str().into(),
            Self::List(items) | Self::Flow(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => {
                entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect()
            }
        }
    }

    /// The document, with a newline at its end.
    pub(super) fn to_yaml(&self) -> String {
        let options = serde_saphyr::ser_options! {
            compact_list_indent: true,
            prefer_block_scalars: true,
        };
        let mut text = serde_saphyr::to_string_with_options(self, options)
            .expect("a tree of plain values has no part that YAML cannot hold");
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text
    }
}

impl Serialize for Out {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i128(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::String(value) => serializer.serialize_str(value),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Flow(items) => serde_saphyr::FlowSeq(items).serialize(serializer),
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}
