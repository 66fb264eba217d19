//! One request and the header of its answer, over the pool of kept connections.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper_util::client::legacy;
use hyper_util::rt::TokioTimer;
use rustls::AlertDescription;
use tokio_util::task::TaskTracker;

use crate::connect::{Connector, LastAlert, UNIX_SCHEME, Wear, socket_uri_authority};
use crate::error::io_words;
use crate::request::Target;
use crate::{ConnectCause, Error, Scheme, tls};

/// Connections without a request are closed after so long: Prometheus' figure.
const IDLE: Duration = Duration::from_mins(5);
/// Kept connections per server. Role discoverers ask for a few lists at the same time.
const KEPT: usize = 8;

/// Who answers, and the most bytes of the header section of its answer. hyper reads the body
/// through a buffer that may grow to the same size.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) max_header: usize,
}

pub(crate) const SERVER: Peer = Peer { name: "server", max_header: 256 << 10 };

/// Connections to any number of servers, opened when they are needed and kept for a while.
#[derive(Clone)]
pub(crate) struct Pool(legacy::Client<Connector, Full<Bytes>>);

/// Spawns what hyper needs beside a request: a task for each connection, which ends when the pool
/// and the answer's body, its only owners, let go of it, and one that closes idle connections for
/// as long as the pool lives.
#[derive(Clone)]
struct Connections(TaskTracker);

impl<F> Executor<F> for Connections
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, connection: F) {
        self.0.spawn(connection);
    }
}

impl Pool {
    pub(crate) fn new(connector: Connector) -> Self {
        let client = legacy::Client::builder(Connections(TaskTracker::new()))
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(KEPT)
            .http1_max_buf_size(SERVER.max_header)
            .http2_max_header_list_size(u32::try_from(SERVER.max_header).expect("256 KiB fits u32"))
            .http2_adaptive_window(true)
            .build(connector);
        Self(client)
    }

    /// Sends a request; `to` is how errors name where it goes. It is sent again where the server has not got
    /// it, or closed a kept connection before anything of the answer came. Go does not do the latter for a
    /// POST, as the server may have done what was asked; ours only ask.
    pub(crate) async fn send(
        &self,
        target: &Target,
        to: &str,
        request: &Request<Bytes>,
    ) -> Result<Response<Incoming>, Error> {
        let uri = uri(target)?;
        let mut again = 0;
        loop {
            let mut request = request.clone().map(Full::new);
            *request.uri_mut() = uri.clone();
            let last_alert = LastAlert::default();
            let answered = tokio::select! {
                biased;
                answered = last_alert.scope(self.0.request(request)) => answered,
                alert = last_alert.wait() => return Err(refused(to, alert)),
            };
            match answered {
                Ok(response) => return Ok(response),
                // Each failure takes a connection out of the pool, so a fresh one comes soon.
                Err(error) if again <= KEPT && met_no_server(&error) => again += 1,
                Err(error) => return Err(failure(target, to, &error, last_alert.get())),
            }
        }
    }
}

fn uri(target: &Target) -> Result<Uri, Error> {
    let (scheme, authority) = match (target.host.scheme(), target.host.socket_path()) {
        (_, Some(path)) => (UNIX_SCHEME, socket_uri_authority(path)),
        (Scheme::Https, None) => ("https", target.host.address()),
        // Takes no proxy.
        (Scheme::Tcp, None) => ("tcp", target.host.address()),
        (_, None) => ("http", target.host.address()),
    };
    Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(target.path.as_str())
        .build()
        .map_err(|error| Error::Url { url: target.to_string(), reason: error.to_string() })
}

/// Whether to send a request again: a kept connection was closed, or the request waited for a connection that
/// was opened for another one, and only that one learns why there is none.
fn met_no_server(error: &legacy::Error) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    let mut has_waited = true;
    while let Some(error) = cause {
        has_waited &=
            !(error.is::<Error>() || error.is::<io::Error>() || error.is::<hyper::Error>());
        cause = error.source();
    }
    has_waited || wear(error).is_some_and(|wear| wear.is_stale())
}

/// How far the connection was used, if there was one.
fn wear(error: &legacy::Error) -> Option<Arc<Wear>> {
    let mut extensions = Extensions::new();
    if let Some(connection) = error.connect_info() {
        connection.get_extras(&mut extensions);
    }
    extensions.get().cloned()
}

/// `alert` is that of a connection that was opened for this request. Requests that waited for the same
/// connection have it in their error.
fn failure(
    target: &Target,
    to: &str,
    error: &legacy::Error,
    mut alert: Option<AlertDescription>,
) -> Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<Error>() {
            let mut error = error.clone();
            // A redirect chooses the host, so its name may hold a secret: `to` is clean.
            if let Error::Connect { to: named, .. } = &mut error
                && target.host.scheme() != Scheme::Unix
            {
                to.clone_into(named);
            }
            return error;
        }
        alert = alert.or_else(|| tls::alert_of(error.downcast_ref()?));
        cause = error.source();
    }
    // In TLS 1.3 a server refuses a client after the handshake, which it belongs to all the same.
    if let Some(alert) = alert {
        return refused(to, alert);
    }
    let to = to.to_owned();
    // One that answers has accepted the client.
    let has_answered = wear(error).is_some_and(|wear| wear.has_answered());
    if target.host.scheme() == Scheme::Https && !has_answered && closed_before_answer(error) {
        // Its alert may be lost with the connection.
        let reason = String::from(
            "the server closed the connection before it answered: it refuses our client certificate, \
             as its log would say, or wants one: set tls_config.cert_file and key_file",
        );
        return Error::Connect { to, cause: ConnectCause::ClientCertificate, reason };
    }
    Error::Exchange { to, reason: explain(error, &SERVER) }
}

/// The error of a handshake.
fn refused(to: &str, alert: AlertDescription) -> Error {
    let reason = tls::alert_words(alert);
    Error::Connect { to: to.to_owned(), cause: tls::alert_cause(alert), reason }
}

/// Whether the connection ended between its handshake and an answer, for an unknown reason.
fn closed_before_answer(error: &legacy::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let mut closed = false;
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            let kinds = [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof];
            return kinds.contains(&error.kind());
        }
        let hyper = error.downcast_ref::<hyper::Error>();
        closed |= hyper.is_some_and(|error| error.is_closed() || error.is_canceled());
        cause = error.source();
    }
    closed
}

/// The cause of a broken exchange with a server in plain words, for a caller with a connection of its
/// own. `max_header` is the most bytes that it reads of the header of an answer.
pub fn explain_exchange(error: &hyper::Error, max_header: usize) -> String {
    explain(error, &Peer { max_header, ..SERVER })
}

/// The cause of a broken exchange in plain words.
pub(crate) fn explain(error: &(dyn StdError + 'static), peer: &Peer) -> String {
    let mut words = error.to_string();
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return match error.kind() {
                // hyper's words for a body whose framing is broken.
                io::ErrorKind::InvalidInput => format!("the answer is not HTTP: {error}"),
                _ => tls::explain_io(error).unwrap_or_else(|| io_words(error)),
            };
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            words = if error.is_incomplete_message() {
                format!("the {} closed the connection before the answer was complete", peer.name)
            } else if error.is_parse_too_large() {
                format!(
                    "the header of the answer is too large (limit {} KiB)",
                    peer.max_header >> 10
                )
            } else if error.is_parse() {
                format!("the answer is not HTTP: {error}")
            } else {
                error.to_string()
            };
        }
        cause = error.source();
    }
    words
}
