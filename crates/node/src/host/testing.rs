//! Recorded files, laid out as the kernel does.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder that goes with this value.
#[derive(Debug)]
pub(super) struct Tree(PathBuf);

impl Tree {
    pub(super) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("swarmscout-host-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn folder(&self, path: &str) {
        fs::create_dir_all(self.0.join(path)).unwrap();
    }

    pub(super) fn file(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn link(&self, path: &str, to: &Path) {
        std::os::unix::fs::symlink(to, self.0.join(path)).unwrap();
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A Raspberry Pi 4 with two of its processors, Linux 6.6, in a container that has `/etc` of it.
pub(super) fn raspberry_pi() -> Tree {
    let tree = Tree::new();
    for (file, text) in [
        (
            "proc/stat",
            "cpu  300 30 200 9000 50 0 20 0 0 0\n\
             cpu0 100 10 100 4500 25 0 20 0 0 0\n\
             cpu1 200 20 100 4500 25 0 0 0 0 0\n\
             intr 123456 0 1 2 3\nctxt 654321\nbtime 1700000000\nprocesses 4321\n\
             procs_running 2\nprocs_blocked 1\nsoftirq 99 1 2 3\n",
        ),
        (
            "proc/meminfo",
            "MemTotal:        3884000 kB\nMemFree:          100000 kB\nMemAvailable:    2000000 kB\n\
             Buffers:           50000 kB\nCached:          1900000 kB\nSwapCached:         1000 kB\n\
             Active(file):     800000 kB\nInactive(file):   900000 kB\nSwapTotal:        102396 kB\n\
             SwapFree:         100000 kB\nAnonPages:       1500000 kB\nMapped:           200000 kB\n\
             Slab:              90000 kB\nKReclaimable:      60000 kB\nCmaTotal:         524288 kB\n",
        ),
        (
            "proc/vmstat",
            "nr_free_pages 25000\npgpgin 5000\npgpgout 6000\npswpin 7\npswpout 8\npgfault 9000\n\
             pgmajfault 10\npgscan_kswapd 11\noom_kill 2\n",
        ),
        (
            "proc/diskstats",
            "   1       0 ram0 0 0 0 0 0 0 0 0 0 0 0\n\
             179       0 mmcblk0 1000 10 80000 1500 2000 20 160000 2500 0 3000 4000 5 6 7 8 9 10\n\
             179       1 mmcblk0p1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n",
        ),
        (
            "proc/1/net/dev",
            "Inter-|   Receive                                                |  Transmit\n \
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs \
             drop fifo colls carrier compressed\n    \
             lo:     100       2    0    0    0     0          0         0      100       2    0    \
             0    0     0       0          0\n  \
             eth0: 9000000    8000    1    2    3     4          5         6  7000000    6000    7    \
             8    9    10      11         12\n\
             veth12ab: 5       5    5    5    5     5          5         5        5       5    5    \
             5    5     5       5          5\n",
        ),
        (
            "proc/1/mountinfo",
            "20 1 999:2 / / rw,noatime shared:1 - ext4 /dev/root rw\n\
             21 20 0:99999 / /run rw,nosuid shared:2 - tmpfs tmpfs rw\n",
        ),
        ("proc/loadavg", "0.07 1.50 12.00 2/345 6789\n"),
        ("proc/sys/fs/file-nr", "1856\t0\t9223372036854775807\n"),
        ("proc/sys/kernel/random/boot_id", "00000000-1111-2222-3333-444444444444\n"),
        (
            "proc/pressure/cpu",
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=1234567\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
        ),
        (
            "proc/pressure/io",
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=2000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n",
        ),
        (
            "proc/pressure/memory",
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=30\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=20\n",
        ),
        ("sys/devices/system/cpu/cpu0/topology/physical_package_id", "0\n"),
        ("sys/devices/system/cpu/cpu0/topology/core_id", "0\n"),
        ("sys/devices/system/cpu/cpu1/topology/physical_package_id", "0\n"),
        ("sys/devices/system/cpu/cpu1/topology/core_id", "1\n"),
        ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
        ("sys/class/thermal/thermal_zone0/temp", "48312\n"),
        ("sys/devices/platform/soc/soc:firmware/get_throttled", "50000\n"),
        ("root/etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
        ("root/etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
    ] {
        tree.file(file, text);
    }
    tree
}
