//! Keeps the counters of state metrics: what happened is counted each second, and stored if there is a
//! folder for it.

use std::sync::Arc;
use std::time::Duration;

use swarmscout_discovery::storage::Storage;
use swarmscout_state::Exporter;
use swarmscout_swarm::Swarm;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// So much is lost if the process is killed.
const PACE: Duration = Duration::from_secs(1);

/// What could not be stored is tried again after this time.
const RETRY: Duration = Duration::from_secs(30);

/// Takes over what was stored.
pub(crate) async fn restore(exporter: &Exporter, storage: &Storage) {
    let restored = match storage.read_counters().await {
        Ok(None) => return,
        Ok(Some(stored)) => exporter.restore_counters(&stored),
        Err(error) => Err(error),
    };
    if let Err(err) = restored {
        tracing::warn!(
            folder = %storage.folder().display(),
            err,
            "Cannot use the stored counters of state metrics: they begin at 0, and counters.json is \
            replaced; to use a copy of it, put it there while Swarmscout is stopped"
        );
        exporter.store_counters();
    }
}

/// Counts and stores until it is stopped, and then once more.
pub(crate) async fn keep(
    exporter: Arc<Exporter>,
    swarms: watch::Receiver<Arc<[Swarm]>>,
    storage: Option<Storage>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unsaved: Option<Arc<[u8]>> = None;
    let mut failed: Option<Instant> = None;
    let mut ends = false;
    while !ends {
        ends = tokio::select! {
            _ = ticks.tick() => false,
            _ = &mut stopped => true,
        };
        let known: Vec<_> = {
            let swarms = swarms.borrow();
            let whole = swarms.iter().filter(|swarm| swarm.is_whole);
            whole.filter_map(|swarm| swarm.known.borrow().value.clone()).collect()
        };
        let changed = exporter.changed_counters(&known);
        let Some(storage) = &storage else { continue };
        unsaved = changed.map(Arc::from).or(unsaved);
        let Some(counters) = &unsaved else { continue };
        if !ends && failed.is_some_and(|failed| failed.elapsed() < RETRY) {
            continue;
        }
        match storage.write_counters(Arc::clone(counters)).await {
            Ok(()) => {
                unsaved = None;
                if failed.take().is_some() {
                    tracing::info!("Counters of state metrics are stored again");
                }
            }
            Err(err) => {
                if failed.replace(Instant::now()).is_none() {
                    tracing::warn!(err, "Cannot store the counters of state metrics");
                }
            }
        }
    }
}
