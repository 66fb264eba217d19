//! Watches a set of directories, which need not exist yet, for changes.
//!
//! Directories are watched, not files: editors and configuration management replace files, and a
//! mounted secret or config map swaps a symbolic link beside them. An event only means "check
//! again", so nothing is queued. A change that the watch misses is found at the next refresh
//! interval.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::pattern::or_here;
use crate::stats::DiscoveryStats;

/// A file that is being written is read after this time without an event …
const QUIET: Duration = Duration::from_millis(50);

/// … but never later than this after the first event.
const PATIENCE: Duration = Duration::from_secs(1);

/// A watch on directories.
#[derive(Debug)]
pub(in crate::source) struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    /// Directories that cannot be watched, and why, as it was logged.
    unwatched: BTreeMap<PathBuf, String>,
    hints: Hints,
    stats: Arc<DiscoveryStats>,
}

/// Receives the hints of a watch.
#[derive(Clone, Debug, Default)]
pub(in crate::source) struct Hints(Arc<Notify>);

impl Watch {
    pub(in crate::source) fn new(stats: Arc<DiscoveryStats>) -> Self {
        let hints = Hints::default();
        let handler = {
            let (hints, stats) = (hints.clone(), stats.clone());
            move |event: notify::Result<notify::Event>| match event {
                Ok(event) if is_reading(event.kind) => {}
                Ok(_) => hints.0.notify_one(),
                Err(_) => {
                    stats.file_watcher_errors.add(1);
                    hints.0.notify_one();
                }
            }
        };
        let watcher = notify::recommended_watcher(handler).inspect_err(|error| {
            stats.file_watcher_errors.add(1);
            tracing::warn!(err = %error, "Cannot watch files, they are polled only");
        });
        Self {
            watcher: watcher.ok(),
            watched: BTreeSet::new(),
            unwatched: BTreeMap::new(),
            hints,
            stats,
        }
    }

    pub(in crate::source) fn hints(&self) -> Hints {
        self.hints.clone()
    }

    /// Sets the directories to watch. For a missing one, the nearest existing parent is watched.
    /// All watches are renewed: a directory may have been replaced by another of the same name.
    pub(in crate::source) fn set(&mut self, directories: &BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted: BTreeSet<_> = directories.iter().map(|directory| existing(directory)).collect();
        for gone in self.watched.difference(&wanted) {
            // The directory may be gone already, and its watch with it.
            let _ = watcher.unwatch(gone);
        }
        self.watched.clear();
        let mut unwatched = BTreeMap::new();
        for directory in wanted {
            match watcher.watch(&directory, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(directory);
                }
                Err(error) => {
                    let error = error.to_string();
                    if self.unwatched.get(&directory) != Some(&error) {
                        self.stats.file_watcher_errors.add(1);
                        tracing::warn!(
                            directory = %directory.display(),
                            err = error,
                            "Cannot watch a directory, its files are polled only"
                        );
                    }
                    unwatched.insert(directory, error);
                }
            }
        }
        self.unwatched = unwatched;
    }
}

impl Hints {
    /// Resolves when something changed and the burst of changes is over. If it is cancelled, the
    /// burst is forgotten: the caller then refreshes anyway.
    pub(in crate::source) async fn changed(&self) {
        self.0.notified().await;
        let latest = Instant::now() + PATIENCE;
        loop {
            let quiet = (Instant::now() + QUIET).min(latest);
            tokio::select! {
                biased;
                () = sleep_until(quiet) => return,
                () = self.0.notified() => {}
            }
        }
    }
}

/// Our own reading causes events, too.
fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

fn existing(directory: &Path) -> PathBuf {
    let found = directory.ancestors().map(or_here).find(|directory| directory.is_dir());
    found.unwrap_or(Path::new(".")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_one_hint_and_an_endless_one_does_not_starve() {
        let hints = Hints::default();
        let began = Instant::now();
        hints.0.notify_one();
        hints.0.notify_one();
        hints.changed().await;
        assert_eq!(began.elapsed(), QUIET);

        let began = Instant::now();
        let endless = async {
            loop {
                hints.0.notify_one();
                tokio::time::sleep(QUIET / 2).await;
            }
        };
        tokio::select! {
            () = endless => unreachable!("it has no end"),
            () = hints.changed() => {}
        }
        assert_eq!(began.elapsed(), PATIENCE);
    }
}
