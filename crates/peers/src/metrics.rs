//! Writes the state at the moment of a scrape.

use swarmscout_exposition::Writer;

use crate::PeerProber;
use crate::known::Refusal;
use crate::rounds::{Finding, Shown};

/// Appends the metrics of all paths. A peer that has left has none.
pub fn write_peer_metrics<'p>(out: &mut Writer, probers: impl IntoIterator<Item = &'p PeerProber>) {
    let paths: Vec<_> = probers.into_iter().map(Path::of).collect();
    write(out, &paths);
}

/// One path at one moment.
struct Path {
    name: &'static str,
    candidates: usize,
    is_resolved: Option<bool>,
    answers: u64,
    refused: Vec<(Refusal, u64)>,
    peers: Vec<Shown>,
}

impl Path {
    fn of(prober: &PeerProber) -> Self {
        let is_resolved = prober.is_resolved();
        let rounds = prober.rounds();
        Self {
            name: rounds.path.name(),
            candidates: rounds.candidates(),
            is_resolved,
            answers: rounds.answers(),
            refused: rounds.refused().collect(),
            peers: rounds.shown(),
        }
    }
}

fn write(out: &mut Writer, paths: &[Path]) {
    let of_path = |path: &'_ Path| [("path", path.name)];
    out.gauge(
        "swarmscout_peer_up",
        "Whether the peer answered in the last round of probes",
        peers(paths, |peer| peer.finding.map(|finding| flag(finding != Finding::Down))),
    );
    out.gauge(
        "swarmscout_peer_mtu_ok",
        "Whether the peer answered a packet as large as the path should take; absent if it answered none",
        peers(paths, |peer| match peer.finding? {
            Finding::Full(_) => Some(1.0),
            Finding::SmallOnly(_) => Some(0.0),
            Finding::Down => None,
        }),
    );
    out.gauge(
        "swarmscout_peer_full_packet_bytes",
        "Size of the largest packets that are sent to the peer, with their IP header",
        peers(paths, |peer| (peer.full_bytes > 0).then_some(peer.full_bytes as f64)),
    );
    out.gauge(
        "swarmscout_peer_round_trip_seconds",
        "Time from the last answered probe to its answer; absent if the peer does not answer",
        peers(paths, |peer| match peer.finding? {
            Finding::Full(time) | Finding::SmallOnly(time) => Some(time.as_secs_f64()),
            Finding::Down => None,
        }),
    );
    out.counter(
        "swarmscout_peer_probes",
        "Number of packets sent to the peer",
        peers(paths, |peer| Some(peer.probes)),
    );
    out.counter(
        "swarmscout_peer_lost",
        "Number of packets that the peer did not answer within 3 seconds",
        peers(paths, |peer| Some(peer.lost)),
    );
    out.gauge(
        "swarmscout_peer_candidates",
        "Number of other nodes that could be probed",
        paths.iter().map(|path| (of_path(path), path.candidates as f64)),
    );
    out.gauge(
        "swarmscout_peer_name_resolved",
        "Whether the last lookup of the DNS name of the overlay's peers succeeded",
        paths.iter().filter_map(|path| Some((of_path(path), flag(path.is_resolved?)))),
    );
    out.counter(
        "swarmscout_peer_answers",
        "Number of probes of other nodes that were answered",
        paths.iter().map(|path| (of_path(path), path.answers)),
    );
    out.counter(
        "swarmscout_peer_refused",
        "Number of received packets that were not answered, by the reason",
        paths.iter().flat_map(|path| {
            let refused = path.refused.iter();
            refused
                .map(|(reason, count)| ([("path", path.name), ("reason", reason.name())], *count))
        }),
    );
}

/// The labels of each peer with its value, where it has one.
fn peers<'p, T>(
    paths: &'p [Path],
    value: impl Fn(&Shown) -> Option<T> + Copy + 'p,
) -> impl Iterator<Item = ([(&'p str, &'p str); 2], T)> + 'p {
    paths.iter().flat_map(move |path| {
        let peers = path.peers.iter();
        peers.filter_map(move |peer| {
            Some(([("peer", peer.label.as_str()), ("path", path.name)], value(peer)?))
        })
    })
}

fn flag(is_set: bool) -> f64 {
    f64::from(u8::from(is_set))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::expect;
    use swarmscout_exposition::Format;

    use super::*;

    fn peer(label: &str, finding: Option<Finding>) -> Shown {
        let full_bytes = if finding.is_some() { 1500 } else { 0 };
        Shown { label: label.to_owned(), full_bytes, probes: 7, lost: 2, finding }
    }

    fn written(paths: &[Path]) -> String {
        let mut out = Writer::new(Format::Text);
        write(&mut out, paths);
        out.finish()
    }

    #[test]
    fn writes_what_is_known_of_each_peer() {
        let time = Duration::from_micros(1500);
        let host = Path {
            name: "host",
            candidates: 12,
            is_resolved: None,
            answers: 3,
            refused: Refusal::ALL.into_iter().zip(1..).collect(),
            peers: vec![
                peer("worker-1", Some(Finding::Full(time))),
                peer("worker-2", Some(Finding::SmallOnly(time))),
                peer("worker-3", Some(Finding::Down)),
                peer("worker-4", None),
            ],
        };
        let overlay = Path {
            name: "overlay",
            candidates: 0,
            is_resolved: Some(true),
            answers: 0,
            refused: Vec::new(),
            peers: Vec::new(),
        };
        expect![[r##"
            # HELP swarmscout_peer_up Whether the peer answered in the last round of probes
            # TYPE swarmscout_peer_up gauge
            swarmscout_peer_up{peer="worker-1",path="host"} 1.0
            swarmscout_peer_up{peer="worker-2",path="host"} 1.0
            swarmscout_peer_up{peer="worker-3",path="host"} 0.0
            # HELP swarmscout_peer_mtu_ok Whether the peer answered a packet as large as the path should take; absent if it answered none
            # TYPE swarmscout_peer_mtu_ok gauge
            swarmscout_peer_mtu_ok{peer="worker-1",path="host"} 1.0
            swarmscout_peer_mtu_ok{peer="worker-2",path="host"} 0.0
            # HELP swarmscout_peer_full_packet_bytes Size of the largest packets that are sent to the peer, with their IP header
            # TYPE swarmscout_peer_full_packet_bytes gauge
            swarmscout_peer_full_packet_bytes{peer="worker-1",path="host"} 1500.0
            swarmscout_peer_full_packet_bytes{peer="worker-2",path="host"} 1500.0
            swarmscout_peer_full_packet_bytes{peer="worker-3",path="host"} 1500.0
            # HELP swarmscout_peer_round_trip_seconds Time from the last answered probe to its answer; absent if the peer does not answer
            # TYPE swarmscout_peer_round_trip_seconds gauge
            swarmscout_peer_round_trip_seconds{peer="worker-1",path="host"} 0.0015
            swarmscout_peer_round_trip_seconds{peer="worker-2",path="host"} 0.0015
            # HELP swarmscout_peer_probes_total Number of packets sent to the peer
            # TYPE swarmscout_peer_probes_total counter
            swarmscout_peer_probes_total{peer="worker-1",path="host"} 7
            swarmscout_peer_probes_total{peer="worker-2",path="host"} 7
            swarmscout_peer_probes_total{peer="worker-3",path="host"} 7
            swarmscout_peer_probes_total{peer="worker-4",path="host"} 7
            # HELP swarmscout_peer_lost_total Number of packets that the peer did not answer within 3 seconds
            # TYPE swarmscout_peer_lost_total counter
            swarmscout_peer_lost_total{peer="worker-1",path="host"} 2
            swarmscout_peer_lost_total{peer="worker-2",path="host"} 2
            swarmscout_peer_lost_total{peer="worker-3",path="host"} 2
            swarmscout_peer_lost_total{peer="worker-4",path="host"} 2
            # HELP swarmscout_peer_candidates Number of other nodes that could be probed
            # TYPE swarmscout_peer_candidates gauge
            swarmscout_peer_candidates{path="host"} 12.0
            swarmscout_peer_candidates{path="overlay"} 0.0
            # HELP swarmscout_peer_name_resolved Whether the last lookup of the DNS name of the overlay's peers succeeded
            # TYPE swarmscout_peer_name_resolved gauge
            swarmscout_peer_name_resolved{path="overlay"} 1.0
            # HELP swarmscout_peer_answers_total Number of probes of other nodes that were answered
            # TYPE swarmscout_peer_answers_total counter
            swarmscout_peer_answers_total{path="host"} 3
            swarmscout_peer_answers_total{path="overlay"} 0
            # HELP swarmscout_peer_refused_total Number of received packets that were not answered, by the reason
            # TYPE swarmscout_peer_refused_total counter
            swarmscout_peer_refused_total{path="host",reason="malformed"} 1
            swarmscout_peer_refused_total{path="host",reason="unknown_address"} 2
            swarmscout_peer_refused_total{path="host",reason="rate_limit"} 3
        "##]]
        .assert_eq(&written(&[host, overlay]));
        assert_eq!(written(&[]), "");
    }

    #[test]
    fn every_metric_is_documented() {
        let docs = include_str!("../../../docs/peers.md");
        let one = Path {
            name: "host",
            candidates: 1,
            is_resolved: Some(false),
            answers: 0,
            refused: vec![(Refusal::Unknown, 0)],
            peers: vec![peer("a", Some(Finding::Full(Duration::ZERO)))],
        };
        let text = written(&[one]);
        let families: Vec<_> = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")).collect();
        assert_eq!(families.len(), 10);
        for family in families {
            let name = family.split(' ').next().unwrap();
            assert!(docs.contains(&format!("\n| `{name}` |")), "{name} is not in docs/peers.md");
        }
    }
}
