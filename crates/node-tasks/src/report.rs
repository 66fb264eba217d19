//! What a node part says of the network to the nodes that it probes.
//!
//! It is part of the query of its requests, so it is short: IDs alone, and as many as a node probes.

use std::fmt::{self, Write as _};

/// The most peers of a path that a report may name. A node probes four.
const MOST: usize = 16;

/// The longest ID of a node, in bytes. Docker's have 25.
const LONGEST_ID: usize = 64;

/// The way of the probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkPath {
    /// Between the addresses of the nodes.
    Host,
    /// Over an overlay network.
    Overlay,
}

impl LinkPath {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Host, Self::Overlay];

    /// The parameter of the query.
    pub(crate) const fn parameter(self) -> &'static str {
        match self {
            Self::Host => "peers.host",
            Self::Overlay => "peers.overlay",
        }
    }
}

/// What probes of a peer found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkState {
    /// It answers.
    Up,
    /// It answers small packets alone.
    LargeLost,
    /// It answers none.
    Down,
}

impl LinkState {
    const fn letter(self) -> char {
        match self {
            Self::Up => 'u',
            Self::LargeLost => 'l',
            Self::Down => 'd',
        }
    }

    fn of(letter: char) -> Option<Self> {
        [Self::Up, Self::LargeLost, Self::Down].into_iter().find(|state| state.letter() == letter)
    }
}

/// The peers of one path: the ID of each, and what probes found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathReport(Vec<(String, LinkState)>);

impl PathReport {
    /// A report of these peers. Those that have no ID are left out.
    pub fn new(peers: impl IntoIterator<Item = (String, LinkState)>) -> Self {
        let mut peers: Vec<_> = peers.into_iter().filter(|(id, _)| is_id(id)).collect();
        peers.sort();
        peers.dedup_by(|(a, _), (b, _)| a == b);
        peers.truncate(MOST);
        Self(peers)
    }

    /// The peers in the order of their IDs.
    pub fn peers(&self) -> impl Iterator<Item = (&str, LinkState)> {
        self.0.iter().map(|(id, state)| (id.as_str(), *state))
    }

    /// Reads `uID,dID`. It may be empty. The error says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut peers = Vec::new();
        for word in text.split(',').filter(|word| !word.is_empty()) {
            let mut rest = word.chars();
            let state = rest.next().and_then(LinkState::of);
            let id = rest.as_str();
            match state {
                Some(state) if is_id(id) && peers.len() < MOST => {
                    peers.push((id.to_owned(), state));
                }
                _ => return Err("peers of a path are written uID,lID,dID, at most 16"),
            }
        }
        Ok(Self::new(peers))
    }
}

/// As `PathReport::parse` reads it. No character of it needs to be percent-encoded.
impl fmt::Display for PathReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (id, state)) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_char(',')?;
            }
            write!(f, "{}{id}", state.letter())?;
        }
        Ok(())
    }
}

/// What a node part probes: a path that it does not probe is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerReport {
    /// Between the addresses of the nodes.
    pub host: Option<PathReport>,
    /// Over an overlay network.
    pub overlay: Option<PathReport>,
}

impl PeerReport {
    /// What it says of a path.
    pub fn of(&self, path: LinkPath) -> Option<&PathReport> {
        match path {
            LinkPath::Host => self.host.as_ref(),
            LinkPath::Overlay => self.overlay.as_ref(),
        }
    }
}

/// What one node says of the network to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerLink {
    /// ID of the node that probes.
    pub from: String,
    /// ID of the node that is probed, as the other one says it.
    pub to: String,
    /// The way of the probes.
    pub path: LinkPath,
    /// What they found.
    pub state: LinkState,
}

fn is_id(id: &str) -> bool {
    (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_is_written() {
        for (text, expected) in [
            ("", Some("")),
            ("ua", Some("ua")),
            ("db,ua,lc", Some("ua,db,lc")),
            // Twice the same node: the better news.
            ("da,ua", Some("ua")),
            ("xa", None),
            ("u", None),
            ("ua b", None),
            ("ua/../b", None),
            ("a", None),
        ] {
            let found = PathReport::parse(text).map(|report| report.to_string()).ok();
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        let many = |count: usize| {
            let ids: Vec<_> = (0..count).map(|number| format!("un{number}")).collect();
            PathReport::parse(&ids.join(","))
        };
        assert!(many(MOST).is_ok() && many(MOST + 1).is_err());
        assert!(PathReport::parse(&format!("u{}", "a".repeat(65))).is_err());
        let bad = PathReport::new([(String::new(), LinkState::Up), ("a,b".into(), LinkState::Up)]);
        assert_eq!(bad.to_string(), "");
    }
}
