//! Reads that may hang: a file on a mount whose server is gone, a name that no server knows.
//!
//! A thread that hangs in the kernel cannot be ended, only left alone. So such reads have threads
//! of their own, and each path (or name) has a *lane* with one thread at most in the whole process:
//! who reads the same path waits for the one before, no longer than its own deadline, and trying
//! again adds no thread. What hangs never takes a thread that others need:
//!
//! - The number of reads at one time is bounded, but one that is slow, or whose caller has gone, no
//!   longer counts.
//! - The number of threads that hang is bounded; beyond it a read fails at its deadline and says
//!   so.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, Semaphore, oneshot};
use tokio::time::{Instant, timeout};

/// A read that takes longer than this makes room for another one.
const SLOW: Duration = Duration::from_secs(1);

/// Reads of files.
static FILES: LazyLock<Lanes<()>> = LazyLock::new(|| Lanes::new("read", 16, 256));

thread_local! {
    /// Where this thread is, if it reads for a lane.
    static PLACE: RefCell<Option<Arc<Mutex<PathBuf>>>> = const { RefCell::new(None) };
}

/// What `read` finds, on a thread of its own. It starts when no other read of `path` is in flight.
/// `path` may stand for several that are read together; `read` then says by [`at`] where it is.
///
/// Dropped or late, the thread is left alone, and what it finds is lost. A panic of `read` is one
/// of this function.
pub async fn read<T, R>(path: &Path, within: Duration, read: R) -> Result<T, Stuck>
where
    R: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let lane = FILES.lane(path.as_os_str());
    let crowded = AtomicBool::new(false);
    let reading = async {
        let turn = lane.turn().await;
        let read = move || {
            let _turn = turn;
            read()
        };
        FILES.on_thread(&lane, &crowded, read).await
    };
    let path = || {
        let place = locked(&lane.place).clone();
        if place.as_os_str().is_empty() { path.to_owned() } else { place }
    };
    match timeout(within, reading).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(Stuck {
            path: path(),
            reason: format!("cannot start a thread to read it: {error}"),
        }),
        Err(_) if crowded.into_inner() => {
            let reason = format!("not read within {within:.0?}: too many other files hang");
            Err(Stuck { path: path(), reason })
        }
        Err(_) => {
            let reason = format!("not read within {within:.0?}: its file system hangs, or is slow");
            Err(Stuck { path: path(), reason })
        }
    }
}

/// Notes that the read that this thread is at has come to `path`: what [`read`] names if it hangs.
/// Means nothing elsewhere.
pub fn at(path: &Path) {
    PLACE.with_borrow(|place| {
        if let Some(place) = place {
            path.clone_into(&mut locked(place));
        }
    });
}

/// A read that did not end in time, or never started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// Where it hangs.
    pub path: PathBuf,
    /// Why there is no answer, in lower case.
    pub reason: String,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

/// Lanes of one kind. `S` is what those who wait in a lane share.
pub(crate) struct Lanes<S: 'static> {
    /// Name of the threads.
    name: &'static str,
    by_key: Mutex<HashMap<OsString, Weak<Lane<S>>>>,
    /// A read needs one to start.
    quick: Semaphore,
    /// A thread has one as long as it lives.
    threads: Arc<Semaphore>,
}

/// There as long as somebody waits in it or reads.
pub(crate) struct Lane<S: 'static> {
    lanes: &'static Lanes<S>,
    key: OsString,
    /// Held while its thread runs. Holds what the last read left, and when that ended.
    turn: Arc<tokio::sync::Mutex<Option<(Instant, S)>>>,
    /// Where its thread is; empty if that does not say.
    place: Arc<Mutex<PathBuf>>,
}

impl<S: Send> Lanes<S> {
    /// How many reads may start at one time, and how many threads may hang.
    pub(crate) fn new(name: &'static str, at_once: usize, threads: usize) -> Self {
        Self {
            name,
            by_key: Mutex::default(),
            quick: Semaphore::new(at_once),
            threads: Arc::new(Semaphore::new(threads)),
        }
    }

    pub(crate) fn lane(&'static self, key: &OsStr) -> Arc<Lane<S>> {
        let mut lanes = locked(&self.by_key);
        if let Some(lane) = lanes.get(key).and_then(Weak::upgrade) {
            return lane;
        }
        let lane = Arc::new(Lane {
            lanes: self,
            key: key.to_owned(),
            turn: Arc::default(),
            place: Arc::default(),
        });
        lanes.insert(key.to_owned(), Arc::downgrade(&lane));
        lane
    }

    /// Runs `work`, which holds the turn of `lane`. `crowded` while others keep it from starting.
    pub(crate) async fn on_thread<T, W>(
        &'static self,
        lane: &Arc<Lane<S>>,
        crowded: &AtomicBool,
        work: W,
    ) -> std::io::Result<T>
    where
        W: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        crowded.store(true, Ordering::Relaxed);
        let quick = self.quick.acquire().await.expect("the semaphore is never closed");
        let permit = Arc::clone(&self.threads).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        crowded.store(false, Ordering::Relaxed);
        let (answer, mut answered) = oneshot::channel::<Result<T, Box<dyn Any + Send>>>();
        let lane = Arc::clone(lane);
        let run = move || {
            PLACE.set(Some(Arc::clone(&lane.place)));
            let outcome = catch_unwind(AssertUnwindSafe(work));
            locked(&lane.place).clear();
            drop((permit, lane));
            // The caller may have gone.
            let _ = answer.send(outcome);
        };
        thread::Builder::new().name(self.name.to_owned()).spawn(run)?;
        let outcome = if let Ok(outcome) = timeout(SLOW, &mut answered).await {
            outcome
        } else {
            drop(quick);
            answered.await
        };
        match outcome.expect("a thread answers, whatever happens on it") {
            Ok(found) => Ok(found),
            Err(panic) => resume_unwind(panic),
        }
    }
}

impl<S> Lane<S> {
    /// Waits until nothing is in flight in this lane.
    pub(crate) async fn turn(&self) -> OwnedMutexGuard<Option<(Instant, S)>> {
        Arc::clone(&self.turn).lock_owned().await
    }
}

impl<S> Drop for Lane<S> {
    fn drop(&mut self) {
        let mut lanes = locked(&self.lanes.by_key);
        // There may be a new one for the same key already.
        if lanes.get(&self.key).is_some_and(|lane| lane.strong_count() == 0) {
            lanes.remove(&self.key);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    use super::*;

    /// Longer than any test takes.
    const LONG: Duration = Duration::from_mins(10);
    const SHORT: Duration = Duration::from_millis(20);

    /// A mount that hangs until the test lets it answer.
    struct Mount(Option<mpsc::Sender<()>>, Arc<Mutex<mpsc::Receiver<()>>>, Arc<AtomicUsize>);

    impl Mount {
        fn new() -> Self {
            let (answer, answers) = mpsc::channel();
            Self(Some(answer), Arc::new(Mutex::new(answers)), Arc::default())
        }

        /// Reads of it that have started.
        fn reads(&self) -> usize {
            self.2.load(Ordering::Relaxed)
        }

        async fn read(&self, path: &Path, within: Duration) -> Result<&'static str, Stuck> {
            let (answers, reads) = (Arc::clone(&self.1), Arc::clone(&self.2));
            let hang = move || {
                reads.fetch_add(1, Ordering::Relaxed);
                // Ends when the mount is dropped.
                let _ = locked(&answers).recv();
                "answer"
            };
            read(path, within, hang).await
        }

        fn answers(&mut self) {
            self.0 = None;
        }
    }

    #[tokio::test]
    async fn a_path_that_hangs_has_one_thread_however_often_it_is_read() {
        let mut mount = Mount::new();
        let path = Path::new("/test/one");
        for _ in 0..5 {
            let reason = "not read within 20ms: its file system hangs, or is slow".to_owned();
            let stuck = Stuck { path: path.to_owned(), reason };
            assert_eq!(mount.read(path, SHORT).await, Err(stuck));
        }
        assert_eq!(mount.reads(), 1);
        // Another path is read meanwhile.
        assert_eq!(read(Path::new("/test/other"), LONG, || 7).await, Ok(7));
        mount.answers();
        assert_eq!(mount.read(path, LONG).await, Ok("answer"));
        assert_eq!(mount.reads(), 2);
    }

    #[tokio::test]
    async fn many_paths_that_hang_keep_no_other_from_being_read() {
        static LANES: LazyLock<Lanes<()>> = LazyLock::new(|| Lanes::new("test", 2, 40));
        let mut held = Vec::new();
        let hang = |number: usize, held: &mut Vec<_>| {
            let (answer, answers) = mpsc::channel::<()>();
            held.push(answer);
            async move {
                let lane = LANES.lane(OsStr::new(&format!("/test/{number}")));
                let turn = lane.turn().await;
                let crowded = AtomicBool::new(false);
                let work = move || (turn, answers.recv()).1;
                let is_late = timeout(SHORT, LANES.on_thread(&lane, &crowded, work)).await.is_err();
                (is_late, crowded.into_inner())
            }
        };
        for number in 0..39 {
            assert_eq!(hang(number, &mut held).await, (true, false), "{number}");
        }
        let lane = LANES.lane(OsStr::new("/test/healthy"));
        let crowded = AtomicBool::new(false);
        assert_eq!(LANES.on_thread(&lane, &crowded, || 7).await.unwrap(), 7);
        // The last thread; beyond that there is an end.
        assert_eq!(hang(39, &mut held).await, (true, false));
        assert_eq!(hang(40, &mut held).await, (true, true));
        drop(held);
        assert_eq!(LANES.on_thread(&lane, &crowded, || 8).await.unwrap(), 8);
    }

    #[tokio::test]
    async fn what_hangs_is_named_also_to_who_waits_for_it() {
        let (answer, answers) = mpsc::channel::<()>();
        let (all, inner) = (Path::new("/test/*.json"), Path::new("/test/b.json"));
        let hang = move || {
            at(Path::new("/test/a.json"));
            at(inner);
            let _ = answers.recv();
        };
        assert_eq!(read(all, SHORT, hang).await.unwrap_err().path, inner);
        assert_eq!(read(all, SHORT, || ()).await.unwrap_err().path, inner);
        drop(answer);
        assert_eq!(read(all, LONG, || ()).await, Ok(()));
        // Here it means nothing.
        at(inner);
    }

    #[tokio::test]
    async fn a_lane_is_gone_with_who_is_in_it() {
        let path = Path::new("/test/gone");
        let is_there = || locked(&FILES.by_key).contains_key(path.as_os_str());
        assert!(read(path, LONG, is_there).await.unwrap());
        // The thread lets go of it before it answers.
        assert!(!locked(&FILES.by_key).contains_key(path.as_os_str()));
    }

    #[tokio::test]
    #[should_panic(expected = "as this test wants it")]
    async fn a_panic_is_the_callers() {
        let panics = || -> () { panic!("as this test wants it") };
        let _ = read(Path::new("/test/panics"), LONG, panics).await;
    }
}
