//! Keeps the counters of state metrics: what happened is counted each second, and stored if there is a
//! folder for it.

use std::sync::Arc;
use std::time::Duration;

use swarmscout_discovery::storage::Storage;
use swarmscout_state::Exporter;
use swarmscout_swarm::Swarm;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// So much is lost if the process is killed.
const PACE: Duration = Duration::from_secs(1);

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

/// Counts and stores until it is dropped.
pub(crate) async fn keep(
    exporter: Arc<Exporter>,
    swarms: watch::Receiver<Arc<[Swarm]>>,
    storage: Option<Storage>,
) {
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        ticks.tick().await;
        let known: Vec<_> = {
            let swarms = swarms.borrow();
            let whole = swarms.iter().filter(|swarm| swarm.is_whole);
            whole.filter_map(|swarm| swarm.known.borrow().value.clone()).collect()
        };
        let Some(counters) = exporter.changed_counters(&known) else { continue };
        let Some(storage) = &storage else { continue };
        match storage.write_counters(counters).await {
            Ok(()) if is_failing => tracing::info!("Counters of state metrics are stored again"),
            Ok(()) => {}
            Err(err) if !is_failing => {
                tracing::warn!(err, "Cannot store the counters of state metrics");
                is_failing = true;
                continue;
            }
            Err(_) => continue,
        }
        is_failing = false;
    }
}
