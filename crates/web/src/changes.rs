//! One signal for "something changed", for pages that update themselves.
//!
//! It says that something changed, never what: a page reads the state again, so a lost signal costs
//! nothing but time.

use std::time::Duration;

use futures_util::future::{BoxFuture, select_all};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::{Discovery, Outputs, Program};

/// Changes within this time are one.
const PAUSE: Duration = Duration::from_millis(100);

/// Counts the changes of jobs, Swarms, files and the program.
#[derive(Debug)]
pub struct Changes {
    discovery: Discovery,
    outputs: Outputs,
    program: Program,
    count: watch::Sender<u64>,
}

impl Changes {
    /// Nothing is counted before [`Self::run`].
    pub fn new(discovery: &Discovery, outputs: &Outputs, program: &Program) -> Self {
        Self {
            discovery: discovery.clone(),
            outputs: outputs.clone(),
            program: program.clone(),
            count: watch::Sender::default(),
        }
    }

    /// Wakes its owner after each change. The number has no other meaning.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// Counts until it is dropped.
    pub async fn run(mut self) {
        loop {
            // Not marked as seen: a change that comes before the wait ends it at once.
            let jobs = self.discovery.jobs.borrow().clone();
            let swarms = self.discovery.swarms.borrow().clone();
            let mut sets: Vec<_> = jobs.iter().map(|job| job.set.clone()).collect();
            let mut statuses: Vec<_> = jobs.iter().map(|job| job.status.clone()).collect();
            let mut feeds: Vec<_> = swarms.iter().map(|swarm| swarm.feed.clone()).collect();
            loop {
                let lists =
                    [changed(&mut self.discovery.jobs), changed(&mut self.discovery.swarms)];
                let others = [
                    changed(&mut self.outputs.files),
                    changed(&mut self.program.reload),
                    changed(&mut self.program.ready),
                ];
                let sets = sets.iter_mut().map(changed);
                let statuses = statuses.iter_mut().map(changed);
                let feeds = feeds.iter_mut().map(changed);
                let all = lists.into_iter().chain(others).chain(sets).chain(statuses).chain(feeds);
                let ((), which, _) = select_all(all).await;
                self.count.send_modify(|count| *count += 1);
                sleep(PAUSE).await;
                if which < 2 {
                    break;
                }
            }
        }
    }
}

/// Resolves when there is something new; never, once the sender is gone.
pub(crate) fn changed<T: Send + Sync>(receiver: &mut watch::Receiver<T>) -> BoxFuture<'_, ()> {
    Box::pin(async {
        if receiver.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
