//! An HTTP server on loopback or a unix socket, for anything that has to be asked something.
//!
//! Requests are parsed and good answers written by hyper. A faulty answer takes the socket back
//! from hyper and writes to it by hand. Refusing is done by closing the listening socket, with the
//! port kept bound, so that it can be opened again.

mod connection;
mod listener;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::Faults;
pub use listener::{Listener, Stream};

/// How many of the newest requests are kept. All are counted.
const LOGGED: usize = 20_000;

/// Where a server listens.
#[derive(Clone, Debug, Default)]
pub enum Listen {
    /// A free TCP port of 127.0.0.1.
    #[default]
    Tcp,
    /// This TCP address.
    Addr(SocketAddr),
    /// A free TCP port of 127.0.0.1, with TLS.
    Tls(Arc<ServerConfig>),
    /// A unix socket that is made here, and removed with the server.
    Unix(PathBuf),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `HEAD`, …
    pub method: http::Method,
    /// Path, as it was sent: `/v1.41/tasks`.
    pub path: String,
    /// Query without its `?`, as it was sent; empty where there is none.
    pub query: String,
    /// All headers.
    pub headers: http::HeaderMap,
    /// The body, at most 16 MiB.
    pub body: Bytes,
}

impl Request {
    /// The value of a query parameter, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Three digits.
    pub status: u16,
    /// Name and value, in this order. `Date` and the length come by themselves.
    pub headers: Vec<(String, String)>,
    /// Sent whole, as Go does it: with `Content-Length` up to 2 KiB, else as one chunk.
    pub body: Bytes,
}

impl Response {
    /// 200 with a body of this type.
    pub fn new(content_type: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Self { status: 200, headers, body: body.into() }
    }

    /// 200 with this JSON.
    pub fn json(body: impl Into<Bytes>) -> Self {
        Self::new("application/json", body)
    }

    /// An error as Docker writes one: `{"message":"…"}`.
    pub fn message(status: u16, message: &str) -> Self {
        let body = crate::engine::json::encode(&serde_json::json!({ "message": message }));
        Self { status, ..Self::json(body) }
    }

    /// The answer of Go's `http.NotFound`.
    pub fn not_found() -> Self {
        Self { status: 404, ..Self::new("text/plain; charset=utf-8", "404 page not found\n") }
            .with("X-Content-Type-Options", "nosniff")
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What a handler makes of a request.
pub enum Reply {
    /// An answer that is there.
    Now(Response),
    /// An answer that will come.
    Later(Pending<Response>),
    /// Status and headers at once, and each piece of the body when it is there. The body of the
    /// response itself is not sent.
    Pieces(Response, Pieces),
}

/// Something that will come.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Gives the next piece of a body, or its end.
pub type Pieces = Box<dyn FnMut() -> Pending<Option<Bytes>> + Send>;

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::Now(response)
    }
}

impl Reply {
    /// What a fault can spoil: of an answer that is not there yet its beginning.
    fn started(self) -> Response {
        match self {
            Self::Now(response) | Self::Pieces(response, _) => response,
            Self::Later(_) => Response::json(Bytes::new()),
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(response) => f.debug_tuple("Now").field(response).finish(),
            Self::Later(_) => f.write_str("Later"),
            Self::Pieces(response, _) => f.debug_tuple("Pieces").field(response).finish(),
        }
    }
}

/// A running server. Ends when it is dropped.
pub struct Server {
    shared: Arc<Shared>,
    url: String,
    tasks: JoinSet<()>,
}

/// What the server's tasks share with its owner.
struct Shared {
    listener: Listener,
    tls: Option<TlsAcceptor>,
    handler: Box<dyn Fn(&Request) -> Reply + Send + Sync>,
    faults: Faults,
    log: Mutex<VecDeque<Request>>,
    /// How many requests came.
    count: watch::Sender<u64>,
}

impl Server {
    /// Starts to listen. `handler` answers every request that meets no fault.
    pub fn start<R: Into<Reply>>(
        listen: Listen,
        handler: impl Fn(&Request) -> R + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let tls = match &listen {
            Listen::Tls(config) => Some(TlsAcceptor::from(Arc::clone(config))),
            _ => None,
        };
        let listener = Listener::bind(listen)?;
        let url = match (listener.address(), &tls) {
            (listener::Address::Unix(path), _) => format!("unix://{}", path.display()),
            (listener::Address::Tcp(addr), None) => format!("http://{addr}"),
            (listener::Address::Tcp(addr), Some(_)) => format!("https://localhost:{}", addr.port()),
        };
        let shared = Arc::new(Shared {
            listener,
            tls,
            handler: Box::new(move |request| handler(request).into()),
            faults: Faults::default(),
            log: Mutex::default(),
            count: watch::Sender::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(connection::accept(Arc::clone(&shared)));
        Ok(Self { shared, url, tasks })
    }

    /// `http://127.0.0.1:1234`, `https://localhost:1234` or `unix:///path`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Host and port; `None` for a unix socket.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.shared.listener.tcp_addr()
    }

    /// The path of the socket; `None` for TCP.
    pub fn socket(&self) -> Option<&Path> {
        match self.shared.listener.address() {
            listener::Address::Tcp(_) => None,
            listener::Address::Unix(path) => Some(path),
        }
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Closes the port: from now on connections are refused, and the open ones end.
    pub fn refuse(&self) {
        self.shared.listener.close();
    }

    /// Opens the port again.
    pub fn accept(&self) -> io::Result<()> {
        self.shared.listener.open()
    }

    /// The requests so far, oldest first, those that met a fault included. Of very many the newest.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.log().iter().cloned().collect()
    }

    /// How many requests came so far.
    pub fn request_count(&self) -> u64 {
        *self.shared.count.borrow()
    }

    /// Waits until this many requests came.
    pub async fn requested(&self, count: u64) {
        let reached = self.shared.count.subscribe().wait_for(|came| *came >= count).await.map(drop);
        debug_assert!(reached.is_ok(), "the sender is part of this server");
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.shared.log().clear();
        self.shared.count.send_replace(0);
    }

    /// Ends the server and all its connections, and waits for that.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, VecDeque<Request>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: Request) -> Reply {
        let reply = (self.handler)(&request);
        let mut log = self.log();
        if log.len() == LOGGED {
            log.pop_front();
        }
        log.push_back(request);
        self.count.send_modify(|count| *count += 1);
        reply
    }
}
