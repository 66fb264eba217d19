//! Containers without an Engine: cgroups, each with a process in a network namespace of its own.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::process::until;

/// Where cgroups are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// Trees of version 1, as far as the node part reads them.
const TREES: [&str; 6] = ["cpu", "cpuacct", "memory", "blkio", "pids", "unified"];

/// A cgroup above containers, in each tree.
#[derive(Debug)]
pub struct Parent {
    pub name: String,
    /// What stands in the place of `/sys`: links to it.
    pub sysfs: PathBuf,
    folders: Vec<PathBuf>,
}

/// The containers, in a cgroup of their own. All end when dropped.
#[derive(Debug)]
pub struct Cgroups {
    pub parent: Parent,
    pub containers: Vec<Container>,
    made: u64,
}

/// A process in its cgroup.
#[derive(Debug)]
pub struct Container {
    pub id: String,
    process: Child,
    folders: Vec<PathBuf>,
}

/// Runs a program where the cgroup of this name is the root of all: its own and those that are
/// mounted.
const INSIDE: &str = r#"
name=$1; shift
trees=
for tree in /sys/fs/cgroup/*; do
    [ -e "$tree/$name/cgroup.procs" ] || continue
    echo $$ > "$tree/$name/cgroup.procs"
    trees="$trees ${tree##*/}"
done
exec unshare --cgroup --mount sh -c '
trees=$1; shift
mount -t tmpfs cgroup /sys/fs/cgroup
for tree in $trees; do
    mkdir "/sys/fs/cgroup/$tree"
    if [ "$tree" = unified ]; then kind="-t cgroup2"; else kind="-t cgroup -o $tree"; fi
    mount $kind cgroup "/sys/fs/cgroup/$tree"
done
exec "$@"' sh "$trees" "$@"
"#;

impl Parent {
    /// Makes it. `folder` is for the links.
    pub fn new(folder: &Path) -> Result<Self> {
        let name = format!("swarmscout-bench-{}", std::process::id());
        let root = Path::new(ROOT);
        let sysfs = folder.join("sys");
        let place = sysfs.join("fs/cgroup");
        fs::create_dir_all(place.parent().context("a folder has a parent")?)?;
        let mut folders = Vec::new();
        if is_unified() {
            let parent = root.join(&name);
            fs::create_dir_all(&parent).context("cannot make a cgroup: it needs root")?;
            for above in [root, &*parent] {
                fs::write(above.join("cgroup.subtree_control"), "+cpu +memory +io +pids")?;
            }
            std::os::unix::fs::symlink(&parent, &place)?;
            folders.push(parent);
        } else {
            fs::create_dir(&place)?;
            for tree in TREES.iter().filter(|tree| root.join(tree).join("cgroup.procs").exists()) {
                let parent = root.join(tree).join(&name);
                // Two trees may be one: cpu,cpuacct.
                fs::create_dir_all(&parent).context("cannot make a cgroup: it needs root")?;
                std::os::unix::fs::symlink(&parent, place.join(tree))?;
                folders.push(parent);
            }
        }
        Ok(Self { name, sysfs, folders })
    }

    /// A command that runs this program where nothing is but what is below this cgroup. With version
    /// 2 it sees all: no process may be in a cgroup above others.
    pub fn inside(&self, program: &str) -> Command {
        if is_unified() {
            return Command::new(program);
        }
        let mut command = Command::new("sh");
        command.args(["-c", INSIDE, "sh", &self.name, program]);
        command
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        let _ = fs::remove_dir(Path::new(ROOT).join(&self.name));
        // An Engine makes it in all trees.
        for tree in fs::read_dir(ROOT).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(tree.path().join(&self.name));
        }
    }
}

fn is_unified() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

impl Cgroups {
    /// None yet. `folder` is for the links.
    pub fn new(folder: &Path) -> Result<Self> {
        Ok(Self { parent: Parent::new(folder)?, containers: Vec::new(), made: 0 })
    }

    /// Starts one more.
    pub fn start(&mut self) -> Result<&Container> {
        self.made += 1;
        let id = id(self.made);
        let mut command = Command::new("unshare");
        command.args(["--net", "sleep", "infinity"]).stdin(Stdio::null());
        let process = command.spawn().context("cannot start unshare")?;
        let folders: Vec<_> = self.parent.folders.iter().map(|parent| parent.join(&id)).collect();
        let container = Container { id, process, folders };
        for folder in &container.folders {
            fs::create_dir_all(folder)?;
            fs::write(folder.join("cgroup.procs"), container.pid().to_string())?;
        }
        // Until then it is in the network namespace of its parent.
        let own = fs::read_link("/proc/self/ns/net")?;
        until("a network namespace", Duration::from_secs(20), || {
            Ok((fs::read_link(format!("/proc/{}/ns/net", container.pid()))? != own).then_some(()))
        })?;
        self.containers.push(container);
        self.containers.last().context("it was added")
    }

    /// Starts more until there is this number.
    pub fn grow(&mut self, count: usize) -> Result<()> {
        while self.containers.len() < count {
            self.start()?;
        }
        Ok(())
    }

    /// Ends the oldest one. Its ID.
    pub fn stop_oldest(&mut self) -> Result<String> {
        let container = self.containers.remove(0);
        let id = container.id.clone();
        container.stop()?;
        Ok(id)
    }
}

/// The ID of a container: like a real one it does not compress.
fn id(number: u64) -> String {
    let word = |word: u64| {
        let mut hasher = DefaultHasher::new();
        (number, word).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    };
    (0..4).map(word).collect()
}

impl Container {
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    fn stop(mut self) -> Result<()> {
        self.end();
        for folder in std::mem::take(&mut self.folders) {
            // The kernel takes the process out of it a moment after the end.
            until("the end of a cgroup", Duration::from_secs(20), || {
                let is_gone = fs::remove_dir(&folder).is_ok() || !folder.exists();
                Ok(is_gone.then_some(()))
            })?;
        }
        Ok(())
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.end();
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for container in self.containers.drain(..) {
            let _ = container.stop();
        }
    }
}
