//! The memory that all sources and all rendered lists may hold together.
//!
//! A [`Budget`] counts bytes, and a [`Charge`] reserves some of them. The owner of something large
//! keeps its charge beside it, and dropping the charge returns the bytes. A charge is an estimate:
//! [`allocation`] is the cost of each block on the heap. Memory is charged before it is allocated,
//! so a source that does not fit is refused as a whole.
//!
//! Clones of a budget share its count. There is no lock: a charge is one atomic addition.
//!
//! An estimate can be too low, and some memory outlives its charge: a published set keeps groups
//! that their source has replaced. So a budget can also know the memory of the [`Process`]. It is
//! read again after each `MEASURED` bytes of charges, and no charge may exceed its limit either.
//!
//! Charges of at most `SMALL` bytes, less with a small limit, are not compared with the process, and the last part of the
//! budget is for them (`RESERVED`): small jobs go on while a large one is refused.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::size::Bytes;

/// The cost of a block of `bytes` on the heap: allocators round up, and add a word of their own. No
/// bytes cost nothing.
pub const fn allocation(bytes: usize) -> u64 {
    if bytes == 0 {
        return 0;
    }
    (bytes as u64 + 8).next_multiple_of(16)
}

/// The cost of an `Arc` of `bytes` on the heap: it adds two counts.
pub const fn shared_allocation(bytes: usize) -> u64 {
    allocation(bytes + 2 * size_of::<usize>())
}

/// The memory of the process is read again after this many bytes of charges.
const MEASURED: u64 = 1 << 20;

/// A charge of at most this many bytes is small.
const SMALL: u64 = 1 << 20;

/// The sixteenth part of the limit is for small charges. Where that is less than `SMALL`, charges of at
/// most that part are small.
const RESERVED: u64 = 16;

/// A limit for the bytes of all its charges together.
#[derive(Clone)]
pub struct Budget(Arc<Inner>);

struct Inner {
    /// `u64::MAX` for no limit.
    limit: u64,
    /// For small charges.
    reserved: u64,
    /// The largest charge that is small.
    small: u64,
    used: AtomicU64,
    reclaim: OnceLock<Box<dyn Fn() + Send + Sync>>,
    process: Option<Process>,
    /// What the process had when it was last read.
    resident: AtomicU64,
    /// Bytes of charges since then.
    since: AtomicU64,
}

/// The memory that the process has. Charges are only an estimate of it.
pub struct Process {
    /// The most bytes that it may have.
    pub limit: u64,
    /// How many bytes it has; `None` if that cannot be read.
    pub resident: Box<dyn Fn() -> Option<u64> + Send + Sync>,
}

/// A charge does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "needs about {} of memory, which with the {} in use exceeds {}--limits.memory={}: raise \
     --limits.memory, or have fewer targets or shorter labels",
    About(*.needed), About(*.used), self.part(), Bytes(*.limit)
)]
pub struct OverBudget {
    /// Bytes that the charge would have had. Its owner may have needed more later.
    pub needed: u64,
    /// Bytes of all other charges; or of the process, where it is the process that has too much.
    pub used: u64,
    /// The limit of the budget.
    pub limit: u64,
}

impl OverBudget {
    /// Says so if only the reserved part has room for it.
    fn part(&self) -> &'static str {
        let fits = self.needed.checked_add(self.used).is_some_and(|sum| sum <= self.limit);
        if fits { "15/16 of " } else { "" }
    }
}

impl Budget {
    /// A budget of `limit` bytes; 0 means no limit.
    pub fn new(limit: Bytes) -> Self {
        let limit = if limit.0 == 0 { u64::MAX } else { limit.0 };
        Self::with(limit, None)
    }

    /// Like [`Self::new`], but the memory of the process has a limit, too.
    pub fn measured(limit: Bytes, process: Process) -> Self {
        if limit.0 == 0 { Self::unlimited() } else { Self::with(limit.0, Some(process)) }
    }

    fn with(limit: u64, process: Option<Process>) -> Self {
        let reserved = if limit == u64::MAX { 0 } else { limit / RESERVED };
        Self(Arc::new(Inner {
            limit,
            reserved,
            small: reserved.min(SMALL),
            used: AtomicU64::new(0),
            reclaim: OnceLock::new(),
            process,
            resident: AtomicU64::new(0),
            since: AtomicU64::new(MEASURED),
        }))
    }

    /// A budget without a count and a limit.
    pub fn unlimited() -> Self {
        Self::new(Bytes(0))
    }

    /// The most bytes at one time; `None` where there is no limit.
    pub fn limit(&self) -> Option<u64> {
        (self.0.limit != u64::MAX).then_some(self.0.limit)
    }

    /// The bytes of all charges.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Charges `bytes`, if they fit.
    pub fn charge(&self, bytes: u64) -> Result<Charge, OverBudget> {
        let mut charge = self.nothing();
        charge.grow(bytes)?;
        Ok(charge)
    }

    /// A charge of no bytes, to be [grown](Charge::grow).
    pub fn nothing(&self) -> Charge {
        Charge { budget: self.clone(), bytes: 0, given: 0 }
    }

    /// Sets what to call when a charge does not fit, before it is refused: it drops what can be
    /// made again. Only the first call of this has an effect.
    pub fn on_pressure(&self, reclaim: impl Fn() + Send + Sync + 'static) {
        // Only one owner has anything to drop, so a second call does not occur.
        let _ = self.0.reclaim.set(Box::new(reclaim));
    }

    /// Adds `bytes` to a charge. An error is the memory in use beside it.
    fn try_add(&self, bytes: u64, charge: &Charge) -> Result<(), u64> {
        let Inner { limit, reserved, small, used, .. } = &*self.0;
        let is_small = charge.bytes.saturating_add(charge.given).saturating_add(bytes) <= *small;
        let reserved = if is_small { 0 } else { *reserved };
        let add = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= limit - reserved);
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .map_err(|used| used.saturating_sub(charge.bytes))?;
        self.fits_process(bytes, is_small).map_err(|resident| {
            used.fetch_sub(bytes, Ordering::Relaxed);
            resident.saturating_sub(charge.bytes)
        })
    }

    /// An error is what the process has.
    fn fits_process(&self, bytes: u64, is_small: bool) -> Result<(), u64> {
        let Inner { process: Some(process), resident, since, .. } = &*self.0 else { return Ok(()) };
        let mut added = since.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if added >= MEASURED {
            let Some(read) = (process.resident)() else { return Ok(()) };
            resident.store(read, Ordering::Relaxed);
            since.store(bytes, Ordering::Relaxed);
            added = bytes;
        }
        let resident = resident.load(Ordering::Relaxed);
        let fits = resident.checked_add(added).is_some_and(|sum| sum <= process.limit);
        if fits || is_small { Ok(()) } else { Err(resident) }
    }

    /// Drops what can be made again.
    fn reclaim(&self) {
        let Inner { reclaim, since, .. } = &*self.0;
        if let Some(reclaim) = reclaim.get() {
            reclaim();
        }
        since.fetch_max(MEASURED, Ordering::Relaxed);
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("limit", &self.limit()).field("used", &self.used()).finish()
    }
}

/// Bytes of a [`Budget`], given back when this is dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Budget,
    bytes: u64,
    /// Bytes that were split off.
    given: u64,
}

impl Charge {
    /// How many bytes it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds bytes if they fit. Otherwise the charge does not change.
    pub fn grow(&mut self, bytes: u64) -> Result<(), OverBudget> {
        let budget = &self.budget;
        let added = budget.try_add(bytes, self).or_else(|_| {
            budget.reclaim();
            budget.try_add(bytes, self)
        });
        added.map_err(|used| OverBudget {
            needed: self.bytes.saturating_add(bytes),
            used,
            limit: budget.0.limit,
        })?;
        self.bytes += bytes;
        Ok(())
    }

    /// Returns bytes, at most all.
    pub fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.0.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Splits bytes off into a charge of their own, at most all.
    #[must_use]
    pub fn split(&mut self, bytes: u64) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.given = self.given.saturating_add(bytes);
        Self { budget: self.budget.clone(), bytes, given: 0 }
    }

    /// Adds another charge of the same budget.
    pub fn absorb(&mut self, mut other: Self) {
        debug_assert!(Arc::ptr_eq(&self.budget.0, &other.budget.0), "there is one budget");
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

/// Shows a size with one digit after the point.
struct About(u64);

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, shift) = match self.0 {
            0..0x40_0000 => ("KiB", 10),
            0x40_0000..0x1999_9999 => ("MiB", 20),
            _ => ("GiB", 30),
        };
        write!(f, "{:.1} {unit}", self.0 as f64 / f64::from(1_u32 << shift))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn charges_are_given_back() {
        let budget = Budget::new(Bytes(100));
        let mut first = budget.charge(60).unwrap();
        let refused = budget.charge(41).unwrap_err();
        assert_eq!(refused, OverBudget { needed: 41, used: 60, limit: 100 });
        let second = budget.charge(34).unwrap();
        assert_eq!((budget.used(), budget.limit()), (94, Some(100)));
        assert_eq!(
            first.grow(7).unwrap_err(),
            OverBudget { needed: 67, used: 34, limit: 100 },
            "the charge itself is not among what others use"
        );
        drop(second);
        first.grow(1).unwrap();
        let mut part = first.split(10);
        part.absorb(first.split(1));
        assert_eq!((first.bytes(), part.bytes(), budget.used()), (50, 11, 61));
        first.shrink(1000);
        assert_eq!((first.bytes(), budget.used()), (0, 11));
        drop(part);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn without_a_limit_everything_fits() {
        let budget = Budget::unlimited();
        let charge = budget.charge(u64::MAX / 2).unwrap();
        assert_eq!((budget.limit(), budget.used()), (None, u64::MAX / 2));
        assert!(budget.charge(u64::MAX).is_err(), "the count itself never overflows");
        drop(charge);
    }

    #[test]
    fn what_can_be_dropped_is_dropped_before_anything_is_refused() {
        let budget = Budget::new(Bytes(100));
        let kept = Arc::new(Mutex::new(vec![budget.charge(80).unwrap()]));
        let lists = Arc::clone(&kept);
        budget.on_pressure(move || lists.lock().unwrap().clear());
        let charge = budget.charge(90).unwrap();
        assert!(kept.lock().unwrap().is_empty());
        assert!(budget.charge(11).is_err());
        drop(charge);
    }

    /// Also for parts of something large that are split off one by one.
    #[test]
    fn the_last_part_is_for_small_charges() {
        for (part, name) in [(SMALL, "16MiB"), (SMALL / 8, "2MiB")] {
            let limit = RESERVED * part;
            let budget = Budget::new(Bytes(limit));
            let mut large = budget.nothing();
            let mut parts = Vec::new();
            let error = loop {
                match large.grow(part / 2) {
                    Ok(()) => parts.push(large.split(part / 2)),
                    Err(error) => break error,
                }
            };
            let used = budget.used();
            assert_eq!(used, (RESERVED - 1) * part);
            assert_eq!(error, OverBudget { needed: part / 2, used, limit });
            let text = format!("exceeds 15/16 of --limits.memory={name}");
            assert!(error.to_string().contains(&text), "{error}");
            let small = budget.charge(part).unwrap();
            assert!(budget.charge(1).is_err());
            drop((parts, small));
            assert_eq!(budget.used(), 0);
        }
    }

    /// Whatever was charged: what the process really has counts, but for small charges.
    #[test]
    fn the_process_has_a_limit() {
        let resident = Arc::new(AtomicU64::new(0));
        let read = Arc::clone(&resident);
        let process = Process {
            limit: 10 * MEASURED,
            resident: Box::new(move || Some(read.load(Ordering::Relaxed))),
        };
        let budget = Budget::measured(Bytes(100 * MEASURED), process);
        let charge = budget.charge(2 * MEASURED).unwrap();
        resident.store(9 * MEASURED, Ordering::Relaxed);
        let refused = budget.charge(2 * MEASURED).unwrap_err();
        let used = 9 * MEASURED;
        assert_eq!(refused, OverBudget { needed: 2 * MEASURED, used, limit: 100 * MEASURED });
        assert_eq!(budget.used(), 2 * MEASURED, "a refused charge is not counted");
        drop(budget.charge(SMALL).unwrap());
        let mut grown = budget.charge(SMALL).unwrap();
        assert!(grown.grow(MEASURED + 1).is_err());
        let lists = Arc::clone(&resident);
        budget.on_pressure(move || lists.store(MEASURED, Ordering::Relaxed));
        grown.grow(2 * MEASURED).unwrap();
        drop((charge, grown));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn says_what_to_do() {
        let refused = OverBudget { needed: 20_500_000_000, used: 200_000_000, limit: 2 << 30 };
        assert_eq!(
            refused.to_string(),
            "needs about 19.1 GiB of memory, which with the 190.7 MiB in use exceeds \
             --limits.memory=2GiB: raise --limits.memory, or have fewer targets or shorter labels"
        );
    }

    #[test]
    fn blocks_are_rounded_up() {
        for (bytes, taken) in [(0, 0), (1, 16), (8, 16), (9, 32), (100, 112)] {
            assert_eq!(allocation(bytes), taken, "{bytes}");
        }
        assert_eq!(shared_allocation(0), 32);
    }
}
