//! What a source may become in memory, whatever it sends.
//!
//! An answer of a few kilobytes can ask for gigabytes: a long label that 20,000 targets share, five
//! million empty groups. A `Meter` counts while an answer is read and while groups are made of it,
//! and ends that before the memory is taken. Its error is that of one source, which keeps its last
//! good targets.
//!
//! A meter counts, for one source:
//!
//! - groups and targets together, at most [`MOST_TARGETS`];
//! - the bytes of each name and value of a label, at most [`LONGEST_LABEL`] or, for what an Engine
//!   says, [`LONGEST_ENGINE_LABEL`]; and the labels of each set, at most [`MOST_LABELS`];
//! - the memory of what is kept ([`TargetGroup::footprint`]), charged to the [`Budget`] in steps,
//!   and beside it, until all is made, the targets of each group times the bytes of the labels that
//!   they share: that is what relabeling and rendering may make of the group.

use std::cell::RefCell;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer};
use swarmscout_model::budget::allocation;
use swarmscout_model::{Budget, Charge, Labels, OverBudget, TargetGroup};
use swarmscout_net::Secrets;
use swarmscout_net::cpu::Cancel;

/// The most targets and groups, counted together, of one source.
pub const MOST_TARGETS: usize = 2_000_000;

/// The most bytes of the name or the value of a label.
pub const LONGEST_LABEL: usize = 64 << 10;

/// The same for labels that an Engine reports.
pub const LONGEST_ENGINE_LABEL: usize = 1 << 20;

/// The most labels of a group, or of a target.
pub const MOST_LABELS: usize = 10_000;

/// So much of a label's name is shown.
const SHOWN: usize = 64;

/// What a group takes while its list is read, its targets excluded: its entry, in a list that grows
/// to twice its size.
const LISTED: u64 = 2 * 48;

/// The blocks of an element of a [counted](Counted) list, and what is made of it: an entry with its
/// key and value, and the name of a node.
const COUNTED: u64 = 256;

/// The largest step in which a meter charges its budget ahead.
const STEP: u64 = 1 << 20;

/// Why a source is not read any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Excess {
    /// Too many of them.
    #[error("more than {MOST_TARGETS} targets and groups: divide them among several sources")]
    Targets,
    /// A value is too long.
    #[error("label {label:?} of {of} has {bytes} bytes, at most {limit} are allowed")]
    Value {
        /// Its name, shortened.
        label: String,
        /// Which group or object.
        of: String,
        /// Its length.
        bytes: usize,
        /// The most that it may have.
        limit: usize,
    },
    /// A name is too long.
    #[error("label name {label:?}… of {of} has {bytes} bytes, at most {limit} are allowed")]
    Name {
        /// Its beginning.
        label: String,
        /// Which group or object.
        of: String,
        /// Its length.
        bytes: usize,
        /// The most that it may have.
        limit: usize,
    },
    /// A set has too many labels.
    #[error("{of} has more than {MOST_LABELS} labels")]
    Labels {
        /// Which group or object.
        of: String,
    },
    /// It does not fit beside what is there already.
    #[error(transparent)]
    Memory(#[from] OverBudget),
    /// The refresh that it belongs to has ended.
    #[error("stopped: the refresh has ended")]
    Stopped,
}

impl Excess {
    /// Whether the labels of one object are the reason: without it, the others can be read.
    pub(crate) fn is_of_one(&self) -> bool {
        matches!(self, Self::Value { .. } | Self::Name { .. } | Self::Labels { .. })
    }

    /// The same with nothing in it that must not show: labels and names are foreign text.
    pub(crate) fn without(mut self, secrets: &Secrets) -> Self {
        match &mut self {
            Self::Value { label, of, .. } | Self::Name { label, of, .. } => {
                secrets.clean_in_place(label);
                secrets.clean_in_place(of);
            }
            Self::Labels { of } => secrets.clean_in_place(of),
            Self::Targets | Self::Memory(_) | Self::Stopped => {}
        }
        self
    }
}

/// Counts what a source becomes.
#[derive(Debug)]
pub(crate) struct Meter {
    /// What is kept, what may still be made of it, and `ahead`.
    charge: Charge,
    /// Charged, and not used yet.
    ahead: u64,
    /// What is kept.
    kept: u64,
    units: usize,
    longest: usize,
    cancel: Cancel,
    /// The index of the group that is being read, for errors.
    pub(crate) group: usize,
}

impl Meter {
    /// Nothing is counted yet; labels have at most `longest` bytes.
    pub(crate) fn new(budget: &Budget, longest: usize) -> Self {
        let charge = budget.nothing();
        Self { charge, ahead: 0, kept: 0, units: 0, longest, cancel: Cancel::default(), group: 0 }
    }

    /// One that refuses no amount of memory, for what has no budget.
    pub(crate) fn unlimited(longest: usize) -> Self {
        Self::new(&Budget::unlimited(), longest)
    }

    /// The same, for work that `cancel` ends.
    pub(crate) fn until(self, cancel: Cancel) -> Self {
        Self { cancel, ..self }
    }

    /// The same, for a part of a source whose other parts have this many targets and groups.
    pub(crate) fn beside(self, units: usize) -> Self {
        Self { units, ..self }
    }

    /// Targets and groups so far.
    pub(crate) fn units(&self) -> usize {
        self.units
    }

    /// This many of the targets and groups are gone.
    pub(crate) fn forget(&mut self, units: usize) {
        self.units -= units;
    }

    /// The charge for all that was kept; what was reserved beside it is given back.
    pub(crate) fn finish(mut self) -> Charge {
        self.charge.split(self.kept)
    }

    /// The charge for what was kept since the last of these.
    pub(crate) fn part(&mut self) -> Charge {
        self.charge.split(std::mem::take(&mut self.kept))
    }

    /// One more target or group, or something that may become one.
    pub(crate) fn unit(&mut self) -> Result<(), Excess> {
        if self.cancel.is_cancelled() {
            return Err(Excess::Stopped);
        }
        if self.units >= MOST_TARGETS {
            return Err(Excess::Targets);
        }
        self.units += 1;
        Ok(())
    }

    /// Keeps this many bytes.
    pub(crate) fn keep(&mut self, bytes: u64) -> Result<(), Excess> {
        self.reserve(bytes)?;
        self.kept += bytes;
        Ok(())
    }

    /// One more target, with these labels of its own.
    pub(crate) fn target(
        &mut self,
        labels: &Labels,
        of: impl Fn() -> String,
    ) -> Result<(), Excess> {
        self.unit()?;
        self.check(labels, of)?;
        self.keep(labels.footprint())
    }

    /// One more group, as a list has it: it is counted with all that it becomes before the next
    /// one is read. Its targets were counted, and it gets its [name](Self::named) later.
    pub(crate) fn listed(&mut self, targets: usize) -> Result<(), Excess> {
        self.unit()?;
        self.reserve(LISTED + allocation(targets * size_of::<Labels>()))
    }

    /// A group whose targets were counted. It is named by `source` bytes.
    pub(crate) fn group(
        &mut self,
        source: usize,
        targets: usize,
        shared: &Labels,
        of: impl Fn() -> String,
    ) -> Result<(), Excess> {
        self.unit()?;
        self.named(source, targets, shared, of)
    }

    /// The same for one that was [counted](Self::listed).
    pub(crate) fn named(
        &mut self,
        source: usize,
        targets: usize,
        shared: &Labels,
        of: impl Fn() -> String,
    ) -> Result<(), Excess> {
        self.check(shared, of)?;
        self.keep(TargetGroup::frame(source, targets) + shared.footprint())?;
        self.reserve((targets as u64).saturating_mul(shared.heap_size() as u64))
    }

    /// All of a group that is there already, its targets included.
    pub(crate) fn whole(&mut self, group: &TargetGroup) -> Result<(), Excess> {
        let of = || format!("group {}", group.source);
        for target in &group.targets {
            self.target(target, of)?;
        }
        self.group(group.source.len(), group.targets.len(), &group.labels, of)
    }

    /// Checks a name that is read, and its value.
    pub(crate) fn label(
        &self,
        name: &str,
        value: &str,
        of: impl Fn() -> String,
    ) -> Result<(), Excess> {
        let limit = self.longest;
        let label = || name[..name.floor_char_boundary(SHOWN)].to_owned();
        if name.len() > limit {
            return Err(Excess::Name { label: label(), of: of(), bytes: name.len(), limit });
        }
        if value.len() > limit {
            return Err(Excess::Value { label: label(), of: of(), bytes: value.len(), limit });
        }
        Ok(())
    }

    /// Checks the labels of a set.
    pub(crate) fn check(&self, labels: &Labels, of: impl Fn() -> String) -> Result<(), Excess> {
        // A label takes four bytes at least, so a short set can have neither too many nor too long
        // ones.
        if labels.heap_size() <= 4 * MOST_LABELS {
            return Ok(());
        }
        check_count(labels.len(), &of)?;
        labels.iter().try_for_each(|(name, value)| self.label(name, value, &of))
    }

    /// Makes sure that this many bytes fit beside what is kept, until [`Self::finish`].
    pub(crate) fn reserve(&mut self, bytes: u64) -> Result<(), Excess> {
        if self.cancel.is_cancelled() {
            return Err(Excess::Stopped);
        }
        if bytes > self.ahead {
            let missing = bytes - self.ahead;
            // So that small sources ask for little, and large ones rarely.
            let step = missing.max(self.charge.bytes().min(STEP));
            if self.charge.grow(step).is_ok() {
                self.ahead += step;
            } else {
                self.charge.grow(missing)?;
                self.ahead += missing;
            }
        }
        self.ahead -= bytes;
        Ok(())
    }

    /// What was reserved for copies that are gone may be used again.
    pub(crate) fn release(&mut self, bytes: u64) {
        self.ahead += bytes;
    }
}

/// Checks that there are not too many labels.
pub(crate) fn check_count(labels: usize, of: impl Fn() -> String) -> Result<(), Excess> {
    if labels > MOST_LABELS { Err(Excess::Labels { of: of() }) } else { Ok(()) }
}

thread_local! {
    /// What the deserializers of this thread count in. Readers of YAML streams take a type and
    /// nothing else, so the meter cannot travel with it as a seed.
    static METER: RefCell<Option<(Meter, Option<Excess>)>> = const { RefCell::new(None) };
}

/// Why foreign text could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is not what was expected.
    Syntax(String),
    /// It is too much.
    Excess(Excess),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(reason) => f.write_str(reason),
            Self::Excess(excess) => excess.fmt(f),
        }
    }
}

impl From<Excess> for Unreadable {
    fn from(excess: Excess) -> Self {
        Self::Excess(excess)
    }
}

impl From<String> for Unreadable {
    fn from(reason: String) -> Self {
        Self::Syntax(reason)
    }
}

/// Runs a deserializer whose types count in `meter`.
pub(crate) fn metered<T>(
    meter: &mut Meter,
    read: impl FnOnce() -> Result<T, String>,
) -> Result<T, Unreadable> {
    let nothing = Meter::new(&Budget::unlimited(), meter.longest);
    let lent = std::mem::replace(meter, nothing);
    METER.set(Some((lent, None)));
    let read = read();
    let (returned, excess) = METER.take().expect("it was put there above");
    *meter = returned;
    match excess {
        Some(excess) => Err(Unreadable::Excess(excess)),
        None => read.map_err(Unreadable::Syntax),
    }
}

/// Counts something that this thread deserializes.
pub(crate) fn count<E: de::Error>(
    count: impl FnOnce(&mut Meter) -> Result<(), Excess>,
) -> Result<(), E> {
    METER.with_borrow_mut(|meter| {
        let Some((meter, excess)) = meter else { return Ok(()) };
        count(meter).map_err(|found| {
            let error = E::custom(&found);
            excess.get_or_insert(found);
            error
        })
    })
}

/// An element of a list that may be too long.
#[derive(Debug)]
pub(crate) struct Counted<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Counted<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        count(|meter| {
            meter.unit()?;
            meter.reserve(size_of::<T>() as u64 + COUNTED)
        })?;
        T::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use swarmscout_model::size::Bytes;

    use super::*;

    fn of() -> String {
        "group 3".to_owned()
    }

    fn labels(value: usize) -> Labels {
        [("x", "v".repeat(value))].into_iter().collect()
    }

    #[test]
    fn refuses_long_labels() {
        let mut meter = Meter::unlimited(LONGEST_LABEL);
        assert_eq!(meter.target(&labels(LONGEST_LABEL), of), Ok(()));
        let error = meter.target(&labels(1_000_000), of).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"label "x" of group 3 has 1000000 bytes, at most 65536 are allowed"#
        );
        let long: Labels = [("n".repeat(LONGEST_LABEL + 1), "1")].into_iter().collect();
        let error = meter.group(0, 1, &long, of).unwrap_err().to_string();
        let name = "n".repeat(SHOWN);
        assert_eq!(
            error,
            format!(
                r#"label name "{name}"… of group 3 has 65537 bytes, at most 65536 are allowed"#
            )
        );
        assert_eq!(Meter::unlimited(1 << 20).target(&labels(1_000_000), of), Ok(()));
    }

    #[test]
    fn refuses_many_labels() {
        let meter = Meter::unlimited(LONGEST_LABEL);
        let set = |count: usize| (0..count).map(|i| (format!("l{i}"), "1")).collect::<Labels>();
        assert_eq!(meter.check(&set(MOST_LABELS), of), Ok(()));
        let error = meter.check(&set(MOST_LABELS + 1), of).unwrap_err();
        assert_eq!(error.to_string(), "group 3 has more than 10000 labels");
    }

    #[test]
    fn refuses_many_targets() {
        let mut meter = Meter::unlimited(LONGEST_LABEL).beside(MOST_TARGETS - 1);
        assert_eq!(meter.unit(), Ok(()));
        assert_eq!(meter.unit(), Err(Excess::Targets));
    }

    /// 20,000 targets that share 50,000 bytes are 1 GB when each has its own.
    #[test]
    fn refuses_what_the_shared_labels_of_a_group_would_become() {
        let budget = Budget::new(Bytes(512 << 20));
        let mut meter = Meter::new(&budget, LONGEST_LABEL);
        let error = meter.group(9, 20_000, &labels(50_000), of).unwrap_err();
        assert_eq!(
            error.to_string(),
            "needs about 0.9 GiB of memory, which with the 0.0 KiB in use exceeds \
             --limits.memory=512MiB: raise --limits.memory, or have fewer targets or shorter labels"
        );
        assert_eq!(meter.group(9, 2000, &labels(50_000), of), Ok(()));
        assert!(budget.used() > 100_000_000);
        let charge = meter.finish();
        let kept = TargetGroup::frame(9, 20_000) + labels(50_000).footprint();
        let both = kept + TargetGroup::frame(9, 2000) + labels(50_000).footprint();
        assert_eq!((charge.bytes(), budget.used()), (both, both));
    }

    #[test]
    fn charges_what_is_kept_in_parts() {
        let budget = Budget::unlimited();
        let mut meter = Meter::new(&budget, LONGEST_LABEL);
        meter.target(&labels(100), of).unwrap();
        let first = meter.part();
        meter.target(&labels(200), of).unwrap();
        let second = meter.part();
        assert_eq!(first.bytes(), labels(100).footprint());
        assert_eq!(second.bytes(), labels(200).footprint());
        drop(meter);
        assert_eq!(budget.used(), first.bytes() + second.bytes());
    }

    #[test]
    fn elements_are_counted_while_they_are_read() {
        let mut meter = Meter::unlimited(LONGEST_LABEL).beside(MOST_TARGETS - 2);
        let mut read = |json: &str| {
            metered(&mut meter, || {
                let read: Result<Vec<Counted<u8>>, _> = serde_json::from_str(json);
                read.map(|of| of.len()).map_err(|error| error.to_string())
            })
        };
        assert_eq!(read("[1,2]"), Ok(2));
        // What follows is not JSON, and it is not read.
        assert_eq!(read("[1,x"), Err(Unreadable::Excess(Excess::Targets)));
        let mut meter = Meter::unlimited(LONGEST_LABEL);
        let read = metered(&mut meter, || {
            let read: Result<Vec<Counted<u8>>, _> = serde_json::from_str("[x");
            read.map(|of| of.len()).map_err(|error| error.to_string())
        });
        let expected = "expected value at line 1 column 2".to_owned();
        assert_eq!(read, Err(Unreadable::Syntax(expected)));
    }
}
