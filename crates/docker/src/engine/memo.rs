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
//! - Objects are charged to the memory budget while they are decoded, those that take the place of
//!   others beside them. An answer that does not fit breaks off.
//! - An object with a skipped part is not cached: every refresh reports the part.
//! - After a complete answer exactly its objects are cached. After one that broke off, the cache is
//!   still right. However many answers break off, it holds no more than twice the last complete one,
//!   some thousand objects and one answer.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use swarmscout_model::budget::shared_allocation;
use swarmscout_model::{Budget, Charge};
use swarmscout_refresh::Problem;
use xxhash_rust::xxh3::xxh3_128;

use super::decode::{Decoder, Object, Start};
use super::objects::{Container, Network, Node, Service, SwarmConfig, SwarmSecret, Task};
use super::scan::{Element, ListScanner, MAX_ELEMENT, ScanError, Visitor};

/// The number of objects that are cached without having been in a complete answer.
const MOST_UNCONFIRMED: usize = if cfg!(test) { 100 } else { 10_000 };

/// What an object costs in the budget beside its own block: its ID, and its entries in the cache, in
/// the list, in snapshots, and in what finds targets in them.
const ENTRY: u64 = 300;

/// The cost of a part of an object, a port for instance, that has next to no text.
const PART: u64 = 80;

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
    /// For the objects of the last complete answer, and of those that broke off since.
    held: Charge,
    /// What the objects of the last complete answer cost that are not cached.
    passing: u64,
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
    /// What it costs in the budget.
    cost: u32,
}

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self::new(&Budget::unlimited())
    }
}

impl Memos {
    /// Empty ones, for lists that `budget` has to have room for.
    pub fn new(budget: &Budget) -> Self {
        Self {
            nodes: Memo::new(budget),
            services: Memo::new(budget),
            tasks: Memo::new(budget),
            networks: Memo::new(budget),
            configs: Memo::new(budget),
            secrets: Memo::new(budget),
            containers: Memo::new(budget),
        }
    }
}

impl<T> Memo<T> {
    /// An empty one, for lists that `budget` has to have room for.
    pub fn new(budget: &Budget) -> Self {
        Self {
            known: HashMap::default(),
            decoder: Decoder::default(),
            answer: 0,
            complete: 0,
            is_open: false,
            held: budget.nothing(),
            passing: 0,
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
        let found = Found { memo: self, objects, remembered: 0, decoded: false, passing: 0 };
        ListReader { scanner: ListScanner::new(max_element), found, carried: 0 }
    }

    /// Keeps what answers leave that broke off within bounds.
    fn forget_surplus(&mut self) {
        if self.known.len() > 2 * self.complete + MOST_UNCONFIRMED {
            self.known = HashMap::default();
        }
        self.decoder.end(true);
        self.settle(0);
    }

    /// Charges what is cached, and `passing` bytes of other objects, and nothing more.
    fn settle(&mut self, passing: u64) {
        let cached: u64 = self.known.values().map(|known| u64::from(known.cost)).sum();
        let held = self.held.bytes();
        self.held.shrink(held.saturating_sub(cached.saturating_add(passing)));
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
    /// Bytes of the scanner that are charged.
    carried: u64,
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
    /// What the objects cost that are not cached.
    passing: u64,
}

impl<T: Object> ListReader<'_, T> {
    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), ScanError> {
        let outcome = self.take(piece);
        if let Err(ScanError::Memory(_)) = outcome {
            // What it holds must not keep others from their memory until the next answer.
            self.found.memo.forget_surplus();
        }
        outcome
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), ScanError> {
        self.scanner.visit(piece, &mut self.found)?;
        let carried = self.scanner.held() as u64;
        if let Some(more) = carried.checked_sub(self.carried).filter(|more| *more > 0) {
            self.found.memo.held.grow(more)?;
            self.carried = carried;
        }
        Ok(())
    }

    /// How many objects have been found.
    pub fn found(&self) -> usize {
        self.found.objects.len()
    }

    /// What the answer holds, once it is complete.
    pub fn finish(self) -> Result<Listed<T>, ScanError> {
        self.scanner.finish()?;
        let Found { memo, mut objects, remembered, decoded, passing } = self.found;
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
        let passed = std::mem::replace(&mut memo.passing, passing);
        if forget || decoded || passed > 0 || self.carried > 0 {
            memo.settle(passing);
        }
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
        let cost = cost::<T>(element.text);
        self.memo.held.grow(cost)?;
        let before = self.memo.decoder.problems_so_far();
        let Some(object) = self.memo.decoder.decode(element)? else { return Ok(()) };
        if before == self.memo.decoder.problems_so_far() {
            self.remember(start.and_then(|start| start.version), element.text, object, cost);
        } else {
            self.decoded = true;
            self.passing += cost;
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
    fn remember(&mut self, version: Option<u64>, text: &[u8], object: T, cost: u64) {
        self.decoded = true;
        let answer = self.memo.answer;
        // An element has at most `MAX_ELEMENT` bytes.
        let cached_cost = u32::try_from(cost).unwrap_or(u32::MAX);
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
                known.cost = cached_cost;
                Arc::clone(&known.object)
            }
            None if object.id().is_empty() => {
                self.passing += cost;
                Arc::new(object)
            }
            None => {
                self.remembered += 1;
                let (id, object) = (Arc::clone(object.id()), Arc::new(object));
                let known = CachedObject {
                    object: Arc::clone(&object),
                    version,
                    length,
                    digest,
                    answer,
                    cost: cached_cost,
                };
                self.memo.known.insert(id, known);
                object
            }
        };
        self.objects.push(object);
    }
}

/// What the object of an element costs in the budget. Of what an Engine writes three quarters are names
/// of members, and what is not decoded. Parts and texts that are shorter than any of an Engine take
/// more than they have bytes.
fn cost<T>(text: &[u8]) -> u64 {
    let count = |of: fn(u8) -> bool| text.iter().filter(|byte| of(**byte)).count();
    let parts = count(|byte| matches!(byte, b'{' | b'[')).saturating_sub(text.len() / 64) as u64;
    let texts = count(|byte| byte == b',').saturating_sub(text.len() / 16) as u64;
    let dense = parts * PART + texts * size_of::<Arc<str>>() as u64;
    shared_allocation(size_of::<T>()) + ENTRY + text.len() as u64 / 4 + dense
}

fn digest(text: &[u8]) -> [u64; 2] {
    let digest = xxh3_128(text);
    // The lower half of either is what is meant.
    #[expect(clippy::cast_possible_truncation, reason = "each half is taken")]
    [digest as u64, (digest >> 64) as u64]
}

#[cfg(test)]
mod tests;
