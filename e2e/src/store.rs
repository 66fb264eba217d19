//! Real stores of classic Swarm's node lists, each member a process of its own on loopback ports.
//!
//! What is written goes through the store's own client or API, never through ours. Members that are
//! killed keep their data.

mod etcd;
mod zookeeper;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

pub use etcd::{Api, Etcd};
pub use zookeeper::ZooKeeper;

/// The key of the primary master.
const LEADER: &str = "docker/swarm/leader";

/// A running cluster of one store. Ends when it is dropped.
pub trait Store {
    /// `zk://127.0.0.1:1234,127.0.0.1:1235/swarm`: all members, and the path of everything that is
    /// written here.
    fn url(&self) -> String;

    /// Keys of the configuration beside `discovery`.
    fn options(&self) -> &'static str {
        ""
    }

    /// Where clients reach a member.
    fn port(&self, member: usize) -> u16;

    /// Writes a key below the path, and what is above it.
    fn put(&mut self, key: &str, value: &str) -> Result<()>;

    /// The same, for a few seconds: as of a Swarm node that is gone.
    fn put_for_a_moment(&mut self, key: &str, value: &str) -> Result<()>;

    /// Removes a key below the path.
    fn remove(&mut self, key: &str) -> Result<()>;

    /// Makes a master the primary.
    fn elect(&mut self, address: &str) -> Result<()> {
        self.put(LEADER, address)
    }

    /// Kills a member; its data stay.
    fn kill(&mut self, member: usize) -> Result<()>;

    /// Starts a member that was killed. Returns when it serves, if it can.
    fn start(&mut self, member: usize) -> Result<()>;
}

/// Whether a process has an open connection to a port of this machine.
pub fn is_connected(pid: u32, port: u16) -> Result<bool> {
    const ESTABLISHED: &str = "01";
    let mut inodes = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // It may be closed by now.
        let Ok(link) = fs::read_link(entry?.path()) else { continue };
        let inode = link.to_str().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']'));
        inodes.extend(inode.map(str::to_owned));
    }
    let table = Path::new("/proc/net/tcp");
    let table = fs::read_to_string(table).with_context(|| table.display().to_string())?;
    let remote = format!(":{port:04X}");
    Ok(table.lines().skip(1).any(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        matches!(fields[..], [_, _, to, state, _, _, _, _, _, inode, ..]
            if to.ends_with(&remote) && state == ESTABLISHED && inodes.iter().any(|i| i == inode))
    }))
}
