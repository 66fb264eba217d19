//! Why Docker could not be read.

/// Why an Engine or a control socket could not be read. The text says what to do where that is known;
/// no secret is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The exchange failed.
    #[error(transparent)]
    Http(#[from] swarmscout_net::Error),
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
    /// The answer was not what the interface promises, or is a refusal that is known.
    #[error("{url}: {reason}")]
    Answer {
        /// What was asked for, without password.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The Engine speaks no version of the API that this program speaks.
    #[error("{url}: {reason}")]
    Version {
        /// What was asked for, without password.
        url: String,
        /// Which versions it speaks.
        reason: String,
    },
    /// Some of the lists could not be read. Holds one line for each.
    #[error("{}", .0.join("; "))]
    Lists(Vec<String>),
    /// There is no host to ask.
    #[error("host missing")]
    NoHost,
    /// The refresh itself came to nothing: no host answered, or what reads a stream panicked.
    #[error(transparent)]
    Refresh(#[from] swarmscout_refresh::Error),
}

impl Error {
    /// Whether the answer was larger than what is read of it.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Http(swarmscout_net::Error::TooLarge { .. }))
    }
}
