//! Why a Swarm could not be read.

/// Why a Swarm, or what a filter names in it, could not be read. No secret is in the text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Its Engine could not be read.
    #[error(transparent)]
    Docker(#[from] swarmscout_docker::Error),
    /// The refresh itself failed: its deadline passed, or it panicked.
    #[error(transparent)]
    Refresh(#[from] swarmscout_refresh::Error),
    /// No manager answered in time.
    #[error("no complete answer within {0:?}")]
    Late(std::time::Duration),
    /// The last reader is gone.
    #[error("there is no reader")]
    NoReader,
    /// The Engine has no such filter for the list.
    #[error("invalid filter '{0}'")]
    InvalidFilter(String),
    /// The filter does not have this value.
    #[error("invalid {name} filter: '{value}'")]
    InvalidValue {
        /// The filter.
        name: String,
        /// The value.
        value: String,
    },
    /// A filter names an object that does not exist.
    #[error("filter {kind}: {kind} {value} not found")]
    NotFound {
        /// `service` or `node`.
        kind: &'static str,
        /// What it names.
        value: String,
    },
    /// A filter names several objects.
    #[error("filter {kind}: {kind} {value} is ambiguous ({count} matches found)")]
    Ambiguous {
        /// `service` or `node`.
        kind: &'static str,
        /// What it names.
        value: String,
        /// How many there are.
        count: usize,
    },
}
