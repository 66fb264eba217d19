//! Who may be answered, and how often.

use std::collections::HashMap;
use std::net::IpAddr;

use tokio::time::Instant;

/// Answers to one address at once, and a second. A peer sends three packets in 15 seconds.
const BURST: f64 = 20.0;
const PER_SECOND: f64 = 10.0;

/// The addresses of all nodes on a path.
#[derive(Debug, Default)]
pub(crate) struct Known(HashMap<IpAddr, Bucket>);

/// Answers that an address may have now.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    as_of: Instant,
}

/// Why a probe has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No packet of this program, or not a whole one.
    Malformed,
    /// The address is not that of a known node.
    Unknown,
    /// The address asks too often.
    RateLimit,
}

impl Refusal {
    pub(crate) const ALL: [Self; 3] = [Self::Malformed, Self::Unknown, Self::RateLimit];

    /// The value of the label `reason`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown_address",
            Self::RateLimit => "rate_limit",
        }
    }
}

impl Known {
    /// Replaces the addresses. Those that stay have no more answers than before.
    pub(crate) fn set(&mut self, addresses: impl Iterator<Item = IpAddr>, now: Instant) {
        let fresh = Bucket { left: BURST, as_of: now };
        let before = &self.0;
        let addresses = addresses.map(|address| address.to_canonical());
        let buckets = addresses.map(|address| (address, *before.get(&address).unwrap_or(&fresh)));
        self.0 = buckets.collect();
    }

    /// Takes one answer for `address`.
    pub(crate) fn admit(&mut self, address: IpAddr, now: Instant) -> Result<(), Refusal> {
        let bucket = self.0.get_mut(&address.to_canonical()).ok_or(Refusal::Unknown)?;
        let since = now.saturating_duration_since(bucket.as_of).as_secs_f64();
        bucket.left = (bucket.left + since * PER_SECOND).min(BURST);
        bucket.as_of = now;
        if bucket.left < 1.0 {
            return Err(Refusal::RateLimit);
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_known_address_has_a_limited_number_of_answers() {
        let now = Instant::now();
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut known = Known::default();
        known.set([a].into_iter(), now);
        assert_eq!(known.admit(b, now), Err(Refusal::Unknown));
        for _ in 0..20 {
            assert_eq!(known.admit("::ffff:10.0.0.1".parse().unwrap(), now), Ok(()));
        }
        assert_eq!(known.admit(a, now), Err(Refusal::RateLimit));
        // A new list does not fill the bucket.
        known.set([a, b].into_iter(), now);
        assert_eq!(known.admit(a, now), Err(Refusal::RateLimit));
        assert_eq!(known.admit(b, now), Ok(()));
        let later = now + Duration::from_millis(100);
        assert_eq!(known.admit(a, later), Ok(()));
        assert_eq!(known.admit(a, later), Err(Refusal::RateLimit));
        // An address that is no longer listed is unknown.
        known.set([a].into_iter(), later);
        assert_eq!(known.admit(b, later), Err(Refusal::Unknown));
    }
}
