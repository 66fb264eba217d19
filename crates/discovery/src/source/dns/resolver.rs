//! What all DNS sources share: the path of `resolv.conf`, the pace of questions, and which servers
//! are silent.
//!
//! A thousand names are a thousand questions. Sent at once, they overflow the socket of a small
//! server, such as Docker's own. So all questions of the program are sent one after the other, and
//! at most [`MOST_AT_ONCE`] wait for answers at a time.

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

/// The most questions that wait for answers at a time.
pub(super) const MOST_AT_ONCE: usize = 64;

/// The pause from one question to the next.
pub(super) const GAP: Duration = Duration::from_millis(1);

/// How long a server counts as silent after an unanswered question, unless it answers another.
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
    /// When the next question may be sent.
    next: Instant,
    /// The silent servers, and when each last did not answer.
    silent: HashMap<SocketAddr, Instant>,
}

impl Resolver {
    /// A resolver that reads `resolv_conf` at every refresh.
    pub fn new(resolv_conf: impl Into<PathBuf>) -> Self {
        let state = State { next: Instant::now(), silent: HashMap::new() };
        Self {
            resolv_conf: resolv_conf.into(),
            slots: Semaphore::new(MOST_AT_ONCE),
            state: Mutex::new(state),
        }
    }

    /// The path of `resolv.conf`.
    pub(super) fn path(&self) -> &Path {
        &self.resolv_conf
    }

    /// Reads `resolv.conf` within half of `deadline`.
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

    /// Waits until the next question may be sent, `gap` after the last one. `None` at `end`.
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

    /// Whether a server was recently silent.
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
