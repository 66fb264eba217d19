//! Where the host's file systems are mounted.

use std::path::{Path, PathBuf};

/// Where the host's `/proc`, `/sys` and `/` are mounted: in a container they are binds, such as
/// `/host/proc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// `--path.procfs`
    pub procfs: PathBuf,
    /// `--path.sysfs`
    pub sysfs: PathBuf,
    /// `--path.rootfs`
    pub rootfs: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { procfs: "/proc".into(), sysfs: "/sys".into(), rootfs: "/".into() }
    }
}

impl Roots {
    /// The folder of the cgroups.
    pub fn cgroups(&self) -> PathBuf {
        self.sysfs.join("fs/cgroup")
    }

    /// Where the host's `path` is, which is absolute there: `/` itself is the root's bind.
    pub fn on_host(&self, path: &Path) -> PathBuf {
        self.rootfs.join(path.strip_prefix("/").unwrap_or(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_host_are_below_its_root() {
        let roots = Roots { rootfs: "/host".into(), ..Roots::default() };
        assert_eq!(roots.on_host(Path::new("/var/lib")), Path::new("/host/var/lib"));
        assert_eq!(roots.on_host(Path::new("/")), Path::new("/host"));
        assert_eq!(roots.cgroups(), Path::new("/sys/fs/cgroup"));
    }
}
