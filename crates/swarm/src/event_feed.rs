//! Reads `/events`, and keeps the objects that they name until they are taken.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use swarmscout_docker::engine::{Event, EventKind, EventStream, StreamEnd};
use swarmscout_refresh::Problem;
use swarmscout_refresh::caught;
use tokio::sync::Notify;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::relist_schedule::ChangedObject;

/// The most named objects that are kept one by one; beyond that everything is listed.
const MOST: usize = 1000;

/// A stream that is being read. Dropping it ends it.
#[derive(Debug)]
pub(super) struct EventFeed {
    buffer: Arc<EventBuffer>,
    _reader: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct EventBuffer {
    state: Mutex<State>,
    notify: Notify,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeSet<ChangedObject>,
    problems: Vec<Problem>,
    ended: Option<Arc<StreamEnd>>,
}

impl EventFeed {
    pub(super) fn new(stream: EventStream, tasks: &TaskTracker) -> Self {
        let buffer = Arc::<EventBuffer>::default();
        let reader = tasks.spawn(read(stream, Arc::clone(&buffer)));
        Self { buffer, _reader: AbortOnDropHandle::new(reader) }
    }

    /// The objects that events named since the last call.
    pub(super) fn take(&self) -> BTreeSet<ChangedObject> {
        std::mem::take(&mut self.buffer.lock().objects)
    }

    /// Events that could not be read since the last call.
    pub(super) fn take_problems(&self) -> Vec<Problem> {
        std::mem::take(&mut self.buffer.lock().problems)
    }

    /// Why the stream is over, if it is.
    pub(super) fn ended(&self) -> Option<Arc<StreamEnd>> {
        self.buffer.lock().ended.clone()
    }

    /// Resolves when there is something to take, or the stream is over. Cancel-safe.
    pub(super) async fn changed(&self) {
        loop {
            let notified = self.buffer.notify.notified();
            {
                let state = self.buffer.lock();
                if !state.objects.is_empty() || state.ended.is_some() {
                    return;
                }
            }
            notified.await;
        }
    }
}

impl EventBuffer {
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
            Ok(event) => state.objects.extend(named(event)),
            Err(end) => state.ended = Some(Arc::new(end)),
        }
        if state.objects.len() > MOST {
            state.objects = BTreeSet::from([ChangedObject::All]);
        }
        let goes_on = state.ended.is_none();
        drop(state);
        self.notify.notify_one();
        goes_on
    }
}

/// What an event names. Of a container that is its service.
fn named(event: Event) -> Option<ChangedObject> {
    match event.kind {
        EventKind::Service => Some(ChangedObject::Service(event.id)),
        EventKind::Node => Some(ChangedObject::Node(event.id)),
        EventKind::Network => Some(ChangedObject::Network(event.id)),
        EventKind::Container => event.service.map(ChangedObject::Service),
    }
}

async fn read(mut stream: EventStream, buffer: Arc<EventBuffer>) {
    loop {
        let (event, problems) = match caught(stream.next()).await {
            Ok(event) => (event, stream.take_problems()),
            Err(panic) => (Err(StreamEnd::Broken(panic.into())), Vec::new()),
        };
        if !buffer.note(event, problems) {
            return;
        }
    }
}
