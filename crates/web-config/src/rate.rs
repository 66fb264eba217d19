//! `rate_limit` (golang.org/x/time/rate `rate.go`): a bucket of tokens, one for each request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The limit of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// After each of these intervals there is one more token. Never zero.
    pub interval: Duration,
    /// The most tokens, which are there at the start. At least one.
    pub burst: u32,
}

/// Counts requests against a limit. Clones share the count.
#[derive(Clone, Debug)]
pub struct RateLimiter {
    limit: RateLimit,
    bucket: Arc<Mutex<Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    /// When the number was counted.
    at: Option<Instant>,
}

impl RateLimiter {
    /// A full bucket.
    pub fn new(limit: RateLimit) -> Self {
        let bucket = Bucket { tokens: f64::from(limit.burst), at: None };
        Self { limit, bucket: Arc::new(Mutex::new(bucket)) }
    }

    /// Takes a token. If there is none, the error says after what time there will be one.
    pub fn allow(&self, now: Instant) -> Result<(), Duration> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_duration_since(bucket.at.unwrap_or(now));
        let more = elapsed.div_duration_f64(self.limit.interval);
        let tokens = (bucket.tokens + more).min(f64::from(self.limit.burst));
        if tokens < 1.0 {
            return Err(self.limit.interval.mul_f64(1.0 - tokens));
        }
        *bucket = Bucket { tokens: tokens - 1.0, at: Some(now) };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_one_request_for_each_interval() {
        let interval = Duration::from_millis(100);
        let limiter = RateLimiter::new(RateLimit { interval, burst: 2 });
        let start = Instant::now();
        for (milliseconds, expected) in [
            (0, Ok(())),
            (0, Ok(())),
            (0, Err(100)),
            (75, Err(25)),
            (100, Ok(())),
            (150, Err(50)),
            (200, Ok(())),
            // No more than the burst is saved.
            (10_000, Ok(())),
            (10_000, Ok(())),
            (10_000, Err(100)),
            // A clock that goes back adds nothing.
            (9_000, Err(100)),
        ] {
            let got = limiter.allow(start + Duration::from_millis(milliseconds));
            let expected = expected.map_err(Duration::from_millis);
            assert_eq!(got, expected, "after {milliseconds} ms");
        }
    }

    #[test]
    fn all_clones_share_the_bucket() {
        let limiter = RateLimiter::new(RateLimit { interval: Duration::from_secs(1), burst: 1 });
        let now = Instant::now();
        assert_eq!(limiter.clone().allow(now), Ok(()));
        assert!(limiter.allow(now).is_err());
    }
}
