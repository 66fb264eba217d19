//! Which client certificates are accepted.

use std::cell::RefCell;
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use swarmscout_net::{CertificateFields, certificate_fields, seconds_in_words};

use super::{ClientAuth, RefusalKind, describe, quoted};

tokio::task_local! {
    /// Why the certificate of the client whose handshake runs was refused.
    pub(super) static REFUSED: RefCell<Option<Refused>>;
}

/// Why a certificate was refused.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) kind: RefusalKind,
    pub(super) reason: String,
    /// Whose certificate it is, and by whom.
    pub(super) certificate: String,
}

/// The certificates of `client_ca`.
#[derive(Debug, Default)]
pub(super) struct Authorities {
    anchors: Vec<TrustAnchor<'static>>,
    /// Of each anchor when it ends, in seconds since 1970: webpki does not check that.
    ends: Vec<u64>,
    certificates: Vec<CertificateDer<'static>>,
    subjects: Vec<DistinguishedName>,
}

impl Authorities {
    pub(super) fn new(certificates: &[CertificateDer<'static>]) -> Result<Self, String> {
        let (mut anchors, mut ends) = (Vec::new(), Vec::new());
        for (i, certificate) in certificates.iter().enumerate() {
            let anchor = webpki::anchor_from_trusted_cert(certificate)
                .map_err(|error| format!("certificate {} cannot be used: {error}", i + 1))?;
            anchors.push(anchor.to_owned());
            let fields = certificate_fields(certificate).unwrap_or_default();
            if !is_authority(certificate, &anchor, fields.begins) {
                return Err(format!(
                    "certificate {} is not one of an authority (CA:TRUE), but its owner could issue \
                     others: give that of its authority, and name the client in client_allowed_sans \
                     or authorization",
                    i + 1
                ));
            }
            ends.push(u64::try_from(fields.ends).unwrap_or(0));
        }
        let subjects = anchors.iter().map(|anchor| DistinguishedName::in_sequence(&anchor.subject));
        let subjects = subjects.collect();
        Ok(Self { anchors, ends, certificates: certificates.to_vec(), subjects })
    }

    /// When the authority at the end of a path ends.
    fn end_of(&self, anchor: &TrustAnchor<'_>) -> u64 {
        let same = |own: &&TrustAnchor<'_>| {
            own.subject == anchor.subject
                && own.subject_public_key_info == anchor.subject_public_key_info
        };
        let ends = self.anchors.iter().zip(&self.ends);
        ends.filter(|(own, _)| same(own)).map(|(_, end)| *end).max().unwrap_or(0)
    }
}

/// Whether a certificate may issue others. webpki does not ask that of those that are trusted, but
/// it refuses an authority as a client.
fn is_authority(certificate: &CertificateDer<'_>, anchor: &TrustAnchor<'_>, begins: i64) -> bool {
    let Ok(client) = webpki::EndEntityCert::try_from(certificate) else { return false };
    let at = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(begins).unwrap_or(0)));
    let anchors = std::slice::from_ref(anchor);
    let usage = webpki::KeyUsage::client_auth();
    let verified = client.verify_for_usage(&[], anchors, &[], at, usage, None, None);
    matches!(verified, Err(webpki::Error::CaUsedAsEndEntity))
}

/// Checks the certificates of clients as `client_auth_type` and `client_allowed_sans` say.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    auth: ClientAuth,
    authorities: Authorities,
    allowed_names: Option<Vec<String>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientVerifier {
    pub(super) fn new(
        auth: ClientAuth,
        authorities: Authorities,
        allowed_names: Option<Vec<String>>,
        provider: &CryptoProvider,
    ) -> Self {
        let algorithms = provider.signature_verification_algorithms;
        Self { auth, authorities, allowed_names, algorithms }
    }

    /// Whether an authority vouches for the certificate.
    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        let parsed = webpki::EndEntityCert::try_from(certificate)?;
        let is_current = |path: &webpki::VerifiedPath<'_>| {
            let ends = self.authorities.end_of(path.anchor());
            if now.as_secs() <= ends {
                return Ok(());
            }
            let not_after = UnixTime::since_unix_epoch(Duration::from_secs(ends));
            Err(webpki::Error::CertExpired { time: now, not_after })
        };
        let verified = parsed.verify_for_usage(
            self.algorithms.all,
            &self.authorities.anchors,
            intermediates,
            now,
            webpki::KeyUsage::client_auth(),
            None,
            Some(&is_current),
        );
        match verified {
            Ok(_) => Ok(()),
            // As Go has it: the certificate itself is among the trusted ones, as with
            // `openssl req -x509`. webpki has checked its dates before it objects to this.
            Err(webpki::Error::CaUsedAsEndEntity)
                if self.authorities.certificates.contains(certificate) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// What rustls makes an alert of.
fn rustls_error(error: webpki::Error) -> Error {
    Error::InvalidCertificate(match error {
        webpki::Error::BadDer | webpki::Error::BadDerTime => CertificateError::BadEncoding,
        webpki::Error::CertExpired { .. } | webpki::Error::InvalidCertValidity => {
            CertificateError::Expired
        }
        webpki::Error::CertNotValidYet { .. } => CertificateError::NotValidYet,
        // The second is a self-signed one, as of `openssl req -x509`.
        webpki::Error::UnknownIssuer | webpki::Error::CaUsedAsEndEntity => {
            CertificateError::UnknownIssuer
        }
        webpki::Error::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        webpki::Error::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        error => CertificateError::Other(OtherError(std::sync::Arc::new(error))),
    })
}

/// Notes why a certificate is refused, for who asks after the handshake.
fn refuse(error: &Error, fields: &CertificateFields, now: UnixTime) {
    let (kind, reason) = explain(error, fields, now);
    let by = fields.issuer.as_deref().map_or_else(|| "without a name".to_owned(), quoted);
    let certificate = format!("{} by authority {by}", describe(fields));
    // Only `TlsDoor::accept` asks.
    let _ = REFUSED.try_with(|refused| {
        *refused.borrow_mut() = Some(Refused { kind, reason, certificate });
    });
}

fn explain(error: &Error, fields: &CertificateFields, now: UnixTime) -> (RefusalKind, String) {
    let now = now.as_secs();
    let ends = u64::try_from(fields.ends).unwrap_or(0);
    let begins = u64::try_from(fields.begins).unwrap_or(0);
    match error {
        Error::InvalidCertificate(CertificateError::Expired) if ends < now => {
            let reason = format!("it expired {} ago", seconds_in_words(now - ends));
            (RefusalKind::ExpiredCertificate, reason)
        }
        Error::InvalidCertificate(CertificateError::Expired) => (
            RefusalKind::ExpiredCertificate,
            "an authority that vouches for it has expired".to_owned(),
        ),
        Error::InvalidCertificate(CertificateError::NotValidYet) => {
            let later = seconds_in_words(begins.saturating_sub(now));
            (RefusalKind::ExpiredCertificate, format!("it is valid only in {later}"))
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            (RefusalKind::UnknownAuthority, "no authority of client_ca vouches for it".to_owned())
        }
        Error::InvalidCertificate(CertificateError::BadSignature) => (
            RefusalKind::UnknownAuthority,
            "its authority has the name of one in client_ca, but another key".to_owned(),
        ),
        Error::InvalidCertificate(CertificateError::InvalidPurpose) => (
            RefusalKind::CertificateNotAllowed,
            "it is not for clients: extended key usage clientAuth is missing".to_owned(),
        ),
        Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
            let names = fields.alternative_names.iter().take(5).map(|name| quoted(name));
            let names: Vec<_> = names.collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let reason =
                format!("none of its subject alternative names is in client_allowed_sans: {names}");
            (RefusalKind::CertificateNotAllowed, reason)
        }
        Error::InvalidCertificate(CertificateError::Other(OtherError(other)))
            if other.downcast_ref() == Some(&webpki::Error::UnsupportedCertVersion) =>
        {
            let reason = "it is of X.509 version 1: make one with extensions, as by openssl x509 \
                -extfile";
            (RefusalKind::CertificateNotAllowed, reason.to_owned())
        }
        error => (RefusalKind::CertificateNotAllowed, error.to_string()),
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.auth.is_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.authorities.subjects
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let fields = certificate_fields(end_entity).unwrap_or_default();
        let mut verified = Ok(());
        if self.auth.verifies() {
            verified = self.verify(end_entity, intermediates, now).map_err(rustls_error);
        }
        if let Some(allowed) = &self.allowed_names
            && verified.is_ok()
            && !fields.alternative_names.iter().any(|name| allowed.contains(name))
        {
            let error = CertificateError::ApplicationVerificationFailure;
            verified = Err(Error::InvalidCertificate(error));
        }
        match verified {
            Ok(()) => Ok(ClientCertVerified::assertion()),
            Err(error) => {
                refuse(&error, &fields, now);
                Err(error)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
