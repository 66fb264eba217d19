//! Errors, and causes in plain words.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::Secrets;

/// Why a request brought no answer. No variant carries a secret; URLs show `xxxxx` for a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A URL that cannot be used.
    #[error("parse {url:?}: {reason}")]
    Url {
        /// As written, without its password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A secret, certificate or key file that cannot be read or used.
    #[error("cannot use {what} file {}: {reason}", path.display())]
    File {
        /// `password`, `CA`, …
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A header that cannot be sent.
    #[error("cannot send {what}: {reason}")]
    Header {
        /// `User-Agent`, `password`, `header "X-Token"`, …
        what: String,
        /// Why.
        reason: &'static str,
    },
    /// A variable of the environment that cannot be used.
    #[error("cannot use environment variable {variable}: {reason}")]
    Environment {
        /// `HTTP_PROXY`, …
        variable: &'static str,
        /// Why, without its value's password.
        reason: String,
    },
    /// TLS options that cannot be used together or are not supported.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// A token of OAuth 2 that was not to be had.
    #[error("cannot get a token from {url}: {reason}")]
    Token {
        /// The token URL, without password and query.
        url: String,
        /// Why, in the server's words where it has any.
        reason: String,
    },
    /// No connection could be made.
    #[error("cannot connect to {to}: {reason}")]
    Connect {
        /// Host and port, with the proxy on the way if there is one, or the path of the socket.
        to: String,
        /// What failed.
        cause: ConnectCause,
        /// Why, with what helps where that is known.
        reason: String,
    },
    /// The deadline passed.
    #[error("no complete answer from {to} within {within:?}")]
    Deadline {
        /// As in [`Error::Connect`].
        to: String,
        /// The deadline, from the start of the request.
        within: Duration,
    },
    /// An open-ended answer fell silent.
    #[error("{to} sent nothing for {idle:?}")]
    Silent {
        /// As in [`Error::Connect`].
        to: String,
        /// How long silence was allowed.
        idle: Duration,
    },
    /// More than was asked for.
    #[error("answer of {to} is larger than {limit} bytes")]
    TooLarge {
        /// As in [`Error::Connect`].
        to: String,
        /// The limit.
        limit: u64,
    },
    /// The exchange broke off or was not HTTP.
    #[error("request to {to} failed: {reason}")]
    Exchange {
        /// As in [`Error::Connect`].
        to: String,
        /// The cause.
        reason: String,
    },
}

/// What failed when a connection was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectCause {
    /// The host name has no address.
    Unresolved,
    /// The host is there, but nothing listens on the port.
    Refused,
    /// The host did not answer in time.
    Timeout,
    /// No route leads to the host.
    Unreachable,
    /// The TLS handshake, for another reason than these two.
    Tls,
    /// In the TLS handshake: the server speaks no TLS.
    NoTls,
    /// In the TLS handshake: the server wants a client certificate, or refuses that of this client.
    ClientCertificate,
    /// There is no such unix socket.
    Missing,
    /// This program may not use the unix socket.
    Denied,
    /// Anything else: a proxy on the way, a limit of the operating system.
    Other,
}

impl ConnectCause {
    /// Whether it is one of the TLS handshake.
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Tls | Self::NoTls | Self::ClientCertificate)
    }
}

/// Why a connection could not be opened, before it is known how errors name its host.
#[derive(Debug)]
pub(crate) struct ConnectFailure {
    pub(crate) cause: ConnectCause,
    pub(crate) reason: String,
}

impl ConnectFailure {
    pub(crate) fn new(cause: ConnectCause, reason: impl Into<String>) -> Self {
        Self { cause, reason: reason.into() }
    }

    pub(crate) fn io(error: &io::Error) -> Self {
        let cause = match error.kind() {
            io::ErrorKind::ConnectionRefused => ConnectCause::Refused,
            io::ErrorKind::TimedOut => ConnectCause::Timeout,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                ConnectCause::Unreachable
            }
            _ => ConnectCause::Other,
        };
        Self { cause, reason: io_words(error) }
    }

    pub(crate) fn to(self, to: String) -> Error {
        Error::Connect { to, cause: self.cause, reason: self.reason }
    }
}

impl From<String> for ConnectFailure {
    fn from(reason: String) -> Self {
        Self { cause: ConnectCause::Other, reason }
    }
}

impl Error {
    /// The same error, with what others may have said cut and without what is secret.
    pub(crate) fn cleaned(mut self, secrets: &Secrets) -> Self {
        match &mut self {
            Self::Url { url, reason } => {
                secrets.clean_in_place(url);
                secrets.clean_in_place(reason);
            }
            Self::Token { reason, .. }
            | Self::Connect { reason, .. }
            | Self::Exchange { reason, .. } => secrets.clean_in_place(reason),
            // In our own words.
            Self::File { .. }
            | Self::Header { .. }
            | Self::Environment { .. }
            | Self::Tls(_)
            | Self::Deadline { .. }
            | Self::Silent { .. }
            | Self::TooLarge { .. } => {}
        }
        self
    }
}

/// An error of the operating system without its number, and without capitals where they only
/// start a sentence.
pub fn io_words(error: &io::Error) -> String {
    let words = match error.kind() {
        io::ErrorKind::NotFound => "no such file",
        io::ErrorKind::PermissionDenied => "permission denied",
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset by the server",
        io::ErrorKind::BrokenPipe => "connection closed by the server",
        io::ErrorKind::UnexpectedEof => {
            "the server closed the connection before the answer was complete"
        }
        io::ErrorKind::TimedOut => "connection timed out",
        io::ErrorKind::HostUnreachable => "no route to host",
        io::ErrorKind::NetworkUnreachable => "network is unreachable",
        io::ErrorKind::IsADirectory => "is a directory",
        _ => return without_number(&error.to_string()),
    };
    words.to_owned()
}

fn without_number(text: &str) -> String {
    let text = text.split(" (os error").next().unwrap_or(text);
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_plain_words() {
        // Linux' numbers.
        for (number, words) in [
            (2, "no such file"),
            (5, "input/output error"),
            (13, "permission denied"),
            (21, "is a directory"),
            (24, "too many open files"),
            (101, "network is unreachable"),
            (104, "connection reset by the server"),
            (110, "connection timed out"),
            (111, "connection refused"),
            (113, "no route to host"),
        ] {
            assert_eq!(io_words(&io::Error::from_raw_os_error(number)), words);
        }
        assert_eq!(io_words(&io::Error::other("TLS is needed")), "TLS is needed");
    }
}
