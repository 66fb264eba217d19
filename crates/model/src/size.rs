//! Sizes in bytes as Prometheus writes them: `10MB`, base 2.

use std::fmt;
use std::str::FromStr;

/// A size in bytes (alecthomas/units `Base2Bytes`: `KB` and `KiB` are both 1024). 0 means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// A text that is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("units: {what} {text:?}")]
pub struct SizeError {
    what: &'static str,
    text: String,
}

/// What stands before `B`, or before `iB`, each 1024 times the one before.
const PREFIXES: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];

/// Amounts one after the other, each a number, which may have a fraction, and its unit: `1GB500MB`.
impl FromStr for Bytes {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let error = |what| SizeError { what, text: text.to_owned() };
        let mut rest = text.strip_prefix('+').unwrap_or(text);
        if rest.is_empty() {
            return Err(error("invalid"));
        }
        if text.starts_with('-') {
            return Err(error("negative size in"));
        }
        if rest == "0" {
            return Ok(Self(0));
        }
        let (mut sum, mut binary) = (0.0, None);
        while !rest.is_empty() {
            let is_number = |c: char| c.is_ascii_digit() || c == '.';
            let (number, tail) = rest.split_at(rest.find(|c| !is_number(c)).unwrap_or(rest.len()));
            let number = parse_number(number).ok_or_else(|| error("invalid"))?;
            let (unit, tail) = tail.split_at(tail.find(is_number).unwrap_or(tail.len()));
            rest = tail;
            if unit.is_empty() {
                return Err(error("missing unit in"));
            }
            let prefix = unit.strip_suffix("iB").map(|prefix| (prefix, true));
            let prefix = prefix.or_else(|| Some((unit.strip_suffix('B')?, false)));
            let power = prefix.and_then(|(prefix, is_binary)| {
                // Both kinds of units do not go together.
                let same = prefix.is_empty() || *binary.get_or_insert(is_binary) == is_binary;
                let power = PREFIXES.iter().position(|known| *known == prefix);
                power.filter(|power| same && (*power > 0 || !is_binary))
            });
            let power = power.ok_or_else(|| error("unknown unit in"))?;
            sum += number * 1024_f64.powi(i32::try_from(power).expect("there are seven"));
        }
        // Prometheus keeps it in a signed number.
        if sum >= 9_223_372_036_854_775_808.0 {
            return Err(error("too large"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is in the range, and Go leaves out the rest of a byte as well"
        )]
        Ok(Self(sum as u64))
    }
}

/// Digits with at most one point, and at most 18 of them on each side.
fn parse_number(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fits = whole.len() <= 18 && fraction.len() <= 18 && !fraction.contains('.');
    let is_number = fits && !(whole.is_empty() && fraction.is_empty());
    is_number.then(|| format!("{whole}.{fraction}0")).and_then(|text| {
        if text.starts_with('.') { format!("0{text}").parse().ok() } else { text.parse().ok() }
    })
}

/// The amounts of all units, the largest first: `1GiB512MiB`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0B");
        }
        for (power, prefix) in PREFIXES.iter().enumerate().rev() {
            let amount = self.0 >> (10 * power) & if power == 6 { u64::MAX } else { 1023 };
            if amount > 0 {
                write!(f, "{amount}{prefix}{}", if power == 0 { "B" } else { "iB" })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_sum_of_amounts_with_units_in_base_two() {
        for (text, bytes, shown) in [
            ("0", 0, "0B"),
            ("10MB", 10 << 20, "10MiB"),
            ("1KiB", 1024, "1KiB"),
            ("7B", 7, "7B"),
            ("1.5GB", 1536 << 20, "1GiB512MiB"),
            ("1GB500MB", 1524 << 20, "1GiB500MiB"),
            ("+.5MiB1B", (512 << 10) + 1, "512KiB1B"),
            ("1.5B", 1, "1B"),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
            assert_eq!(Bytes(bytes).to_string(), shown);
        }
        for (text, error) in [
            ("10", "units: missing unit in \"10\""),
            ("10mb", "units: unknown unit in \"10mb\""),
            ("1KB1KiB", "units: unknown unit in \"1KB1KiB\""),
            ("MB", "units: invalid \"MB\""),
            (".MB", "units: invalid \".MB\""),
            ("1.2.3MB", "units: invalid \"1.2.3MB\""),
            ("", "units: invalid \"\""),
            ("8EB", "units: too large \"8EB\""),
            ("-1MB", "units: negative size in \"-1MB\""),
        ] {
            assert_eq!(text.parse::<Bytes>().unwrap_err().to_string(), error);
        }
    }
}
