//! Versions of the Engine API.

use std::fmt;

/// A version of the Engine API: `1.41`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    /// The first that knows swarm mode (Docker 1.12, 2016). What is read of an answer is the same
    /// from here on.
    pub const OLDEST: Self = Self { major: 1, minor: 24 };

    /// The newest that answers were recorded of (moby v2.0.0-beta.24). A server that knows newer
    /// ones is asked with this; one that no longer does says so, and is asked with its oldest.
    pub const NEWEST: Self = Self { major: 1, minor: 56 };

    pub(crate) const fn of(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Reads `1.41`.
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// The version that a server asks for where it refuses another (400): `client version 1.99 is
    /// too new. Maximum supported API version is 1.41`, `client version 1.23 is too old. Minimum
    /// supported API version is 1.24, please upgrade …`.
    pub(crate) fn asked_for(message: &str) -> Option<Self> {
        let after = message.split_once("supported API version is ")?.1;
        let end = after.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(after.len());
        Self::parse(after[..end].trim_end_matches('.'))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_version_to_use() {
        for (message, version) in [
            ("client version 1.99 is too new. Maximum supported API version is 1.41", Some("1.41")),
            (
                "client version 1.23 is too old. Minimum supported API version is 1.24, please \
                 upgrade your client to a newer version",
                Some("1.24"),
            ),
            ("Minimum supported API version is 2.0.", Some("2.0")),
            ("Invalid filter 'nope'", None),
            ("supported API version is x", None),
        ] {
            let found = ApiVersion::asked_for(message).map(|v| v.to_string());
            assert_eq!(found.as_deref(), version, "{message}");
        }
        assert!(ApiVersion::parse("1.9") < ApiVersion::parse("1.24"));
    }
}
