//! From the bytes of a list's element to an object, leaving out the smallest part that is bad.

use std::borrow::Cow;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use serde::Deserialize;
use swarmscout_refresh::Problem;
use swarmscout_refresh::problems::{Mark, Problems};

use super::de::{self, Raw};
use super::labels::LabelMap;
use super::read::{Fault, Reader};
use super::refusal;
use super::scan::{Element, ScanError};

/// An object that the Engine lists.
pub trait Object: Sized + PartialEq + Send + Sync {
    /// What [`Problem::kind`] calls it.
    const KIND: &'static str;

    /// Reads one. A fault of type means that the object cannot be used at all; smaller parts are
    /// left out.
    fn read(reader: &mut Reader<'_>, decoder: &mut Decoder) -> Result<Self, Fault>;

    /// Its ID.
    fn id(&self) -> &Arc<str>;
}

/// The first members of an object, by which the cache recognizes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// `ID` (swarm objects) or `Id` (networks, containers), empty where it cannot be read.
    pub id: String,
    /// `Version.Index`: changes with every change of a swarm object. Containers, and networks as
    /// the Engine lists them, have none.
    pub version: Option<u64>,
}

impl Head {
    /// Reads no further than it must. An Engine writes ID and version first.
    pub fn read(text: &[u8]) -> Self {
        let mut head = Self::default();
        // What cannot be read is missing: reading the whole object reports why.
        let _ = Reader::new(text).object(|reader, key| {
            match key {
                b"ID" | b"Id" => head.id = reader.string()?.into_owned(),
                b"Version" => reader.object(|reader, key| match key {
                    b"Index" => reader.unsigned().map(|index| head.version = Some(index)),
                    _ => reader.skip().map(drop),
                })?,
                _ => drop(reader.skip()?),
            }
            let known = !head.id.is_empty() && head.version.is_some();
            // Any fault ends the reading.
            if known { Err(Fault::Syntax { at: 0 }) } else { Ok(()) }
        });
        head
    }
}

/// The first members of an object, without a copy: enough to find a cached object, which is then
/// compared as a whole.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) id: Cow<'a, str>,
    /// `Version.Index`, where the version follows the ID.
    pub(super) version: Option<u64>,
}

impl<'a> Start<'a> {
    /// `None` where there is no ID among the first members of the object.
    pub(super) fn of(text: &'a [u8]) -> Option<Self> {
        const STOP: Result<(), Fault> = Err(Fault::Syntax { at: 0 });
        let (mut id, mut version, mut members) = (None, None, 0);
        let _ = Reader::new(text).object(|reader, key| {
            members += 1;
            match key {
                b"ID" | b"Id" if id.is_none() => id = Some(reader.string()?),
                b"Version" if id.is_some() => {
                    reader.object(|reader, key| match key {
                        b"Index" => reader.unsigned().map(|index| version = Some(index)),
                        _ => reader.skip().map(drop),
                    })?;
                    return STOP;
                }
                _ if id.is_some() || members > 3 => return STOP,
                _ => drop(reader.skip()?),
            }
            Ok(())
        });
        Some(Self { id: id?, version })
    }
}

/// Decodes the elements of one list. Repeated strings are held once, and so are label maps: the 500
/// tasks of a service share one.
#[derive(Debug, Default)]
pub struct Decoder {
    symbols: HashSet<Arc<str>, RandomState>,
    label_maps: HashMap<Box<[u8]>, Arc<LabelMap>, RandomState>,
    problems: Problems,
    kind: &'static str,
}

impl Decoder {
    /// Decodes an element, or adds a problem that says why it is skipped. Fails if it is not JSON.
    pub fn decode<T: Object>(&mut self, element: Element<'_>) -> Result<Option<T>, ScanError> {
        self.kind = T::KIND;
        if element.too_large {
            let id = Head::read(element.text).id;
            self.problems.push(self.kind, &id, "object too large", String::new());
            return Ok(None);
        }
        let before = self.problems.mark();
        let mut reader = Reader::new(element.text);
        let read = T::read(&mut reader, self).and_then(|object| reader.end().map(|()| object));
        let object = match read {
            Ok(object) => Some(object),
            Err(Fault::Type { at, expected }) => {
                self.problems.forget_since(before);
                self.problem("wrong type", format!("expected {expected} at byte {at}"));
                None
            }
            Err(Fault::Syntax { at }) => {
                let found = element.text.get(at).copied().unwrap_or(b'}');
                let at = element.offset + at as u64;
                return Err(ScanError::Unexpected { at, expected: "JSON", found });
            }
        };
        if self.problems.mark() != before {
            self.problems.name_since(before, &Head::read(element.text).id);
        }
        Ok(object)
    }

    /// Starts another answer: problems of an earlier one are not reported.
    pub(super) fn begin(&mut self) {
        self.problems = Problems::default();
    }

    /// Ends an answer. Shared strings and maps are kept; if `sweep`, only those still in use.
    pub(super) fn end(&mut self, sweep: bool) {
        if sweep {
            self.label_maps.retain(|_, labels| Arc::strong_count(labels) > 1);
            self.symbols.retain(|symbol| Arc::strong_count(symbol) > 1);
        }
    }

    /// Changes with each problem that is added.
    pub(super) fn problems_so_far(&self) -> Mark {
        self.problems.mark()
    }

    /// How many strings and label maps are held.
    #[cfg(test)]
    pub(super) fn shared(&self) -> (usize, usize) {
        (self.symbols.len(), self.label_maps.len())
    }

    /// The problems since the last call.
    pub fn take_problems(&mut self) -> Vec<Problem> {
        self.problems.take()
    }

    /// The text as a shared string, the same one each time.
    pub fn symbol(&mut self, text: &str) -> Arc<str> {
        Arc::clone(self.symbols.get_or_insert_with(text, |text| Arc::from(text)))
    }

    /// The beginning of a text that may be long.
    pub(super) fn shortened(&mut self, text: &str) -> Arc<str> {
        self.symbol(&refusal::shortened(text))
    }

    /// Reads a part that can be skipped. `reason` is that of the problem.
    pub(super) fn part<'a, W: Deserialize<'a>, T>(
        &mut self,
        reader: &mut Reader<'a>,
        reason: &'static str,
        convert: impl FnOnce(&W, &mut Self) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        Ok(match reader.attempt(|reader| convert(&de::read(reader)?, self))? {
            Ok(part) => Some(part),
            Err((expected, written)) => {
                self.problem(reason, format!("expected {expected}, found {}", shown(written)));
                None
            }
        })
    }

    /// Reads a list, skipping each element that cannot be read.
    pub(super) fn parts<'a, W: Deserialize<'a>, T>(
        &mut self,
        list: &Raw<'a>,
        reason: &'static str,
        convert: impl Fn(&W, &mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let mut parts = Vec::new();
        list.reader().array(|reader| {
            parts.extend(self.part(reader, reason, &convert)?);
            Ok(())
        })?;
        Ok(parts)
    }

    /// Reads a map of labels.
    pub(super) fn labels(&mut self, map: &Raw<'_>) -> Result<Arc<LabelMap>, Fault> {
        let text = map.text()?;
        if let Some(known) = self.label_maps.get(text) {
            return Ok(Arc::clone(known));
        }
        let problems = self.problems.mark();
        let mut pairs = Vec::new();
        map.reader().map(|reader, key| {
            let value = self.part(reader, "label of wrong type", |value: &de::Text<'_>, _| {
                Ok(value.to_string())
            })?;
            pairs.extend(value.map(|value| (key.into_owned(), value)));
            Ok(())
        })?;
        let labels = Arc::new(LabelMap::new(pairs));
        if self.problems.mark() == problems {
            self.label_maps.insert(text.into(), Arc::clone(&labels));
        }
        Ok(labels)
    }

    /// Adds a problem: a skipped part of the object that is being read.
    fn problem(&mut self, reason: &'static str, detail: String) {
        self.problems.push(self.kind, "", reason, detail);
    }
}

/// The beginning of a text, for display.
fn shown(text: &[u8]) -> String {
    const MOST: usize = 60;
    let start = String::from_utf8_lossy(&text[..text.len().min(MOST)]);
    if text.len() > MOST { format!("{start}…") } else { start.into_owned() }
}

#[cfg(test)]
mod tests;
