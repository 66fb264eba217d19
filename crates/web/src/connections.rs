//! How many connections there are, and which one makes room for another.
//!
//! A client that opens connections and completes no request costs nothing but places, and could
//! take all of them. So when every place is taken, the connection that has been without a complete
//! request for the longest time is closed, whether it never sent one or is idle after an answer: an
//! honest client connects again. A connection whose request is being answered keeps its place, and so
//! does one of which something that arrived is not read yet: a request may be complete in there. A
//! connection that has just been opened has some time to send one.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// All places.
#[derive(Debug)]
pub(super) struct Connections {
    permits: Arc<Semaphore>,
    /// So long a connection may be without a request before it makes room for another.
    grace: Duration,
    waiting: Mutex<Waiting>,
    /// A connection came to be without a request.
    one_waits: Notify,
    evicted: AtomicU64,
}

/// The connections without a complete request, the longest first.
#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    by_age: BTreeMap<u64, (Instant, CancellationToken)>,
}

impl Connections {
    /// `limit` is at most [`Semaphore::MAX_PERMITS`]. For the time of `grace` a connection may be
    /// without a request before it makes room for another.
    pub(super) fn new(limit: usize, grace: Duration) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(limit)),
            grace,
            waiting: Mutex::default(),
            one_waits: Notify::new(),
            evicted: AtomicU64::new(0),
        })
    }

    /// How many were closed to make room.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Waits for a place, and makes one as soon as some connection has no request.
    pub(super) async fn place(self: &Arc<Self>) -> Place {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
                break Ok(permit);
            }
            let acquire = Arc::clone(&self.permits).acquire_owned();
            let later = match self.evict() {
                Ok(()) => break acquire.await,
                Err(later) => later,
            };
            let old_enough = async {
                match later {
                    Some(later) => sleep_until(later).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                permit = acquire => break permit,
                () = self.one_waits.notified() => {}
                () = old_enough => {}
            }
        };
        Place {
            connections: Arc::clone(self),
            evicted: CancellationToken::new(),
            activity: Mutex::default(),
            _permit: permit.expect("the semaphore is never closed"),
        }
    }

    /// Closes the connection that has had no request for the longest time. The error is when that
    /// is long enough; `None` where each has one.
    fn evict(&self) -> Result<(), Option<Instant>> {
        let mut waiting = self.lock();
        let oldest = waiting.by_age.first_entry().ok_or(None)?;
        let old_enough = oldest.get().0 + self.grace;
        if old_enough > Instant::now() {
            return Err(Some(old_enough));
        }
        oldest.remove().1.cancel();
        self.evicted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection. It is free again once this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    evicted: CancellationToken,
    activity: Mutex<Activity>,
    _permit: OwnedSemaphorePermit,
}

/// What keeps a connection.
#[derive(Debug, Default)]
struct Activity {
    /// Requests whose answer is not made to its end.
    requests: usize,
    /// Whether a part of an answer waits for the client to read.
    writing: bool,
    /// Whether all that arrived was read.
    drained: bool,
    /// The key in [`Waiting::by_age`]. It stays when only a part of a request arrives.
    waiting: Option<u64>,
}

impl Place {
    /// Resolves when the connection is to be closed.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    /// A request is complete. The connection keeps its place until what this returns is dropped.
    pub(super) fn request(self: &Arc<Self>) -> Running {
        self.update(|activity| activity.requests += 1);
        Running(Arc::clone(self))
    }

    /// Whether a part of an answer waits for the client to read.
    pub(super) fn set_writing(&self, writing: bool) {
        self.update(|activity| activity.writing = writing);
    }

    /// Whether all that arrived was read.
    pub(super) fn set_drained(&self, drained: bool) {
        self.update(|activity| activity.drained = drained);
    }

    fn update(&self, change: impl FnOnce(&mut Activity)) {
        let mut activity = self.activity.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut activity);
        let idle = activity.requests == 0 && !activity.writing;
        match activity.waiting {
            None if idle && activity.drained => {
                let mut waiting = self.connections.lock();
                let key = waiting.next;
                waiting.next += 1;
                waiting.by_age.insert(key, (Instant::now(), self.evicted.clone()));
                activity.waiting = Some(key);
                self.connections.one_waits.notify_one();
            }
            Some(key) if !idle => {
                self.connections.lock().by_age.remove(&key);
                activity.waiting = None;
            }
            _ => {}
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let activity = self.activity.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = activity.waiting {
            self.connections.lock().by_age.remove(&key);
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Running(Arc<Place>);

impl Running {
    /// Keeps the place until the last of `response` is handed on.
    pub(super) fn until_sent(self, response: Response) -> Response {
        response.map(|body| Body::new(Kept { body, _running: self }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.update(|activity| activity.requests -= 1);
    }
}

/// A body that keeps the place of its connection.
struct Kept {
    body: Body,
    _running: Running,
}

impl http_body::Body for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_has_time_to_send_its_request() {
        let connections = Connections::new(1, Duration::from_secs(1));
        let first = connections.place().await;
        let started = Instant::now();
        let mut second = std::pin::pin!(connections.place());
        // Nothing of the first was read yet, so nobody knows what arrived.
        tokio::time::advance(Duration::from_mins(1)).await;
        assert!(second.as_mut().now_or_never().is_none());
        first.set_drained(true);
        let closing = async {
            first.evicted().await;
            drop(first);
        };
        tokio::join!(second, closing);
        assert_eq!(started.elapsed(), Duration::from_secs(61));
        assert_eq!(connections.evicted(), 1);
    }
}
