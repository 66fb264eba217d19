//! Masters behind TLS that want to see a certificate, as `swarm manage --tlsverify` does.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use swarmscout_model::Secret;
use swarmscout_net::config::{PemSource, TlsConfig};

use super::*;
use crate::RefreshScope;

#[tokio::test]
async fn shows_its_certificate() {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = authority.self_signed(&key).unwrap();
    let issuer = Issuer::new(authority, key);
    let sign = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let (server, server_key) = sign("localhost");
    let (client, client_key) = sign("swarmscout");

    let provider = Arc::new(default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(
            vec![server.der().clone()],
            PrivateKeyDer::try_from(server_key.serialize_der()).unwrap(),
        )
        .unwrap();
    let master = Master::start(Listen::Tls(Arc::new(tls)), &Cluster::of(2), NEWEST).unwrap();

    let inline = |pem: String| Some(PemSource::Inline(Secret::new(pem)));
    let trusting = TlsConfig { ca: inline(certificate.pem()), ..TlsConfig::default() };
    let known = TlsConfig {
        cert: inline(client.pem()),
        key: inline(client_key.serialize_pem()),
        ..trusting.clone()
    };
    let with =
        |tls| classic_with(&[master.server.url()], HttpConfig { tls, ..HttpConfig::default() });
    let refreshed = with(known).fetch(RefreshScope::Full).await.unwrap();
    assert_eq!(refreshed.value[1].targets.len(), 2);
    assert_eq!(refreshed.value[0].targets[0].get("__scheme__"), Some("https"));
    assert!(
        with(trusting).fetch(RefreshScope::Full).await.is_err(),
        "the master wants a certificate"
    );
    assert!(
        with(TlsConfig::default()).fetch(RefreshScope::Full).await.is_err(),
        "the authority is not known"
    );
}
