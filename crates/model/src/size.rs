//! Sizes in bytes as Prometheus writes them: `10MB`, base 2.

use std::fmt;
use std::str::FromStr;

/// A size in bytes (alecthomas/units `Base2Bytes`: `KB` and `KiB` are both 1024). 0 means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// A text that is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("units: {what} {text:?}")]
pub struct SizeError {
    what: &'static str,
    text: String,
}

const UNITS: [(&str, &str, u32); 7] = [
    ("B", "B", 0),
    ("KB", "KiB", 10),
    ("MB", "MiB", 20),
    ("GB", "GiB", 30),
    ("TB", "TiB", 40),
    ("PB", "PiB", 50),
    ("EB", "EiB", 60),
];

impl FromStr for Bytes {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let error = |what| SizeError { what, text: text.to_owned() };
        if text == "0" {
            return Ok(Self(0));
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| error("invalid"))?;
        if unit.is_empty() {
            return Err(error("missing unit in"));
        }
        let (.., shift) = UNITS
            .iter()
            .find(|(short, long, _)| unit == *short || unit == *long)
            .ok_or_else(|| error("unknown unit in"))?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(|| error("too large"))
    }
}

/// Writes the largest unit that leaves no remainder.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS.iter().rev().find(|(.., shift)| self.0.is_multiple_of(1 << shift));
        match exact {
            _ if self.0 == 0 => f.write_str("0B"),
            Some((_, long, shift)) => write!(f, "{}{long}", self.0 >> shift),
            None => write!(f, "{}B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_a_unit_and_counts_in_base_two() {
        for (text, bytes, shown) in
            [("0", 0, "0B"), ("10MB", 10 << 20, "10MiB"), ("1KiB", 1024, "1KiB"), ("7B", 7, "7B")]
        {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
            assert_eq!(Bytes(bytes).to_string(), shown);
        }
        for text in ["10", "10mb", "MB", "", "99999999999EB", "-1B"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }
}
