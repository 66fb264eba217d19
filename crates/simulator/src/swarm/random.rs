//! Where IDs, and the times of changes, come from: a seed.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): small,
/// and the same on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("less than `end`, which is a usize")
    }

    /// A random order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (2..=items.len()).rev() {
            let other = self.below(end);
            items.swap(end - 1, other);
        }
    }

    /// An ID as SwarmKit makes them: 25 characters, base 36.
    pub(crate) fn swarm_id(&mut self) -> String {
        self.text(25, b"0123456789abcdefghijklmnopqrstuvwxyz")
    }

    /// An ID as engines make them for containers and local networks: 64 hexadecimal digits.
    pub(crate) fn engine_id(&mut self) -> String {
        self.text(64, b"0123456789abcdef")
    }

    /// The ID of an engine itself: twelve groups of four characters, base 32.
    pub(crate) fn daemon_id(&mut self) -> String {
        let groups: Vec<_> =
            (0..12).map(|_| self.text(4, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")).collect();
        groups.join(":")
    }

    fn text(&mut self, length: usize, digits: &[u8]) -> String {
        (0..length).map(|_| char::from(digits[self.below(digits.len())])).collect()
    }
}

/// A moment, written as Go writes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(Timestamp);

impl Time {
    /// When every simulated Swarm was made.
    pub(crate) const START: Self = Self(Timestamp::constant(1_795_393_338, 688_404_114));

    /// The same moment, this many nanoseconds later.
    pub(crate) fn after(self, nanoseconds: u64) -> Self {
        let nanoseconds = i64::try_from(nanoseconds).unwrap_or(i64::MAX);
        let after = self.0.checked_add(jiff::SignedDuration::from_nanos(nanoseconds));
        Self(after.unwrap_or(Timestamp::MAX))
    }

    /// Nanoseconds since 1970.
    pub fn nanoseconds(self) -> i128 {
        self.0.as_nanosecond()
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> i64 {
        self.0.as_second()
    }
}

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Self {
        Self(Timestamp::try_from(time).unwrap_or(Timestamp::MAX))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them() {
        let json = |time| serde_json::to_string(&time).unwrap();
        assert_eq!(json(Time::START), r#""2026-11-23T00:22:18.688404114Z""#);
        assert_eq!(json(Time::START.after(311_595_886)), r#""2026-11-23T00:22:19Z""#);
    }

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let ids = |seed| {
            let mut random = Random::new(seed);
            (random.swarm_id(), random.engine_id(), random.daemon_id())
        };
        assert_eq!(ids(1), ids(1));
        assert_ne!(ids(1), ids(2));
        assert_eq!((ids(1).0.len(), ids(1).1.len(), ids(1).2.len()), (25, 64, 59));
    }
}
