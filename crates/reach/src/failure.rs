//! Why a fetch that was allowed has no answer.

use std::time::Duration;

use http::StatusCode;

use crate::process::NoAddress;

/// Why a fetch that was allowed has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReachFailure {
    #[error(transparent)]
    NoAddress(#[from] NoAddress),
    #[error("too many fetches are running")]
    Busy,
    #[error("the node part stops")]
    Stopping,
    #[error("{0}")]
    Connect(String),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Broken(String),
    #[error("it answered with status {0}, a redirect: list the path that it leads to")]
    Redirect(StatusCode),
    #[error("its answer has {size} bytes, and the limit is {limit}")]
    TooLarge { size: u64, limit: u64 },
}

impl ReachFailure {
    /// The values of the label `reason`.
    pub(crate) const REASONS: [&'static str; 9] = [
        "gone",
        "unreadable",
        "no_bridge",
        "busy",
        "connect",
        "timeout",
        "broken",
        "redirect",
        "too_large",
    ];

    /// The place of its reason in [`Self::REASONS`].
    pub(crate) fn number(&self) -> usize {
        match self {
            Self::NoAddress(NoAddress::NotRunning | NoAddress::Ended(_)) => 0,
            Self::NoAddress(NoAddress::Unreadable { .. }) => 1,
            // Internal networks alone are a refusal.
            Self::NoAddress(
                NoAddress::NoBridge(_)
                | NoAddress::ForeignSysfs { .. }
                | NoAddress::Loopback
                | NoAddress::Internal,
            ) => 2,
            Self::Busy | Self::Stopping => 3,
            Self::Connect(_) => 4,
            Self::Timeout(_) => 5,
            Self::Broken(_) => 6,
            Self::Redirect(_) => 7,
            Self::TooLarge { .. } => 8,
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Busy | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        }
    }
}
