//! The series of containers: cAdvisor's names, and ours.

use swarmscout_exposition::families::{Families, Family};
use swarmscout_exposition::pieces::{Kind, SeriesLabels};
use swarmscout_exposition::{Decimal, Value};

use super::sample::{DeviceSample, FilesystemSample, InterfaceSample, Sample};

/// A whole number or one with a fixed point.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Whole(u64),
    Fixed(Decimal),
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<Decimal> for Number {
    fn from(number: Decimal) -> Self {
        Self::Fixed(number)
    }
}

impl Value for Number {
    fn write(self, out: &mut String) {
        match self {
            Self::Whole(number) => number.write(out),
            Self::Fixed(number) => number.write(out),
        }
    }
}

/// How the series of a family come from a sample.
#[derive(Clone, Copy)]
enum Series {
    /// One at most.
    One(fn(&Sample) -> Option<Number>),
    /// One at most, with this label.
    Labelled(&'static str, &'static str, fn(&Sample) -> Option<Number>),
    /// One for each block device.
    Devices(fn(&DeviceSample) -> Option<u64>),
    /// One for each file system.
    Filesystems(fn(&FilesystemSample) -> Option<u64>),
    /// One for each interface.
    Interfaces(fn(&InterfaceSample) -> u64),
    /// One for each kind of page fault.
    Faults,
}

struct ContainerFamily {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    series: Series,
}

const fn counter(name: &'static str, help: &'static str, series: Series) -> ContainerFamily {
    ContainerFamily { name, kind: Kind::Counter, help, series }
}

const fn gauge(name: &'static str, help: &'static str, series: Series) -> ContainerFamily {
    ContainerFamily { name, kind: Kind::Gauge, help, series }
}

/// All families that have their numbers from cgroups and `/proc`, in the order of an exposition.
const FAMILIES: &[ContainerFamily] = &[
    counter(
        "container_cpu_usage_seconds_total",
        "Processor time of all processors together",
        Series::Labelled("cpu", "total", |s| s.cpu.usage.map(Number::Fixed)),
    ),
    counter(
        "container_cpu_user_seconds_total",
        "Processor time outside the kernel",
        Series::One(|s| s.cpu.user.map(Number::Fixed)),
    ),
    counter(
        "container_cpu_system_seconds_total",
        "Processor time in the kernel",
        Series::One(|s| s.cpu.system.map(Number::Fixed)),
    ),
    counter(
        "container_cpu_cfs_periods_total",
        "Periods of the CPU quota in which the container ran",
        Series::One(|s| s.cpu.periods.map(Number::Whole)),
    ),
    counter(
        "container_cpu_cfs_throttled_periods_total",
        "Periods in which the CPU quota was used up",
        Series::One(|s| s.cpu.throttled_periods.map(Number::Whole)),
    ),
    counter(
        "container_cpu_cfs_throttled_seconds_total",
        "Time that the container waited for its CPU quota",
        Series::One(|s| s.cpu.throttled.map(Number::Fixed)),
    ),
    gauge(
        "container_memory_usage_bytes",
        "Memory that is charged to the container, page cache included",
        Series::One(|s| s.memory.usage.map(Number::Whole)),
    ),
    gauge(
        "container_memory_working_set_bytes",
        "Memory in use without the page cache that goes first",
        Series::One(working_set),
    ),
    gauge(
        "container_memory_rss",
        "Anonymous memory",
        Series::One(|s| s.memory.rss.map(Number::Whole)),
    ),
    gauge(
        "container_memory_cache",
        "Page cache, tmpfs and shared memory included",
        Series::One(|s| s.memory.cache.map(Number::Whole)),
    ),
    gauge("container_memory_swap", "Swap", Series::One(|s| s.memory.swap.map(Number::Whole))),
    gauge(
        "container_memory_max_usage_bytes",
        "The most memory that was ever charged to the container",
        Series::One(|s| s.memory.max_usage.map(Number::Whole)),
    ),
    gauge(
        "container_memory_mapped_file",
        "Files that are mapped into memory",
        Series::One(|s| s.memory.mapped_file.map(Number::Whole)),
    ),
    gauge(
        "container_memory_kernel_usage",
        "Memory of the kernel",
        Series::One(|s| s.memory.kernel.map(Number::Whole)),
    ),
    gauge(
        "container_memory_total_active_file_bytes",
        "Page cache that was used several times",
        Series::One(|s| s.memory.active_file.map(Number::Whole)),
    ),
    gauge(
        "container_memory_total_inactive_file_bytes",
        "Page cache that the kernel reclaims first",
        Series::One(|s| s.memory.inactive_file.map(Number::Whole)),
    ),
    gauge(
        "container_memory_file_dirty_bytes",
        "Page cache that is not written yet",
        Series::One(|s| s.memory.dirty.map(Number::Whole)),
    ),
    gauge(
        "container_memory_file_writeback_bytes",
        "Page cache that is being written",
        Series::One(|s| s.memory.writeback.map(Number::Whole)),
    ),
    counter("container_memory_failures_total", "Page faults", Series::Faults),
    counter(
        "container_memory_failcnt",
        "How often the memory limit was reached",
        Series::One(|s| s.memory.limit_hits.map(Number::Whole)),
    ),
    counter(
        "container_memory_events_max_total",
        "How often the memory limit was reached",
        Series::One(|s| s.memory.limit_hits.map(Number::Whole)),
    ),
    counter(
        "container_memory_events_high_total",
        "How often memory.high was exceeded",
        Series::One(|s| s.memory.high_events.map(Number::Whole)),
    ),
    counter(
        "container_memory_pgscan_total",
        "Pages that the kernel tried to reclaim",
        Series::One(|s| s.memory.pages_scanned.map(Number::Whole)),
    ),
    counter(
        "container_memory_pgsteal_total",
        "Pages that the kernel reclaimed",
        Series::One(|s| s.memory.pages_reclaimed.map(Number::Whole)),
    ),
    counter(
        "container_memory_workingset_refault_file_total",
        "Pages of files that were read again soon after they were reclaimed",
        Series::One(|s| s.memory.file_refaults.map(Number::Whole)),
    ),
    counter(
        "container_memory_workingset_refault_anon_total",
        "Anonymous pages that were read again soon after they were reclaimed",
        Series::One(|s| s.memory.anon_refaults.map(Number::Whole)),
    ),
    counter(
        "container_oom_events_total",
        "Processes that were killed because there was no memory",
        Series::One(|s| s.memory.oom_kills.map(Number::Whole)),
    ),
    counter(
        "container_pressure_cpu_waiting_seconds_total",
        "Time in which some task waited for a processor",
        Series::One(|s| s.pressure[0].waiting.map(Number::Fixed)),
    ),
    counter(
        "container_pressure_cpu_stalled_seconds_total",
        "Time in which all tasks waited for a processor",
        Series::One(|s| s.pressure[0].stalled.map(Number::Fixed)),
    ),
    counter(
        "container_pressure_memory_waiting_seconds_total",
        "Time in which some task waited for memory",
        Series::One(|s| s.pressure[1].waiting.map(Number::Fixed)),
    ),
    counter(
        "container_pressure_memory_stalled_seconds_total",
        "Time in which all tasks waited for memory",
        Series::One(|s| s.pressure[1].stalled.map(Number::Fixed)),
    ),
    counter(
        "container_pressure_io_waiting_seconds_total",
        "Time in which some task waited for a device",
        Series::One(|s| s.pressure[2].waiting.map(Number::Fixed)),
    ),
    counter(
        "container_pressure_io_stalled_seconds_total",
        "Time in which all tasks waited for a device",
        Series::One(|s| s.pressure[2].stalled.map(Number::Fixed)),
    ),
    gauge(
        "container_tasks_state",
        "Processes and threads, running or not",
        Series::Labelled("state", "running", |s| s.tasks.map(Number::Whole)),
    ),
    counter("container_fs_reads_total", "Reads of block devices", Series::Devices(|d| d.reads)),
    counter("container_fs_writes_total", "Writes of block devices", Series::Devices(|d| d.writes)),
    counter(
        "container_fs_reads_bytes_total",
        "Bytes that were read from block devices",
        Series::Devices(|d| d.read_bytes),
    ),
    counter(
        "container_fs_writes_bytes_total",
        "Bytes that were written to block devices",
        Series::Devices(|d| d.written_bytes),
    ),
    gauge(
        "container_fs_usage_bytes",
        "Bytes of the file system that are used",
        Series::Filesystems(|f| f.used),
    ),
    gauge(
        "container_fs_limit_bytes",
        "Bytes that the file system has",
        Series::Filesystems(|f| f.size),
    ),
    gauge(
        "container_fs_inodes_free",
        "Inodes of the file system that are free",
        Series::Filesystems(|f| f.free_inodes),
    ),
    gauge(
        "container_fs_inodes_total",
        "Inodes that the file system has",
        Series::Filesystems(|f| f.inodes),
    ),
    counter(
        "container_network_receive_bytes_total",
        "Bytes that were received",
        Series::Interfaces(|i| i.received.bytes),
    ),
    counter(
        "container_network_receive_packets_total",
        "Packets that were received",
        Series::Interfaces(|i| i.received.packets),
    ),
    counter(
        "container_network_receive_errors_total",
        "Errors of packets that were received",
        Series::Interfaces(|i| i.received.errors),
    ),
    counter(
        "container_network_receive_packets_dropped_total",
        "Packets to be received that were dropped",
        Series::Interfaces(|i| i.received.dropped),
    ),
    counter(
        "container_network_transmit_bytes_total",
        "Bytes that were sent",
        Series::Interfaces(|i| i.sent.bytes),
    ),
    counter(
        "container_network_transmit_packets_total",
        "Packets that were sent",
        Series::Interfaces(|i| i.sent.packets),
    ),
    counter(
        "container_network_transmit_errors_total",
        "Errors of packets that were sent",
        Series::Interfaces(|i| i.sent.errors),
    ),
    counter(
        "container_network_transmit_packets_dropped_total",
        "Packets to be sent that were dropped",
        Series::Interfaces(|i| i.sent.dropped),
    ),
    gauge(
        "container_spec_memory_limit_bytes",
        "Limit of memory; 0 is unlimited",
        Series::One(|s| s.limits.memory.map(Number::Whole)),
    ),
    gauge(
        "container_spec_memory_swap_limit_bytes",
        "Limit of memory and swap together; 0 is unlimited",
        Series::One(|s| s.limits.memory_and_swap.map(Number::Whole)),
    ),
    gauge(
        "container_spec_memory_reservation_limit_bytes",
        "Memory that the kernel leaves to the container as long as it can",
        Series::One(|s| s.limits.memory_reservation.map(Number::Whole)),
    ),
    gauge(
        "container_spec_cpu_period",
        "Period of the CPU quota in microseconds",
        Series::One(|s| s.limits.cpu_period.map(Number::Whole)),
    ),
    gauge(
        "container_spec_cpu_quota",
        "CPU quota in microseconds a period",
        Series::One(|s| s.limits.cpu_quota.map(Number::Whole)),
    ),
    gauge(
        "container_spec_cpu_shares",
        "Weight of the container against others; 1024 is the default",
        Series::One(|s| s.limits.cpu_shares.map(Number::Whole)),
    ),
];

/// In use without the page cache that goes first: what a limit counts before it kills.
fn working_set(sample: &Sample) -> Option<Number> {
    let memory = &sample.memory;
    Some(Number::Whole(memory.usage?.saturating_sub(memory.inactive_file?)))
}

impl ContainerFamily {
    /// Writes the series of one container.
    fn write(&self, family: &mut Family<'_>, labels: &SeriesLabels, sample: &Sample) {
        match self.series {
            Series::One(value) => {
                if let Some(value) = value(sample) {
                    family.series(labels, value);
                }
            }
            Series::Labelled(name, of_label, value) => {
                if let Some(value) = value(sample) {
                    family.series_with(labels, &[(name, of_label)], value);
                }
            }
            Series::Devices(value) => {
                for device in &sample.devices {
                    if let Some(value) = value(device) {
                        family.series_with(labels, &[("device", &device.device)], value);
                    }
                }
            }
            Series::Filesystems(value) => {
                for filesystem in &sample.filesystems {
                    if let Some(value) = value(filesystem) {
                        family.series_with(labels, &[("device", &filesystem.device)], value);
                    }
                }
            }
            Series::Interfaces(value) => {
                for interface in &sample.interfaces {
                    let label = [("interface", &*interface.name)];
                    family.series_with(labels, &label, value(interface));
                }
            }
            Series::Faults => {
                let memory = &sample.memory;
                let faults =
                    [("pgfault", memory.page_faults), ("pgmajfault", memory.major_page_faults)];
                for (kind, value) in faults {
                    if let Some(value) = value {
                        let label = [("failure_type", kind), ("scope", "container")];
                        family.series_with(labels, &label, value);
                    }
                }
            }
        }
    }
}

/// Writes the family `index` of all containers; `false` if there is none.
pub(super) fn write<'s>(
    index: usize,
    cgroups: impl Iterator<Item = (&'s SeriesLabels, &'s Sample)>,
    out: &mut Families,
) -> bool {
    let Some(family) = FAMILIES.get(index) else { return false };
    let mut series = out.family(family.name, family.kind, family.help);
    for (labels, sample) in cgroups {
        family.write(&mut series, labels, sample);
    }
    true
}

/// The names of all families here.
#[cfg(test)]
pub(super) fn names() -> Vec<&'static str> {
    FAMILIES.iter().map(|family| family.name).collect()
}
