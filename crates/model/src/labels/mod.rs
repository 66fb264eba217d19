//! Label sets.
//!
//! A [`Labels`] is one immutable, shared string: for every label the length of its name, the name,
//! the length of its value, the value. Labels stand in the byte order of their names, no name
//! stands twice, and no value is empty (to Prometheus an empty label does not exist). That makes a
//! set one allocation, its clone a reference count, and equality and hashing those of a string.
//!
//! Lengths are written in base 64, least significant digit first, one ASCII character a digit, with
//! `0x40` added to every digit but the last. All of them are therefore valid UTF-8 and the whole
//! set can be a `str`, which keeps this module free of `unsafe`.

mod builder;
mod writer;

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

pub use self::builder::LabelsBuilder;
pub(crate) use self::builder::Scratch;
pub use self::writer::LabelsWriter;
use crate::budget::shared_allocation;

/// The name of the label that holds a target's `host:port`.
pub const ADDRESS: &str = "__address__";
/// The name of the label that holds the job's name.
pub const JOB: &str = "job";
/// The name of the label that identifies a target within its job.
pub const INSTANCE: &str = "instance";
/// The prefix of labels that exist for relabeling only.
pub const META_PREFIX: &str = "__meta_";
/// The prefix of labels with URL parameters.
pub const PARAM_PREFIX: &str = "__param_";

/// An immutable, sorted set of labels with distinct names and no empty value.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<str>);

impl Labels {
    /// The set without labels.
    pub fn empty() -> Self {
        Self(Arc::from(""))
    }

    /// The value of `name`, or `None` if the set has no such label.
    pub fn get(&self, name: &str) -> Option<&str> {
        let text = self.0.as_bytes();
        let mut at = 0;
        while (at as usize) < text.len() {
            let (from, to) = piece_at(text, at);
            let (value, end) = piece_at(text, to);
            // The names are sorted, so the first one that is greater ends the search.
            match text[from as usize..to as usize].cmp(name.as_bytes()) {
                Ordering::Less => at = end,
                Ordering::Equal => return Some(&self.0[value as usize..end as usize]),
                Ordering::Greater => return None,
            }
        }
        None
    }

    /// All labels in the byte order of their names.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.0 }
    }

    /// How many labels there are. Walks the set.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no label at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes this set takes on the heap.
    pub fn heap_size(&self) -> usize {
        self.0.len()
    }

    /// The cost of its memory in a [`Budget`](crate::Budget).
    pub fn footprint(&self) -> u64 {
        shared_allocation(self.0.len())
    }

    /// The encoded form: equal for equal sets and different for different ones, so it can be
    /// hashed or digested as a whole. Not meant to be stored.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether two sets share their memory. Equal sets need not.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

/// Shows the set as Prometheus prints one: `{a="1", b="2"}`, values quoted and escaped.
impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

/// Collects labels in any order; of a name given twice the last wins, empty values are left out.
impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(labels: I) -> Self {
        let mut builder = LabelsBuilder::new();
        for (name, value) in labels {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Walks a set in the byte order of its names.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (name, rest) = split_piece(self.rest);
        let (value, rest) = split_piece(rest);
        self.rest = rest;
        Some((name, value))
    }
}

/// From and to, in bytes.
type Place = (u32, u32);

/// Cuts the first piece off.
fn split_piece(text: &str) -> (&str, &str) {
    let (from, to) = piece_at(text.as_bytes(), 0);
    let (piece, rest) = text.split_at(to as usize);
    (&piece[from as usize..], rest)
}

/// Where the piece is whose length stands at `at`.
fn piece_at(text: &[u8], mut at: u32) -> Place {
    let mut length = 0;
    let mut shift = 0;
    loop {
        let digit = text[at as usize];
        length |= u32::from(digit & 0x3f) << shift;
        at += 1;
        if digit & 0x40 == 0 {
            return (at, at + length);
        }
        shift += 6;
    }
}

fn push_piece(text: &mut String, piece: &str) {
    let mut length = piece.len();
    while length >= 0x40 {
        text.push(char::from(0x40 | (length.to_le_bytes()[0] & 0x3f)));
        length >>= 6;
    }
    text.push(char::from(length.to_le_bytes()[0]));
    text.push_str(piece);
}

#[cfg(test)]
mod tests;
