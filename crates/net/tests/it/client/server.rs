//! A server that answers as a test's script says, to the byte.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// The answer to a request.
pub(crate) struct Reply {
    bytes: Vec<u8>,
    then: Then,
}

enum Then {
    /// Wait for the next request.
    Keep,
    /// Close the connection.
    Close,
    /// Say nothing more until the client leaves.
    Hang,
    /// Send this again and again until the client leaves.
    Repeat(&'static [u8]),
    /// Be a way to another server, as a proxy is.
    Tunnel(SocketAddr),
}

impl Reply {
    /// Bytes as they are, then the connection is kept.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), then: Then::Keep }
    }

    pub(crate) fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::with("200 OK", "", body)
    }

    /// `headers` are whole lines, each with `\r\n`.
    pub(crate) fn with(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
        Self::raw([head.as_bytes(), body].concat())
    }

    pub(crate) fn redirect(status: &str, location: &str) -> Self {
        Self::with(status, &format!("Location: {location}\r\n"), "")
    }

    /// How a proxy answers CONNECT, and what it does from then on.
    pub(crate) fn tunnel(to: SocketAddr) -> Self {
        let bytes = b"HTTP/1.1 200 Connection established\r\nServer: proxy\r\n\r\n".to_vec();
        Self { bytes, then: Then::Tunnel(to) }
    }

    pub(crate) fn then_close(self) -> Self {
        Self { then: Then::Close, ..self }
    }

    pub(crate) fn then_hang(self) -> Self {
        Self { then: Then::Hang, ..self }
    }

    pub(crate) fn then_repeat(self, bytes: &'static [u8]) -> Self {
        Self { then: Then::Repeat(bytes), ..self }
    }
}

/// Runs until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    log: Arc<Log>,
    _tasks: JoinSet<()>,
}

/// What the server saw.
struct Log {
    requests: Mutex<Vec<String>>,
    counts: watch::Sender<Counts>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    opened: usize,
    closed: usize,
    requests: usize,
}

/// Makes an answer from a request and its number on its connection, from 0.
type Script = dyn Fn(&str, usize) -> Reply + Send + Sync;

impl Server {
    pub(crate) async fn start(
        script: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_tcp(None, Arc::new(script)).await
    }

    pub(crate) async fn start_tls(
        acceptor: TlsAcceptor,
        script: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_tcp(Some(acceptor), Arc::new(script)).await
    }

    async fn start_tcp(tls: Option<TlsAcceptor>, script: Arc<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self::serve(address, Listener::Tcp(listener, tls), script)
    }

    pub(crate) fn start_unix(
        path: &Path,
        script: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::serve(nowhere, Listener::Unix(listener), Arc::new(script))
    }

    fn serve(address: SocketAddr, listener: Listener, script: Arc<Script>) -> Self {
        let log = Arc::new(Log { requests: Mutex::default(), counts: watch::Sender::default() });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, script, Arc::clone(&log)));
        Self { address, log, _tasks: tasks }
    }

    /// The address with the port, as in a URL.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn socket_address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far, each with its body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.log.requests.lock().unwrap().clone()
    }

    /// Value of a header of the last request.
    pub(crate) fn last_header(&self, name: &str) -> Option<String> {
        header(self.requests().last()?, name)
    }

    pub(crate) fn connections(&self) -> usize {
        self.log.counts.borrow().opened
    }

    /// Waits until this number of requests was read.
    pub(crate) async fn saw_requests(&self, count: usize) {
        let mut counts = self.log.counts.subscribe();
        counts.wait_for(|counts| counts.requests >= count).await.unwrap();
    }

    /// Waits until this number of connections was closed by their clients.
    pub(crate) async fn saw_closed(&self, count: usize) {
        let mut counts = self.log.counts.subscribe();
        counts.wait_for(|counts| counts.closed >= count).await.unwrap();
    }
}

/// Value of a header of `request`.
pub(crate) fn header(request: &str, name: &str) -> Option<String> {
    let lines = request.lines().skip(1).take_while(|line| !line.is_empty());
    let mut headers = lines.filter_map(|line| line.split_once(": "));
    let value = headers.find(|(n, _)| n.eq_ignore_ascii_case(name))?.1;
    Some(value.to_owned())
}

impl Log {
    fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }
}

enum Listener {
    Tcp(TcpListener, Option<TlsAcceptor>),
    Unix(UnixListener),
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

async fn accept(listener: Listener, script: Arc<Script>, log: Arc<Log>) {
    let mut connections = JoinSet::new();
    loop {
        let (script, log) = (Arc::clone(&script), Arc::clone(&log));
        match &listener {
            Listener::Unix(listener) => {
                let (socket, _) = listener.accept().await.unwrap();
                connections.spawn(answer(Box::new(socket), script, log));
            }
            Listener::Tcp(listener, None) => {
                let (socket, _) = listener.accept().await.unwrap();
                connections.spawn(answer(Box::new(socket), script, log));
            }
            Listener::Tcp(listener, Some(tls)) => {
                let (socket, _) = listener.accept().await.unwrap();
                let handshake = tls.accept(socket);
                connections.spawn(async move {
                    // A client that refuses our certificate leaves here.
                    if let Ok(stream) = handshake.await {
                        answer(Box::new(stream), script, log).await;
                    }
                });
            }
        }
    }
}

async fn answer(mut stream: Box<dyn Io>, script: Arc<Script>, log: Arc<Log>) {
    log.count(|counts| counts.opened += 1);
    let mut number = 0;
    while let Some(request) = read_request(&mut stream).await {
        let reply = script(&request, number);
        number += 1;
        log.requests.lock().unwrap().push(request);
        log.count(|counts| counts.requests += 1);
        // A client that has enough closes the connection while we write.
        let mut gone = stream.write_all(&reply.bytes).await.is_err();
        gone |= stream.flush().await.is_err();
        match reply.then {
            Then::Keep if !gone => {}
            Then::Hang if !gone => {
                // The client has sent everything; this ends when it leaves.
                let _ = stream.read(&mut [0]).await;
                break;
            }
            Then::Repeat(bytes) => while stream.write_all(bytes).await.is_ok() {},
            Then::Tunnel(to) => {
                let mut server = TcpStream::connect(to).await.unwrap();
                // Either side may close it.
                let _ = copy_bidirectional(&mut stream, &mut server).await;
                break;
            }
            Then::Keep | Then::Hang | Then::Close => break,
        }
    }
    log.count(|counts| counts.closed += 1);
}

/// A request's head, and its body where it has a `Content-Length`.
async fn read_request(stream: &mut Box<dyn Io>) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let mut request = String::from_utf8(head).unwrap();
    if let Some(length) = header(&request, "content-length") {
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).await.ok()?;
        request.push_str(str::from_utf8(&body).unwrap());
    }
    Some(request)
}
