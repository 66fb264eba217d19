//! The whole node in the place of the root of all cgroups, cAdvisor's `id="/"`.
//!
//! Its numbers are those of `/proc`: the same on both cgroup versions, without any controller. Memory
//! is counted as the root of version 2 counts it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use swarmscout_exposition::Decimal;

use super::small::Pressure;
use super::{Collector, Host};
use crate::containers::sample::{
    CpuSample, LimitsSample, MemorySample, PRESSURES, PressureSample, Sample,
};

impl Host {
    /// The node as a container, for `Reading::add_machine`; `None` if that collector is off.
    pub fn root(&self) -> Option<Sample> {
        if !self.collectors.has(Collector::Root) {
            return None;
        }
        let has_cpus = self.stat.cpus().len() > 0;
        Some(Sample {
            cpu: CpuSample {
                usage: has_cpus.then(|| self.stat.usage()),
                user: has_cpus.then(|| self.stat.user()),
                system: has_cpus.then(|| self.stat.system()),
                ..CpuSample::default()
            },
            memory: self.root_memory(),
            pressure: PRESSURES.map(|resource| {
                let Pressure { some, full } = self.pressure_of(resource);
                PressureSample {
                    waiting: some.map(Decimal::micros),
                    stalled: full.map(Decimal::micros),
                }
            }),
            devices: self.disks.samples(),
            interfaces: self.interfaces.samples(),
            filesystems: self.filesystems.samples(),
            limits: LimitsSample {
                memory: self.meminfo.get("MemTotal"),
                ..LimitsSample::default()
            },
            ..Sample::default()
        })
    }

    /// When the kernel was started.
    pub fn started(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.stat.boot_time?))
    }

    fn root_memory(&self) -> MemorySample {
        let get = |field| self.meminfo.get(field);
        let add = u64::saturating_add;
        // `Cached` leaves out what the others count.
        let cache = get("Cached").zip(get("Buffers"));
        let cache = cache.map(|(cached, buffers)| add(cached, buffers));
        let cache = cache.map(|cache| add(cache, get("SwapCached").unwrap_or(0)));
        let swap = get("SwapTotal").zip(get("SwapFree"));
        MemorySample {
            usage: get("AnonPages").zip(cache).map(|(anonymous, cache)| add(anonymous, cache)),
            rss: get("AnonPages"),
            cache,
            swap: swap.map(|(all, free)| all.saturating_sub(free)),
            mapped_file: get("Mapped"),
            active_file: get("Active(file)"),
            inactive_file: get("Inactive(file)"),
            dirty: get("Dirty"),
            writeback: get("Writeback"),
            page_faults: self.vmstat.get("pgfault"),
            major_page_faults: self.vmstat.get("pgmajfault"),
            oom_kills: self.vmstat.get("oom_kill"),
            ..MemorySample::default()
        }
    }
}
