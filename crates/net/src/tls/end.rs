//! When certificates end.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The most certificates of a text that are read.
const MOST: usize = 100;

/// When the first of these certificates ends, in seconds since 1970. `None` if none can be read.
pub fn certificates_end(pem: &[u8]) -> Option<i64> {
    let certificates = CertificateDer::pem_slice_iter(pem).take(MOST).map_while(Result::ok);
    certificates.filter_map(|certificate| Some(times(&certificate)?.1)).min()
}

pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0] EXPLICIT Version`; absent in version 1.
const VERSION: u8 = 0xa0;
/// 2.5.4.3
pub(super) const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// Beginning and end of the validity, in seconds since 1970 (RFC 5280, 4.1).
pub(super) fn times(certificate: &[u8]) -> Option<(i64, i64)> {
    let (validity, _) = validity(certificate)?;
    let (begin, rest) = time(validity)?;
    let (end, _) = time(rest)?;
    Some((begin, end))
}

/// Whether the subject has this common name.
pub(super) fn is_named(certificate: &[u8], name: &str) -> bool {
    let subject = validity(certificate).and_then(|(_, rest)| expect(rest, SEQUENCE));
    let Some((mut subject, _)) = subject else { return false };
    // A sequence of sets of attributes: type and value.
    while let Some((set, rest)) = expect(subject, SET) {
        subject = rest;
        let attribute = expect(set, SEQUENCE).and_then(|(attribute, _)| {
            let (kind, rest) = expect(attribute, OBJECT_IDENTIFIER)?;
            let (_, text, _) = value(rest)?;
            Some((kind, text))
        });
        if attribute == Some((COMMON_NAME, name.as_bytes())) {
            return true;
        }
    }
    false
}

/// The content of the validity, and what follows it.
pub(super) fn validity(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (certificate, _) = expect(certificate, SEQUENCE)?;
    let (mut rest, _) = expect(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        (_, _, rest) = value(rest)?;
    }
    // Serial number, signature, issuer.
    for _ in 0..3 {
        (_, _, rest) = value(rest)?;
    }
    expect(rest, SEQUENCE)
}

/// The time at the start of `text`, in seconds since 1970, and what follows.
pub(super) fn time(text: &[u8]) -> Option<(i64, &[u8])> {
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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(year: i32, month: u8, day: u8) -> String {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, month, day);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn the_first_end_counts() {
        for (year, month, day, end) in [
            (2031, 3, 1, 1_930_089_600),
            (2036, 2, 29, 2_087_856_000),
            // From 2050 on another type is used.
            (2050, 1, 1, 2_524_608_000),
        ] {
            assert_eq!(certificates_end(certificate(year, month, day).as_bytes()), Some(end));
        }
        let both = certificate(2036, 2, 29) + &certificate(2031, 3, 1);
        assert_eq!(certificates_end(both.as_bytes()), Some(1_930_089_600));
    }

    #[test]
    fn no_text_breaks_it() {
        let whole = certificate(2031, 3, 1);
        let der = CertificateDer::pem_slice_iter(whole.as_bytes()).next().unwrap().unwrap();
        let ends = (0..der.len()).filter(|length| times(&der[..*length]).is_some());
        let ends: Vec<_> = ends.collect();
        assert!(ends.is_empty(), "{ends:?}");
        assert_eq!(times(&der).map(|(_, end)| end), Some(1_930_089_600));
        assert_eq!(certificates_end(b""), None);
        assert_eq!(certificates_end(&[0xff; 100]), None);
    }
}
