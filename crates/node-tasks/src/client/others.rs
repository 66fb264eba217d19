//! Registers with the managers that are not followed: each of them publishes targets, and must know
//! where the part of this node listens.
//!
//! A manager that starts again knows of no part, so registrations are repeated.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use swarmscout_refresh::Backoff;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{ANSWER_WITHIN, Asker, Followed, changed, failed, unanswered};
use crate::Error;
use crate::error::RequestFailure;
use crate::query::NodeRef;

/// The longest pause from one registration with a manager to the next; the shortest is half of it. A
/// manager forgets who has not asked for six minutes.
const EVERY: Duration = Duration::from_mins(1);

/// A manager, and when it is next registered with.
struct Due {
    at: Instant,
    /// Whether the last registration failed.
    is_failing: bool,
    failures: Backoff,
}

impl Due {
    fn new() -> Self {
        Self { at: Instant::now(), is_failing: false, failures: Backoff::default() }
    }

    /// There is news for the manager. One that fails gets it after the pause.
    fn hurry(&mut self) {
        if !self.is_failing {
            self.at = Instant::now();
        }
    }

    /// Plans the next registration after this one.
    fn ended(&mut self, registered: &Result<(), Error>) {
        self.is_failing = registered.is_err();
        let pause = match registered {
            Ok(()) => {
                self.failures.succeeded();
                Backoff::new(EVERY).failed(EVERY)
            }
            Err(error) => {
                tracing::debug!(%error, "Cannot register with a manager");
                self.failures.failed(EVERY)
            }
        };
        self.at = Instant::now() + pause;
    }
}

/// Registers for ever, from the first answer of a manager on.
pub(super) async fn register(asker: Arc<Asker>, publish: watch::Sender<Arc<Followed>>) {
    let (mut known, mut report) = (publish.subscribe(), asker.settings.report.clone());
    let mut all: Vec<_> = asker.managers.iter().map(|_| Due::new()).collect();
    loop {
        let followed = known.wait_for(|known| asker.followed(known).is_some()).await;
        let Some(followed) = followed.ok().and_then(|known| asker.followed(&known)) else {
            return;
        };
        report.mark_unchanged();
        let (at_manager, node) = followed.clone();
        // This one learns all by requests for tasks. Once it is not followed any more, it is the first
        // to learn it again.
        all[at_manager].at = Instant::now();
        let others = all.iter().enumerate().filter(|(index, _)| *index != at_manager);
        let next = others.map(|(index, due)| (due.at, index)).min();
        let is_due = async {
            match next {
                Some((at, index)) => {
                    sleep_until(at).await;
                    index
                }
                None => std::future::pending().await,
            }
        };
        let is_another =
            |known: &Arc<Followed>| asker.followed(known).is_some_and(|now| now != followed);
        let index = tokio::select! {
            index = is_due => index,
            () = changed(&mut report) => {
                all.iter_mut().for_each(Due::hurry);
                continue;
            }
            _ = known.wait_for(is_another) => continue,
        };
        let registered = asker.register(index, &NodeRef::Id(node)).await;
        all[index].ended(&registered);
        publish.send_if_modified(|known| {
            let known = Arc::make_mut(known);
            known.registrations += 1;
            known.failed_registrations += u64::from(registered.is_err());
            // No reader waits for that.
            false
        });
    }
}

impl Asker {
    /// The place of the manager that is followed, and the ID of this node.
    fn followed(&self, known: &Followed) -> Option<(usize, String)> {
        let name = known.manager.as_ref()?;
        let index = self.managers.iter().position(|manager| Arc::ptr_eq(&manager.name, name))?;
        Some((index, known.tasks.as_ref()?.node.id.clone()))
    }

    /// Says to a manager where this node part listens, and what it finds. The answer has no body.
    async fn register(&self, manager: usize, node: &NodeRef) -> Result<(), Error> {
        let request = self.request(manager, node)?.timeout(ANSWER_WITHIN);
        let name = &self.managers[manager].name;
        let answer = self.client.head(request).await;
        let answer = answer.map_err(|error| unanswered(name, &error))?;
        match answer.status {
            StatusCode::OK => Ok(()),
            status => Err(failed(name, format!("status {status}"), RequestFailure::Status(status))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn news_does_not_end_the_pause_of_a_manager_that_fails() {
        let mut due = Due::new();
        due.ended(&Err(failed("m", String::new(), RequestFailure::Other)));
        let planned = due.at;
        due.hurry();
        assert_eq!(due.at, planned);
        due.ended(&Ok(()));
        assert!(due.at > Instant::now());
        due.hurry();
        assert_eq!(due.at, Instant::now());
    }
}
