//! Why a node does not learn of its tasks.

use http::StatusCode;
use swarmscout_net::ConnectCause;

/// Why a manager's answer could not be had or used. No secret is in the text.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A manager's URL is not one.
    #[error("cannot use the manager {url:?}: {reason}")]
    Manager {
        /// Without its password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A manager could not be asked, or refused.
    #[error("cannot ask {manager}: {reason}")]
    Request {
        /// Without its password.
        manager: String,
        /// Why, cut and cleaned of secrets.
        reason: String,
        /// The same without what differs from one request to the next.
        failure: RequestFailure,
    },
    /// An answer could not be used.
    #[error("cannot use the answer of {manager}: {reason}")]
    Answer {
        /// Without its password.
        manager: String,
        /// What is wrong with it, cut and cleaned of secrets.
        reason: String,
    },
    /// The manager's Swarm has no such node.
    #[error("{manager} knows no node {node}")]
    UnknownNode {
        /// Without its password.
        manager: String,
        /// How it was asked for.
        node: String,
    },
    /// The manager does not take this node for the one that was asked for. It says the same of a node that
    /// there is not.
    #[error("{manager} refuses: {reason}")]
    NotOurs {
        /// Without its password.
        manager: String,
        /// Why, cut and cleaned of secrets.
        reason: String,
    },
    /// Nothing that is known of this node names it in the Swarm.
    #[error(
        "cannot find out which node this is: set SWARMSCOUT_NODE_ID, in a stack file to {{{{.Node.ID}}}}, \
         elsewhere to the output of docker info --format {{{{.Swarm.NodeID}}}} ({tried})"
    )]
    WhichNode {
        /// What was tried.
        tried: String,
    },
}

/// What became of a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFailure {
    /// There was no connection.
    Connect(ConnectCause),
    /// The answer had another status than one of success.
    Status(StatusCode),
    /// Anything else, which only the reason distinguishes.
    Other,
}

impl Error {
    /// Whether this node may have another ID than the one that was asked for.
    pub(crate) fn denies_the_node(&self) -> bool {
        matches!(self, Self::UnknownNode { .. } | Self::NotOurs { .. })
    }

    /// Equal for failures that need one line in the log: how a resolver words its answer may differ
    /// each time.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Request { manager, failure, .. } if *failure != RequestFailure::Other => {
                format!("{manager}: {failure:?}")
            }
            error => error.to_string(),
        }
    }
}
