//! The way of log lines to stderr.
//!
//! A pipe that is not read fills up, and then its writer waits. So a thread that does
//! nothing else writes, and a logging thread only adds to a queue. What does not fit is dropped and
//! counted, and said once there is room again. The mode of stderr, which others may share, stays as
//! it is.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// The most that waits to be written, in bytes; one line may always wait.
const MAX_WAITING: usize = 1 << 20;

/// Where lines wait. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when there is a line.
    lines: Condvar,
    /// Notified when nothing is left to write.
    idle: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Vec<u8>>,
    /// Bytes in `waiting`.
    size: usize,
    /// Whether a line is being written.
    writes: bool,
    /// Lines that were dropped.
    dropped: u64,
    /// Those of them that were not reported yet.
    unreported: u64,
}

impl Queue {
    /// Starts the thread that writes into `out`. `report` is called with the number of lines that
    /// were dropped, as soon as one could be written again.
    pub(super) fn start(
        &self,
        mut out: impl Write + Send + 'static,
        report: impl Fn(u64) + Send + 'static,
    ) -> io::Result<()> {
        let queue = self.clone();
        let write = move || {
            loop {
                let line = queue.next();
                let written = out.write_all(&line).and_then(|()| out.flush());
                let dropped = queue.wrote(written.is_ok());
                if dropped > 0 {
                    report(dropped);
                }
            }
        };
        thread::Builder::new().name(String::from("log")).spawn(write).map(drop)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lines that were dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.state().dropped
    }

    fn add(&self, line: &[u8]) {
        let mut state = self.state();
        if !state.waiting.is_empty() && state.size + line.len() > MAX_WAITING {
            state.drop_one();
            return;
        }
        state.size += line.len();
        state.waiting.push_back(line.to_vec());
        self.0.lines.notify_one();
    }

    /// Waits for the next line.
    fn next(&self) -> Vec<u8> {
        let mut state = self.state();
        loop {
            if let Some(line) = state.waiting.pop_front() {
                state.size -= line.len();
                state.writes = true;
                return line;
            }
            state = self.0.lines.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes that a line was written, or that this failed. Returns how many dropped lines are to be
    /// reported now.
    fn wrote(&self, well: bool) -> u64 {
        let mut state = self.state();
        state.writes = false;
        if !well {
            state.drop_one();
        }
        if state.waiting.is_empty() {
            self.0.idle.notify_all();
        }
        if well { std::mem::take(&mut state.unreported) } else { 0 }
    }

    /// Waits until all is written, for so long at most.
    pub(super) fn flush(&self, within: Duration) {
        let left = |state: &mut State| state.writes || !state.waiting.is_empty();
        let waited = self.0.idle.wait_timeout_while(self.state(), within, left);
        drop(waited);
    }
}

impl State {
    fn drop_one(&mut self) {
        self.unreported += 1;
        self.dropped += 1;
    }
}

/// Each write is a line.
impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Queue {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, SyncSender};

    use super::*;

    /// A pipe that takes one line for each that is read.
    struct Pipe(SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.send(line.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn pipe() -> (Queue, Receiver<Vec<u8>>, Receiver<u64>) {
        let (queue, (pipe, end)) = (Queue::default(), mpsc::sync_channel(0));
        let (report, reports) = mpsc::channel();
        queue.start(Pipe(pipe), move |dropped| report.send(dropped).unwrap()).unwrap();
        (queue, end, reports)
    }

    #[test]
    fn what_is_not_read_is_dropped_counted_and_reported() {
        let (mut queue, end, reports) = pipe();
        let line = |number: u8| vec![number; MAX_WAITING / 4];
        queue.write_all(&line(0)).unwrap();
        // The thread has taken the first one when the queue is empty again, and hangs with it.
        while queue.state().size > 0 {
            thread::yield_now();
        }
        for number in 1..=7 {
            queue.write_all(&line(number)).unwrap();
        }
        assert_eq!(queue.dropped(), 3);
        // The end of the program waits no longer than this.
        queue.flush(Duration::from_millis(1));
        for number in 0..=4 {
            assert_eq!(end.recv().unwrap(), line(number));
        }
        assert_eq!(reports.recv().unwrap(), 3);
        queue.flush(Duration::from_mins(10));
        assert_eq!(reports.try_recv().ok(), None);
        // There is room again, for a line of any length.
        let long = vec![8; 2 * MAX_WAITING];
        queue.write_all(&long).unwrap();
        assert_eq!(end.recv().unwrap(), long);
        assert_eq!(queue.dropped(), 3);
    }

    #[test]
    fn a_stderr_that_is_closed_loses_lines_only() {
        let (mut queue, end, reports) = pipe();
        drop(end);
        queue.write_all(b"a").unwrap();
        queue.flush(Duration::from_mins(10));
        assert_eq!(queue.dropped(), 1);
        assert_eq!(reports.try_recv().ok(), None);
    }
}
