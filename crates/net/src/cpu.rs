//! Work that keeps a processor busy: decoding large answers, relabeling large sets, rendering
//! lists.
//!
//! It has threads of its own, as many as there are processors, and nothing else runs on them. So it
//! never waits behind a read that hangs, and more work at one time never takes more memory than
//! that many pieces of it need. Work must be finite and wait for nothing.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;

use tokio::sync::{Semaphore, oneshot};

/// For sources and jobs.
pub static DISCOVERY: Pool = Pool::new("discovery-cpu");

/// For lists that somebody reads. Apart, so that the kernel shares the processors between readers
/// and discovery.
pub static LISTS: Pool = Pool::new("lists-cpu");

/// Threads for work. They start with the first piece of it and stay.
pub struct Pool {
    name: &'static str,
    /// The most threads.
    most: usize,
    running: OnceLock<Running>,
}

struct Running {
    /// One for each thread: what is handed to the threads starts at once.
    turns: Arc<Semaphore>,
    queue: mpsc::Sender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;
type Outcome<T> = Result<T, Box<dyn Any + Send>>;

/// Says to work that its caller no longer waits. Long work checks it now and then, and stops.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Whether the caller no longer waits for the result.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Cancels when it is dropped.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

impl Pool {
    /// A pool whose threads have this name.
    pub const fn new(name: &'static str) -> Self {
        Self { name, most: usize::MAX, running: OnceLock::new() }
    }

    /// The same with one thread: one piece of work at a time, in the order of the calls.
    pub const fn single(name: &'static str) -> Self {
        Self { name, most: 1, running: OnceLock::new() }
    }

    /// What `work` returns. It starts when a thread is free, in the
    /// order of the calls. Dropped before that, `work` never starts; dropped later, `work` goes on,
    /// is cancelled, and its result is lost.
    ///
    /// # Panics
    ///
    /// Where `work` does.
    pub async fn run<T, W>(&self, work: W) -> T
    where
        W: FnOnce(&Cancel) -> T + Send + 'static,
        T: Send + 'static,
    {
        let Running { turns, queue } = self.running();
        let turn = Arc::clone(turns).acquire_owned().await;
        let turn = turn.expect("the semaphore is never closed");
        let cancel = Cancel::default();
        let _cancel = CancelOnDrop(cancel.clone());
        let (answer, answered) = oneshot::channel();
        hand_over(queue, move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| work(&cancel)));
            drop(turn);
            // The caller may have gone.
            let _ = answer.send(outcome);
        });
        returned(answered.await.expect("a job answers, whatever happens in it"))
    }

    /// The same for a thread that may wait.
    ///
    /// # Panics
    ///
    /// Where `work` does.
    pub fn run_blocking<T, W>(&self, work: W) -> T
    where
        W: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (answer, answered) = mpsc::sync_channel(1);
        hand_over(&self.running().queue, move || {
            // The caller may have gone.
            let _ = answer.send(catch_unwind(AssertUnwindSafe(work)));
        });
        returned(answered.recv().expect("a job answers, whatever happens in it"))
    }

    fn running(&self) -> &Running {
        self.running.get_or_init(|| {
            let (queue, jobs) = mpsc::channel::<Job>();
            let jobs = Arc::new(Mutex::new(jobs));
            let wanted = thread::available_parallelism().map_or(1, usize::from).min(self.most);
            let started = (0..wanted).map_while(|_| {
                let jobs = Arc::clone(&jobs);
                let thread = thread::Builder::new().name(self.name.to_owned());
                let work = move || {
                    while let Some(job) = next(&jobs) {
                        job();
                    }
                };
                thread.spawn(work).ok()
            });
            let turns = Arc::new(Semaphore::new(started.count().max(1)));
            Running { turns, queue }
        })
    }
}

fn next(jobs: &Mutex<mpsc::Receiver<Job>>) -> Option<Job> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Where no thread could be started at all, this one does it.
fn hand_over(queue: &mpsc::Sender<Job>, job: impl FnOnce() + Send + 'static) {
    if let Err(mpsc::SendError(job)) = queue.send(Box::new(job)) {
        job();
    }
}

fn returned<T>(outcome: Outcome<T>) -> T {
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn returns_what_work_returns_and_panics_as_it_panics() {
        let pool = Pool::new("test");
        assert_eq!(pool.run(|_| 1 + 1).await, 2);
        let panics = AssertUnwindSafe(pool.run(|_| -> () { panic!("as this test wants it") }));
        let panic = panics.catch_unwind().await.unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"as this test wants it"));
        // The thread is still there.
        let threads = thread::available_parallelism().map_or(1, usize::from);
        for number in 0..=threads {
            assert_eq!(pool.run(move |_| number).await, number);
        }
        assert_eq!(pool.run_blocking(|| 3), 3);
    }

    #[tokio::test]
    async fn work_whose_caller_is_gone_is_cancelled_or_never_starts() {
        let pool = Pool::new("test");
        let threads = pool.running().turns.available_permits();
        let (started, starts) = mpsc::channel();
        let (ended, ends) = mpsc::channel();
        let mut calls: Vec<_> = (0..threads)
            .map(|_| {
                let (started, ended) = (started.clone(), ended.clone());
                Box::pin(pool.run(move |cancel| {
                    started.send(()).unwrap();
                    while !cancel.is_cancelled() {
                        thread::yield_now();
                    }
                    ended.send("cancelled").unwrap();
                }))
            })
            .collect();
        for call in &mut calls {
            assert!(call.now_or_never().is_none());
            starts.recv().unwrap();
        }
        // All threads are busy.
        let never = ended.clone();
        assert!(pool.run(move |_| never.send("started").unwrap()).now_or_never().is_none());
        drop(calls);
        pool.run(|_| ()).await;
        drop(ended);
        let ended: Vec<_> = (0..threads).map(|_| ends.recv().unwrap()).collect();
        assert_eq!(ended, vec!["cancelled"; threads]);
        assert_eq!(ends.try_recv().ok(), None);
    }
}
