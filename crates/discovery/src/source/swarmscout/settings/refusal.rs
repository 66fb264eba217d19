//! Why a label does not count, in bounded words and bounded space.

use std::fmt::{self, Write as _};

use swarmscout_model::quote::Quoted;
use swarmscout_refresh::problems::shown;

use super::DeclaredBy;

/// Why a label, or the endpoint that it belongs to, is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reason {
    Contradiction,
    EndpointName,
    Class,
    Duration,
    LabelName,
    NoEffect,
    NoPort,
    NotABoolean,
    NotANumber,
    NotEnabled,
    ParamName,
    Path,
    Port,
    Probe,
    ReservedEndpointName,
    ReservedLabelName,
    Scheme,
    Timeout,
    TooLong,
    TooManyEndpoints,
    TooManyLabels,
    TraefikHosts,
    UnknownKey,
    Unsupported,
}

impl Reason {
    /// All of them, in the order of their texts.
    #[cfg(test)]
    pub(super) const ALL: [Self; 24] = [
        Self::Contradiction,
        Self::EndpointName,
        Self::Class,
        Self::Duration,
        Self::LabelName,
        Self::NoEffect,
        Self::NoPort,
        Self::NotABoolean,
        Self::NotANumber,
        Self::NotEnabled,
        Self::ParamName,
        Self::Path,
        Self::Port,
        Self::Probe,
        Self::ReservedEndpointName,
        Self::ReservedLabelName,
        Self::Scheme,
        Self::Timeout,
        Self::TooLong,
        Self::TooManyEndpoints,
        Self::TooManyLabels,
        Self::TraefikHosts,
        Self::UnknownKey,
        Self::Unsupported,
    ];

    /// In a few constant words: the metric label `reason`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Contradiction => "contradictory labels",
            Self::EndpointName => "invalid endpoint name",
            Self::Class => "invalid class",
            Self::Duration => "invalid duration",
            Self::LabelName => "invalid label name",
            Self::NoEffect => "label without effect",
            Self::NoPort => "endpoint without port",
            Self::NotABoolean => "not a boolean",
            Self::NotANumber => "not a number",
            Self::NotEnabled => "not enabled",
            Self::ParamName => "invalid parameter name",
            Self::Path => "invalid path",
            Self::Port => "invalid port",
            Self::Probe => "invalid probe",
            Self::ReservedEndpointName => "reserved endpoint name",
            Self::ReservedLabelName => "reserved label name",
            Self::Scheme => "invalid scheme",
            Self::Timeout => "timeout greater than interval",
            Self::TooLong => "value too long",
            Self::TooManyEndpoints => "too many endpoints",
            Self::TooManyLabels => "too many labels",
            Self::TraefikHosts => "no Traefik host",
            Self::UnknownKey => "unknown key",
            Self::Unsupported => "unsupported key",
        }
    }
}

/// A label that does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) of: DeclaredBy,
    /// The key of the label, cut.
    pub(crate) key: Box<str>,
    /// The endpoint that the label belongs to; empty for the unnamed one.
    pub(crate) endpoint: Box<str>,
    pub(crate) reason: Reason,
    /// Whether the endpoint is not scraped because of it. If not, only this label does not count.
    pub(crate) endpoint_lost: bool,
    /// The label with its value, cut and without passwords, and what to write instead.
    pub(crate) detail: String,
}

/// This many refusals of one service are reported; the last one has the number of the others.
pub(super) const MOST: usize = 100;

/// A reason, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause(pub(super) Reason, pub(super) String);

impl Cause {
    pub(super) fn new(reason: Reason, instead: impl Into<String>) -> Self {
        Self(reason, instead.into())
    }

    /// The refusal of this label.
    pub(super) fn refusal(
        self,
        of: DeclaredBy,
        key: &str,
        value: &str,
        endpoint: &str,
        endpoint_lost: bool,
    ) -> Refusal {
        let Self(reason, instead) = self;
        let detail = format!("{}={}: {instead}", shown(key), Shown(value, SHOWN));
        let (key, endpoint) = (shown(key).into(), shown(endpoint).into());
        Refusal { of, key, endpoint, reason, endpoint_lost, detail }
    }
}

/// The most bytes of a value in a refusal.
const SHOWN: usize = 64;

/// The most bytes of a value in a list of labels.
pub(super) const SHOWN_IN_LISTS: usize = 256;

/// A value in quotes, cut to this many bytes, with what stands before the `@` of an URL hidden.
pub(super) struct Shown<'a>(pub(super) &'a str, pub(super) usize);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value, limit) = *self;
        let clean = hidden(value, limit);
        let end = clean.floor_char_boundary(limit);
        write!(f, "{}", Quoted(&clean[..end]))?;
        if end < clean.len() { f.write_char('…') } else { Ok(()) }
    }
}

/// The value, cut to this many bytes, without passwords.
pub(super) fn cut(value: &str, limit: usize) -> String {
    let mut clean = hidden(value, limit);
    let end = clean.floor_char_boundary(limit);
    if end < clean.len() {
        clean.truncate(end);
        clean.push('…');
    }
    clean
}

/// At least the first `limit` bytes of the value if it is as long, with users and passwords of URLs
/// hidden.
fn hidden(value: &str, limit: usize) -> String {
    let mut clean = String::new();
    let mut rest = value;
    while clean.len() <= limit {
        let Some(at) = rest.find("://") else { break };
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = after.find(['/', '?', '#', ' ']).unwrap_or(after.len());
        match after[..end].rfind('@') {
            Some(at) => {
                clean.push_str("xxxxx");
                rest = &after[at..];
            }
            None => rest = after,
        }
    }
    clean.push_str(&rest[..rest.floor_char_boundary(limit + 4)]);
    clean
}
