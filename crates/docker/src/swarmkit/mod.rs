//! SwarmKit's control socket: the present state of a Swarm, and its changes, from a manager.
//!
//! ```text
//!  ControlSocket → Connection (unix socket, TLS, HTTP/2) → list: messages ┐
//!                                                        → watch: messages┴→ convert → objects
//! ```
//!
//! Every manager's Engine has this socket for itself, `<exec-root>/swarm/control.sock`: gRPC, without
//! credentials, and with full control of the Swarm. So nothing but the calls of [`Method`] is ever
//! made. Of an answer only members that become a label or an address, or explain a state, are decoded;
//! no member that holds credentials, an environment or a secret has a name here.
//!
//! Invariants:
//! - The objects equal those of the Engine API, which is made of the same answers: what it leaves out
//!   (other runtimes than containers, SwarmKit's own names for networks of a node) is left out, what
//!   it renames is renamed. A watch lacks two things: see [`Watch`].
//! - The leader answers a listing, this manager reports the changes. A change can arrive before a
//!   listing that lacks it, and the other way round: versions decide, not the order.
//! - No keep-alive pings are sent. SwarmKit sets no policy for them, so that the one of gRPC holds:
//!   more than one in five minutes, and the connection is ended.

mod connection;
mod convert;
mod listing;
mod messages;
mod refusal;
mod socket;
mod watch;

pub use connection::Connection;
#[doc(hidden)]
pub use listing::Listing;
pub use socket::ControlSocket;
pub use watch::{Change, Object, Watch};

/// All that is ever called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// One node, by its ID.
    GetNode,
    /// All nodes.
    ListNodes,
    /// All services.
    ListServices,
    /// All tasks.
    ListTasks,
    /// All networks.
    ListNetworks,
    /// Changes of nodes, services, tasks and networks.
    Watch,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::GetNode,
        Self::ListNodes,
        Self::ListServices,
        Self::ListTasks,
        Self::ListNetworks,
        Self::Watch,
    ];

    /// Its path.
    pub const fn path(self) -> &'static str {
        match self {
            Self::GetNode => "/docker.swarmkit.v1.Control/GetNode",
            Self::ListNodes => "/docker.swarmkit.v1.Control/ListNodes",
            Self::ListServices => "/docker.swarmkit.v1.Control/ListServices",
            Self::ListTasks => "/docker.swarmkit.v1.Control/ListTasks",
            Self::ListNetworks => "/docker.swarmkit.v1.Control/ListNetworks",
            Self::Watch => "/docker.swarmkit.v1.Watch/Watch",
        }
    }
}

#[cfg(test)]
mod tests;
