use std::path::PathBuf;
use std::time::Duration;

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
    #[error("cannot read {what} file {}: {reason}", path.display())]
    File {
        /// `password`, `CA`, …
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// TLS options that cannot be used together or are not supported.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// No connection could be made.
    #[error("cannot connect to {to}: {reason}")]
    Connect {
        /// Host and port, or the path of the socket.
        to: String,
        /// The cause, with what helps where that is known.
        reason: String,
    },
    /// The deadline passed.
    #[error("no answer from {to} within {within:?}")]
    Deadline {
        /// Host and port, or the path of the socket.
        to: String,
        /// The deadline, from the start of the request.
        within: Duration,
    },
    /// More than was asked for.
    #[error("answer of {to} is larger than {limit} bytes")]
    TooLarge {
        /// Host and port, or the path of the socket.
        to: String,
        /// The limit.
        limit: u64,
    },
    /// The exchange broke off or was not HTTP.
    #[error("request to {to} failed: {reason}")]
    Exchange {
        /// Host and port, or the path of the socket.
        to: String,
        /// The cause.
        reason: String,
    },
}
