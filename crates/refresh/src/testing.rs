//! For tests of this crate and of those above it: a discoverer that follows a script.

#![expect(clippy::unwrap_used, reason = "it is for tests")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use swarmscout_model::{Labels, TargetGroup};
use tokio::sync::{Notify, watch};
use tokio::time::{Duration, Instant};

use crate::{BoxFuture, Discoverer, Groups, Problem, RefreshScope, Refreshed};

/// Scripts what a discoverer answers, and records when it was asked. `E` is its error.
#[derive(Debug)]
pub struct Script<E> {
    state: Arc<State>,
    fail: fn(&'static str) -> E,
}

impl<E> Clone for Script<E> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), fail: self.fail }
    }
}

#[derive(Debug)]
struct State {
    answer: Mutex<Answer>,
    hint: Notify,
    /// Time of each refresh since the script was made.
    refreshes: watch::Sender<Vec<Duration>>,
    builds: watch::Sender<u32>,
    /// Discoverers that exist.
    running: AtomicUsize,
    began: Instant,
}

/// The result of a refresh.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These groups.
    Groups(Groups),
    /// These groups, and problems.
    Skipping(Groups, Vec<Problem>),
    /// An error.
    Fail(&'static str),
    /// Nothing, ever.
    Hang,
    /// A panic.
    Panic,
    /// The discoverer cannot even be built.
    NoBuild(&'static str),
    /// Refreshes succeed, but waiting for a change panics.
    PanicWaiting,
}

impl<E: Send + 'static> Script<E> {
    /// A script whose first answer this is. `fail` makes the error of a reason.
    pub fn new(answer: Answer, fail: fn(&'static str) -> E) -> Self {
        let state = State {
            answer: Mutex::new(answer),
            hint: Notify::new(),
            refreshes: watch::Sender::default(),
            builds: watch::Sender::default(),
            running: AtomicUsize::new(0),
            began: Instant::now(),
        };
        Self { state: Arc::new(state), fail }
    }

    /// Makes the discoverer.
    pub fn build(&self) -> Result<Box<dyn Discoverer<Groups, Error = E>>, E> {
        let Self { state, fail } = self.clone();
        state.builds.send_modify(|builds| *builds += 1);
        if let Answer::NoBuild(reason) = *state.answer.lock().unwrap() {
            state.refreshes.send_modify(|refreshes| refreshes.push(state.began.elapsed()));
            return Err(fail(reason));
        }
        state.running.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Scripted { state: Arc::clone(&state), fail }))
    }

    /// The result of every refresh from now on.
    pub fn answer(&self, answer: Answer) {
        *self.state.answer.lock().unwrap() = answer;
    }

    /// The same, and reports a change.
    pub fn change(&self, answer: Answer) {
        self.answer(answer);
        self.hint();
    }

    /// Reports a change.
    pub fn hint(&self) {
        self.state.hint.notify_one();
    }

    /// When each refresh started, since the script was made.
    pub fn refreshes(&self) -> Vec<Duration> {
        self.state.refreshes.borrow().clone()
    }

    /// Waits until there were this many refreshes.
    pub async fn refreshed(&self, times: usize) {
        let mut refreshes = self.state.refreshes.subscribe();
        refreshes.wait_for(|refreshes| refreshes.len() >= times).await.unwrap();
    }

    /// How many discoverers were made, or could not be.
    pub fn builds(&self) -> u32 {
        *self.state.builds.borrow()
    }

    /// Whether some discoverer of this script exists.
    pub fn is_running(&self) -> bool {
        self.state.running.load(Ordering::Relaxed) > 0
    }
}

struct Scripted<E> {
    state: Arc<State>,
    fail: fn(&'static str) -> E,
}

impl<E> Drop for Scripted<E> {
    fn drop(&mut self) {
        self.state.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<E: Send> Discoverer for Scripted<E> {
    type Error = E;

    fn fetch(&mut self, _: RefreshScope) -> BoxFuture<'_, Result<Refreshed<Groups>, E>> {
        Box::pin(async {
            let now = Instant::now();
            self.state.refreshes.send_modify(|refreshes| refreshes.push(now - self.state.began));
            let answer = self.state.answer.lock().unwrap().clone();
            match answer {
                Answer::Groups(groups) => Ok(Refreshed::new(groups, now.into_std())),
                Answer::Skipping(what, problems) => {
                    Ok(Refreshed { value: what, as_of: now.into_std(), problems })
                }
                Answer::Fail(reason) => Err((self.fail)(reason)),
                Answer::Hang => std::future::pending().await,
                Answer::Panic => panic!("scripted"),
                Answer::NoBuild(_) => unreachable!("was never built"),
                Answer::PanicWaiting => Ok(Refreshed::new(Vec::new(), now.into_std())),
            }
        })
    }

    fn changed(&mut self) -> BoxFuture<'_, RefreshScope> {
        Box::pin(async {
            if matches!(*self.state.answer.lock().unwrap(), Answer::PanicWaiting) {
                panic!("scripted");
            }
            self.state.hint.notified().await;
            RefreshScope::Full
        })
    }
}

/// A group of targets that have only addresses.
pub fn group(source: &str, addresses: &[&str]) -> Arc<TargetGroup> {
    Arc::new(TargetGroup {
        source: source.into(),
        targets: addresses.iter().map(|of| [("__address__", *of)].into_iter().collect()).collect(),
        labels: Labels::empty(),
    })
}

/// One group, `g`, with these targets.
pub fn targets(addresses: &[&str]) -> Answer {
    Answer::Groups(vec![group("g", addresses)])
}
