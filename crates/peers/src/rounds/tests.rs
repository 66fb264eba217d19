use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// A network that loses what the test says.
#[derive(Default)]
struct Network {
    mtu: Cell<Option<usize>>,
    sent: RefCell<Vec<(SocketAddr, Vec<u8>)>>,
    /// Sends of more bytes fail, as where an interface has a smaller MTU.
    longest: Cell<Option<usize>>,
    random: Cell<u8>,
}

impl Link for Network {
    fn mtu(&self, _: IpAddr) -> Option<usize> {
        self.mtu.get()
    }

    fn send(&self, to: SocketAddr, packet: &[u8]) -> io::Result<()> {
        if self.longest.get().is_some_and(|longest| packet.len() > longest) {
            return Err(Errno::MSGSIZE.into());
        }
        self.sent.borrow_mut().push((to, packet.to_vec()));
        Ok(())
    }

    fn random(&self, bytes: &mut [u8]) {
        self.random.set(self.random.get().wrapping_add(1));
        bytes.fill(self.random.get());
    }
}

impl Network {
    fn take(&self) -> Vec<(SocketAddr, Vec<u8>)> {
        self.sent.take()
    }

    fn lengths(&self) -> Vec<usize> {
        self.take().iter().map(|(_, packet)| packet.len()).collect()
    }
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 9466))
}

fn candidate(last: u8) -> Candidate {
    let name = format!("node-{last}");
    Candidate { key: name.clone(), id: format!("id{last}"), label: name, address: address(last) }
}

fn candidates(others: Vec<Candidate>) -> Candidates {
    Candidates { own_key: "own".to_owned(), others }
}

struct Bench {
    network: Network,
    rounds: Rounds,
    now: Instant,
}

impl Bench {
    fn new(others: Vec<Candidate>) -> Self {
        let network = Network::default();
        network.mtu.set(Some(1500));
        let mut rounds = Rounds::new(PeerPath::Host, "id0", "node-0", Timing::DEFAULT, &network);
        let now = Instant::now();
        rounds.set_candidates(candidates(others), now);
        Self { network, rounds, now }
    }

    /// Passes time until something is due, and does it.
    fn step(&mut self) -> Duration {
        let due = self.rounds.deadline().expect("something is due");
        let passed = due.saturating_duration_since(self.now);
        self.now = self.now.max(due);
        self.rounds.advance(self.now, &self.network);
        passed
    }

    /// The answer that a peer gives to a packet.
    fn answer(packet: &[u8], last: u8) -> Vec<u8> {
        let mut packet = packet.to_vec();
        let (id, name) = (format!("id{last}"), format!("node-{last}"));
        wire::answer(&mut packet, Sender { id: &id, name: &name });
        packet
    }

    fn receive(&mut self, mut packet: Vec<u8>, last: u8) {
        self.rounds.receive(&mut packet, address(last), self.now, &self.network);
    }

    fn finding(&self) -> Option<Finding> {
        self.rounds.shown()[0].finding
    }

    fn counts(&self) -> (u64, u64) {
        let shown = self.rounds.shown();
        (shown[0].probes, shown[0].lost)
    }
}

const PROBER: Sender<'_> = Sender { id: "id1", name: "node-1" };

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

#[test]
fn a_peer_that_answers_costs_one_packet_and_one_wakeup_a_round() {
    let mut bench = Bench::new(vec![candidate(1)]);
    assert_eq!(bench.finding(), None);
    for round in 1..4 {
        bench.step();
        let sent = bench.network.take();
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].0, sent[0].1.len()), (address(1), 1472));
        bench.now += 3 * MS;
        bench.receive(Bench::answer(&sent[0].1, 1), 1);
        assert_eq!(bench.finding(), Some(Finding::Full(3 * MS)));
        assert_eq!(bench.counts(), (round, 0));
        assert_eq!(bench.rounds.deadline(), Some(bench.now + 15 * S - 3 * MS));
    }
}

#[test]
fn a_lost_packet_is_sent_again_before_the_peer_counts_as_down() {
    let mut bench = Bench::new(vec![candidate(1)]);
    bench.step();
    assert_eq!(bench.network.lengths(), [1472]);
    assert_eq!(bench.step(), S);
    let second = bench.network.take();
    assert_eq!(second.iter().map(|(_, packet)| packet.len()).collect::<Vec<_>>(), [1472, HEAD]);
    for (_, packet) in second {
        bench.receive(Bench::answer(&packet, 1), 1);
    }
    assert_eq!(bench.finding(), Some(Finding::Full(Duration::ZERO)));
    assert_eq!(bench.step(), 2 * S);
    assert_eq!(bench.counts(), (3, 1));
    assert_eq!(bench.step(), 12 * S);
    assert_eq!(bench.network.lengths(), [1472]);
}

#[test]
fn a_peer_that_answers_nothing_is_down_and_comes_back() {
    let mut bench = Bench::new(vec![candidate(1)]);
    for _ in 0..3 {
        bench.step();
    }
    assert_eq!(bench.finding(), Some(Finding::Down));
    assert_eq!(bench.counts(), (3, 3));
    bench.network.take();
    bench.step();
    let sent = bench.network.take();
    // Until then the state is that of the last round.
    assert_eq!(bench.finding(), Some(Finding::Down));
    bench.receive(Bench::answer(&sent[0].1, 1), 1);
    assert_eq!(bench.finding(), Some(Finding::Full(Duration::ZERO)));
    assert_eq!(bench.counts(), (4, 3));
}

#[test]
fn only_small_packets_that_return_are_a_finding_of_their_own() {
    let mut bench = Bench::new(vec![candidate(1)]);
    bench.step();
    bench.step();
    let sent = bench.network.take();
    bench.now += 5 * MS;
    bench.receive(Bench::answer(&sent[2].1, 1), 1);
    // The full packets may still return.
    assert_eq!(bench.finding(), None);
    bench.step();
    assert_eq!(bench.finding(), Some(Finding::SmallOnly(5 * MS)));
    assert_eq!(bench.counts(), (3, 2));
    // Too late.
    bench.receive(Bench::answer(&sent[1].1, 1), 1);
    assert_eq!(bench.finding(), Some(Finding::SmallOnly(5 * MS)));
}

#[test]
fn a_router_that_reports_a_smaller_mtu_is_not_a_finding_and_not_a_loss() {
    let mut bench = Bench::new(vec![candidate(1)]);
    bench.step();
    assert_eq!(bench.network.lengths(), [1472]);
    bench.network.mtu.set(Some(1400));
    bench.step();
    let sent = bench.network.take();
    assert_eq!(sent[0].1.len(), 1372);
    for (_, packet) in sent {
        bench.receive(Bench::answer(&packet, 1), 1);
    }
    assert_eq!(bench.finding(), Some(Finding::Full(Duration::ZERO)));
    assert_eq!(bench.counts(), (2, 0));
    assert_eq!(bench.rounds.shown()[0].full_bytes, 1400);
}

#[test]
fn the_size_is_that_of_the_path_within_limits() {
    for (to, mtu, length, bytes) in [
        ("192.0.2.1", None, 1472, 1500),
        ("::ffff:192.0.2.1", Some(1450), 1422, 1450),
        ("2001:db8::1", Some(1500), 1452, 1500),
        ("192.0.2.1", Some(68), HEAD, HEAD + 28),
        ("192.0.2.1", Some(65536), LONGEST, 9216),
    ] {
        let network = Network::default();
        network.mtu.set(mtu);
        assert_eq!(full_length(&network, to.parse().unwrap()), (length, bytes), "{to} {mtu:?}");
    }
}

#[test]
fn a_peer_with_a_larger_mtu_is_answered_by_the_head() {
    let mut bench = Bench::new(vec![candidate(1)]);
    let mut probe = vec![3; 8972];
    wire::write_probe(&mut probe, [5; 16], PROBER);
    bench.network.longest.set(Some(1472));
    bench.receive(probe.clone(), 1);
    let sent = bench.network.take();
    assert_eq!((sent.len(), sent[0].0, sent[0].1.len()), (1, address(1), HEAD));
    // That is enough for the peer: its packet came through.
    let mut other = Bench::new(vec![candidate(1)]);
    other.network.mtu.set(Some(9000));
    other.step();
    let answer = Bench::answer(&other.network.take()[0].1, 1);
    other.receive(answer[..HEAD].to_vec(), 1);
    assert_eq!(other.finding(), Some(Finding::Full(Duration::ZERO)));
}

#[test]
fn answers_that_are_not_the_expected_ones_mean_nothing() {
    let mut bench = Bench::new(vec![candidate(1)]);
    bench.step();
    let probe = bench.network.take()[0].1.clone();
    let good = Bench::answer(&probe, 1);
    let mut other_nonce = good.clone();
    other_nonce[12] ^= 1;
    let mut other_padding = good.clone();
    other_padding[1000] ^= 1;
    let mut shorter = good[..1000].to_vec();
    shorter[10..12].copy_from_slice(&1000_u16.to_be_bytes());
    for packet in [other_nonce, other_padding, shorter, Bench::answer(&probe, 2), probe.clone()] {
        bench.receive(packet, 1);
        assert_eq!(bench.finding(), None);
    }
    // From another address, as where a node has several: the nonce proves it.
    bench.receive(good.clone(), 9);
    assert_eq!(bench.finding(), Some(Finding::Full(Duration::ZERO)));
    bench.now += S;
    bench.receive(good, 1);
    assert_eq!(bench.finding(), Some(Finding::Full(Duration::ZERO)));
}

#[test]
fn only_known_addresses_are_answered() {
    let mut bench = Bench::new(vec![candidate(1)]);
    let mut probe = vec![3; 500];
    wire::write_probe(&mut probe, [5; 16], PROBER);
    bench.receive(probe.clone(), 2);
    bench.receive(probe[..499].to_vec(), 1);
    assert!(bench.network.take().is_empty());
    for _ in 0..25 {
        bench.receive(probe.clone(), 1);
    }
    assert_eq!(bench.network.lengths(), [500; 20]);
    assert_eq!(bench.rounds.answers(), 20);
    let refused: Vec<_> = bench.rounds.refused().map(|(_, count)| count).collect();
    assert_eq!(refused, [1, 1, 5]);
}

#[test]
fn nodes_that_come_and_go_leave_no_state() {
    let all: Vec<_> = (1..=5).map(candidate).collect();
    let mut bench = Bench::new(all.clone());
    for _ in 0..3 {
        bench.step();
    }
    assert_eq!(bench.rounds.candidates(), 5);
    let before = bench.rounds.shown();
    assert_eq!(before.len(), 4);
    // One of the four goes, and the fifth takes its place.
    let gone = before[0].label.clone();
    let rest: Vec<_> = all.into_iter().filter(|other| other.label != gone).collect();
    bench.rounds.set_candidates(candidates(rest), bench.now);
    let counts: HashMap<_, _> =
        bench.rounds.shown().into_iter().map(|peer| (peer.label, peer.probes)).collect();
    assert_eq!(counts.len(), 4);
    assert!(!counts.contains_key(&gone));
    assert_eq!(counts.values().filter(|probes| **probes == 3).count(), 3);
    bench.rounds.set_candidates(candidates(Vec::new()), bench.now);
    assert!(bench.rounds.shown().is_empty());
    assert_eq!(bench.rounds.deadline(), None);
}

#[test]
fn a_peer_of_dns_is_named_by_its_answer() {
    let unnamed = |last| Candidate { id: String::new(), label: String::new(), ..candidate(last) };
    let mut bench = Bench::new(vec![unnamed(1), unnamed(2)]);
    bench.step();
    let sent = bench.network.take();
    let labels = |bench: &Bench| {
        let mut labels: Vec<_> = bench.rounds.shown().into_iter().map(|p| p.label).collect();
        labels.sort_unstable();
        labels
    };
    assert_eq!(labels(&bench), ["192.0.2.1", "192.0.2.2"]);
    for (to, packet) in &sent {
        // Both have the same name.
        let mut packet = packet.clone();
        wire::answer(&mut packet, Sender { id: &format!("id-{to}"), name: "node\u{1b}" });
        bench.receive(packet, 1);
    }
    let labels_now = labels(&bench);
    assert_eq!(labels_now[0], "node");
    assert!(labels_now[1].starts_with("node/192.0.2."), "{labels_now:?}");
    // Another node takes one of the addresses.
    bench.step();
    let (to, mut packet) = bench.network.take().swap_remove(0);
    wire::answer(&mut packet, Sender { id: "id-new", name: "new" });
    bench.receive(packet, 1);
    let shown = bench.rounds.shown();
    let new = shown.iter().find(|peer| peer.label == "new").expect("it has the new name");
    assert_eq!((new.probes, new.lost), (0, 0), "{to}");
}

#[test]
fn a_peer_that_probes_and_never_answers_has_the_name_of_its_probes() {
    let unnamed = Candidate { id: String::new(), label: String::new(), ..candidate(1) };
    let mut bench = Bench::new(vec![unnamed, candidate(2)]);
    let label = |bench: &Bench, last| {
        let shown = bench.rounds.shown();
        let mut labels = shown.into_iter().map(|peer| peer.label);
        labels.any(|label| label == last)
    };
    bench.step();
    let sent = bench.network.take();
    let mut probe = vec![3; 500];
    wire::write_probe(&mut probe, [5; 16], Sender { id: "id3", name: "three" });
    // Neither an unknown address nor a peer with a name gives one.
    for (from, expected) in [(9, "192.0.2.1"), (2, "192.0.2.1"), (1, "three")] {
        bench.receive(probe.clone(), from);
        assert!(label(&bench, expected), "{from}");
    }
    // It keeps the first one, until an answer proves another.
    wire::write_probe(&mut probe, [5; 16], Sender { id: "id4", name: "four" });
    bench.receive(probe, 1);
    assert!(label(&bench, "three") && label(&bench, "node-2"));
    let (_, packet) = sent.iter().find(|(to, _)| *to == address(1)).expect("it was probed");
    bench.receive(Bench::answer(packet, 1), 1);
    assert!(label(&bench, "node-1"));
}

proptest! {
    #[test]
    fn no_packet_is_answered_by_a_larger_one(
        mut packet in prop::collection::vec(any::<u8>(), 0..2000),
        kind in 0_u8..4,
        from in 1_u8..4,
        longest in prop::option::of(100_usize..1500),
    ) {
        let mut bench = Bench::new(vec![candidate(1), candidate(2)]);
        bench.network.longest.set(longest);
        if kind < 3 && packet.len() >= HEAD {
            wire::write_probe(&mut packet, [1; 16], PROBER);
            packet[9] = kind;
        }
        let length = packet.len();
        bench.receive(packet, from);
        let sent = bench.network.take();
        prop_assert!(sent.len() <= 1);
        for (to, answer) in sent {
            prop_assert!(answer.len() <= length && from < 3);
            prop_assert_eq!(to, address(from));
        }
    }
}
