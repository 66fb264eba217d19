//! The container that this program runs in.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use swarmscout_docker::engine::Task;

/// The most that is read of a file of `/proc`; a container's has some 10 kB.
const MAX_FILE: u64 = 1 << 20;

/// The ID of the container that this program runs in, or its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnContainer(Arc<str>);

impl OwnContainer {
    /// Finds it out by `/proc` and the host name. `None` outside of a container.
    pub fn read() -> Option<Self> {
        let text = |path: &str| {
            let mut text = Vec::new();
            File::open(path).ok()?.take(MAX_FILE).read_to_end(&mut text).ok()?;
            Some(String::from_utf8_lossy(&text).into_owned())
        };
        let text = |path| text(path).unwrap_or_default();
        let (mounts, cgroups) = (text("/proc/self/mountinfo"), text("/proc/self/cgroup"));
        Self::of(&mounts, &cgroups, &text("/proc/sys/kernel/hostname"))
    }

    /// What the content of `/proc/self/mountinfo`, that of `/proc/self/cgroup` and the host name
    /// say, in this order. With version 2 of cgroups only the mounts have the ID; the host name is
    /// its beginning unless it was configured.
    fn of(mounts: &str, cgroups: &str, hostname: &str) -> Option<Self> {
        let of_mounts = || mounts.lines().find_map(of_mount);
        let of_cgroups = || cgroups.lines().find_map(|line| id_in(line.rsplit(':').next()?));
        let of_hostname = || {
            let name = hostname.trim();
            (name.len() == 12 && is_hex(name)).then_some(name)
        };
        of_mounts().or_else(of_cgroups).or_else(of_hostname).map(|id| Self(id.into()))
    }

    #[cfg(test)]
    pub(super) fn of_id(id: &str) -> Self {
        Self(id.into())
    }

    /// The ID, or its beginning.
    pub fn id(&self) -> &str {
        &self.0
    }

    /// Whether it is the container of a task.
    pub fn is_of(&self, task: &Task) -> bool {
        task.container.starts_with(&*self.0)
    }
}

/// Engines mount these files of a container from a folder that is named after it.
const OWN_FILES: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];

/// The ID in a line of mountinfo: `36 35 98:0 <path in the file system> <where> …`
fn of_mount(line: &str) -> Option<&str> {
    let mut fields = line.split(' ').skip(3);
    let (from, to) = (fields.next()?, fields.next()?);
    // Containers of others may be mounted elsewhere.
    OWN_FILES.contains(&to).then(|| id_in(from)).flatten()
}

/// The ID in a path: `/docker/<ID>`, `/system.slice/docker-<ID>.scope`.
fn id_in(path: &str) -> Option<&str> {
    path.rsplit('/').find_map(|part| {
        let part = part.strip_suffix(".scope").unwrap_or(part);
        let id = part.rsplit('-').next()?;
        (id.len() == 64 && is_hex(id)).then_some(id)
    })
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4c1a0b5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708";

    fn check(mounts: &str, cgroups: &str, hostname: &str, expected: Option<&str>) {
        let fill = |text: &str| text.replace("ID", ID);
        let found = OwnContainer::of(&fill(mounts), &fill(cgroups), hostname);
        assert_eq!(found.as_ref().map(OwnContainer::id), expected);
    }

    #[test]
    fn finds_the_id_with_either_version_of_cgroups() {
        check("", "12:memory:/docker/ID\n11:cpu:/docker/ID\n", "web", Some(ID));
        check("", "1:name=systemd:/system.slice/docker-ID.scope\n", "web", Some(ID));
        let mounts = "655 640 0:103 / /proc rw - proc proc rw\n\
                      663 638 8:1 /var/lib/docker/containers/ID/resolv.conf /etc/resolv.conf rw - ext4 /dev/sda1 rw\n";
        check(mounts, "0::/\n", "web", Some(ID));
        let podman = "663 638 0:25 /containers/overlay-containers/ID/userdata/hostname /etc/hostname rw - tmpfs tmpfs rw\n";
        check(podman, "0::/\n", "web", Some(ID));
        check("", "0::/\n", "3f4c1a0b5d6e\n", Some("3f4c1a0b5d6e"));
    }

    #[test]
    fn finds_nothing_outside_of_a_container() {
        check("", "", "", None);
        check("", "0::/user.slice/user-1000.slice/session-3.scope\n", "laptop", None);
        // The folders of others, as a container with the host's file system sees them.
        let others =
            "663 638 8:1 /var/lib/docker/containers/ID/mounts/shm /rootfs/x rw - tmpfs shm rw\n";
        check(others, "0::/\n", "web", None);
        check("bad line\n\n1 2 3\n", "::::\n", "fedcba987654321", None);
    }
}
