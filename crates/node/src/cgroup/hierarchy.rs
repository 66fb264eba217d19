//! Where cgroups are mounted, and which of them are containers.

use std::ffi::CStr;
use std::path::Path;

use rustix::fs::FileType;

use super::parse;
use crate::read::{Buffer, Folder, KeptFile, ReadError};

/// The version of cgroups that containers are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// One tree a controller. A tree of version 2 without controllers may stand beside them.
    V1,
    /// One tree.
    V2,
}

/// What limits and counts one kind of resource. With version 2 all are in one tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Controller {
    Cpuacct,
    Cpu,
    Memory,
    Blkio,
    Pids,
    /// The tree of version 2. Beside version 1 it has the pressure of each cgroup.
    Unified,
    /// The tree in which systemd keeps its units.
    Systemd,
}

impl Controller {
    const ALL: [Self; 7] = [
        Self::Cpuacct,
        Self::Cpu,
        Self::Memory,
        Self::Blkio,
        Self::Pids,
        Self::Unified,
        Self::Systemd,
    ];

    /// The name of its folder, or one of several in it: `cpu,cpuacct`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cpuacct => "cpuacct",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Blkio => "blkio",
            Self::Pids => "pids",
            Self::Unified => "unified",
            Self::Systemd => "systemd",
        }
    }
}

/// All trees of cgroups, each by the folder that is its root.
#[derive(Debug)]
pub(crate) struct Hierarchy {
    pub(crate) version: Version,
    trees: [Option<Folder>; Controller::ALL.len()],
    /// A memory limit of this many bytes, and one of more, is unlimited. Version 1 only.
    pub(crate) unlimited: u64,
}

/// Folders of other cgroups than containers, at most: a limit for one scrape.
const MOST_FOLDERS: usize = 20_000;

/// The kernel allows any depth. Docker's containers are at most eight folders deep.
const DEEPEST: usize = 24;

impl Hierarchy {
    /// Finds what is mounted at `cgroups`, which is the host's `/sys/fs/cgroup`.
    pub(crate) fn find(cgroups: &Path) -> Result<Self, String> {
        let place = cgroups.display();
        let root = match Folder::open(cgroups) {
            Ok(root) => root,
            Err(error) => return Err(format!("cannot open {place}: {error}")),
        };
        let mut trees = [const { None }; Controller::ALL.len()];
        if root.file("cgroup.controllers").is_ok() {
            trees[Controller::Unified as usize] = Some(root);
            return Ok(Self { version: Version::V2, trees, unlimited: u64::MAX });
        }
        let mut names = Vec::new();
        let listed = root.entries(|name, kind, _| {
            if matches!(kind, FileType::Directory | FileType::Symlink) {
                names.extend(name.to_str().map(str::to_owned));
            }
        });
        listed.map_err(|error| format!("cannot list {place}: {error}"))?;
        for name in &names {
            // What is not mounted is an empty folder.
            let tree = || root.folder(name).ok().filter(|tree| tree.file("cgroup.procs").is_ok());
            for controller in Controller::ALL {
                let slot = &mut trees[controller as usize];
                if slot.is_none() && name.split(',').any(|part| part == controller.name()) {
                    *slot = tree();
                }
            }
        }
        let mut hierarchy = Self { version: Version::V1, trees, unlimited: 1 << 62 };
        if hierarchy.walked().is_none() {
            return Err(format!(
                "{place} has no cgroups; in a container, bind the host's /sys/fs/cgroup there, \
                 with all that is mounted below it"
            ));
        }
        // What the kernel has for unlimited depends on its pages and on the processor.
        let mut buffer = Buffer::default();
        let limit = hierarchy
            .open(Controller::Memory, "memory.limit_in_bytes")
            .and_then(|file| file.read_whole(&mut buffer, LIMIT).map(parse::number));
        if let Ok(Some(limit)) = limit {
            hierarchy.unlimited = hierarchy.unlimited.min(limit);
        }
        Ok(hierarchy)
    }

    fn tree(&self, controller: Controller) -> Option<&Folder> {
        let controller = match self.version {
            Version::V1 => controller,
            Version::V2 => Controller::Unified,
        };
        self.trees[controller as usize].as_ref()
    }

    /// Whether the tree of `controller` is mounted.
    pub(crate) fn has(&self, controller: Controller) -> bool {
        self.tree(controller).is_some()
    }

    /// The tree in which containers are searched: each container is in all of them.
    fn walked(&self) -> Option<&Folder> {
        match self.version {
            Version::V2 => self.trees[Controller::Unified as usize].as_ref(),
            Version::V1 => {
                let mut order =
                    Controller::ALL.into_iter().filter(|tree| *tree != Controller::Unified);
                order.find_map(|controller| self.tree(controller))
            }
        }
    }

    /// Opens the file at `path` in the tree of `controller`.
    pub(crate) fn open(&self, controller: Controller, path: &str) -> Result<KeptFile, ReadError> {
        self.tree(controller).ok_or(ReadError::NotFound)?.file(path)
    }

    /// Calls `found` with the name and the inode number of each cgroup in the one at `path`.
    pub(crate) fn children(
        &self,
        controller: Controller,
        path: &str,
        mut found: impl FnMut(&str, u64),
    ) -> Result<(), ReadError> {
        let tree = self.tree(controller).ok_or(ReadError::NotFound)?;
        let folder = tree.folder(if path.is_empty() { "." } else { path })?;
        let mut left = MOST_FOLDERS;
        folder.entries(|name, kind, inode| {
            if kind == FileType::Directory
                && left > 0
                && let Ok(name) = name.to_str()
            {
                left -= 1;
                found(name, inode);
            }
        })
    }

    /// A process in the cgroup at `path`, if the processes of containers are visible.
    pub(crate) fn first_pid(&self, path: &str, buffer: &mut Buffer) -> Option<u32> {
        let file = self.walked()?.file(&format!("{path}/cgroup.procs")).ok()?;
        // There may be any number of them.
        let text = file.read_start(buffer).ok()?;
        let first = text.split(|byte| *byte == b'\n').next()?;
        let pid = parse::number(first).and_then(|pid| u32::try_from(pid).ok());
        // A process of another PID namespace is 0.
        pid.filter(|pid| *pid != 0)
    }

    /// Calls `found` with the path and the ID of each container's cgroup that exists now. Says
    /// whether there were too many folders to see all.
    pub(crate) fn containers(&self, mut found: impl FnMut(&str, &str)) -> Result<bool, ReadError> {
        let root = self.walked().ok_or(ReadError::NotFound)?;
        let mut walk = Walk { found: &mut found, path: String::new(), folders: 0 };
        walk.folder(root, 0)?;
        Ok(walk.folders > MOST_FOLDERS)
    }
}

/// The largest file of a cgroup that is read, in bytes. `memory.stat` has 2 kB.
pub(crate) const LIMIT: usize = 256 << 10;

struct Walk<'f> {
    found: &'f mut dyn FnMut(&str, &str),
    /// Of the present folder, with a slash at its end.
    path: String,
    folders: usize,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Folder, depth: usize) -> Result<(), ReadError> {
        let mut others = Vec::new();
        folder.folders(|name| {
            let Ok(text) = name.to_str() else { return };
            if let Some(id) = parse::container_id(text) {
                let end = self.path.len();
                self.path.push_str(text);
                (self.found)(&self.path, id);
                self.path.truncate(end);
            } else {
                others.push(name.to_owned());
            }
        })?;
        for name in others {
            self.other(folder, &name, depth);
        }
        Ok(())
    }

    /// A folder that is not a container's. Whatever goes wrong below it, the others are whole.
    fn other(&mut self, folder: &Folder, name: &CStr, depth: usize) {
        self.folders += 1;
        // Cheaper than to open it: most have no folder in them. Some file systems do not count.
        let is_leaf = folder.links(name) == Ok(2);
        if is_leaf || depth == DEEPEST || self.folders > MOST_FOLDERS {
            return;
        }
        let Ok(text) = name.to_str() else { return };
        // Gone since it was listed.
        let Ok(below) = folder.folder(text) else { return };
        let end = self.path.len();
        self.path.push_str(text);
        self.path.push('/');
        let _ = self.folder(&below, depth + 1);
        self.path.truncate(end);
    }
}
