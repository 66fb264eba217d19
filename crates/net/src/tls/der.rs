//! Reads certificates (DER; RFC 5280, 4.1) far enough for names and times. Nothing of them is checked.

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0] EXPLICIT Version`; absent in version 1.
const VERSION: u8 = 0xa0;
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The parts of a certificate that are used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    /// A name.
    pub(super) issuer: &'a [u8],
    /// Beginning and end of the validity, in seconds since 1970.
    pub(super) validity: (i64, i64),
    /// Subject, its key, extensions.
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    pub(super) fn of(certificate: &'a [u8]) -> Option<Self> {
        let (certificate, _) = sequence(certificate)?;
        let (mut rest, _) = sequence(certificate)?;
        if rest.first() == Some(&VERSION) {
            (_, _, rest) = value(rest)?;
        }
        // Serial number, signature.
        for _ in 0..2 {
            (_, _, rest) = value(rest)?;
        }
        let (_, issuer, rest) = value(rest)?;
        let (validity, rest) = sequence(rest)?;
        let (begin, end) = time(validity)?;
        let (end, _) = time(end)?;
        Some(Self { issuer, validity: (begin, end), rest })
    }

    /// A name, and what follows it.
    pub(super) fn subject(self) -> Option<(&'a [u8], &'a [u8])> {
        sequence(self.rest)
    }
}

/// The common names in a name, in their order, as far as it can be read.
pub(super) fn common_names(mut name: &[u8]) -> impl Iterator<Item = &[u8]> {
    // A sequence of sets of attributes: type and value.
    let mut set: &[u8] = &[];
    std::iter::from_fn(move || {
        loop {
            while set.is_empty() {
                (set, name) = expect(name, SET)?;
            }
            let (attribute, more) = sequence(set)?;
            set = more;
            let (kind, text) = expect(attribute, OBJECT_IDENTIFIER)?;
            if kind == COMMON_NAME {
                return value(text).map(|(_, text, _)| text);
            }
        }
    })
}

/// The content of the sequence at the start of `text`, and what follows.
pub(super) fn sequence(text: &[u8]) -> Option<(&[u8], &[u8])> {
    expect(text, SEQUENCE)
}

/// The identifier at the start of `text`, and what follows.
pub(super) fn identifier(text: &[u8]) -> Option<(&[u8], &[u8])> {
    expect(text, OBJECT_IDENTIFIER)
}

/// The time at the start of `text`, in seconds since 1970, and what follows.
fn time(text: &[u8]) -> Option<(i64, &[u8])> {
    let (tag, text, rest) = value(text)?;
    let text = str::from_utf8(text).ok()?;
    let time = match tag {
        UTC_TIME => {
            let year: i64 = text.get(..2)?.parse().ok()?;
            moment(if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
        }
        GENERALIZED_TIME => moment(text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => None,
    };
    Some((time?, rest))
}

/// The value at the start of `text`, which has this tag, and what follows.
pub(super) fn expect(text: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, value, rest) = value(text)?;
    (found == tag).then_some((value, rest))
}

/// The tag and the value at the start of `text` (DER), and what follows.
pub(super) fn value(text: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [tag, length, rest @ ..] = text else { return None };
    let (length, rest) = match length {
        short @ 0..=0x7f => (usize::from(*short), rest),
        // No certificate has 4 GiB.
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            let length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
            (length, rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((*tag, value, rest))
}

/// `MMDDHHMMSSZ` of a year, in seconds since 1970.
fn moment(year: i64, text: &str) -> Option<i64> {
    let part = |at: usize| text.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day) = (part(0)?, part(2)?);
    if !(1..=12).contains(&month) || text.get(10..) != Some("Z") {
        return None;
    }
    // Years that begin in March, so that a leap day is the last of its year. 719,468 days lie
    // between the first of March of the year 0 and 1970.
    let year = if month <= 2 { year - 1 } else { year };
    let days = year * 365 + year / 4 - year / 100 + year / 400;
    let days = days + (153 * ((month + 9) % 12) + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + part(4)?) * 60 + part(6)?) * 60 + part(8)?)
}
