//! Who there is on a path: by the list of a manager, or by DNS.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::wire::clean;

/// All nodes that run a node part, as a manager lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerList {
    /// The nodes. This one may be among them.
    pub nodes: Vec<PeerNode>,
}

/// A node whose node part answers probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerNode {
    /// ID of the node.
    pub id: String,
    /// Name of the node.
    pub name: String,
    /// Address of the node, with the port that its node part has registered. None: no node part has, so
    /// the node is not probed by this path.
    pub host: Option<SocketAddr>,
    /// Address of its node part on the overlay, as registered.
    pub overlay: Option<IpAddr>,
}

/// A node that can be probed on a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Decides who probes whom.
    pub(crate) key: String,
    /// ID of the node; empty if only its address is known.
    pub(crate) id: String,
    /// Value of the label `peer`; empty if only the address is known.
    pub(crate) label: String,
    pub(crate) address: SocketAddr,
}

/// The candidates of one path, this node left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Candidates {
    pub(crate) own_key: String,
    pub(crate) others: Vec<Candidate>,
}

/// Whether another node can have this address. A wrong list must not make a node probe itself, or all
/// that is on its link.
pub(crate) fn can_be_a_node(address: IpAddr) -> bool {
    let is_of_the_link = match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let address = address.to_canonical();
    !(is_of_the_link || address.is_loopback() || address.is_unspecified() || address.is_multicast())
}

impl PeerList {
    /// Nodes by their own addresses.
    pub(crate) fn by_host(&self, own_id: &str) -> Candidates {
        self.listed(own_id, |node| node.host)
    }

    /// Nodes by their registered addresses on the overlay.
    pub(crate) fn by_overlay(&self, own_id: &str, port: u16) -> Candidates {
        self.listed(own_id, |node| Some(SocketAddr::new(node.overlay?, port)))
    }

    fn listed(
        &self,
        own_id: &str,
        address: impl Fn(&PeerNode) -> Option<SocketAddr>,
    ) -> Candidates {
        let labels = self.labels();
        let others = self.nodes.iter().filter(|node| node.id != own_id);
        let others = others.filter_map(|node| {
            Some(Candidate {
                key: node.id.clone(),
                id: clean(&node.id),
                label: labels.of(node),
                address: address(node)?,
            })
        });
        Candidates { own_key: own_id.to_owned(), others: others.collect() }
    }

    /// The addresses that DNS gives, with the names of those that are registered. `is_own` knows the
    /// addresses of this machine.
    pub(crate) fn by_dns(
        &self,
        own_id: &str,
        addresses: &[IpAddr],
        own: Option<IpAddr>,
        port: u16,
    ) -> Candidates {
        let labels = self.labels();
        let by_address: HashMap<IpAddr, &PeerNode> =
            self.nodes.iter().filter_map(|node| Some((node.overlay?, node))).collect();
        let others = addresses.iter().filter(|address| Some(**address) != own);
        let mut others: Vec<_> = others
            .map(|address| {
                let node = by_address.get(address);
                Candidate {
                    key: node.map_or_else(String::new, |node| node.id.clone()),
                    id: node.map_or_else(String::new, |node| clean(&node.id)),
                    label: node.map_or_else(String::new, |node| labels.of(node)),
                    address: SocketAddr::new(*address, port),
                }
            })
            .collect();
        // All nodes must use the same keys. IDs give the same peers as on the path `host`.
        let all_have_ids = !own_id.is_empty() && others.iter().all(|other| !other.key.is_empty());
        if all_have_ids {
            return Candidates { own_key: own_id.to_owned(), others };
        }
        for other in &mut others {
            other.key = other.address.ip().to_string();
        }
        let own_key = own.map_or_else(|| own_id.to_owned(), |own| own.to_string());
        Candidates { own_key, others }
    }

    fn labels(&self) -> Labels<'_> {
        let mut count = HashMap::new();
        for node in &self.nodes {
            *count.entry(node.name.as_str()).or_default() += 1;
        }
        Labels(count)
    }
}

/// How many nodes have each name.
struct Labels<'a>(HashMap<&'a str, usize>);

impl Labels<'_> {
    /// The name, with the ID if another node has the same name.
    fn of(&self, node: &PeerNode) -> String {
        let name = clean(&node.name);
        if name.is_empty() {
            return clean(&node.id);
        }
        let is_unique = self.0.get(node.name.as_str()) == Some(&1);
        if is_unique { name } else { format!("{name}/{}", clean(&node.id)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, name: &str, last: u8, overlay: Option<u8>) -> PeerNode {
        PeerNode {
            id: id.to_owned(),
            name: name.to_owned(),
            host: Some(SocketAddr::from(([192, 0, 2, last], 9466))),
            overlay: overlay.map(|last| IpAddr::from([10, 0, 1, last])),
        }
    }

    fn list() -> PeerList {
        let mut nodes = vec![
            node("own", "manager", 1, Some(1)),
            node("a", "worker", 2, Some(2)),
            node("b", "worker", 3, None),
            node("c", "", 4, Some(4)),
            node("d", "silent", 5, None),
        ];
        nodes[4].host = None;
        PeerList { nodes }
    }

    fn shown(candidates: &Candidates) -> Vec<String> {
        let shown = candidates.others.iter();
        let shown = shown.map(|c| format!("{} {} {}", c.key, c.label, c.address));
        std::iter::once(candidates.own_key.clone()).chain(shown).collect()
    }

    #[test]
    fn nodes_without_a_node_part_are_not_probed_and_equal_names_have_their_ids() {
        assert_eq!(
            shown(&list().by_host("own")),
            ["own", "a worker/a 192.0.2.2:9466", "b worker/b 192.0.2.3:9466", "c c 192.0.2.4:9466"]
        );
        assert_eq!(
            shown(&list().by_overlay("own", 9)),
            ["own", "a worker/a 10.0.1.2:9", "c c 10.0.1.4:9"]
        );
    }

    #[test]
    fn no_node_has_an_address_of_loopback_or_of_the_link() {
        for (address, expected) in [
            ("192.0.2.1", true),
            ("10.0.0.1", true),
            ("fd00::1", true),
            ("2001:db8::1", true),
            ("127.0.0.1", false),
            ("127.1.2.3", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("169.254.169.254", false),
            ("fe80::1", false),
            ("0.0.0.0", false),
            ("::", false),
            ("224.0.0.1", false),
            ("ff02::1", false),
            ("255.255.255.255", false),
        ] {
            assert_eq!(can_be_a_node(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn addresses_of_dns_have_ids_as_keys_only_if_all_are_known() {
        let address = |last| IpAddr::from([10, 0, 1, last]);
        let all = [address(1), address(2), address(4)];
        assert_eq!(
            shown(&list().by_dns("own", &all, Some(address(1)), 9)),
            ["own", "a worker/a 10.0.1.2:9", "c c 10.0.1.4:9"]
        );
        let more = [address(1), address(2), address(3)];
        assert_eq!(
            shown(&list().by_dns("own", &more, Some(address(1)), 9)),
            ["10.0.1.1", "10.0.1.2 worker/a 10.0.1.2:9", "10.0.1.3  10.0.1.3:9"]
        );
    }
}
