//! Several servers with the same data, asked one after the other until one answers.
//!
//! Invariants:
//! - The server that answered last is asked first the next time.
//! - The next server is stored before each attempt, so a cancelled refresh does not start again at
//!   the server that hung.
//! - If all servers failed, the next refresh starts where this one started.
//!
//! ```text
//! let mut round = rotation.round();
//! while let Some(turn) = rotation.next(&mut round) {
//!     match self.attempt(turn).await {
//!         Ok(answer) => return Ok((answer, rotation.answered(round, turn, name_of))),
//!         Err(error) => round.failed(turn, error),
//!     }
//! }
//! Err(rotation.exhausted(round))
//! ```

use swarmscout_refresh::problems::NEXT_HOST;

use crate::{Error, Problem};

/// Which of several servers is next.
#[derive(Debug)]
pub(super) struct Rotation {
    at: usize,
    count: usize,
}

/// The attempts of one refresh.
#[derive(Debug)]
pub(super) struct Round {
    first: usize,
    tried: usize,
    failures: Vec<(usize, Error)>,
}

/// One attempt of a [`Round`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// Which server to ask.
    pub(super) index: usize,
    /// How many servers remain after it.
    pub(super) others_left: usize,
}

impl Rotation {
    /// Starts with the first of `count` servers.
    pub(super) fn new(count: usize) -> Self {
        Self { at: 0, count }
    }

    /// The server that answered last.
    pub(super) fn current(&self) -> usize {
        self.at
    }

    pub(super) fn round(&self) -> Round {
        Round { first: self.at, tried: 0, failures: Vec::new() }
    }

    /// The next server to ask; `None` after the last one.
    pub(super) fn next(&mut self, round: &mut Round) -> Option<Turn> {
        if round.tried == self.count {
            return None;
        }
        let index = (round.first + round.tried) % self.count;
        round.tried += 1;
        self.at = (index + 1) % self.count;
        Some(Turn { index, others_left: self.count - round.tried })
    }

    /// Stays with the server that answered. Returns the servers that failed before it as problems.
    pub(super) fn answered(
        &mut self,
        round: Round,
        turn: Turn,
        name: impl Fn(usize) -> String,
    ) -> impl Iterator<Item = Problem> {
        self.at = turn.index;
        round.failures.into_iter().map(move |(failed, error)| Problem {
            kind: "host",
            object: name(failed),
            reason: NEXT_HOST,
            detail: error.to_string(),
        })
    }

    /// The error after each of the servers failed.
    pub(super) fn exhausted(&mut self, mut round: Round) -> Error {
        self.at = round.first;
        match round.failures.pop() {
            Some((_, error)) if round.failures.is_empty() => error,
            last => {
                let failures = round.failures.into_iter().chain(last);
                Error::AllHosts(failures.map(|(_, error)| error.to_string()).collect())
            }
        }
    }
}

impl Round {
    /// Notes why a server did not answer.
    pub(super) fn failed(&mut self, turn: Turn, error: Error) {
        self.failures.push((turn.index, error));
    }
}
