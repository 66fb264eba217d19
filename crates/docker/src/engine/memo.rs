//! A cache of the objects of a list, so that an unchanged object is not parsed again.
//!
//! Managers list in another order at every call, so an object is recognized by its ID, its version,
//! and the digest of its bytes in the last answer. A recognized object is not even scanned for
//! brackets. Any other is found by the scanner and decoded.
//!
//! Invariants:
//! - Objects, problems and errors are the same whatever is cached, and however the answer is cut
//!   into pieces.
//! - An object is the same [`Arc`] as before if its bytes did not change, or none of the decoded
//!   members did.
//! - An object with a skipped part is not cached: every refresh reports the part.
//! - After a complete answer exactly its objects are cached. After one that broke off, the cache is
//!   still right. However many answers break off, it holds no more than twice the last complete one,
//!   some thousand objects and one answer.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use swarmscout_refresh::Problem;
use xxhash_rust::xxh3::xxh3_128;

use super::decode::{Decoder, Object, Start};
use super::objects::{Container, Network, Node, Service, SwarmConfig, SwarmSecret, Task};
use super::scan::{Element, ListScanner, MAX_ELEMENT, ScanError, Visitor};

/// The number of objects that are cached without having been in a complete answer.
const MOST_UNCONFIRMED: usize = if cfg!(test) { 100 } else { 10_000 };

/// The objects of an answer, in its order, and what was left out.
pub type Listed<T> = (Vec<Arc<T>>, Vec<Problem>);

/// What is known of every list of one Swarm.
#[derive(Debug, Default)]
pub struct Memos {
    /// Of `/nodes`.
    pub nodes: Memo<Node>,
    /// Of `/services`.
    pub services: Memo<Service>,
    /// Of `/tasks`.
    pub tasks: Memo<Task>,
    /// Of `/networks`.
    pub networks: Memo<Network>,
    /// Of `/configs`.
    pub configs: Memo<SwarmConfig>,
    /// Of `/secrets`.
    pub secrets: Memo<SwarmSecret>,
    /// Of `/containers/json`.
    pub containers: Memo<Container>,
}

/// What is known of the objects of one list, and the strings that they share.
#[derive(Debug)]
pub struct Memo<T> {
    known: HashMap<Arc<str>, CachedObject<T>, RandomState>,
    decoder: Decoder,
    /// The number of the present answer.
    answer: u32,
    /// How many objects were remembered after the last complete answer.
    complete: usize,
    /// Whether the present answer has not come to its end.
    is_open: bool,
}

/// An object, and how to know it.
#[derive(Debug)]
struct CachedObject<T> {
    object: Arc<T>,
    /// `Version.Index`, if it has one.
    version: Option<u64>,
    /// Its bytes in the answer that it was last in.
    length: usize,
    /// Two halves of the digest of those bytes: as a whole it would have to be aligned.
    digest: [u64; 2],
    /// The answer that it was last in.
    answer: u32,
}

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self {
            known: HashMap::default(),
            decoder: Decoder::default(),
            answer: 0,
            complete: 0,
            is_open: false,
        }
    }
}

impl<T: Object> Memo<T> {
    /// Begins to read an answer.
    pub fn reader(&mut self) -> ListReader<'_, T> {
        self.reader_with(MAX_ELEMENT)
    }

    /// The same, with another limit for the size of an object. It has to be the same each time.
    fn reader_with(&mut self, max_element: usize) -> ListReader<'_, T> {
        if self.is_open {
            self.forget_surplus();
        }
        self.is_open = true;
        self.answer = self.answer.wrapping_add(1);
        self.decoder.begin();
        let objects = Vec::with_capacity(self.known.len());
        let found = Found { memo: self, objects, remembered: 0, decoded: false };
        ListReader { scanner: ListScanner::new(max_element), found }
    }

    /// Keeps what answers leave that broke off within bounds.
    fn forget_surplus(&mut self) {
        if self.known.len() > 2 * self.complete + MOST_UNCONFIRMED {
            self.known = HashMap::default();
        }
        self.decoder.end(true);
    }

    /// How many objects are remembered.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether no object is remembered.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

/// Reads one answer, piece by piece.
#[derive(Debug)]
pub struct ListReader<'a, T> {
    scanner: ListScanner,
    found: Found<'a, T>,
}

/// What was found of an answer so far.
#[derive(Debug)]
struct Found<'a, T> {
    memo: &'a mut Memo<T>,
    objects: Vec<Arc<T>>,
    /// How many different objects of it are remembered.
    remembered: usize,
    /// Whether something was decoded.
    decoded: bool,
}

impl<T: Object> ListReader<'_, T> {
    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), ScanError> {
        self.scanner.visit(piece, &mut self.found)
    }

    /// How many objects have been found.
    pub fn found(&self) -> usize {
        self.found.objects.len()
    }

    /// What the answer holds, once it is complete.
    pub fn finish(self) -> Result<Listed<T>, ScanError> {
        self.scanner.finish()?;
        let Found { memo, mut objects, remembered, decoded } = self.found;
        objects.shrink_to_fit();
        let forget = remembered < memo.known.len();
        if forget {
            memo.known.retain(|_, known| known.answer == memo.answer);
            if memo.known.capacity() / 4 > remembered {
                memo.known.shrink_to_fit();
            }
        }
        memo.decoder.end(forget || decoded);
        memo.complete = memo.known.len();
        memo.is_open = false;
        Ok((objects, memo.decoder.take_problems()))
    }
}

impl<T: Object> Visitor for Found<'_, T> {
    type Error = ScanError;

    fn known(&mut self, rest: &[u8]) -> Option<usize> {
        let start = Start::of(rest)?;
        self.recognise(&start, rest)
    }

    fn element(&mut self, element: Element<'_>) -> Result<(), ScanError> {
        let start = Start::of(element.text).filter(|_| !element.too_large);
        if let Some(start) = &start
            && let Some(length) = self.recognise(start, element.text)
        {
            debug_assert_eq!(length, element.text.len(), "an element does not end within itself");
            return Ok(());
        }
        let before = self.memo.decoder.problems_so_far();
        let Some(object) = self.memo.decoder.decode(element)? else { return Ok(()) };
        if before == self.memo.decoder.problems_so_far() {
            self.remember(start.and_then(|start| start.version), element.text, object);
        } else {
            self.decoded = true;
            self.objects.push(Arc::new(object));
        }
        Ok(())
    }
}

impl<T: Object> Found<'_, T> {
    /// Takes the object that `text` begins with if it is one that is known, and returns its length.
    fn recognise(&mut self, start: &Start<'_>, text: &[u8]) -> Option<usize> {
        let known = self.memo.known.get_mut(&*start.id)?;
        if known.version != start.version {
            return None;
        }
        let text = text.get(..known.length)?;
        if digest(text) != known.digest {
            return None;
        }
        if known.answer != self.memo.answer {
            known.answer = self.memo.answer;
            self.remembered += 1;
        }
        self.objects.push(Arc::clone(&known.object));
        Some(text.len())
    }

    /// Takes an object that was decoded from `text` without anything being left out.
    fn remember(&mut self, version: Option<u64>, text: &[u8], object: T) {
        self.decoded = true;
        let answer = self.memo.answer;
        let (length, digest) = (text.len(), digest(text));
        let object = match self.memo.known.get_mut(&**object.id()) {
            Some(known) => {
                self.remembered += usize::from(known.answer != answer);
                if *known.object != object {
                    known.object = Arc::new(object);
                }
                known.version = version;
                known.length = length;
                known.digest = digest;
                known.answer = answer;
                Arc::clone(&known.object)
            }
            None if object.id().is_empty() => Arc::new(object),
            None => {
                self.remembered += 1;
                let (id, object) = (Arc::clone(object.id()), Arc::new(object));
                let known =
                    CachedObject { object: Arc::clone(&object), version, length, digest, answer };
                self.memo.known.insert(id, known);
                object
            }
        };
        self.objects.push(object);
    }
}

fn digest(text: &[u8]) -> [u64; 2] {
    let digest = xxh3_128(text);
    // The lower half of either is what is meant.
    #[expect(clippy::cast_possible_truncation, reason = "each half is taken")]
    [digest as u64, (digest >> 64) as u64]
}

#[cfg(test)]
mod tests;
