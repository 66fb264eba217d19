//! The metrics of the node itself: `node_*` as node exporter has them, `machine_*` and the root's
//! `container_*` as cAdvisor has them.
//!
//! One [`Host`] is read at each scrape, then written. Files of the kernel are kept open and parsed
//! into what the scrape before has left, so that a scrape allocates next to nothing. What may hang,
//! file systems and sensors, is asked on threads of its own (`statfs`, `sensors`) and skipped as
//! long as it does.

mod collectors;
mod disk;
mod filesystem;
mod hwmon;
mod machine;
mod memory;
mod mounts;
mod net;
mod root;
mod scan;
mod sensors;
mod small;
mod source;
mod stat;
mod statfs;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod timex;

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use swarmscout_exposition::Decimal;
use swarmscout_exposition::families::Families;
use swarmscout_exposition::pieces::{Kind, SeriesLabels};

use crate::cgroup::NO_PRESSURE;
use crate::read::{Buffer, Folder};
use crate::roots::Roots;
use crate::unavailable::Unavailable;

pub use collectors::{Collector, Collectors};
pub use machine::Versions;

use disk::Disks;
use filesystem::Filesystems;
use machine::Machine;
use memory::{Meminfo, Vmstat};
use net::Interfaces;
use sensors::SensorReader;
use small::{Load, Pressure, RESOURCES};
use source::{OwnMounts, Source};
use stat::Stat;
use timex::Timex;

const NO_LABELS: SeriesLabels = SeriesLabels::new();

/// Which node of the Swarm this is, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its ID in the Swarm.
    pub node_id: Option<String>,
    /// Its host name.
    pub node_name: Option<String>,
}

/// What a scrape is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// `node_*`, and what comes with it.
    pub node: bool,
    /// `machine_*`, and the root of all containers.
    pub machine: bool,
}

/// The metrics of the node itself.
#[derive(Debug)]
pub struct Host {
    roots: Roots,
    collectors: Collectors,
    unavailable: Arc<Unavailable>,
    procfs: Option<Folder>,
    buffer: Buffer,
    sources: Sources,
    own_mounts: OwnMounts,
    /// This process is in the network of the host: what the kernel says of "the" network is the
    /// host's.
    shares_network: bool,
    scraped: Option<SystemTime>,
    stat: Stat,
    meminfo: Meminfo,
    vmstat: Vmstat,
    disks: Disks,
    interfaces: Interfaces,
    filesystems: Filesystems,
    load: Load,
    timex: Option<Timex>,
    file_descriptors: Option<[u64; 3]>,
    conntrack: [Option<u64>; 2],
    pressure: [Pressure; 4],
    sensors: SensorReader,
    machine: Machine,
}

#[derive(Debug)]
struct Sources {
    stat: Source,
    meminfo: Source,
    vmstat: Source,
    disks: Source,
    interfaces: Source,
    mounts: Source,
    load: Source,
    file_descriptors: Source,
    conntrack: [Source; 2],
    pressure: [Source; 4],
}

impl Sources {
    fn new(is_native: bool) -> Self {
        let of_pid_1 = |what, path, fallback| {
            let fallback = if is_native { Some(fallback) } else { None };
            Source::new(what, path).in_pieces().or(fallback)
        };
        Self {
            stat: Source::new("stat", "stat"),
            meminfo: Source::new("meminfo", "meminfo"),
            vmstat: Source::new("vmstat", "vmstat").in_pieces(),
            disks: Source::new("diskstats", "diskstats").in_pieces(),
            interfaces: of_pid_1("netdev", "1/net/dev", "net/dev"),
            mounts: of_pid_1("filesystem", "1/mountinfo", "self/mountinfo"),
            load: Source::new("loadavg", "loadavg"),
            file_descriptors: Source::new("filefd", "sys/fs/file-nr"),
            conntrack: ["count", "max"].map(|end| match end {
                "count" => {
                    Source::new("conntrack", "sys/net/netfilter/nf_conntrack_count").optional()
                }
                _ => Source::new("conntrack", "sys/net/netfilter/nf_conntrack_max").optional(),
            }),
            pressure: RESOURCES.map(|path| Source::new("pressure", path).optional()),
        }
    }
}

impl Host {
    /// Reads nothing but what never changes.
    pub fn new(roots: Roots, collectors: Collectors, unavailable: Arc<Unavailable>) -> Self {
        let mut buffer = Buffer::default();
        let machine = Machine::new(&roots, &mut buffer);
        let has = |collector| collectors.has(collector);
        let (with_hwmon, with_zones) = (has(Collector::Hwmon), has(Collector::ThermalZone));
        Self {
            sources: Sources::new(is_native(&roots)),
            shares_network: source::is_in_network_of_host(&roots),
            sensors: SensorReader::new(roots.sysfs.clone(), with_hwmon, with_zones),
            roots,
            collectors,
            unavailable,
            procfs: None,
            buffer,
            own_mounts: OwnMounts::default(),
            scraped: None,
            stat: Stat::default(),
            meminfo: Meminfo::default(),
            vmstat: Vmstat::default(),
            disks: Disks::default(),
            interfaces: Interfaces::default(),
            filesystems: Filesystems::default(),
            load: Load::default(),
            timex: None,
            file_descriptors: None,
            conntrack: [None; 2],
            pressure: [Pressure::default(); 4],
            machine,
        }
    }

    /// Reads what `scope` needs. Blocks; for some seconds at most, as far as `/proc` itself answers.
    pub fn read(&mut self, scope: Scope) {
        self.scraped = Some(SystemTime::now());
        if self.procfs.is_none() {
            match Folder::open(&self.roots.procfs) {
                Ok(folder) => self.procfs = Some(folder),
                Err(error) => {
                    let path = self.roots.procfs.display();
                    let reason = format!("cannot read {path}: {error}; set --path.procfs");
                    self.unavailable.set("procfs", reason);
                    return;
                }
            }
            self.unavailable.clear("procfs");
        }
        let collectors = self.collectors;
        let Self { unavailable, procfs, buffer, sources, .. } = self;
        let Some(procfs) = procfs else { return };
        let node = |collector| scope.node && collectors.has(collector);
        let root = scope.machine && collectors.has(Collector::Root);
        let machine = scope.machine && collectors.has(Collector::Machine);
        let mut read = |source: &mut Source, parse: &mut dyn FnMut(&[u8])| {
            // A file that cannot be read has no numbers, not those of the scrape before.
            parse(source.read(procfs, buffer, unavailable).unwrap_or_default());
        };
        if node(Collector::Cpu) || node(Collector::Stat) || root || machine {
            read(&mut sources.stat, &mut |text| self.stat.parse(text));
        }
        if node(Collector::Meminfo) || root || machine {
            read(&mut sources.meminfo, &mut |text| self.meminfo.parse(text));
        }
        if node(Collector::Vmstat) || root {
            read(&mut sources.vmstat, &mut |text| self.vmstat.parse(text));
        }
        if node(Collector::Diskstats) || root {
            read(&mut sources.disks, &mut |text| self.disks.parse(text));
        }
        if node(Collector::Netdev) || root {
            read(&mut sources.interfaces, &mut |text| self.interfaces.parse(text));
        }
        if node(Collector::Loadavg) {
            read(&mut sources.load, &mut |text| self.load.parse(text));
        }
        if node(Collector::Timex) {
            self.timex = None;
            match Timex::read() {
                Ok(timex) => {
                    self.timex = Some(timex);
                    unavailable.clear("timex");
                }
                Err(error) => {
                    let help = "allow the system call adjtimex, as Docker's default does";
                    let reason =
                        format_args!("cannot ask for the state of the clock: {error}; {help}");
                    unavailable.set("timex", reason);
                }
            }
        }
        if node(Collector::Filefd) {
            read(&mut sources.file_descriptors, &mut |text| {
                let mut all = [0; 3];
                let count = scan::numbers(scan::words(text.trim_ascii_end()), &mut all);
                self.file_descriptors = (count == 3).then_some(all);
            });
        }
        if node(Collector::Conntrack) {
            let reason =
                "a container sees the table of its own network; use the network of the host";
            unavailable.note("conntrack", (!self.shares_network).then_some(reason));
        }
        if node(Collector::Conntrack) && self.shares_network {
            for (source, value) in sources.conntrack.iter_mut().zip(&mut self.conntrack) {
                read(source, &mut |text| *value = scan::number(text.trim_ascii_end()));
            }
        }
        if node(Collector::Pressure) || root {
            for (source, pressure) in sources.pressure.iter_mut().zip(&mut self.pressure) {
                read(source, &mut |text| *pressure = Pressure::parse(text));
            }
            let is_missing = self.pressure == [Pressure::default(); 4];
            unavailable.note("pressure", is_missing.then_some(NO_PRESSURE));
        }
        if node(Collector::Filesystem) || root {
            self.read_filesystems();
        }
        if node(Collector::Hwmon) || node(Collector::ThermalZone) {
            let has_answered = self.sensors.read();
            let reason = "a sensor does not answer; all are skipped until it does";
            self.unavailable.note("sensors", (!has_answered).then_some(reason));
        }
        if machine {
            let cpus: Vec<_> = self.stat.cpus().collect();
            self.machine.count(cpus.iter().copied(), &self.roots.sysfs, &mut self.buffer);
        }
    }

    fn read_filesystems(&mut self) {
        let Self { procfs, buffer, sources, own_mounts, filesystems, roots, unavailable, .. } =
            self;
        let Some(procfs) = procfs else { return };
        let is_new = own_mounts.read();
        match sources.mounts.read(procfs, buffer, unavailable) {
            Some(text) if is_new || filesystems.is_new(text) => {
                filesystems.set_mounts(text, own_mounts.text(), roots);
            }
            Some(_) => {}
            None => filesystems.clear(),
        }
        filesystems.ask(unavailable);
    }

    /// Writes what node exporter has, and `node_meta`.
    pub fn write_node(&self, identity: &Identity, versions: &Versions, out: &mut Families) {
        let has = |collector| self.collectors.has(collector);
        if has(Collector::Meta) {
            machine::write_meta(identity, out);
        }
        if has(Collector::Uname) {
            machine::write_uname(identity, out);
            machine::write_build(versions, out);
        }
        if has(Collector::Time)
            && let Some(now) = self.now()
        {
            let help = "System time in seconds since epoch (1970).";
            out.family("node_time_seconds", Kind::Gauge, help).series(&NO_LABELS, now);
        }
        if has(Collector::Timex)
            && let Some(timex) = &self.timex
        {
            timex.write(out);
        }
        if has(Collector::Cpu) {
            self.stat.write_cpu(out);
        }
        if has(Collector::Stat) {
            self.stat.write_stat(out);
        }
        if has(Collector::Loadavg) {
            self.load.write(out);
        }
        if has(Collector::Meminfo) {
            self.meminfo.write(out);
        }
        if has(Collector::Vmstat) {
            self.vmstat.write(out);
        }
        if has(Collector::Pressure) {
            small::write_pressure(&self.pressure, out);
        }
        if has(Collector::Filesystem) {
            self.filesystems.write(out);
        }
        if has(Collector::Diskstats) {
            self.disks.write(out);
        }
        if has(Collector::Netdev) {
            self.interfaces.write(out);
        }
        if has(Collector::Filefd)
            && let Some(all) = self.file_descriptors
        {
            small::write_file_descriptors(all, out);
        }
        if has(Collector::Conntrack)
            && let [Some(entries), Some(limit)] = self.conntrack
        {
            small::write_conntrack(entries, limit, out);
        }
        if let Some(sensors) = self.sensors.sensors() {
            sensors.write(out);
        }
    }

    /// Writes `machine_*` and `cadvisor_version_info`.
    pub fn write_machine(&self, versions: &Versions, out: &mut Families) {
        if self.collectors.has(Collector::Machine) {
            self.machine.write(&self.meminfo, versions, out);
        }
    }

    /// How long tasks waited for `cpu`, `io` or `memory`.
    fn pressure_of(&self, resource: &str) -> Pressure {
        let is_of = |path: &&str| path.strip_prefix("pressure/") == Some(resource);
        RESOURCES.iter().position(is_of).map_or_else(Pressure::default, |at| self.pressure[at])
    }

    fn now(&self) -> Option<Decimal> {
        let since = self.scraped?.duration_since(UNIX_EPOCH).ok()?;
        Some(Decimal::nanos(u64::try_from(since.as_nanos()).ok()?))
    }
}

/// Whether this process sees the host's `/proc` as its own: it is in no container.
fn is_native(roots: &Roots) -> bool {
    roots.procfs == Path::new("/proc")
}
