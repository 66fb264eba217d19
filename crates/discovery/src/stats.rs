//! What discovery counts, for the program's own metrics.
//!
//! Only what no [`TargetSet`](swarmscout_model::TargetSet) and no [`JobStatus`](crate::JobStatus)
//! can report stands here: events that belong to no job or to several at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use swarmscout_refresh::stats::{Counter, Gauge, Stats};

/// What is counted of the [storage](crate::storage).
#[derive(Debug, Default)]
pub struct StorageStats {
    /// Files that were written (`swarmscout_storage_writes_total`).
    pub writes: Counter,
    /// Files that could not be written (`swarmscout_storage_write_errors_total`).
    pub failures: Counter,
    /// Sources whose file could not be written the last time
    /// (`swarmscout_storage_failing_sources`).
    pub failing: Gauge,
    /// 1 if the counters of state metrics could not be written the last time
    /// (`swarmscout_storage_failing_counters`).
    pub failing_counters: Gauge,
    /// Sources that were given what was stored (`swarmscout_storage_restored_total`).
    pub restored: Counter,
    /// Files that could not be used (`swarmscout_storage_read_errors_total`).
    pub unreadable: Counter,
}

/// A file, and when it was last modified, in seconds since 1970.
pub type FileTime = (Arc<str>, f64);

/// Everything that is counted for all jobs together, since the program started.
#[derive(Debug, Default)]
pub struct DiscoveryStats {
    /// What supervisors count.
    pub refresh: Arc<Stats>,
    /// Sets handed over because targets changed (`prometheus_sd_updates_total`).
    pub updates: Counter,
    /// Sets that had to wait because the one before was too recent
    /// (`prometheus_sd_updates_delayed_total`).
    pub updates_delayed: Counter,
    /// Sets of targets that exceeded the `target_limit` of their job
    /// (`prometheus_target_scrape_pool_exceeded_target_limit_total`).
    pub limit_exceeded: Counter,
    /// Failed requests of HTTP SD (`prometheus_sd_http_failures_total`).
    pub http_failures: Counter,
    /// Files of file SD that could not be read (`prometheus_sd_file_read_errors_total`).
    pub file_read_errors: Counter,
    /// Failures of the watch on files (`prometheus_sd_file_watcher_errors_total`).
    pub file_watcher_errors: Counter,
    /// Names of the DNS that were looked up (`prometheus_sd_dns_lookups_total`).
    pub dns_lookups: Counter,
    /// Those of them that could not be (`prometheus_sd_dns_lookup_failures_total`).
    pub dns_lookup_failures: Counter,
    /// What is kept over a restart.
    pub storage: StorageStats,
    /// By the source that reads the files.
    file_times: Mutex<BTreeMap<u64, Vec<FileTime>>>,
    file_sources: AtomicU64,
}

impl DiscoveryStats {
    /// All counters at zero; what supervisors count stands in `refresh`.
    pub fn new(refresh: Arc<Stats>) -> Self {
        Self { refresh, ..Self::default() }
    }

    /// When each file of file SD was last modified, sorted by path
    /// (`prometheus_sd_file_mtime_seconds`).
    pub fn file_times(&self) -> Vec<FileTime> {
        let times = self.file_times.lock().unwrap_or_else(PoisonError::into_inner);
        // Several sources may read one file.
        let times: BTreeMap<_, _> = times.values().flatten().cloned().collect();
        times.into_iter().collect()
    }
}

/// The times of the files that one source reads. They are forgotten with it.
#[derive(Debug)]
pub(crate) struct FileTimes {
    stats: Arc<DiscoveryStats>,
    source: u64,
}

impl FileTimes {
    pub(crate) fn new(stats: Arc<DiscoveryStats>) -> Self {
        let source = stats.file_sources.fetch_add(1, Ordering::Relaxed);
        Self { stats, source }
    }

    pub(crate) fn stats(&self) -> &DiscoveryStats {
        &self.stats
    }

    /// Replaces the times of this source.
    pub(crate) fn set(&self, times: impl IntoIterator<Item = FileTime>) {
        let times = times.into_iter().collect();
        let mut all = self.stats.file_times.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(self.source, times);
    }
}

impl Drop for FileTimes {
    fn drop(&mut self) {
        let mut all = self.stats.file_times.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.source);
    }
}
