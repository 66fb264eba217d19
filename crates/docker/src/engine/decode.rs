//! From the bytes of a list's element to an object, leaving out the smallest part that is bad.

use std::borrow::Cow;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use swarmscout_refresh::Problem;
use swarmscout_refresh::problems::{Mark, Problems};

use super::labels::LabelMap;
use super::read::{Fault, Reader};
use super::repeats::Repeats;
use super::scan::{Element, ScanError};

/// An object that the Engine lists.
pub trait Object: Sized + PartialEq + Send + Sync {
    /// What [`Problem::kind`] calls it.
    const KIND: &'static str;

    /// Reads one. A fault of type means that the object cannot be used at all; smaller parts are
    /// left out with [`Decoder::part`].
    fn read(reader: &mut Reader<'_>, decoder: &mut Decoder) -> Result<Self, Fault>;

    /// Its ID.
    fn id(&self) -> &Arc<str>;
}

/// What stands at the beginning of an object and tells whether it is known already.
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
        // What cannot be read is missing: whoever reads the whole object tells why.
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

/// The first members of an object, without a copy: enough to look for it among those that are
/// known, which then are compared as a whole.
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

/// Decodes the elements of one list. Strings that occur again and again are held once, and so are
/// label maps: the 500 tasks of a service share one.
#[derive(Debug, Default)]
pub struct Decoder {
    symbols: HashSet<Arc<str>, RandomState>,
    label_maps: HashMap<Box<[u8]>, Arc<LabelMap>, RandomState>,
    /// What tasks take from their `Spec`.
    pub(super) specs: Repeats<Option<Arc<LabelMap>>>,
    /// What attachments take from their `Network`.
    pub(super) networks: Repeats<AttachedTo>,
    problems: Problems,
    kind: &'static str,
}

/// `Network` of an attachment, as far as its members are there.
#[derive(Clone, Debug, Default)]
pub(super) struct AttachedTo {
    pub(super) id: Option<Arc<str>>,
    pub(super) name: Option<Arc<str>>,
    pub(super) driver: Option<Arc<str>>,
    pub(super) ingress: Option<bool>,
}

impl Decoder {
    /// Decodes an element, or tells in the problems why it is left out. Fails where it is not JSON.
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

    /// Decodes the object that `rest` begins with, unless it goes on behind `rest` or anything is
    /// wrong with it. Returns how long it is as well. Nothing is told then: whoever finds and
    /// decodes it as an element will say what it is.
    pub(super) fn decode_ahead<T: Object>(&mut self, rest: &[u8]) -> Option<(T, usize)> {
        self.kind = T::KIND;
        let before = self.problems.mark();
        let mut reader = Reader::strict(rest);
        match T::read(&mut reader, self) {
            Ok(object) if self.problems.mark() == before => Some((object, reader.position())),
            _ => {
                self.problems.forget_since(before);
                None
            }
        }
    }

    /// Begins another answer: nothing of an earlier one is told.
    pub(super) fn begin(&mut self) {
        self.problems = Problems::default();
    }

    /// Ends an answer. What is shared lives on; where `sweep`, only what somebody still holds.
    pub(super) fn end(&mut self, sweep: bool) {
        self.specs.clear();
        self.networks.clear();
        if sweep {
            self.label_maps.retain(|_, labels| Arc::strong_count(labels) > 1);
            self.symbols.retain(|symbol| Arc::strong_count(symbol) > 1);
        }
    }

    /// Something that changes when a problem is told.
    pub(super) fn problems_so_far(&self) -> Mark {
        self.problems.mark()
    }

    /// Reads a value that is written in the same bytes again and again; `known` has those of its
    /// place.
    pub(super) fn repeated<V: Clone>(
        &mut self,
        reader: &mut Reader<'_>,
        known: fn(&mut Self) -> &mut Repeats<V>,
        read: impl FnOnce(&mut Reader<'_>, &mut Self) -> Result<V, Fault>,
    ) -> Result<V, Fault> {
        // Where the end of the object is known already, what reading it says of a value's end may
        // be another than what the scanner would say.
        if !reader.is_strict() {
            return read(reader, self);
        }
        if let Some((length, value)) = known(self).find(reader.rest()) {
            reader.advance(length);
            return Ok(value);
        }
        let (start, before) = (reader.clone(), self.problems.mark());
        let value = read(reader, self)?;
        if self.problems.mark() == before {
            known(self).add(reader.since(&start), &value);
        }
        Ok(value)
    }

    /// How many strings and label maps are held.
    #[cfg(test)]
    pub(super) fn shared(&self) -> (usize, usize) {
        (self.symbols.len(), self.label_maps.len())
    }

    /// What was left out since this was last asked.
    pub fn take_problems(&mut self) -> Vec<Problem> {
        self.problems.take()
    }

    /// The text as a shared string, the same one each time.
    pub fn symbol(&mut self, text: &str) -> Arc<str> {
        Arc::clone(self.symbols.get_or_insert_with(text, |text| Arc::from(text)))
    }

    /// Reads a string that occurs again and again.
    pub fn text(&mut self, reader: &mut Reader<'_>) -> Result<Arc<str>, Fault> {
        let text = reader.string()?;
        Ok(self.symbol(&text))
    }

    /// Reads a part that can be left out. `reason` is what the problem says then.
    pub fn part<T>(
        &mut self,
        reader: &mut Reader<'_>,
        reason: &'static str,
        read: impl FnOnce(&mut Reader<'_>, &mut Self) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        Ok(match reader.attempt(|reader| read(reader, self))? {
            Ok(part) => Some(part),
            Err((expected, written)) => {
                self.problem(reason, format!("expected {expected}, found {}", shown(written)));
                None
            }
        })
    }

    /// Reads a list of which every element can be left out.
    pub fn parts<T>(
        &mut self,
        reader: &mut Reader<'_>,
        reason: &'static str,
        read: fn(&mut Reader<'_>, &mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let mut parts = Vec::new();
        reader.array(|reader| {
            parts.extend(self.part(reader, reason, read)?);
            Ok(())
        })?;
        Ok(parts)
    }

    /// Reads a map of labels.
    pub fn labels(&mut self, reader: &mut Reader<'_>) -> Result<Arc<LabelMap>, Fault> {
        let mut after = reader.clone();
        let raw = after.skip()?;
        if let Some(known) = self.label_maps.get(raw) {
            let known = Arc::clone(known);
            *reader = after;
            return Ok(known);
        }
        let problems = self.problems.mark();
        let mut pairs = Vec::new();
        reader.map(|reader, key| {
            let read = |reader: &mut Reader<'_>, _: &mut Self| Ok(reader.string()?.into_owned());
            let value = self.part(reader, "label of wrong type", read)?;
            pairs.extend(value.map(|value| (key.into_owned(), value)));
            Ok(())
        })?;
        let labels = Arc::new(LabelMap::new(pairs));
        // What is left out is not looked at: `null_` is left out as one value and read as two.
        if self.problems.mark() == problems && reader.position() == after.position() {
            self.label_maps.insert(raw.into(), Arc::clone(&labels));
        }
        Ok(labels)
    }

    /// Tells of a part that was left out, of the object that is being read.
    pub fn problem(&mut self, reason: &'static str, detail: String) {
        self.problems.push(self.kind, "", reason, detail);
    }
}

/// The beginning of a text, for people.
fn shown(text: &[u8]) -> String {
    const MOST: usize = 60;
    let start = String::from_utf8_lossy(&text[..text.len().min(MOST)]);
    if text.len() > MOST { format!("{start}…") } else { start.into_owned() }
}

#[cfg(test)]
mod tests;
