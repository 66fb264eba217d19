//! File SD: the targets of each job in a file of their own, for a Prometheus that reads them with
//! `file_sd_configs` instead of over HTTP.
//!
//! - A file has the content of `/sd/<job>`, in JSON or YAML. It is created as soon as `/sd/<job>`
//!   has content, and replaced as a whole whenever that content changes.
//! - Only the newest set is written; there is no queue. After a write, the next write of that file
//!   waits a second, or longer on a slow disk. Discovery never waits for a write.
//! - Each pass compares the whole folder with its wanted state. So a file that somebody changed or
//!   removed is soon rewritten, and a folder that was missing is filled.
//! - At most one thread is in the file system. A call that hangs there is reported and waited for.
//! - The files stay when the program ends.

mod folder;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use swarmscout_model::TargetSet;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::writer::Writer;
use crate::links;
use crate::list::{Cache, Encoding};

/// The pause before a writer that panicked is replaced.
const RESTART: Duration = Duration::from_secs(1);

/// `--file-sd.…`.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of the files. It is never created.
    pub directory: PathBuf,
    /// Their format.
    pub format: Format,
    /// Their permissions.
    pub mode: Mode,
    /// What happens to the file of a removed job.
    pub removed: Removed,
}

/// `--file-sd.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `<job>.json`.
    Json,
    /// `<job>.yml`.
    Yaml,
}

/// `--file-sd.removed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It gets an empty list, so Prometheus drops its targets.
    Empty,
    /// It stays as it is, and so do its targets.
    Keep,
}

/// `--file-sd.mode`: the permissions of a file, in octal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            _ => Err("not json or yaml"),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Yaml => "yaml",
        })
    }
}

impl FromStr for Removed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "empty" => Ok(Self::Empty),
            "keep" => Ok(Self::Keep),
            _ => Err("not empty or keep"),
        }
    }
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty",
            Self::Keep => "keep",
        })
    }
}

impl FromStr for Mode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
        mode.map(Self).ok_or("not permissions in octal digits, from 0000 to 0777")
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Format {
    const fn encoding(self) -> Encoding {
        match self {
            Self::Json => Encoding::Json,
            Self::Yaml => Encoding::Yaml,
        }
    }
}

/// The state of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileStatus {
    /// Its job. `None` if the job was removed and the file could not be emptied.
    pub job: Option<Arc<str>>,
    /// Its path.
    pub path: String,
    /// When it was last known to hold the newest targets of its job. `None` before that.
    pub confirmed: Option<SystemTime>,
    /// Why it could not be written or emptied; `None` without an error.
    pub error: Option<Arc<str>>,
    /// How often it was written, and how often that failed, since the job was added.
    pub writes: u64,
    /// See `writes`.
    pub failures: u64,
}

/// The newest targets of a job.
pub type SetReceiver = watch::Receiver<Arc<TargetSet>>;

/// The running writer. Dropping it stops it.
#[derive(Debug)]
pub struct FileSd {
    stop: CancellationToken,
    tasks: JoinSet<()>,
    status: watch::Receiver<Arc<[FileStatus]>>,
}

impl FileSd {
    /// Starts to keep the files of these sets up to date, one set a job. A panic costs one pass and
    /// is reported to `on_panic`.
    pub fn start(
        options: Options,
        sets: watch::Receiver<Arc<[SetReceiver]>>,
        lists: Arc<Cache>,
        on_panic: impl Fn() + Send + 'static,
    ) -> Self {
        let (publish, status) = watch::channel(Arc::from([]));
        let new =
            move || Writer::new(options.clone(), sets.clone(), Arc::clone(&lists), publish.clone());
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(supervise(stop.clone(), on_panic, new));
        Self { stop, tasks, status }
    }

    /// The state of the files, sorted by path.
    pub fn status(&self) -> watch::Receiver<Arc<[FileStatus]>> {
        self.status.clone()
    }

    /// Stops the writer. Call it before the jobs are removed: their files would be emptied. A write
    /// in progress is finished; `false` if that takes longer than `within`.
    pub async fn shutdown(mut self, within: Duration) -> bool {
        self.stop.cancel();
        let ended = timeout(within, self.tasks.join_next()).await.is_ok();
        self.tasks.shutdown().await;
        ended
    }
}

/// Runs a writer to its end, and starts another one if it panics.
async fn supervise(stop: CancellationToken, on_panic: impl Fn(), new: impl Fn() -> Writer) {
    while AssertUnwindSafe(new().run(stop.clone())).catch_unwind().await.is_err() {
        on_panic();
        tracing::error!("Internal error, please report it: the writer of file SD is started again");
        sleep(RESTART).await;
    }
}

/// The name of a job's file. It is percent-encoded, so that it is a single file name for any name
/// of a job, and never that of a hidden file.
fn file_name(job: &str, format: Format) -> Arc<str> {
    let extension = match format {
        Format::Json => "json",
        Format::Yaml => "yml",
    };
    let name = links::segment(job).to_string();
    match name.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}.{extension}").into(),
        None => format!("{name}.{extension}").into(),
    }
}
