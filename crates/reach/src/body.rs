//! The body of an answer, passed on piece by piece.
//!
//! One task per answer reads it from the target and hands one piece after the other to the reader. The
//! task alone has the deadlines, the size limit and the connection: a reader that takes nothing, or a
//! little now and then, holds none of them for longer than the deadline.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use crate::connection::Kept;
use crate::process::Process;
use crate::stats::{Ended, ReachStats, Running};

/// Why an answer ended before it was complete. Its reader sees a broken connection, not an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CutOff {
    /// It is larger than the limit.
    #[error("the answer is larger than the limit")]
    Limit,
    /// It was not complete in time.
    #[error("the answer was not complete in time")]
    Deadline,
    /// The target sent nothing for too long.
    #[error("the target sent nothing more")]
    Silent,
    /// The target closed the connection, or sent what is not HTTP.
    #[error("the target broke off its answer")]
    Broken,
}

impl CutOff {
    pub(crate) const ALL: [Self; 4] = [Self::Limit, Self::Deadline, Self::Silent, Self::Broken];

    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Deadline => "deadline",
            Self::Silent => "silent",
            Self::Broken => "broken",
        }
    }
}

/// The body of an answer of [`Reach`](crate::Reach).
#[derive(Debug)]
pub struct ReachBody(Content);

#[derive(Debug)]
enum Content {
    Text(Option<Bytes>),
    Pieces { pieces: mpsc::Receiver<Piece>, to_come: Option<u64> },
}

#[derive(Debug)]
enum Piece {
    Data(Bytes),
    End,
    CutOff(CutOff),
}

impl ReachBody {
    pub(crate) fn text(text: String) -> Self {
        Self(Content::Text(Some(text.into()).filter(|text: &Bytes| !text.is_empty())))
    }
}

impl http_body::Body for ReachBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        let (pieces, to_come) = match &mut self.0 {
            Content::Text(text) => {
                return Poll::Ready(text.take().map(|text| Ok(Frame::data(text))));
            }
            Content::Pieces { pieces, to_come } => (pieces, to_come),
        };
        Poll::Ready(match ready!(pieces.poll_recv(cx)) {
            Some(Piece::Data(piece)) => {
                if let Some(to_come) = to_come {
                    *to_come = to_come.saturating_sub(piece.len() as u64);
                }
                Some(Ok(Frame::data(piece)))
            }
            Some(Piece::End) => None,
            Some(Piece::CutOff(cut)) => Some(Err(cut)),
            // The task ended without a word: the reader had not made room for one.
            None => Some(Err(CutOff::Deadline)),
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Content::Text(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Content::Pieces { to_come: Some(to_come), .. } => SizeHint::with_exact(*to_come),
            Content::Pieces { to_come: None, .. } => SizeHint::default(),
        }
    }
}

/// The limits of one answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) deadline: Instant,
    pub(crate) idle: Duration,
    pub(crate) max: u64,
}

/// What a fetch holds until its answer has ended.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) connection: Kept,
    pub(crate) process: Arc<Process>,
    pub(crate) places: [OwnedSemaphorePermit; 2],
    pub(crate) running: Running,
    pub(crate) stats: Arc<ReachStats>,
}

/// The body for the reader, which a task of `tasks` fills.
///
/// What came together with the header goes out together with it. A small answer is there as a whole:
/// then its connection is free at once, and no task is needed.
pub(crate) fn pass_on(
    mut incoming: Incoming,
    limits: Limits,
    held: Held,
    tasks: &TaskTracker,
) -> ReachBody {
    let to_come = incoming.size_hint().exact();
    let first = there_already(&mut incoming);
    let read = first.as_ref().map_or(0, Bytes::len);
    held.stats.count_bytes(read);
    if incoming.is_end_stream() {
        held.connection.keep(&held.process);
        held.running.ended(&Ended::Complete);
        return ReachBody(Content::Text(first));
    }
    let (sender, pieces) = mpsc::channel(1);
    if let Some(first) = first {
        sender.try_send(Piece::Data(first)).expect("the channel is empty");
    }
    tasks.spawn(run(incoming, read as u64, limits, held, sender));
    ReachBody(Content::Pieces { pieces, to_come })
}

/// The first piece, if it has arrived. Only of an answer that has a length: hyper reports an error once,
/// and one that came here would be lost. But an answer that is shorter than its length is broken.
fn there_already(incoming: &mut Incoming) -> Option<Bytes> {
    incoming.size_hint().exact().filter(|size| *size > 0)?;
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(incoming).poll_frame(&mut cx) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().ok().filter(|piece| !piece.is_empty()),
        Poll::Ready(_) | Poll::Pending => None,
    }
}

async fn run(
    incoming: Incoming,
    read: u64,
    limits: Limits,
    held: Held,
    reader: mpsc::Sender<Piece>,
) {
    let Held { connection, process, places, running, stats } = held;
    let forwarding = forward(incoming, read, limits, &stats, &reader);
    let (ended, last) = match timeout_at(limits.deadline, forwarding).await {
        // The reader went away. With the body the connection goes.
        Ok(Err(Gone)) => return,
        Ok(Ok(())) => {
            connection.keep(&process);
            (Ended::Complete, Piece::End)
        }
        Ok(Err(Stopped(cut))) => (Ended::CutOff(cut), Piece::CutOff(cut)),
        // Then the reader has not made room for a last word, and the end of the channel is one.
        Err(_) => return running.ended(&Ended::CutOff(CutOff::Deadline)),
    };
    running.ended(&ended);
    drop(places);
    let _ = timeout_at(limits.deadline, reader.send(last)).await;
}

/// Why pieces were not handed over to their end.
enum Unfinished {
    /// The reader went away.
    Gone,
    Stopped(CutOff),
}

use Unfinished::{Gone, Stopped};

/// Hands over all pieces.
async fn forward(
    mut incoming: Incoming,
    mut read: u64,
    limits: Limits,
    stats: &ReachStats,
    reader: &mpsc::Sender<Piece>,
) -> Result<(), Unfinished> {
    loop {
        let next = tokio::select! {
            biased;
            next = timeout(limits.idle, incoming.frame()) => next,
            () = reader.closed() => return Err(Gone),
        };
        let piece = match next {
            Err(_) => return Err(Stopped(CutOff::Silent)),
            Ok(Some(Err(_))) => return Err(Stopped(CutOff::Broken)),
            Ok(None) if incoming.size_hint().exact().is_some_and(|left| left > 0) => {
                return Err(Stopped(CutOff::Broken));
            }
            Ok(None) => return Ok(()),
            // Trailers are not passed on.
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        };
        if piece.is_empty() {
            continue;
        }
        read += piece.len() as u64;
        stats.count_bytes(piece.len());
        if read > limits.max {
            return Err(Stopped(CutOff::Limit));
        }
        reader.send(Piece::Data(piece)).await.map_err(|_| Gone)?;
    }
}
