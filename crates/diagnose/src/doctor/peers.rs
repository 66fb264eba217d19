//! The network between nodes, as their node parts find it.
//!
//! A report is foreign text, and a node speaks of itself alone: a pair counts only if the managers know
//! both nodes as ready. Each of the two may report it, and the worse report counts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use swarmscout_model::counted;
use swarmscout_node_tasks::{LinkPath, LinkState, PeerLink};
use swarmscout_swarm::Snapshot;

use crate::nodes::display_name;
use crate::report::{Finding, Severity};

/// Names of peers in one finding.
const NAMED: usize = 8;

/// How many pairs of nodes are probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerCoverage {
    /// Pairs of nodes that report each other, from one side at least.
    pub pairs: usize,
    /// Those between which packets are lost, whatever the path.
    pub broken: usize,
}

/// What is wrong between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// By both paths.
    Network,
    /// Over the overlay network, and the hosts reach each other.
    Overlay,
    /// The same, if nothing is known of the hosts.
    OverlayAtLeast,
    /// Between the addresses of the hosts alone.
    Host,
    /// Small packets pass.
    LargePackets,
}

impl Fault {
    const ALL: [Self; 5] =
        [Self::Network, Self::Overlay, Self::OverlayAtLeast, Self::Host, Self::LargePackets];

    fn of(host: Option<LinkState>, overlay: Option<LinkState>) -> Option<Self> {
        use LinkState::{Down, LargeLost, Up};
        match (host, overlay) {
            (Some(Down), Some(Down)) => Some(Self::Network),
            (Some(Up | LargeLost), Some(Down)) => Some(Self::Overlay),
            (None, Some(Down)) => Some(Self::OverlayAtLeast),
            (Some(Down), _) => Some(Self::Host),
            (Some(LargeLost), _) | (_, Some(LargeLost)) => Some(Self::LargePackets),
            (None | Some(Up), None | Some(Up)) => None,
        }
    }

    const fn severity(self) -> Severity {
        match self {
            Self::Network | Self::Overlay | Self::OverlayAtLeast => Severity::Error,
            Self::Host | Self::LargePackets => Severity::Warning,
        }
    }

    const fn check(self) -> &'static str {
        match self {
            Self::Network => "peer_down",
            Self::Overlay | Self::OverlayAtLeast => "overlay_broken",
            Self::Host => "peer_host_down",
            Self::LargePackets => "large_packets_lost",
        }
    }

    /// What is wrong to `3 of 4 peers (…)`.
    fn problem(self, peers: &str) -> String {
        match self {
            Self::Network => {
                format!("no packet comes back from {peers}, by the hosts or by the overlay network")
            }
            Self::Overlay => {
                format!("overlay network broken to {peers}, and the hosts reach each other")
            }
            Self::OverlayAtLeast => format!("overlay network broken to {peers}"),
            Self::Host => format!("probes between the hosts are lost to {peers}"),
            Self::LargePackets => {
                format!("large packets are lost to {peers}, and small ones pass")
            }
        }
    }

    const fn fix(self) -> &'static str {
        match self {
            Self::Network => {
                "check that the node parts of these nodes run, and the network and the firewalls between the \
                 nodes: 7946/tcp, 7946/udp, 4789/udp and, for probes, 9466/udp (docs/peers.md)"
            }
            Self::Overlay | Self::OverlayAtLeast => {
                "open 4789/udp (or --data-path-port), 7946/tcp and 7946/udp between the nodes, and for \
                 encrypted networks the IP protocol 50 (docs/peers.md)"
            }
            Self::Host => {
                "check that the node parts of these nodes run, and open 9466/udp between the nodes; the overlay \
                 network does not need it (docs/peers.md)"
            }
            Self::LargePackets => {
                "find what takes smaller packets on the way, or create the networks with --opt \
                 com.docker.network.driver.mtu (docs/peers.md)"
            }
        }
    }
}

/// Names of two nodes, the first one first.
type Pair<'a> = (&'a str, &'a str);

/// How many pairs there are, and what is wrong. Nothing without a node part that reports.
pub(super) fn check<'a>(
    snapshots: impl Iterator<Item = &'a Snapshot>,
    links: &'a [PeerLink],
) -> (Option<PeerCoverage>, Vec<Finding>) {
    let mut ready = BTreeMap::new();
    for node in snapshots.flat_map(|snapshot| snapshot.nodes.objects()) {
        if &*node.state == "ready" {
            ready.insert(&*node.id, display_name(node));
        }
    }
    let mut pairs = BTreeMap::<Pair<'_>, [Option<LinkState>; 2]>::new();
    for link in links {
        let (Some(from), Some(to)) = (ready.get(&*link.from), ready.get(&*link.to)) else {
            continue;
        };
        let pair = pairs.entry((*from.min(to), *from.max(to))).or_default();
        let known = &mut pair[usize::from(link.path == LinkPath::Overlay)];
        *known = (*known).max(Some(link.state));
    }
    if pairs.is_empty() {
        return (None, Vec::new());
    }
    let probed = Neighbors::of(pairs.keys());
    let (mut findings, mut broken) = (Vec::new(), 0);
    for fault in Fault::ALL {
        let has = |[host, overlay]: [_; 2]| Fault::of(host, overlay) == Some(fault);
        let of_fault = || pairs.iter().filter(|(_, states)| has(**states)).map(|(pair, _)| pair);
        broken += of_fault().count();
        findings.extend(summarized(fault, Neighbors::of(of_fault()), &probed));
    }
    (Some(PeerCoverage { pairs: pairs.len(), broken }), findings)
}

/// The other nodes of the pairs of each node.
struct Neighbors<'a>(BTreeMap<&'a str, BTreeSet<&'a str>>);

impl<'a> Neighbors<'a> {
    fn of<'b>(pairs: impl Iterator<Item = &'b Pair<'a>>) -> Self
    where
        'a: 'b,
    {
        let mut all = BTreeMap::<_, BTreeSet<_>>::new();
        for (a, b) in pairs {
            all.entry(*a).or_default().insert(*b);
            all.entry(*b).or_default().insert(*a);
        }
        Self(all)
    }

    /// Takes the node that has the most, the first of several, with all of its pairs.
    fn take_largest(&mut self) -> Option<(&'a str, BTreeSet<&'a str>)> {
        let most = self.0.values().map(BTreeSet::len).max().filter(|most| *most > 0)?;
        let node = self.0.iter().find(|(_, peers)| peers.len() == most).map(|(node, _)| *node)?;
        let peers = self.0.remove(node)?;
        for peer in &peers {
            if let Some(others) = self.0.get_mut(peer) {
                others.remove(node);
            }
        }
        Some((node, peers))
    }
}

/// A finding for each node that has most of the broken pairs, so that one node that is cut off is one
/// finding.
fn summarized(fault: Fault, mut broken: Neighbors<'_>, probed: &Neighbors<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    while let Some((node, peers)) = broken.take_largest() {
        let named: Vec<_> = peers.iter().copied().take(NAMED).collect();
        let more = match peers.len() - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let probed = probed.0.get(node).map_or(0, BTreeSet::len);
        let probed = counted(probed, "peer");
        let text = format!("{} of {probed} ({}{more})", peers.len(), named.join(", "));
        findings.push(Finding {
            severity: fault.severity(),
            check: fault.check().to_owned(),
            subject: format!("node {node}"),
            problem: fault.problem(&text),
            fix: fault.fix().to_owned(),
            targets: 0,
            examples: Vec::new(),
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use expect_test::{Expect, expect};
    use swarmscout_docker::engine::{Lists, Node};

    use super::*;

    /// Links as `a>b host down`, of the nodes a to f. The node f is down.
    fn check(links: &[&str], expected: &Expect) {
        let node = |id: &str| {
            let state = if id == "f" { "down" } else { "ready" };
            let hostname = format!("pi-{id}").into();
            Arc::new(Node { id: id.into(), hostname, state: state.into(), ..Node::default() })
        };
        let nodes = ["a", "b", "c", "d", "e", "f"].map(node).into_iter().collect();
        let snapshot = Snapshot::from(&Lists { nodes, ..Lists::default() });
        let links: Vec<_> = links
            .iter()
            .map(|text| {
                let [nodes, path, state] =
                    <[&str; 3]>::try_from(text.split(' ').collect::<Vec<_>>()).unwrap();
                let (from, to) = nodes.split_once('>').unwrap();
                let path = if path == "host" { LinkPath::Host } else { LinkPath::Overlay };
                let state = match state {
                    "up" => LinkState::Up,
                    "large" => LinkState::LargeLost,
                    _ => LinkState::Down,
                };
                PeerLink { from: from.to_owned(), to: to.to_owned(), path, state }
            })
            .collect();
        let (coverage, findings) = super::check(std::iter::once(&snapshot), &links);
        let mut text = coverage.map_or_else(String::new, |PeerCoverage { pairs, broken }| {
            format!("{pairs} pairs, {broken} broken\n")
        });
        for Finding { severity, check, subject, problem, .. } in findings {
            let line = format!("{severity:?} {check}: {subject}: {problem}\n");
            text.push_str(&line);
        }
        expected.assert_eq(&text);
    }

    #[test]
    fn without_reports_nothing_is_said() {
        check(&[], &expect![""]);
        // Of nodes that no manager knows, or knows as down.
        check(&["x>a host down", "a>x host down", "a>f host down"], &expect![""]);
    }

    #[test]
    fn pairs_count_once() {
        check(
            &["a>b host up", "b>a host up", "a>b overlay up", "b>c host up"],
            &expect![[r#"
            2 pairs, 0 broken
        "#]],
        );
    }

    #[test]
    fn what_is_broken_says_by_which_path() {
        check(
            &["a>b host up", "b>a overlay down", "a>b overlay up"],
            &expect![[r#"
                1 pairs, 1 broken
                Error overlay_broken: node pi-a: overlay network broken to 1 of 1 peer (pi-b), and the hosts reach each other
            "#]],
        );
        check(
            &["a>b overlay down", "c>d host down", "c>d overlay up"],
            &expect![[r#"
                2 pairs, 2 broken
                Error overlay_broken: node pi-a: overlay network broken to 1 of 1 peer (pi-b)
                Warning peer_host_down: node pi-c: probes between the hosts are lost to 1 of 1 peer (pi-d)
            "#]],
        );
        check(
            &["a>b host down", "a>b overlay down", "c>d overlay large"],
            &expect![[r#"
                2 pairs, 2 broken
                Error peer_down: node pi-a: no packet comes back from 1 of 1 peer (pi-b), by the hosts or by the overlay network
                Warning large_packets_lost: node pi-c: large packets are lost to 1 of 1 peer (pi-d), and small ones pass
            "#]],
        );
    }

    #[test]
    fn a_node_that_is_cut_off_is_one_finding() {
        check(
            &[
                "a>b overlay down",
                "a>b host up",
                "c>b overlay down",
                "c>b host up",
                "b>d overlay down",
                "b>d host up",
                "b>e overlay up",
                "a>c overlay down",
                "a>c host up",
            ],
            &expect![[r#"
                5 pairs, 4 broken
                Error overlay_broken: node pi-b: overlay network broken to 3 of 4 peers (pi-a, pi-c, pi-d), and the hosts reach each other
                Error overlay_broken: node pi-a: overlay network broken to 1 of 2 peers (pi-c), and the hosts reach each other
            "#]],
        );
    }
}
