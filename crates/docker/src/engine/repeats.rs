//! Values that are written in the same bytes again and again within one answer: the specification
//! of a service in each of its tasks, a network in each attachment.
//!
//! Such a value is read once. Where one begins as another did, their bytes are compared, which is
//! a good deal faster than to look for brackets, and nothing of it is decoded.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// So many first bytes say which texts are tried. Specifications differ in their image, at the
/// latest.
const START: usize = 128;

/// The most texts that begin alike: where there are more, comparing would cost more than reading.
const MOST_ALIKE: usize = 8;

/// The most bytes that are held.
const MOST_HELD: usize = 8 << 20;

/// Texts, and what was read from each.
#[derive(Debug)]
pub(super) struct Repeats<V> {
    by_start: HashMap<[u8; START], Vec<Repeat<V>>, RandomState>,
    held: usize,
}

#[derive(Debug)]
struct Repeat<V> {
    text: Box<[u8]>,
    value: V,
}

impl<V> Default for Repeats<V> {
    fn default() -> Self {
        Self { by_start: HashMap::default(), held: 0 }
    }
}

impl<V: Clone> Repeats<V> {
    /// What `rest` begins with, if it is known: its length, and what was read from it.
    pub(super) fn find(&self, rest: &[u8]) -> Option<(usize, V)> {
        let alike = self.by_start.get(rest.first_chunk::<START>()?)?;
        let known = alike.iter().find(|known| rest.starts_with(&known.text))?;
        Some((known.text.len(), known.value.clone()))
    }

    /// Notes what was read from a text. It must say itself where it ends, as an object does.
    pub(super) fn add(&mut self, text: &[u8], value: &V) {
        let Some(start) = text.first_chunk::<START>() else { return };
        if self.held + text.len() > MOST_HELD {
            return;
        }
        let alike = self.by_start.entry(*start).or_default();
        if alike.len() < MOST_ALIKE {
            alike.push(Repeat { text: text.into(), value: value.clone() });
            self.held += text.len();
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.by_start = HashMap::default();
        self.held = 0;
    }
}
