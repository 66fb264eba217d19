//! Reads all containers, once a scrape.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::io::Errno;
use swarmscout_exposition::pieces::SeriesLabels;

use super::devices::Devices;
use super::kills::{ChildKind, ChildReading, Kills, ParentReading};
use super::labels::ContainerLabels;
use super::process::{NoNetwork, Process, Procfs};
use super::sample::{DeviceSample, LimitsSample, MemorySample};
use super::{CgroupReading, MOST_DESCRIPTORS, Reading};
use crate::cgroup::{Controller, FileSpec, Hierarchy, LIMIT, Raw, Version, When, parse};
use crate::ends::{Ends, KillSource, Service};
use crate::engine::ENGINE;
use crate::facts::{ContainerState, Facts, FactsSet};
use crate::read::{Buffer, Folder, KeptFile, ReadError};
use crate::roots::Roots;
use crate::unavailable::Unavailable;

/// Limits of a container are read at first sight, when its facts or its memory limit change, and at
/// every tenth scrape: nothing else reports that they changed.
const LIMITS_EVERY: u64 = 10;

/// The largest table of mounts that is read, in bytes.
const MOUNTS: usize = 4 << 20;

/// After how many scrapes facts and cgroups that do not agree are a fault.
const PATIENCE: u64 = 2;

/// Reads the containers of this node. It blocks: call it on a thread for what may hang.
#[derive(Debug)]
pub struct ContainerReader {
    roots: Roots,
    unavailable: Arc<Unavailable>,
    hierarchy: Option<Hierarchy>,
    tracked: BTreeMap<Box<str>, Tracked>,
    devices: Devices,
    buffer: Buffer,
    scrapes: u64,
    /// At how many scrapes in a row containers ran, and had no cgroup.
    without_cgroups: u64,
    errors: Errors,
    /// `None` where what ends is not counted.
    kills: Option<KillCounter>,
}

/// Counts kills for want of memory by service.
#[derive(Debug)]
struct KillCounter {
    ends: Arc<Ends>,
    kills: Kills,
    /// Whether an Engine reports kills as well.
    has_engine: bool,
    /// Whether `memory.events` counts what is below a cgroup; `None` before that is known.
    is_hierarchical: Option<bool>,
}

/// Files that were not read: how often, by name and reason.
#[derive(Debug, Default)]
struct Errors(BTreeMap<(&'static str, &'static str), u64>);

impl Errors {
    fn count(&mut self, file: &'static str, error: ReadError) {
        let reason = match error {
            // A container that ended, or a kernel without the file.
            ReadError::NotFound | ReadError::Gone | ReadError::Other(Errno::OPNOTSUPP) => return,
            ReadError::Denied => "denied",
            ReadError::TooLarge(_) => "too_large",
            ReadError::Garbage => "garbage",
            ReadError::Other(_) => "failed",
        };
        *self.0.entry((file, reason)).or_default() += 1;
    }
}

/// A container whose cgroup exists.
#[derive(Debug)]
struct Tracked {
    id: Box<str>,
    /// Without a slash in front.
    path: Box<str>,
    /// At which scrape it was seen first, and last.
    first: u64,
    last: u64,
    files: Vec<(&'static FileSpec, KeptFile)>,
    process: Process,
    facts: Option<Arc<Facts>>,
    labels: ContainerLabels,
    limits: LimitsSample,
    /// What the limits were when they were read: version 1 memory, version 2 memory and CPU.
    limits_of: Option<(Option<u64>, Option<u64>)>,
}

/// What went wrong with one container.
enum Ended {
    /// Its cgroup has been removed.
    Cgroup,
}

impl ContainerReader {
    /// Reads nothing yet.
    pub fn new(roots: Roots, unavailable: Arc<Unavailable>) -> Self {
        Self {
            roots,
            unavailable,
            hierarchy: None,
            tracked: BTreeMap::new(),
            devices: Devices::default(),
            buffer: Buffer::default(),
            scrapes: 0,
            without_cgroups: 0,
            errors: Errors::default(),
            kills: None,
        }
    }

    /// Counts kills for want of memory in `ends`, by the kernel's counts and the ends of containers.
    /// Where the kernel does not have them, what an Engine reports counts, if there is one.
    #[must_use]
    pub fn counting_kills(mut self, ends: Arc<Ends>, has_engine: bool) -> Self {
        let kills = Kills::default();
        self.kills = Some(KillCounter { ends, kills, has_engine, is_hierarchical: None });
        self
    }

    /// Reads all containers that there are now.
    pub fn read(&mut self, facts: &FactsSet, now: SystemTime) -> Reading {
        self.scrapes += 1;
        self.devices.start_scrape();
        if self.hierarchy.is_none() {
            match Hierarchy::find(&self.roots.cgroups()) {
                Ok(found) => {
                    self.unavailable.clear("cgroups");
                    self.hierarchy = Some(found);
                }
                Err(reason) => self.unavailable.set("cgroups", reason),
            }
        }
        self.find(facts);
        let mut cgroups = Vec::with_capacity(self.tracked.len());
        let mut network = NetworkTally::default();
        if let Some(hierarchy) = self.hierarchy.take() {
            let procfs = Procfs::open(&self.roots.procfs, &mut self.buffer).ok();
            let mut kills = self.kills.take();
            let totals = kills.as_mut().map(|kills| self.kill_totals(&hierarchy, kills));
            let mut living = Vec::with_capacity(self.tracked.len());
            for (path, mut one) in std::mem::take(&mut self.tracked) {
                let mut read = self.read_one(&hierarchy, procfs.as_ref(), &mut one, &mut network);
                if read.is_err() {
                    // Restarted since the last scrape: the same path is another cgroup.
                    one.files.clear();
                    one.first = self.scrapes;
                    read = self.read_one(&hierarchy, procfs.as_ref(), &mut one, &mut network);
                }
                if let Ok(raw) = read {
                    cgroups.push(self.reading_of(&one, raw));
                    living.push((path, one));
                }
            }
            self.tracked = living.into_iter().collect();
            if let Some((kills, totals)) = kills.as_mut().zip(totals) {
                // Events come at once.
                let is_up_to_date = kills.has_engine && !self.unavailable.has(ENGINE);
                let as_of = if is_up_to_date { Some(now) } else { facts.as_of };
                self.count_kills(&hierarchy, kills, (now, as_of), totals, &cgroups);
            }
            self.kills = kills;
            self.hierarchy = Some(hierarchy);
        }
        self.note(facts, cgroups.len(), &network);
        let containers = self.known(facts);
        let errors = &self.errors.0;
        let errors = errors.iter().map(|((file, reason), count)| (*file, *reason, *count));
        Reading { now, cgroups, containers, errors: errors.collect() }
    }

    /// Reads the kills in each cgroup that has containers in it. Before them: what is killed meanwhile
    /// shows in a container first.
    fn kill_totals(
        &mut self,
        hierarchy: &Hierarchy,
        KillCounter { ends, kills, has_engine, is_hierarchical }: &mut KillCounter,
    ) -> BTreeMap<Box<str>, u64> {
        let mut totals = BTreeMap::new();
        let mut reason = None;
        let mut is_off = !hierarchy.has(Controller::Memory);
        let is_v2 = hierarchy.version == Version::V2;
        let is_hierarchical = *is_hierarchical
            .get_or_insert_with(|| is_v2 && !has_local_events(&self.roots, &mut self.buffer));
        if is_hierarchical {
            let with_containers: BTreeSet<&str> =
                self.tracked.keys().map(|path| parent_of(path)).collect();
            let mut paths = with_containers.clone();
            paths.extend(kills.parents());
            // There before its first container.
            paths.insert("docker");
            for path in paths {
                match kills_in(hierarchy, path, &mut self.buffer) {
                    Ok(total) => drop(totals.insert(path.into(), total)),
                    Err(ReadError::NotFound | ReadError::Gone)
                        if !with_containers.contains(path) => {}
                    // The root never has it.
                    Err(ReadError::NotFound) if !path.is_empty() => is_off = true,
                    Err(error) => {
                        reason = Some(format!("cannot read memory.events of /{path}: {error}"));
                    }
                }
            }
        } else if is_v2 {
            reason = Some("cgroups are mounted with memory_localevents".to_owned());
        } else {
            reason =
                Some("cgroup version 1 forgets the counts of cgroups that are gone".to_owned());
        }
        // Without the controller nothing is killed by a limit, and `memory` is unavailable.
        let reason = reason.filter(|_| !is_off);
        ends.set_kill_source(match &reason {
            _ if is_off => KillSource::Unknown,
            // No container was seen yet, or those of the host are elsewhere.
            None if *has_engine && totals.is_empty() => KillSource::Engine,
            None => KillSource::Kernel,
            Some(_) if *has_engine => KillSource::Engine,
            Some(_) => KillSource::Unknown,
        });
        let reason = reason.filter(|_| !*has_engine);
        let help = "give Docker's socket, which reports kills for want of memory";
        self.unavailable.note("oom_ended", reason.map(|reason| format!("{reason}; {help}")));
        totals
    }

    /// Counts the kills since the last scrape.
    fn count_kills(
        &mut self,
        hierarchy: &Hierarchy,
        KillCounter { ends, kills, .. }: &mut KillCounter,
        at: (SystemTime, Option<SystemTime>),
        totals: BTreeMap<Box<str>, u64>,
        cgroups: &[CgroupReading],
    ) {
        let tracked = self.tracked.iter().zip(cgroups);
        let tracked: HashMap<&str, (&Tracked, &CgroupReading)> =
            tracked.map(|((path, one), cgroup)| (&**path, (one, cgroup))).collect();
        let mut readings = BTreeMap::new();
        for (path, total) in totals {
            let is_same = kills.is_same(&path, total);
            let mut children = Vec::new();
            if !is_same || kills.is_shared(&path) {
                let listed = hierarchy.children(Controller::Memory, &path, |name, inode| {
                    let kind = match parse::container_id(name) {
                        Some(_) => ChildKind::Container(None),
                        None => ChildKind::Other,
                    };
                    children.push(ChildReading { name: name.into(), inode, kills: 0, kind });
                });
                if listed.is_err() {
                    continue;
                }
            }
            for child in children.iter_mut().filter(|_| !is_same) {
                let below = format!("{path}/{}", child.name);
                let below = below.trim_start_matches('/');
                let mut counted = None;
                if let Some((one, cgroup)) = tracked.get(below) {
                    let service = one.facts.as_deref().map(Service::of_facts);
                    child.kind = ChildKind::Container(service);
                    counted = cgroup.sample.memory.oom_kills;
                }
                let read = || kills_in(hierarchy, below, &mut self.buffer).ok();
                // One that is gone by now, or that does not count.
                child.kills = counted.or_else(read).unwrap_or_default();
            }
            readings.insert(path, ParentReading { total, children });
        }
        let living = self.tracked.values().map(|one| &*one.id);
        for (service, count) in kills.observe(at, readings, ends.take_killed(), living) {
            ends.out_of_memory(service, count);
        }
    }

    /// Brings what is tracked to what exists.
    fn find(&mut self, facts: &FactsSet) {
        let Some(hierarchy) = &self.hierarchy else { return };
        let (tracked, scrape) = (&mut self.tracked, self.scrapes);
        let found = hierarchy.containers(|path, id| {
            let facts = facts.containers.get(id);
            if let Some(one) = tracked.get_mut(path) {
                one.last = scrape;
                one.update(facts);
            } else {
                tracked.insert(path.into(), Tracked::new(path, id, facts, scrape));
            }
        });
        match found {
            Ok(is_incomplete) => {
                let reason = "there are too many cgroups to find all containers";
                self.unavailable.note("containers", is_incomplete.then_some(reason));
                tracked.retain(|_, one| one.last == scrape);
            }
            Err(error) => {
                self.unavailable.set("cgroups", format_args!("cannot list cgroups: {error}"));
                self.hierarchy = None;
                tracked.clear();
            }
        }
    }

    /// Reads one container.
    fn read_one(
        &mut self,
        hierarchy: &Hierarchy,
        procfs: Option<&Procfs>,
        one: &mut Tracked,
        network: &mut NetworkTally,
    ) -> Result<Raw, Ended> {
        let age = self.scrapes - one.first;
        // A container may be found while its cgroup is being made: so at the second scrape, too. The
        // path spreads the reads over the scrapes.
        let turn = one.id.bytes().fold(0_u64, |sum, byte| sum + u64::from(byte));
        let is_turn = age <= 1 || (self.scrapes + turn).is_multiple_of(LIMITS_EVERY);
        if is_turn {
            self.open(hierarchy, one)?;
        }
        let pid = one.facts.as_ref().and_then(|facts| facts.pid);
        if age == 0 || (pid.is_some() && !one.process.is_of(pid)) || (pid.is_none() && is_turn) {
            let own = pid.or_else(|| hierarchy.first_pid(&one.path, &mut self.buffer));
            if !one.process.is_of(own) || age == 0 {
                let facts = one.facts.as_deref();
                one.process = Process::open(procfs, &one.id, facts, own, &mut self.buffer);
            }
        }

        let mut raw = Raw::default();
        for (spec, file) in &one.files {
            match file.read_whole(&mut self.buffer, LIMIT) {
                Ok(text) => {
                    if !(spec.parse)(text, &mut raw) {
                        self.errors.count(spec.name(), ReadError::Garbage);
                    }
                }
                Err(ReadError::Gone) => return Err(Ended::Cgroup),
                Err(error) => self.failed(spec, error),
            }
        }
        self.limits(hierarchy, one, &mut raw, is_turn);
        match one.process.interfaces(&mut self.buffer, &mut raw.sample.interfaces) {
            Ok(0) => network.read += 1,
            Ok(_) => {
                network.read += 1;
                self.errors.count("net/dev", ReadError::TooLarge(parse::MOST_INTERFACES));
            }
            Err(NoNetwork::NotItsOwn) => {}
            Err(reason) => {
                if let NoNetwork::Unreadable(error) = reason {
                    self.errors.count("net/dev", error);
                }
                // The facts of one that has just been started may not be here yet.
                if age >= PATIENCE {
                    network.missing.get_or_insert(reason);
                }
            }
        }
        Ok(raw)
    }

    /// Reads the limits where they may have changed, else takes the last ones.
    fn limits(&mut self, hierarchy: &Hierarchy, one: &mut Tracked, raw: &mut Raw, is_turn: bool) {
        let limits = raw.sample.limits;
        let key = match hierarchy.version {
            Version::V1 => (raw.memory_limit, None),
            Version::V2 => (limits.memory, limits.cpu_quota),
        };
        if is_turn || one.limits_of != Some(key) {
            self.read_files(hierarchy, one, raw, When::Limits);
            raw.resolve_limits(hierarchy.version, hierarchy.unlimited);
            one.limits = raw.sample.limits;
            one.limits_of = Some(key);
        }
        raw.sample.limits = one.limits;
        if one.limits.memory.is_some_and(|limit| limit != 0) {
            self.read_files(hierarchy, one, raw, When::WithMemoryLimit);
        }
        if one.limits.cpu_quota.is_none() {
            let cpu = &mut raw.sample.cpu;
            (cpu.periods, cpu.throttled_periods, cpu.throttled) = (None, None, None);
        }
    }

    /// Reads files that are not kept.
    fn read_files(&mut self, hierarchy: &Hierarchy, one: &Tracked, raw: &mut Raw, when: When) {
        for spec in FileSpec::all(hierarchy.version).iter().filter(|spec| spec.when == when) {
            for name in spec.names {
                let path = format!("{}/{name}", one.path);
                let file = hierarchy.open(spec.controller, &path);
                match file.and_then(|file| {
                    let text = file.read_whole(&mut self.buffer, LIMIT)?;
                    if (spec.parse)(text, raw) { Ok(()) } else { Err(ReadError::Garbage) }
                }) {
                    Ok(()) => break,
                    Err(ReadError::NotFound) => self.missing(hierarchy, spec, one),
                    Err(error) => self.failed(spec, error),
                }
            }
        }
    }

    /// Opens the files that are kept and not open yet.
    fn open(&mut self, hierarchy: &Hierarchy, one: &mut Tracked) -> Result<(), Ended> {
        let specs = FileSpec::all(hierarchy.version);
        for spec in specs.iter().filter(|spec| spec.when == When::Kept) {
            if one.files.iter().any(|(open, _)| std::ptr::eq(*open, spec)) {
                continue;
            }
            // One is that of the process.
            if one.files.len() + 1 == MOST_DESCRIPTORS {
                break;
            }
            let mut found = Err(ReadError::NotFound);
            for name in spec.names {
                found = hierarchy.open(spec.controller, &format!("{}/{name}", one.path));
                if !matches!(found, Err(ReadError::NotFound)) {
                    break;
                }
            }
            match found {
                Ok(file) => {
                    if let Some((what, _)) = spec.missing {
                        self.unavailable.clear(what);
                    }
                    one.files.push((spec, file));
                }
                Err(ReadError::NotFound | ReadError::Gone) => {
                    self.missing(hierarchy, spec, one);
                }
                Err(error) => self.failed(spec, error),
            }
        }
        // All of them are gone: the cgroup was removed since it was found.
        if one.files.is_empty() { Err(Ended::Cgroup) } else { Ok(()) }
    }

    /// Notes that a container does not have a file, unless it has just ended.
    fn missing(&self, hierarchy: &Hierarchy, spec: &FileSpec, one: &Tracked) {
        let Some((what, reason)) = spec.missing else { return };
        // Swap and the like are missing because memory is.
        let is_memory = |spec: &FileSpec| spec.controller == Controller::Memory;
        if is_memory(spec) && what != "memory" && !one.files.iter().any(|(open, _)| is_memory(open))
        {
            return;
        }
        let is_there = !hierarchy.has(spec.controller)
            || hierarchy.open(spec.controller, &format!("{}/cgroup.procs", one.path)).is_ok();
        if is_there {
            self.unavailable.set(what, reason);
        }
    }

    fn failed(&mut self, spec: &FileSpec, error: ReadError) {
        self.errors.count(spec.name(), error);
        match (spec.missing, error) {
            // PSI is compiled in, but not switched on.
            (Some((what, reason)), ReadError::Other(Errno::OPNOTSUPP)) => {
                self.unavailable.set(what, reason);
            }
            (Some((what, _)), ReadError::Denied) => {
                let name = spec.name();
                self.unavailable.set(what, format_args!("cannot read {name}: {error}"));
            }
            (_, ReadError::Other(Errno::MFILE)) => {
                let reason = "too many open files; raise the limit, 14 for each container";
                self.unavailable.set("descriptors", reason);
            }
            _ => {}
        }
    }

    fn reading_of(&mut self, one: &Tracked, mut raw: Raw) -> CgroupReading {
        let devices = raw.devices.drain(..).map(|counts| DeviceSample {
            device: self.devices.name(counts.number, &self.roots.procfs),
            read_bytes: counts.read_bytes,
            written_bytes: counts.written_bytes,
            reads: counts.reads,
            writes: counts.writes,
        });
        raw.sample.devices = devices.collect();
        let facts = one.facts.as_deref();
        CgroupReading {
            labels: Arc::clone(&one.labels.cgroup),
            started: facts.and_then(|facts| facts.started).or(one.process.started),
            created: facts.and_then(|facts| facts.created),
            health: facts.and_then(|facts| facts.health),
            sample: raw.sample,
        }
    }

    /// The containers that `facts` know, each with the labels of our families.
    fn known(&self, facts: &FactsSet) -> Vec<(Arc<SeriesLabels>, Arc<Facts>)> {
        let mut running: HashMap<&str, &Tracked> = HashMap::with_capacity(self.tracked.len());
        running.extend(self.tracked.values().map(|one| (&*one.id, one)));
        let mut known: Vec<_> = facts.containers.values().collect();
        known.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let known = known.into_iter().map(|facts| {
            let labels = match running.get(&*facts.id) {
                Some(one) => Arc::clone(&one.labels.container),
                None => Arc::new(ContainerLabels::ended(&facts.id, Some(facts))),
            };
            (labels, Arc::clone(facts))
        });
        known.collect()
    }

    /// Notes what is missing for all containers.
    fn note(&mut self, facts: &FactsSet, cgroups: usize, network: &NetworkTally) {
        let is_running = |facts: &&Arc<Facts>| facts.state == Some(ContainerState::Running);
        let running = facts.containers.values().filter(is_running).count();
        let is_without = self.hierarchy.is_some() && cgroups == 0 && running > 0;
        self.without_cgroups = if is_without { self.without_cgroups + 1 } else { 0 };
        let are_elsewhere = self.without_cgroups > PATIENCE;
        let place = self.roots.cgroups();
        let place = place.display();
        self.unavailable.note(
            "container_cgroups",
            are_elsewhere.then(|| {
                format!(
                    "containers run ({running}), but none has its cgroup below {place}; in a \
                     container, bind the host's /sys/fs/cgroup and set --path.sysfs"
                )
            }),
        );
        let reason = network.missing.filter(|_| network.read == 0).map(|reason| match reason {
            NoNetwork::NoPid => "no PID of a container is known; it needs --manager, Docker's \
                                 socket, or the host's PID namespace"
                .to_owned(),
            NoNetwork::Unreadable(error) => format!("cannot read /proc/<pid>/net/dev: {error}"),
            NoNetwork::Ended | NoNetwork::NotItsOwn => format!(
                "no process of a container is below {}; in a container, bind the host's /proc and \
                 set --path.procfs; /proc must not be mounted with hidepid",
                self.roots.procfs.display()
            ),
        });
        if reason.is_some() || network.read > 0 {
            self.unavailable.note("network", reason);
        }
    }
}

/// Of how many containers the network was read, and why not of another.
#[derive(Default)]
struct NetworkTally {
    read: usize,
    missing: Option<NoNetwork>,
}

/// The cgroup that has the one at `path` in it; the root is empty.
fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// How many processes were killed in the cgroup at `path`, and below it. Version 2 only.
fn kills_in(hierarchy: &Hierarchy, path: &str, buffer: &mut Buffer) -> Result<u64, ReadError> {
    let name = if path.is_empty() { "memory.events" } else { &format!("{path}/memory.events") };
    let file = hierarchy.open(Controller::Memory, name)?;
    let mut memory = MemorySample::default();
    parse::memory_events(file.read_whole(buffer, LIMIT)?, &mut memory);
    memory.oom_kills.ok_or(ReadError::Garbage)
}

/// Whether cgroups are mounted so that `memory.events` has nothing of those below.
fn has_local_events(roots: &Roots, buffer: &mut Buffer) -> bool {
    let Ok(procfs) = Folder::open(&roots.procfs) else { return false };
    let Ok(mounts) = procfs.read("1/mountinfo", buffer, MOUNTS) else { return false };
    let has = |line: &[u8], text: &[u8]| line.windows(text.len()).any(|part| part == text);
    let mut lines = mounts.split(|byte| *byte == b'\n');
    lines.any(|line| has(line, b" - cgroup2 ") && has(line, b"memory_localevents"))
}

impl Tracked {
    fn new(path: &str, id: &str, facts: Option<&Arc<Facts>>, scrape: u64) -> Self {
        Self {
            id: id.into(),
            path: path.into(),
            first: scrape,
            last: scrape,
            files: Vec::new(),
            process: Process::default(),
            facts: facts.cloned(),
            labels: ContainerLabels::new(path, id, facts.map(|facts| &**facts)),
            limits: LimitsSample::default(),
            limits_of: None,
        }
    }

    /// Takes facts if they are not those from before.
    fn update(&mut self, facts: Option<&Arc<Facts>>) {
        let is_same = match (&self.facts, facts) {
            (None, None) => true,
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            _ => false,
        };
        if !is_same {
            self.facts = facts.cloned();
            self.labels = ContainerLabels::new(&self.path, &self.id, self.facts.as_deref());
            self.limits_of = None;
        }
    }
}
