//! Threads of the server's own. Large answers to many readers are more work than there are threads
//! for; in one queue with it, each step of the program's other work would wait for a piece of each
//! answer. Apart, the kernel shares the processors between readers and that work.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// For lookups of the names that the server listens at. Idle ones end after ten seconds.
const MAX_BLOCKING_THREADS: usize = 1;

/// Threads that run tasks. They end when this is dropped, and so do the tasks that still run.
#[derive(Debug)]
pub struct Threads {
    handle: Handle,
    /// `None` only while this is dropped.
    runtime: Option<Runtime>,
}

impl Threads {
    /// This many threads, which is at least one.
    pub fn start(count: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(count)
            .max_blocking_threads(MAX_BLOCKING_THREADS)
            .thread_name("web")
            .enable_all()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Starts tasks on them.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Waiting for them is not allowed on the threads of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
