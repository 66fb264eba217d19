//! The keys of a classic Swarm in a store, by version of Swarm.
//!
//! | written by | node keys | lifetime |
//! |---|---|---|
//! | Swarm 0.2.0 | `PATH/HOST:PORT` | 3/2 of the heartbeat and a second |
//! | Swarm 0.4.0 to 1.2.9 | `PATH/docker/swarm/nodes/HOST:PORT` | 60 s; 180 s in 1.0; `--ttl` from 1.1.0 on |
//! | dockerd `--cluster-store`, Swarm with `kv.path=docker/nodes` | `PATH/docker/nodes/HOST:PORT` | 60 s |
//!
//! A value is the address that the engine advertises, and equals the last part of its key. The
//! primary's address is at `PATH/docker/swarm/leader`. The folders are tried in the order of
//! [`FOLDERS`]; the first existing one has the list.

use super::Servers;
use crate::Error;

/// The folders below the configured path, in the order in which they are tried. The last one, the
/// path itself, may also hold other keys: see [`is_bare_node`].
pub(crate) const FOLDERS: [&str; 3] = ["docker/swarm/nodes", "docker/nodes", ""];

/// The key of the primary master's address, below the configured path.
pub(crate) const LEADER: &str = "docker/swarm/leader";

/// Swarm's own folder, with the keys of the nodes and of the primary.
pub(crate) const SWARM: &str = "docker/swarm";

/// A key of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Relative to the path of the configuration, without slashes around it: `docker/swarm/leader`.
    pub(crate) key: String,
    /// `None` for a directory, and for the primary's key while no master holds it.
    pub(crate) value: Option<String>,
}

/// The nodes below [`SWARM`]; `None` if it has no folder for them.
pub(crate) fn swarm_nodes(entries: &[Entry]) -> Option<Vec<String>> {
    nodes(entries, FOLDERS[0])
}

/// The nodes of engines with `--cluster-store`.
pub(crate) fn engine_nodes(entries: &[Entry]) -> Option<Vec<String>> {
    nodes(entries, FOLDERS[1])
}

fn nodes(entries: &[Entry], folder: &str) -> Option<Vec<String>> {
    let mut exists = false;
    let mut nodes = Vec::new();
    for Entry { key, value } in entries {
        let Some(name) = key.strip_prefix(folder) else { continue };
        exists |= name.is_empty() || name.starts_with('/');
        if let (Some(name), Some(value)) = (name.strip_prefix('/'), value)
            && !name.contains('/')
            && !value.is_empty()
        {
            nodes.push(value.clone());
        }
    }
    exists.then_some(nodes)
}

/// The nodes of Swarm 0.2.0, directly below the path. An empty directory is a list without nodes,
/// unless it is the root of the store, which always exists.
pub(crate) fn bare_nodes(entries: &[Entry], is_root: bool) -> Option<Vec<String>> {
    let nodes = entries.iter().filter_map(|Entry { key, value }| {
        let value = value.as_ref()?;
        is_bare_node(key, value).then(|| value.clone())
    });
    let nodes: Vec<_> = nodes.collect();
    let empty = !is_root && matches!(entries, [directory] if directory.key.is_empty());
    (empty || !nodes.is_empty()).then_some(nodes)
}

/// The primary master's address.
pub(crate) fn primary(entries: &[Entry]) -> Option<String> {
    let leader = entries.iter().find(|entry| entry.key == LEADER)?;
    leader.value.clone().filter(|address| !address.is_empty())
}

/// Whether a change of this key, relative to the path, can change what is listed.
pub(crate) fn matters(key: &str) -> bool {
    let below = |folder: &str| key.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    // A key without a slash may be a node of 0.2.0, or the folder of all other keys.
    !key.contains('/')
        || [SWARM, FOLDERS[1]].into_iter().any(|folder| key == folder || below(folder))
}

/// A key relative to `path`, without leading and trailing slashes. `None` for a key that is not
/// below `path`, and for one with two slashes in a row, which Swarm never writes.
pub(crate) fn relative<'k>(path: &str, key: &'k str) -> Option<&'k str> {
    let below = match key.strip_prefix(path)? {
        "" => "",
        rest if path.is_empty() => rest,
        rest => rest.strip_prefix('/')?,
    };
    Some(below.trim_end_matches('/')).filter(|key| !key.starts_with('/'))
}

/// `path` and `rest` with one slash between them, and none around them.
pub(crate) fn join(path: &str, rest: &str) -> String {
    let both = [path, rest];
    both.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/")
}

/// Whether an entry directly below the path is a node of Swarm 0.2.0. `name` is the last part of
/// its key.
pub(crate) fn is_bare_node(name: &str, value: &str) -> bool {
    name == value && name.contains(':')
}

/// The error that none of the folders exists.
pub(crate) fn missing(servers: &Servers) -> Error {
    let keys: Vec<_> =
        FOLDERS.iter().map(|folder| format!("/{}", join(&servers.path, folder))).collect();
    Error::Other(format!(
        "{servers}: no list of nodes at any of {}: no node ever joined, or the path is another one",
        keys.join(", ")
    ))
}
