//! Reads `/events`, and keeps what they name until somebody asks.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use swarmscout_docker::engine::{Event, EventKind, EventStream, StreamEnd};
use swarmscout_refresh::Problem;
use swarmscout_refresh::caught;
use tokio::sync::Notify;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::settling::Thing;

/// So many things that events named are kept one by one; beyond that everything is to be listed.
const MOST: usize = 1000;

/// A stream that is being read. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Listening {
    heard: Arc<Heard>,
    _reader: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct Heard {
    state: Mutex<State>,
    notify: Notify,
}

#[derive(Debug, Default)]
struct State {
    things: BTreeSet<Thing>,
    problems: Vec<Problem>,
    ended: Option<Arc<StreamEnd>>,
}

impl Listening {
    pub(super) fn new(stream: EventStream, tasks: &TaskTracker) -> Self {
        let heard = Arc::<Heard>::default();
        let reader = tasks.spawn(read(stream, Arc::clone(&heard)));
        Self { heard, _reader: AbortOnDropHandle::new(reader) }
    }

    /// What events named since this was last asked.
    pub(super) fn take(&self) -> BTreeSet<Thing> {
        std::mem::take(&mut self.heard.lock().things)
    }

    /// Events that could not be read since this was last asked.
    pub(super) fn take_problems(&self) -> Vec<Problem> {
        std::mem::take(&mut self.heard.lock().problems)
    }

    /// Why the stream is over, if it is.
    pub(super) fn ended(&self) -> Option<Arc<StreamEnd>> {
        self.heard.lock().ended.clone()
    }

    /// Resolves when there is something to take, or the stream is over. Cancel-safe.
    pub(super) async fn changed(&self) {
        loop {
            let notified = self.heard.notify.notified();
            {
                let state = self.heard.lock();
                if !state.things.is_empty() || state.ended.is_some() {
                    return;
                }
            }
            notified.await;
        }
    }
}

impl Heard {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether to go on.
    fn note(&self, event: Result<Event, StreamEnd>, problems: Vec<Problem>) -> bool {
        let mut state = self.lock();
        if state.problems.len() < MOST {
            state.problems.extend(problems);
        }
        match event {
            Ok(event) => state.things.extend(named(event)),
            Err(end) => state.ended = Some(Arc::new(end)),
        }
        if state.things.len() > MOST {
            state.things = BTreeSet::from([Thing::All]);
        }
        let goes_on = state.ended.is_none();
        drop(state);
        self.notify.notify_one();
        goes_on
    }
}

/// What an event names. Of a container that is its service.
fn named(event: Event) -> Option<Thing> {
    match event.kind {
        EventKind::Service => Some(Thing::Service(event.id)),
        EventKind::Node => Some(Thing::Node(event.id)),
        EventKind::Network => Some(Thing::Network(event.id)),
        EventKind::Container => event.service.map(Thing::Service),
    }
}

async fn read(mut stream: EventStream, heard: Arc<Heard>) {
    loop {
        let (event, problems) = match caught(stream.next()).await {
            Ok(event) => (event, stream.take_problems()),
            Err(panic) => (Err(StreamEnd::Broken(panic.into())), Vec::new()),
        };
        if !heard.note(event, problems) {
            return;
        }
    }
}
