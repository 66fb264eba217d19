//! TLS: whom a client trusts, what it presents, and the words for what goes wrong.

use std::sync::Arc;

use expect_test::{Expect, expect};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use swarmscout_model::Secret;
use swarmscout_net::config::{PemSource, TlsConfig, TlsVersion};
use swarmscout_net::{
    Client, ClientOptions, ConnectCause, Error, HttpConfig, SystemRoots, peer_certificate,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::server::{Reply, Server};
use super::{AMPLE, Folder, client, request, return_to_pool, text, try_client};

/// An authority that signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate with its key.
pub(crate) struct Identity {
    pub(crate) cert: String,
    pub(crate) key: String,
    der: CertificateDer<'static>,
    key_der: PrivateKeyDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("authority")
    }

    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Identity::new(&cert, &key)
    }

    pub(crate) fn sign_for(&self, names: &[&str]) -> Identity {
        self.sign(&params(names))
    }
}

impl Identity {
    fn new(cert: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self {
            cert: cert.pem(),
            key: key.serialize_pem(),
            der: cert.der().clone(),
            key_der: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }

    /// Like those of `openssl req -x509`: signed by itself, and marked as an authority.
    fn self_signed(names: &[&str], is_ca: IsCa) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(names);
        params.is_ca = is_ca;
        Self::new(&params.self_signed(&key).unwrap(), &key)
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

/// A server of `identity`, which demands a certificate of `clients` where that is given.
pub(crate) fn acceptor(
    identity: &Identity,
    clients: Option<&Authority>,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> TlsAcceptor {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots
                .add(
                    rustls::pki_types::pem::PemObject::from_pem_slice(authority.pem.as_bytes())
                        .unwrap(),
                )
                .unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config =
        builder.with_single_cert(vec![identity.der.clone()], identity.key_der.clone_key()).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

pub(crate) async fn server_of(identity: &Identity) -> Server {
    let acceptor = acceptor(identity, None, rustls::ALL_VERSIONS, &[]);
    Server::start_tls(acceptor, |_, _| Reply::ok("secure")).await
}

fn inline(pem: &str) -> PemSource {
    PemSource::Inline(Secret::new(pem))
}

pub(crate) fn trusting(ca: &str) -> TlsConfig {
    TlsConfig { ca: Some(inline(ca)), ..TlsConfig::default() }
}

/// What a client with `tls` gets from `server` under the name `host`.
async fn ask(server: &Server, host: &str, tls: &TlsConfig) -> Result<String, Error> {
    let config = HttpConfig { tls: tls.clone(), ..HttpConfig::default() };
    let url = format!("https://{host}:{}/", server.port());
    Ok(text(try_client(&config)?.get(request(&url)).await?).await)
}

async fn check(server: &Server, host: &str, tls: &TlsConfig, expected: Expect) {
    let shown = match ask(server, host, tls).await {
        Ok(body) => body,
        Err(error) => error.to_string().replace(&server.port().to_string(), "PORT"),
    };
    expected.assert_eq(&shown);
}

#[tokio::test]
async fn certificates_are_checked() {
    let authority = Authority::new();
    let tls = trusting(&authority.pem);
    let server = server_of(&authority.sign_for(&["127.0.0.1", "swarm.example"])).await;
    check(&server, "127.0.0.1", &tls, expect!["secure"]).await;
    check(&server, "localhost", &tls, expect!["cannot connect to localhost:PORT: the server's certificate is valid for 127.0.0.1, swarm.example, not for localhost: set tls_config.server_name"]).await;
    let named = |name: &str| TlsConfig { server_name: Some(name.to_owned()), ..tls.clone() };
    check(&server, "localhost", &named("swarm.example"), expect!["secure"]).await;
    check(&server, "127.0.0.1", &named("other.example"), expect!["cannot connect to 127.0.0.1:PORT: the server's certificate is valid for 127.0.0.1, swarm.example, not for other.example: set tls_config.server_name"]).await;
    check(&server, "127.0.0.1", &trusting(&Authority::named("other").pem), expect!["cannot connect to 127.0.0.1:PORT: the server's certificate is signed by an unknown authority: name the authority's certificate in tls_config.ca_file"]).await;
    check(&server, "127.0.0.1", &trusting(&Authority::new().pem), expect!["cannot connect to 127.0.0.1:PORT: the server's certificate is signed by an unknown authority, which has the name of a trusted one but another key"]).await;
    check(&server, "127.0.0.1", &TlsConfig::default(), expect!["cannot connect to 127.0.0.1:PORT: the server's certificate is signed by an unknown authority: name the authority's certificate in tls_config.ca_file"]).await;
    let anything = TlsConfig { insecure_skip_verify: true, ..TlsConfig::default() };
    check(&server, "localhost", &anything, expect!["secure"]).await;
}

#[tokio::test]
async fn the_systems_certificates_are_read_once_and_only_when_needed() {
    let roots = SystemRoots::default();
    let client = |tls: TlsConfig| {
        let options = ClientOptions { roots: roots.clone(), ..ClientOptions::new("", AMPLE) };
        Client::new(&HttpConfig { tls, ..HttpConfig::default() }, options).unwrap()
    };
    let plain = Server::start(|_, _| Reply::ok("")).await;
    let authority = Authority::new();
    let server = server_of(&authority.sign_for(&["127.0.0.1"])).await;
    let url = format!("https://{}/", server.address());
    client(TlsConfig::default()).get(request(&plain.url("/"))).await.unwrap();
    client(trusting(&authority.pem)).get(request(&url)).await.unwrap();
    assert_eq!(format!("{roots:?}"), "SystemRoots(None)");
    client(TlsConfig::default()).get(request(&url)).await.unwrap_err();
    let read = format!("{roots:?}");
    assert!(read.starts_with("SystemRoots(Some("), "{read}");
    client(TlsConfig::default()).get(request(&url)).await.unwrap_err();
    assert_eq!(format!("{roots:?}"), read);
}

/// As managers of a Swarm show theirs.
#[tokio::test]
async fn the_certificate_of_a_server_is_read_without_trust_in_it() {
    use rustls::version::{TLS12, TLS13};
    let authority = Authority::new();
    let mut params = params(&["swarm-manager"]);
    params.distinguished_name.push(DnType::OrganizationName, "of-the-swarm");
    params.distinguished_name.push(DnType::CommonName, "of-the-node");
    (params.not_before, params.not_after) = (date_time_ymd(2030, 3, 1), date_time_ymd(2031, 3, 1));
    let identity = authority.sign(&params);
    for (clients, version) in [(None, &TLS12), (None, &TLS13), (Some(&authority), &TLS13)] {
        let server =
            Server::start_tls(acceptor(&identity, clients, &[version], &["h2"]), |_, _| {
                Reply::ok("")
            });
        let server = server.await;
        let shown = peer_certificate(&server.address(), AMPLE).await.unwrap();
        assert_eq!(shown.validity(), Some((1_898_553_600, 1_930_089_600)));
        assert!(shown.is_named("of-the-node"));
        assert!(!shown.is_named("of-the-swarm") && !shown.is_named("of-the"));
        assert_eq!(server.requests().len(), 0);
    }
}

#[tokio::test]
async fn dates_and_names_are_reported() {
    let authority = Authority::new();
    let tls = trusting(&authority.pem);
    let mut expired = params(&["127.0.0.1"]);
    expired.not_before = date_time_ymd(2001, 1, 1);
    expired.not_after = date_time_ymd(2001, 1, 2);
    let server = server_of(&authority.sign(&expired)).await;
    let error = ask(&server, "127.0.0.1", &tls).await.unwrap_err().to_string();
    assert!(
        error.contains("the server's certificate expired ") && error.ends_with(" days ago"),
        "{error}"
    );

    let mut early = params(&["127.0.0.1"]);
    early.not_before = date_time_ymd(4000, 1, 1);
    early.not_after = date_time_ymd(4001, 1, 1);
    let server = server_of(&authority.sign(&early)).await;
    let error = ask(&server, "127.0.0.1", &tls).await.unwrap_err().to_string();
    assert!(
        error.contains("is valid only in ") && error.ends_with(": is the clock right?"),
        "{error}"
    );

    let server = server_of(&authority.sign_for(&[])).await;
    check(&server, "127.0.0.1", &tls, expect!["cannot connect to 127.0.0.1:PORT: the server's certificate has no subject alternative name (a common name does not count), so that it is not valid for 127.0.0.1"]).await;
}

#[tokio::test]
async fn a_servers_own_certificate_can_be_trusted() {
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let own = Identity::self_signed(&["127.0.0.1"], is_ca);
        let server = server_of(&own).await;
        check(&server, "127.0.0.1", &trusting(&own.cert), expect!["secure"]).await;
        let error = ask(&server, "localhost", &trusting(&own.cert)).await.unwrap_err().to_string();
        assert!(error.contains("is valid for 127.0.0.1, not for localhost"), "{error}");
        assert!(ask(&server, "127.0.0.1", &trusting(&Authority::new().pem)).await.is_err());
    }
}

#[tokio::test]
async fn clients_present_their_certificate() {
    use rustls::version::{TLS12, TLS13};
    let authority = Authority::new();
    let identity = authority.sign_for(&["127.0.0.1"]);
    for version in [&TLS12, &TLS13] {
        let acceptor = acceptor(&identity, Some(&authority), &[version], &[]);
        let server = Server::start_tls(acceptor, |_, _| Reply::ok("welcome")).await;
        let client = authority.sign_for(&["client"]);
        check(&server, "127.0.0.1", &presenting(&client, &authority), expect!["welcome"]).await;
    }
}

fn presenting(client: &Identity, authority: &Authority) -> TlsConfig {
    TlsConfig {
        cert: Some(inline(&client.cert)),
        key: Some(inline(&client.key)),
        ..trusting(&authority.pem)
    }
}

/// With TLS 1.3 the server says so when the client has sent its request already.
#[tokio::test]
async fn a_refused_certificate_is_an_error_of_the_handshake() {
    use rustls::version::{TLS12, TLS13};
    let authority = Authority::new();
    let identity = authority.sign_for(&["127.0.0.1"]);
    for (version, alpn) in [(&TLS12, "http/1.1"), (&TLS13, "http/1.1"), (&TLS13, "h2")] {
        let acceptor = acceptor(&identity, Some(&authority), &[version], &[alpn]);
        let server = Server::start_tls(acceptor, |_, _| Reply::ok("welcome")).await;
        let refusal = async |tls: &TlsConfig| match ask(&server, "127.0.0.1", tls).await {
            Err(Error::Connect { cause: ConnectCause::ClientCertificate, reason, .. }) => reason,
            other => panic!("{alpn}: {other:?}"),
        };
        let without = refusal(&trusting(&authority.pem)).await;
        if version.version == rustls::ProtocolVersion::TLSv1_3 {
            let wants =
                "the server wants a client certificate: set tls_config.cert_file and key_file";
            assert_eq!(without, wants);
        }
        let stranger = Authority::new().sign_for(&["client"]);
        let refused = refusal(&presenting(&stranger, &authority)).await;
        assert!(refused.starts_with("the server refused our client certificate"), "{refused}");
    }
}

/// The alert ends the request that opened the connection, and others wait for the same connection: how many,
/// and how far it came, is another thing in each round.
#[tokio::test(flavor = "multi_thread")]
async fn all_requests_on_a_connection_learn_of_the_refusal() {
    let authority = Authority::new();
    let identity = authority.sign_for(&["127.0.0.1"]);
    let acceptor = acceptor(&identity, Some(&authority), &[&rustls::version::TLS13], &["h2"]);
    let server = Server::start_tls(acceptor, |_, _| Reply::ok("welcome")).await;
    let config = HttpConfig { tls: trusting(&authority.pem), ..HttpConfig::default() };
    let url = format!("https://127.0.0.1:{}/", server.port());
    for requests in (2..14).cycle().take(100) {
        let client = Arc::new(try_client(&config).unwrap());
        let mut answers = JoinSet::new();
        for _ in 0..requests {
            let (client, request) = (Arc::clone(&client), request(&url));
            answers.spawn(async move { client.get(request).await.map(|_| ()) });
        }
        for answer in answers.join_all().await {
            assert!(
                matches!(
                    &answer,
                    Err(Error::Connect { cause: ConnectCause::ClientCertificate, .. })
                ),
                "{requests}: {answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_without_an_alert_is_an_error_of_the_handshake() {
    let authority = Authority::new();
    let acceptor =
        acceptor(&authority.sign_for(&["127.0.0.1"]), None, rustls::ALL_VERSIONS, &["http/1.1"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let close = async {
        let (socket, _) = listener.accept().await.unwrap();
        drop(acceptor.accept(socket).await.unwrap());
    };
    let config = HttpConfig { tls: trusting(&authority.pem), ..HttpConfig::default() };
    let client = try_client(&config).unwrap();
    let (answer, ()) = tokio::join!(client.get(request(&url)), close);
    let Err(Error::Connect { cause: ConnectCause::ClientCertificate, reason, .. }) = answer else {
        panic!("another answer")
    };
    assert!(reason.starts_with("the server closed the connection before it answered"), "{reason}");
}

/// The server accepted the client then.
#[tokio::test]
async fn an_answer_that_began_or_came_before_is_no_error_of_the_handshake() {
    let authority = Authority::new();
    for whole in [0, 1] {
        let identity = authority.sign_for(&["127.0.0.1"]);
        let acceptor = acceptor(&identity, None, rustls::ALL_VERSIONS, &["http/1.1"]);
        let script = move |_: &str, number| match number {
            number if number < whole => Reply::ok("a"),
            _ => Reply::raw("HTTP/1.1 200").then_close(),
        };
        let server = Server::start_tls(acceptor, script).await;
        let config = HttpConfig { tls: trusting(&authority.pem), ..HttpConfig::default() };
        let client = try_client(&config).unwrap();
        let url = format!("https://127.0.0.1:{}/", server.port());
        for _ in 0..whole {
            assert_eq!(text(client.get(request(&url)).await.unwrap()).await, "a");
            return_to_pool().await;
        }
        let answer = client.get(request(&url)).await.map(|_| ());
        assert!(matches!(&answer, Err(Error::Exchange { .. })), "{whole} {answer:?}");
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn versions_are_kept() {
    let authority = Authority::new();
    let identity = authority.sign_for(&["127.0.0.1"]);
    let old = acceptor(&identity, None, &[&rustls::version::TLS12], &[]);
    let server = Server::start_tls(old, |_, _| Reply::ok("1.2")).await;
    let between = |min_version, max_version| TlsConfig {
        min_version,
        max_version,
        ..trusting(&authority.pem)
    };
    check(&server, "127.0.0.1", &between(None, Some(TlsVersion::Tls12)), expect!["1.2"]).await;
    check(&server, "127.0.0.1", &between(Some(TlsVersion::Tls13), None), expect!["cannot connect to 127.0.0.1:PORT: the server speaks no TLS version that is allowed here"]).await;
    let refused = [
        (
            between(Some(TlsVersion::Tls13), Some(TlsVersion::Tls12)),
            expect![
                "cannot set up TLS: tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified"
            ],
        ),
        (
            between(Some(TlsVersion::Tls10), None),
            expect![
                "cannot set up TLS: tls_config.min_version TLS10 is not supported: use TLS12 or TLS13"
            ],
        ),
        (
            between(None, Some(TlsVersion::Tls11)),
            expect![
                "cannot set up TLS: tls_config.max_version TLS11 is not supported: use TLS12 or TLS13"
            ],
        ),
    ];
    for (tls, expected) in refused {
        let error = try_client(&HttpConfig { tls, ..HttpConfig::default() }).unwrap_err();
        expected.assert_eq(&error.to_string());
    }
}

#[tokio::test]
async fn files_are_read_again_when_they_change() {
    let folder = Folder::new();
    let (first, second) = (Authority::new(), Authority::named("second"));
    let identity = first.sign_for(&["127.0.0.1"]);
    let server = server_of(&identity).await;
    let ca = folder.file("ca.pem", &first.pem);
    let tls = TlsConfig { ca: Some(PemSource::File(ca)), ..TlsConfig::default() };
    let client = client(&HttpConfig { tls, ..HttpConfig::default() });
    let url = format!("https://{}/", server.address());

    assert_eq!(text(client.get(request(&url)).await.unwrap()).await, "secure");
    return_to_pool().await;
    assert_eq!(text(client.get(request(&url)).await.unwrap()).await, "secure");
    assert_eq!(server.connections(), 1, "kept while nothing changes");

    folder.file("ca.pem", &second.pem);
    let error = client.get(request(&url)).await.unwrap_err().to_string();
    assert!(error.contains("unknown authority"), "{error}");
    folder.file("ca.pem", "garbage");
    let error = client.get(request(&url)).await.unwrap_err().to_string();
    expect!["cannot use CA file DIR/ca.pem: no certificate (PEM) in it"]
        .assert_eq(&folder.hide(&error));
    std::fs::remove_file(folder.path("ca.pem")).unwrap();
    let error = client.get(request(&url)).await.unwrap_err().to_string();
    expect!["cannot use CA file DIR/ca.pem: no such file"].assert_eq(&folder.hide(&error));
    folder.file("ca.pem", [second.pem, first.pem].concat());
    assert_eq!(text(client.get(request(&url)).await.unwrap()).await, "secure");
}

#[tokio::test]
async fn a_client_certificate_that_was_replaced_counts_from_the_next_request() {
    let folder = Folder::new();
    let authority = Authority::new();
    let acceptor =
        acceptor(&authority.sign_for(&["127.0.0.1"]), Some(&authority), rustls::ALL_VERSIONS, &[]);
    let server = Server::start_tls(acceptor, |_, _| Reply::ok("welcome")).await;
    let put = |identity: &Identity| {
        folder.file("cert.pem", &identity.cert);
        folder.file("key.pem", &identity.key);
    };
    let stranger = Authority::named("other").sign_for(&["client"]);
    put(&stranger);
    let tls = TlsConfig {
        cert: Some(PemSource::File(folder.path("cert.pem"))),
        key: Some(PemSource::File(folder.path("key.pem"))),
        ..trusting(&authority.pem)
    };
    let client = client(&HttpConfig { tls, ..HttpConfig::default() });
    let ask = async || client.get(request(&format!("https://{}/", server.address()))).await;
    let refused = |answer: Result<_, Error>| {
        let error = answer.unwrap_err().to_string();
        assert!(error.contains("the server refused our client certificate"), "{error}");
    };
    refused(ask().await);
    for _ in 0..2 {
        // Each is another certificate, so that each makes a connection of its own.
        put(&authority.sign_for(&["client"]));
        let before = server.connections();
        assert_eq!(text(ask().await.unwrap()).await, "welcome");
        return_to_pool().await;
        assert_eq!(text(ask().await.unwrap()).await, "welcome");
        assert_eq!(server.connections(), before + 1);
    }
    put(&stranger);
    refused(ask().await);
}

#[tokio::test]
async fn client_files_must_fit_together() {
    let folder = Folder::new();
    let authority = Authority::new();
    let server = server_of(&authority.sign_for(&["127.0.0.1"])).await;
    let (one, other) = (authority.sign_for(&["one"]), authority.sign_for(&["other"]));
    let cert = Some(PemSource::File(folder.file("cert.pem", &one.cert)));
    let key = Some(PemSource::File(folder.file("key.pem", &other.key)));
    let tls = TlsConfig { cert, key, ..trusting(&authority.pem) };
    let error = ask(&server, "127.0.0.1", &tls).await.unwrap_err().to_string();
    expect!["cannot use client key file DIR/key.pem: it does not belong to the certificate"]
        .assert_eq(&folder.hide(&error));
    folder.file("key.pem", &one.cert);
    let error = ask(&server, "127.0.0.1", &tls).await.unwrap_err().to_string();
    expect!["cannot use client key file DIR/key.pem: no unencrypted private key (PEM) in it"]
        .assert_eq(&folder.hide(&error));
    folder.file("key.pem", &one.key);
    assert_eq!(ask(&server, "127.0.0.1", &tls).await.unwrap(), "secure");
}

#[tokio::test]
async fn a_server_without_tls_is_reported() {
    let check = async |answer_of_server: &'static str, expected: Expect| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let request = request(&format!("https://{address}/"));
        let serve = async {
            let mut socket = listener.accept().await.unwrap().0;
            socket.read_u8().await.unwrap();
            socket.write_all(answer_of_server.as_bytes()).await.unwrap();
            socket.shutdown().await.unwrap();
            socket.read_to_end(&mut Vec::new()).await.unwrap();
        };
        let insecure = TlsConfig { insecure_skip_verify: true, ..TlsConfig::default() };
        let client = client(&HttpConfig { tls: insecure, ..HttpConfig::default() });
        let (answer, ()) = tokio::join!(client.get(request), serve);
        let error = answer.unwrap_err();
        expected.assert_eq(&error.to_string().replace(&address, "SERVER"));
        let Error::Connect { cause, .. } = error else { panic!("{error:?}") };
        let is_known = !answer_of_server.is_empty();
        assert_eq!(cause, if is_known { ConnectCause::NoTls } else { ConnectCause::Tls });
    };
    check(
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        expect!["cannot connect to SERVER: the server does not speak TLS here: is http:// meant?"],
    )
    .await;
    check(
        "",
        expect![
            "cannot connect to SERVER: the server closed the connection during the TLS handshake"
        ],
    )
    .await;
}

#[tokio::test]
async fn http2_is_negotiated_unless_switched_off() {
    let authority = Authority::new();
    let acceptor = acceptor(
        &authority.sign_for(&["127.0.0.1"]),
        None,
        rustls::ALL_VERSIONS,
        &["h2", "http/1.1"],
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(socket).await.unwrap();
            let answer = service_fn(async |request: http::Request<_>| {
                let version = format!(
                    "{:?} {:?}",
                    request.version(),
                    request.headers().get("host").is_some()
                );
                let _: http::Request<hyper::body::Incoming> = request;
                Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(
                    bytes::Bytes::from(version),
                )))
            });
            connections.spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), answer)
                    .await;
            });
        }
    });
    for (enable_http2, expected) in [(true, "HTTP/2.0 false"), (false, "HTTP/1.1 true")] {
        let config =
            HttpConfig { tls: trusting(&authority.pem), enable_http2, ..HttpConfig::default() };
        let client = client(&config);
        for _ in 0..2 {
            assert_eq!(text(client.get(request(&url)).await.unwrap()).await, expected);
        }
    }
}
