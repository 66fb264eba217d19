//! The first process of a container: what its network interfaces count, and when it was started.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::sample::InterfaceSample;
use crate::cgroup::parse::{self, Membership};
use crate::facts::{Facts, NetworkMode};
use crate::read::{Buffer, Folder, ReadError};

/// The largest file of a process that is read, in bytes: 1,000 interfaces have 130 kB.
const LIMIT: usize = 1 << 20;

/// What is the same for all processes, read once a scrape at most.
pub(super) struct Procfs {
    folder: Folder,
    /// Which network namespace is that of the host: the inode number of its `net/dev`.
    host_network: Option<u64>,
    /// Whether this process is in a cgroup namespace of its own: then paths of `/` are its own.
    has_own_root: bool,
    boot: Option<u64>,
}

impl Procfs {
    pub(super) fn open(path: &Path, buffer: &mut Buffer) -> Result<Self, ReadError> {
        let folder = Folder::open(path)?;
        let host_network = folder.inode("1/net/dev").ok();
        let boot = folder.read("stat", buffer, LIMIT).ok().and_then(parse::boot_seconds);
        let has_own_root = folder
            .read("1/cgroup", buffer, LIMIT)
            .is_ok_and(|text| text.windows(4).any(|part| part == b":/.."));
        Ok(Self { folder, host_network, has_own_root, boot })
    }
}

/// Why a container has no network series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoNetwork {
    /// It uses that of the host or of another container, or none.
    NotItsOwn,
    /// Its PID is not known.
    NoPid,
    /// The process with its PID has ended, or is not in this container.
    Ended,
    /// `/proc/<pid>` does not open.
    Unreadable(ReadError),
}

/// The process of a container, by a folder that is kept: its PID may be that of another process
/// soon, the folder is not.
#[derive(Debug)]
pub(super) struct Process {
    pid: Option<u32>,
    found: Result<Folder, NoNetwork>,
    /// When it was started.
    pub(super) started: Option<SystemTime>,
}

impl Default for Process {
    fn default() -> Self {
        Self { pid: None, found: Err(NoNetwork::NoPid), started: None }
    }
}

impl Process {
    /// The process that `facts` say, or `pid` where they do not.
    pub(super) fn open(
        procfs: Option<&Procfs>,
        id: &str,
        facts: Option<&Facts>,
        pid: Option<u32>,
        buffer: &mut Buffer,
    ) -> Self {
        let pid = facts.and_then(|facts| facts.pid).or(pid).filter(|pid| *pid != 0);
        let (Some(pid), Some(procfs)) = (pid, procfs) else { return Self::default() };
        let mut process = Self { pid: Some(pid), ..Self::default() };
        let folder = match procfs.folder.folder(&pid.to_string()) {
            Ok(folder) => folder,
            Err(error) => {
                process.found = Err(missing(error));
                return process;
            }
        };
        match folder.read("cgroup", buffer, LIMIT).map(|text| parse::membership(text, id)) {
            Ok(Membership::Inside) => {}
            // The container of this process itself.
            Ok(Membership::ReadersRoot) if procfs.has_own_root => {}
            Ok(_) => {
                process.found = Err(NoNetwork::Ended);
                return process;
            }
            Err(error) => {
                process.found = Err(missing(error));
                return process;
            }
        }
        let ticks = folder.read("stat", buffer, LIMIT).ok().and_then(parse::start_ticks);
        process.started = procfs.boot.zip(ticks).and_then(|(boot, ticks)| {
            let since_boot = Duration::from_millis(ticks.checked_mul(10)?);
            UNIX_EPOCH.checked_add(Duration::from_secs(boot))?.checked_add(since_boot)
        });
        let mode = facts.and_then(|facts| facts.network);
        let is_hosts =
            procfs.host_network.is_some() && folder.inode("net/dev").ok() == procfs.host_network;
        // Without both, the numbers may be those of the host.
        let is_unknown = mode.is_none() && procfs.host_network.is_none();
        let is_own = !is_hosts && !is_unknown && matches!(mode, None | Some(NetworkMode::Own));
        process.found = if is_own { Ok(folder) } else { Err(NoNetwork::NotItsOwn) };
        process
    }

    /// Whether it must be opened again for this PID.
    pub(super) fn is_of(&self, pid: Option<u32>) -> bool {
        self.pid == pid
    }

    /// What its interfaces counted, and how many of them were left out.
    pub(super) fn interfaces(
        &mut self,
        buffer: &mut Buffer,
        interfaces: &mut Vec<InterfaceSample>,
    ) -> Result<usize, NoNetwork> {
        let folder = self.found.as_ref().map_err(|reason| *reason)?;
        // Never kept open: that would keep the network namespace.
        match folder.read("net/dev", buffer, LIMIT) {
            Ok(text) => {
                parse::net_dev(text, interfaces).ok_or(NoNetwork::Unreadable(ReadError::Garbage))
            }
            Err(error) => {
                let reason = missing(error);
                if reason == NoNetwork::Ended {
                    self.found = Err(reason);
                }
                Err(reason)
            }
        }
    }
}

fn missing(error: ReadError) -> NoNetwork {
    match error {
        ReadError::Gone | ReadError::NotFound => NoNetwork::Ended,
        error => NoNetwork::Unreadable(error),
    }
}
