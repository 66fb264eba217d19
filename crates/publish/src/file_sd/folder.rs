//! The folder of file SD: everything that touches the file system. Its calls block, so they run on
//! a thread of their own.
//!
//! Only our own files are touched. The file `.swarmscout` in the folder lists their names. A name
//! is added before its file is created, so every file of ours is listed, and a file that is not
//! listed belongs to somebody else.
//!
//! A running Swarmscout holds a lock on the list. So two of them never take each other's files for
//! those of removed jobs. A name is removed from the list when both its file and its job are gone.
//! For that the list is replaced as a whole, by one that is already locked.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::fs::OFlags;
use swarmscout_model::SetGroup;
use swarmscout_net::disk;
use tokio_util::sync::CancellationToken;

use super::{Options, Removed};
use crate::list::{EMPTY, Rendered};

/// The name of the list. Prometheus reads no file with such a name, whatever its pattern.
const LIST: &str = ".swarmscout";

/// The first line of the list.
const LIST_HEAD: &str =
    "# The files in this folder that Swarmscout writes. Others are left alone.\n";

/// The largest list, in bytes: some 250,000 names of maximum length.
const MAX_LIST: u64 = 64 << 20;

/// The list is rewritten once it has at least this many more names than there are files.
const STALE: usize = 1000;

/// How many bytes are read or written at once.
const CHUNK: usize = 64 << 10;

/// The folder, and our files in it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    mode: u32,
    removed: Removed,
    /// `None` until it could be entered.
    entered: Option<Entered>,
    /// A test that holds this lock makes the file system hang.
    #[cfg(test)]
    pub(super) hang: Arc<tokio::sync::Mutex<()>>,
}

/// The state of a folder that exists and is locked.
#[derive(Debug)]
struct Entered {
    /// Device and inode: another folder may be mounted, or linked to, under the same name.
    place: (u64, u64),
    list: File,
    /// The names of our files.
    ours: BTreeSet<Arc<str>>,
    /// The number of listed names whose files are gone.
    stale: usize,
    /// Our files that belong to no job and are already empty or gone.
    emptied: BTreeSet<Arc<str>>,
}

/// The work of one pass.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// The files of the present jobs. Our other files belong to removed jobs.
    pub(super) names: BTreeSet<Arc<str>>,
    /// Files to check, each with its stamp when it was last right.
    pub(super) checks: Vec<(Arc<str>, Stamp)>,
    /// The files with new content.
    pub(super) holds: Vec<Hold>,
    /// Once it is cancelled, no further file is written.
    pub(super) stop: CancellationToken,
}

/// The wanted content of a file.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) name: Arc<str>,
    pub(super) content: Arc<Rendered>,
    /// The groups that it was made from.
    pub(super) groups: Weak<[SetGroup]>,
}

/// The outcome of one pass.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// For each check, whether the file is unchanged.
    pub(super) checks: Vec<(Arc<str>, bool)>,
    pub(super) holds: Vec<(Hold, Result<Outcome, String>)>,
    /// Files of jobs that are gone, and why they could not be emptied.
    pub(super) not_emptied: Vec<(Arc<str>, String)>,
}

/// A file that is up to date.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) stamp: Stamp,
    /// How long the write took; `None` if the file was already up to date.
    pub(super) written: Option<Duration>,
}

/// Identifies the content of a file: every write to the file changes its stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Folder {
    pub(super) fn new(options: &Options) -> Self {
        let (path, mode) = (options.directory.clone(), options.mode.0);
        Self {
            path,
            mode,
            removed: options.removed,
            entered: None,
            #[cfg(test)]
            hang: Arc::default(),
        }
    }

    /// Does `work`. An error is about the folder as a whole: nothing was done.
    pub(super) fn run(&mut self, work: Work) -> Result<Done, String> {
        #[cfg(test)]
        drop(self.hang.blocking_lock());
        self.enter()?;
        let mut done = Done::default();
        if self.removed == Removed::Empty {
            done.not_emptied = self.empty_others(&work.names);
        }
        for (name, stamp) in work.checks {
            let now = fs::symlink_metadata(self.path.join(&*name));
            let same = now.is_ok_and(|metadata| Stamp::of(&metadata) == stamp);
            done.checks.push((name, same));
        }
        for hold in work.holds {
            if work.stop.is_cancelled() {
                break;
            }
            let outcome = self.hold(&hold.name, &hold.content.pieces);
            let path = self.path.join(&*hold.name);
            let outcome = outcome.map_err(|e| format!("cannot write {}: {e}", path.display()));
            done.holds.push((hold, outcome));
        }
        Ok(done)
    }

    /// Makes sure that the folder exists, is the same as before, and is locked by us.
    fn enter(&mut self) -> Result<(), String> {
        let shown = self.path.display();
        let metadata = fs::metadata(&self.path).map_err(|error| {
            let hint = match error.kind() {
                ErrorKind::NotFound => ": create or mount it",
                _ => "",
            };
            format!("cannot open the folder {shown}: {error}{hint}")
        })?;
        if !metadata.is_dir() {
            return Err(format!("{shown} is not a folder"));
        }
        let place = (metadata.dev(), metadata.ino());
        let before = match self.entered.take() {
            Some(entered) if entered.place == place && entered.list_is_there() => {
                self.entered = Some(entered);
                return Ok(());
            }
            // The list was removed, but its names are still known.
            Some(entered) if entered.place == place => entered.ours,
            _ => BTreeSet::new(),
        };
        let list = self.path.join(LIST);
        let mut entered = Entered::new(place, &list, &self.path).map_err(|error| {
            let hint = match error.kind() {
                ErrorKind::PermissionDenied => {
                    ": the user that Swarmscout runs as must be allowed to write there"
                }
                _ => "",
            };
            format!("cannot use {}: {error}{hint}", list.display())
        })?;
        self.remove_temporary();
        if entered.stale > 0 {
            entered.shorten(&self.path);
        }
        for name in before {
            entered
                .add(&name)
                .map_err(|error| format!("cannot use {}: {error}", list.display()))?;
        }
        self.entered = Some(entered);
        Ok(())
    }

    /// Removes the temporary file of a process that was killed.
    fn remove_temporary(&self) {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| is_temporary(&entry.file_name().to_string_lossy())) {
            if entry.file_type().is_ok_and(|kind| kind.is_file())
                && let Err(error) = fs::remove_file(entry.path())
            {
                let file = entry.path().display().to_string();
                tracing::warn!(file, err = %error, "Cannot remove an old temporary file");
            }
        }
    }

    /// Writes an empty list into every file of ours without a job.
    fn empty_others(&mut self, names: &BTreeSet<Arc<str>>) -> Vec<(Arc<str>, String)> {
        let entered = self.entered.as_mut().expect("it was entered before");
        entered.emptied.retain(|name| !names.contains(name));
        let others = entered.ours.difference(names).filter(|name| !entered.emptied.contains(*name));
        let others: Vec<_> = others.cloned().collect();
        let empty = [Bytes::from_static(EMPTY)];
        let mut failed = Vec::new();
        for name in others {
            let path = self.path.join(&*name);
            // A directory or link in its place is not ours. A file that is gone needs no emptying.
            let metadata = fs::symlink_metadata(&path);
            if metadata.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                self.entered.as_mut().expect("it was entered before").forget(&name, &self.path);
                continue;
            }
            if metadata.is_ok_and(|metadata| metadata.is_file()) {
                match self.hold(&name, &empty) {
                    Ok(outcome) if outcome.written.is_some() => {
                        let file = path.display().to_string();
                        tracing::info!(file, "Emptied the file of a job that is gone");
                    }
                    Ok(_) => {}
                    Err(error) => {
                        failed.push((name, format!("cannot empty {}: {error}", path.display())));
                        continue;
                    }
                }
            }
            self.entered.as_mut().expect("it was entered before").emptied.insert(name);
        }
        failed
    }

    /// Makes sure that the file holds `content`.
    fn hold(&mut self, name: &Arc<str>, content: &[Bytes]) -> Result<Outcome, String> {
        let started = Instant::now();
        let entered = self.entered.as_mut().expect("it was entered before");
        let path = self.path.join(&**name);
        let text = |error: io::Error| error.to_string();
        match fs::symlink_metadata(&path) {
            Ok(_) if !entered.ours.contains(name) => {
                let error = "there is one already that Swarmscout has not written: move it away, or \
                    choose another folder";
                return Err(error.to_owned());
            }
            // A file that cannot be read is rewritten.
            Ok(metadata) if metadata.is_file() => {
                if let Ok(Some(file)) = open_if_same(&path, content) {
                    if metadata.mode() & 0o7777 != self.mode {
                        file.set_permissions(Permissions::from_mode(self.mode)).map_err(text)?;
                    }
                    let stamp = Stamp::of(&file.metadata().map_err(text)?);
                    return Ok(Outcome { stamp, written: None });
                }
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.to_string()),
        }
        entered.add(name).map_err(|error| format!("cannot note it in {LIST}: {error}"))?;
        let stamp = self.replace(&path, content).map_err(text)?;
        Ok(Outcome { stamp, written: Some(started.elapsed()) })
    }

    /// Replaces whatever is at `path` by a new file. A reader sees the old file or the new one,
    /// even after a loss of power. A symbolic link is replaced, not followed.
    fn replace(&self, path: &Path, content: &[Bytes]) -> io::Result<Stamp> {
        let temporary = self.path.join(temporary());
        let replace = || {
            let file = disk::create_private(&temporary)?;
            let mut out = BufWriter::with_capacity(CHUNK, &file);
            content.iter().try_for_each(|piece| out.write_all(piece))?;
            out.flush()?;
            drop(out);
            // The umask of the process must not change the mode.
            file.set_permissions(Permissions::from_mode(self.mode))?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            // Taken after the rename, which changes the stamp on some file systems.
            Ok(Stamp::of(&file.metadata()?))
        };
        let replaced = replace();
        if replaced.is_err() {
            // If this fails, the file is removed when the folder is next entered.
            let _ = fs::remove_file(&temporary);
        }
        replaced
    }
}

impl Entered {
    fn new(place: (u64, u64), path: &Path, folder: &Path) -> io::Result<Self> {
        let mut list = list_options().create(true).open(path)?;
        if !list.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        match list.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other(
                    "another Swarmscout writes into this folder: give each its own",
                ));
            }
            Err(TryLockError::Error(error)) => {
                let file = path.display().to_string();
                tracing::warn!(file, err = %error, "Cannot lock the list of file SD's files: see \
                    that no other Swarmscout writes into this folder");
            }
        }
        // Checked under the lock: the process that held it before may have replaced the list.
        match list.metadata()?.nlink() {
            1 => {}
            0 => return Err(io::Error::other("it was replaced just now")),
            names => {
                return Err(io::Error::other(format!(
                    "it has {names} names (hard links), so it may be a file of somebody else: remove it"
                )));
            }
        }
        let mut text = Vec::new();
        (&list).take(MAX_LIST + 1).read_to_end(&mut text)?;
        if text.len() as u64 > MAX_LIST {
            return Err(io::Error::other(format!("it is larger than {MAX_LIST} bytes")));
        }
        // An incomplete last name belongs to no file.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        list.set_len(whole as u64)?;
        if whole == 0 {
            list.write_all(LIST_HEAD.as_bytes())?;
        }
        let lines = text[..whole].split(|byte| *byte == b'\n');
        let names = lines.filter_map(|line| std::str::from_utf8(line).ok());
        let names: BTreeSet<Arc<str>> = names.filter(|name| is_ours(name)).map(Arc::from).collect();
        let is_gone = |name: &str| {
            let metadata = fs::symlink_metadata(folder.join(name));
            metadata.is_err_and(|error| error.kind() == ErrorKind::NotFound)
        };
        let (gone, ours): (BTreeSet<_>, _) = names.into_iter().partition(|name| is_gone(name));
        Ok(Self { place, list, ours, stale: gone.len(), emptied: BTreeSet::new() })
    }

    /// Notes that a file of ours and its job are gone.
    fn forget(&mut self, name: &str, folder: &Path) {
        self.stale += usize::from(self.ours.remove(name));
        if self.stale > self.ours.len().max(STALE) {
            self.shorten(folder);
        }
    }

    /// Removes the names of missing files from the list. If that fails, they stay.
    fn shorten(&mut self, folder: &Path) {
        match self.write_list(folder) {
            Ok(list) => (self.list, self.stale) = (list, 0),
            Err(error) => {
                let file = folder.join(LIST).display().to_string();
                tracing::warn!(file, err = %error, "Cannot shorten the list of file SD's files");
            }
        }
    }

    /// Replaces the list by a new one, which is already locked.
    fn write_list(&self, folder: &Path) -> io::Result<File> {
        let temporary = folder.join(temporary());
        let replace = || {
            let list = list_options().create_new(true).open(&temporary)?;
            // Some file systems have no locks; the lock of the first list reported that.
            let _ = list.try_lock();
            let mut out = BufWriter::with_capacity(CHUNK, &list);
            out.write_all(LIST_HEAD.as_bytes())?;
            self.ours.iter().try_for_each(|name| writeln!(out, "{name}"))?;
            out.flush()?;
            drop(out);
            list.sync_all()?;
            fs::rename(&temporary, folder.join(LIST))?;
            Ok(list)
        };
        let replaced = replace();
        if replaced.is_err() {
            // If this fails, the file is removed when the folder is next entered.
            let _ = fs::remove_file(&temporary);
        }
        replaced
    }

    fn list_is_there(&self) -> bool {
        self.list.metadata().is_ok_and(|metadata| metadata.nlink() > 0)
    }

    /// Adds a name to the list, before its file is written.
    fn add(&mut self, name: &Arc<str>) -> io::Result<()> {
        if self.ours.contains(name) {
            return Ok(());
        }
        let end = self.list.seek(io::SeekFrom::End(0))?;
        let line = format!("{name}\n");
        if end + line.len() as u64 > MAX_LIST {
            return Err(io::Error::other(format!("it would be larger than {MAX_LIST} bytes")));
        }
        let added = self.list.write_all(line.as_bytes()).and_then(|()| self.list.sync_data());
        if added.is_err() {
            // A partly written name would corrupt the next one.
            let _ = self.list.set_len(end);
        }
        added?;
        self.ours.insert(Arc::clone(name));
        Ok(())
    }
}

/// The options to open the list, and create it if it is missing.
fn list_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o644).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// Whether a name could be one that [`super::file_name`] gave: no other is touched, whatever the
/// list says.
fn is_ours(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte);
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    !name.starts_with('.')
        && name.bytes().all(is_plain)
        && matches!(extension, Some("json" | "yml"))
}

/// The name of a new file until it takes its place. One is enough: files are written one by one.
fn temporary() -> String {
    format!("{LIST}-{}.tmp", std::process::id())
}

fn is_temporary(name: &str) -> bool {
    let number = name
        .strip_prefix(LIST)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.strip_suffix(".tmp"));
    number.is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Opens the file at `path`, if it holds `content`. Never follows a link.
fn open_if_same(path: &Path, content: &[Bytes]) -> io::Result<Option<File>> {
    // Opening a pipe in place of the file would block.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let length: u64 = content.iter().map(|piece| piece.len() as u64).sum();
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() != length {
        return Ok(None);
    }
    let mut reader = BufReader::with_capacity(CHUNK, &file);
    let mut buffer = vec![0; CHUNK];
    for wanted in content.iter().flat_map(|piece| piece.chunks(CHUNK)) {
        let found = &mut buffer[..wanted.len()];
        reader.read_exact(found)?;
        if found != wanted {
            return Ok(None);
        }
    }
    drop(reader);
    Ok(Some(file))
}
