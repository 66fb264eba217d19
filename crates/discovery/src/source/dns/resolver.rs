//! What all DNS sources share: where `resolv.conf` is, the pace at which servers are asked, and
//! which of them do not answer.
//!
//! A thousand names are a thousand questions. Sent at once they are more than the socket of a small
//! server holds (Docker's own among them), and the first sources of a file would meet the others at
//! every refresh. So all questions of the program, whatever source they are for, leave one after
//! the other, and only so many wait for their answers at a time.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use swarmscout_net::{io_words, lane};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::resolv_conf::ResolvConf;
use crate::Error;

/// How long `resolv.conf` may take to be read.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many questions wait for their answers at a time.
pub(super) const MOST_AT_ONCE: usize = 64;

/// From one question to the next.
pub(super) const GAP: Duration = Duration::from_millis(1);

/// How long a server counts as silent after it did not answer, unless it answers again before.
const SILENCE: Duration = Duration::from_secs(10);

/// What all DNS sources share.
#[derive(Debug)]
pub struct Resolver {
    resolv_conf: PathBuf,
    slots: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the next question may leave.
    next: Instant,
    /// When each of these servers did not answer.
    silent: HashMap<SocketAddr, Instant>,
}

impl Resolver {
    /// Reads `resolv_conf` at every look.
    pub fn new(resolv_conf: impl Into<PathBuf>) -> Self {
        let state = State { next: Instant::now(), silent: HashMap::new() };
        Self {
            resolv_conf: resolv_conf.into(),
            slots: Semaphore::new(MOST_AT_ONCE),
            state: Mutex::new(state),
        }
    }

    /// Where `resolv.conf` is.
    pub(super) fn path(&self) -> &Path {
        &self.resolv_conf
    }

    /// Takes half of `deadline` at most.
    pub(super) async fn read_conf(&self, deadline: Duration) -> Result<ResolvConf, Error> {
        let path = self.resolv_conf.clone();
        let within = (deadline / 2).min(PATIENCE);
        let read = lane::read(&self.resolv_conf, within, move || ResolvConf::read(&path)).await;
        let read = match read {
            Ok(read) => read.map_err(|error| io_words(&error)),
            Err(stuck) => Err(stuck.reason),
        };
        read.map_err(|reason| Error::File {
            path: self.resolv_conf.display().to_string(),
            reason: format!("cannot read which servers to ask: {reason}"),
        })
    }

    /// Waits until one more question may leave, `gap` after the one before. `None` at `end`.
    pub(super) async fn turn(&self, gap: Duration, end: Instant) -> Option<SemaphorePermit<'_>> {
        let slot = timeout_at(end, self.slots.acquire()).await.ok()?;
        let slot = slot.expect("the semaphore is never closed");
        let at = {
            let mut state = self.state();
            let at = state.next.max(Instant::now());
            state.next = at + gap;
            at
        };
        sleep_until(at).await;
        (at < end).then_some(slot)
    }

    /// Whether a server did not answer of late.
    pub(super) fn is_silent(&self, server: SocketAddr) -> bool {
        self.state().silent.get(&server).is_some_and(|since| since.elapsed() < SILENCE)
    }

    /// Notes whether a server answers.
    pub(super) fn note(&self, server: SocketAddr, answers: bool) {
        let silent = &mut self.state().silent;
        if answers {
            silent.remove(&server);
        } else {
            silent.insert(server, Instant::now());
            silent.retain(|_, since| since.elapsed() < SILENCE);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
