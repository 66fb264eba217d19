//! Parsers of cgroup files and of some files of `/proc`: functions of bytes.
//!
//! None panics. A line that is not as the kernel writes it is skipped, a number that is too large
//! for 64 bits is the largest one. What a parser returns is `false` or `None` if the file has
//! nothing of what it should have.

use swarmscout_exposition::Decimal;

use crate::containers::sample::{
    CpuSample, InterfaceSample, MemorySample, PressureSample, TrafficSample,
};

/// A number, spaces around it apart.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = text.iter().map(|digit| u64::from(digit - b'0'));
    Some(digits.fold(0, |number: u64, digit| number.saturating_mul(10).saturating_add(digit)))
}

/// A limit of version 2: `max` is [`UNLIMITED`].
pub(crate) fn limit(text: &[u8]) -> Option<u64> {
    if text.trim_ascii() == b"max" { Some(UNLIMITED) } else { number(text) }
}

/// Stands for no limit, as does any number that is as large.
pub(crate) const UNLIMITED: u64 = u64::MAX;

/// The words of `text`.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

/// Lines of a key and a value. Those of another shape are skipped.
fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines(text).filter_map(|line| {
        let space = line.iter().position(|byte| *byte == b' ')?;
        Some((&line[..space], &line[space + 1..]))
    })
}

/// Sets `field` if `value` is a number; says whether it is.
fn set(field: &mut Option<u64>, value: &[u8]) -> bool {
    let value = number(value);
    if value.is_some() {
        *field = value;
    }
    value.is_some()
}

/// Seconds, of milliseconds and so on.
fn set_time(field: &mut Option<Decimal>, value: &[u8], unit: fn(u64) -> Decimal) -> bool {
    let value = number(value).map(unit);
    if value.is_some() {
        *field = value;
    }
    value.is_some()
}

/// `USER_HZ`: 100 on all processors that Linux runs Docker on.
fn ticks(count: u64) -> Decimal {
    Decimal::new(count, 2)
}

/// `cpu.stat` of version 2.
pub(crate) fn cpu_stat_v2(text: &[u8], cpu: &mut CpuSample) -> bool {
    let mut is_known = false;
    for (key, value) in pairs(text) {
        is_known |= match key {
            b"usage_usec" => set_time(&mut cpu.usage, value, Decimal::micros),
            b"user_usec" => set_time(&mut cpu.user, value, Decimal::micros),
            b"system_usec" => set_time(&mut cpu.system, value, Decimal::micros),
            b"nr_periods" => set(&mut cpu.periods, value),
            b"nr_throttled" => set(&mut cpu.throttled_periods, value),
            b"throttled_usec" => set_time(&mut cpu.throttled, value, Decimal::micros),
            _ => false,
        };
    }
    is_known
}

/// `cpu.stat` of version 1.
pub(crate) fn cpu_stat_v1(text: &[u8], cpu: &mut CpuSample) -> bool {
    let mut is_known = false;
    for (key, value) in pairs(text) {
        is_known |= match key {
            b"nr_periods" => set(&mut cpu.periods, value),
            b"nr_throttled" => set(&mut cpu.throttled_periods, value),
            b"throttled_time" => set_time(&mut cpu.throttled, value, Decimal::nanos),
            _ => false,
        };
    }
    is_known
}

/// `cpuacct.usage`.
pub(crate) fn cpuacct_usage(text: &[u8], cpu: &mut CpuSample) -> bool {
    set_time(&mut cpu.usage, text, Decimal::nanos)
}

/// `cpuacct.stat`.
pub(crate) fn cpuacct_stat(text: &[u8], cpu: &mut CpuSample) -> bool {
    let mut is_known = false;
    for (key, value) in pairs(text) {
        is_known |= match key {
            b"user" => set_time(&mut cpu.user, value, ticks),
            b"system" => set_time(&mut cpu.system, value, ticks),
            _ => false,
        };
    }
    is_known
}

/// `memory.stat` of version 2.
pub(crate) fn memory_stat_v2(text: &[u8], memory: &mut MemorySample) -> bool {
    let mut is_known = false;
    for (key, value) in pairs(text) {
        let field = match key {
            b"anon" => &mut memory.rss,
            b"file" => &mut memory.cache,
            b"kernel" => &mut memory.kernel,
            b"file_mapped" => &mut memory.mapped_file,
            b"file_dirty" => &mut memory.dirty,
            b"file_writeback" => &mut memory.writeback,
            b"inactive_file" => &mut memory.inactive_file,
            b"active_file" => &mut memory.active_file,
            // Before Linux 5.9, of files only.
            b"workingset_refault" | b"workingset_refault_file" => &mut memory.file_refaults,
            b"workingset_refault_anon" => &mut memory.anon_refaults,
            b"pgfault" => &mut memory.page_faults,
            b"pgmajfault" => &mut memory.major_page_faults,
            b"pgscan" => &mut memory.pages_scanned,
            b"pgsteal" => &mut memory.pages_reclaimed,
            _ => continue,
        };
        is_known |= set(field, value);
    }
    is_known
}

/// `memory.stat` of version 1, with what is charged to cgroups below. Returns the memory limit, that
/// of cgroups above included.
pub(crate) fn memory_stat_v1(text: &[u8], memory: &mut MemorySample) -> (bool, Option<u64>) {
    let (mut is_known, mut limit) = (false, None);
    for (key, value) in pairs(text) {
        let field = match key {
            b"hierarchical_memory_limit" => &mut limit,
            b"total_cache" => &mut memory.cache,
            b"total_rss" => &mut memory.rss,
            b"total_mapped_file" => &mut memory.mapped_file,
            b"total_dirty" => &mut memory.dirty,
            b"total_writeback" => &mut memory.writeback,
            b"total_workingset_refault" | b"total_workingset_refault_file" => {
                &mut memory.file_refaults
            }
            b"total_workingset_refault_anon" => &mut memory.anon_refaults,
            b"total_swap" => &mut memory.swap,
            b"total_pgfault" => &mut memory.page_faults,
            b"total_pgmajfault" => &mut memory.major_page_faults,
            b"total_inactive_file" => &mut memory.inactive_file,
            b"total_active_file" => &mut memory.active_file,
            _ => continue,
        };
        is_known |= set(field, value);
    }
    (is_known, limit)
}

/// `memory.events`.
pub(crate) fn memory_events(text: &[u8], memory: &mut MemorySample) -> bool {
    let mut is_known = false;
    for (key, value) in pairs(text) {
        is_known |= match key {
            b"high" => set(&mut memory.high_events, value),
            b"max" => set(&mut memory.limit_hits, value),
            b"oom_kill" => set(&mut memory.oom_kills, value),
            _ => false,
        };
    }
    is_known
}

/// `memory.oom_control`. Before Linux 4.13 it does not count.
pub(crate) fn oom_control(text: &[u8], memory: &mut MemorySample) -> bool {
    let mut is_known = false;
    for (key, value) in pairs(text) {
        is_known |= match key {
            b"oom_kill" => set(&mut memory.oom_kills, value),
            b"under_oom" => number(value).is_some(),
            _ => false,
        };
    }
    is_known
}

/// `cpu.pressure` and its like.
pub(crate) fn pressure(text: &[u8], pressure: &mut PressureSample) -> bool {
    let mut is_known = false;
    for (key, values) in pairs(text) {
        let field = match key {
            b"some" => &mut pressure.waiting,
            b"full" => &mut pressure.stalled,
            _ => continue,
        };
        let total = words(values).find_map(|word| word.strip_prefix(b"total="));
        is_known |= total.is_some_and(|total| set_time(field, total, Decimal::micros));
    }
    is_known
}

/// `cpu.max`: the quota, if there is one, and the period.
pub(crate) fn cpu_max(text: &[u8]) -> Option<(Option<u64>, Option<u64>)> {
    let mut words = words(text);
    let quota = limit(words.next()?)?;
    let period = words.next().and_then(number);
    Some(((quota != UNLIMITED).then_some(quota), period))
}

/// `cpu.cfs_quota_us`, where -1 is [`UNLIMITED`].
pub(crate) fn cfs_quota(text: &[u8]) -> Option<u64> {
    if text.trim_ascii() == b"-1" { Some(UNLIMITED) } else { number(text) }
}

/// The shares for which a runtime sets this weight.
///
/// Runtimes convert shares linearly (runc before 1.3.2), or by a curve that makes 1024 of the
/// kernel's default, 100. So 100 is 1024, whichever one it was: linearly nothing common makes 100.
pub(crate) fn shares_of_weight(weight: u64) -> u64 {
    match weight {
        100 => 1024,
        weight => 2 + (weight.clamp(1, 10_000) - 1) * 262_142 / 9999,
    }
}

/// What the parsers below know of a block device: its numbers, and counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeviceCounts {
    pub(crate) number: (u32, u32),
    pub(crate) read_bytes: Option<u64>,
    pub(crate) written_bytes: Option<u64>,
    pub(crate) reads: Option<u64>,
    pub(crate) writes: Option<u64>,
}

/// A container that uses more devices than this is not as the kernel writes it.
const MOST_DEVICES: usize = 256;

/// The counts of the device `number`, which is added if it is new.
fn device(devices: &mut Vec<DeviceCounts>, number: (u32, u32)) -> Option<&mut DeviceCounts> {
    let known = devices.iter().position(|device| device.number == number);
    if known.is_none() && devices.len() == MOST_DEVICES {
        return None;
    }
    let index = known.unwrap_or_else(|| {
        devices.push(DeviceCounts { number, ..DeviceCounts::default() });
        devices.len() - 1
    });
    devices.get_mut(index)
}

/// `8:0`.
fn device_number(text: &[u8]) -> Option<(u32, u32)> {
    let colon = text.iter().position(|byte| *byte == b':')?;
    let part = |text| number(text).and_then(|number| u32::try_from(number).ok());
    Some((part(&text[..colon])?, part(&text[colon + 1..])?))
}

/// `io.stat`. It may be empty.
pub(crate) fn io_stat(text: &[u8], devices: &mut Vec<DeviceCounts>) -> bool {
    let mut is_known = text.trim_ascii().is_empty();
    for (key, values) in pairs(text) {
        let Some(number) = device_number(key) else { continue };
        is_known = true;
        for word in words(values) {
            let Some(equals) = word.iter().position(|byte| *byte == b'=') else { continue };
            let (key, value) = (&word[..equals], &word[equals + 1..]);
            if !matches!(key, b"rbytes" | b"wbytes" | b"rios" | b"wios") {
                continue;
            }
            let Some(device) = device(devices, number) else { continue };
            let field = match key {
                b"rbytes" => &mut device.read_bytes,
                b"wbytes" => &mut device.written_bytes,
                b"rios" => &mut device.reads,
                _ => &mut device.writes,
            };
            set(field, value);
        }
    }
    is_known
}

/// `blkio.throttle.io_service_bytes_recursive` and its like: `field` is where a count of reads
/// or writes belongs.
pub(crate) fn blkio(
    text: &[u8],
    devices: &mut Vec<DeviceCounts>,
    field: fn(&mut DeviceCounts, bool) -> &mut Option<u64>,
) -> bool {
    let mut is_known = text.trim_ascii().is_empty();
    for (key, rest) in pairs(text) {
        if key == b"Total" {
            is_known = true;
            continue;
        }
        let Some(number) = device_number(key) else { continue };
        let mut words = words(rest);
        let (Some(operation), Some(value)) = (words.next(), words.next()) else { continue };
        let is_read = operation == b"Read";
        if is_read || operation == b"Write" {
            let Some(device) = device(devices, number) else { continue };
            is_known |= set(field(device, is_read), value);
        }
    }
    is_known
}

/// Interfaces of one container beyond this number are left out: a container may make any number.
pub(crate) const MOST_INTERFACES: usize = 32;

/// Interfaces that lead nowhere, or to other containers.
fn is_hidden(interface: &[u8]) -> bool {
    interface == b"lo"
        || [&b"veth"[..], b"docker", b"nerdctl"].iter().any(|start| interface.starts_with(start))
}

/// `/proc/<pid>/net/dev`. Says how many interfaces were left out.
pub(crate) fn net_dev(text: &[u8], interfaces: &mut Vec<InterfaceSample>) -> Option<usize> {
    let (mut is_known, mut left_out) = (text.starts_with(b"Inter-|"), 0);
    for line in lines(text) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = line[..colon].trim_ascii();
        let mut counts = [0; 12];
        let mut words = words(&line[colon + 1..]).map(number);
        let is_whole = counts.iter_mut().all(|count| {
            let number = words.next().flatten();
            *count = number.unwrap_or_default();
            number.is_some()
        });
        if !is_whole || name.is_empty() {
            continue;
        }
        is_known = true;
        if is_hidden(name) {
            continue;
        }
        if interfaces.len() == MOST_INTERFACES {
            left_out += 1;
            continue;
        }
        let name = String::from_utf8_lossy(name).into();
        let traffic = |at: usize| TrafficSample {
            bytes: counts[at],
            packets: counts[at + 1],
            errors: counts[at + 2],
            dropped: counts[at + 3],
        };
        interfaces.push(InterfaceSample { name, received: traffic(0), sent: traffic(8) });
    }
    is_known.then_some(left_out)
}

/// The ID of the container whose cgroup has this name: `<64 hexadecimal digits>`, or
/// `docker-<64 hexadecimal digits>.scope` with systemd.
pub(crate) fn container_id(name: &str) -> Option<&str> {
    let scope = name.strip_prefix("docker-").and_then(|name| name.strip_suffix(".scope"));
    let id = scope.unwrap_or(name);
    let is_id = id.len() == 64 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_id.then_some(id)
}

/// Where a process is, as `/proc/<pid>/cgroup` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Membership {
    /// In the container with the ID that was asked for.
    Inside,
    /// At the root of the cgroup namespace of the reader.
    ReadersRoot,
    /// Somewhere else, or nowhere.
    Elsewhere,
}

/// Whether `/proc/<pid>/cgroup` names the container `id`. Paths in it are relative to the reader's
/// cgroup namespace, such as `/../<id>`, so only their parts count.
pub(crate) fn membership(text: &[u8], id: &str) -> Membership {
    let mut is_root = true;
    let mut has_line = false;
    for line in lines(text) {
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let (Some(_), Some(_), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        has_line = true;
        let mut parts =
            path.split(|byte| *byte == b'/').filter_map(|part| str::from_utf8(part).ok());
        if parts.any(|part| container_id(part) == Some(id)) {
            return Membership::Inside;
        }
        is_root &= path == b"/";
    }
    if is_root && has_line { Membership::ReadersRoot } else { Membership::Elsewhere }
}

/// When a process was started, in ticks since the machine was, from `/proc/<pid>/stat`. The name of
/// the process, in parentheses, may have any character.
pub(crate) fn start_ticks(text: &[u8]) -> Option<u64> {
    let end = text.iter().rposition(|byte| *byte == b')')?;
    words(&text[end + 1..]).nth(19).and_then(number)
}

/// When the machine was started, in seconds, from `/proc/stat`.
pub(crate) fn boot_seconds(text: &[u8]) -> Option<u64> {
    pairs(text).find(|(key, _)| *key == b"btime").and_then(|(_, value)| number(value))
}

/// Calls `found` with the numbers and the name of each device in `/proc/diskstats`.
pub(crate) fn diskstats(text: &[u8], mut found: impl FnMut((u32, u32), &str)) {
    for line in lines(text) {
        let mut words = words(line);
        let mut number = || words.next().and_then(number).and_then(|n| u32::try_from(n).ok());
        let (Some(major), Some(minor)) = (number(), number()) else { continue };
        if let Some(Ok(name)) = words.next().map(str::from_utf8) {
            found((major, minor), name);
        }
    }
}
