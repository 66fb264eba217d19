//! Keeps the targets of sources across a restart (`--storage.path`).
//!
//! Each source has one file with its last good groups. When a source starts, its file is read
//! during its first refresh. The stored groups are served, with their age, until the source
//! answers. So a restart while an engine is down loses no target.
//!
//! - A source is attached once, when it starts. No source waits for the storage: it watches what
//!   the source publishes, as a job does.
//! - Writes are few, since flash cards wear out. A changed set is written once `Timing::pause` has
//!   passed since the last write. An unchanged set is written rarely, to update its age. When the
//!   program ends, newer sets are written.
//! - A failed write only affects the next restart.
//! - Files are read and written one at a time, on a thread that may hang.

mod folder;
pub mod format;
#[doc(hidden)]
pub mod fuzzing;
mod keeper;
mod key;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use swarmscout_model::Budget;
use swarmscout_net::lane;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::folder::Folder;
use self::keeper::Keeper;
pub use self::key::{Identity, Key};
use crate::config::{BuildContext, SdConfig};
use crate::stats::DiscoveryStats;
use swarmscout_model::CanonicalGroups;
use swarmscout_refresh::supervisor::Supervised;

/// When files are written and removed.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The shortest time between two writes of one source's file.
    pub gap: Duration,
    /// How many bytes a second are written for one source, on average.
    pub bytes_per_second: u64,
    /// How often an unchanged set is written again, to update its age.
    pub confirm: Duration,
    /// The longest pause between two writes, and between two attempts.
    pub longest: Duration,
    /// How long the file system may take for one file.
    pub patience: Duration,
    /// A file without a source is removed this long after its last write.
    pub forget: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            gap: Duration::from_secs(30),
            bytes_per_second: 16 << 10,
            confirm: Duration::from_mins(30),
            longest: Duration::from_mins(30),
            patience: Duration::from_secs(30),
            forget: Duration::from_hours(7 * 24),
        }
    }
}

impl Timing {
    /// The pause after a write of `bytes`.
    fn pause(&self, bytes: u64) -> Duration {
        let pause = Duration::from_secs(bytes / self.bytes_per_second.max(1));
        pause.max(self.gap).min(self.longest)
    }

    /// The pause after this number of failures in a row, at least one.
    fn pause_after(&self, failures: u32) -> Duration {
        self.gap.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.longest)
    }
}

/// When files of removed sources are first searched for, after the start: by then all configured
/// sources run. Later searches follow every [`SWEEP_EVERY`].
const FIRST_SWEEP: Duration = Duration::from_hours(1);

const SWEEP_EVERY: Duration = Duration::from_hours(24);

/// How long the end of the program waits for pending writes.
const FINISH_WITHIN: Duration = Duration::from_secs(1);

/// Keeps the groups of sources. Clones share all.
#[derive(Clone)]
pub struct Storage(Arc<Shared>);

struct Shared {
    path: PathBuf,
    timing: Timing,
    stats: Arc<DiscoveryStats>,
    /// Groups that were read count towards it until the source answers.
    budget: Budget,
    /// Held by the task that uses the file system.
    turn: tokio::sync::Mutex<()>,
    folder: Mutex<Folder>,
    state: Mutex<State>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Default)]
struct State {
    /// How many keepers run for each key.
    keys: BTreeMap<Key, usize>,
    /// Keys of several sources.
    ambiguous: BTreeSet<Key>,
    /// The sources whose file could not be written last.
    failing: BTreeSet<Key>,
    has_sweeper: bool,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").field("path", &self.0.path).finish_non_exhaustive()
    }
}

impl Storage {
    /// A storage in this folder. The first write creates the folder, if its parent exists. Nothing
    /// is read or written yet.
    pub fn new(path: impl Into<PathBuf>, context: &BuildContext) -> Self {
        Self::with_timing(path, context, Timing::default())
    }

    /// Like [`new`](Self::new), with other times, for tests.
    pub fn with_timing(path: impl Into<PathBuf>, context: &BuildContext, timing: Timing) -> Self {
        let path = path.into();
        Self(Arc::new(Shared {
            folder: Mutex::new(Folder::new(path.clone())),
            path,
            timing,
            stats: Arc::clone(&context.stats),
            budget: context.refresh.budget.clone(),
            turn: tokio::sync::Mutex::default(),
            state: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }))
    }

    /// Notes all sources of a configuration. Sources that differ only in secrets have the same key.
    /// None of them is stored: one would get the targets of another.
    pub(crate) fn expect<'a>(&self, sources: impl Iterator<Item = &'a SdConfig>) {
        let mut known = BTreeMap::<Key, &SdConfig>::new();
        let mut ambiguous = BTreeMap::<Key, &SdConfig>::new();
        for source in sources {
            let Some(key) = Key::of(source) else { continue };
            if *known.entry(key).or_insert(source) != source {
                ambiguous.insert(key, source);
            }
        }
        for source in ambiguous.values() {
            tracing::warn!(
                discovery = source.source().mechanism(),
                asked = source.source().describe(),
                "Sources that differ only in secrets are not stored"
            );
        }
        locked(&self.0.state).ambiguous = ambiguous.into_keys().collect();
    }

    /// Restores the stored groups of a source that was just started, and stores what it finds.
    pub(crate) fn attach(&self, config: &SdConfig, running: &Supervised<CanonicalGroups>) {
        let Some(key) = Key::of(config) else { return };
        let Shared { tasks, stop, .. } = &*self.0;
        let mut state = locked(&self.0.state);
        if state.ambiguous.contains(&key) {
            return;
        }
        *state.keys.entry(key).or_default() += 1;
        if !std::mem::replace(&mut state.has_sweeper, true) {
            let storage = self.clone();
            let sweep = async move { storage.sweep_for_ever().await };
            let stop = stop.clone();
            tasks.spawn(async move { stop.run_until_cancelled(sweep).await });
        }
        let keeper = Keeper::new(self.clone(), key, config, running);
        tasks.spawn(keeper.run(running.publisher()));
    }

    /// Writes the sets that are newer than their files, within [`FINISH_WITHIN`]. Call it while the
    /// sources still run. Nothing is stored afterwards.
    pub(crate) async fn finish(&self) {
        let Shared { tasks, stop, .. } = &*self.0;
        stop.cancel();
        tasks.close();
        if timeout(FINISH_WITHIN, tasks.wait()).await.is_err() {
            tracing::warn!("Some targets were not stored in time: older ones remain stored");
        }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.0.path
    }

    /// The counters of state metrics that were stored; `None` if there are none.
    ///
    /// # Errors
    ///
    /// Why they cannot be read.
    pub async fn read_counters(&self) -> Result<Option<Vec<u8>>, String> {
        let read = self.in_folder(|folder| folder.read_counters()).await?;
        read.map_err(|error| error.to_string())
    }

    /// Stores the counters of state metrics in place of earlier ones.
    ///
    /// # Errors
    ///
    /// Why they cannot be written.
    pub async fn write_counters(&self, counters: Arc<[u8]>) -> Result<(), String> {
        let written = self.in_folder(move |folder| folder.replace_counters(&counters)).await;
        let written = written.and_then(|written| written.map_err(|error| error.to_string()));
        self.0.stats.storage.failing_counters.set(u64::from(written.is_err()));
        written
    }

    /// Does `work` in the folder, on a thread of its own, one call at a time.
    async fn in_folder<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Folder) -> T + Send + 'static,
    ) -> Result<T, String> {
        let Shared { path, turn, timing, .. } = &*self.0;
        let _turn = turn.lock().await;
        let shared = Arc::clone(&self.0);
        let work = move || work(&mut locked(&shared.folder));
        let done = lane::read(path, timing.patience, work).await;
        done.map_err(|_| {
            let (path, patience) = (path.display(), timing.patience);
            format!("{path}: not finished within {patience:?}: its file system hangs, or is slow")
        })
    }

    /// Notes the outcome of a write. Logs the first failure, and the end of all failures.
    fn note(&self, key: Key, outcome: Result<(), &str>) {
        let mut state = locked(&self.0.state);
        let before = state.failing.len();
        match outcome {
            Ok(()) => state.failing.remove(&key),
            Err(_) => state.failing.insert(key),
        };
        let now = state.failing.len();
        drop(state);
        let counters = &self.0.stats.storage;
        counters.failing.set(now as u64);
        let folder = self.0.path.display();
        match outcome {
            Ok(()) => {
                counters.writes.add(1);
                if before > 0 && now == 0 {
                    tracing::info!(%folder, "Targets are stored again");
                }
            }
            Err(err) => {
                counters.failures.add(1);
                if before == 0 {
                    tracing::warn!(%folder, err, "Cannot store targets: the next start does without \
                        them until their sources answer");
                }
            }
        }
    }

    /// A keeper has ended.
    fn leave(&self, key: Key) {
        let mut state = locked(&self.0.state);
        if let Some(keepers) = state.keys.get_mut(&key) {
            *keepers -= 1;
            if *keepers == 0 {
                state.keys.remove(&key);
                state.failing.remove(&key);
                self.0.stats.storage.failing.set(state.failing.len() as u64);
            }
        }
    }

    async fn sweep_for_ever(&self) {
        let mut pause = FIRST_SWEEP;
        loop {
            sleep(pause).await;
            pause = SWEEP_EVERY;
            self.sweep(SystemTime::now()).await;
        }
    }

    async fn sweep(&self, now: SystemTime) {
        let keys: BTreeSet<_> = locked(&self.0.state).keys.keys().copied().collect();
        let Some(until) = now.checked_sub(self.0.timing.forget) else { return };
        let swept = self.in_folder(move |folder| folder.sweep(&keys, until)).await;
        let swept = swept.and_then(|swept| swept.map_err(|error| error.to_string()));
        if let Err(err) = swept {
            let folder = self.0.path.display();
            tracing::warn!(%folder, err, "Cannot remove what was stored of sources that are gone");
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
