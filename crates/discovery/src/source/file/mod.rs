//! `file_sd_configs`: target groups in JSON and YAML files (Prometheus `discovery/file`).
//!
//! - All files that match the patterns are checked at each refresh interval, and soon after a
//!   change in one of their directories. An unchanged file is not read again.
//! - A file that cannot be read or parsed keeps its last good groups, and is a [`Problem`]. The
//!   other files are not affected.
//! - If no file has ever been read successfully, the refresh fails: an initial mistake must not
//!   count as a list without targets.
//! - A file that does not exist has no groups.

mod config;
mod keys;
pub(crate) mod pattern;
pub(super) mod watch;

pub use self::pattern::glob;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use swarmscout_model::{Budget, Charge, LabelsBuilder};
use swarmscout_net::{Secrets, disk, lane};
use tokio::time::Instant;

pub use self::config::FileConfig;
pub use self::keys::FileSdKeys;
use self::watch::{Hints, Watch};
use super::disk::OffThread;
use super::{listing, lossy};
use crate::config::BuildContext;
use crate::limits::{LONGEST_LABEL, Meter, Unreadable};
use crate::stats::FileTimes;
use crate::{BoxFuture, Discoverer, Error, Groups, Problem, RefreshScope, Refreshed};

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 256 << 20;

/// A file that was modified less than this before it was read may change again with the same
/// modification time.
const CLOCK_GRAIN: Duration = Duration::from_secs(2);

/// The files of one of `file_sd_configs`. The source key of a group is `<path>:<index>`.
#[derive(Debug)]
pub struct File {
    hints: Hints,
    reader: OffThread<Reader>,
}

impl File {
    /// The files of `config`. Nothing is read or watched yet.
    pub fn new(config: FileConfig, context: &BuildContext) -> Self {
        let watch = Watch::new(context.stats.clone());
        let hints = watch.hints();
        let within = context.refresh.attempt_deadline(config.refresh_interval, 0);
        let lane = lane_of(&config.files);
        let reader = Reader {
            patterns: config.files,
            watch,
            files: BTreeMap::new(),
            times: FileTimes::new(context.stats.clone()),
            max_file: MAX_FILE.min(context.refresh.max_answer),
            budget: context.refresh.budget.clone(),
            builder: LabelsBuilder::new(),
        };
        Self { hints, reader: OffThread::new(lane, within, reader) }
    }
}

/// The name of the lane that reads all of them.
fn lane_of(files: &[PathBuf]) -> PathBuf {
    let files: Vec<_> = files.iter().map(|file| file.as_os_str()).collect();
    files.join(OsStr::new(", ")).into()
}

impl Discoverer for File {
    type Error = Error;

    fn fetch(&mut self, _: RefreshScope) -> BoxFuture<'_, Result<Refreshed<Groups>, Error>> {
        Box::pin(self.reader.read(Reader::refresh))
    }

    fn changed(&mut self) -> BoxFuture<'_, RefreshScope> {
        Box::pin(async {
            self.hints.changed().await;
            RefreshScope::Full
        })
    }
}

/// Reads the files, and caches what they held.
#[derive(Debug)]
struct Reader {
    patterns: Vec<PathBuf>,
    watch: Watch,
    files: BTreeMap<PathBuf, CachedFile>,
    times: FileTimes,
    max_file: u64,
    budget: Budget,
    builder: LabelsBuilder,
}

/// The last good content of a file, and its present problem.
#[derive(Debug, Default)]
struct CachedFile {
    /// The stamp of the content. `None` if a later content may have the same stamp.
    stamp: Option<Stamp>,
    modified: Option<SystemTime>,
    /// The groups that it held when it was last parsed.
    groups: Option<Groups>,
    /// Values in them that were not UTF-8 and were replaced.
    replaced: Vec<Problem>,
    /// The number of groups and targets.
    units: usize,
    held: Option<Charge>,
    /// Why it cannot be read or parsed now.
    problem: Option<Problem>,
}

/// A file of the same stamp has the same content.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Reader {
    fn refresh(&mut self) -> Result<Refreshed<Groups>, Error> {
        let as_of = Instant::now().into_std();
        // The watch comes first: a change in between is seen twice, not missed.
        let mut directories = BTreeSet::new();
        for pattern in &self.patterns {
            lane::at(pattern);
            let of = pattern.parent().unwrap_or(pattern);
            directories.extend(pattern::directories(of).map_err(|error| cannot_list(of, &error))?);
        }
        self.watch.set(&directories);
        let mut found = BTreeSet::new();
        for pattern in &self.patterns {
            lane::at(pattern);
            found.extend(glob(pattern).map_err(|error| cannot_list(pattern, &error))?);
        }
        let mut before = std::mem::take(&mut self.files);
        for path in found {
            let mut cached = before.remove(&path).unwrap_or_default();
            let others =
                before.values().chain(self.files.values()).map(|cached| cached.units).sum();
            let meter = Meter::new(&self.budget, LONGEST_LABEL).beside(others);
            cached.update(&path, self.max_file, &mut self.builder, meter);
            self.times.stats().file_read_errors.add(u64::from(cached.problem.is_some()));
            self.files.insert(path, cached);
        }
        self.times.set(self.files.iter().filter_map(|(path, cached)| {
            let since = cached.modified?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            Some((path.to_string_lossy().into(), since.as_secs_f64()))
        }));
        let files = || self.files.values();
        let problems: Vec<_> = files()
            .flat_map(|cached| cached.problem.iter().chain(&cached.replaced).cloned())
            .collect();
        if let Some(Problem { object, reason, detail, .. }) = problems.first()
            && files().all(|cached| cached.groups.is_none())
        {
            return Err(Error::File {
                path: object.clone(),
                reason: format!("{reason}: {detail}"),
            });
        }
        let groups = files().filter_map(|cached| cached.groups.as_ref()).flatten();
        Ok(Refreshed { value: groups.cloned().collect(), as_of, problems })
    }
}

impl CachedFile {
    fn update(&mut self, path: &Path, max: u64, builder: &mut LabelsBuilder, mut meter: Meter) {
        let others = meter.units();
        let began = SystemTime::now();
        let problem = |reason, detail| {
            Some(Problem { kind: "file", object: path.display().to_string(), reason, detail })
        };
        let Content { text, stamp, modified } =
            match read(path, self.stamp.as_ref(), max, &mut meter) {
                Ok(Some(content)) => content,
                Ok(None) => return,
                Err(error) => {
                    self.stamp = None;
                    self.problem = problem("cannot be read", error.to_string());
                    return;
                }
            };
        self.modified = Some(modified);
        let is_stamp_unique = began.duration_since(modified).is_ok_and(|age| age > CLOCK_GRAIN);
        match parse(path, &text, builder, &mut meter) {
            Ok((mut groups, replaced)) => {
                listing::reuse(self.groups.as_deref().unwrap_or_default(), &mut groups);
                self.groups = Some(groups);
                self.replaced = replaced;
                self.units = meter.units() - others;
                self.held = Some(meter.finish());
                self.problem = None;
                self.stamp = is_stamp_unique.then_some(stamp);
            }
            Err(error) => {
                let reason = match error {
                    Unreadable::Syntax(_) => "cannot be understood",
                    Unreadable::Excess(_) => "is too much",
                };
                let mut error = error.to_string();
                // The error quotes the file.
                Secrets::default().clean_in_place(&mut error);
                self.stamp = None;
                self.problem = problem(reason, error);
            }
        }
    }
}

/// The content of a file.
struct Content {
    text: Vec<u8>,
    stamp: Stamp,
    modified: SystemTime,
}

/// The content of a file, unless its stamp is still `known`.
fn read(
    path: &Path,
    known: Option<&Stamp>,
    max: u64,
    meter: &mut Meter,
) -> io::Result<Option<Content>> {
    let file = disk::open(path)?;
    let metadata = file.metadata()?;
    let stamp = Stamp::of(&metadata);
    if known == Some(&stamp) {
        return Ok(None);
    }
    meter.reserve(metadata.len().min(max)).map_err(io::Error::other)?;
    let text = disk::whole(file, max)?;
    Ok(Some(Content { text, stamp, modified: metadata.modified()? }))
}

/// The groups of the file at `path` now, and the values that were replaced in them. The error does
/// not name the file. May block as long as the file system does.
pub fn read_groups(path: &Path) -> Result<(Groups, Vec<Problem>), String> {
    let text = disk::open(path).and_then(|file| disk::whole(file, MAX_FILE));
    parse_groups(path, &text.map_err(|error| error.to_string())?)
}

/// Like [`read_groups`], for a file with this text.
pub fn parse_groups(path: &Path, text: &[u8]) -> Result<(Groups, Vec<Problem>), String> {
    let mut meter = Meter::unlimited(LONGEST_LABEL);
    let read = parse(path, text, &mut LabelsBuilder::new(), &mut meter);
    read.map_err(|error| error.to_string())
}

/// The groups of a file. Its extension decides its format.
pub(crate) fn parse(
    path: &Path,
    text: &[u8],
    builder: &mut LabelsBuilder,
    meter: &mut Meter,
) -> Result<(Groups, Vec<Problem>), Unreadable> {
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let (json, replaced) =
        if is_json { lossy::repaired(text, meter)? } else { (text.into(), false) };
    let groups =
        if is_json { listing::from_json(&json, meter)? } else { listing::from_yaml(text, meter)? };
    let path = path.to_string_lossy();
    let groups = listing::named(groups, "__meta_filepath", &path, builder, meter)?;
    let replaced = if replaced { lossy::problems("file", &groups) } else { Vec::new() };
    Ok((groups, replaced))
}

fn cannot_list(path: &Path, error: &io::Error) -> Error {
    let path = path.display().to_string();
    Error::File { path, reason: format!("cannot list files: {error}") }
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests;
