//! The process of a container, by its folder in `/proc`, and the address that its node reaches.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags, openat, statat};
use swarmscout_net::{io_words, lane};
use tokio::sync::Semaphore;

use crate::address::{is_in_container, local_addresses, on_a_bridge, route_to, routes};
use crate::connection::Kept;
use crate::decision::ReachableTask;

/// The most that reading the tables may take.
const WITHIN: Duration = Duration::from_secs(2);

/// The most bytes of a container's table: some 5,000 addresses. The container decides how many it has.
const MAX_TABLE: u64 = 256 << 10;

/// The most bytes of the node's own tables: some 80,000 addresses.
const MAX_NODE_TABLE: u64 = 4 << 20;

/// The most bytes of `/proc/<pid>/cgroup`: a dozen lines.
const MAX_CGROUP: u64 = 64 << 10;

/// Where the tables are.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    /// `/proc` of the host.
    pub(crate) procfs: PathBuf,
    /// `/sys`, as this process sees it: that of its own network namespace.
    pub(crate) sysfs: PathBuf,
}

/// Why a task has no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAddress {
    #[error("it has no running container")]
    NotRunning,
    #[error("its process {0} has ended, or this number is that of another process now")]
    Ended(u32),
    #[error("cannot read {path}: {reason}")]
    Unreadable { path: String, reason: String },
    #[error(
        "this node part has a bridge to none of its addresses ({0}): if it is not in the host's network, \
         start it there (--network host); if it is, attach the task to a network with a bridge, as each \
         overlay network that is not internal has docker_gwbridge"
    )]
    NoBridge(String),
    /// It is on a route of this node, but `/sys` does not have that interface.
    #[error(
        "the way to its address {address} is the interface {interface}, which {sysfs} does not have, so \
         it cannot be known for a bridge: that is the /sys of another network. Mount nothing over /sys \
         of the node part, but for /sys/fs/cgroup"
    )]
    ForeignSysfs { address: Ipv4Addr, interface: String, sysfs: String },
    #[error(
        "it has no IPv4 address but that of loopback: attach it to a network with a bridge and IPv4"
    )]
    Loopback,
    #[error("all its networks are internal")]
    Internal,
}

/// A running container. Its connections and its address are valid for as long as the process is.
#[derive(Debug)]
pub(crate) struct Process {
    /// `/proc/<pid>`. A descriptor of the folder stays that of this process, even if its number is
    /// given to another one. It keeps nothing alive, as one of a file in `net` would: the network of
    /// the container.
    folder: OwnedFd,
    address: Mutex<Option<Ipv4Addr>>,
    /// Connections without a request.
    pub(crate) kept: Mutex<Vec<Kept>>,
    /// For fetches from this task.
    pub(crate) places: Arc<Semaphore>,
}

impl Process {
    /// Opens the folder, and makes sure that it is that of a process in the container.
    pub(crate) async fn open(
        tables: &Tables,
        task: &ReachableTask,
        places: usize,
    ) -> Result<Self, NoAddress> {
        if task.container.is_empty() || task.pid == 0 {
            return Err(NoAddress::NotRunning);
        }
        let (pid, container) = (task.pid, task.container.clone());
        let path = tables.procfs.join(pid.to_string());
        let open = {
            let path = path.clone();
            move || -> io::Result<Option<OwnedFd>> {
                let folder = rustix::fs::open(&path, FOLDER, Mode::empty())?;
                let cgroup = read_below(&folder, "cgroup", MAX_CGROUP)?;
                Ok(is_in_container(&cgroup, &container).then_some(folder))
            }
        };
        let folder = match on_thread(&path, open).await? {
            Ok(Some(folder)) => folder,
            Ok(None) => return Err(NoAddress::Ended(pid)),
            Err(error) if is_gone(&error) => return Err(NoAddress::Ended(pid)),
            Err(error) => return Err(unreadable(&path.join("cgroup"), &error)),
        };
        let places = Arc::new(Semaphore::new(places));
        Ok(Self { folder, address: Mutex::default(), kept: Mutex::default(), places })
    }

    /// Whether the process is still there.
    pub(crate) fn is_alive(&self) -> bool {
        statat(&self.folder, "cgroup", AtFlags::empty()).is_ok()
    }

    /// Its address, as its tables say now or said before.
    pub(crate) async fn address(
        &self,
        tables: &Tables,
        task: &ReachableTask,
    ) -> Result<Ipv4Addr, NoAddress> {
        if task.host_network {
            return Ok(Ipv4Addr::LOCALHOST);
        }
        if let Some(address) = *self.known_address() {
            return Ok(address);
        }
        let path = tables.procfs.join(task.pid.to_string()).join("net/fib_trie");
        let read = {
            let (tables, excluded, pid) =
                (tables.clone(), task.excluded_addresses.clone(), task.pid);
            let folder = self.folder.try_clone();
            let folder = folder.map_err(|error| unreadable(&path, &error))?;
            move || find_address(&tables, &folder, pid, &excluded)
        };
        match on_thread(&path, read).await? {
            Ok(address) => {
                *self.known_address() = Some(address);
                Ok(address)
            }
            Err(NoAddress::NoBridge(_) | NoAddress::ForeignSysfs { .. } | NoAddress::Loopback)
                if task.internal_only =>
            {
                Err(NoAddress::Internal)
            }
            Err(error) => Err(error),
        }
    }

    /// The next connection asks the tables again.
    pub(crate) fn forget_address(&self) {
        *self.known_address() = None;
    }

    fn known_address(&self) -> std::sync::MutexGuard<'_, Option<Ipv4Addr>> {
        self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Reads on a thread of its own: a `/proc` of another program (lxcfs) may hang.
async fn on_thread<T: Send + 'static>(
    path: &Path,
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoAddress> {
    lane::read(path, WITHIN, read).await.map_err(|stuck| NoAddress::Unreadable {
        path: stuck.path.display().to_string(),
        reason: stuck.reason,
    })
}

fn find_address(
    tables: &Tables,
    folder: &OwnedFd,
    pid: u32,
    excluded: &[IpAddr],
) -> Result<Ipv4Addr, NoAddress> {
    let container = match read_below(folder, "net/fib_trie", MAX_TABLE) {
        Ok(table) => local_addresses(&table),
        Err(error) if is_gone(&error) => return Err(NoAddress::Ended(pid)),
        Err(error) => {
            let path = tables.procfs.join(pid.to_string()).join("net/fib_trie");
            return Err(unreadable(&path, &error));
        }
    };
    let own = |name: &str| {
        let path = tables.procfs.join("self/net").join(name);
        let read = File::open(&path).and_then(|file| read_all(file, MAX_NODE_TABLE));
        read.map_err(|error| unreadable(&path, &error))
    };
    let (route, fib_trie) = (own("route")?, own("fib_trie")?);
    let usable: BTreeSet<_> = container
        .iter()
        .copied()
        .filter(|address| !excluded.contains(&IpAddr::V4(*address)))
        .collect();
    let classes = tables.sysfs.join("class/net");
    // The name comes from the kernel, which allows no slash in it.
    let is_bridge = |name: &str| classes.join(name).join("bridge").is_dir();
    let (node, routes) = (local_addresses(&fib_trie), routes(&route));
    if let Some(address) = on_a_bridge(&usable, &node, &routes, is_bridge) {
        return Ok(address);
    }
    // A route to it by an interface that `/sys` does not have: of another network.
    let is_missing = |name: &str| !classes.join(name).exists();
    let found = on_a_bridge(&usable, &node, &routes, is_missing);
    let found = found.and_then(|address| Some((address, route_to(&routes, address)?.interface)));
    Err(match found {
        Some((address, interface)) => NoAddress::ForeignSysfs {
            address,
            interface: interface.to_owned(),
            sysfs: tables.sysfs.display().to_string(),
        },
        None => no_bridge(&container),
    })
}

/// Names the first few addresses.
fn no_bridge(addresses: &BTreeSet<Ipv4Addr>) -> NoAddress {
    const MOST: usize = 8;
    let outer = || addresses.iter().filter(|address| !address.is_loopback());
    let mut words: Vec<_> = outer().take(MOST).map(ToString::to_string).collect();
    if words.is_empty() {
        return NoAddress::Loopback;
    }
    if outer().count() > MOST {
        words.push("…".to_owned());
    }
    NoAddress::NoBridge(words.join(", "))
}

fn read_below(folder: &OwnedFd, name: &str, limit: u64) -> io::Result<String> {
    let file = openat(folder, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    read_all(File::from(file), limit)
}

fn read_all(file: File, limit: u64) -> io::Result<String> {
    let mut text = String::new();
    let read = file.take(limit + 1).read_to_string(&mut text)?;
    if read as u64 > limit {
        return Err(io::Error::other(format!("it has more than {} KiB", limit >> 10)));
    }
    Ok(text)
}

/// What the kernel says of a process that is not there any longer: no such process, no such file, and
/// for one that is ending and has no network, an argument that is not valid.
fn is_gone(error: &io::Error) -> bool {
    const ESRCH: i32 = rustix::io::Errno::SRCH.raw_os_error();
    const EINVAL: i32 = rustix::io::Errno::INVAL.raw_os_error();
    error.kind() == io::ErrorKind::NotFound || matches!(error.raw_os_error(), Some(ESRCH | EINVAL))
}

fn unreadable(path: &Path, error: &io::Error) -> NoAddress {
    NoAddress::Unreadable { path: path.display().to_string(), reason: io_words(error) }
}
