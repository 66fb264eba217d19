//! The limit of connections, and which connection is closed for a new one.
//!
//! A client that holds a connection without using it costs little, but many such clients could hold
//! all of them. So when the limit is reached, a connection is closed that is
//!
//! - idle: it has no complete request, because it never sent one or was answered. An honest client
//!   connects again. A new connection has some time to send its request.
//! - blocked: its client takes nothing of its answer, and some time has passed.
//! - a stream of events: it has no end, and its client connects again by itself.
//!
//! A blocked one goes before the others, since its client has no use for it: a flood of clients that
//! do not read leaves a new one the time for its handshake and its request. Of one kind, the one that
//! came into its state first goes first. A connection whose request is being answered stays, and so
//! does one that holds unread bytes: they may be a complete request.
//!
//! While new connections have to wait for others, the time that others have is halved again and again,
//! so that a flood of silent clients is closed as fast as it comes. Each second without such a wait
//! doubles it.
//!
//! A connection whose requests only wait for a change (`?wait=`) does not count. Waiting requests have a
//! limit of their own, so they leave all connections to other readers. When a wait ends, its
//! connection counts again. If the limit is reached by then, it still counts as the waiting request
//! that it was, and is closed after its answer.
//!
//! One client may have at most as many waiting requests as are free for others. So a single client has
//! half of them at most, a second one half of the rest, and a new one always finds some.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
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
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::tls::Failures;

/// All connections.
#[derive(Debug)]
pub(crate) struct Connections {
    permits: Arc<Semaphore>,
    /// For requests that wait.
    waiting: Arc<Semaphore>,
    max_waiting: usize,
    /// How many of them each client has.
    waiting_by_client: Mutex<HashMap<Client, usize>>,
    /// Requests that were not allowed to wait.
    refused: AtomicU64,
    patience: Patience,
    candidates: Mutex<Candidates>,
    /// Notified when a connection becomes a candidate.
    added: Notify,
    evicted: AtomicU64,
    handshakes: Failures,
}

/// The address of a client, or the network where it can have any; `None` on a unix socket.
type Client = Option<IpAddr>;

/// Why a request may not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooManyWait {
    /// Too many do.
    All,
    /// Too many of this client do.
    Client,
}

/// How long a connection stays although it is in the way, where few are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Without a complete request, or as a stream of events.
    pub(crate) idle: Duration,
    /// While its client takes nothing of its answer.
    pub(crate) blocked: Duration,
}

impl Patience {
    fn of(self, state: State) -> Duration {
        match state {
            State::Idle | State::Streaming => self.idle,
            State::Blocked => self.blocked,
        }
    }
}

/// The connections that may be closed.
#[derive(Debug, Default)]
struct Candidates {
    next: u64,
    /// Of each [`State`], by the moment at which a connection came into it.
    by_state: [BTreeMap<Key, CancellationToken>; State::ALL.len()],
    pressure: Pressure,
}

/// Since when, and a number of its own.
type Key = (Instant, u64);

/// How often the patience is halved.
#[derive(Debug, Default)]
struct Pressure {
    halvings: u32,
    /// When it was raised last.
    raised: Option<Instant>,
}

impl Pressure {
    /// 62 ms are left of a second: longer than an honest client in the same network needs to connect
    /// and to send its request.
    const MOST: u32 = 4;

    fn at(&self, now: Instant) -> u32 {
        let seconds = self.raised.map_or(0, |raised| now.duration_since(raised).as_secs());
        self.halvings.saturating_sub(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    fn raise(&mut self, now: Instant) {
        *self = Self { halvings: (self.at(now) + 1).min(Self::MOST), raised: Some(now) };
    }
}

impl Connections {
    /// Both limits are at most [`Semaphore::MAX_PERMITS`].
    pub(crate) fn new(limit: usize, max_waiting: usize, patience: Patience) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(limit)),
            waiting: Arc::new(Semaphore::new(max_waiting)),
            max_waiting,
            waiting_by_client: Mutex::default(),
            refused: AtomicU64::new(0),
            patience,
            candidates: Mutex::default(),
            added: Notify::new(),
            evicted: AtomicU64::new(0),
            handshakes: Failures::default(),
        })
    }

    /// The number of connections that were closed for others.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// The number of requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.max_waiting - self.waiting.available_permits()
    }

    /// The number of requests that were not allowed to wait.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The TLS handshakes that failed.
    pub(crate) fn handshakes(&self) -> &Failures {
        &self.handshakes
    }

    /// Waits for a place for a connection from this address. Closes another connection for it as soon
    /// as one may be closed.
    pub(crate) async fn place(self: &Arc<Self>, address: Option<IpAddr>) -> Place {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
                break Ok(permit);
            }
            let acquire = Arc::clone(&self.permits).acquire_owned();
            let later = match self.evict() {
                Ok(()) => break acquire.await,
                Err(later) => later,
            };
            let due = async {
                match later {
                    Some(later) => sleep_until(later).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                permit = acquire => break permit,
                () = self.added.notified() => {}
                () = due => self.lock().pressure.raise(Instant::now()),
            }
        };
        let permit = permit.expect("the semaphore is never closed");
        Place {
            connections: Arc::clone(self),
            client: address.map(swarmscout_web_config::client_network),
            evicted: CancellationToken::new(),
            retired: CancellationToken::new(),
            activity: Mutex::new(Activity { permit: Some(permit), ..Activity::default() }),
        }
    }

    /// Closes a candidate whose time is over. The error is the moment at which the first one's is;
    /// `None` if there is no candidate.
    fn evict(&self) -> Result<(), Option<Instant>> {
        let mut candidates = self.lock();
        let now = Instant::now();
        let share = 2_u32.pow(candidates.pressure.at(now));
        let due = |state: &State| {
            let (since, _) = candidates.by_state[*state as usize].first_key_value()?.0;
            Some((*since + self.patience.of(*state) / share, *state))
        };
        let all: Vec<_> = State::ALL.iter().filter_map(due).collect();
        let Some((_, state)) = all.iter().copied().find(|(due, _)| *due <= now) else {
            return Err(all.iter().map(|(due, _)| *due).min());
        };
        let (_, evicted) = candidates.by_state[state as usize].pop_first().expect("it has a first");
        evicted.cancel();
        self.evicted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Counts one more waiting request of this client.
    fn waiting_permit(&self, client: Client) -> Result<OwnedSemaphorePermit, TooManyWait> {
        let mut by_client = lock(&self.waiting_by_client);
        let own = by_client.get(&client).copied().unwrap_or_default();
        let free = self.waiting.available_permits();
        let refusal = if free == 0 { TooManyWait::All } else { TooManyWait::Client };
        let permit = Arc::clone(&self.waiting).try_acquire_owned().ok();
        let Some(permit) = permit.filter(|_| own < free) else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(refusal);
        };
        by_client.insert(client, own + 1);
        Ok(permit)
    }

    fn end_wait(&self, client: Client) {
        let mut by_client = lock(&self.waiting_by_client);
        if let Some(own) = by_client.get_mut(&client) {
            *own -= 1;
            if *own == 0 {
                by_client.remove(&client);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Candidates> {
        lock(&self.candidates)
    }
}

/// The place of one connection. It is free again once this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    client: Client,
    evicted: CancellationToken,
    /// Cancelled when the connection is to be closed after its present answers.
    retired: CancellationToken,
    activity: Mutex<Activity>,
}

/// What a connection does.
#[derive(Debug, Default)]
struct Activity {
    /// Requests that are being answered, without streams of events.
    requests: usize,
    /// Those of them that wait for a change.
    waits: usize,
    /// Streams of events.
    streams: usize,
    /// Whether a write waits for the client to read.
    blocked: bool,
    /// Whether its client takes nothing of any answer of HTTP/2, although it could be written.
    stuck: bool,
    /// Whether all that arrived was read.
    drained: bool,
    /// The state that makes it a candidate, and its key in [`Candidates::by_state`].
    candidate: Option<(State, Key)>,
    /// `None` while all that it does is to wait. In a retired connection that of a wait, if any.
    permit: Option<OwnedSemaphorePermit>,
}

/// A state in which a connection may be closed; the first one goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Blocked,
    Streaming,
    Idle,
}

impl State {
    const ALL: [Self; 3] = [Self::Blocked, Self::Streaming, Self::Idle];
}

impl Activity {
    /// Whether all that it does is to wait.
    fn only_waits(&self) -> bool {
        self.waits > 0 && self.waits == self.requests && self.streams == 0
    }

    fn state(&self) -> Option<State> {
        match self {
            Self { permit: None, .. } => None,
            Self { blocked: true, .. } | Self { stuck: true, .. } => Some(State::Blocked),
            Self { requests: 1.., .. } => None,
            Self { streams: 1.., .. } => Some(State::Streaming),
            // More of the header of a request makes it no younger.
            Self { candidate: Some((State::Idle, _)), .. } | Self { drained: true, .. } => {
                Some(State::Idle)
            }
            _ => None,
        }
    }
}

impl Place {
    /// Resolves when the connection is to be closed.
    pub(crate) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    /// Resolves when the connection is to be closed after its present answers.
    pub(crate) async fn retired(&self) {
        self.retired.cancelled().await;
    }

    /// See [`Self::retired`].
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.is_cancelled()
    }

    /// A request of this connection waits for a change until the returned value is dropped.
    pub(crate) fn wait(self: &Arc<Self>) -> Result<Waiting, TooManyWait> {
        let permit = self.connections.waiting_permit(self.client)?;
        self.update(|activity| activity.waits += 1);
        Ok(Waiting { place: Arc::clone(self), permit: Some(permit) })
    }

    /// A request is complete. The connection stays until the returned value is dropped.
    pub(crate) fn request(self: &Arc<Self>) -> Running {
        self.update(|activity| activity.requests += 1);
        Running { place: Arc::clone(self), is_stream: false }
    }

    /// Whether a write waits for the client to read.
    pub(crate) fn set_blocked(&self, blocked: bool) {
        self.update(|activity| activity.blocked = blocked);
    }

    /// Whether its client takes nothing of any answer, as HTTP/2 allows it.
    pub(crate) fn set_stuck(&self, stuck: bool) {
        self.update(|activity| activity.stuck = stuck);
    }

    /// See [`Connections::handshakes`].
    pub(crate) fn handshakes(&self) -> &Failures {
        &self.connections.handshakes
    }

    /// Whether all that arrived was read.
    pub(crate) fn set_drained(&self, drained: bool) {
        self.update(|activity| activity.drained = drained);
    }

    fn update(&self, change: impl FnOnce(&mut Activity)) {
        let mut activity = lock(&self.activity);
        change(&mut activity);
        self.count(&mut activity, None);
        self.note(&mut activity);
    }

    /// Ends a wait.
    fn resume(&self, permit: Option<OwnedSemaphorePermit>) {
        let mut activity = lock(&self.activity);
        activity.waits -= 1;
        self.count(&mut activity, permit);
        self.note(&mut activity);
    }

    /// Lets the connection count, or not, as it is right for what it does. Beyond the limit `instead`
    /// counts for it.
    fn count(&self, activity: &mut Activity, instead: Option<OwnedSemaphorePermit>) {
        if activity.only_waits() {
            if !self.is_retired() {
                activity.permit = None;
            }
        } else if activity.permit.is_none() {
            let permit = Arc::clone(&self.connections.permits).try_acquire_owned().ok();
            if permit.is_none() {
                self.retired.cancel();
            }
            activity.permit = permit.or(instead);
        }
    }

    /// Makes the connection a candidate, or no candidate, as it is right for what it does.
    fn note(&self, activity: &mut Activity) {
        let state = if self.is_retired() { None } else { activity.state() };
        if state == activity.candidate.map(|(state, _)| state) {
            return;
        }
        let mut candidates = self.connections.lock();
        if let Some((state, key)) = activity.candidate {
            candidates.by_state[state as usize].remove(&key);
        }
        activity.candidate = state.map(|state| {
            let key = (Instant::now(), candidates.next);
            candidates.next += 1;
            candidates.by_state[state as usize].insert(key, self.evicted.clone());
            self.connections.added.notify_one();
            (state, key)
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let activity = self.activity.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some((state, key)) = activity.candidate {
            self.connections.lock().by_state[state as usize].remove(&key);
        }
    }
}

/// A request that waits for a change.
#[derive(Debug)]
pub(crate) struct Waiting {
    place: Arc<Place>,
    /// `Some` until this is dropped.
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.place.connections.end_wait(self.place.client);
        self.place.resume(self.permit.take());
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct Running {
    place: Arc<Place>,
    is_stream: bool,
}

impl Running {
    /// Lasts until the end of `response` is sent.
    pub(crate) fn until_sent(self, response: Response) -> Response {
        response.map(|body| Body::new(Held { body, _running: self, end: None }))
    }

    /// Lasts until `stop`, which ends the stream of events that `response` is. Its connection may be
    /// closed for another one.
    pub(crate) fn until_stopped(mut self, response: Response, stop: CancellationToken) -> Response {
        self.is_stream = true;
        self.place.update(|activity| {
            activity.requests -= 1;
            activity.streams += 1;
        });
        let end = Some(Box::pin(stop.cancelled_owned()));
        response.map(|body| Body::new(Held { body, _running: self, end }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let is_stream = self.is_stream;
        self.place.update(|activity| {
            if is_stream {
                activity.streams -= 1;
            } else {
                activity.requests -= 1;
            }
        });
    }
}

/// The body of an answer, during which its request is running.
struct Held {
    body: Body,
    _running: Running,
    /// Ends the body early.
    end: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(end) = &mut self.end
            && end.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const LIMITS: Patience =
        Patience { idle: Duration::from_secs(1), blocked: Duration::from_secs(5) };

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_has_time_to_send_its_request() {
        let connections = Connections::new(1, 1, LIMITS);
        let first = connections.place(None).await;
        let started = Instant::now();
        let mut second = std::pin::pin!(connections.place(None));
        // Nothing of the first was read yet: a complete request may have arrived.
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
    /// The first one to come waits for the whole patience, those after it for less and less.
    #[tokio::test(start_paused = true)]
    async fn a_flood_of_silent_clients_is_closed_as_fast_as_it_comes() {
        let connections = Connections::new(1, 1, LIMITS);
        let mut last = connections.place(None).await;
        let mut waited = Vec::new();
        for _ in 0..7 {
            last.set_drained(true);
            let started = Instant::now();
            let closing = async {
                last.evicted().await;
                drop(last);
            };
            (last, ()) = tokio::join!(connections.place(None), closing);
            waited.push(started.elapsed().as_millis());
        }
        // The clock of the test has whole milliseconds.
        assert_eq!(waited, [1000, 500, 250, 125, 63, 63, 63]);
        tokio::time::advance(Duration::from_secs(3)).await;
        last.set_drained(true);
        let started = Instant::now();
        let closing = async {
            last.evicted().await;
            drop(last);
        };
        tokio::join!(connections.place(None), closing);
        assert_eq!(started.elapsed().as_millis(), 500);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_without_progress_has_less_time_than_forever() {
        let connections = Connections::new(1, 1, LIMITS);
        let first = Arc::new(connections.place(None).await);
        let running = first.request();
        first.set_blocked(true);
        let started = Instant::now();
        let mut second = std::pin::pin!(connections.place(None));
        assert!(second.as_mut().now_or_never().is_none());
        // The client reads a little after 4 s: its time counts from the next write that blocks.
        tokio::time::advance(Duration::from_secs(4)).await;
        first.set_blocked(false);
        first.set_blocked(true);
        let closing = async {
            first.evicted().await;
            drop((running, first));
        };
        tokio::join!(second, closing);
        assert_eq!(started.elapsed(), Duration::from_secs(9));
        assert_eq!(connections.evicted(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_waits_leaves_its_place_to_others() {
        let connections = Connections::new(1, 2, LIMITS);
        let first = Arc::new(connections.place(None).await);
        let running = first.request();
        let wait = first.wait().unwrap();
        assert_eq!(connections.waiting(), 1);
        let second = connections.place(None).await;
        // Nor is it ever closed for another one.
        first.set_blocked(true);
        first.set_blocked(false);
        drop(second);
        drop(wait);
        assert!(!first.is_retired());
        assert!(
            connections.place(None).now_or_never().is_none(),
            "the first one has a place again"
        );
        drop((running, first));
        assert!(connections.place(None).now_or_never().is_some());
        assert_eq!((connections.waiting(), connections.evicted()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_ends_when_all_places_are_taken_ends_its_connection() {
        let connections = Connections::new(1, 1, LIMITS);
        let first = Arc::new(connections.place(None).await);
        let running = first.request();
        let wait = first.wait().unwrap();
        let second = Arc::new(connections.place(None).await);
        drop(wait);
        assert!(first.is_retired());
        // Until then it counts as waiting.
        let also = second.request();
        assert_eq!(second.wait().err(), Some(TooManyWait::All));
        assert_eq!((connections.waiting(), connections.refused()), (1, 1));
        drop((running, first));
        assert!(second.wait().is_ok());
        drop((also, second));
    }

    /// As HTTP/2 has it.
    #[tokio::test(start_paused = true)]
    async fn a_connection_counts_once_one_of_its_requests_does_not_wait() {
        let connections = Connections::new(1, 9, LIMITS);
        let one = Arc::new(connections.place(None).await);
        let requests = [one.request(), one.request()];
        let waits = [one.wait(), one.wait()];
        assert!(waits.iter().all(Result::is_ok));
        let other = connections.place(None).now_or_never();
        assert!(other.is_some(), "all of its requests wait");
        drop(other);
        let third = one.request();
        assert!(
            connections.place(None).now_or_never().is_none(),
            "one of its requests does not wait"
        );
        drop(third);
        assert!(connections.place(None).now_or_never().is_some());
        drop((waits, requests));
        assert!(!one.is_retired());
    }

    /// As a reader is in its handshake while others do not read.
    #[tokio::test(start_paused = true)]
    async fn a_blocked_connection_goes_before_an_idle_one() {
        let connections = Connections::new(2, 1, LIMITS);
        let idle = connections.place(None).await;
        idle.set_drained(true);
        let blocked = Arc::new(connections.place(None).await);
        let running = blocked.request();
        blocked.set_blocked(true);
        tokio::time::advance(LIMITS.blocked).await;
        let closing = async {
            blocked.evicted().await;
            drop((running, blocked));
        };
        let (third, ()) = tokio::join!(connections.place(None), closing);
        // Then the idle one is the next.
        let closing = async {
            idle.evicted().await;
            drop(idle);
        };
        let (fourth, ()) = tokio::join!(connections.place(None), closing);
        drop((third, fourth));
        assert_eq!(connections.evicted(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_leaves_as_many_waits_as_it_has() {
        let address = |last| Some(IpAddr::from([192, 0, 2, last]));
        let connections = Connections::new(9, 16, LIMITS);
        let mut all = Vec::new();
        for (client, expected) in [(address(1), 8), (address(2), 4), (None, 2), (address(3), 1)] {
            let place = Arc::new(connections.place(client).await);
            let mut waits = 0;
            let refusal = loop {
                match place.wait() {
                    Ok(wait) => all.push(wait),
                    Err(refusal) => break refusal,
                }
                waits += 1;
            };
            assert_eq!((waits, refusal), (expected, TooManyWait::Client), "{client:?}");
        }
        assert_eq!((connections.waiting(), connections.refused()), (15, 4));
        drop(all);
        assert_eq!(connections.waiting(), 0);
        assert!(lock(&connections.waiting_by_client).is_empty());
    }
}
