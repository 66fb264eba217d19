//! The probes of the network to other nodes: between their addresses once a manager has said who they
//! are, and over an overlay network if there is one.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use swarmscout_node_tasks::{LinkState, NodeIdentity, PathReport, PeerReport, TaskFeed};
use swarmscout_peers::{PeerList, PeerOptions, PeerPath, PeerProber, PeerState};
use tokio::sync::watch;
use tokio::time::sleep;

/// What Docker's DNS puts before the name of a service for the addresses of all its tasks.
const ALL_TASKS: &str = "tasks.";

/// How often managers may learn of what changes: once a round of probes.
const REPORT_EVERY: Duration = Duration::from_secs(15);

/// Those that run. A prober is there as soon as this node is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Probes(Arc<[OnceLock<PeerProber>; 2]>);

impl Probes {
    /// For metrics.
    pub(super) fn running(&self) -> impl Iterator<Item = &PeerProber> {
        self.0.iter().filter_map(OnceLock::get)
    }

    /// Reports what the probes find, for ever.
    pub(super) async fn report(self, report: watch::Sender<Arc<PeerReport>>) {
        loop {
            sleep(REPORT_EVERY).await;
            let found = self.found();
            report.send_if_modified(|known| {
                let differs = **known != found;
                if differs {
                    *known = Arc::new(found);
                }
                differs
            });
        }
    }

    fn found(&self) -> PeerReport {
        let mut found = PeerReport::default();
        for prober in self.running() {
            let peers = prober.states().into_iter().map(|(id, state)| (id, link_state(state)));
            let of_path = Some(PathReport::new(peers));
            match prober.path() {
                PeerPath::Host => found.host = of_path,
                PeerPath::Overlay => found.overlay = of_path,
            }
        }
        found
    }

    /// Probes between addresses of nodes, for ever. The socket is that of the same port over UDP.
    pub(super) async fn by_host(
        self,
        port: u16,
        mut feed: TaskFeed,
        peers: watch::Receiver<Arc<PeerList>>,
    ) {
        let known = feed.wait_for(|followed| followed.tasks.is_some()).await;
        let node = known.ok().and_then(|followed| Some(followed.tasks.as_ref()?.node.clone()));
        let Some(NodeIdentity { id, name, .. }) = node else { return };
        let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let options = PeerOptions { path: PeerPath::Host, id, name, listen, dns_name: None };
        match PeerProber::listen(options, peers) {
            Ok(prober) => self.0[0].get_or_init(|| prober).run().await,
            Err(error) => tracing::error!(%error, "Other nodes are not probed"),
        }
    }

    /// Listens for probes over the overlay network that the tasks of this service share.
    pub(super) fn over_overlay(
        &self,
        port: u16,
        service: &str,
        id: String,
        name: String,
    ) -> anyhow::Result<impl Future<Output = ()> + use<>> {
        let service = service.strip_prefix(ALL_TASKS).unwrap_or(service);
        let options = PeerOptions {
            path: PeerPath::Overlay,
            id,
            name,
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            dns_name: Some(format!("{ALL_TASKS}{service}")),
        };
        let (_, no_list) = watch::channel(Arc::default());
        let prober = PeerProber::listen(options, no_list).context("cannot use --peers.overlay")?;
        let all = self.clone();
        Ok(async move { all.0[1].get_or_init(|| prober).run().await })
    }
}

const fn link_state(state: PeerState) -> LinkState {
    match state {
        PeerState::Up => LinkState::Up,
        PeerState::LargeLost => LinkState::LargeLost,
        PeerState::Down => LinkState::Down,
    }
}
