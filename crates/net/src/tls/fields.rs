//! What a certificate says of its owner, without trust in it.

use std::net::IpAddr;

use super::der::{Parts, common_names, expect, identifier, sequence, value};

/// `[3] EXPLICIT Extensions`
const EXTENSIONS: u8 = 0xa3;
const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// `rfc822Name`, `dNSName`, `uniformResourceIdentifier`, `iPAddress` of a `GeneralName`.
const EMAIL: u8 = 0x81;
const DNS_NAME: u8 = 0x82;
const URI: u8 = 0x86;
const IP_ADDRESS: u8 = 0x87;

/// What a certificate says of its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateFields {
    /// The last common name of its subject.
    pub common_name: Option<String>,
    /// The last common name of its issuer.
    pub issuer: Option<String>,
    /// The subject alternative names that are DNS names, email addresses, IP addresses or URIs.
    pub alternative_names: Vec<String>,
    /// From when on it is valid, in seconds since 1970.
    pub begins: i64,
    /// Until when it is valid, in seconds since 1970.
    pub ends: i64,
}

/// Reads a certificate (DER). Nothing of it is checked, its signature least of all.
/// `None` if it is broken.
pub fn certificate_fields(certificate: &[u8]) -> Option<CertificateFields> {
    let parts = Parts::of(certificate)?;
    let (begins, ends) = parts.validity;
    let (subject, rest) = parts.subject()?;
    let (_, mut rest) = sequence(rest)?;
    let mut alternative_names = Vec::new();
    while let Some((tag, content, after)) = value(rest) {
        rest = after;
        if tag == EXTENSIONS {
            let (extensions, _) = sequence(content)?;
            alternative_names = names(extensions)?;
        }
    }
    Some(CertificateFields {
        common_name: common_name(subject),
        issuer: common_name(parts.issuer),
        alternative_names,
        begins,
        ends,
    })
}

/// The last common name, as Go has it. A name that is not UTF-8 counts as none.
fn common_name(name: &[u8]) -> Option<String> {
    common_names(name).last().and_then(|text| str::from_utf8(text).ok()).map(str::to_owned)
}

/// The subject alternative names among the extensions.
fn names(mut extensions: &[u8]) -> Option<Vec<String>> {
    let mut found = Vec::new();
    while let Some((extension, rest)) = sequence(extensions) {
        extensions = rest;
        let (kind, mut content) = identifier(extension)?;
        if kind != SUBJECT_ALT_NAME {
            continue;
        }
        if let Some((_, after)) = expect(content, BOOLEAN) {
            content = after;
        }
        let (content, _) = expect(content, OCTET_STRING)?;
        let (mut names, _) = sequence(content)?;
        while let Some((tag, name, rest)) = value(names) {
            names = rest;
            found.extend(match tag {
                EMAIL | DNS_NAME | URI => ascii(name),
                IP_ADDRESS => address(name),
                _ => None,
            });
        }
    }
    Some(found)
}

/// These names are ASCII (RFC 5280, 4.2.1.6). Others count as none.
fn ascii(name: &[u8]) -> Option<String> {
    name.is_ascii().then(|| str::from_utf8(name).ok().map(str::to_owned)).flatten()
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let any = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
    any.ok().map(|address| address.to_canonical().to_string())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair, SanType, date_time_ymd};

    use super::*;

    fn certificate() -> Vec<u8> {
        let authority = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
        };
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::OrganizationName, "Org");
        params.distinguished_name.push(DnType::CommonName, "Größe");
        params.subject_alt_names.extend([
            SanType::Rfc822Name("a@b.example".try_into().unwrap()),
            SanType::URI("spiffe://b.example/a".try_into().unwrap()),
            SanType::IpAddress("10.0.0.1".parse().unwrap()),
            SanType::IpAddress("fd00::1".parse().unwrap()),
        ]);
        params.not_before = date_time_ymd(2024, 1, 1);
        params.not_after = date_time_ymd(2031, 3, 1);
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, &authority("The authority")).unwrap().der().to_vec()
    }

    #[test]
    fn reads_all_names() {
        let fields = certificate_fields(&certificate()).unwrap();
        let names = ["a.example", "a@b.example", "spiffe://b.example/a", "10.0.0.1", "fd00::1"];
        assert_eq!(
            fields,
            CertificateFields {
                common_name: Some("Größe".to_owned()),
                issuer: Some("The authority".to_owned()),
                alternative_names: names.map(str::to_owned).to_vec(),
                begins: 1_704_067_200,
                ends: 1_930_089_600,
            }
        );
    }

    #[test]
    fn no_text_breaks_it() {
        let whole = certificate();
        for length in 0..whole.len() {
            certificate_fields(&whole[..length]);
        }
        for at in 0..whole.len() {
            for byte in [0, 0x7f, 0x80, 0xff] {
                let mut broken = whole.clone();
                broken[at] = byte;
                certificate_fields(&broken);
            }
        }
    }
}
