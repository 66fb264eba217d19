//! The socket of a connection, which notices what its client does not do.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::connections::Place;
use crate::listener::Stream;

/// A connection that ends when its client reads nothing of its answer for too long.
pub(crate) struct Socket {
    stream: Stream,
    place: Arc<Place>,
    limit: Duration,
    /// Runs while a write waits for the client.
    stalled: Pin<Box<Sleep>>,
    waiting: bool,
    /// The first byte, if it was peeked at and not read yet.
    first: Option<u8>,
}

impl Socket {
    pub(crate) fn new(stream: Stream, place: Arc<Place>, limit: Duration) -> Self {
        let stalled = Box::pin(tokio::time::sleep(limit));
        Self { stream, place, limit, stalled, waiting: false, first: None }
    }

    /// The first byte that the client sends, which is read again. `None` if it sends none.
    pub(crate) async fn first_byte(&mut self) -> Option<u8> {
        let mut first = [0];
        self.read_exact(&mut first).await.ok()?;
        self.first = Some(first[0]);
        self.first
    }

    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if write.is_ready() {
            if std::mem::take(&mut self.waiting) {
                self.place.set_blocked(false);
            }
            return write;
        }
        if !self.waiting {
            self.waiting = true;
            self.place.set_blocked(true);
            self.stalled.as_mut().reset(Instant::now() + self.limit);
        }
        ready!(self.stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() > 0
            && let Some(first) = self.first.take()
        {
            buf.put_slice(&[first]);
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.place.set_drained(read.is_pending());
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixStream;
    use tokio::time::sleep;

    use super::*;
    use crate::PATIENCE;
    use crate::connections::Connections;

    #[tokio::test(start_paused = true)]
    async fn the_time_of_a_client_counts_from_its_last_read() {
        let (limit, soon) = (Duration::from_secs(30), Duration::from_secs(29));
        let (near, far) = UnixStream::pair().unwrap();
        let place = Arc::new(Connections::new(1, 1, PATIENCE).place(None).await);
        let mut socket = Socket::new(Stream::Unix(near), place, limit);
        let started = Instant::now();
        let writing = async {
            let piece = vec![0; 1 << 16];
            loop {
                if let Err(error) = socket.write_all(&piece).await {
                    break error;
                }
            }
        };
        let reading = async {
            let mut all = vec![0; 1 << 16];
            for _ in 0..3 {
                sleep(soon).await;
                while far.try_read(&mut all).is_ok() {}
            }
        };
        let (error, ()) = tokio::join!(writing, reading);
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 3 * 29 + 30);
    }
}
