//! When certificates end.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::der::Parts;

/// The most certificates of a text that are read.
const MOST: usize = 100;

/// When the first of these certificates ends, in seconds since 1970. `None` if none can be read.
pub fn certificates_end(pem: &[u8]) -> Option<i64> {
    let certificates = CertificateDer::pem_slice_iter(pem).take(MOST).map_while(Result::ok);
    certificates.filter_map(|certificate| Some(Parts::of(&certificate)?.validity.1)).min()
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
        let ends = (0..der.len()).filter(|length| Parts::of(&der[..*length]).is_some());
        let ends: Vec<_> = ends.collect();
        assert!(ends.is_empty(), "{ends:?}");
        assert_eq!(Parts::of(&der).map(|parts| parts.validity.1), Some(1_930_089_600));
        assert_eq!(certificates_end(b""), None);
        assert_eq!(certificates_end(&[0xff; 100]), None);
    }
}
