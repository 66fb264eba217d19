//! Several hosts that stand for one thing, asked one after the other until one answers.
//!
//! Invariants:
//! - The host that answered last is asked first the next time.
//! - Where the rotation stands is written before each attempt, so a refresh that is cancelled does not
//!   start again at the host that hung.
//! - When all failed, the next refresh starts where this one did.
//!
//! ```text
//! let mut round = rotation.round();
//! while let Some(turn) = rotation.next(&mut round) {
//!     match self.attempt(turn).await {
//!         Ok(answer) => return Ok((answer, rotation.answered(round, turn.index, name_of))),
//!         Err(error) => round.failed(turn, error),
//!     }
//! }
//! Err(rotation.exhausted(round))
//! ```

use std::fmt::Display;

use crate::problems::NEXT_HOST;
use crate::{Error, Problem};

/// Which of several hosts is next.
#[derive(Debug)]
pub struct Rotation {
    at: usize,
    count: usize,
}

/// One refresh's way through the hosts. `E` is why an attempt fails.
#[derive(Debug)]
pub struct Round<E> {
    first: usize,
    tried: usize,
    /// The host that this round does without.
    skipped: Option<usize>,
    failures: Vec<(usize, E)>,
}

/// One attempt of a [`Round`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Which host to ask.
    pub index: usize,
    /// How many can be asked after it.
    pub others_left: usize,
}

impl Rotation {
    /// Starts with the first of `count` hosts.
    pub fn new(count: usize) -> Self {
        Self { at: 0, count }
    }

    /// How many hosts there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The host that answered last.
    pub fn current(&self) -> usize {
        self.at
    }

    /// Turns to the next host.
    pub fn advance(&mut self) {
        self.at = (self.at + 1) % self.count;
    }

    /// Starts a refresh.
    pub fn round<E>(&self) -> Round<E> {
        Round { first: self.at, tried: 0, skipped: None, failures: Vec::new() }
    }

    /// The next host to ask; `None` after the last one.
    pub fn next<E>(&mut self, round: &mut Round<E>) -> Option<Turn> {
        loop {
            if round.tried == self.count {
                return None;
            }
            let index = (round.first + round.tried) % self.count;
            round.tried += 1;
            if round.skipped == Some(index) {
                continue;
            }
            self.at = (index + 1) % self.count;
            let tried =
                |skipped: usize| (skipped + self.count - round.first) % self.count < round.tried;
            let skips_another = round.skipped.is_some_and(|skipped| !tried(skipped));
            let others_left = self.count - round.tried - usize::from(skips_another);
            return Some(Turn { index, others_left });
        }
    }

    /// Stays with the host that answered. The others that failed are problems.
    pub fn answered<E: Display>(
        &mut self,
        round: Round<E>,
        index: usize,
        name: impl Fn(usize) -> String,
    ) -> impl Iterator<Item = Problem> {
        self.at = index;
        let failures = round.failures.into_iter().filter(move |(failed, _)| *failed != index);
        failures.map(move |(failed, error)| Problem {
            kind: "host",
            object: name(failed),
            reason: NEXT_HOST,
            detail: error.to_string(),
        })
    }

    /// Each of the hosts failed.
    pub fn exhausted<E: Display + From<Error>>(&mut self, mut round: Round<E>) -> E {
        self.at = round.first;
        match round.failures.pop() {
            Some((_, error)) if round.failures.is_empty() => error,
            last => {
                let failures = round.failures.into_iter().chain(last);
                Error::AllHosts(failures.map(|(_, error)| error.to_string()).collect()).into()
            }
        }
    }
}

impl<E> Round<E> {
    /// Notes why a host did not answer.
    pub fn failed(&mut self, turn: Turn, error: E) {
        self.failures.push((turn.index, error));
    }

    /// Does without this host, and says why.
    pub fn skip(&mut self, index: usize, error: E) {
        self.skipped = Some(index);
        self.failures.push((index, error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which hosts a round asks, each with the number of those left, where none answers.
    fn asked(rotation: &mut Rotation, skipped: Option<usize>) -> Vec<(usize, usize)> {
        let mut round = rotation.round();
        if let Some(skipped) = skipped {
            round.skip(skipped, Error::Panic("skipped".to_owned()));
        }
        let mut asked = Vec::new();
        while let Some(turn) = rotation.next(&mut round) {
            asked.push((turn.index, turn.others_left));
            round.failed(turn, Error::Panic(turn.index.to_string()));
        }
        let lines = match rotation.exhausted(round) {
            Error::AllHosts(lines) => lines.len(),
            _ => 1,
        };
        assert_eq!(lines, asked.len() + usize::from(skipped.is_some()));
        asked
    }

    #[test]
    fn each_host_has_its_turn() {
        let mut rotation = Rotation::new(3);
        assert_eq!(asked(&mut rotation, None), [(0, 2), (1, 1), (2, 0)]);
        rotation.advance();
        assert_eq!(asked(&mut rotation, None), [(1, 2), (2, 1), (0, 0)]);
        assert_eq!(asked(&mut rotation, Some(0)), [(1, 1), (2, 0)]);
        assert_eq!(asked(&mut rotation, Some(1)), [(2, 1), (0, 0)]);
        assert_eq!(asked(&mut rotation, Some(2)), [(1, 1), (0, 0)]);
        assert_eq!(asked(&mut Rotation::new(1), None), [(0, 0)]);
    }

    #[test]
    fn the_host_that_answered_is_no_problem() {
        let mut rotation = Rotation::new(2);
        let mut round = rotation.round();
        for _ in 0..2 {
            let turn = rotation.next(&mut round).unwrap();
            round.failed(turn, Error::Panic(format!("why {}", turn.index)));
        }
        let problems = rotation.answered(round, 1, |host| format!("host {host}"));
        let problems: Vec<_> = problems.map(|problem| problem.object).collect();
        assert_eq!((problems, rotation.current()), (vec!["host 0".to_owned()], 1));
    }
}
