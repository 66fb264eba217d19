//! Why a Swarm could not be read.

/// Why a Swarm, or what a filter names in it, could not be read. No secret is in the text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Its Engine could not be.
    #[error(transparent)]
    Docker(#[from] swarmscout_docker::Error),
    /// The refresh itself came to nothing: its deadline passed, or it panicked.
    #[error(transparent)]
    Refresh(#[from] swarmscout_refresh::Error),
    /// Nothing of the Swarm is asked for any more.
    #[error("there is no reader")]
    NoReader,
    /// The Engine has no such filter for the list.
    #[error("invalid filter '{0}'")]
    InvalidFilter(String),
    /// A value is none that the filter has.
    #[error("invalid {name} filter: '{value}'")]
    InvalidValue {
        /// The filter.
        name: String,
        /// The value.
        value: String,
    },
    /// A filter names what is not there.
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
