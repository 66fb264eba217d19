//! `authorization`: which rights there are, and who has them.

use std::collections::BTreeMap;
use std::fmt;

use crate::ClientCertificate;

/// What a request may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// The lists of targets: `/sd` and all below it.
    Lists,
    /// `/metrics` and `/metrics/swarm`.
    Metrics,
    /// The tasks of the node that the client is (`/api/v1/nodes/<node>/tasks`).
    Nodes,
    /// Pages and API. Implies [`Self::Lists`], [`Self::Metrics`], [`Self::Nodes`] and [`Self::Health`].
    Read,
    /// Reload, shutdown, and what starts work of the program. Implies [`Self::Read`].
    Change,
    /// `/-/healthy` and `/-/ready`.
    Health,
}

impl Right {
    /// The key of the section.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lists => "lists",
            Self::Metrics => "metrics",
            Self::Nodes => "nodes",
            Self::Read => "read",
            Self::Change => "change",
            Self::Health => "health",
        }
    }

    /// It, and the rights that imply it.
    const fn implied_by(self) -> &'static [Self] {
        match self {
            Self::Lists => &[Self::Lists, Self::Read, Self::Change],
            Self::Metrics => &[Self::Metrics, Self::Read, Self::Change],
            Self::Nodes => &[Self::Nodes, Self::Read, Self::Change],
            Self::Read => &[Self::Read, Self::Change],
            Self::Change => &[Self::Change],
            Self::Health => &[Self::Health, Self::Read, Self::Change],
        }
    }
}

/// Its name.
impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
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

    fn is(&self, who: &Identity<'_>) -> bool {
        let certificate = who.certificate.filter(|certificate| certificate.verified);
        match self {
            Self::Anyone => true,
            Self::Any => who.user.is_some() || certificate.is_some(),
            Self::User(name) => who.user == Some(name),
            Self::Certificate(name) => certificate.is_some_and(|it| it.proves(name)),
        }
    }
}

/// What is proven of a client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity<'a> {
    /// The user whose password it has given.
    pub user: Option<&'a str>,
    /// The certificate that it has shown.
    pub certificate: Option<&'a ClientCertificate>,
}

/// Who may do what.
#[derive(Clone, Debug)]
pub struct Rights(Table);

#[derive(Clone, Debug)]
enum Table {
    /// There are neither users nor the section.
    Everyone,
    /// There are users, but not the section: each of them may do everything, as in
    /// exporter-toolkit. A certificate is not enough.
    Users,
    Written(Authorization),
}

impl Rights {
    /// Those of a file.
    pub fn new(authorization: Option<Authorization>, has_users: bool) -> Self {
        Self(match (authorization, has_users) {
            (Some(authorization), _) => Table::Written(authorization),
            (None, true) => Table::Users,
            (None, false) => Table::Everyone,
        })
    }

    /// Whether the file says who has which.
    pub(crate) fn are_written(&self) -> bool {
        matches!(self.0, Table::Written(_))
    }

    /// Whether every client has all of them: there are neither users nor the section.
    pub fn are_open(&self) -> bool {
        matches!(self.0, Table::Everyone)
    }

    /// Whether this client has this right.
    pub fn allow(&self, right: Right, who: &Identity<'_>) -> bool {
        match &self.0 {
            Table::Everyone => true,
            Table::Users => who.user.is_some(),
            Table::Written(written) => written.holders(right).any(|holder| holder.is(who)),
        }
    }

    /// Whether any user has this right, so that a password can help.
    pub fn has_user(&self, right: Right) -> bool {
        match &self.0 {
            Table::Everyone | Table::Users => true,
            Table::Written(written) => {
                written.holders(right).any(|holder| !matches!(holder, Principal::Certificate(_)))
            }
        }
    }
}

impl Authorization {
    fn holders(&self, right: Right) -> impl Iterator<Item = &Principal> {
        // A health check without a password is usual, and shows nothing.
        let by_default = right == Right::Health && !self.0.contains_key(&right);
        let written = right.implied_by().iter().filter_map(|right| self.0.get(right)).flatten();
        written.chain(by_default.then_some(&Principal::Anyone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Right; 6] =
        [Right::Lists, Right::Metrics, Right::Nodes, Right::Read, Right::Change, Right::Health];

    fn certificate(name: &str, verified: bool) -> ClientCertificate {
        let common_name = Some(name.to_owned());
        ClientCertificate { verified, common_name, alternative_names: vec![format!("{name}.san")] }
    }

    /// The rights of a client where the section has these lists.
    fn rights(section: &[(Right, &[&str])], who: &Identity<'_>) -> String {
        let principals =
            |texts: &[&str]| texts.iter().map(|text| Principal::parse(text).unwrap()).collect();
        let section = section.iter().map(|(right, texts)| (*right, principals(texts)));
        let rights = Rights::new(Some(Authorization(section.collect())), true);
        let held = ALL.into_iter().filter(|right| rights.allow(*right, who));
        held.map(Right::name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_right_brings_those_that_it_implies() {
        let alice = Identity { user: Some("alice"), certificate: None };
        for (right, expected) in [
            (Right::Lists, "lists"),
            (Right::Metrics, "metrics"),
            (Right::Nodes, "nodes"),
            (Right::Read, "lists metrics nodes read health"),
            (Right::Change, "lists metrics nodes read change health"),
            (Right::Health, "health"),
        ] {
            // Otherwise everyone has it.
            let closed: (Right, &[&str]) = (Right::Health, &[]);
            let section: [(Right, &[&str]); 2] = [closed, (right, &["user:alice"])];
            assert_eq!(rights(&section, &alice), expected, "{right}");
            assert_eq!(rights(&section, &Identity::default()), "", "{right}");
        }
    }

    #[test]
    fn only_health_is_open_where_nothing_is_written() {
        assert_eq!(rights(&[], &Identity::default()), "health");
        let alice = Identity { user: Some("alice"), certificate: None };
        assert_eq!(rights(&[], &alice), "health");
    }

    #[test]
    fn a_principal_is_whom_it_names() {
        let (verified, claimed) = (certificate("alice", true), certificate("alice", false));
        let unknown = Identity::default();
        let alice = Identity { user: Some("alice"), certificate: None };
        let bob = Identity { user: Some("bob"), certificate: None };
        let proven = Identity { user: None, certificate: Some(&verified) };
        let unproven = Identity { user: None, certificate: Some(&claimed) };
        for (principal, expected) in [
            ("anyone", [true; 5]),
            ("any", [false, true, true, true, false]),
            ("user:alice", [false, true, false, false, false]),
            ("cert:alice", [false, false, false, true, false]),
            ("cert:alice.san", [false, false, false, true, false]),
            ("cert:bob", [false; 5]),
        ] {
            let got = [&unknown, &alice, &bob, &proven, &unproven]
                .map(|who| !rights(&[(Right::Lists, &[principal])], who).starts_with("health"));
            assert_eq!(got, expected, "{principal}");
        }
    }

    #[test]
    fn without_the_section_each_request_needs_a_user_if_there_are_any() {
        let verified = certificate("alice", true);
        let proven = Identity { user: None, certificate: Some(&verified) };
        let alice = Identity { user: Some("alice"), certificate: None };
        for right in ALL {
            let users = Rights::new(None, true);
            assert!(!users.allow(right, &proven) && users.allow(right, &alice), "{right}");
            assert!(Rights::new(None, false).allow(right, &Identity::default()), "{right}");
        }
    }

    #[test]
    fn a_password_helps_only_where_a_user_has_the_right() {
        for (principals, expected) in [
            (&["cert:a"][..], false),
            (&["cert:a", "user:b"], true),
            (&["any"], true),
            (&[], false),
        ] {
            let principals = principals.iter().map(|text| Principal::parse(text).unwrap());
            let section = Authorization([(Right::Lists, principals.collect())].into());
            assert_eq!(Rights::new(Some(section), true).has_user(Right::Lists), expected);
        }
    }
}
