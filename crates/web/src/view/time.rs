//! Moments and time spans, as the API writes them.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::Now;

/// A moment. In JSON: RFC 3339, in UTC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time(pub(crate) SystemTime);

impl Time {
    /// How long ago it was; zero for a moment in the future.
    pub(crate) fn age(self, now: Now) -> Duration {
        now.system.duration_since(self.0).unwrap_or_default()
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Timestamp::try_from(self.0) {
            Ok(time) => serializer.collect_str(&time),
            // Go's zero time.
            Err(_) => serializer.serialize_str("0001-01-01T00:00:00Z"),
        }
    }
}

/// A time span. In JSON: seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds(pub(crate) Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}
