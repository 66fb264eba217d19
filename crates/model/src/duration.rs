//! Durations as Prometheus writes them: `1y2w3d4h5m6s7ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::quote::Quoted;

/// A duration of whole milliseconds in Prometheus' grammar (prometheus/common `model.Duration`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromDuration(Duration);

/// Why a text is not a duration. The wording is Prometheus'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing was written.
    #[error("empty duration string")]
    Empty,
    /// The text has another form.
    #[error("not a valid duration string: {}", Quoted(.0))]
    Invalid(String),
    /// A number with a unit that is not known.
    #[error("unknown unit {} in duration {}", Quoted(.unit), Quoted(.text))]
    UnknownUnit {
        /// The unit as written.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// More than Go's `time.Duration` holds (some 292 years).
    #[error("duration out of range")]
    OutOfRange,
}

/// Units from the largest to the smallest, in the order in which they must be written.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// The most milliseconds that fit Go's `time.Duration`.
const MAX_MILLIS: u64 = i64::MAX as u64 / 1_000_000;

impl PromDuration {
    /// No time at all: in the file it means "not set" or "inherit" in most places.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// A duration of `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// A duration of `secs` seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// As the standard library's type.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Whether the duration is zero.
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl From<PromDuration> for Duration {
    fn from(duration: PromDuration) -> Self {
        duration.0
    }
}

impl FromStr for PromDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        match text {
            "" => return Err(DurationError::Empty),
            "0" => return Ok(Self::ZERO),
            _ => {}
        }
        let invalid = || DurationError::Invalid(text.to_owned());
        let mut rest = text;
        let mut units = &UNITS[..];
        let mut millis = 0_u64;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 {
                return Err(invalid());
            }
            let (number, tail) = rest.split_at(digits);
            let end = tail.bytes().position(|b| b.is_ascii_digit()).unwrap_or(tail.len());
            let unit = tail.get(..end).filter(|unit| !unit.is_empty()).ok_or_else(invalid)?;
            let Some(place) = UNITS.iter().position(|(name, _)| *name == unit) else {
                return Err(DurationError::UnknownUnit { unit: unit.into(), text: text.into() });
            };
            let place = place.checked_sub(UNITS.len() - units.len()).ok_or_else(invalid)?;
            let number: u64 = number.parse().map_err(|_| invalid())?;
            let value = number
                .checked_mul(units[place].1)
                .and_then(|n| n.checked_add(millis))
                .filter(|n| *n <= MAX_MILLIS);
            millis = value.ok_or(DurationError::OutOfRange)?;
            units = &units[place + 1..];
            rest = &tail[end..];
        }
        Ok(Self::from_millis(millis))
    }
}

/// Writes the shortest form that means the same. Years and weeks only where nothing smaller is
/// left over, as Prometheus does.
impl fmt::Display for PromDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 {
            return f.write_str("0s");
        }
        for (i, (unit, size)) in UNITS.iter().enumerate() {
            let exact_only = i < 2;
            if exact_only && !millis.is_multiple_of(*size) {
                continue;
            }
            if millis >= *size {
                write!(f, "{}{unit}", millis / size)?;
                millis %= size;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for (text, millis, shown) in [
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
            ("324ms", 324, "324ms"),
            ("3s", 3000, "3s"),
            ("5m", 300_000, "5m"),
            ("1h", 3_600_000, "1h"),
            ("4d", 4 * 86_400_000, "4d"),
            ("4d1h", 4 * 86_400_000 + 3_600_000, "4d1h"),
            ("14d", 14 * 86_400_000, "2w"),
            ("3w2d1h", 23 * 86_400_000 + 3_600_000, "23d1h"),
            ("10y", 3650 * 86_400_000, "10y"),
            ("90s", 90_000, "1m30s"),
        ] {
            let duration: PromDuration = text.parse().unwrap();
            assert_eq!(duration, PromDuration::from_millis(millis), "{text}");
            assert_eq!(duration.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn refuses_in_prometheus_words() {
        for (text, message) in [
            ("", "empty duration string"),
            ("1", r#"not a valid duration string: "1""#),
            ("1m30", r#"not a valid duration string: "1m30""#),
            ("1m ", r#"unknown unit "m " in duration "1m ""#),
            ("99999999999999999999s", r#"not a valid duration string: "99999999999999999999s""#),
            ("1y1m1d", r#"not a valid duration string: "1y1m1d""#),
            ("-1w", r#"not a valid duration string: "-1w""#),
            ("1.5d", r#"unknown unit "." in duration "1.5d""#),
            ("d", r#"not a valid duration string: "d""#),
            ("294y", "duration out of range"),
            ("200y10400w", "duration out of range"),
        ] {
            assert_eq!(text.parse::<PromDuration>().unwrap_err().to_string(), message, "{text}");
        }
    }
}
