//! gRPC's policy on pings, which SwarmKit leaves as it is: a client that pings more often than
//! every five minutes, and more than twice, gets `too_many_pings` and the connection ends (grpc-go
//! `internal/transport/http2_server.go`).
//!
//! An HTTP/2 server hides pings from who uses it. So the frames are counted here, on their way
//! between it and TLS, and the farewell is written here too.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Between two pings, at least.
const INTERVAL: Duration = Duration::from_mins(5);

/// This many that come too early are borne, until data is sent.
const STRIKES: u32 = 2;

const PREFACE: usize = 24;
const HEADER: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PING: u8 = 6;
const ACK: u8 = 1;

/// GOAWAY of the connection, ENHANCE_YOUR_CALM, with gRPC's words.
const FAREWELL: &[u8] = b"\0\0\x16\x07\0\0\0\0\0\x7f\xff\xff\xff\0\0\0\x0btoo_many_pings";

/// Finds frames in a direction of a connection.
struct Frames {
    /// Bytes until the next header.
    skip: usize,
    header: Vec<u8>,
}

impl Frames {
    /// Calls `seen` with kind and flags of each frame that begins in these bytes.
    fn read(&mut self, mut bytes: &[u8], mut seen: impl FnMut(u8, u8)) {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let (now, rest) = bytes.split_at((HEADER - self.header.len()).min(bytes.len()));
            self.header.extend_from_slice(now);
            bytes = rest;
            if let [a, b, c, kind, flags, ..] = self.header[..]
                && self.header.len() == HEADER
            {
                seen(kind, flags);
                self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
                self.header.clear();
            }
        }
    }

    fn between(&self) -> bool {
        self.skip == 0 && self.header.is_empty()
    }
}

/// A connection whose pings are counted.
pub(super) struct Policed<S> {
    stream: S,
    coming: Frames,
    going: Frames,
    last: Option<Instant>,
    strikes: u32,
    /// What is still to be said before the end.
    farewell: Option<&'static [u8]>,
    pings: Arc<AtomicU64>,
}

impl<S> Policed<S> {
    pub(super) fn new(stream: S, pings: Arc<AtomicU64>) -> Self {
        let frames = |skip| Frames { skip, header: Vec::new() };
        Self {
            stream,
            coming: frames(PREFACE),
            going: frames(0),
            last: None,
            strikes: 0,
            farewell: None,
            pings,
        }
    }

    fn pinged(&mut self) {
        self.pings.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) < INTERVAL) {
            self.strikes += 1;
            if self.strikes > STRIKES && self.going.between() {
                self.farewell = Some(FAREWELL);
            }
        }
        self.last = Some(now);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Policed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if let Some(farewell) = &mut this.farewell {
                while !farewell.is_empty() {
                    let sent = ready!(Pin::new(&mut this.stream).poll_write(cx, farewell))?;
                    *farewell = &farewell[sent..];
                }
                ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            let mut pings = 0;
            this.coming.read(&buf.filled()[before..], |kind, flags| {
                pings += u32::from(kind == PING && flags & ACK == 0);
            });
            for _ in 0..pings {
                this.pinged();
            }
            if this.farewell.is_none() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Policed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        let mut data = false;
        self.going.read(&buf[..sent], |kind, _| data |= [DATA, HEADERS].contains(&kind));
        if data {
            self.strikes = 0;
            self.last = None;
        }
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
