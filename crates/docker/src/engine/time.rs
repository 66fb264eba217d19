//! Moments in the Engine's answers.

/// Microseconds since 1970 of a moment as Go writes it, `"2026-11-23T00:22:18.688404114Z"` with its
/// quotes; what is finer is cut off. 0 where it is not one, and for Go's zero time, which means
/// that nothing is known.
///
/// Read by hand, as it stands in every one of 100,000 tasks.
pub(super) fn micros(text: &[u8]) -> i64 {
    let inner = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
    inner.map_or(0, micros_of)
}

/// The same of a moment without quotes.
pub(crate) fn micros_of(text: &[u8]) -> i64 {
    read(text).filter(|micros| *micros > 0).unwrap_or_default()
}

fn read(text: &[u8]) -> Option<i64> {
    let (seconds, rest) = text.split_first_chunk::<19>()?;
    let number = |from: usize, to: usize| digits(&seconds[from..to]);
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|(at, mark)| seconds[*at] != *mark) {
        return None;
    }
    let (month, day) = (number(5, 7)?, number(8, 10)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_since_1970(number(0, 4)?, month, day);
    let of_day = (number(11, 13)? * 60 + number(14, 16)?) * 60 + number(17, 19)?;
    let (micros, zone) = match rest.strip_prefix(b".") {
        None => (0, rest),
        Some(rest) => {
            let length = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
            let (fraction, zone) = rest.split_at(length);
            let kept = &fraction[..fraction.len().min(6)];
            (digits(kept)? * 10_i64.pow(6 - u32::try_from(kept.len()).ok()?), zone)
        }
    };
    let behind = match zone {
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let ahead = (digits(&[*h1, *h2])? * 60 + digits(&[*m1, *m2])?) * 60;
            if *sign == b'+' { -ahead } else { ahead }
        }
        _ => return None,
    };
    Some((days * 86_400 + of_day + behind) * 1_000_000 + micros)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
    })
}

/// Days in the Gregorian calendar, counted in years that begin in March, so that a leap day is the
/// last of its year.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let before_month = (153 * ((month + 9) % 12) + 2) / 5;
    // 719,468 days lie between the first of March of the year 0 and 1970.
    year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + before_month
        + day
        - 1
        - 719_468
}

#[cfg(test)]
mod tests {
    use super::micros;

    /// The numbers are those of GNU date.
    #[test]
    fn moments_are_read_as_go_writes_them() {
        for (text, expected) in [
            (r#""1970-01-01T00:00:00.000001Z""#, 1),
            (r#""2026-11-23T00:22:18.688404114Z""#, 1_795_393_338_688_404),
            (r#""2026-11-23T00:22:18Z""#, 1_795_393_338_000_000),
            (r#""2026-11-23T00:22:18.5Z""#, 1_795_393_338_500_000),
            (r#""2026-11-23T02:22:18.5+02:00""#, 1_795_393_338_500_000),
            (r#""2026-11-22T18:52:18.5-05:30""#, 1_795_393_338_500_000),
            (r#""2024-02-29T23:59:59.999999999Z""#, 1_709_251_199_999_999),
            (r#""2024-03-01T00:00:00Z""#, 1_709_251_200_000_000),
            (r#""2000-12-31T12:00:00Z""#, 978_264_000_000_000),
            // Nothing is known.
            (r#""0001-01-01T00:00:00Z""#, 0),
            (r#""1969-12-31T23:59:59Z""#, 0),
            (r#""""#, 0),
            ("null", 0),
            ("1795393338", 0),
            (r#""2026-11-23""#, 0),
            (r#""2026-13-23T00:22:18Z""#, 0),
            (r#""2026-11-00T00:22:18Z""#, 0),
            (r#""2026-11-23 00:22:18Z""#, 0),
            (r#""2026-11-23T00:22:18""#, 0),
            (r#""2026-11-23T00:22:18.Z""#, 1_795_393_338_000_000),
            (r#""2026-11-23T00:22:1xZ""#, 0),
            (r#""2026-11-23T00:22:18+0200""#, 0),
        ] {
            assert_eq!(micros(text.as_bytes()), expected, "{text}");
        }
    }
}
