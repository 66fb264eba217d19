//! The names of a server in its certificate.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use anyhow::{bail, ensure};

/// A name, an IP address, or a wildcard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateHost {
    /// An address.
    Ip(IpAddr),
    /// In lower case; `*` may be its first label.
    Name(String),
}

/// The most characters of a name.
const MAX_NAME: usize = 253;

/// The most characters of a label, the part between two dots.
const MAX_LABEL: usize = 63;

impl FromStr for CertificateHost {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            ensure!(!address.is_unspecified(), "{address} is the address of no host");
            return Ok(Self::Ip(address));
        }
        ensure!(!text.is_empty(), "a host is empty");
        ensure!(
            !text.contains(['/', ':']),
            "{text:?} is more than a host: leave out scheme and port"
        );
        ensure!(text.is_ascii(), "{text:?} is not ASCII: write the name in its xn-- form");
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        ensure!(name.len() <= MAX_NAME, "{text:?} is longer than {MAX_NAME} characters");
        let labels: Vec<_> = name.split('.').collect();
        for (i, label) in labels.iter().enumerate() {
            if *label == "*" && i == 0 && labels.len() > 2 {
                continue;
            }
            let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if label.contains('*') {
                bail!(
                    "{text:?}: a wildcard is the whole first part of a name, as in *.example.com"
                );
            }
            if label.is_empty()
                || label.len() > MAX_LABEL
                || !label.chars().all(is_good)
                || label.starts_with('-')
                || label.ends_with('-')
            {
                bail!("{text:?} is neither the name of a host nor an IP address");
            }
        }
        if labels.last().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            bail!("{text:?} is neither the name of a host nor an IP address");
        }
        Ok(Self::Name(name))
    }
}

impl fmt::Display for CertificateHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_addresses_and_wildcards() {
        for (text, host) in [
            ("Manager-1.Example.com.", "manager-1.example.com"),
            ("shop_web", "shop_web"),
            ("*.example.com", "*.example.com"),
            ("10.0.0.1", "10.0.0.1"),
            ("[fd00::1]", "fd00::1"),
            ("fd00:0::1", "fd00::1"),
        ] {
            assert_eq!(text.parse::<CertificateHost>().unwrap().to_string(), host);
        }
        let long = format!("{}.a", "x".repeat(64));
        for text in [
            "",
            "a:9465",
            "https://a",
            "10.0.0",
            "10.0.0.256",
            "a..b",
            "-a",
            "a-",
            "*",
            "*.com",
            "a.*.com",
            "a*.b.com",
            "bücher.example",
            "a b",
            "0.0.0.0",
            "::",
            &long,
        ] {
            assert!(text.parse::<CertificateHost>().is_err(), "{text:?}");
        }
    }
}
