//! Where in a store what is kept, by version of Swarm.
//!
//! | written by | node keys | lifetime |
//! |---|---|---|
//! | Swarm 0.2.0 | `PATH/HOST:PORT` | 3/2 of the heartbeat and a second |
//! | Swarm 0.4.0 to 1.2.9 | `PATH/docker/swarm/nodes/HOST:PORT` | 60 s; 180 s in 1.0; `--ttl` from 1.1.0 on |
//! | dockerd `--cluster-store`, Swarm with `kv.path=docker/nodes` | `PATH/docker/nodes/HOST:PORT` | 60 s |
//!
//! A value is what its engine advertises, and the same as the last part of its key. The primary's
//! address is at `PATH/docker/swarm/leader`. The folders are tried in the order of [`FOLDERS`]; the
//! first that exists is the list.

use super::Servers;
use crate::Error;

/// What follows the path of the configuration, in the order in which it is looked for. The last
/// one, the path itself, may hold anything else beside the nodes: see [`is_bare_node`].
pub(crate) const FOLDERS: [&str; 3] = ["docker/swarm/nodes", "docker/nodes", ""];

/// What follows the path of the configuration, for the primary master's address.
pub(crate) const LEADER: &str = "docker/swarm/leader";

/// `path` and `rest` with one slash between them, and none around them.
pub(crate) fn join(path: &str, rest: &str) -> String {
    let both = [path, rest];
    both.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/")
}

/// Whether an entry right below the path itself is a node of Swarm 0.2.0. `name` is the last part of
/// its key.
pub(crate) fn is_bare_node(name: &str, value: &str) -> bool {
    name == value && name.contains(':')
}

/// None of the folders exists.
pub(crate) fn missing(servers: &Servers) -> Error {
    let keys: Vec<_> =
        FOLDERS.iter().map(|folder| format!("/{}", join(&servers.path, folder))).collect();
    Error::Other(format!(
        "{servers}: no list of nodes at any of {}: no node ever joined, or the path is another one",
        keys.join(", ")
    ))
}
