//! Objects of one kind, in buckets of a size that makes a change cheap.
//!
//! A bucket holds at most [`MOST`] objects of one owner: the tasks of a service, or any objects of
//! a kind that has no owners. Which bucket an object is in depends on a hash of its ID: the buckets
//! of an owner are the leaves of a binary tree over the bits of that hash, and a node of the tree
//! is a leaf where it holds few enough. So the buckets are a function of the objects alone, whatever
//! came and went before, and an object that comes or goes changes one bucket, and at most splits
//! it or joins it with its other half.
//!
//! Clones share everything. What two of them do not share is found by comparing addresses of
//! buckets ([`Buckets::differences`]), and only the objects of those that differ are compared.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::iter::Peekable;
use std::sync::{Arc, OnceLock};

use xxhash_rust::xxh3::xxh3_64;

/// The most objects of a bucket.
pub const MOST: usize = 64;

/// An object that can be kept in [`Buckets`].
pub trait Object {
    /// The object's ID; no other of its kind has it.
    fn id(&self) -> &Arc<str>;

    /// `Version.Index`, 0 where the kind has none.
    fn version(&self) -> u64;

    /// The ID of its owner. It never changes.
    fn owner(&self) -> Arc<str> {
        Arc::default()
    }

    /// Passes on the IDs of the objects of other kinds that it refers to.
    fn refers(&self, _to: &mut dyn FnMut(&str)) {}
}

/// The hash by which objects are put into buckets, and by which a bucket knows what it refers to.
pub fn hash_of(id: &str) -> u64 {
    xxh3_64(id.as_bytes())
}

/// All objects of a kind. Cheap to clone.
#[derive(Debug)]
pub struct Buckets<T> {
    /// In the order of their owners and codes. None is empty.
    buckets: Arc<Vec<Arc<Bucket<T>>>>,
    count: usize,
}

impl<T> Clone for Buckets<T> {
    fn clone(&self) -> Self {
        Self { buckets: Arc::clone(&self.buckets), count: self.count }
    }
}

impl<T> Default for Buckets<T> {
    fn default() -> Self {
        Self { buckets: Arc::default(), count: 0 }
    }
}

/// Some of the objects of one owner.
#[derive(Debug)]
pub struct Bucket<T> {
    owner: Arc<str>,
    code: Code,
    /// In the order of hash and ID.
    entries: Vec<Entry<T>>,
    /// Hashes of the IDs that its objects refer to, sorted; made when it is first asked for.
    refers: OnceLock<Box<[u64]>>,
}

#[derive(Debug)]
struct Entry<T> {
    hash: u64,
    object: Arc<T>,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self { hash: self.hash, object: Arc::clone(&self.object) }
    }
}

impl<T> Clone for Bucket<T> {
    fn clone(&self) -> Self {
        let Self { owner, code, entries, refers } = self;
        Self {
            owner: Arc::clone(owner),
            code: *code,
            entries: entries.clone(),
            refers: refers.clone(),
        }
    }
}

/// The first bits that the hashes of a bucket's objects have in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Code {
    /// From the highest on, zero after `length`.
    bits: u64,
    length: u32,
}

impl Code {
    const ALL: Self = Self { bits: 0, length: 0 };

    /// The first bits of `hash`.
    fn of(hash: u64, length: u32) -> Self {
        Self { bits: hash & !u64::MAX.checked_shr(length).unwrap_or(0), length }
    }

    fn covers(self, hash: u64) -> bool {
        Self::of(hash, self.length).bits == self.bits
    }

    fn parent(self) -> Option<Self> {
        Some(Self::of(self.bits, self.length.checked_sub(1)?))
    }
}

/// `0110`, as long as it is.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.length).try_for_each(|at| write!(f, "{}", self.bits >> (63 - at) & 1))
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<T> Bucket<T> {
    /// Whose objects these are.
    pub fn owner(&self) -> &Arc<str> {
        &self.owner
    }

    /// Its objects, in an order that depends on their IDs alone.
    pub fn objects(&self) -> impl ExactSizeIterator<Item = &Arc<T>> {
        self.entries.iter().map(|entry| &entry.object)
    }

    /// How the places of two buckets are ordered among all of a kind.
    pub fn place_cmp(&self, other: &Self) -> Ordering {
        self.owner.cmp(&other.owner).then(self.code.cmp(&other.code))
    }

    /// A name that no other bucket of the kind has: `prefix`, the owner where there is one, and
    /// which part of the owner's objects these are where there are several.
    pub fn name(&self, prefix: &str) -> Arc<str> {
        let mut name = prefix.to_owned();
        if !self.owner.is_empty() {
            name.push('/');
            name.push_str(&self.owner);
        }
        if self.code.length > 0 {
            // Writing to a string does not fail.
            let _ = write!(name, "/{}", self.code);
        }
        name.into()
    }
}

impl<T: Object> Bucket<T> {
    /// Whether one of its objects may refer to one of these: hashes of IDs, sorted.
    pub fn refers_to_any(&self, hashes: &[u64]) -> bool {
        if hashes.is_empty() {
            return false;
        }
        let refers = self.refers.get_or_init(|| {
            let mut refers = Vec::new();
            for entry in &self.entries {
                entry.object.refers(&mut |id| refers.push(hash_of(id)));
            }
            refers.sort_unstable();
            refers.dedup();
            refers.into()
        });
        let (few, many) =
            if hashes.len() < refers.len() { (hashes, &**refers) } else { (&**refers, hashes) };
        few.iter().any(|hash| many.binary_search(hash).is_ok())
    }

    fn place(&self, hash: u64, id: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| {
            entry.hash.cmp(&hash).then_with(|| (**entry.object.id()).cmp(id))
        })
    }
}

impl<T> Buckets<T> {
    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether both are the same for sure. Compares one address.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.buckets, &other.buckets)
    }

    /// The buckets in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Bucket<T>>> {
        self.buckets.iter()
    }

    /// All objects.
    pub fn objects(&self) -> impl Iterator<Item = &Arc<T>> {
        self.buckets.iter().flat_map(|bucket| bucket.objects())
    }

    /// The objects of these owners.
    pub fn of_owners<'a>(
        &'a self,
        owners: &'a BTreeSet<Arc<str>>,
    ) -> impl Iterator<Item = &'a Arc<T>> {
        let of_owners = self.buckets.iter().filter(|bucket| owners.contains(&bucket.owner));
        of_owners.flat_map(|bucket| bucket.objects())
    }

    /// The objects of this owner.
    pub fn of_owner<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a Arc<T>> {
        let start = self.buckets.partition_point(|bucket| *bucket.owner < *owner);
        let of_owner = self.buckets[start..].iter().take_while(|bucket| *bucket.owner == *owner);
        of_owner.flat_map(|bucket| bucket.objects())
    }

    /// The index of the last bucket that does not stand after this place.
    fn before(&self, owner: &str, hash: u64) -> Option<usize> {
        let after = self.buckets.partition_point(|bucket| {
            (*bucket.owner).cmp(owner).then(bucket.code.bits.cmp(&hash)).is_le()
        });
        after.checked_sub(1)
    }

    /// The index of the bucket that an object belongs to, or where to make one, with its code.
    fn find(&self, owner: &str, hash: u64) -> Result<usize, (usize, Code)> {
        let before = self.before(owner, hash);
        if let Some(at) = before
            && *self.buckets[at].owner == *owner
            && self.buckets[at].code.covers(hash)
        {
            return Ok(at);
        }
        // Deeper than any node of the tree that has buckets below it.
        let next = before.map_or(0, |at| at + 1);
        let neighbours = before.into_iter().chain(Some(next));
        let of_owner = neighbours
            .filter_map(|at| self.buckets.get(at))
            .filter(|bucket| *bucket.owner == *owner);
        let length = of_owner
            .map(|bucket| {
                let common = (bucket.code.bits ^ hash).leading_zeros();
                common.min(bucket.code.length.saturating_sub(1)) + 1
            })
            .max();
        Err((next, length.map_or(Code::ALL, |length| Code::of(hash, length))))
    }
}

impl<T: Object> Buckets<T> {
    /// The object of this owner with this ID.
    pub fn get(&self, owner: &str, id: &str) -> Option<&Arc<T>> {
        let hash = hash_of(id);
        let bucket = &self.buckets[self.find(owner, hash).ok()?];
        Some(&bucket.entries[bucket.place(hash, id).ok()?].object)
    }

    /// Adds an object, or puts it in the place of the one with its ID.
    pub fn insert(&mut self, object: Arc<T>) {
        let (owner, hash) = (object.owner(), hash_of(object.id()));
        match self.find(&owner, hash) {
            Err((at, code)) => {
                let entries = vec![Entry { hash, object }];
                self.count += 1;
                self.edit().insert(at, Arc::new(Bucket::new(owner, code, entries)));
            }
            Ok(at) => {
                let place = self.buckets[at].place(hash, object.id());
                let buckets = self.edit();
                let bucket = Arc::make_mut(&mut buckets[at]);
                bucket.refers = OnceLock::new();
                match place {
                    Ok(place) => bucket.entries[place].object = object,
                    Err(place) => {
                        bucket.entries.insert(place, Entry { hash, object });
                        if bucket.entries.len() > MOST {
                            let mut leaves = Vec::new();
                            split(&bucket.owner, bucket.code, &bucket.entries, &mut leaves);
                            buckets.splice(at..=at, leaves);
                        }
                        self.count += 1;
                    }
                }
            }
        }
    }

    /// Removes the object of this owner with this ID; whether there was one.
    pub fn remove(&mut self, owner: &str, id: &str) -> bool {
        let hash = hash_of(id);
        let Ok(at) = self.find(owner, hash) else { return false };
        let Ok(place) = self.buckets[at].place(hash, id) else { return false };
        self.count -= 1;
        let buckets = self.edit();
        let bucket = Arc::make_mut(&mut buckets[at]);
        bucket.refers = OnceLock::new();
        bucket.entries.remove(place);
        let code = bucket.code;
        if bucket.entries.is_empty() {
            buckets.remove(at);
        }
        self.join(owner, code);
        true
    }

    /// Joins the halves of each node above this one that has become a leaf.
    fn join(&mut self, owner: &str, mut code: Code) {
        while let Some(parent) = code.parent() {
            let of_owner = |bucket: &Bucket<T>| *bucket.owner == *owner;
            let start = self.buckets.partition_point(|bucket| {
                (*bucket.owner).cmp(owner).then(bucket.code.bits.cmp(&parent.bits)).is_lt()
            });
            let below = self.buckets[start..].iter();
            let below =
                below.take_while(|bucket| of_owner(bucket) && parent.covers(bucket.code.bits));
            let (count, objects) =
                below.fold((0, 0), |(n, sum), bucket| (n + 1, sum + bucket.entries.len()));
            if objects > MOST {
                return;
            }
            if count > 0 {
                let buckets = self.edit();
                let entries = buckets[start..start + count].iter();
                let entries: Vec<_> = entries.flat_map(|b| b.entries.iter().cloned()).collect();
                let joined = Bucket::new(owner.into(), parent, entries);
                buckets.splice(start..start + count, [Arc::new(joined)]);
            }
            code = parent;
        }
    }

    fn edit(&mut self) -> &mut Vec<Arc<Bucket<T>>> {
        Arc::make_mut(&mut self.buckets)
    }

    /// The differences between the two: `(before, now)`, in order. Compares only objects of buckets
    /// that the two do not share.
    pub fn differences<'a>(&'a self, now: &'a Self) -> Vec<Difference<'a, T>> {
        if self.is_same(now) {
            return Vec::new();
        }
        let mut old = Vec::new();
        let mut new = Vec::new();
        let (mut a, mut b) = (self.buckets.iter().peekable(), now.buckets.iter().peekable());
        while let (Some(before), Some(after)) = (a.peek(), b.peek()) {
            if Arc::ptr_eq(before, after) {
                a.next();
                b.next();
                continue;
            }
            let order = before.place_cmp(after);
            if order.is_le() {
                old.extend(a.next());
            }
            if order.is_ge() {
                new.extend(b.next());
            }
        }
        old.extend(a);
        new.extend(b);
        let entries = |buckets: Vec<&'a Arc<Bucket<T>>>| {
            let of_bucket = |b: &'a Arc<Bucket<T>>| b.entries.iter().map(move |e| (&b.owner, e));
            buckets.into_iter().flat_map(of_bucket).peekable()
        };
        merge(entries(old), entries(new))
    }
}

/// An object that came, went or became another: before, and now.
pub type Difference<'a, T> = (Option<&'a Arc<T>>, Option<&'a Arc<T>>);

/// An entry and its owner.
type Owned<'a, T> = (&'a Arc<str>, &'a Entry<T>);

fn merge<'a, T: Object>(
    mut old: Peekable<impl Iterator<Item = Owned<'a, T>>>,
    mut new: Peekable<impl Iterator<Item = Owned<'a, T>>>,
) -> Vec<Difference<'a, T>> {
    let mut differences = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return differences,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a_owner, a)), Some((b_owner, b))) => a_owner
                .cmp(b_owner)
                .then(a.hash.cmp(&b.hash))
                .then_with(|| a.object.id().cmp(b.object.id())),
        };
        let before = if order.is_le() { old.next() } else { None };
        let after = if order.is_ge() { new.next() } else { None };
        let [before, after] = [before, after].map(|entry| entry.map(|(_, entry)| &entry.object));
        if !before.zip(after).is_some_and(|(a, b)| Arc::ptr_eq(a, b)) {
            differences.push((before, after));
        }
    }
}

impl<T> Bucket<T> {
    fn new(owner: Arc<str>, code: Code, entries: Vec<Entry<T>>) -> Self {
        Self { owner, code, entries, refers: OnceLock::new() }
    }
}

/// The leaves below a node, those with objects.
fn split<T>(owner: &Arc<str>, code: Code, entries: &[Entry<T>], leaves: &mut Vec<Arc<Bucket<T>>>) {
    if entries.is_empty() {
        return;
    }
    if entries.len() <= MOST || code.length == u64::BITS {
        leaves.push(Arc::new(Bucket::new(Arc::clone(owner), code, entries.to_vec())));
        return;
    }
    let length = code.length + 1;
    let one = 1 << (u64::BITS - length);
    let (zeros, ones) = entries.split_at(entries.partition_point(|entry| entry.hash & one == 0));
    split(owner, Code { bits: code.bits, length }, zeros, leaves);
    split(owner, Code { bits: code.bits | one, length }, ones, leaves);
}

#[cfg(test)]
mod tests;
