//! HTTP/2: the limits of a connection with many requests at once.
//!
//! hyper and h2 limit what a client may send. They have no deadline for a client that takes nothing of
//! an answer while it answers pings, and none for one that asks for nothing. So each answer notes when
//! a piece of it was handed over and the next one was not asked for yet.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use bytes::BytesMut;
use http_body::{Body as _, Frame, SizeHint};
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::TokioTimer;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Requests at one time.
const STREAMS: u32 = 100;
/// The header of a request, in bytes.
const HEADER: u32 = 64 << 10;
/// Streams that the client has reset before they were accepted (CVE-2023-44487), and those that the
/// server has reset for their faults (CVE-2025-8671).
const RESETS: usize = 20;
const LOCAL_RESETS: usize = 100;
/// What may arrive unread: no request has a body that is read.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;
/// The largest piece of an answer that is handed over at once, in bytes: its client must take it within
/// the deadline. A stream has no more in memory.
const PIECE: usize = 128 << 10;
/// Smaller pieces are joined to one of about this size, in bytes: each is a frame, a record of TLS and a
/// write of its own. A list has a piece for each group of targets.
const JOINED: usize = 64 << 10;
/// A piece of this size is handed over as it is, in bytes.
const LARGE: usize = 16 << 10;
/// How often a client is asked whether it is still there, and how long it may take to answer.
const PING: Duration = Duration::from_secs(15);

/// The server of a connection.
pub(crate) fn builder(tasks: Tasks) -> Builder<Tasks> {
    let mut builder = Builder::new(tasks);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(PIECE)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    builder
}

/// The tasks of a connection's requests. They end with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

impl Tasks {
    /// Ends all of them.
    pub(crate) fn abort(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

/// The requests of a connection.
#[derive(Debug)]
pub(crate) struct Streams(Mutex<State>);

#[derive(Debug)]
struct State {
    running: usize,
    /// When the last request ended, or the connection began.
    idle_since: Instant,
    next: u64,
    /// The answers whose next piece the client does not take, since when.
    waiting: HashMap<u64, Instant>,
}

impl Streams {
    pub(crate) fn new() -> Arc<Self> {
        let (running, next, waiting) = (0, 0, HashMap::new());
        Arc::new(Self(Mutex::new(State { running, idle_since: Instant::now(), next, waiting })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when there has been no request; `None` if there is one.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let state = self.lock();
        (state.running == 0).then_some(state.idle_since)
    }

    /// Since when the client has taken nothing of one of its answers.
    pub(crate) fn stalled_since(&self) -> Option<Instant> {
        self.lock().waiting.values().min().copied()
    }

    /// Whether its client reads none of its running answers.
    pub(crate) fn is_stuck(&self, patience: Duration) -> bool {
        let state = self.lock();
        let is_late = |since: &Instant| since.elapsed() >= patience;
        state.running > 0
            && state.waiting.len() == state.running
            && state.waiting.values().all(is_late)
    }

    /// A request begins. It ends when the returned value is dropped.
    pub(crate) fn start(self: &Arc<Self>) -> Running {
        let mut state = self.lock();
        state.running += 1;
        state.next += 1;
        Running { streams: Arc::clone(self), number: state.next }
    }
}

/// A request of a connection.
#[derive(Debug)]
pub(crate) struct Running {
    streams: Arc<Streams>,
    number: u64,
}

impl Running {
    /// Lasts until the end of `response` is handed over.
    pub(crate) fn until_sent(self, response: Response) -> Response {
        response.map(|body| {
            let body = Joined { body, next: None, ended: false };
            Body::new(Paced { body, running: self, rest: Bytes::new() })
        })
    }

    fn set_waiting(&self, waiting: bool) {
        let mut state = self.streams.lock();
        if waiting {
            state.waiting.insert(self.number, Instant::now());
        } else {
            state.waiting.remove(&self.number);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.streams.lock();
        state.waiting.remove(&self.number);
        state.running -= 1;
        state.idle_since = Instant::now();
    }
}

/// The body of an answer, in pieces. It is asked for the next one only when the client has room for it.
struct Paced {
    body: Joined,
    running: Running,
    /// What is left of a larger piece.
    rest: Bytes,
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.running.set_waiting(false);
        if self.rest.is_empty() {
            let frame = match std::task::ready!(self.body.poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        self.running.set_waiting(true);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

/// A body whose small pieces are joined.
struct Joined {
    body: Body,
    /// What followed them: a large piece, the trailers or an error.
    next: Option<Result<Frame<Bytes>, axum::Error>>,
    ended: bool,
}

impl Joined {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.next.is_some() || self.ended {
            return Poll::Ready(self.next.take());
        }
        let mut joined = BytesMut::new();
        while joined.len() < JOINED {
            let next = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(next) => next,
                Poll::Pending if joined.is_empty() => return Poll::Pending,
                // What is there does not wait for more.
                Poll::Pending => break,
            };
            let small = match &next {
                Some(Ok(frame)) => frame.data_ref().filter(|data| data.len() < LARGE),
                _ => None,
            };
            match small {
                Some(small) => joined.extend_from_slice(small),
                None if joined.is_empty() => return Poll::Ready(next),
                None => {
                    self.ended = next.is_none();
                    self.next = next;
                    break;
                }
            }
        }
        Poll::Ready(Some(Ok(Frame::data(joined.freeze()))))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && (self.ended || self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        if let Some(Ok(frame)) = &self.next {
            let length = frame.data_ref().map_or(0, Bytes::len) as u64;
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper + length);
            }
            hint.set_lower(hint.lower() + length);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::poll_fn;

    use futures_util::{StreamExt as _, stream};

    use super::*;

    /// The sizes of the pieces of a body that has pieces of these sizes.
    async fn pieces(sizes: &[usize]) -> Vec<usize> {
        let pieces: Vec<_> =
            sizes.iter().map(|size| Ok::<_, Infallible>(Bytes::from(vec![b'x'; *size]))).collect();
        let body = Body::from_stream(stream::iter(pieces));
        let mut joined = Joined { body, next: None, ended: false };
        let mut pieces = Vec::new();
        while let Some(piece) = poll_fn(|cx| joined.poll_frame(cx)).await {
            pieces.push(piece.unwrap().into_data().unwrap().len());
        }
        pieces
    }

    #[tokio::test]
    async fn small_pieces_are_joined_and_large_ones_stay() {
        assert_eq!(pieces(&[]).await, [0; 0]);
        assert_eq!(pieces(&[1, 2, 3]).await, [6]);
        assert_eq!(pieces(&[1, LARGE, 2, LARGE]).await, [1, LARGE, 2, LARGE]);
        assert_eq!(pieces(&[JOINED * 2, 1]).await, [JOINED * 2, 1]);
        assert_eq!(pieces(&[LARGE - 1; 8]).await, [5 * (LARGE - 1), 3 * (LARGE - 1)]);
    }

    #[tokio::test]
    async fn a_small_piece_does_not_wait_for_the_next_one() {
        let one = stream::iter([Ok::<_, Infallible>("a"), Ok("b")]);
        let body = Body::from_stream(one.chain(stream::pending()));
        let mut joined = Joined { body, next: None, ended: false };
        let piece = poll_fn(|cx| joined.poll_frame(cx)).await.unwrap().unwrap();
        assert_eq!(piece.into_data().unwrap(), "ab");
        assert!(futures_util::poll!(poll_fn(|cx| joined.poll_frame(cx))).is_pending());
    }
}
