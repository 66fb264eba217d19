//! How much memory sources and lists may hold together unless `--limits.memory` says it.
//!
//! Four fifths of what the control group of the process may have, which is what Docker's
//! `--memory` and a stack's `resources.limits.memory` set; the rest is for everything that is not
//! counted. Without such a limit it is [`WITHOUT_CGROUP`].

use std::path::{Path, PathBuf};

use swarmscout_model::size::Bytes;

/// The limit where the process has none.
pub const WITHOUT_CGROUP: Bytes = Bytes(2 << 30);

/// Larger limits of a control group do not count: version 1 writes a huge number for "no limit".
const NO_LIMIT: u64 = 1 << 60;

/// The limit of this process.
pub fn default_limit() -> Bytes {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    read(Path::new("/proc/self/cgroup"))
        .and_then(|groups| of_cgroup(&groups, read))
        .map_or(WITHOUT_CGROUP, |limit| Bytes(limit / 5 * 4))
}

/// The smallest limit of the control groups that are listed, and of those that they are in.
/// `groups` is `/proc/self/cgroup`, a line `number:controllers:path` for each hierarchy.
fn of_cgroup(groups: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) =
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        // In a container the path may be one that is seen from outside alone; its own group is then
        // the root. A parent's limit holds for all below it.
        let inside = Path::new(path.trim_start_matches('/'));
        inside.ancestors().map(|group| Path::new(root).join(group).join(file)).collect::<Vec<_>>()
    });
    let limit = |path: PathBuf| read(&path)?.trim().parse::<u64>().ok();
    limits.filter_map(limit).filter(|limit| *limit < NO_LIMIT).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(groups: &str, files: &[(&str, &str)], expected: Option<u64>) {
        let read = |path: &Path| {
            let file = files.iter().find(|(name, _)| Path::new(name) == path);
            file.map(|(_, text)| (*text).to_owned())
        };
        assert_eq!(of_cgroup(groups, read), expected, "{groups}");
    }

    #[test]
    fn the_smallest_limit_counts() {
        let v2 = "0::/system.slice/docker-abc.scope\n";
        let own = "/sys/fs/cgroup/system.slice/docker-abc.scope/memory.max";
        let slice = "/sys/fs/cgroup/system.slice/memory.max";
        check(v2, &[(own, "268435456\n"), (slice, "max\n")], Some(256 << 20));
        check(v2, &[(own, "max\n"), (slice, "1073741824\n")], Some(1 << 30));
        check(v2, &[(own, "max\n"), (slice, "max\n")], None);
        check(v2, &[], None);
        // In a container.
        check("0::/\n", &[("/sys/fs/cgroup/memory.max", "1000000\n")], Some(1_000_000));
        let v1 = "5:cpu:/x\n4:memory:/docker/abc\n0::/\n";
        let root = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
        let own = "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes";
        check(v1, &[(root, "536870912\n")], Some(512 << 20));
        check(v1, &[(own, "9223372036854771712\n"), (root, "9223372036854771712\n")], None);
        check("", &[], None);
    }
}
