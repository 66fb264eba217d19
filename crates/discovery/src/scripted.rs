//! A discoverer for tests that does what it is told.

use std::sync::{Arc, Mutex};

use swarmscout_model::{Labels, PromDuration, TargetGroup};
use tokio::sync::{Notify, watch};
use tokio::time::{Duration, Instant};

use crate::config::{CustomConfig, SdConfig};
use crate::source::fixed::address_only;
use crate::{BoxFuture, Discoverer, Error, Groups, Look, Problem};

/// Tells a discoverer what to answer, and knows when it was asked.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    state: Arc<State>,
    config: CustomConfig,
}

#[derive(Debug)]
struct State {
    answer: Mutex<Answer>,
    hint: Notify,
    /// Time of each look since the script was made.
    looks: watch::Sender<Vec<Duration>>,
    builds: watch::Sender<u32>,
    began: Instant,
}

/// What a look brings.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Groups(Groups),
    Skipping(Groups, Vec<Problem>),
    Fail(&'static str),
    Hang,
    Panic,
    /// The discoverer cannot even be built.
    NoBuild(&'static str),
    /// Good looks, but waiting for a change panics.
    PanicWaiting,
}

impl Script {
    /// A source that is looked at every `refresh_interval` seconds and has no target yet.
    pub(crate) fn new(refresh_interval: u64) -> Self {
        Self::answering(refresh_interval, Answer::Groups(Vec::new()))
    }

    pub(crate) fn answering(refresh_interval: u64, answer: Answer) -> Self {
        let state = Arc::new(State {
            answer: Mutex::new(answer),
            hint: Notify::new(),
            looks: watch::Sender::default(),
            builds: watch::Sender::default(),
            began: Instant::now(),
        });
        let build = {
            let state = state.clone();
            Arc::new(move |_: &_| {
                state.builds.send_modify(|builds| *builds += 1);
                if let Answer::NoBuild(reason) = *state.answer.lock().unwrap() {
                    state.looks.send_modify(|looks| looks.push(state.began.elapsed()));
                    return Err(Error::Other(reason.to_owned()));
                }
                Ok(Box::new(Scripted(state.clone())) as Box<dyn Discoverer>)
            })
        };
        let config = CustomConfig {
            mechanism: "scripted",
            what: "a script".into(),
            refresh_interval: Some(PromDuration::from_secs(refresh_interval)),
            build,
        };
        Self { state, config }
    }

    pub(crate) fn config(&self) -> SdConfig {
        SdConfig::Custom(self.config.clone())
    }

    /// What every look brings from now on.
    pub(crate) fn answer(&self, answer: Answer) {
        *self.state.answer.lock().unwrap() = answer;
    }

    /// The same, and tells that something changed.
    pub(crate) fn change(&self, answer: Answer) {
        self.answer(answer);
        self.hint();
    }

    /// Tells that something changed.
    pub(crate) fn hint(&self) {
        self.state.hint.notify_one();
    }

    /// When looks began, since the script was made.
    pub(crate) fn looks(&self) -> Vec<Duration> {
        self.state.looks.borrow().clone()
    }

    /// Waits until there were so many looks.
    pub(crate) async fn looked(&self, times: usize) {
        let mut looks = self.state.looks.subscribe();
        looks.wait_for(|looks| looks.len() >= times).await.unwrap();
    }

    pub(crate) fn builds(&self) -> u32 {
        *self.state.builds.borrow()
    }

    /// Whether some discoverer of this script exists.
    pub(crate) fn is_running(&self) -> bool {
        // One for the script, one for the function that builds.
        Arc::strong_count(&self.state) > 2
    }
}

struct Scripted(Arc<State>);

impl Discoverer for Scripted {
    fn fetch(&mut self) -> BoxFuture<'_, Result<Look<Groups>, Error>> {
        Box::pin(async {
            let now = Instant::now();
            self.0.looks.send_modify(|looks| looks.push(now - self.0.began));
            let answer = self.0.answer.lock().unwrap().clone();
            match answer {
                Answer::Groups(groups) => Ok(Look::new(groups, now.into_std())),
                Answer::Skipping(what, problems) => {
                    Ok(Look { what, as_of: now.into_std(), problems })
                }
                Answer::Fail(reason) => Err(Error::Other(reason.to_owned())),
                Answer::Hang => std::future::pending().await,
                Answer::Panic => panic!("scripted"),
                Answer::NoBuild(_) => unreachable!("was never built"),
                Answer::PanicWaiting => Ok(Look::new(Vec::new(), now.into_std())),
            }
        })
    }

    fn changed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if matches!(*self.0.answer.lock().unwrap(), Answer::PanicWaiting) {
                panic!("scripted");
            }
            self.0.hint.notified().await;
        })
    }
}

/// A group of targets of which only the addresses are known.
pub(crate) fn group(source: &str, addresses: &[&str]) -> Arc<TargetGroup> {
    Arc::new(TargetGroup {
        source: source.into(),
        targets: addresses.iter().map(|address| address_only(address)).collect(),
        labels: Labels::empty(),
    })
}

/// One group, `g`, with these targets.
pub(crate) fn targets(addresses: &[&str]) -> Answer {
    Answer::Groups(vec![group("g", addresses)])
}
