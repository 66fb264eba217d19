//! Serves the connections of a [`super::Server`].

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::listener::{Io, Stream};
use super::{Pending, Pieces, Reply, Request, Response, Shared};
use crate::fault::{End, Faults, Script, Spoiled};

/// Most bytes of a request's body.
const MAX_REQUEST: usize = 16 << 20;

/// Go buffers this many bytes of an answer before it stops to know its length.
const GO_BUFFER: usize = 2048;

/// Accepts connections and serves them, until it is dropped.
pub(super) async fn accept(shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            stream = shared.listener.accept() => match stream {
                Ok(stream) => {
                    let closed = shared.listener.closed();
                    connections.spawn(connect(Arc::clone(&shared), stream, closed));
                }
                // Out of file descriptors, most likely: wait for some to come back.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connect(shared: Arc<Shared>, stream: Stream, mut closed: watch::Receiver<u64>) {
    let serve = async {
        match (stream, shared.tls.clone()) {
            (Stream::Unix(stream), _) => serve(&shared, stream).await,
            (Stream::Tcp(stream), None) => {
                // Small pieces must arrive as they are sent.
                let _ = stream.set_nodelay(true);
                serve(&shared, stream).await;
            }
            (Stream::Tcp(stream), Some(tls)) => {
                if let Ok(stream) = tls.accept(stream).await {
                    serve(&shared, stream).await;
                }
            }
        }
    };
    tokio::select! {
        () = serve => {}
        // The port was closed, or there is no server any more.
        _ = closed.changed() => {}
    }
}

/// Serves one connection with hyper, as long as no fault asks for the socket itself.
async fn serve(shared: &Arc<Shared>, stream: impl Io + 'static) {
    let script: Arc<Mutex<Option<Script>>> = Arc::default();
    let service = service_fn(|request| {
        let (shared, script) = (Arc::clone(shared), Arc::clone(&script));
        Box::pin(async move {
            let request = read(request).await?;
            let fault = shared.faults.strike(&request.path);
            let reply = shared.answer(request);
            let Some(fault) = fault else {
                return match reply {
                    Reply::Now(response) => finish(response),
                    Reply::Later(response) => finish(response.await),
                    Reply::Pieces(head, pieces) => begin(head, SentBody::pieces(pieces)),
                };
            };
            match fault.spoil(reply.started()) {
                Spoiled::Answer(answer) => finish(answer),
                Spoiled::Script(new) => {
                    *script.lock().unwrap_or_else(PoisonError::into_inner) = Some(new);
                    // hyper stops on a service that fails, and leaves the socket alone.
                    Err(io::Error::other("the rest is written by hand"))
                }
            }
        })
    });
    let mut builder = http1::Builder::new();
    builder.title_case_headers(true).half_close(true);
    let mut connection = builder.serve_connection(TokioIo::new(stream), service);
    // An error is the client's, or the script's signal.
    let _ = std::future::poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    let mut stream = connection.into_parts().io.into_inner();
    let script = script.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(script) = script {
        // The client may go away at any time, as it should.
        let _ = play(script, &mut stream, &shared.faults).await;
    }
}

async fn read(request: http::Request<Incoming>) -> io::Result<Request> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_REQUEST).collect().await.map_err(io::Error::other)?;
    Ok(Request {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: body.to_bytes(),
    })
}

fn finish(mut response: Response) -> io::Result<http::Response<SentBody>> {
    let body = std::mem::take(&mut response.body);
    begin(response, SentBody::Whole(Some(body)))
}

fn begin(head: Response, body: SentBody) -> io::Result<http::Response<SentBody>> {
    let mut builder = http::Response::builder().status(head.status);
    for (name, value) in head.headers {
        builder = builder.header(name, value);
    }
    builder.body(body).map_err(io::Error::other)
}

/// Writes what no HTTP server would, and ends as the script says.
async fn play(script: Script, stream: &mut impl Io, faults: &Faults) -> io::Result<()> {
    let (piece, pause) = script.pace.unwrap_or((usize::MAX, Duration::ZERO));
    for piece in script.bytes.chunks(piece) {
        stream.write_all(piece).await?;
        stream.flush().await?;
        faults.count_sent(piece.len());
        if script.pace.is_some() {
            tokio::time::sleep(pause).await;
        }
    }
    if let Some(repeat) = &script.repeat {
        let mut left = script.most;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(repeat.len());
            let mut piece = repeat.slice(..most);
            while !piece.is_empty() {
                let taken = stream.write_buf(&mut piece).await?;
                faults.count_sent(taken);
                left -= taken as u64;
            }
        }
    }
    match script.end {
        End::Close => stream.shutdown().await,
        End::Reset => {
            stream.reset_at_end();
            Ok(())
        }
        End::Hang => std::future::pending().await,
    }
}

/// The body of an answer.
enum SentBody {
    /// In one piece.
    Whole(Option<Bytes>),
    /// Piece by piece, as they come; and the one that is waited for.
    Pieces(Pieces, Pending<Option<Bytes>>),
}

impl SentBody {
    fn pieces(mut pieces: Pieces) -> Self {
        let first = pieces();
        Self::Pieces(pieces, first)
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(body) => {
                let body = body.take().filter(|body| !body.is_empty());
                Poll::Ready(body.map(|body| Ok(Frame::data(body))))
            }
            Self::Pieces(pieces, next) => {
                let piece = ready!(next.as_mut().poll(cx));
                if piece.is_some() {
                    *next = pieces();
                }
                Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.as_ref().is_none_or(Bytes::is_empty),
            Self::Pieces(..) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(Some(body)) if body.len() > GO_BUFFER => SizeHint::default(),
            Self::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, Bytes::len) as u64),
            Self::Pieces(..) => SizeHint::default(),
        }
    }
}
