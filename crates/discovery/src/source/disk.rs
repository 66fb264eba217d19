//! Reads files on a thread of their own, since any of them may hang (NFS).

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use swarmscout_net::lane;

use crate::Error;

/// A reader of files, in a [lane](lane) of its own.
pub(super) struct OffThread<R> {
    /// The name of the lane.
    path: PathBuf,
    /// How long one read may take.
    within: Duration,
    /// Locked while it reads. A lane runs one read at a time.
    reader: Arc<Mutex<R>>,
}

impl<R: Send + 'static> OffThread<R> {
    /// The longest time for a read, whatever the refresh interval.
    pub(super) const PATIENCE: Duration = Duration::from_secs(30);

    /// A reader of `path`, which may stand for several paths.
    pub(super) fn new(path: PathBuf, within: Duration, reader: R) -> Self {
        let within = within.min(Self::PATIENCE);
        Self { path, within, reader: Arc::new(Mutex::new(reader)) }
    }

    /// Runs `read`. The error names a file that hangs.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: fn(&mut R) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let reader = Arc::clone(&self.reader);
        let read = move || read(&mut reader.lock().unwrap_or_else(PoisonError::into_inner));
        lane::read(&self.path, self.within, read).await.unwrap_or_else(|stuck| {
            Err(Error::File { path: stuck.path.display().to_string(), reason: stuck.reason })
        })
    }

    /// The reader, for a test that changes it.
    #[cfg(test)]
    pub(super) fn reader(&self) -> std::sync::MutexGuard<'_, R> {
        self.reader.lock().expect("no reader has panicked")
    }
}

impl<R> fmt::Debug for OffThread<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OffThread").field("path", &self.path).finish_non_exhaustive()
    }
}
