//! A label set under construction.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use swarmscout_go_regexp::Slots;

use super::{Labels, Place, piece_at, push_piece};

/// A label set under construction, or one being relabelled. Reuse it for many targets: it keeps its
/// memory, and hints where names were found, since the next target mostly has the same names.
#[derive(Clone, Debug)]
pub struct LabelsBuilder {
    /// Names and values, those replaced or removed included.
    text: String,
    /// Sorted by name, without empty values.
    entries: Vec<Entry>,
    /// Where `build` writes the encoded set before it is shared.
    encoded: String,
    /// Where a name was last found, by a hash of the name's address: rules and defaults search for
    /// the same names again and again. A hint may be wrong, and is always checked.
    hints: [u16; 1 << HINT_BITS],
    copies: Copies,
    /// Where in `text` the names of defaults start, and where those start that were added later.
    since: (u32, u32),
    /// Buffers of relabeling, kept for reuse.
    pub(crate) scratch: Scratch,
}

const HINT_BITS: u32 = 9;

/// Buffers of a relabeling rule, reused by the next one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    /// The values of several source labels, joined.
    pub(crate) source: String,
    /// The name of the label to write.
    pub(crate) name: String,
    /// The value to write.
    pub(crate) value: String,
    /// Where the groups of a match start and end.
    pub(crate) slots: Slots,
}

/// Memory of [`LabelsBuilder::copy_all`].
#[derive(Clone, Debug, Default)]
struct Copies {
    /// The new names.
    names: String,
    /// When the old name came, where the new one is in `names`, and the value in the builder's
    /// text.
    places: Vec<(u32, Place, Place)>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    name: Place,
    value: Place,
    /// Added by `add_defaults` or `copy_default`, and not set since.
    default: bool,
}

impl Default for LabelsBuilder {
    fn default() -> Self {
        Self {
            text: String::new(),
            entries: Vec::new(),
            encoded: String::new(),
            hints: [0; 1 << HINT_BITS],
            copies: Copies::default(),
            since: (0, 0),
            scratch: Scratch::default(),
        }
    }
}

impl LabelsBuilder {
    /// A builder without labels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Removes all labels.
    pub fn clear(&mut self) {
        self.text.clear();
        self.entries.clear();
        self.since = (0, 0);
    }

    /// Starts over from `labels`.
    pub fn reset(&mut self, labels: &Labels) {
        self.clear();
        self.text.push_str(&labels.0);
        self.entries.extend(entries(labels, 0, false));
        self.since = narrow(self.text.len()..self.text.len());
    }

    /// Adds those of `labels` whose names are missing.
    pub fn add_absent(&mut self, labels: &Labels) {
        self.add(labels, false);
    }

    /// Adds those of `defaults` whose names are missing. Such a label counts as a default until it
    /// is set: see [`Self::retain_with_origin`].
    pub fn add_defaults(&mut self, defaults: &Labels) {
        self.add(defaults, true);
    }

    fn add(&mut self, labels: &Labels, default: bool) {
        // An empty name takes no space: this keeps one that was added before in front of `start`.
        self.text.push(' ');
        let start = self.text.len();
        self.text.push_str(&labels.0);
        for ((name, _), entry) in labels.iter().zip(entries(labels, start, default)) {
            if let Err(i) = self.find_and_remember(name, hint(name.as_ptr().addr())) {
                self.entries.insert(i, entry);
            }
        }
        let end = self.text.len();
        self.since = narrow(if default { start } else { end }..end);
    }

    /// The value of `name`, or `None` if there is no such label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).ok().map(|i| self.piece(self.entries[i].value))
    }

    /// The value of `name`, or an empty text if there is no such label. Updates the hint.
    pub(crate) fn value(&mut self, name: &str) -> &str {
        match self.find_and_remember(name, hint(name.as_ptr().addr())) {
            Ok(i) => self.piece(self.entries[i].value),
            Err(_) => "",
        }
    }

    /// Sets `name` to `value`; an empty value removes the label.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.find_and_remember(name, hint(name.as_ptr().addr())) {
            Ok(i) if value.is_empty() => {
                self.entries.remove(i);
            }
            Ok(i) => {
                let value = self.push(value);
                self.entries[i] = Entry { value, default: false, ..self.entries[i] };
            }
            Err(_) if value.is_empty() => {}
            Err(i) => {
                let entry =
                    Entry { name: self.push(name), value: self.push(value), default: false };
                self.entries.insert(i, entry);
            }
        }
    }

    /// Gives `name` the value of `from`, as a default.
    pub fn copy_default(&mut self, name: &str, from: &str) {
        if let (Err(i), Ok(from)) =
            (self.find_and_remember(name, hint(name.as_ptr().addr())), self.find(from))
        {
            let value = self.entries[from].value;
            let name = self.push(name);
            self.entries.insert(i, Entry { name, value, default: true });
        }
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &str) {
        if let Ok(i) = self.find(name) {
            self.entries.remove(i);
        }
    }

    /// Copies every label for which `rename(name, new name)` is true to the name that it appends to
    /// `new name`. `rename` sees the labels as they were before this call, and only those with
    /// `prefix`. If several labels get the same name, the last one wins. The order is: initial
    /// labels, then defaults, both by name in byte order, then the labels that were added since. A
    /// replaced label keeps its place. `key` identifies the caller, for the hints.
    pub(crate) fn copy_all(
        &mut self,
        key: usize,
        prefix: &str,
        mut rename: impl FnMut(&str, &mut String) -> bool,
    ) {
        let Copies { mut names, mut places } = std::mem::take(&mut self.copies);
        names.clear();
        places.clear();
        let range = self.with_prefix(prefix);
        for entry in &self.entries[range] {
            let from = names.len();
            if rename(self.piece(entry.name), &mut names) {
                let came = match entry.name.0 {
                    at if at < self.since.0 => 0,
                    at if at < self.since.1 => 1,
                    at => at,
                };
                places.push((came, narrow(from..names.len()), entry.value));
            }
        }
        places.sort_by_key(|(came, ..)| *came);
        for (i, (_, (from, to), value)) in places.iter().enumerate() {
            let name = &names[*from as usize..*to as usize];
            // The next copy of the same caller mostly has the same names.
            match self.find_and_remember(name, hint(key.wrapping_add(i))) {
                Ok(i) => {
                    let name = self.entries[i].name;
                    self.entries[i] = Entry { name, value: *value, default: false };
                }
                Err(i) => {
                    let name = self.push(name);
                    self.entries.insert(i, Entry { name, value: *value, default: false });
                }
            }
        }
        self.copies = Copies { names, places };
    }

    /// Removes the labels whose name begins with `prefix` and for whom `remove(name)` is true.
    pub(crate) fn remove_all(&mut self, prefix: &str, mut remove: impl FnMut(&str) -> bool) {
        let range = self.with_prefix(prefix);
        let text = &self.text;
        let gone = self.entries.extract_if(range, |entry| {
            let (from, to) = entry.name;
            remove(&text[from as usize..to as usize])
        });
        gone.for_each(drop);
    }

    /// Which labels have a name that begins with `prefix`: they stand together.
    fn with_prefix(&mut self, prefix: &str) -> Range<usize> {
        if prefix.is_empty() {
            return 0..self.entries.len();
        }
        let (Ok(from) | Err(from)) = self.find_and_remember(prefix, hint(prefix.as_ptr().addr()));
        let rest = &self.entries[from..];
        from..from + rest.partition_point(|entry| self.piece(entry.name).starts_with(prefix))
    }

    /// Keeps the labels for which `keep(name, value)` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        self.retain_with_origin(|name, value, _| keep(name, value));
    }

    /// Keeps the labels for which `keep(name, value, is_default)` is true. A label is a default if
    /// it was added by [`Self::add_defaults`] and not set since, not even to the same value.
    pub fn retain_with_origin(&mut self, mut keep: impl FnMut(&str, &str, bool) -> bool) {
        let text = &self.text;
        let piece = |(from, to): Place| &text[from as usize..to as usize];
        self.entries.retain(|e| keep(piece(e.name), piece(e.value), e.default));
    }

    /// All labels in the byte order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|entry| (self.piece(entry.name), self.piece(entry.value)))
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The labels as they stand now.
    pub fn build(&mut self) -> Labels {
        let mut encoded = std::mem::take(&mut self.encoded);
        encoded.clear();
        for (name, value) in self.iter() {
            push_piece(&mut encoded, name);
            push_piece(&mut encoded, value);
        }
        let labels = Labels(Arc::from(encoded.as_str()));
        self.encoded = encoded;
        labels
    }

    /// Where `name` is, or where it would have to be inserted.
    fn find(&self, name: &str) -> Result<usize, usize> {
        let guess = self.hints[hint(name.as_ptr().addr())];
        self.check(name, usize::from(guess)).unwrap_or_else(|| self.search(name))
    }

    /// Like `find`, with the hint kept at `hint`, which is brought up to date.
    fn find_and_remember(&mut self, name: &str, hint: usize) -> Result<usize, usize> {
        if let Some(found) = self.check(name, usize::from(self.hints[hint])) {
            return found;
        }
        let found = self.search(name);
        let (Ok(place) | Err(place)) = found;
        self.hints[hint] = u16::try_from(place).unwrap_or_default();
        found
    }

    /// `find` for a name that is, or would be, at `guess`; `None` if it would not.
    fn check(&self, name: &str, guess: usize) -> Option<Result<usize, usize>> {
        let is = |i: usize| self.compare(self.entries[i], name);
        if guess > self.entries.len() {
            return None;
        }
        if guess < self.entries.len() {
            match is(guess) {
                Ordering::Less => return None,
                Ordering::Equal => return Some(Ok(guess)),
                Ordering::Greater => {}
            }
        }
        (guess == 0 || is(guess - 1) == Ordering::Less).then_some(Err(guess))
    }

    fn search(&self, name: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| self.compare(*entry, name))
    }

    fn compare(&self, entry: Entry, name: &str) -> Ordering {
        let (from, to) = entry.name;
        self.text.as_bytes()[from as usize..to as usize].cmp(name.as_bytes())
    }

    fn piece(&self, (from, to): Place) -> &str {
        &self.text[from as usize..to as usize]
    }

    fn push(&mut self, piece: &str) -> Place {
        let from = self.text.len();
        self.text.push_str(piece);
        narrow(from..self.text.len())
    }
}

/// Where the hint for a name at `address` is kept.
fn hint(address: usize) -> usize {
    let spread = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(spread >> (64 - HINT_BITS)).unwrap_or_default()
}

/// The entries of a set whose encoded form stands at `start`.
fn entries(labels: &Labels, start: usize, default: bool) -> impl Iterator<Item = Entry> {
    let text = labels.0.as_bytes();
    let (start, end) = narrow(start..start + text.len());
    let mut at = 0;
    std::iter::from_fn(move || {
        (at < end - start).then(|| {
            let name = piece_at(text, at);
            let value = piece_at(text, name.1);
            at = value.1;
            let place = |(from, to): Place| (from + start, to + start);
            Entry { name: place(name), value: place(value), default }
        })
    })
}

fn narrow(range: Range<usize>) -> Place {
    let narrow = |n| u32::try_from(n).expect("all that is read has a size limit far below 4 GiB");
    (narrow(range.start), narrow(range.end))
}
