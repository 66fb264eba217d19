//! Asks file systems for their size. Any of them may hang, one of a server that is gone for ever.
//!
//! A thread of its own asks them one after the other. If one does not answer, the thread is left
//! with it, another thread asks the rest, and that file system is not asked again until the first
//! thread has come back.

use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, StatxFlags, statfs, statx};
use rustix::io::Errno;

/// One file system, and the paths of this process that lead to it, the best one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) paths: Vec<Path>,
}

/// A path, and the mount that is expected there. Another one may have been mounted over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) path: CString,
    pub(super) mount: Option<u64>,
}

/// What a file system says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Size(Size),
    Failed(Errno),
    /// Other mounts hide all its paths.
    Hidden,
    /// It has not answered in time.
    Late,
}

/// In bytes, and in inodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) all: u64,
    pub(super) free: u64,
    /// Of `free`, what others than root may use.
    pub(super) available: u64,
    pub(super) files: u64,
    pub(super) files_free: u64,
}

/// How long one scrape waits for the first file system that does not answer, and for all of them.
#[derive(Clone, Copy, Debug)]
struct Patience {
    one: Duration,
    /// For each that comes behind it.
    next: Duration,
    all: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            one: Duration::from_secs(1),
            next: Duration::from_millis(100),
            all: Duration::from_secs(3),
        }
    }
}

/// The most threads that hang. Beyond it no file system is asked until one has come back.
const MOST_STUCK: usize = 32;

type Ask = fn(&Question) -> Answer;

/// Whether a worker is done with a round within this time.
type Wait = fn(&mpsc::Receiver<()>, &Round, Duration) -> bool;

/// Asks file systems.
#[derive(Debug)]
pub(super) struct Prober {
    ask: Ask,
    wait: Wait,
    patience: Patience,
    worker: Option<Worker>,
    /// What hung workers have not come back from.
    stuck: Vec<(Worker, Question)>,
}

#[derive(Debug)]
struct Worker {
    work: mpsc::Sender<Arc<Round>>,
    done: mpsc::Receiver<()>,
}

/// The questions of one scrape that one worker asks.
#[derive(Debug)]
struct Round {
    questions: Arc<[Question]>,
    /// Which of them, in this order.
    order: Vec<usize>,
    /// The caller does not wait for the rest.
    is_left: AtomicBool,
    /// In the same order; one that is missing is being asked, or was never.
    answers: Mutex<Vec<Answer>>,
}

impl Default for Prober {
    fn default() -> Self {
        let wait: Wait = |done, _, within| done.recv_timeout(within).is_ok();
        Self { ask: answer, wait, patience: Patience::default(), worker: None, stuck: Vec::new() }
    }
}

impl Round {
    fn answers(&self) -> MutexGuard<'_, Vec<Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Prober {
    /// The answers, in the order of the questions.
    pub(super) fn ask(&mut self, questions: &Arc<[Question]>) -> Vec<Answer> {
        self.stuck.retain(|(worker, _)| worker.done.try_recv() == Err(mpsc::TryRecvError::Empty));
        let mut answers = vec![Answer::Late; questions.len()];
        let hangs = |question| self.stuck.iter().any(|(_, stuck)| stuck == question);
        let mut order: Vec<usize> =
            (0..questions.len()).filter(|at| !hangs(&questions[*at])).collect();
        let end = Instant::now() + self.patience.all;
        let mut patience = self.patience.one;
        while !order.is_empty() && self.stuck.len() < MOST_STUCK {
            let worker = match self.worker.take() {
                Some(worker) => worker,
                None => match Worker::start(self.ask) {
                    Ok(worker) => worker,
                    Err(error) => {
                        tracing::warn!(%error, "Cannot start a thread to read file systems");
                        break;
                    }
                },
            };
            let round = Arc::new(Round {
                questions: questions.clone(),
                order: std::mem::take(&mut order),
                is_left: AtomicBool::new(false),
                answers: Mutex::default(),
            });
            let is_done = worker.run(&round, self.wait, patience, end);
            let mut asked = round.order.iter();
            for answer in &*round.answers() {
                let at = asked.next().expect("only questions are answered");
                answers[*at] = *answer;
            }
            if is_done {
                self.worker = Some(worker);
                break;
            }
            if let Some(stuck) = asked.next() {
                self.stuck.push((worker, questions[*stuck].clone()));
            }
            if Instant::now() < end {
                order.extend(asked);
            }
            patience = self.patience.next;
        }
        answers
    }
}

impl Worker {
    fn start(ask: Ask) -> std::io::Result<Self> {
        let (work, rounds) = mpsc::channel::<Arc<Round>>();
        let (is_done, done) = mpsc::channel();
        thread::Builder::new().name("statfs".to_owned()).spawn(move || {
            for round in rounds {
                for at in &round.order {
                    let answer = ask(&round.questions[*at]);
                    let mut answers = round.answers();
                    if round.is_left.load(Ordering::Relaxed) {
                        break;
                    }
                    answers.push(answer);
                }
                if is_done.send(()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { work, done })
    }

    /// Whether all was asked. It is left alone when one question takes longer than `patience`.
    fn run(&self, round: &Arc<Round>, wait: Wait, patience: Duration, end: Instant) -> bool {
        // It ends only with this value.
        if self.work.send(round.clone()).is_err() {
            return false;
        }
        let mut answered = 0;
        loop {
            let within = patience.min(end.saturating_duration_since(Instant::now()));
            if wait(&self.done, round, within) {
                return true;
            }
            let answers = round.answers();
            if answers.len() > answered && Instant::now() < end {
                answered = answers.len();
                continue;
            }
            // No answer comes in while the lock is held, and none is taken afterwards.
            round.is_left.store(true, Ordering::Relaxed);
            let is_done = answers.len() == round.order.len();
            drop(answers);
            return is_done && self.done.recv().is_ok();
        }
    }
}

/// Asks the file system behind the first path that leads there.
fn answer(question: &Question) -> Answer {
    let mut last = Answer::Hidden;
    for Path { path, mount } in &question.paths {
        if mount.is_some_and(|mount| is_hidden(path, mount)) {
            continue;
        }
        match statfs(path.as_c_str()) {
            Ok(found) => {
                let unit = u64::try_from(found.f_bsize).unwrap_or(0);
                return in_bytes(
                    unit,
                    Size {
                        all: found.f_blocks,
                        free: found.f_bfree,
                        available: found.f_bavail,
                        files: found.f_files,
                        files_free: found.f_ffree,
                    },
                );
            }
            Err(error) => last = Answer::Failed(error),
        }
    }
    last
}

/// The size in bytes of one in blocks. Of a FUSE file system without `allow_other`, the kernel gives others
/// than its owner an answer without a size of blocks, and with 0 for all that it does not say (Linux
/// `fs/fuse/inode.c`, `fuse_statfs`).
fn in_bytes(unit: u64, blocks: Size) -> Answer {
    if unit == 0 {
        return Answer::Failed(Errno::ACCESS);
    }
    Answer::Size(Size {
        all: blocks.all.saturating_mul(unit),
        free: blocks.free.saturating_mul(unit),
        available: blocks.available.saturating_mul(unit),
        ..blocks
    })
}

/// Whether the path leads to another mount than this. Kernels before 5.8 do not say.
fn is_hidden(path: &CString, mount: u64) -> bool {
    let flags = AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    let found = statx(CWD, path.as_c_str(), flags, StatxFlags::MNT_ID);
    found.is_ok_and(|found| {
        found.stx_mask & StatxFlags::MNT_ID.bits() != 0 && found.stx_mnt_id != mount
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, LazyLock};

    use super::*;

    /// The paths that hang when they are asked, and those that do.
    static HANGING: LazyLock<(Mutex<[Vec<CString>; 2]>, Condvar)> = LazyLock::new(Default::default);

    fn hang(question: &Question) -> Answer {
        let (hanging, changed) = &*HANGING;
        let path = &question.paths[0].path;
        let mut all = hanging.lock().unwrap();
        all[1].push(path.clone());
        all = changed.wait_while(all, |all| all[0].contains(path)).unwrap();
        all[1].retain(|known| known != path);
        Answer::Size(Size { all: path.as_bytes().len() as u64, ..Size::default() })
    }

    /// Until the worker is done, or hangs.
    fn wait(done: &mpsc::Receiver<()>, round: &Round, _: Duration) -> bool {
        loop {
            if done.recv_timeout(Duration::from_millis(1)).is_ok() {
                return true;
            }
            let [hang, asked] = &*HANGING.0.lock().unwrap();
            let answered = round.answers().len();
            if let Some(at) = round.order.get(answered) {
                let path = &round.questions[*at].paths[0].path;
                if hang.contains(path) && asked.contains(path) {
                    return false;
                }
            }
        }
    }

    fn questions(paths: &[&str]) -> Arc<[Question]> {
        let question = |path: &&str| Question {
            paths: vec![Path { path: CString::new(*path).unwrap(), mount: None }],
        };
        paths.iter().map(question).collect()
    }

    fn set_hanging(paths: &[&str]) {
        let paths = paths.iter().map(|path| CString::new(*path).unwrap());
        HANGING.0.lock().unwrap()[0] = paths.collect();
        HANGING.1.notify_all();
    }

    fn sizes(answers: &[Answer]) -> Vec<Option<u64>> {
        let size = |answer: &Answer| match answer {
            Answer::Size(size) => Some(size.all),
            _ => None,
        };
        answers.iter().map(size).collect()
    }

    #[test]
    fn what_hangs_is_left_out_until_it_answers() {
        // Answers that came in before another one hangs are seen first.
        let patience = Patience { all: Duration::from_hours(1), ..Patience::default() };
        let mut prober = Prober { ask: hang, wait, patience, ..Prober::default() };
        let all = questions(&["/", "/nfs", "/dead", "/home"]);
        assert_eq!(sizes(&prober.ask(&all)), [Some(1), Some(4), Some(5), Some(5)]);
        set_hanging(&["/nfs", "/dead"]);
        assert_eq!(sizes(&prober.ask(&all)), [Some(1), None, None, Some(5)]);
        // A second time they are not asked.
        assert_eq!(sizes(&prober.ask(&all)), [Some(1), None, None, Some(5)]);
        assert_eq!(prober.stuck.len(), 2);
        set_hanging(&[]);
        for (worker, _) in &prober.stuck {
            worker.done.recv().unwrap();
        }
        prober.stuck.clear();
        assert_eq!(sizes(&prober.ask(&all)), [Some(1), Some(4), Some(5), Some(5)]);
    }

    #[test]
    fn a_size_that_the_kernel_withholds_is_not_0() {
        assert_eq!(in_bytes(0, Size::default()), Answer::Failed(Errno::ACCESS));
        // A file system of a server may really have none.
        assert_eq!(in_bytes(4096, Size::default()), Answer::Size(Size::default()));
        let blocks = Size { all: 3, free: 2, available: 1, files: 9, files_free: 8 };
        let bytes = Size { all: 12, free: 8, available: 4, ..blocks };
        assert_eq!(in_bytes(4, blocks), Answer::Size(bytes));
    }

    #[test]
    fn a_path_under_another_mount_is_skipped() {
        let path = |path: &str, mount| Path { path: CString::new(path).unwrap(), mount };
        let hidden = Question { paths: vec![path("/", Some(u64::MAX))] };
        assert_eq!(answer(&hidden), Answer::Hidden);
        let mut found = hidden;
        found.paths.push(path("/no/such/folder", None));
        assert_eq!(answer(&found), Answer::Failed(Errno::NOENT));
        found.paths.push(path("/", None));
        assert!(matches!(answer(&found), Answer::Size(Size { all: 1.., .. })));
    }
}
