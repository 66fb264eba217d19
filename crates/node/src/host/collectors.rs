//! Switches of the node's metrics.

/// A group of metrics that is on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collector {
    /// `node_cpu_*`
    Cpu,
    /// `node_memory_*`
    Meminfo,
    /// `node_filesystem_*`
    Filesystem,
    /// `node_disk_*`
    Diskstats,
    /// `node_network_*`
    Netdev,
    /// `node_load*`
    Loadavg,
    /// Interrupts, context switches, forks, processes, the time of the start.
    Stat,
    /// `node_vmstat_*`
    Vmstat,
    /// `node_uname_info`
    Uname,
    /// `node_time_seconds`
    Time,
    /// `node_timex_*`
    Timex,
    /// `node_filefd_*`
    Filefd,
    /// `node_nf_conntrack_*`
    Conntrack,
    /// `node_pressure_*`
    Pressure,
    /// `node_hwmon_*`, and what the firmware of a Raspberry Pi reports.
    Hwmon,
    /// `node_thermal_zone_temp`
    ThermalZone,
    /// `node_meta`
    Meta,
    /// `machine_*` and `cadvisor_version_info`
    Machine,
    /// `container_*` of the node as a whole, `id="/"`
    Root,
}

impl Collector {
    /// All collectors.
    pub const ALL: [Self; 19] = [
        Self::Cpu,
        Self::Meminfo,
        Self::Filesystem,
        Self::Diskstats,
        Self::Netdev,
        Self::Loadavg,
        Self::Stat,
        Self::Vmstat,
        Self::Uname,
        Self::Time,
        Self::Timex,
        Self::Filefd,
        Self::Conntrack,
        Self::Pressure,
        Self::Hwmon,
        Self::ThermalZone,
        Self::Meta,
        Self::Machine,
        Self::Root,
    ];

    /// Its flag, without dashes: `collector.` and node exporter's name of it, where that has it.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Cpu => "collector.cpu",
            Self::Meminfo => "collector.meminfo",
            Self::Filesystem => "collector.filesystem",
            Self::Diskstats => "collector.diskstats",
            Self::Netdev => "collector.netdev",
            Self::Loadavg => "collector.loadavg",
            Self::Stat => "collector.stat",
            Self::Vmstat => "collector.vmstat",
            Self::Uname => "collector.uname",
            Self::Time => "collector.time",
            Self::Timex => "collector.timex",
            Self::Filefd => "collector.filefd",
            Self::Conntrack => "collector.conntrack",
            Self::Pressure => "collector.pressure",
            Self::Hwmon => "collector.hwmon",
            Self::ThermalZone => "collector.thermal_zone",
            Self::Meta => "collector.meta",
            Self::Machine => "collector.machine",
            Self::Root => "collector.root",
        }
    }

    /// What its metrics are about, for the help of its flag.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Cpu => "CPU time by processor and mode",
            Self::Meminfo => "Memory",
            Self::Filesystem => "Size and use of file systems",
            Self::Diskstats => "Reads and writes of disks",
            Self::Netdev => "Traffic of network interfaces",
            Self::Loadavg => "Load average",
            Self::Stat => {
                "Interrupts, context switches, forks, processes and the time of the start"
            }
            Self::Vmstat => "Page faults, swapping and out-of-memory kills",
            Self::Uname => "Kernel version and host name",
            Self::Time => "The time of the node",
            Self::Timex => "Whether the clock of the node is synchronized, and how far it is off",
            Self::Filefd => "Open files",
            Self::Conntrack => "Tracked connections",
            Self::Pressure => "How long tasks waited for CPU, memory and I/O",
            Self::Hwmon => "Temperatures, voltages and the state of a Raspberry Pi",
            Self::ThermalZone => "Temperatures of thermal zones",
            Self::Meta => "node_meta, which has ID and name of the node",
            Self::Machine => "machine_* and cadvisor_version_info",
            Self::Root => "container_* of the node as a whole, id=\"/\"",
        }
    }

    /// Whether its metrics are those of a node exporter: two of them on one node would count twice.
    pub const fn is_of_node_exporter(self) -> bool {
        !matches!(self, Self::Meta | Self::Machine | Self::Root)
    }
}

/// Which collectors are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collectors(u32);

impl Default for Collectors {
    /// All of them.
    fn default() -> Self {
        Self(u32::MAX)
    }
}

impl Collectors {
    /// Switches one on or off.
    pub fn set(&mut self, collector: Collector, on: bool) {
        let bit = 1 << collector as u32;
        self.0 = if on { self.0 | bit } else { self.0 & !bit };
    }

    /// Whether it is on.
    pub const fn has(self, collector: Collector) -> bool {
        self.0 >> collector as u32 & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_collector_has_a_switch_of_its_own() {
        for collector in Collector::ALL {
            assert!(collector.flag().starts_with("collector."));
            let mut all = Collectors::default();
            all.set(collector, false);
            for other in Collector::ALL {
                assert_eq!(all.has(other), other != collector);
            }
            all.set(collector, true);
            assert_eq!(all, Collectors::default());
        }
    }
}
