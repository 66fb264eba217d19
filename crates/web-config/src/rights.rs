//! `authorization`: which rights there are, and who has them.

use std::collections::BTreeMap;

/// What a request may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// The lists of targets: `/sd` and all below it.
    Lists,
    /// `/metrics` and `/metrics/swarm`.
    Metrics,
    /// Pages and API. Implies [`Self::Lists`] and [`Self::Metrics`].
    Read,
    /// Reload, shutdown, and what starts work of the program. Implies [`Self::Read`].
    Change,
    /// `/-/healthy` and `/-/ready`.
    Health,
}

/// Who has a right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Every client, without proof.
    Anyone,
    /// Every user, and every client with a verified certificate.
    Any,
    /// The user of this name.
    User(String),
    /// The client with a verified certificate that has this common name or subject alternative name.
    Certificate(String),
}

/// The section `authorization`: who has each right, as written. A right that is not written is not
/// in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorization(pub BTreeMap<Right, Vec<Principal>>);

impl Principal {
    /// Reads `anyone`, `any`, `user:NAME` or `cert:NAME`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "anyone" => Some(Self::Anyone),
            None if text == "any" => Some(Self::Any),
            Some((_, "")) | None => None,
            Some(("user", name)) => Some(Self::User(name.to_owned())),
            Some(("cert", name)) => Some(Self::Certificate(name.to_owned())),
            Some(_) => None,
        }
    }
}
