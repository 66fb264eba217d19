//! Reads from when to when the certificates of managers are valid.
//!
//! No API of Docker says it. But a manager shows its certificate to each client that connects to the
//! port where managers and workers reach it, before it asks for that of the client.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt as _, stream};
use swarmscout_net::peer_certificate;
use swarmscout_state::{CertificateValidity, Exporter};
use swarmscout_swarm::{Snapshot, Swarm};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How soon a new manager is asked.
const PACE: Duration = Duration::from_secs(2);

/// How long a connection and a handshake may take.
const WITHIN: Duration = Duration::from_secs(5);

/// The most managers that are asked at a time.
const AT_ONCE: usize = 8;

/// A certificate that lasts long is read again after this time.
const OFTEN_ENOUGH: Duration = Duration::from_hours(1);

/// One that ends soon, or could not be read, is read again after this time.
const SOON: Duration = Duration::from_mins(5);

/// Of each Swarm. There are seven, rarely more.
const MOST_MANAGERS: usize = 100;

/// What is known of a manager.
#[derive(Clone, Debug)]
struct Manager {
    /// Where others reach it: `10.0.0.1:2377`.
    address: Arc<str>,
    /// If it could be read once.
    certificate: Option<CertificateValidity>,
    /// When to read it again.
    next: Instant,
}

/// Reads the certificates of all managers, again and again, until it is dropped.
pub(crate) async fn keep(exporter: Arc<Exporter>, swarms: watch::Receiver<Arc<[Swarm]>>) {
    let mut known = Known::default();
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let snapshots: Vec<_> = {
            let swarms = swarms.borrow();
            swarms.iter().filter_map(|swarm| swarm.known.borrow().value.clone()).collect()
        };
        if known.refresh(&snapshots, Instant::now()).await {
            exporter.set_certificates(known.certificates());
        }
    }
}

/// By the ID of the node.
#[derive(Debug, Default)]
struct Known(BTreeMap<Arc<str>, Manager>);

impl Known {
    /// Forgets managers that are gone, and asks those that are due. Returns whether anything changed.
    async fn refresh(&mut self, snapshots: &[Arc<Snapshot>], now: Instant) -> bool {
        let present = managers(snapshots);
        let before = self.0.len();
        self.0.retain(|id, _| present.contains_key(id));
        let has_forgotten = self.0.len() < before;
        for (id, address) in present {
            let new = || Manager { address: Arc::clone(&address), certificate: None, next: now };
            let manager = self.0.entry(id).or_insert_with(new);
            if manager.address != address {
                *manager = Manager { address, next: now, ..manager.clone() };
            }
        }
        let due = self.0.iter().filter(|(_, manager)| manager.next <= now);
        let due: Vec<_> =
            due.map(|(id, manager)| (Arc::clone(id), Arc::clone(&manager.address))).collect();
        let mut answers = stream::iter(due)
            .map(async |(id, address)| (certificate_of(&id, &address).await, id, address))
            .buffer_unordered(AT_ONCE);
        let mut has_read = false;
        while let Some((answer, id, address)) = answers.next().await {
            let Some(manager) = self.0.get_mut(&id) else { continue };
            match answer {
                Ok(certificate) => {
                    has_read = true;
                    manager.certificate = Some(certificate);
                    manager.next = Instant::now() + pause(certificate.ends, seconds_since_1970());
                }
                Err(err) => {
                    manager.next = Instant::now() + SOON;
                    tracing::debug!(node = %id, %address, err, "Cannot read the certificate of a manager");
                }
            }
        }
        has_read || has_forgotten
    }

    fn certificates(&self) -> HashMap<Arc<str>, CertificateValidity> {
        let read = self.0.iter();
        read.filter_map(|(id, manager)| Some((Arc::clone(id), manager.certificate?))).collect()
    }
}

/// The managers of all Swarms, and where others reach them.
fn managers(snapshots: &[Arc<Snapshot>]) -> BTreeMap<Arc<str>, Arc<str>> {
    let mut managers = BTreeMap::new();
    for snapshot in snapshots {
        let of_swarm = snapshot.nodes.objects().filter_map(|node| {
            let address = &node.manager.as_ref()?.address;
            (!address.is_empty()).then(|| (Arc::clone(&node.id), Arc::clone(address)))
        });
        managers.extend(of_swarm.take(MOST_MANAGERS));
    }
    managers
}

/// The certificate of a manager, or why it cannot be read.
async fn certificate_of(node: &str, address: &str) -> Result<CertificateValidity, String> {
    let shown = peer_certificate(address, WITHIN).await.map_err(|error| error.to_string())?;
    if !shown.is_named(node) {
        return Err("the certificate there is that of another node".to_owned());
    }
    let unreadable = || "its validity cannot be read".to_owned();
    let (begins, ends) = shown.validity().ok_or_else(unreadable)?;
    Ok(CertificateValidity { begins, ends })
}

/// The time until a certificate is read again: a tenth of what is left of it.
fn pause(ends: i64, now: i64) -> Duration {
    let left = u64::try_from(ends.saturating_sub(now)).unwrap_or_default();
    Duration::from_secs(left / 10).clamp(SOON, OFTEN_ENOUGH)
}

fn seconds_since_1970() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use swarmscout_docker::engine::{Lists, ManagerStatus, Node};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;

    fn swarm(nodes: &[(&str, Option<SocketAddr>)]) -> [Arc<Snapshot>; 1] {
        let node = |(id, address): &(&str, Option<SocketAddr>)| {
            let manager = address
                .map(|it| ManagerStatus { address: it.to_string().into(), ..Default::default() });
            Arc::new(Node { id: (*id).into(), manager, ..Node::default() })
        };
        let lists = Lists { nodes: nodes.iter().map(node).collect(), ..Lists::default() };
        [Arc::new(Snapshot::from(&lists))]
    }

    #[test]
    fn a_certificate_that_ends_soon_is_read_more_often() {
        for (left, pause_of) in [
            (90 * 86_400, OFTEN_ENOUGH),
            (6 * 3600, Duration::from_mins(36)),
            (60, SOON),
            (-60, SOON),
        ] {
            assert_eq!(pause(1_900_000_000 + left, 1_900_000_000), pause_of, "{left}");
        }
        assert_eq!(pause(i64::MIN, i64::MAX), SOON);
    }

    #[tokio::test]
    async fn a_manager_is_asked_when_it_is_due() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            // Each connection is closed before a handshake.
            for _ in 0..3 {
                listener.accept().await.unwrap();
            }
        });
        let mut known = Known::default();
        let first = swarm(&[("m", Some(address)), ("w", None)]);
        let began = Instant::now();
        assert!(!known.refresh(&first, began).await);
        // Not before its time, but after that.
        assert!(!known.refresh(&first, began + PACE).await);
        let certificate = CertificateValidity { begins: 1_898_553_600, ends: 1_930_089_600 };
        known.0.get_mut("m").unwrap().certificate = Some(certificate);
        assert!(!known.refresh(&first, began + 2 * SOON).await);
        assert_eq!(known.certificates(), HashMap::from([("m".into(), certificate)]));
        // At once at another address: what is known of its certificate stays.
        let [localhost] = swarm(&[("m", Some(SocketAddr::from(([127, 0, 0, 2], 1))))]);
        assert!(!known.refresh(&[localhost], began).await);
        assert_eq!(known.certificates().len(), 1);
        assert!(!known.refresh(&first, began).await);
        accepting.join_next().await.unwrap().unwrap();
        // A node that was a manager.
        assert!(known.refresh(&swarm(&[("m", None)]), began).await);
        assert_eq!(known.certificates(), HashMap::new());
    }
}
