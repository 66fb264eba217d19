//! The folder of the storage: everything that touches the file system. Its calls block, so they run
//! on a thread of their own.
//!
//! - A file is replaced as a whole: the new one is on the disk before it takes the place of the
//!   old. No symbolic link is followed, and no existing file is opened for writing.
//! - Only the process that holds the lock writes or removes files. Reading needs no lock: a new
//!   process reads what the old one wrote last.
//! - Files with other names are left alone.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;
use swarmscout_model::TargetGroup;
use swarmscout_net::disk;

use super::Key;
use super::format::{self, Stored, Unreadable};
use crate::limits::Meter;

/// The process that holds a lock on this file may write.
const LOCK: &str = "lock";

/// The name of a new file until it takes its place. One is enough: files are written one by one.
const TEMPORARY: &str = "new.tmp";

/// The counters of state metrics.
const COUNTERS: &str = "counters.json";

/// The largest file of counters, in bytes: 100,000 services have some 10 MB.
const MOST_COUNTERS: u64 = 32 << 20;

/// The most names of other files that are logged.
const NAMED: usize = 5;

/// The folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// `None` until it could be locked.
    lock: Option<File>,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, lock: None }
    }

    /// Reads the file of a source; `None` if it has no file.
    pub(super) fn read(&self, key: Key, meter: &mut Meter) -> Result<Option<Stored>, Unreadable> {
        let file = match open(&self.path.join(key.file())) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Unreadable::Foreign);
        }
        let stored = format::read(file, metadata.len(), meter)?;
        if stored.key != key {
            return Err(Unreadable::OtherSource);
        }
        Ok(Some(stored))
    }

    /// Replaces the file of a source. Returns its size in bytes. With `sync` it is on the disk when
    /// this returns.
    pub(super) fn replace(
        &mut self,
        key: Key,
        as_of: SystemTime,
        groups: &[Arc<TargetGroup>],
        sync: bool,
    ) -> io::Result<u64> {
        self.enter()?;
        let temporary = self.path.join(TEMPORARY);
        let replace = || {
            let file = disk::create_private(&temporary)?;
            format::write(&file, key, as_of, groups)?;
            if sync {
                file.sync_data()?;
            }
            fs::rename(&temporary, self.path.join(key.file()))?;
            Ok(file.metadata()?.len())
        };
        let replaced = replace();
        if replaced.is_err() {
            // If it cannot be removed, the next write replaces it.
            let _ = fs::remove_file(&temporary);
        }
        replaced
    }

    /// Reads the counters; `None` if none were stored.
    pub(super) fn read_counters(&self) -> io::Result<Option<Vec<u8>>> {
        let file = match open(&self.path.join(COUNTERS)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        // Not read at all, in place of its first 32 MiB.
        check_counters(metadata.len())?;
        disk::whole(file, MOST_COUNTERS).map(Some)
    }

    /// Replaces the counters.
    pub(super) fn replace_counters(&mut self, counters: &[u8]) -> io::Result<()> {
        check_counters(counters.len() as u64)?;
        self.enter()?;
        let temporary = self.path.join(TEMPORARY);
        let replace = || {
            disk::create_private(&temporary)?.write_all(counters)?;
            fs::rename(&temporary, self.path.join(COUNTERS))
        };
        let replaced = replace();
        if replaced.is_err() {
            // If it cannot be removed, the next write replaces it.
            let _ = fs::remove_file(&temporary);
        }
        replaced
    }

    /// Removes the files of sources that are not among `keys`, if they were last written before
    /// `until`.
    pub(super) fn sweep(&mut self, keys: &BTreeSet<Key>, until: SystemTime) -> io::Result<()> {
        self.enter()?;
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let Some(key) = Key::of_file(&entry.file_name().to_string_lossy()) else { continue };
            if keys.contains(&key) {
                continue;
            }
            let metadata = entry.metadata()?;
            if metadata.is_file() && metadata.modified()? < until {
                fs::remove_file(entry.path())?;
                let file = entry.path().display().to_string();
                tracing::info!(file, "Removed what was stored of a source that is gone");
            }
        }
        Ok(())
    }

    /// Makes sure that the folder is there and that no other process writes into it.
    fn enter(&mut self) -> io::Result<()> {
        // A folder that was removed took its lock along.
        let is_linked = |lock: &File| lock.metadata().is_ok_and(|metadata| metadata.nlink() > 0);
        if self.lock.as_ref().is_some_and(is_linked) {
            return Ok(());
        }
        self.lock = None;
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let lock = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
            .open(self.path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other(
                    "another Swarmscout keeps its targets there: give each a folder of its own",
                ));
            }
            Err(TryLockError::Error(error)) => {
                let folder = self.path.display().to_string();
                tracing::warn!(folder, err = %error, "Cannot lock the folder of the storage: see \
                    that no other Swarmscout uses it");
            }
        }
        self.lock = Some(lock);
        self.note_others();
        Ok(())
    }

    /// Logs what does not belong there.
    fn note_others(&self) {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let is_other = |name: &OsString| {
            let name = name.to_string_lossy();
            let ours =
                [LOCK, TEMPORARY, COUNTERS].contains(&&*name) || Key::of_file(&name).is_some();
            // A file system of its own has the last one.
            !ours && !name.starts_with('.') && name != "lost+found"
        };
        let mut others: Vec<_> = entries.map(|entry| entry.file_name()).filter(is_other).collect();
        if others.is_empty() {
            return;
        }
        others.sort();
        let named: Vec<_> = others.iter().take(NAMED).map(|name| name.to_string_lossy()).collect();
        tracing::warn!(
            folder = %self.path.display(),
            files = named.join(", "),
            others = others.len() - named.len(),
            "Files in the folder of the storage are not its own and are left alone"
        );
    }
}

fn check_counters(bytes: u64) -> io::Result<()> {
    if bytes > MOST_COUNTERS {
        let text = format!("{COUNTERS} is larger than {MOST_COUNTERS} bytes");
        return Err(io::Error::other(text));
    }
    Ok(())
}

/// How old a set is that was confirmed at `as_of`. A clock that was set back since then says
/// nothing: the age counts from now.
pub(super) fn age(as_of: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(as_of).unwrap_or_default()
}

/// The file at `path`. Never a link; a pipe is not waited for.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}
