//! Placement constraints: `node.labels.disk == ssd`.
//!
//! As SwarmKit reads and matches them (moby/swarmkit `manager/constraint`): keys and values compare
//! without regard to case, apart from the keys of labels; a missing label has an empty value.

use std::fmt;
use std::net::IpAddr;

use swarmscout_docker::engine::Node;

/// One constraint of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint<'a> {
    key: Key<'a>,
    is_equal: bool,
    value: &'a str,
    text: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key<'a> {
    Id,
    Hostname,
    Ip,
    Role,
    Os,
    Architecture,
    NodeLabel(&'a str),
    EngineLabel(&'a str),
    /// No node satisfies it.
    Unknown,
}

impl<'a> Constraint<'a> {
    /// Reads one. `None` without an operator: the Engine accepts no such constraint.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (key, is_equal, value) = match text.split_once("==") {
            Some((key, value)) => (key, true, value),
            None => text.split_once("!=").map(|(key, value)| (key, false, value))?,
        };
        Some(Self { key: Key::of(key.trim()), is_equal, value: value.trim(), text })
    }

    /// Whether a node satisfies it.
    pub fn accepts(&self, node: &Node) -> bool {
        let value = match self.key {
            Key::Id => &*node.id,
            Key::Hostname => &*node.hostname,
            Key::Ip => return self.accepts_address(&node.address),
            Key::Role => &*node.role,
            Key::Os => &*node.os,
            Key::Architecture => &*node.architecture,
            Key::NodeLabel(label) => node.labels.get(label).unwrap_or_default(),
            Key::EngineLabel(label) => node.engine_labels.get(label).unwrap_or_default(),
            Key::Unknown => return false,
        };
        equal_fold(self.value, value) == self.is_equal
    }

    /// An address or a subnet. A constraint with neither accepts no node.
    fn accepts_address(&self, address: &str) -> bool {
        let address = address.parse().ok().map(|ip: IpAddr| ip.to_canonical());
        let matches = match self.value.split_once('/') {
            None => match self.value.parse::<IpAddr>() {
                Ok(wanted) => address == Some(wanted.to_canonical()),
                Err(_) => return false,
            },
            Some((subnet, length)) => match (subnet.parse::<IpAddr>(), length.parse::<u8>()) {
                (Ok(subnet), Ok(length)) if length <= bits_of(subnet).1 => {
                    address.is_some_and(|address| is_within(address, subnet, length))
                }
                _ => return false,
            },
        };
        matches == self.is_equal
    }
}

/// As it stands in the service.
impl fmt::Display for Constraint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl<'a> Key<'a> {
    fn of(key: &'a str) -> Self {
        const FIXED: [(&str, Key<'static>); 6] = [
            ("node.id", Key::Id),
            ("node.hostname", Key::Hostname),
            ("node.ip", Key::Ip),
            ("node.role", Key::Role),
            ("node.platform.os", Key::Os),
            ("node.platform.arch", Key::Architecture),
        ];
        let fixed = FIXED.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        let label = |prefix| strip_prefix_fold(key, prefix).filter(|label| !label.is_empty());
        match fixed {
            Some((_, key)) => *key,
            None => match (label("node.labels."), label("engine.labels.")) {
                (Some(label), _) => Self::NodeLabel(label),
                (_, Some(label)) => Self::EngineLabel(label),
                _ => Self::Unknown,
            },
        }
    }
}

fn strip_prefix_fold<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let start = text.get(..prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

fn equal_fold(a: &str, b: &str) -> bool {
    a.chars().flat_map(char::to_lowercase).eq(b.chars().flat_map(char::to_lowercase))
}

/// The bits of an address at the high end, and how many there are.
fn bits_of(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

fn is_within(address: IpAddr, subnet: IpAddr, length: u8) -> bool {
    let ((address, width), (subnet, of_subnet)) = (bits_of(address), bits_of(subnet));
    let mask = u128::MAX.checked_shl(u32::from(128 - length)).unwrap_or(0);
    width == of_subnet && (address ^ subnet) & mask == 0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use swarmscout_docker::engine::LabelMap;

    use super::*;

    fn labels(key: &str, value: &str) -> Arc<LabelMap> {
        Arc::new(LabelMap::new(vec![(key.to_owned(), value.to_owned())]))
    }

    fn node() -> Node {
        Node {
            id: "n1".into(),
            hostname: "Pi-1".into(),
            address: "10.1.2.3".into(),
            role: "worker".into(),
            os: "linux".into(),
            architecture: "aarch64".into(),
            labels: labels("disk", "SSD"),
            engine_labels: labels("Rack", "a"),
            ..Node::default()
        }
    }

    #[test]
    fn constraints_match_as_swarmkit_has_it() {
        for (text, accepted) in [
            ("node.id==n1", true),
            ("node.id != n1", false),
            ("NODE.HOSTNAME == pi-1", true),
            ("node.role==Worker", true),
            ("node.role!=manager", true),
            ("node.platform.os==linux", true),
            ("node.platform.arch==arm64", false),
            ("node.platform.arch==aarch64", true),
            ("node.labels.disk==ssd", true),
            ("node.labels.Disk==ssd", false),
            ("node.labels.gone==x", false),
            ("node.labels.gone!=x", true),
            ("engine.labels.Rack==A", true),
            ("Engine.Labels.Rack!=a", false),
            ("node.ip==10.1.2.3", true),
            ("node.ip!=10.1.2.3", false),
            ("node.ip==10.1.0.0/16", true),
            ("node.ip==0.0.0.0/0", true),
            ("node.ip==10.2.0.0/16", false),
            ("node.ip!=10.2.0.0/16", true),
            ("node.ip==::/0", false),
            ("node.ip!=pi", false),
            ("node.ip==10.0.0.0/33", false),
            ("node.labels.==x", false),
            ("node.colour!=red", false),
        ] {
            let constraint = Constraint::parse(text).unwrap();
            assert_eq!(constraint.accepts(&node()), accepted, "{text}");
            assert_eq!(constraint.to_string(), text);
        }
        assert_eq!(Constraint::parse("node.role"), None);
    }
}
