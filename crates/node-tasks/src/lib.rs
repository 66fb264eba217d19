//! What a node learns of its tasks from a manager: the managers know the container and the
//! process of each task, so a node needs no Docker socket.
//!
//! ```text
//! Snapshot ─TaskIndex→ ┐                                    ┌→ Followed, for the node's metrics
//! TargetSet ─ReachIndex→ Board ─wire: NodeTasks→ Follower ──┤
//! nodes' ports ─Peers→ ┘                                    └→ reach, peers
//! ```
//!
//! | module | does |
//! |---|---|
//! | `wire` | has the types of the answer, and checks an answer that arrives |
//! | `labels` | makes the labels that Docker gives to the container of a task |
//! | `index` | keeps the tasks of each node, and says which nodes a change concerns |
//! | `reach` | keeps what each node may fetch for scrapers, read from target sets |
//! | `peers` | picks the nodes that may probe each other |
//! | `query` | is what a request says: which node, who asks |
//! | `board` | answers for one node, and wakes those that wait for its changes alone |
//! | `report` | is what a node part says of the network to other nodes |
//! | `client` | follows several managers, keeps the last answer, registers with all of them |
//!
//! **Invariant: an answer holds what concerns its node alone, and a change wakes the readers of the nodes
//! that it concerns.** No environment, command, secret or config is in an answer, and of the labels only those
//! on the allow list.
//!
//! It may use `swarm` and what is below it. It holds no HTTP server.

mod board;
mod client;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod index;
mod labels;
mod peers;
mod query;
mod reach;
mod report;
mod wire;

pub use board::{Board, BoardStats, FoundNode, NoNode, NodeAnswer, NodeParts, PartRefusal};
pub use client::{ClientSettings, Followed, Follower, TaskFeed};
pub use error::{Error, RequestFailure};
pub use labels::{AllowedLabels, DEFAULT_LABELS};
pub use query::{NODE_PART_HEADER, NodeQuery, NodeRef, Registration};
pub use report::{LinkPath, LinkState, PathReport, PeerLink, PeerReport};
pub use wire::{
    EndedTask, NodeIdentity, NodeTasks, PeerNode, ReachTarget, TaskEntry, TaskNetwork, TaskSpec,
    is_container_id,
};
