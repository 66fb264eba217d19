//! Why a refresh of a source failed.

/// Why a refresh failed. The text says what to do where that is known; it holds no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The HTTP exchange failed.
    #[error(transparent)]
    Http(#[from] swarmscout_net::Error),
    /// A file could not be read or understood.
    #[error("{path}: {reason}")]
    File {
        /// The file, or the directory.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server answered with another status than the one that was needed.
    #[error("{url}: server returned HTTP status {status}{}{message}", if message.is_empty() { "" } else { ": " })]
    Status {
        /// What was asked for, without password.
        url: String,
        /// The status.
        status: http::StatusCode,
        /// What the body said, shortened.
        message: String,
    },
    /// The answer was not what the interface promises.
    #[error("{url}: {reason}")]
    Answer {
        /// What was asked for, without password.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The answer, or what would have to be made of it, is more than is allowed.
    #[error("{what}: {excess}")]
    Excess {
        /// What was asked, without password.
        what: String,
        /// What is too much.
        excess: crate::limits::Excess,
    },
    /// No name of the DNS could be looked up. Holds what happened with each, or with the first few.
    #[error("cannot look up any name: {}", .0.join("; "))]
    AllNames(Vec<String>),
    /// A Docker Engine could not be read.
    #[error(transparent)]
    Docker(#[from] swarmscout_docker::Error),
    /// A Swarm could not be read.
    #[error(transparent)]
    Swarm(#[from] swarmscout_swarm::Error),
    /// The refresh itself came to nothing: its deadline passed, or the discoverer panicked.
    #[error(transparent)]
    Refresh(#[from] swarmscout_refresh::Error),
    /// Anything else a discoverer wants to say.
    #[error("{0}")]
    Other(String),
}
