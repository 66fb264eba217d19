//! The accept loop and the connections: their limits, and how they end.
//!
//! Our own accept loop, because it protects the program from slow and hostile clients: a limit of
//! [connections](crate::connections), a deadline for the header of a request, and one for a client
//! that does not read its answer.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::uri::Scheme;
use http::{HeaderValue, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use swarmscout_web_config::{Doors, DoorsHandle};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connections::{Connections, Place};
use crate::http2::{self, Streams};
use crate::listener::{Listener, Peer, Stream};
use crate::site::is_event_stream;
use crate::socket::Socket;
use crate::tls;

/// The most that a client may take for the header of a request, and a connection be idle. An idle
/// client connects again; a server without this can be filled with idle clients.
const HEADER_DEADLINE: Duration = Duration::from_secs(30);

/// How long to wait when no connection can be accepted, as without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often a connection of HTTP/2 is checked.
const CHECK: Duration = Duration::from_secs(1);

/// How long a connection of HTTP/2 may take to end after the GOAWAY.
const GOODBYE: Duration = Duration::from_secs(5);

/// The limits of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For the header of a request; at most [`HEADER_DEADLINE`] whatever this says. Zero: no other
    /// deadline than that, as in Go.
    pub(crate) read_timeout: Duration,
    /// How long a client may take none of its answer.
    pub(crate) stalled: Duration,
    /// For requests that are running at the end.
    pub(crate) shutdown_timeout: Duration,
}

/// Answers requests on all listeners with `handle` until `shutdown` resolves.
pub(crate) async fn run<H, F>(
    listeners: Vec<Listener>,
    places: Arc<Connections>,
    limits: Limits,
    handle: H,
    shutdown: impl Future<Output = ()> + Send,
) where
    H: Fn(http::Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let connections = TaskTracker::new();
    let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let (places, connections) = (Arc::clone(&places), connections.clone());
        let (handle, stop, abort) = (handle.clone(), stop.clone(), abort.clone());
        accepting.spawn(async move {
            loop {
                let next = async {
                    let (stream, peer) = accept(&listener).await;
                    let address = peer.address.map(|address| address.ip());
                    (stream, peer, Arc::new(places.place(address).await))
                };
                let Some((stream, peer, place)) = stop.run_until_cancelled(next).await else {
                    return;
                };
                let handle = handle.clone();
                let (stop, abort) = (stop.clone(), abort.clone());
                connections.spawn(async move {
                    let client = peer.to_string();
                    let serving = serve(stream, peer, &place, limits, handle, &stop);
                    tokio::select! {
                        () = serving => {}
                        () = abort.cancelled() => {}
                        () = place.evicted() => {
                            tracing::debug!(client, "Closed a connection to make room for another");
                        }
                    }
                });
            }
        });
    }
    shutdown.await;
    stop.cancel();
    while accepting.join_next().await.is_some() {}
    connections.close();
    if tokio::time::timeout(limits.shutdown_timeout, connections.wait()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "Requests not finished in time are cut off"
        );
        abort.cancel();
        connections.wait().await;
    }
}

async fn accept(listener: &Listener) -> (Stream, Peer) {
    let mut is_logged = false;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                if !std::mem::replace(&mut is_logged, true) {
                    tracing::warn!(%error, "Cannot accept a connection");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve<H, F>(
    stream: Stream,
    mut peer: Peer,
    place: &Arc<Place>,
    limits: Limits,
    handle: H,
    stop: &CancellationToken,
) where
    H: Fn(http::Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    if stream.writable().await.is_err() {
        return;
    }
    let socket = Socket::new(stream, Arc::clone(place), limits.stalled);
    let doors = peer.doors.as_ref().map(DoorsHandle::current);
    let ended = either(
        either(stop.cancelled(), place.retired()),
        outdated(peer.doors.clone(), doors.clone()),
    );
    let ended = std::pin::pin!(ended);
    let answers = |peer: Peer, scheme: Scheme| Answers {
        handle,
        place: Arc::clone(place),
        peer,
        scheme,
        stop: stop.clone(),
        streams: Streams::new(),
    };
    let Some(door) = doors.as_ref().and_then(|doors| doors.tls.as_ref()) else {
        return serve_http1(socket, answers(peer, Scheme::HTTP), limits, ended).await;
    };
    let accepting = tls::accept(door, socket, &peer, place.handshakes());
    // None of both waits for a client that has not come so far.
    let Some(Some(accepted)) = stop.run_until_cancelled(accepting).await else { return };
    peer.certificate = accepted.certificate.map(Arc::new);
    if accepted.http2 {
        serve_http2(accepted.stream, answers(peer, Scheme::HTTPS), limits, ended).await;
    } else {
        serve_http1(accepted.stream, answers(peer, Scheme::HTTPS), limits, ended).await;
    }
}

/// Resolves once a version of the web configuration is in use that may not let the client in.
async fn outdated(handle: Option<DoorsHandle>, used: Option<Arc<Doors>>) {
    match (handle, used) {
        (Some(handle), Some(used)) => handle.wait_for(|doors| !doors.admits_like(&used)).await,
        _ => std::future::pending().await,
    }
}

/// Answers the requests of a connection.
struct Answers<H> {
    handle: H,
    place: Arc<Place>,
    peer: Peer,
    scheme: Scheme,
    stop: CancellationToken,
    /// Of HTTP/2.
    streams: Arc<Streams>,
}

impl<H, F> Answers<H>
where
    H: Fn(http::Request<Incoming>) -> F,
    F: Future<Output = Response> + Send + 'static,
{
    fn answer(
        &self,
        mut request: http::Request<Incoming>,
    ) -> impl Future<Output = Result<Response, Infallible>> + Send + use<H, F> {
        let running = self.place.request();
        request.extensions_mut().insert(self.peer.clone());
        request.extensions_mut().insert(self.scheme.clone());
        request.extensions_mut().insert(Arc::clone(&self.place));
        let stream = (request.version() == http::Version::HTTP_2).then(|| {
            name_host(&mut request);
            self.streams.start()
        });
        let (response, stop) = ((self.handle)(request), self.stop.clone());
        let place = Arc::clone(&self.place);
        async move {
            let mut response = response.await;
            if stream.is_none() && place.is_retired() {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            let response = if is_event_stream(response.headers()) {
                running.until_stopped(response, stop)
            } else {
                running.until_sent(response)
            };
            Ok(match stream {
                Some(stream) => stream.until_sent(response),
                None => response,
            })
        }
    }
}

/// In HTTP/2 the `:authority` is what the `Host` is in HTTP/1.
fn name_host(request: &mut http::Request<Incoming>) {
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let host = authority.and_then(|authority| HeaderValue::try_from(authority).ok());
    if let (Some(host), header::Entry::Vacant(entry)) =
        (host, request.headers_mut().entry(header::HOST))
    {
        entry.insert(host);
    }
}

/// The most that a client may take for a header, and be without a request.
fn header_deadline(limits: Limits) -> Duration {
    match limits.read_timeout {
        Duration::ZERO => HEADER_DEADLINE,
        timeout => timeout.min(HEADER_DEADLINE),
    }
}

async fn serve_http1<S, H, F>(
    stream: S,
    answers: Answers<H>,
    limits: Limits,
    ended: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(http::Request<Incoming>) -> F,
    F: Future<Output = Response> + Send + 'static,
{
    let peer = answers.peer.clone();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_deadline(limits))
        .serve_connection(TokioIo::new(stream), service_fn(|request| answers.answer(request)));
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = ended => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(client = %peer, %error, "Connection ended early");
    }
}

async fn serve_http2<S, H, F>(
    stream: S,
    answers: Answers<H>,
    limits: Limits,
    ended: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(http::Request<Incoming>) -> F + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let (peer, place) = (answers.peer.clone(), Arc::clone(&answers.place));
    let streams = Arc::clone(&answers.streams);
    let tasks = http2::Tasks::default();
    let connection = http2::builder(tasks.clone())
        .serve_connection(TokioIo::new(stream), service_fn(|request| answers.answer(request)));
    let mut connection = std::pin::pin!(connection);
    let mut ended = std::pin::pin!(ended);
    let mut is_ending = false;
    let mut ticks = tokio::time::interval(CHECK);
    let deadline = header_deadline(limits);
    let result = loop {
        tokio::select! {
            result = connection.as_mut() => break result.map_err(|error| error.to_string()),
            () = ended.as_mut(), if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = ticks.tick() => {
                place.set_stuck(streams.is_stuck(CHECK));
                let idle = streams.idle_since().map(|since| since.elapsed());
                if streams.stalled_since().is_some_and(|since| since.elapsed() > limits.stalled) {
                    break Err("the client does not read".to_owned());
                }
                // The first time it gets a GOAWAY, which a client may ignore.
                if idle.is_some_and(|idle| idle > deadline + GOODBYE) {
                    break Err("the client sends no request".to_owned());
                }
                if idle.is_some_and(|idle| idle > deadline) && !is_ending {
                    is_ending = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    };
    tasks.abort();
    if let Err(error) = result {
        tracing::debug!(client = %peer, error, "Connection ended early");
    }
}

/// Resolves with the first of both.
async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    tokio::select! {
        () = one => {}
        () = other => {}
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::connections::Patience;
    use axum::body::Body;
    use axum::response::IntoResponse as _;
    use futures_util::StreamExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Semaphore;

    const LIMITS: Limits = Limits {
        read_timeout: Duration::from_secs(10),
        stalled: Duration::from_secs(10),
        shutdown_timeout: Duration::ZERO,
    };

    const PATIENCE: Patience = Patience { idle: Duration::ZERO, blocked: Duration::from_secs(10) };

    async fn listen() -> (Listener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = Listener::tcp(listener).unwrap();
        let address = listener.address().unwrap();
        (listener, address)
    }

    /// With one connection at a time, the next client is served only once the first is gone.
    #[tokio::test]
    async fn a_client_that_does_not_read_is_cut_off() {
        // By the deadline of a write, and long before it when the limit is reached.
        let soon = Duration::from_millis(50);
        serves_another(Limits { stalled: soon, ..LIMITS }, PATIENCE).await;
        serves_another(LIMITS, Patience { blocked: soon, ..PATIENCE }).await;
    }

    /// The first client never reads its answer to the end.
    async fn serves_another(limits: Limits, patience: Patience) {
        let (listener, address) = listen().await;
        let endless = || {
            Body::from_stream(futures_util::stream::repeat(Ok::<_, Infallible>("x".repeat(65_536))))
        };
        let handle = move |request: http::Request<Incoming>| async move {
            match request.uri().path() {
                "/endless" => endless().into_response(),
                _ => "short".into_response(),
            }
        };
        let mut tasks = JoinSet::new();
        let places = Connections::new(1, 1, patience);
        tasks.spawn(run(vec![listener], places, limits, handle, std::future::pending()));

        let mut first = TcpStream::connect(address).await.unwrap();
        first.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut byte = [0];
        first.read_exact(&mut byte).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        second.read_exact(&mut byte).await.unwrap();
    }

    /// A server whose `/slow` is answered on request.
    struct Slow {
        address: SocketAddr,
        places: Arc<Connections>,
        /// A request for `/slow` is running.
        started: Arc<Semaphore>,
        finish: Arc<Semaphore>,
        _tasks: JoinSet<()>,
    }

    impl Slow {
        async fn start(connections: usize, limits: Limits) -> Self {
            let (listener, address) = listen().await;
            let places = Connections::new(connections, 1, PATIENCE);
            let (started, finish) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
            let (starts, may_finish) = (Arc::clone(&started), Arc::clone(&finish));
            let handle = move |request: http::Request<Incoming>| {
                let (starts, may_finish) = (Arc::clone(&starts), Arc::clone(&may_finish));
                async move {
                    if request.uri().path() == "/slow" {
                        starts.add_permits(1);
                        may_finish.acquire().await.unwrap().forget();
                    }
                    "answer".into_response()
                }
            };
            let mut tasks = JoinSet::new();
            let all = vec![listener];
            tasks.spawn(run(all, Arc::clone(&places), limits, handle, std::future::pending()));
            Self { address, places, started, finish, _tasks: tasks }
        }

        async fn connect(&self, sent: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            stream
        }
    }

    const REQUEST: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    /// Reads one answer, or what else there is until the end.
    async fn answer(stream: &mut TcpStream) -> String {
        let mut answer = Vec::new();
        while !answer.ends_with(b"answer") && stream.read_buf(&mut answer).await.unwrap_or(0) > 0 {}
        let text = String::from_utf8(answer).unwrap();
        text.lines().next().unwrap_or("closed").to_owned()
    }

    #[tokio::test]
    async fn when_full_a_connection_without_a_request_makes_room() {
        for sent in ["", "GET / HTTP/1.1\r\nX: ", REQUEST] {
            let server = Slow::start(1, LIMITS).await;
            let mut first = server.connect(sent).await;
            if sent == REQUEST {
                assert_eq!(answer(&mut first).await, "HTTP/1.1 200 OK");
            }
            let mut second = server.connect(REQUEST).await;
            assert_eq!(answer(&mut second).await, "HTTP/1.1 200 OK", "{sent:?}");
            assert_eq!(answer(&mut first).await, "closed", "{sent:?}");
            assert_eq!(server.places.evicted(), 1);
        }
    }

    #[tokio::test]
    async fn the_oldest_goes_first_whatever_it_sends() {
        let server = Slow::start(3, LIMITS).await;
        let mut streams = Vec::new();
        for _ in 0..3 {
            let mut stream = server.connect(REQUEST).await;
            assert_eq!(answer(&mut stream).await, "HTTP/1.1 200 OK");
            streams.push(stream);
        }
        // More of a header makes it no younger.
        streams[0].write_all(b"GET / HTTP/1.1\r\nX: 1\r\n").await.unwrap();
        for place in 0..2 {
            let mut new = server.connect(REQUEST).await;
            assert_eq!(answer(&mut new).await, "HTTP/1.1 200 OK");
            assert_eq!(answer(&mut streams[place]).await, "closed", "{place}");
            streams.push(new);
        }
        // The third was not in the way, and its next request is welcome.
        streams[2].write_all(REQUEST.as_bytes()).await.unwrap();
        assert_eq!(answer(&mut streams[2]).await, "HTTP/1.1 200 OK");
        assert_eq!(server.places.evicted(), 2);
    }

    #[tokio::test]
    async fn a_request_that_is_being_answered_keeps_its_place() {
        let server = Slow::start(1, LIMITS).await;
        let mut first = server.connect("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
        server.started.acquire().await.unwrap().forget();
        let mut second = server.connect(REQUEST).await;
        server.finish.add_permits(1);
        // It was full until here, and nothing could be closed. Now the first is idle.
        assert_eq!(answer(&mut first).await, "HTTP/1.1 200 OK");
        assert_eq!(answer(&mut second).await, "HTTP/1.1 200 OK");
        assert_eq!(answer(&mut first).await, "closed");
        assert_eq!(server.places.evicted(), 1);
    }

    /// As many at once as come: all of them have sent their requests before any is read.
    #[tokio::test]
    async fn no_complete_request_is_lost_when_many_come_at_once() {
        let server = Slow::start(2, LIMITS).await;
        let mut streams = Vec::new();
        for _ in 0..20 {
            streams.push(server.connect("GET / HTTP/1.0\r\n\r\n").await);
        }
        for stream in &mut streams {
            assert_eq!(answer(stream).await, "HTTP/1.0 200 OK");
        }
        assert_eq!(server.places.evicted(), 0);
    }

    #[tokio::test]
    async fn a_read_timeout_of_zero_is_none() {
        let limits = Limits { read_timeout: Duration::ZERO, ..LIMITS };
        let server = Slow::start(1, limits).await;
        let mut stream = server.connect(REQUEST).await;
        assert_eq!(answer(&mut stream).await, "HTTP/1.1 200 OK");
    }

    /// A server whose answers are events that never end.
    async fn stream(stop: CancellationToken) -> (SocketAddr, Arc<Connections>, JoinSet<()>) {
        let (listener, address) = listen().await;
        let places = Connections::new(1, 1, PATIENCE);
        let handle = |_: http::Request<Incoming>| async {
            let one = futures_util::stream::iter([Ok::<_, Infallible>("data: 1\n\n")]);
            let body = Body::from_stream(one.chain(futures_util::stream::pending()));
            ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
        };
        let limits = Limits { shutdown_timeout: Duration::from_mins(10), ..LIMITS };
        let mut tasks = JoinSet::new();
        let stopped = async move { stop.cancelled().await };
        tasks.spawn(run(vec![listener], Arc::clone(&places), limits, handle, stopped));
        (address, places, tasks)
    }

    /// Reads until `end` has come.
    async fn read_to(stream: &mut TcpStream, end: &str) {
        let mut answer = Vec::new();
        while !answer.ends_with(end.as_bytes()) {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "closed before {end:?}");
        }
    }

    /// Each event is sent at once, and the stream makes room for another client.
    #[tokio::test]
    async fn a_stream_of_events_does_not_hold_its_place() {
        let (address, places, _tasks) = stream(CancellationToken::new()).await;
        let mut clients = Vec::new();
        for evicted in 0..3 {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(REQUEST.as_bytes()).await.unwrap();
            read_to(&mut client, "data: 1\n\n\r\n").await;
            assert_eq!(places.evicted(), evicted);
            clients.push(client);
        }
    }

    /// It ends in order, long before the time for running requests is over.
    #[tokio::test]
    async fn a_stream_of_events_ends_with_the_server() {
        let stop = CancellationToken::new();
        let (address, places, mut tasks) = stream(stop.clone()).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(REQUEST.as_bytes()).await.unwrap();
        read_to(&mut client, "data: 1\n\n\r\n").await;
        stop.cancel();
        read_to(&mut client, "0\r\n\r\n").await;
        tasks.join_next().await.unwrap().unwrap();
        assert_eq!(places.evicted(), 0);
    }
}
