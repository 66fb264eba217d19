//! Connections over TLS, with HTTP/1 and HTTP/2.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use swarmscout_web_config::{Doors, testing};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::*;
use crate::connections::{Connections, Patience};
use crate::listener::Listener;
use crate::serve::{self, Limits};

const LIMITS: Limits = Limits {
    read_timeout: Duration::from_secs(30),
    stalled: Duration::from_secs(30),
    shutdown_timeout: Duration::ZERO,
};

const PATIENCE: Patience = Patience { idle: Duration::ZERO, blocked: Duration::from_secs(30) };

/// An authority that makes certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "The authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key of this name.
    fn pair(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// A server whose clients this authority vouches for.
    fn doors(&self, more: &str) -> Arc<Doors> {
        let (cert, key) = self.pair("server.example");
        let (cert, key, ca) = (cert.pem(), key.serialize_pem(), self.0.pem());
        testing::doors(&format!(
            "tls_server_config: {{cert: {cert:?}, key: {key:?}, client_ca: {ca:?}, \
             client_auth_type: VerifyClientCertIfGiven{more}}}\n"
        ))
    }

    fn client(&self, name: Option<&str>, protocols: &[&[u8]]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match name.map(|name| self.pair(name)) {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![cert.der().clone()], key).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }
}

/// A server behind doors.
struct Server {
    address: SocketAddr,
    places: Arc<Connections>,
    doors: watch::Sender<Arc<Doors>>,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start(doors: Arc<Doors>, connections: usize, limits: Limits) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (doors, handle) = testing::handle(doors);
        let listener = Listener::tcp(socket).unwrap().with_doors(Some(handle));
        let places = Connections::new(connections, 1, PATIENCE);
        let mut tasks = JoinSet::new();
        let all = (vec![listener], Arc::clone(&places));
        tasks.spawn(serve::run(all.0, all.1, limits, answer, std::future::pending()));
        Self { address, places, doors, _tasks: tasks }
    }

    async fn connect(&self, client: &TlsConnector) -> tokio_rustls::client::TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("server.example").unwrap();
        client.connect(name, stream).await.unwrap()
    }
}

/// Says who has asked, and by what.
async fn answer(request: http::Request<Incoming>) -> Response {
    if request.uri().path() == "/endless" {
        let piece = Ok::<_, Infallible>("x".repeat(200_000));
        return Body::from_stream(futures_util::stream::repeat(piece).boxed()).into_response();
    }
    let peer = request.extensions().get::<Peer>().unwrap();
    let name = peer.certificate.as_ref().and_then(|certificate| certificate.common_name.clone());
    let host = request.headers()[http::header::HOST].to_str().unwrap();
    let scheme = request.extensions().get::<http::uri::Scheme>().unwrap();
    let version = request.version();
    format!("{version:?} {scheme}://{host} by {}", name.unwrap_or_default()).into_response()
}

async fn text(response: http::Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

fn request(path: &str) -> http::Request<Empty<Bytes>> {
    let uri = format!("https://server.example{path}");
    http::Request::get(uri).header("Host", "server.example").body(Empty::new()).unwrap()
}

/// The same as HTTP/2 has it: the authority stands in the address alone.
fn request2(path: &str) -> http::Request<Empty<Bytes>> {
    http::Request::get(format!("https://server.example{path}")).body(Empty::new()).unwrap()
}

#[tokio::test]
async fn both_versions_of_http_say_who_asks() {
    let authority = Authority::new();
    let server = Server::start(authority.doors(""), 10, LIMITS).await;
    let mut tasks = JoinSet::new();

    let stream = server.connect(&authority.client(Some("alice"), &[b"http/1.1"])).await;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tasks.spawn(async { drop(connection.await) });
    let answer = text(sender.send_request(request("/")).await.unwrap()).await;
    assert_eq!(answer, "HTTP/1.1 https://server.example by alice");

    let stream = server.connect(&authority.client(Some("bob"), &[b"h2", b"http/1.1"])).await;
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.unwrap();
    tasks.spawn(async { drop(connection.await) });
    for _ in 0..3 {
        let answer = text(sender.send_request(request2("/")).await.unwrap()).await;
        assert_eq!(answer, "HTTP/2.0 https://server.example by bob");
    }
    let stream = server.connect(&authority.client(None, &[])).await;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tasks.spawn(async { drop(connection.await) });
    let answer = text(sender.send_request(request("/")).await.unwrap()).await;
    assert_eq!(answer, "HTTP/1.1 https://server.example by ");
}

#[tokio::test]
async fn a_client_without_tls_gets_the_answer_of_go() {
    let server = Server::start(Authority::new().doors(""), 10, LIMITS).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(
        answer,
        "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
    );
    // The server counts it once it has read that the client has gone.
    let is_counted = || server.places.handshakes().counts().any(|count| count == ("not_tls", 1));
    while !is_counted() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn when_full_a_handshake_that_does_not_end_makes_room() {
    let authority = Authority::new();
    for sent in [&b""[..], b"\x16\x03\x01"] {
        let server = Server::start(authority.doors(""), 1, LIMITS).await;
        let mut first = TcpStream::connect(server.address).await.unwrap();
        first.write_all(sent).await.unwrap();
        let stream = server.connect(&authority.client(None, &[])).await;
        assert_eq!(first.read(&mut [0]).await.unwrap_or(0), 0);
        assert_eq!(server.places.evicted(), 1);
        drop(stream);
    }
}

/// Its pings are answered, and its window is full.
#[tokio::test]
async fn a_client_of_http_2_that_takes_nothing_is_cut_off() {
    let authority = Authority::new();
    let soon = Limits { stalled: Duration::from_millis(50), ..LIMITS };
    let server = Server::start(authority.doors(""), 10, soon).await;
    let stream = server.connect(&authority.client(None, &[b"h2"])).await;
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async { drop(connection.await) });
    let response = sender.send_request(request2("/endless")).await.unwrap();
    // Resolves when the server has closed the connection.
    tasks.join_next().await.unwrap().unwrap();
    drop(response);
}

/// An idle one, as a silent client has it.
#[tokio::test]
async fn a_client_of_http_2_that_asks_for_nothing_is_sent_away() {
    let authority = Authority::new();
    let soon = Limits { read_timeout: Duration::from_millis(50), ..LIMITS };
    let server = Server::start(authority.doors(""), 10, soon).await;
    let stream = server.connect(&authority.client(None, &[b"h2"])).await;
    let handshake =
        http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (_sender, connection) = handshake.unwrap();
    connection.await.unwrap();
}

#[tokio::test]
async fn a_connection_ends_with_the_trust_in_its_client_only() {
    let authority = Authority::new();
    let server = Server::start(authority.doors(""), 10, LIMITS).await;
    for protocol in [&b"http/1.1"[..], b"h2"] {
        server.doors.send_replace(authority.doors(""));
        let stream = server.connect(&authority.client(Some("alice"), &[protocol])).await;
        let mut tasks = JoinSet::new();
        if protocol == b"h2" {
            let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
            let (mut sender, connection) = handshake.unwrap();
            tasks.spawn(async { drop(connection.await) });
            // A renewed certificate of the server.
            server.doors.send_replace(authority.doors(""));
            sender.send_request(request2("/")).await.unwrap();
            server.doors.send_replace(authority.doors(", client_allowed_sans: [bob]"));
            tasks.join_next().await.unwrap().unwrap();
        } else {
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tasks.spawn(async { drop(connection.await) });
            server.doors.send_replace(authority.doors(""));
            text(sender.send_request(request("/")).await.unwrap()).await;
            server.doors.send_replace(Authority::new().doors(""));
            tasks.join_next().await.unwrap().unwrap();
        }
    }
}

/// In TLS 1.3 the client sends its request before the server has checked its certificate.
#[tokio::test]
async fn a_client_whose_certificate_is_refused_sees_the_alert() {
    let authority = Authority::new();
    for protocol in [&b"http/1.1"[..], b"h2"] {
        let server =
            Server::start(authority.doors(", client_allowed_sans: [bob]"), 10, LIMITS).await;
        let client = authority.client(Some("alice"), &[protocol]);
        let mut stream = server.connect(&client).await;
        let is_counted = || {
            let refused = ("certificate_not_allowed", 1);
            server.places.handshakes().counts().any(|count| count == refused)
        };
        while !is_counted() {
            tokio::task::yield_now().await;
        }
        // Twice: the first one would be answered with a reset, by which the second one fails.
        for _ in 0..2 {
            stream.write_all(&[b'x'; 1000]).await.unwrap();
            stream.flush().await.unwrap();
        }
        let error = stream.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.to_string(), "received fatal alert: AccessDenied");
    }
}

/// It may not hold its connection for long.
#[tokio::test]
async fn a_refused_client_that_sends_on_is_cut_off() {
    let server = Server::start(Authority::new().doors(""), 10, LIMITS).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let piece = [b'x'; 4096];
    while stream.write_all(&piece).await.is_ok() {}
}
