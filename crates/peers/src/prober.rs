//! Drives the rounds of one path by socket, clock, list and DNS.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use swarmscout_net::resolve;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, warn};

use crate::list::{Candidates, can_be_a_node};
use crate::rounds::{Rounds, Timing};
use crate::socket::{ProbeSocket, source};
use crate::wire::LONGEST;
use crate::{Error, PeerList, PeerPath, PeerState};

/// musl hands out at most this many addresses of a name, any of them. So beyond it a lookup adds to
/// those before it.
const SYSTEM_LIMIT: usize = 48;

/// How many lookups an address may be missing from then.
const MISSING: u32 = 20;

/// What a prober is made of.
#[derive(Clone, Debug)]
pub struct PeerOptions {
    /// The way of the probes.
    pub path: PeerPath,
    /// ID of this node, as the list has it.
    pub id: String,
    /// Name of this node: answers say it.
    pub name: String,
    /// UDP address to listen on. Peers by DNS are probed at the same port.
    pub listen: SocketAddr,
    /// Name whose addresses are the nodes of the overlay: `tasks.<service>`. Without it, the list has them.
    pub dns_name: Option<String>,
}

/// Probes the peers of this node on one path, and answers those that probe it. Nothing happens before
/// [`PeerProber::run`].
#[derive(Debug)]
pub struct PeerProber {
    options: PeerOptions,
    timing: Timing,
    socket: ProbeSocket,
    port: u16,
    list: watch::Receiver<Arc<PeerList>>,
    rounds: Mutex<Rounds>,
    names: Mutex<Names>,
    /// There are other candidates.
    changed: Notify,
}

/// What DNS said.
#[derive(Debug, Default)]
struct Names {
    /// Each address, with the number of lookups since it was found.
    missing: HashMap<IpAddr, u32>,
    /// The address of this machine among them.
    own: Option<IpAddr>,
    /// Whether the last lookup failed.
    failed: Option<bool>,
}

impl PeerProber {
    /// Listens. `list` has the nodes that there are.
    pub fn listen(
        options: PeerOptions,
        list: watch::Receiver<Arc<PeerList>>,
    ) -> Result<Self, Error> {
        Self::with_timing(options, list, Timing::DEFAULT)
    }

    pub(crate) fn with_timing(
        options: PeerOptions,
        list: watch::Receiver<Arc<PeerList>>,
        timing: Timing,
    ) -> Result<Self, Error> {
        let address = options.listen;
        let failed = |source| Error::Listen { address, source };
        let socket = ProbeSocket::listen(address).map_err(failed)?;
        let port = socket.local_addr().map_err(failed)?.port();
        let rounds = Rounds::new(options.path, &options.id, &options.name, timing, &socket);
        Ok(Self {
            options,
            timing,
            socket,
            port,
            list,
            rounds: Mutex::new(rounds),
            names: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// The port that peers send to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The way of its probes.
    pub fn path(&self) -> PeerPath {
        self.options.path
    }

    /// What the last round found of the peers that are known by the ID of their node.
    pub fn states(&self) -> Vec<(String, PeerState)> {
        self.rounds().states().collect()
    }

    /// Probes and answers until it is dropped.
    pub async fn run(&self) {
        tokio::join!(self.exchange(), self.follow_list(), self.follow_name());
    }

    pub(crate) fn rounds(&self) -> MutexGuard<'_, Rounds> {
        locked(&self.rounds)
    }

    /// Whether the last lookup of the DNS name succeeded; none without a name and before the first.
    pub(crate) fn is_resolved(&self) -> Option<bool> {
        locked(&self.names).failed.map(|failed| !failed)
    }

    /// Sends and receives packets.
    async fn exchange(&self) {
        // One byte more than the longest, so that a longer packet is not taken for it.
        let mut buffer = vec![0; LONGEST + 1];
        loop {
            let deadline = self.rounds().deadline();
            let due = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = due => self.rounds().advance(Instant::now(), &self.socket),
                () = self.changed.notified() => {}
                received = self.socket.receive(&mut buffer) => match received {
                    Ok((length, from)) => self.receive(&mut buffer[..length], from),
                    Err(error) => {
                        debug!(path = %self.options.path, %error, "Cannot receive probes");
                        sleep(Duration::from_secs(1)).await;
                    }
                },
            }
        }
    }

    fn receive(&self, packet: &mut [u8], from: SocketAddr) {
        self.rounds().receive(packet, from, Instant::now(), &self.socket);
    }

    async fn follow_list(&self) {
        let mut list = self.list.clone();
        list.mark_changed();
        while list.changed().await.is_ok() {
            list.mark_unchanged();
            self.apply();
        }
    }

    async fn follow_name(&self) {
        let Some(name) = &self.options.dns_name else { return };
        loop {
            let next = Instant::now() + self.timing.every;
            match resolve(name, self.timing.every / 3).await {
                Ok(addresses) => {
                    if locked(&self.names).set(&addresses) {
                        self.apply();
                    }
                }
                Err(error) => {
                    let before = locked(&self.names).failed.replace(true);
                    if before != Some(true) {
                        warn!(name, %error, "Cannot resolve the peers of the overlay");
                    }
                }
            }
            sleep_until(next).await;
        }
    }

    /// Takes the nodes of list and DNS.
    fn apply(&self) {
        let candidates = self.candidates();
        self.rounds().set_candidates(candidates, Instant::now());
        self.changed.notify_one();
    }

    fn candidates(&self) -> Candidates {
        let PeerOptions { path, id, dns_name, listen, .. } = &self.options;
        let list = self.list.borrow().clone();
        let mut candidates = match (path, dns_name) {
            (PeerPath::Host, _) => list.by_host(id),
            (PeerPath::Overlay, None) => list.by_overlay(id, self.port),
            (PeerPath::Overlay, Some(_)) => {
                let names = locked(&self.names);
                let mut addresses: Vec<_> = names.missing.keys().copied().collect();
                addresses.sort_unstable();
                list.by_dns(id, &addresses, names.own, self.port)
            }
        };
        // A prober that listens on loopback has its peers there.
        let is_local = listen.ip().is_loopback();
        candidates.others.retain(|other| is_local || can_be_a_node(other.address.ip()));
        candidates
    }
}

impl Names {
    /// Takes the addresses of a lookup. Whether anything changed.
    fn set(&mut self, addresses: &[IpAddr]) -> bool {
        self.failed = Some(false);
        let may_miss = if addresses.len() < SYSTEM_LIMIT { 0 } else { MISSING };
        let mut is_changed = false;
        for missing in self.missing.values_mut() {
            *missing += 1;
        }
        for address in addresses {
            is_changed |= self.missing.insert(address.to_canonical(), 0).is_none();
        }
        let count = self.missing.len();
        self.missing.retain(|_, missing| *missing <= may_miss);
        is_changed |= self.missing.len() != count;
        if is_changed {
            let mut all = self.missing.keys().copied();
            let own = all.clone().find(|address| source(*address) == Some(*address));
            self.own = own.or_else(|| all.find_map(source));
        }
        is_changed
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
