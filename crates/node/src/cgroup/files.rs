//! Which files are read of a container, and what each one gives.

use super::parse::{self, DeviceCounts};
use super::{Controller, Version};
use crate::containers::sample::Sample;

/// What the files of one container said.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    pub(crate) sample: Sample,
    pub(crate) devices: Vec<DeviceCounts>,
    /// Version 1: the memory limit, that of cgroups above included.
    pub(crate) memory_limit: Option<u64>,
    /// Version 2: without memory.
    pub(crate) swap_limit: Option<u64>,
}

impl Raw {
    /// Makes the limits those of both versions. Those of `unlimited` bytes and more are not limits.
    pub(crate) fn resolve_limits(&mut self, version: Version, unlimited: u64) {
        let limits = &mut self.sample.limits;
        if version == Version::V2 {
            limits.memory_and_swap = limits.memory.zip(self.swap_limit).map(|(memory, swap)| {
                if swap >= unlimited { swap } else { memory.saturating_add(swap) }
            });
        }
        for limit in [&mut limits.memory, &mut limits.memory_and_swap] {
            *limit = limit.map(|bytes| if bytes >= unlimited { 0 } else { bytes });
        }
        // Of version 1, "none" is as large as a limit that is not there.
        let reservation = &mut limits.memory_reservation;
        *reservation = reservation.map(|bytes| if bytes >= unlimited { 0 } else { bytes });
    }
}

/// When a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// At each scrape, by a descriptor that is kept.
    Kept,
    /// At each scrape, if there is a memory limit. It is opened each time: a container has
    /// [`super::super::containers::MOST_DESCRIPTORS`] at most.
    WithMemoryLimit,
    /// At first sight, and when limits may have changed.
    Limits,
}

/// One file of a container's cgroup.
#[derive(Debug)]
pub(crate) struct FileSpec {
    pub(crate) controller: Controller,
    /// The first of these that exists.
    pub(crate) names: &'static [&'static str],
    pub(crate) when: When,
    /// Which part of the metrics is missing without it, and why: `None` if it is not a fault.
    pub(crate) missing: Option<(&'static str, &'static str)>,
    /// Takes the numbers. `false` if the file has nothing of what it should have.
    pub(crate) parse: fn(&[u8], &mut Raw) -> bool,
}

impl FileSpec {
    /// Its name in messages.
    pub(crate) fn name(&self) -> &'static str {
        self.names[0]
    }

    /// The files of containers in cgroups of `version`.
    pub(crate) const fn all(version: Version) -> &'static [Self] {
        match version {
            Version::V1 => V1,
            Version::V2 => V2,
        }
    }
}

const fn kept(
    controller: Controller,
    names: &'static [&'static str],
    missing: Option<(&'static str, &'static str)>,
    parse: fn(&[u8], &mut Raw) -> bool,
) -> FileSpec {
    FileSpec { controller, names, when: When::Kept, missing, parse }
}

const fn limit(
    controller: Controller,
    names: &'static [&'static str],
    parse: fn(&[u8], &mut Raw) -> bool,
) -> FileSpec {
    FileSpec { controller, names, when: When::Limits, missing: None, parse }
}

const MEMORY: Option<(&str, &str)> = Some((
    "memory",
    "the kernel has no memory controller, or it is off for containers; boot without cgroup_disable=memory, on a \
     Raspberry Pi with cgroup_enable=memory in /boot/firmware/cmdline.txt (on older ones with cgroup_memory=1 as \
     well), or delegate it (rootless: Delegate=memory)",
));
const CPU: Option<(&str, &str)> =
    Some(("cpu", "the kernel does not count processor time of cgroups"));
const IO: Option<(&str, &str)> = Some((
    "io",
    "the io controller is off for containers; it needs CONFIG_BLK_CGROUP (rootless: Delegate=io)",
));
const PIDS: Option<(&str, &str)> =
    Some(("pids", "the pids controller is off for containers; it needs CONFIG_CGROUP_PIDS"));
const SWAP: Option<(&str, &str)> =
    Some(("swap", "the kernel does not count swap of cgroups; boot with swapaccount=1"));
const MAX_USAGE: Option<(&str, &str)> =
    Some(("memory_max_usage", "the kernel has no memory.peak; it is there since Linux 5.19"));
const PRESSURE: Option<(&str, &str)> = Some(("pressure", NO_PRESSURE));

/// The same for the machine and for its containers: one reason is logged once.
pub(crate) const NO_PRESSURE: &str = "the kernel has no pressure stall information; boot with psi=1. It needs Linux 4.20 or \
     later, and for containers cgroup version 2 (alone or beside version 1)";

const V2: &[FileSpec] = &[
    kept(Controller::Cpu, &["cpu.stat"], CPU, |text, raw| {
        parse::cpu_stat_v2(text, &mut raw.sample.cpu)
    }),
    kept(Controller::Memory, &["memory.current"], MEMORY, |text, raw| {
        set(&mut raw.sample.memory.usage, parse::number(text))
    }),
    kept(Controller::Memory, &["memory.stat"], MEMORY, |text, raw| {
        parse::memory_stat_v2(text, &mut raw.sample.memory)
    }),
    kept(Controller::Memory, &["memory.swap.current"], SWAP, |text, raw| {
        set(&mut raw.sample.memory.swap, parse::number(text))
    }),
    kept(Controller::Memory, &["memory.peak"], MAX_USAGE, |text, raw| {
        set(&mut raw.sample.memory.max_usage, parse::number(text))
    }),
    kept(Controller::Memory, &["memory.events"], MEMORY, |text, raw| {
        parse::memory_events(text, &mut raw.sample.memory)
    }),
    kept(Controller::Memory, &["memory.max"], MEMORY, |text, raw| {
        set(&mut raw.sample.limits.memory, parse::limit(text))
    }),
    kept(Controller::Blkio, &["io.stat"], IO, |text, raw| parse::io_stat(text, &mut raw.devices)),
    kept(Controller::Pids, &["pids.current"], PIDS, |text, raw| {
        set(&mut raw.sample.tasks, parse::number(text))
    }),
    kept(Controller::Unified, &["cpu.pressure"], PRESSURE, |text, raw| {
        parse::pressure(text, &mut raw.sample.pressure[0])
    }),
    kept(Controller::Unified, &["memory.pressure"], PRESSURE, |text, raw| {
        parse::pressure(text, &mut raw.sample.pressure[1])
    }),
    kept(Controller::Unified, &["io.pressure"], PRESSURE, |text, raw| {
        parse::pressure(text, &mut raw.sample.pressure[2])
    }),
    kept(Controller::Cpu, &["cpu.max"], None, |text, raw| {
        let Some((quota, period)) = parse::cpu_max(text) else { return false };
        raw.sample.limits.cpu_quota = quota;
        raw.sample.limits.cpu_period = period;
        true
    }),
    limit(Controller::Memory, &["memory.swap.max"], |text, raw| {
        set(&mut raw.swap_limit, parse::limit(text))
    }),
    limit(Controller::Memory, &["memory.low"], |text, raw| {
        set(&mut raw.sample.limits.memory_reservation, parse::limit(text))
    }),
    limit(Controller::Cpu, &["cpu.weight"], |text, raw| {
        set(&mut raw.sample.limits.cpu_shares, parse::number(text).map(parse::shares_of_weight))
    }),
];

const V1: &[FileSpec] = &[
    kept(Controller::Cpuacct, &["cpuacct.usage"], CPU, |text, raw| {
        parse::cpuacct_usage(text, &mut raw.sample.cpu)
    }),
    kept(Controller::Cpuacct, &["cpuacct.stat"], CPU, |text, raw| {
        parse::cpuacct_stat(text, &mut raw.sample.cpu)
    }),
    kept(Controller::Cpu, &["cpu.stat"], None, |text, raw| {
        parse::cpu_stat_v1(text, &mut raw.sample.cpu)
    }),
    kept(Controller::Memory, &["memory.usage_in_bytes"], MEMORY, |text, raw| {
        set(&mut raw.sample.memory.usage, parse::number(text))
    }),
    kept(Controller::Memory, &["memory.stat"], MEMORY, |text, raw| {
        let (is_known, limit) = parse::memory_stat_v1(text, &mut raw.sample.memory);
        raw.memory_limit = limit;
        is_known
    }),
    kept(Controller::Memory, &["memory.max_usage_in_bytes"], MEMORY, |text, raw| {
        set(&mut raw.sample.memory.max_usage, parse::number(text))
    }),
    kept(Controller::Memory, &["memory.oom_control"], MEMORY, |text, raw| {
        parse::oom_control(text, &mut raw.sample.memory)
    }),
    kept(
        Controller::Blkio,
        &["blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"],
        IO,
        |text, raw| {
            parse::blkio(text, &mut raw.devices, |device, is_read| {
                if is_read { &mut device.read_bytes } else { &mut device.written_bytes }
            })
        },
    ),
    kept(
        Controller::Blkio,
        &["blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced"],
        IO,
        |text, raw| {
            parse::blkio(text, &mut raw.devices, |device, is_read| {
                if is_read { &mut device.reads } else { &mut device.writes }
            })
        },
    ),
    kept(Controller::Pids, &["pids.current"], PIDS, |text, raw| {
        set(&mut raw.sample.tasks, parse::number(text))
    }),
    kept(Controller::Unified, &["cpu.pressure"], PRESSURE, |text, raw| {
        parse::pressure(text, &mut raw.sample.pressure[0])
    }),
    kept(Controller::Unified, &["memory.pressure"], PRESSURE, |text, raw| {
        parse::pressure(text, &mut raw.sample.pressure[1])
    }),
    kept(Controller::Unified, &["io.pressure"], PRESSURE, |text, raw| {
        parse::pressure(text, &mut raw.sample.pressure[2])
    }),
    FileSpec {
        controller: Controller::Memory,
        names: &["memory.failcnt"],
        when: When::WithMemoryLimit,
        missing: None,
        parse: |text, raw| set(&mut raw.sample.memory.limit_hits, parse::number(text)),
    },
    limit(Controller::Memory, &["memory.limit_in_bytes"], |text, raw| {
        set(&mut raw.sample.limits.memory, parse::number(text))
    }),
    limit(Controller::Memory, &["memory.soft_limit_in_bytes"], |text, raw| {
        set(&mut raw.sample.limits.memory_reservation, parse::number(text))
    }),
    FileSpec {
        controller: Controller::Memory,
        names: &["memory.memsw.limit_in_bytes"],
        when: When::Limits,
        missing: SWAP,
        parse: |text, raw| set(&mut raw.sample.limits.memory_and_swap, parse::number(text)),
    },
    limit(Controller::Cpu, &["cpu.cfs_quota_us"], |text, raw| {
        let quota = parse::cfs_quota(text);
        raw.sample.limits.cpu_quota = quota.filter(|quota| *quota != parse::UNLIMITED);
        quota.is_some()
    }),
    limit(Controller::Cpu, &["cpu.cfs_period_us"], |text, raw| {
        set(&mut raw.sample.limits.cpu_period, parse::number(text))
    }),
    limit(Controller::Cpu, &["cpu.shares"], |text, raw| {
        set(&mut raw.sample.limits.cpu_shares, parse::number(text))
    }),
];

/// Sets `field` to what was read; says whether it was a number.
fn set(field: &mut Option<u64>, value: Option<u64>) -> bool {
    *field = value;
    value.is_some()
}
