//! What to send, and what an answer means. No clock and no socket: both are passed in.
//!
//! A round has at most two steps:
//!
//! 1. A full packet goes to each peer.
//! 2. A peer that has not answered gets another full packet and a small one. If only the small one is
//!    answered, large packets are lost on the way.
//!
//! The size of a full packet is the MTU that the kernel knows for the path. A router that reports a
//! smaller one costs no finding: the second packet has the new size, and the first does not count.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustix::io::Errno;
use tokio::time::Instant;
use tracing::{debug, info};

use crate::known::{Known, Refusal};
use crate::list::{Candidate, Candidates};
use crate::ring::successors;
use crate::wire::{self, Answer, HEAD, LONGEST, Nonce, Packet, Sender, clean};
use crate::{PeerPath, PeerState};

/// Of a path whose MTU is not known: that of Ethernet.
const DEFAULT_MTU: usize = 1500;

/// What rounds need of the machine.
pub(crate) trait Link {
    /// The MTU of the path to an address, as far as the kernel knows.
    fn mtu(&self, to: IpAddr) -> Option<usize>;
    /// Sends a packet at once, never in fragments.
    fn send(&self, to: SocketAddr, packet: &[u8]) -> io::Result<()>;
    /// Fills with bytes that cannot be guessed.
    fn random(&self, bytes: &mut [u8]);
}

/// When things happen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// From one round to the next.
    pub(crate) every: Duration,
    /// From the first packets of a round to the second ones.
    pub(crate) retry: Duration,
    /// From the first packets of a round to its end. Later answers do not count.
    pub(crate) end: Duration,
}

impl Timing {
    pub(crate) const DEFAULT: Self = Self {
        every: Duration::from_secs(15),
        retry: Duration::from_secs(1),
        end: Duration::from_secs(3),
    };
}

/// All state of one path.
#[derive(Debug)]
pub(crate) struct Rounds {
    pub(crate) path: PeerPath,
    id: String,
    name: String,
    timing: Timing,
    known: Known,
    peers: Vec<Peer>,
    /// How many nodes could be probed.
    candidates: usize,
    round: Option<Round>,
    next: Option<Instant>,
    /// Where packets are made. What follows the head is random, so that no tunnel compresses it.
    packet: Box<[u8]>,
    answers: u64,
    refused: [u64; Refusal::ALL.len()],
}

#[derive(Debug)]
struct Round {
    started: Instant,
    is_retried: bool,
}

/// A node that is probed.
#[derive(Debug)]
struct Peer {
    candidate: Candidate,
    /// What it said of itself, where the candidate has no name.
    learned: Option<Learned>,
    /// Of this round.
    sent: Vec<Sent>,
    /// Length of its full packets with the IP header.
    full_bytes: usize,
    probes: u64,
    lost: u64,
    finding: Option<Finding>,
}

#[derive(Debug)]
struct Learned {
    id: String,
    label: String,
    /// An answer proves that the address is that of the node, a probe does not.
    is_proven: bool,
}

#[derive(Debug)]
struct Sent {
    nonce: Nonce,
    length: usize,
    is_full: bool,
    at: Instant,
    round_trip: Option<Duration>,
    /// A router reported that the path takes less: neither lost nor a finding.
    is_void: bool,
}

/// What the last round found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Finding {
    /// A full packet came back.
    Full(Duration),
    /// Only a small packet came back.
    SmallOnly(Duration),
    /// No packet came back.
    Down,
}

/// One peer as metrics show it.
#[derive(Debug, PartialEq)]
pub(crate) struct Shown {
    pub(crate) label: String,
    pub(crate) full_bytes: usize,
    pub(crate) probes: u64,
    pub(crate) lost: u64,
    pub(crate) finding: Option<Finding>,
}

/// The length of a full packet without IP and UDP headers, and with them.
fn full_length(link: &impl Link, to: IpAddr) -> (usize, usize) {
    let headers = if to.to_canonical().is_ipv4() { 28 } else { 48 };
    let mtu = link.mtu(to).unwrap_or(DEFAULT_MTU);
    let length = mtu.saturating_sub(headers).clamp(HEAD, LONGEST);
    (length, length + headers)
}

impl Rounds {
    pub(crate) fn new(
        path: PeerPath,
        id: &str,
        name: &str,
        timing: Timing,
        link: &impl Link,
    ) -> Self {
        let mut packet = vec![0; LONGEST].into_boxed_slice();
        link.random(&mut packet);
        Self {
            path,
            id: clean(id),
            name: clean(name),
            timing,
            known: Known::default(),
            peers: Vec::new(),
            candidates: 0,
            round: None,
            next: None,
            packet,
            answers: 0,
            refused: [0; Refusal::ALL.len()],
        }
    }

    /// Replaces the nodes that there are. Those that stay peers keep their state.
    pub(crate) fn set_candidates(&mut self, candidates: Candidates, now: Instant) {
        let Candidates { own_key, others } = candidates;
        self.known.set(others.iter().map(|other| other.address.ip()), now);
        self.candidates = others.len();
        let keys: Vec<_> = others.iter().map(|other| other.key.as_str()).collect();
        let chosen = successors(&own_key, &keys);
        let mut before = std::mem::take(&mut self.peers);
        for index in chosen {
            let candidate = others[index].clone();
            let same = before.iter().position(|peer| peer.candidate.is_same_node(&candidate));
            let peer = match same {
                Some(at) => Peer { candidate, ..before.swap_remove(at) },
                None => Peer::new(candidate),
            };
            self.peers.push(peer);
        }
        if self.peers.is_empty() {
            (self.round, self.next) = (None, None);
        } else if self.next.is_none() {
            self.next = Some(now);
        }
    }

    /// When [`Self::advance`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let step = self.round.as_ref().map(|round| {
            let Timing { retry, end, .. } = self.timing;
            round.started + if round.is_retried { end } else { retry }
        });
        step.into_iter().chain(self.next).min()
    }

    /// Does what is due.
    pub(crate) fn advance(&mut self, now: Instant, link: &impl Link) {
        if let Some(round) = &mut self.round {
            let started = round.started;
            if !round.is_retried && now >= started + self.timing.retry {
                round.is_retried = true;
                self.retry(now, link);
            }
            if now >= started + self.timing.end {
                self.close();
            }
        }
        if self.next.is_some_and(|next| now >= next) {
            self.close();
            let own = Sender { id: &self.id, name: &self.name };
            for peer in &mut self.peers {
                let (length, bytes) = full_length(link, peer.candidate.address.ip());
                peer.full_bytes = bytes;
                peer.send(&mut self.packet[..length], true, own, now, link);
            }
            self.round = Some(Round { started: now, is_retried: false });
            self.next = Some(now + self.timing.every);
        }
    }

    fn retry(&mut self, now: Instant, link: &impl Link) {
        let own = Sender { id: &self.id, name: &self.name };
        for peer in &mut self.peers {
            let Some(first) = peer.sent.first_mut().filter(|first| first.round_trip.is_none())
            else {
                continue;
            };
            let (length, bytes) = full_length(link, peer.candidate.address.ip());
            first.is_void = length < first.length;
            peer.full_bytes = bytes;
            peer.send(&mut self.packet[..length], true, own, now, link);
            if length > HEAD {
                peer.send(&mut self.packet[..HEAD], false, own, now, link);
            }
        }
    }

    /// Ends the round: what has not come back is lost.
    fn close(&mut self) {
        if self.round.take().is_none() {
            return;
        }
        for peer in &mut self.peers {
            let mut sent = std::mem::take(&mut peer.sent);
            if sent.is_empty() {
                continue;
            }
            let small = sent.iter().find(|sent| !sent.is_full).and_then(|sent| sent.round_trip);
            let is_full = sent.iter().any(|sent| sent.is_full && sent.round_trip.is_some());
            sent.retain(|sent| !sent.is_void);
            peer.probes += sent.len() as u64;
            peer.lost += sent.iter().filter(|sent| sent.round_trip.is_none()).count() as u64;
            if !is_full {
                peer.conclude(self.path, small.map_or(Finding::Down, Finding::SmallOnly));
            }
        }
    }

    /// Takes a packet: answers a probe, and notes an answer. `packet` is overwritten.
    pub(crate) fn receive(
        &mut self,
        packet: &mut [u8],
        from: SocketAddr,
        now: Instant,
        link: &impl Link,
    ) {
        let refusal = match wire::read(packet) {
            Some(Packet::Probe(sender)) => match self.known.admit(from.ip(), now) {
                Ok(()) => {
                    self.probed(sender, from.ip());
                    return self.answer(packet, from, link);
                }
                Err(refusal) => refusal,
            },
            Some(Packet::Answer(answer)) => return self.answered(&answer, now),
            None => Refusal::Malformed,
        };
        debug!(path = %self.path, %from, reason = refusal.name(), "Refused a probe");
        self.refused[refusal as usize] += 1;
    }

    /// Takes the name of a peer that never answered: packets may pass in one direction only.
    fn probed(&mut self, sender: Sender<'_>, from: IpAddr) {
        let from = from.to_canonical();
        let peer = self.peers.iter_mut().find(|peer| {
            let is_unnamed = peer.candidate.label.is_empty() && peer.learned.is_none();
            is_unnamed && peer.candidate.address.ip().to_canonical() == from
        });
        if let Some(peer) = peer {
            peer.learn(sender, false);
        }
    }

    fn answer(&mut self, packet: &mut [u8], to: SocketAddr, link: &impl Link) {
        wire::answer(packet, Sender { id: &self.id, name: &self.name });
        let mut sent = link.send(to, packet);
        let is_too_large =
            |error: &io::Error| error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error());
        if sent.as_ref().is_err_and(is_too_large) {
            // The probe came through: the peer has a larger MTU than this way back.
            sent = link.send(to, &packet[..HEAD]);
        }
        match sent {
            Ok(()) => self.answers += 1,
            Err(error) => debug!(path = %self.path, %to, %error, "Cannot answer a probe"),
        }
    }

    fn answered(&mut self, answer: &Answer<'_>, now: Instant) {
        let with_nonce = self.peers.iter_mut().find_map(|peer| {
            let at = peer.sent.iter().position(|sent| sent.nonce == answer.nonce)?;
            Some((peer, at))
        });
        let Some((peer, at)) = with_nonce else { return };
        let sent = &mut peer.sent[at];
        let is_whole = answer.length == sent.length
            && (answer.padding.is_empty() || answer.padding == &self.packet[HEAD..sent.length]);
        if !is_whole || sent.round_trip.is_some() {
            return;
        }
        let id = clean(answer.sender.id);
        let is_expected = peer.candidate.id.is_empty() || id.is_empty() || peer.candidate.id == id;
        if !is_expected {
            debug!(path = %self.path, peer = peer.label(), id, "Another node answered");
            return;
        }
        let round_trip = now.saturating_duration_since(sent.at);
        sent.round_trip = Some(round_trip);
        let is_full = sent.is_full;
        if peer.candidate.label.is_empty() {
            peer.learn(answer.sender, true);
        }
        if is_full {
            peer.conclude(self.path, Finding::Full(round_trip));
        }
        let mut sent = self.peers.iter().flat_map(|peer| &peer.sent);
        if sent.all(|sent| sent.round_trip.is_some() || sent.is_void) {
            self.close();
        }
    }

    /// The peers, each with a label of its own.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let mut all: Vec<Shown> = Vec::with_capacity(self.peers.len());
        for peer in &self.peers {
            let mut label = peer.label();
            if all.iter().any(|other| other.label == label) {
                label = format!("{label}/{}", peer.candidate.address.ip());
            }
            all.push(Shown {
                label,
                full_bytes: peer.full_bytes,
                probes: peer.probes,
                lost: peer.lost,
                finding: peer.finding,
            });
        }
        all
    }

    /// The peers whose node is known by its ID, and what the last round found.
    pub(crate) fn states(&self) -> impl Iterator<Item = (String, PeerState)> {
        self.peers.iter().filter_map(|peer| {
            let learned = peer.learned.as_ref().map(|learned| &learned.id);
            let id = Some(&peer.candidate.id).filter(|id| !id.is_empty()).or(learned)?;
            Some((id.clone(), peer.finding?.state()))
        })
    }

    pub(crate) fn candidates(&self) -> usize {
        self.candidates
    }

    /// How many probes were answered.
    pub(crate) fn answers(&self) -> u64 {
        self.answers
    }

    /// How many packets were refused, by the reason.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (Refusal, u64)> {
        Refusal::ALL.into_iter().zip(self.refused)
    }
}

impl Candidate {
    fn is_same_node(&self, other: &Self) -> bool {
        let ids = [&self.id, &other.id];
        self.address == other.address && (ids[0] == ids[1] || ids.into_iter().any(String::is_empty))
    }
}

impl Peer {
    fn new(candidate: Candidate) -> Self {
        Self {
            candidate,
            learned: None,
            sent: Vec::new(),
            full_bytes: 0,
            probes: 0,
            lost: 0,
            finding: None,
        }
    }

    fn label(&self) -> String {
        match &self.learned {
            _ if !self.candidate.label.is_empty() => self.candidate.label.clone(),
            Some(learned) => learned.label.clone(),
            None => self.candidate.address.ip().to_string(),
        }
    }

    /// Takes the name of an address. Another node at the same address starts from zero.
    fn learn(&mut self, sender: Sender<'_>, is_proven: bool) {
        let (id, name) = (clean(sender.id), clean(sender.name));
        let is_another =
            self.learned.as_ref().is_some_and(|before| before.is_proven && before.id != id);
        if is_another {
            (self.probes, self.lost, self.finding) = (0, 0, None);
        }
        let label = if name.is_empty() { id.clone() } else { name };
        self.learned = (!label.is_empty()).then_some(Learned { id, label, is_proven });
    }

    fn send(
        &mut self,
        packet: &mut [u8],
        is_full: bool,
        own: Sender<'_>,
        at: Instant,
        link: &impl Link,
    ) {
        let mut nonce = Nonce::default();
        link.random(&mut nonce);
        wire::write_probe(packet, nonce, own);
        let (to, length) = (self.candidate.address, packet.len());
        // A packet that cannot be sent is one without an answer.
        if let Err(error) = link.send(to, packet) {
            debug!(%to, length, %error, "Cannot send a probe");
        }
        self.sent.push(Sent { nonce, length, is_full, at, round_trip: None, is_void: false });
    }

    fn conclude(&mut self, path: PeerPath, finding: Finding) {
        let said = self.finding.map_or(Ok(()), Finding::fault);
        self.finding = Some(finding);
        let now = finding.fault();
        if now == said {
            return;
        }
        let (peer, bytes) = (self.label(), self.full_bytes);
        match now {
            Ok(()) => info!(%path, peer, bytes, "Peer answers again"),
            Err(fault) => info!(%path, peer, bytes, fault, "Peer does not answer"),
        }
    }
}

impl Finding {
    const fn state(self) -> PeerState {
        match self {
            Self::Full(_) => PeerState::Up,
            Self::SmallOnly(_) => PeerState::LargeLost,
            Self::Down => PeerState::Down,
        }
    }

    const fn fault(self) -> Result<(), &'static str> {
        match self {
            Self::Full(_) => Ok(()),
            Self::SmallOnly(_) => Err("large packets are lost"),
            Self::Down => Err("no packet comes back"),
        }
    }
}

#[cfg(test)]
mod tests;
