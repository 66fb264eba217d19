//! The TLS handshake of a server, and why it fails.

use std::cell::RefCell;
use std::io;

use rustls::{AlertDescription, Error, InvalidMessage};
use swarmscout_net::io_words;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::verify::REFUSED;
use super::{HTTP_2, TlsDoor};
use crate::ClientCertificate;

/// What of an answer waits for the client, at most, in bytes.
const BUFFERED: usize = 64 << 10;

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of reason it is.
    pub kind: RefusalKind,
    /// The reason itself.
    pub reason: String,
    /// The certificate that was refused: its owner and its authority.
    pub certificate: Option<String>,
}

/// The kinds of reasons for which a handshake fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// The client closed the connection, or it broke.
    Closed,
    /// It was not done in time.
    TimedOut,
    /// What came is not TLS.
    NotTls,
    /// No TLS version, cipher suite or group is common to both.
    NothingInCommon,
    /// The client has no certificate, and must have one.
    NoCertificate,
    /// Its certificate is not valid any longer, or not yet.
    ExpiredCertificate,
    /// No authority vouches for its certificate.
    UnknownAuthority,
    /// Its certificate is not one that is let in.
    CertificateNotAllowed,
    /// The client does not accept the certificate of the server.
    ServerCertificateRefused,
    /// Something else.
    Other,
}

impl RefusalKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Closed,
        Self::TimedOut,
        Self::NotTls,
        Self::NothingInCommon,
        Self::NoCertificate,
        Self::ExpiredCertificate,
        Self::UnknownAuthority,
        Self::CertificateNotAllowed,
        Self::ServerCertificateRefused,
        Self::Other,
    ];

    /// As metrics and logs name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::TimedOut => "timed_out",
            Self::NotTls => "not_tls",
            Self::NothingInCommon => "nothing_in_common",
            Self::NoCertificate => "no_certificate",
            Self::ExpiredCertificate => "expired_certificate",
            Self::UnknownAuthority => "unknown_authority",
            Self::CertificateNotAllowed => "certificate_not_allowed",
            Self::ServerCertificateRefused => "server_certificate_refused",
            Self::Other => "other",
        }
    }
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct Accepted<S> {
    /// What the client sends and receives, without TLS.
    pub stream: TlsStream<S>,
    /// The certificate of the client, if it has shown one.
    pub certificate: Option<ClientCertificate>,
    /// Whether HTTP/2 was chosen.
    pub http2: bool,
}

impl TlsDoor {
    /// Does the handshake. It has no deadline of its own. If it fails, the client has been sent the alert
    /// that says why, and the stream comes back.
    pub async fn accept<S>(&self, stream: S) -> Result<Accepted<S>, (Refusal, S)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(std::sync::Arc::clone(&self.config));
        let accepting = async {
            let limit = |connection: &mut rustls::ServerConnection| {
                connection.set_buffer_limit(Some(BUFFERED));
            };
            let accepted = acceptor.accept_with(stream, limit).into_fallible().await;
            accepted.map_err(|(error, stream)| {
                let refused = REFUSED.with(RefCell::take);
                let refusal = refused.map_or_else(
                    || explain(&error),
                    |refused| Refusal {
                        kind: refused.kind,
                        reason: refused.reason,
                        certificate: Some(refused.certificate),
                    },
                );
                (refusal, stream)
            })
        };
        let stream = REFUSED.scope(RefCell::default(), accepting).await?;
        let (_, connection) = stream.get_ref();
        let shown = connection.peer_certificates().and_then(<[_]>::first);
        let verified = self.client_auth.verifies();
        let certificate = shown.map(|shown| ClientCertificate::new(shown, verified));
        let http2 = connection.alpn_protocol() == Some(HTTP_2);
        Ok(Accepted { stream, certificate, http2 })
    }
}

fn explain(error: &io::Error) -> Refusal {
    let refusal = |kind, reason: String| Refusal { kind, reason, certificate: None };
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            refusal(RefusalKind::Closed, "the client closed the connection".to_owned())
        }
        None => refusal(RefusalKind::Closed, io_words(error)),
        Some(Error::NoCertificatesPresented) => {
            refusal(RefusalKind::NoCertificate, "the client has no certificate".to_owned())
        }
        Some(Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        )) => refusal(RefusalKind::NotTls, "what the client sent is not TLS".to_owned()),
        Some(Error::PeerIncompatible(reason)) => refusal(
            RefusalKind::NothingInCommon,
            format!("no TLS version, cipher suite or group in common ({reason:?})"),
        ),
        Some(Error::AlertReceived(alert)) => match alert {
            AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate => refusal(
                RefusalKind::ServerCertificateRefused,
                format!("the client does not accept the certificate of this server ({alert:?})"),
            ),
            AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => refusal(
                RefusalKind::NothingInCommon,
                format!("the client ended the handshake ({alert:?})"),
            ),
            alert => {
                refusal(RefusalKind::Other, format!("the client ended the handshake ({alert:?})"))
            }
        },
        Some(error) => refusal(RefusalKind::Other, error.to_string()),
    }
}
