//! The task that keeps the files up to date: it decides when each file is written, and logs
//! failures.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use futures_util::future::{BoxFuture, select_all};
use http::HeaderValue;
use swarmscout_model::{SetGroup, TargetList};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::folder::{Done, Folder, Hold, Outcome, Stamp, Work};
use super::{FileStatus, Options, SetReceiver, file_name};
use crate::list::{Cache, Form, Key, NoList, Selection, withheld};

/// The shortest time between two writes of one file.
pub(super) const SHORTEST_GAP: Duration = Duration::from_secs(1);

/// After a write, the pause for that file is at least this many times the duration of the write.
const REST: u32 = 10;

/// The most files that one pass writes. More than one, since each pass checks all files: writing
/// one a pass would take time in the square of their number.
const AT_ONCE: usize = 256;

/// How often a file is checked for changes made by others.
pub(super) const CHECK: Duration = Duration::from_secs(10);

/// How long the file system may take for one pass before that is called an error.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The pause after a first failure. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause after failures, and the longest rest.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

type Finished = (Box<Folder>, Result<Done, String>);

/// Keeps the files up to date.
pub(super) struct Writer {
    options: Options,
    sets: watch::Receiver<Arc<[SetReceiver]>>,
    /// The jobs of `files`.
    adopted: Option<Arc<[SetReceiver]>>,
    lists: Arc<Cache>,
    publish: watch::Sender<Arc<[FileStatus]>>,
    /// By name.
    files: BTreeMap<Arc<str>, JobFile>,
    /// `None` while a pass runs on another thread.
    pub(super) folder: Option<Box<Folder>>,
    working: Option<JoinHandle<Finished>>,
    /// Failures of the folder as a whole.
    error: Failing,
    /// Files of removed jobs that could not be emptied, and why.
    not_emptied: BTreeMap<Arc<str>, Failing>,
    /// When to empty the files of removed jobs. `None` if they are empty.
    empty_at: Option<Instant>,
    /// When something is due next. A new set may wake the task earlier.
    wake: Instant,
    stop: CancellationToken,
}

/// The file of a job.
struct JobFile {
    job: Arc<str>,
    set: SetReceiver,
    /// Its content, if known.
    holds: Option<Content>,
    /// No write before this time, after a write or a failure.
    not_before: Instant,
    /// When to check that the file is still as it was written.
    check_at: Instant,
    error: Failing,
    confirmed: Option<SystemTime>,
    writes: u64,
    failures: u64,
}

/// The content of a file.
struct Content {
    /// The groups that it was made from. The same `Arc` means the same content.
    groups: Weak<[SetGroup]>,
    /// The tag of the list. The same tag also means the same content.
    etag: HeaderValue,
    stamp: Stamp,
}

/// Failures in a row. Not the backoff of `refresh`: this crate depends on `model` and `net` alone,
/// and a folder of this machine needs no jitter.
#[derive(Debug, Default)]
struct Failing {
    count: u32,
    /// The last error, which was logged.
    error: Option<Arc<str>>,
    /// No attempt before this time.
    until: Option<Instant>,
}

impl Failing {
    /// Notes a failure. Returns whether its error differs from the last one, and should be logged.
    fn failed(&mut self, error: &str) -> bool {
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.count.min(16));
        self.count = self.count.saturating_add(1);
        self.until = Some(Instant::now() + doubled.min(LONGEST_PAUSE));
        let is_new = self.error.as_deref() != Some(error);
        if is_new {
            self.error = Some(error.into());
        }
        is_new
    }

    /// Notes a success. Returns whether there was a failure before.
    fn succeeded(&mut self) -> bool {
        std::mem::take(self).error.is_some()
    }

    fn is_due(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }
}

impl Writer {
    pub(super) fn new(
        options: Options,
        sets: watch::Receiver<Arc<[SetReceiver]>>,
        lists: Arc<Cache>,
        publish: watch::Sender<Arc<[FileStatus]>>,
    ) -> Self {
        let now = Instant::now();
        Self {
            folder: Some(Box::new(Folder::new(&options))),
            options,
            sets,
            adopted: None,
            lists,
            publish,
            files: BTreeMap::new(),
            working: None,
            error: Failing::default(),
            not_emptied: BTreeMap::new(),
            empty_at: Some(now),
            wake: now,
            stop: CancellationToken::new(),
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        self.stop = stop.clone();
        stop.run_until_cancelled(self.forever()).await;
        if let Some(working) = self.working.take() {
            // A write in progress is finished, and its result no longer matters.
            let _ = working.await;
        }
    }

    async fn forever(&mut self) {
        loop {
            self.adopt_jobs();
            let work = self.due().await;
            if let Some(work) = work {
                self.carry_out(work).await;
            }
            self.publish();
            self.wait().await;
        }
    }

    /// Adds the files of new jobs, and drops those of removed jobs.
    fn adopt_jobs(&mut self) {
        let sets = Arc::clone(&self.sets.borrow_and_update());
        if self.adopted.as_ref().is_some_and(|adopted| Arc::ptr_eq(adopted, &sets)) {
            return;
        }
        let now = Instant::now();
        let mut before = std::mem::take(&mut self.files);
        for set in sets.iter() {
            let job = Arc::clone(set.borrow().pool.name());
            let name = file_name(&job, self.options.format);
            let new = || JobFile::new(job, set.clone(), now);
            let mut file = before.remove(&name).unwrap_or_else(new);
            // A job that was removed and added again between two checks.
            if !file.set.same_channel(set) {
                file.set = set.clone();
                file.holds = None;
            }
            self.not_emptied.remove(&name);
            self.files.insert(name, file);
        }
        if !before.is_empty() {
            self.empty_at = Some(now);
        }
        self.adopted = Some(sets);
    }

    /// The work that is due now, if any.
    async fn due(&mut self) -> Option<Work> {
        let now = Instant::now();
        self.wake = now + CHECK;
        if !self.error.is_due(now) {
            self.wake = self.error.until.unwrap_or(self.wake);
            return None;
        }
        let mut work = Work { stop: self.stop.clone(), ..Work::default() };
        let mut outdated = Vec::new();
        for (name, file) in &mut self.files {
            work.names.insert(Arc::clone(name));
            let set = Arc::clone(&file.set.borrow_and_update());
            if withheld(&set, Form::Full).is_some() {
                continue;
            }
            let at = file.not_before.max(file.error.until.unwrap_or(now));
            let holds = file.holds.as_ref();
            if let Some(content) = holds.filter(|content| content.is_of(&set.groups)) {
                if file.check_at <= now {
                    work.checks.push((Arc::clone(name), content.stamp.clone()));
                } else {
                    self.wake = self.wake.min(file.check_at);
                }
            } else if at <= now {
                outdated.push((at, Arc::clone(name)));
            } else {
                self.wake = self.wake.min(at);
            }
        }
        // The file that waits longest comes first.
        outdated.sort_by_key(|(at, _)| *at);
        for (_, name) in outdated {
            let file = self.files.get_mut(&name).expect("it was seen above");
            let selection = Selection {
                list: TargetList::Normal,
                form: Form::Full,
                encoding: self.options.format.encoding(),
            };
            let key = Key { job: Arc::clone(&file.job), selection };
            let (set, content) = match self.lists.get(key, &file.set).await {
                Ok(list) => list,
                // The file stays as it is. The next set of the job wakes this task again.
                Err(NoList::Withheld(_)) => continue,
                Err(error @ (NoList::Memory(_) | NoList::Failed)) => {
                    file.failed(&name, &error.to_string());
                    continue;
                }
            };
            let groups = Arc::downgrade(&set.groups);
            match &mut file.holds {
                Some(holds) if holds.etag == content.etag => {
                    holds.groups = groups;
                    self.wake = self.wake.min(file.check_at);
                }
                _ => work.holds.push(Hold { name, content, groups }),
            }
            if work.holds.len() == AT_ONCE {
                break;
            }
        }
        if let Some(at) = self.empty_at.filter(|at| *at > now) {
            self.wake = self.wake.min(at);
        }
        let empties = self.empty_at.is_some_and(|at| at <= now);
        (empties || !work.holds.is_empty() || !work.checks.is_empty()).then_some(work)
    }

    /// Does the work, on a thread of its own, and notes the outcome.
    async fn carry_out(&mut self, work: Work) {
        let mut folder = self.folder.take().expect("it is here unless it is worked on");
        let holds: Vec<_> = work.holds.iter().map(|hold| Arc::clone(&hold.name)).collect();
        let working = self.working.insert(spawn_blocking(move || {
            let done = folder.run(work);
            (folder, done)
        }));
        let finished = if let Ok(finished) = timeout(PATIENCE, &mut *working).await {
            finished
        } else {
            self.note_patience_lost(&holds);
            self.working.as_mut().expect("it was started above").await
        };
        self.working = None;
        let (folder, done) = finished.unwrap_or_else(|error| {
            let error = format!("internal error, please report it: {error}");
            (Box::new(Folder::new(&self.options)), Err(error))
        });
        self.folder = Some(folder);
        // The next round starts by checking again what is due.
        self.wake = Instant::now();
        match done {
            Ok(done) => self.note(done),
            Err(error) => self.note_folder(&holds, &error),
        }
    }

    fn note_patience_lost(&mut self, holds: &[Arc<str>]) {
        let error = format!(
            "not finished within {PATIENCE:?}: the file system of {} is slow, or hangs",
            self.options.directory.display()
        );
        self.note_folder(holds, &error);
        self.publish();
    }

    fn note_folder(&mut self, holds: &[Arc<str>], error: &str) {
        for name in holds {
            if let Some(file) = self.files.get_mut(name) {
                file.failures += 1;
            }
        }
        if self.error.failed(error) {
            tracing::error!(err = error, "Cannot write files for file SD");
        }
    }

    fn note(&mut self, done: Done) {
        if self.error.succeeded() {
            let folder = self.options.directory.display().to_string();
            tracing::info!(folder, "Files for file SD are written again");
        }
        for (name, as_it_was) in done.checks {
            let Some(file) = self.files.get_mut(&name) else { continue };
            if as_it_was {
                file.confirm(&name);
            } else {
                tracing::warn!(config = %file.job, file = %name, "The file of a job for file SD was \
                    changed or removed by somebody else; it is written again");
                file.holds = None;
            }
        }
        for (hold, outcome) in done.holds {
            let Some(file) = self.files.get_mut(&hold.name) else { continue };
            match outcome {
                Ok(outcome) => file.succeeded(&hold, outcome),
                Err(error) => file.failed(&hold.name, &error),
            }
        }
        self.note_not_emptied(done.not_emptied);
    }

    fn note_not_emptied(&mut self, failed: Vec<(Arc<str>, String)>) {
        let mut before = std::mem::take(&mut self.not_emptied);
        self.empty_at = None;
        for (name, error) in failed {
            let mut failing = before.remove(&name).unwrap_or_default();
            if failing.failed(&error) {
                tracing::error!(err = error, "Cannot empty the file of a job that is gone");
            }
            self.empty_at = self.empty_at.max(failing.until);
            self.not_emptied.insert(name, failing);
        }
    }

    fn publish(&self) {
        let path = |name: &str| self.options.directory.join(name).display().to_string();
        let folder = self.error.error.as_ref();
        let of_jobs = self.files.iter().map(|(name, file)| FileStatus {
            job: Some(Arc::clone(&file.job)),
            path: path(name),
            confirmed: file.confirmed,
            error: folder.or(file.error.error.as_ref()).cloned(),
            writes: file.writes,
            failures: file.failures,
        });
        let others = self.not_emptied.iter().map(|(name, failing)| FileStatus {
            path: path(name),
            error: folder.or(failing.error.as_ref()).cloned(),
            failures: failing.count.into(),
            ..FileStatus::default()
        });
        let mut all: Vec<_> = of_jobs.chain(others).collect();
        all.sort_by(|a, b| a.path.cmp(&b.path));
        self.publish.send_if_modified(|published| {
            let differs = **published != *all;
            *published = all.into();
            differs
        });
    }

    /// Waits until there may be something to do.
    async fn wait(&mut self) {
        let sets = self.files.values_mut().map(|file| changed(&mut file.set));
        let all = changed(&mut self.sets);
        let changes = select_all(sets.chain([all]));
        // Every wake-up checks everything, whatever caused it.
        let _ = timeout_at(self.wake, changes).await;
    }
}

impl JobFile {
    fn new(job: Arc<str>, set: SetReceiver, now: Instant) -> Self {
        Self {
            job,
            set,
            holds: None,
            not_before: now,
            check_at: now,
            error: Failing::default(),
            confirmed: None,
            writes: 0,
            failures: 0,
        }
    }

    fn failed(&mut self, name: &str, error: &str) {
        self.failures += 1;
        if self.error.failed(error) {
            tracing::error!(config = %self.job, file = name, err = error,
                "Cannot write the file of a job for file SD");
        }
    }

    fn succeeded(&mut self, hold: &Hold, outcome: Outcome) {
        if let Some(took) = outcome.written {
            self.writes += 1;
            let rest = took.saturating_mul(REST).clamp(SHORTEST_GAP, LONGEST_PAUSE);
            self.not_before = Instant::now() + rest;
        }
        self.holds = Some(Content {
            groups: hold.groups.clone(),
            etag: hold.content.etag.clone(),
            stamp: outcome.stamp,
        });
        self.confirm(&hold.name);
    }

    /// Notes that the file is up to date.
    fn confirm(&mut self, name: &str) {
        if self.error.succeeded() {
            tracing::info!(config = %self.job, file = name,
                "The file of a job for file SD is as it is to be again");
        }
        self.confirmed = Some(SystemTime::now());
        self.check_at = Instant::now() + CHECK;
    }
}

impl Content {
    /// Whether it was made from these groups.
    fn is_of(&self, groups: &Arc<[SetGroup]>) -> bool {
        std::ptr::addr_eq(self.groups.as_ptr(), Arc::as_ptr(groups))
    }
}

/// Resolves at the next change; never once the sender is dropped.
fn changed<T: Send + Sync>(receiver: &mut watch::Receiver<T>) -> BoxFuture<'_, ()> {
    Box::pin(async {
        if receiver.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
