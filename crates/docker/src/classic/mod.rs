//! What a master of a classic ("standalone") Swarm, 2015 to 2017, says of itself and its nodes.
//!
//! It answers `GET /info` as an Engine does, with rows of text. Rows that did not change are kept as
//! they were received: [`ClassicSnapshot`].

mod info;
mod node;

use std::sync::Arc;

pub use info::ClassicInfo;
pub use node::{ClassicNode, Containers, Reservation, UNKNOWN_NODE, bytes, split_labels};

/// A classic Swarm, as one of its masters described it.
#[derive(Clone, Debug, Default)]
pub struct ClassicSnapshot {
    /// The scheduling strategy: `spread`.
    pub strategy: String,
    /// The address of the primary: as a replica names it, or the name of the master that is it. Empty
    /// without a primary.
    pub primary: String,
    /// The rows of each node, for [`ClassicNode::read`]. Those of a node that did not change are the
    /// same `Arc` as before.
    pub nodes: Vec<Arc<[u8]>>,
}

impl ClassicSnapshot {
    /// Whether both are the same. Compares addresses.
    pub fn is_same(&self, other: &Self) -> bool {
        let Self { strategy, primary, nodes } = self;
        let mut pairs = nodes.iter().zip(&other.nodes);
        (strategy, primary, nodes.len()) == (&other.strategy, &other.primary, other.nodes.len())
            && pairs.all(|(a, b)| Arc::ptr_eq(a, b))
    }
}

/// A master of a classic Swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicMaster {
    /// Its address as configured, `host:port` or the path of a socket.
    pub name: Arc<str>,
    /// Whether it answered when it was last asked; `None` before the first time.
    pub is_up: Option<bool>,
    /// Whether it was the primary when it last answered, and answers.
    pub is_primary: bool,
}
