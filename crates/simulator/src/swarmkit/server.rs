//! Connections of the control socket, and the methods that are called on them.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{DEFAULT_VERSIONS, ServerConfig};

use super::encode::{Members, Message, Value};
use super::fault::{Fault, Objects};
use super::pings::Policed;
use super::watch::{Next, Watch};
use super::{Shared, objects};
use crate::engine::NO_LEADER;
use crate::http::Stream;

/// A certificate as a node has one, except that its name is not a node's. It is good for nothing
/// else.
const CERTIFICATE: &[u8] =
    include_bytes!("../../fixtures/swarm-mode/control-socket/certificate.der");
const KEY: &[u8] = include_bytes!("../../fixtures/swarm-mode/control-socket/key.der");

/// Most bytes of a request.
const MAX_REQUEST: usize = 1 << 20;

const NOT_FOUND: u32 = 5;
const INVALID_ARGUMENT: u32 = 3;
const UNIMPLEMENTED: u32 = 12;
const UNKNOWN: u32 = 2;

type Body = UnsyncBoxBody<Bytes, io::Error>;
type Answer = Result<http::Response<Body>, io::Error>;

pub(super) fn acceptor() -> io::Result<TlsAcceptor> {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(DEFAULT_VERSIONS)
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(CERTIFICATE)],
            PrivatePkcs8KeyDer::from(KEY).into(),
        );
    let mut config = config.map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Accepts connections and serves them, until it is dropped.
pub(super) async fn accept(shared: Arc<Shared>, acceptor: TlsAcceptor) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            stream = shared.listener.accept() => match stream {
                Ok(Stream::Unix(stream)) => {
                    let (shared, acceptor) = (Arc::clone(&shared), acceptor.clone());
                    let mut closed = shared.listener.closed();
                    connections.spawn(async move {
                        tokio::select! {
                            () = serve(shared, acceptor, stream) => {}
                            _ = closed.changed() => {}
                        }
                    });
                }
                Ok(Stream::Tcp(_)) => {}
                // Out of file descriptors, most likely: wait for some to come back.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(shared: Arc<Shared>, acceptor: TlsAcceptor, stream: tokio::net::UnixStream) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let stream = TokioIo::new(Policed::new(stream, Arc::clone(&shared.pings)));
    let service = service_fn(|request| answer(Arc::clone(&shared), request));
    // An error is the client's.
    let _ = http2::Builder::new(Streams::default()).serve_connection(stream, service).await;
}

/// The tasks of the streams of one connection; they end with it.
#[derive(Clone, Default)]
struct Streams(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while streams.try_join_next().is_some() {}
        streams.spawn(async { drop(stream.await) });
    }
}

async fn answer(shared: Arc<Shared>, request: http::Request<Incoming>) -> Answer {
    let method = request.uri().path().to_owned();
    let body = Limited::new(request.into_body(), MAX_REQUEST).collect().await;
    let body = body.map_err(io::Error::other)?.to_bytes();
    // A flag of compression and a length are before the message.
    let message = body.get(5..).unwrap_or_default();
    shared.log().push(method.clone());
    shared.count.send_modify(|count| *count += 1);
    if !shared.is_manager() {
        // The connection ends with the socket.
        shared.leave();
        std::future::pending::<()>().await;
    }
    let call = method.strip_prefix("/docker.swarmkit.v1.").and_then(|call| call.split_once('/'));
    match call {
        Some(("Watch", "Watch")) => watch(shared, message),
        Some(("Control", call)) => control(&shared, call, message).await,
        Some(("Watch", call)) => {
            unknown(&format!("method {call} for service docker.swarmkit.v1.Watch"))
        }
        _ => {
            let service = method.trim_start_matches('/').split('/').next().unwrap_or_default();
            unknown(&format!("service {service}"))
        }
    }
}

fn unknown(what: &str) -> Answer {
    refuse(UNIMPLEMENTED, &format!("unknown {what}"))
}

async fn control(shared: &Shared, call: &str, message: &[u8]) -> Answer {
    let Some(call) = ["ListNodes", "ListServices", "ListTasks", "ListNetworks", "GetNode"]
        .into_iter()
        .find(|known| *known == call)
    else {
        return unknown(&format!("method {call} for service docker.swarmkit.v1.Control"));
    };
    let fault = shared.faults.list(call);
    match &fault {
        Some(Fault::HangLists) => std::future::pending().await,
        Some(Fault::Refuse(status, message)) => return refuse(*status, message),
        _ => {}
    }
    if !shared.swarm.lock().has_quorum() {
        let message = NO_LEADER.split_once("desc = ").map_or(NO_LEADER, |(_, message)| message);
        return refuse(UNKNOWN, message);
    }
    let now = match fault {
        Some(Fault::OldLists) => shared.faults.old(),
        _ => Objects::of(&shared.swarm),
    };
    let mut listed: Vec<Message> = match call {
        "ListNodes" => now.nodes.iter().map(|node| objects::node(node, true)).collect(),
        "ListServices" => now.services.iter().map(|s| objects::service(s)).collect(),
        "ListNetworks" => now.networks.iter().map(|n| objects::network(n)).collect(),
        "ListTasks" => {
            let task = |task: &Arc<crate::swarm::Task>| {
                let of = |service: &Arc<_>| id(service).cmp(task.service_id.as_str());
                let service = now.services.binary_search_by(of).ok();
                objects::task(task, service.map(|at| now.services[at].as_ref()))
            };
            now.tasks.iter().map(task).collect()
        }
        _ => {
            let mut members = Members(message);
            let Some((1, Value::Bytes(id))) = members.next() else {
                return refuse(INVALID_ARGUMENT, "an invalid argument was provided");
            };
            let Some(node) = now.nodes.iter().find(|node| node.meta.id.as_bytes() == id) else {
                let id = String::from_utf8_lossy(id);
                return refuse(NOT_FOUND, &format!("node {id} not found"));
            };
            vec![objects::node(node, true)]
        }
    };
    if fault == Some(Fault::HalfLists) {
        listed = listed.into_iter().step_by(2).collect();
    }
    shared.order.lock().unwrap_or_else(PoisonError::into_inner).shuffle(&mut listed);
    let list = Message::new().messages(1, listed).bytes();
    let frames = [Ok(Frame::data(framed(&list))), Ok(Frame::trailers(status(0, "")))];
    respond(BodyExt::boxed_unsync(StreamBody::new(stream::iter(frames))))
}

fn id(service: &crate::swarm::Service) -> &str {
    &service.meta.id
}

/// Counts a watch as long as it is open.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: Arc<Shared>) -> Self {
        shared.watches.send_modify(|open| *open += 1);
        Self(shared)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.watches.send_modify(|open| *open -= 1);
    }
}

fn watch(shared: Arc<Shared>, request: &[u8]) -> Answer {
    let open = Open::new(Arc::clone(&shared));
    let watch = Watch::new(shared, request);
    let frames = stream::unfold(Some((watch, open)), |watch| async move {
        let (mut watch, open) = watch?;
        Some(match watch.next().await {
            Next::Message(message) => (Ok(Frame::data(framed(&message))), Some((watch, open))),
            Next::End(code, message) => (Ok(Frame::trailers(status(code, &message))), None),
            Next::Reset => (Err(io::Error::from(io::ErrorKind::ConnectionReset)), None),
        })
    });
    respond(BodyExt::boxed_unsync(StreamBody::new(frames)))
}

fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("no message has 4 GiB"));
    frame.put_slice(message);
    frame.freeze()
}

fn status(code: u32, message: &str) -> http::HeaderMap {
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", code.into());
    // What is here is ASCII without control characters, which need no escaping but for `%`.
    if let Ok(message) = message.replace('%', "%25").parse()
        && code != 0
    {
        trailers.insert("grpc-message", message);
    }
    trailers
}

fn respond(body: Body) -> Answer {
    let response = http::Response::builder().header("content-type", "application/grpc");
    response.body(body).map_err(io::Error::other)
}

fn refuse(code: u32, message: &str) -> Answer {
    let empty = Full::default().map_err(|never| match never {});
    let mut response = respond(BodyExt::boxed_unsync(empty))?;
    response.headers_mut().extend(status(code, message));
    Ok(response)
}
