//! Handshakes of all modes, over a pipe in memory.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType, date_time_ymd,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ProtocolVersion, RootCertStore};
use swarmscout_model::Secret;
use tokio::io::{DuplexStream, duplex};
use tokio_rustls::TlsConnector;

use super::*;
use crate::parse;

/// An authority that makes certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, |_| ())
    }

    fn with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate with this common name.
    pub(crate) fn certificate(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap().pem();
        Pair { cert, key: key.serialize_pem() }
    }

    pub(crate) fn server(&self) -> Pair {
        self.certificate("server.example", |params| {
            params.subject_alt_names = vec![SanType::DnsName("server.example".try_into().unwrap())];
        })
    }
}

/// A server with these further keys of `tls_server_config`.
struct Server {
    authority: Authority,
    door: TlsDoor,
}

impl Server {
    fn new(keys: &str, client_ca: Option<&str>) -> Self {
        let authority = Authority::new("Authority of servers");
        let Pair { cert, key } = authority.server();
        let named = if client_ca.is_some() { "client_ca_file: a, " } else { "" };
        let text = format!("tls_server_config: {{cert_file: c, key_file: k, {named}{keys}}}");
        let (config, _) = parse(text.as_bytes(), "web.yml".as_ref()).unwrap();
        let pem = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
        let material = Material { cert: pem(&cert), key: pem(&key), client_ca: client_ca.map(pem) };
        let settings = config.tls.unwrap();
        let door = TlsDoor::new(&settings, true, &material, &mut Vec::new()).unwrap();
        Self { authority, door }
    }

    /// A client that offers all that rustls has.
    fn client(&self, certificate: Option<&Pair>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.0.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        match certificate {
            None => builder.with_no_client_auth(),
            Some(Pair { cert, key }) => {
                let cert = CertificateDer::pem_slice_iter(cert.as_bytes()).map(Result::unwrap);
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(cert.collect(), key).unwrap()
            }
        }
    }

    async fn handshake(&self, client: ClientConfig) -> Result<Summary, Refusal> {
        let (near, far) = duplex(1 << 16);
        let connecting = async {
            let name = ServerName::try_from("server.example").unwrap();
            let stream = TlsConnector::from(Arc::new(client)).connect(name, far).await;
            // The server's verdict comes after what the client takes for the end.
            stream.ok()
        };
        let (accepted, _client) = tokio::join!(accept(&self.door, near), connecting);
        let Accepted { stream, certificate, http2 } = accepted?;
        let (_, connection) = stream.get_ref();
        Ok(Summary {
            version: connection.protocol_version().unwrap(),
            suite: connection.negotiated_cipher_suite().unwrap().suite(),
            group: connection.negotiated_key_exchange_group().unwrap().name(),
            certificate,
            http2,
        })
    }
}

/// Closes the stream if the handshake fails.
async fn accept(door: &TlsDoor, stream: DuplexStream) -> Result<Accepted<DuplexStream>, Refusal> {
    door.accept(stream).await.map_err(|(refusal, _)| refusal)
}

#[derive(Debug)]
struct Summary {
    version: ProtocolVersion,
    suite: rustls::CipherSuite,
    group: rustls::NamedGroup,
    certificate: Option<crate::ClientCertificate>,
    http2: bool,
}

const VERIFIED: &str = "in, verified";
const IN: &str = "in";

/// As `openssl req -x509` makes it.
fn self_signed() -> Pair {
    let own = Authority::new("alice").0;
    Pair { cert: own.pem(), key: own.key().serialize_pem() }
}

/// Certificates of clients, and what becomes of each in each mode.
#[tokio::test]
async fn lets_clients_in_as_each_mode_says() {
    let ours = Authority::new("Ours");
    let expired = Authority::with("Ours that expired", |params| {
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let all = ours.pem() + &expired.pem();
    let plain = |_: &mut CertificateParams| ();
    let clients = [
        ("none", None),
        ("good", Some(ours.certificate("alice", plain))),
        (
            "expired",
            Some(ours.certificate("alice", |params| {
                params.not_after = date_time_ymd(2020, 1, 1);
            })),
        ),
        (
            "early",
            Some(ours.certificate("alice", |params| {
                params.not_before = date_time_ymd(2999, 1, 1);
                params.not_after = date_time_ymd(3000, 1, 1);
            })),
        ),
        ("foreign", Some(Authority::new("Foreign").certificate("alice", plain))),
        ("self-signed", Some(self_signed())),
        ("of the same name", Some(Authority::new("Ours").certificate("alice", plain))),
        ("by an expired authority", Some(expired.certificate("alice", plain))),
        (
            "of a server",
            Some(ours.certificate("alice", |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            })),
        ),
    ];
    let mut found: Vec<String> = Vec::new();
    for mode in [
        "NoClientCert",
        "RequestClientCert",
        "RequireAnyClientCert",
        "RequireClientCert",
        "VerifyClientCertIfGiven",
        "RequireAndVerifyClientCert",
    ] {
        let ca = (mode != "NoClientCert").then_some(all.as_str());
        let server = Server::new(&format!("client_auth_type: {mode}"), ca);
        found.push(format!("{mode}\n"));
        for (name, certificate) in &clients {
            let outcome = match server.handshake(server.client(certificate.as_ref())).await {
                Ok(Summary { certificate: Some(client), .. }) => {
                    assert_eq!(client.common_name.as_deref(), Some("alice"));
                    assert_eq!(client.proves("alice"), client.verified);
                    if client.verified { VERIFIED } else { IN }.to_owned()
                }
                Ok(_) => "in, without a certificate".to_owned(),
                Err(refusal) => {
                    let Refusal { kind, reason, certificate } = refusal;
                    let certificate = certificate.unwrap_or_default();
                    format!("{}: {reason} {certificate}", kind.name())
                }
            };
            found.push(format!("  {name}: {}\n", outcome.replace(char::is_numeric, "N")));
        }
    }
    expect_test::expect![[r#"
        NoClientCert
          none: in, without a certificate
          good: in, without a certificate
          expired: in, without a certificate
          early: in, without a certificate
          foreign: in, without a certificate
          self-signed: in, without a certificate
          of the same name: in, without a certificate
          by an expired authority: in, without a certificate
          of a server: in, without a certificate
        RequestClientCert
          none: in, without a certificate
          good: in
          expired: in
          early: in
          foreign: in
          self-signed: in
          of the same name: in
          by an expired authority: in
          of a server: in
        RequireAnyClientCert
          none: no_certificate: the client has no certificate 
          good: in
          expired: in
          early: in
          foreign: in
          self-signed: in
          of the same name: in
          by an expired authority: in
          of a server: in
        RequireClientCert
          none: no_certificate: the client has no certificate 
          good: in
          expired: in
          early: in
          foreign: in
          self-signed: in
          of the same name: in
          by an expired authority: in
          of a server: in
        VerifyClientCertIfGiven
          none: in, without a certificate
          good: in, verified
          expired: expired_certificate: it expired NNNN days ago "alice" by authority "Ours"
          early: expired_certificate: it is valid only in NNNNNN days "alice" by authority "Ours"
          foreign: unknown_authority: no authority of client_ca vouches for it "alice" by authority "Foreign"
          self-signed: unknown_authority: no authority of client_ca vouches for it "alice" by authority "alice"
          of the same name: unknown_authority: its authority has the name of one in client_ca, but another key "alice" by authority "Ours"
          by an expired authority: expired_certificate: an authority that vouches for it has expired "alice" by authority "Ours that expired"
          of a server: certificate_not_allowed: it is not for clients: extended key usage clientAuth is missing "alice" by authority "Ours"
        RequireAndVerifyClientCert
          none: no_certificate: the client has no certificate 
          good: in, verified
          expired: expired_certificate: it expired NNNN days ago "alice" by authority "Ours"
          early: expired_certificate: it is valid only in NNNNNN days "alice" by authority "Ours"
          foreign: unknown_authority: no authority of client_ca vouches for it "alice" by authority "Foreign"
          self-signed: unknown_authority: no authority of client_ca vouches for it "alice" by authority "alice"
          of the same name: unknown_authority: its authority has the name of one in client_ca, but another key "alice" by authority "Ours"
          by an expired authority: expired_certificate: an authority that vouches for it has expired "alice" by authority "Ours that expired"
          of a server: certificate_not_allowed: it is not for clients: extended key usage clientAuth is missing "alice" by authority "Ours"
    "#]].assert_eq(&found.concat());
}

#[tokio::test]
async fn one_of_the_allowed_names_is_enough() {
    let ours = Authority::new("Ours");
    let server = Server::new(
        "client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: [a.example, \
         a@b.example, 10.0.0.1, 'fd00::1', 'spiffe://b.example/a']",
        Some(&ours.pem()),
    );
    let names = [
        (SanType::DnsName("a.example".try_into().unwrap()), true),
        (SanType::Rfc822Name("a@b.example".try_into().unwrap()), true),
        (SanType::IpAddress("10.0.0.1".parse().unwrap()), true),
        (SanType::IpAddress("fd00::1".parse().unwrap()), true),
        (SanType::URI("spiffe://b.example/a".try_into().unwrap()), true),
        (SanType::DnsName("A.example".try_into().unwrap()), false),
        (SanType::DnsName("*.example".try_into().unwrap()), false),
        (SanType::IpAddress("10.0.0.2".parse().unwrap()), false),
    ];
    for (name, is_in) in names {
        let client = ours.certificate("a.example", |params| {
            let other = SanType::DnsName("other.example".try_into().unwrap());
            params.subject_alt_names = vec![other, name.clone()];
        });
        let result = server.handshake(server.client(Some(&client))).await;
        assert_eq!(result.is_ok(), is_in, "{name:?}");
        if let Err(refusal) = result {
            assert_eq!(refusal.kind, RefusalKind::CertificateNotAllowed);
        }
    }
    // A common name is not one of them.
    let client = ours.certificate("a.example", |_| ());
    let refusal = server.handshake(server.client(Some(&client))).await.unwrap_err();
    assert_eq!(
        refusal.reason,
        "none of its subject alternative names is in client_allowed_sans: none"
    );
}

#[tokio::test]
async fn versions_suites_and_groups_are_those_of_the_file() {
    let offer = |server: &Server, version: &'static SupportedProtocolVersion| {
        let mut roots = RootCertStore::empty();
        roots.add(server.authority.0.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(&[version]).unwrap();
        builder.with_root_certificates(roots).with_no_client_auth()
    };
    let mut found: Vec<String> = Vec::new();
    for keys in [
        "",
        "min_version: TLS13",
        "max_version: TLS12",
        "cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]",
        "prefer_server_cipher_suites: false, cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]",
        "cipher_suites: [TLS_AES_128_GCM_SHA256]",
        "curve_preferences: [CurveP384, X25519]",
    ] {
        let server = Server::new(keys, None);
        found.push(format!("{keys}\n"));
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            found.push(match server.handshake(offer(&server, version)).await {
                Ok(Summary { version, suite, group, .. }) => {
                    format!("  {version:?} {suite:?} {group:?}\n")
                }
                Err(refusal) => format!("  {}: {}\n", refusal.kind.name(), refusal.reason),
            });
        }
    }
    expect_test::expect![[r#"

          TLSv1_2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 X25519
          TLSv1_3 TLS13_AES_256_GCM_SHA384 X25519MLKEM768
        min_version: TLS13
          nothing_in_common: no TLS version, cipher suite or group in common (Tls12NotOfferedOrEnabled)
          TLSv1_3 TLS13_AES_256_GCM_SHA384 X25519MLKEM768
        max_version: TLS12
          TLSv1_2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 X25519
          nothing_in_common: no TLS version, cipher suite or group in common (Tls12NotOfferedOrEnabled)
        cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]
          TLSv1_2 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 X25519
          TLSv1_3 TLS13_AES_256_GCM_SHA384 X25519MLKEM768
        prefer_server_cipher_suites: false, cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]
          TLSv1_2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 X25519
          TLSv1_3 TLS13_AES_256_GCM_SHA384 X25519MLKEM768
        cipher_suites: [TLS_AES_128_GCM_SHA256]
          nothing_in_common: no TLS version, cipher suite or group in common (Tls12NotOfferedOrEnabled)
          TLSv1_3 TLS13_AES_256_GCM_SHA384 X25519MLKEM768
        curve_preferences: [CurveP384, X25519]
          TLSv1_2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 X25519
          TLSv1_3 TLS13_AES_256_GCM_SHA384 X25519
    "#]].assert_eq(&found.concat());
}

#[tokio::test]
async fn http_2_is_chosen_if_the_client_offers_it() {
    let server = Server::new("", None);
    for (offered, http2) in
        [(&[&b"h2"[..], b"http/1.1"][..], true), (&[b"http/1.1"], false), (&[], false)]
    {
        let mut client = server.client(None);
        client.alpn_protocols = offered.iter().map(|protocol| protocol.to_vec()).collect();
        let accepted = server.handshake(client).await.unwrap();
        assert_eq!(accepted.http2, http2);
    }
}

/// Sessions are resumed only where no certificate would have to be checked again.
#[tokio::test]
async fn a_session_never_replaces_the_check_of_a_certificate() {
    let ours = Authority::new("Ours");
    let pem = ours.pem();
    for (mode, ca, resumed) in
        [("NoClientCert", None, true), ("RequireAndVerifyClientCert", Some(pem.as_str()), false)]
    {
        let server = Server::new(&format!("client_auth_type: {mode}, max_version: TLS12"), ca);
        let pair = ours.certificate("alice", |_| ());
        let client = Arc::new(server.client(Some(&pair)));
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let (near, far) = duplex(1 << 16);
            let name = ServerName::try_from("server.example").unwrap();
            let connecting = TlsConnector::from(Arc::clone(&client)).connect(name, far);
            let (accepted, connected) = tokio::join!(accept(&server.door, near), connecting);
            accepted.unwrap();
            kinds.push(connected.unwrap().get_ref().1.handshake_kind().unwrap());
        }
        assert_eq!(kinds[1] == rustls::HandshakeKind::Resumed, resumed, "{mode}: {kinds:?}");
    }
}

#[tokio::test]
async fn what_is_not_tls_is_named() {
    use tokio::io::AsyncWriteExt as _;
    let server = Server::new("", None);
    for (sent, kind) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], RefusalKind::NotTls),
        (b"\x16\x03\x01", RefusalKind::Closed),
        (b"", RefusalKind::Closed),
    ] {
        let (near, mut far) = duplex(1 << 16);
        far.write_all(sent).await.unwrap();
        drop(far);
        let refusal = accept(&server.door, near).await.unwrap_err();
        assert_eq!(refusal.kind, kind, "{sent:?}: {refusal:?}");
    }
}

#[test]
fn only_what_clients_must_prove_decides_whether_they_stay() {
    let (ours, others) = (Authority::new("Ours"), Authority::new("Others"));
    let keys = "client_auth_type: RequireAndVerifyClientCert";
    let server = Server::new(keys, Some(&ours.pem()));
    // Another certificate of the server, other versions.
    let renewed = Server::new(&format!("{keys}, min_version: TLS13"), Some(&ours.pem()));
    assert!(renewed.door.trusts_like(&server.door));
    let more = ours.pem() + &others.pem();
    let named = format!("{keys}, client_allowed_sans: [a]");
    for (other, ca) in [(keys, others.pem()), (keys, more), (&named, ours.pem())] {
        assert!(!Server::new(other, Some(&ca)).door.trusts_like(&server.door));
    }
}

/// The owner of a trusted certificate could issue others, whatever it says.
#[test]
fn a_client_is_no_authority() {
    let ours = Authority::new("Ours");
    let client = ours.certificate("alice", |_| ());
    for (certificate, good) in [(ours.pem(), true), (client.cert, false)] {
        let pem = certificate.as_bytes();
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let authorities = Authorities::new(&certificates.unwrap());
        assert_eq!(authorities.is_ok(), good, "{authorities:?}");
    }
}

#[test]
fn shows_no_key() {
    let key = Authority::new("Ours").server().key;
    let source = PemSource::Inline(Secret::new(key.clone()));
    let material = Zeroizing::new(key.replace('M', "x").into_bytes());
    let provider = aws_lc_rs::default_provider();
    let fault = signing_key(&source, &material, &provider).unwrap_err();
    assert!(!format!("{fault:?} {source:?}").contains(&key[40..60]), "{fault:?}");
}
