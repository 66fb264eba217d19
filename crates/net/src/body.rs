//! Bodies that arrive piece by piece, within a deadline and a size.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body::Frame;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::Error;
use crate::exchange::{SERVER, explain};
use crate::gzip::Inflater;

/// The body of an answer, decompressed. It ends with an error where the deadline passes or where
/// more arrives than the request allows. Dropping it closes its connection.
#[derive(Debug)]
pub struct Body {
    incoming: Incoming,
    inflater: Option<Inflater>,
    to: String,
    patience: Patience,
    max: u64,
    seen: u64,
}

/// How long the next piece may take.
#[derive(Debug)]
pub(crate) struct Patience {
    sleep: Pin<Box<Sleep>>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The whole body by one point in time; the duration is for the error.
    Deadline(Duration),
    /// Each piece within so long of the one before.
    Idle(Duration),
}

impl Patience {
    pub(crate) fn until(deadline: Instant, within: Duration) -> Self {
        let sleep = Box::pin(tokio::time::sleep_until(deadline));
        Self { sleep, kind: Kind::Deadline(within) }
    }

    pub(crate) fn per_piece(idle: Duration) -> Self {
        Self { sleep: Box::pin(tokio::time::sleep(idle)), kind: Kind::Idle(idle) }
    }

    /// Whether the time is up although pieces keep coming.
    fn is_over(&self) -> bool {
        matches!(self.kind, Kind::Deadline(_)) && self.sleep.deadline() <= Instant::now()
    }

    fn renew(&mut self) {
        if let Kind::Idle(idle) = self.kind {
            self.sleep.as_mut().reset(Instant::now() + idle);
        }
    }
}

impl Body {
    pub(crate) fn new(
        incoming: Incoming,
        inflater: Option<Inflater>,
        to: String,
        patience: Patience,
        max: u64,
    ) -> Self {
        Self { incoming, inflater, to, patience, max, seen: 0 }
    }

    /// The next piece, never empty, or `None` at the end. Cancel-safe.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let piece = std::future::poll_fn(|cx| self.poll_piece(cx)).await?;
        self.patience.renew();
        if let Some(piece) = &piece {
            self.seen = self.seen.saturating_add(piece.len() as u64);
            if self.seen > self.max {
                return Err(self.too_large());
            }
        }
        Ok(piece)
    }

    /// All of it.
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let mut all = BytesMut::with_capacity(first.len() + second.len() + self.announced());
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while let Some(piece) = self.chunk().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    /// Bytes that are still to come where the server announced them, within the limit.
    fn announced(&self) -> usize {
        if self.inflater.is_some() {
            return 0;
        }
        let rest = self.incoming.size_hint().exact().unwrap_or(0);
        usize::try_from(rest.min(self.max)).unwrap_or(0)
    }

    /// At most this many bytes are still to come.
    pub fn most_to_come(&self) -> u64 {
        let allowed = self.max.saturating_sub(self.seen);
        match self.inflater {
            Some(_) => allowed,
            None => self.incoming.size_hint().exact().map_or(allowed, |rest| rest.min(allowed)),
        }
    }

    /// Whether the server says itself that it will send more than is allowed.
    pub(crate) fn is_announced_too_large(&self) -> bool {
        self.inflater.is_none() && self.incoming.size_hint().lower() > self.max
    }

    pub(crate) fn too_large(&self) -> Error {
        Error::TooLarge { to: self.to.clone(), limit: self.max }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        if self.patience.is_over() {
            return Poll::Ready(Err(self.late()));
        }
        loop {
            if let Some(inflater) = &mut self.inflater {
                match inflater.next() {
                    Ok(Some(piece)) => return Poll::Ready(Ok(Some(piece))),
                    Ok(None) => {}
                    Err(reason) => return Poll::Ready(Err(self.broken(reason))),
                }
            }
            let frame = match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    ready!(self.patience.sleep.as_mut().poll(cx));
                    return Poll::Ready(Err(self.late()));
                }
            };
            let piece = match frame.transpose() {
                Ok(frame) => frame.map(Frame::into_data),
                Err(error) => {
                    let reason = explain(&error, &SERVER);
                    return Poll::Ready(Err(Error::Exchange { to: self.to.clone(), reason }));
                }
            };
            match (piece, &mut self.inflater) {
                (Some(Ok(piece)), None) if !piece.is_empty() => {
                    return Poll::Ready(Ok(Some(piece)));
                }
                (Some(Ok(piece)), Some(inflater)) => inflater.feed(piece),
                // An empty piece, or trailers.
                (Some(_), _) => {}
                (None, Some(inflater)) if !inflater.is_whole() => {
                    return Poll::Ready(Err(self.broken("gzip data ends too early")));
                }
                (None, _) => return Poll::Ready(Ok(None)),
            }
        }
    }

    fn late(&self) -> Error {
        let to = self.to.clone();
        match self.patience.kind {
            Kind::Deadline(within) => Error::Deadline { to, within },
            Kind::Idle(idle) => Error::Silent { to, idle },
        }
    }

    fn broken(&self, reason: &str) -> Error {
        Error::Exchange { to: self.to.clone(), reason: reason.to_owned() }
    }
}
