//! The Engine API of one node of a [`Swarm`](crate::swarm::Swarm).

pub mod json;

/// What a manager says without a quorum.
pub const NO_LEADER: &str = "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online.";
