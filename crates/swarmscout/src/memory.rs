//! How much memory sources and lists may hold together unless `--limits.memory` says it.
//!
//! Four fifths of what the control group of the process may have, which is what Docker's
//! `--memory` and a stack's `resources.limits.memory` set; the rest is for everything that is not
//! counted. Without such a limit it is [`WITHOUT_CGROUP`].
//!
//! What sources and lists hold is an estimate. So the memory that the process really has is limited
//! as well ([`process`]): some more than `--limits.memory`, and at most 85 % of the control group.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use swarmscout_model::Process;
use swarmscout_model::size::Bytes;

/// The limit where the process has none.
pub const WITHOUT_CGROUP: Bytes = Bytes(2 << 30);

/// Larger limits of a control group do not count: version 1 writes a huge number for "no limit".
const NO_LIMIT: u64 = 1 << 60;

/// What a small process has beyond the memory that is counted.
const BASE: u64 = 32 << 20;

/// The limit of this process.
pub fn default_limit() -> Bytes {
    cgroup().map_or(WITHOUT_CGROUP, |limit| Bytes(limit / 5 * 4))
}

/// The smallest limit of the control groups that this process is in.
fn cgroup() -> Option<u64> {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    of_cgroup(&read(Path::new("/proc/self/cgroup"))?, read)
}

/// This process, where sources and lists may hold `counted` bytes.
pub fn process(counted: Bytes) -> Process {
    let statm = File::open("/proc/self/statm").ok();
    let page = rustix::param::page_size() as u64;
    let resident = move || {
        let mut text = [0; 128];
        let length = statm.as_ref()?.read_at(&mut text, 0).ok()?;
        Some(anonymous_pages(std::str::from_utf8(&text[..length]).ok()?)? * page)
    };
    Process { limit: process_limit(counted, cgroup()), resident: Box::new(resident) }
}

fn process_limit(Bytes(counted): Bytes, cgroup: Option<u64>) -> u64 {
    let limit = counted.saturating_add((counted / 8).max(BASE));
    cgroup.map_or(limit, |cgroup| limit.min(cgroup / 20 * 17))
}

/// The pages of `/proc/self/statm` that no file has, which the kernel could read again: its members
/// are all pages, those in memory, and of these the pages of files.
fn anonymous_pages(statm: &str) -> Option<u64> {
    let mut pages = statm.split_ascii_whitespace().skip(1).map_while(|text| text.parse().ok());
    let (resident, of_files): (u64, u64) = (pages.next()?, pages.next()?);
    Some(resident.saturating_sub(of_files))
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

    #[test]
    fn the_process_may_have_more_than_what_is_counted() {
        let limit = |counted: u64, cgroup: Option<u64>| {
            process_limit(Bytes(counted << 20), cgroup.map(|limit| limit << 20)) >> 20
        };
        assert_eq!(limit(64, None), 96);
        assert_eq!(limit(2048, None), 2304);
        assert_eq!(limit(300, Some(375)), 318);
        assert_eq!(limit(1000, Some(400)), 340);
    }

    #[test]
    fn pages_of_files_do_not_count() {
        assert_eq!(anonymous_pages("55555 1200 200 4000 0 900 0\n"), Some(1000));
        assert_eq!(anonymous_pages("55555 1200\n"), None);
        assert!((process(Bytes(1)).resident)().is_some_and(|bytes| bytes > 100_000));
    }
}
