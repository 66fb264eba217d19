//! Numbers as text, without an allocation.

use crate::push;

/// The value of a series.
pub trait Value: Copy {
    /// Appends the value.
    fn write(self, out: &mut String);
}

/// A whole number is written as one.
impl Value for u64 {
    fn write(self, out: &mut String) {
        let mut digits = Digits::default();
        digits.put(self);
        out.push_str(digits.text());
    }
}

impl Value for i64 {
    fn write(self, out: &mut String) {
        if self < 0 {
            out.push('-');
        }
        self.unsigned_abs().write(out);
    }
}

/// As OpenMetrics writes it: `1.0`, `+Inf`, `NaN`.
impl Value for f64 {
    fn write(self, out: &mut String) {
        match self {
            f64::INFINITY => out.push_str("+Inf"),
            f64::NEG_INFINITY => out.push_str("-Inf"),
            _ => push(out, format_args!("{self:?}")),
        }
    }
}

/// A number with a fixed point, as the kernel counts time. It is written exactly, without zeros at
/// its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    whole: u64,
    /// Behind the point, as a whole number.
    fraction: u64,
    /// How many digits `fraction` has, zeros in front included.
    places: u8,
}

impl Decimal {
    /// `count` parts of `10^places` parts.
    pub const fn new(count: u64, places: u8) -> Self {
        // 10^19 is the largest power that a `u64` holds.
        let places = if places > 19 { 19 } else { places };
        let unit = 10_u64.pow(places as u32);
        Self { whole: count / unit, fraction: count % unit, places }
    }

    /// Seconds, of a count of nanoseconds.
    pub const fn nanos(count: u64) -> Self {
        Self::new(count, 9)
    }

    /// Seconds, of a count of microseconds.
    pub const fn micros(count: u64) -> Self {
        Self::new(count, 6)
    }

    /// Seconds, of a count of milliseconds.
    pub const fn millis(count: u64) -> Self {
        Self::new(count, 3)
    }
}

impl Value for Decimal {
    fn write(self, out: &mut String) {
        self.whole.write(out);
        if self.fraction == 0 {
            return;
        }
        let (mut fraction, mut places) = (self.fraction, self.places);
        while fraction.is_multiple_of(10) {
            fraction /= 10;
            places -= 1;
        }
        let mut digits = Digits::default();
        digits.put(fraction);
        while LONGEST - digits.start < usize::from(places) {
            digits.start -= 1;
        }
        out.push('.');
        out.push_str(digits.text());
    }
}

/// The most digits that a `u64` has.
const LONGEST: usize = 20;

/// Digits, filled from the end.
struct Digits {
    digits: [u8; LONGEST],
    start: usize,
}

impl Default for Digits {
    fn default() -> Self {
        Self { digits: [b'0'; LONGEST], start: LONGEST }
    }
}

impl Digits {
    fn put(&mut self, mut number: u64) {
        loop {
            self.start -= 1;
            self.digits[self.start] = b'0' + u8::try_from(number % 10).expect("a digit is small");
            number /= 10;
            if number == 0 {
                return;
            }
        }
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.digits[self.start..]).expect("digits are ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: impl Value, expected: &str) {
        let mut out = String::new();
        value.write(&mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn writes_every_number() {
        check(0.0, "0.0");
        check(-1.5, "-1.5");
        check(1e300, "1e300");
        check(f64::INFINITY, "+Inf");
        check(f64::NEG_INFINITY, "-Inf");
        check(f64::NAN, "NaN");
        check(0_u64, "0");
        check(10_u64, "10");
        check(-1_i64, "-1");
        check(i64::MIN, "-9223372036854775808");
        check(u64::MAX, "18446744073709551615");
    }

    #[test]
    fn a_fixed_point_is_exact() {
        check(Decimal::nanos(0), "0");
        check(Decimal::nanos(1), "0.000000001");
        check(Decimal::nanos(120_000_000), "0.12");
        check(Decimal::nanos(5_000_000_000), "5");
        check(Decimal::micros(u64::MAX), "18446744073709.551615");
        check(Decimal::millis(1_764_468_123_050), "1764468123.05");
        check(Decimal::new(123, 2), "1.23");
        check(Decimal::new(7, 0), "7");
        check(Decimal::new(u64::MAX, 19), "1.8446744073709551615");
        check(Decimal::new(1, 255), "0.0000000000000000001");
    }
}
