//! The certificate that a server shows, without trust in it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;

use super::der::{Parts, common_names};
use super::verify::Anything;
use super::words::{explain, explain_handshake};
use crate::Error;
use crate::connect::{connect_tcp, late};
use crate::error::ConnectFailure;

/// A certificate whose key the server has. Nothing else of it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate(CertificateDer<'static>);

impl PeerCertificate {
    /// From when to when it is valid, in seconds since 1970. `None` if that cannot be read.
    pub fn validity(&self) -> Option<(i64, i64)> {
        Parts::of(&self.0).map(|parts| parts.validity)
    }

    /// Whether its subject has this common name.
    pub fn is_named(&self, name: &str) -> bool {
        let subject = Parts::of(&self.0).and_then(Parts::subject);
        subject.is_some_and(|(subject, _)| common_names(subject).any(|it| it == name.as_bytes()))
    }
}

/// Reads the certificate of a server: opens a connection to `host:port`, does the TLS handshake without
/// a certificate of its own, and closes the connection. Nothing is sent after the handshake.
///
/// # Errors
///
/// If no connection comes about, or no handshake, within this time.
pub async fn peer_certificate(to: &str, within: Duration) -> Result<PeerCertificate, Error> {
    let failed = |reason: String| ConnectFailure::from(reason).to(to.to_owned());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Anything::new(&provider));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(explain(&error)))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let asked = async {
        let socket = connect_tcp(to, within).await?;
        // It is neither sent nor checked.
        let name = ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into());
        let handshake = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
        let stream = handshake.map_err(|error| failed(explain_handshake(&error)))?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let shown = shown.ok_or_else(|| failed("the server shows no certificate".to_owned()))?;
        Ok(PeerCertificate(shown.clone().into_owned()))
    };
    let asked = tokio::time::timeout(within, asked).await;
    asked.unwrap_or_else(|_| Err(late(within).to(to.to_owned())))
}
