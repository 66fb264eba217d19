//! A list of targets, made of parts that are kept.
//!
//! A part is what one target group contributes. It is rendered once and kept as long as the group
//! is the same `Arc`, so a change costs one part however large the job. A part holds its text in
//! one encoding. It does not keep the group or its labels alive.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;
use flate2::Crc;
use hashbrown::HashTable;
use http::HeaderValue;
use swarmscout_gzip_parts::{Blocks, Deflater, Join};
use swarmscout_model::budget::{allocation, shared_allocation};
use swarmscout_model::labels::ADDRESS;
use swarmscout_model::target::{DefaultLabels, MetaLabels, raw, served};
use swarmscout_model::yaml::write as yaml;
use swarmscout_model::{
    Budget, Charge, LabelsBuilder, OverBudget, RelabelledGroup, SetGroup, TargetGroup, TargetList,
    TargetSet,
};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::{EMPTY, Encoding, Form, Selection};
use crate::json;

/// An entry among the parts that can be used again.
const ENTRY: usize = 32;

/// What [`Bytes`] that are used twice allocate.
const SHARED: u64 = allocation(3 * size_of::<usize>());

/// The step in which memory for rendering is charged.
const STEP: u64 = 64 << 10;

/// A complete answer: immutable, shared by all who read it.
#[derive(Debug)]
pub struct Rendered {
    /// `set` is at least as new as what was the newest at this moment.
    pub(super) at: Instant,
    /// Equal for equal content; of another encoding it is another.
    pub etag: HeaderValue,
    /// All of it, in order.
    pub pieces: Vec<Bytes>,
    /// Bytes of all pieces.
    pub size: u64,
    set: Weak<TargetSet>,
    parts: Vec<Arc<Part>>,
}

/// What one group contributes.
#[derive(Debug)]
struct Part {
    key: PartKey,
    /// Which active targets of the group are left out because an equal one stands elsewhere.
    duplicates: Box<[u32]>,
    /// A separator and then the elements of the list, encoded. Empty where there are none.
    bytes: Bytes,
    /// Of the elements, without the separator.
    crc: Crc,
    /// Of the elements, before compression.
    digest: u128,
    _held: Charge,
}

/// What a part was made from. The weak reference keeps the address from being used again, and
/// nothing else alive.
#[derive(Debug)]
enum PartKey {
    Relabelled(Weak<RelabelledGroup>),
    Discovered(Weak<TargetGroup>),
}

impl PartKey {
    fn new(group: &SetGroup, form: Form) -> Self {
        match form {
            Form::Raw => Self::Discovered(Arc::downgrade(&group.relabelled.group)),
            Form::Full | Form::WithoutMeta => Self::Relabelled(Arc::downgrade(&group.relabelled)),
        }
    }

    /// The block of a group that is gone: a weak reference keeps the block.
    const fn kept(&self) -> u64 {
        match self {
            Self::Relabelled(_) => shared_allocation(size_of::<RelabelledGroup>()),
            Self::Discovered(_) => shared_allocation(size_of::<TargetGroup>()),
        }
    }

    /// Identifies the group as long as a part made from it exists.
    fn address(&self) -> usize {
        match self {
            Self::Relabelled(group) => group.as_ptr() as usize,
            Self::Discovered(group) => group.as_ptr() as usize,
        }
    }
}

/// The parts of an earlier answer that still hold.
struct ReusableParts<'a>(HashMap<usize, &'a Arc<Part>, foldhash::fast::FixedState>);

impl<'a> ReusableParts<'a> {
    fn new(previous: Option<&'a Rendered>) -> Self {
        let parts = previous.map(|previous| &previous.parts[..]).unwrap_or_default();
        Self(parts.iter().map(|part| (part.key.address(), part)).collect())
    }

    fn find(&self, key: &PartKey, group: &SetGroup, form: Form) -> Option<&'a Arc<Part>> {
        let part = self.0.get(&key.address())?;
        (form == Form::Raw || *part.duplicates == *group.duplicates()).then_some(part)
    }
}

impl Rendered {
    /// Whether this was made from `set`.
    pub(super) fn is_of(&self, set: &Arc<TargetSet>) -> bool {
        std::ptr::eq(self.set.as_ptr(), Arc::as_ptr(set))
    }

    /// The set that this was made from, while anything keeps it.
    pub(super) fn set(&self) -> Option<Arc<TargetSet>> {
        self.set.upgrade()
    }

    /// Renders `set`, which is at least as new as what was the newest at `at`. Parts of `previous`
    /// are used again where their groups did not change. Ends where more than `budget` has left
    /// would be kept, or needed on the way.
    pub(super) fn new(
        set: &Arc<TargetSet>,
        at: Instant,
        selection: &Selection,
        previous: Option<&Self>,
        budget: &Budget,
    ) -> Result<Self, OverBudget> {
        let Selection { ref list, form, encoding } = *selection;
        let reusable = ReusableParts::new(previous);
        let mut renderer = Renderer::new(set, form, encoding, budget);
        let part = |group: &SetGroup| {
            let key = PartKey::new(group, form);
            Ok(match reusable.find(&key, group, form) {
                Some(part) => Arc::clone(part),
                None => Arc::new(renderer.part(key, group)?),
            })
        };
        let parts = listed(set, list).map(part).collect::<Result<_, _>>()?;
        Ok(Self::join(set, at, selection, parts))
    }

    /// How many targets [`Self::new`] would have to render: a measure of its work.
    pub(super) fn work(set: &TargetSet, selection: &Selection, previous: Option<&Self>) -> usize {
        let (reusable, form) = (ReusableParts::new(previous), selection.form);
        let is_new =
            |group: &&SetGroup| reusable.find(&PartKey::new(group, form), group, form).is_none();
        let targets = |group: &SetGroup| group.relabelled.group.targets.len();
        listed(set, &selection.list).filter(is_new).map(targets).sum()
    }

    fn join(
        set: &Arc<TargetSet>,
        at: Instant,
        selection: &Selection,
        parts: Vec<Arc<Part>>,
    ) -> Self {
        let encoding = selection.encoding;
        let gzip = encoding == Encoding::Gzip;
        let encode = |content: &[u8]| {
            let mut blocks = Blocks::default();
            if gzip {
                blocks.push_stored(content);
            } else {
                blocks.bytes.extend(content);
            }
            blocks
        };
        let separator = encode(encoding.separator());
        let mut pieces = Vec::with_capacity(parts.len() + 4);
        let mut join = Join::default();
        if gzip {
            pieces.push(Bytes::from_static(Join::header()));
        }
        let mut digests = Vec::with_capacity(parts.len() * size_of::<u128>());
        for part in parts.iter().filter(|part| !part.bytes.is_empty()) {
            if digests.is_empty() {
                let open = encode(encoding.open());
                join.push(&open.crc);
                pieces.push(Bytes::from(open.bytes));
                pieces.push(part.bytes.slice(separator.bytes.len()..));
            } else {
                join.push(&separator.crc);
                pieces.push(part.bytes.clone());
            }
            join.push(&part.crc);
            digests.extend(part.digest.to_le_bytes());
        }
        let close = encode(if digests.is_empty() { EMPTY } else { encoding.close() });
        join.push(&close.crc);
        pieces.push(Bytes::from(close.bytes));
        if gzip {
            pieces.push(Bytes::copy_from_slice(&join.trailer()));
        }
        let suffix = match encoding {
            Encoding::Json => "",
            Encoding::Gzip => "-gzip",
            Encoding::Yaml => "-yaml",
        };
        if selection.list != TargetList::Normal {
            digests.extend(selection.list.to_string().as_bytes());
        }
        let etag = format!("\"{:032x}{suffix}\"", xxh3_128(&digests));
        Self {
            at,
            etag: HeaderValue::try_from(etag).expect("hexadecimal digits are a header value"),
            size: pieces.iter().map(|piece| piece.len() as u64).sum(),
            pieces,
            set: Arc::downgrade(set),
            parts,
        }
    }
}

/// The groups of a list, in order.
fn listed<'a>(set: &'a TargetSet, list: &'a TargetList) -> impl Iterator<Item = &'a SetGroup> {
    set.groups.iter().filter(|group| list.holds(&group.relabelled.group))
}

/// Renders parts, keeping its memory from one to the next.
struct Renderer<'a> {
    set: &'a TargetSet,
    defaults: DefaultLabels,
    form: Form,
    encoding: Encoding,
    deflater: Option<Deflater>,
    builder: LabelsBuilder,
    /// The labels and addresses of the group, as text, one behind the other.
    arena: Vec<u8>,
    elements: Vec<Element>,
    addresses: Vec<Address>,
    by_labels: HashTable<u32>,
    text: Vec<u8>,
    /// For the parts that are made.
    held: Charge,
    /// For the memory that is kept from one to the next.
    lent: Charge,
}

/// Targets with equal labels.
struct Element {
    hash: u64,
    labels: Range<usize>,
    first: u32,
    last: u32,
}

/// A target of an element.
struct Address {
    text: Range<usize>,
    next: Option<u32>,
}

impl<'a> Renderer<'a> {
    fn new(set: &'a TargetSet, form: Form, encoding: Encoding, budget: &Budget) -> Self {
        Self {
            set,
            defaults: DefaultLabels::new(&set.pool.defaults),
            form,
            encoding,
            deflater: (encoding == Encoding::Gzip).then(Deflater::new),
            builder: LabelsBuilder::new(),
            arena: Vec::new(),
            elements: Vec::new(),
            addresses: Vec::new(),
            by_labels: HashTable::new(),
            text: Vec::new(),
            held: budget.nothing(),
            lent: budget.nothing(),
        }
    }

    fn part(&mut self, key: PartKey, group: &SetGroup) -> Result<Part, OverBudget> {
        self.arena.clear();
        self.elements.clear();
        self.addresses.clear();
        self.by_labels.clear();
        if self.form == Form::Raw {
            for index in 0..group.relabelled.group.targets.len() {
                self.add(&group.relabelled, index)?;
            }
        } else {
            for target in group.active() {
                self.add(&group.relabelled, target.index as usize)?;
            }
        }
        self.write();
        let separator = self.encoding.separator();
        let mut blocks = Blocks::default();
        match &mut self.deflater {
            _ if self.text.is_empty() => {}
            Some(deflater) => {
                blocks.push_stored(separator);
                blocks.crc = Crc::new();
                deflater.push(&mut blocks, &self.text);
            }
            None => {
                blocks.bytes.reserve_exact(separator.len() + self.text.len());
                blocks.bytes.extend(separator);
                blocks.bytes.extend(&self.text);
            }
        }
        let duplicates = Box::from(group.duplicates());
        // Its place among the parts, and those among the pieces of the list and of the next one; the
        // digest; and its entry among the parts that the next list finds again.
        let places = 2 * (size_of::<Arc<Part>>() + size_of::<Bytes>()) + size_of::<u128>() + ENTRY;
        let size = shared_allocation(size_of::<Part>())
            + SHARED
            + key.kept()
            + allocation(size_of_val(&*duplicates))
            + allocation(blocks.bytes.len())
            + places as u64;
        self.held.grow(size)?;
        Ok(Part {
            key,
            duplicates,
            bytes: Bytes::from(blocks.bytes.into_boxed_slice()),
            crc: blocks.crc,
            digest: xxh3_128(&self.text),
            _held: self.held.split(size),
        })
    }

    /// Charges the memory of what was added and of its text.
    fn fits(&mut self) -> Result<(), OverBudget> {
        let written = 2 * self.arena.len();
        let elements = self.elements.capacity() * size_of::<Element>();
        let addresses = self.addresses.capacity() * size_of::<Address>();
        let needed = (self.arena.capacity() + written + elements + addresses) as u64;
        match needed.checked_sub(self.lent.bytes()) {
            None | Some(0) => Ok(()),
            // Not for each target again.
            Some(more) => self.lent.grow(more.max(STEP)).or_else(|_| self.lent.grow(more)),
        }
    }

    /// Adds target `index` of the group to the element of its labels.
    fn add(&mut self, group: &RelabelledGroup, index: usize) -> Result<(), OverBudget> {
        let pool = &self.set.pool;
        let served = |meta, builder: &mut LabelsBuilder| {
            served(&group.group, index, &self.defaults, &pool.relabel, meta, builder)
                .expect("an active target passes the rules and has an address")
        };
        let address = match self.form {
            Form::Full => served(MetaLabels::Show, &mut self.builder),
            Form::WithoutMeta => served(MetaLabels::Hide, &mut self.builder),
            Form::Raw => {
                raw(&group.group, index, &self.defaults, &mut self.builder);
                let address = self.builder.get(ADDRESS).unwrap_or_default().to_owned();
                self.builder.remove(ADDRESS);
                address
            }
        };
        let start = self.arena.len();
        match self.encoding {
            Encoding::Json | Encoding::Gzip => json::string(&mut self.arena, &address),
            Encoding::Yaml => yaml::string(&mut self.arena, &address),
        }
        let labels = self.arena.len();
        match self.encoding {
            Encoding::Json | Encoding::Gzip => {
                json::object(&mut self.arena, self.builder.iter());
            }
            Encoding::Yaml => yaml::mapping(&mut self.arena, self.builder.iter()),
        }
        let object = &self.arena[labels..];
        let hash = xxh3_64(object);
        let target = narrow(self.addresses.len());
        self.addresses.push(Address { text: start..labels, next: None });
        let same =
            |element: &u32| self.arena[self.elements[*element as usize].labels.clone()] == *object;
        if let Some(element) = self.by_labels.find(hash, same) {
            let element = &mut self.elements[*element as usize];
            self.addresses[element.last as usize].next = Some(target);
            element.last = target;
            self.arena.truncate(labels);
        } else {
            let place = narrow(self.elements.len());
            self.by_labels.insert_unique(hash, place, |at| self.elements[*at as usize].hash);
            let labels = labels..self.arena.len();
            self.elements.push(Element { hash, labels, first: target, last: target });
        }
        self.fits()
    }

    /// Writes the elements.
    fn write(&mut self) {
        let (before, between, after, end): (&[u8], &[u8], &[u8], &[u8]) = match self.encoding {
            Encoding::Json | Encoding::Gzip => (b"{\"targets\":[", b",", b"],\"labels\":", b"}"),
            Encoding::Yaml => (b"- targets:\n  - ", b"\n  - ", b"\n  labels:", b"\n"),
        };
        self.text.clear();
        for (index, element) in self.elements.iter().enumerate() {
            if index > 0 {
                self.text.extend(self.encoding.separator());
            }
            self.text.extend(before);
            let mut next = Some(element.first);
            while let Some(target) = next {
                let address = &self.addresses[target as usize];
                if target != element.first {
                    self.text.extend(between);
                }
                self.text.extend(&self.arena[address.text.clone()]);
                next = address.next;
            }
            self.text.extend(after);
            self.text.extend(&self.arena[element.labels.clone()]);
            self.text.extend(end);
        }
    }
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).expect("fewer than 2^32 targets fit in memory")
}
