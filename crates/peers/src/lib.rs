//! Probes between nodes: is the network between them intact?
//!
//! **Invariant: an answer is never larger than its probe, and goes only to a known address.** It may use
//! `exposition` and `net`.
//!
//! Each node probes four others ([`PeerList`]), every 15 seconds, by one UDP packet as large as the path
//! can carry, which the other sends back. If that is lost, it is sent again together with a small one:
//! if only the small one returns, large packets are lost on the way (an MTU black hole). A
//! [`PeerProber`] does this for one path: between the addresses of the nodes, or over an overlay network.
//!
//! | module | does |
//! |---|---|
//! | `wire` | is the format of a packet |
//! | `ring` | chooses the peers of a node |
//! | `known` | knows who may be answered, and how often |
//! | `list` | says who there is on a path: by the list of a manager, or by DNS |
//! | `rounds` | decides what to send and what an answer means; has no clock and no socket |
//! | `socket` | is the UDP socket: no fragments, and the MTU of a path |
//! | `prober` | drives `rounds` by socket, clock, list and DNS |
//! | `metrics` | writes the state at the moment of a scrape |

#[doc(hidden)]
pub mod fuzzing;
mod known;
mod list;
mod metrics;
mod prober;
mod ring;
mod rounds;
mod socket;
mod wire;

use std::fmt;
use std::net::SocketAddr;

pub use list::{PeerList, PeerNode};
pub use metrics::write_peer_metrics;
pub use prober::{PeerOptions, PeerProber};

/// The way that probes take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerPath {
    /// Between the addresses of the nodes.
    Host,
    /// Over an overlay network.
    Overlay,
}

impl PeerPath {
    /// The value of the label `path`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Overlay => "overlay",
        }
    }
}

/// What the last probes of a peer found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// It answers.
    Up,
    /// It answers small packets alone.
    LargeLost,
    /// It answers none.
    Down,
}

impl fmt::Display for PeerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a node cannot be probed or answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The port is taken, or the address is not of this machine.
    #[error("cannot listen on UDP {address} for probes of other nodes: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}
