//! The numbers of one container, or of the whole machine, at one scrape.

use std::sync::Arc;

use swarmscout_exposition::Decimal;

/// What the files said. What could not be read is `None` or missing, never 0.
///
/// The machine itself is one, too, with the path `/`: its families are those of the containers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Processor time.
    pub cpu: CpuSample,
    /// Memory.
    pub memory: MemorySample,
    /// Time in which tasks had to wait: processor, memory, devices.
    pub pressure: [PressureSample; 3],
    /// Processes and threads.
    pub tasks: Option<u64>,
    /// Reads and writes, by block device.
    pub devices: Vec<DeviceSample>,
    /// By network interface.
    pub interfaces: Vec<InterfaceSample>,
    /// By file system: of the machine only.
    pub filesystems: Vec<FilesystemSample>,
    /// What the container may use.
    pub limits: LimitsSample,
}

/// Processor time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuSample {
    /// All of it, in seconds.
    pub usage: Option<Decimal>,
    /// Outside the kernel, in seconds.
    pub user: Option<Decimal>,
    /// In the kernel, in seconds.
    pub system: Option<Decimal>,
    /// Periods of the quota in which the container ran.
    pub periods: Option<u64>,
    /// Those in which it had to wait for the next one.
    pub throttled_periods: Option<u64>,
    /// How long it waited, in seconds.
    pub throttled: Option<Decimal>,
}

/// Memory, in bytes where nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemorySample {
    /// All that is charged to the container, the page cache included.
    pub usage: Option<u64>,
    /// The most that `usage` ever was.
    pub max_usage: Option<u64>,
    /// Anonymous memory.
    pub rss: Option<u64>,
    /// The page cache, shared memory and tmpfs included.
    pub cache: Option<u64>,
    /// Swap.
    pub swap: Option<u64>,
    /// Files that are mapped into processes.
    pub mapped_file: Option<u64>,
    /// Memory of the kernel itself. Version 2 only.
    pub kernel: Option<u64>,
    /// Page cache that was used several times.
    pub active_file: Option<u64>,
    /// Page cache that is the first to go.
    pub inactive_file: Option<u64>,
    /// Page cache that is not on the disk yet.
    pub dirty: Option<u64>,
    /// Page cache that is being written.
    pub writeback: Option<u64>,
    /// How often a page was missing.
    pub page_faults: Option<u64>,
    /// How often one had to be read from a disk.
    pub major_page_faults: Option<u64>,
    /// Pages that the kernel tried to reclaim. Version 2 only.
    pub pages_scanned: Option<u64>,
    /// Pages that it reclaimed. Version 2 only.
    pub pages_reclaimed: Option<u64>,
    /// Pages of files that were read again soon after they were reclaimed.
    pub file_refaults: Option<u64>,
    /// The same of anonymous memory.
    pub anon_refaults: Option<u64>,
    /// How often the limit was reached.
    pub limit_hits: Option<u64>,
    /// How often `memory.high` was exceeded. Version 2 only.
    pub high_events: Option<u64>,
    /// How many processes were killed because there was no memory.
    pub oom_kills: Option<u64>,
}

/// Time in which tasks had to wait, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PressureSample {
    /// Some task waited.
    pub waiting: Option<Decimal>,
    /// All tasks waited.
    pub stalled: Option<Decimal>,
}

/// Which [`PressureSample`] is which.
pub const PRESSURES: [&str; 3] = ["cpu", "memory", "io"];

/// Reads and writes of one block device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceSample {
    /// Its name below `/dev`, else its number as `8:0`.
    pub device: Arc<str>,
    /// Bytes that were read.
    pub read_bytes: Option<u64>,
    /// Bytes that were written.
    pub written_bytes: Option<u64>,
    /// Reads.
    pub reads: Option<u64>,
    /// Writes.
    pub writes: Option<u64>,
}

/// What went through one network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceSample {
    /// As the kernel names it.
    pub name: Box<str>,
    /// Into the container.
    pub received: TrafficSample,
    /// Out of the container.
    pub sent: TrafficSample,
}

/// One direction of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficSample {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets that were broken.
    pub errors: u64,
    /// Packets that were thrown away.
    pub dropped: u64,
}

/// One file system of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesystemSample {
    /// The block device, such as `/dev/sda1`.
    pub device: Box<str>,
    /// Bytes that are used.
    pub used: Option<u64>,
    /// Bytes that it has.
    pub size: Option<u64>,
    /// Inodes that are free.
    pub free_inodes: Option<u64>,
    /// Inodes that it has.
    pub inodes: Option<u64>,
}

/// What a container may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitsSample {
    /// Bytes of memory; 0 is unlimited.
    pub memory: Option<u64>,
    /// Bytes of memory and swap together; 0 is unlimited.
    pub memory_and_swap: Option<u64>,
    /// Bytes that the kernel leaves to the container as long as it can; 0 is nothing.
    pub memory_reservation: Option<u64>,
    /// Microseconds of processor time a period. `None` without a quota.
    pub cpu_quota: Option<u64>,
    /// Microseconds.
    pub cpu_period: Option<u64>,
    /// Weight against other containers: 1024 is the default.
    pub cpu_shares: Option<u64>,
}
