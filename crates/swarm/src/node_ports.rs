//! Where the node parts of a Swarm listen.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The port on which a node part listens unless its flags say otherwise.
pub const NODE_PART_PORT: u16 = 9466;

/// The port of each node part that has registered another one, by the ID of its node.
pub type NodePorts = BTreeMap<Arc<str>, u16>;
