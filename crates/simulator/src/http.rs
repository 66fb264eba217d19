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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::Faults;
pub(crate) use listener::{Listener, Stream};

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
    handler: Box<dyn Fn(&Request) -> Response + Send + Sync>,
    faults: Faults,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    newest: VecDeque<Request>,
    count: u64,
}

impl Server {
    /// Starts to listen. `handler` answers every request that meets no fault.
    pub fn start(
        listen: Listen,
        handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
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
            handler: Box::new(handler),
            faults: Faults::default(),
            log: Mutex::default(),
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
        self.shared.log().newest.iter().cloned().collect()
    }

    /// How many requests came so far.
    pub fn request_count(&self) -> u64 {
        self.shared.log().count
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        *self.shared.log() = Log::default();
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
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: Request) -> Response {
        let response = (self.handler)(&request);
        let mut log = self.log();
        log.count += 1;
        if log.newest.len() == LOGGED {
            log.newest.pop_front();
        }
        log.newest.push_back(request);
        response
    }
}
