//! TLS errors in words that say what to do.

use std::io;
use std::net::IpAddr;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use swarmscout_model::counted;

use crate::ConnectCause;
use crate::error::{ConnectFailure, io_words};

/// The words for a handshake that failed.
pub(crate) fn explain_handshake(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "the server closed the connection during the TLS handshake".to_owned()
        }
        _ => explain_io(error).unwrap_or_else(|| io_words(error)),
    }
}

/// What a handshake that failed is for those who wanted a connection.
pub(crate) fn handshake_failure(error: &io::Error) -> ConnectFailure {
    const NO_TLS: Error = Error::InvalidMessage(InvalidMessage::InvalidContentType);
    let has_no_tls = error.get_ref().and_then(|inner| inner.downcast_ref()) == Some(&NO_TLS);
    let cause = match alert_of(error) {
        _ if has_no_tls => ConnectCause::NoTls,
        Some(alert) => alert_cause(alert),
        None => ConnectCause::Tls,
    };
    ConnectFailure::new(cause, explain_handshake(error))
}

/// What an alert of the server is about.
pub(crate) fn alert_cause(alert: AlertDescription) -> ConnectCause {
    match alert {
        AlertDescription::CertificateRequired => ConnectCause::ClientCertificate,
        alert if is_refusal(alert) => ConnectCause::ClientCertificate,
        _ => ConnectCause::Tls,
    }
}

/// Whether an alert refuses the certificate of the client.
fn is_refusal(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied
    )
}

/// The words for an I/O error, where TLS is behind it.
pub(crate) fn explain_io(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?;
    inner.downcast_ref().map(explain).or_else(|| alert_of(error).map(alert_words))
}

/// The alert of the server behind an I/O error.
pub(crate) fn alert_of(error: &io::Error) -> Option<AlertDescription> {
    let inner = error.get_ref()?;
    match inner.downcast_ref() {
        Some(Error::AlertReceived(alert)) => Some(*alert),
        Some(_) => None,
        None => alert_in(&inner.to_string()),
    }
}

/// The alert in a text of rustls: h2 keeps no more of an error.
fn alert_in(text: &str) -> Option<AlertDescription> {
    let all = (0..=u8::MAX).map(AlertDescription::from);
    all.into_iter().find(|alert| Error::AlertReceived(*alert).to_string() == text)
}

/// The words for an error of rustls.
pub(crate) fn explain(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => {
            format!("the server's certificate {}", certificate(error))
        }
        Error::AlertReceived(alert) => alert_words(*alert),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server does not speak TLS here: is http:// meant?".to_owned()
        }
        Error::PeerIncompatible(reason) => {
            format!("the server speaks no TLS version or cipher that is allowed here ({reason:?})")
        }
        Error::InconsistentKeys(_) => "it does not belong to the certificate".to_owned(),
        error => error.to_string(),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => "is signed by an unknown authority: name the \
             authority's certificate in tls_config.ca_file"
            .to_owned(),
        CertificateError::BadSignature => {
            "is signed by an unknown authority, which has the name of \
             a trusted one but another key"
                .to_owned()
        }
        CertificateError::NotValidForNameContext { presented, expected } => {
            let expected = expected.to_str();
            let names: Vec<_> = presented.iter().map(|name| plain_name(name)).collect();
            if names.is_empty() {
                return format!(
                    "has no subject alternative name (a common name does not count), so that it \
                     is not valid for {expected}"
                );
            }
            let names = names.join(", ");
            format!("is valid for {names}, not for {expected}: set tls_config.server_name")
        }
        CertificateError::ExpiredContext { time, not_after } => {
            format!("expired {} ago", span(*not_after, *time))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            format!("is valid only in {}: is the clock right?", span(*time, *not_before))
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "has a signature of a kind that is no longer trusted".to_owned()
        }
        CertificateError::Other(other)
            if other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity) =>
        {
            "is an authority's: put it into tls_config.ca_file if it is to be trusted".to_owned()
        }
        CertificateError::Other(other)
            if other.0.downcast_ref() == Some(&webpki::Error::UnsupportedCertVersion) =>
        {
            "is of X.509 version 1: make one with extensions, as by openssl x509 -extfile"
                .to_owned()
        }
        error => format!("cannot be accepted: {error}"),
    }
}

/// `DnsName("a.example")` and `IpAddress(10.0.0.1)`, as rustls lists names, without the kind.
fn plain_name(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    let inner = inner.unwrap_or(name).trim_matches('"');
    // It writes 0::1.
    inner.parse::<IpAddr>().map_or_else(|_| inner.to_owned(), |address| address.to_string())
}

/// The words for an alert.
pub(crate) fn alert_words(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "the server wants a client certificate: set tls_config.cert_file and key_file"
                .to_owned()
        }
        alert if is_refusal(alert) => {
            format!("the server refused our client certificate ({alert:?})")
        }
        AlertDescription::ProtocolVersion => {
            "the server speaks no TLS version that is allowed here".to_owned()
        }
        AlertDescription::UnrecognisedName => {
            "the server does not know the name it was called by: set tls_config.server_name"
                .to_owned()
        }
        alert => format!("the server ended the TLS handshake ({alert:?})"),
    }
}

/// From one time to a later one, in the largest unit that fits.
fn span(from: UnixTime, to: UnixTime) -> String {
    seconds_in_words(to.as_secs().saturating_sub(from.as_secs()))
}

/// A time span in the largest unit that fits: `3 days`.
pub fn seconds_in_words(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    counted(count, unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_known_by_its_text() {
        let kept = Error::AlertReceived(AlertDescription::CertificateRequired).to_string();
        let words = explain_io(&io::Error::other(kept));
        assert!(
            words.is_some_and(|words| words.starts_with("the server wants a client certificate"))
        );
        assert_eq!(explain_io(&io::Error::other("received something")), None);
    }
}
